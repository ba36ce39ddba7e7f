"""The scheduler's event loop against SimPy, against itself without numba, and against its own Python."""
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cpu.hosts import hosts
from virtlab.core.jit import have_numba
from virtlab.cpu import ScheduleOptions
from virtlab.cpu import schedule_steps as at
from virtlab.cpu.schedule import arguments_of, run
from virtlab.cpu.schedule_kernel import schedule_kernel

sys.path.append(str(Path(__file__).parents[2] / "bench"))
import simpy_schedule  # noqa: E402  (one copy, which the benchmark times)

needs_numba = pytest.mark.skipif(not have_numba(), reason="numba is not there to compare with")
SMALL = {"most_pcpus": 8, "most_vms": 6, "most_vcpus": 24}


def results(arguments):
    """What the kernel found, as `simpy_schedule` has it: of threads, of pCPUs, waits, counts."""
    _, threads, pcpus, *_, waits, _, counters = arguments
    spent = threads.reshape(-1, at.THREAD)[:, at.RUN : at.LONGEST + 1]
    taken = pcpus.reshape(-1, at.PCPU)[:, at.VCPUS : at.UNUSED + 1]
    return [*spent.ravel().tolist(), *taken.ravel().tolist(), *waits.tolist(), *counters[1:4].tolist()]


@pytest.mark.kernels
@settings(max_examples=100 if have_numba() else 30)
@given(hosts(**SMALL, wall_ns=4_000_000), st.integers(0, 9))
def test_everything_is_to_the_nanosecond_as_simpy_has_it(options, seed):
    """Pinned or free, both policies, on any number of nodes."""
    arguments = arguments_of(options, seed)
    schedule_kernel(*arguments)
    assert results(arguments) == simpy_schedule.Host(options, seed).run()


@needs_numba
@settings(max_examples=40)
@given(hosts(wall_ns=1_000_000), st.integers(0, 9))
def test_without_numba_every_number_is_the_same(options, seed):
    arguments = [arguments_of(options, seed, window_ns=(0, 500_000), most=50) for _ in range(3)]
    schedule_kernel(*arguments[0])
    schedule_kernel.interpret(*arguments[1])
    schedule_kernel.py_func(*arguments[2])
    for compiled, interpreted, python in zip(*arguments, strict=True):
        assert np.array_equal(compiled, interpreted) and np.array_equal(compiled, python)


@needs_numba
@settings(max_examples=30)
@given(hosts(**SMALL, slice_ns=100_000_000, wall_ns=20_000_000_000, duty=1.0, emulator_load=0.0), st.data())
def test_the_longest_runs_of_the_longest_slices_fit_into_64_bits(options, data):
    """Python's integers never overflow: numba's are the same."""
    heavy = options.replace(heavy_weight=data.draw(st.integers(1, 100)))
    compiled, python = arguments_of(heavy, 1), arguments_of(heavy, 1)
    schedule_kernel(*compiled)
    schedule_kernel.interpret(*python)
    assert results(compiled) == results(python)


@needs_numba
def test_a_trace_changes_nothing_of_the_result():
    options = ScheduleOptions(wall_ns=20_000_000)
    plain, traced = run(options, 1)[0], run(options, 1, window_ns=(0, 10_000_000), most=100)[0]
    assert plain.law() == traced.law() and plain.run_ns.tolist() == traced.run_ns.tolist()
