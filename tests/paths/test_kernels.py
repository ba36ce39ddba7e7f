"""The packet path with feedback: against SimPy, against itself without numba, against results worked out by hand."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.core.jit import have_numba, jit
from virtlab.paths import kernels
from virtlab.paths.kernels import COUNTERS, UNBOUNDED, PathRun, path_kernel, run_path
from virtlab.paths.queueing import fifo, tandem

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "bench"))
import simpy_path  # noqa: E402  (one copy, which the benchmark times)

pytestmark = pytest.mark.kernels
PACKETS = 100_000 if have_numba() else 3_000  # of one long run
RUNS = 10
FLAGS = ["worker_polls", "guest_polls", "napi"]
needs_numba = pytest.mark.skipif(not have_numba(), reason="numba is not there to compare with")


@st.composite
def settings_of_a_path(draw, most=60):
    """Arguments of run_path: random times (no two events at once), any load, any option."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, most))
    mean = {k: draw(st.sampled_from([0.1, 0.5, 1.0, 3.0])) * 1000 for k in ("s1", "s2", "s3", "s4")}
    given = {"arrivals": np.cumsum(rng.exponential(1500.0, n))}
    given |= {k: rng.exponential(m, n) for k, m in mean.items()}
    given["s4"] *= rng.random(n) < draw(st.sampled_from([0, 0.5, 1]))  # some packets need no application
    given |= {k: draw(st.integers(1, 8)) for k in ("queue_limit", "budget", "ring", "irq_frames")}
    given |= {k: rng.exponential(1000.0) for k in ("c_batch", "c_wake", "irq_delay", "c_irq", "c_guest_wake")}
    given |= {k: draw(st.booleans()) for k in FLAGS}
    edges = np.sort(rng.uniform(0, 1500.0 * n, 2 * draw(st.integers(0, 6))))
    return given | {"bursts": edges.reshape(-1, 2)}


def spread_of(times):
    """A run in which nothing but the given options takes time."""
    return {"budget": 1, "ring": UNBOUNDED, "guest_polls": True} | times


def scalars(run):
    return {name: getattr(run, name) for name in COUNTERS}


# ------------------------------------------------- oracles

@settings(deadline=None, max_examples=200)
@given(settings_of_a_path())
def test_departures_and_counts_are_those_of_simpy(given):
    run = run_path(**given)
    services = [given.pop(k).tolist() for k in ("s1", "s2", "s3", "s4")]
    model = simpy_path.Path(given.pop("arrivals").tolist(), services, **given | {"bursts": given["bursts"].tolist()})
    np.testing.assert_allclose(run.departure_ns, model.run(), rtol=1e-8)
    for name in ("dropped", "interrupts", "worker_wakeups", "guest_wakeups", "batches"):
        assert getattr(run, name) == getattr(model, name), name


@needs_numba
@settings(deadline=None)
@given(settings_of_a_path())
def test_without_numba_every_number_is_the_same(given):
    compiled = run_path(**given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIRTLAB_NO_NUMBA", "1")
        plain = run_path(**given)
    assert compiled.departure_ns.tolist() == plain.departure_ns.tolist()
    assert scalars(compiled) == scalars(plain)


@needs_numba
@settings(deadline=None, max_examples=30)
@given(settings_of_a_path(most=20))
def test_the_compiled_kernel_is_its_py_func(given):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "path_kernel", path_kernel.py_func)
        python = run_path(**given)
    compiled = run_path(**given)
    assert compiled.departure_ns.tolist() == python.departure_ns.tolist()
    assert scalars(compiled) == scalars(python)


@pytest.mark.parametrize("stage", ["s1", "s2", "s3", "s4"])
def test_one_stage_alone_is_a_fifo_queue(stage):
    rng = np.random.default_rng(5)
    arrivals, services = np.cumsum(rng.exponential(1000.0, PACKETS)), rng.exponential(800.0, PACKETS)
    run = run_path(arrivals, **spread_of({stage: services}))
    np.testing.assert_allclose(run.departure_ns, fifo(arrivals, services), rtol=1e-8)


def test_three_servers_in_a_row_are_a_tandem():
    rng = np.random.default_rng(6)
    arrivals, services = np.cumsum(rng.exponential(1000.0, PACKETS)), rng.exponential(700.0, (3, PACKETS))
    run = run_path(arrivals, *services, **spread_of({}))
    np.testing.assert_allclose(run.departure_ns, tandem(arrivals, services), rtol=1e-8)


