"""The tax of exits by their rate on a wall clock, for one kind of exit or for a vCPU's whole list: the rate form.

Rates as `perf kvm stat` counts them, times the cost of one exit, are a share of the vCPU's time: tau. To predict what
exits will make of work, use the work form (`virtlab.cpu.work`); tau = 1 - 1 / slowdown ties the two.

The time of an exit is no steal: the vCPU runs all the while, in KVM instead of in the guest, and to the guest it looks
like slow code of its own.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from virtlab.core.counts import Counts
from virtlab.core.parameter import ParameterError, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.cpu.cost_sets import Access, Bound, ExitCost
from virtlab.cpu.reasons import USERSPACE_RETURNS, Route, reason, routed
from virtlab.evidence import FACTS


class ExitOptions(ExitCost):
    """One kind of exit: how often, who handles it, and what that costs."""

    rate_per_s: float = parameter(FACTS["exit.rate.default"], ge=0, le=10_000_000)
    route: Route = parameter(FACTS["exit.route.default"], default="kernel")
    access: Access = parameter(FACTS["lab.exit.access"], default="pio")


class Tax(Shown):
    """What follows from the share of a vCPU's time that its exits take; a subclass says the share.

    A ``share`` above 1 says that these rates cannot be had: ``feasible`` is then False, and nothing is clipped.
    """

    @property
    @abstractmethod
    def share(self) -> float:
        """tau: the share of the vCPU's time."""

    def __float__(self) -> float:
        return self.share

    @property
    def feasible(self) -> bool:
        """Whether a second has room for these exits."""
        return self.share <= 1

    @property
    def slowdown(self) -> float:
        """How many times longer the guest's work takes, 1 / (1 - tau); infinite where no time is left for it."""
        return 1 / (1 - self.share) if self.share < 1 else math.inf


@dataclass(frozen=True, repr=False)
class ExitTax(Tax):
    """What one kind of exit takes of a vCPU's time. ``parts_ns`` are the causes of one exit's time.

    ``bound`` says how the set's figure stands to a real exit.
    """

    options: ExitOptions
    parts_ns: Mapping[str, float]
    bound: Bound

    @property
    def exit_ns(self) -> float:
        """One exit, all causes together."""
        return math.fsum(self.parts_ns.values())

    @property
    def share(self) -> float:
        """tau: the share of the vCPU's time."""
        return self.options.rate_per_s * self.exit_ns / 1e9

    @property
    def steal_share(self) -> float:
        """Always 0: steal is time that a vCPU could run and does not, and this one runs in KVM."""
        return 0.0

    @property
    def flushes_per_s(self) -> float:
        """TLB flushes: none where entries carry the VM's number."""
        return self.options.rate_per_s * self.options.flushes(self.options.route)

    def counts(self) -> Counts:
        """What a second causes, each counter by its own name: an exit is a switch of mode and of no thread."""
        o = self.options
        exits = 0.0 if o.route == "eliminated" else o.rate_per_s
        values = {"exits": exits, "userspace_returns": o.rate_per_s * USERSPACE_RETURNS[o.route], "context_switches": 0}
        return Counts(words(f"cpu_exits.route.{o.route}"), values, unit="second")

    def law(self) -> tuple[float, float]:
        """Conservation: the shares of the causes add up to the share. Returns both sides."""
        return math.fsum(self.options.rate_per_s * ns / 1e9 for ns in self.parts_ns.values()), self.share

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        return say(
            f"cpu_exits.tax.{'feasible' if self.feasible else 'infeasible'}", rate=show(o.rate_per_s, "1/s"),
            route=words(f"cpu_exits.route.{o.route}"), time=_bounded(self.bound, show(self.exit_ns, "ns")),
            share=_bounded(self.bound, show(self.share, "%")), costs=set_name(o), clock=show(o.clock_ghz, "GHz"),
        )  # fmt: skip

    def table(self) -> Table:
        rate = self.options.rate_per_s
        rows = [
            (words(f"cpu_exits.part.{part}"), show(ns, "ns"), show(rate * ns / 1e9, "%"))
            for part, ns in self.parts_ns.items() if ns
        ]  # fmt: skip
        rows.append((words("cpu_exits.total"), show(self.exit_ns, "ns"), show(self.share, "%")))
        return Table.of(words("cpu_exits.tax.header"), rows, self.sentence(), numeric=(1, 2))


@dataclass(frozen=True)
class Line:
    """One reason of a profile: how often, on which route, and the time of one such exit."""

    reason: str
    rate_per_s: float
    route: Route
    exit_ns: float
    bound: Bound

    @property
    def share(self) -> float:
        """The share of the vCPU's time."""
        return self.rate_per_s * self.exit_ns / 1e9

    @property
    def exits_per_s(self) -> float:
        """Exits that are left: none where they are eliminated."""
        return 0.0 if self.route == "eliminated" else self.rate_per_s


