"""Notebook 16: what is true, from the overheads, attributions and fleets of ``virtlab.cloud``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from virtlab.cloud import attribute, design, efficiency, fleet, vendor_numbers
from virtlab.core.units import show
from virtlab.lessons.duelling import replay
from virtlab.lessons.mistakes import Truth

# --- predictions ----------------------------------------------------------------------------------------------------


def _earned(workload: str, *remedies: str) -> dict[str, float]:
    """How many hosts each of these remedies must be on to earn a whole one: what earned most comes first."""
    found = attribute("nitro", workload)
    return {remedy: 1 / max(found.earned[remedy], 1e-6) for remedy in remedies}


PREDICTIONS: dict[str, Callable[[], Any]] = {
    "16.compute": lambda: _earned("compute", "huge_pages", "storage_card", "network_card"),
    "16.network": lambda: _earned("network", "network_card", "huge_pages", "pinning"),
    "16.storage": lambda: _earned("storage", "storage_card", "huge_pages", "management_card"),
}

# --- numbers --------------------------------------------------------------------------------------------------------


def break_even(tax: int, slow: int, price: int) -> Truth:
    found = fleet(
        host_tax_before=tax / 100, slowdown_before=slow / 100, host_tax_after=0.01, slowdown_after=0.01,
        core_year_usd=price, pue=1.5, usd_per_kwh=0.1,
    )  # fmt: skip
    worth = found.options.cores * found.options.freed_core_usd
    loss, limit, years = efficiency(tax / 100, slow / 100).loss, found.break_even_usd, found.options.card_life_years
    added = (tax + slow - 2) / 100
    return Truth(
        (loss, found.freed_cores / found.options.servers, limit),
        {
            "added": ((tax + slow) / 100, added * 64, years * (added * worth - found.power_usd)),
            "threads": (None, found.freed_threads / found.options.servers, None),
            "all_lost": (None, loss * 64, years * (loss * worth - found.power_usd)),
            "no_power": (None, None, years * found.gain_usd),
            "no_pue": (None, None, years * (found.gain_usd - found.power_usd / 1.5)),
            "one_year": (None, None, limit / years),
            "once": (None, None, years * found.gain_usd - found.power_usd),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"16.break_even": break_even}

# --- designs --------------------------------------------------------------------------------------------------------

_BUDGET_USD, _MOST_JITTER = 850, 0.001
_MOST_LOST = {"compute": 0.05, "network": 0.15, "storage": 0.15}


def pools(answer: Any) -> tuple[str, dict[str, str]]:
    """Remedies for three pools within one budget."""
    if not isinstance(answer, Mapping) or not all(_is_names(part) for part in answer.values()):
        return "mapping", {}
    if set(answer) != set(_MOST_LOST):
        return "pools", {}
    try:
        found = {pool: design(*answer[pool], workload=pool) for pool in _MOST_LOST}
    except ValueError as error:
        return "remedies", {"error": str(error)[:300]}
    cost = math.fsum(one.cost_usd for one in found.values())
    values = {pool: show(one.after.loss, "%") for pool, one in found.items()}
    values |= {"cost": show(cost, "USD"), "left": show(math.fsum(one.net_usd for one in found.values()), "USD")}
    if cost > _BUDGET_USD:
        return "budget", values
    for pool, one in found.items():
        if one.after.loss > _MOST_LOST[pool]:
            return "loss", {"pool": pool, "loss": values[pool], "most": show(_MOST_LOST[pool], "%")}
    for pool, one in found.items():
        if one.after.slow["jitter"] > _MOST_JITTER:
            return "jitter", {"pool": pool, "jitter": show(one.after.slow["jitter"], "%")}
    return "right", values


def _is_names(part: Any) -> bool:
    return isinstance(part, list | tuple | set) and all(isinstance(name, str) for name in part)


#: The numbers that the sentences say, by their facts; what kind they are stands in the data of ``vendor_numbers``.
_SENTENCES = {
    "a": "overhead.fc.memory", "b": "vendor.qingtian.loss", "c": "io.accelnet.latency",
    "d": "vendor.nitro.indistinguishable", "e": "vendor.taiji.memory",
}  # fmt: skip


def sentences(answer: Any) -> tuple[str, dict[str, str]]:
    """Five sentences, each specification, measurement or marketing."""
    kind_of = {row.fact.id: row.kind for row in vendor_numbers().rows}
    right = {key: kind_of[fact] for key, fact in _SENTENCES.items()}
    if not isinstance(answer, Mapping) or set(answer) != set(right):
        return "mapping", {}
    if not all(isinstance(kind, str) and kind in right.values() for kind in answer.values()):
        return "mapping", {}
    wrong = sum(answer[key] != kind for key, kind in right.items())
    if wrong:
        return "wrong", {"count": str(wrong)}
    return "right", {}


def attack(answer: Any) -> tuple[str, dict[str, str]]:
    """One setting against one claim, replayed by the claim's own judge."""
    key, said = replay(answer)
    if key == "right":
        return "right", {"said": said}
    if key == "holds":
        return "holds", {"said": said}
    return "sent", {"said": said}


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {
    "16.design": pools, "16.sort": sentences, "16.duel": attack,
}  # fmt: skip

# --- mistakes to find -----------------------------------------------------------------------------------------------


def costs(losses: Sequence[float]) -> tuple[float, ...]:
    """Shapley's value of losses that multiply, over all orders."""
    found = [0.0] * len(losses)
    for order in itertools.permutations(range(len(losses))):
        left = 1.0
        for i in order:
            found[i] += left * losses[i] / math.factorial(len(losses))
            left *= 1 - losses[i]
    return tuple(found)


REFERENCES: dict[str, Callable[..., Any]] = {"16.debug": costs}
