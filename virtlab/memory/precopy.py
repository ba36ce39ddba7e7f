"""The loop of a pre-copy migration over its rounds, and the size below which what is left to send never falls."""

from __future__ import annotations

from math import exp, expm1
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import jit

Floats = NDArray[np.float64]
_SAME = 1 - 1e-9  # a round that leaves this share of what it sent changes nothing any more


def _example() -> tuple[Any, ...]:
    one = np.zeros(1)
    return 2e9, 1e9, 1e9, 2e9, 1e8, False, False, True, 0.5, 20.0, 10.0, 99.0, 2.0, 1.0, 1, one, one.copy(), one.copy()


@jit(_example)
def precopy_kernel(
    memory: float, hot: float, dirty: float, bandwidth: float, room: float, random_writes: bool, pinned: bool,
    converge: bool, trigger: float, initial: float, increment: float, most: float, periods: float, period_s: float,
    max_rounds: int, sent: Floats, dirtied: Floats, throttled: Floats,
) -> tuple[int, float, float, float]:  # fmt: skip
    """Rounds until what is left fits into ``room`` bytes, nothing changes any more, or ``max_rounds`` are over.

    Bytes, bytes/s and s; ``trigger`` is a share, the three throttles are whole per cent as in QEMU. A round sends
    ``left`` bytes, in which time the guest dirties some of its ``hot`` ones (``pinned``: all of the memory is dirty
    again whoever wrote it). ``sent``, ``dirtied`` and ``throttled`` (a share) float64[max_rounds] are filled, or have
    length 0. Returns rounds, bytes left, bytes sent in the rounds, and the throttle at the end in per cent.
    """
    left = memory
    total = 0.0
    throttle = 0.0
    high = 0.0
    dirty_period = 0.0
    sent_period = 0.0
    n = 0
    while n < max_rounds and left > room:
        seconds = left / bandwidth
        written = dirty * (1.0 - throttle / 100.0) * seconds
        if pinned:
            new = memory
        elif random_writes:
            new = -hot * expm1(-written / hot)
        else:
            new = min(hot, written)
        if len(sent):
            sent[n] = left
            dirtied[n] = new
            throttled[n] = throttle / 100.0
        n += 1
        total += left
        if new < 1.0 or (new >= left * _SAME and not (converge and throttle < most)):
            left = new
            break
        dirty_period += new
        sent_period += left
        left = new
        if converge and left > room and sent_period > period_s * bandwidth:
            if dirty_period > trigger * sent_period:
                high += 1.0
                if high >= periods:
                    high = 0.0
                    throttle = initial if throttle == 0.0 else min(throttle + increment, most)
            dirty_period = 0.0
            sent_period = 0.0
    return n, left, total, throttle


def dirty_share(ratio: float) -> float:
    """The share of a working set that random writes keep dirty when each round takes as long as the last one sends.

    ``ratio`` is dirty rate over bandwidth: the largest x with x = 1 - e^(-ratio x), which is 0 up to a ratio of 1.
    """
    if ratio <= 1:
        return 0.0
    x = 1.0
    for _ in range(60):  # Newton from the right of the root of a convex function: falls to it and never beyond
        slope = 1 - ratio * exp(-ratio * x)
        step = (x - 1 + exp(-ratio * x)) / slope if slope > 0 else 0.0
        x -= step
        if step < 1e-15:
            break
    return max(x, 0.0)


def floor_bytes(memory: float, hot: float, ratio: float, random_writes: bool, pinned: bool) -> float:
    """What is left to send after any number of rounds, in bytes; ``ratio`` is dirty rate over bandwidth."""
    if pinned:
        return memory
    return hot * dirty_share(ratio) if random_writes else hot * (ratio >= 1)
