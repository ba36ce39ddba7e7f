"""What a measurement of a computer's own costs looks like: quantities with their spread, and the computer's facts."""

from __future__ import annotations

import functools
import html
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal

from virtlab.core.table import Table
from virtlab.core.units import show
from virtlab.core.words import say, words

#: The quantities by id, with their units.
UNITS: Mapping[str, str] = {
    "syscall": "ns", "context_switch": "ns", "wakeup": "ns", "copy_cache": "GB/s", "copy_memory": "GB/s",
}  # fmt: skip
#: From this share of waiting for a CPU on, other programs were in the way.
BUSY = 0.1


@dataclass(frozen=True)
class Quantity:
    """One measured quantity: median, 10th and 90th percentile of ``n`` samples in ``unit``; or why it is ``missing``.

    A missing quantity has the values 0 and the reason, one sentence, in ``missing``.
    """

    id: str
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    n: int = 0
    missing: str = ""

    @property
    def unit(self) -> str:
        return UNITS[self.id]

    @property
    def present(self) -> bool:
        return not self.missing

    @property
    def title(self) -> str:
        return str(words(f"machine.{self.id}.title"))

    @property
    def how(self) -> str:
        """How it was measured, in one phrase."""
        return str(words(f"machine.{self.id}.how"))

    @property
    def remains(self) -> str:
        """What is still in the number that does not belong to it, and in which direction that errs."""
        return str(words(f"machine.{self.id}.remains"))

    def text(self) -> str:
        """Median and spread with their unit, or the reason why there are none."""
        if self.missing:
            return self.missing
        return say("machine.spread", value=show(self.value, self.unit), low=show(self.low, self.unit),
                   high=show(self.high, self.unit))  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """The computer: ``virtual`` is None where it cannot be told, ``waiting`` (a share of 1) where Linux does not say.

    ``cores`` are the CPUs that the program may use; ``waiting`` is the share of the ten seconds before the measurement
    in which some program waited for a CPU; ``note`` is what a person added.
    """

    cpu: str
    cores: int
    kernel: str
    date: str
    virtual: bool | None = None
    waiting: float | None = None
    note: str = ""

    def text(self) -> str:
        """The computer in one phrase."""
        kind = "" if self.virtual is None else str(words(f"machine.{'virtual' if self.virtual else 'bare'}"))
        cores = say("machine.one_core" if self.cores == 1 else "machine.cores", n=self.cores)
        return ", ".join(part for part in (self.cpu, cores, self.kernel, self.note or kind) if part)

    @property
    def busy(self) -> bool:
        """Whether other programs competed for the CPUs, so that the computer looks slower than it is."""
        return self.waiting is not None and self.waiting > BUSY


@dataclass(frozen=True, repr=False)
class Measured:
    """All quantities of one measurement. ``measured["syscall"].value``; prints as a table."""

    quantities: tuple[Quantity, ...]
    facts: Facts
    origin: Literal["now", "recorded"] = "now"

    def __getitem__(self, key: str) -> Quantity:
        for quantity in self.quantities:
            if quantity.id == key:
                return quantity
        raise KeyError(f"there is no quantity '{key}'; there are {', '.join(q.id for q in self.quantities)}")

    def label(self) -> str:
        """Where and when: one line for a caption."""
        noisy = words("machine.noisy") if self.facts.busy else ""
        return say(f"machine.{self.origin}", facts=self.facts.text(), date=self.facts.date, noisy=noisy)

    def table(self) -> Table:
        """One row a quantity: median, spread, number of samples, how it was measured, what remains in the number."""
        rows = [(q.title, q.text(), str(q.n) if q.present else "", q.how, q.remains) for q in self.quantities]
        return Table.of([words(f"machine.column.{k}") for k in ("quantity", "value", "n", "how", "remains")], rows,
                        caption=self.label(), numeric=(2,))  # fmt: skip

    def text(self) -> str:
        """The table without its long columns, for a terminal."""
        rows = [(q.title, q.text()) for q in self.quantities]
        return str(Table.of([words(f"machine.column.{k}") for k in ("quantity", "value")], rows, caption=self.label()))

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        return self.table()._repr_html_() + f"<p><small>{html.escape(words('machine.percentiles'))}</small></p>"

    def toml(self) -> str:
        """The measurement as the text of a file that :func:`load` reads: to keep it, or to hand it on."""
        lines = ["[facts]", *_lines(self.facts)]
        for quantity in self.quantities:
            lines += ["", "[[quantity]]", *_lines(quantity)]
        return "\n".join([*lines, ""])


def _lines(record: Facts | Quantity) -> list[str]:
    """The fields of ``record`` that are not at their default, as TOML."""
    lines = []
    for field in fields(record):
        value = getattr(record, field.name)
        if value != field.default:
            # A float has four digits: more is noise. JSON's texts and truth values are also those of TOML.
            written = float(f"{value:.4g}") if isinstance(value, float) else value
            lines.append(f"{field.name} = {json.dumps(written, ensure_ascii=False)}")
    return lines


def load(file: Traversable) -> Measured:
    """Reads what :meth:`Measured.toml` wrote. Raises ValueError, TypeError or OSError for a damaged file."""
    tree: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    return Measured(tuple(Quantity(**entry) for entry in tree["quantity"]), Facts(**tree["facts"]), "recorded")


@functools.cache
def recorded() -> Measured:
    """A measurement that comes with the course, for comparison and for computers that cannot measure."""
    return load(resources.files("virtlab.machine") / "data" / "recorded.toml")
