"""Interleaved timing: every round runs each candidate once in rotating order; ratios are medians of per-round ratios.

On a machine that others use too, a slow moment then hits all candidates alike, and the ratios hold.
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table: a ratio, the floor that it must reach, and the goal that it should."""

    name: str
    ratio: float
    floor: float
    goal: float
    ok: bool


def row(name: str, ratio: float, floor: float, goal: float) -> Row:
    return Row(name, ratio, floor, goal, ratio >= floor)


def interleave(
    candidates: Mapping[str, Callable[[], object]], units: Mapping[str, float], rounds: int = 15
) -> dict[str, list[float]]:
    """Rates of each candidate, units of work per second, one a round. Each runs once more before, to warm up."""
    names = list(candidates)
    rates: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        candidates[name]()
    for r in range(rounds):
        k = r % len(names)
        for name in names[k:] + names[:k]:
            gc.collect()
            start = time.perf_counter()
            candidates[name]()
            rates[name].append(units[name] / (time.perf_counter() - start))
    return rates


def ratio(rates: Mapping[str, list[float]], name: str, base: str) -> float:
    """How many times faster `name` is than `base`."""
    return statistics.median(a / b for a, b in zip(rates[name], rates[base], strict=True))


def report(title: str, rates: Mapping[str, list[float]], unit: str, base: str) -> None:
    """Print the median rate of each candidate, its range, and its ratio to `base`."""
    print(title)
    for name, values in rates.items():
        low, middle, high = min(values) / 1e6, statistics.median(values) / 1e6, max(values) / 1e6
        times = f"{ratio(rates, name, base):10.4g} x {base}"
        print(f"  {name:12s} {middle:10.4g} M {unit}/s ({low:.4g} to {high:.4g})  {times}")


def compile_c(source: Path) -> ctypes.CDLL | str:
    """The shared library that the system's C compiler makes of `source`, or the reason why there is none."""
    cc = shutil.which(os.environ.get("CC", "cc"))
    if cc is None:
        return "no C compiler (cc) on this machine"
    with tempfile.TemporaryDirectory(prefix="virtlab-bench-") as folder:
        library = Path(folder) / "lib.so"
        command = [cc, "-O3", "-march=native", "-shared", "-fPIC", "-o", str(library), str(source)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            return f"{' '.join(command)} failed: {made.stderr.strip()[:500]}"
        return ctypes.CDLL(str(library))  # stays mapped when the folder goes
