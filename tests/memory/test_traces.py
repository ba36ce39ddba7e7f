"""Address traces: each in its pattern, within its working set, small in memory, the same for the same seed."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.memory import traces
from virtlab.memory.traces import BASE, Trace, scattered

SYNTHETIC = ("sequential", "strided", "uniform", "zipf", "cyclic", "chase", "gups")
PAGE = 4096
LARGEST = 1 << 46


def pages(trace):
    return ((trace - np.uint64(BASE)) // np.uint64(PAGE)).astype(np.int64)


@settings(max_examples=80)
@given(settings_of(Trace, accesses=300), st.integers(0, 2**32 - 1))
def test_every_trace_is_uint64_and_stays_in_its_working_set(setting, seed):
    trace = setting.make(seed)
    assert trace.dtype == np.uint64 and len(trace) == 300
    if setting.pattern != "recorded":
        assert trace.min() >= BASE and trace.max() < BASE + setting.working_set_bytes
    assert int(trace.max()) < 1 << 47
    assert np.array_equal(trace, setting.make(seed)), "equal arguments give equal traces"


@pytest.mark.parametrize("pattern", ["uniform", "zipf", "chase", "gups"])
def test_another_seed_gives_another_trace(pattern):
    a, b = (traces.make(pattern, 1000, 1 << 30, seed=seed) for seed in (1, 2))
    assert not np.array_equal(a, b)


@pytest.mark.parametrize("pattern", [*SYNTHETIC, "recorded"])
def test_a_huge_working_set_costs_no_more_than_the_trace(pattern):
    traces.make(pattern, 100, 1 << 20)
    tracemalloc.start()
    trace = traces.make(pattern, 100_000, LARGEST)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * trace.nbytes, f"{peak / trace.nbytes:.1f} times the trace"


# ------------------------------------------------- patterns

def test_sequential_is_line_after_line_and_begins_again():
    assert (traces.sequential(66, 4096) - np.uint64(BASE)).tolist() == [64 * (k % 64) for k in range(66)]


def test_strided_goes_by_its_stride():
    found = traces.strided(4, 3 * PAGE, stride_bytes=5000) - np.uint64(BASE)
    assert found.tolist() == [0, 5000, 10_000, 15_000 - 3 * PAGE]


def test_cyclic_meets_page_after_page():
    assert pages(traces.cyclic(7, 3 * PAGE)).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_uniform_meets_every_page_alike():
    counts = np.bincount(pages(traces.uniform(64_000, 64 * PAGE)), minlength=64)
    assert ((counts - 1000) ** 2 / 1000).sum() < 63 + 6 * (2 * 63) ** 0.5  # chi-square: mean 63, variance 126


@pytest.mark.parametrize("count", [1, 2, 3, 100, 1024, 4097])
def test_a_chase_meets_each_page_once_a_round_in_the_same_order(count):
    found = pages(traces.chase(3 * count, count * PAGE))
    assert sorted(found[:count]) == list(range(count))
    assert found.tolist() == found[:count].tolist() * 3


def test_a_chase_has_one_line_a_page_and_no_regular_stride():
    trace = traces.chase(8192, 4096 * PAGE)
    assert len(np.unique(trace)) == 4096
    steps = np.diff(pages(trace[:4096]))
    assert np.unique(steps).size > 2500
    assert np.mean(np.abs(steps)) == pytest.approx(4096 / 3, rel=0.05)  # of a random order


def test_gups_reads_and_writes_each_word():
    trace = traces.gups(1001, 1 << 30)
    assert np.array_equal(trace[:1000:2], trace[1::2])
    assert np.all(trace % np.uint64(8) == 0)
    assert np.unique(trace[::2]).size > 495


# ------------------------------------------------- Zipf

@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.99, 1.0, 1.01, 1.5, 2.0])
@pytest.mark.parametrize("count", [2, 10, 500])
def test_zipf_frequencies_are_those_of_the_law(exponent, count):
    n = 60_000
    ranks = traces._zipf_ranks(n, count, exponent, np.random.default_rng(3)).astype(np.int64)
    law = np.arange(1, count + 1) ** -exponent
    law /= law.sum()
    found = np.bincount(ranks, minlength=count + 1)[1:]
    common = law * n >= 10  # what a chi-square test needs
    chi = ((found - law * n)[common] ** 2 / (law * n)[common]).sum()
    free = common.sum()
    assert ranks.min() >= 1 and ranks.max() <= count
    assert chi < free + 6 * (2 * free) ** 0.5, f"chi-square {chi:.0f} with {free} classes"


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_zipf_reaches_the_last_pages_of_a_huge_set(exponent):
    count = LARGEST // PAGE
    ranks = traces._zipf_ranks(20_000, count, exponent, np.random.default_rng(4))
    median = {0.0: count / 2, 1.0: count**0.5, 2.0: 1}[exponent]
    assert 1 <= ranks.min() and ranks.max() <= count
    assert np.log(np.median(ranks) + 1) == pytest.approx(np.log(median + 1), rel=0.06)


def test_popular_pages_are_scattered():
    found, counts = np.unique(pages(traces.zipf(50_000, 1 << 26, zipf_exponent=1.2)), return_counts=True)
    popular = found[np.argsort(-counts)[:100]]
    assert popular.min() < 2000 and popular.max() > 14_000
    assert len(np.unique(popular % 16)) == 16


@settings(max_examples=60)
@given(st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_scattering_loses_and_doubles_no_page(count, seed):
    found = scattered(np.arange(count, dtype=np.uint64), count, seed)
    assert np.array_equal(np.sort(found), np.arange(count, dtype=np.uint64))


# ------------------------------------------------- the recorded one

def test_the_recorded_trace_is_that_of_a_real_program():
    recording = traces.recording()
    assert "valgrind --tool=lackey" in recording.command and recording.recorded.startswith("20")
    assert len(traces.recorded()) == len(recording.addresses) >= 200_000
    assert 500 < len(np.unique(recording.addresses >> np.uint64(12))) < 10_000
    assert "recorded on" in str(recording)


def test_the_recorded_trace_begins_again_when_it_is_too_short():
    whole = traces.recorded()
    longer = traces.recorded(len(whole) + 5)
    assert np.array_equal(longer[: len(whole)], whole) and np.array_equal(longer[-5:], whole[:5])
    assert np.array_equal(traces.recorded(7), whole[:7])


def test_who_changes_a_recorded_trace_changes_a_copy():
    traces.recorded(10)[:] = 0
    traces.recorded()[:] = 0
    assert traces.recorded(10).min() > 0


@pytest.fixture
def file(tmp_path):
    recording = traces.Recording("do", "2026-01-01", "1", "all", np.array([5, 3, 1 << 46], np.uint64))
    path = tmp_path / "recorded.xz"
    path.write_bytes(traces.dump(recording))
    return path


def test_a_recording_is_read_as_it_was_written(file):
    found = traces.load(file)
    assert found.addresses.tolist() == [5, 3, 1 << 46] and found.command == "do"


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-9],
        lambda b: b"",
        lambda b: b.replace(b"references = 3", b"references = 4"),
        lambda b: b.replace(b"references = 3", b"references = 2"),
        lambda b: b.replace(b"references = 3", b"references = 9000000"),
        lambda b: b.replace(b"command", b"kommand"),
        lambda b: b"x" + b,
        lambda b: b[:-20] + bytes(20),
    ],
)
def test_a_damaged_recording_is_refused(file, damage):
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match="recorded.xz is damaged"):
        traces.load(file)


def test_the_shipped_recording_is_small():
    from importlib import resources

    assert len((resources.files("virtlab.memory") / "data" / "recorded.xz").read_bytes()) < 300_000


# ------------------------------------------------- the front door

@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accesses": 0}, "accesses must be 1 to"),
        ({"working_set_bytes": 4095}, "working_set_bytes must be 4,096 to"),
        ({"working_set_bytes": 1 << 47}, "working_set_bytes"),
        ({"pattern": "random"}, "pattern must be sequential or"),
        ({"zipf_exponent": 2.5}, "zipf_exponent must be 0 to 2"),
        ({"stride_bytes": 0}, "stride_bytes"),
        ({"seed": -1}, "seed must be 0 to"),
    ],
)
def test_a_wrong_argument_is_named(change, words):
    with pytest.raises(ParameterError, match=words):
        traces.make(**{"pattern": "uniform", "accesses": 10, "working_set_bytes": 1 << 20} | change)


@pytest.mark.parametrize("pattern", ["uniform", "zipf", "chase", "gups"])
@pytest.mark.parametrize("seed", [-1, 1 << 32, 1.5, "a"])
def test_every_pattern_with_chance_in_it_refuses_what_is_no_seed(pattern, seed):
    with pytest.raises(ParameterError, match="seed must be 0 to 4294967295"):
        traces.make(pattern, 10, 1 << 20, seed=seed)
