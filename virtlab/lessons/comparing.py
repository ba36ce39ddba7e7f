"""At the end of a notebook: each prediction beside the result, and the distance between them in words."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from virtlab.core.table import Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.lessons import book
from virtlab.lessons.items import Prediction, answers, predictions

Interval = tuple[float, float]
_CLOSE = 1.1  # a factor that nobody would call a mistake


def compare(notebook: str) -> Table:
    """Own predictions, results and distances of one notebook ("01"). Results come from the models and the facts.

    Works without predictions too, and says so. Raises LookupError for a notebook without predictions.
    """
    rows = []
    for asked in predictions(notebook):
        truth = answers(notebook).PREDICTIONS[asked.id]()
        kept = book.prediction(asked.id)
        mine = words("lessons.none_kept_short") if kept is None else book.kept_text(asked, kept)
        off = words("lessons.no_distance") if kept is None else distance(asked, kept, truth)
        rows.append((asked.label, mine, result_text(asked, truth), off))
    caption = say("lessons.compare", notebook=notebook)
    for tie in sorted({asked.tie for asked in predictions(notebook) if asked.tie}):
        caption += " " + say("lessons.compare_tie", tie=show(tie, "%"))
    return Table.of(words("lessons.compare_header"), rows, caption)


def result_text(asked: Prediction, truth: Any) -> str:
    """The result as a person reads it: a number, an interval, a choice with its number, an order with its ties."""
    if asked.kind == "order":
        same = " ≈ " if asked.tie else " = "
        return " < ".join(same.join(asked.choice(k).label for k in group) for group in ties(truth, asked.tie))
    if asked.kind == "choice":
        return say("lessons.result_choice", label=chosen(asked, truth).label, value=_signed(asked, truth))
    low, high = _interval(truth)
    if low == high:
        return book.number_text(asked, low)
    return say("lessons.result_interval", low=book.number_text(asked, low), high=book.number_text(asked, high))


def distance(asked: Prediction, kept: book.Kept, truth: Any) -> str:
    """How far a prediction lies from the result, in words."""
    if isinstance(kept, tuple):
        return _swaps(kept, truth, asked.tie)
    if isinstance(kept, str):
        keys = [c.key for c in asked.choices]
        steps = abs(keys.index(kept) - keys.index(chosen(asked, truth).key))
        return say("lessons.steps", steps=steps) if steps > 1 else words(f"lessons.step_{steps}")
    low, high = _interval(truth)
    if low <= kept <= high:
        return words("lessons.hit" if low == high else "lessons.inside")
    target = low if kept < low else high
    return _factor(kept, target)


def chosen(asked: Prediction, truth: float) -> Any:
    """The choice that a result belongs to."""
    return next(c for c in asked.choices if c.low <= truth < c.high)


def ties(truth: Mapping[str, float], tie: float = 0.0) -> list[list[str]]:
    """The keys in the order of their values; keys as good as equal to the first of a group stand together."""
    order = sorted(truth, key=lambda k: truth[k])
    groups: list[list[str]] = []
    for key in order:
        if groups and tied(truth[groups[-1][0]], truth[key], tie):
            groups[-1].append(key)
        else:
            groups.append([key])
    return groups


def tied(a: float, b: float, tie: float) -> bool:
    """Whether two values (above 0) differ by less than the share ``tie`` of the smaller one."""
    return max(a, b) < min(a, b) * (1 + max(tie, 1e-9))


def _interval(truth: Any) -> Interval:
    return truth if isinstance(truth, tuple) else (truth, truth)


def _signed(asked: Prediction, value: float) -> str:
    """With its sign where the question is about a change, so that it may be below zero."""
    text = book.number_text(asked, value)
    return f"+{text}" if value >= 0 and any(c.low < 0 for c in asked.choices) else text


def _factor(kept: float, target: float) -> str:
    if kept * target <= 0:  # a factor says nothing across zero
        return words("lessons.other_direction" if kept * target < 0 else "lessons.zero")
    factor = abs(kept / target)
    off = max(factor, 1 / factor)
    if off <= _CLOSE:
        return words("lessons.close")
    key = "lessons.factor_high" if factor > 1 else "lessons.factor_low"
    return say(key, factor=number(off, 2))


def _swaps(kept: tuple[str, ...], truth: Mapping[str, float], tie: float) -> str:
    pairs = [(a, b) for a, b in itertools.combinations(kept, 2) if not tied(truth[a], truth[b], tie)]
    swapped = sum(truth[a] > truth[b] for a, b in pairs)
    if swapped == 0:
        return words("lessons.in_order")
    return say("lessons.reversed" if swapped == len(pairs) else "lessons.swapped", swapped=swapped, pairs=len(pairs))
