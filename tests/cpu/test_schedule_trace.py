"""The Gantt chart of the scheduler: who ran where when, within a window and a number."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpu.hosts import hosts
from virtlab.core.parameter import ParameterError
from virtlab.cpu import schedule, schedule_trace

MS = 1_000_000
TWO = {"pcpus": 1, "vms": 1, "vcpus_per_vm": 2, "duty": 1, "emulator_load": 0, "wall_ns": 100 * MS}


@pytest.mark.kernels
@pytest.mark.parametrize("policy", ["cfs", "eevdf"])
def test_two_busy_vcpus_take_turns(policy):
    found = schedule_trace(policy=policy, length_ns=12 * MS, **TWO)
    assert found.intervals == tuple((0, k % 2, 3 * MS * k, 3 * MS * (k + 1)) for k in range(4))


def test_a_thread_that_goes_on_after_its_slice_has_one_interval():
    found = schedule_trace(**TWO | {"vcpus_per_vm": 1}, length_ns=10**9)
    assert found.intervals == ((0, 0, 0, 100 * MS),)


def test_a_heavy_vcpu_that_is_chosen_again_has_one_interval_for_all_its_slices():
    found = schedule_trace(policy="cfs", heavy_weight=3, **TWO | {"vms": 2, "vcpus_per_vm": 1}, start_ns=50 * MS,
                           length_ns=24 * MS)  # fmt: skip
    assert {i.end_ns - i.start_ns for i in found.intervals[1:-1]} == {3 * MS, 9 * MS}


@given(hosts(most_pcpus=8, most_vms=6, most_vcpus=24, wall_ns=2 * MS), st.integers(0, 9))
def test_the_intervals_of_a_whole_run_are_the_run_time_of_each_thread_and_never_overlap(options, seed):
    found = schedule_trace(options, length_ns=options.wall_ns, most=100_000, seed=seed)
    assert found.law() == (0, 0) and found.left_out == 0
    run = np.zeros(options.vcpus + options.emulators, np.int64)
    taken = np.zeros(options.pcpus, np.int64)
    for interval in found.intervals:
        assert 0 <= interval.start_ns < interval.end_ns <= options.wall_ns
        run[interval.thread] += interval.end_ns - interval.start_ns
        taken[interval.pcpu] += interval.end_ns - interval.start_ns
    result = found.schedule
    assert run.tolist() == [*result.run_ns.tolist(), *result.emulator_run_ns.tolist()]
    assert taken.tolist() == (options.wall_ns - result.pcpu_idle_ns).tolist()


@given(hosts(most_pcpus=8, most_vms=6, most_vcpus=24, wall_ns=2 * MS))
def test_a_thread_is_never_on_two_pcpus_at_once(options):
    found = schedule_trace(options, length_ns=options.wall_ns, most=100_000)
    by_thread = sorted(found.intervals, key=lambda i: (i.thread, i.start_ns))
    for a, b in zip(by_thread, by_thread[1:], strict=False):
        assert a.thread != b.thread or a.end_ns <= b.start_ns


def test_a_window_cuts_its_intervals_and_the_result_is_that_of_the_whole_run():
    whole = schedule_trace(length_ns=100 * MS, wall_ns=100 * MS, most=100_000)
    part = schedule_trace(start_ns=20 * MS, length_ns=5 * MS, wall_ns=100 * MS)
    cut = [i._replace(start_ns=max(i.start_ns, 20 * MS), end_ns=min(i.end_ns, 25 * MS)) for i in whole.intervals]
    assert list(part.intervals) == [i for i in cut if i.start_ns < i.end_ns]
    assert part.schedule.run_ns.tolist() == schedule(wall_ns=100 * MS).run_ns.tolist()


def test_there_are_no_more_intervals_than_asked_for_and_the_rest_is_counted():
    whole = schedule_trace(length_ns=20 * MS, wall_ns=50 * MS)
    few = schedule_trace(length_ns=20 * MS, wall_ns=50 * MS, most=30)
    assert len(few.intervals) <= 30 and few.left_out > 0
    assert set(few.intervals) <= set(whole.intervals)
    assert "more are left out" in few.sentence() and "left out" not in whole.sentence()


def test_threads_have_names():
    found = schedule_trace(wall_ns=5 * MS)
    names = [found.name(k) for k in (0, 5, 16, 19)]
    assert names == ["VM 0, vCPU 0", "VM 1, vCPU 1", "VM 0, emulator", "VM 3, emulator"]
    assert "VM 0, " in str(found)


@pytest.mark.parametrize(("name", "value"), [("start_ns", -1), ("start_ns", 10**10), ("length_ns", 0), ("most", 0),
                                             ("most", 10**6), ("length_ns", 1.5)])
def test_a_window_that_is_none_is_refused(name, value):
    with pytest.raises(ParameterError, match=f"{name} must be a whole number from .* you gave {value}"):
        schedule_trace(**{name: value})
