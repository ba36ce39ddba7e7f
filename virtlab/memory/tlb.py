"""The TLB simulator: a trace of addresses through two TLBs, walk caches and nested TLB, counted exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import model_validator

from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.evidence import FACTS
from virtlab.memory.lockstep import distances, walk
from virtlab.memory.pages import PAGES, SHIFT, PageSize, leaf_level, smaller
from virtlab.memory.tlb_kernels import (
    COUNTS,
    EMPTY,
    STRUCTURES,
    Unsigned,
    curve_kernel,
    four_ways_kernel,
    tlb_kernel,
    walk_kernel,
)

_PARTS = ("l1", "l2", "pde", "pdpte", "pml4e", "pml5e", "nested")
#: Changes of a `Tlb` that leave its TLBs only: each walk then reads every level on both sides.
NO_WALK_CACHES: Mapping[str, Any] = MappingProxyType({f"{part}_entries": 0 for part in _PARTS[2:]})
_LEVELS = 6  # 1 to 5; 0 is unused, or as a target the data
_MOST_SETS, _MOST_WAYS = 1 << 16, 4096
_MOST_ENTRIES = 1 << 20  # of a miss curve: eight bytes each


class Tlb(Parameters):
    """The TLBs for entries of one size, and the caches of a walk. Entries of 0: there is no such structure.

    Each has entries / ways sets, a power of two, chosen by the low bits of the tag; ways = entries is fully
    associative. The paging-structure caches hold entries that are not leaves: the guest's give the host-physical
    address of the next table, the host's (EPT, NPT) have the same geometry where there are any (``host_caches``). The
    nested TLB holds host pages.
    """

    l1_entries: int = parameter(FACTS["tlb.l1.entries"], ge=1, le=4096, log=True)
    l1_ways: int = parameter(FACTS["tlb.l1.ways"], ge=1, le=1024, log=True)
    l2_entries: int = parameter(FACTS["tlb.l2.entries"], ge=0, le=65_536)
    l2_ways: int = parameter(FACTS["tlb.l2.ways"], ge=1, le=1024, log=True)
    pde_entries: int = parameter(FACTS["tlb.pde.entries"], ge=0, le=1024)
    pde_ways: int = parameter(FACTS["tlb.pde.ways"], ge=1, le=1024, log=True)
    pdpte_entries: int = parameter(FACTS["tlb.pdpte.entries"], ge=0, le=1024)
    pdpte_ways: int = parameter(FACTS["tlb.pdpte.ways"], ge=1, le=1024, log=True)
    pml4e_entries: int = parameter(FACTS["tlb.pml4e.entries"], ge=0, le=1024)
    pml4e_ways: int = parameter(FACTS["tlb.pml4e.ways"], ge=1, le=1024, log=True)
    pml5e_entries: int = parameter(FACTS["tlb.pml5e.entries"], ge=0, le=1024)
    pml5e_ways: int = parameter(FACTS["tlb.pml5e.ways"], ge=1, le=1024, log=True)
    nested_entries: int = parameter(FACTS["tlb.nested.entries"], ge=0, le=65_536)
    nested_ways: int = parameter(FACTS["tlb.nested.ways"], ge=1, le=1024, log=True)
    host_caches: bool = parameter(FACTS["tlb.host_caches"], default=True)
    replacement: Literal["lru", "random"] = parameter(FACTS["tlb.replacement"], default="lru")

    @model_validator(mode="after")
    def _sets_are_a_power_of_two(self) -> Tlb:
        for part in _PARTS:
            entries, ways = getattr(self, f"{part}_entries"), getattr(self, f"{part}_ways")
            sets, rest = divmod(entries, ways)
            if entries and (rest or sets & (sets - 1)):
                raise ValueError(
                    f"{part}_entries must be {part}_ways times a power of two; you gave {entries} and {ways}: "
                    "address bits choose the set, so that there are 1, 2, 4, 8 ... sets."
                )
        return self

    def geometry(self, part: str) -> tuple[int, int]:
        """Sets and ways of a part (``l1``, ``pde``, ``host_pde`` ...); ways of 0 where there is none."""
        if part.startswith("host_"):
            return self.geometry(part.removeprefix("host_")) if self.host_caches else (1, 0)
        entries, ways = getattr(self, f"{part}_entries"), getattr(self, f"{part}_ways")
        return (entries // ways, ways) if entries else (1, 0)


@dataclass(frozen=True, repr=False)
class TlbResult(Shown):
    """What a trace needed. Index of a level: 1 (PTE) to 5, 0 is unused; ``host_page`` None is native.

    ``guest_loads[level]`` are reads of the guest's table entries; ``host_loads[target][level]`` those of the host's,
    to translate target 0, the data's address, or 1 to 5, the address of the guest's table at that level.
    ``nested_lookups[target]`` are the guest-physical addresses to translate, ``nested_hits`` those that the nested
    TLB knew.
    """

    guest_page: PageSize
    host_page: PageSize | None
    accesses: int
    l1_hits: int
    l2_hits: int
    walks: int
    guest_loads: tuple[int, ...]
    host_loads: tuple[tuple[int, ...], ...]
    nested_lookups: tuple[int, ...]
    nested_hits: tuple[int, ...]

    @property
    def misses(self) -> int:
        """References that neither TLB knew: each is a walk."""
        return self.walks

    @property
    def miss_share(self) -> float:
        """Walks / accesses."""
        return self.walks / self.accesses

    @property
    def references(self) -> int:
        """Reads of table entries, the guest's and the host's."""
        return sum(self.guest_loads) + sum(map(sum, self.host_loads))

    @property
    def references_per_walk(self) -> float:
        """Reads of table entries a walk; 0 without walks."""
        return self.references / self.walks if self.walks else 0.0

    @property
    def entry_page(self) -> PageSize:
        """The page size of a TLB entry: the smaller of both sides'."""
        return self.guest_page if self.host_page is None else smaller(self.guest_page, self.host_page)

    def law(self) -> tuple[int, int]:
        """Conservation: each reference hits in L1, hits in L2, or walks. Returns both sides."""
        return self.l1_hits + self.l2_hits + self.walks, self.accesses

    def table(self) -> Table:
        host = sum(map(sum, self.host_loads))
        rows = [
            (words(f"tlb.{key}"), show(count, "1"), show(count / self.accesses, "1"))
            for key, count in (
                ("accesses", self.accesses), ("l1_hits", self.l1_hits), ("l2_hits", self.l2_hits),
                ("walks", self.walks), ("guest_loads", sum(self.guest_loads)), ("host_loads", host),
            )
        ]  # fmt: skip
        rows.append((words("tlb.per_walk"), number(self.references_per_walk), ""))
        return Table.of(words("tlb.header"), rows, numeric=[1, 2])


