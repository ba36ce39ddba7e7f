"""A guest whose instructions are counted: QEMU stops it at each of its marks, and tells how many it has run so far.

TCG counts instructions with ``-icount``: time in the guest is then the number of instructions times a fixed step, and
whatever waits for a timer waits no longer than that. The clock, the random numbers and the place of the kernel are
fixed as well, so that the same program runs twice in the same way.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from virtlab.core.words import say
from virtlab.machine.guest.boot import Guest
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.monitor import Monitor, monitor_options

#: 2 ** SHIFT ns of the guest's time are one instruction: 8 ns, of a slow CPU, so that busy waiting is short to run.
SHIFT = 3
#: Without the instructions that ask the host for random numbers.
CPU = "qemu64"
APPEND = "nokaslr"
_PANIC_PORT = 0x505  # of QEMU's pvpanic: a guest that writes 1 says that it is lost, and is paused
_MOST_STOPS = 100
_MOST = 1 << 62


class CountedGuest(Guest):
    """A :class:`Guest`; after its end, ``counted()`` says how many instructions it had run at each of its marks."""

    def __init__(self, script: str, *, append: str = "", files: Mapping[str, bytes] | None = None,
                 **options: Any) -> None:  # fmt: skip
        self._counts: list[int] = []
        super().__init__(script, append=f"{APPEND} {append}".rstrip(), cpu=CPU,
                         files={**(files or {}), "bin/stop": stopper()}, **options)  # fmt: skip

    def _on_mark(self) -> str:
        return "stop"

    def _more(self, held: contextlib.ExitStack) -> tuple[list[str], list[int]]:
        ours, theirs = (held.enter_context(s) for s in socket.socketpair())
        self._monitor = Monitor(ours)
        self._theirs = theirs
        fixed = ["-icount", f"shift={SHIFT},sleep=off", "-seed", "1", "-rtc", "base=2026-01-01,clock=vm"]
        stops = ["-device", f"pvpanic,ioport={_PANIC_PORT}", "-action", "panic=pause"]
        return [*fixed, *stops, *monitor_options(theirs.fileno())], [theirs.fileno()]

    def _wait(self, console: int) -> None:
        self._theirs.close()  # QEMU has it: from now on its end is the end of the connection
        while True:
            poll = select.poll()
            poll.register(console, select.POLLIN)
            if not self._monitor.ended:
                poll.register(self._monitor, select.POLLIN)
            ready = [fd for fd, _ in poll.poll(1e3 * self._left())]
            if self._monitor.fileno() in ready:
                self._serve()
            if console in ready:
                return

    def _serve(self) -> None:
        """Notes the count at each stop, and lets the guest go on. Of a QEMU that has ended, the console says why."""
        self._monitor.seconds = self._left()
        try:
            while events := self._monitor.events():  # the next stop may have come with the answer to the last
                for _ in range(events.count("GUEST_PANICKED")):
                    self._note_count()
        except MachineError:
            if not self._monitor.ended:
                raise

    def _note_count(self) -> None:
        answer = self._monitor.ask("query-replay")
        count = answer.get("icount") if isinstance(answer, dict) else None
        least = self._counts[-1] if self._counts else 1
        if type(count) is not int or not least <= count <= _MOST or len(self._counts) >= _MOST_STOPS:
            raise MachineError(say("qemu.nonsense", command="query-replay", answer=repr(answer)[:80]))
        self._counts.append(count)
        self._monitor.ask("cont")

    def counted(self) -> Mapping[str, int]:
        """Instructions since the machine was switched on, at each mark. Raises MachineError where one has no count."""
        marks = [name for name in self.marks if not name.startswith("exit-")]
        if len(marks) != len(self._counts):
            raise MachineError(say("boots.uncounted", marks=len(marks), counts=len(self._counts)))
        return MappingProxyType(dict(zip(marks, self._counts, strict=True)))


def stopper() -> bytes:
    """A program for the guest: it asks for the right to ports, and writes to pvpanic."""
    code = b"".join((
        b"\xb8\xac\x00\x00\x00",  # mov eax, 172: iopl
        b"\xbf\x03\x00\x00\x00",  # mov edi, 3
        b"\x0f\x05",  # syscall
        b"\x66\xba" + struct.pack("<H", _PANIC_PORT),  # mov dx, port
        b"\xb0\x01\xee",  # mov al, 1; out dx, al
        b"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05",  # exit(0)
    ))
    base, headers = 0x400000, 64 + 56
    size = headers + len(code)
    elf = b"\x7fELF\x02\x01\x01" + bytes(9)  # 64 bits, little endian
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + headers, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096)  # one segment: the whole file
    return elf + code
