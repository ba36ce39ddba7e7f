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
ONE, FOUR = np.uint64(1), np.uint64(4)
#: A tag that no address has.
EMPTY = (1 << 64) - 1
NOTHING = np.uint64(EMPTY)
#: The structures in the order of their sets, ways and offsets in the geometry.
STRUCTURES = (
    "l1", "l2", "pde", "pdpte", "pml4e", "pml5e", "nested", "host_pde", "host_pdpte", "host_pml4e", "host_pml5e",
)  # fmt: skip
#: Counts: L1 hits, L2 hits, [2..6] walks by the level of the guest's entry that was cached (one above the top: none),
#: and for each target t, [8 + 8 t + 2..6] host walks by the level of the host's.
COUNTS = 8 + 8 * 6


@Inlined
def look(tags: Any, first: Any, sets: Any, ways: Any, tag: Any, one: Any, random: Any) -> bool:
    """Whether `tag` is in its set, one of `sets` + 1 that begin at `tags[first]`; it is afterwards.

    `random` None is LRU; numba then leaves the other branch out. Else it is where xorshift32's state (Marsaglia 2003)
    is in `tags`, and behind it 2**32 - 1 and EMPTY: a hit leaves the order as it is, a miss fills the first empty slot
    or, in a full set, overwrites the one that the generator chooses.
    """
    begin = first + (tag & sets) * ways
    before = tags[begin]
    hit = before == tag
    if not hit:
        end = begin + ways
        k = begin + one
        if random is not None:
            if before != tags[random + one + one]:
                while k < end and not hit and tags[k] != tags[random + one + one]:
                    hit = tags[k] == tag
                    k += one
            else:
                k = begin
            if not hit:
                if k == end:
                    state = tags[random]
                    state ^= (state << 13) & tags[random + one]
                    state ^= state >> 17
                    state ^= (state << 5) & tags[random + one]
                    tags[random] = state
                    k = begin + ((state * ways) >> 32)
                tags[k] = tag
        else:
            while k < end:
                here = tags[k]
                tags[k] = before
                before = here
                if here == tag:
                    hit = True
                    break
                k += one
            tags[begin] = tag
    return hit


def _example(random: Any) -> tuple[Any, ...]:
    zeros, trace = np.zeros(1, np.uint64), np.zeros(0, np.uint64)
    trace.flags.writeable = False  # so are those of `simulate`
    return trace, np.zeros(7 + 3 * len(STRUCTURES), np.uint64), random, zeros, np.zeros(COUNTS, np.int64)


@jit(lambda: _example(None), lambda: _example(np.uint64(0)))
def walk_kernel(
    trace: Unsigned, geometry: Unsigned, random: np.uint64 | None, tags: Unsigned, counts: Counts
) -> None:
    """Send `trace` through L1, L2, paging-structure caches, nested TLB and the host's paging-structure caches.

    `geometry` begins with 1, address bits of a TLB entry and of a host page, the highest address, the levels of the
    guest's leaf and root and of the host's root (0: native); then for each of `STRUCTURES` sets - 1, ways (0: absent)
    and where it begins in `tags`, the state, which is changed. `random` as in `look`. `counts` int64[COUNTS] is added
    to. `tlb.simulate` builds and checks all of it.
    """
    # In scalars, since for all that the compiler knows a store to `tags` may change the geometry.
    one, entry, frame, mask = geometry[0], geometry[1], geometry[2], geometry[3]
    leaf, top, host = geometry[4], geometry[5], geometry[6]
    m1, w1, f1 = geometry[7], geometry[8], geometry[9]
    m2, w2, f2 = geometry[10], geometry[11], geometry[12]
    ma, wa, fa = geometry[13], geometry[14], geometry[15]
    mb, wb, fb = geometry[16], geometry[17], geometry[18]
    mc, wc, fc = geometry[19], geometry[20], geometry[21]
    md, wd, fd = geometry[22], geometry[23], geometry[24]
    mn, wn, fn = geometry[25], geometry[26], geometry[27]
    me, we, fe = geometry[28], geometry[29], geometry[30]
    mf, wf, ff = geometry[31], geometry[32], geometry[33]
    mg, wg, fg = geometry[34], geometry[35], geometry[36]
    mh, wh, fh = geometry[37], geometry[38], geometry[39]
    zero = one - one
    two = one + one
    three = two + one
    four = two + two
    five = four + one
    eight = four + four
    pages = (mask >> 12) << 12
    last = mask
    l1_hits = l2_hits = 0
    for i in range(len(trace)):
        address = trace[i]
        tag = address >> entry
        if tag == last:  # the same page as before is first in its set: nothing changes
            l1_hits += 1
            continue
        last = tag
        if look(tags, f1, m1, w1, tag, one, random):
            l1_hits += 1
            continue
        if w2 and look(tags, f2, m2, w2, tag, one, random):
            l2_hits += 1
            continue
        # The guest's paging-structure caches, deepest first. `level`: of the entry that was found; none: above the top.
        # `target`: the tables whose guest-physical addresses need a translation begin one below; those from the root
        # on, or from the second that is read, since a cached entry holds the host's address of the first.
        level = top + one
        if wa and look(tags, fa, ma, wa, address >> 21, one, random):
            level = two
        elif wb and look(tags, fb, mb, wb, address >> 30, one, random):
            level = three
        elif wc and look(tags, fc, mc, wc, address >> 39, one, random):
            level = four
        elif wd and look(tags, fd, md, wd, address >> 48, one, random):
            level = five
        counts[level] += 1
        if not host:
            continue
        target = level - one
        if level > top:
            target = level
        while target:
            target -= one
            if target < leaf:  # no table is left: the data
                target = zero
            above = mask >> ((target << 3) + target)
            physical = (mask - above) | ((address >> ((target << 3) + target)) & pages)
            if wn and look(tags, fn, mn, wn, physical >> frame, one, random):
                continue
            level = host + one
            if we and look(tags, fe, me, we, physical >> 21, one, random):
                level = two
            elif wf and look(tags, ff, mf, wf, physical >> 30, one, random):
                level = three
            elif wg and look(tags, fg, mg, wg, physical >> 39, one, random):
                level = four
            elif wh and look(tags, fh, mh, wh, physical >> 48, one, random):
                level = five
            counts[eight + (target << 3) + level] += 1
    counts[0] += l1_hits
    counts[1] += l2_hits


