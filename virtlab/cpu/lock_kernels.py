"""The loop of the lock simulator: vCPUs on pCPUs, one lock a VM, and what each nanosecond went to.

Each VM has one vCPU on each pCPU; time is in whole ns. The next event is the smallest clock. One event changes two
pCPUs at most, which settle at the end of it; then the time of the vCPUs that it changed is booked.
"""

from __future__ import annotations  # noqa: I001  # a name a line would be fifty lines

from typing import Any

import numpy as np

from virtlab.core.jit import jit
from virtlab.cpu.lock_records import (
    ABSENT, ACT, ASLEEP, AT, BOOSTED, CONTENDED, CRITICAL, CURRENT, DRAWN, DUE, ELIGIBLE, END, EVENTS, EXIT, EXITS,
    FROM, HALTED, HALTING, HALTS, HANDED, HELD, IDLE, IDLE_SINCE, KICKED, KICKING, KICKS, LAST, LEFT, LENGTH, LINE,
    LOCK, LOOP, LOST, MARKED, NEVER, ON, OWNER, PENDING, PV, QUEUED, READIES, READY, REST, RUN, SINCE, SPIN, SPUN,
    STATE, STOLEN, STOP, TAKEN, TAS, THINK, TRIED, USED, WAITING, WAITS, WAKING, WINDOW, YIELDING, YIELDS, Ints, V,
    book, close, halts_with, heir, join, leave, mark, pull, put, records,
)  # fmt: skip

OPTIONS = ("kind", "pcpus", "share", "critical", "slice", "bound", "wakeup", "exit", "window", "grow", "shrink",
           "most", "gang", "events")  # fmt: skip


def _example() -> tuple[Any, ...]:
    rows, one = (np.zeros(50, np.int64) for _ in range(4)), np.ones(2, np.int64)
    return (np.array([PV, 2, 2, 5, 100, 50, 5, 1, 4, 2, 0, 64, 0, 50]), *records(2, 2, 2, 100, one, one, 1 - one), one,
            *rows)  # fmt: skip


