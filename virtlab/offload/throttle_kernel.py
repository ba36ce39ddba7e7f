"""The loop of a rate limiter: two token buckets, tokens that are there once, and a pause when a bucket lacks some."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import jit

Floats = NDArray[np.float64]

#: Of each bucket: tokens it holds at most (0: no bucket), refilled in a ns, there once, there now, tokens of a request.
SIZE, RATE, ONCE, TOKENS, EACH, COLUMNS = range(6)


def _example() -> tuple[Any, ...]:
    return np.array([10.0, 1e-6, 0.0, 10.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]), 5.0, 100.0, 1e6, np.zeros(5)


@jit(_example)
def throttle_kernel(buckets: Floats, device_ns: float, pause_ns: float, until_ns: float, times: Floats) -> int:
    """Serves requests of somebody who always has one, until `until_ns` or `times` is full. Returns how many.

    `buckets` float64[2 * COLUMNS]: of requests and of bytes; `device_ns`: from one request to the next at the soonest.
    Output: `times` float64[any], when each was let through.
    """
    now = seen = 0.0
    served = 0
    while served < len(times) and now < until_ns:
        lacks = -1
        for b in range(2):
            at = b * COLUMNS
            if buckets[at + SIZE] == 0:
                continue
            need = buckets[at + EACH]
            if buckets[at + ONCE] >= need:  # what is there once goes first, and nothing is refilled meanwhile
                continue
            tokens = buckets[at + TOKENS] + (now - seen) * buckets[at + RATE]
            buckets[at + TOKENS] = min(buckets[at + SIZE], tokens)
            if buckets[at + ONCE] + buckets[at + TOKENS] + 1e-9 < need:
                lacks = b
        seen = now
        if lacks >= 0:  # blocked: only the timer tries again, until there are enough
            at = lacks * COLUMNS
            missing = (buckets[at + EACH] - buckets[at + ONCE] - buckets[at + TOKENS]) / buckets[at + RATE] + 1.0
            now += pause_ns * math.ceil(missing / pause_ns) if pause_ns > 1e-6 * missing else missing
            continue
        for b in range(2):
            at = b * COLUMNS
            if buckets[at + SIZE] > 0:
                once = min(buckets[at + ONCE], buckets[at + EACH])
                buckets[at + ONCE] -= once
                buckets[at + TOKENS] -= buckets[at + EACH] - once
        times[served] = now
        served += 1
        now += device_ns
    return served
