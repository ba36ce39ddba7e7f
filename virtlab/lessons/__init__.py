"""The teaching tools: predictions before a lab, exercises that judge an answer, the self-test, the map of the course.

    predict("01.loss")              asks, keeps the answer in the kernel's memory only; never blocks
    prediction("01.loss")           the kept answer, or None
    compare("01")                   predictions beside results, with the distance in words
    question("01.cores")            the exercise's text, with the numbers of the student
    check("01.cores", answer)       one judgement: right, not yet (with a hint that fits the mistake), not answered yet
    hint("01.cores")                folded hints
    solution("01.cores")            the folded solution
    student(7)                      the numbers of student 7 in the number exercises (0: those of the notebook)
    export_answers(), import_answers(text)    the predictions as JSON text, and back
    ledger(), duel("S10", '{"batch": 2}')     the 24 claims before their witnesses; one of them under attack
    self_test(), glossary(), course_map(), course_graph()    for notebook 00
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtlab.lessons.book import export_answers, import_answers, prediction, student
    from virtlab.lessons.box import predict
    from virtlab.lessons.comparing import compare
    from virtlab.lessons.course import course_graph, course_map, glossary
    from virtlab.lessons.duelling import duel
    from virtlab.lessons.judging import check
    from virtlab.lessons.selftest import self_test
    from virtlab.lessons.showing import hint, question, solution
    from virtlab.lessons.witnesses import ledger

# Only box and selftest need ipywidgets, so each is imported when its first name is used.
_WHERE = {
    "predict": "box", "prediction": "book", "student": "book", "export_answers": "book", "import_answers": "book",
    "compare": "comparing", "question": "showing", "hint": "showing", "solution": "showing", "check": "judging",
    "self_test": "selftest", "glossary": "course", "course_map": "course", "course_graph": "course",
    "duel": "duelling", "ledger": "witnesses",
}  # fmt: skip

__all__ = [
    "check", "compare", "course_graph", "course_map", "duel", "export_answers", "glossary", "hint", "import_answers",
    "ledger", "predict", "prediction", "question", "self_test", "solution", "student",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"virtlab.lessons.{_WHERE[name]}"), name)
    raise AttributeError(f"virtlab.lessons has no '{name}'; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return list(__all__)
