"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

from virtlab.offload.card import CardBudgets, CardLoad, card, card_budgets, card_curve
from virtlab.offload.functions import Functions, functions, table_bytes
from virtlab.offload.ways import OFFLOADED, WAYS, MigrationClasses, migration_classes
from virtlab.offload.window import Window, WindowOptions, in_flight_bytes, window, window_gbit_per_s

__all__ = [
    "OFFLOADED", "WAYS", "CardBudgets", "CardLoad", "Functions", "MigrationClasses", "Window", "WindowOptions", "card",
    "card_budgets", "card_curve", "functions", "in_flight_bytes", "migration_classes", "table_bytes", "window",
    "window_gbit_per_s",
]  # fmt: skip
