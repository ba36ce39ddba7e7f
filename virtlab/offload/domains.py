"""What an IOMMU protects: contexts of devices, IO page tables, translations that outlive them, and interrupts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from virtlab.core.parameter import ParameterError
from virtlab.core.words import say
from virtlab.evidence import FACTS

PAGE_BYTES = 4096
ADDRESS_BITS = 48  # four levels
PASID_BITS = int(FACTS["iommu.pasid.bits"].value)
REMAP_ENTRIES = int(FACTS["vtd.remap.entries"].value)
_FLUSH_NS = FACTS["iommu.flush.time"].value * 1e6

Reason = Literal["no_context", "not_mapped", "read_only", "no_translated", "no_entry", "not_yours"]


@dataclass(frozen=True)
class Fault:
    """An access that the IOMMU refused: who wanted what, and why not."""

    reason: Reason
    device: str
    address: int
    write: bool = False

    def sentence(self) -> str:
        """The fault as a reader of the log would have it."""
        return say(f"domains.fault.{self.reason}", device=self.device, address=f"{self.address:#x}")


@dataclass(frozen=True)
class Mapping4K:
    """Where a page of a domain lies, and whether a device may write there."""

    physical: int
    writable: bool


class Domains:
    """One IOMMU. A device has a domain (with a PASID: one for each), a domain has an IO page table.

    ``strict``: an unmap invalidates at once. Else it waits in a flush queue, until that is full or its timer ends
    (Linux: 256 entries, 10 ms). ``remap_interrupts``: whether interrupts go through a table of their own. What a DMA
    once used stays in the IOTLB, which never loses anything here but by an invalidation: the worst case for safety.
    All methods raise ParameterError for an address or a number that cannot be.
    """

    def __init__(
        self, strict: bool = True, remap_interrupts: bool = True,
        flush_entries: int = int(FACTS["iommu.flush.entries"].value), flush_ns: float = _FLUSH_NS,
    ) -> None:  # fmt: skip
        if flush_entries < 1 or not flush_ns > 0:
            raise ParameterError("flush_entries must be 1 or more and flush_ns above 0: a queue has a place.")
        self.strict, self.remap_interrupts = strict, remap_interrupts
        self.flush_entries, self.flush_ns = flush_entries, flush_ns
        self.now_ns = 0.0
        self.invalidations = 0
        self._contexts: dict[tuple[str, int | None], tuple[str, bool]] = {}
        self._tables: dict[str, dict[int, Mapping4K]] = {}
        self._iotlb: dict[tuple[str, int], Mapping4K] = {}
        self._waiting: list[tuple[str, int]] = []
        self.flush_at_ns = float("inf")  # when the timer ends; never, while nothing waits
        self._interrupts: dict[int, tuple[str, int]] = {}

    # --- what the operating system does -----------------------------------------------------------------------------

    def attach(self, device: str, domain: str, pasid: int | None = None, ats: bool = False) -> None:
        """Puts a device (or one of its processes, by PASID) into a domain; ``ats``: it may translate by itself."""
        if pasid is not None and not 0 <= pasid < 1 << PASID_BITS:
            raise ParameterError(
                f"pasid must be 0 to {(1 << PASID_BITS) - 1:,}; you gave {pasid!r}: it has {PASID_BITS} bits on PCIe."
            )
        self._contexts[device, pasid] = domain, ats
        self._tables.setdefault(domain, {})

    def map(self, domain: str, iova: int, physical: int, pages: int = 1, writable: bool = True) -> None:
        """Maps ``pages`` of 4 KiB. What is mapped already must be unmapped first: devices may still use it."""
        table = self._table(domain)
        numbers = self._pages(iova, pages)
        first = self._pages(physical, pages)[0]
        for page in numbers:
            if page in table:
                raise ParameterError(f"iova {page * PAGE_BYTES:#x} is mapped already: unmap it first.")
            if (domain, page) in self._waiting:
                raise ParameterError(f"iova {page * PAGE_BYTES:#x} waits for its flush: until then it is not free.")
        for i, page in enumerate(numbers):
            table[page] = Mapping4K((first + i) * PAGE_BYTES, writable)

    def unmap(self, domain: str, iova: int, pages: int = 1) -> None:
        """Takes pages out of the table; then invalidates (strict), or leaves that to the next flush."""
        table = self._table(domain)
        numbers = self._pages(iova, pages)
        for page in numbers:
            if page not in table:
                raise ParameterError(f"iova {page * PAGE_BYTES:#x} is not mapped: nothing can be taken away.")
        for page in numbers:
            del table[page]
        if self.strict:
            self._drop([(domain, page) for page in numbers])
            return
        if not self._waiting:
            self.flush_at_ns = self.now_ns + self.flush_ns
        self._waiting += [(domain, page) for page in numbers]
        if len(self._waiting) >= self.flush_entries:
            self.flush()

    def flush(self) -> None:
        """Invalidates all that waits."""
        if self._waiting:
            self._drop(self._waiting)
        self._waiting, self.flush_at_ns = [], float("inf")

    def wait(self, ns: float) -> None:
        """Lets time pass; the timer of the flush queue may end."""
        if not ns >= 0:
            raise ParameterError(f"ns must not be negative; you gave {ns!r}: time passes in one direction.")
        self.now_ns += ns
        if self.now_ns >= self.flush_at_ns:
            self.flush()

    def allow_interrupt(self, index: int, device: str, vector: int) -> None:
        """Fills an entry of the interrupt-remapping table."""
        if not 0 <= index < REMAP_ENTRIES:
            raise ParameterError(f"index must be 0 to {REMAP_ENTRIES - 1:,}; you gave {index!r}: the table ends there.")
        self._interrupts[index] = device, vector

    # --- what a device does -----------------------------------------------------------------------------------------

    def dma(self, device: str, address: int, write: bool = False, pasid: int | None = None) -> int | Fault:
        """One DMA. Returns the physical address that it reaches, or the fault."""
        self._check(address)
        context = self._contexts.get((device, pasid))
        if context is None:
            return Fault("no_context", device, address, write)
        page, offset = divmod(address, PAGE_BYTES)
        key = context[0], page
        found = self._iotlb.get(key) or self._tables[context[0]].get(page)
        if found is None:
            return Fault("not_mapped", device, address, write)
        self._iotlb[key] = found
        if write and not found.writable:
            return Fault("read_only", device, address, write)
        return found.physical + offset

    def translated_dma(self, device: str, physical: int, write: bool = False) -> int | Fault:
        """A DMA that says it has been translated (ATS). The IOMMU believes a device that may: no table is asked."""
        self._check(physical)
        if not self._contexts.get((device, None), ("", False))[1]:
            return Fault("no_translated", device, physical, write)
        return physical

    def interrupt(self, device: str, index: int, vector: int) -> int | Fault:
        """A message that is to interrupt a CPU. Returns the vector that arrives: the table's, and not the device's.

        Without remapping the message itself says the vector, and any device that can write can send any.
        """
        if not self.remap_interrupts:
            return vector
        entry = self._interrupts.get(index)
        if entry is None:
            return Fault("no_entry", device, index, True)
        return entry[1] if entry[0] == device else Fault("not_yours", device, index, True)

    # --- looking at it ----------------------------------------------------------------------------------------------

    def table(self, domain: str) -> Mapping[int, Mapping4K]:
        """The IO page table of a domain, by page number."""
        return dict(self._table(domain))

    def stale(self) -> list[tuple[str, int]]:
        """(domain, iova) that the IOTLB still translates and no table does: a DMA there still arrives."""
        return sorted((d, p * PAGE_BYTES) for d, p in self._iotlb if p not in self._tables[d])

    def _drop(self, keys: list[tuple[str, int]]) -> None:
        self.invalidations += 1
        for key in keys:
            self._iotlb.pop(key, None)

    def _table(self, domain: str) -> dict[int, Mapping4K]:
        if domain not in self._tables:
            raise ParameterError(f"there is no domain {domain!r}: attach a device to it first.")
        return self._tables[domain]

    def _pages(self, address: int, pages: int) -> range:
        self._check(address)
        if address % PAGE_BYTES or pages < 1:
            raise ParameterError(
                f"an address must be a multiple of 4,096 and pages 1 or more; you gave {address:#x} and {pages!r}: "
                "a table maps whole pages."
            )
        self._check(address + pages * PAGE_BYTES - 1)
        return range(address // PAGE_BYTES, address // PAGE_BYTES + pages)

    @staticmethod
    def _check(address: int) -> None:
        if not isinstance(address, int) or not 0 <= address < 1 << ADDRESS_BITS:
            raise ParameterError(
                f"an address must be below 2**{ADDRESS_BITS}; you gave {address!r}: four levels of a table end there."
            )


__all__ = ["ADDRESS_BITS", "PASID_BITS", "Domains", "Fault", "Mapping4K"]
