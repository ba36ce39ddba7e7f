"""The dirty-log lab: what it costs to know which pages a guest writes, and what becomes of its huge pages."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.dirty_log import LOGS, RATES, SPLITS, TIMES_S, DirtyLogPicture, DirtyLogResult, Floats
from virtlab.labs.base import Lab
from virtlab.memory import dirty_logging, unique_pages
from virtlab.memory.dirty import PAGE_BYTES, DirtyOptions, Log, Split, Writes, logged, split_entries


class DirtyLogSetting(Parameters):
    """How one vCPU writes, how that is logged, and when huge pages are split."""

    write_rate_per_s: float = parameter(FACTS["dirty.write_rate"], ge=1e3, le=1e7, log=True)
    dirty_log: Log = parameter(FACTS["dirty.log"], default="pml")  # "log" is taken: every widget has one
    split: Split = same(DirtyOptions, "split")
    clear_s: float = same(DirtyOptions, "clear_s", le=1000)
    memory_bytes: int = same(DirtyOptions, "memory_bytes", ge=1 << 30, le=1 << 40)
    hot_share: float = parameter(FACTS["lab.dirty.hot_share"], ge=0.0001, le=1, log=True)
    writes: Writes = parameter(FACTS["lab.dirty.writes"], default="random")
    page: Literal["4K", "2M"] = parameter(FACTS["migration.page"], default="2M")
    dirty_ring_entries: int = same(DirtyOptions, "dirty_ring_entries")
    tlb_entries: int = same(DirtyOptions, "tlb_entries")

    def options(self) -> DirtyOptions:
        """The options of the model; with the dirty ring there is no split at a CLEAR in QEMU, so it is at the start."""
        same = {name: getattr(self, name) for name in type(self).model_fields if name not in ("hot_share", "dirty_log")}
        hot = max(PAGE_BYTES, round(self.hot_share * self.memory_bytes))
        return DirtyOptions(**{**same, "split": self.when(self.dirty_log)}, hot_bytes=hot, log=self.dirty_log)

    def when(self, log: Log) -> Split:
        """The split that goes with a log."""
        return "start" if log == "ring" and self.split == "clear" else self.split


@lru_cache(maxsize=64)
def _costs(setting: DirtyLogSetting, log: Log) -> tuple[Floats, Floats]:
    """Exits a second and their share of the vCPU over ``RATES``."""
    options = setting.options().replace(log=log, split=setting.when(log))
    events = [logged(options, float(rate), options.clear_s) for rate in RATES]
    exits = np.array([e.faults + e.pml_exits + e.ring_exits for e in events])
    return exits / options.clear_s, np.array([e.exit_s(options) for e in events]) / options.clear_s


@lru_cache(maxsize=64)
def _split(setting: DirtyLogSetting, split: Split) -> Floats:
    """The share of the memory in pages of 4 KiB over ``TIMES_S``; a CLEAR splits all of it, and none before it."""
    options = setting.options().replace(split=split)
    if options.page == "4K":
        return np.ones_like(TIMES_S)
    if split == "fault":
        entries = [split_entries(options, options.write_rate_per_s, float(t)) for t in TIMES_S]
        return np.array(entries) / options.pages
    return np.where(TIMES_S >= (options.clear_s if split == "clear" else 0) * (1 - 1e-9), 1.0, 0.0)


class DirtyLogLab(Lab):
    """What does it cost to know which pages were written?"""

    Setting = DirtyLogSetting
    Picture = DirtyLogPicture
    visible = ("write_rate_per_s", "dirty_log", "split", "clear_s")

    def solve(self, setting: DirtyLogSetting) -> DirtyLogResult:
        options = setting.options()
        # What does not depend on the rate or on the split of the other logs is computed once for all of its values.
        base = setting.replace(write_rate_per_s=RATES[0], dirty_log="pml")
        costs = {log: _costs(base, log) for log in LOGS}
        dirty = unique_pages(options.hot_pages, options.write_rate_per_s, TIMES_S, options.writes)
        still = setting.replace(dirty_log="pml", dirty_ring_entries=1024, tlb_entries=16)
        return DirtyLogResult(
            log=dirty_logging(options),
            exits_per_s={log: exits for log, (exits, _) in costs.items()},
            vcpu_share={log: share for log, (_, share) in costs.items()},
            dirty_share=np.asarray(dirty) / options.hot_pages,
            split_share={split: _split(still, split) for split in SPLITS},
        )

    def sentence(self, setting: DirtyLogSetting, result: DirtyLogResult) -> str:
        log, o = result.log, result.log.options
        reach = {"before": show(log.reach_before_bytes, "B"), "after": show(log.reach_after_bytes, "B")}
        if o.page == "4K":
            split = say("dirty_log.split_none", **reach)
        else:
            split = say("dirty_log.split_some", when=words(f"dirty_log.split.{o.split}"),
                        entries=number(round(log.split_entries), 12), time=show(o.clear_s, "s"), **reach)  # fmt: skip
        parts = [
            say("dirty_log.sentence", log=words(f"parameter.dirty_log.choices.{o.log}"),
                rate=number(o.write_rate_per_s), writes=words(f"dirty_log.writes.{o.writes}"),
                time=show(o.clear_s, "s"), dirty=number(round(log.unique_pages), 12),
                hot=number(round(o.hot_pages), 12),
                exits=number(log.exits_per_s), share=show(log.vcpu_share, "%"), split=split)
        ]  # fmt: skip
        if o.split != setting.split:
            parts.append(words("dirty_log.ring_splits"))
        if log.vcpu_share > 1:
            parts.append(words("dirty_log.impossible"))
        text = " ".join(parts)
        return text[0].upper() + text[1:]
