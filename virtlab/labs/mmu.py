"""The MMU lab: what "EPT optimization" means, and when the older technique would still win."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.units import show
from virtlab.core.words import say
from virtlab.evidence import FACTS
from virtlab.figures.mmu import RATES, TECHNIQUES, MmuPicture, MmuResult
from virtlab.labs.base import Lab
from virtlab.memory.mmu import MmuOptions, Technique, break_even_updates_per_s, mmu


class MmuSetting(Parameters):
    """What happens each second, and which help the hardware gives."""

    page_table_updates_per_s: float = parameter(FACTS["mmu.rate.updates"], ge=10, le=10_000_000, log=True)
    parallel_faults: bool = parameter(FACTS["mmu.parallel_faults"], default=True)
    accessed_dirty_bits: bool = parameter(FACTS["mmu.ad_bits"], default=True)
    tagged_tlb: bool = parameter(FACTS["mmu.tagged"], default=True)
    tlb_misses_per_s: float = parameter(FACTS["mmu.rate.misses"], ge=1, le=100_000_000, log=True)
    vcpus: int = parameter(FACTS["mmu.vcpus"], ge=1, le=512, log=True, unit="1")
    first_touches_per_s: float = parameter(FACTS["mmu.rate.touches"], ge=1, le=1_000_000, log=True)
    guest_faults_per_s: float = parameter(FACTS["mmu.rate.faults"], ge=1, le=1_000_000, log=True)
    cr3_loads_per_s: float = parameter(FACTS["mmu.rate.cr3"], ge=1, le=1_000_000, log=True)
    exits_per_s: float = parameter(FACTS["mmu.rate.exits"], ge=1, le=1_000_000, log=True)
    aged_pages_per_s: float = parameter(FACTS["mmu.rate.aged"], ge=1, le=1_000_000, log=True)
    updates_that_exit: float = parameter(FACTS["mmu.updates_that_exit"], ge=0, le=1)
    walk_native_cycles: float = parameter(FACTS["walk.cycles.native"], ge=5, le=2_000)
    walk_nested_cycles: float = parameter(FACTS["walk.cycles.nested"], ge=5, le=5_000)
    exit_kernel_cycles: float = parameter(FACTS["exit.m01.pio.ioeventfd"], ge=300, le=20_000)

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
