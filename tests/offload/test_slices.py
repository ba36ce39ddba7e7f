"""Slices of a link: water filling, four schedulers against their published bounds, token buckets, and kernel twins."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError
from virtlab.offload import SCHEDULERS, SliceOptions, all_slices, jain, max_min, sriov
from virtlab.offload.slice_kernel import DRR, FIELDS, FIFO, RR, SCALE, SFQ, slice_kernel

near = pytest.approx
rates = st.floats(0, 1_000) | st.integers(0, 200).map(float)
tenants = st.lists(st.tuples(rates, st.floats(0.1, 100), rates, rates), min_size=1, max_size=12)


# ------------------------------------------------- water filling

def test_golden_shares():
    assert max_min((10, 100, 100), (1, 2, 1), 100) == (10, 60, 30)
    assert max_min((10, 20, 30), capacity=100) == (10, 20, 30)


def test_a_fixed_partition_would_be_another_thing():
    """Guard 43: what the first leaves goes to the others."""
    assert max_min((10, 100, 100), (1, 1, 1), 99) == near((10, 44.5, 44.5))


def test_a_minimum_is_kept_and_a_maximum_too():
    assert max_min((100, 100, 100), capacity=90, minima=(50, 0, 0)) == near((50, 20, 20))
    assert max_min((100, 100, 100), capacity=90, maxima=(10, 100, 100)) == near((10, 40, 40))
    assert max_min((20, 100, 100), capacity=90, minima=(50, 0, 0)) == near((20, 35, 35)), "not asked for: free"


@given(tenants, st.floats(1, 1_000))
def test_shares_fill_the_capacity_and_keep_every_promise(drawn, capacity):
    demands, weights, minima, extra = (list(x) for x in zip(*drawn, strict=True))
    minima = [m * min(1.0, 0.99 * capacity / (sum(minima) or 1)) for m in minima]
    maxima = [m + e for m, e in zip(minima, extra, strict=True)]
    shares = max_min(demands, weights, capacity, minima=minima, maxima=maxima)
    wishes = [min(d, m) for d, m in zip(demands, maxima, strict=True)]
    assert sum(shares) == near(min(capacity, sum(wishes)), rel=1e-9, abs=1e-9), "work is conserved"
    for share, wish, least in zip(shares, wishes, minima, strict=True):
        assert share <= wish * (1 + 1e-12)
        assert share >= min(least, wish) * (1 - 1e-12)


@given(tenants, st.floats(1, 1_000))
def test_nobody_can_get_more_without_taking_from_one_who_has_less(drawn, capacity):
    demands, weights = [d for d, *_ in drawn], [w for _, w, *_ in drawn]
    shares = max_min(demands, weights, capacity)
    heights = [s / w for s, w in zip(shares, weights, strict=True)]
    for share, demand, height in zip(shares, demands, heights, strict=True):
        if share < demand * (1 - 1e-9):
            assert height >= max(heights) * (1 - 1e-9)


@given(tenants, rates, st.floats(0.1, 100), st.floats(1, 1_000))
def test_one_more_never_raises_another_ones_share(drawn, demand, weight, capacity):
    demands, weights = [d for d, *_ in drawn], [w for _, w, *_ in drawn]
    before = max_min(demands, weights, capacity)
    after = max_min([*demands, demand], [*weights, weight], capacity)
    assert all(a <= b * (1 + 1e-9) + 1e-9 for a, b in zip(after, before, strict=False))


@given(st.integers(1, 1_024), st.floats(1, 1_000))
def test_equal_weights_and_full_demands_are_equal_shares(n, capacity):
    shares = max_min([capacity] * n, capacity=capacity)
    assert shares == near([capacity / n] * n) and jain(shares) == near(1)


@pytest.mark.parametrize(("changes", "why"), [
    ({"minima": (60, 60, 0)}, "sold more than once"), ({"weights": (1, 0, 1)}, "take the demand out"),
    ({"minima": (5, 0, 0), "maxima": (4, 9, 9)}, "promised more than he may have"),
    ({"capacity": 0}, "nothing to share"),
    ({"weights": (1, 2)}, "sequence of 3"), ({"minima": (-1, 0, 0)}, "less than nothing"),
    ({"capacity": math.inf}, "nothing to share"),
])  # fmt: skip
def test_what_cannot_be_shared_is_an_error_that_teaches(changes, why):
    with pytest.raises(ParameterError, match=why):
        max_min((10, 100, 100), **{"capacity": 100, **changes})


def test_jain_has_its_published_ends():
    assert jain([5] * 7) == near(1) and jain([1, 0, 0, 0]) == near(1 / 4) and jain([0, 0]) == 1
    assert jain([1, 1, 0, 0, 0]) == near(2 / 5), "k of n have all: k / n"


# ------------------------------------------------- frame by frame

def run(kind, wire, weights, frames=4_000, quantum=10_000, gap=0.0, rate=0.0, depth=1e6, kernel=None, pool=(1.0,)):
    """Who sent when; with no gap all queues are always full."""
    n = len(wire)
    wire, weights = np.array(wire, np.int64), np.array(weights, np.int64)
    gaps, rates_ = np.full(n, float(gap)), np.full(n, float(rate))
    spent = np.full(n, -depth / rate if rate else 0.0)
    arrays = [np.zeros(n), spent, np.zeros(n * FIELDS, np.int64), np.zeros(n, np.int64),
              *(np.zeros(frames, np.int64) for _ in range(3))]  # fmt: skip
    call = kernel or slice_kernel
    found = call(kind, frames, 10**9, quantum, depth, wire, weights, gaps, rates_, np.array(pool), *arrays)
    return found, arrays[3], arrays[4], arrays[5], arrays[6]


def spread(who, wire, weights, i, j):
    """The most by which s_i/w_i and s_j/w_j part in any interval between two frames of a run."""
    steps = np.where(who == i, wire[i] / weights[i], np.where(who == j, -wire[j] / weights[j], 0.0))
    walk = np.concatenate(([0.0], np.cumsum(steps)))
    return walk.max() - walk.min()


flows = st.lists(st.tuples(st.integers(84, 9_038), st.integers(1, 16)), min_size=2, max_size=6)


@given(flows, st.integers(1_000, 65_536))
def test_drr_stays_within_its_published_bound(drawn, quantum):
    """Shreedhar and Varghese: at most quantum + 2 largest frames apart, by weight, while both have frames."""
    wire, weights = zip(*drawn, strict=True)
    who = run(DRR, wire, weights, 1_500, quantum)[2]
    for i, j in combinations(range(len(wire)), 2):
        assert spread(who, wire, weights, i, j) <= quantum + 2 * max(wire)


@given(flows)
def test_sfq_stays_within_its_published_bound(drawn):
    """Goyal, Vin and Cheng: at most a frame of each apart, by weight."""
    wire, weights = zip(*drawn, strict=True)
    who = run(SFQ, wire, weights, 1_500)[2]
    for i, j in combinations(range(len(wire)), 2):
        assert spread(who, wire, weights, i, j) <= wire[i] / weights[i] + wire[j] / weights[j] + 1e-6


def test_round_robin_gives_by_frame_and_not_by_weight():
    who = run(RR, (84, 9_038), (16, 1), 1_000)[2]
    assert who.tolist() == [0, 1] * 500


def test_drr_gives_by_weight_and_not_by_frame():
    sent = run(DRR, (84, 9_038, 1_538), (1, 2, 1), 60_000)[1]
    assert sent / sent.sum() == near([0.25, 0.5, 0.25], rel=0.01)


@pytest.mark.parametrize("kind", [FIFO, RR, DRR, SFQ])
def test_a_link_with_frames_is_never_idle(kind):
    (total, _), sent, _, ends, _ = run(kind, (84, 1_538, 9_038), (1, 3, 2))
    assert ends[total - 1] == sent.sum()


@given(st.integers(84, 9_038), st.floats(0.01, 0.9), st.floats(9_038, 1e6))
def test_a_bucket_lets_no_more_than_rate_and_depth_through_in_any_interval(wire, rate, depth):
    """Guard 44: bytes in every interval of t are at most r t + b; here a frame more, which ends within it."""
    (total, _), _, _, ends, _ = run(FIFO, (wire,), (1,), 500, rate=rate, depth=depth)
    begun = ends[:total] - wire
    for start in range(0, total, 37):
        sent = wire * np.arange(1, total - start + 1)
        assert (sent <= rate * (begun[start:] - begun[start]) + depth + wire + 1e-6).all()


@pytest.mark.parametrize("rest", [10.0, 30.0, 300.0])
def test_however_long_the_rest_no_more_than_a_bucket_goes_at_once(rest):
    """Guard 44: thirty frames at once after each rest, ten of which fit into the bucket."""
    pool = [rest, *[0.0] * 29]
    (total, _), _, _, ends, _ = run(FIFO, (1_000,), (1,), 900, gap=10_000.0, rate=0.15, depth=10_000.0, pool=pool)
    begun = ends[:total] - 1_000
    for start in range(total - 40):
        at_once = (begun[start:] - begun[start] < 30_000).sum()
        assert at_once <= 10 + 0.15 * 30 + 1
    assert max((begun[n:] - begun[n] < 15_000).sum() for n in range(total)) >= 10, "and a bucket does"


def test_a_rest_fills_a_bucket_and_a_burst_empties_it():
    (total, _), _, _, ends, _ = run(FIFO, (1_000,), (1,), 50, rate=0.1, depth=10_000)
    assert ends[9] == 10_000, "ten frames at once"
    assert np.diff(ends[10:total]) == near(np.full(total - 11, 10_000.0)), "then one each 10,000 bytes of time"


@pytest.mark.parametrize("scheduler", ["drr", "sfq", "rr", "fifo"])
@given(data=st.data())
def test_the_run_is_the_same_in_plain_python(scheduler, data):
    if not have_numba():
        pytest.skip("numba is not installed: the twin is all there is")
    drawn = data.draw(flows)
    wire, weights = zip(*drawn, strict=True)
    kind = {"fifo": FIFO, "rr": RR, "drr": DRR, "sfq": SFQ}[scheduler]
    gap = data.draw(st.sampled_from([0.0, 2_000.0, 50_000.0]))
    rate = data.draw(st.sampled_from([0.0, 0.3]))
    one, other = (run(kind, wire, weights, 300, gap=gap, rate=rate, kernel=k)
                  for k in (slice_kernel.compiled, slice_kernel.interpret))  # fmt: skip
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_every_weight_has_whole_tags():
    assert all(SCALE % weight == 0 for weight in range(1, 17))


# ------------------------------------------------- the link of the lab

def test_drr_and_sfq_give_the_golden_shares():
    for scheduler in ("drr", "sfq"):
        found = sriov(slice_scheduler=scheduler)
        assert found.shares_gbit_per_s == (10, 60, 30) and found.water_gbit_per_s == 30
        assert found.jain == near(1)


def test_by_frame_the_largest_frames_win_and_the_small_tenant_starves():
    found = sriov(slice_scheduler="rr")
    wire = (276, 1_538, 9_038)
    assert found.starved and found.shares_gbit_per_s == near([100 * bytes_ / sum(wire) for bytes_ in wire])


def test_token_buckets_waste_what_nobody_uses():
    found = sriov(slice_scheduler="bucket")
    assert found.shares_gbit_per_s == (10, 50, 25) and found.wasted_gbit_per_s == near(15)
    assert "lie idle" in found.sentence()


@given(settings_of(SliceOptions))
def test_the_run_agrees_with_the_law_in_the_long_run(options):
    found = sriov(options)
    used, link = found.law()
    assert used == near(link) and found.idle_gbit_per_s >= -1e-9 * link
    assert found.jain <= 1 + 1e-9
    if options.slice_scheduler != "bucket":
        assert found.wasted_gbit_per_s <= 1e-9 * link
    # A queue that is nearly full at the end has not sent what came: a run is short, and frames are whole.
    wire = np.array(options.wire_bytes)
    slack = 0.06 * link + 100 * 30 * wire.max() * link / (6_000 * wire.min())
    assert np.abs(np.array(found.sent_gbit_per_s) - found.shares_gbit_per_s).max() <= slack


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("vfs", [2, 3, 8])
def test_the_defaults_run_is_near_the_law(scheduler, vfs):
    """First come, first served is as uneven as the frames come: some thousand of each VF, at random."""
    found = sriov(slice_scheduler=scheduler, slice_vfs=vfs)
    for sent, share in zip(found.sent_gbit_per_s, found.shares_gbit_per_s, strict=True):
        assert sent == near(share, rel=0.12 if scheduler == "fifo" else 0.05, abs=0.3)


def test_a_small_frame_waits_for_one_large_one_under_sfq_and_for_a_round_under_drr():
    """Published: a frame of each other flow, and (3 F - 2 phi) / C (Stiliadis and Varma), F the sum of all quanta."""
    found = all_slices(SliceOptions())
    o = found["sfq"].options
    byte_ns = 8 / o.link_gbit_per_s
    assert found["sfq"].p99_ns <= sum(o.wire_bytes) * byte_ns
    frame = o.quantum_bytes * sum(o.weights)
    assert found["sfq"].p99_ns < found["drr"].p99_ns < (3 * frame - 2 * o.quantum_bytes) * byte_ns


def test_a_larger_quantum_is_a_longer_wait():
    short, long = (sriov(quantum_bytes=q).p99_ns for q in (9_216, 65_536))
    assert long > 3 * short


def test_a_capped_neighbour_takes_no_more_than_its_cap():
    found = sriov(cap_gbit_per_s=20.0)
    assert found.shares_gbit_per_s == (10, 20, 20)
    assert max(found.sent_gbit_per_s[1:]) <= 20 * 1.02


def test_an_empty_link_adds_nothing_but_the_frame_itself():
    found = sriov(small_gbit_per_s=0.1, greedy_gbit_per_s=0.1, slice_vfs=2, slice_scheduler="fifo")
    assert found.p50_ns == near(276 * 8 / 100, rel=0.05)


@given(settings_of(SliceOptions))
def test_each_setting_has_a_sentence_and_a_table(options):
    found = sriov(options)
    assume(not math.isnan(found.p99_ns))
    assert found.sentence().endswith(".") and "nan" not in str(found)
    assert len(found.table().rows) == options.slice_vfs


def test_an_unknown_scheduler_is_told_the_known_ones():
    with pytest.raises(ParameterError, match="fifo or rr or drr"):
        sriov(slice_scheduler="wfq")
