"""What virtual memory costs a program, on bare metal and in a guest: from misses to the time of each reference.

Three steps, none of them fitted to a measurement of a program:

1. the trace of the pattern runs through the TLBs and those walk caches that the CPU uses (`simulate`): how many entries
   of which table are read, for an access of the program;
2. these entries lie in the same caches as the program's data and compete for them (`residence`, `reuse`): where each is
   found, and how long reading it takes;
3. accesses that do not wait for each other overlap, as far as the CPU's window and its fill buffers go, but at most as
   many walks run at a time as there are page walkers (interval analysis: Eyerman et al., ACM TOCS 2009).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal

import numpy as np

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.memory import reach, reuse, traces
from virtlab.memory.cpus import CPUS, Cpu, CpuName, WalkCaches
from virtlab.memory.pages import ENTRY, LINE_BYTES, PageSize, level_shift, page_bytes, smaller, table_bytes
from virtlab.memory.residence import Floats, Stream, found
from virtlab.memory.tlb import NO_WALK_CACHES, Tlb, TlbResult, simulate

Node = Literal["local", "remote"]
Where = Literal["data", "guest", "host"]
WalkCachesChoice = Literal["cpu", "all", "combined", "none"]
#: The patterns whose reuse times are known; a recorded trace has none of its own.
Pattern = Literal["sequential", "strided", "uniform", "zipf", "cyclic", "chase", "gups"]
#: References of one simulation, and those before them that only fill TLBs and walk caches.
ACCESSES, WARM = 32_000, 16_000
#: What is missing when a guest's walks use all walk caches, those of combined entries only, or none.
_WITHOUT: Mapping[WalkCaches, Mapping[str, Any]] = {
    "all": {}, "combined": {"host_caches": False, "nested_entries": 0}, "none": NO_WALK_CACHES,
}  # fmt: skip
_DATA = 0  # the target of a translation that is no page table


class Workload(Parameters):
    """A program that walks through memory, on a CPU, in a guest with its pages and its place on the NUMA nodes.

    ``accesses_per_instruction`` counts the accesses to the working set; whatever else the program touches is taken to
    hit the first-level cache and to be in ``cycles_per_instruction``.
    """

    working_set_bytes: int = parameter(FACTS["trace.working_set"], ge=1 << 16, le=1 << 40, log=True)
    pattern: Pattern = parameter(FACTS["trace.pattern"], default="uniform")
    accesses_per_instruction: float = parameter(FACTS["mem.accesses_per_instruction"], ge=0.0001, le=1, log=True)
    guest_page: PageSize = parameter(FACTS["walk.page"], default="4K")
    host_page: PageSize = parameter(FACTS["walk.page"], default="4K")
    cpu: CpuName = parameter(FACTS["mem.cpu"], default="cascade-lake")
    guest_levels: Literal[4, 5] = parameter(FACTS["walk.levels"], default=4)
    host_levels: Literal[4, 5] = parameter(FACTS["walk.levels"], default=4)
    data_node: Node = parameter(FACTS["mem.node"], default="local")
    guest_table_node: Node = parameter(FACTS["mem.node"], default="local")
    host_table_node: Node = parameter(FACTS["mem.node"], default="local")
    zipf_exponent: float = parameter(FACTS["trace.zipf"], ge=0, le=2)
    stride_bytes: int = parameter(FACTS["trace.stride"], ge=8, le=1 << 30, log=True)
    cycles_per_instruction: float = parameter(FACTS["mem.cycles_per_instruction"], ge=0.1, le=10)
    nested_walk_caches: WalkCachesChoice = parameter(FACTS["mem.nested_walk_caches"], default="cpu")

    def geometry(self, virtual: bool) -> Tlb:
        """The TLBs of the CPU for this side's size of entry; in a guest perhaps with fewer caches of the walk."""
        cpu = CPUS[self.cpu]
        if not virtual:
            return cpu.tlbs[self.guest_page]
        caches = cpu.nested_walk_caches if self.nested_walk_caches == "cpu" else self.nested_walk_caches
        tlb: Tlb = cpu.tlbs[smaller(self.guest_page, self.host_page)].replace(**_WITHOUT[caches])
        return tlb

    def node(self, where: Where) -> Node:
        """Where data or the tables of one side lie."""
        return {"data": self.data_node, "guest": self.guest_table_node, "host": self.host_table_node}[where]


@dataclass(frozen=True)
class Reads:
    """The entries of one level of one side's tables, as one access of the program reads them.

    ``target`` is what is translated: 0 the data's address, else the address of the guest's table at that level.
    ``found_in`` are the shares found in each cache and in memory; ``cycles`` is the mean time of one read.
    """

    where: Where
    target: int
    level: int
    per_access: float
    table_bytes: float
    found_in: tuple[float, ...]
    cycles: float

    @property
    def name(self) -> str:
        """``gPTE``; ``hPTE`` of the data; ``hPTE·gPDE`` of the guest's table of PDEs."""
        if self.where == "data":
            return str(words("slowdown.data"))
        own = ("g" if self.where == "guest" else "h") + ENTRY[self.level]
        return own if self.where == "guest" or self.target == _DATA else f"{own}·g{ENTRY[self.target]}"


