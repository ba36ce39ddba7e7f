"""Percentiles of a vCPU that serves requests, while a neighbour slows it down from time to time.

Requests come at random (Poisson) and take an exponential time each, one after the other. The neighbour is active in
episodes of equal length at equal distances; meanwhile the server works ``slowdown`` times slower. That is exact in the
server's own time, which runs slower in the episodes: there it is Lindley's recursion. A server without work sleeps;
when the next request wakes it up, another thread may hold the CPU: with probability ``share`` it waits for the rest of
a slice, uniform from 0 to ``longest_ns``.

Limits: episodes of unequal length or distance spread an overload further, so that the highest percentile errs low when
the server cannot keep up in an episode; a vCPU at work is not preempted here, which errs low at high load; caches are
as in the steady state from the first moment of an episode to its last.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from virtlab.cpu.request_kernel import Floats, woken_fifo_kernel

REQUESTS = 40_000
_WARM_UP = REQUESTS // 10  # requests after the start with an empty queue that do not count


class Wait(NamedTuple):
    """Another thread on the CPU: how often a wake-up finds it, and the longest rest of its slice."""

    share: float
    longest_ns: float

    @property
    def mean_ns(self) -> float:
        """What a wake-up waits on average."""
        return self.share * self.longest_ns / 2


@dataclass(frozen=True)
class Tail:
    """Time from a request's arrival to its end; infinite where the server does not keep up in the long run."""

    p50_ns: float
    p99_ns: float
    p999_ns: float
    mean_ns: float
    utilization: float


@dataclass(frozen=True)
class Episodes:
    """When the neighbour is active: ``share`` of the time, ``length_ns`` at once, at the end of each period."""

    share: float
    length_ns: float
    slowdown: float

    @property
    def idle_ns(self) -> float:
        """From one episode to the next."""
        return self.length_ns * (1 - self.share) / self.share if self.share else math.inf

    @property
    def mean_slowdown(self) -> float:
        """How many times longer work takes in the long run."""
        return 1 / (1 - self.share + self.share / self.slowdown)

    @property
    def matter(self) -> bool:
        """Whether the server's own time differs from that of the clock."""
        return math.isfinite(self.idle_ns) and self.slowdown > 1

    def work(self, time_ns: Floats) -> Floats:
        """The server's own time at times of the clock."""
        if not self.matter:
            return time_ns
        idle, worked = self.idle_ns, self.length_ns / self.slowdown
        period = np.floor(time_ns / (idle + self.length_ns))
        rest = time_ns - period * (idle + self.length_ns)
        return period * (idle + worked) + np.minimum(rest, idle) + np.maximum(rest - idle, 0) / self.slowdown

    def clock(self, work_ns: Floats) -> Floats:
        """The inverse."""
        if not self.matter:
            return work_ns
        idle, worked = self.idle_ns, self.length_ns / self.slowdown
        period = np.floor(work_ns / (idle + worked))
        rest = work_ns - period * (idle + worked)
        late = np.maximum(rest - idle, 0) * self.slowdown
        return period * (idle + self.length_ns) + np.minimum(rest, idle) + late


@functools.lru_cache(maxsize=64)  # a victim alone is asked for again and again
def request_tail(
    load: float, service_ns: float, episodes: Episodes, waits: tuple[Wait, ...] = (), seed: int = 1
) -> Tail:
    """Percentiles over 36,000 requests after a warm-up. ``load``: the share of the time that an undisturbed server is
    busy; ``service_ns``: mean time of a request there. The same ``seed`` gives the same requests whatever else differs.
    """
    utilization = load * episodes.mean_slowdown
    if utilization >= 1:
        return Tail(math.inf, math.inf, math.inf, math.inf, utilization)
    gaps, works, dice = _draws(seed)
    arrivals = gaps * (service_ns / load)
    late = np.zeros(REQUESTS)
    for wait, (hit, rest) in zip(waits, dice, strict=False):
        late += np.where(hit < wait.share, rest * wait.longest_ns, 0.0)
    begun = episodes.work(arrivals)
    woken = episodes.work(arrivals + late) if late.any() else begun
    departures = np.empty(REQUESTS)
    woken_fifo_kernel(begun, woken, works * service_ns, departures)
    took = (episodes.clock(departures) - arrivals)[_WARM_UP:]
    ranks = [math.ceil(q * len(took)) - 1 for q in (0.5, 0.99, 0.999)]
    p50, p99, p999 = (float(x) for x in np.partition(took, ranks)[ranks])
    return Tail(p50, p99, p999, float(took.mean()), utilization)


@functools.lru_cache(maxsize=4)
def _draws(seed: int) -> tuple[Floats, Floats, Floats]:
    """Arrivals and works of mean distance and size 1, and for two kinds of waits whether and how long."""
    random = np.random.default_rng(seed)
    gaps, works = random.exponential(size=(2, REQUESTS))
    draws = gaps.cumsum(), works, random.random((2, 2, REQUESTS))
    for array in draws:
        array.setflags(write=False)
    return draws
