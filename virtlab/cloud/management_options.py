"""What a host does for its operator besides running guests: the sources of background work, each with rate and size."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from pydantic import model_validator

from virtlab.cloud.background import Floats, Order
from virtlab.cloud.snapshots import SnapshotOptions, snapshots
from virtlab.core.parameter import parameter, same
from virtlab.core.words import say
from virtlab.cpu import NeighbourOptions, ScheduleOptions
from virtlab.evidence import FACTS
from virtlab.memory import migrate
from virtlab.memory.migrate import MigrationOptions
from virtlab.offload.card import CardOptions

SOURCES = ("monitoring", "snapshots", "migration", "images")
_DAY_S = 86_400


@dataclass(frozen=True)
class Work:
    """One source: jobs a second on the whole host, and the CPU time of one on a core of the host."""

    source: str
    rate_per_s: float
    job_ns: float

    @property
    def cores(self) -> float:
        """Cores that it keeps busy."""
        return self.rate_per_s * self.job_ns / 1e9


class ManagementOptions(SnapshotOptions):
    """A host of ``cores`` that each run one vCPU, busy for ``load`` of the time, and what its operator has it do.

    ``spread_cores`` of ``None``: management runs on any core. ``load`` and ``service_ns`` are of the guest that waits.
    """

    cores: int = parameter(FACTS["manage.cores"], ge=16, le=256, log=True)
    host_vms: int = parameter(FACTS["manage.vms"], ge=1, le=2_000, log=True)
    load: float = same(NeighbourOptions, "load")
    service_ns: float = same(NeighbourOptions, "service_ns")
    reserved_cores: int = parameter(FACTS["manage.reserved"], ge=1, le=64)
    spread_cores: int | None = parameter(FACTS["manage.spread"], ge=1, le=256, log=True, follows="cores")
    background_order: Order = parameter(FACTS["manage.order"], default="slice")
    slice_ns: float = same(ScheduleOptions, "slice_ns")
    monitors: int = parameter(FACTS["manage.monitors"], ge=1, le=100, log=True)
    monitor_period_s: float = parameter(FACTS["manage.monitor.period"], ge=1, le=300, log=True)
    monitor_ns: float = parameter(FACTS["manage.monitor.cost"], ge=50_000, le=5_000_000, log=True)
    snapshots_together: bool = parameter(FACTS["manage.snapshots.together"], default=False)
    migrations_per_day: float = parameter(FACTS["manage.migrations"], ge=0, le=10_000)
    memory_bytes: int = same(MigrationOptions, "memory_bytes")
    send_ns_per_byte: float = parameter(FACTS["manage.send"], ge=0.1, le=10, log=True)
    starts_per_day: float = parameter(FACTS["manage.starts"], ge=0, le=100_000)
    image_bytes: int = parameter(FACTS["manage.image"], ge=2**20, le=2**40, log=True)
    image_ns_per_byte: float = parameter(FACTS["manage.image.cost"], ge=0.1, le=50, log=True)
    card_cores: int = same(CardOptions, "card_cores")
    card_slowdown: float = parameter(FACTS["manage.card.slower"], ge=1, le=8)
    connections_per_s: float = parameter(FACTS["manage.card.connections"], ge=0, le=100_000_000)
    connection_ns: float = same(CardOptions, "connection_ns")

    @model_validator(mode="after")
    def _leaves_something(self) -> ManagementOptions:
        if self.reserved_cores >= self.cores:
            raise ValueError(say("management.error.reserved", cores=self.reserved_cores, all=self.cores))
        if self.spread_cores is not None and self.spread_cores > self.cores:
            raise ValueError(say("management.error.spread", cores=self.spread_cores, all=self.cores))
        return self

    @property
    def spread(self) -> int:
        """The cores that management runs on where guests run too."""
        return self.cores if self.spread_cores is None else self.spread_cores

    @property
    def squeezed_load(self) -> float:
        """How busy a core of the guests is when the same guests share what a reservation leaves."""
        return self.load * self.cores / (self.cores - self.reserved_cores)

    @property
    def work(self) -> tuple[Work, ...]:
        """The sources, in the order of SOURCES."""
        return _work(self)

    @property
    def jobs_ns(self) -> Floats:
        """The mean job of each source, float64[4]."""
        return np.array([work.job_ns for work in self.work])


@functools.lru_cache(maxsize=64)
def _work(o: ManagementOptions) -> tuple[Work, ...]:
    """A migration sends what pre-copy sends: memory, and what became dirty meanwhile. An image is fetched once."""
    snapped = snapshots(**{name: getattr(o, name) for name in SnapshotOptions.specs()})
    at_once = o.disk_writes_per_s if o.snapshots_per_day else 0.0
    return (
        Work("monitoring", o.host_vms * o.monitors / o.monitor_period_s, o.monitor_ns),
        Work("snapshots", o.host_vms * (at_once if o.snapshots_together else snapped.first_per_s), o.cow_ns),
        Work("migration", o.migrations_per_day / _DAY_S, _sent_bytes(o.memory_bytes) * o.send_ns_per_byte),
        Work("images", o.starts_per_day / _DAY_S, o.image_bytes * o.image_ns_per_byte),
    )


@functools.lru_cache(maxsize=256)
def _sent_bytes(memory_bytes: int) -> float:
    return migrate(memory_bytes=memory_bytes).sent_bytes
