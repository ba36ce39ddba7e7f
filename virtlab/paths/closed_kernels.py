"""A closed network as an event loop: customers go round stations in series, first come first served."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import Inlined, jit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _example() -> tuple[Any, ...]:
    one = np.zeros(1, np.int64)
    return (1, one, np.ones(1), np.ones((1, 1)), one.copy(), np.zeros(1), one.copy(), one.copy(), one.copy(),
            one.copy(), one.copy(), np.zeros(1), np.zeros(1), np.zeros(1))  # fmt: skip


@Inlined
def push(heap: Ints, size: int, ends: Floats, c: int) -> None:
    """Customer ``c`` joins those whose service ends some time: ``heap[:size]``, the earliest end first."""
    i = size
    while i > 0:
        up = (i - 1) // 2
        other = heap[up]
        if ends[other] < ends[c] or (ends[other] == ends[c] and other < c):
            break
        heap[i] = other
        i = up
    heap[i] = c


@Inlined
def sink(heap: Ints, size: int, ends: Floats, c: int) -> None:
    """Customer ``c`` takes the first place of ``heap[:size]``, which is free, and sinks to where it belongs."""
    i = 0
    while 2 * i + 1 < size:
        low = 2 * i + 1
        if low + 1 < size:
            a, b = heap[low], heap[low + 1]
            if ends[b] < ends[a] or (ends[b] == ends[a] and b < a):
                low += 1
        other = heap[low]
        if ends[c] < ends[other] or (ends[c] == ends[other] and c < other):
            break
        heap[i] = other
        i = low
    heap[i] = c


@jit(_example)
def closed_kernel(
    customers: int,
    servers: Ints,
    means: Floats,
    factors: Floats,
    where: Ints,
    ends: Floats,
    queue_next: Ints,
    heap: Ints,
    head: Ints,
    tail: Ints,
    free: Ints,
    begun: Floats,
    latency: Floats,
    finished: Floats,
) -> None:
    """Runs until len(latency) rounds are over. Checks nothing.

    `servers` int64[k] (at once; as many as customers where requests only take time) and `means` float64[k] in ns;
    `factors` float64[m, k] multiply them, one row after the other. Work space, int64: `where[customers]`,
    `queue_next[customers]`, `heap[customers]`, `head[k]`, `tail[k]`, `free[k]`; float64: `ends[customers]`,
    `begun[customers]`. Out: `latency` and `finished`, float64[rounds] in ns,
    in the order in which rounds end.
    """
    stations = len(servers)
    rounds = len(latency)
    rows = factors.shape[0]
    for k in range(stations):
        head[k] = tail[k] = -1
        free[k] = servers[k]
    row = size = 0
    for c in range(customers):
        where[c] = 0
        begun[c] = 0.0
        queue_next[c] = -1
        if free[0] > 0:
            free[0] -= 1
            ends[c] = means[0] * factors[row, 0]
            push(heap, size, ends, c)
            size += 1
        else:
            if tail[0] < 0:
                head[0] = c
            else:
                queue_next[tail[0]] = c
            tail[0] = c
        row = row + 1 if row + 1 < rows else 0
    done = 0
    now = 0.0
    while done < rounds:
        first = heap[0]
        now = ends[first]
        vacant = True  # the first place of the heap: whoever begins a service next takes it
        k = where[first]
        # Whoever waits at this station takes the server over.
        if head[k] >= 0:
            c = head[k]
            head[k] = queue_next[c]
            if head[k] < 0:
                tail[k] = -1
            queue_next[c] = -1
            ends[c] = now + means[k] * factors[row, k]
            row = row + 1 if row + 1 < rows else 0
            sink(heap, size, ends, c)
            vacant = False
        else:
            free[k] += 1
        k += 1
        if k == stations:
            latency[done] = now - begun[first]
            finished[done] = now
            begun[first] = now
            done += 1
            k = 0
        where[first] = k
        if free[k] > 0:
            free[k] -= 1
            ends[first] = now + means[k] * factors[row, k]
            row = row + 1 if row + 1 < rows else 0
            if vacant:
                sink(heap, size, ends, first)
            else:
                push(heap, size, ends, first)
                size += 1
        else:
            queue_next[first] = -1
            if tail[k] < 0:
                head[k] = first
            else:
                queue_next[tail[k]] = first
            tail[k] = first
            if vacant:
                size -= 1
                if size:
                    sink(heap, size, ends, heap[size])
