"""The lab of moves: start with a host, separate, minimise and flatten in any order, and see what each step costs."""

from __future__ import annotations

from typing import Literal

from virtlab.cloud import slim
from virtlab.core.parameter import Parameters, parameter
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.thin import ThinPicture, ThinResult
from virtlab.labs.base import Lab

_MOVE = FACTS["lab.thin.move"]
AnyMove = Literal["none", "separate", "minimise", "flatten"]


class ThinSetting(Parameters):
    """Where to begin, and up to three moves."""

    thin_start: Literal["qemu", "firecracker", "nitro", "cipu", "qingtian", "azure", "google", "dpu"] = parameter(
        FACTS["lab.thin.start"], default="qemu"
    )
    first_move: AnyMove = parameter(_MOVE, default="separate")
    second_move: AnyMove = parameter(_MOVE, default="none")
    third_move: AnyMove = parameter(_MOVE, default="none")

    def moves(self) -> tuple[str, ...]:
        """The moves that are made, in their order."""
        return tuple(m for m in (self.first_move, self.second_move, self.third_move) if m != "none")


class ThinLab(Lab):
    """Ten duties by place, and the vector of what a host keeps, crosses, shows to its guests and has lost."""

    Setting = ThinSetting
    Picture = ThinPicture
    visible = ("thin_start", "first_move", "second_move", "third_move")

    def solve(self, setting: ThinSetting) -> ThinResult:
        return ThinResult(slim(setting.thin_start, *setting.moves()))

    def sentence(self, setting: ThinSetting, result: ThinResult) -> str:
        made = ", ".join(words(f"thin.move.{move}") for move in setting.moves()) or words("thin_lab.no_move")
        start = words(f"parameter.thin_start.choices.{setting.thin_start}")
        return say("thin_lab.sentence", start=start, moves=made, what=result.slim.sentence(), lost=result.lost())