def test_a_batch_of_one_pays_the_batch_cost_each_time():
    rng = np.random.default_rng(7)
    arrivals, services = np.cumsum(rng.exponential(1000.0, PACKETS)), rng.exponential(500.0, PACKETS)
    run = run_path(arrivals, **spread_of({"s2": services, "c_batch": 200.0}))
    np.testing.assert_allclose(run.departure_ns, fifo(arrivals, services + 200.0), rtol=1e-8)


def test_share_of_drops_is_that_of_m_m_1_k():
    rho, limit, shares = 0.9, 4, []
    for seed in range(RUNS):
        rng = np.random.default_rng([8, seed])
        arrivals, services = np.cumsum(rng.exponential(1000.0 / rho, PACKETS)), rng.exponential(1000.0, PACKETS)
        shares.append(run_path(arrivals, **spread_of({"s2": services, "queue_limit": limit})).dropped / PACKETS)
    k = limit + 1  # those that wait and the one in service
    expected, error = (1 - rho) * rho**k / (1 - rho ** (k + 1)), np.std(shares, ddof=1) / np.sqrt(RUNS)
    assert error < 0.1 * expected
    assert abs(np.mean(shares) - expected) < 5 * error, f"{np.mean(shares):g} +- {error:g}, expected {expected:g}"


# ------------------------------------------------- laws that hold at every setting

@settings(deadline=None)
@given(settings_of_a_path())
def test_nothing_is_lost_and_nobody_works_longer_than_the_run(given):
    run = run_path(**given)
    n, limits = len(given["arrivals"]), given
    departed = run.departure_ns >= 0
    assert departed.sum() + run.dropped == n
    assert run.max_ring <= limits["ring"]
    assert run.guest_wakeups <= run.interrupts <= run.batches <= departed.sum() <= run.batches * limits["budget"]
    assert run.worker_wakeups <= run.batches
    consumed = departed.sum() + np.sum(departed & (given["s4"] > 0))
    assert run.events == 2 * n + run.batches + run.interrupts + consumed
    for busy in (run.front_busy_ns, run.worker_busy_ns, run.consumer_busy_ns):
        assert 0 <= busy <= run.end_ns * (1 + 1e-12)


@settings(deadline=None)
@given(settings_of_a_path())
def test_each_server_is_busy_for_the_sum_of_its_costs(given):
    run = run_path(**given)
    departed = run.departure_ns >= 0
    worker = given["s2"][departed].sum() + run.batches * given["c_batch"] + run.worker_wakeups * given["c_wake"]
    consumer = (given["s3"] + given["s4"])[departed].sum()
    consumer += run.interrupts * given["c_irq"] + run.guest_wakeups * given["c_guest_wake"]
    assert run.front_busy_ns == pytest.approx(given["s1"].sum())
    assert (run.worker_busy_ns, run.consumer_busy_ns) == pytest.approx((worker, consumer))


@settings(deadline=None)
@given(settings_of_a_path())
def test_no_packet_is_faster_than_its_services(given):
    run = run_path(**given)
    departed = run.departure_ns >= 0
    least = given["s1"] + given["s2"] + given["s3"] + given["s4"] + given["c_batch"]
    assert np.all(run.latency_ns[departed] >= least[departed] - 1e-6)
    assert np.all(run.latency_ns[~departed] == -1)


@settings(deadline=None)
@given(settings_of_a_path())
def test_twice_the_times_give_twice_the_departures(given):
    slow = {k: v * 2 if isinstance(v, float) or np.ndim(v) else v for k, v in given.items()}
    run, slower = run_path(**given), run_path(**slow)
    departed = run.departure_ns >= 0
    assert slower.departure_ns[departed].tolist() == (2 * run.departure_ns[departed]).tolist()
    assert slower.interrupts == run.interrupts


@settings(deadline=None)
@given(settings_of_a_path())
def test_polling_wakes_nobody(given):
    run = run_path(**given | {"worker_polls": True, "guest_polls": True})
    assert (run.worker_wakeups, run.interrupts, run.guest_wakeups) == (0, 0, 0)


# ------------------------------------------------- by hand

