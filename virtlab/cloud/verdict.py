"""What a judge hands down: sentences, the conditions in which a claim holds, and the first of them to break."""

from __future__ import annotations

import html
import itertools
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from virtlab.core.parameter import Parameters
from virtlab.core.table import Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import Fact

#: The widest that each column of the printed table gets: statement, parameter, where it holds, where it breaks.
_WIDTHS = (30, 24, 32, 16)


@dataclass(frozen=True)
class Axis:
    """The values that one parameter can take while a judge turns it: low .. high, or a list of choices."""

    name: str
    unit: str = "1"
    low: float = 0.0
    high: float = 0.0
    integer: bool = False
    choices: tuple[Any, ...] = ()

    @classmethod
    def of(cls, parameters: type[Parameters], name: str) -> Axis:
        """The axis of a declared parameter."""
        spec = parameters.specs()[name]
        choices = (False, True) if spec.kind == "bool" else spec.choices
        return cls(name, spec.unit, spec.low or 0.0, spec.high or 0.0, spec.kind == "int", choices)

    @property
    def label(self) -> str:
        own = words("judge.parameter")
        return str(own[self.name] if self.name in own else words(f"parameter.{self.name}.label"))

    def show(self, value: Any) -> str:
        """``value`` as a person reads it; a bare number is a share and reads as per cent."""
        if isinstance(value, bool):
            return str(words("judge.on" if value else "judge.off"))
        if isinstance(value, str):
            own = words("judge.choice")
            of_axis = f"{self.name}.{value}"  # where a word means two things: "guest" is a CPU, or where a vCPU is
            key = of_axis if of_axis in own else value
            return str(own[key] if key in own else words(f"parameter.{self.name}.choices")[value])
        if value == 1 and self.unit in words("judge.one"):
            return str(words("judge.one")[self.unit])
        return show(float(value), "%" if self.unit == "1" else self.unit)


@dataclass(frozen=True)
class Condition:
    """Where one statement of a claim holds while one parameter is turned and all others stay as the setting says.

    It holds from ``low`` to ``high`` in ``unit`` (shares: "1"), or for ``choices`` of a parameter that has choices;
    not even at ``start`` when all of these are empty. ``breaks_at`` is the nearest value that breaks it: the next
    integer, the next choice, or the end of the interval itself; None when nothing in the parameter's range does.
    ``distance`` is how far that is: the logarithm of the factor, where one step of a choice, or away from 0, counts
    as a factor of two. ``holds`` is the statement itself, as a function of the parameter.
    """

    statement: str
    setting: str
    parameter: str
    unit: str
    start: Any
    low: float | None
    high: float | None
    choices: tuple[Any, ...]
    breaks_at: Any
    distance: float
    axis: Axis = field(repr=False)
    holds: Callable[[Any], bool] = field(repr=False, compare=False)

    def where(self) -> str:
        """The values for which the statement holds, in words."""
        if self.axis.choices:
            return "; ".join(self.axis.show(c) for c in self.choices) or str(words("judge.nowhere"))
        if self.low is None or self.high is None:
            return say("judge.not_at", value=self.axis.show(self.start))
        if self.low == self.high:
            return say("judge.only", value=self.axis.show(self.low))
        return say("judge.interval", low=self.axis.show(self.low), high=self.axis.show(self.high))

    def breaks(self) -> str:
        """The nearest value that breaks the statement, in words."""
        return str(words("judge.never")) if self.breaks_at is None else self.axis.show(self.breaks_at)


