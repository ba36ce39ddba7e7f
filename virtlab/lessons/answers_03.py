"""Notebook 03: what is true, from the models of interrupts and of halt polling in ``virtlab.cpu``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from virtlab.core.units import show
from virtlab.core.words import say
from virtlab.cpu import HaltPolling, PollRules, burst, halt_polling, host_share, interrupts
from virtlab.cpu.halt_polling import PollOptions, host_interval_ns
from virtlab.lessons.mistakes import Truth

# --- predictions ------------------------------------------------------------------------------------------------------

_WOKEN_NS = (4_000_000, 250_000, 100_000)
_BUSY = 0.9  # what anybody would call about 100 %


def _posts() -> float:
    return float(burst(posts=10, within_ns=2_000).notifications)


def _preempted() -> float:
    by_state = interrupts(interrupts="apicv", vcpus_per_cpu=2).by_state
    return by_state["preempted"].mean_ns / by_state["guest"].mean_ns


def _hundred() -> float:
    return float(sum(host_share(wake_interval_ns=ns, work_share=0.01).host_share > _BUSY for ns in _WOKEN_NS))


PREDICTIONS: dict[str, Callable[[], Any]] = {"03.posts": _posts, "03.preempted": _preempted, "03.hundred": _hundred}

# --- numbers ----------------------------------------------------------------------------------------------------------


def eli(gain: float, after: float, cost: float) -> Truth:
    share = 1 - 1 / gain
    before, rate = after / gain, share / (cost * 1e-6)
    return Truth(
        (before, 100 * share, rate),
        {
            "subtracted": (after - 100 * (gain - 1), None, None),
            "bare": (100 / gain if after != 100 else None, None, None),
            "gain_as_share": (None, 100 * (gain - 1), None),
            "missing": (None, 100 - before if after != 100 else None, None),
            "other_share": (None, None, (gain - 1) / (cost * 1e-6)),
        },
    )


def trace(wait: float) -> Truth:
    found = halt_polling(waits=10, wait_mean_ns=round(wait * 1000))
    first, last, polled = found.enough.index(True) + 1, found.final_ns / 1000, found.burnt_ns / 1000
    doubled = 10.0 * 2 ** (first - 2)
    intervals = sum(found.intervals_ns) / 1000
    return Truth(
        (float(first), last, polled),
        {
            "from_zero": (first - 1.0, None, None),
            "exact": (None, float(wait), None),
            "uncapped": (None, doubled if doubled != last else None, None),
            "whole": (None, None, intervals if intervals != polled else None),
            "all_of_it": (None, None, 10.0 * wait),
            "no_zero": (None, None, polled + min(float(wait), last)),  # each interval one wait earlier
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"03.eli": eli, "03.trace": trace}

# --- designs ----------------------------------------------------------------------------------------------------------

_BURSTS = ((20_000,) * 9 + (820_000,)) * 20  # ns
_LEAST_CAUGHT, _MOST_BURNT = 0.84, 0.21
_RULES = ("halt_poll_ns", "halt_poll_grow", "halt_poll_grow_start_ns", "halt_poll_shrink")


def caught(found: HaltPolling) -> float:
    """The share of waits that ended while KVM polled."""
    return sum(found.enough) / len(found.enough)


def for_bursts(answer: Any) -> tuple[str, dict[str, str]]:
    """Rules that catch 84 % of the waits and burn at most 21 % of the waiting time."""
    if not isinstance(answer, Mapping):
        return "mapping", {}
    options = {str(key): value for key, value in answer.items()}
    if unknown := sorted(set(options) - set(_RULES)):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(_RULES)}
    try:
        found = halt_polling(waits_ns=_BURSTS, **options)
    except (TypeError, ValueError) as error:
        return "options", {"error": str(error)[:200]}
    said = {"caught": show(caught(found), "%"), "burnt": show(found.burnt_share, "%")}
    if caught(found) < _LEAST_CAUGHT:
        return "few", said
    if found.burnt_share > _MOST_BURNT:
        return "dear", said
    key = ("climbs", "stays")[found.options.halt_poll_shrink == 1]
    return "right", {**said, "price": say(f"lessons.poll_price.{key}", interval=show(max(found.intervals_ns), "ns"))}


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"03.design": for_bursts}

# --- mistakes to find -------------------------------------------------------------------------------------------------


def next_interval(interval: int, wait: int) -> int:
    o = PollOptions()
    rules = PollRules(o.halt_poll_ns, o.halt_poll_grow, o.halt_poll_grow_start_ns, o.halt_poll_shrink)
    return host_interval_ns(interval * 1000, wait * 1000, rules) // 1000


REFERENCES: dict[str, Callable[..., Any]] = {"03.debug": next_interval}
