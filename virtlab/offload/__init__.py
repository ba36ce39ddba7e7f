"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

from virtlab.offload.card import CardBudgets, CardLoad, card, card_budgets, card_curve
from virtlab.offload.card_neighbours import CardLot, CardNeighbourOptions, CardNeighbours, card_neighbours, unsliced
from virtlab.offload.domains import Domains, Fault
from virtlab.offload.functions import Functions, functions, table_bytes
from virtlab.offload.iommu import MODES, Iommu, IommuOptions, iommu
from virtlab.offload.iotlb import IotlbCounts, IotlbOptions, count_iotlb
from virtlab.offload.packet_dma import PacketDma, PacketDmaOptions, Transaction, nic_gbit_per_s, packet_dma
from virtlab.offload.pcie import Pcie, PcieOptions, TransferOptions, pcie
from virtlab.offload.rings import RINGS, Nic
from virtlab.offload.sharing import jain, max_min
from virtlab.offload.slice_options import SCHEDULERS, SliceOptions
from virtlab.offload.slices import Slices, all_slices, slices
from virtlab.offload.throttle import Throttle, ThrottleOptions, throttle
from virtlab.offload.unmap_story import UnmapOptions, UnmapStory, unmap_story
from virtlab.offload.ways import OFFLOADED, WAYS, MigrationClasses, migration_classes
from virtlab.offload.window import Window, WindowOptions, in_flight_bytes, window, window_gbit_per_s

__all__ = [
    "MODES", "OFFLOADED", "RINGS", "SCHEDULERS", "WAYS", "CardBudgets", "CardLoad", "CardLot", "CardNeighbourOptions",
    "CardNeighbours", "Domains", "Fault", "Functions", "Iommu", "IommuOptions", "IotlbCounts", "IotlbOptions",
    "MigrationClasses", "Nic", "PacketDma", "PacketDmaOptions", "Pcie", "PcieOptions", "SliceOptions", "Slices",
    "Throttle", "ThrottleOptions", "Transaction", "TransferOptions", "UnmapOptions", "UnmapStory", "Window",
    "WindowOptions", "all_slices", "card", "card_budgets", "card_curve", "card_neighbours", "count_iotlb", "functions",
    "in_flight_bytes", "iommu", "jain", "max_min", "migration_classes", "nic_gbit_per_s", "packet_dma", "pcie",
    "slices", "table_bytes", "throttle", "unmap_story", "unsliced", "window", "window_gbit_per_s",
]  # fmt: skip
