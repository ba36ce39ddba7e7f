"""A lab with the reader's own computer as a witness: it opens with a recorded measurement, and measures when asked."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import ipywidgets as widgets

from virtlab.core.words import words
from virtlab.labs.base import Lab
from virtlab.machine import Measured


class MeasuringLab(Lab):
    """Base of such labs. A subclass says what is recorded (``record``) and how to measure it now (``ask``)."""

    #: The words that explain the button, and how many seconds a measurement takes unless asked otherwise.
    button_help: ClassVar[str] = "machine.button_help"
    seconds: ClassVar[float] = 0.5

    def __init__(self, **values: Any) -> None:
        self._measured = self.record()
        super().__init__(**values)

    @abstractmethod
    def record(self) -> Measured:
        """The measurement that comes with the course."""

    @abstractmethod
    def ask(self, seconds: float) -> Measured:
        """A measurement of this computer."""

    @property
    def measured(self) -> Measured:
        """The measurement that is shown: how each quantity was measured, and what remains in the number."""
        return self._measured

    def measure(self, seconds: float | None = None) -> Measured:
        """Measures on this computer, for about ``seconds`` (0.05 to 10), and draws it. The button does the same."""
        button = self._buttons["measure"]
        button.disabled, button.description = True, words("machine.measuring")
        try:
            self._measured = self.ask(self.seconds if seconds is None else seconds)
        finally:
            button.disabled, button.description = False, words("machine.button")
        self._refresh()
        return self._measured

    def reset(self) -> None:
        """All as it began, with the recorded measurement."""
        self._measured = self.record()
        super().reset()

    def _layout(self) -> list[Any]:
        button = widgets.Button(description=words("machine.button"), tooltip=words(self.button_help),
                                layout=widgets.Layout(width="auto"))  # fmt: skip
        button.on_click(lambda _: self.measure())
        self._buttons = {"measure": button, **self._buttons}
        self._details = widgets.HTML()
        folded = widgets.Accordion([self._details], titles=(words("machine.details"),), selected_index=None)
        return [*super()._layout(), folded]

    def _refresh(self) -> None:
        super()._refresh()
        self._details.value = self._measured._repr_html_()
