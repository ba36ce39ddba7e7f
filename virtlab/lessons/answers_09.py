"""Notebook 09: what is true, computed from the seven paths of ``virtlab.paths``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.lessons.mistakes import Truth
from virtlab.paths import LADDER, Event, Path, PathOptions, budget_cycles, line_rate

_SOFTWARE = ("qemu", "qemu-ioeventfd", "vhost-net", "vhost-user")  # P1 to P4

# --- predictions ----------------------------------------------------------------------------------------------------


def _there_and_back() -> dict[str, float]:
    """The time in ns of one packet sent and one received, path by path, with the default options."""
    return {
        id: path.latency(direction="tx").total_ns + path.latency(direction="rx").total_ns for id, path in LADDER.items()
    }


def _host_ns(id: str, batch: int) -> float:
    return LADDER[id].cpu(direction="tx", kick_batch=batch, interrupt_batch=batch, posted=False).host_ns_per_packet


def _host_cpu_factor() -> float:
    return _host_ns("vhost-net", 32) / _host_ns("sriov", 32)


def _batch_factor() -> float:
    return _host_ns("vhost-net", 1) / _host_ns("vhost-net", 32)


PREDICTIONS: dict[str, Callable[[], Any]] = {
    "09.order": _there_and_back,
    "09.cpu": _host_cpu_factor,
    "09.factor": _batch_factor,
}

# --- numbers --------------------------------------------------------------------------------------------------------


def _exits(batch: int, **options: bool) -> float:
    options = {"apicv": False, **options}
    counts = LADDER["vhost-net"].counts(direction="tx", kick_batch=batch, interrupt_batch=batch, **options)
    return counts.vcpu_exits_per_packet


def exits(batch: int) -> Truth:
    right = (_exits(batch), _exits(batch, pv_eoi=True), _exits(batch, apicv=True))
    return Truth(
        right,
        {
            "per_batch": tuple(r * batch for r in right),
            "one_more": tuple(r + 1 / batch for r in right),
            "one_missing": (right[0] - 1 / batch, None, None),
            "no_kick": (None, right[1] - 1 / batch, 0.0),
            "apicv_halves": (None, None, right[0] / 2),
        },
    )


def _switches(batch: int) -> float:
    counts = LADDER["qemu-ioeventfd"].counts(direction="tx", kick_batch=batch, interrupt_batch=batch, apicv=False)
    return counts.switches_per_packet


def first_batch(switches: int) -> Truth:
    right = next(b for b in count(1) if _switches(b) < switches)
    edge = _switches(1) / switches  # the batch at which it is exactly as many
    fraction = None if edge.is_integer() else edge
    return Truth(
        (float(right),),
        {
            "fraction": (fraction,),
            "no_packet": ((-math.inf, math.nextafter(1, 0)),),
            "before": ((1.0, right - 1.0),),
            "also_false": ((float(right), math.inf),),
        },
    )


def quarter(share: int, cores: int) -> Truth:
    worker, card = (LADDER[id].cpu(direction="tx", kick_batch=8, interrupt_batch=8) for id in ("vhost-net", "card"))
    rate = worker.rate_at_host_share(share / 100, cores)
    both = 1e9 * share / 100 * cores / (worker.host_ns_per_packet + worker.guest_ns_per_packet)
    return Truth(
        (rate, card.host_cores(rate), card.guest_cores(rate)),
        {
            "one_core": (rate / cores, None, None),
            "whole_host": (rate * 100 / share, None, None),
            "guest_too": (both, None, None),
            "nothing": (None, 0.0, 0.0),
            "swapped": (None, card.guest_cores(rate), card.host_cores(rate)),
            "share": (None, share / 100, share / 100),
            "vhost_host": (None, worker.host_cores(rate), worker.host_cores(rate)),
        },
    )


def budget(gbit: float, ghz: float) -> Truth:
    frame = FACTS["ethernet.frame.min"].value
    right = budget_cycles(gbit, int(frame), ghz)
    bare = 8 * frame / gbit * ghz
    return Truth(
        (right,),
        {
            "no_gap": (bare,),
            "half_gap": (8 * (frame + FACTS["ethernet.preamble"].value) / gbit * ghz,),
            "gap_less": (8 * (frame - FACTS["ethernet.gap"].value) / gbit * ghz,),
            "ns": (1e9 / line_rate(gbit, int(frame)),),
            "bytes": (right / 8,),
        },
    )


def tenfold(batch: int) -> Truth:
    def rates(frame: int, poll: bool) -> dict[str, float]:
        options: dict[str, Any] = {"direction": "tx", "kick_batch": batch, "interrupt_batch": batch}
        options |= {"frame_bytes": frame, "guest_poll": poll}
        return {id: path.capacity(**options).packets_per_s for id, path in LADDER.items()}

    def ratios(rate: Mapping[str, float]) -> tuple[float, ...]:
        return tuple(rate["card"] / rate[id] for id in _SOFTWARE)

    small, typical = int(FACTS["ethernet.frame.min"].value), int(FACTS["ethernet.frame.typical"].value)
    right = ratios(rates(small, True))
    return Truth(
        right,
        {
            # Against vhost-user every one of these is about 1.
            "ordinary_guest": (*ratios(rates(small, False))[:3], None),
            "full_frames": (*ratios(rates(typical, True))[:3], None),
            "inverse": tuple(1 / r for r in right),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {
    "09.exits": exits,
    "09.batch": first_batch,
    "09.quarter": quarter,
    "09.budget": budget,
    "09.tenfold": tenfold,
}

# --- designs --------------------------------------------------------------------------------------------------------


def no_exits(answer: Any) -> tuple[str, dict[str, str]]:
    """A path with options under which a packet costs the vCPU no exit, sent or received."""
    if not isinstance(answer, Mapping):
        return "mapping", {}
    options = {str(key): value for key, value in answer.items() if key not in ("path", "direction")}
    path = answer.get("path")
    path = path if isinstance(path, Path) else LADDER.get(path) if isinstance(path, str) else None
    if path is None:
        return "path", {"paths": ", ".join(LADDER)}
    known = [name for name in PathOptions.model_fields if name != "direction"]
    if unknown := sorted(set(options) - set(known)):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(known)}
    causes, cores, interrupts = [], 0, 0.0
    for direction in ("tx", "rx"):
        try:
            counts = path.counts(direction=direction, **options)
        except ValueError as error:
            return "options", {"error": str(error)}
        cores, interrupts = counts.dedicated_cores, max(interrupts, counts.host_irqs_per_packet)
        causes += [s.key for s in path.active(direction=direction, **options) if Event.VCPU_EXIT in s.causes]
    if causes:
        steps = ", ".join(dict.fromkeys(str(words(f"step.{key}")) for key in causes))
        return "exits", {"path": path.title, "steps": steps}
    price = [say("lessons.price.core")] if cores else []
    if interrupts:
        price.append(say("lessons.price.host_irq", count=number(interrupts)))
    if options.get("guest_poll"):
        price.append(say("lessons.price.guest_poll"))
    return "right", {"path": path.title, "price": ", ".join(price) or say("lessons.price.none")}


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"09.zero": no_exits}


# --- mistakes to find -----------------------------------------------------------------------------------------------


def per_packet(exits_per_batch: float, copies_of_a_packet: float, batch: int) -> tuple[float, float]:
    return exits_per_batch / batch, copies_of_a_packet


REFERENCES: dict[str, Callable[..., Any]] = {"09.debug": per_packet}
