"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

from virtlab.offload.card import CardBudgets, CardLoad, card, card_budgets, card_curve
from virtlab.offload.card_neighbours import CardLot, CardNeighbourOptions, CardNeighbours, card_neighbours, unsliced
from virtlab.offload.functions import Functions, functions, table_bytes
from virtlab.offload.sharing import jain, max_min
from virtlab.offload.slice_options import SCHEDULERS, SliceOptions
from virtlab.offload.slices import Slices, all_slices, slices
from virtlab.offload.throttle import Throttle, ThrottleOptions, throttle
from virtlab.offload.ways import OFFLOADED, WAYS, MigrationClasses, migration_classes

__all__ = [
    "OFFLOADED", "SCHEDULERS", "WAYS", "CardBudgets", "CardLoad", "CardLot", "CardNeighbourOptions", "CardNeighbours",
    "Functions", "MigrationClasses", "SliceOptions", "Slices", "Throttle", "ThrottleOptions", "all_slices", "card",
    "card_budgets", "card_curve", "card_neighbours", "functions", "jain", "max_min", "migration_classes", "slices",
    "table_bytes", "throttle", "unsliced",
]  # fmt: skip
