"""The TLB simulator in NumPy alone: exact LRU filters in a row, each fed with the misses of the one before.

A set of W ways under LRU is fully described by the W tags that were used last. A long stream can so be cut into
chunks: each chunk of a set becomes a lane, whose state at its start is found by replaying a short tail of what went
before, and all lanes then advance together, one operation on a row of them a step. For wide sets, where that would cost
too much, a second way counts stack distances. Integers have their width spelled out: NumPy's own are 32 bits wide in a
browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.memory.pages import level_shift
from virtlab.memory.tlb_kernels import COUNTS, STRUCTURES

Unsigned = NDArray[np.uint64]
Bools = NDArray[np.bool_]
Sets = Sequence[tuple[int, int]]
_WIDE = 48  # ways from which on counting distances is faster
_NONE, _PAD = -1, -2  # tags that no reference has
_GUEST, _HOST = slice(2, 6), slice(7, 11)
_NESTED = STRUCTURES.index("nested")


def walk(
    addresses: Unsigned, warm: int, sets: Sets, shifts: tuple[int, int], leaf: int, top: int, host: int
) -> NDArray[np.int64]:
    """The counts of `tlb_kernels.walk_kernel` for LRU, int64[COUNTS], of the references from ``warm`` on.

    ``sets`` are (sets, ways) of the structures, ``shifts`` the address bits of a TLB entry and of a host page.
    """
    counts = np.zeros(COUNTS, np.int64)
    entry, frame = (np.uint64(s) for s in shifts)
    tags = addresses >> entry
    hit = hits(tags, *sets[0])
    counts[0] = np.count_nonzero(hit[warm:])
    where = np.flatnonzero(~hit)
    hit = hits(tags[where], *sets[1])
    counts[1] = np.count_nonzero(hit & (where >= warm))
    where = where[~hit]
    walked, counted = addresses[where], where >= warm
    begun = _begun(walked, sets[_GUEST], top + 1)
    counts[:8] += np.bincount(begun[counted], minlength=8)
    if not host:
        return counts

    # One row an address to translate: of the tables from `first` down to the leaf's, then of the data (target 0).
    first = np.where(begun > top, top, begun - 2)
    times = (first - (leaf - 2)).astype(np.intp)
    end = np.cumsum(times)
    target = np.repeat(first + (end - times), times) - np.arange(len(walked) and end[-1])
    target[target < leaf] = 0
    mask = (1 << (12 + 9 * top)) - 1
    above = np.array([mask - (mask >> (9 * level)) for level in range(top + 1)], np.uint64)
    physical = np.repeat(walked, times)
    physical >>= (9 * target).astype(np.uint64)
    physical &= np.uint64(mask - 4095)
    physical |= above[target]
    missed = np.flatnonzero(~hits(physical >> frame, *sets[_NESTED]))
    begun = _begun(physical[missed], sets[_HOST], host + 1)
    rows = (8 + 8 * target[missed] + begun)[np.repeat(counted, times)[missed]]
    return counts + np.bincount(rows, minlength=COUNTS)


def _begun(addresses: Unsigned, sets: Sets, none: int) -> NDArray[np.intp]:
    """The level of the entry that the paging-structure caches had for each address, ``none`` where they had none."""
    begun = np.full(len(addresses), none, np.intp)
    rest = np.arange(len(addresses))
    for level, (number, ways) in enumerate(sets, start=2):
        if ways:
            hit = hits(addresses[rest] >> np.uint64(level_shift(level)), number, ways)
            begun[rest[hit]] = level
            rest = rest[~hit]
    return begun


def hits(tags: Unsigned, sets: int, ways: int) -> Bools:
    """Whether each reference of a stream of tags, uint64[n], hits in an LRU structure of ``sets`` x ``ways``."""
    if not ways:
        return np.zeros(len(tags), np.bool_)
    if ways > _WIDE:
        return distances(tags, sets) < ways
    order, k, start = _by_set(tags, sets)
    out = np.ones(len(tags), np.bool_)  # what was left out repeats the tag before it in its set
    if len(k):
        found = _lanes(k, start, ways)
        out[order] = distances(tags[order], sets) < ways if found is None else found
    return out


def _by_set(tags: Unsigned, sets: int) -> tuple[NDArray[np.intp], Any, NDArray[np.intp]]:
    """References ordered by set, those left out that repeat the one before in their set: index, tags, set's starts."""
    order = np.flatnonzero(_changes(tags))
    full = tags[order]
    if len(full) == 0:
        return order, full, np.zeros(sets + 1, np.intp)
    k = full - full.min()
    k = k.astype(np.int32 if int(k.max()) < 2**31 - 1 else np.int64)
    count: Any = len(k)
    if sets > 1:
        chosen = (full & np.uint64(sets - 1)).astype(np.uint8 if sets <= 256 else np.uint16)
        by_set = np.argsort(chosen, kind="stable")  # a radix sort, as these are small
        k = k[by_set]
        changes = _changes(k)
        if not changes.all():
            k, by_set = k[changes], by_set[changes]
        order, count = order[by_set], np.bincount(chosen[by_set], minlength=sets)
    start = np.zeros(sets + 1, np.intp)
    np.cumsum(count, out=start[1:])
    return order, k, start


def _changes(tags: Any) -> Bools:
    """Where a tag differs from the one before."""
    changes = np.ones(len(tags), np.bool_)
    np.not_equal(tags[1:], tags[:-1], out=changes[1:])
    return changes


