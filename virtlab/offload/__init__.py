"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

from virtlab.offload.card import CardBudgets, CardLoad, card, card_budgets, card_curve
from virtlab.offload.functions import Functions, functions, table_bytes
from virtlab.offload.ways import OFFLOADED, WAYS, MigrationClasses, migration_classes

__all__ = [
    "OFFLOADED", "WAYS", "CardBudgets", "CardLoad", "Functions", "MigrationClasses", "card", "card_budgets",
    "card_curve", "functions", "migration_classes", "table_bytes",
]  # fmt: skip