LONE = {"c_batch": 20.0, "c_wake": 30.0, "irq_frames": 8, "irq_delay": 500.0, "c_irq": 40.0, "c_guest_wake": 50.0}


def test_a_lone_packet_pays_every_cost_once():
    run = run_path([100.0, 1e6], 1.0, 2.0, 3.0, 4.0, napi=True, **LONE)
    assert run.latency_ns == pytest.approx([650.0, 650.0])
    assert (run.interrupts, run.worker_wakeups, run.guest_wakeups, run.batches) == (2, 2, 2, 2)


def test_a_polling_worker_and_guest_save_the_wake_ups_and_the_interrupt():
    run = run_path([100.0], 1.0, 2.0, 3.0, 4.0, worker_polls=True, guest_polls=True, **LONE)
    assert run.latency_ns == pytest.approx([30.0])


def test_the_interrupt_timer_runs_from_the_first_pending_packet():
    run = run_path([0.0, 60.0, 90.0], irq_frames=8, irq_delay=100.0)
    assert run.departure_ns.tolist() == [100.0, 100.0, 100.0]
    assert run.interrupts == 1


def test_enough_pending_packets_interrupt_at_once():
    run = run_path([0.0, 60.0, 90.0], irq_frames=2, irq_delay=100.0)
    assert run.departure_ns.tolist() == [60.0, 60.0, 190.0]  # the timer of the third starts anew
    assert run.interrupts == 2


def test_softirq_goes_before_the_application():
    run = run_path([0.0, 0.0], s3=10.0, s4=100.0, irq_frames=2, irq_delay=1e6)
    assert run.departure_ns.tolist() == [120.0, 220.0]


def test_a_packet_without_application_leaves_with_the_softirq():
    run = run_path([0.0, 0.0, 0.0], s3=10.0, s4=[100.0, 0.0, 100.0], irq_frames=3, irq_delay=1e6)
    assert run.departure_ns.tolist() == [130.0, 20.0, 230.0]


def test_softirq_does_not_cut_into_a_packet_of_the_application():
    run = run_path([0.0, 50.0], s3=10.0, s4=100.0)
    assert run.departure_ns.tolist() == [110.0, 220.0]  # second: waits until 110, softirq to 120, application to 220


def test_an_interrupt_delays_what_the_guest_does_next():
    run = run_path([0.0, 50.0], s3=10.0, s4=100.0, c_irq=5.0, c_guest_wake=7.0)
    assert run.departure_ns.tolist() == [122.0, 237.0]  # the second finds the vCPU awake: only c_irq
    assert (run.interrupts, run.guest_wakeups) == (2, 1)


def test_napi_needs_no_interrupt_while_the_guest_is_at_work_on_the_ring():
    busy = {"s3": 100.0, "irq_frames": 8, "irq_delay": 1000.0}
    assert run_path([0.0, 1050.0], napi=True, **busy).departure_ns.tolist() == [1100.0, 1200.0]
    assert run_path([0.0, 1050.0], napi=False, **busy).departure_ns.tolist() == [1100.0, 2150.0]


def test_napi_needs_an_interrupt_while_the_application_runs():
    run = run_path([0.0, 50.0], s3=10.0, s4=100.0, napi=True)
    assert run.interrupts == 2


def test_the_worker_takes_at_most_its_budget():
    run = run_path(np.zeros(10), s2=1.0, c_batch=100.0, budget=4)
    assert run.batches == 4  # the first is alone when the worker starts: 1 + 4 + 4 + 1
    assert run.departure_ns.tolist() == [101.0] + [205.0] * 4 + [309.0] * 4 + [410.0]


def test_the_worker_stands_still_during_a_burst_of_the_neighbour():
    within = run_path([0.0], s2=100.0, bursts=[(50.0, 80.0), (120.0, 125.0), (135.0, 200.0)])
    assert within.departure_ns.tolist() == [135.0]
    assert within.worker_busy_ns == 100.0
    assert run_path([60.0], s2=100.0, bursts=[(50.0, 80.0)]).departure_ns.tolist() == [180.0]


def test_a_packet_that_finds_the_queue_full_is_dropped():
    run = run_path([0.0, 1.0, 2.0, 3.0, 150.0], s2=100.0, budget=1, queue_limit=2)
    assert run.departure_ns.tolist() == [100.0, 200.0, 300.0, -1.0, 400.0]
    assert run.dropped == 1


