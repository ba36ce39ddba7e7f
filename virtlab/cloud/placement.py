"""Which function runs where, who says so, and what vendors say in numbers: each cell with its evidence class.

A class says how a statement was read, not that it is true: a slogan that its maker printed is verified as a slogan.
What kind of statement a number is stands beside it, so that a reader can ask which of them survive a filter.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from virtlab.cloud.architectures import ARCHITECTURES, Architecture, read_data
from virtlab.core.parameter import ParameterError
from virtlab.core.table import Shown, Table
from virtlab.core.words import say, words
from virtlab.evidence import FACTS, SOURCES, Fact
from virtlab.offload import Known

#: What a tenant gets besides the ten duties.
FUNCTIONS = ("tcp", "migration")
Kind = Literal["specification", "measurement", "catalogue", "judgement", "marketing", "unfound"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Placed:
    """A duty or function of one architecture: its place, and how that is known (None: a reader's own choice)."""

    architecture: str
    duty: str
    place: str
    known: Known | None

    @property
    def class_(self) -> str:
        """The evidence class of the place; "" for a reader's own choice."""
        return self.known.class_ if self.known else ""

    def text(self) -> str:
        """The place as a reader sees it, with its class."""
        place = words(f"whole.place.{self.place}")
        return say("whole.cell", text=place, class_=self.class_) if self.known else str(place)


@dataclass(frozen=True)
class VendorNumber:
    """A number that a vendor (or somebody about it) states, and the kind of statement that it is."""

    who: str
    kind: Kind
    fact: Fact

    @property
    def class_(self) -> str:
        """The evidence class: that of the fact, and U where only the article says so."""
        return "U" if self.kind == "unfound" else self.fact.evidence

    def text(self) -> str:
        """The figure with its class and kind."""
        return say("whole.number", quantity=self.fact.quantity, text=self.fact.text(), class_=self.class_,
                   kind=words(f"whole.kind.{self.kind}"))  # fmt: skip


@dataclass(frozen=True, repr=False)
class VendorNumbers(Shown):
    """Numbers that can be filtered by kind, by class and by vendor."""

    rows: tuple[VendorNumber, ...]

    def of(self, *kinds: str) -> VendorNumbers:
        """Those of these kinds. Raises ParameterError for a kind that does not exist."""
        for kind in kinds:
            if kind not in KINDS:
                raise ParameterError(say("whole.error.kind", given=repr(kind), names=", ".join(KINDS)))
        return VendorNumbers(tuple(row for row in self.rows if row.kind in kinds))

    def classed(self, *classes: str) -> VendorNumbers:
        """Those of these evidence classes."""
        return VendorNumbers(tuple(row for row in self.rows if row.class_ in classes))

    def by(self, who: str) -> VendorNumbers:
        """Those of one architecture."""
        return VendorNumbers(tuple(row for row in self.rows if row.who == who))

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        found = Counter(row.kind for row in self.rows)
        return {kind: found[kind] for kind in KINDS}

    def sentence(self) -> str:
        """How many rows there are of each kind, in one sentence."""
        parts = [say("whole.count", kind=words(f"whole.kind.{kind}"), n=n) for kind, n in self.counts().items() if n]
        return say("whole.numbers", n=len(self.rows), parts=", ".join(parts) or words("whole.no_numbers"))

    def table(self) -> Table:
        rows = [(words(f"whole.architecture.{row.who}"), row.fact.quantity, row.fact.text(),
                 words(f"whole.kind.{row.kind}"), row.class_, row.fact.source.title) for row in self.rows]  # fmt: skip
        return Table.of(words("whole.numbers_header"), rows, self.sentence())


@dataclass(frozen=True, repr=False)
class SideBySide(Shown):
    """Architectures next to each other: a row for each duty, function and published number."""

    architectures: tuple[str, ...]
    placed: Mapping[str, tuple[Placed, ...]]
    numbers: Mapping[str, VendorNumbers]

    def differ(self) -> tuple[str, ...]:
        """The duties and functions whose places are not the same in all of them."""
        rows = zip(*self.placed.values(), strict=True)
        return tuple(row[0].duty for row in rows if len({cell.place for cell in row}) > 1)

    def sentence(self) -> str:
        """In which duties they differ, in one sentence."""
        names = ", ".join(str(words(f"whole.duty.{duty}")) for duty in self.differ())
        return say("whole.side.differ", duties=names) if names else str(words("whole.side.same"))

    def table(self) -> Table:
        rows: list[tuple[str, ...]] = [
            (str(words(f"whole.duty.{cells[0].duty}")), *(cell.text() for cell in cells))
            for cells in zip(*self.placed.values(), strict=True)
        ]
        most = max(len(found.rows) for found in self.numbers.values())
        for n in range(most):
            texts = (found.rows[n].text() if n < len(found.rows) else "" for found in self.numbers.values())
            rows.append((str(words("whole.side.number")) if n == 0 else "", *texts))
        names = [words(f"whole.architecture.{a}") for a in self.placed]
        return Table.of([words("whole.side.duty"), *names], rows, self.sentence())


def placement(architecture: Architecture | str) -> tuple[Placed, ...]:
    """The place of every duty and function of an architecture, each with source and class. Raises ParameterError.

    What a reader composed, or changed against the published one, is nobody's statement: those cells have no class.
    """
    name, own = _named(architecture)
    published = ARCHITECTURES.get(name)
    said = _said().get(name, {})
    cells = []
    for duty, place in own.host.places().items():
        same = published is not None and published.host.place(duty) == place
        cells.append(Placed(name, duty, place, Known("", *said[duty]) if same else None))
    functions = said.get("functions", {})
    for function in FUNCTIONS:
        where, *by = functions.get(function, ("guest" if function == "tcp" else "vmm",))
        cells.append(Placed(name, function, where, Known("", *by) if by else None))
    return tuple(cells)


def table_of(architecture: Architecture | str) -> Table:
    """One architecture: place, class and source of every duty and function."""
    rows = [
        (words(f"whole.duty.{cell.duty}"), words(f"whole.place.{cell.place}"), cell.class_,
         SOURCES[cell.known.source].title if cell.known else words("whole.own"))
        for cell in placement(architecture)
    ]  # fmt: skip
    return Table.of(words("whole.places_header"), rows)


def side_by_side(*architectures: Architecture | str) -> SideBySide:
    """Two or more architectures next to each other, each cell with its evidence class. Raises ParameterError."""
    if len(architectures) < 2:
        raise ParameterError(say("whole.error.two"))
    cells: dict[str, tuple[Placed, ...]] = {}
    for one in architectures:
        name, _ = _named(one)
        if name in cells:
            raise ParameterError(say("whole.error.twice", name=name))
        cells[name] = placement(one)
    numbers = {name: vendor_numbers().by(name) for name in cells}
    return SideBySide(tuple(cells), MappingProxyType(cells), MappingProxyType(numbers))


@functools.cache
def vendor_numbers() -> VendorNumbers:
    """All numbers of the vendors, to be filtered: ``vendor_numbers().of("specification", "measurement")``."""
    rows = read_data("vendor_numbers.toml")["row"]
    return VendorNumbers(tuple(VendorNumber(row["who"], row["kind"], FACTS[row["fact"]]) for row in rows))


@functools.cache
def _said() -> dict[str, Any]:
    return read_data("placement.toml")


def _named(architecture: Architecture | str) -> tuple[str, Architecture]:
    if isinstance(architecture, str):
        if architecture not in ARCHITECTURES:
            raise ParameterError(
                say("whole.error.architecture", given=repr(architecture), names=", ".join(ARCHITECTURES))
            )
        architecture = ARCHITECTURES[architecture]
    return architecture.id, architecture
