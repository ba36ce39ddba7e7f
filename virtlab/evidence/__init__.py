"""Facts and claims: every number with its source, conditions and evidence class; every claim with its judge."""

from __future__ import annotations

import csv
import functools
import importlib
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from virtlab.core.table import Table
from virtlab.core.units import show

CLASSES = {
    "V": "verified: read in the primary source",
    "S": "secondary: read in a reliable text that quotes the primary",
    "R": "recalled: a default to play with, never a proof",
    "D": "derived: computed from other facts",
    "U": "unfound: no public source was found",
}
_COLUMNS = ("id", "quantity", "value", "low", "high", "unit", "conditions", "source", "class", "note")


class EvidenceError(ValueError):
    """A damaged data file; the message names the file, the entry and the field."""


@dataclass(frozen=True)
class Source:
    """Where a number was published."""

    id: str
    title: str
    year: int
    address: str


@dataclass(frozen=True)
class Fact:
    """One published quantity: ``value`` is the figure.

    Where only an interval was published, ``middle`` is True: ``value`` is then derived, the middle of ``low`` ..
    ``high``, and does not count as published.
    """

    id: str
    quantity: str
    value: float
    low: float
    high: float
    unit: str
    conditions: str
    source: Source
    evidence: str
    note: str
    middle: bool = False

    @property
    def is_interval(self) -> bool:
        return self.low < self.high

    def text(self) -> str:
        """The figure with its unit, and the interval where there is one; the interval alone where that is all."""
        span = f"{show(self.low, self.unit)} to {show(self.high, self.unit)}"
        if self.middle:
            return span
        return show(self.value, self.unit, 5) + (f" ({span})" if self.is_interval else "")

    def cite(self) -> str:
        """Class and source in one short text, for a caption; says so where a middle was derived."""
        derived = " (an interval: its middle is derived [D])" if self.middle else ""
        return f"[{self.evidence}] {self.source.title}, {self.source.year}{derived}"

    def __str__(self) -> str:
        note = f" Note: {self.note}" if self.note else ""
        return f"{self.quantity}: {self.text()}. {self.conditions}. {self.cite()}.{note}"


@dataclass(frozen=True)
class Claim:
    """One claim of the article, in our own words.

    ``machine`` names the functions of ``virtlab.machine`` that testify, ``testimony`` what they show or why none can.
    """

    id: str
    text: str
    notebooks: tuple[str, ...]
    judge: str
    evidence: str
    note: str
    machine: tuple[str, ...]
    testimony: str

    def judge_function(self) -> Callable[[], Any]:
        """The function that computes where the claim holds."""
        module, name = self.judge.split(":")
        function: Callable[[], Any] = getattr(importlib.import_module(module), name)
        return function

    def verdict(self) -> Any:
        """Where the claim holds and what breaks it, computed now by its judge."""
        return self.judge_function()()


class _Register(Mapping[str, Any]):
    """A read-only mapping that is loaded at the first look."""

    def __init__(self, what: str, load: Callable[[], dict[str, Any]]) -> None:
        self._what = what
        self._load = functools.cache(load)

    def __getitem__(self, key: str) -> Any:
        try:
            return self._load()[key]
        except KeyError:
            raise KeyError(f"there is no {self._what} '{key}'; see `virtlab {self._what}s`") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())


def _data() -> Traversable:
    return resources.files("virtlab.evidence") / "data"


def load_sources(file: Traversable) -> dict[str, Source]:
    """Reads a sources file (TOML): one table a source with title, year and address."""
    sources = {}
    for key, entry in _toml(file).items():
        fields = [_field(entry, f, t, file, key) for f, t in (("title", str), ("year", int), ("address", str))]
        for name, value in (("title", fields[0]), ("address", fields[2])):
            if not value.strip():
                raise EvidenceError(f"{file.name}, entry {key}, field {name}: must not be empty")
        sources[key] = Source(key, *fields)
    return sources


