"""The loop of the moderation simulator: one receive queue, its device, a guest that may poll; whole ns."""

from __future__ import annotations

from typing import Any

import numpy as np

from virtlab.core.jit import jit
from virtlab.offload.dim import EVENTS, FIELDS, PROFILE, PROFILE_PACKETS, Ints, decide

#: Places of the options: count and timer of the device, whether the guest masks, how long no interrupt comes after it
#: unmasks, ns to begin a poll and for each packet of it, packets of one poll, whether DIM sets the timer, frame size.
COUNT, WAIT, MASKED, HOLD, BEGIN, EACH, BUDGET, ADAPTIVE, FRAME = range(9)
OPTIONS = 9


def _example() -> tuple[Any, ...]:
    o = np.array([15, 10_000, 1, 0, 1000, 1000, 64, 1, 1500])
    n = np.zeros(200, np.int64)
    us, d, counts = np.array([1, 8, 64, 128, 256]), np.zeros(FIELDS, np.int64), np.zeros(2, np.int64)
    return np.arange(200) * 1000, o, us, d, n, n.copy(), n.copy(), n.copy(), counts


@jit(_example)
def moderation_kernel(
    arrivals: Ints, o: Ints, profiles_us: Ints, d: Ints, irqs: Ints, batches: Ints, waits: Ints, chosen: Ints,
    counts: Ints,
) -> int:  # fmt: skip
    """Runs all ``arrivals`` int64[n] (ns, sorted) and returns the number of interrupts.

    ``d`` int64[8]: the state of DIM, zeros at first. Outputs, int64[n] each: ``irqs``, when the i-th interrupt came;
    ``batches``, the packets that the guest took after it; ``waits``, of each packet until an interrupt told of it, or 0
    when a poll found it; ``chosen``, the longest wait (ns) in force at the i-th interrupt. ``counts`` int64[2]: polls,
    and when the last poll ended.
    """
    n = len(arrivals)
    count, wait, masked, hold = o[COUNT], o[WAIT], o[MASKED], o[HOLD]
    if o[ADAPTIVE]:
        count, wait = PROFILE_PACKETS, 1000 * profiles_us[0]
    measuring = False
    begun = begun_packets = begun_at = 0
    fired = polls = i = free = end = 0
    while i < n:
        first = arrivals[i]
        if count <= 1 or wait == 0:
            t, j = first, i + 1
        else:
            t = first + wait
            j = i + count
            if j <= n and arrivals[j - 1] < t:
                t = arrivals[j - 1]
            else:  # the timer: a packet at the same ns comes too late for this interrupt
                j = i
                while j < n and arrivals[j] < t:
                    j += 1
        if t < free:  # the device keeps quiet for a while after the guest has unmasked
            t = free
            while j < n and arrivals[j] <= t:
                j += 1
        irqs[fired] = t
        chosen[fired] = wait
        for k in range(i, j):
            waits[k] = t - arrivals[k]
        taken = j
        end = t
        if masked:
            end = t + o[BEGIN] + o[EACH] * (j - i)
            while taken < n and arrivals[taken] <= end:
                end += o[EACH]
                waits[taken] = 0
                taken += 1
            free = end + hold
        batches[fired] = taken - i
        polls += (taken - i + o[BUDGET] - 1) // o[BUDGET]
        i = taken
        fired += 1
        if o[ADAPTIVE]:
            if not measuring:
                measuring, begun, begun_packets, begun_at = True, fired, i, end
            elif fired - begun >= EVENTS and end - begun_at >= 1000:
                us = (end - begun_at) // 1000
                packets = i - begun_packets
                of_bytes, of_packets = -(-1000 * packets * o[FRAME] // us), -(-1000 * packets // us)
                changed = decide(d, of_bytes, of_packets, -(-1000 * EVENTS // us))
                begun, begun_packets, begun_at = fired, i, end
                if changed:  # in force at once; the next poll begins the next measurement
                    wait, measuring = 1000 * profiles_us[d[PROFILE]], False
    counts[0], counts[1] = polls, end
    return fired