def test_a_full_ring_holds_the_worker_back_and_loses_nothing():
    run = run_path(np.zeros(6), s2=1.0, s3=100.0, ring=2)
    # Batches end at 1 (alone) and 2 (one entry left); from then on each freed entry lets one packet through.
    assert run.departure_ns.tolist() == [101.0, 201.0, 301.0, 401.0, 501.0, 601.0]
    assert (run.max_ring, run.dropped) == (2, 0)
    assert run.ring_stalls > 0


def test_a_slow_guest_makes_the_queue_before_the_worker_overflow():
    n = 500
    run = run_path(np.arange(n) * 10.0, s2=1.0, s3=20.0, ring=16, queue_limit=32)
    assert run.max_ring == 16
    assert run.dropped == pytest.approx(n / 2, abs=16 + 32 + 2)  # the guest takes every second; the rest is under way


# ------------------------------------------------- directions

def long_run(**options):
    rng = np.random.default_rng(9)
    arrivals = np.cumsum(rng.exponential(1500.0, PACKETS))
    services = [np.full(PACKETS, 300.0), rng.exponential(200.0, PACKETS), rng.exponential(500.0, PACKETS), 100.0]
    return run_path(arrivals, *services, **{"c_batch": 200.0, "ring": UNBOUNDED, "irq_frames": UNBOUNDED} | options)


def test_napi_suppresses_interrupts():
    assert long_run(napi=True).interrupts < 0.9 * long_run(napi=False).interrupts


def test_a_longer_interrupt_delay_never_sends_more_interrupts():
    counts = [long_run(irq_delay=delay).interrupts for delay in (0.0, 1e3, 3e3, 1e4, 1e5, 1e6)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0] / 100


def test_a_longer_queue_never_drops_more():
    arrivals = np.cumsum(np.random.default_rng(10).exponential(1000.0, PACKETS))
    drops = [run_path(arrivals, s2=950.0, budget=1, queue_limit=limit).dropped for limit in (1, 2, 4, 8, 16, 64)]
    assert drops == sorted(drops, reverse=True)
    assert drops[0] > 0


def test_more_bursts_never_let_a_packet_leave_earlier():
    rng = np.random.default_rng(11)
    arrivals, services = np.cumsum(rng.exponential(1000.0, PACKETS)), rng.exponential(500.0, PACKETS)
    start = np.arange(0.0, arrivals[-1], 50_000.0)
    one, two = [np.stack([start, start + length], axis=1) for length in (5_000.0, 10_000.0)]
    runs = [run_path(arrivals, **spread_of({"s2": services, "bursts": b})).departure_ns for b in ((), one, two)]
    assert np.all(runs[0] <= runs[1] + 1e-6) and np.all(runs[1] <= runs[2] + 1e-6)
    assert runs[2].mean() > runs[0].mean()


# ------------------------------------------------- the front door

def test_frozen_and_integer_arrays_are_taken_and_left_alone():
    arrivals = np.array([0, 10, 20])
    arrivals.flags.writeable = False
    run = run_path(arrivals, s1=[1, 2, 3])
    assert run.latency_ns.tolist() == [1.0, 2.0, 3.0]
    assert isinstance(run, PathRun)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arrivals": []}, ["arrivals", "at least one"]),
        ({"arrivals": [2.0, 1.0, 3.0]}, ["arrivals", "sorted", "ns"]),
        ({"arrivals": [-1.0, 1.0, 3.0]}, ["arrivals", ">= 0", "ns"]),
        ({"arrivals": [0.0, 1.0, np.nan]}, ["arrivals", "finite", "ns"]),
        ({"s1": [1.0, 2.0]}, ["s1", "3 of them", "gave 2"]),
        ({"s2": -1.0}, ["s2", ">= 0 ns", "before it began"]),
        ({"s3": np.inf}, ["s3", "finite", "ns"]),
        ({"s4": [[1.0, 2.0, 3.0]]}, ["s4", "vector", "ns"]),
        ({"queue_limit": 0}, ["queue_limit", ">= 1", "packets", "gave 0"]),
        ({"budget": 1.5}, ["budget", "whole number", "packets"]),
        ({"ring": -4}, ["ring", ">= 1", "packets"]),
        ({"irq_frames": np.nan}, ["irq_frames", "whole number"]),
        ({"irq_delay": np.inf}, ["irq_delay", "finite", "ns"]),
        ({"c_batch": -1.0}, ["c_batch", ">= 0 ns", "never gained"]),
        ({"c_guest_wake": np.nan}, ["c_guest_wake", "finite"]),
        ({"bursts": [(0.0, 10.0), (5.0, 20.0)]}, ["bursts", "disjoint", "ns"]),
        ({"bursts": [0.0, 10.0, 20.0]}, ["bursts", "pairs"]),
    ],
)
def test_bad_input_names_parameter_range_unit_and_reason(change, words):
    with pytest.raises(ValueError) as error:
        run_path(**{"arrivals": [0.0, 1.0, 2.0]} | change)
    for word in words:
        assert word in str(error.value)