@dataclass(frozen=True)
class Side:
    """One of the two: bare metal, or the guest. Times in ns of one access of the program to its working set.

    ``work_ns`` is the time of its instructions, ``data_ns`` that of its data, ``translation_ns`` what translation adds.
    ``walk_cycles`` is the latency of one walk; ``walk_share`` the share of the page walkers' time in which they walk.
    """

    tlb: TlbResult
    work_ns: float
    data_ns: float
    translation_ns: float
    walk_cycles: float
    walk_share: float
    reads: tuple[Reads, ...]

    @property
    def total_ns(self) -> float:
        """The time of one access, with the instructions that go with it."""
        return self.work_ns + self.data_ns + self.translation_ns

    @property
    def misses_per_access(self) -> float:
        """The share of the accesses that need a walk."""
        return self.tlb.miss_share

    def cycles_of(self, where: Where) -> float:
        """Cycles an access spends on reading data, or the guest's or the host's tables, before any overlap."""
        return sum(r.per_access * r.cycles for r in self.reads if r.where == where)


@dataclass(frozen=True, repr=False)
class Slowdown(Shown):
    """The same program on bare metal, with the guest's page size, and in the guest."""

    workload: Workload
    native: Side
    virtual: Side

    @property
    def native_ns(self) -> float:
        """Time of one access on bare metal."""
        return self.native.total_ns

    @property
    def virtual_ns(self) -> float:
        """Time of one access in the guest."""
        return self.virtual.total_ns

    @property
    def ratio(self) -> float:
        """Time in the guest / time on bare metal: 1 is no loss."""
        return self.virtual_ns / self.native_ns

    @property
    def loss(self) -> float:
        """The share of the speed that is lost: 1 - 1 / ratio."""
        return 1 - 1 / self.ratio

    def table(self) -> Table:
        rows = []
        for key, side in (("native", self.native), ("virtual", self.virtual)):
            rows.append((
                words(f"slowdown.{key}"), show(side.total_ns, "ns"), show(side.misses_per_access, "%"),
                number(side.tlb.references_per_walk), number(side.walk_cycles), show(side.walk_share, "%"),
            ))  # fmt: skip
        caption = say("slowdown.caption", ratio=number(self.ratio))
        return Table.of(words("slowdown.header"), rows, caption, numeric=range(1, 6))


def slowdown(workload: Workload | None = None, /, **changes: Any) -> Slowdown:
    """The time of a program's accesses on bare metal and in a guest, and their ratio.

    ``changes`` are parameters of :class:`Workload` by name: ``slowdown(working_set_bytes=1 << 34, pattern="gups")``.
    Raises ParameterError. The bare machine uses the guest's page size and its own tables at ``guest_table_node``.
    """
    setting: Workload = (workload or Workload()).replace(**changes)
    bare: Workload = setting.replace(**_NO_HOST)  # one entry of the cache for all hosts
    return Slowdown(setting, _side(bare, virtual=False), _side(setting, virtual=True))


# --- one side -------------------------------------------------------------------------------------------------------


_NO_HOST = {name: Workload.specs()[name].default
            for name in ("host_page", "host_levels", "host_table_node", "nested_walk_caches")}  # fmt: skip


@functools.lru_cache(maxsize=256)
def _side(setting: Workload, virtual: bool) -> Side:
    cpu, geometry = CPUS[setting.cpu], setting.geometry(virtual)
    trace = setting.pattern, setting.working_set_bytes, setting.zipf_exponent, setting.stride_bytes
    host_page, host_levels = (setting.host_page, setting.host_levels) if virtual else (None, 4)
    tlb = _simulated(trace, geometry, setting.guest_page, host_page, setting.guest_levels, host_levels)
    entry = smaller(setting.guest_page, setting.host_page) if virtual else setting.guest_page
    kinds, streams = _streams(setting, tlb, reach.entries(geometry), page_bytes(entry))
    where = found(streams, [c.bytes for c in cpu.caches])
    return _time(setting, cpu, tlb, tuple(map(_read, repeat(setting), repeat(cpu), kinds, streams, where)))


_TraceKey = tuple[Pattern, int, float, int]


@functools.lru_cache(maxsize=64)
def _simulated(
    trace: _TraceKey, tlb: Tlb, guest_page: PageSize, host_page: PageSize | None, guest_levels: int, host_levels: int
) -> TlbResult:
    return simulate(_trace(trace), tlb, guest_page=guest_page, host_page=host_page, guest_levels=guest_levels,
                    host_levels=host_levels, warm=WARM)  # fmt: skip


