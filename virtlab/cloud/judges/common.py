"""What the judges share: facts by their ids, sentences by their claim, and what "about" means."""

from __future__ import annotations

from virtlab.core.words import words
from virtlab.evidence import FACTS, Fact

_ABOUT = 0.2


def cited(*ids: str) -> tuple[Fact, ...]:
    """The facts with these ids."""
    return tuple(FACTS[i] for i in ids)


def filled(claim: str, **values: object) -> tuple[str, ...]:
    """The sentences of a claim in judge.toml, filled."""
    return tuple(str(template).format(**values) for template in words(f"judge.{claim}"))


def near(value: float, wanted: float) -> bool:
    """Whether ``value`` is within a fifth of ``wanted``."""
    return abs(value - wanted) <= _ABOUT * wanted * (1 + 1e-12)
