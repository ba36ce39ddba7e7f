"""The records of the lock simulator, and the small steps that its loop is made of.

A record is a stretch of one flat array of int64: vCPU `a` has its fields at `v[a + FIELD]`, pCPU `p` at `c[p + FIELD]`
with its run queue behind them, the lock of a VM at `k[l + FIELD]` with its line of waiters behind them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import Inlined

Ints = NDArray[np.int64]
NEVER = 2**62
TAS, TICKET, PV = range(3)
#: What a vCPU's time goes to.
STATES = ("think", "critical", "spin", "exit", "ready", "halted")
THINK, CRITICAL, SPIN, EXIT, READY, HALTED = range(6)
#: What a vCPU does, or goes on with: the first three as above, three kinds of exit, and two that need no pCPU.
YIELDING, HALTING, KICKING, ASLEEP, WAKING = range(3, 8)
# Fields of a vCPU. Activity: which, its end, what is left of it when off the pCPU; state, and that booked, since when.
# Turn: what is left of the slice, on the pCPU since, CPU time used before. Window of PLE. Wait: since, CPU time spun in
# it and in this try, in line, counted as waiting, kicked, pending bit set. Lock held since, and preempted meanwhile.
# Off the pCPU by a PLE exit, eligible all the same. Thinks so far. Its pCPU, its lock; the time spent by state.
(ACT, DUE, REST, STATE, BOOKED, SINCE, LEFT, ON, USED, WINDOW, FROM, SPUN, TRIED, QUEUED, WAITS, KICKED, PENDING, HELD,
 LOST, LOOP, ELIGIBLE, DRAWN, AT, LOCK, SPENT) = range(25)  # fmt: skip
V = SPENT + len(STATES)
#: Fields of a pCPU, before its run queue.
CURRENT, END, READIES, IDLE, IDLE_SINCE, RUN = range(6)
# Fields of a lock, before its line. Spin time stands by what was waited for: a running holder, one that is off its
# pCPU, or nobody, because the lock is free and the one whose turn it is does not look.
OWNER, LAST, LENGTH, WAITING, SPINNING, MODE, CLOCK, BOOSTED, AREA, LINE = 0, 1, 2, 3, 4, 5, 6, 7, 8, 11
COUNTS = ("acquisitions", "contended", "preempted_holders", "handovers", "absent_waiters", "ple_exits", "yields",
          "halts", "kicks", "stolen", "events", "end", "rows")  # fmt: skip
(TAKEN, CONTENDED, CUT, HANDED, ABSENT, EXITS, YIELDS, HALTS, KICKS, STOLEN, EVENTS, STOP, ROWS) = range(len(COUNTS))
#: Behind the counts: how many vCPUs one event has marked, and which.
MARKED = len(COUNTS)


def records(
    pcpus: int, share: int, locking: int, slice_ns: int, think: Ints, first: Ints, turn: Ints
) -> tuple[Ints, ...]:
    """The records at time 0: int64 arrays of vCPUs, pCPUs, locks, and counts.

    The first `locking` of the `share` VMs have a lock, the others are busy for ever. `first` int64[pcpus] is what is
    left of the slice under way, `turn` int64[pcpus] the VM that has it.
    """
    v, c, k, n = (np.zeros(size, np.int64) for size in (
        pcpus * share * V, pcpus * (RUN + share), share * (LINE + pcpus), MARKED + 1 + pcpus * share + 8))  # fmt: skip
    for lock in range(0, len(k), LINE + pcpus):
        k[lock + OWNER], k[lock + MODE] = -1, 2
        k[lock + LAST] = k[lock + BOOSTED] = lock // (LINE + pcpus) * pcpus * V
    for x in range(pcpus * share):
        a, vm, p = x * V, x // pcpus, x % pcpus
        v[a + AT], v[a + LOCK] = p * (RUN + share), vm * (LINE + pcpus) if vm < locking else -1
        v[a + STATE] = v[a + BOOKED] = READY
        v[a + DUE], v[a + LEFT] = NEVER, slice_ns
        v[a + REST] = think[x % len(think)] if vm < locking else NEVER
    for p in range(pcpus):
        at = p * (RUN + share)
        c[at + CURRENT], c[at + END], c[at + READIES] = -1, NEVER, share
        c[at + RUN : at + RUN + share] = [((turn[p] + i) % share * pcpus + p) * V for i in range(share)]
        v[c[at + RUN] + LEFT] = first[p]
    return v, c, k, n


@Inlined
def mark(v: Any, n: Any, a: Any, state: Any) -> None:
    """vCPU `a` is in `state` from now on; `book` books the time before."""
    v[a + STATE] = state
    n[MARKED] += 1
    n[MARKED + n[MARKED]] = a


@Inlined
def book(v: Any, k: Any, a: Any, t: Any, trace: Any, n: Any) -> None:
    """Books the time of vCPU `a` until `t`, and the spin time on its lock; a row of the trace if its state changed."""
    before, state, lock = v[a + BOOKED], v[a + STATE], v[a + LOCK]
    v[a + SPENT + before] += t - v[a + SINCE]
    v[a + SINCE] = t
    v[a + BOOKED] = state
    holds = 0
    if lock >= 0:
        k[lock + AREA + k[lock + MODE]] += k[lock + SPINNING] * (t - k[lock + CLOCK])
        k[lock + CLOCK] = t
        k[lock + SPINNING] += (1 if state == SPIN else 0) - (1 if before == SPIN else 0)
        if k[lock + OWNER] == a:
            holds = 8
            k[lock + MODE] = 0 if state == CRITICAL else 1
            if state == READY and not v[a + LOST]:
                v[a + LOST] = 1
                n[CUT] += 1
        elif k[lock + OWNER] < 0:
            k[lock + MODE] = 2
    row = 3 * n[ROWS]
    if row + 3 <= len(trace) and state != before:
        trace[row] = t
        trace[row + 1] = a // V
        trace[row + 2] = state + holds
        n[ROWS] += 1


@Inlined
def leave(v: Any, c: Any, a: Any, t: Any, n: Any) -> None:
    """Takes the running vCPU `a` off its pCPU: it is ready, and in no queue yet."""
    p = v[a + AT]
    if v[a + STATE] == SPIN:
        v[a + SPUN] += t - v[a + SINCE]
        v[a + TRIED] += t - v[a + SINCE]
    elif v[a + ACT] != SPIN:
        v[a + REST] = v[a + DUE] - t if v[a + DUE] < NEVER else NEVER
    v[a + DUE] = NEVER
    v[a + USED] += t - v[a + ON]
    v[a + LEFT] = c[p + END] - t
    c[p + CURRENT] = -1
    c[p + IDLE_SINCE] = t
    mark(v, n, a, READY)


@Inlined
def put(v: Any, c: Any, a: Any, first: Any) -> None:
    """Into its run queue, as the first or the last."""
    p = v[a + AT]
    i = c[p + READIES]
    c[p + READIES] = i + 1
    while first and i > 0:
        c[p + RUN + i] = c[p + RUN + i - 1]
        i -= 1
    c[p + RUN + i] = a


@Inlined
def pull(c: Any, p: Any, i: Any) -> Any:
    """The vCPU at place `i` of the run queue of pCPU `p`, out of the queue."""
    a = c[p + RUN + i]
    c[p + READIES] -= 1
    for j in range(i, c[p + READIES]):
        c[p + RUN + j] = c[p + RUN + j + 1]
    return a


@Inlined
def join(v: Any, k: Any, a: Any) -> None:
    """To the end of the lock's line."""
    lock = v[a + LOCK]
    k[lock + LINE + k[lock + LENGTH]] = a
    k[lock + LENGTH] += 1
    v[a + QUEUED] = 1


