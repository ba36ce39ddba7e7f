"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

from virtlab.offload.card_neighbours import CardLot, CardNeighbourOptions, CardNeighbours, card_neighbours, unsliced
from virtlab.offload.sharing import jain, max_min
from virtlab.offload.slice_options import SCHEDULERS, SliceOptions
from virtlab.offload.slices import Slices, all_slices, slices
from virtlab.offload.throttle import Throttle, ThrottleOptions, throttle

__all__ = [
    "SCHEDULERS", "CardLot", "CardNeighbourOptions", "CardNeighbours", "SliceOptions", "Slices", "Throttle",
    "ThrottleOptions", "all_slices", "card_neighbours", "jain", "max_min", "slices", "throttle", "unsliced",
]  # fmt: skip
