"""Server CPUs as far as memory is concerned: TLBs, caches, memory, and how many accesses and walks can be under way."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from virtlab.evidence import FACTS, Fact
from virtlab.memory.pages import PageSize
from virtlab.memory.tlb import Tlb

CpuName = Literal["cascade-lake", "haswell", "zen2"]
WalkCaches = Literal["none", "combined", "all"]


@dataclass(frozen=True)
class Cache:
    """A cache: its size, and the cycles from a load to the use of what it holds."""

    bytes: float
    cycles: float


@dataclass(frozen=True)
class Cpu:
    """One CPU. ``tlbs`` has a geometry for each size of a TLB entry; ``caches`` from the nearest to the last.

    ``l2_tlb_cycles`` is what an access pays that missed the first TLB; ``walkers`` the page walks at a time;
    ``window`` the instructions under way; ``fill_buffers`` the lines that can be on their way into the first cache;
    ``nested_walk_caches`` says which caches a guest's walks profit from: all, those of combined entries only, or none.
    """

    name: str
    clock_ghz: float
    tlbs: Mapping[PageSize, Tlb]
    l2_tlb_cycles: float
    walkers: int
    window: int
    fill_buffers: int
    caches: tuple[Cache, ...]
    memory_ns: Mapping[str, float]
    nested_walk_caches: WalkCaches
    facts: tuple[Fact, ...]

    def memory_cycles(self, node: str) -> float:
        """Cycles of a load from memory on the ``local`` or a ``remote`` node."""
        return self.memory_ns[node] * self.clock_ghz


# What is needed of a CPU, and the fact that says it. Cascade Lake has the core of Skylake-SP; the others take from it
# what was not found for them, as the sizes of walk caches. No fact gives a PML5E cache: none of these CPUs walks five
# levels, so that five are asked with the one that `Tlb` starts from.
_SKYLAKE = {
    "l1": "cpu.skx.l1d.size", "l1_cycles": "cpu.skx.l1d.latency", "l2": "cpu.skx.l2.size",
    "l2_cycles": "cpu.skx.l2.latency", "llc": "cpu.clx.l3.size", "llc_cycles": "cpu.skx.l3.latency",
    "local": "cpu.clx.dram.local", "remote": "cpu.clx.dram.remote", "clock": "cpu.clx.clock",
    "walkers": "cpu.skx.walkers", "window": "cpu.skx.rob", "fill_buffers": "cpu.skx.lfb",
    "l2_tlb_cycles": "cpu.skx.tlb.l2.penalty", "l1_tlb_4k": "cpu.skx.tlb.l1d.4k", "l1_tlb_2m": "cpu.skx.tlb.l1d.2m",
    "l1_tlb_1g": "cpu.skx.tlb.l1d.1g", "l1_tlb_ways": "cpu.skx.tlb.l1d.ways", "l2_tlb": "cpu.skx.tlb.l2",
    "l2_tlb_ways": "cpu.skx.tlb.l2.ways", "l2_tlb_1g": "cpu.skx.tlb.l2.1g", "l2_tlb_1g_ways": "cpu.skx.tlb.l2.1g.ways",
    "pde": "cpu.skx.psc.pde", "pde_ways": "cpu.skx.psc.pde.ways", "pdpte": "cpu.skx.psc.pdpte",
    "pml4e": "cpu.skx.psc.pml4e.used", "nested": "cpu.skx.nested", "nested_ways": "cpu.skx.nested.ways",
    "nested_walk_caches": "cpu.skx.nested.walk_caches",
}  # fmt: skip
_FACTS: Mapping[str, Mapping[str, str]] = {
    "cascade-lake": _SKYLAKE,
    "haswell": _SKYLAKE | {
        "l1": "cpu.hsw.l1d.size", "l1_cycles": "cpu.hsw.l1d.latency", "l2": "cpu.hsw.l2.size",
        "l2_cycles": "cpu.hsw.l2.latency", "llc": "cpu.hsw.l3.size", "llc_cycles": "cpu.hsw.l3.latency",
        "local": "cpu.hsw.dram.local.tma", "remote": "cpu.hsw.dram.remote.tma", "clock": "cpu.hsw.clock",
        "walkers": "cpu.hsw.walkers", "window": "cpu.hsw.rob", "fill_buffers": "cpu.hsw.lfb",
        "l2_tlb_cycles": "cpu.hsw.tlb.l2.penalty", "l1_tlb_4k": "cpu.hsw.tlb.l1d.4k",
        "l1_tlb_2m": "cpu.hsw.tlb.l1d.2m", "l1_tlb_1g": "cpu.hsw.tlb.l1d.1g", "l2_tlb": "cpu.hsw.tlb.l2",
        "l2_tlb_ways": "cpu.hsw.tlb.l2.ways", "l2_tlb_1g": "cpu.hsw.tlb.l2.1g",
    },
    "zen2": _SKYLAKE | {
        "l1": "cpu.zen2.l1d.size", "l1_cycles": "cpu.zen2.l1d.latency", "l2": "cpu.zen2.l2.size",
        "l2_cycles": "cpu.zen2.l2.latency", "llc": "cpu.zen2.l3.size", "llc_cycles": "cpu.zen2.l3.latency",
        "local": "cpu.zen2.dram.nps4", "remote": "cpu.zen2.dram.remote", "clock": "cpu.zen2.clock",
        "walkers": "cpu.zen2.walkers", "window": "cpu.zen2.rob", "fill_buffers": "cpu.zen2.fill_buffers",
        "l2_tlb_cycles": "cpu.zen2.tlb.l2.penalty", "l1_tlb_4k": "cpu.zen2.tlb.l1d", "l1_tlb_2m": "cpu.zen2.tlb.l1d",
        "l1_tlb_1g": "cpu.zen2.tlb.l1d", "l1_tlb_ways": "cpu.zen2.tlb.l1d", "l2_tlb": "cpu.zen2.tlb.l2",
        "l2_tlb_ways": "cpu.zen2.tlb.l2.ways", "l2_tlb_1g": "cpu.zen2.tlb.l2.1g",
        "pml4e": "cpu.skx.psc.pml4e", "nested_walk_caches": "cpu.zen2.nested.walk_caches",
    },
}  # fmt: skip
_CACHES: tuple[WalkCaches, ...] = ("none", "combined", "all")
_UNITS = {"KiB": 2.0**10, "MiB": 2.0**20}


def _cpu(name: str) -> Cpu:
    facts = {role: FACTS[id] for role, id in _FACTS[name].items()}
    has = {role: fact.value * _UNITS.get(fact.unit, 1.0) for role, fact in facts.items()}
    size = {role: int(value) for role, value in has.items()}
    clock = has["clock"]

    def ns(role: str) -> float:
        return has[role] if facts[role].unit == "ns" else has[role] / clock  # some were published in cycles

    walk: dict[str, Any] = {}
    for part, ways in (("pde", "pde_ways"), ("pdpte", "pdpte"), ("pml4e", "pml4e"), ("nested", "nested_ways")):
        walk |= {f"{part}_entries": size[part], f"{part}_ways": max(1, size[ways])}

    def tlb(page: PageSize) -> Tlb:
        first = size[f"l1_tlb_{page.lower()}"]
        second = ("l2_tlb_1g", "l2_tlb_1g_ways") if page == "1G" else ("l2_tlb", "l2_tlb_ways")
        return Tlb(l1_entries=first, l1_ways=min(first, size["l1_tlb_ways"]),
                   l2_entries=size[second[0]], l2_ways=size[second[1]], **walk)  # fmt: skip

    tlbs: dict[PageSize, Tlb] = {"4K": tlb("4K"), "2M": tlb("2M"), "1G": tlb("1G")}
    caches = tuple(Cache(has[c], has[f"{c}_cycles"]) for c in ("l1", "l2", "llc"))
    return Cpu(
        name, clock, tlbs, has["l2_tlb_cycles"], size["walkers"], size["window"], size["fill_buffers"], caches,
        {node: ns(node) for node in ("local", "remote")}, _CACHES[size["nested_walk_caches"]],
        tuple(facts.values()),
    )  # fmt: skip


class _Cpus(Mapping[str, Cpu]):
    """The CPUs by name, each made at the first look."""

    def __init__(self) -> None:
        self._made = functools.cache(_cpu)

    def __getitem__(self, key: str) -> Cpu:
        if key not in _FACTS:
            raise KeyError(f"there is no CPU '{key}'; there are {', '.join(_FACTS)}")
        return self._made(key)

    def __iter__(self) -> Iterator[str]:
        return iter(_FACTS)

    def __len__(self) -> int:
        return len(_FACTS)


CPUS: Mapping[str, Cpu] = _Cpus()
