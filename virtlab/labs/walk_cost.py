"""The bill of a walk: not how many entries are read, but where they lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.walk_cost import LEVELS, NAMED, Bill, Published, Row, WalkCostPicture, WalkCostResult
from virtlab.labs.base import Lab
from virtlab.memory.cpus import CPUS, CpuName
from virtlab.memory.pages import PageSize
from virtlab.memory.slowdown import Node, Pattern, Reads, Side, WalkCachesChoice, Workload, slowdown

_GIB = 1 << 30
_WORDS = 2  # an update of GUPS touches two far-apart words


class WalkCostSetting(Parameters):
    """A working set and how it is touched; pages, tables and CPU. The first is that of a published run."""

    working_set_bytes: int = parameter(FACTS["walk.bill.working_set"], ge=1 << 20, le=1 << 40, log=True)
    pattern: Pattern = same(Workload, "pattern")
    guest_page: PageSize = same(Workload, "guest_page")
    host_page: PageSize = same(Workload, "host_page")
    cpu: CpuName = same(Workload, "cpu")
    nested_walk_caches: WalkCachesChoice = same(Workload, "nested_walk_caches")
    guest_levels: Literal[4, 5] = same(Workload, "guest_levels")
    host_levels: Literal[4, 5] = same(Workload, "host_levels")
    guest_table_node: Node = same(Workload, "guest_table_node")
    host_table_node: Node = same(Workload, "host_table_node")
    zipf_exponent: float = same(Workload, "zipf_exponent")
    stride_bytes: int = same(Workload, "stride_bytes")


@dataclass(frozen=True)
class _Witness:
    """A published walk. ``needs`` are the parameters that its source states; ``says`` if more is needed."""

    key: str
    side: Literal["native", "virtual"]
    cycles: float
    bound: bool
    needs: Mapping[str, tuple[object, ...]]
    says: Callable[[WalkCostSetting], bool] = lambda setting: True


def _vmitosis(row: str) -> float:
    """Cycles a walk at most: the time of an access in which both walkers are never idle."""
    cpu = CPUS["cascade-lake"]
    seconds = FACTS[f"mem.vmitosis.gups.{row}"].value
    return seconds * 1e9 / FACTS["mem.vmitosis.gups.updates"].value / _WORDS * cpu.clock_ghz * cpu.walkers


def _mitosis(row: str) -> float:
    """Cycles with the only walker at work, an access."""
    return FACTS[f"mem.mitosis.gups.{row}.walk"].value / FACTS["mem.vmitosis.gups.updates"].value / _WORDS


_UNIFORM = {"pattern": ("uniform", "gups"), "working_set_bytes": (64 * _GIB,), "guest_levels": (4,)}
_VM = _UNIFORM | {"host_levels": (4,), "cpu": ("cascade-lake",), "guest_page": ("4K",), "host_page": ("4K",)}
_BARE = _UNIFORM | {"cpu": ("haswell",)}
_DMT = _UNIFORM | {"working_set_bytes": (16 * _GIB,), "host_levels": (4,), "guest_table_node": ("local",),
                   "host_table_node": ("local",)}  # fmt: skip


def _two_walkers(setting: WalkCostSetting) -> bool:
    return CPUS[setting.cpu].walkers == 2


_WITNESSES = (
    *(_Witness("vmitosis", "virtual", _vmitosis(row), True,
               _VM | {"guest_table_node": (guest,), "host_table_node": (host,)})
      for row, guest, host in (("ll", "local", "local"), ("lr", "local", "remote"), ("rl", "remote", "local"),
                               ("rr", "remote", "remote"))),
    *(_Witness("mitosis", "native", _mitosis(row), False, _BARE | {"guest_page": (page,), "guest_table_node": (node,)})
      for row, page, node in (("lpld", "4K", "local"), ("rpld", "4K", "remote"), ("tlpld", "2M", "local"),
                              ("trpld", "2M", "remote"))),
    *(_Witness("dmt", "virtual", FACTS[f"mem.dmt.gups16.{row}.walk"].value, False, _DMT | {"guest_page": (page,)},
               _two_walkers)
      for row, page in (("4k", "4K"), ("thp", "2M"))),
)  # fmt: skip


def published(setting: WalkCostSetting) -> tuple[Published, ...]:
    """What was published for all conditions that its source states; those that it does not state are said beside it."""
    return tuple(
        Published(w.side, w.cycles, w.bound, words(f"walk_cost.witness.{w.key}"))
        for w in _WITNESSES
        if all(getattr(setting, name) in values for name, values in w.needs.items()) and w.says(setting)
    )


def bill(side: Side, key: str) -> Bill:
    """The entries that one walk reads, the dearest first; the small ones of the guest and of the host pooled."""
    misses = side.misses_per_access
    entries = sorted((r for r in side.reads if r.where != "data"), key=lambda r: -r.per_access * r.cycles)
    if not misses:
        return Bill((), 0.0, 0.0, 0.0)
    rows = [_row(_name(r), [r], misses, r.table_bytes) for r in entries[: NAMED[key]]]
    for where in ("guest", "host"):
        rest = [r for r in entries[NAMED[key] :] if r.where == where]
        if len(rest) == 1:
            rows.append(_row(_name(rest[0]), rest, misses, rest[0].table_bytes))
        elif rest:
            whose = where if key == "virtual" else key
            rows.append(_row(say(f"walk_cost.others.{whose}", count=len(rest)), rest, misses, None))
    return Bill(tuple(rows), side.tlb.references_per_walk, side.walk_cycles, misses)


def _name(r: Reads) -> str:
    return f"{r.name}·{words('slowdown.data')}" if r.where == "host" and not r.target else r.name


def _row(name: str, entries: list[Reads], misses: float, table_bytes: float | None) -> Row:
    reads = sum(r.per_access for r in entries)
    found = tuple(sum(r.per_access * r.found_in[i] for r in entries) / reads for i in range(len(LEVELS)))
    cycles = sum(r.per_access * r.cycles for r in entries) / misses
    return Row(name, entries[0].where, reads / misses, table_bytes, found, cycles)


def _so_many(reads: float) -> str:
    shown = number(reads)
    return str(words("walk_cost.one_read")) if shown == "1" else say("walk_cost.so_many_reads", count=shown)


class WalkCostLab(Lab):
    """What a walk costs, entry by entry, in a guest and on bare metal."""

    Setting = WalkCostSetting
    Picture = WalkCostPicture
    visible = ("working_set_bytes", "pattern", "guest_page", "host_page")

    def solve(self, setting: WalkCostSetting) -> WalkCostResult:
        both = slowdown(**setting.model_dump())
        return WalkCostResult(bill(both.virtual, "virtual"), bill(both.native, "native"), published(setting))

    def sentence(self, setting: WalkCostSetting, result: WalkCostResult) -> str:
        virtual, native = result.virtual, result.native
        if not virtual.cycles:
            return say("walk_cost.nothing", size=show(setting.working_set_bytes, "B"))
        dearest = virtual.rows[0]
        parts = [say(
            "walk_cost.sentence", size=show(setting.working_set_bytes, "B"),
            pattern=WalkCostSetting.specs()["pattern"].show(setting.pattern),
            virtual=number(virtual.cycles), virtual_reads=_so_many(virtual.reads), misses=show(virtual.misses, "%", 2),
            name=dearest.name, share=show(dearest.cycles / virtual.cycles, "%", 2),
            dram=words("walk_cost.hardly") if 0 < dearest.found_in[-1] < 0.001 else show(dearest.found_in[-1], "%", 2),
        )]  # fmt: skip
        if native.cycles:
            parts.append(say("walk_cost.native", native=number(native.cycles), native_reads=_so_many(native.reads),
                             ratio=number(virtual.cycles / native.cycles)))  # fmt: skip
        else:
            parts.append(str(words("walk_cost.native_nothing")))
        for p in result.published:
            key = "walk_cost.published_bound" if p.bound else "walk_cost.published"
            parts.append(say(key, cycles=number(p.cycles), side=words(f"walk_cost.on.{p.side}")))
        return " ".join(parts)