def simulate(
    trace: ArrayLike,
    tlb: Tlb | None = None,
    /,
    *,
    guest_page: PageSize = "4K",
    host_page: PageSize | None = "4K",
    guest_levels: int = 4,
    host_levels: int = 4,
    warm: int = 0,
    seed: int = 1,
    **changes: Any,
) -> TlbResult:
    """Send a trace of virtual addresses through the TLBs, and walk both dimensions on a miss.

    trace      64-bit integers [n], n >= 1: bytes, below 2**47 with four guest levels, 2**56 with five (the half of the
               address space that programs use). Never copied when contiguous.
    tlb        The structures, for entries of the smaller of both pages; ``changes`` are its parameters by name.
    host_page  None: native, the guest's tables are the only ones.
    warm       So many references at the beginning fill the structures and are not counted.
    seed       Of random replacement.

    A reference that misses L1 and L2 walks. The guest's paging-structure caches are asked deepest first (leaf entries
    are not in them), each look-up inserts what it missed, and a hit gives the host-physical address of the next table.
    Without a hit the walk begins at the root, whose address (CR3) is guest-physical. The addresses of all further
    tables and of the data are guest-physical: each goes through the nested TLB, and on a miss through the host's
    paging-structure caches and the remaining levels of its table. Without any of these caches a walk of four levels
    and 4 KiB pages on both sides reads 24 entries.

    Guest-physical addresses: data lie at their virtual address; the tables lie where a self-map would show them, in
    the last top-level entry, packed as they are in a guest that is not short of memory. Raises ParameterError.
    """
    geometry = (tlb or Tlb()).replace(**changes) if changes else tlb or Tlb()
    _page(guest_page, "guest_page")
    if host_page is not None:
        _page(host_page, "host_page")
    for name, levels in (("guest_levels", guest_levels), ("host_levels", host_levels)):
        if levels not in (4, 5):
            raise ParameterError(f"{name} must be 4 or 5; you gave {levels!r}: x86-64 has no other page tables.")
    addresses = _addresses(trace)
    if not isinstance(warm, int | np.integer) or not 0 <= warm < len(addresses):
        raise ParameterError(
            f"warm must be 0 to {len(addresses) - 1} references; you gave {warm!r}: at least one must be left to count."
        )
    setting = Structures(geometry, guest_page, host_page, int(guest_levels), int(host_levels))
    if geometry.replacement == "lru" and not have_numba():
        _within(int(addresses.max()), setting.top)
        counts = walk(addresses, int(warm), setting.sets, setting.shifts, *setting.levels)
    else:
        counts = setting.run(addresses, int(warm), _seed(seed))
    return setting.result(counts, len(addresses) - int(warm))


