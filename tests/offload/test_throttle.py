"""Rate limiters: the documented goldens, no more than there are tokens for, a burst once, and the pause."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.strategies import settings_of
from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.offload import ThrottleOptions, throttle
from virtlab.offload.throttle_kernel import throttle_kernel

near = pytest.approx


@pytest.mark.parametrize(("size", "refill_ms", "least", "likely"),
                         [(10, 10.0, 90.9, 100), (1_000, 1_000.0, 909, 1_000)])  # fmt: skip
def test_the_two_examples_of_the_documentation(size, refill_ms, least, likely):
    """Both are 1,000 a second as set; the documentation gives the least, and what is likely."""
    found = throttle(ops_size=size, refill_ms=refill_ms)
    assert found.options.set_per_s == near(1_000)
    assert found.least_per_s == near(least, rel=1e-3)
    assert found.served_per_s == near(likely, rel=0.01)
    fact = FACTS["throttle.low.floor" if size == 10 else "throttle.high.floor"]
    assert fact.low <= found.served_per_s * 1.01 <= fact.high * 1.02


@pytest.mark.parametrize(("refill_ms", "size"), [(200.0, 200), (500.0, 50), (1_000.0, 10_000)])
def test_a_bucket_slower_to_fill_than_the_pause_gives_what_was_set(refill_ms, size):
    """The documentation's advice: a refill time above the pause of 100 ms."""
    found = throttle(ops_size=size, refill_ms=refill_ms)
    assert found.served_per_s == near(found.options.set_per_s, rel=0.02)


def test_without_a_pause_any_bucket_gives_what_was_set():
    assert throttle(cool_down_ms=0.0).served_per_s == near(1_000, rel=1e-3)


def test_a_slow_device_spends_more_between_two_pauses():
    """It takes n = 10/(1 - 1000/2000) requests until the bucket is empty, some 10 ms, then a pause."""
    assert throttle(device_per_s=2_000.0).served_per_s == near(19 / (0.1 + 19 / 2_000), rel=0.02)


def test_the_tighter_of_the_two_buckets_limits():
    found = throttle(ops_size=1_000, refill_ms=1_000.0, bytes_size=409_600)
    assert found.options.set_per_s == near(100) and found.served_per_s == near(100, rel=0.02)


def test_a_burst_is_there_once():
    plain, burst = (throttle(one_time_burst=n) for n in (0, 500))
    assert (burst.times_ns < 50e6).sum() == near(510, abs=2) and (plain.times_ns < 50e6).sum() == near(10, abs=1)
    assert burst.served_per_s == near(plain.served_per_s, rel=0.01)


@pytest.mark.parametrize("changes", [
    {}, {"ops_size": 1_000, "refill_ms": 1_000.0}, {"device_per_s": 2_000.0}, {"device_per_s": 900.0},
    {"ops_size": 37, "refill_ms": 64.0, "cool_down_ms": 31.0}, {"bytes_size": 20_000, "request_bytes": 4_096},
    {"cool_down_ms": 0.0}, {"ops_size": 1, "refill_ms": 1_000.0}, {"ops_size": 99, "refill_ms": 100.0},
])  # fmt: skip
def test_the_long_run_is_that_of_the_run_request_by_request(changes):
    found = throttle(**changes)
    times = found.times_ns[len(found.times_ns) // 5 :]
    starts = np.flatnonzero(np.diff(times) > 1.5e9 / found.options.device_per_s) + 1
    first, last = (starts[0], starts[-1]) if len(starts) > 1 else (0, len(times) - 1)
    assert found.served_per_s == near((last - first) / (times[last] - times[first]) * 1e9, rel=0.03)


@given(settings_of(ThrottleOptions))
def test_no_more_is_served_than_there_are_tokens_or_than_the_device_can(options):
    """Guard 44: in the whole run, and in any part of it without the burst that is there once."""
    found = throttle(options)
    served, tokens = found.law()
    assert served <= tokens * (1 + 1e-6) + 1
    assert found.served_per_s <= min(options.set_per_s, options.device_per_s) * (1 + 1e-9)
    assert found.served_per_s > 0
    times = found.times_ns[len(found.times_ns) // 2 :]
    most = options.size + options.one_time_burst + 1
    for start in range(0, len(times), max(1, len(times) // 7)):
        span_s = (times[start:] - times[start]) / 1e9
        assert (np.arange(1, len(span_s) + 1) <= most + options.set_per_s * span_s * (1 + 1e-9) + 1e-6).all()
    assert found.sentence().endswith(".") and "nan" not in str(found)


def test_a_request_that_does_not_fit_is_an_error_that_teaches():
    with pytest.raises(ParameterError, match="never let through"):
        throttle(bytes_size=1_024)


def test_the_run_is_the_same_in_plain_python():
    if not have_numba():
        pytest.skip("numba is not installed: the twin is all there is")
    runs = []
    for kernel in (throttle_kernel.compiled, throttle_kernel.interpret):
        buckets, times = np.array([7.0, 3e-7, 20.0, 7.0, 1.0, 9e4, 1e-2, 0.0, 9e4, 4096.0]), np.zeros(400)
        runs.append((kernel(buckets, 1e5, 1e8, 1e10, times), times.tolist(), buckets.tolist()))
    assert runs[0] == runs[1] and runs[0][0] > 20
