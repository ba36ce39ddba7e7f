"""A closed network and a coalescing device as SimPy users write them: the yardstick of the benchmark."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from typing import Any

import simpy

Process = Generator[simpy.Event, Any, None]


class Enough(Exception):
    """All rounds are over."""


def closed(
    customers: int, servers: Sequence[int], means: Sequence[float], factors: Sequence[Sequence[float]], rounds: int
) -> list[float]:
    """Customers that go round stations in series, one process each, one Resource a station: ends of the rounds.

    Services take the rows of ``factors`` one after the other. Which of two that begin at the same moment comes first is
    SimPy's affair, so that only constant factors give what the kernel gives, time for time.
    """
    env = simpy.Environment()
    stations = [simpy.Resource(env, n) for n in servers]
    ends: list[float] = []
    rows = itertools.count()

    def customer() -> Process:
        while True:
            for k, station in enumerate(stations):
                with station.request() as turn:
                    yield turn
                    yield env.timeout(means[k] * factors[next(rows) % len(factors)][k])
            ends.append(env.now)
            if len(ends) == rounds:
                raise Enough

    for _ in range(customers):
        env.process(customer())
    try:
        env.run()
    except Enough:
        pass
    return ends


def coalesce(arrivals: Sequence[float], packets: int, wait: float) -> list[float]:
    """A device that notifies after so many packets, or so long after the first of them: when it does."""
    env = simpy.Environment()
    irqs: list[float] = []
    pending = 0
    timer: simpy.Event | None = None

    def fire() -> None:
        nonlocal pending, timer
        irqs.append(env.now)
        pending, timer = 0, None

    def later(mine: simpy.Event) -> Process:
        yield mine
        if timer is mine:
            fire()

    def source() -> Process:
        nonlocal pending, timer
        for arrival in arrivals:
            yield env.timeout(arrival - env.now)
            pending += 1
            if pending >= packets:
                fire()
            elif pending == 1:
                timer = env.timeout(wait)
                env.process(later(timer))

    env.process(source())
    env.run()
    return irqs
