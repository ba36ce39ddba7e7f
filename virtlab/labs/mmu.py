"""The MMU lab: what "EPT optimization" means, and when the older technique would still win."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from virtlab.core.parameter import Parameters, same
from virtlab.core.units import show
from virtlab.core.words import say
from virtlab.figures.mmu import RATES, TECHNIQUES, MmuPicture, MmuResult
from virtlab.labs.base import Lab
from virtlab.memory.mmu import MmuOptions, Technique, break_even_updates_per_s, mmu


class MmuSetting(Parameters):
    """What happens each second, and which help the hardware gives."""

    page_table_updates_per_s: float = same(MmuOptions, "page_table_updates_per_s", ge=10)
    parallel_faults: bool = same(MmuOptions, "parallel_faults")
    accessed_dirty_bits: bool = same(MmuOptions, "accessed_dirty_bits")
    tagged_tlb: bool = same(MmuOptions, "tagged_tlb")
    tlb_misses_per_s: float = same(MmuOptions, "tlb_misses_per_s")
    vcpus: int = same(MmuOptions, "vcpus")
    first_touches_per_s: float = same(MmuOptions, "first_touches_per_s")
    guest_faults_per_s: float = same(MmuOptions, "guest_faults_per_s")
    cr3_loads_per_s: float = same(MmuOptions, "cr3_loads_per_s")
    exits_per_s: float = same(MmuOptions, "exits_per_s")
    aged_pages_per_s: float = same(MmuOptions, "aged_pages_per_s")
    updates_that_exit: float = same(MmuOptions, "updates_that_exit")
    walk_native_cycles: float = same(MmuOptions, "walk_native_cycles")
    walk_nested_cycles: float = same(MmuOptions, "walk_nested_cycles")
    exit_kernel_cycles: float = same(MmuOptions, "exit_kernel_cycles")

    def options(self, technique: Technique, **more: Any) -> MmuOptions:
        """The options of one technique under this setting."""
        return MmuOptions(technique=technique, **self.model_dump() | more)


class MmuLab(Lab):
    """Shadow paging and nested paging under the same load."""

    Setting = MmuSetting
    Picture = MmuPicture
    visible = ("page_table_updates_per_s", "parallel_faults", "accessed_dirty_bits", "tagged_tlb")

    def solve(self, setting: MmuSetting) -> MmuResult:
        shadow, nested = (mmu(setting.options(technique)) for technique in TECHNIQUES)
        curve = [mmu(setting.options("shadow", page_table_updates_per_s=float(rate))).total_share for rate in RATES]
        even = break_even_updates_per_s(setting.options("nested"))
        return MmuResult(shadow, nested, np.array(curve), even)

    def sentence(self, setting: MmuSetting, result: MmuResult) -> str:
        at = result.break_even_per_s
        key = "never" if not at else "always" if at == math.inf else "at"
        return say(
            "mmu.lab_sentence", rate=show(setting.page_table_updates_per_s, "1/s"),
            shadow=result.shadow.sentence(), nested=result.nested.sentence(),
            even=say(f"mmu.even_sentence.{key}", rate=show(at, "1/s")),
        )  # fmt: skip
