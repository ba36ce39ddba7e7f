"""The text of an exercise, its folded hints, and its folded solution."""

from __future__ import annotations

from dataclasses import dataclass

from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.lessons import book
from virtlab.lessons.items import Exercise, find_exercise
from virtlab.lessons.text import Note, code_html, folded, plain, to_html


@dataclass(frozen=True, repr=False)
class Solution(Note):
    """A solution. ``code`` runs in an empty namespace and leaves an ``answer`` that check() accepts."""

    code: str = ""


def question(id: str) -> Note:
    """The exercise's text, with the numbers of the student in force. Raises LookupError for an unknown id."""
    exercise = find_exercise(id, book.seed())
    title = say("lessons.title", title=exercise.title, kind=words(f"lessons.kind.{exercise.kind}"), id=id)
    blocks = [f"**{title}**", exercise.text.strip()]
    if exercise.given:
        blocks += [words("lessons.given"), "\n".join(_given(fact) for fact in exercise.given)]
    if exercise.kind == "number":
        blocks.append(_form(exercise))
    text = "\n\n".join(blocks)
    return Note(plain(text), to_html(text))


def hint(id: str) -> Note:
    """The hints of an exercise, each folded by itself. Raises LookupError for an unknown id."""
    exercise = find_exercise(id, book.seed())
    texts, parts = [], []
    for i, text in enumerate(exercise.hints, start=1):
        summary = say("lessons.hint", number=i, count=len(exercise.hints))
        texts.append(f"{summary}: {plain(text)}")
        parts.append(folded(summary, to_html(text)))
    return Note("\n".join(texts), "".join(parts))


def solution(id: str) -> Solution:
    """The solution, folded. Raises LookupError for an unknown id."""
    exercise = find_exercise(id, book.seed())
    summary = say("lessons.solution", id=id)
    if exercise.kind == "explain":  # the solution is a text; as code it is that text
        said = exercise.solution.strip()
        return Solution(f"{summary}\n{plain(said)}", folded(summary, to_html(said)), f"answer = {said!r}")
    code = exercise.solution.strip()
    return Solution(f"{summary}\n{code}", folded(summary, code_html(code)), code)


def _given(fact: str) -> str:
    return f"- {FACTS[fact].quantity}: {FACTS[fact].text()} (`FACTS[\"{fact}\"].value`)"


def _form(exercise: Exercise) -> str:
    """How the answer is to be given: one number, or several in their order."""
    parts = [f"{p.label} [{words(f'lessons.unit.{p.unit}')}]" for p in exercise.parts]
    if len(parts) == 1:
        return say("lessons.form_one", part=parts[0])
    listed = "\n".join(f"- {part}" for part in parts)
    return say("lessons.form_many", count=len(parts)) + "\n\n" + listed
