"""The map lab: how many references a walk makes, for all levels and page sizes side by side."""

from __future__ import annotations

import functools
from typing import Any

from virtlab.core.parameter import Parameters, same
from virtlab.core.words import say, words
from virtlab.figures.walk_map import LEVELS, Key, WalkMapPicture, WalkMapResult
from virtlab.labs.base import Lab
from virtlab.memory.pages import PAGES, PageSize
from virtlab.memory.walk import Cached, Levels, Walk, WalkOptions, walk


class WalkMapSetting(Parameters):
    """What is cached, and which cell is marked."""

    guest_cache: Cached = same(WalkOptions, "guest_cache")
    host_cache: Cached = same(WalkOptions, "host_cache")
    nested_tlb_tables: bool = same(WalkOptions, "nested_tlb_tables")
    nested_tlb_data: bool = same(WalkOptions, "nested_tlb_data")
    guest_levels: Levels = same(WalkOptions, "guest_levels")
    guest_page: PageSize = same(WalkOptions, "guest_page")
    host_levels: Levels = same(WalkOptions, "host_levels")
    host_page: PageSize = same(WalkOptions, "host_page")


@functools.lru_cache(maxsize=2048)
def _walk(options: WalkOptions) -> Walk:
    return walk(options)


class WalkMapLab(Lab):
    """All 36 walks at once."""

    Setting = WalkMapSetting
    Picture = WalkMapPicture
    visible = ("guest_cache", "host_cache", "nested_tlb_tables", "nested_tlb_data")

    def solve(self, setting: WalkMapSetting) -> WalkMapResult:
        caches = {name: getattr(setting, name) for name in self.visible}

        def count(guest_levels: Levels, guest_page: PageSize, **more: Any) -> int:
            return _walk(WalkOptions(guest_levels=guest_levels, guest_page=guest_page, **caches, **more)).count

        counts: dict[Key, int] = {
            (g, gp, h, hp): count(g, gp, host_levels=h, host_page=hp)
            for g in LEVELS for gp in PAGES for h in LEVELS for hp in PAGES
        }  # fmt: skip
        native = {(g, gp): count(g, gp, nested_paging=False) for g in LEVELS for gp in PAGES}
        marked = _walk(WalkOptions(**setting.model_dump()))
        own = sum(r.space == "guest" for r in marked.references)
        tables = sum(r.space == "host" and r.target > 0 for r in marked.references)
        key: Key = (setting.guest_levels, setting.guest_page, setting.host_levels, setting.host_page)
        return WalkMapResult(counts, native, key, marked.cold, (own, tables, marked.count - own - tables))

    def sentence(self, setting: WalkMapSetting, result: WalkMapResult) -> str:
        own, tables, data = result.parts
        return say(
            "walk_map.sentence",
            marked=_walk(WalkOptions(**setting.model_dump())).table().caption,
            own=own, tables=tables, data=data,
            least=min(result.counts.values()), most=max(result.counts.values()),
            caches=_caches(setting),
        )  # fmt: skip


def _caches(setting: WalkMapSetting) -> str:
    """What is cached, for a reader."""
    named = [
        f"{spec.label}: {spec.show(getattr(setting, name))}"
        for name, spec in WalkMapSetting.specs().items()
        if name in WalkMapLab.visible and getattr(setting, name) not in ("none", False)
    ]
    return "; ".join(named) if named else str(words("walk_map.nothing"))
