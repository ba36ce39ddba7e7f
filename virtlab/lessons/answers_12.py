"""Notebook 12: what is true, from the slices, functions and neighbours of ``virtlab.offload``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from virtlab.core.parameter import ParameterError
from virtlab.core.units import number, show
from virtlab.evidence import FACTS
from virtlab.lessons.mistakes import Truth
from virtlab.offload import card_neighbours, functions, max_min, throttle

# --- predictions ----------------------------------------------------------------------------------------------------


def _share() -> float:
    """What the third of three VFs gets, Gb/s."""
    return max_min((10, 100, 100), (1, 2, 1), 100)[2]


def _first() -> dict[str, float]:
    """The most VFs that each resource allows."""
    found = functions()
    return {key: found[key].most for key in ("interrupts", "memory", "ids", "mmio")}


def _neighbour() -> dict[str, float]:
    """What does not arrive any more with each remedy: the time that a bit of the victim's takes, ns."""
    lots = card_neighbours().lots
    return {key: 1 / lots[key].victim_gbit_per_s for key in ("link", "pps", "pages")}


PREDICTIONS: dict[str, Callable[[], Any]] = {"12.share": _share, "12.first": _first, "12.neighbour": _neighbour}

# --- numbers --------------------------------------------------------------------------------------------------------


def water(a: float, w: float) -> Truth:
    _, b, c = max_min((a, 100, 100), (1, w, 1), 100)
    part, asked = 100 / (w + 2), 100 * 100 / (200 + a)
    return Truth(
        (b, c, part - a),
        {
            "fixed": (w * part, part, None),
            "even": ((100 - a) / 2, (100 - a) / 2, None),
            "asked": (asked, asked, None),
            "whole": (None, None, part),
        },
    )


def buses(vfs: int) -> Truth:
    found = functions(vfs=vfs, vectors=1)
    entries = FACTS["vtd.remap.entries"].value
    per_bus, per_device = (FACTS[f"pcie.{key}.functions"].value for key in ("ari", "device"))
    return Truth(
        (found.buses, entries // vfs),
        {
            "no_pf": (float(math.ceil(vfs / per_bus)), float(entries // (vfs + 1)) if entries % vfs == 0 else None),
            "no_ari": (float(math.ceil((1 + vfs) / per_device)), None),
            "broken": (None, entries / vfs if entries % vfs else None),
        },
    )


def pause(size: int, ms: float) -> Truth:
    found = throttle(ops_size=size, refill_ms=float(ms))
    wanted = found.options.set_per_s
    return Truth((wanted, found.least_per_s), {"set": (None, wanted), "pause": (None, 10.0 * size)})


NUMBERS: dict[str, Callable[..., Truth]] = {"12.water": water, "12.buses": buses, "12.pause": pause}

# --- designs --------------------------------------------------------------------------------------------------------

_CHOICES = ("vfs", "vectors", "memory_bytes", "queue_pairs", "vf_bar_bytes", "dma_page", "acs", "pri")
_LEAST_VFS, _LEAST_BYTES, _LEAST_PAIRS, _MOST_TAKEN = 1024, 1 << 30, 2, 0.9


def thousand(answer: Any) -> tuple[str, dict[str, str]]:
    """VFs for a thousand guests that fit everything, with interrupts to spare."""
    if not isinstance(answer, Mapping) or not answer:
        return "mapping", {}
    if unknown := sorted(str(key) for key in answer if key not in _CHOICES):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(_CHOICES)}
    try:
        found = functions(**answer)
    except (ParameterError, TypeError) as error:
        return "options", {"error": str(error)[:300]}
    o, first = found.options, found.first
    values = {
        "vfs": number(o.vfs, 5), "buses": number(found.buses), "first": first.title, "vectors": number(o.vectors),
        "share": show(first.share, "%"), "queue_pairs": number(o.queue_pairs),
        "interrupts": show(found["interrupts"].share, "%"), "memory": show(found["memory"].share, "%"),
    }  # fmt: skip
    if o.vfs < _LEAST_VFS:
        return "few", values
    if o.memory_bytes < _LEAST_BYTES or o.queue_pairs < _LEAST_PAIRS:
        return "small", values
    if o.vectors <= o.queue_pairs:
        return "vectors", values
    if not o.acs:
        return "group", values
    if not found.fits:
        return "ends", values
    if found["interrupts"].share > _MOST_TAKEN:
        return "free", values
    return "right", values


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"12.design": thousand}

# --- mistakes to find -----------------------------------------------------------------------------------------------


def refilled(tokens: float, size: float, rate_per_s: float, elapsed_s: float) -> float:
    return min(size, tokens + rate_per_s * elapsed_s)


REFERENCES: dict[str, Callable[..., Any]] = {"12.debug": refilled}
