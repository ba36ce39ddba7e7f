"""The slice lab: one link among virtual functions, who gets what under each scheduler, and what the small one waits."""

from __future__ import annotations

from virtlab.figures.slices import SlicePicture, SliceResult
from virtlab.labs.base import Lab
from virtlab.offload import SliceOptions, all_slices


class SliceLab(Lab):
    """A link sliced: weights, caps and five schedulers; the small VF beside greedy ones."""

    Setting = SliceOptions
    Picture = SlicePicture
    visible = ("small_gbit_per_s", "slice_vfs", "vf_weight", "slice_scheduler")

    def solve(self, setting: SliceOptions) -> SliceResult:
        each = all_slices(setting)
        return SliceResult(each[setting.slice_scheduler], each)

    def sentence(self, setting: SliceOptions, result: SliceResult) -> str:
        return result.chosen.sentence()
