"""A closed network as an event loop: customers go round stations in series, first come first served."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import jit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _example() -> tuple[Any, ...]:
    one = np.zeros(1, np.int64)
    return (1, one, np.ones(1), np.ones((1, 1)), one.copy(), np.zeros(1), one.copy(), one.copy(), one.copy(),
            one.copy(), np.zeros(1), np.zeros(1), np.zeros(1))  # fmt: skip


@jit(_example)
def closed_kernel(
    customers: int,
    servers: Ints,
    means: Floats,
    factors: Floats,
    where: Ints,
    ends: Floats,
    queue_next: Ints,
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
    `queue_next[customers]`, `head[k]`, `tail[k]`, `free[k]`; float64: `ends[customers]` (-1 while it waits),
    `begun[customers]`. Out: `latency` and `finished`, float64[rounds] in ns,
    in the order in which rounds end.
    """
    stations = len(servers)
    rounds = len(latency)
    rows = factors.shape[0]
    for k in range(stations):
        head[k] = tail[k] = -1
        free[k] = servers[k]
    row = 0
    for c in range(customers):
        where[c] = 0
        begun[c] = 0.0
        queue_next[c] = -1
        if free[0] > 0:
            free[0] -= 1
            ends[c] = means[0] * factors[row % rows, 0]
        else:
            ends[c] = -1.0
            if tail[0] < 0:
                head[0] = c
            else:
                queue_next[tail[0]] = c
            tail[0] = c
        row += 1
    done = 0
    now = 0.0
    while done < rounds:
        first = -1
        for c in range(customers):
            if ends[c] >= 0.0 and (first < 0 or ends[c] < ends[first]):
                first = c
        now = ends[first]
        k = where[first]
        # Whoever waits at this station takes the server over.
        if head[k] >= 0:
            c = head[k]
            head[k] = queue_next[c]
            if head[k] < 0:
                tail[k] = -1
            queue_next[c] = -1
            ends[c] = now + means[k] * factors[row % rows, k]
            row += 1
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
            ends[first] = now + means[k] * factors[row % rows, k]
            row += 1
        else:
            ends[first] = -1.0
            queue_next[first] = -1
            if tail[k] < 0:
                head[k] = first
            else:
                queue_next[tail[k]] = first
            tail[k] = first
