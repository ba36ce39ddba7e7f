"""The IOMMU (VT-d) of a QEMU PC as its driver sees it: registers, root and context table, IO page table, queue.

Names, offsets and formats: Intel's VT-d specification, legacy mode, three levels (39 bits), as QEMU offers by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, sleep

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.process import Qemu

BASE = 0xFED9_0000  # where QEMU's q35 has it
_WINDOW = 0x1000
_CAP, _ECAP, _COMMAND, _STATUS, _ROOT, _CONTEXT, _FAULTS = 0x08, 0x10, 0x18, 0x1C, 0x20, 0x28, 0x34
_QUEUE_TAIL, _QUEUE = 0x88, 0x90
_TRANSLATE, _SET_ROOT, _USE_QUEUE = 1 << 31, 1 << 30, 1 << 26
_READ, _WRITE, _PRESENT = 1, 2, 1
_LEVELS, _PAGE = 3, 4096
_DOMAIN = 7
_QUEUE_PLACES = 256  # of 16 bytes: one page
_SECONDS = 5.0
_DONE = 0x600D


@dataclass(frozen=True)
class Capabilities:
    """What the IOMMU says of itself in CAP and ECAP. ``page_shifts``: sizes of its leaves, as powers of two."""

    version: str
    domains: int
    levels: tuple[int, ...]
    page_shifts: tuple[int, ...]
    address_bits: int
    fault_registers: int
    caching_mode: bool
    queued_invalidation: bool
    interrupt_remapping: bool
    device_iotlb: bool
    passthrough: bool


@dataclass(frozen=True)
class FaultRecord:
    """One fault-recording register: who wanted which address, whether to read, and the reason's number."""

    source: int
    address: int
    read: bool
    reason: int