# ------------------------------------------------- optional numba

def python(*arguments, numba=True):
    env = {k: v for k, v in os.environ.items() if k != "VIRTLAB_NO_NUMBA"} | {"PYTHONPATH": str(ROOT)}
    env |= {} if numba else {"VIRTLAB_NO_NUMBA": "1"}
    done = subprocess.run([sys.executable, *arguments], env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_paths_does_not_import_numba():
    code = "import sys, virtlab.paths.kernels, virtlab.paths.queueing; print('numba' in sys.modules)"
    assert python("-c", code) == "False"


def test_a_kernel_runs_without_numba_when_told_to():
    code = "import sys; from virtlab.paths.kernels import run_path; print(run_path([5.0], s1=2.0).departure_ns[0])"
    assert python("-c", code + "; print('numba' in sys.modules)", numba=False).split() == ["7.0", "False"]


@needs_numba
def test_all_kernels_are_warmed_in_one_call():
    warmed = python("-m", "virtlab.core.jit")
    for name in ("kernels.path_kernel", "queueing.fifo_kernel", "queueing.fifo4_kernel"):
        assert f"virtlab.paths.{name}" in warmed


def test_warming_without_numba_says_so():
    assert "nothing to compile" in python("-m", "virtlab.core.jit", numba=False)


@jit(lambda: (1.0,))
def half(x):
    return x / 2


@jit(lambda: (np.zeros(2), np.zeros(2)))
def halves(values, out):
    for i in range(len(values)):
        out[i] = half(values[i])


def test_a_kernel_may_call_another():
    out = np.zeros(3)
    halves(np.array([2.0, 4.0, 6.0]), out)
    assert out.tolist() == [1.0, 2.0, 3.0]


def test_plain_python_gets_lists_and_its_results_come_back(monkeypatch):
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    seen = []

    @jit(lambda: (np.zeros(1),))
    def kernel(values, scale=1):
        seen.append(type(values))
        values[0] = 7 * scale

    out, frozen = np.zeros(2), np.zeros(1)
    frozen.flags.writeable = False
    kernel(out, scale=2)
    kernel(frozen)
    assert out.tolist() == [14.0, 0.0]
    assert frozen.tolist() == [0.0]
    assert seen == [list, list]


def test_an_array_given_twice_stays_one(monkeypatch):
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")

    @jit(lambda: (np.zeros(1), np.zeros(1)))
    def kernel(a, b):
        a[0] = 1.0
        b[0] += 1.0

    both = np.zeros(1)
    kernel(both, both)
    assert both.tolist() == [2.0]


def test_kernels_may_ask_for_arrays(monkeypatch):
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    kernel = jit(lambda: (np.zeros(1),), lists=False)(lambda a: type(a).__name__)
    assert kernel(np.zeros(1)) == "ndarray"


def test_a_kernel_that_cannot_be_cached_runs_all_the_same():
    scope = {}
    exec("def twice(x):\n    return 2 * x", scope)  # no file, beside which numba would keep its cache
    assert jit(lambda: (1.0,))(scope["twice"])(4.0) == 8.0


def test_a_kernel_is_pickled_by_name():
    assert pickle.loads(pickle.dumps(path_kernel)) is path_kernel
    assert path_kernel.__name__ == "path_kernel"


def test_threads_may_share_a_kernel():
    arrivals = np.cumsum(np.random.default_rng(12).exponential(1000.0, 500))
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: run_path(arrivals, 300.0, 200.0, 100.0, 50.0).departure_ns.tolist(), range(16)))
    assert all(run == runs[0] for run in runs)