@dataclass(frozen=True, repr=False)
class ExitProfile(Tax):
    """What all exits of one vCPU take of its time, by reason."""

    cost: ExitCost
    lines: tuple[Line, ...]

    @property
    def share(self) -> float:
        """tau of all reasons together."""
        return math.fsum(line.share for line in self.lines)

    @property
    def exits_per_s(self) -> float:
        """Exits a second, without the eliminated ones."""
        return math.fsum(line.exits_per_s for line in self.lines)

    @property
    def userspace_returns_per_s(self) -> float:
        """Returns from KVM_RUN a second."""
        return math.fsum(line.rate_per_s * USERSPACE_RETURNS[line.route] for line in self.lines)

    @property
    def bound(self) -> Bound:
        """How the sum stands to real exits. A set is a floor in all its lines or in none: no two bounds meet."""
        bounds = {line.bound for line in self.lines if line.share}
        return "at_least" if "at_least" in bounds else "at_most" if "at_most" in bounds else "measured"

    def of_total(self) -> dict[str, float]:
        """The part of the tax that each reason has; together 1, where there is a tax."""
        total = self.share
        return {line.reason: line.share / total if total else 0.0 for line in self.lines}

    def ranking(self) -> tuple[Line, ...]:
        """The reasons, the dearest first: the order in which to look for a remedy."""
        return tuple(sorted(self.lines, key=lambda line: -line.share))

    def moved(self, key: str, route: Route) -> ExitProfile:
        """The same exits, with those of one reason on another route. Raises ParameterError where there is none."""
        rates = {line.reason: line.rate_per_s for line in self.lines}
        if key not in rates:
            raise ParameterError(say("cpu_exits.error.not_here", reason=key, reasons=", ".join(rates)))
        return exit_profile(rates, {line.reason: line.route for line in self.lines} | {key: route}, self.cost)

    def law(self) -> tuple[float, float]:
        """Conservation: the reasons' parts of the tax add up to 1, or to 0 where there is none. Returns both sides."""
        return math.fsum(self.of_total().values()), 1.0 if self.share else 0.0

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        first = self.ranking()[0]
        key = "none" if not self.share else "feasible" if self.feasible else "infeasible"
        return say(
            f"cpu_exits.profile.{key}", exits=show(self.exits_per_s, "1/s"), costs=set_name(self.cost),
            share=_bounded(self.bound, show(self.share, "%")), first=reason(first.reason).name,
            part=show(self.of_total()[first.reason], "%"),
        )  # fmt: skip

    def table(self) -> Table:
        rows = [
            (reason(line.reason).name, show(line.rate_per_s, "1/s"), words(f"cpu_exits.route.{line.route}"),
             show(line.exit_ns, "ns"), show(line.share, "%"))
            for line in self.ranking()
        ]  # fmt: skip
        rows.append((words("cpu_exits.total"), show(self.exits_per_s, "1/s"), "", "", show(self.share, "%")))
        return Table.of(words("cpu_exits.profile.header"), rows, self.sentence(), numeric=(1, 3, 4))


def exit_tax(options: ExitOptions | None = None, /, **changes: Any) -> ExitTax:
    """The share of a vCPU's time that one kind of exit takes. Options as in :class:`ExitOptions`, or by name.

    The default set is the floor of an AMD part with an empty handler, so that the result says "at least". Left out:
    the handler's own work (finding a page, QEMU's device model), waiting for another thread. Raises ParameterError,
    also where the set has no figure for this route.
    """
    o = ExitOptions.given(options, changes)
    return ExitTax(o, o.parts_ns(o.route, o.access), o.figure(o.route, o.access).bound)


def rate_at(share: float, options: ExitOptions | None = None, /, **changes: Any) -> float:
    """The rate (1/s) at which these exits take ``share`` of a vCPU's time; infinite where they cost nothing.

    At share 1 it is the most that a vCPU can do at all. ``rate_per_s`` of the options does not matter.
    """
    ns = exit_tax(options, **changes).exit_ns
    return share * 1e9 / ns if ns else math.inf


def exit_profile(
    rates_per_s: Mapping[str, float], routes: Mapping[str, Route] | None = None, cost: ExitCost | None = None,
    /, **changes: Any,
) -> ExitProfile:  # fmt: skip
    """The tax of a vCPU's exits by reason (keys of ``REASONS``), as `perf kvm stat` counts them.

    A reason that ``routes`` does not name takes the route that Linux gives it on this vendor's CPU. ``changes`` are
    parameters of :class:`ExitCost`. Raises ParameterError for a reason, rate or route that does not exist.
    """
    o = ExitCost(**changes) if cost is None else cost.replace(**changes) if changes else cost
    if not rates_per_s:
        raise ParameterError(say("cpu_exits.error.empty"))
    for key in set(routes or ()) - set(rates_per_s):
        raise ParameterError(say("cpu_exits.error.not_here", reason=key, reasons=", ".join(rates_per_s)))
    return ExitProfile(o, tuple(_line(o, key, rate, routes or {}) for key, rate in rates_per_s.items()))


def _line(cost: ExitCost, key: str, rate_per_s: float, routes: Mapping[str, Route]) -> Line:
    route = routed(key, routes.get(key, reason(key).usual(cost.vendor)), cost.vendor)
    if not (rate_per_s >= 0 and math.isfinite(rate_per_s)):
        raise ParameterError(say("cpu_exits.error.rate", reason=key, rate=repr(rate_per_s)))
    access: Access = "mmio" if key == "mmio" else "pio"
    return Line(key, rate_per_s, route, cost.ns(route, access), cost.figure(route, access).bound)


def _bounded(bound: Bound, figure: str) -> str:
    return say(f"cpu_exits.bound.{bound}", figure=figure)


def set_name(cost: ExitCost) -> str:
    """What the set of costs is called."""
    return ExitCost.specs()["exit_costs"].choice_label(cost.exit_costs)
