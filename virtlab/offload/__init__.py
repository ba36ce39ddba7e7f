"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

from virtlab.offload.card import CardLoad, card, card_curve
from virtlab.offload.functions import Functions, functions, table_bytes
from virtlab.offload.ways import OFFLOADED, WAYS, MigrationClasses, migration_classes

__all__ = [
    "OFFLOADED", "WAYS", "CardLoad", "Functions", "MigrationClasses", "card", "card_curve", "functions",
    "migration_classes", "table_bytes",
]  # fmt: skip
