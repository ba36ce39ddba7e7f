"""A storage path with a fixed number of requests in flight, as an event loop: the witness of the closed network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from virtlab.core.jit import have_numba
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.paths.closed import Floats, Station
from virtlab.paths.closed_kernels import closed_kernel
from virtlab.paths.storage_options import StorageCosts, StorageOptions, storage_costs_of, storage_options_of

if TYPE_CHECKING:
    from virtlab.paths.storage_path import StoragePath

REQUESTS, REQUESTS_WITHOUT_NUMBA = 50_000, 4_000
Spread = Literal["exponential", "constant"]


@dataclass(frozen=True, repr=False)
class ClosedRun(Shown):
    """What one run gave; the first tenth of the requests is left out, while the stations fill. Times in ns."""

    path: str
    depth: int
    iops: float
    mean_ns: float
    p50_ns: float
    p99_ns: float
    latency_ns: Floats

    def law(self) -> tuple[float, float]:
        """Little's law: requests in flight, and rate times mean latency, each measured."""
        return float(self.depth), self.iops * self.mean_ns / 1e9

    def table(self) -> Table:
        rows = [
            (words("storage.rate"), show(self.iops, "IOPS")),
            (words("storage.latency_mean"), show(self.mean_ns, "ns")),
            (words("load.p50"), show(self.p50_ns, "ns")),
            (words("load.p99"), show(self.p99_ns, "ns")),
        ]
        title = words(f"storage_path.{self.path}.title")
        return Table.of((words("load.header"), words("load.value")), rows,
                        say("storage.simulated", path=title, depth=self.depth), numeric=[1])  # fmt: skip


def simulate_depth(
    path: StoragePath,
    options: StorageOptions | None = None,
    /,
    *,
    depth: int = 32,
    costs: StorageCosts | str = "qemu-2012",
    requests: int | None = None,
    seed: int = 1,
    spread: Spread = "exponential",
    **changes: Any,
) -> ClosedRun:
    """``depth`` requests go round the stations of ``path``, in series, until ``requests`` rounds are over.

    ``spread``: "exponential" services, as the closed network assumes, or "constant" ones, which wait least. The same
    ``seed`` gives the same random factors at every setting. Raises ParameterError and ValueError.
    """
    chosen, cost = storage_options_of(options, changes), storage_costs_of(costs)
    count = requests or (REQUESTS if have_numba() else REQUESTS_WITHOUT_NUMBA)
    if not 1 <= depth <= 1024 or not 100 <= count <= 10_000_000:
        raise ValueError(
            f"depth must be 1 to 1024 and requests 100 to 10,000,000; you gave {depth!r} and {count!r}: "
            "with none in flight nothing moves, and few say nothing about a mean."
        )
    latency, end = run_closed(path.stations(chosen, cost), depth, count, seed, spread)
    cut = count // 10
    # Each request in flight finishes one round after the other: the time of a round is the sum of its parts.
    starts = float(end[cut - 1])
    kept = latency[cut:]
    p50, p99 = np.quantile(kept, (0.5, 0.99))
    rate = (count - cut) / (float(end[-1]) - starts) * 1e9
    return ClosedRun(path.id, depth, rate, float(kept.mean()), float(p50), float(p99), kept)


def run_closed(
    stations: tuple[Station, ...], depth: int, rounds: int, seed: int, spread: Spread
) -> tuple[Floats, Floats]:
    """Latency and end time of each round in ns, float64[rounds] both, in order of their ends."""
    timed = [s for s in stations if s.demand_ns > 0]
    k = len(timed)
    means = np.array([s.demand_ns for s in timed])
    servers = np.array([min(s.servers or depth, depth) for s in timed], np.int64)
    rows = min(rounds * 2, 65_536)
    factors = np.random.default_rng(seed).exponential(1.0, (rows, k)) if spread == "exponential" else np.ones((1, k))
    latency, ends = np.zeros(rounds), np.zeros(rounds)

    def ints(n: int) -> Any:
        return np.zeros(n, np.int64)

    closed_kernel(depth, servers, means, factors, ints(depth), np.zeros(depth), ints(depth), ints(depth), ints(k),
                  ints(k), ints(k), np.zeros(depth), latency, ends)  # fmt: skip
    return latency, ends
