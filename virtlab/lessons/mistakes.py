"""What a wrong number suggests: the known mistakes of an exercise first, then wrong units and forgotten factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from virtlab.core.words import say, words
from virtlab.lessons.items import Part

Wrong = float | tuple[float, float] | None


@dataclass(frozen=True)
class Truth:
    """The true numbers of an exercise, and those that its well-known mistakes lead to.

    A mistake has one entry a part: a number, an interval (both ends belong to it), or None where it cannot happen.
    """

    right: tuple[float, ...]
    wrong: Mapping[str, tuple[Wrong, ...]] = field(default_factory=dict)


# Factor, and the kind of mistake that it comes from; the factor itself is never said, for the answer would follow
# from it. The nearest one is taken: 1000 and 1024 are told apart where they can be.
_FACTORS: tuple[tuple[float, str], ...] = (
    (2.0, "twice"), (10.0, "per_cent"), (100.0, "share"), (1e3, "prefix"), (1e6, "prefix"), (1e9, "prefix"),
)  # fmt: skip
_BYTE_FACTORS: tuple[tuple[float, str], ...] = (  # only where bytes are in the question
    (8.0, "bits"), (2.0**10, "binary"), (2.0**20, "binary"), (2.0**30, "binary"),
    (1.024, "mixed"), (2.0**20 / 1e6, "mixed"), (2.0**30 / 1e9, "mixed"),
)  # fmt: skip


def as_number(given: Any) -> float | None:
    """``given`` as a finite float, or None for what is no number (a truth value, a text, a list, NaN ...)."""
    value = _as_float(given)
    return value if value is not None and math.isfinite(value) else None


def is_infinite(given: Any) -> bool:
    """Whether ``given`` is a number, but infinite or NaN."""
    value = _as_float(given)
    return value is not None and not math.isfinite(value)


def _as_float(given: Any) -> float | None:
    if isinstance(given, str | bytes) or type(given).__name__ in ("bool", "bool_"):  # NumPy has its own
        return None
    try:
        return float(given) if getattr(given, "shape", ()) == () else None
    except Exception:  # a reader's own object may raise anything
        return None


def fits(given: float, truth: float, part: Part) -> bool:
    """Whether ``given`` lies within the tolerance of ``part``."""
    return abs(given - truth) <= max(part.absolute, part.relative * abs(truth))


def diagnose(given: float, truth: Truth, index: int, part: Part, own: Mapping[str, str]) -> str:
    """One hint for a wrong number. It speaks of the mistake and never names the true value.

    ``own`` are the sentences of the exercise's own mistakes.
    """
    right = truth.right[index]
    wrong = [(w[index], key) for key, w in truth.wrong.items()]
    named = [(abs(given - w), key) for w, key in wrong if isinstance(w, int | float) and fits(given, w, part)]
    named = named or [(0.0, key) for w, key in wrong if isinstance(w, tuple) and w[0] <= given <= w[1]]
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
    return _factor(given, right, part) or _size(given, right, part)


def _factor(given: float, right: float, part: Part) -> str:
    found = []
    for factor, key in _FACTORS + (_BYTE_FACTORS if part.bytes else ()):
        for side, tried in (("large", given / factor), ("small", given * factor)):
            if math.isfinite(tried) and fits(tried, right, part):
                found.append((abs(tried - right), key, side))
    if not found:
        return ""
    _, key, side = min(found)
    size = words(f"lessons.mistake.{'far_' if key in ('prefix', 'binary') else ''}{side}")
    return say("lessons.mistake.factor", size=size, why=words(f"lessons.factor.{key}"))


def _size(given: float, right: float, part: Part) -> str:
    ratio = given / right
    off = max(ratio, 1 / ratio) if ratio > 1e-300 else math.inf
    side = "large" if ratio > 1 else "small"
    if off < 1.1:  # below 1, a number with two decimals is often too coarse
        return str(words("lessons.mistake.decimals" if part.unit == "1" and abs(right) < 1 else "lessons.mistake.near"))
    if off < 10:
        return str(words(f"lessons.mistake.too_{side}"))
    return str(words(f"lessons.mistake.far_too_{side}"))
