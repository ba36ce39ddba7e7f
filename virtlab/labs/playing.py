"""A lab whose steps can be played: the front end counts, and each count moves the one parameter ``step``."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import ipywidgets as widgets
import traitlets

from virtlab.core.words import words
from virtlab.labs.base import Lab

_PLAY_MS = 900


class PlayedLab(Lab):
    """Base of such labs. A subclass has a parameter ``step``, its largest value, and the length of what is shown."""

    most_steps: ClassVar[int]

    @abstractmethod
    def length(self) -> int:
        """How many steps the present result has."""

    def _layout(self) -> list[Any]:
        # The player's own buttons have no names for a screen reader, so it stays hidden behind one that has.
        self._player = widgets.Play(min=0, max=self.most_steps, interval=_PLAY_MS, show_repeat=False,
                                    layout=widgets.Layout(display="none"))  # fmt: skip
        self._play_button = widgets.ToggleButton(
            description=words("lab.play"), tooltip=words("lab.play_help"), icon="play",
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        traitlets.link((self._play_button, "value"), (self._player, "playing"))
        self._player.observe(self._played, names="value")
        row = self._controls["step"].row
        *inputs, help_text = row.children
        row.children = (*inputs, self._play_button, self._player, help_text)
        return super()._layout()

    def _played(self, change: Any) -> None:
        if not self._busy:
            self.step = change["new"]

    def _refresh(self) -> None:
        super()._refresh()
        if self.error is None:
            self._busy = True  # the player follows and does not lead
            try:
                self._player.max = max(1, self.length())
                self._player.value = min(self.step, self._player.max)
            finally:
                self._busy = False
