"""check(): one judgement of an answer, with a hint that depends on the mistake; it never raises for a wrong answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from virtlab.core.words import say, words
from virtlab.lessons import book
from virtlab.lessons.items import Exercise, answers, find_exercise
from virtlab.lessons.mistakes import Truth, as_number, diagnose, fits, is_infinite
from virtlab.lessons.text import Note, fill, plain, to_html

Status = Literal["right", "not yet", "not answered", "kept"]
_FEWEST_WORDS = 15  # of an explanation, before the points to compare it with are shown


@dataclass(frozen=True, repr=False)
class Judgement(Note):
    """What check() says. ``status`` is right, not yet, not answered, or kept (an explanation is judged by yourself)."""

    status: Status = "not yet"

    @property
    def right(self) -> bool:
        return self.status == "right"


def check(id: str, answer: Any = ...) -> Judgement:
    """Judges an answer to an exercise. A wrong answer, of whatever type, gives a sentence; the value is never shown.

    Raises LookupError for an unknown id, and nothing else.
    """
    exercise = find_exercise(id, book.seed())
    if answer is ... or answer is None:
        return _say(exercise, "not answered", say("lessons.not_answered", id=id))
    try:
        status, text = _JUDGES[exercise.kind](exercise, answer)
    except Exception as error:  # a reader's own object may raise anything when it is looked at
        status, text = "not yet", say("lessons.unreadable", error=_error(error))
    if status in ("right", "not yet"):
        book.record(id, status == "right")
    return _say(exercise, status, text)


def truth(exercise: Exercise) -> Truth:
    """The true numbers of a number exercise, computed by the models or from the facts."""
    return answers(exercise.id.split(".")[0]).NUMBERS[exercise.id](**exercise.values)


def _say(exercise: Exercise, status: Status, text: str) -> Judgement:
    lead = words(f"lessons.status.{status.replace(' ', '_')}")
    marked = f"**{lead}** {text}"
    html = f'<div class="virtlab-judgement" role="status">{to_html(marked)}</div>'
    return Judgement(plain(marked), html, status)


# --- one judge for each kind ----------------------------------------------------------------------------------------


def _number(exercise: Exercise, answer: Any) -> tuple[Status, str]:
    parts, true = exercise.parts, truth(exercise)
    given = [answer] if len(parts) == 1 else _items(answer)
    if given is None or len(given) != len(parts):
        gave = say("lessons.gave_type", type=_type(answer)) if given is None else say("lessons.gave", count=len(given))
        return "not yet", say("lessons.want_numbers", count=len(parts), gave=gave)
    if all(g is ... or g is None for g in given):
        return "not answered", say("lessons.not_answered", id=exercise.id)
    swapped = _swapped(given, true, exercise)
    complaints, right = [], 0
    if swapped:
        complaints.append(say("lessons.swapped_parts", one=swapped[0] + 1, other=swapped[1] + 1))
    for i, (value, part) in enumerate(zip(given, parts, strict=True)):
        if i in swapped:
            continue
        at = say("lessons.at_part", number=i + 1, label=part.label) if len(parts) > 1 else ""
        if value is ... or value is None:
            complaints.append(at + words("lessons.part_missing"))
            continue
        number = as_number(value)
        if is_infinite(value):
            complaints.append(at + words("lessons.not_finite"))
        elif number is None:
            complaints.append(at + say("lessons.want_one_number", given=_type(value)))
        elif fits(number, true.right[i], part):
            right += 1
        else:
            complaints.append(at + _capital(diagnose(number, true, i, part, exercise.mistakes)))
    if not complaints:
        return "right", exercise.why
    if len(parts) == 1:
        return "not yet", complaints[0]
    lead = say("lessons.parts_right", right=right, count=len(parts))
    return "not yet", lead + "\n\n" + "\n".join(f"- {c}" for c in complaints)


def _swapped(given: list[Any], true: Truth, exercise: Exercise) -> tuple[int, ...]:
    """The places of two wrong numbers, each of which would be right at the other's place; empty if there are none."""
    numbers = [as_number(value) for value in given]

    def at(i: int, j: int) -> bool:
        number = numbers[i]
        return number is not None and fits(number, true.right[j], exercise.parts[j])

    pairs = itertools.combinations(range(len(numbers)), 2)
    return next(((i, j) for i, j in pairs if at(i, j) and at(j, i) and not at(i, i) and not at(j, j)), ())


