"""The loop of a link that virtual functions share: whose frame goes next, frame by frame.

Time is counted in bytes of the link: one byte is one tick, so that a run is the same at any rate. A function's frames
come at random times, may pass a token bucket, and wait in a queue of their own until the scheduler takes the first one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import Inlined, jit

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FIFO, RR, DRR, SFQ = range(4)
#: Finish tags of weights 1 to 16 are whole numbers in this scale (the least common multiple).
SCALE = 720_720
#: Of each function: when its head came, from when on it may go, unused quantum, finish and start tag, tagged, frames.
ARRIVED, READY, DEFICIT, FINISH, START, TAGGED, STEP, FIELDS = range(8)


def _example() -> tuple[Any, ...]:
    two, f = np.ones(2, np.int64), np.array([1.0, 2.0])
    return (DRR, 5, 1, 100, 100.0, 50 * two, two, f, f, f, f.copy(), -f, np.zeros(2 * FIELDS, np.int64), 0 * two,
            *(np.zeros(5, np.int64) for _ in range(3)))  # fmt: skip


@Inlined
def come(i: int, n: int, depth: float, wire: Ints, gap: Floats, rate: Floats, pool: Floats, clock: Floats,
         spent: Floats, k: Ints) -> None:  # fmt: skip
    """The next frame of function `i` becomes the head of its queue."""
    at = i * FIELDS
    clock[i] += gap[i] * pool[(k[at + STEP] + i * len(pool) // n) % len(pool)]
    k[at + STEP] += 1
    free = clock[i]
    if rate[i] > 0:  # a bucket: `spent` is when it would last have been empty
        free = max(free, spent[i] + wire[i] / rate[i])
        spent[i] = max(spent[i], free - depth / rate[i]) + wire[i] / rate[i]
    k[at + ARRIVED] = math.ceil(clock[i])
    k[at + READY] = max(k[at + READY], math.ceil(free))
    k[at + TAGGED] = 0


@jit(_example)
def slice_kernel(
    kind: int, most: int, least: int, quantum: int, depth: float, wire: Ints, weight: Ints, gap: Floats,
    rate: Floats, pool: Floats, clock: Floats, spent: Floats, k: Ints, sent: Ints, who: Ints, ends: Ints, waits: Ints,
) -> tuple[int, int]:  # fmt: skip
    """Sends frames until `least` of the first function have gone and half of `most`, or `most` in all.

    `wire` int64[n]: bytes of a frame on the link; `weight` int64[n]: 1 to 16; `gap` float64[n]: mean bytes of time
    between two frames (0: always one there); `rate` float64[n]: bytes a tick of its bucket (0: none), `depth` its
    bytes; `pool` float64[any]: exponential numbers of mean 1. State: `clock`, `spent` float64[n], `k`
    int64[n * FIELDS]. Outputs: `sent` int64[n] bytes; `who` and `ends` int64[most]: each frame's function and its last
    tick; `waits` int64[most]: of each frame of function 0 from its coming to its end. Returns frames in all, of 0.
    """
    n, total, first, now, turn, fresh, virtual, last = len(wire), 0, 0, 0, 0, 1, 0, 0
    for j in range(n):
        come(j, n, depth, wire, gap, rate, pool, clock, spent, k)
    while total < most and (first < least or 2 * total < most):
        i = soon = -1
        if kind == FIFO or kind == SFQ:
            for j in range(n):
                at = j * FIELDS
                if soon < 0 or k[at + READY] < k[soon * FIELDS + READY]:
                    soon = j
                if kind == SFQ and k[at + READY] <= now:
                    if not k[at + TAGGED]:
                        k[at + TAGGED] = 1
                        k[at + START] = max(virtual, k[at + FINISH])
                    if i < 0 or k[at + START] < k[i * FIELDS + START]:
                        i = j
            if kind == FIFO and k[soon * FIELDS + READY] <= now:
                i = soon
        else:
            for j in range(n):
                q = (turn + j) % n
                if k[q * FIELDS + READY] <= now:
                    i = q
                    break
                if soon < 0 or k[q * FIELDS + READY] < k[soon * FIELDS + READY]:
                    soon = q
        if i < 0:  # nobody has a frame: the link is idle until the next one comes
            now = k[soon * FIELDS + READY]
            virtual = last
            continue
        at = i * FIELDS
        if kind == DRR:
            fresh = 1 if i != turn else fresh
            turn = i
            k[at + DEFICIT] += fresh * quantum * weight[i]
            fresh = 0
            if k[at + DEFICIT] < wire[i]:
                turn, fresh = (i + 1) % n, 1
                continue
            k[at + DEFICIT] -= wire[i]
        elif kind == RR:
            turn = (i + 1) % n
        elif kind == SFQ:
            virtual = k[at + START]
            k[at + FINISH] = virtual + wire[i] * (SCALE // weight[i])
            last = max(last, k[at + FINISH])
        now += wire[i]
        sent[i] += wire[i]
        who[total], ends[total] = i, now
        if i == 0:
            waits[first] = now - k[at + ARRIVED]
            first += 1
        total += 1
        come(i, n, depth, wire, gap, rate, pool, clock, spent, k)
        if kind == DRR and k[at + READY] > now:  # its queue is empty: what is left of its quantum is lost
            k[at + DEFICIT] = 0
            turn, fresh = (i + 1) % n, 1
    return total, first
