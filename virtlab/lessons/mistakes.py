"""What a wrong number suggests: the known mistakes of an exercise first, then wrong units and forgotten factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.lessons.items import Part


@dataclass(frozen=True)
class Truth:
    """The true numbers of an exercise, and the numbers that its well-known mistakes lead to (one a part, or None)."""

    right: tuple[float, ...]
    wrong: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)


# Factor, and the words that belong to it. The nearest one is taken: 1000 and 1024 are told apart where they can be.
_FACTORS: tuple[tuple[float, str], ...] = (
    (2.0, "two"), (8.0, "eight"), (10.0, "ten"), (100.0, "hundred"), (1e3, "thousand"), (2.0**10, "kibi"),
    (1e6, "million"), (2.0**20, "mebi"), (1e9, "billion"), (2.0**30, "gibi"), (1.024, "kibi_kilo"),
    (2.0**20 / 1e6, "mebi_mega"), (2.0**30 / 1e9, "gibi_giga"),
)  # fmt: skip


def as_number(given: Any) -> float | None:
    """``given`` as a finite float, or None for what is no number (a truth value, a text, a list, NaN ...)."""
    if isinstance(given, str | bytes) or type(given).__name__ in ("bool", "bool_"):  # NumPy has its own
        return None
    try:
        if getattr(given, "shape", ()) != ():
            return None
        value = float(given)
    except Exception:  # a reader's own object may raise anything
        return None
    return value if math.isfinite(value) else None


def fits(given: float, truth: float, part: Part) -> bool:
    """Whether ``given`` lies within the tolerance of ``part``."""
    return abs(given - truth) <= max(part.absolute, part.relative * abs(truth))


def diagnose(given: float, truth: Truth, index: int, part: Part, own: Mapping[str, str]) -> str:
    """One hint for a wrong number. It speaks of the mistake and never names the true value.

    ``own`` are the sentences of the exercise's own mistakes.
    """
    right = truth.right[index]
    wrong = ((w[index], key) for key, w in truth.wrong.items())
    named = [(abs(given - value), key) for value, key in wrong if value is not None and fits(given, value, part)]
    if named:
        return own[min(named)[1]]
    if right == 0:
        return str(words("lessons.mistake.too_large" if given > 0 else "lessons.mistake.too_small"))
    if given == 0:
        return str(words("lessons.mistake.zero"))
    if given * right < 0:
        return str(words("lessons.mistake.sign"))
    whole = {"%": 100.0, "1": 1.0}.get(part.unit)
    if whole and fits(whole - abs(given), abs(right), part):
        return str(words("lessons.mistake.rest"))
    if fits(1 / given, right, part):
        return str(words("lessons.mistake.inverse"))
    return _factor(given, right, part, whole is not None) or _size(given / right)


def _factor(given: float, right: float, part: Part, is_share: bool) -> str:
    best: tuple[float, str, float, bool] | None = None
    for factor, key in _FACTORS:
        for high in (True, False):
            tried = given / factor if high else given * factor
            if math.isfinite(tried) and fits(tried, right, part):
                miss = abs(tried - right)
                if best is None or miss < best[0]:
                    best = (miss, key, factor, high)
    if best is None:
        return ""
    _, key, factor, high = best
    if key == "hundred" and is_share:
        return str(words("lessons.mistake.share" if not high else "lessons.mistake.percent"))
    side = words("lessons.mistake.high" if high else "lessons.mistake.low")
    return say("lessons.mistake.factor", side=side, factor=number(factor, 4), why=words(f"lessons.factor.{key}"))


def _size(ratio: float) -> str:
    off = max(ratio, 1 / ratio) if ratio > 1e-300 else math.inf
    side = "large" if ratio > 1 else "small"
    if off < 1.1:
        return str(words("lessons.mistake.near"))
    if off < 10:
        return str(words(f"lessons.mistake.too_{side}"))
    return str(words(f"lessons.mistake.far_too_{side}"))
