"""The steps of the scheduler's event loop, and the records that they work on: a thread's, and a pCPU's.

A record is a stretch of one array; `s + VRT` is a field of the thread whose record begins at `s`, `r + LOAD` one of a
pCPU. numba pastes each step into the loop (`Inlined`), so that it costs no call. All are whole numbers: times in ns,
virtual time in ns x PACE / weight, what is left of a burst in ns x SPEED.
"""

from __future__ import annotations

import math
from typing import Any

from virtlab.core.jit import Inlined

NEVER = 1 << 62
PACE = 1 << 16  # virtual time that a thread of weight 1 spends in a ns
SPEED = 1 << 16  # work done in a ns next to the memory
#: A histogram of times has a bucket for each ns below 128, and from there on 64 for each doubling.
BUCKETS = 64 * 40
#: Keeps an index as it is, and tells the compiler that it is not negative: no test for Python's a[-1].
INDEX = (1 << 40) - 1

#: A thread. Given: the pCPUs it may run on (from, below), those near its memory, the node of its memory, the virtual
#: time it spends in a ns, its weight, the work it does in a ns near its memory and far from it, and the first pCPU.
THREAD_BITS = 5
THREAD = 1 << THREAD_BITS
LOW, HIGH, NEAR_LOW, NEAR_HIGH, HOME, RATE, WEIGHT, NEAR_SPEED, FAR_SPEED, ON = range(10)
GIVEN = ON + 1
#: Virtual time, deadline, and how far behind its share it fell asleep; what is left of its slice, of filling cold
#: caches, of its burst; size and number of the burst; since when it is ready; since when awake, or asleep; whether it
#: has not run since.
VRT, DEADLINE, LAG, LEFT, COLD, REST, SIZE, TURN, READY, SINCE, FRESH = range(10, 21)
#: Results, in ns.
RUN, STEAL, IDLE, WORK, OVERHEAD, FAR, LONGEST = range(21, 28)

#: A pCPU. Given: its node, the first pCPU of the node and the end of it.
PCPU = 16
NODE, NODE_LOW, NODE_HIGH = range(3)
#: The thread that runs (-1: idle), up to when that is accounted for, and when it began; how many wait, and with the one
#: that runs; where the virtual time of a newcomer begins; whether the thread is far from its memory; its speed.
RUNNING, DATED, BEGUN, WAITING, LOAD, BASE, AWAY, PCPU_SPEED = range(3, 11)
#: Results, in ns.
VCPUS, EMULATORS, UNUSED = range(11, 14)


@Inlined
def set_time(tree: Any, leaf: Any, t: Any) -> None:
    """Source `leaf` is due at `t`; each node of the tree holds the earlier of its two."""
    k = leaf & INDEX
    tree[k] = t
    k >>= 1
    while k >= 1:
        a = tree[2 * k]
        b = tree[2 * k + 1]
        first = a if a <= b else b
        if tree[k] == first:
            break
        tree[k] = first
        k >>= 1


@Inlined
def count(waits: Any, kind: Any, ns: Any) -> None:
    """One more time in the histogram `kind`."""
    shift = 0
    if ns >= 128:
        shift = math.frexp(ns)[1] - 7
    waits[kind * BUCKETS + 64 * shift + (ns >> shift) & INDEX] += 1


@Inlined
def note(c: Any, s: Any, begin: Any, end: Any, setting: Any, trace: Any, counters: Any) -> None:
    """Keep an interval of pCPU `c` for the Gantt chart, if it reaches into the window and there is room."""
    if begin < end and end > setting[11] and begin < setting[12]:
        k = counters[4]
        if k < setting[13]:
            trace[4 * k] = c
            trace[4 * k + 1] = s >> THREAD_BITS
            trace[4 * k + 2] = begin
            trace[4 * k + 3] = end
        counters[4] = k + 1


@Inlined
def spend(s: Any, r: Any, t: Any, emulators: Any, threads: Any, pcpus: Any) -> None:
    """A thread ran on a pCPU until `t`. While its caches fill, and while the host switches, it does no work."""
    d = t - pcpus[r + DATED]
    pcpus[r + DATED] = t
    threads[s + RUN] += d
    if s < emulators:
        pcpus[r + VCPUS] += d
    else:
        pcpus[r + EMULATORS] += d
    if pcpus[r + AWAY] != 0:
        threads[s + FAR] += d
    threads[s + VRT] += d * threads[s + RATE]
    threads[s + LEFT] -= d
    x = threads[s + COLD]
    if x > 0:
        if x > d:
            x = d
        threads[s + COLD] -= x
        threads[s + OVERHEAD] += x
        d -= x
    threads[s + REST] -= d * pcpus[r + PCPU_SPEED]