def _explain(exercise: Exercise, answer: Any) -> tuple[Status, str]:
    if not isinstance(answer, str):
        return "not yet", say("lessons.want_text", given=_type(answer))
    if not answer.strip(" .\n\t…"):
        return "not answered", say("lessons.not_answered", id=exercise.id)
    if len(answer.split()) < _FEWEST_WORDS:
        return "not answered", words("lessons.too_short")
    points = "\n".join(f"- {point}" for point in exercise.rubric)
    return "kept", say("lessons.self_assess", count=len(exercise.rubric)) + "\n\n" + points + "\n\n" + exercise.why


def _design(exercise: Exercise, answer: Any) -> tuple[Status, str]:
    judge: Callable[[Any], tuple[str, dict[str, str]]] = answers(exercise.id.split(".")[0]).DESIGNS[exercise.id]
    key, values = judge(answer)
    if key == "right":
        return "right", fill(exercise.why, values)
    return "not yet", fill(exercise.mistakes[key], values)


def _debug(exercise: Exercise, answer: Any) -> tuple[Status, str]:
    if not callable(answer):
        return "not yet", say("lessons.want_function", given=_type(answer))
    reference = answers(exercise.id.split(".")[0]).REFERENCES[exercise.id]
    broken = broken_function(exercise)
    first, unchanged = "", True
    for case in exercise.cases:
        call = f"`{broken.__name__}({', '.join(map(repr, case.args))})`"
        try:
            got = answer(*case.args)
        except (Exception, SystemExit) as error:
            return "not yet", say("lessons.call_raised", call=call, error=_error(error))
        if got is None or got is ...:
            return "not yet", say("lessons.call_nothing", call=call)
        unchanged = unchanged and _same(got, broken(*case.args))
        if not first and not _same(got, reference(*case.args)):
            hint = words("lessons.call_percent") if _is_percent(got, reference(*case.args)) else case.hint
            first = say("lessons.call_wrong", call=call, hint=hint)
    if not first:
        return "right", exercise.why
    if unchanged:
        return "not answered", say("lessons.still_broken", id=exercise.id) + " " + first
    return "not yet", first


def broken_function(exercise: Exercise) -> Callable[..., Any]:
    """The broken function that a debug exercise starts from, made from its stub."""
    space: dict[str, Any] = {}
    exec(exercise.stub, space)  # our own data file, not a reader's text
    return next(v for k, v in space.items() if k != "__builtins__" and callable(v))


_JUDGES: dict[str, Callable[[Exercise, Any], tuple[Status, str]]] = {
    "number": _number, "explain": _explain, "design": _design, "debug": _debug,
}  # fmt: skip


def _items(answer: Any) -> list[Any] | None:
    """The members of a list, a tuple or a one-dimensional array; None for anything else."""
    if hasattr(answer, "tolist") and len(getattr(answer, "shape", ())) == 1:
        answer = answer.tolist()
    return list(answer) if isinstance(answer, list | tuple) else None


def _same(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, tuple):
        members = _items(got)
        return members is not None and len(members) == len(wanted) and all(map(_same, members, wanted))
    number = as_number(got)
    return number is not None and abs(number - wanted) <= 1e-6 * max(1.0, abs(wanted))


def _is_percent(got: Any, wanted: Any) -> bool:
    return isinstance(wanted, int | float) and wanted != 0 and _same(got, 100 * wanted)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _type(value: Any) -> str:
    return type(value).__name__[:40]


def _error(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__[:40]}: {text[:120]}" if text else type(error).__name__[:40]
