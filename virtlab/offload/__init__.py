"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

from virtlab.offload.card import CardBudgets, CardLoad, card, card_budgets, card_curve
from virtlab.offload.cipher_floor import CipherFloor, cipher_floor
from virtlab.offload.data_check import DataCheck, data_check
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
from virtlab.offload.unmap_story import UnmapOptions, UnmapStory, unmap_story
from virtlab.offload.ways import OFFLOADED, WAYS, MigrationClasses, migration_classes
from virtlab.offload.window import Window, WindowOptions, in_flight_bytes, window, window_gbit_per_s

__all__ = [
    "CIPHER_GENERATIONS", "CRYPTO_PLACES", "MODES", "OFFLOADED", "WAYS", "WRITE_CACHES", "CacheModes",
    "CardBudgets", "CardLoad", "CipherFloor", "DataCheck", "Domains", "Durability", "Encryption",
    "EncryptionOptions", "Fault", "Functions", "Iommu", "IommuOptions", "IotlbCounts", "IotlbOptions",
    "MigrationClasses", "Sealing", "UnmapOptions", "UnmapStory", "Window", "WindowOptions", "cache_modes", "card",
    "card_budgets", "card_curve", "cipher_floor", "compare_writes", "count_iotlb", "data_check", "durability",
    "encryption", "functions", "in_flight_bytes", "iommu", "migration_classes", "table_bytes", "unmap_story",
    "window", "window_gbit_per_s",
]  # fmt: skip
