"""What an IOMMU costs a card: reads of its table for each 4 KiB, and with them throughput, and who invalidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from virtlab.core.parameter import parameter, same
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.offload.domains import PAGE_BYTES
from virtlab.offload.iotlb import IotlbOptions, count_iotlb, reads_of_fresh_buffers
from virtlab.offload.window import WindowOptions

Mode = Literal["off", "static", "lazy", "strict"]
MODES: tuple[Mode, ...] = ("off", "static", "lazy", "strict")
_LEVELS = 4  # of an IO page table of 48 bits


class IommuOptions(IotlbOptions):
    """How a driver uses the IOMMU, beside the IOTLB and the rings of `IotlbOptions`, and the costs of one machine.

    ``off``: no translation (or passthrough). ``static``: all is mapped once, as VFIO does for a guest. ``lazy`` and
    ``strict``: a host's driver maps each buffer of 4 KiB for its DMA and unmaps it afterwards; the invalidation then
    waits in a flush queue, or is made at once.
    """

    iommu_mode: Mode = parameter(FACTS["iommu.mode"], default="static")
    walk_caches: Literal["kept", "dropped"] = parameter(FACTS["iommu.walk_caches"], default="dropped")
    unmap_batch_pages: int = parameter(FACTS["iommu.unmap_batch"], ge=1, le=512, log=True)
    link_gbit_per_s: float = same(WindowOptions, "link_gbit_per_s")
    iommu_base_ns: float = parameter(FACTS["iommu.m50.base"], ge=10, le=1_000)
    iommu_miss_ns: float = parameter(FACTS["iommu.m50.miss"], ge=0, le=2_000)
    invalidation_ns: float = parameter(FACTS["iommu.invalidation"], ge=0, le=20_000)
    flush_entries: int = parameter(FACTS["iommu.flush.entries"], ge=1, le=32_768, log=True)
    flush_ms: float = parameter(FACTS["iommu.flush.time"], ge=0.01, le=1_000, log=True)


def page_ns(reads: float, options: IommuOptions | None = None) -> float:
    """Time in ns of a buffer of 4 KiB for which the IOMMU reads its table ``reads`` times: l0 + M * lm."""
    o = options or IommuOptions()
    return o.iommu_base_ns + reads * o.iommu_miss_ns


@dataclass(frozen=True, repr=False)
class Iommu(Shown):
    """Counts are per buffer of 4 KiB. ``reads`` are the M of the law: reads of the IO page table."""

    options: IommuOptions
    lookups: float
    hits: float
    misses: float
    reads: float

    @property
    def page_ns(self) -> float:
        """Time of one buffer where the link is no limit: l0 + M * lm."""
        return page_ns(self.reads, self.options)

    @property
    def iommu_gbit_per_s(self) -> float:
        """What the DMAs carry where the link is no limit."""
        return 8 * PAGE_BYTES / self.page_ns

    @property
    def rate_gbit_per_s(self) -> float:
        """T = min(link, p / (l0 + M * lm))."""
        return min(self.options.link_gbit_per_s, self.iommu_gbit_per_s)

    @property
    def lost_share(self) -> float:
        """Of what would arrive without an IOMMU."""
        o = self.options
        return 1 - self.rate_gbit_per_s / min(o.link_gbit_per_s, 8 * PAGE_BYTES / o.iommu_base_ns)

    @property
    def pages_per_s(self) -> float:
        """Buffers of 4 KiB each second."""
        return self.rate_gbit_per_s * 1e9 / 8 / PAGE_BYTES

    @property
    def invalidations_per_s(self) -> float:
        """Commands to the IOMMU: one for each batch that is unmapped (strict), or for each flush (lazy)."""
        if self.options.iommu_mode == "strict":
            return self.pages_per_s / self.options.unmap_batch_pages
        return 1e9 / self.stale_ns if self.options.iommu_mode == "lazy" else 0.0

    @property
    def invalidation_cores(self) -> float:
        """CPUs that do nothing but wait for invalidations. They are not taken from the rate: more cores can wait."""
        return self.invalidations_per_s * self.options.invalidation_ns / 1e9

    @property
    def stale_ns(self) -> float:
        """How long an unmapped buffer may still be reached, at most: until its flush queue is full, or its timer ends.

        One CPU unmaps all; where c CPUs share the work each queue takes c times as long to fill.
        """
        o = self.options
        return min(o.flush_ms * 1e6, o.flush_entries / self.pages_per_s * 1e9) if o.iommu_mode == "lazy" else 0.0

    def law(self) -> tuple[float, float]:
        """Conservation: each look-up hits or misses. Returns both sides."""
        return self.hits + self.misses, self.lookups

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        return say(
            f"iommu.sentence.{o.iommu_mode}", rate=show(self.rate_gbit_per_s, "Gb/s"),
            link=show(o.link_gbit_per_s, "Gb/s"), reads=number(self.reads), lost=show(self.lost_share, "%"),
            pool=show(o.pool_bytes, "B"), page=o.specs()["io_page"].show(o.io_page),
            cores=number(self.invalidation_cores), stale=show(self.stale_ns, "ns"),
        )  # fmt: skip

    def table(self) -> Table:
        rows = [
            (words("iommu.row.lookups"), number(self.lookups)),
            (words("iommu.row.misses"), number(self.misses)),
            (words("iommu.row.reads"), number(self.reads)),
            (words("iommu.row.page"), show(self.page_ns, "ns")),
            (words("iommu.row.rate"), show(self.rate_gbit_per_s, "Gb/s")),
            (words("iommu.row.lost"), show(self.lost_share, "%")),
            (words("iommu.row.invalidations"), show(self.invalidations_per_s, "1/s")),
            (words("iommu.row.cores"), number(self.invalidation_cores)),
            (words("iommu.row.stale"), show(self.stale_ns, "ns") if self.stale_ns else words("iommu.none")),
        ]
        return Table.of(words("iommu.header"), rows, self.sentence(), numeric=[1])


def iommu(options: IommuOptions | None = None, /, **changes: Any) -> Iommu:
    """What the IOMMU costs a card that moves buffers of 4 KiB. Options as in :class:`IommuOptions`.

    The law, and the costs that it comes with, are those of Fast & Safe (SOSP'24), fitted there to one machine:
    T = min(link, p / (l0 + M * lm)). M is counted here as what the IOMMU reads of its table for each 4 KiB:
    ``static``: the IOTLB is simulated (`count_iotlb`). ``strict``: no IOTLB can know a buffer that was mapped only
    now, so that the last level is read for each; where an unmap drops the paging-structure caches too, each batch
    reads the three levels above again; if they are kept, they are read as often as these caches miss. ``lazy``: as
    strict with caches that are kept, and each flush, one for ``flush_entries`` unmaps, drops all of it, the rings'
    translations too. A buffer that is mapped for its DMA is mapped in 4 KiB, whatever ``io_page`` says.
    Left out: packets that share a buffer or span several, two-stage tables, waiting of CPUs for one another at the
    invalidation queue, ATS' way through PCIe, memory that DMA and CPUs fight for. Raises ParameterError.
    """
    o = IommuOptions.given(options, changes)
    if o.iommu_mode == "off":
        return Iommu(o, 0.0, 0.0, 0.0, 0.0)
    if o.iommu_mode == "static":
        seen = count_iotlb(rings(o))
        found = (seen.device_hits + seen.iotlb_hits) / seen.pages
        return Iommu(o, seen.lookups / seen.pages, found, seen.misses / seen.pages, seen.reads / seen.pages)
    upper = reads_of_fresh_buffers(rings(o)) - 1  # levels above the last, while their caches are kept
    if o.iommu_mode == "strict":
        # The rings stay mapped, and are used so often that the IOTLB keeps them.
        if o.walk_caches == "dropped":  # the first page of a batch reads all levels
            upper += (_LEVELS - 1 - upper) / o.unmap_batch_pages
        return Iommu(o, 3.0, 2.0, 1.0, 1 + upper)
    # After a flush each queue misses once in its two ring pages, and reads its last-level table's place once.
    again = min(o.dma_queues, o.flush_entries)
    ring_misses = 2 * again / o.flush_entries
    upper += (again + 2) / o.flush_entries
    return Iommu(o, 3.0, 2 - ring_misses, 1 + ring_misses, 1 + ring_misses + min(upper, _LEVELS - 1.0))


def rings(options: IommuOptions) -> IotlbOptions:
    """The part of the options that the IOTLB sees."""
    return IotlbOptions(**{name: getattr(options, name) for name in IotlbOptions.model_fields})
