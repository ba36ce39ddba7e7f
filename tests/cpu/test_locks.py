"""Spinlocks and preemption: the closed form, what a run conserves, what each kind of lock and each remedy does."""
import math
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError
from virtlab.cpu import critical_sections, lock_waste, locks, longest_stretch, stretches
from virtlab.cpu.lock_records import STATES
from virtlab.cpu.locks import LockOptions

US, MS = 1_000, 1_000_000
SHORT = 1_000  # events: enough for hundreds of acquisitions
KINDS = ("tas", "ticket", "pv")
RUNNING = ("think", "critical", "spin", "exit")

some = settings_of(LockOptions)
kind = pytest.mark.parametrize("kind", KINDS)


def spent(run, state):
    """int64[vms, pcpus]: the time of each vCPU in a state."""
    return run.spent_ns[:, :, STATES.index(state)]


# ------------------------------------------------- the closed form

@pytest.mark.parametrize(("m", "critical_us", "waste_us"), [(2, 5, 5), (4, 5, 15), (4, 50, 150)])
@pytest.mark.parametrize("slice_ms", [0.75, 3, 10])
def test_the_mean_waste_is_c_times_m_minus_1_whatever_the_slice(m, critical_us, waste_us, slice_ms):
    """Golden values of the specification."""
    found = lock_waste(vcpus_per_cpu=m, critical_ns=critical_us * US, slice_ns=slice_ms * MS)
    assert found.mean_ns == waste_us * US
    assert found.law()[0] == pytest.approx(found.law()[1])


@pytest.mark.parametrize(("slice_ms", "p99_ms", "p999_ms", "worst_ms"), [
    (0.4, 1.2, 1.2, 1.2), (3, 0, 9, 9), (10, 0, 0, 30)])
def test_the_slice_moves_the_tail_and_not_the_mean(slice_ms, p99_ms, p999_ms, worst_ms):
    found = lock_waste(vcpus_per_cpu=4, critical_ns=5 * US, slice_ns=slice_ms * MS)
    assert [found.quantile_ns(q) / MS for q in (0.99, 0.999, 1)] == pytest.approx([p99_ms, p999_ms, worst_ms])
    assert found.mean_ns == 15 * US and found.cut_ns == pytest.approx(3 * slice_ms * MS)
    assert found.cut_share == pytest.approx(5 * US / (slice_ms * MS))


@given(settings_of(LockOptions), st.floats(0, 1))
def test_the_quantiles_are_those_of_a_section_that_begins_anywhere_in_a_slice(options, q):
    """A thousand sections that begin at even distances: shares of them to within two thousandths."""
    found, s = lock_waste(options), options.slice_ns
    waste = [math.floor((i + 0.5) / 1000 + options.critical_ns / s) * found.cut_ns for i in range(1000)]
    quantile = found.quantile_ns(q)
    assert sum(w <= quantile * (1 + 1e-9) for w in waste) / 1000 >= q - 0.002
    assert sum(w < quantile * (1 - 1e-9) for w in waste) / 1000 <= q + 0.002
    assert found.law()[0] == pytest.approx(found.law()[1])
    assert found.sentence() and str(found)


def test_a_vcpu_with_a_pcpu_of_its_own_loses_nothing():
    found = lock_waste(vcpus_per_cpu=1)
    assert found.mean_ns == found.cut_share == found.quantile_ns(1) == 0
    assert "not preempted" in found.sentence()


# ------------------------------------------------- the simulation against it

@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("slice_ms", [0.75, 3, 10])
def test_the_simulated_holder_is_late_by_the_closed_form(m, slice_ms):
    """Within four standard errors: the cuts are rare and independent, so their number is Poisson's."""
    options = LockOptions(vcpus_per_cpu=m, critical_ns=50 * US, think_ns=2 * MS, slice_ns=slice_ms * MS)
    run, closed = locks(options), lock_waste(options)
    expected = len(run.extra_ns) * closed.cut_share
    assert expected > 3
    error = closed.mean_ns / math.sqrt(expected)
    assert abs(run.extra_ns.mean() - closed.mean_ns) < 4 * error
    assert set(run.extra_ns.tolist()) == {0, round(closed.cut_ns)}, "a section is whole, or cut once for m - 1 slices"
    assert run.preempted_share == pytest.approx(closed.cut_share, rel=4 / math.sqrt(expected))


def test_a_longer_slice_makes_fewer_and_longer_cuts_of_the_same_mean():
    short, long = (locks(vcpus_per_cpu=4, critical_ns=50 * US, think_ns=2 * MS, slice_ns=s * MS) for s in (0.75, 10))
    assert short.preempted_share > 5 * long.preempted_share > 0
    assert long.extra_ns.max() / short.extra_ns.max() == pytest.approx(10 / 0.75)


