"""What is counted and not timed, case by case: a record with its witness, its table and its file."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from virtlab.core.parameter import ParameterError
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.machine.computer import watch
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.recorded import Witness, kept_table, qemu_version, witness_lines, witness_of
from virtlab.machine.sampling import reason

_UNITS = {"bytes": "B"}
_DIGITS = 4


@dataclass(frozen=True, repr=False)
class Counted(Shown):
    """Whole numbers by case and name, and for each case that cannot be had the reason: ``record["pc", "ports"]``.

    ``topic`` names the words, the file and the columns; a name that ends in ``_bytes`` is a size. ``subject`` is what
    was run, where that is not QEMU alone. ``notes()`` say how it was counted, and what the numbers hold besides.
    """

    topic: str
    witness: Witness
    cases: Mapping[str, Mapping[str, int]]
    missing: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""

    def __getitem__(self, key: tuple[str, str]) -> int:
        case, name = key
        if case in self.missing:
            raise KeyError(f"{case}: {self.missing[case]}")
        return self.cases[case][name]

    @property
    def complete(self) -> bool:
        return not self.missing

    def columns(self) -> tuple[str, ...]:
        return tuple(words(f"{self.topic}.column"))

    def title(self, case: str) -> str:
        return str(words(f"{self.topic}.case.{case}"))

    def table(self) -> Table:
        """One row a case; of one that is missing, the reason stands below."""
        columns = self.columns()
        rows = [(self.title(case), *(text(name, seen[name]) for name in columns)) for case, seen in self.cases.items()]
        head = (words("counted.case"), *(words(f"{self.topic}.column.{name}") for name in columns))
        caption = say(f"{self.topic}.caption", label=self.witness.label(), subject=self.subject)
        return Table.of(head, rows, caption, range(1, len(head)))

    def notes(self) -> tuple[str, ...]:
        """How it was counted, what remains in the numbers, and why each missing case is missing: one sentence each."""
        missing = [say("counted.missing", case=self.title(case), why=why) for case, why in self.missing.items()]
        return (*missing, str(words(f"{self.topic}.how")), str(words(f"{self.topic}.remains")))

    def __str__(self) -> str:
        return "\n".join([str(self.table()), *self.notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        below = "".join(f"<p><small>{html.escape(note)}</small></p>" for note in self.notes())
        return self.table()._repr_html_() + below

    def noted(self, note: str) -> Self:
        """The same record with a person's note on the computer."""
        return replace(self, witness=replace(self.witness, facts=replace(self.witness.facts, note=note)))

    def toml(self) -> str:
        """The text of a file that :func:`kept_counts` reads. Raises ValueError for a record that is not complete."""
        if self.missing:
            raise ValueError("; ".join(self.notes()[: len(self.missing)]))
        lines = [*witness_lines(self.witness), f"subject = {json.dumps(self.subject)}"]
        for case, seen in self.cases.items():
            lines += ["", f"[case.{case}]", *(f"{name} = {json.dumps(value)}" for name, value in seen.items())]
        return "\n".join([*lines, ""])


def text(name: str, value: int) -> str:
    """A count as a person reads it."""
    return show(value, _UNITS.get(name.rpartition("_")[2], "1"), _DIGITS)


def count(
    topic: str, cases: Iterable[str], one: Callable[[str], Mapping[str, int]], seconds: float,
    subject: Callable[[], str] = str,
) -> Counted:  # fmt: skip
    """Counts each case by ``one``. Whatever goes wrong with a case is its reason; an interrupt comes through.

    Raises ParameterError for ``seconds``, which each case may take, out of range.
    """
    if not 1 <= seconds <= 600:
        raise ParameterError(say("guest.why.limit", name="seconds", low=1, high=600, given=seconds))
    looked, version, about, why = watch(), "-", "-", ""
    try:
        version = qemu_version()
        about = subject()
    except MachineError as error:
        why = str(error)
    seen: dict[str, Mapping[str, int]] = {}
    missing: dict[str, str] = {}
    for case in cases:
        try:
            if why:
                raise MachineError(why)
            seen[case] = one(case)
        except MachineError as error:
            missing[case] = str(error)
        except Exception as error:  # a sandbox may refuse anything
            missing[case] = reason(error)
    return Counted(topic, Witness(version, looked()), seen, missing, about)


def kept_counts(topic: str) -> Counted:
    """The record of a topic that comes with the course."""
    tree = kept_table(f"recorded_{topic}.toml")
    return Counted(topic, witness_of(tree), tree["case"], subject=tree["subject"])


