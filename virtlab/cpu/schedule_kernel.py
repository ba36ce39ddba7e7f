"""The event loop of the scheduler: vCPU and emulator threads on pCPUs, in whole nanoseconds.

The calendar is a tournament tree over one pending time a source, a timer of each pCPU and a wake-up of each thread:
to set a time and to find the next one take log2 steps, and nothing is ever deleted. At equal times the lower number
comes first, so that a run depends on nothing but its arguments. Since all times are integers, what is spent adds up to
what there was, exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import jit
from virtlab.cpu.schedule_steps import (
    AWAY,
    BASE,
    BEGUN,
    BUCKETS,
    COLD,
    DATED,
    DEADLINE,
    FAR_SPEED,
    FRESH,
    HIGH,
    HOME,
    IDLE,
    INDEX,
    LAG,
    LEFT,
    LOAD,
    LOW,
    NEAR_HIGH,
    NEAR_SPEED,
    NEVER,
    NODE,
    NODE_HIGH,
    ON,
    PCPU,
    PCPU_SPEED,
    RATE,
    READY,
    REST,
    RUNNING,
    SINCE,
    SIZE,
    SPEED,
    THREAD,
    THREAD_BITS,
    TURN,
    UNUSED,
    VRT,
    WAITING,
    WEIGHT,
    WORK,
    count,
    least_time,
    longest_waiting,
    mean_time,
    move,
    note,
    pick_cfs,
    pick_eevdf,
    quietest,
    set_time,
    spend,
    waited,
    weight_of,
)  # fmt: skip

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
#: The numbers of `setting`, in this order. The last three: what to keep for a Gantt chart.
SETTING = (
    "pcpus", "vcpus", "threads", "bursts", "wall", "slice", "credit", "granularity", "eevdf", "switch", "migration",
    "trace_from", "trace_to", "trace_most",
)  # fmt: skip
COUNTERS = ("events", "switches", "migrations", "preemptions", "intervals")


def space_for(pcpus: int, threads: int) -> tuple[Ints, Ints]:
    """The arrays `tree` and `queue` that the kernel works in."""
    leaves = 1 << (pcpus + threads - 1).bit_length()
    return np.full(2 * leaves, NEVER, np.int64), np.zeros(pcpus * threads, np.int64)


def _example() -> tuple[Any, ...]:
    setting = np.array([1, 1, 1, 1, 10, 5, 0, 0, 0, 0, 0, 0, 0, 0], np.int64)
    thread, pcpu, units = np.zeros(THREAD, np.int64), np.zeros(PCPU, np.int64), np.ones(1)
    thread[[HIGH, NEAR_HIGH, RATE, WEIGHT]], thread[[NEAR_SPEED, FAR_SPEED]], pcpu[NODE_HIGH] = 1, SPEED, 1
    units.flags.writeable = False  # so are those of `schedule`
    outputs = [np.zeros(size, np.int64) for size in (4 * BUCKETS, 0, len(COUNTERS))]
    return setting, thread, pcpu, np.ones(2), units, units, *space_for(1, 1), *outputs


@jit(_example)
def schedule_kernel(
    setting: Ints, threads: Ints, pcpus: Ints, means: Floats, work_units: Floats, sleep_units: Floats, tree: Ints,
    queue: Ints, waits: Ints, trace: Ints, counters: Ints,
) -> None:  # fmt: skip
    """The loop behind `schedule`, which explains the policies and checks the arguments; this checks nothing.

    `threads` int64[n x THREAD] and `pcpus` int64[p x PCPU]: records, in which what is given stands and the results
    will; the rest is 0. `means` float64[2 n], ns: of the bursts (0: never wakes up), of the sleeps (below 0: never
    sleeps); they multiply `work_units` and `sleep_units` float64[n x bursts], used over and over. Outputs, 0 before:
    `waits` int64[4 x BUCKETS] (from wake-up to running: of vCPUs, of emulators; from wake-up to done: the same),
    `trace` int64[4 x trace_most] (pCPU, thread, begin, end), `counters`.
    """
    p, n, bursts, wall, slice_ns = setting[0], setting[2], setting[3], setting[4], setting[5]
    credit, granularity, eevdf, switch, migration = setting[6], setting[7], setting[8] != 0, setting[9], setting[10]
    emulators = setting[1] * THREAD  # records from here on
    tracing = setting[13] > 0
    leaves = len(tree) // 2
    wakes = leaves + p
    events = switches = migrations = preemptions = 0
    roaming = 0  # threads that wait and may run elsewhere too
    idle = p  # idle pCPUs
    for c in range(p):
        pcpus[c * PCPU + RUNNING] = -1
    for v in range(n):
        if means[n + v] < 0.0:
            set_time(tree, wakes + v, 0)
        elif means[v] > 0.0:
            set_time(tree, wakes + v, int(sleep_units[v * bursts] * means[n + v]))
    while True:
        t = tree[1]
        if t >= wall:
            break
        k = 1
        while k < leaves:
            k = 2 * k & INDEX
            if tree[k] != t:
                k += 1
        source = k - leaves
        events += 1
        back = -1  # who must leave its pCPU and is not done
        if source < p:  # a burst or a slice ends
            c = source
            r = c * PCPU & INDEX
            s = pcpus[r + RUNNING] & INDEX
            spend(s, r, t, emulators, threads, pcpus)
            if threads[s + REST] <= 0:
                threads[s + WORK] += threads[s + SIZE]
                count(waits, 2 if s < emulators else 3, t - threads[s + SINCE])
                threads[s + SINCE] = t
                k = threads[s + TURN] + 1
                if k == bursts:
                    k = 0
                threads[s + TURN] = k
                v = s >> THREAD_BITS
                set_time(tree, wakes + v, t + int(sleep_units[v * bursts + k & INDEX] * means[n + v & INDEX]))
                pcpus[r + LOAD] -= 1
                if pcpus[r + LOAD] == 0:
                    threads[s + LAG] = 0
                    if eevdf or pcpus[r + BASE] < threads[s + VRT]:
                        pcpus[r + BASE] = threads[s + VRT]
                elif eevdf:
                    x = threads[s + VRT]
                    k = c * n & INDEX
                    x = mean_time(x, threads[s + WEIGHT], queue, k, k + pcpus[r + WAITING], threads) - x
                    k = 2 * slice_ns * threads[s + RATE]
                    threads[s + LAG] = x if x < k else k
            else:
                threads[s + LEFT] = slice_ns
                threads[s + DEADLINE] = threads[s + VRT] + slice_ns * threads[s + RATE]
                if pcpus[r + WAITING] == 0:  # nobody wants its place
                    x = threads[s + COLD] + (threads[s + REST] + pcpus[r + PCPU_SPEED] - 1) // pcpus[r + PCPU_SPEED]
                    set_time(tree, leaves + c, t + (x if x < slice_ns else slice_ns))
                    continue
                back = s
        else:  # a thread wakes up
            v = source - p & INDEX
            s = v * THREAD & INDEX
            set_time(tree, leaves + source, NEVER)
            threads[s + IDLE] += t - threads[s + SINCE]
            x = wall + 1
            if means[n + v & INDEX] >= 0.0:
                x = int(work_units[v * bursts + threads[s + TURN] & INDEX] * means[v])
                if x < 1:
                    x = 1
            threads[s + SIZE] = x
            threads[s + REST] = x * SPEED
            threads[s + READY] = t
            threads[s + SINCE] = t
            threads[s + FRESH] = 1
            roams = threads[s + LOW] + 1 < threads[s + HIGH]
            c = threads[s + ON]
            r = c * PCPU & INDEX
            if roams and pcpus[r + LOAD] > 0:
                b = quietest(s, c, pcpus[r + LOAD], threads, pcpus)
                if b != c:
                    move(s, c, b, migration, threads, pcpus)
                    migrations += 1
                    c = b
                    r = c * PCPU & INDEX
            first = c * n & INDEX
            end = first + pcpus[r + WAITING]
            u = pcpus[r + RUNNING]
            x = pcpus[r + BASE]
            if u >= 0:
                spend(u, r, t, emulators, threads, pcpus)
                if eevdf:
                    x = mean_time(threads[u + VRT], threads[u + WEIGHT], queue, first, end, threads)
                    pcpus[r + BASE] = x
                    if threads[s + LAG] > 0:  # as far behind the mean as it was, once it is part of it
                        k = weight_of(threads[u + WEIGHT], queue, first, end, threads)
                        x -= threads[s + LAG] * (k + threads[s + WEIGHT]) // k
                        threads[s + VRT] = x
                else:
                    x = least_time(threads[u + VRT], queue, first, end, threads)
                    if x < pcpus[r + BASE]:
                        x = pcpus[r + BASE]
                    pcpus[r + BASE] = x
            if not eevdf:
                x -= credit
            if threads[s + VRT] < x:
                threads[s + VRT] = x
            threads[s + LEFT] = slice_ns
            threads[s + DEADLINE] = threads[s + VRT] + slice_ns * threads[s + RATE]
            queue[end] = s
            pcpus[r + WAITING] += 1
            pcpus[r + LOAD] += 1
            if roams:
                roaming += 1
            if u >= 0:
                if eevdf:
                    x = mean_time(threads[u + VRT], threads[u + WEIGHT], queue, first, end + 1, threads)
                    if threads[u + VRT] <= x or queue[pick_eevdf(x, queue, first, end + 1, threads)] != s:
                        continue
                elif threads[u + VRT] - threads[s + VRT] <= granularity * threads[s + RATE]:
                    continue
                preemptions += 1
                back = u

        if pcpus[r + RUNNING] >= 0:
            if tracing:
                note(c, pcpus[r + RUNNING], pcpus[r + BEGUN], t, setting, trace, counters)
            pcpus[r + RUNNING] = -1
        else:
            idle -= 1
            pcpus[r + UNUSED] += t - pcpus[r + DATED]
        other = -1  # an idle pCPU that gets the thread
        if back >= 0:
            s = back & INDEX
            b = c
            roams = threads[s + LOW] + 1 < threads[s + HIGH]
            if roams:
                roaming += 1
                if idle > 0:
                    b = quietest(s, c, 1, threads, pcpus)
            r = b * PCPU & INDEX
            queue[b * n + pcpus[r + WAITING] & INDEX] = s
            pcpus[r + WAITING] += 1
            threads[s + READY] = t
            if b != c:
                move(s, c, b, migration, threads, pcpus)
                migrations += 1
                pcpus[(c * PCPU & INDEX) + LOAD] -= 1
                pcpus[r + LOAD] += 1
                pcpus[r + UNUSED] += t - pcpus[r + DATED]
                idle -= 1
                other = b
                back = -1
        while c >= 0:  # choose who runs next
            r = c * PCPU & INDEX
            first = c * n & INDEX
            if pcpus[r + WAITING] == 0 and roaming > 0:  # take over from another queue
                b = longest_waiting(c, n, p, threads, pcpus, queue)
                if b >= 0:
                    s = queue[b] & INDEX
                    j = threads[s + ON]
                    k = j * PCPU & INDEX
                    pcpus[k + WAITING] -= 1
                    pcpus[k + LOAD] -= 1
                    queue[b] = queue[j * n + pcpus[k + WAITING] & INDEX]
                    queue[first] = s
                    pcpus[r + WAITING] = 1
                    pcpus[r + LOAD] = 1
                    move(s, j, c, migration, threads, pcpus)
                    migrations += 1
            pcpus[r + DATED] = t
            if pcpus[r + WAITING] == 0:
                set_time(tree, leaves + c, NEVER)
                idle += 1
            else:
                end = first + pcpus[r + WAITING]
                if eevdf:
                    x = mean_time(threads[queue[first] + VRT], 0, queue, first, end, threads)
                    b = pick_eevdf(x, queue, first, end, threads)
                    s = queue[b] & INDEX
                else:
                    b = pick_cfs(queue, first, end, threads)
                    s = queue[b] & INDEX
                    x = threads[s + VRT]
                    if x < pcpus[r + BASE]:
                        x = pcpus[r + BASE]
                    threads[s + LEFT] = slice_ns
                pcpus[r + BASE] = x
                pcpus[r + WAITING] -= 1
                queue[b] = queue[end - 1]
                if threads[s + LOW] + 1 < threads[s + HIGH]:
                    roaming -= 1
                x = waited(s, t, threads)
                if threads[s + FRESH] != 0:
                    threads[s + FRESH] = 0
                    count(waits, 0 if s < emulators else 1, x)
                if s != back:
                    threads[s + COLD] += switch
                    switches += 1
                pcpus[r + RUNNING] = s
                pcpus[r + BEGUN] = t
                if pcpus[r + NODE] == threads[s + HOME]:
                    pcpus[r + AWAY] = 0
                    k = threads[s + NEAR_SPEED]
                else:
                    pcpus[r + AWAY] = 1
                    k = threads[s + FAR_SPEED]
                pcpus[r + PCPU_SPEED] = k
                x = threads[s + COLD] + (threads[s + REST] + k - 1) // k
                if x > threads[s + LEFT]:
                    x = threads[s + LEFT]
                set_time(tree, leaves + c, t + x)
            c = other
            other = -1

    # The end: what runs, waits and sleeps has done so until now.
    for c in range(p):
        r = c * PCPU
        s = pcpus[r + RUNNING]
        if s < 0:
            pcpus[r + UNUSED] += wall - pcpus[r + DATED]
        else:
            spend(s, r, wall, emulators, threads, pcpus)
            note(c, s, pcpus[r + BEGUN], wall, setting, trace, counters)
            threads[s + READY] = wall
        for k in range(c * n, c * n + pcpus[r + WAITING]):
            waited(queue[k], wall, threads)
            threads[queue[k] + READY] = wall
    for v in range(n):
        s = v * THREAD
        if threads[s + READY] != wall:
            threads[s + IDLE] += wall - threads[s + SINCE]
        else:
            x = threads[s + REST]
            if x < 0:  # far from the memory a burst may end within its last ns
                x = 0
            threads[s + WORK] += (threads[s + SIZE] * SPEED - x) // SPEED
    counters[0] = events
    counters[1] = switches
    counters[2] = migrations
    counters[3] = preemptions
