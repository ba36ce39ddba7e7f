"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

from virtlab.offload.card import CardBudgets, CardLoad, card, card_budgets, card_curve
from virtlab.offload.domains import Domains, Fault
from virtlab.offload.functions import Functions, functions, table_bytes
from virtlab.offload.iommu import MODES, Iommu, IommuOptions, iommu
from virtlab.offload.iotlb import IotlbCounts, IotlbOptions, count_iotlb
from virtlab.offload.packet_dma import PacketDma, PacketDmaOptions, Transaction, nic_gbit_per_s, packet_dma
from virtlab.offload.pcie import Pcie, PcieOptions, TransferOptions, pcie
from virtlab.offload.rings import RINGS, Nic
from virtlab.offload.unmap_story import UnmapOptions, UnmapStory, unmap_story
from virtlab.offload.ways import OFFLOADED, WAYS, MigrationClasses, migration_classes
from virtlab.offload.window import Window, WindowOptions, in_flight_bytes, window, window_gbit_per_s

__all__ = [
    "MODES", "OFFLOADED", "RINGS", "WAYS", "CardBudgets", "CardLoad", "Domains", "Fault", "Functions", "Iommu",
    "IommuOptions", "IotlbCounts", "IotlbOptions", "MigrationClasses", "Nic", "PacketDma", "PacketDmaOptions", "Pcie",
    "PcieOptions", "Transaction", "TransferOptions", "UnmapOptions", "UnmapStory", "Window", "WindowOptions", "card",
    "card_budgets", "card_curve", "count_iotlb", "functions", "in_flight_bytes", "iommu", "migration_classes",
    "nic_gbit_per_s", "packet_dma", "pcie", "table_bytes", "unmap_story", "window", "window_gbit_per_s",
]  # fmt: skip
