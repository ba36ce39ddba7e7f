"""The one loop of the request queue: a server that sleeps when it is idle, and is late when it is woken."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import jit

Floats = NDArray[np.float64]


def _example() -> tuple[Any, ...]:
    return tuple(np.zeros(1) for _ in range(4))


@jit(_example)
def woken_fifo_kernel(arrivals: Floats, woken: Floats, works: Floats, departures: Floats) -> None:
    """All float64[n]. A request that finds nobody before it begins at ``woken[i]``, which is ``arrivals[i]`` or later;
    any other one when the one before it is done."""
    done = arrivals[0] if len(arrivals) else 0.0
    for i in range(len(arrivals)):
        done = (woken[i] if arrivals[i] >= done else done) + works[i]
        departures[i] = done
