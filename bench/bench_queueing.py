"""Queueing: the tandem and the full path with feedback, against SimPy and plain C, in interleaved rounds."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import simpy_path
from harness import Row, compile_c, interleave, ratio, report, row
from numpy.typing import NDArray

from virtlab.core.jit import have_numba
from virtlab.paths.kernels import COUNTERS, path_kernel, run_path
from virtlab.paths.queueing import tandem

MANY, FEW = 1_000_000, 10_000  # packets of a compiled loop, and of an interpreted one
SERIES, REPEAT = 100_000, 50  # packets of a tandem, as many as a lab sends; runs, since one is too short to time
US = 1e3
OPTIONS: dict[str, Any] = {
    "queue_limit": 1000, "budget": 64, "c_batch": 1.0 * US, "c_wake": 0.5 * US, "ring": 256,
    "irq_frames": 32, "irq_delay": 20 * US, "c_irq": 2.0 * US, "c_guest_wake": 1.0 * US, "napi": True,
}  # fmt: skip


def main() -> list[Row]:
    """Departures equal to 1e-8, then the ratios."""
    if not have_numba():
        print("skipped: numba is not there, and it is what is measured")
        return []
    library = compile_c(Path(__file__).with_name("queueing.c"))
    if isinstance(library, str):
        print(f"no yardstick in C: {library}")
    c = library if isinstance(library, ctypes.CDLL) else None
    return tandem_rows(c) + path_rows(c)


def tandem_rows(c: ctypes.CDLL | None) -> list[Row]:
    rng = np.random.default_rng(1)
    arrivals = np.cumsum(rng.exponential(1.0 * US, SERIES))
    services = rng.exponential([[0.7 * US], [0.63 * US], [0.5 * US], [0.7 * US]], (4, SERIES))
    few = arrivals[:FEW].tolist(), services[:, :FEW].tolist()
    runs: dict[str, Callable[[], Any]] = {
        "simpy": lambda: simpy_path.tandem(*few),
        "numpy": lambda: without_numba(lambda: tandem(arrivals, services)),
        "numba": lambda: tandem(arrivals, services),
    }
    if c is not None:
        out = np.empty(SERIES)
        arguments = as_c(SERIES, arrivals, services, out)
        runs["c"] = lambda: (c.tandem4(*arguments), out)[1]
    same(runs)
    units: dict[str, float] = {"simpy": FEW}
    for name in runs.keys() - units.keys():
        runs[name] = repeated(runs[name])
        units[name] = SERIES * REPEAT
    rates = interleave(runs, units)
    report("four servers in series (public function, its checks included)", rates, "packets", "simpy")
    rows = [row("tandem, numba / SimPy", ratio(rates, "numba", "simpy"), 10_000, 12_000)]
    return [*rows, row("tandem, NumPy / SimPy", ratio(rates, "numpy", "simpy"), 400, 500)]


def path_rows(c: ctypes.CDLL | None) -> list[Row]:
    rng = np.random.default_rng(2)
    arrivals = np.cumsum(rng.exponential(4.0 * US, MANY))
    services = np.empty((4, MANY))
    services[0], services[2] = 0.8 * US, 0.9 * US
    services[1], services[3] = rng.gamma(4, 0.175 * US, MANY), rng.exponential(1.2 * US, MANY)
    start = np.arange(0.0, arrivals[-1], 5000 * US)
    bursts = np.stack([start, start + rng.uniform(0, 400 * US, len(start))], axis=1)

    flat = [np.ascontiguousarray(bursts[:, 0]), np.ascontiguousarray(bursts[:, 1])]
    numbers = [OPTIONS.get(k, simpy_path.DEFAULTS[k]) for k in simpy_path.DEFAULTS if k != "bursts"]
    work, out, counters = np.empty(MANY, np.uint64), np.empty(MANY), np.zeros(len(COUNTERS))
    bare = [arrivals, *services, *flat, *numbers, work, out, counters]
    few = arrivals[:FEW], services[:, :FEW]
    lists = few[0].tolist(), few[1].tolist()
    pairs = bursts.tolist()

    runs: dict[str, Callable[[], Any]] = {
        "simpy": lambda: simpy_path.Path(*lists, bursts=pairs, **OPTIONS).run(),
        "python": lambda: without_numba(lambda: run_path(few[0], *few[1], bursts=bursts, **OPTIONS).departure_ns),
        "run_path": lambda: run_path(arrivals, *services, bursts=bursts, **OPTIONS).departure_ns,
        "numba": lambda: (path_kernel(*bare), out)[1],
    }
    if c is not None:
        out_c, counters_c = np.empty(MANY), np.zeros(len(COUNTERS))
        arguments = as_c(MANY, arrivals, *services, len(bursts), *flat, *numbers, work, out_c, counters_c)
        runs["c"] = lambda: (c.path(*arguments), out_c)[1]
    same(runs)
    rates = interleave(runs, {name: FEW if name in ("simpy", "python") else MANY for name in runs})
    report("full path with feedback (numba, c: the bare loop; run_path: with its checks)", rates, "packets", "simpy")
    print(f"  {counters[0] / MANY:.2f} events a packet")
    rows = [row("full path, numba / SimPy", ratio(rates, "run_path", "simpy"), 200, 250)]
    if c is not None:
        rows.append(row("full path, numba / C", ratio(rates, "numba", "c"), 0.85, 0.9))
    return rows


def repeated(run: Callable[[], Any]) -> Callable[[], Any]:
    def runs() -> None:
        for _ in range(REPEAT):  # each result is dropped before the next, as a lab does: fresh memory costs page faults
            run()

    return runs


def same(runs: dict[str, Callable[[], Any]]) -> None:
    """Every run gives the departures of the first, as far as it goes. Raises AssertionError."""
    first, *others = [(name, np.array(run())) for name, run in runs.items()]
    for name, departures in others:
        n = min(len(departures), len(first[1]) // 2)  # what is still under way when a short run ends may differ
        np.testing.assert_allclose(departures[:n], first[1][:n], rtol=1e-8, err_msg=f"{name} against {first[0]}")


def without_numba(run: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
    os.environ["VIRTLAB_NO_NUMBA"] = "1"
    try:
        return run()
    finally:
        del os.environ["VIRTLAB_NO_NUMBA"]


def as_c(*values: Any) -> list[Any]:
    """Arrays as pointers, floats as doubles, the rest as int64. Keeps nothing alive: the caller holds the arrays."""
    kinds = {np.ndarray: lambda a: ctypes.c_void_p(a.ctypes.data), float: ctypes.c_double}
    return [kinds.get(type(v), ctypes.c_int64)(v) for v in values]
