"""QEMU's teaching device "edu": a PCI card with 4 KiB of its own and a DMA engine that copies from or to memory."""

from __future__ import annotations

from time import monotonic, sleep

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.process import Qemu

#: 32 bits of address: without this the device cuts addresses to 28.
OPTIONS = "edu,dma_mask=0xffffffff"
DMA_BYTES = 4096
_ID = 0x11E8_1234
_CONFIG_ADDRESS, _CONFIG_DATA = 0xCF8, 0xCFC
_BAR, _WINDOW = 0xE000_0000, 1 << 20
_SOURCE, _TARGET, _COUNT, _COMMAND, _BUFFER = 0x80, 0x88, 0x90, 0x98, 0x40000
_START, _TO_MEMORY = 1, 2
_SECONDS = 5.0  # it waits 0.1 s before each DMA


class Edu:
    """The card, found on bus 0 and given its addresses. Raises MachineError when there is none."""

    def __init__(self, qemu: Qemu) -> None:
        self._qtest = qemu.qtest
        for self.slot in range(32):
            if self._config(0) == _ID:
                break
        else:
            raise MachineError(say("vtd.no_edu"))
        self._set_config(0x10, _BAR)
        self._set_config(4, self._config(4) & 0xFFFF | 0x6)  # memory, and master of the bus
        if self._config(0x10) & -16 != _BAR:
            raise MachineError(say("vtd.no_edu"))

    @property
    def source(self) -> int:
        """What the IOMMU knows it by: bus, device and function."""
        return self.slot << 3

    def _config(self, offset: int) -> int:
        self._qtest.port_out(_CONFIG_ADDRESS, 4, 1 << 31 | self.slot << 11 | offset)
        return self._qtest.port_in(_CONFIG_DATA, 4)

    def _set_config(self, offset: int, value: int) -> None:
        self._qtest.port_out(_CONFIG_ADDRESS, 4, 1 << 31 | self.slot << 11 | offset)
        self._qtest.port_out(_CONFIG_DATA, 4, value)

    def _copy(self, source: int, target: int, size: int, command: int) -> None:
        for register, value in ((_SOURCE, source), (_TARGET, target), (_COUNT, size), (_COMMAND, command | _START)):
            self._qtest.store(_BAR + register, 8, value)
        end = monotonic() + _SECONDS
        while self._qtest.load(_BAR + _COMMAND, 8) & _START:
            if monotonic() > end:
                raise MachineError(say("vtd.late", seconds=f"{_SECONDS:g}"))
            sleep(2e-3)

    def take(self, address: int, size: int = 64) -> None:
        """DMA: reads ``size`` bytes at ``address``, as the IOMMU translates it, into the card's own memory."""
        self._copy(address, _BUFFER, self._checked(size), 0)

    def put(self, address: int, size: int = 64) -> None:
        """DMA: writes the first ``size`` bytes of the card's own memory to ``address``, as the IOMMU translates it."""
        self._copy(_BUFFER, address, self._checked(size), _TO_MEMORY)

    @staticmethod
    def _checked(size: int) -> int:
        if not 1 <= size <= DMA_BYTES:
            raise ValueError(say("vtd.size", most=DMA_BYTES, given=size))
        return size
