"""A path under random load: its steps become the stations of the event loop in :mod:`virtlab.paths.kernels`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError, Parameters, parameter, unknown
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.paths.costs import Costs
from virtlab.paths.kernels import run_path
from virtlab.paths.options import PathOptions
from virtlab.paths.path import Path, costs_of, options_of, shared_by
from virtlab.paths.steps import Server, Step

Floats = NDArray[np.float64]
#: Packets of one run: as many as answer a slider in time, with and without numba.
PACKETS, PACKETS_WITHOUT_NUMBA = 100_000, 5_000
#: Bursts of a neighbour that one run can hold (32 MB).
MOST_BURSTS = 2_000_000


class Load(Parameters):
    """What arrives, and what else happens on the machine meanwhile."""

    rate_packets_per_s: float = parameter(FACTS["load.rate"], ge=100, le=200e6, log=True)
    service_cv: float = parameter(FACTS["load.service_cv"], ge=0, le=3)
    interrupt_delay_ns: float = parameter(FACTS["load.interrupt_delay"], ge=0, le=1_000_000)
    ring_entries: int = parameter(FACTS["virtio.ring"], ge=2, le=32_768, log=True)
    queue_packets: int = parameter(FACTS["tap.queue"], ge=1, le=100_000, log=True)
    backend_batch: int = parameter(FACTS["vhost.net.batch"], ge=1, le=256)
    neighbour_share: float = parameter(FACTS["load.neighbour"], ge=0, le=0.9)
    neighbour_burst_ns: float = parameter(FACTS["load.neighbour_burst"], ge=1_000, le=100_000_000, log=True)


@dataclass(frozen=True, repr=False)
class Simulation(Shown):
    """What one run of ``packets`` packets gave. Times in ns; ``latency_ns`` holds one value a delivered packet."""

    path: str
    direction: str
    offered_packets_per_s: float
    packets: int
    dropped: int
    mean_ns: float
    p50_ns: float
    p99_ns: float
    p999_ns: float
    throughput_packets_per_s: float
    interrupts_per_packet: float
    wakeups_per_packet: float
    utilisation: dict[str, float]
    latency_ns: Floats
    arrival_ns: Floats

    @property
    def drop_share(self) -> float:
        """Packets lost / packets offered."""
        return self.dropped / self.packets

    def law(self) -> tuple[float, float]:
        """Little's law. Returns the mean number in the system, and throughput times mean latency."""
        ends = self.arrival_ns + self.latency_ns
        horizon = float(ends.max() - self.arrival_ns[0])
        times = np.concatenate([self.arrival_ns, ends])
        steps = np.concatenate([np.ones(len(ends)), -np.ones(len(ends))])
        order = np.argsort(times, kind="stable")
        inside = np.cumsum(steps[order])
        area = float(np.sum(inside[:-1] * np.diff(times[order])))
        return area / horizon, len(ends) / horizon * self.mean_ns

    def table(self) -> Table:
        rows = [
            (words("load.offered"), show(self.offered_packets_per_s, "packets/s")),
            (words("load.throughput"), show(self.throughput_packets_per_s, "packets/s")),
            (words("load.dropped"), show(self.drop_share, "%")),
            (words("load.p50"), show(self.p50_ns, "ns")),
            (words("load.p99"), show(self.p99_ns, "ns")),
            (words("load.p999"), show(self.p999_ns, "ns")),
            (words("load.interrupts"), number(self.interrupts_per_packet)),
        ]
        caption = say("load.caption", path=words(f"path.{self.path}.title"), direction=words(f"path.{self.direction}"))
        return Table.of((words("load.header"), words("load.value")), rows, caption, numeric=[1])


@dataclass(frozen=True)
class _Stations:
    """The numbers that the event loop needs, in ns: busy times of its servers, and time that only passes."""

    front: float
    worker: float
    softirq: float
    application: float
    wake: float
    interrupt: float
    guest_wake: float
    passing: float
    worker_sleeps: bool
    aside: tuple[float, float, float]  # the parts of front, worker and softirq that no packet waits for


