"""The density lab: VMs on a host over the size of a VM, with overhead, cores that are kept, and overcommitment."""

from __future__ import annotations

from virtlab.cloud import density, density_curve
from virtlab.cloud.density import DensityOptions
from virtlab.figures.density import SIZES, DensityPicture, DensityResult
from virtlab.labs.base import Lab


class DensityLab(Lab):
    """How many VMs a host holds, which limit binds, and what the memory of a VMM costs where it does."""

    Setting = DensityOptions
    Picture = DensityPicture
    visible = ("memory_bytes", "overhead_bytes", "kept_cores", "vcpus_per_thread")

    def solve(self, setting: DensityOptions) -> DensityResult:
        found = density(setting)
        fixed = min(limit.most for limit in found.limits if limit.id != "memory")
        without = tuple(int(min(fixed, setting.sellable_bytes // size)) for size in SIZES)
        return DensityResult(found, tuple(density_curve(SIZES, setting)), without, fixed)

    def sentence(self, setting: DensityOptions, result: DensityResult) -> str:
        return result.density.sentence()
