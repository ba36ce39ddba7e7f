"""The footprint lab: what huge pages cost in memory, and what they save of tables and of the first touch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.footprint import HUGE, PAGES, SMALL, FootprintPicture, FootprintResult
from virtlab.labs.base import Lab
from virtlab.memory import Footprint, footprint
from virtlab.memory.footprint import FootprintOptions


class FootprintSetting(Parameters):
    """A guest's memory, how much of it is touched, and the huge pages that stand against 4 KiB."""

    memory_bytes: int = same(FootprintOptions, "memory_bytes")
    touched_share: float = same(FootprintOptions, "touched_share", step=0.01)
    huge_page: Literal["2M", "1G"] = parameter(FACTS["reach.huge_page"], default="2M")
    hugetlb: bool = same(FootprintOptions, "hugetlb")
    hvo: bool = same(FootprintOptions, "hvo")
    ept_violation_ns: float = same(FootprintOptions, "ept_violation_ns")
    copy_gbyte_per_s: float = same(FootprintOptions, "copy_gbyte_per_s")

    def options(self) -> dict[str, Any]:
        """What the footprint takes, without the pages."""
        return self.model_dump(exclude={"huge_page"})


class FootprintLab(Lab):
    """What huge pages cost."""

    Setting = FootprintSetting
    Picture = FootprintPicture
    visible = ("memory_bytes", "touched_share", "huge_page", "hugetlb")

    def solve(self, setting: FootprintSetting) -> FootprintResult:
        options = setting.options()
        by = {page: footprint(guest_page=page, host_page=page, **options) for page in PAGES}
        return FootprintResult(
            parts={SMALL: _parts(by["4K"]), HUGE: _parts(by[setting.huge_page])},
            exits={page: found.first_touch_exits for page, found in by.items()},
            touch_ns={page: found.first_touch_ns for page, found in by.items()},
            huge_page=setting.huge_page,
            memory_bytes=setting.memory_bytes,
        )

    def sentence(self, setting: FootprintSetting, result: FootprintResult) -> str:
        small, huge = result.parts[SMALL], result.parts[HUGE]
        page = setting.huge_page
        return say(
            "footprint_lab.sentence",
            memory=show(setting.memory_bytes, "B"), touched=show(setting.touched_share, "%"),
            huge=words(f"parameter.huge_page.choices.{page}"),
            small_tables=show(_tables(small), "B"), huge_tables=show(_tables(huge), "B"),
            small_structs=show(_structs(small), "B"), huge_structs=show(_structs(huge), "B"),
            bloat=show(huge["bloat"], "B"), unused=show(huge["unused"], "B"),
            small_exits=f"{result.exits['4K']:,}", small_time=show(result.touch_ns["4K"], "ns"),
            huge_exits=f"{result.exits[page]:,}", huge_time=show(result.touch_ns[page], "ns"),
        )  # fmt: skip


def _parts(found: Footprint) -> dict[str, int]:
    return {
        "bloat": found.bloat_bytes,
        "unused": found.unused_bytes,
        "host_struct_pages": found.host_struct_pages_bytes,
        "host_tables": sum(found.host_tables_bytes.values()),
        "guest_struct_pages": found.guest_struct_pages_bytes,
        "guest_tables": sum(found.guest_tables_bytes.values()),
    }


def _tables(parts: Mapping[str, int]) -> int:
    return parts["host_tables"] + parts["guest_tables"]


def _structs(parts: Mapping[str, int]) -> int:
    return parts["host_struct_pages"] + parts["guest_struct_pages"]