def simulate(
    path: Path,
    options: PathOptions | None = None,
    /,
    *,
    costs: Costs | str = "qemu-2012",
    packets: int | None = None,
    seed: int = 1,
    load: Load | None = None,
    **changes: Any,
) -> Simulation:
    """Poisson arrivals at ``rate_packets_per_s`` through ``path``, until all ``packets`` have left.

    Names of :class:`PathOptions` and of :class:`Load` may be mixed in ``changes``. ``packets`` is 100 000, or 5 000
    where numba is missing. The same ``seed`` gives the same arrivals at every setting, so that two settings differ by
    the setting alone. Service times are lognormal with coefficient of variation ``service_cv``. TX has no interrupt
    on the packet's way: its completions only take time of the vCPU. Without queues, spread and batches the latency is
    that of :meth:`virtlab.paths.Path.latency`; at full load the rate is that of ``capacity`` or better, because a busy
    guest is interrupted less often (NAPI). Raises ParameterError.
    """
    loads = {k: changes.pop(k) for k in list(changes) if k in Load.model_fields}
    known = {**PathOptions.specs(), **Load.specs()}
    for name in changes:
        if name not in known:
            raise ParameterError(unknown(name, known))
    chosen, cost = options_of(options, changes), costs_of(costs)
    load = (load or Load()).replace(**loads)
    packets = packets or (PACKETS if have_numba() else PACKETS_WITHOUT_NUMBA)
    if not isinstance(packets, int | np.integer) or not 100 <= packets <= 10_000_000:
        raise ValueError(
            f"packets must be a whole number, 100 to 10,000,000; you gave {packets!r}: fewer say nothing about a tail."
        )
    s = _stations(path, chosen, cost)
    arrivals = _arrivals(seed, packets) * (1e9 / load.rate_packets_per_s)
    factor = _factors(seed, packets, load.service_cv)
    tx = chosen.direction == "tx"
    run = run_path(
        arrivals,
        s.front * factor[0], s.worker * factor[1], s.softirq * factor[2], s.application * factor[3],
        queue_limit=load.queue_packets,
        budget=load.backend_batch,
        c_wake=s.wake,
        worker_polls=not s.worker_sleeps,
        bursts=_bursts(load, float(arrivals[-1]), seed) if s.worker_sleeps or path.dedicated_when is not None else (),
        ring=load.ring_entries,
        irq_frames=chosen.interrupt_batch,
        irq_delay=load.interrupt_delay_ns if chosen.interrupt_batch > 1 else 0.0,
        c_irq=s.interrupt,
        c_guest_wake=s.guest_wake,
        guest_polls=tx or chosen.guest_poll,
        napi=True,
    )  # fmt: skip
    delivered = run.departure_ns >= 0
    # Work aside keeps its server busy, after the packet has left it.
    latency = run.departure_ns - (run.arrival_ns - s.passing)
    for ns, one in zip(s.aside, factor, strict=False):
        if ns:
            latency -= ns * one
    arrival = run.arrival_ns
    if run.dropped:
        latency, arrival = latency[delivered], arrival[delivered]
    p50, p99, p999 = _quantiles(latency, (0.5, 0.99, 0.999))
    horizon = run.end_ns or 1.0
    return Simulation(
        path=path.id,
        direction=chosen.direction,
        offered_packets_per_s=load.rate_packets_per_s,
        packets=packets,
        dropped=run.dropped,
        mean_ns=float(latency.mean()),
        p50_ns=p50,
        p99_ns=p99,
        p999_ns=p999,
        throughput_packets_per_s=float(delivered.sum() / horizon * 1e9),
        interrupts_per_packet=run.interrupts / packets,
        wakeups_per_packet=run.worker_wakeups / packets,
        utilisation={
            "front": run.front_busy_ns / horizon,
            "worker": run.worker_busy_ns / horizon,
            "consumer": run.consumer_busy_ns / horizon,
        },
        latency_ns=latency,
        arrival_ns=arrival,
    )