@Inlined
def close(v: Any, k: Any, lock: Any, t: Any, whole: Any, bound: Any) -> None:
    """A head of the line that spins sets the pending bit: those who spin outside the line join it."""
    head = k[lock + LINE]
    if k[lock + LENGTH] and v[head + STATE] == SPIN and not v[head + PENDING]:
        v[head + PENDING] = 1
        first = head // whole * whole
        for b in range(first, first + whole, V):
            if v[b + STATE] == SPIN and not v[b + QUEUED]:
                join(v, k, b)
                v[b + TRIED] = v[b + SINCE] - t if v[b + BOOKED] == SPIN else 0  # its try begins now
                v[b + DUE] = min(v[b + DUE], t + bound)


@Inlined
def heir(v: Any, k: Any, lock: Any, whole: Any) -> Any:
    """Who finds the lock free while it spins outside the line: the next such vCPU after the last owner; or -1."""
    last = k[lock + LAST]
    first, found = last // whole * whole, -1
    for i in range(V, whole + V, V):
        b = first + (last - first + i) % whole
        if found < 0 and v[b + STATE] == SPIN and not v[b + QUEUED]:
            found = b
    return found


@Inlined
def halts_with(v: Any, k: Any, a: Any) -> Any:
    """Whether the one before `a` in line halts: then so does `a`, for it will not be served before."""
    lock, found = v[a + LOCK], False
    for j in range(1, k[lock + LENGTH]):
        if k[lock + LINE + j] == a:
            found = v[k[lock + LINE + j - 1] + ACT] >= HALTING
    return found