@jit(lambda: _example(None), lambda: _example(np.uint64(0)))
def tlb_kernel(
    trace: Unsigned, geometry: Unsigned, random: np.uint64 | None, tags: Unsigned, counts: Counts
) -> None:
    """As `walk_kernel` where a walk has no caches and no second dimension: the TLBs alone, in a shorter loop."""
    one, entry, last = geometry[0], geometry[1], geometry[3]
    m1, w1, f1 = geometry[7], geometry[8], geometry[9]
    m2, w2, f2 = geometry[10], geometry[11], geometry[12]
    l1_hits = l2_hits = walks = 0
    for i in range(len(trace)):
        tag = trace[i] >> entry
        if tag == last:
            l1_hits += 1
            continue
        last = tag
        if look(tags, f1, m1, w1, tag, one, random):
            l1_hits += 1
        elif w2 and look(tags, f2, m2, w2, tag, one, random):
            l2_hits += 1
        else:
            walks += 1
    counts[0] += l1_hits
    counts[1] += l2_hits
    counts[geometry[5] + one] += walks


def _four_ways_example() -> tuple[Any, ...]:
    trace, tags = np.zeros(0, np.uint64), np.zeros(4, np.uint64)
    trace.flags.writeable = False
    return trace, np.uint64(12), np.uint64(0), np.uint64(0), np.uint64(4), tags, tags.copy()


@jit(_four_ways_example)
def four_ways_kernel(
    trace: Unsigned, entry: np.uint64, m1: np.uint64, m2: np.uint64, w2: np.uint64, first: Unsigned, second: Unsigned
) -> tuple[int, int, np.uint64]:
    """The most common of `tlb_kernel`, half as fast again: LRU, a first TLB of four ways, a second of `w2` ways.

    `m1` and `m2` are sets - 1; `first` and `second` the tags, which are changed. Returns L1 hits, L2 hits, and all
    addresses or-ed together, whose highest bit is that of the largest.
    """
    # In arrays that are made here, since the compiler then knows that a store to one changes nothing else.
    tags, others = np.full(len(first), NOTHING, np.uint64), np.full(len(second), NOTHING, np.uint64)
    tags[:], others[:] = first, second
    last, seen = NOTHING, NOTHING - NOTHING
    l1_hits = l2_hits = 0
    for i in range(len(trace)):
        address = trace[i]
        seen |= address
        tag = address >> entry
        if tag == last:
            l1_hits += 1
            continue
        last = tag
        k = (tag & m1) * FOUR  # no branch here depends on a tag
        a, b, c, d = tags[k], tags[k + ONE], tags[k + ONE + ONE], tags[k + ONE + ONE + ONE]
        is_a, is_b, is_c = a == tag, b == tag, c == tag
        tags[k] = tag
        tags[k + ONE] = b if is_a else a
        tags[k + ONE + ONE] = c if is_a | is_b else b
        tags[k + ONE + ONE + ONE] = d if is_a | is_b | is_c else c
        if is_a | is_b | is_c | (d == tag):
            l1_hits += 1
            continue
        begin = (tag & m2) * w2
        before = others[begin]
        hit = before == tag
        if not hit:
            end, k = begin + w2, begin + ONE
            while k < end:
                here = others[k]
                others[k] = before
                before = here
                if here == tag:
                    hit = True
                    break
                k += ONE
            others[begin] = tag
        if hit:
            l2_hits += 1
    first[:], second[:] = tags, others
    return l1_hits, l2_hits, seen


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
