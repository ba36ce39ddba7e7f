"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

from virtlab.offload.card import CardBudgets, CardLoad, card, card_budgets, card_curve
from virtlab.offload.card_neighbours import CardLot, CardNeighbourOptions, CardNeighbours, card_neighbours, unsliced
from virtlab.offload.cipher_floor import CipherFloor, cipher_floor
from virtlab.offload.coalescer import Coalescer, Notification
from virtlab.offload.coalescing import heavy_limit, light_limit
from virtlab.offload.data_check import DataCheck, data_check
from virtlab.offload.delayed_callback import batch_calls, delayed_event
from virtlab.offload.dim import DIM_WAITS_US, Dim, DimSample
from virtlab.offload.domains import Domains, Fault
from virtlab.offload.durability import WRITE_CACHES, CacheModes, Durability, cache_modes, compare_writes, durability
from virtlab.offload.encryption import (
    CIPHER_GENERATIONS,
    CRYPTO_PLACES,
    Encryption,
    EncryptionOptions,
    Sealing,
    encryption,
)
from virtlab.offload.functions import Functions, functions, table_bytes
from virtlab.offload.iommu import MODES, Iommu, IommuOptions, iommu
from virtlab.offload.iotlb import IotlbCounts, IotlbOptions, count_iotlb
from virtlab.offload.moderation import Moderation, ModerationOptions, compare_moderation, moderation
from virtlab.offload.moderation_run import ModerationRun, moderation_at, moderation_run
from virtlab.offload.packet_dma import PacketDma, PacketDmaOptions, Transaction, nic_gbit_per_s, packet_dma
from virtlab.offload.pcie import Pcie, PcieOptions, TransferOptions, pcie
from virtlab.offload.rings import RINGS, Nic
from virtlab.offload.sharing import jain, max_min
from virtlab.offload.slice_options import SCHEDULERS, SliceOptions
from virtlab.offload.slices import Slices, all_slices, sriov
from virtlab.offload.throttle import Throttle, ThrottleOptions, throttle
from virtlab.offload.unmap_story import UnmapOptions, UnmapStory, unmap_story
from virtlab.offload.ways import OFFLOADED, WAYS, Known, MigrationClasses, migration_classes
from virtlab.offload.window import Window, WindowOptions, in_flight_bytes, window, window_gbit_per_s

__all__ = [
    "CIPHER_GENERATIONS", "CRYPTO_PLACES", "DIM_WAITS_US", "MODES", "OFFLOADED", "RINGS", "SCHEDULERS", "WAYS",
    "WRITE_CACHES", "CacheModes", "CardBudgets", "CardLoad", "CardLot", "CardNeighbourOptions", "CardNeighbours",
    "CipherFloor", "Coalescer", "DataCheck", "Dim", "DimSample", "Domains", "Durability", "Encryption",
    "EncryptionOptions", "Fault", "Functions", "Iommu", "IommuOptions", "IotlbCounts", "IotlbOptions",
    "Known", "MigrationClasses", "Moderation", "ModerationOptions", "ModerationRun", "Nic", "Notification", "PacketDma",
    "PacketDmaOptions", "Pcie", "PcieOptions", "Sealing", "SliceOptions", "Slices", "Throttle", "ThrottleOptions",
    "Transaction", "TransferOptions", "UnmapOptions", "UnmapStory", "Window", "WindowOptions", "all_slices",
    "batch_calls", "cache_modes", "card", "card_budgets", "card_curve", "card_neighbours", "cipher_floor",
    "compare_moderation", "compare_writes", "count_iotlb", "data_check", "delayed_event", "durability", "encryption",
    "functions", "heavy_limit", "in_flight_bytes", "iommu", "jain", "light_limit", "max_min", "migration_classes",
    "moderation", "moderation_at", "moderation_run", "nic_gbit_per_s", "packet_dma", "pcie", "sriov", "table_bytes",
    "throttle", "unmap_story", "unsliced", "window", "window_gbit_per_s",
]  # fmt: skip
