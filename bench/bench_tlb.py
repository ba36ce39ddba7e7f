"""The TLB simulator against pycachesim, C, separate runs and plain Python, in interleaved rounds with equal counts."""

from __future__ import annotations

import ctypes
import importlib
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import Row, compile_c, interleave, ratio, report, row
from numpy.typing import NDArray

from virtlab.core.jit import have_numba
from virtlab.memory import traces
from virtlab.memory.tlb import NO_WALK_CACHES, Structures, Tlb, miss_curve, simulate
from virtlab.memory.tlb_kernels import COUNTS, EMPTY, walk_kernel

MANY, SOME, FEW = 10_000_000, 3_000_000, 100_000  # references: two levels; the whole walk; as many as a lab sends
BYTES = 1 << 30
RANDOM = ("uniform", "zipf", "chase")
WAYS = range(1, 17)


def main() -> list[Row]:
    """Equal counts, then the ratios."""
    if not have_numba():
        print("skipped: numba is not there, and it is what is measured")
        return []
    return two_level_rows() + walk_rows() + curve_rows() + numpy_rows()


def two_level_rows() -> list[Row]:
    """The scope of general cache simulators: two levels, no walk."""
    try:
        cachesim = importlib.import_module("cachesim")
    except ImportError:
        print("no comparison with pycachesim: it is not installed (make peers)")
        return []

    def peer(addresses: list[int]) -> tuple[int, int]:
        memory = cachesim.MainMemory()
        second = cachesim.Cache("L2", 128, 12, 4096, "LRU")
        first = cachesim.Cache("L1", 16, 4, 4096, "LRU", load_from=second, store_to=second)
        memory.load_to(second)
        memory.store_from(second)
        simulator = cachesim.CacheSimulator(first, memory)
        simulator.load(addresses, length=1)
        hits = [level["HIT_count"] for level in simulator.stats()]
        return hits[0], hits[1]

    def ours(trace: NDArray[np.uint64]) -> tuple[int, int]:
        run = simulate(trace, host_page=None, **NO_WALK_CACHES)
        return run.l1_hits, run.l2_hits

    rows = []
    for pattern in RANDOM:
        trace = traces.make(pattern, MANY, BYTES)
        addresses = trace.tolist()  # its favourable case: the integers are there already
        same({"pycachesim": lambda a=addresses: peer(a), "simulate": lambda t=trace: ours(t)})
        runs = {"pycachesim": lambda a=addresses: peer(a), "simulate": lambda t=trace: ours(t)}
        rates = interleave(runs, dict.fromkeys(runs, MANY), rounds=5)
        report(f"two levels, {pattern}", rates, "references", "pycachesim")
        rows.append(row(f"two TLBs, {pattern}, numba / pycachesim", ratio(rates, "simulate", "pycachesim"), 4, 5))
    return rows


def walk_rows() -> list[Row]:
    """The whole two-dimensional walk; numba has its geometry at run time."""
    library = compile_c(Path(__file__).with_name("tlb.c"))
    if isinstance(library, str):
        print(f"no yardstick in C: {library}")
        return []
    setting = Structures(Tlb(), "4K", "4K", 4, 4)
    geometry, size = setting.geometry()
    parts, scalars = geometry[7:], np.array([*setting.shifts, *setting.levels, 0], np.int32)
    for_c = np.concatenate((parts, scalars.view(np.uint64)))

    def c(loop: Any, trace: NDArray[np.uint64]) -> list[int]:
        tags, counts = np.full(size, EMPTY, np.uint64), np.zeros(COUNTS, np.int64)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (trace, for_c, tags, counts)]
        loop(pointers[0], ctypes.c_int64(len(trace)), *pointers[1:])
        return counts.tolist()

    def numba(trace: NDArray[np.uint64]) -> list[int]:
        tags, counts = np.full(size, EMPTY, np.uint64), np.zeros(COUNTS, np.int64)
        walk_kernel(trace, geometry, None, tags, counts)
        return counts.tolist()

    rows = []
    for pattern in ("sequential", *RANDOM):
        trace = traces.make(pattern, SOME, BYTES)
        trace.flags.writeable = False
        runs: dict[str, Callable[[], list[int]]] = {
            "C, fixed": lambda t=trace: c(library.walk_fixed, t),
            "C, run time": lambda t=trace: c(library.walk, t),
            "numba": lambda t=trace: numba(t),
        }
        same(runs)
        rates = interleave(runs, dict.fromkeys(runs, SOME), rounds=9)
        report(f"walk, {pattern} (C: geometry fixed, or given at run time)", rates, "references", "C, fixed")
        for name, floor, goal in (("C, fixed", 0.45, 0.6), ("C, run time", 0.65, 0.8)):
            rows.append(row(f"walk, {pattern}, numba / {name}", ratio(rates, "numba", name), floor, goal))
    return rows


