"""Offload and storage: requests round a closed network, packets past a coalescing device, against SimPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import simpy_offload
from harness import Row, interleave, ratio, report, row

from virtlab.core.jit import have_numba
from virtlab.offload.moderation import ModerationOptions
from virtlab.offload.moderation_run import arrival_times, moderation_at
from virtlab.paths.closed import Station
from virtlab.paths.storage_simulate import run_closed

ROUNDS, FEW_ROUNDS = 200_000, 5_000
PACKETS, FEW_PACKETS = 1_000_000, 20_000
DEPTH, SEED = 32, 1
STATIONS = (Station("guest", 3_000.0), Station("worker", 6_000.0), Station("disk", 80_000.0, 16))


def main() -> list[Row]:
    """The same ends and interrupts, then the ratios."""
    if not have_numba():
        print("skipped: numba is not there, and it is what is measured")
        return []
    return closed_rows() + moderation_rows()


def closed_rows() -> list[Row]:
    means, servers = [s.demand_ns for s in STATIONS], [s.servers for s in STATIONS]

    def peer() -> list[float]:
        factors = np.random.default_rng(SEED).exponential(1.0, (2 * FEW_ROUNDS, len(STATIONS))).tolist()
        return simpy_offload.closed(DEPTH, servers, means, factors, FEW_ROUNDS)

    constant = simpy_offload.closed(DEPTH, servers, means, [[1.0] * len(STATIONS)], FEW_ROUNDS)
    np.testing.assert_allclose(run_closed(STATIONS, DEPTH, FEW_ROUNDS, SEED, "constant")[1], constant, rtol=1e-8)
    mean = run_closed(STATIONS, DEPTH, FEW_ROUNDS, SEED, "exponential")[1][-1] / peer()[-1]
    assert abs(mean - 1) < 0.05, f"random services: {mean:.3f} of SimPy's time"
    runs: dict[str, Callable[[], Any]] = {
        "simpy": peer,
        "numba": lambda: run_closed(STATIONS, DEPTH, ROUNDS, SEED, "exponential"),
    }
    rates = interleave(runs, {"simpy": FEW_ROUNDS, "numba": ROUNDS})
    report(f"{DEPTH} requests round three stations (random numbers included)", rates, "requests", "simpy")
    # A request is three services and nothing else, which is what SimPy does best: half of the ratio of a full path.
    return [row("closed network, numba / SimPy", ratio(rates, "numba", "simpy"), 100, 125)]


def moderation_rows() -> list[Row]:
    options = ModerationOptions(run_packets=PACKETS)
    arrivals = arrival_times(options)
    few = arrivals[:FEW_PACKETS]
    count, wait = options.count, options.interrupt_delay_ns

    def peer() -> list[float]:
        return simpy_offload.coalesce(few.tolist(), count, wait)

    ours, theirs = moderation_at(options, few).irqs, peer()
    n = min(len(ours), len(theirs)) - 1
    np.testing.assert_array_equal(ours[:n], theirs[:n])
    runs: dict[str, Callable[[], Any]] = {"simpy": peer, "numba": lambda: moderation_at(options, arrivals)}
    rates = interleave(runs, {"simpy": FEW_PACKETS, "numba": PACKETS})
    report("packets past a device that coalesces", rates, "packets", "simpy")
    return [row("coalescing, numba / SimPy", ratio(rates, "numba", "simpy"), 200, 250)]
