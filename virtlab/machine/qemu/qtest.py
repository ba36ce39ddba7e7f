"""QEMU's qtest protocol: one line asks, one answers, interrupt lines come in between. Bounded and checked."""

from __future__ import annotations

import base64
import binascii
import re
import socket
import time
from collections.abc import Callable

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.lines import ANSWER_SECONDS, Lines, short

_LONGEST = 1 << 18
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
        self._stream = Lines(connection, died, seconds, _LONGEST)
        self._lines: list[tuple[bool, int]] = []  # interrupt lines that nobody has taken yet: (raised, number)
        self._owed = 0  # answers to commands whose wait was interrupted

    def command(self, text: str) -> str:
        """Sends one command and returns what follows "OK" in its answer."""
        self._owed += 1
        self._stream.send(text, text)
        end = time.monotonic() + self._stream.seconds
        while self._owed:
            line = self._stream.wait(text, end)
            if irq := _IRQ.fullmatch(line):
                self._lines.append((irq[1] == b"raise", int(irq[2])))
                continue
            self._owed -= 1
            answer = line.decode("ascii", "replace")
            if self._owed == 0:
                if answer != "OK" and not answer.startswith("OK "):
                    raise MachineError(say("qemu.refused", command=short(text), answer=short(answer)))
                return answer[3:]
        raise AssertionError("unreachable")

    def lines(self, seconds: float = 0.0) -> list[tuple[bool, int]]:
        """The interrupt lines that changed since the last time, as (raised, number); waits for a first one."""
        end = time.monotonic() + seconds
        while True:
            # A line may have come in one piece with an answer: look at what is here before waiting.
            while self._owed == 0 and (line := self._stream.here()) is not None:
                irq = _IRQ.fullmatch(line)
                if irq is None:
                    raise MachineError(say("qemu.nonsense", command="IRQ", answer=short(repr(line[:40]))))
                self._stream.take()
                self._lines.append((irq[1] == b"raise", int(irq[2])))
            if self._lines or not self._stream.more(max(end - time.monotonic(), 0), "IRQ"):
                taken, self._lines = self._lines, []
                return taken
            if self._stream.ended:
                raise self._stream.closed("IRQ")

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
            raise MachineError(say("qemu.nonsense", command=command, answer=short(answer)))
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
                raise MachineError(say("qemu.nonsense", command=command, answer=short(answer)))
            parts.append(part)
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Writes ``data`` into guest memory."""
        for at in range(0, len(data), _CHUNK):
            part = data[at : at + _CHUNK]
            self.command(f"b64write {address + at:#x} {len(part):#x} {base64.b64encode(part).decode()}")


_WIDTH = {1: "b", 2: "w", 4: "l", 8: "q"}
