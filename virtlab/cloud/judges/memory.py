"""The judge of memory: S19, huge pages and hardware walks."""

from __future__ import annotations

import functools
import math
from typing import Any

from virtlab.cloud.judges.common import cited, filled
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.core.units import number, show
from virtlab.evidence import FACTS
from virtlab.memory import (
    PROGRAMS,
    Slowdown,
    Workload,
    break_even_updates_per_s,
    mmu,
    slowdown,
    walk,
)
from virtlab.memory.mmu import MmuOptions
from virtlab.memory.pages import smaller
from virtlab.memory.reach import reach_bytes

_HUGE: dict[str, Any] = {"guest_page": "2M", "host_page": "2M"}
_SMALL: dict[str, Any] = {"guest_page": "4K", "host_page": "4K"}
_SETS = tuple(1 << bits for bits in range(24, 41, 2))  # 16 MiB to 1 TiB
_LARGE: dict[str, Any] = {"working_set_bytes": 1 << 34}
_MANY_UPDATES = 100_000.0  # page-table updates a second at which hardware walks pay, with the other default rates


@functools.lru_cache(maxsize=512)
def _run(workload: Workload) -> Slowdown:
    return slowdown(workload)


def _pair(**changes: Any) -> tuple[Slowdown, Slowdown]:
    """A workload with pages of 4 KiB on both sides, and with the pages that are asked for."""
    return _run(Workload(**{**changes, **_SMALL})), _run(Workload(**changes))


def _removed(**changes: Any) -> float:
    """Share of the time that virtualization added to bare metal with pages of 4 KiB, which other pages take away.

    More than 1 where the guest gets faster than that. NaN where nothing was added.
    """
    small, other = _pair(**changes)
    added = small.virtual_ns - small.native_ns
    return (small.virtual_ns - other.virtual_ns) / added if added > 0 else math.nan


def _closed(**changes: Any) -> float:
    """Share of the gap to bare metal with the same guest pages that closes, against 4 KiB on both sides."""
    small, other = _pair(**changes)
    gap = small.virtual_ns - small.native_ns
    return 1 - (other.virtual_ns - other.native_ns) / gap if gap > 0 else math.nan


def _translated(**changes: Any) -> float:
    """Share of the guest's time of translation with pages of 4 KiB that other pages take away."""
    small, other = _pair(**changes)
    before = small.virtual.translation_ns
    return 1 - other.virtual.translation_ns / before if before > 0 else math.nan


def _reach_bytes(guest_page: Any, host_page: Any) -> float:
    """Memory that the TLBs of the default CPU map in a guest with these pages."""
    setting = Workload(guest_page=guest_page, host_page=host_page)
    return reach_bytes(setting.geometry(virtual=True), smaller(guest_page, host_page))


def _walked(program: str, pages: str) -> float:
    """Published time in walks over the time outside them."""
    share = FACTS[f"mem.sagepte.{program}.{pages}"].value
    return share / (1 - share)


def _fewer_walks(program: str) -> bool:
    """Whether huge pages took more than half of the published time in walks, if the rest of the run stayed."""
    return _walked(program, "thp") < _walked(program, "4k") / 2


def _walks_pay(**changes: Any) -> bool:
    """Whether nested paging takes less of a vCPU's time than shadow paging, which it replaced."""
    nested, shadow = (mmu(technique=t, **changes).total_share for t in ("nested", "shadow"))
    return nested < shadow


