"""The closed network against textbook mean value analysis, closed forms and an event loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.paths import STORAGE, Station, bounds, closed_network
from virtlab.paths.closed import DEEPEST
from virtlab.paths.closed_kernels import closed_kernel
from virtlab.paths.storage_simulate import run_closed

DEMANDS = st.floats(1.0, 1e6)

pytestmark = pytest.mark.kernels


def textbook(single: list[float], think: float, deepest: int) -> list[float]:
    """Mean value analysis (Reiser and Lavenberg 1980) for single servers and one think time: rates per ns."""
    queues, rates = [0.0] * len(single), []
    for n in range(1, deepest + 1):
        residence = [d * (1 + q) for d, q in zip(single, queues, strict=True)]
        rates.append(n / (think + sum(residence)))
        queues = [rates[-1] * r for r in residence]
    return rates


@given(st.lists(DEMANDS, min_size=1, max_size=5), st.floats(0, 1e6), st.integers(1, 60))
def test_single_servers_and_a_think_time_as_in_mean_value_analysis(demands, think, deepest):
    stations = [*(Station(f"s{i}", d) for i, d in enumerate(demands)), Station("think", think, 0)]
    network = closed_network(stations, deepest)
    assert network.rate_per_s / 1e9 == pytest.approx(textbook(demands, think, deepest), rel=1e-9)


@given(DEMANDS, st.integers(1, 300), st.integers(1, 300))
def test_one_station_of_many_servers_fills_them_one_by_one(demand, servers, deepest):
    network = closed_network([Station("s", demand, servers)], deepest)
    expected = [min(n, servers) / demand * 1e9 for n in range(1, deepest + 1)]
    assert network.rate_per_s == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("deepest", [1, 2, 64, 1024])
def test_more_servers_than_requests_are_as_good_as_any_number(deepest):
    many, any_number = (
        closed_network([Station("a", 500.0), Station("b", 90_000.0, s)], deepest).rate_per_s for s in (deepest, 0)
    )
    assert many == pytest.approx(any_number, rel=1e-12)


@pytest.mark.parametrize("servers", [2, 7])
def test_two_stations_of_several_servers_against_their_balance_equations(servers):
    """A birth-death chain: rate out of a station with n at it is min(n, servers) / demand."""
    a, b, deepest = 300.0, 1000.0, 12
    network = closed_network([Station("a", a, servers), Station("b", b, 3)], deepest)
    weights = [1.0]
    for n in range(1, deepest + 1):  # n at a: in from b, out to b
        weights.append(weights[-1] * (min(deepest - n + 1, 3) / b) / (min(n, servers) / a))
    rate = sum(w * min(n, servers) / a for n, w in enumerate(weights)) / sum(weights)
    assert network.rate_per_s[-1] / 1e9 == pytest.approx(rate, rel=1e-9)


def test_hundreds_of_channels_at_full_load_lose_no_digits():
    network = closed_network([Station("disk", 80_000.0, 512), Station("cpu", 100.0)], DEEPEST)
    assert network.rate_per_s[-1] == pytest.approx(512 / 80_000 * 1e9, rel=1e-6)
    assert np.all(np.diff(network.rate_per_s) >= -1e-9 * network.rate_per_s[1:])


def test_no_depth_overflows():
    network = closed_network([Station("a", 1e9), Station("b", 1.0, 0)], DEEPEST)
    assert np.all(np.isfinite(network.rate_per_s)) and network.rate_per_s[-1] == pytest.approx(1.0)


@given(st.lists(DEMANDS, min_size=1, max_size=4), st.floats(0, 1e6))
def test_the_two_bounds_meet_at_the_knee(demands, think):
    stations = [*(Station(f"s{i}", d) for i, d in enumerate(demands)), Station("think", think, 0)]
    bound, knee = bounds(stations, np.arange(1, 65))
    assert knee == pytest.approx((sum(demands) + think) / max(demands))
    assert bound[0] == pytest.approx(1e9 / (sum(demands) + think))
    assert np.all(closed_network(stations, 64).rate_per_s <= bound * (1 + 1e-9))


@pytest.mark.parametrize(("stations", "deepest", "message"), [
    ([], 4, "takes time"), ([Station("a", 0.0)], 4, "takes time"), ([Station("a", 1.0)], 0, "deepest"),
    ([Station("a", 1.0)], DEEPEST + 1, "deepest"),
])  # fmt: skip
def test_a_network_that_cannot_be_solved_is_refused(stations, deepest, message):
    with pytest.raises(ValueError, match=message):
        closed_network(stations, deepest)


@pytest.mark.parametrize(("demand", "servers"), [(-1.0, 1), (math.inf, 1), (1.0, -1)])
def test_a_station_that_cannot_be_is_refused(demand, servers):
    with pytest.raises(ValueError, match="a request takes time"):
        Station("a", demand, servers)


# --- the event loop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 4, 16, 64])
@pytest.mark.parametrize("path", ["metal", "virtio-blk-sync", "virtio-blk-iothread", "cloud-disk"])
def test_the_event_loop_agrees_with_the_closed_network(path, depth):
    """Within 3 %, the spread of a mean over so many rounds."""
    run = STORAGE[path].simulate(depth=depth, requests=20_000 if depth > 1 else 4_000)
    assert run.iops == pytest.approx(STORAGE[path].depths(deepest=depth).at(depth)[0], rel=0.03 if depth > 1 else 0.06)


@pytest.mark.parametrize("depth", [2, 8, 32])
def test_services_without_spread_wait_less_and_reach_the_bound(depth):
    """The measured runs lie between: a closed network of exponential services is the pessimist of the two."""
    path = STORAGE["virtio-blk-iothread"]
    curve = path.depths(deepest=depth)
    run = path.simulate(depth=depth, spread="constant", requests=2_000)
    assert curve.at(depth)[0] * 0.999 <= run.iops <= curve.bound_iops[-1] * 1.001
    assert run.iops == pytest.approx(curve.bound_iops[-1], rel=0.01)


@pytest.mark.parametrize("depth", [1, 5, 40])
def test_littles_law_is_measured_in_the_event_loop(depth):
    left, right = STORAGE["virtio-blk"].simulate(depth=depth, requests=5_000).law()
    assert left == pytest.approx(right, rel=0.02)


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    runs = [STORAGE["metal"].simulate(depth=8, seed=s, requests=500).iops for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.floats(1, 100)), min_size=1, max_size=4),
    st.integers(1, 9), st.integers(0, 99),
)  # fmt: skip
def test_the_compiled_loop_and_its_python_are_equal(stations, depth, seed):
    rng = np.random.default_rng(seed)
    means, servers = np.array([m for _, m in stations]), np.array([s for s, _ in stations], np.int64)
    factors = rng.exponential(1.0, (50, len(stations)))
    out = []
    for run in (closed_kernel, closed_kernel.interpret):
        k, latency, ends = len(stations), np.zeros(40), np.zeros(40)

        def ints(n):
            return np.zeros(n, np.int64)

        run(depth, servers, means, factors, ints(depth), np.zeros(depth), ints(depth), ints(depth), ints(k), ints(k),
            ints(k), np.zeros(depth), latency, ends)  # fmt: skip
        out.append((latency.copy(), ends.copy()))
    np.testing.assert_array_equal(out[0], out[1])


def test_constant_services_of_one_station_are_served_in_turn():
    latency, ends = run_closed((Station("s", 10.0),), 3, 9, 1, "constant")
    assert ends.tolist() == [10.0 * i for i in range(1, 10)]
    assert latency.tolist() == [10, 20, 30, 30, 30, 30, 30, 30, 30]


@pytest.mark.parametrize("bad", [{"depth": 0}, {"depth": 2000}, {"requests": 10}])
def test_a_run_that_says_nothing_is_refused(bad):
    with pytest.raises(ValueError, match="depth must be 1 to 1024 and requests"):
        STORAGE["metal"].simulate(**bad)
