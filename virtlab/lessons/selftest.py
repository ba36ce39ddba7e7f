"""The self-test of notebook 00: two short questions on each of six topics, and a refresher for each miss."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from virtlab.core.table import Table
from virtlab.core.words import say, words
from virtlab.lessons.forms import WIDE, Form, status
from virtlab.lessons.items import known, raw
from virtlab.lessons.mistakes import as_number
from virtlab.lessons.text import Note, inline, plain, to_html

_TOLERANCE = 0.02  # of a number


@dataclass(frozen=True)
class Question:
    """One question: a number, or a choice between ``choices`` (key -> text). ``right`` is the number or the key."""

    id: str
    text: str
    right: float | str
    why: str
    choices: Mapping[str, str]

    def parse(self, given: Any) -> float | str:
        """The answer as it is kept. Raises ValueError with a sentence."""
        if self.choices and isinstance(given, str) and given.strip().lower() in self.choices:
            return given.strip().lower()
        if not self.choices:
            text = given.strip().replace(",", ".") if isinstance(given, str) else ""
            try:
                number = as_number(float(text) if text else given)
            except ValueError:
                number = None
            if number is not None:
                return number
        keys = ", ".join(self.choices)
        wanted = say("lessons.selftest.choices", keys=keys) if keys else words("lessons.selftest.a_number")
        raise ValueError(say("lessons.selftest.want", id=self.id, range=wanted, given=repr(given)[:60]))

    def fits(self, kept: float | str) -> bool:
        """Whether a kept answer is right."""
        if isinstance(kept, str) or isinstance(self.right, str):
            return kept == self.right
        return abs(kept - self.right) <= _TOLERANCE * abs(self.right)


@dataclass(frozen=True)
class Topic:
    """A topic with its questions and the half page that refreshes it."""

    title: str
    refresher: str
    questions: tuple[Question, ...]


def topics() -> tuple[Topic, ...]:
    """The six topics, from the data."""
    return tuple(
        Topic(t["title"], t["refresher"], tuple(
            Question(q["id"], q["text"], q["right"], q["why"], q.get("choices", {})) for q in t["question"]
        ))
        for t in raw("00")["topic"]
    )  # fmt: skip


def self_test(answers: Mapping[str, Any] | None = None) -> SelfTest:
    """The self-test as a form. ``self_test({"dma.1": "b"})`` answers by code, ``self_test().report()`` prints.

    The same form for each call. Raises ValueError for an answer that does not fit, LookupError for an unknown question.
    """
    form = _form[-1] if _form else None
    if form is None or form.comm is None:  # never made, or closed since
        form = SelfTest()
        _form[:] = [form]
    if answers is not None:
        form.answers = answers
    return form


class SelfTest(Form):
    """The questions, a button, and the report below it."""

    def __init__(self) -> None:
        self.topics = topics()
        self._questions = {q.id: q for t in self.topics for q in t.questions}
        self._kept: dict[str, float | str] = {}
        self.fields: dict[str, Any] = {}
        rows: list[Any] = []
        for i, topic in enumerate(self.topics, start=1):
            heading = say("lessons.selftest.number", number=i, topic=topic.title)
            rows.append(widgets.HTML(f"<h4>{html.escape(heading)}</h4>"))
            for question in topic.questions:
                self.fields[question.id] = _field(question)
                rows += [widgets.HTML(f"<p>{inline(question.text)}</p>"), self.fields[question.id]]
        self.button = widgets.Button(
            description=words("lessons.selftest.button"), tooltip=words("lessons.selftest.button_help"),
            layout=widgets.Layout(width="max-content"),
        )  # fmt: skip
        self.button.on_click(lambda _: self._clicked())
        self.result = widgets.HTML()
        super().__init__([*rows, self.button, self.result])
        self.add_class("virtlab-selftest")

    @property
    def answers(self) -> dict[str, float | str]:
        """The answers given so far, by question."""
        return dict(self._kept)

    @answers.setter
    def answers(self, given: Mapping[str, Any]) -> None:
        if not isinstance(given, Mapping):
            raise ValueError(say("lessons.selftest.want_mapping", given=type(given).__name__))
        ids = tuple(self._questions)
        parsed = {known(id, ids, "question"): self._questions[id].parse(answer) for id, answer in given.items()}
        self._kept.update(parsed)
        for id, answer in parsed.items():
            self.fields[id].value = answer if isinstance(answer, str) else f"{answer:.12g}"

    def report(self) -> Note:
        """How many are right in each topic, and the refresher of each topic with a miss."""
        rows, blocks = [], []
        for topic in self.topics:
            right = [q.id in self._kept and q.fits(self._kept[q.id]) for q in topic.questions]
            missed = [q for q, ok in zip(topic.questions, right, strict=True) if q.id in self._kept and not ok]
            advice = "read" if missed else "fine" if all(right) else "open"
            score = say("lessons.selftest.count", right=sum(right), count=len(right))
            rows.append((topic.title, score, words(f"lessons.selftest.{advice}")))
            if missed:
                why = "\n".join(f"- {say('lessons.selftest.wrong', why=q.why)}" for q in missed)
                blocks.append(f"**{topic.title}**\n\n{why}\n\n{topic.refresher.strip()}")
        table = Table.of(words("lessons.selftest.header"), rows, self.sentence())
        return Note("\n\n".join([str(table), *map(plain, blocks)]), table._repr_html_() + "".join(map(to_html, blocks)))

    def sentence(self) -> str:
        """The state of the test in one sentence."""
        right = sum(self._questions[id].fits(a) for id, a in self._kept.items())
        state = words("lessons.selftest.nothing")
        if self._kept:
            state = say("lessons.selftest.result", right=right, answered=len(self._kept))
        return say("lessons.selftest.sentence", count=len(self._questions), topics=len(self.topics), state=state)

    def _clicked(self) -> None:
        trouble = []
        for id, field in self.fields.items():
            if field.value in (None, ""):
                self._kept.pop(id, None)
                continue
            try:
                self._kept[id] = self._questions[id].parse(field.value)
            except ValueError as error:
                self._kept.pop(id, None)
                trouble.append(html.escape(str(error)))
        lines = "".join(f'<p role="alert">{t}</p>' for t in trouble)
        self.result.value = status("", lines + self.report().html)


def _field(question: Question) -> Any:
    name = {"description": question.id, "style": WIDE, "tooltip": plain(question.text)}
    if not question.choices:
        return widgets.Text(placeholder=words("lessons.selftest.a_number"), layout=widgets.Layout(width="24em"), **name)
    options = [(f"{key}) {text}", key) for key, text in question.choices.items()]
    return widgets.RadioButtons(options=options, value=None, layout=widgets.Layout(width="max-content"), **name)


_form: list[SelfTest] = []
