"""A lab with the reader's own computer as a witness: it opens with a recorded measurement, and measures when asked."""

from __future__ import annotations

import html
from abc import abstractmethod
from typing import Any, ClassVar, Protocol

import ipywidgets as widgets

from virtlab.core.words import words
from virtlab.labs.base import Lab
from virtlab.machine.owning import MachineError


class Record(Protocol):
    """What a measurement must be able to do for a lab: to show itself in full."""

    def _repr_html_(self) -> str: ...


class MeasuringLab(Lab):
    """Base of such labs. A subclass says what is recorded (``record``) and how to measure it now (``ask``).

    ``ask`` may raise MachineError, whose one sentence is then shown; what was measured before stays.
    """

    #: The words that explain the button, and how many seconds a measurement takes unless asked otherwise.
    button_help: ClassVar[str] = "machine.button_help"
    seconds: ClassVar[float] = 0.5
    #: The words over the folded details.
    details_title: ClassVar[str] = "machine.details"

    #: Why the last measurement failed, if it did.
    failure: str = ""

    def __init__(self, **values: Any) -> None:
        self._measured: Any = self.record()
        super().__init__(**values)

    @abstractmethod
    def record(self) -> Record:
        """The measurement that comes with the course."""

    @abstractmethod
    def ask(self, seconds: float) -> Record:
        """A measurement of this computer. Raises MachineError."""

    def details(self) -> str:
        """The HTML of the folded details: all of the measurement that is shown."""
        return str(self._measured._repr_html_())

    @property
    def measured(self) -> Any:
        """The measurement that is shown, as ``record`` or ``ask`` gave it."""
        return self._measured

    def measure(self, seconds: float | None = None) -> Any:
        """Measures on this computer, for about ``seconds`` (0.05 to 10), and draws it. The button does the same."""
        button = self._buttons["measure"]
        button.disabled, button.description = True, words("machine.measuring")
        try:
            self._measured = self.ask(self.seconds if seconds is None else seconds)
            self.failure = ""
        except MachineError as error:
            self.failure = str(error)
        finally:
            button.disabled, button.description = False, words("machine.button")
        self._refresh()
        return self._measured

    def set(self, **values: Any) -> None:
        """Sets several parameters and redraws once."""
        self.failure = ""  # it was said once
        super().set(**values)

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
        folded = widgets.Accordion([self._details], titles=(words(self.details_title),), selected_index=None)
        return [*super()._layout(), folded]

    def _changed(self, change: Any) -> None:
        self.failure = ""
        super()._changed(change)

    def _refresh(self) -> None:
        super()._refresh()
        self._details.value = self.details()
        if self.failure:
            self._text.value += f'<div role="alert">{html.escape(self.failure)}</div>'