def load_facts(file: Traversable, sources: Mapping[str, Source]) -> dict[str, Fact]:
    """Reads a facts file (CSV). A fact without source, class, unit or number is refused."""
    facts: dict[str, Fact] = {}
    rows = csv.DictReader(_text(file).splitlines(), strict=True)
    if tuple(rows.fieldnames or ()) != _COLUMNS:
        raise EvidenceError(f"{file.name}, line 1: the header must be {','.join(_COLUMNS)}")
    for row in _rows(file, rows):
        where = row["id"] or f"line {rows.line_num}"

        def refuse(field: str, why: str, where: str = where) -> EvidenceError:
            return EvidenceError(f"{file.name}, entry {where}, field {field}: {why}")

        if None in row or None in row.values():
            raise refuse("note", f"the row must have {len(_COLUMNS)} columns; quote texts that hold a comma")
        for field in ("id", "quantity", "unit", "source", "class"):
            if not row[field].strip():
                raise refuse(field, "must not be empty")
        if row["id"] in facts:
            raise refuse("id", "stands twice")
        if row["class"] not in tuple("VSRD"):
            raise refuse("class", f"must be V, S, R or D, not '{row['class']}'")
        if row["source"] not in sources:
            raise refuse("source", f"'{row['source']}' is not in sources.toml")
        if row["class"] == "R" and not row["note"].startswith("recalled; look in "):
            raise refuse("note", "of a recalled figure must begin with 'recalled; look in ...'")
        if row["class"] == "D" and not row["note"]:
            raise refuse("note", "of a derived figure must give the formula")
        numbers = {}
        for field in ("value", "low", "high"):
            try:
                number = float(row[field]) if row[field].strip() else None
            except ValueError:
                raise refuse(field, f"'{row[field]}' is not a number") from None
            if number is not None and not math.isfinite(number):
                raise refuse(field, f"'{row[field]}' is not a finite number")
            numbers[field] = number
        low, high, value = numbers["low"], numbers["high"], numbers["value"]
        if (low is None) != (high is None):
            raise refuse("low" if low is None else "high", "an interval needs both ends")
        if value is None and (low is None or high is None):
            raise refuse("value", "a figure or an interval is needed")
        middle = value is None
        if value is None:
            assert low is not None and high is not None
            value = (low + high) / 2
        low, high = value if low is None else low, value if high is None else high
        if not low <= value <= high:
            raise refuse("value", f"{value:g} lies outside its interval {low:g} to {high:g}")
        facts[row["id"]] = Fact(
            row["id"], row["quantity"], value, low, high, row["unit"], row["conditions"],
            sources[row["source"]], row["class"], row["note"], middle and low < high,
        )  # fmt: skip
    return facts


def load_claims(file: Traversable) -> dict[str, Claim]:
    """Reads the claims file (TOML, an array of tables named claim)."""
    claims: dict[str, Claim] = {}
    for entry in _toml(file).get("claim", []):
        if not isinstance(entry, dict):
            raise EvidenceError(f"{file.name}, entry claim: must be an array of tables, [[claim]]")
        key = _field(entry, "id", str, file, f"number {len(claims) + 1}")
        text, judge, evidence, note, testimony = (
            _field(entry, f, str, file, key) for f in ("text", "judge", "class", "note", "testimony")
        )
        notebooks, machine = (tuple(_field(entry, f, list, file, key)) for f in ("notebooks", "machine"))
        if evidence not in CLASSES:
            raise EvidenceError(f"{file.name}, entry {key}, field class: must be one of {', '.join(CLASSES)}")
        if not text or not notebooks:
            raise EvidenceError(f"{file.name}, entry {key}, field {'notebooks' if text else 'text'}: must not be empty")
        if judge.count(":") != 1:
            raise EvidenceError(f"{file.name}, entry {key}, field judge: must be module:function")
        if key in claims:
            raise EvidenceError(f"{file.name}, entry {key}, field id: stands twice")
        claims[key] = Claim(key, text, notebooks, judge, evidence, note, machine, testimony)
    return claims


def _text(file: Traversable) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise EvidenceError(f"{file.name}: must be UTF-8 ({error.reason} at byte {error.start})") from None


def _rows(file: Traversable, rows: csv.DictReader[str]) -> Iterator[dict[str, str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise EvidenceError(f"{file.name}, line {rows.reader.line_num}: {error}") from None


def _toml(file: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise EvidenceError(f"{file.name}: {error}") from None


def _field(entry: Mapping[str, Any], name: str, kind: type, file: Traversable, key: str) -> Any:
    value = entry.get(name) if isinstance(entry, Mapping) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise EvidenceError(f"{file.name}, entry {key}, field {name}: missing, or not a {kind.__name__}")
    return value


def _all_facts() -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for file in sorted((_data() / "facts").iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".csv"):  # what a desktop or an editor leaves behind
            continue
        for key, fact in load_facts(file, SOURCES).items():
            if key in facts:
                raise EvidenceError(f"{file.name}, entry {key}, field id: stands in another file too")
            facts[key] = fact
    return facts


SOURCES: Mapping[str, Source] = _Register("source", lambda: load_sources(_data() / "sources.toml"))
FACTS: Mapping[str, Fact] = _Register("fact", _all_facts)
CLAIMS: Mapping[str, Claim] = _Register("claim", lambda: load_claims(_data() / "claims.toml"))


def find(text: str = "") -> Table:
    """The facts whose id, quantity or conditions contain ``text`` (all of them by default), as a table."""
    wanted = text.lower()
    hits = [f for f in FACTS.values() if wanted in f"{f.id} {f.quantity} {f.conditions}".lower()]
    rows = [(f.id, f.quantity, f.text(), f.evidence, f"{f.source.title} ({f.source.year})") for f in hits]
    return Table.of(("fact", "quantity", "figure", "class", "source"), rows)