def _stations(path: Path, options: PathOptions, costs: Costs) -> _Stations:
    """Sums the steps of a path into stations.

    TX: front = vCPU, worker = back end (or the slowest of card, PCIe and wire), consumer = the slowest of those.
    RX: front = the slowest of wire, card, PCIe and host, worker = back end, consumer = vCPU (softirq, application).
    A server that is neither front, worker nor consumer is never the slowest, so it only adds time.
    """
    tx = options.direction == "tx"
    vcpu = softirq = application = worker = wake = interrupt = guest_wake = passing = 0.0
    vcpu_aside = worker_aside = 0.0
    servers: dict[Server, float] = {}
    sleeps = False
    for step in path.active(options):
        busy = path.step_busy_ns(step, options, costs)
        delay = sum(costs.ns(d) for d in step.delay)
        each = busy / shared_by(step, options)
        if step.idle:  # of a sleep and the wake-up after it, a packet waits for the wake-up
            if step.aside:
                continue
            if step.server is Server.BACKEND:
                wake, sleeps = busy + delay, True
            else:
                guest_wake += busy + delay
        elif step.server is Server.BACKEND:
            worker += each
            worker_aside += each if step.aside else 0.0
            passing += 0.0 if step.aside else delay
        elif step.server is Server.VCPU:
            vcpu_aside += each if step.aside else 0.0
            if tx:
                vcpu += each
            elif step.per == "interrupt":
                interrupt += busy + delay
            elif _in_softirq(step):
                softirq += each
            else:
                application += each
        elif not step.aside:  # a host interrupt for completions is another core's time
            servers[step.server] = servers.get(step.server, 0.0) + each
            passing += delay
    slowest = max(servers, key=lambda k: servers[k])
    passing += sum(ns for server, ns in servers.items() if server is not slowest)
    if tx:
        aside = (vcpu_aside, worker_aside, 0.0)
        return _Stations(vcpu, worker, servers[slowest], 0.0, wake, 0.0, 0.0, passing, sleeps, aside)
    aside = (0.0, worker_aside, vcpu_aside)
    return _Stations(
        servers[slowest], worker, softirq, application, wake, interrupt, guest_wake, passing, sleeps, aside
    )


def _in_softirq(step: Step) -> bool:
    """Whether the guest does this before the ring has room again (NAPI, TCP and refill run in one softirq or poll)."""
    return step.per == "refill" or step.key in ("guest_napi", "guest_receive", "guest_poll_receive")


@functools.lru_cache(maxsize=4)
def _arrivals(seed: int, packets: int) -> Floats:
    """Common random numbers: Poisson arrival times whose mean rate is exactly 1, float[packets]."""
    times = np.cumsum(np.random.default_rng(seed).exponential(1.0, packets))
    scaled: Floats = times * (packets / times[-1])
    return scaled


@functools.lru_cache(maxsize=4)
def _factors(seed: int, packets: int, cv: float) -> Floats:
    """Factors of mean 1 and coefficient of variation ``cv``, lognormal, for four services: float[4, packets]."""
    normals = np.random.default_rng([seed, 2]).standard_normal((4, packets))
    sigma2 = float(np.log1p(cv * cv))
    return np.exp(np.sqrt(sigma2) * normals - sigma2 / 2)


def _bursts(load: Load, end_ns: float, seed: int) -> Floats:
    """Times at which a neighbour holds the back end's core: exponential gaps, bursts of one length."""
    period = load.neighbour_burst_ns / max(load.neighbour_share, 1e-12)  # a mean gap and a burst
    count = int(3 * end_ns / period) + 10
    if load.neighbour_share == 0 or period > 1e3 * end_ns:
        return np.zeros((0, 2))
    if count > MOST_BURSTS:
        raise ValueError(
            f"neighbour_burst_ns must be longer, or packets fewer: at {load.rate_packets_per_s:g} packets/s this run "
            f"has some {count:,} bursts of {load.neighbour_burst_ns:g} ns; it can hold {MOST_BURSTS:,} at most."
        )
    gap = period - load.neighbour_burst_ns
    gaps = np.random.default_rng([seed, 1]).exponential(gap, count)
    begin = np.cumsum(gaps) + load.neighbour_burst_ns * np.arange(count)
    return np.stack([begin, begin + load.neighbour_burst_ns], axis=1)


def _quantiles(values: Floats, shares: tuple[float, ...]) -> tuple[float, ...]:
    at = [min(len(values) - 1, int(share * len(values))) for share in shares]
    ranked = np.partition(values, at)
    return tuple(float(ranked[k]) for k in at)
