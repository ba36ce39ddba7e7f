"""The packet path with feedback, as one event loop: front, worker, used ring, interrupt gate, guest vCPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from virtlab.core.jit import jit

Floats = NDArray[np.float64]
UNBOUNDED = 2**62  # a limit that is never reached
COUNTERS = (
    "events",
    "dropped",
    "interrupts",
    "worker_wakeups",
    "guest_wakeups",
    "batches",
    "ring_stalls",
    "max_ring",
    "front_busy_ns",
    "worker_busy_ns",
    "consumer_busy_ns",
    "end_ns",
)


def _example() -> tuple[Any, ...]:
    a, none = np.zeros(1), np.zeros(0)
    options = (1, 1, 0.0, 0.0, False, 1, 1, 0.0, 0.0, 0.0, False, False)
    return (a, a, a, a, a, none, none, *options, np.zeros(1, np.uint64), np.zeros(1), np.zeros(len(COUNTERS)))


@jit(_example)
def path_kernel(
    arrivals: Floats,
    s1: Floats,
    s2: Floats,
    s3: Floats,
    s4: Floats,
    burst_start: Floats,
    burst_end: Floats,
    queue_limit: int,
    budget: int,
    c_batch: float,
    c_wake: float,
    worker_polls: bool,
    ring: int,
    irq_frames: int,
    irq_delay: float,
    c_irq: float,
    c_guest_wake: float,
    guest_polls: bool,
    napi: bool,
    order: NDArray[np.uint64],
    dep: Floats,
    counters: Floats,
) -> None:
    """The loop behind `run_path`, which explains the model and checks the arguments; this checks nothing.

    Outputs: `order` uint64[n] (work space: the accepted packets; unsigned, so that numba need not test an index for
    < 0), `dep` float64[n] (ns, -1 when dropped), `counters` float64[12] in the order of `COUNTERS`. Needs n >= 1.
    """
    # Four clocks, the smallest is the next event (arrivals need none: the front never waits for what is behind it).
    # All stages are FIFO and packets are lost in one place only, so that each queue is a pair of cursors into `order`:
    # freed <= started3 <= visible <= used <= taken <= accepted, and started4 <= freed.
    inf = np.inf
    n = len(arrivals)
    nb = len(burst_start)
    front = accepted = taken = used = visible = started3 = freed = started4 = 0
    ended3 = 0  # packets that are done after class 3
    t_front = arrivals[0] + s1[0]
    t_worker = t_timer = t_consumer = inf
    front_busy = s1[0]
    worker_busy = consumer_busy = debt = end = 0.0
    dropped = interrupts = worker_wakeups = guest_wakeups = batches = ring_stalls = max_ring = 0
    burst = 0  # first burst that is not over
    asleep = not worker_polls
    stalled = False
    softirq = False  # what the consumer is busy with: class 3, else class 4
    while True:
        t = t_front
        source = 0
        if t_worker < t:
            t = t_worker
            source = 1
        if t_timer < t:
            t = t_timer
            source = 2
        if t_consumer < t:
            t = t_consumer
            source = 3
        if t == inf:
            break
        end = t

        if source == 0:  # a packet leaves the front
            if accepted - taken < queue_limit:
                order[accepted] = front
                accepted += 1
            else:
                dep[front] = -1.0
                dropped += 1
            front += 1
            if front < n:
                begin = arrivals[front]
                if t > begin:
                    begin = t
                t_front = begin + s1[front]
                front_busy += s1[front]
            else:
                t_front = inf
        elif source == 1:  # the worker puts its batch on the used ring
            t_worker = inf
            used = taken
            if used - freed > max_ring:
                max_ring = used - freed
            if guest_polls or (napi and (started3 < visible or (softirq and t_consumer < inf))):
                visible = used
            elif used - visible >= irq_frames:
                t_timer = t
            elif t_timer == inf:
                t_timer = t + irq_delay
            if taken == accepted:
                asleep = not worker_polls
        elif source == 2:  # an interrupt
            t_timer = inf
            visible = used
            interrupts += 1
            debt += c_irq
            if t_consumer == inf:
                guest_wakeups += 1
                debt += c_guest_wake
        else:  # the consumer has done one packet of one class
            t_consumer = inf
            if softirq:
                i = order[freed]
                freed += 1
                if s4[i] == 0.0:  # nothing for the application
                    dep[i] = t
                    ended3 += 1
            else:
                dep[order[started4 - 1]] = t

        if t_worker == inf and taken < accepted:
            room = ring - (used - freed)
            if room > 0:
                first = taken
                taken = min(accepted, first + min(budget, room))
                work = c_batch
                if asleep:
                    work += c_wake
                    worker_wakeups += 1
                    asleep = False
                for j in range(first, taken):
                    work += s2[order[j]]
                batches += 1
                worker_busy += work
                stalled = False
                # Work stands still during a burst of the neighbour.
                begin = t
                while burst < nb and burst_end[burst] <= begin:
                    burst += 1
                k = burst
                if k < nb and burst_start[k] <= begin:
                    begin = burst_end[k]
                    k += 1
                while k < nb and burst_start[k] < begin + work:
                    begin += burst_end[k] - burst_start[k]
                    k += 1
                t_worker = begin + work
            elif not stalled:
                stalled = True
                ring_stalls += 1
        if t_consumer == inf:
            if started3 < visible:
                work = debt + s3[order[started3]]
                started3 += 1
                softirq = True
            else:
                while started4 < freed and s4[order[started4]] == 0.0:
                    started4 += 1
                if started4 == freed:
                    continue
                work = debt + s4[order[started4]]
                started4 += 1
                softirq = False
            debt = 0.0
            consumer_busy += work
            t_consumer = t + work
    counters[0] = 2 * n + batches + interrupts + 2 * freed - ended3  # arrivals, front, worker, gate, classes
    counters[1] = dropped
    counters[2] = interrupts
    counters[3] = worker_wakeups
    counters[4] = guest_wakeups
    counters[5] = batches
    counters[6] = ring_stalls
    counters[7] = max_ring
    counters[8] = front_busy
    counters[9] = worker_busy
    counters[10] = consumer_busy
    counters[11] = end


@dataclass(frozen=True)
class PathRun:
    """What happened to each packet, in order of arrival, and how often what happened. Times in ns."""

    arrival_ns: Floats
    departure_ns: Floats  # -1 when dropped
    events: int  # arrivals, front departures, batches, interrupts, consumer services: what a simulator has to do
    dropped: int  # packets that found the entry queue full
    interrupts: int  # sent to the guest
    worker_wakeups: int  # batches for which the worker had to be woken
    guest_wakeups: int  # interrupts that found the consumer idle
    batches: int
    ring_stalls: int  # times that the worker had packets but the used ring no room
    max_ring: int  # packets on the used ring, at most
    front_busy_ns: float
    worker_busy_ns: float  # work only; a pause in a burst of the neighbour does not count
    consumer_busy_ns: float  # packets, interrupts and wake-ups
    end_ns: float  # time of the last event

    @property
    def latency_ns(self) -> Floats:
        """Departure less arrival, float64[n]; -1 when dropped."""
        return np.where(self.departure_ns < 0, -1.0, self.departure_ns - self.arrival_ns)


def run_path(
    arrivals: ArrayLike,
    s1: ArrayLike = 0.0,
    s2: ArrayLike = 0.0,
    s3: ArrayLike = 0.0,
    s4: ArrayLike = 0.0,
    *,
    queue_limit: int = UNBOUNDED,
    budget: int = 64,
    c_batch: float = 0.0,
    c_wake: float = 0.0,
    worker_polls: bool = False,
    bursts: ArrayLike = (),
    ring: int = 256,
    irq_frames: int = 1,
    irq_delay: float = 0.0,
    c_irq: float = 0.0,
    c_guest_wake: float = 0.0,
    guest_polls: bool = False,
    napi: bool = False,
) -> PathRun:
    """Send packets through front, entry queue, worker, used ring, interrupt gate and guest vCPU; no chance in it.

    All times are in ns. `arrivals` float[n] is sorted, n >= 1; each service `s1`..`s4` is float[n] or one number.

    front      One packet at a time, service `s1`, endless queue before it.
    queue      At most `queue_limit` packets wait between front and worker; one that finds it full is dropped.
    worker     Takes what waits, at most `budget` packets, at most as many as the used ring (`ring` entries) has room
               for; with no room it waits for the guest (back-pressure). A batch costs `c_batch` plus the `s2` of its
               packets, plus `c_wake` if the worker slept, which it does whenever it finds the queue empty, unless
               `worker_polls`. It stands still during the neighbour's `bursts`, float[m, 2] of (start, end), sorted
               and disjoint. At the end of the batch its packets are on the used ring.
    gate       Packets on the ring become visible to the guest by an interrupt: at once when `irq_frames` of them are
               pending, else `irq_delay` after the first pending one. With `napi` no interrupt is needed while the
               guest is at work on packets of the ring; with `guest_polls` never.
    consumer   One vCPU, two classes, no preemption within a packet: softirq first (`s3`; then the ring entry is
               free again), then the application (`s4`, endless queue; a packet with `s4` = 0 needs none and leaves
               with the softirq). An interrupt adds `c_irq` to what the vCPU does next, and `c_guest_wake` when it
               found the vCPU idle.

    At equal times the order is: front, worker, interrupt, consumer. Raises ValueError on an argument out of range.
    """
    a = vector(arrivals, "arrivals")
    n = len(a)
    if n == 0:
        raise ValueError("arrivals must hold at least one time in ns: without a packet there is nothing to simulate")
    if a[0] < 0 or np.any(a[1:] < a[:-1]):
        raise ValueError("arrivals must be sorted times >= 0 in ns: the queues serve packets in the order of arrival")
    pairs = vector(np.ravel(bursts), "bursts")
    if len(pairs) % 2 or np.any(pairs[1:] < pairs[:-1]):
        raise ValueError("bursts must be (start, end) pairs in ns, sorted and disjoint: the neighbour is one thread")
    departures, counters = np.empty(n), np.zeros(len(COUNTERS))
    path_kernel(
        a,
        _service(s1, n, "s1"),
        _service(s2, n, "s2"),
        _service(s3, n, "s3"),
        _service(s4, n, "s4"),
        pairs[0::2].copy(),
        pairs[1::2].copy(),
        _count(queue_limit, "queue_limit"),
        _count(budget, "budget"),
        _cost(c_batch, "c_batch"),
        _cost(c_wake, "c_wake"),
        bool(worker_polls),
        _count(ring, "ring"),
        _count(irq_frames, "irq_frames"),
        _cost(irq_delay, "irq_delay"),
        _cost(c_irq, "c_irq"),
        _cost(c_guest_wake, "c_guest_wake"),
        bool(guest_polls),
        bool(napi),
        np.empty(n, np.uint64),
        departures,
        counters,
    )
    values = dict(zip(COUNTERS, counters.tolist(), strict=True))
    numbers: dict[str, Any] = {k: v if k.endswith("_ns") else int(v) for k, v in values.items()}
    return PathRun(a, departures, **numbers)


def vector(value: ArrayLike, name: str) -> Floats:
    """A finite float64 vector, contiguous and writeable: one set of types, for which a kernel is compiled once."""
    v = np.require(value, np.float64, ["C", "W"])
    if v.ndim != 1 or not np.all(np.isfinite(v)):
        raise ValueError(f"{name} must be a vector of finite times in ns; you gave one of shape {v.shape}: {v}")
    return v


def _service(value: ArrayLike, n: int, name: str) -> Floats:
    s = vector(np.broadcast_to(value, n) if np.ndim(value) == 0 else value, name)
    if len(s) != n:
        raise ValueError(f"{name} must be one time in ns or {n} of them, one a packet that arrives; you gave {len(s)}")
    if s.min() < 0:
        raise ValueError(f"{name} must be >= 0 ns; you gave {s.min():g}: no service ends before it began")
    return s


def _count(value: int, name: str) -> int:
    if not isinstance(value, int | np.integer) or not 1 <= value <= UNBOUNDED:
        raise ValueError(f"{name} must be a whole number of packets >= 1; you gave {value}: with 0 nothing ever moves")
    return int(value)


def _cost(value: float, name: str) -> float:
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} must be a finite time >= 0 ns; you gave {value}: time is spent, never gained")
    return float(value)
