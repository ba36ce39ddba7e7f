"""A storage path: one tuple of steps, and the counts, latency, CPU, capacity and depth curve that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.core.words import words
from virtlab.paths.closed import Station, bounds, closed_network
from virtlab.paths.route import Route, delay_ns
from virtlab.paths.steps import Place, Step
from virtlab.paths.storage_options import (
    StorageCosts,
    StorageOptions,
    servers_of,
    storage_costs_of,
    storage_options_of,
)
from virtlab.paths.storage_results import DepthCurve, RequestCapacity, RequestCounts, RequestCpu, RequestLatency

if TYPE_CHECKING:
    from virtlab.paths.storage_simulate import ClosedRun

#: The name of the station for time that only passes.
PASSING = "passing"


@dataclass(frozen=True)
class StoragePath(Route[StorageOptions]):
    """One of the ways between an application and a disk.

    ``polls``: host cores look for requests all the time. ``cached_writes``: a write is answered from the host's page
    cache, so that it is not on the disk until it was flushed.
    """

    id: str
    steps: tuple[Step, ...]
    polls: bool = False
    cached_writes: bool = False

    @property
    def title(self) -> str:
        """The path's name as a reader sees it."""
        return str(words(f"storage_path.{self.id}.title"))

    def __repr__(self) -> str:
        return f"<{self.title}: {len(self.steps)} steps>"

    def active(self, options: StorageOptions | None = None, /, **changes: Any) -> tuple[Step, ...]:
        """The steps that happen under the given options, in their order in time."""
        return tuple(self._active(storage_options_of(options, changes)))

    def counts(self, options: StorageOptions | None = None, /, **changes: Any) -> RequestCounts:
        """Exits, switches, syscalls, copies, DMAs and interrupts per request. Raises ParameterError."""
        chosen = storage_options_of(options, changes)
        return RequestCounts(
            path=self.id, operation=chosen.operation,
            **{f"{event}_per_request": value for event, value in self.events(chosen).items()},
            dedicated_cores=chosen.backend_threads if self.polls else 0,
            qemu_in_datapath=any(s.place is Place.QEMU for s in self._active(chosen)),
        )  # fmt: skip

    def latency(
        self, options: StorageOptions | None = None, /, *, costs: StorageCosts | str = "qemu-2012", **changes: Any
    ) -> RequestLatency:
        """The time in ns of one request alone: queue depth 1, where every thread sleeps until it is needed."""
        chosen, cost = storage_options_of(options, changes), storage_costs_of(costs)
        stages = self.stages(chosen, cost, 1)
        return RequestLatency(self.id, chosen.operation, stages, sum(s.ns for s in stages))

    def cpu(
        self, options: StorageOptions | None = None, /, *, costs: StorageCosts | str = "qemu-2012", **changes: Any
    ) -> RequestCpu:
        """CPU time per request (ns), host and guest apart. A thread that sleeps is taken to be woken at each kick."""
        chosen, cost = storage_options_of(options, changes), storage_costs_of(costs)
        guest, host, backend = self.cpu_ns(chosen, cost)
        polling = chosen.backend_threads if self.polls else 0
        return RequestCpu(self.id, chosen.operation, guest, sum(host.values()), host, polling, backend)

    def capacity(
        self, options: StorageOptions | None = None, /, *, costs: StorageCosts | str = "qemu-2012", **changes: Any
    ) -> RequestCapacity:
        """The rate at which the busiest server has no idle time left (requests/s): no depth gets beyond it."""
        chosen, cost = storage_options_of(options, changes), storage_costs_of(costs)
        servers = servers_of(chosen, cost)
        rates = {s: 1e9 * servers[s] / ns for s, ns in self.busy_ns(chosen, cost).items() if servers[s]}
        bottleneck = min(rates, key=lambda s: rates[s])
        return RequestCapacity(
            self.id, chosen.operation, chosen.request_bytes, rates[bottleneck], bottleneck, rates
        )  # fmt: skip

    def stations(self, options: StorageOptions, costs: StorageCosts) -> tuple[Station, ...]:
        """The steps as a closed network: what each server does for a request, and the time that only passes.

        A wake-up only passes: it happens before a server that had nothing to do. Left out is that a busy server need
        not be woken, so that the latency between depth 1 and the knee is an upper bound; at depth 1 it is exact.
        """
        servers = servers_of(options, costs)
        demand = dict.fromkeys(servers, 0.0)
        passing = 0.0
        for step in self._active(options):
            if step.aside:
                continue
            busy, delay = self.step_busy_ns(step, options, costs), delay_ns(step, costs)
            each = busy / options.batch(step.per)
            if step.idle:
                passing += busy + delay
            elif step.blocks:
                demand[step.server] += each + delay
            else:
                demand[step.server] += each
                passing += delay
        shared = tuple(Station(str(s), ns, servers[s]) for s, ns in demand.items() if servers[s] and ns)
        passing += sum(ns for s, ns in demand.items() if not servers[s])
        return (*shared, Station(PASSING, passing, 0))

    def depths(
        self, options: StorageOptions | None = None, /, *, deepest: int = 256,
        costs: StorageCosts | str = "qemu-2012", **changes: Any,
    ) -> DepthCurve:  # fmt: skip
        """Rate and mean latency with 1 .. ``deepest`` requests in flight (all jobs together).

        Exact for exponential services (:mod:`virtlab.paths.closed`); a server that works aside (a disk behind a cache
        that has answered already) bounds the rate without holding up a request. Raises ParameterError and ValueError.
        """
        chosen, cost = storage_options_of(options, changes), storage_costs_of(costs)
        stations = self.stations(chosen, cost)
        network = closed_network(stations, deepest)
        capacity = self.capacity(chosen, costs=cost)
        iops = np.minimum(network.rate_per_s, capacity.iops)
        bound, _ = bounds(stations, network.depth)
        alone = sum(s.demand_ns for s in stations)
        return DepthCurve(
            self.id, chosen.operation, chosen.request_bytes, network.depth, iops, network.depth / iops * 1e9,
            np.minimum(bound, capacity.iops), capacity.iops, capacity.iops * alone / 1e9, capacity.bottleneck, network,
        )  # fmt: skip

    def simulate(self, options: StorageOptions | None = None, /, **changes: Any) -> ClosedRun:
        """A number of requests goes round for ever, in an event loop: :func:`.storage_simulate.simulate_depth`."""
        from virtlab.paths.storage_simulate import simulate_depth

        return simulate_depth(self, options, **changes)
