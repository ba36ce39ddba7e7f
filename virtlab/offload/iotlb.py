"""The IOTLB under a card's rings: their look-ups as a trace through the same engine as the TLB of a CPU."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.core.parameter import Parameters, parameter
from virtlab.evidence import FACTS
from virtlab.memory import Tlb, TlbResult, simulate
from virtlab.memory.pages import SHIFT, PageSize

#: Buffers that are counted, at most: the shares are settled long before.
MOST_COUNTED = 1024
_DESCRIPTOR_BYTES, _COMPLETION_BYTES = 16, 64
_DEVICE_WAYS = 4
_ODD = 317  # 512 times the golden ratio, made odd: neighbours land far apart
_REVERSED: NDArray[np.int64] = np.array([int(f"{n:09b}"[::-1], 2) for n in range(512)], np.int64)


class IotlbOptions(Parameters):
    """The IOTLB, and how a card goes through the buffers of its queues.

    ``pool_buffers`` of 4 KiB lie side by side and are dealt out evenly to ``dma_queues``, which take turns. Each
    queue has a ring of descriptors (16 B) and one of completions (64 B). ``ats_entries`` are kept in the device (ATS).
    """

    io_page: PageSize = parameter(FACTS["iommu.page"], default="4K")
    iotlb_entries: int = parameter(FACTS["iommu.iotlb.entries"], ge=16, le=4096, log=True)
    iotlb_ways: int = parameter(FACTS["iommu.iotlb.ways"], ge=1, le=256, log=True)
    pool_buffers: int = parameter(FACTS["iommu.pool"], ge=16, le=65_536, log=True)
    dma_queues: int = parameter(FACTS["iommu.queues"], ge=1, le=256, log=True)
    recycling: Literal["in_order", "random"] = parameter(FACTS["iommu.recycling"], default="in_order")
    ats_entries: int = parameter(FACTS["iommu.ats.entries"], ge=0, le=4096)

    @property
    def buffers_per_queue(self) -> int:
        """Places of each queue's rings."""
        return max(self.pool_buffers // self.dma_queues, 1)

    @property
    def pool_bytes(self) -> int:
        """What all buffers take."""
        return self.buffers_per_queue * self.dma_queues * 4096


@dataclass(frozen=True)
class IotlbCounts:
    """What ``pages`` buffers of 4 KiB needed: look-ups, those that neither device nor IOTLB knew, and table reads."""

    pages: int
    lookups: int
    device_hits: int
    iotlb_hits: int
    misses: int
    reads: int


@functools.lru_cache(maxsize=1024)
def count_iotlb(options: IotlbOptions, most: int = MOST_COUNTED) -> IotlbCounts:
    """Sends what a card looks up through the IOTLB, in a settled state; deterministic. Buffers stay mapped.

    A buffer of 4 KiB costs three look-ups: its descriptor, the buffer (its further packets find what the first one
    brought), its completion. ``most`` bounds the buffers that are counted.
    """
    o = options
    warm, trace, pages = _trace(o, most)
    done = _through(o, np.concatenate([warm, trace]), len(warm))
    reads = sum(done.guest_loads)
    if o.ats_entries:
        return IotlbCounts(pages, done.accesses, done.l1_hits, done.l2_hits, done.walks, reads)
    return IotlbCounts(pages, done.accesses, 0, done.l1_hits, done.walks, reads)


@functools.lru_cache(maxsize=1024)
def reads_of_fresh_buffers(options: IotlbOptions) -> float:
    """Table reads for a buffer whose translation nothing can know, as it was mapped only now: 1 to 4.

    The last level is always read; those above it only where the paging-structure caches do not have them.
    """
    layout = _Layout(options)
    queue, _, buffer = layout.turns(0, min(layout.size * layout.queues, MOST_COUNTED))
    begin = np.arange(0, layout.bytes, 1 << 21, dtype=np.int64)  # each last-level table once
    trace = np.concatenate([begin, queue + buffer * 4096])
    # One entry still knows a buffer that is used twice in a row: it counts as a read.
    done = simulate(trace, Tlb(l1_entries=1, l1_ways=1, l2_entries=0), host_page=None, warm=len(begin))
    return (sum(done.guest_loads) + done.l1_hits) / done.accesses


def _through(o: IotlbOptions, trace: NDArray[np.int64], warm: int) -> TlbResult:
    entries, ways = geometry(o.iotlb_entries, o.iotlb_ways)
    if not o.ats_entries:
        tlb = Tlb(l1_entries=entries, l1_ways=ways, l2_entries=0)
    else:
        device, device_ways = geometry(o.ats_entries, _DEVICE_WAYS)
        tlb = Tlb(l1_entries=device, l1_ways=device_ways, l2_entries=entries, l2_ways=ways)
    return simulate(_hashed(trace, SHIFT[o.io_page]), tlb, guest_page=o.io_page, host_page=None, warm=warm)


def _hashed(trace: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Each page at another place of its table, so that a hash chooses the set; which table it is stays as it was.

    The rings of queues lie at even distances, and would fall into the same few sets if address bits chose them.
    """
    page = trace >> shift
    table = page >> 9
    mixed = page * _ODD + (table * _ODD * _ODD >> 7) & 511
    reversed_bits = _REVERSED[mixed]  # the upper bits of a product are the well mixed ones
    return (table << 9 | reversed_bits) << shift


def geometry(entries: int, ways: int) -> tuple[int, int]:
    """Entries and ways of the largest cache of at most ``entries`` whose sets are a power of two, each of at least
    ``ways`` (fewer only where there are no more entries)."""
    sets = 1 << max(entries // ways, 1).bit_length() - 1
    return entries // sets * sets, entries // sets


class _Layout:
    """Where each queue's buffers and rings lie, one queue behind the other; slots in the order of their use."""

    def __init__(self, o: IotlbOptions) -> None:
        self.size, self.queues = o.buffers_per_queue, o.dma_queues
        self.completions = self.size * 4096 + _whole_pages(self.size * _DESCRIPTOR_BYTES)
        self.stride = self.completions + _whole_pages(self.size * _COMPLETION_BYTES)
        self.bytes = self.stride * self.queues
        self.random = o.recycling == "random"

    def turns(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Each turn's queue (its first address), place in the rings, and buffer. Queues take turns."""
        turn = np.arange(first, first + count, dtype=np.int64)
        place = turn // self.queues % self.size
        buffer = np.random.default_rng(1).integers(0, self.size, count) if self.random else place
        return turn % self.queues * self.stride, place, np.asarray(buffer, np.int64)


def _trace(o: IotlbOptions, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """What warms the IOTLB up, what is counted, and its buffers.

    Warm are first all IO pages in their order, as far as they could still be known, then the turns before.
    """
    layout = _Layout(o)
    whole = layout.size * layout.queues
    count = min(whole, most)
    known = max(o.iotlb_entries, o.ats_entries)
    before = min(whole, known)
    queue, place, buffer = layout.turns(whole - before, before + count)
    trace = np.empty((before + count, 3), np.int64)
    trace[:, 0] = queue + layout.size * 4096 + place * _DESCRIPTOR_BYTES
    trace[:, 1] = queue + buffer * 4096
    trace[:, 2] = queue + layout.completions + place * _COMPLETION_BYTES
    pages = np.arange(0, layout.bytes, 1 << SHIFT[o.io_page], dtype=np.int64)[-known:]
    return np.concatenate([pages, trace[:before].ravel()]), trace[before:].ravel(), count


def _whole_pages(size: int) -> int:
    return -(-size // 4096) * 4096