def miss_curve(trace: ArrayLike, page: PageSize = "4K", sets: int = 1, most_ways: int = 16) -> NDArray[np.int64]:
    """Hits of one LRU TLB with 1 to ``most_ways`` ways, int64[most_ways], in one pass over the trace.

    ``trace`` as in `simulate`; ``sets`` a power of two; most_ways 1 to 4096; together at most 2**20 entries. A
    reference hits with w ways when fewer than w other pages of its set were used since (its stack distance: Mattson
    and others 1970). Raises ParameterError.
    """
    _page(page, "page")
    for name, value, most in (("sets", sets, _MOST_SETS), ("most_ways", most_ways, _MOST_WAYS)):
        if not isinstance(value, int | np.integer) or not 1 <= value <= most:
            raise ParameterError(f"{name} must be 1 to {most:,}; you gave {value!r}: a TLB has at least one entry.")
    if sets & (sets - 1):
        raise ParameterError(f"sets must be a power of two; you gave {sets}: address bits choose the set.")
    if sets * most_ways > _MOST_ENTRIES:
        raise ParameterError(
            f"sets times most_ways must be at most {_MOST_ENTRIES:,}; you gave {sets:,} and {most_ways:,}: "
            "no TLB is so large, and each entry takes memory here."
        )
    addresses = _addresses(trace)
    _within(int(addresses.max()), 5)
    if have_numba():
        counts = np.zeros(most_ways + 1, np.int64)
        tags = np.full(sets * most_ways, EMPTY, np.uint64)
        curve_kernel(addresses, np.array([1, SHIFT[page], sets - 1, most_ways], np.uint64), tags, counts)
    else:
        found = np.minimum(distances(addresses >> np.uint64(SHIFT[page]), int(sets)), most_ways)
        counts = np.bincount(found, minlength=most_ways + 1).astype(np.int64)
    return np.cumsum(counts[:-1])


# --- arguments ------------------------------------------------------------------------------------------------------


def _page(page: object, name: str) -> None:
    if page not in PAGES:
        raise ParameterError(f"{name} must be {' or '.join(PAGES)}; you gave {page!r}: x86-64 has no other page size.")


