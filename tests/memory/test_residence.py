"""Where lines are found: against a plain LRU list of the same references, and the laws that hold for any streams."""
import math
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.memory.residence import LINE_BYTES, Stream, characteristic_time, found


def lru(kinds, lines, rounds, seed=1):
    """Hit shares of an LRU list of ``lines``, one for each kind, by counting. A kind is (every, count, order): every
    so many accesses it refers to one of ``count`` lines, at random or in turn."""
    rng, cache = np.random.default_rng(seed), OrderedDict()
    hits, seen, turn = np.zeros(len(kinds)), np.zeros(len(kinds)), [0] * len(kinds)
    draws = [rng.integers(count, size=rounds) for _, count, _ in kinds]
    for i in range(rounds):
        for k, (every, count, order) in enumerate(kinds):
            if i % every:
                continue
            line = (k, draws[k][i] if order == "random" else turn[k] % count)
            turn[k] += 1
            hit = line in cache
            if hit:
                cache.move_to_end(line)
            else:
                cache[line] = True
                if len(cache) > lines:
                    cache.popitem(last=False)
            if i > rounds // 2:
                hits[k] += hit
                seen[k] += 1
    return hits / seen


def streams(kinds):
    return [Stream.of(1 / every, 1.0, count * every, fixed=order == "turn") for every, count, order in kinds]


@pytest.mark.parametrize("lines", [100, 400, 1500])
@pytest.mark.parametrize("kinds", [
    [(1, 1000, "random")],
    [(1, 2000, "random"), (1, 300, "random")],
    [(1, 2000, "random"), (2, 300, "random"), (4, 120, "turn")],
    [(1, 700, "turn"), (3, 500, "random")],
], ids=["one", "two", "three", "in turn"])  # fmt: skip
def test_competing_streams_are_found_as_often_as_in_a_counted_lru_cache(kinds, lines):
    counted = lru(kinds, lines, 40_000)
    said = found(streams(kinds), [lines * LINE_BYTES])[:, 0]
    assert said == pytest.approx(counted, abs=0.025), "share of references found in the cache, by stream"


def test_a_popular_group_is_found_more_often():
    """A tenth of 1000 lines gets half of the references; a cache of 200 lines, counted."""
    rng, cache, hits = np.random.default_rng(2), OrderedDict(), 0
    for i, (hot, a, b) in enumerate(zip(rng.random(60_000) < 0.5, rng.integers(100, size=60_000),
                                        rng.integers(100, 1000, size=60_000), strict=True)):  # fmt: skip
        line = a if hot else b
        hits += (line in cache) and i >= 30_000
        cache[line] = True
        cache.move_to_end(line)
        if len(cache) > 200:
            cache.popitem(last=False)
    said = found([Stream.of(1.0, [0.5, 0.5], [200, 1800])], [200 * LINE_BYTES])[0, 0]
    assert said == pytest.approx(hits / 30_000, abs=0.02)


def test_what_fits_is_always_found():
    assert characteristic_time([Stream.of(1.0, 1.0, 100)], 100) == math.inf
    assert found([Stream.of(1.0, 1.0, 100)], [100 * LINE_BYTES])[0] == pytest.approx([1, 0])


def test_lines_in_turn_fall_off_a_cliff():
    """One line more than the cache holds, and LRU finds none of them."""
    def share(lines):
        return found([Stream.of(1.0, 1.0, lines, fixed=True)], [100 * LINE_BYTES])[0, 0]

    assert (share(100), share(101)) == (1, 0)


def test_shares_that_add_up_to_a_little_more_than_one_leave_nothing_negative():
    stream = Stream.of(1.0, np.full(10, 0.1) * (1 + 1e-15), np.arange(1, 11))
    assert found([stream], [1000 * LINE_BYTES])[0].tolist() == [1, 0]


def test_repeats_are_found_however_small_the_cache():
    stream = Stream.of(1.0, 1.0, 1e6).with_repeats(0.75, 1.0)
    assert found([stream], [100 * LINE_BYTES])[0, 0] == pytest.approx(0.75, abs=0.01)


some = st.lists(
    st.builds(Stream.of, st.floats(1e-4, 4), st.just(1.0), st.floats(2, 1e9), st.booleans()), min_size=1, max_size=6
)


@given(some, st.lists(st.integers(1, 10**7), min_size=1, max_size=3).map(sorted))
def test_each_reference_is_found_in_one_place(streams, lines):
    where = found(streams, [n * LINE_BYTES for n in lines])
    assert where.shape == (len(streams), len(lines) + 1)
    assert where.sum(axis=1) == pytest.approx(np.ones(len(streams)))
    assert (where >= 0).all()


@given(some, st.integers(1, 10**6))
def test_a_cache_keeps_as_many_lines_as_it_has(streams, lines):
    """What all streams keep for the characteristic time fills the cache: the equation that defines it."""
    time = characteristic_time(streams, lines)
    if time < math.inf:
        kept = sum(
            s.rate * sum(h * (min(a, time) if f else -a * math.expm1(-time / a)) for h, a, f in
                         zip(s.share, s.after, s.fixed, strict=True)) for s in streams
        )  # fmt: skip
        assert kept == pytest.approx(lines, rel=1e-6)


@given(some, st.integers(1, 10**6))
def test_a_larger_cache_finds_no_less(streams, lines):
    small, large = (found(streams, [n * LINE_BYTES])[:, 0] for n in (lines, 2 * lines))
    assert (large >= small - 1e-9).all()
