"""The walk lab: a two-dimensional page walk on its grid, played read by read."""

from __future__ import annotations

from typing import Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.walk import WalkPicture, WalkResult
from virtlab.labs.playing import PlayedLab
from virtlab.memory.pages import PageSize
from virtlab.memory.walk import Cached, Levels, WalkOptions, walk

MOST_STEPS = 35  # references of the longest walk


class WalkSetting(Parameters):
    """The tables of both sides, what is cached, and how far the walk is played."""

    guest_page: PageSize = same(WalkOptions, "guest_page")
    host_page: PageSize = same(WalkOptions, "host_page")
    guest_cache: Cached = same(WalkOptions, "guest_cache")
    step: int = parameter(FACTS["walk.step"], ge=0, le=MOST_STEPS)
    guest_levels: Levels = same(WalkOptions, "guest_levels")
    host_levels: Levels = same(WalkOptions, "host_levels")
    host_cache: Cached = same(WalkOptions, "host_cache")
    nested_tlb_tables: bool = same(WalkOptions, "nested_tlb_tables")
    nested_tlb_data: bool = same(WalkOptions, "nested_tlb_data")
    table_page: Literal["host", "4K", "2M", "1G"] = same(WalkOptions, "table_page")
    guest_paging: bool = same(WalkOptions, "guest_paging")
    nested_paging: bool = same(WalkOptions, "nested_paging")
    guest_depth: Literal[1, 2] = same(WalkOptions, "guest_depth")

    def options(self) -> WalkOptions:
        """The options of the walk under this setting; bare metal has no guest to nest."""
        values = self.model_dump(exclude={"step"})
        return WalkOptions(**values | ({} if self.nested_paging else {"guest_depth": 1}))


class WalkLab(PlayedLab):
    """The references of one page walk, one after the other."""

    Setting = WalkSetting
    Picture = WalkPicture
    most_steps = MOST_STEPS
    visible = ("guest_page", "host_page", "guest_cache", "step")

    def solve(self, setting: WalkSetting) -> WalkResult:
        return WalkResult(walk(setting.options()), setting.step)

    def sentence(self, setting: WalkSetting, result: WalkResult) -> str:
        saved = [say(f"walk.saved_by.{key}", count=n) for key, n in result.saved().items() if n]
        exits = len(result.walk.first_touch)
        return say(
            "walk.sentence",
            walk=result.walk.table().caption,
            saved="; ".join(saved) if saved else words("walk.nothing_saved"),
            step=self._step_text(result),
            exits=words("walk.one_exit") if exits == 1 else say("walk.exits", count=exits),
        )

    def _step_text(self, result: WalkResult) -> str:
        current = result.current
        if current is None:
            return str(words("walk.all_shown"))
        at = say("walk.step_of", step=result.position, count=result.walk.count)
        return f"{at}: {current.text}, {say('walk.where', index=current.index, address=f'{current.address:#x}')}"

    def length(self) -> int:
        return int(self.result.walk.count)
