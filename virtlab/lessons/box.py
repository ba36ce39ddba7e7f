"""The small form of a prediction: asks before the lab, keeps the answer in memory, blocks nothing."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets

from virtlab.core.words import say, words
from virtlab.lessons import book
from virtlab.lessons.forms import WIDE, Form, status
from virtlab.lessons.items import Prediction, find_prediction


def predict(id: str) -> PredictionBox:
    """Asks for a prediction. The same form for each call, so that a cell that runs twice leaves no second one behind.

    ``predict("01.loss").answer = 30`` does by code what field and button do. Raises LookupError for an unknown id.
    """
    asked = find_prediction(id)
    box = _boxes.get(id)
    if box is None or box.comm is None:  # never made, or closed since
        box = _boxes[id] = PredictionBox(asked)
    return box


class PredictionBox(Form):
    """Label, help, a field (or lists to choose from), a button, and a line that says what is kept."""

    def __init__(self, asked: Prediction) -> None:
        self.asked = asked
        self.fields = _fields(asked)
        self.button = widgets.Button(
            description=words("lessons.keep"), tooltip=words("lessons.keep_help"),
            layout=widgets.Layout(width="max-content"),
        )
        self.button.on_click(lambda _: self._clicked())
        self.status = widgets.HTML()
        head = f"<strong>{html.escape(asked.label)}</strong><br><small>{html.escape(asked.help)}</small>"
        super().__init__([widgets.HTML(head), *self.fields, self.button, self.status])
        self.add_class("virtlab-prediction")
        self.refresh()

    @property
    def answer(self) -> book.Kept | None:
        """The kept answer, or None. Setting it keeps it; None or ... forgets it. Raises ValueError."""
        return book.prediction(self.asked.id)

    @answer.setter
    def answer(self, value: Any) -> None:
        book.keep(self.asked.id, value)

    def sentence(self) -> str:
        """What is asked, what may be answered and what is kept: the form as text."""
        kept = self.answer
        state = self._state(kept)
        return say(
            "lessons.asked", id=self.asked.id, label=self.asked.label, range=book.range_text(self.asked), state=state
        )

    def _state(self, kept: book.Kept | None) -> str:
        if kept is None:
            return str(words("lessons.none_kept"))
        return book.kept_sentence(self.asked, kept)

    def refresh(self) -> None:
        """Shows what the book has kept."""
        kept = self.answer
        self._say(self._state(kept))
        if isinstance(kept, tuple):
            for rank, key in enumerate(kept, start=1):
                self.fields[[c.key for c in self.asked.choices].index(key)].value = rank
        elif isinstance(kept, str):
            self.fields[0].value = kept
        elif kept is not None:
            self.fields[0].value = f"{kept:.12g}"

    def _clicked(self) -> None:
        values = [f.value for f in self.fields]
        if self.asked.kind == "order":
            if sorted(v or 0 for v in values) != list(range(1, len(values) + 1)):
                return self._say(say("lessons.ranks", count=len(values)))
            ranked = sorted(zip(values, self.asked.choices, strict=True), key=lambda pair: pair[0])
            answer: Any = [c.key for _, c in ranked]
        else:
            answer = values[0]
        if answer in (None, ""):
            return self._say(words("lessons.empty"))
        try:
            self.answer = answer
        except ValueError as error:
            self._say(str(error))

    def _say(self, text: str) -> None:
        self.status.value = status(text)


def _fields(asked: Prediction) -> list[Any]:
    if asked.kind == "number":
        # An empty field, not a number field: a number field starts with a number, and that is a suggestion.
        unit = "" if asked.unit == "1" else f" [{asked.unit}]"
        field = widgets.Text(
            description=words("lessons.field") + unit, placeholder=book.range_text(asked), style=WIDE,
            tooltip=asked.label, layout=widgets.Layout(width="24em"),
        )  # fmt: skip
        return [field]
    if asked.kind == "choice":
        options = [(words("lessons.choose"), None), *((c.label, c.key) for c in asked.choices)]
        wide = widgets.Layout(width="max-content")
        return [widgets.Dropdown(options=options, description=words("lessons.field"), style=WIDE, layout=wide)]
    ranks = [(words("lessons.rank"), None), *((str(i), i) for i in range(1, len(asked.choices) + 1))]
    wide = widgets.Layout(width="24em")
    return [widgets.Dropdown(options=ranks, description=c.label, style=WIDE, layout=wide) for c in asked.choices]


_boxes: dict[str, PredictionBox] = {}


def _changed(id: str) -> None:
    box = _boxes.get(id)
    if box is not None and box.comm is not None:
        box.refresh()


book.watchers.append(_changed)
