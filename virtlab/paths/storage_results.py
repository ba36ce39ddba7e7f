"""What a storage path answers: counts, latency and CPU of a request, capacity, and rate and latency at each depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.paths.closed import Depths, Floats
from virtlab.paths.results import CopyScope, Stage, Staged, busy_cores, copies_in, positive
from virtlab.paths.steps import Place, Server


def _title(path: str) -> str:
    return str(words(f"storage_path.{path}.title"))


def _caption(key: str, path: str, operation: str) -> str:
    return say(f"storage.{key}", path=_title(path), operation=words(f"storage.{operation}"))


@dataclass(frozen=True, repr=False)
class RequestCounts(Shown):
    """What one request causes on the average. The name of each counter says where it counts."""

    path: str
    operation: str
    vcpu_exits_per_request: float
    userspace_exits_per_request: float
    context_switches_per_request: float
    host_syscalls_per_request: float
    guest_syscalls_per_request: float
    host_copies_per_request: float
    guest_copies_per_request: float
    data_dmas_per_request: float
    pcie_transactions_per_request: float
    host_irqs_per_request: float
    notification_ipis_per_request: float
    dedicated_cores: int
    qemu_in_datapath: bool

    def copies(self, scope: CopyScope) -> float:
        """Copies per request within a named scope. The guest uses O_DIRECT: it has no copy of its own."""
        return copies_in(scope, self.host_copies_per_request, self.guest_copies_per_request, self.data_dmas_per_request)

    def table(self) -> Table:
        rows = [
            (words(f"event.{f.name.replace('_per_request', '_per_packet')}"), number(getattr(self, f.name)))
            for f in fields(self) if "per_request" in f.name and f.name != "data_dmas_per_request"
        ]  # fmt: skip
        rows.append((words("storage.data_dmas"), number(self.data_dmas_per_request)))
        rows.append((words("event.dedicated_cores"), str(self.dedicated_cores)))
        rows.append((words("storage.qemu"), words("event.yes" if self.qemu_in_datapath else "event.no")))
        return Table.of((words("event.header"), words("storage.per_request")), rows,
                        _caption("counts", self.path, self.operation), numeric=[1])  # fmt: skip


@dataclass(frozen=True, repr=False)
class RequestLatency(Staged):
    """The time in ns of one request with nothing else in the way (queue depth 1), stage by stage."""

    path: str
    operation: str
    stages: tuple[Stage, ...]
    total_ns: float

    def table(self) -> Table:
        rows = [
            (words(f"storage_step.{s.key}"), words(f"storage.place.{s.place}"), show(s.ns, "ns")) for s in self.stages
        ]
        rows.append((words("paths.total"), "", show(self.total_ns, "ns")))
        return Table.of((words("paths.step"), words("paths.place"), words("paths.time")), rows,
                        _caption("latency", self.path, self.operation), numeric=[2])  # fmt: skip


@dataclass(frozen=True, repr=False)
class RequestCpu(Shown):
    """CPU time in ns per request: in the guest, and in the host on its behalf. A thread that waits takes none."""

    path: str
    operation: str
    guest_ns_per_request: float
    host_ns_per_request: float
    host_by_place: Mapping[Place, float]
    dedicated_cores: int
    backend_ns_per_request: float

    def host_cores(self, iops: float) -> float:
        """Host cores busy at a rate; a polling core is busy at any, also at none."""
        positive("iops", iops, "requests/s", zero=True)
        return busy_cores(iops, self.host_ns_per_request, self.backend_ns_per_request, self.dedicated_cores)

    def guest_cores(self, iops: float) -> float:
        """Guest cores busy at a rate in requests/s."""
        positive("iops", iops, "requests/s", zero=True)
        return iops * self.guest_ns_per_request / 1e9

    def table(self) -> Table:
        rows = [(words("paths.guest_cpu"), show(self.guest_ns_per_request, "ns"))]
        rows += [(words(f"place.{p}"), show(ns, "ns")) for p, ns in self.host_by_place.items() if ns]
        rows.append((words("paths.host_cpu"), show(self.host_ns_per_request, "ns")))
        rows.append((words("event.dedicated_cores"), str(self.dedicated_cores)))
        return Table.of((words("paths.cpu_header"), words("storage.per_request")), rows,
                        _caption("cpu", self.path, self.operation), numeric=[1])  # fmt: skip


@dataclass(frozen=True, repr=False)
class RequestCapacity(Shown):
    """The highest rate of a path, and the server that sets it."""

    path: str
    operation: str
    request_bytes: int
    iops: float
    bottleneck: Server
    servers: Mapping[Server, float]

    @property
    def gbit_per_s(self) -> float:
        """Data per second at capacity in Gb/s (10^9 bits)."""
        return self.iops * 8 * self.request_bytes / 1e9

    def table(self) -> Table:
        rows = [
            (words(f"storage.server.{s}"), show(rate, "IOPS"), "◀" if s is self.bottleneck else "")
            for s, rate in self.servers.items()
        ]
        return Table.of((words("paths.server"), words("storage.rate"), ""), rows,
                        _caption("capacity", self.path, self.operation), numeric=[1])  # fmt: skip


@dataclass(frozen=True, repr=False)
class DepthCurve(Shown):
    """Rate and mean latency of a path with 1, 2, ... requests in flight; arrays are float64[deepest].

    ``bound_iops`` is what no queueing discipline exceeds, ``limit_iops`` the rate of the slowest server, ``knee_depth``
    the depth at which the two bounds meet: fewer in flight waste the disk, more only wait.
    """

    path: str
    operation: str
    request_bytes: int
    depth: NDArray[np.int64]
    iops: Floats
    latency_ns: Floats
    bound_iops: Floats
    limit_iops: float
    knee_depth: float
    bottleneck: Server
    network: Depths

    def at(self, depth: int) -> tuple[float, float]:
        """(IOPS, mean latency in ns) with ``depth`` requests in flight. ValueError beyond what was solved."""
        return float(self.iops[self._index(depth)]), float(self.latency_ns[self._index(depth)])

    def busy(self, depth: int) -> dict[Server, float]:
        """Share of its time that each server is busy at ``depth``."""
        self._index(depth)
        return {Server(name): share for name, share in self.network.busy(depth).items()}

    def law(self, depth: int = 1) -> tuple[float, float]:
        """Every request in flight is somewhere: the sum over the stations, each worked out by itself, and ``depth``."""
        self._index(depth)
        return sum(self.network.present(depth).values()), float(depth)

    def _index(self, depth: int) -> int:
        if not 1 <= depth <= len(self.depth) or depth != int(depth):
            raise ValueError(f"depth must be a whole number of requests, 1 to {len(self.depth)}; you gave {depth!r}.")
        return int(depth) - 1

    def table(self) -> Table:
        chosen = [d for d in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096) if d <= len(self.depth)]
        rows = [
            (str(d), show(self.at(d)[0], "IOPS"), show(self.at(d)[1], "ns"), show(self.at(d)[0] / self.limit_iops, "%"))
            for d in chosen
        ]
        headers = (words("storage.depth"), words("storage.rate"), words("storage.latency_mean"), words("storage.full"))
        return Table.of(headers, rows, _caption("curve", self.path, self.operation), numeric=[0, 1, 2, 3])
