"""QEMU's monitor protocol (QMP): one JSON object a line, answers and events. Bounded and checked."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from virtlab.core.words import say
from virtlab.machine.owning import MachineError, Owner, memory_file, start
from virtlab.machine.qemu.process import PROGRAM, last_words
from virtlab.machine.qemu.qtest import ANSWER_SECONDS

#: A list of all types or a map of all regions has some ten KiB.
LONGEST_LINE = 1 << 20
_MOST_EVENTS = 1000  # between two commands


class Monitor:
    """Our end of one connection. Raises MachineError when QEMU answers nonsense, too much, too late or not at all.

    ``died`` says what is known of a QEMU that has closed the connection; ``seconds`` is how long an answer may take.
    """

    def __init__(
        self, connection: socket.socket, died: Callable[[], str] = str, seconds: float = ANSWER_SECONDS
    ) -> None:
        connection.setblocking(False)
        self._connection, self._died, self.seconds = connection, died, seconds
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._bytes = bytearray()
        self._events: list[str] = []
        self._ready = False
        self.ended = False

    def fileno(self) -> int:
        return self._connection.fileno()

    def greet(self) -> None:
        """Waits for QEMU's greeting and leaves the mode in which it takes no commands; does nothing twice."""
        if not self._ready:
            if "QMP" not in self._object(time.monotonic() + self.seconds, "QMP"):
                raise MachineError(say("qemu.nonsense", command="QMP", answer="-"))
            self._ready = True
            self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: object) -> Any:
        """The value that a command returns."""
        self.greet()
        try:
            self._connection.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        except BlockingIOError:
            raise MachineError(say("qemu.stalled", command=command, seconds=0)) from None
        except OSError:
            raise MachineError(say("qemu.closed", command=command, why=self._died())) from None
        end = time.monotonic() + self.seconds
        while True:
            answer = self._object(end, command)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise MachineError(say("qemu.refused", command=command, answer=_short(answer["error"])))
            self._keep(answer, command)

    def tell(self, line: str) -> str:
        """What the monitor for people prints for a line of theirs."""
        text = self.ask("human-monitor-command", **{"command-line": line})
        if not isinstance(text, str):
            raise MachineError(say("qemu.nonsense", command=line, answer=_short(text)))
        return text

    def events(self) -> list[str]:
        """The names of the events since the last time, without waiting for one."""
        self.greet()
        while self._poll.poll(0) and self._receive():
            pass
        while (cut := self._bytes.find(b"\n")) >= 0:
            self._keep(self._parsed(self._cut(cut), "event"), "event")
        taken, self._events = self._events, []
        return taken

    def _keep(self, answer: dict[str, Any], command: str) -> None:
        name = answer.get("event")
        if not isinstance(name, str) or len(self._events) >= _MOST_EVENTS:
            raise MachineError(say("qemu.nonsense", command=command, answer=_short(answer)))
        self._events.append(name)

    def _object(self, end: float, command: str) -> dict[str, Any]:
        while (cut := self._bytes.find(b"\n")) < 0:
            left = end - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise MachineError(say("qemu.stalled", command=command, seconds=f"{self.seconds:g}"))
            if not self._receive():
                raise MachineError(say("qemu.closed", command=command, why=self._died()))
        return self._parsed(self._cut(cut), command)

    def _cut(self, end: int) -> bytes:
        line = bytes(self._bytes[:end])
        del self._bytes[: end + 1]
        return line

    def _parsed(self, line: bytes, command: str) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise MachineError(say("qemu.nonsense", command=command, answer=_short(line)))
        return found

    def _receive(self) -> bool:
        """Takes what has arrived; False at the end of the connection."""
        try:
            more = self._connection.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            more = b""
        self._bytes += more
        self.ended = not more
        if len(self._bytes) > LONGEST_LINE:
            raise MachineError(say("qemu.nonsense", command="QMP", answer=_short(self._bytes[:40])))
        return bool(more)


class Monitored(Owner):
    """A QEMU of its own with these options (and no others but TCG, no display, no network) and a monitor to ask.

    Its memory is left to the caller's options. Raises MachineError when QEMU is missing, refuses its options or does
    not answer within ``seconds``.
    """

    def __init__(self, arguments: Sequence[str], seconds: float = ANSWER_SECONDS) -> None:
        super().__init__()
        with self._opening() as held:
            errors = memory_file(held)
            ours, theirs = (held.enter_context(s) for s in socket.socketpair())
            command = [PROGRAM, "-no-user-config", "-display", "none", "-accel", f"tcg,tb-size={TRANSLATED_MIB}",
                       *monitor_options(theirs.fileno()), *arguments]  # fmt: skip
            self._process = process = start(held, command, [theirs.fileno()], stderr=errors)
            theirs.close()
            self.monitor = Monitor(ours, lambda: last_words(process, errors), seconds)
            self.monitor.greet()

    @property
    def pid(self) -> int:
        return self._process.pid


#: MiB that QEMU sets aside for translated code; left to itself it would take up to 1 GiB of address space.
TRANSLATED_MIB = 32


def monitor_options(fd: int) -> list[str]:
    """Options for a monitor on an inherited descriptor."""
    return ["-chardev", f"socket,id=monitor,fd={fd}", "-mon", "chardev=monitor,mode=control"]


def _short(value: object) -> str:
    return repr(value)[:80]
