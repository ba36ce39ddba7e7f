"""Notebook 05: what is true, computed from the TLB, the slowdown and the footprint of ``virtlab.memory``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from virtlab.core.parameter import ParameterError
from virtlab.core.units import show
from virtlab.core.words import words
from virtlab.evidence import FACTS
from virtlab.lessons.mistakes import Truth
from virtlab.memory import CPUS, Slowdown, Tlb, footprint, simulate, slowdown, traces
from virtlab.memory.pages import PAGES, page_bytes, smaller
from virtlab.memory.reach import entries, reach_bytes
from virtlab.memory.tlb import NO_WALK_CACHES

_MIB, _GIB = 1 << 20, 1 << 30

# --- predictions ----------------------------------------------------------------------------------------------------


def _gups(guest: str, host: str) -> float:
    """ns of an access to 64 GiB at random in a guest."""
    size = int(FACTS["mem.vmitosis.gups.table"].value) << 30
    return slowdown(working_set_bytes=size, guest_page=guest, host_page=host).virtual_ns


def _times() -> dict[str, float]:
    return {f"{guest}.{host}": _gups(guest, host) for guest in ("4K", "2M") for host in ("4K", "2M")}


def _cliff() -> float:
    """Misses in per cent, one page more than an LRU TLB has entries, after the first round."""
    tlb = Tlb(l1_entries=64, l1_ways=64, l2_entries=0, **NO_WALK_CACHES)
    return 100 * simulate(traces.cyclic(6_500, 65 * 4096), tlb, host_page=None, warm=65).miss_share


def _factor() -> tuple[float, float]:
    """Published (GUPS in a guest) and modelled: two witnesses that disagree are an interval."""
    published = FACTS["mem.vmitosis.gups.ll"].value / FACTS["mem.vmitosis.gups.tll"].value
    model = _gups("4K", "4K") / _gups("2M", "2M")
    return min(published, model), max(published, model)


PREDICTIONS: dict[str, Callable[[], Any]] = {"05.order": _times, "05.cliff": _cliff, "05.factor": _factor}

# --- numbers --------------------------------------------------------------------------------------------------------


def reach(entries: int) -> Truth:
    small, huge, giant = (page_bytes(page) * entries for page in PAGES)
    right = (small / _MIB, small / _MIB, huge / _GIB)
    return Truth(
        right,
        {
            "larger": (None, huge / _MIB, giant / _GIB),
            "product": (None, small * page_bytes("2M") / _MIB, huge * page_bytes("1G") / _GIB),
            "thousands": (entries * 4 / 1000, entries * 4 / 1000, entries * 2 / 1000),
        },
    )


def share(size: int) -> Truth:
    known = entries(CPUS["cascade-lake"].tlbs["2M"])
    both, host = (100 * max(0.0, 1 - known * page / (size * _GIB)) for page in (page_bytes("2M"), page_bytes("4K")))
    return Truth(
        (both, host),
        # The second share is so near to all that "all of them" is within its tolerance.
        {"hits": (100 - both, 100 - host), "host_counts": (None, both), "cliff": (100.0, None)},
    )


def touch(memory: int) -> Truth:
    small, huge = (footprint(memory_bytes=memory * _GIB, guest_page=page, host_page=page) for page in ("4K", "2M"))
    tables = (small.guest_tables_bytes[1] + small.host_tables_bytes[1]) / _MIB
    exits = small.first_touch_exits, huge.first_touch_exits
    return Truth(
        (float(exits[0]), float(exits[1]), tables),
        {
            "one_gib": (float(exits[0] // memory), float(exits[1] // memory), tables / memory),
            "one_side": (None, None, tables / 2),
            "both_exits": (2.0 * exits[0], 2.0 * exits[1], None),
            "giant": (None, float(memory), None),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"05.reach": reach, "05.share": share, "05.touch": touch}

# --- designs --------------------------------------------------------------------------------------------------------

_CHOICES = ("working_set_bytes", "guest_page", "host_page", "cpu")
_LEAST_BYTES, _MOST_LOSS = 8 << 30, 0.10


def near_bare_metal(answer: Any) -> tuple[str, dict[str, str]]:
    """A guest that loses at most a tenth of its speed against bare metal with 2 MiB pages, at 8 GiB or more."""
    if not isinstance(answer, Mapping) or not answer:
        return "mapping", {}
    if unknown := sorted(str(key) for key in answer if key not in _CHOICES):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(_CHOICES)}
    try:
        run = slowdown(pattern="uniform", **answer)
        size = run.workload.working_set_bytes
        bare = slowdown(pattern="uniform", **{**answer, "guest_page": "2M"}).native_ns
    except (ParameterError, TypeError) as error:
        return "options", {"error": str(error)}
    if size < _LEAST_BYTES:
        return "small", {"size": show(size, "B")}
    lost = 1 - bare / run.virtual_ns
    values = _described(run, lost)
    if lost > _MOST_LOSS:
        return "loss", values
    return "right", values


def _described(run: Slowdown, lost: float) -> dict[str, str]:
    setting = run.workload
    entry = smaller(setting.guest_page, setting.host_page)
    choices = words("parameter.guest_page.choices")
    return {
        "guest": choices[setting.guest_page], "host": choices[setting.host_page], "entry": choices[entry],
        "cpu": words(f"parameter.cpu.choices.{setting.cpu}"), "loss": show(max(lost, 0.0), "%"),
        "misses": show(run.virtual.misses_per_access, "%"),
        "reach": show(reach_bytes(CPUS[setting.cpu].tlbs[entry], entry), "B"),
    }  # fmt: skip


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"05.design": near_bare_metal}


# --- mistakes to find -----------------------------------------------------------------------------------------------


def covered_bytes(entries: int, guest_page_bytes: int, host_page_bytes: int) -> int:
    return entries * min(guest_page_bytes, host_page_bytes)


REFERENCES: dict[str, Callable[..., Any]] = {"05.debug": covered_bytes}