def s19() -> Verdict:
    """Huge pages remove most of the overhead: which pages on which side, for which set, pattern, CPU and node."""
    guest, host = Axis.of(Workload, "guest_page"), Axis.of(Workload, "host_page")
    sets = Axis("working_set_bytes", "B", choices=_SETS)
    size, limit = Workload().working_set_bytes, 1 + FACTS["article.loss"].value

    def most(**changes: Any) -> bool:
        return _removed(**{**_HUGE, **changes}) > 0.5

    def alike(**changes: Any) -> bool:
        return _closed(**{**_HUGE, **changes}) > 0.5

    def translation(**changes: Any) -> bool:
        return _translated(**{**_HUGE, **changes}) > 0.5

    patterns = Axis.of(Workload, "pattern")
    alone: dict[str, Any] = {"guest_page": "4K"}
    conditions = (
        turn("most", "random", guest, "2M", lambda v: most(guest_page=v)),
        turn("most", "random", host, "2M", lambda v: most(host_page=v)),
        turn("alike", "random", guest, "2M", lambda v: alike(guest_page=v)),
        turn("alike", "random", host, "2M", lambda v: alike(host_page=v)),
        turn("translation", "random", guest, "2M", lambda v: translation(guest_page=v)),
        turn("translation", "random", host, "2M", lambda v: translation(host_page=v)),
        turn("reach", "random", guest, "2M", lambda v: _reach_bytes(v, "2M") >= size),
        turn("reach", "random", host, "2M", lambda v: _reach_bytes("2M", v) >= size),
        turn("most", "random", sets, 1 << 30, lambda v: most(working_set_bytes=v)),
        turn("alike", "random", sets, 1 << 30, lambda v: alike(working_set_bytes=v)),
        turn("near", "random", sets, 1 << 30, lambda v: _run(Workload(working_set_bytes=v, **_HUGE)).ratio <= limit),
        turn("most", "random", Axis.of(Workload, "accesses_per_instruction"), Workload().accesses_per_instruction,
             lambda v: most(accesses_per_instruction=v)),
        turn("most", "random", Axis.of(Workload, "host_table_node"), "local", lambda v: most(host_table_node=v)),
        turn("most", "random", Axis.of(Workload, "cpu"), "cascade-lake", lambda v: most(cpu=v)),
        turn("most", "any", patterns, "uniform", lambda v: most(pattern=v)),
        turn("most", "host_random", sets, 1 << 34, lambda v: most(working_set_bytes=v, **alone)),
        turn("most", "host_any", patterns, "uniform", lambda v: most(pattern=v, **alone, **_LARGE)),
        turn("nested", "events", Axis.of(MmuOptions, "page_table_updates_per_s"), _MANY_UPDATES,
             lambda v: _walks_pay(page_table_updates_per_s=v)),
        turn("nested", "events", Axis.of(MmuOptions, "tlb_misses_per_s"), MmuOptions().tlb_misses_per_s,
             lambda v: _walks_pay(page_table_updates_per_s=_MANY_UPDATES, tlb_misses_per_s=v)),
        turn("walking", "published", Axis("program", choices=PROGRAMS), "canneal", _fewer_walks),
    )  # fmt: skip
    refs = {f"{g}{h}": len(walk(guest_page=g, host_page=h).references) for g in ("4K", "2M") for h in ("4K", "2M")}
    added = {
        f"{g}{h}": _run(Workload(guest_page=g, host_page=h)).virtual_ns - _run(Workload(**_SMALL)).native_ns
        for g in ("4K", "2M") for h in ("4K", "2M")
    }  # fmt: skip
    times = {f"ratio_{n}": number(_run(Workload(working_set_bytes=1 << n, **_HUGE)).ratio) for n in (30, 34, 36)}
    gups = [_run(Workload(working_set_bytes=1 << 36, accesses_per_instruction=0.1, **pages)).virtual_ns
            for pages in (_SMALL, _HUGE)]  # fmt: skip
    seconds = [FACTS[f"mem.vmitosis.gups.{row}"].value for row in ("ll", "tll")]
    shares = {f"{p}_{row}": show(FACTS[f"mem.sagepte.{p}.{row}"].value, "%")
              for p in ("gups", "btree") for row in ("4k", "thp")}  # fmt: skip
    fewer = [p for p in PROGRAMS if _fewer_walks(p)]
    sentences = filled(
        "s19", small=refs["4K4K"], one=refs["4K2M"], both=refs["2M2M"], reach_one=show(_reach_bytes("4K", "2M"), "B"),
        reach_both=show(_reach_bytes("2M", "2M"), "B"), set=show(size, "B"),
        native=show(_run(Workload(**_SMALL)).native_ns, "ns"),
        added=show(added["4K4K"], "ns"), host=show(added["4K2M"], "ns"), guest=show(added["2M4K"], "ns"),
        fewer=show(-added["2M2M"], "ns"), host_closed=show(_closed(guest_page="4K", host_page="2M"), "%"),
        guest_closed=show(_closed(guest_page="2M", host_page="4K"), "%"),
        even=show(break_even_updates_per_s(), "1/s"), misses=show(MmuOptions().tlb_misses_per_s, "1/s"),
        faster=number(seconds[0] / seconds[1]), model=number(gups[0] / gups[1]),
        count=number(len(fewer)), all=number(len(PROGRAMS)), names=", ".join(fewer), **times, **shares,
    )  # fmt: skip
    ids = (f"mem.sagepte.{p}.{row}" for p in ("gups", "btree") for row in ("4k", "thp"))
    facts = cited("thp.sides", "walk.m26.refs.4k", "walk.m26.refs.2m", "article.loss", "mem.vmitosis.gups.ll",
                  "mem.vmitosis.gups.tll", *ids)  # fmt: skip
    calls = (
        'memory.walk(guest_page="4K", host_page="2M").references',
        "memory.break_even_updates_per_s()",
        'memory.slowdown(guest_page="4K", host_page="2M")',
        'memory.slowdown(guest_page="2M", host_page="2M")',
        'memory.slowdown(guest_page="2M", host_page="2M", working_set_bytes=1 << 36)',
    )
    return verdict("S19", sentences, conditions, facts, calls)
