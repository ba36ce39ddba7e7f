"""PCI Express configuration space of a QEMU q35, through its memory window (ECAM): all 4 KiB of each function.

A function is named by its routing ID: bus, device and function in 16 bits. Where nothing answers, all bits read as 1.
"""

from __future__ import annotations

from collections.abc import Iterator

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.process import Qemu

_WINDOW = 0xB000_0000  # 256 MiB, 4 KiB a function; far above the guest's RAM
_CONFIG_ADDRESS, _CONFIG_DATA = 0xCF8, 0xCFC
_PCIEXBAR = 0x60  # of the host bridge 00:00.0: where the window lies, bit 0 opens it
_CLASS, _HEADER_TYPE, _CAPABILITIES = 0x08, 0x0E, 0x34
_EXTENDED = 0x100
_NOTHING = 0xFFFF_FFFF
_MOST = 48  # capabilities in a list that may be broken, or run in a circle


class Ecam:
    """Reads and writes configuration space. Raises MachineError where a list of capabilities makes no sense."""

    def __init__(self, qemu: Qemu) -> None:
        self._qtest = qemu.qtest
        for register, value in ((_PCIEXBAR + 4, 0), (_PCIEXBAR, _WINDOW | 1)):
            self._qtest.port_out(_CONFIG_ADDRESS, 4, 1 << 31 | register)
            self._qtest.port_out(_CONFIG_DATA, 4, value)

    def read(self, rid: int, offset: int, size: int) -> int:
        """1, 2 or 4 bytes of the function's 4 KiB."""
        return self._qtest.load(_WINDOW + (rid << 12) + offset, size)

    def write(self, rid: int, offset: int, size: int, value: int) -> None:
        self._qtest.store(_WINDOW + (rid << 12) + offset, size, value)

    def present(self, rid: int) -> bool:
        """Whether a function answers: by its class, because a VF's vendor and device read as ffff by the rules."""
        return self.read(rid, _CLASS, 4) != _NOTHING

    def bridges(self, bus: int = 0) -> list[int]:
        """The ports to other buses among the devices of a bus."""
        ids = range(bus << 8, (bus + 1) << 8, 8)
        return [rid for rid in ids if self.present(rid) and self.read(rid, _HEADER_TYPE, 1) & 0x7F == 1]

    def capability(self, rid: int, kind: int) -> int | None:
        """Where the capability of this kind lies in the first 256 bytes, or None."""
        return self._find(self._list(rid), kind)

    def extended(self, rid: int, kind: int) -> int | None:
        """Where the extended capability of this kind lies, or None."""
        return self._find(self._extended_list(rid), kind)

    def _find(self, found: Iterator[tuple[int, int]], kind: int) -> int | None:
        seen: set[int] = set()
        for one, at in found:
            if at in seen or len(seen) == _MOST:
                raise MachineError(say("sriov.circle"))
            seen.add(at)
            if one == kind:
                return at
        return None

    def _list(self, rid: int) -> Iterator[tuple[int, int]]:
        at = self.read(rid, _CAPABILITIES, 1) & ~3
        while 0x40 <= at < 0xFC:
            yield self.read(rid, at, 1), at
            at = self.read(rid, at + 1, 1) & ~3

    def _extended_list(self, rid: int) -> Iterator[tuple[int, int]]:
        at = _EXTENDED
        while at >= _EXTENDED:
            header = self.read(rid, at, 4)
            if header in (0, _NOTHING):
                return
            yield header & 0xFFFF, at
            at = header >> 20 & ~3