def test_a_test_of_the_golden_kind_agrees_with_the_closed_form():
    """The specification's own experiment: a section that begins at random in its holder's slice."""
    draw, n, (m, c, s) = random.Random(3), 100_000, (4, 50.0, 3000.0)
    cuts = sum(draw.uniform(0, s) < c for _ in range(n))
    closed = lock_waste(vcpus_per_cpu=m, critical_ns=50 * US, slice_ns=s * US)
    error = closed.mean_ns / math.sqrt(n * c / s)
    assert abs(cuts / n * closed.cut_ns - closed.mean_ns) < 4 * error


# ------------------------------------------------- what every run keeps

@settings(max_examples=60)
@given(some, st.integers(0, 99))
def test_the_time_of_each_vcpu_and_of_each_pcpu_is_accounted_for_to_the_nanosecond(options, seed):
    run = locks(options, seed=seed, events=SHORT)
    assert run.counts["events"] == SHORT and 0 < run.wall_ns < 2**61, "somebody always has something to do"
    assert (run.spent_ns >= 0).all() and (run.spent_ns.sum(axis=2) == run.wall_ns).all()
    assert (sum(spent(run, state).sum(axis=0) for state in RUNNING) + run.idle_ns == run.wall_ns).all()
    assert run.law()[0] == run.law()[1]
    assert sum(run.spin_ns.values()) == spent(run, "spin")[: run.vms].sum()
    assert run.sentence() and str(run)


@settings(max_examples=40)
@given(some, st.integers(0, 99))
def test_critical_sections_of_one_vm_never_overlap_and_last_as_long_as_they_should(options, seed):
    run = locks(options, seed=seed, events=SHORT, rows=2 * SHORT * options.pcpus)
    sections = critical_sections(run)
    for vm in range(run.vms):
        own = [s for s in sections if s.vm == vm]
        assert all(a.end_ns <= b.start_ns for a, b in pairwise(own))
    extra = [s.end_ns - s.start_ns - options.critical_ns for s in sections if s.end_ns < run.traced_ns]
    ended = len(run.extra_ns) - len(extra)  # with the run itself
    assert 0 <= ended <= run.vms and not Counter(extra) - Counter(run.extra_ns.tolist())
    assert 0 <= run.counts["acquisitions"] - len(sections) <= run.vms, "one that begins with the end has no length"


@settings(max_examples=30)
@given(some, st.integers(0, 99))
def test_a_pcpu_runs_one_vcpu_at_a_time_and_idles_only_when_none_is_ready(options, seed):
    run = locks(options, seed=seed, events=500, rows=4000 * options.pcpus)
    for pcpu in range(options.pcpus):
        here = [s for s in stretches(run) if s.pcpu == pcpu]
        busy = sorted((s for s in here if s.state in RUNNING), key=lambda s: s.start_ns)
        assert all(a.end_ns <= b.start_ns for a, b in pairwise(busy))
        gaps = [(a.end_ns, b.start_ns) for a, b in pairwise(busy) if a.end_ns < b.start_ns]
        if not options.co_scheduled:
            for start, end in gaps:
                assert not any(s.state == "ready" and s.start_ns < end and s.end_ns > start for s in here)


@settings(max_examples=30)
@given(some, st.integers(0, 99))
def test_a_vcpu_spins_for_a_slice_at_a_stretch_at_most(options, seed):
    run = locks(options, seed=seed, events=SHORT, rows=2 * SHORT * options.pcpus)
    longest = max((s.end_ns - s.start_ns for s in stretches(run) if s.state == "spin"), default=0)
    assert longest <= round(options.slice_ns) or options.vcpus_per_cpu == 1


@settings(max_examples=30)
@given(some, st.integers(0, 99))
def test_a_wait_is_at_least_what_was_spun_in_it(options, seed):
    run = locks(options, seed=seed, events=SHORT)
    assert (run.spins_ns <= run.waits_ns).all() and (run.spins_ns >= 0).all()
    assert np.count_nonzero(run.waits_ns) <= run.counts["contended"] <= len(run.waits_ns) == run.counts["acquisitions"]
    assert 0 <= run.absent_share <= 1 and 0 <= run.preempted_share <= 1