def _addresses(trace: ArrayLike) -> Unsigned:
    """The trace as a read-only contiguous uint64 vector (one type, for which a kernel is compiled once)."""
    array = np.asarray(trace)
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.dtype.itemsize != 8 or len(array) == 0:
        raise ParameterError(
            f"trace must be a vector of at least one address, of type uint64 or int64; you gave {array.dtype} of shape "
            f"{array.shape}: an address has 64 bits."
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    addresses: Unsigned = np.ascontiguousarray(array).view(np.uint64)
    addresses.flags.writeable = False
    return addresses


def _within(largest: int, levels: int) -> None:
    """Refuses addresses beyond the half of what so many levels reach that programs use."""
    bits = 12 + 9 * levels - 1
    if largest >> bits:
        raise ParameterError(
            f"trace must hold addresses below 2**{bits}; you gave {largest:#x}: "
            "the page tables reach no further in the half of the address space that programs use."
        )


def _seed(seed: object) -> int:
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 1 << 32:
        raise ParameterError(f"seed must be 0 to {(1 << 32) - 1}; you gave {seed!r}: its state has 32 bits.")
    return (int(seed) * 0x9E3779B1 + 0x6D2B79F5) % (1 << 32) or 1


# --- one setting, as kernel and lock-step want it -------------------------------------------------------------------


class Structures:
    """Sets and ways of the structures that this walk uses, the address bits of their tags, and the levels."""

    def __init__(
        self, tlb: Tlb, guest_page: PageSize, host_page: PageSize | None, guest_levels: int, host_levels: int
    ) -> None:
        self.tlb, self.guest_page, self.host_page = tlb, guest_page, host_page
        native = host_page is None
        self.leaf, self.top = leaf_level(guest_page), guest_levels
        self.host_leaf, self.host = (6, 0) if host_page is None else (leaf_level(host_page), host_levels)
        self.levels = self.leaf, self.top, self.host
        frame = 0 if host_page is None else SHIFT[host_page]
        entry = SHIFT[guest_page] if native else min(SHIFT[guest_page], frame)
        self.shifts = entry, frame
        self.sets: list[tuple[int, int]] = []
        for part in STRUCTURES:
            geometry = tlb.geometry(part)
            level = {"pde": 2, "pdpte": 3, "pml4e": 4, "pml5e": 5}.get(part.removeprefix("host_"), 0)
            leaf, top = (self.host_leaf, self.host) if part.startswith("host_") else (self.leaf, self.top)
            unused = level and not leaf < level <= top or part == "nested" and native
            self.sets.append((1, 0) if unused else geometry)

    def geometry(self) -> tuple[Unsigned, int]:
        """All of it in the order in which `walk_kernel` wants it, and the number of tags."""
        values = [1, *self.shifts, (1 << (12 + 9 * self.top)) - 1, *self.levels]
        first = 0
        for sets, ways in self.sets:
            values += [sets - 1, ways, first]
            first += sets * ways
        return np.array(values, np.uint64), first

    def run(self, addresses: Unsigned, warm: int, state: int) -> NDArray[np.int64]:
        """The kernel's counts of the references from ``warm`` on."""
        geometry, size = self.geometry()
        tags = np.full(size + 3, EMPTY, np.uint64)
        tags[size : size + 2] = state, (1 << 32) - 1
        random = np.uint64(size) if self.tlb.replacement == "random" else None
        walk_in_full = self.host or any(ways for _, ways in self.sets[2:])
        if not walk_in_full and random is None and self.sets[0][1] == 4 and self.sets[1][1]:
            return self._four_ways(addresses, warm, tags)
        _within(int(addresses.max()), self.top)
        kernel = walk_kernel if walk_in_full else tlb_kernel
        for part in (addresses[:warm], addresses[warm:]):
            counts = np.zeros(COUNTS, np.int64)
            kernel(part, geometry, random, tags, counts)
        return counts

    def _four_ways(self, addresses: Unsigned, warm: int, tags: Unsigned) -> NDArray[np.int64]:
        (sets1, ways1), (sets2, ways2) = self.sets[:2]
        first, second = tags[: sets1 * ways1], tags[sets1 * ways1 : sets1 * ways1 + sets2 * ways2]
        entry, m1, m2, w2 = (np.uint64(x) for x in (self.shifts[0], sets1 - 1, sets2 - 1, ways2))
        for part in (addresses[:warm], addresses[warm:]):
            l1_hits, l2_hits, seen = four_ways_kernel(part, entry, m1, m2, w2, first, second)
            if int(seen) >> (12 + 9 * self.top - 1):
                _within(int(addresses.max()), self.top)
        counts = np.zeros(COUNTS, np.int64)
        counts[0], counts[1], counts[self.top + 1] = l1_hits, l2_hits, len(part) - l1_hits - l2_hits
        return counts

    def result(self, counts: NDArray[np.int64], accesses: int) -> TlbResult:
        """Loads by level from the counts of where walks began: a walk reads every level below."""
        l1_hits, l2_hits, *begun = counts[:8].tolist()
        begun = [0, 0, *begun]
        walks = sum(begun)
        host = counts[8:].reshape(_LEVELS, 8).tolist()
        lookups = [0] * _LEVELS
        if self.host:
            lookups = [sum(begun[level + 2 :]) if level >= self.leaf else 0 for level in range(_LEVELS)]
            lookups[self.top] += begun[self.top + 1]
            lookups[0] = walks

        def loads(begun: list[int], leaf: int) -> tuple[int, ...]:
            return tuple(sum(begun[level + 1 :]) if level >= leaf else 0 for level in range(_LEVELS))

        return TlbResult(
            self.guest_page, self.host_page, accesses, l1_hits, l2_hits, walks, loads(begun, self.leaf),
            tuple(loads(row, self.host_leaf) for row in host), tuple(lookups),
            tuple(n - sum(row) for n, row in zip(lookups, host, strict=True)),
        )  # fmt: skip
