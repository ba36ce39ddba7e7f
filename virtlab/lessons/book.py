"""The book: predictions, judgements and the student's seed, in the memory of this kernel and nowhere else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.lessons.items import Prediction, find_prediction
from virtlab.lessons.text import Note, note

Kept = float | str | tuple[str, ...]
_FORMAT = "virtlab-answers-1"
_LONGEST = 100_000  # characters of a text to import: a real one has a few hundred
_LARGEST_SEED = 10**9

_predictions: dict[str, Kept] = {}
_checks: dict[str, dict[str, Any]] = {}
_seed = 0
#: Called with the id of each prediction that changes.
watchers: list[Callable[[str], None]] = []


def prediction(id: str) -> Kept | None:
    """The kept answer to a prediction, or None: a number, the key of a choice, or the ids in order."""
    return _predictions.get(find_prediction(id).id)


def keep(id: str, answer: Any) -> None:
    """Keeps an answer (None or ... forgets it). Raises ValueError with a sentence that says what is wanted."""
    asked = find_prediction(id)
    if answer is None or answer is ...:
        _predictions.pop(id, None)
    else:
        _predictions[id] = parse(asked, answer)
    for call in tuple(watchers):
        call(id)


def student(seed: int) -> Note:
    """Chooses the numbers of the number exercises: 0 (the notebook's own) to a thousand million. Raises ValueError."""
    global _seed
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _LARGEST_SEED:
        raise ValueError(say("lessons.seed", given=repr(seed)[:40], most=f"{_LARGEST_SEED:,}"))
    _seed = seed
    return note(say("lessons.student", seed=seed) if seed else words("lessons.student_zero"))


def seed() -> int:
    """The seed in force."""
    return _seed


def record(id: str, right: bool) -> None:
    """Notes a judgement, for the export."""
    entry = _checks.setdefault(id, {"tries": 0, "right": False})
    entry["tries"] += 1
    entry["right"] = right


def clear() -> None:
    """Forgets everything."""
    global _seed
    _seed = 0
    kept = list(_predictions)
    _predictions.clear()
    _checks.clear()
    for id in kept:
        for call in tuple(watchers):
            call(id)


def export_answers() -> str:
    """Predictions, judgements and seed as JSON text. Nothing is written anywhere: what becomes of it is up to you."""
    content = {"format": _FORMAT, "student": _seed, "predictions": _predictions, "checks": _checks}
    return json.dumps(content, indent=1, sort_keys=True)


def import_answers(text: str) -> Note:
    """Takes over predictions and seed from the text of :func:`export_answers`; judgements are left out.

    Never raises: what does not fit is left out and named.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        return note(words("lessons.import_text"))
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return note(words("lessons.import_json"))
    kept = content.get("predictions") if isinstance(content, dict) and content.get("format") == _FORMAT else None
    if not isinstance(kept, dict):
        return note(words("lessons.import_json"))
    taken, refused = 0, []
    for id, answer in kept.items():
        try:
            keep(id, answer)
            taken += 1
        except (ValueError, LookupError):
            refused.append(id)
    try:
        student(content.get("student", 0))
    except ValueError:
        refused.append("student")
    sentence = say("lessons.imported", count=taken)
    if refused:
        names = ", ".join(_harmless(name) for name in refused[:5])
        sentence += " " + say("lessons.import_refused", names=names, count=len(refused))
    return note(sentence)


def _harmless(name: str) -> str:
    return re.sub(r"[^\w. -]", "?", name)[:40]


# --- what a person gives, and what is kept of it --------------------------------------------------------------------


def parse(asked: Prediction, given: Any) -> Kept:
    """The answer as it is kept. Raises ValueError with a sentence that names what is wanted and why."""
    if asked.kind == "number":
        return _parse_number(asked, given)
    keys = tuple(c.key for c in asked.choices)
    if asked.kind == "choice":
        if isinstance(given, str) and given in keys:
            return given
        raise ValueError(say("lessons.want_choice", id=asked.id, keys=", ".join(keys), given=repr(given)[:60]))
    if isinstance(given, list | tuple) and all(isinstance(g, str) for g in given) and sorted(given) == sorted(keys):
        return tuple(given)
    raise ValueError(say("lessons.want_order", id=asked.id, keys=", ".join(keys), given=repr(given)[:60]))


def _parse_number(asked: Prediction, given: Any) -> float:
    value = _typed(asked, given) if isinstance(given, str) else None if isinstance(given, bool) else given
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not asked.low <= number <= asked.high:
        key = "lessons.want_finite" if number is not None and not math.isfinite(number) else "lessons.want_number"
        raise ValueError(say(key, id=asked.id, range=range_text(asked), given=repr(given)[:60]))
    return number


def _typed(asked: Prediction, given: str) -> float | None:
    """What a field holds: "30", "30 %" or "0,5"; "1,000" where the range, too, is written with such a comma."""
    text = given.strip()
    if asked.unit != "1":
        text = text.removesuffix(asked.unit).strip()
    if asked.high >= 1000 and re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d{1,15})?", text):
        text = text.replace(",", "")
    text = text.replace(",", ".")
    number = r"[+-]?(\d{1,15}\.?\d{0,15}|\.\d{1,15})(e[+-]?\d{1,3})?"
    return float(text) if re.fullmatch(rf"{number}|[+-]?(inf|infinity|nan)", text, re.IGNORECASE) else None


def range_text(asked: Prediction) -> str:
    """What may be answered, as a person says it."""
    if asked.kind == "number":
        unit = "" if asked.unit == "1" else f" {asked.unit}"
        return say("lessons.range", low=show(asked.low), high=show(asked.high), unit=unit)
    return str(words(f"lessons.range_{asked.kind}"))


def kept_text(asked: Prediction, kept: Kept) -> str:
    """A kept answer as a person reads it."""
    if isinstance(kept, tuple):
        return " < ".join(asked.choice(key).label for key in kept)
    if isinstance(kept, str):
        return asked.choice(kept).label
    return number_text(asked, kept)


def kept_sentence(asked: Prediction, kept: Kept) -> str:
    """What the form says when it has kept an answer. A share given for per cent is kept, and asked about."""
    text = kept_text(asked, kept)
    if asked.unit == "%" and isinstance(kept, float | int) and 0 < kept < 1:
        return say("lessons.kept_share", kept=text, parts=show(100 * kept))
    return say("lessons.kept", kept=text)


def number_text(asked: Prediction, value: float) -> str:
    """A number of a prediction with its unit (per cent are given as per cent here, not as a share)."""
    return show(value / 100, "%") if asked.unit == "%" else show(value, asked.unit)
