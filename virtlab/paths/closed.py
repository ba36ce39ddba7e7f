"""Closed queueing networks: a fixed number of requests goes round; rate and latency at each depth, exactly.

Buzen's convolution (1973) over the stations gives all depths up to the deepest in one pass. It is exact for stations
whose service times are exponential (or that only take time, however spread): product-form networks (Baskett and others
1975). Mean value analysis gives the same numbers; convolution has no subtraction in it, so that a disk with hundreds of
channels does not lose digits. Logarithms keep it from overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DEEPEST = 4096  # a station of so many servers takes the square of it


@dataclass(frozen=True)
class Station:
    """Where requests are served: ``servers`` at once (0: any number, they only take time), ``demand_ns`` each."""

    name: str
    demand_ns: float
    servers: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.demand_ns < np.inf and self.servers >= 0):
            raise ValueError(
                f"station {self.name!r}: demand_ns must be finite and >= 0 ns and servers >= 0 (0: any number);"
                f" you gave {self.demand_ns!r} and {self.servers!r}: a request takes time, and nobody serves minus one"
            )

    @property
    def limit_per_s(self) -> float:
        """The rate that the station cannot exceed, in requests/s."""
        return 1e9 * self.servers / self.demand_ns if self.servers and self.demand_ns else np.inf


@dataclass(frozen=True)
class Depths:
    """Rate and latency at each number of requests in flight from 1 to the deepest; arrays are float64[deepest]."""

    stations: tuple[Station, ...]
    depth: NDArray[np.int64]
    rate_per_s: Floats
    latency_ns: Floats

    def present(self, depth: int) -> dict[str, float]:
        """Mean number of requests at each station when ``depth`` are in flight, each worked out for itself."""
        out = {}
        whole = _logs(self.stations, depth)
        for one in self.stations:
            rest = _logs([s for s in self.stations if s is not one], depth)
            n = np.arange(depth + 1)
            out[one.name] = float(np.sum(n * np.exp(_weights(one, depth) + rest[::-1] - whole[-1])))
        return out

    def busy(self, depth: int) -> dict[str, float]:
        """Share of its servers that each station keeps busy at ``depth`` (stations with a limit only)."""
        rate = float(self.rate_per_s[depth - 1])
        return {s.name: rate / s.limit_per_s for s in self.stations if np.isfinite(s.limit_per_s)}


def closed_network(stations: Sequence[Station], deepest: int) -> Depths:
    """Solves the network at depths 1 .. ``deepest``. ValueError when nothing takes time, or on a depth out of range."""
    if not 1 <= deepest <= DEEPEST or deepest != int(deepest):
        raise ValueError(f"deepest must be a whole number of requests, 1 to {DEEPEST}; you gave {deepest!r}.")
    timed = tuple(s for s in stations if s.demand_ns > 0)
    if not timed:
        raise ValueError("stations must have one that takes time: without, requests go round at an infinite rate.")
    logs = _logs(timed, int(deepest))
    depth = np.arange(1, int(deepest) + 1)
    rate = np.exp(logs[:-1] - logs[1:])
    return Depths(timed, depth, rate * 1e9, depth / rate)


def bounds(stations: Sequence[Station], depth: NDArray[np.int64]) -> tuple[Floats, float]:
    """What no network can exceed: min(depth / sum of demands, slowest station), in requests/s; and their crossing.

    The first is met while nothing waits, the second when the slowest station never rests. The crossing, in requests in
    flight, is the knee (Denning and Buzen 1978).
    """
    alone = sum(s.demand_ns for s in stations)
    limit = min(s.limit_per_s for s in stations)
    return np.minimum(depth / alone * 1e9, limit), limit * alone / 1e9


def _logs(stations: Sequence[Station], deepest: int) -> Floats:
    """log G(0) .. log G(deepest): those that only take time first, each with several servers next, single ones last."""
    total = sum(s.demand_ns for s in stations if s.servers == 0)
    g = _weights(Station("", total, 0), deepest)
    for one in stations:
        if one.servers > 1 and one.demand_ns > 0:
            g = _with_servers(g, one)
    for one in stations:
        if one.servers == 1 and one.demand_ns > 0:
            g = _geometric(g, one.demand_ns)
    return g


def _weights(one: Station, deepest: int) -> Floats:
    """log(demand^n / (1 * 2 * ... with min(n, servers) in the place of n)), float64[deepest + 1]."""
    if one.demand_ns == 0:
        return np.where(np.arange(deepest + 1) == 0, 0.0, -np.inf)
    n = np.arange(1, deepest + 1)
    rates = np.minimum(n, one.servers) if one.servers else n
    return np.concatenate([[0.0], np.cumsum(np.log(one.demand_ns) - np.log(rates))])


def _with_servers(g: Floats, one: Station) -> Floats:
    """g convolved with the weights of a station of several servers.

    While a server is free the weights are added one by one; from there on they are geometric, which is a recursion.
    """
    f, deepest = _weights(one, len(g) - 1), len(g) - 1
    out = f[0] + g
    for n in range(1, min(one.servers, deepest + 1)):
        out[n:] = np.logaddexp(out[n:], f[n] + g[:-n])
    if one.servers <= deepest:
        rest = f[one.servers] + g[: deepest + 1 - one.servers]
        out[one.servers :] = np.logaddexp(out[one.servers :], _geometric(rest, one.demand_ns / one.servers))
    return out


def _geometric(g: Floats, ratio: float) -> Floats:
    """log h where h(n) = g(n) + ratio * h(n - 1), from log g; unrolled into one running sum."""
    step = np.arange(len(g)) * np.log(ratio)
    return np.asarray(np.logaddexp.accumulate(g - step) + step)