@pytest.mark.skipif(not have_numba(), reason="compares with what numba compiles")
@settings(max_examples=15)
@given(some, st.integers(0, 99))
def test_the_compiled_kernel_is_its_python(options, seed):
    compiled = locks(options, seed=seed, events=600, rows=600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIRTLAB_NO_NUMBA", "1")
        plain = locks(options, seed=seed, events=600, rows=600)
    assert plain.counts == compiled.counts and plain.spin_ns == compiled.spin_ns
    for name in ("waits_ns", "spins_ns", "extra_ns", "spent_ns", "idle_ns", "trace"):
        assert np.array_equal(getattr(plain, name), getattr(compiled, name)), name


def test_a_run_depends_on_the_seed_and_on_nothing_else():
    one, again, other = (locks(seed=seed, events=SHORT) for seed in (1, 1, 2))
    assert np.array_equal(one.waits_ns, again.waits_ns) and not np.array_equal(one.waits_ns, other.waits_ns)


# ------------------------------------------------- no preemption, no trouble

@given(settings_of(LockOptions, vcpus_per_cpu=1, rivals="busy"))
@settings(max_examples=25)
def test_with_a_pcpu_for_each_vcpu_no_holder_is_preempted_and_no_time_is_stolen(options):
    run = locks(options, events=SHORT)
    assert run.preempted_share == 0 and run.spin_ns["preempted_holder"] == 0 and not run.extra_ns.any()
    assert run.counts["yields"] == 0, "there is nobody to yield to"
    assert options.lock_kind == "pv" or spent(run, "ready").sum() == 0


@example(LockOptions(co_scheduled=True, lock_kind="pv", pv_spin_ns=10_000, think_ns=20_000, critical_ns=20_000,
                     slice_ns=500_000), 0)  # fmt: skip
@given(settings_of(LockOptions, co_scheduled=True), st.integers(0, 99))
@settings(max_examples=40)
def test_with_co_scheduling_nobody_spins_for_a_preempted_holder(options, seed):
    run = locks(options, seed=seed, events=SHORT)
    assert run.spin_ns["preempted_holder"] == 0


def test_co_scheduling_is_paid_with_idle_pcpus():
    """A pCPU whose vCPU halts waits for the VM's slice to end."""
    options = LockOptions(lock_kind="pv", pv_spin_ns=10 * US, think_ns=20 * US, critical_ns=20 * US, vcpus_per_cpu=2)
    apart, together = locks(options), locks(options, co_scheduled=True)
    assert apart.idle_ns.sum() == 0 < together.idle_ns.sum() / (8 * together.wall_ns)
    assert "idle" in together.price()


@kind
@pytest.mark.parametrize("m", [1, 2, 4])
def test_without_contention_all_locks_are_alike(kind, m):
    """One in a thousand of the time at the lock: what a VM gets is its share of the pCPUs."""
    run = locks(lock_kind=kind, vcpus_per_cpu=m, critical_ns=500, think_ns=4 * MS)
    assert run.acquisitions_per_s == pytest.approx(8 / m / 4e-3, rel=0.12)
    assert run.useful_share == pytest.approx(1 / m, rel=0.05)


# ------------------------------------------------- kinds of lock

@pytest.mark.parametrize("m", [2, 4])
def test_a_ticket_lock_falls_to_a_round_of_the_pcpus_in_a_round_of_the_slices(m):
    """The line sorts itself by who gets its pCPU next: each vCPU takes the lock once in m slices."""
    ticket = locks(lock_kind="ticket", vcpus_per_cpu=m, events=30_000)
    assert ticket.acquisitions_per_s == pytest.approx(8 / (m * 3e-3), rel=0.2)
    assert ticket.absent_share > 1 - 1 / m
    assert ticket.spin_ns["absent_waiter"] > 10 * ticket.spin_ns["preempted_holder"]
    tas = locks(lock_kind="tas", vcpus_per_cpu=m)
    assert tas.acquisitions_per_s > 10 * ticket.acquisitions_per_s
    assert tas.spin_ns["absent_waiter"] == 0, "a free lock is taken by the first who looks"


def test_without_rivals_a_ticket_lock_is_as_good_as_any():
    rates = [locks(lock_kind=kind, vcpus_per_cpu=1).acquisitions_per_s for kind in KINDS]
    assert max(rates) < 1.02 * min(rates)


@pytest.mark.parametrize("m", [2, 4])
def test_a_paravirtual_lock_repairs_the_line(m):
    """By stealing and by halting: a vCPU that halts leaves its pCPU to others and is woken when it is its turn."""
    ticket, pv, tas = (locks(lock_kind=kind, vcpus_per_cpu=m).acquisitions_per_s for kind in ("ticket", "pv", "tas"))
    assert pv > 10 * ticket and pv > 0.8 * tas


def test_waiters_that_spin_briefly_halt_and_are_woken():
    run = locks(lock_kind="pv", pv_spin_ns=10 * US, think_ns=20 * US, critical_ns=20 * US)
    assert run.counts["kicks"] > 0.05 * run.counts["acquisitions"]
    assert run.counts["halts"] <= run.counts["kicks"] + 8, "only the release wakes; eight may be asleep at the end"
    assert run.share("halted") > 0.1 and run.share("spin") < locks(think_ns=20 * US, critical_ns=20 * US).share("spin")


# ------------------------------------------------- pause-loop exiting

@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("kind", ["tas", "ticket"])
def test_ple_wastes_less_and_the_lock_is_taken_more_often(kind, m):
    without, with_ple = (locks(lock_kind=kind, vcpus_per_cpu=m, ple=ple) for ple in (False, True))
    assert with_ple.waste_per_contended_ns < 0.2 * without.waste_per_contended_ns
    assert with_ple.acquisitions_per_s > without.acquisitions_per_s
    assert with_ple.counts["yields"] > 0 == without.counts["ple_exits"]


def test_ple_saves_a_ticket_lock():
    ticket = {ple: locks(lock_kind="ticket", ple=ple).acquisitions_per_s for ple in (False, True)}
    assert ticket[True] > 10 * ticket[False] and ticket[True] > 0.9 * locks(lock_kind="tas").acquisitions_per_s


def test_ple_costs_exits_where_nobody_is_preempted():
    run, without = (locks(vcpus_per_cpu=1, critical_ns=20 * US, ple=ple) for ple in (True, False))
    assert run.counts["ple_exits"] > 0 == run.counts["yields"] and run.share("exit") > 0
    assert run.acquisitions_per_s < 1.01 * without.acquisitions_per_s


def test_a_vm_with_ple_gives_cpu_time_away():
    """What the series of 2011 says of the exit: the guest ends up not running much."""
    run = locks(lock_kind="ticket", vcpus_per_cpu=4, ple=True)
    assert run.share("ready") > 0.8 and locks(lock_kind="ticket", vcpus_per_cpu=4).share("ready") < 0.76


def test_the_window_grows_with_each_exit_and_not_for_ever():
    """In one long wait: 4096 cycles, then twice that, so that 3 ms have at most 11 exits and not a thousand."""
    options = LockOptions(vcpus_per_cpu=1, critical_ns=100 * US, think_ns=1 * MS, ple=True)
    doubling, constant = locks(options), locks(options, ple_window_grow=0)
    assert constant.per("contended", constant.counts["ple_exits"]) > 3 * doubling.per(
        "contended", doubling.counts["ple_exits"])


def test_each_remedy_has_its_price():
    assert "know" in locks(lock_kind="pv", events=SHORT).price() and "exits" in locks(ple=True, events=SHORT).price()
    assert "density" in locks(vcpus_per_cpu=1, events=SHORT).price() and "none" in locks(events=SHORT).price()


# ------------------------------------------------- errors that teach

@pytest.mark.parametrize(("name", "value"), [("lock_kind", "mcs"), ("critical_ns", 499), ("vcpus_per_cpu", 0),
                                             ("pcpus", 1), ("ple_window_cycles", 0), ("pv_spin_ns", -1)])
def test_out_of_range_is_refused_in_a_sentence_that_teaches(name, value):
    with pytest.raises(ParameterError, match=f"{name} must be .*you gave {value!r}: "):
        locks(**{name: value})


def test_a_run_without_events_and_a_quantile_beyond_1_are_refused():
    with pytest.raises(ParameterError, match="a run has 1 to 100,000,000 events"):
        locks(events=0)
    with pytest.raises(ParameterError, match="q must be 0 to 1"):
        lock_waste().quantile_ns(99)


def test_a_trace_that_was_not_asked_for_is_missed():
    with pytest.raises(ParameterError, match="rows=20_000"):
        stretches(locks(events=SHORT))


def test_a_run_in_which_the_lock_is_never_taken_says_so():
    run = locks(think_ns=10 * MS, events=1)
    assert "not taken once" in run.sentence() and "unknown" in str(run) and run.waste_per_contended_ns == 0


def test_the_longest_stretch_of_a_preempted_holder_is_one_cut():
    run = locks(critical_ns=50 * US, events=3_000, rows=30_000)
    cut = longest_stretch(run, "ready", holds=True)
    assert cut is not None and cut in stretches(run, vm=0) and cut.end_ns - cut.start_ns == 3 * MS
    assert cut in stretches(run, 0, cut.start_ns, cut.end_ns) and longest_stretch(run, "halted") is None