class Vtd:
    """Drives the IOMMU of ``qemu``, which must be a q35 with an intel-iommu. Raises MachineError when it is not there,
    says what cannot be, or does not do what it was told."""

    def __init__(self, qemu: Qemu) -> None:
        self._qtest, self._memory, self._take = qemu.qtest, qemu.memory, qemu.arena.take
        cap, ecap = self._load(_CAP, 8), self._load(_ECAP, 8)
        if cap in (0, (1 << 64) - 1) or not ecap:
            raise MachineError(say("vtd.absent"))
        self._fault_at = (cap >> 24 & 0x3FF) * 16
        count = (cap >> 40 & 0xFF) + 1
        self._iotlb_at = (ecap >> 8 & 0x3FF) * 16 + 8
        # A register must lie inside the window that we know.
        if self._fault_at + 16 * count > _WINDOW or self._iotlb_at + 8 > _WINDOW or not cap >> 9 & 1:
            raise MachineError(say("vtd.nonsense", cap=f"{cap:#x}", ecap=f"{ecap:#x}"))
        version = self._load(0, 4)
        self.capabilities = Capabilities(
            version=f"{version >> 4 & 0xF}.{version & 0xF}", domains=1 << 4 + 2 * (cap & 7),
            levels=tuple(2 + n for n in range(5) if cap >> 8 + n & 1),
            page_shifts=(12, *(21 + 9 * n for n in range(2) if cap >> 34 + n & 1)), address_bits=(cap >> 16 & 0x3F) + 1,
            fault_registers=count, caching_mode=bool(cap >> 7 & 1), queued_invalidation=bool(ecap >> 1 & 1),
            interrupt_remapping=bool(ecap >> 3 & 1), device_iotlb=bool(ecap >> 2 & 1), passthrough=bool(ecap >> 6 & 1),
        )  # fmt: skip
        self._root = self._table()
        self._contexts = self._table()
        self._set(self._root, self._contexts | _PRESENT)  # bus 0
        self._pages = self._table()
        self._tail = 0
        self._queue = self._table()
        self._answer = self._take(4, 4)

    # --- registers ----------------------------------------------------------------------------------------------------

    def _load(self, offset: int, size: int) -> int:
        return self._qtest.load(BASE + offset, size)

    def _store(self, offset: int, size: int, value: int) -> None:
        self._qtest.store(BASE + offset, size, value)

    def _tell(self, bit: int) -> None:
        """A command of the global command register, kept together with those that hold already; waits for it."""
        holding = self._load(_STATUS, 4) & (_TRANSLATE | _USE_QUEUE)
        self._store(_COMMAND, 4, holding | bit)
        self._until(lambda: bool(self._load(_STATUS, 4) & bit))

    @staticmethod
    def _until(done: object) -> None:
        assert callable(done)
        end = monotonic() + _SECONDS
        while not done():
            if monotonic() > end:
                raise MachineError(say("vtd.late", seconds=f"{_SECONDS:g}"))
            sleep(1e-4)

    def enable(self) -> None:
        """Gives it the root table, empties its caches, starts the invalidation queue, and turns translation on."""
        self._store(_ROOT, 8, self._root)
        self._tell(_SET_ROOT)
        self._store(_CONTEXT, 8, 1 << 63 | 1 << 61)  # all contexts
        self._until(lambda: not self._load(_CONTEXT, 8) >> 63)
        self._store(self._iotlb_at, 8, 1 << 63 | 1 << 60)  # all translations
        self._until(lambda: not self._load(self._iotlb_at, 8) >> 63)
        self._store(_QUEUE_TAIL, 8, 0)
        self._store(_QUEUE, 8, self._queue)
        self._tell(_USE_QUEUE)
        self._tell(_TRANSLATE)

    # --- tables in memory ---------------------------------------------------------------------------------------------

    def _set(self, at: int, value: int) -> None:
        self._memory.write(at, value.to_bytes(8, "little"))

    def _get(self, at: int) -> int:
        return int.from_bytes(self._memory.read(at, 8), "little")

    def _table(self) -> int:
        at = self._take(_PAGE, _PAGE)
        self._memory.write(at, bytes(_PAGE))
        return at

    def attach(self, slot: int) -> None:
        """Puts the device in ``slot`` of bus 0 into the one domain: its context entry."""
        entry = self._contexts + (slot << 3) * 16
        self._set(entry + 8, _DOMAIN << 8 | _LEVELS - 2)
        self._set(entry, self._pages | _PRESENT)

    def map(self, iova: int, physical: int, writable: bool = True) -> None:
        """Maps one page of 4 KiB, and makes the tables that lead to it. What was mapped before is not invalidated."""
        table = self._pages
        for level in range(_LEVELS, 1, -1):
            entry = table + (iova >> 3 + 9 * level & 511) * 8
            if not self._get(entry):
                self._set(entry, self._table() | _READ | _WRITE)
            table = self._get(entry) & -_PAGE
        self._set(table + (iova >> 12 & 511) * 8, physical | _READ | (_WRITE if writable else 0))

    def unmap(self, iova: int) -> None:
        """Clears the entry of one page, and does not invalidate."""
        table = self._pages
        for level in range(_LEVELS, 1, -1):
            table = self._get(table + (iova >> 3 + 9 * level & 511) * 8) & -_PAGE
        self._set(table + (iova >> 12 & 511) * 8, 0)

    def invalidate(self, iova: int) -> None:
        """Puts the invalidation of one page and a wait into the queue, and waits until the IOMMU has answered."""
        self._memory.write(self._answer, bytes(4))
        self._put(2 | 3 << 4 | _DOMAIN << 16, iova & -_PAGE)  # IOTLB, one page of the domain
        self._put(5 | 1 << 5 | _DONE << 32, self._answer)  # then write this there
        self._store(_QUEUE_TAIL, 8, self._tail * 16)
        self._until(lambda: int.from_bytes(self._memory.read(self._answer, 4), "little") == _DONE)

    def _put(self, low: int, high: int) -> None:
        at = self._queue + 16 * self._tail
        self._set(at, low)
        self._set(at + 8, high)
        self._tail = (self._tail + 1) % _QUEUE_PLACES

    # --- faults -------------------------------------------------------------------------------------------------------

    def faults(self) -> list[FaultRecord]:
        """Takes what the fault-recording registers hold, and clears them."""
        found = []
        for n in range(self.capabilities.fault_registers):
            at = self._fault_at + 16 * n
            low, high = self._load(at, 8), self._load(at + 8, 8)
            if high >> 63:
                found.append(FaultRecord(high & 0xFFFF, low & -_PAGE, bool(high >> 62 & 1), high >> 32 & 0xFF))
                self._store(at + 12, 4, 1 << 31)
        self._store(_FAULTS, 4, 1)  # an overflow
        return found