@Inlined
def waited(s: Any, t: Any, threads: Any) -> Any:
    """A thread was ready until `t` and did not run. For how long."""
    x = t - threads[s + READY]
    threads[s + STEAL] += x
    if x > threads[s + LONGEST]:
        threads[s + LONGEST] = x
    return x


@Inlined
def move(s: Any, c: Any, b: Any, migration: Any, threads: Any, pcpus: Any) -> None:
    """A thread goes from pCPU `c` to `b`: as far ahead or behind there as it was here, and with cold caches."""
    threads[s + VRT] += pcpus[(b * PCPU & INDEX) + BASE] - pcpus[(c * PCPU & INDEX) + BASE]
    threads[s + COLD] += migration
    threads[s + ON] = b


@Inlined
def before(q: Any, v: Any, threads: Any) -> Any:
    """Whether a thread comes before another that is its equal: it waited longer, or has the lower number."""
    return threads[q + READY] < threads[v + READY] or (threads[q + READY] == threads[v + READY] and q < v)


@Inlined
def quietest(s: Any, c: Any, fewest: Any, threads: Any, pcpus: Any) -> Any:
    """The pCPU with the fewest threads, and below `fewest`, that a thread may use, near its memory first; else `c`."""
    b = c
    for j in range(threads[s + NEAR_LOW], threads[s + NEAR_HIGH]):
        x = pcpus[(j * PCPU & INDEX) + LOAD]
        if x < fewest:
            fewest = x
            b = j
            if x == 0:
                break
    if fewest > 0:
        for j in range(threads[s + LOW], threads[s + HIGH]):
            x = pcpus[(j * PCPU & INDEX) + LOAD]
            if x < fewest:
                fewest = x
                b = j
                if x == 0:
                    break
    return b


@Inlined
def mean_time(x: Any, weights: Any, queue: Any, first: Any, end: Any, threads: Any) -> Any:
    """Mean virtual time, by weight and rounded down, of those that wait and of one at `x` that weighs `weights`."""
    total = 0
    for k in range(first, end):
        q = queue[k] & INDEX
        total += threads[q + WEIGHT] * (threads[q + VRT] - x)
        weights += threads[q + WEIGHT]
    return x + total // weights


@Inlined
def weight_of(weights: Any, queue: Any, first: Any, end: Any, threads: Any) -> Any:
    """Weight of the waiting threads, and of one that weighs `weights`."""
    for k in range(first, end):
        weights += threads[(queue[k] & INDEX) + WEIGHT]
    return weights


@Inlined
def least_time(x: Any, queue: Any, first: Any, end: Any, threads: Any) -> Any:
    """The least virtual time of the waiting threads, and of one at `x`."""
    for k in range(first, end):
        q = queue[k] & INDEX
        if threads[q + VRT] < x:
            x = threads[q + VRT]
    return x


@Inlined
def pick_cfs(queue: Any, first: Any, end: Any, threads: Any) -> Any:
    """Where the thread of the least virtual time waits."""
    b = first
    v = queue[first] & INDEX
    for k in range(first + 1, end):
        q = queue[k] & INDEX
        x = threads[q + VRT] - threads[v + VRT]
        if x < 0 or (x == 0 and before(q, v, threads)):
            b = k
            v = q
    return b


@Inlined
def pick_eevdf(mean: Any, queue: Any, first: Any, end: Any, threads: Any) -> Any:
    """Where the thread of the earliest deadline waits, of those that have had no more than their share so far."""
    b = -1
    v = 0
    for k in range(first, end):
        q = queue[k] & INDEX
        if threads[q + VRT] <= mean:
            x = threads[q + DEADLINE] - threads[v + DEADLINE]
            if b < 0 or x < 0 or (x == 0 and before(q, v, threads)):
                b = k
                v = q
    return b


@Inlined
def longest_waiting(c: Any, n: Any, p: Any, threads: Any, pcpus: Any, queue: Any) -> Any:
    """Where the thread waits that waited longest, of those that may run on `c`, on the same node first; or -1."""
    b = -1
    v = 0
    j = pcpus[(c * PCPU & INDEX) + NODE_LOW]
    end = pcpus[(c * PCPU & INDEX) + NODE_HIGH]
    everywhere = end - j == p
    while True:
        if j == end:
            if everywhere or b >= 0:
                break
            everywhere = True
            j = 0
            end = p
        x = pcpus[(j * PCPU & INDEX) + WAITING]
        if x > 0:
            k = j * n & INDEX
            last = k + x
            while k < last:
                q = queue[k] & INDEX
                if threads[q + LOW] <= c and c < threads[q + HIGH]:
                    if b < 0 or before(q, v, threads):
                        b = k
                        v = q
                k += 1
        j += 1
    return b
