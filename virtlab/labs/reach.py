"""The reach lab: which accesses a program must translate anew, with huge pages on neither side, on one, or on both."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.reach import HIGH_BYTES, PAIRS, ReachPicture, ReachResult
from virtlab.labs.base import Lab
from virtlab.memory import CPUS, Tlb
from virtlab.memory import reach as law
from virtlab.memory.cpus import CpuName
from virtlab.memory.pages import PageSize, smaller
from virtlab.memory.slowdown import Workload

ACCESSES = 100_000  # simulated for the marked points
# The curves follow the laws of `virtlab.memory.reach`: a simulation of each of their points would take seconds.
_SIZES: NDArray[np.int64] = np.unique((2.0 ** np.arange(16, 36.01, 1 / 6)).astype(np.int64) // 4096 * 4096)


class ReachSetting(Parameters):
    """A program's accesses, and the TLBs of a CPU."""

    pattern: law.ReachPattern = parameter(FACTS["trace.pattern"], default="uniform")
    working_set_bytes: int = same(Workload, "working_set_bytes", le=HIGH_BYTES)
    replacement: law.Replacement = parameter(FACTS["tlb.replacement"], default="lru")
    cpu: CpuName = same(Workload, "cpu")
    huge_page: Literal["2M", "1G"] = parameter(FACTS["reach.huge_page"], default="2M")
    zipf_exponent: float = same(Workload, "zipf_exponent")

    def pages(self, pair: str) -> tuple[PageSize, PageSize]:
        """The guest's and the host's page of a pair."""
        return self.huge_page if pair in ("guest", "both") else "4K", (
            self.huge_page if pair in ("host", "both") else "4K"
        )

    def tlb(self, page: PageSize) -> Tlb:
        """The CPU's TLBs for entries of this size."""
        tlb: Tlb = CPUS[self.cpu].tlbs[page].replace(replacement=self.replacement)
        return tlb


class ReachLab(Lab):
    """How far a TLB reaches: cliff and slope, one side against both sides."""

    Setting = ReachSetting
    Picture = ReachPicture
    visible = ("pattern", "working_set_bytes", "replacement", "cpu")

    def solve(self, setting: ReachSetting) -> ReachResult:
        # What a TLB entry covers is all that a pair changes of the misses: the smaller of both pages.
        entry = {pair: smaller(*setting.pages(pair)) for pair in PAIRS}
        curves = {page: _curve(setting.tlb(page), page, setting.pattern, setting.zipf_exponent)
                  for page in set(entry.values())}  # fmt: skip
        shares = {page: law.simulated(setting.tlb(page), page, setting.pattern, setting.working_set_bytes, ACCESSES,
                                      setting.zipf_exponent).miss_share for page in curves}  # fmt: skip
        return ReachResult(
            sizes=_SIZES.astype(np.float64),
            curves={pair: curves[page] for pair, page in entry.items()},
            shares={pair: shares[page] for pair, page in entry.items()},
            reach_bytes={pair: law.reach_bytes(setting.tlb(page), page) for pair, page in entry.items()},
            working_set_bytes=setting.working_set_bytes,
            huge_page=setting.huge_page,
            entries={pair: law.entries(setting.tlb(page)) for pair, page in entry.items()},
        )

    def sentence(self, setting: ReachSetting, result: ReachResult) -> str:
        choices = words("parameter.guest_page.choices")
        return say(
            "reach.sentence",
            size=show(setting.working_set_bytes, "B"),
            pattern=words(f"parameter.pattern.choices.{setting.pattern}"),
            replacement=words(f"parameter.replacement.choices.{setting.replacement}"),
            cpu=words(f"parameter.cpu.choices.{setting.cpu}"),
            small_reach=show(result.reach_bytes["small"], "B"), small=show(result.shares["small"], "%"),
            both_reach=show(result.reach_bytes["both"], "B"), both=show(result.shares["both"], "%"),
            huge=choices[setting.huge_page],
        )  # fmt: skip


@functools.lru_cache(maxsize=128)
def _curve(tlb: Tlb, page: PageSize, pattern: law.ReachPattern, zipf_exponent: float) -> NDArray[np.float64]:
    some = _SIZES[:: 3 if pattern == "zipf" else 1]  # smooth, and each point costs some iterations
    shares = [law.miss_share(tlb, page, pattern, int(size), zipf_exponent) for size in some]
    return np.interp(np.log(_SIZES), np.log(some), shares)
