"""The loops of the TLB simulator: the whole two-dimensional walk, and the stack distances behind a miss curve.

A set is a list of tags, the latest first: one scan that shifts as it goes is look-up, refill and LRU order at once.
Integers are unsigned throughout, so that numba need not test an index for < 0; a literal in a sum would make them
floating-point numbers, so that small numbers come in as arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import Inlined, jit

Unsigned = NDArray[np.uint64]
Counts = NDArray[np.int64]
#: A tag that no address has.
EMPTY = (1 << 64) - 1
#: The structures in the order of their sets, ways and offsets in the geometry.
STRUCTURES = (
    "l1", "l2", "pde", "pdpte", "pml4e", "pml5e", "nested", "host_pde", "host_pdpte", "host_pml4e", "host_pml5e",
)  # fmt: skip
#: Counts: L1 hits, L2 hits, [2..6] walks by the level of the guest's entry that was cached (one above the top: none),
#: and for each target t, [8 + 8 t + 2..6] host walks by the level of the host's.
COUNTS = 8 + 8 * 6


@Inlined
def look(tags: Any, first: Any, ways: Any, tag: Any, one: Any, random: Any) -> bool:
    """Whether `tag` is in the set `tags[first : first + ways]`; it is afterwards.

    `random` 0 is LRU. Else it is where xorshift32's state lies in `tags`, and after it 2**32 - 1: a hit leaves the
    order as it is, and a miss overwrites the slot that the generator chooses (Marsaglia 2003).
    """
    before = tags[first]
    hit = before == tag
    if not hit:
        end = first + ways
        k = first + one
        if random:
            while k < end and not hit:
                hit = tags[k] == tag
                k += one
            if not hit:
                state = tags[random]
                state ^= (state << 13) & tags[random + one]
                state ^= state >> 17
                state ^= (state << 5) & tags[random + one]
                tags[random] = state
                tags[first + ((state * ways) >> 32)] = tag
        else:
            while k < end:
                here = tags[k]
                tags[k] = before
                before = here
                if here == tag:
                    hit = True
                    break
                k += one
            tags[first] = tag
    return hit


def _example() -> tuple[Any, ...]:
    zeros, trace = np.zeros(1, np.uint64), np.zeros(0, np.uint64)
    trace.flags.writeable = False  # so are those of `simulate`
    return trace, np.zeros(5 + 3 * len(STRUCTURES), np.uint64), 1, 4, 0, zeros, np.zeros(COUNTS, np.int64)


@jit(_example)
def walk_kernel(
    trace: Unsigned, geometry: Unsigned, leaf: int, top: int, host: int, tags: Unsigned, counts: Counts
) -> None:
    """Send `trace` through L1, L2, paging-structure caches, nested TLB and the host's paging-structure caches.

    `leaf` and `top` are the levels of the guest's leaf and root tables, `host` that of the host's root, 0 natively.
    `tags` is the state, changed; `counts` int64[COUNTS] is added to. `tlb.simulate` builds and checks the arguments.
    """
    # In scalars, since for all that the compiler knows a store to `tags` may change the geometry.
    one, random, entry, frame, mask = geometry[0], geometry[1], geometry[2], geometry[3], geometry[4]
    m1, w1 = geometry[5], geometry[6]
    m2, w2, f2 = geometry[8], geometry[9], geometry[10]
    ma, wa, fa = geometry[11], geometry[12], geometry[13]
    mb, wb, fb = geometry[14], geometry[15], geometry[16]
    mc, wc, fc = geometry[17], geometry[18], geometry[19]
    md, wd, fd = geometry[20], geometry[21], geometry[22]
    mn, wn, fn = geometry[23], geometry[24], geometry[25]
    me, we, fe = geometry[26], geometry[27], geometry[28]
    mf, wf, ff = geometry[29], geometry[30], geometry[31]
    mg, wg, fg = geometry[32], geometry[33], geometry[34]
    mh, wh, fh = geometry[35], geometry[36], geometry[37]
    pages = (mask >> 12) << 12
    last = mask
    l1_hits = l2_hits = 0
    for i in range(len(trace)):
        address = trace[i]
        k = address >> entry
        if k == last:  # the same page as before is first in its set: nothing changes
            l1_hits += 1
            continue
        last = k
        if look(tags, (k & m1) * w1, w1, k, one, random):
            l1_hits += 1
            continue
        if w2 and look(tags, f2 + (k & m2) * w2, w2, k, one, random):
            l2_hits += 1
            continue
        # The guest's paging-structure caches, deepest first. `level`: of the entry that was found; none: above the top.
        level = top + 1
        hit = False
        if wa:
            k = address >> 21
            hit = look(tags, fa + (k & ma) * wa, wa, k, one, random)
            if hit:
                level = 2
        if not hit and wb:
            k = address >> 30
            hit = look(tags, fb + (k & mb) * wb, wb, k, one, random)
            if hit:
                level = 3
        if not hit and wc:
            k = address >> 39
            hit = look(tags, fc + (k & mc) * wc, wc, k, one, random)
            if hit:
                level = 4
        if not hit and wd:
            k = address >> 48
            hit = look(tags, fd + (k & md) * wd, wd, k, one, random)
            if hit:
                level = 5
        counts[level] += 1
        if host == 0:
            continue
        # Guest-physical addresses to translate: of the tables from the top, or from the second one that is read since
        # a cached entry holds the host's address of the first; then of the data (target 0).
        target = top + 1
        if hit:
            target = level - 1
        while target > 0:
            target -= 1
            if target < leaf:
                target = 0
            above = mask >> (9 * target)
            physical = (mask - above) | ((address >> (9 * target)) & pages)
            k = physical >> frame
            if wn and look(tags, fn + (k & mn) * wn, wn, k, one, random):
                continue
            level = host + 1
            hit = False
            if we:
                k = physical >> 21
                hit = look(tags, fe + (k & me) * we, we, k, one, random)
                if hit:
                    level = 2
            if not hit and wf:
                k = physical >> 30
                hit = look(tags, ff + (k & mf) * wf, wf, k, one, random)
                if hit:
                    level = 3
            if not hit and wg:
                k = physical >> 39
                hit = look(tags, fg + (k & mg) * wg, wg, k, one, random)
                if hit:
                    level = 4
            if not hit and wh:
                k = physical >> 48
                hit = look(tags, fh + (k & mh) * wh, wh, k, one, random)
                if hit:
                    level = 5
            counts[8 + 8 * target + level] += 1
    counts[0] += l1_hits
    counts[1] += l2_hits


def _curve_example() -> tuple[Any, ...]:
    zeros, trace = np.zeros(1, np.uint64), np.zeros(0, np.uint64)
    trace.flags.writeable = False
    return trace, np.zeros(4, np.uint64), zeros, np.zeros(2, np.int64)


@jit(_curve_example)
def curve_kernel(trace: Unsigned, geometry: Unsigned, tags: Unsigned, counts: Counts) -> None:
    """Adds one to `counts[d]` for a reference to a page with d other pages of its set used since; d at most the ways.

    `geometry` is 1, address bits of a page, sets - 1, ways. `tags` is the state (EMPTY), `counts` int64[ways + 1].
    """
    one, shift, sets, ways = geometry[0], geometry[1], geometry[2], geometry[3]
    zero = one - one
    for i in range(len(trace)):
        tag = trace[i] >> shift
        first = (tag & sets) * ways
        before = tags[first]
        k = zero
        if before != tag:
            k += one
            while k < ways:
                here = tags[first + k]
                tags[first + k] = before
                before = here
                if here == tag:
                    break
                k += one
            tags[first] = tag
        counts[k] += 1
