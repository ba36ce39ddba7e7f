"""The labs: one module a topic, imported at first use."""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "LadderLab": "ladder",
    "JourneyLab": "journey",
    "LoadLab": "load",
    "MixLab": "mix",
    "FilterLab": "filter",
    "FleetLab": "fleet",
    "CostLab": "machine_costs",
    "ReachLab": "reach",
    "HugePageLab": "huge_pages",
    "ProgramsLab": "programs",
    "FootprintLab": "footprint",
    "PagesLab": "pages",
    "WalkLab": "walk",
    "WalkMapLab": "walk_map",
    "WalkCostLab": "walk_cost",
    "MmuLab": "mmu",
    "MigrationLab": "migration",
    "DirtyLogLab": "dirty_log",
    "DeviceLab": "device",
    "TimelineLab": "timeline",
    "RingLab": "ring",
    "BarrierLab": "barrier",
    "ExitLab": "exits",
    "InnerKvmLab": "inner_kvm",
    "ForecastLab": "forecast",
    "BalanceLab": "balance",
    "TaxLab": "tax",
    "AfterIoLab": "after_io",
    "PostedLab": "posted",
    "DeliveryLab": "delivery",
    "HaltLab": "halt",
    "NeighbourLab": "neighbour",
    "ScheduleLab": "schedule",
    "SliceLab": "slices",
    "LockLab": "lock",
    "JitterLab": "jitter",
    "CryptoLab": "crypto",
    "FunctionLab": "functions",
    "IommuLab": "iommu",
    "PcieLab": "pcie",
    "ModerationLab": "moderation",
    "StorageLab": "storage",
    "TcoLab": "tco",
    "RemedyLab": "whole",
    "SideBySideLab": "whole",
    "ThinLab": "thin",
    "DensityLab": "density",
    "ManageLab": "manage",
}
__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"virtlab.labs.{_WHERE[name]}"), name)
    raise AttributeError(f"there is no lab '{name}'; there are {', '.join(_WHERE)}")


def __dir__() -> list[str]:
    return __all__
