"""Feed-forward queues against the recursion that defines them, against closed forms, and twin against twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.core.jit import have_numba
from virtlab.paths.queueing import fifo, littles_law, md1, mg1, mm1, mm1_sojourn_quantile_ns, tandem

pytestmark = pytest.mark.kernels
RUNS, PACKETS = 12, 100_000
SERVICE_NS = 1000.0
ONE, TIMES = st.just(1), st.floats(0, 1e6, allow_subnormal=False)


def lindley(arrivals, services):
    last, departures = 0.0, []
    for a, s in zip(arrivals, services, strict=True):
        last = max(a, last) + s
        departures.append(last)
    return departures


@st.composite
def queues(draw, servers=ONE):
    packets = draw(st.integers(1, 40))
    rows = st.lists(TIMES, min_size=packets, max_size=packets)
    count = draw(servers)
    return np.cumsum(draw(rows)), np.array(draw(st.lists(rows, min_size=count, max_size=count)))


def sojourns(kind, utilisation, seed):
    """Arrivals, sojourns and services of one run, in ns, without the first tenth (the queue starts empty)."""
    rng = np.random.default_rng([7, seed])
    arrivals = np.cumsum(rng.exponential(SERVICE_NS / utilisation, PACKETS))
    draw = {
        "M": lambda: rng.exponential(SERVICE_NS, PACKETS),
        "D": lambda: np.full(PACKETS, SERVICE_NS),
        "E4": lambda: rng.gamma(4, SERVICE_NS / 4, PACKETS),
    }
    services = draw[kind]()
    departures = fifo(arrivals, services)
    late = slice(PACKETS // 10, None)
    return arrivals[late], (departures - arrivals)[late], services[late]


def assert_mean(samples, expected, within):
    """The mean of independent runs lies within 5 standard errors of `expected`, and these are small enough to tell."""
    error = np.std(samples, ddof=1) / np.sqrt(len(samples))
    assert error < within * expected, f"the runs scatter too much to tell: standard error {error:g} of {expected:g}"
    assert abs(np.mean(samples) - expected) < 5 * error, f"{np.mean(samples):g} +- {error:g}, expected {expected:g}"


# ------------------------------------------------- departures

@settings(deadline=None)
@given(queues())
def test_fifo_is_lindleys_recursion(queue):
    arrivals, (services,) = queue
    np.testing.assert_allclose(fifo(arrivals, services), lindley(arrivals, services), rtol=1e-9, atol=1e-6)


@settings(deadline=None)
@given(queues(servers=st.integers(1, 9)))
def test_tandem_is_one_fifo_after_another(queue):
    arrivals, services = queue
    expected = arrivals
    for row in services:
        expected = lindley(expected, row)
    np.testing.assert_allclose(tandem(arrivals, services), expected, rtol=1e-9, atol=1e-6)


@settings(deadline=None)
@given(queues(servers=st.integers(1, 5)), st.floats(0, 1e5))
def test_longer_services_never_let_a_packet_leave_earlier(queue, longer):
    arrivals, services = queue
    slower = services.copy()
    slower[:, :: 2] += longer
    assert np.all(tandem(arrivals, slower) >= tandem(arrivals, services) - 1e-6)


@pytest.mark.parametrize("servers", [1, 3, 4, 6])
def test_numba_and_numpy_give_the_same_departures(servers, monkeypatch):
    if not have_numba():
        pytest.skip("numba is not there to compare with")
    rng = np.random.default_rng(3)
    arrivals = np.cumsum(rng.exponential(1000.0, PACKETS))
    services = rng.exponential(800.0, (servers, PACKETS))
    compiled = tandem(arrivals, services)
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    np.testing.assert_allclose(tandem(arrivals, services), compiled, rtol=1e-9)


def test_no_packets_give_no_departures():
    assert fifo([], []).shape == (0,)
    assert tandem([], np.zeros((4, 0))).shape == (0,)


def test_lists_and_frozen_arrays_are_taken_and_left_alone():
    arrivals, services = np.array([0.0, 1.0, 20.0]), np.array([5.0, 5.0, 5.0])
    for array in (arrivals, services):
        array.flags.writeable = False
    assert fifo(arrivals, services).tolist() == fifo([0, 1, 20], [5, 5, 5]).tolist() == [5.0, 10.0, 25.0]
    assert arrivals.tolist() == [0.0, 1.0, 20.0]


# ------------------------------------------------- closed forms

def test_closed_forms_at_utilisation_0_8():
    m, d = mm1(rate_per_s=800_000, service_ns=1000), md1(rate_per_s=800_000, service_ns=1000)
    assert (m.utilisation, m.wait_ns, m.sojourn_ns, m.waiting, m.present) == pytest.approx((0.8, 4000, 5000, 3.2, 4))
    assert (d.wait_ns, d.present) == pytest.approx((2000, 2.4))
    assert mg1(800_000, 1000, 4).wait_ns == pytest.approx(10_000)
    assert mm1_sojourn_quantile_ns(800_000, 1000, 0.99) == pytest.approx(5000 * np.log(100))


def test_a_queue_without_load_has_no_wait():
    idle = mm1(0, 1000)
    assert (idle.wait_ns, idle.sojourn_ns, idle.present) == (0, 1000, 0)


@pytest.mark.parametrize("utilisation", [0.5, 0.8])
@pytest.mark.parametrize(("kind", "scv"), [("M", 1.0), ("D", 0.0), ("E4", 0.25)])
def test_mean_wait_is_pollaczek_khinchine(kind, scv, utilisation):
    waits = []
    for seed in range(RUNS):
        _, sojourn, services = sojourns(kind, utilisation, seed)
        waits.append(np.mean(sojourn - services))
    assert_mean(waits, mg1(utilisation / SERVICE_NS * 1e9, SERVICE_NS, scv).wait_ns, within=0.02)


@pytest.mark.parametrize("probability", [0.5, 0.99])
def test_sojourn_quantile_of_mm1(probability):
    found = [np.quantile(sojourns("M", 0.8, seed)[1], probability) for seed in range(RUNS)]
    assert_mean(found, mm1_sojourn_quantile_ns(800_000, SERVICE_NS, probability), within=0.03)


# ------------------------------------------------- Little's law

@pytest.mark.parametrize("kind", ["M", "D"])
def test_littles_law_holds_within_1_percent(kind):
    for seed in range(3):
        arrivals, sojourn, _ = sojourns(kind, 0.8, seed)
        law = littles_law(arrivals, arrivals + sojourn)
        assert abs(law.gap) < 0.01, f"{law} in run {seed}"


def test_little_counts_who_is_present_between_first_and_last_arrival():
    # Two packets of 5 ns each, then one at 10 ns that is not observed further; the dropped one never counts.
    law = littles_law([0, 2, 6, 10], [5, 7, -1, 15])
    assert law.present == pytest.approx((5 + 5) / 10)
    assert law.rate_per_s == pytest.approx(3 / 10e-9)
    assert law.sojourn_ns == pytest.approx(5)


# ------------------------------------------------- errors that teach

@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fifo([2, 1], [1, 1]), ["arrivals", "sorted", "ns", "order of arrival"]),
        (lambda: fifo([-1, 1], [1, 1]), ["arrivals", ">= 0", "ns"]),
        (lambda: fifo([0, np.nan], [1, 1]), ["arrivals", "finite"]),
        (lambda: fifo([0, np.inf], [1, 1]), ["arrivals", "finite"]),
        (lambda: fifo([0, 1], [1, -1]), ["services", ">= 0 ns", "before it began"]),
        (lambda: fifo([0, 1], [np.inf, 1]), ["services", "finite"]),
        (lambda: fifo([0, 1], [1]), ["services", "one time in ns for each arrival"]),
        (lambda: fifo([0, 1], [[1, 1]]), ["services", "vector"]),
        (lambda: tandem([0, 1], [1, 1]), ["services", "[servers, packets]"]),
        (lambda: tandem([0, 1], [[1, 1]] * 4 + [[1, np.nan]]), ["services", "finite"]),
        (lambda: mm1(1e6, 1000), ["rate_per_s", "1e+06 per second", "grows for ever"]),
        (lambda: md1(-1, 1000), ["rate_per_s", ">= 0"]),
        (lambda: mm1(1, 0), ["service_ns", "> 0 ns"]),
        (lambda: mg1(1, 1000, -1), ["service_scv", ">= 0"]),
        (lambda: mm1_sojourn_quantile_ns(1, 1000, 1), ["probability", "[0, 1)"]),
        (lambda: littles_law([0, 1], [1]), ["departures", "shapes"]),
        (lambda: littles_law([0, 5], [1, 4]), ["departures", "before its arrival"]),
        (lambda: littles_law([0, 1], [1, -1]), ["departures", "two packets"]),
    ],
)
def test_bad_input_names_parameter_range_unit_and_reason(call, words):
    with pytest.raises(ValueError) as error:
        call()
    for word in words:
        assert word in str(error.value)
