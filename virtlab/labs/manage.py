"""The management lab: what a request waits, beside management, beside reserved cores, and with a board."""

from __future__ import annotations

from virtlab.cloud import ManagementOptions, management, management_curve
from virtlab.cloud.background import Order
from virtlab.cloud.management import kept_back_shares
from virtlab.core.parameter import Parameters, same
from virtlab.figures.manage import SHARES, ManagePicture, ManageResult
from virtlab.labs.base import Lab


class ManageSetting(Parameters):
    """A host of 96 cores: how much management there is, and how many cores are kept for it."""

    host_vms: int = same(ManagementOptions, "host_vms")
    monitor_period_s: float = same(ManagementOptions, "monitor_period_s")
    snapshots_per_day: float = same(ManagementOptions, "snapshots_per_day", le=288, step=1)
    reserved_cores: int = same(ManagementOptions, "reserved_cores", le=32)
    monitors: int = same(ManagementOptions, "monitors")
    monitor_ns: float = same(ManagementOptions, "monitor_ns")
    snapshots_together: bool = same(ManagementOptions, "snapshots_together")
    disk_writes_per_s: float = same(ManagementOptions, "disk_writes_per_s", le=100_000)
    cow_ns: float = same(ManagementOptions, "cow_ns")
    migrations_per_day: float = same(ManagementOptions, "migrations_per_day")
    starts_per_day: float = same(ManagementOptions, "starts_per_day")
    background_order: Order = same(ManagementOptions, "background_order")
    slice_ns: float = same(ManagementOptions, "slice_ns")
    load: float = same(ManagementOptions, "load", step=0.01)
    service_ns: float = same(ManagementOptions, "service_ns")
    card_cores: int = same(ManagementOptions, "card_cores")
    card_slowdown: float = same(ManagementOptions, "card_slowdown")
    connections_per_s: float = same(ManagementOptions, "connections_per_s", le=10_000_000)


class _Picture(ManagePicture):
    kept_back = tuple(kept_back_shares().values())


class ManageLab(Lab):
    """Three places for the same management, by what a guest's request waits and by what it costs."""

    Setting = ManageSetting
    Picture = _Picture
    visible = ("host_vms", "monitor_period_s", "snapshots_per_day", "reserved_cores")

    def solve(self, setting: ManageSetting) -> ManageResult:
        options = ManagementOptions(**setting.model_dump())
        return ManageResult(management(options), management_curve(SHARES, options))

    def sentence(self, setting: ManageSetting, result: ManageResult) -> str:
        return result.now.sentence()
