"""What the judges share: facts by their ids, sentences by their claim, counts of a path, and what "about" means."""

from __future__ import annotations

from typing import Any

from virtlab.cloud.architectures import ARCHITECTURES, Architecture
from virtlab.cloud.verdict import Axis
from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.evidence import FACTS, Fact
from virtlab.paths import LADDER, Counts

_ABOUT = 0.2
PATH = Axis("path", choices=tuple(LADDER))
ARCHITECTURE = Axis("architecture", choices=tuple(ARCHITECTURES))
BATCH = Axis("batch", "packets", 1, 64, integer=True)


def cited(*ids: str) -> tuple[Fact, ...]:
    """The facts with these ids."""
    return tuple(FACTS[i] for i in ids)


def filled(claim: str, **values: object) -> tuple[str, ...]:
    """The sentences of a claim in judge.toml, filled."""
    return tuple(str(template).format(**values) for template in words(f"judge.{claim}"))


def near(value: float, wanted: float) -> bool:
    """Whether ``value`` is within a fifth of ``wanted``."""
    return abs(value - wanted) <= _ABOUT * wanted * (1 + 1e-12)


def batch_of(packets: float) -> dict[str, Any]:
    """Options with this many packets to every kick, refill and interrupt."""
    return {"kick_batch": int(packets), "interrupt_batch": int(packets)}


def counts_of(path: str, **options: Any) -> Counts:
    """What a packet causes on a path of the ladder."""
    return LADDER[path].counts(**options)


def taken_away(architecture: Architecture, remedy: str) -> Architecture:
    """An architecture without one of its remedies, or as it is ("none")."""
    return architecture if remedy == "none" else architecture.without(remedy)


def million(count: float) -> str:
    """A count in millions."""
    return say("judge.million", count=number(count / 1e6))
