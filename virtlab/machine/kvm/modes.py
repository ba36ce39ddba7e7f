"""The four modes in which a tiny guest can start: what a vCPU's registers and page tables hold in each."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from virtlab.machine.kvm import abi

#: Guest-physical addresses of a tiny guest.
CODE, STACK = 0x1000, 0x8000
MMIO = 0xD000_0000  # no memory is there
_TABLES = 0x10_0000  # four pages of page tables in the second megabyte
_CODE_SEGMENT, _DATA_SEGMENT = 11, 3  # types: execute and read, read and write; both accessed
_PRESENT_WRITABLE_USER, _LARGE = 7, 0x80


@dataclass(frozen=True)
class Mode:
    """The width of code and addresses, the privilege level, and the control registers that make them."""

    bits: int
    ring: int = 0
    cr0: int = 0
    cr3: int = 0
    cr4: int = 0
    efer: int = 0

    @property
    def rflags(self) -> int:
        """Bit 1 is always set; with IOPL 3, code of ring 3 may use ports."""
        return 0x3002 if self.ring == 3 else 0x2


# cr0: paging and extension type and protection; cr4: PAE; efer: long mode, enabled and active
_LONG = {"cr0": 0x8000_0011, "cr3": _TABLES, "cr4": 0x20, "efer": 0x500}
#: ``user`` is where programs run. Hardware runs all four; software KVM runs only ``user`` and emulates the others.
MODES = {
    "real": Mode(16),
    "protected": Mode(32, cr0=0x11),
    "long": Mode(64, **_LONG),
    "user": Mode(64, ring=3, **_LONG),
}


def special_registers(mode: Mode, reset: bytes) -> bytes:
    """struct kvm_sregs for ``mode``, from the one after reset."""
    registers = bytearray(reset)
    for n in range(6):
        abi.SEGMENT.pack_into(registers, n * abi.SEGMENT.size, *_segment(mode, n == 0))
    _, cr2, _, _, cr8, _, apic = abi.CONTROL.unpack_from(registers, abi.CONTROL_AT)
    control = (mode.cr0, cr2, mode.cr3, mode.cr4, cr8, mode.efer, apic)
    if mode.bits > 16:  # real mode keeps the control registers of the reset
        abi.CONTROL.pack_into(registers, abi.CONTROL_AT, *control)
    return bytes(registers)


def _segment(mode: Mode, code: bool) -> tuple[int, ...]:
    """A flat segment: base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable."""
    kind = _CODE_SEGMENT if code else _DATA_SEGMENT
    if mode.bits == 16:
        return 0, 0xFFFF, 0, kind, 1, 0, 0, 1, 0, 0, 0, 0
    selector = (8 if code else 16) | mode.ring
    long_code = code and mode.bits == 64
    return 0, 0xFFFF_FFFF, selector, kind, 1, mode.ring, int(not long_code), 1, int(long_code), 1, 0, 0


def page_tables(mode: Mode, write: Callable[[int, bytes], object]) -> None:
    """Two large pages, open to ring 3: the guest's memory at 0, and the 2 MiB at MMIO. Addresses are physical ones."""
    if not mode.cr3:
        return
    pml4, pdpt, low, high = (_TABLES + n * abi.PAGE for n in range(4))
    gigabyte, large = 1 << 30, 2 << 20

    def entry(table: int, index: int, to: int, bits: int = _PRESENT_WRITABLE_USER) -> None:
        write(table + 8 * index, struct.pack("<Q", to | bits))

    entry(pml4, 0, pdpt)
    entry(pdpt, 0, low)
    entry(pdpt, MMIO // gigabyte, high)
    entry(low, 0, 0, _PRESENT_WRITABLE_USER | _LARGE)
    entry(high, MMIO % gigabyte // large, MMIO, _PRESENT_WRITABLE_USER | _LARGE)
