"""Which remedy earned what: the loss that goes away between two hosts, told apart by remedies.

A remedy's effect depends on what is there already, so that a waterfall depends on its order, and what goes missing when
one is taken away (ablation) adds up to nothing. Shapley's value is the mean over all orders: it adds up, and has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from virtlab.cloud.architectures import REMEDIES, Architecture
from virtlab.cloud.host import Host
from virtlab.cloud.overhead import Axis, Overhead, host_of, overhead_of, setting_of
from virtlab.cloud.server import ServerOptions
from virtlab.cloud.shapley import shapley
from virtlab.cloud.workloads import Workload
from virtlab.core.parameter import ParameterError
from virtlab.core.table import Shown, Table
from virtlab.core.units import show, signed
from virtlab.core.words import say, words

#: What differs between two hosts beside the remedies: one player of its own.
PARTICULAR = "particular"
_AXES: tuple[Axis, ...] = ("loss", "host_tax", "slowdown")


@dataclass(frozen=True)
class Bar:
    """One step of a waterfall: the loss before and after a remedy came, and what it earned."""

    remedy: str
    before: float
    after: float

    @property
    def earned(self) -> float:
        return self.before - self.after


@dataclass(frozen=True, repr=False)
class Attribution(Shown):
    """What each remedy earned of the loss (or of one axis): shares of 1, negative where it costs.

    ``start`` is the baseline, ``end`` the architecture. ``earned`` is Shapley's value, ``alone`` what a remedy earns as
    the only one, ``missed`` what is lost again when it is the only one taken away.
    """

    axis: Axis
    start: Overhead
    end: Overhead
    earned: Mapping[str, float]
    alone: Mapping[str, float]
    missed: Mapping[str, float]
    _at: Callable[[frozenset[str]], Overhead] = field(repr=False, compare=False)

    @property
    def remedies(self) -> tuple[str, ...]:
        """The players, in the order of REMEDIES."""
        return tuple(self.earned)

    @property
    def total(self) -> float:
        """What all of them earn together."""
        return self.start.on(self.axis) - self.end.on(self.axis)

    def ranking(self) -> tuple[str, ...]:
        """The remedies, what earned most first."""
        return tuple(sorted(self.earned, key=lambda r: -self.earned[r]))

    def with_only(self, *remedies: str) -> Overhead:
        """The host with these remedies and no others. Raises ParameterError."""
        self._check(remedies)
        return self._at(frozenset(remedies))

    def without(self, remedy: str) -> Attribution:
        """The same baseline and architecture, with one remedy taken away from what is told apart."""
        self._check((remedy,))
        return _attribution(self.axis, tuple(r for r in self.remedies if r != remedy), self._at)

    def waterfall(self, *order: str) -> tuple[Bar, ...]:
        """One remedy after the other, in any order of all of them (without one: as REMEDIES has them)."""
        chosen = order or self.remedies
        self._check(chosen)
        if len(chosen) != len(self.remedies):
            raise ParameterError(say("whole.error.order", names=", ".join(self.remedies)))
        losses = [self._at(frozenset(chosen[:n])).on(self.axis) for n in range(len(chosen) + 1)]
        return tuple(Bar(r, losses[n], losses[n + 1]) for n, r in enumerate(chosen))

    def _check(self, remedies: Sequence[str]) -> None:
        for n, remedy in enumerate(remedies):
            if remedy not in self.earned or remedy in remedies[:n]:
                raise ParameterError(say("whole.error.remedy", given=repr(remedy), names=", ".join(self.remedies)))

    def law(self) -> tuple[float, float]:
        """Conservation: what the remedies earned adds up to the difference. Returns both sides."""
        return math.fsum(self.earned.values()), self.total

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        if not self.earned:
            return say("whole.attribution.none")
        first = self.ranking()[0]
        return say(
            "whole.attribution.sentence", axis=words(f"whole.axis.{self.axis}"),
            start=show(self.start.on(self.axis), "%"), end=show(self.end.on(self.axis), "%"),
            first=words(f"whole.remedy.{first}"), earned=show(self.earned[first], "%"),
            alone=show(math.fsum(self.alone.values()), "%"), missed=show(math.fsum(self.missed.values()), "%"),
            total=show(self.total, "%"),
        )  # fmt: skip

    def table(self) -> Table:
        rows = [(words(f"whole.remedy.{r}"), *(signed(part[r], "%") for part in (self.earned, self.alone, self.missed)))
                for r in self.ranking()]  # fmt: skip
        sums = (signed(math.fsum(part.values()), "%") for part in (self.earned, self.alone, self.missed))
        rows.append((words("whole.attribution.sum"), *sums))
        return Table.of(words("whole.attribution.header"), rows, self.sentence(), numeric=(1, 2, 3))


def attribute(
    architecture: Architecture | Host | str = "nitro", workload: Workload | str = "compute",
    server: ServerOptions | None = None, /, *, baseline: Architecture | Host | str = "qemu", axis: Axis = "loss",
    **changes: Any,
) -> Attribution:  # fmt: skip
    """What each remedy earned between a baseline and an architecture under a workload; else as :func:`overhead`.

    A remedy is a player where the two hosts differ in something that it changes; what else differs is one more,
    "particular". ``axis`` is loss, host_tax or slowdown. Raises ParameterError.
    """
    if axis not in _AXES:
        raise ParameterError(say("whole.error.axis", given=repr(axis)))
    first, start = host_of(baseline)
    last, target = host_of(architecture)
    players = differences(start, target)
    setting = setting_of(workload, server, changes)

    def at(remedies: frozenset[str]) -> Overhead:
        host = start.model_copy(update={f: getattr(target, f) for r in remedies for f in players[r]})
        name = last if len(remedies) == len(players) else "own" if remedies else first
        return overhead_of(name, host, *setting)

    return _attribution(axis, tuple(players), at)


def _attribution(axis: Axis, players: tuple[str, ...], at: Callable[[frozenset[str]], Overhead]) -> Attribution:
    none, every = frozenset[str](), frozenset(players)
    earned = shapley(lambda remedies: -at(remedies).on(axis), players)
    alone = {r: at(none).on(axis) - at(frozenset({r})).on(axis) for r in players}
    missed = {r: at(every - {r}).on(axis) - at(every).on(axis) for r in players}
    return Attribution(axis, at(none), at(every), MappingProxyType(earned), MappingProxyType(alone),
                       MappingProxyType(missed), at)  # fmt: skip


def differences(start: Host, target: Host) -> dict[str, tuple[str, ...]]:
    """The fields in which two hosts differ, by the remedy that changes them; others under PARTICULAR.

    A remedy has its fields as soon as one of the hosts has a value of it in one of them: a card whose front end stays
    in the VMM is a card. A switch that moves to the management is none. The block engine matters to nobody once the
    disk is no work of the VMM.
    """
    differ = {f for f in Host.model_fields if getattr(start, f) != getattr(target, f)}
    back = start.storage_place != "vmm" and target.storage_place == "vmm"  # to a VMM, with the engine that it has
    if target.storage_place != "vmm" or back:
        differ.discard("block_engine")
    players: dict[str, tuple[str, ...]] = {}
    for remedy, changes in REMEDIES.items():
        fields = tuple(f for f in changes if f in differ)
        if back and "storage_place" in fields:
            fields += ("block_engine",)
        if any(changes.get(f) in (getattr(start, f), getattr(target, f)) for f in fields):
            players[remedy] = fields
            differ -= set(fields)
    if differ:
        players[PARTICULAR] = tuple(f for f in Host.model_fields if f in differ)
    return players