def curve_rows() -> list[Row]:
    """Every associativity at once, against a run each."""
    trace = traces.zipf(1_000_000, BYTES)

    def separate() -> list[int]:
        return [
            simulate(trace, l1_entries=16 * w, l1_ways=w, l2_entries=0, host_page=None, **NO_WALK_CACHES).l1_hits
            for w in WAYS
        ]

    runs = {"separate": separate, "one pass": lambda: miss_curve(trace, sets=16, most_ways=len(WAYS)).tolist()}
    same(runs)
    rates = interleave(runs, dict.fromkeys(runs, len(trace) * len(WAYS)), rounds=5)
    report("16 associativities", rates, "references", "separate")
    return [row("16 associativities, one pass / separate runs", ratio(rates, "one pass", "separate"), 15, 20)]


def numpy_rows() -> list[Row]:
    """What is left without numba: NumPy's twin, and the kernel as plain Python."""
    rows = []
    few = FEW // 10
    for pattern in ("sequential", *RANDOM, "gups"):
        trace = traces.make(pattern, FEW, BYTES)
        runs: dict[str, Callable[[], Any]] = {
            "numba": lambda t=trace: simulate(t),
            "numpy": lambda t=trace: without_numba(lambda: simulate(t)),
        }
        same(runs)
        runs["python"] = lambda t=trace[:few]: plain(t)
        assert runs["python"]() == simulate(trace[:few])
        rates = interleave(runs, {"numba": FEW, "numpy": FEW, "python": few}, rounds=9)
        report(f"walk of {FEW} references, {pattern}", rates, "references", "numpy")
        ms = FEW / statistics.median(rates["numpy"]) * 1e3
        print(f"  NumPy: {ms:.1f} ms for {FEW} references")
        if pattern in RANDOM:
            rows.append(row(f"walk, {pattern}, NumPy / numba", ratio(rates, "numpy", "numba"), 0.08, 0.1))
            rows.append(row(f"walk, {pattern}, NumPy / plain Python", ratio(rates, "numpy", "python"), 5, 6))
    return rows


def plain(trace: NDArray[np.uint64]) -> Any:
    """The kernel interpreted: lists and integers, one reference after the other."""
    setting = Structures(Tlb(), "4K", "4K", 4, 4)
    geometry, size = setting.geometry()
    counts = np.zeros(COUNTS, np.int64)
    walk_kernel.interpret(trace, geometry, None, np.full(size, EMPTY, np.uint64), counts)
    return setting.result(counts, len(trace))


def without_numba(run: Callable[[], Any]) -> Any:
    os.environ["VIRTLAB_NO_NUMBA"] = "1"
    try:
        return run()
    finally:
        del os.environ["VIRTLAB_NO_NUMBA"]


def same(runs: dict[str, Callable[[], Any]]) -> None:
    """Every run counts the same. Raises AssertionError."""
    first, *others = [(name, run()) for name, run in runs.items()]
    for name, counts in others:
        assert counts == first[1], f"{name} counts {counts}, {first[0]} {first[1]}"