@dataclass(frozen=True, repr=False)
class Verdict:
    """What was found about a claim. ``breaks_first`` is the condition with the shortest way to where it breaks.

    ``facts`` are the literature's witnesses; ``calls`` the model's, as lines of Python that a reader can run.
    """

    claim: str
    sentences: tuple[str, ...]
    conditions: tuple[Condition, ...]
    breaks_first: Condition | None
    facts: tuple[Fact, ...]
    calls: tuple[str, ...]

    def first(self) -> str:
        """The first parameter that breaks the claim, in one sentence."""
        c = self.breaks_first
        if c is None:
            return str(words("judge.unbroken"))
        key = "judge.first" if c.low is not None or c.choices else "judge.broken"
        return say(key, statement=c.statement, setting=c.setting, parameter=c.axis.label, value=c.breaks())

    def table(self) -> Table:
        rows = [(c.statement, c.setting, c.axis.label, c.where(), c.breaks()) for c in self.conditions]
        return Table.of(words("judge.header"), rows)

    def _plain_table(self) -> str:
        """The table for a terminal: the setting stands once above its rows, and long cells are broken."""
        heads = [h for i, h in enumerate(words("judge.header")) if i != 1]
        rows: list[tuple[str, ...]] = []
        titles: dict[int, str] = {}  # the row before which a setting's name stands
        for setting in dict.fromkeys(c.setting for c in self.conditions):
            titles[len(rows)] = setting
            for c in (c for c in self.conditions if c.setting == setting):
                cells = (c.statement, c.axis.label, c.where(), c.breaks())
                broken = [
                    textwrap.wrap(cell, width, break_on_hyphens=False)
                    for cell, width in zip(cells, _WIDTHS, strict=True)
                ]
                rows += itertools.zip_longest(*broken, fillvalue="")
        head, rule, *lines = str(Table.of(heads, rows)).splitlines()
        named = ([f"{titles[i]}:", line] if i in titles else [line] for i, line in enumerate(lines))
        return "\n".join([head, rule, *itertools.chain(*named)])

    def __str__(self) -> str:
        calls = [say("judge.call", call=c) for c in self.calls]
        return "\n".join([self.first(), *self.sentences, "", self._plain_table(), "", *self._cited(), *calls])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def items(texts: list[str]) -> str:
            return "<ul>" + "".join(f"<li>{t}</li>" for t in texts) + "</ul>"

        first, *said = (html.escape(s) for s in (self.first(), *self.sentences))
        paragraphs = f"<p><strong>{first}</strong></p>" + "".join(f"<p>{s}</p>" for s in said)
        cited = [html.escape(text) for text in self._cited()]
        calls = [f"<code>{html.escape(c)}</code>" for c in self.calls]
        folded = self.table()._repr_html_() + items(cited + calls)
        return f"{paragraphs}<details><summary>{html.escape(words('judge.details'))}</summary>{folded}</details>"

    def _cited(self) -> list[str]:
        return [
            say("judge.fact", kind=words(f"judge.kind.{_kind(f)}"), quantity=f.quantity, figure=f.text(), cite=f.cite())
            for f in self.facts
        ]


def _kind(fact: Fact) -> str:
    """What sort of witness a fact is: the article, a choice of this course, recalled, or literature."""
    if fact.source.id in ("article", "course"):
        return fact.source.id
    return "recalled" if fact.evidence == "R" else "literature"


def verdict(
    claim: str,
    sentences: tuple[str, ...],
    conditions: tuple[Condition, ...],
    facts: tuple[Fact, ...],
    calls: tuple[str, ...],
) -> Verdict:
    """A verdict whose ``breaks_first`` is the nearest break of all conditions (the first listed of equals)."""
    broken = [c for c in conditions if c.breaks_at is not None]
    first = min(broken, key=lambda c: round(c.distance, 6), default=None)
    return Verdict(claim, sentences, conditions, first, facts, calls)


def turn(statement: str, setting: str, axis: Axis, start: Any, holds: Callable[[Any], bool]) -> Condition:
    """Turns one parameter away from ``start`` and finds where ``holds`` stops.

    ``statement`` and ``setting`` are keys of judge.toml. Numbers are searched by bisection, so what holds at ``start``
    must hold in one piece around it. Choices are all tried.
    """
    texts = (str(words(f"judge.statement.{statement}")), str(words(f"judge.setting.{setting}")))
    if axis.choices:
        good = tuple(c for c in axis.choices if holds(c))
        steps = {c: abs(axis.choices.index(c) - axis.choices.index(start)) for c in axis.choices if c not in good}
        at = min(steps, key=lambda c: steps[c], default=None)
        distance = math.log(2) * steps[at] if steps else math.inf
        return Condition(*texts, axis.name, axis.unit, start, None, None, good, at, distance, axis, holds)
    if not holds(start):
        return Condition(*texts, axis.name, axis.unit, start, None, None, (), start, 0.0, axis, holds)
    low = _edge(axis, start, axis.low, holds)
    high = _edge(axis, start, axis.high, holds)
    step = 1.0 if axis.integer else 0.0  # an interval of whole numbers breaks at the next one, another at its own end
    ends = [end + way * step for end, limit, way in ((low, axis.low, -1), (high, axis.high, 1)) if end != limit]
    nearest = min(ends, key=lambda e: _factor(start, e), default=None)
    far = math.inf if nearest is None else _factor(start, nearest)
    return Condition(*texts, axis.name, axis.unit, start, low, high, (), nearest, far, axis, holds)


def _edge(axis: Axis, inside: float, limit: float, holds: Callable[[Any], bool]) -> float:
    """The last value towards ``limit`` for which ``holds`` is true."""
    if holds(limit):
        return limit
    outside = limit
    if axis.integer:
        while abs(outside - inside) > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if holds(middle) else (inside, middle)
        return inside
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside


def _factor(start: float, end: float) -> float:
    if start <= 0 or end <= 0:
        return math.log(2) if abs(end - start) <= 1 else math.log(1 + abs(end - start))
    return abs(math.log(end / start))
