"""QEMU's monitor protocol (QMP): one JSON object a line, answers and events. Bounded and checked."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from virtlab.core.words import say
from virtlab.machine.owning import MachineError, Owner, memory_file, start
from virtlab.machine.qemu.lines import ANSWER_SECONDS, Lines, short
from virtlab.machine.qemu.process import PROGRAM, last_words

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
        self._lines = Lines(connection, died, seconds, LONGEST_LINE)
        self._events: list[str] = []
        self._ready = False

    @property
    def ended(self) -> bool:
        """Whether QEMU has closed the connection."""
        return self._lines.ended

    @property
    def seconds(self) -> float:
        """How long an answer may take; a caller may set it anew."""
        return self._lines.seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._lines.seconds = seconds

    def fileno(self) -> int:
        return self._lines.fileno()

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
        self._lines.send(json.dumps({"execute": command, "arguments": arguments}), command)
        end = time.monotonic() + self.seconds
        while True:
            answer = self._object(end, command)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise MachineError(say("qemu.refused", command=command, answer=short(repr(answer["error"]))))
            self._keep(answer, command)

    def tell(self, line: str) -> str:
        """What the monitor for people prints for a line of theirs."""
        text = self.ask("human-monitor-command", **{"command-line": line})
        if not isinstance(text, str):
            raise MachineError(say("qemu.nonsense", command=line, answer=short(repr(text))))
        return text

    def events(self) -> list[str]:
        """The names of the events since the last time, without waiting for one."""
        self.greet()
        while self._lines.more(0, "event") and not self.ended:
            pass
        while self._lines.here() is not None:
            self._keep(self._parsed(self._lines.take(), "event"), "event")
        taken, self._events = self._events, []
        return taken

    def _keep(self, answer: dict[str, Any], command: str) -> None:
        name = answer.get("event")
        if not isinstance(name, str) or len(self._events) >= _MOST_EVENTS:
            raise MachineError(say("qemu.nonsense", command=command, answer=short(repr(answer))))
        self._events.append(name)

    def _object(self, end: float, command: str) -> dict[str, Any]:
        return self._parsed(self._lines.wait(command, end), command)

    def _parsed(self, line: bytes, command: str) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise MachineError(say("qemu.nonsense", command=command, answer=short(repr(line))))
        return found


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
