"""Looking ahead: reserve CPUs for a demand that is only forecast. Each predictor is held against persistence.

A forecast becomes a level to reserve by adding a quantile of its own past errors: the newsvendor's quantile
c_under / (c_under + c_over). What counts is the cost on the days that no predictor has learnt from, beside that of
persistence (the last value) and of the oracle (which knows the demand). Left out: what a reservation costs to change,
whole VMs, and that a reserved CPU in the wrong server helps nobody.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import show, signed
from virtlab.core.words import say, words
from virtlab.cpu import predictors
from virtlab.cpu.demand import DAY, Demand, Floats, demand_series
from virtlab.evidence import FACTS

Predictor = Literal["ewma", "window", "seasonal", "holt-winters"]
Verdict = Literal["better", "nothing", "worse"]

#: Hours that the predictors learn from; all later ones are held out.
LEARN = 14 * DAY
#: How many of the last errors tell the margin.
ERRORS = 10 * DAY
_LONGEST_LEAD, _LONGEST_WINDOW = 48, 7 * DAY
_DRAWS, _INSIDE = 1000, 0.95  # of the bootstrap


class ForecastOptions(Parameters):
    """A demand series, a predictor, how far it must look ahead, and what a missing vCPU costs in spare ones."""

    demand: Demand = parameter(FACTS["forecast.demand"], default="azure")
    predictor: Predictor = parameter(FACTS["forecast.predictor"], default="holt-winters")
    lead_hours: int = parameter(FACTS["forecast.lead"], ge=1, le=_LONGEST_LEAD)
    under_cost: float = parameter(FACTS["forecast.under_cost"], ge=1, le=50)
    noise_share: float = parameter(FACTS["forecast.noise"], ge=0, le=0.3)
    ewma_alpha: float = parameter(FACTS["forecast.alpha"], ge=0.01, le=1)
    window_hours: int = parameter(FACTS["forecast.window"], ge=1, le=_LONGEST_WINDOW)
    window_quantile: float = parameter(FACTS["forecast.window_quantile"], ge=0.5, le=0.999)
    demand_seed: int = parameter(FACTS["forecast.seed"], ge=0, le=10_000)

    @property
    def quantile(self) -> float:
        """The share of hours in which the best level suffices: c_under / (c_under + c_over)."""
        return newsvendor_share(self.under_cost)


class Outcome(NamedTuple):
    """One predictor on the held-out hours; means of an hour. ``cost_vcpus``: in spare vCPUs.

    ``skill``: the share of persistence's cost that it saves, with an interval from a bootstrap over blocks of days.
    """

    violation_share: float
    short_vcpus: float
    headroom_vcpus: float
    cost_vcpus: float
    skill: float
    skill_low: float
    skill_high: float

    @property
    def verdict(self) -> Verdict:
        """Against persistence: ``nothing`` where the interval includes 0."""
        return "better" if self.skill_low > 0 else "worse" if self.skill_high < 0 else "nothing"


@dataclass(frozen=True, repr=False)
class Forecast(Shown):
    """Every predictor beside persistence and the oracle. ``levels`` [held-out hours] and ``demand`` in vCPUs."""

    options: ForecastOptions
    measured: bool
    own: bool
    demand: Floats
    levels: Mapping[str, Floats]
    outcomes: Mapping[str, Outcome]

    @property
    def held_out(self) -> Floats:
        """The demand of the hours that count."""
        return self.demand[LEARN:]

    @property
    def chosen(self) -> Outcome:
        return self.outcomes[self.options.predictor]

    def regret_vcpus(self, predictor: str) -> float:
        """What not knowing the future costs, an hour."""
        return self.outcomes[predictor].cost_vcpus - self.outcomes["oracle"].cost_vcpus

    def law(self) -> tuple[float, float]:
        """Conservation of the chosen predictor: reserved + missing = demand + spare. Returns both sides, an hour."""
        level, outcome = self.levels[self.options.predictor], self.chosen
        return float(level.mean()) + outcome.short_vcpus, float(self.held_out.mean()) + outcome.headroom_vcpus

    def sentence(self) -> str:
        """The result in one sentence with its numbers, and whether predicting was worth it."""
        o, kind = self.options, "own" if self.own else self.options.demand
        cost = {name: show(outcome.cost_vcpus) for name, outcome in self.outcomes.items()}
        return say("forecast.sentence", who=words(f"parameter.predictor.choices.{o.predictor}"), cost=cost[o.predictor],
                   lead=show(o.lead_hours, "h"), ratio=show(o.under_cost), persistence=cost["persistence"],
                   oracle=cost["oracle"], verdict=self._verdict(), why=words(f"forecast.why.{kind}"))  # fmt: skip

    def _verdict(self) -> str:
        if not self.outcomes["persistence"].cost_vcpus:
            return str(words("forecast.verdict.free"))
        found = self.chosen
        return say(f"forecast.verdict.{found.verdict}", skill=show(abs(found.skill), "%"),
                   low=signed(found.skill_low, "%"), high=signed(found.skill_high, "%"))  # fmt: skip

    def table(self) -> Table:
        rows = [
            (words(f"forecast.predictor.{name}"), show(x.violation_share, "%"), show(x.short_vcpus),
             show(x.headroom_vcpus), show(x.cost_vcpus), signed(x.skill, "%"),
             say("forecast.span", low=signed(x.skill_low, "%"), high=signed(x.skill_high, "%")))
            for name, x in self.outcomes.items()
        ]  # fmt: skip
        return Table.of(words("forecast.header"), rows, self.sentence(), numeric=range(1, 7))


def forecast(
    options: ForecastOptions | None = None, /, demand_vcpus: Iterable[float] | None = None, **changes: Any
) -> Forecast:
    """All predictors on one demand series. Options as in :class:`ForecastOptions`, as one object or by name.

    ``demand_vcpus`` gives the series itself, hour by hour, at least 18 days of it: the first 14 are learnt from.
    Golden: c_under = 9 c_over asks for the quantile 0.9. Raises ParameterError.
    """
    o = ForecastOptions.given(options, changes)
    values = demand_series(o.demand, o.noise_share, o.demand_seed) if demand_vcpus is None else _own(demand_vcpus)
    points = _points(values, o)
    levels = {name: reserve(values, point, o.lead_hours, o.quantile)[LEARN:] for name, point in points.items()}
    levels["oracle"] = values[LEARN:]
    missing = {name: _missing(values[LEARN:], level) for name, level in levels.items()}
    outcomes = {name: _outcome(gap, missing["persistence"], o) for name, gap in missing.items()}
    own = demand_vcpus is not None
    return Forecast(o, own or o.demand == "azure", own, values, MappingProxyType(levels), MappingProxyType(outcomes))


def newsvendor_share(under_cost: float) -> float:
    """The quantile of the demand that is best reserved where one missing costs ``under_cost`` spare ones."""
    return under_cost / (under_cost + 1)


def reserve(values: Floats, points: Floats, lead: int, share: float) -> Floats:
    """Levels from forecasts: each plus the ``share`` quantile of the errors known when it was made; not below 0.

    Takes and gives float64[n]; NaN where no error is known yet.
    """
    errors, margins = (values - points).tolist(), np.full(len(values), np.nan)
    ranks = [predictors.order(count, share) for count in range(ERRORS + 1)]
    known: list[float] = []  # sorted
    for t in range(int(np.isnan(points).sum()) + lead, len(values)):
        if len(known) == ERRORS:
            del known[bisect.bisect_left(known, errors[t - lead - ERRORS])]
        bisect.insort(known, errors[t - lead])
        margins[t] = known[ranks[len(known)]]
    return np.maximum(0.0, points + margins)


def _points(values: Floats, o: ForecastOptions) -> dict[str, Floats]:
    lead = o.lead_hours
    return {
        "persistence": predictors.persistence(values, lead),
        "ewma": predictors.ewma(values, lead, o.ewma_alpha),
        "window": predictors.window_quantile(values, lead, o.window_hours, o.window_quantile),
        "seasonal": predictors.seasonal_naive(values, lead),
        "holt-winters": predictors.holt_winters(values, lead, LEARN - lead),
    }


def _missing(values: Floats, level: Floats) -> Floats:
    """Demand less level; what is rounding alone is none."""
    gap = values - level
    return np.where(np.abs(gap) > 1e-9 * (1 + values.max()), gap, 0.0)


def _outcome(missing: Floats, naive: Floats, o: ForecastOptions) -> Outcome:
    short, spare = float(np.maximum(0.0, missing).mean()), float(np.maximum(0.0, -missing).mean())
    costs = [o.under_cost * np.maximum(0.0, gap) + np.maximum(0.0, -gap) for gap in (missing, naive)]
    low, high = skill_interval(costs[0], costs[1], max(DAY, o.lead_hours))
    return Outcome(float((missing > 0).mean()), short, spare, o.under_cost * short + spare,
                   float(_skill(costs[0].sum(), costs[1].sum())), low, high)  # fmt: skip


def skill_interval(cost: Floats, naive: Floats, block: int) -> tuple[float, float]:
    """Where the skill lies in 95 of 100 draws of blocks of hours, with replacement: a day has hours that are alike.

    Hours of one block stay together; blocks may begin anywhere and go on at the start.
    """
    size = len(cost)
    starts = np.random.default_rng(0).integers(0, size, (_DRAWS, -(-size // block)))
    sums = []
    for series in (cost, naive):
        running = np.concatenate([[0.0], np.cumsum(np.concatenate([series, series[:block]]))])
        sums.append((running[starts + block] - running[starts]).sum(axis=1))
    low, high = np.quantile(_skill(*sums), [(1 - _INSIDE) / 2, (1 + _INSIDE) / 2],
                            method="inverted_cdf")  # no mean of a draw and an infinite one
    return float(low), float(high)


def _skill(cost: Any, naive: Any) -> Any:
    """1 - cost / naive; 0 where neither costs anything, and minus infinity where only the naive one is free."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(cost == naive, 0.0, 1 - np.divide(cost, naive))


def _own(given: Iterable[float]) -> Floats:
    values = np.array(list(given), dtype=np.float64)
    if len(values) < LEARN + 4 * DAY or not np.isfinite(values).all() or (values < 0).any():
        raise ParameterError(say("forecast.error.demand", least=LEARN + 4 * DAY, given=len(values)))
    values.setflags(write=False)
    return values
