"""What a path answers: counts, latency, CPU, capacity. Each result prints itself and can state its own law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.paths.steps import Place, Server

CopyScope = Literal["host", "guest", "host+guest", "host+guest+dma"]


def copies_in(scope: CopyScope, host: float, guest: float, dma: float) -> float:
    """The copies that count within a named scope; ValueError where none is named."""
    scopes = {"host": host, "guest": guest, "host+guest": host + guest, "host+guest+dma": host + guest + dma}
    if scope not in scopes:
        raise ValueError(
            f"scope must be host, guest, host+guest or host+guest+dma; you gave {scope!r}: "
            "a number of copies means nothing until it is said which copies count."
        )
    return scopes[scope]


@dataclass(frozen=True, repr=False)
class Counts(Shown):
    """What one packet causes on the average. The name of each counter says where it counts."""

    path: str
    direction: str
    vcpu_exits_per_packet: float
    userspace_exits_per_packet: float
    context_switches_per_packet: float
    host_syscalls_per_packet: float
    guest_syscalls_per_packet: float
    host_copies_per_packet: float
    guest_copies_per_packet: float
    data_dmas_per_packet: float
    pcie_transactions_per_packet: float
    host_irqs_per_packet: float
    notification_ipis_per_packet: float
    dedicated_cores: int
    qemu_in_datapath: bool

    def copies(self, scope: CopyScope) -> float:
        """Copies per packet within a named scope; without a scope, "four copies" and "no copy" can both be true."""
        return copies_in(scope, self.host_copies_per_packet, self.guest_copies_per_packet, self.data_dmas_per_packet)

    @property
    def switches_per_packet(self) -> float:
        """VM exits and context switches together: what the article calls switches (they differ in cost)."""
        return self.vcpu_exits_per_packet + self.context_switches_per_packet

    def table(self) -> Table:
        rows = [
            (words(f"event.{f.name}"), number(getattr(self, f.name))) for f in fields(self) if "per_packet" in f.name
        ]
        rows.append((words("event.dedicated_cores"), str(self.dedicated_cores)))
        rows.append((words("event.qemu_in_datapath"), words("event.yes" if self.qemu_in_datapath else "event.no")))
        caption = say("paths.counts", path=words(f"path.{self.path}.title"), direction=words(f"path.{self.direction}"))
        return Table.of((words("event.header"), words("event.per_packet")), rows, caption, numeric=[1])


@dataclass(frozen=True)
class Stage:
    """One step of a latency: its key, its place, and the time in ns that a batch spends in it."""

    key: str
    place: Place
    ns: float


class Staged(Shown):
    """A time that is the sum of stages, one after the other."""

    stages: tuple[Stage, ...]
    total_ns: float

    def by_place(self) -> Mapping[Place, float]:
        """Time in ns per place, in the order of :class:`Place`."""
        return {p: sum(s.ns for s in self.stages if s.place is p) for p in Place}

    def law(self) -> tuple[float, float]:
        """Conservation: the stages add up to the total. Returns both sides in ns."""
        return sum(s.ns for s in self.stages), self.total_ns


@dataclass(frozen=True, repr=False)
class Latency(Staged):
    """The time in ns from hand-over until the last packet of one batch is through, stage by stage."""

    path: str
    direction: str
    batch: int
    stages: tuple[Stage, ...]
    total_ns: float

    def table(self) -> Table:
        rows = [(words(f"step.{s.key}"), words(f"place.{s.place}"), show(s.ns, "ns")) for s in self.stages]
        rows.append((words("paths.total"), "", show(self.total_ns, "ns")))
        caption = say("paths.latency", path=words(f"path.{self.path}.title"), direction=words(f"path.{self.direction}"))
        return Table.of((words("paths.step"), words("paths.place"), words("paths.time")), rows, caption, numeric=[2])


def busy_cores(rate_per_s: float, host_ns: float, backend_ns: float, dedicated_cores: int) -> float:
    """Host cores busy at a rate of units that take ``host_ns`` each, ``backend_ns`` of it in the back end.

    Where the back end polls (``dedicated_cores`` above 0) its cores are busy at any rate, and whole.
    """
    if not dedicated_cores:
        return rate_per_s * host_ns / 1e9
    polling = max(dedicated_cores, math.ceil(rate_per_s * backend_ns / 1e9 - 1e-9))
    return polling + rate_per_s * (host_ns - backend_ns) / 1e9


@dataclass(frozen=True, repr=False)
class CpuBill(Shown):
    """CPU time in ns per packet: in the guest, and in the host on its behalf (exits, back end, host stack)."""

    path: str
    direction: str
    guest_ns_per_packet: float
    host_ns_per_packet: float
    host_by_place: Mapping[Place, float]
    dedicated_cores: int
    backend_ns_per_packet: float

    def host_cores(self, rate_packets_per_s: float) -> float:
        """Host cores busy at a packet rate, on as many queues as it takes.

        A polling core is busy at any rate, also at none, and where one is not enough, another one polls.
        """
        positive("rate_packets_per_s", rate_packets_per_s, "packets/s", zero=True)
        return busy_cores(
            rate_packets_per_s, self.host_ns_per_packet, self.backend_ns_per_packet, self.dedicated_cores
        )

    def guest_cores(self, rate_packets_per_s: float) -> float:
        """Guest cores busy at a packet rate."""
        positive("rate_packets_per_s", rate_packets_per_s, "packets/s", zero=True)
        return rate_packets_per_s * self.guest_ns_per_packet / 1e9

    def rate_at_host_share(self, share: float, host_cores: int) -> float:
        """The highest packet rate at which the host spends at most ``share`` (0 to 1) of its ``host_cores`` on it.

        On as many queues as it takes. Infinite where the path takes no host CPU, 0 where the first polling core alone
        takes more. A link may be full before: see :func:`virtlab.paths.line_rate`.
        """
        if not 0 < share <= 1:
            raise ValueError(
                f"share must be above 0 and at most 1 of the host's cores; you gave {share!r}: 0.25 is 25 %."
            )
        positive("host_cores", host_cores, "cores")
        budget = share * host_cores
        if not self.host_ns_per_packet:
            return math.inf
        if not self.dedicated_cores:
            return 1e9 * budget / self.host_ns_per_packet
        rest = self.host_ns_per_packet - self.backend_ns_per_packet
        rates = [0.0]  # for each number of polling cores: until they are full, or the rest has used up the budget
        for pollers in range(self.dedicated_cores, int(budget) + 1):
            full = pollers * 1e9 / self.backend_ns_per_packet
            rates.append(min(full, 1e9 * (budget - pollers) / rest if rest else math.inf))
        return max(rates)

    def table(self) -> Table:
        rows = [(words("paths.guest_cpu"), show(self.guest_ns_per_packet, "ns"))]
        rows += [(words(f"place.{p}"), show(ns, "ns")) for p, ns in self.host_by_place.items() if ns]
        rows.append((words("paths.host_cpu"), show(self.host_ns_per_packet, "ns")))
        rows.append((words("event.dedicated_cores"), str(self.dedicated_cores)))
        caption = say("paths.cpu", path=words(f"path.{self.path}.title"), direction=words(f"path.{self.direction}"))
        return Table.of((words("paths.cpu_header"), words("event.per_packet")), rows, caption, numeric=[1])


@dataclass(frozen=True, repr=False)
class Capacity(Shown):
    """The highest packet rate of a path on one queue, and the server that sets it."""

    path: str
    direction: str
    frame_bytes: int
    packets_per_s: float
    bottleneck: Server
    servers: Mapping[Server, float]

    @property
    def gbit_per_s(self) -> float:
        """Frame bits per second at capacity, in Gb/s (without preamble and gap)."""
        return self.packets_per_s * 8 * self.frame_bytes / 1e9

    def table(self) -> Table:
        rows = [
            (words(f"server.{s}"), show(rate, "packets/s"), "◀" if s is self.bottleneck else "")
            for s, rate in self.servers.items()
        ]
        caption = say(
            "paths.capacity", path=words(f"path.{self.path}.title"), direction=words(f"path.{self.direction}")
        )
        return Table.of((words("paths.server"), words("paths.rate"), ""), rows, caption, numeric=[1])


def positive(name: str, value: float, unit: str, zero: bool = False) -> None:
    """ValueError, naming the value and its unit, unless it is finite and above 0 (or 0 itself, if ``zero``)."""
    if not (value >= 0 if zero else value > 0) or value == float("inf"):
        bound = "0 or more" if zero else "above 0"
        raise ValueError(f"{name} must be {bound} {unit} and finite; you gave {value!r}.")
