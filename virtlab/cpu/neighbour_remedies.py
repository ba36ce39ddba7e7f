"""What each remedy against noisy neighbours removes, leaves, makes worse and costs: computed, remedy by remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu.neighbour_options import NEIGHBOUR_REMEDIES, SLOWING, WAITING, Cause, NeighbourOptions, NeighbourRemedy
from virtlab.cpu.neighbours import Neighbours, solved


@dataclass(frozen=True, repr=False)
class NeighbourRemedies(Shown):
    """The same host without remedies (``none``), with each one alone (``each``), and with all (``every``)."""

    none: Neighbours
    each: dict[NeighbourRemedy, Neighbours]
    every: Neighbours

    def left(self, remedy: NeighbourRemedy) -> dict[Cause, float | None]:
        """The part of what a cause cost that is left beside the remedy: 0 where it is gone, more than 1 where it grew;
        None where it cost nothing before either."""
        before, after = self.none.costs, self.each[remedy].costs
        return {cause: _part(after[cause], before[cause]) for cause in (*WAITING, *SLOWING)}

    def sold_less(self, remedy: NeighbourRemedy) -> int:
        """The vCPUs that a socket sells less if all its VMs have the remedy."""
        return self.none.options.vcpus_sold - self.each[remedy].options.vcpus_sold

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        best = min(self.each, key=lambda remedy: self.each[remedy].tail.p99_ns)
        return say(
            "neighbours.remedies.sentence", before=show(self.none.tail.p99_ns, "ns"),
            after=show(self.every.tail.p99_ns, "ns"), quiet=show(self.none.quiet.p99_ns, "ns"),
            best=words(f"neighbours.remedy.{best}.name"), alone=show(self.each[best].tail.p99_ns, "ns"),
            sold=number(self.none.options.vcpus_sold), less=number(self.every.options.vcpus_sold),
        )  # fmt: skip

    def table(self) -> Table:
        """One row a remedy: what is left of each cause."""
        header = [words("neighbours.remedies.remedy"), *(words(f"neighbours.cause.{c}") for c in (*WAITING, *SLOWING))]
        rows = []
        for remedy in self.each:
            cells = (words("neighbours.remedies.never") if part is None else show(part, "%")
                     for part in self.left(remedy).values())  # fmt: skip
            rows.append((words(f"neighbours.remedy.{remedy}.name"), *cells))
        return Table.of(header, rows, self.sentence(), numeric=range(1, len(header)))

    def prices(self) -> Table:
        """One row a remedy: what the victim gains, and what it costs whom."""
        named = [("none", self.none), *self.each.items(), ("every", self.every)]
        rows = [
            (words(f"neighbours.remedy.{name}.name"), show(found.slowdown), show(found.tail.p99_ns, "ns"),
             show(found.tail.p999_ns, "ns"), number(found.options.vcpus_sold), show(found.neighbour_speed, "%"),
             show(found.idle_bytes, "B"), words(f"neighbours.remedy.{name}.price"))
            for name, found in named
        ]  # fmt: skip
        return Table.of(words("neighbours.remedies.prices_header"), rows, self.sentence(), numeric=range(1, 7))


def neighbour_remedies(options: NeighbourOptions | None = None, /, seed: int = 1, **changes: Any) -> NeighbourRemedies:
    """Each remedy alone, against none and all. Options as in :class:`NeighbourOptions`; their remedies do not matter.

    Pinning removes waiting for other vCPUs and no other cause; reservation and offload both remove waiting for the
    host's threads, the one with cores, the other with a card, whose DMA stays. Raises ParameterError.
    """
    o = NeighbourOptions.given(options, changes)
    none, *each, every = solved(
        [o.with_remedies(()), *(o.with_remedies((remedy,)) for remedy in NEIGHBOUR_REMEDIES),
         o.with_remedies(NEIGHBOUR_REMEDIES)], seed)  # fmt: skip
    return NeighbourRemedies(none, dict(zip(NEIGHBOUR_REMEDIES, each, strict=True)), every)


def _part(after: float, before: float) -> float | None:
    tiny = 1e-9  # what the solver leaves of nothing
    if abs(before) < tiny:
        return None
    return 0.0 if abs(after) < tiny else after / before
