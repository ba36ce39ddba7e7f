"""The arithmetic of many functions: routing IDs, bus numbers, address space, interrupts, memory, and what ends first.

SR-IOV gives each VF a routing ID of its own: that of the physical function plus First VF Offset plus a multiple of VF
Stride. Its high byte is a bus number, its low byte a function of that bus. Without ARI forwarding a port asks only for
device 0 on the bus next to it, which has 8 functions; the further buses of the card are asked for whole. So cards move
their VFs to the next bus when ARI is missing: the 82599 has an offset of 128 with it and of 384 without.

Left out: functions with their own queues for control, the PF's own vectors, domain IDs of the IOMMU (65 536) and its
IOTLB, which all functions share. AMD's IOMMU keeps an interrupt-remapping table for each device: there only the limit
of one function counts. A server has several IOMMUs; the VFs of one card are behind one of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import model_validator

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.memory.pages import PageSize, page_bytes

_TABLE_BYTES, _TABLE_ENTRIES = 4096, 512
_PER_BUS = int(FACTS["pcie.ari.functions"].value)
_BUSES = int(FACTS["pcie.buses"].value)
_PER_DEVICE = int(FACTS["pcie.device.functions"].value)
_MSIX_BYTES = int(FACTS["msix.entry"].value)
_REMAP_ENTRIES = int(FACTS["vtd.remap.entries"].value)


class FunctionOptions(Parameters):
    """A card with VFs, each assigned to one VM, in a host. ``memory_bytes`` is of one VM: VFIO pins all of it.

    ``vf_offset`` of a real card differs with ``ari``: give it the one that the card shows.
    """

    vfs: int = parameter(FACTS["article.functions"], ge=1, le=4096, log=True)
    vectors: int = parameter(FACTS["card.vectors"], ge=1, le=2048, log=True)
    memory_bytes: int = parameter(FACTS["functions.vm.memory"], ge=1 << 20, le=1 << 46, log=True)
    vf_bar_bytes: int = parameter(FACTS["card.vf.bar"], ge=1 << 12, le=1 << 30, log=True)
    queue_pairs: int = parameter(FACTS["card.queue.pairs"], ge=1, le=256, log=True)
    ari: bool = parameter(FACTS["sriov.ari"], default=True)
    acs: bool = parameter(FACTS["sriov.acs"], default=True)
    pri: bool = parameter(FACTS["sriov.pri"], default=False)
    dma_page: PageSize = parameter(FACTS["iommu.page.functions"], default="2M")
    vf_offset: int = parameter(FACTS["sriov.offset"], ge=1, le=65_535, log=True)
    vf_stride: int = parameter(FACTS["sriov.stride"], ge=1, le=65_535, log=True)
    bus: int = parameter(FACTS["sriov.bus"], ge=1, le=255)
    port_buses: int = parameter(FACTS["pcie.port.buses"], ge=1, le=255)
    card_vfs: int = parameter(FACTS["pcie.ptile.functions"], ge=1, le=65_535, log=True)
    card_queue_pairs: int = parameter(FACTS["card.queue.pairs.most"], ge=1, le=1 << 24, log=True)
    mmio_bytes: int = parameter(FACTS["mmio.window"], ge=1 << 24, le=1 << 46, log=True)
    host_memory_bytes: int = parameter(FACTS["host.memory"], ge=1 << 30, le=1 << 46, log=True)

    @model_validator(mode="after")
    def _table_within_bar(self) -> FunctionOptions:
        needed = self.vectors * _MSIX_BYTES
        if needed > self.vf_bar_bytes:
            raise ValueError(
                f"vf_bar_bytes must hold the MSI-X table of the VF, {needed:,} B for {self.vectors:,} vectors; "
                f"you gave {self.vf_bar_bytes:,}: the table lies in a BAR."
            )
        return self

    @property
    def pf_id(self) -> int:
        """The routing ID of the physical function: function 0 of its bus."""
        return self.bus * _PER_BUS

    def routing_id(self, vf: int) -> int:
        """The routing ID of VF number ``vf`` (1 is the first). It may lie beyond the last bus: see :meth:`answers`."""
        return self.pf_id + self.vf_offset + (vf - 1) * self.vf_stride

    def answers(self, vf: int) -> bool:
        """Whether configuration requests for this VF reach the card."""
        own, function = divmod(self.routing_id(vf), _PER_BUS)
        if own >= min(self.bus + self.port_buses, _BUSES):
            return False
        return self.ari or own > self.bus or function < _PER_DEVICE

    @property
    def addressable(self) -> int:
        """How many VFs can be reached before the first one that cannot: VFs are enabled in their order."""
        end = min(self.bus + self.port_buses, _BUSES) * _PER_BUS - self.pf_id  # distance of the first ID outside
        if not self.ari and self.vf_offset < _PER_BUS:
            if self.vf_offset >= _PER_DEVICE:
                return 0
            # A stride over the gap may land on the next bus at once.
            first = _steps(_PER_DEVICE - self.vf_offset, self.vf_stride)
            if self.vf_offset + first * self.vf_stride < _PER_BUS:
                return first
        return _steps(end - self.vf_offset, self.vf_stride)


@dataclass(frozen=True)
class Use:
    """One finite resource: what the VFs take, what there is (both in ``unit``), the most VFs that it allows, the fact.

    ``most`` is infinite where the VFs take nothing.
    """

    id: str
    used: float
    limit: float
    most: float
    unit: str
    fact: str

    @property
    def share(self) -> float:
        """Share of the limit; infinite where there is nothing to take from."""
        return self.used / self.limit if self.limit else math.inf if self.used else 0.0

    @property
    def title(self) -> str:
        return str(words(f"functions.use.{self.id}"))


@dataclass(frozen=True, repr=False)
class Functions(Shown):
    """What the VFs take of each resource (``uses``, in a fixed order), and which one ends first.

    ``buses`` bus numbers from the physical function to the last VF; ``functions_per_bus`` counts them with the physical
    function; ``table_bytes`` are the IOMMU's tables of all VMs; ``groups`` are the IOMMU groups: without ACS all
    functions and the port are one, and can only be given away together.
    """

    options: FunctionOptions
    uses: tuple[Use, ...]
    buses: int
    functions_per_bus: Mapping[int, int]
    pinned_bytes: int
    table_bytes: int
    groups: int

    def __getitem__(self, key: str) -> Use:
        for use in self.uses:
            if use.id == key:
                return use
        raise KeyError(f"there is no resource '{key}'; there are {', '.join(use.id for use in self.uses)}")

    @property
    def first(self) -> Use:
        """The resource that ends first as the number of VFs grows."""
        return min(self.uses, key=lambda use: use.most)

    @property
    def most(self) -> float:
        """The most VFs that all resources allow."""
        return self.first.most

    @property
    def fits(self) -> bool:
        """Whether there is enough of everything, and each VM can have its own function."""
        return self.options.vfs <= self.most and (self.options.acs or self.options.vfs == 1)

    def law(self) -> tuple[int, int]:
        """Conservation: the functions of all buses are the VFs and their physical function. Returns both sides."""
        return sum(self.functions_per_bus.values()), self.options.vfs + 1

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o, first = self.options, self.first
        key = "fits" if o.vfs <= self.most else "ends"
        text = say(f"functions.sentence.{key}", vfs=number(o.vfs, 5), buses=number(self.buses),
                   most=number(first.most, 7), resource=first.title, share=show(first.share, "%"))  # fmt: skip
        return text if o.acs else f"{text} {words('functions.sentence.one_group')}"

    def table(self) -> Table:
        rows = [
            (use.title, show(use.used, use.unit, 5), show(use.limit, use.unit, 5), show(use.share, "%"),
             number(use.most, 7) if math.isfinite(use.most) else "–", use.fact)
            for use in self.uses
        ]  # fmt: skip
        rows.append((str(words("functions.groups")), number(self.groups, 5), "", "", "", "sriov.acs"))
        return Table.of(words("functions.header"), rows, self.sentence(), numeric=(1, 2, 3, 4))


def functions(options: FunctionOptions | None = None, /, **changes: Any) -> Functions:
    """What ``vfs`` functions take. Options as in :class:`FunctionOptions`, as one object or by name.

    1 024 VFs beside their physical function take 5 bus numbers, and with 64 vectors each exactly the 65 536 entries of
    one interrupt-remapping table of VT-d (so that none is left for the physical function). Raises ParameterError.
    """
    o = FunctionOptions.given(options, changes)
    tables = 0 if o.pri else table_bytes(o.memory_bytes, o.dma_page)
    pinned = 0 if o.pri else o.memory_bytes
    last = o.routing_id(o.vfs)
    per_bus = _per_bus(o)
    used_buses = last // _PER_BUS - o.bus + 1
    uses = (
        Use("card_vfs", o.vfs, o.card_vfs, o.card_vfs, "1", "pcie.ptile.functions"),
        Use("ids", o.vfs, o.addressable, o.addressable, "1", "pcie.ari.functions"),
        _use("queues", o.vfs, o.queue_pairs, o.card_queue_pairs, "1", "card.queue.pairs.most"),
        _use("mmio", o.vfs, _aperture(o.vf_bar_bytes), o.mmio_bytes, "B", "mmio.window"),
        _use("interrupts", o.vfs, o.vectors, _REMAP_ENTRIES, "1", "vtd.remap.entries"),
        _use("memory", o.vfs, pinned + tables, o.host_memory_bytes, "B", "host.memory"),
    )
    groups = o.vfs + 1 if o.acs else int(FACTS["iommu.groups.plain"].value)
    return Functions(o, uses, used_buses, per_bus, o.vfs * pinned, o.vfs * tables, groups)


def table_bytes(memory_bytes: int, dma_page: PageSize = "4K") -> int:
    """The IOMMU's tables for one VM of this size, mapped densely from address 0 in pages of this size, four levels.

    Each table has 512 entries of 8 B; the entries of the last level lead to pages.
    """
    entries = -(-memory_bytes // page_bytes(dma_page))
    tables = 0
    for _ in range({"4K": 4, "2M": 3, "1G": 2}[dma_page]):
        entries = -(-entries // _TABLE_ENTRIES)
        tables += entries
    return tables * _TABLE_BYTES


def _use(name: str, vfs: int, each: float, limit: float, unit: str, fact: str) -> Use:
    return Use(name, vfs * each, limit, limit // each if each else math.inf, unit, fact)


def _aperture(size: int) -> int:
    """A VF's place in the window: VFs lie one after another, each on a power of two."""
    return 1 << (size - 1).bit_length()


def _steps(distance: int, stride: int) -> int:
    """How many of 0, stride, 2 stride … lie below ``distance``."""
    return max(0, -(-distance // stride))


def _per_bus(o: FunctionOptions) -> dict[int, int]:
    counts = Counter(o.routing_id(vf) // _PER_BUS for vf in range(1, o.vfs + 1))
    counts[o.bus] += 1
    return dict(sorted(counts.items()))
