"""The ledger: every claim before its three witnesses, where it holds and what breaks it first. Nothing is stored."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from virtlab import machine
from virtlab.cloud.verdict import Condition, Verdict
from virtlab.core.table import Shown, Table
from virtlab.core.words import say, words
from virtlab.evidence import CLAIMS, Claim, Fact


@dataclass(frozen=True)
class Testimony:
    """The machine's witness: the ``call`` that measures the reader's computer, and what a recorded one gave."""

    call: str
    recorded: Table


@dataclass(frozen=True, repr=False)
class Entry:
    """One claim with its verdict. Prints as the verdict, with the machine's witness below it."""

    claim: Claim
    verdict: Verdict

    def testimonies(self) -> tuple[Testimony, ...]:
        """What the machine can say; empty where nothing on a reader's computer can testify."""
        return tuple(Testimony(f"machine.{name}()", _recorded(name)) for name in self.claim.machine)

    def as_json(self) -> dict[str, Any]:
        """The entry as plain data: what ``virtlab claims --json`` prints."""
        first, claim = self.verdict.breaks_first, self.claim
        return {
            "id": claim.id,
            "claim": claim.text,
            "holds_when": [{**_named(c), "holds": c.where(), "breaks_at": c.breaks()} for c in self.verdict.conditions],
            "broken_by": None if first is None else {**_named(first), "value": first.breaks_at, "text": first.breaks()},
            "witnesses": {
                "model": list(self.verdict.calls),
                "literature": [_fact(f) for f in self.verdict.facts],
                "machine": {
                    "says": claim.testimony,
                    "witnesses": [{"call": t.call, "recorded": _table(t.recorded)} for t in self.testimonies()],
                },
            },
            "evidence_class": claim.evidence,
        }

    def machine_lines(self) -> list[str]:
        """The machine's witness in sentences."""
        calls = [say("ledger.measure", call=f"machine.{name}()") for name in self.claim.machine]
        return [say("ledger.machine", says=self.claim.testimony), *calls]

    def __str__(self) -> str:
        return "\n".join([str(self.verdict), *self.machine_lines()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{html.escape(line)}</p>" for line in self.machine_lines())
        return self.verdict._repr_html_() + said


@dataclass(frozen=True, repr=False)
class Ledger(Shown):
    """The entries of all claims, in their order. ``ledger["S3"]`` is one of them."""

    entries: tuple[Entry, ...]

    def __getitem__(self, claim: str) -> Entry:
        for entry in self.entries:
            if entry.claim.id == claim.strip().upper():
                return entry
        raise LookupError(say("doctor.cli.no_claim", claim=claim, ids=", ".join(e.claim.id for e in self.entries)))

    def __iter__(self) -> Any:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def table(self) -> Table:
        """One row a claim: its class, the condition that breaks first, and how many witnesses of each kind it has."""
        return Table.of(words("ledger.header"), [_row(e) for e in self.entries], str(words("ledger.caption")))

    def json(self) -> str:
        """All entries as the text of one JSON array."""
        return json.dumps([e.as_json() for e in self.entries], ensure_ascii=False, indent=1, allow_nan=False)

    def __str__(self) -> str:
        """For a terminal: some lines a claim, since a table of sentences would be wider than any screen."""
        return "\n\n".join("\n".join(_lines(e)) for e in self.entries)

    __repr__ = __str__


def ledger(claims: Iterable[str] = ()) -> Ledger:
    """The ledger of these claims (by id; of all 24 without), each verdict computed now by its judge: some seconds.

    Raises LookupError for an id that no claim has.
    """
    wanted = [c.strip().upper() for c in claims] or list(CLAIMS)
    unknown = [c for c in wanted if c not in CLAIMS]
    if unknown:
        raise LookupError(say("doctor.cli.no_claim", claim=unknown[0], ids=", ".join(CLAIMS)))
    return Ledger(tuple(Entry(CLAIMS[c], CLAIMS[c].verdict()) for c in wanted))


def _recorded(name: str) -> Table:
    """What comes with the course for a function of ``virtlab.machine``."""
    kept = name.replace("measure", "recorded") if name.startswith("measure") else f"recorded_{name}"
    table: Table = getattr(machine, kept)().table()
    return table


def _named(c: Condition) -> dict[str, Any]:
    return {"statement": c.statement, "setting": c.setting, "parameter": c.parameter, "label": c.axis.label}


def _fact(fact: Fact) -> dict[str, Any]:
    return {"id": fact.id, "quantity": fact.quantity, "figure": fact.text(), "class": fact.evidence,
            "source": fact.source.title, "year": fact.source.year, "address": fact.source.address}  # fmt: skip


def _table(table: Table) -> dict[str, Any]:
    return {"caption": table.caption, "columns": list(table.headers), "rows": [list(row) for row in table.rows]}


def _first(entry: Entry) -> tuple[str, str]:
    """Where the weakest statement holds, and what breaks it."""
    first = entry.verdict.breaks_first
    if first is None:
        return str(words("judge.unbroken")), str(words("judge.never"))
    holds = say("ledger.holds", statement=first.statement, setting=first.setting, parameter=first.axis.label,
                where=first.where())  # fmt: skip
    return holds, say("ledger.breaks", parameter=first.axis.label, value=first.breaks())


def _row(entry: Entry) -> tuple[str, ...]:
    v = entry.verdict
    witnesses = say("ledger.witnesses", model=len(v.calls), literature=len(v.facts), machine=len(entry.claim.machine))
    return (entry.claim.id, entry.claim.text, entry.claim.evidence, *_first(entry), witnesses)


def _lines(entry: Entry) -> list[str]:
    claim, text, evidence, *lines = _row(entry)
    return [f"{claim:4}[{evidence}] {text}", *(f"     {line}" for line in lines)]
