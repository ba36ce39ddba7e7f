"""QEMU's qtest protocol: one line asks, one answers, interrupt lines come in between. Bounded and checked."""

from __future__ import annotations

import base64
import binascii
import re
import select
import socket
import time
from collections.abc import Callable

from virtlab.core.words import say
from virtlab.machine.owning import MachineError

ANSWER_SECONDS = 30.0
_LONGEST_LINE = 1 << 18
_CHUNK = 1 << 16  # bytes of guest memory in one message
_IRQ = re.compile(rb"IRQ (raise|lower) (\d{1,5})")
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}")


class Qtest:
    """The tester's end of one connection. Raises MachineError when QEMU answers nonsense, too late or not at all.

    ``died`` says what is known of a QEMU that has closed the connection.
    """

    def __init__(
        self, connection: socket.socket, died: Callable[[], str] = str, seconds: float = ANSWER_SECONDS
    ) -> None:
        connection.setblocking(False)  # every wait is a poll of our own: with a socket's timeout, recv would wait too
        self._connection, self._died, self._seconds = connection, died, seconds
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._bytes = bytearray()
        self._lines: list[tuple[bool, int]] = []  # interrupt lines that nobody has taken yet: (raised, number)
        self._owed = 0  # answers to commands whose wait was interrupted

    def command(self, text: str) -> str:
        """Sends one command and returns what follows "OK" in its answer."""
        self._owed += 1
        try:
            self._connection.sendall(text.encode() + b"\n")
        except BlockingIOError:
            raise MachineError(say("qemu.stalled", command=_short(text), seconds=0)) from None
        except OSError:
            raise MachineError(say("qemu.closed", command=_short(text), why=self._died())) from None
        end = time.monotonic() + self._seconds
        while self._owed:
            line = self._line(end, text)
            if irq := _IRQ.fullmatch(line):
                self._lines.append((irq[1] == b"raise", int(irq[2])))
                continue
            self._owed -= 1
            answer = line.decode("ascii", "replace")
            if self._owed == 0:
                if answer != "OK" and not answer.startswith("OK "):
                    raise MachineError(say("qemu.refused", command=_short(text), answer=_short(answer)))
                return answer[3:]
        raise AssertionError("unreachable")

    def _line(self, end: float, command: str) -> bytes:
        while (cut := self._bytes.find(b"\n")) < 0:
            if len(self._bytes) > _LONGEST_LINE:
                raise MachineError(say("qemu.nonsense", command=_short(command), answer=_short(repr(self._bytes[:40]))))
            left = end - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise MachineError(say("qemu.stalled", command=_short(command), seconds=f"{self._seconds:g}"))
            if not self._receive():
                raise MachineError(say("qemu.closed", command=_short(command), why=self._died()))
        line = bytes(self._bytes[:cut])
        del self._bytes[: cut + 1]
        return line

    def _receive(self) -> bool:
        """Takes what has arrived; False at the end of the connection."""
        try:
            more = self._connection.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._bytes += more
        return bool(more)

    def lines(self, seconds: float = 0.0) -> list[tuple[bool, int]]:
        """The interrupt lines that changed since the last time, as (raised, number); waits for a first one."""
        end = time.monotonic() + seconds
        while True:
            # A line may have come in one piece with an answer: look at what is here before waiting.
            while self._owed == 0 and (cut := self._bytes.find(b"\n")) >= 0:
                line = bytes(self._bytes[:cut])
                irq = _IRQ.fullmatch(line)
                if irq is None:
                    raise MachineError(say("qemu.nonsense", command="IRQ", answer=_short(repr(line[:40]))))
                del self._bytes[: cut + 1]
                self._lines.append((irq[1] == b"raise", int(irq[2])))
            left = end - time.monotonic()
            if self._lines or not self._poll.poll(max(left, 0) * 1000):
                taken, self._lines = self._lines, []
                return taken
            if not self._receive():
                raise MachineError(say("qemu.closed", command="IRQ", why=self._died()))

    # --- what a CPU would do ------------------------------------------------------------------------------------------

    def load(self, address: int, size: int) -> int:
        """A load of 1, 2, 4 or 8 bytes from the memory bus: a register of a device, or guest memory."""
        return self._number(f"read{_WIDTH[size]} {address:#x}", size)

    def store(self, address: int, size: int, value: int) -> None:
        self.command(f"write{_WIDTH[size]} {address:#x} {value:#x}")

    def port_in(self, port: int, size: int) -> int:
        """A read of 1, 2 or 4 bytes from an I/O port."""
        return self._number(f"in{_WIDTH[size]} {port:#x}", size)

    def port_out(self, port: int, size: int, value: int) -> None:
        self.command(f"out{_WIDTH[size]} {port:#x} {value:#x}")

    def _number(self, command: str, size: int) -> int:
        answer = self.command(command)
        if not _NUMBER.fullmatch(answer) or (value := int(answer, 16)) >> 8 * size:
            raise MachineError(say("qemu.nonsense", command=command, answer=_short(answer)))
        return value

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes of guest memory."""
        parts = []
        for at in range(address, address + size, _CHUNK):
            wanted = min(_CHUNK, address + size - at)
            command = f"b64read {at:#x} {wanted:#x}"
            answer = self.command(command)
            try:
                part = base64.b64decode(answer, validate=True)
            except (binascii.Error, ValueError):
                part = b""
            if len(part) != wanted:
                raise MachineError(say("qemu.nonsense", command=command, answer=_short(answer)))
            parts.append(part)
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Writes ``data`` into guest memory."""
        for at in range(0, len(data), _CHUNK):
            part = data[at : at + _CHUNK]
            self.command(f"b64write {address + at:#x} {len(part):#x} {base64.b64encode(part).decode()}")


_WIDTH = {1: "b", 2: "w", 4: "l", 8: "q"}


def _short(text: str) -> str:
    """A piece of a message that may be long, and is not ours."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= 80 else clean[:77] + "..."