def _lanes(k: Any, start: NDArray[np.intp], ways: int) -> Bools | None:
    """Hits of tags that are ordered by set; None when too few different tags follow each other for short tails."""
    lanes = int(np.clip(len(k) // 64, 64, 16_384 if ways <= 8 else 6144))
    steps = max(8, -(-len(k) // lanes))
    count = np.diff(start)
    chunks = -(-count // steps)
    which = np.repeat(np.arange(len(count)), chunks)
    begin = start[which] + (np.arange(len(which)) - (np.cumsum(chunks) - chunks)[which]) * steps
    length = np.minimum(steps, start[which + 1] - begin)
    low = start[which]
    state = np.full((ways, len(begin)), _NONE, k.dtype)
    padded = np.concatenate((k, np.full(steps, _PAD, k.dtype)))
    todo, tail = np.flatnonzero(begin > low), 2 * ways + 4
    while len(todo):
        back = np.maximum(begin[todo] - tail, low[todo])
        replay = padded[np.minimum(back + np.arange(tail)[:, None], begin[todo] - 1)]  # the last again: changes nothing
        state[:, todo] = seen = _advance(replay, np.full((ways, len(todo)), _NONE, k.dtype), None)
        todo = todo[(seen[-1] == _NONE) & (back > low[todo])]
        tail *= 4
        if len(todo) and tail > 8 * steps:
            return None
    hit = np.empty((steps, len(begin)), np.bool_)
    _advance(np.ascontiguousarray(padded[begin[:, None] + np.arange(steps)].T), state, hit)
    hit = np.ascontiguousarray(hit.T)
    return hit[np.arange(steps) < length[:, None]]  # lanes that are shorter have run into what follows


def _advance(tags: Any, state: Any, hit: Any) -> Any:
    """Send tags[steps, lanes] through states[ways, lanes], the latest tag first; hit[steps, lanes] is set if given."""
    # Rows are combined in place, and chosen by xor: accumulate along an axis and np.where are several times slower.
    ways = len(state)
    following = np.empty_like(state)
    equal = np.empty(state.shape, np.bool_)
    pairs = [(equal[k - 1], equal[k]) for k in range(1, ways)]
    chosen = np.empty((ways - 1, state.shape[1]), state.dtype)
    change = np.empty_like(chosen)
    one = (state, state[0], state[1:], state[:-1])
    two = (following, following[0], following[1:], following[:-1])
    for step in range(len(tags)):
        tag = tags[step]
        np.equal(one[0], tag, out=equal)
        for before, here in pairs:
            np.bitwise_or(before, here, out=here)
        if hit is not None:
            hit[step] = equal[-1]
        np.copyto(chosen, equal[:-1])
        np.negative(chosen, out=chosen)  # found before row k: all ones, and row k stays
        np.bitwise_xor(one[2], one[3], out=change)
        np.bitwise_and(change, chosen, out=change)
        np.bitwise_xor(change, one[3], out=two[2])
        np.copyto(two[1], tag)
        one, two = two, one
    return one[0]


def distances(tags: Unsigned, sets: int) -> NDArray[np.int64]:
    """LRU stack distances, int64[n]: how many other tags of its set were used since this one was; 2**62 at first use.

    In the stream ordered by set, let before[i] be the index of the last use of the same tag. Each j <= before[i] has
    before[j] < before[i]; so has each j after it that is the first of its tag since. Their number less the former is
    the distance, and the number of smaller values before a place is counted by halving the range of values.
    """
    n = len(tags)
    if n == 0:
        return np.zeros(0, np.int64)
    if sets > 1:
        chosen = (tags & np.uint64(sets - 1)).astype(np.uint8 if sets <= 256 else np.uint16)
        order = np.argsort(chosen, kind="stable")
        out = np.empty(n, np.int64)
        out[order] = _distances(tags[order])
        return out
    return _distances(tags)


def _distances(tags: Unsigned) -> NDArray[np.int64]:
    n = len(tags)
    order = np.argsort(tags, kind="stable")
    again = np.flatnonzero(~_changes(tags[order]))
    before = np.full(n, -1, np.int64)
    before[order[again]] = order[again - 1]
    used = np.zeros(n, np.bool_)
    used[order[again - 1]] = True
    first = before < 0
    rank = np.empty(n, np.int64)
    rank[first] = np.arange(n - len(again))
    rank[~first] = (np.cumsum(used) - 1 + n - len(again))[before[~first]]
    smaller = _smaller_before(rank)
    smaller -= before + 1
    smaller[first] = 2**62
    return smaller


def _smaller_before(rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """For a permutation of 0 .. n - 1: how many smaller values stand before each place."""
    n = len(rank)
    bits = max(1, (n - 1).bit_length())
    values = np.concatenate((rank, np.arange(n, 1 << bits))).astype(np.int32 if bits < 31 else np.int64)
    counts = np.zeros(len(values), values.dtype)
    # From the highest bit on: of the values that share all higher bits, which stand together in their order, those with
    # this bit set have all those before them without it as smaller ones.
    for bit in range(bits - 1, -1, -1):
        high = np.right_shift(values, bit) & 1 == 1
        half = 1 << bit
        zeros = np.cumsum(~high, dtype=values.dtype)[high].reshape(-1, half)
        zeros -= np.arange(len(zeros), dtype=values.dtype)[:, None] * half
        both = []
        for part in (values, counts):
            both.append(np.stack((part[~high].reshape(-1, half), part[high].reshape(-1, half)), axis=1))
        both[1][:, 1] += zeros
        values, counts = (b.reshape(-1) for b in both)
    return counts[rank].astype(np.int64)
