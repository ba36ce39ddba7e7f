"""One record of what some work caused, for the model and for the machine, so that both stand in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from virtlab.core.table import Shown, Table
from virtlab.core.units import number
from virtlab.core.words import say, words


@dataclass(frozen=True, repr=False)
class Counts(Shown):
    """What ``work`` units of work caused: whole events, each counter named by its scope (``words/en/counter.toml``).

    ``values`` holds a counter only if somebody counted it: one that is absent is unknown, one that is 0 is known to be
    none. A reason of a VM exit is a counter of its own: ``exits.io``.
    """

    title: str
    values: Mapping[str, float] = field(default_factory=dict)
    work: float = 1
    unit: str = "request"

    def __post_init__(self) -> None:
        for key in self.values:
            name_of(key)
        if not self.work > 0:
            raise ValueError(f"counts are of some work: more than 0 {self.unit}s, and not {self.work!r}")

    def __getitem__(self, key: str) -> float:
        return self.values[key]

    def per_unit(self, key: str) -> float:
        """How many for one unit of work. Raises KeyError for what nobody counted."""
        return self.values[key] / self.work

    def only(self, *keys: str) -> Counts:
        """The same record with these counters alone, of those that it has."""
        return replace(self, values={key: self.values[key] for key in keys if key in self.values})

    def table(self) -> Table:
        return side_by_side(self)


def name_of(key: str) -> str:
    """What a counter counts, in words. Raises LookupError for one that no word is written for."""
    scope, _, reason = key.partition(".")
    return say(f"counter.{scope}.reason", reason=reason) if reason else str(words(f"counter.{scope}.title"))


def side_by_side(*counts: Counts) -> Table:
    """Some records in one table, per unit of work; a dash where nobody counted. Raises ValueError if units differ."""
    units = {c.unit for c in counts}
    if len(units) != 1:
        raise ValueError(f"one table compares what ONE unit of work causes, and not: {', '.join(sorted(units))}")
    keys = list(dict.fromkeys(key for c in counts for key in c.values))
    rows = [
        (name_of(key), *(number(c.per_unit(key)) if key in c.values else str(words("counter.unknown")) for c in counts))
        for key in keys
    ]
    caption = say("counter.caption", unit=words(f"counter.unit.{units.pop()}"))
    return Table.of((words("counter.header"), *(c.title for c in counts)), rows, caption, range(1, len(counts) + 1))