@jit(_example)
def lock_kernel(
    o: Ints, v: Ints, c: Ints, k: Ints, n: Ints, think: Ints, waits: Ints, spins: Ints, extras: Ints, trace: Ints
) -> None:
    """Runs `o[events]` events. `o` are OPTIONS in their order; `v`, `c`, `k` and `n` what `records` makes.

    `think` int64[any]: times between two critical sections. Outputs: `waits`, `spins`, `extras` int64[events]: of each
    acquisition the wait and the CPU time spun in it, and by how much the time that the lock was held exceeded the
    critical section; `trace` int64[3 rows]: time, vCPU, state (+ 8: holds its lock), as many as fit; `n` the COUNTS.
    """
    kind, pcpus, share, critical, slice_ns, bound, wakeup = o[0], o[1], o[2], o[3], o[4], o[5], o[6]
    exit_ns, window, grow, shrink, most, gang, events = o[7], o[8], o[9], o[10], o[11], o[12], o[13]
    size, whole = RUN + share, pcpus * V
    released = waking = t = here = 0
    other = winner = -1
    touched = pcpus  # at first all of them
    while True:
        for q in range(touched):
            at = q * size if n[EVENTS] == 0 else here if q == 0 else other
            a = c[at + CURRENT]
            if a < 0:  # a free pCPU takes the next vCPU
                i = 0
                if gang:  # of the VM whose turn it is
                    while i < c[at + READIES] and c[at + RUN + i] // whole != t // slice_ns % share:
                        i += 1
                c[at + END] = (t // slice_ns + 1) * slice_ns if gang else NEVER
                if i < c[at + READIES]:
                    a = pull(c, at, i)
                    c[at + CURRENT] = a
                    c[at + IDLE] += t - c[at + IDLE_SINCE]
                    if not gang:
                        c[at + END] = t + v[a + LEFT]
                    v[a + ON] = t
                    v[a + LOOP] = v[a + ELIGIBLE] = 0
                    v[a + WINDOW] = max(window, v[a + WINDOW] // shrink) if shrink else window
                    if v[a + ACT] != SPIN:
                        v[a + DUE] = t + v[a + REST] if v[a + REST] < NEVER else NEVER
                        mark(v, n, a, min(v[a + ACT], EXIT))
            if a >= 0 and v[a + ACT] == SPIN and (v[a + STATE] != SPIN or a == winner):  # it looks at its lock
                lock = v[a + LOCK]
                head = k[lock + LINE] if k[lock + LENGTH] else -1
                outside = head < 0 or (kind == PV and not v[head + PENDING])  # may one that is not in line take it?
                if k[lock + OWNER] < 0 and (head == a or (outside and not v[a + QUEUED])):
                    if v[a + STATE] == SPIN:
                        v[a + SPUN] += t - v[a + SINCE]
                    if v[a + QUEUED]:
                        k[lock + LENGTH] -= 1
                        for j in range(k[lock + LENGTH]):
                            k[lock + LINE + j] = k[lock + LINE + j + 1]
                    elif head >= 0:
                        n[STOLEN] += 1
                    n[CONTENDED] += v[a + WAITS]
                    k[lock + WAITING] -= v[a + WAITS]
                    waits[n[TAKEN]] = t - v[a + FROM]
                    spins[n[TAKEN]] = v[a + SPUN]
                    n[TAKEN] += 1
                    v[a + QUEUED] = v[a + WAITS] = v[a + PENDING] = v[a + KICKED] = v[a + LOST] = 0
                    k[lock + OWNER] = k[lock + LAST] = a
                    v[a + HELD] = t
                    v[a + ACT] = CRITICAL
                    v[a + DUE] = t + critical
                    mark(v, n, a, CRITICAL)
                else:
                    k[lock + WAITING] += 1 - v[a + WAITS]
                    v[a + WAITS] = 1
                    if kind != TAS and not v[a + QUEUED] and (head < 0 or not outside):
                        join(v, k, a)
                    v[a + DUE] = t + v[a + WINDOW] if window else NEVER
                    if kind == PV and v[a + QUEUED]:
                        if halts_with(v, k, a):
                            v[a + TRIED] = bound
                        v[a + DUE] = min(v[a + DUE], t + max(0, bound - v[a + TRIED]))
                    mark(v, n, a, SPIN)
                if kind == PV:
                    close(v, k, lock, t, whole, bound)
        if n[EVENTS] >= events:
            for a in range(0, len(v), V):
                mark(v, n, a, v[a + STATE])
        for i in range(1, n[MARKED] + 1):
            book(v, k, n[MARKED + i], t, trace, n)
        n[MARKED] = 0
        if n[EVENTS] >= events:
            break
        # The next event: of a running vCPU, of a slice, of a vCPU that is being woken.
        n[EVENTS] += 1
        touched, other, winner, soon = 1, -1, -1, NEVER
        boosted = preempted = woken = -1
        for at in range(0, len(c), size):
            a, end = c[at + CURRENT], c[at + END]
            if a >= 0 and v[a + DUE] < end:
                end = v[a + DUE]
            if end < soon:
                soon, here = end, at
        if waking:
            for a in range(0, len(v), V):
                if v[a + ACT] == WAKING and v[a + DUE] < soon:
                    soon, woken = v[a + DUE], a
        t = soon
        a = c[here + CURRENT] if woken < 0 else woken
        act = v[a + ACT]
        lock = v[a + LOCK]
        if woken >= 0:
            waking -= 1
            boosted, here = a, v[a + AT]
            v[a + ACT], v[a + DUE], v[a + LEFT] = SPIN, NEVER, slice_ns
            v[a + TRIED] = v[a + KICKED] = 0
            b = c[here + CURRENT]
            if b >= 0:  # sleep earns a slice at most
                v[a + USED] = max(v[a + USED], v[b + USED] + t - v[b + ON] - slice_ns)
            mark(v, n, a, READY)
        elif a < 0 or v[a + DUE] > t:
            preempted = a
        elif act == THINK:
            v[a + ACT], v[a + FROM], v[a + DUE] = SPIN, t, NEVER
            v[a + SPUN] = v[a + TRIED] = 0
        elif act == CRITICAL or act == KICKING:
            v[a + ACT] = THINK
            v[a + DUE] = t + think[(a // V * 7919 + v[a + DRAWN]) % len(think)]
            v[a + DRAWN] += 1
            if act == CRITICAL:
                extras[released] = t - v[a + HELD] - critical
                released += 1
                k[lock + OWNER] = -1
                head = k[lock + LINE] if k[lock + LENGTH] else -1
                waited = k[lock + WAITING]
                if head >= 0 and v[head + STATE] == SPIN:
                    winner = head
                else:
                    if head < 0 or (kind == PV and not v[head + PENDING]):
                        winner = heir(v, k, lock, whole)
                    if waited and (winner < 0 or head >= 0):
                        n[ABSENT] += 1
                    if head >= 0 and (v[head + ACT] == HALTING or v[head + ACT] == ASLEEP) and not v[head + KICKED]:
                        n[KICKS] += 1
                        v[head + KICKED] = 1
                        if v[head + ACT] == ASLEEP:
                            v[head + ACT], v[head + DUE] = WAKING, t + exit_ns + wakeup
                            waking += 1
                        v[a + ACT], v[a + DUE] = KICKING, t + exit_ns
                if waited:
                    n[HANDED] += 1
                if winner >= 0:
                    touched, other = 2, v[winner + AT]
            mark(v, n, a, min(v[a + ACT], EXIT))
        elif act == SPIN:
            v[a + SPUN] += t - v[a + SINCE]
            v[a + TRIED] += t - v[a + SINCE]
            v[a + DUE] = t + exit_ns
            if kind == PV and v[a + QUEUED] and v[a + TRIED] >= bound:
                v[a + ACT], v[a + PENDING] = HALTING, 0
                for j in range(1, k[lock + LENGTH]):
                    b = k[lock + LINE + j]
                    if v[b + STATE] == SPIN and k[lock + LINE + j - 1] == a:
                        v[b + TRIED], v[b + DUE] = bound, t
            else:
                n[EXITS] += 1
                v[a + ACT] = YIELDING
                v[a + WINDOW] = min(most, v[a + WINDOW] * grow) if grow else window
            mark(v, n, a, EXIT)
        elif act == YIELDING:  # kvm_vcpu_on_spin: round the VM's vCPUs, to one that is preempted
            v[a + ACT], v[a + DUE] = SPIN, NEVER
            first = a // whole * whole
            for i in range(V, whole + V, V):
                b = first + (k[lock + BOOSTED] - first + i) % whole
                if boosted < 0 and b != a and v[b + STATE] == READY:
                    if not v[b + LOOP] or v[b + ELIGIBLE]:
                        boosted = b
                    if v[b + LOOP]:
                        v[b + ELIGIBLE] = 1 - v[b + ELIGIBLE]
            if boosted >= 0:
                n[YIELDS] += 1
                preempted = a
                touched, other = 2, v[boosted + AT]
                k[lock + BOOSTED] = boosted
                i = 0
                while c[other + RUN + i] != boosted:
                    i += 1
                pull(c, other, i)
        elif v[a + KICKED] or (k[lock + OWNER] < 0 and k[lock + LINE] == a):  # HALTING, and need not
            v[a + ACT], v[a + DUE] = SPIN, NEVER
            v[a + TRIED] = v[a + KICKED] = 0
        else:
            n[HALTS] += 1
            v[a + ACT], v[a + DUE] = ASLEEP, NEVER
            v[a + USED] += t - v[a + ON]
            c[here + CURRENT] = -1
            c[here + IDLE_SINCE] = t
            mark(v, n, a, HALTED)
        if preempted >= 0:
            leave(v, c, preempted, t, n)
            put(v, c, preempted, False)
            v[preempted + LEFT] = slice_ns
            v[preempted + LOOP] = 1 if boosted >= 0 else 0
        if boosted >= 0:  # in front, and at once unless it is a slice ahead of who runs there
            b = c[v[boosted + AT] + CURRENT]
            if b >= 0 and v[boosted + USED] - v[b + USED] - t + v[b + ON] <= slice_ns:
                leave(v, c, b, t, n)
                put(v, c, b, True)
            put(v, c, boosted, True)
    for at in range(0, len(c), size):
        c[at + IDLE] += t - c[at + IDLE_SINCE] if c[at + CURRENT] < 0 else 0
    n[STOP] = t