@functools.lru_cache(maxsize=4)
def _trace(key: _TraceKey) -> traces.Addresses:
    pattern, working_set_bytes, zipf_exponent, stride_bytes = key
    trace = traces.make(pattern, WARM + ACCESSES, working_set_bytes, zipf_exponent=zipf_exponent,
                        stride_bytes=stride_bytes)  # fmt: skip
    trace.flags.writeable = False
    return trace


_Kind = tuple[Where, int, int]  # where, target, level


def _streams(
    setting: Workload, tlb: TlbResult, entries: int, entry_bytes: int
) -> tuple[list[_Kind], list[Stream]]:
    """The data's lines and those of every table that is read, with their rates and reuse times.

    The TLB has ``entries`` of ``entry_bytes`` each.
    """
    kinds: list[_Kind] = [("data", _DATA, 0)]
    spans = [(float(LINE_BYTES), 1.0)]  # bytes of the working set behind a line, and its reads an access
    for level, loads in enumerate(tlb.guest_loads):
        if loads:
            kinds.append(("guest", _DATA, level))
            spans.append((reuse.ENTRIES_PER_LINE * 2.0 ** level_shift(level), loads / tlb.accesses))
    for target, levels in enumerate(tlb.host_loads):
        for level, loads in enumerate(levels):
            if loads:
                kinds.append(("host", target, level))
                # A host's entry maps bytes of the guest's table, and each entry in them maps memory in turn.
                grown = 2.0 ** level_shift(target) / reuse.ENTRY_BYTES if target else 1.0
                spans.append((reuse.ENTRIES_PER_LINE * 2.0 ** level_shift(level) * grown, loads / tlb.accesses))
    return kinds, _reused(setting, entries, entry_bytes, spans)


def _reused(setting: Workload, entries: int, entry_bytes: int, spans: list[tuple[float, float]]) -> list[Stream]:
    """The streams whose lines span so many bytes of the working set each, with so many reads an access.

    The first is the data; what the tables see is what the TLB leaves of it.
    """
    size = float(setting.working_set_bytes)
    (line, _), *tables = spans
    if setting.pattern in ("sequential", "strided", "cyclic"):
        strides = {"sequential": LINE_BYTES, "strided": setting.stride_bytes, "cyclic": page_bytes("4K")}
        stride = strides[setting.pattern]
        return [reuse.in_order(size, stride, span, rate) for span, rate in spans]
    if setting.pattern == "chase":
        return [reuse.once_a_round(size, span, rate) for span, rate in spans]
    units = reuse.zipf(size, setting.zipf_exponent) if setting.pattern == "zipf" else reuse.uniform(size)
    data = units.at(line).stream(1.0)
    if setting.pattern == "gups":  # each word is read and then written
        data = data.with_repeats(0.5, 1.0)
    seen = units.at(entry_bytes).missing(entries)
    return [data, *(seen.at(max(span, seen.bytes)).stream(rate) for span, rate in tables)]


def _read(setting: Workload, cpu: Cpu, kind: _Kind, stream: Stream, shares: Floats) -> Reads:
    where, target, level = kind
    dram = cpu.memory_cycles(setting.node(where))
    cycles = float(np.dot(shares, [*(c.cycles for c in cpu.caches), dram]))
    size = float(setting.working_set_bytes)
    if where == "host" and target:
        size = table_bytes(target, size)
    bytes_ = size if where == "data" else table_bytes(level, size)
    return Reads(where, target, level, stream.rate, bytes_, tuple(float(s) for s in shares), cycles)


def _time(setting: Workload, cpu: Cpu, tlb: TlbResult, reads: tuple[Reads, ...]) -> Side:
    data, *entries = reads
    work = setting.cycles_per_instruction / setting.accesses_per_instruction
    walking = sum(r.per_access * r.cycles for r in entries)
    translation = walking + (tlb.l2_hits + tlb.walks) / tlb.accesses * cpu.l2_tlb_cycles
    overlap = overlapping(setting)
    # A walk is part of its access, so both overlap with those of other accesses; but only so many walks at a time.
    busy = max((data.cycles + translation) / overlap, walking / cpu.walkers)
    total = work + busy
    per_walk = walking * tlb.accesses / tlb.walks if tlb.walks else 0.0
    ns = 1 / cpu.clock_ghz
    data_part = data.cycles / overlap
    return Side(tlb, work * ns, data_part * ns, (busy - data_part) * ns, per_walk,
                walking / cpu.walkers / total, reads)  # fmt: skip


def overlapping(setting: Workload) -> float:
    """How many accesses are under way at a time: one where each gives the address of the next, else as many as fit
    into the CPU's window of instructions, and at most one a fill buffer."""
    if setting.pattern == "chase":
        return 1.0
    cpu = CPUS[setting.cpu]
    return min(max(1.0, cpu.window * setting.accesses_per_instruction), cpu.fill_buffers)

