"""The IOMMU lab: where the IOTLB's wall stands, what huge pages do to it, and what each way to unmap costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.iommu import PAGES, POOLS, ROWS, IommuPicture, IommuResult
from virtlab.labs.base import Lab
from virtlab.offload import IommuOptions, iommu

_STRICT_LINK, _WALL_LINK = 100.0, 200.0  # of the published measurements


class IommuLab(Lab):
    """One card behind an IOMMU: its pool of buffers against the IOTLB, and the ways to map and unmap."""

    Setting = IommuOptions
    Picture = IommuPicture
    visible = ("pool_buffers", "iommu_mode", "io_page", "iotlb_entries")

    def solve(self, setting: IommuOptions) -> IommuResult:
        rows = {row: iommu(setting, iommu_mode="strict", walk_caches="kept") if row == "kept" else
                iommu(setting, iommu_mode=row) for row in ROWS}  # fmt: skip
        curves = {page: _once(setting.replace(iommu_mode="static", io_page=page)) for page in PAGES}
        chosen = curves[setting.io_page] if setting.iommu_mode == "static" else _curve(setting, POOLS)
        # A bare link is the end of the scale: what was measured on another one is its own, and shown as it was.
        strict, wall = FACTS["overhead.iommu.strict"], FACTS["overhead.iotlb.wall"].value
        link = setting.link_gbit_per_s
        return IommuResult(
            rows, curves, chosen, setting.iommu_mode, setting.io_page,
            (_STRICT_LINK * (1 - strict.high), _STRICT_LINK * (1 - strict.low)) if link >= _STRICT_LINK else None,
            (_WALL_LINK * (1 - wall), _WALL_LINK) if link == _WALL_LINK else None,
        )  # fmt: skip

    def sentence(self, setting: IommuOptions, result: IommuResult) -> str:
        others = [say("iommu_lab.other", name=words(f"iommu_lab.plain.{row}"),
                      rate=show(result.rows[row].rate_gbit_per_s, "Gb/s")) for row in ROWS
                  if row != setting.iommu_mode]  # fmt: skip
        return say("iommu_lab.sentence", now=result.now.sentence(), queues=number(setting.dma_queues),
                   entries=f"{setting.iotlb_entries:,}", others=", ".join(others))  # fmt: skip


def _once(setting: IommuOptions) -> NDArray[np.float64]:
    """Mapped once. A huge page needs few misses, and those change slowly: some of the points do."""
    some = POOLS[:: {"4K": 1, "2M": 2, "1G": 6}[setting.io_page]]
    return np.interp(np.log(POOLS), np.log(some), _curve(setting, some))


def _curve(setting: IommuOptions, pools: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array([iommu(setting, pool_buffers=int(pool)).rate_gbit_per_s for pool in pools])
