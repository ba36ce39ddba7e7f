"""The scheduler: exact conservation, closed forms of sharing and of queueing, pinning, reserving, memory."""
import dataclasses
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cpu.hosts import hosts
from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError
from virtlab.cpu import Schedule, ScheduleOptions, WaitTimes, schedule
from virtlab.cpu.schedule import arguments_of
from virtlab.cpu.schedule_steps import BUCKETS, count

MS = 1_000_000
POLICIES = ["cfs", "eevdf"]
FREE_OF_CHARGE = {"context_switch_ns": 0, "migration_ns": 0, "emulator_load": 0}
needs_numba = pytest.mark.skipif(not have_numba(), reason="many runs: with numba only")


def busy(per_pcpu, **changes):
    """vCPUs that always run, so many pinned to each of two pCPUs; whole rounds of slices."""
    slice_ns = changes.get("slice_ns", 3 * MS)
    options = {"pcpus": 2, "vms": 2, "vcpus_per_vm": per_pcpu, "duty": 1, "pinning": "vcpus", "emulator_load": 0,
               "wall_ns": 20 * per_pcpu * slice_ns}  # fmt: skip
    return schedule(**options | changes)


def mean_of(name, seeds=range(30), **changes):
    return statistics.fmean(getattr(schedule(seed=seed, **changes), name) for seed in seeds)


# ------------------------------------------------- what holds for all

@pytest.mark.kernels
@settings(max_examples=100 if have_numba() else 30)
@given(hosts(wall_ns=3 * MS if have_numba() else MS), st.integers(0, 9))
def test_all_time_is_accounted_for_to_the_nanosecond(options, seed):
    found = schedule(options, seed=seed)
    left, right = found.law()
    assert left == right
    for field in dataclasses.fields(Schedule):
        if field.name.endswith("_ns"):
            assert getattr(found, field.name).min(initial=0) >= 0, field.name
    assert (found.remote_lost_ns >= 0).all() and (found.remote_ns <= found.run_ns).all()
    assert (found.longest_wait_ns <= found.steal_ns).all()
    assert found.waits.count >= found.responses.count
    assert found.sentence() and str(found)


@given(hosts(wall_ns=2 * MS, duty=0.0))
def test_a_vcpu_that_never_wants_to_run_has_no_steal(options):
    """Steal is runnable but not running: an idle vCPU has none, whoever else is busy."""
    found = schedule(options)
    assert not found.steal_ns.any() and not found.run_ns.any() and (found.idle_ns == options.wall_ns).all()


@given(hosts(most_pcpus=16, most_vms=8, wall_ns=3 * MS, numa_nodes=1, pinning="none", reserved_pcpus=0))
def test_no_thread_waits_while_there_is_a_pcpu_for_each(options):
    if options.vcpus + options.emulators <= options.pcpus:
        found = schedule(options)
        assert not found.steal_ns.any() and not found.emulator_wait_ns.any()


@given(hosts(most_pcpus=16, wall_ns=3 * MS, duty=1.0, numa_nodes=1, pinning="none"))
def test_no_pcpu_is_idle_while_there_is_a_vcpu_for_each(options):
    if options.vcpus >= options.pcpus - options.reserved_pcpus:
        assert not schedule(options).pcpu_idle_ns[options.reserved_pcpus :].any()


@pytest.mark.kernels
def test_a_thread_that_loses_its_place_goes_to_an_idle_pcpu_at_once():
    """Pinned vCPUs take the place of emulators; of eight pCPUs one is always idle for each of the eight threads."""
    found = [schedule(policy="cfs", pcpus=8, vms=4, vcpus_per_vm=1, pinning="vcpus", slice_ns=MS // 10, duty=0.5,
                      emulator_load=0.5, emulator_burst_ns=2 * MS, burst_ns=2 * MS, wall_ns=100 * MS, seed=seed)
             for seed in range(10)]  # fmt: skip
    assert sum(one.preemptions for one in found) > 100
    assert not any(one.emulator_wait_ns.any() for one in found)


# ------------------------------------------------- closed forms: sharing

@pytest.mark.kernels
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_m_busy_vcpus_on_a_pcpu_lose_1_minus_1_by_m_and_wait_m_minus_1_slices(policy, m):
    found = busy(m, policy=policy)
    assert (found.steal_ns * m == (m - 1) * found.options.wall_ns).all()
    assert set(found.longest_wait_ns.tolist()) == {(m - 1) * 3 * MS}
    assert found.steal_share == pytest.approx(1 - 1 / m) and not found.pcpu_idle_ns.any()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_shorter_slice_makes_waits_shorter_and_steal_no_smaller(policy):
    short, long = (busy(3, policy=policy, slice_ns=ns, wall_ns=180 * MS) for ns in (MS, 3 * MS))
    assert short.steal_share == long.steal_share == pytest.approx(2 / 3)
    assert (3 * short.longest_wait_ns == long.longest_wait_ns).all()
    assert short.context_switches == 3 * long.context_switches


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("weight", [1, 2, 3, 7, 50, 100])
@pytest.mark.parametrize("others", [1, 3])
def test_a_weight_is_a_share(policy, weight, others):
    found = schedule(policy=policy, pcpus=1, vms=1 + others, vcpus_per_vm=1, duty=1, heavy_weight=weight,
                     emulator_load=0, wall_ns=20_000 * MS)  # fmt: skip
    shares = found.run_ns / found.options.wall_ns
    assert shares[0] == pytest.approx(weight / (weight + others), abs=1e-3)
    assert shares[1:] == pytest.approx(1 / (weight + others), abs=1e-3)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_vcpu_that_wakes_up_does_not_wait_for_a_slice_of_one_that_always_runs(policy):
    """Wake-up preemption: half the waits are none at all, although another has the pCPU most of the time."""
    found = schedule(policy=policy, pcpus=1, vms=1, vcpus_per_vm=1, duty=1, emulator_load=0.02, pinning="vcpus",
                     slice_ns=10 * MS)  # fmt: skip
    assert found.emulator_waits.count > 500 and found.emulator_waits.quantile_ns(0.5) == 0
    assert found.preemptions > 0.9 * found.emulator_waits.count


# ------------------------------------------------- closed forms: queueing

def machine_repair(n, c, burst, sleep):
    """M/M/c//n: shares of the time that one of n customers is served, waits, and is away. Order does not matter."""
    a = burst / sleep
    weights = [math.comb(n, k) * a**k * (math.factorial(k) / math.factorial(c) / c ** (k - c) if k > c else 1)
               for k in range(n + 1)]  # fmt: skip
    served = sum(min(k, c) * w for k, w in enumerate(weights)) / sum(weights) / n
    waits = sum(max(k - c, 0) * w for k, w in enumerate(weights)) / sum(weights) / n
    return served, waits, 1 - served - waits


@needs_numba
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("slice_ns", [MS // 10, 3 * MS, 100 * MS])
@pytest.mark.parametrize(("pcpus", "vcpus", "duty"), [(1, 4, 0.2), (1, 8, 0.3), (4, 16, 0.3), (8, 32, 0.2)])
def test_exponential_bursts_wait_as_queueing_theory_says_at_any_slice(policy, slice_ns, pcpus, vcpus, duty):
    """A host that keeps no pCPU idle while a vCPU waits is M/M/c//N: the mean does not depend on who runs first."""
    burst = 200_000
    found = [schedule(policy=policy, slice_ns=slice_ns, pcpus=pcpus, vms=vcpus // 4, duty=duty, burst_ns=burst,
                      wall_ns=800 * MS, seed=seed, **FREE_OF_CHARGE) for seed in range(100, 140)]  # fmt: skip
    run, steal, _ = machine_repair(vcpus, pcpus, burst, burst * (1 - duty) / duty)
    for name, expected in (("run_share", run), ("steal_share", steal)):
        values = [getattr(one, name) for one in found]
        error = 4 * statistics.stdev(values) / len(values) ** 0.5
        assert statistics.fmean(values) == pytest.approx(expected, abs=error), name
        assert error < 0.07 * expected


@needs_numba
def test_the_mean_wait_of_a_wake_up_is_that_of_first_come_first_served():
    """One pCPU, slices longer than any burst: what waits in the queue is served to its end (Little's law)."""
    burst, duty, n = 200_000, 0.2, 4
    options = {"pcpus": 1, "vms": 1, "vcpus_per_vm": n, "duty": duty, "burst_ns": burst, "slice_ns": 100 * MS,
               "wall_ns": 800 * MS, "policy": "cfs"} | FREE_OF_CHARGE  # fmt: skip
    runs = [schedule(seed=seed, **options) for seed in range(40)]
    run, steal, _ = machine_repair(n, 1, burst, burst * (1 - duty) / duty)
    mean = sum(r.waits.mean_ns * r.waits.count for r in runs) / sum(r.waits.count for r in runs)
    assert mean == pytest.approx(burst * steal / run, rel=0.05)


# ------------------------------------------------- the host at work: player and referee

PAIR = {"vms": 2, "vcpus_per_vm": 2, "duty": 0.9, "emulator_load": 0.2}


@pytest.mark.kernels
def test_reserved_pcpus_and_pinned_emulators_leave_no_steal_at_one_vcpu_a_pcpu():
    found = schedule(pcpus=5, reserved_pcpus=1, pinning="vcpus+emulators", wall_ns=100 * MS, **PAIR)
    assert not found.steal_ns.any() and not found.longest_wait_ns.any()
    assert found.pcpu_emulator_ns[0] > 0 and not found.pcpu_emulator_ns[1:].any() and not found.pcpu_vcpu_ns[0]


def test_without_reserved_pcpus_the_host_takes_its_work_from_pinned_vcpus():
    """The same VMs on as many pCPUs as vCPUs: the emulators' work has no other place."""
    found = schedule(pcpus=4, pinning="vcpus", **PAIR)
    assert found.steal_share > 0.01 and found.host_share > 0.05


def test_an_emulator_waits_for_the_vcpus_of_its_vm_where_it_is_pinned_among_them():
    alone, among = (schedule(pcpus=4 + reserved, reserved_pcpus=reserved, pinning="vcpus+emulators", policy="eevdf",
                             **PAIR) for reserved in (1, 0))  # fmt: skip
    assert among.emulator_wait_ns.sum() > 2 * alone.emulator_wait_ns.sum() > 0
    assert among.emulator_waits.quantile_ns(0.99) > alone.emulator_waits.quantile_ns(0.99)


def test_a_map_of_pins_says_where_each_vcpu_runs():
    run = schedule(pcpus=4, vms=4, vcpus_per_vm=1, duty=1.0, emulator_load=0.0, context_switch_ns=0, wall_ns=90 * MS,
                   slice_ns=3 * MS, pins={0: 0, 1: 0, 2: 0, 3: 3})  # fmt: skip
    assert run.pcpu_idle_ns.tolist() == [0, 90 * MS, 90 * MS, 0]
    assert run.run_ns.tolist() == [30 * MS, 30 * MS, 30 * MS, 90 * MS], "three share one pCPU, one has its own"
    assert schedule(vms=2, pins={v: v for v in range(8)}).run_ns.tolist() == \
        schedule(vms=2, pinning="vcpus").run_ns.tolist()  # fmt: skip


@pytest.mark.parametrize("pins", [{8: 0}, {0: 8}, {0: 0}, {-1: 3}])
def test_a_pin_to_what_is_not_there_or_is_reserved_is_refused(pins):
    with pytest.raises(ParameterError, match="pins leads vCPUs .0 to 7. to pCPUs that take vCPUs .1 to 7."):
        schedule(vms=2, reserved_pcpus=1, pins=pins)


def test_pinning_costs_pcpus_that_idle_while_vcpus_wait():
    """Twice as many vCPUs as pCPUs: free ones find the idle pCPU, pinned ones wait for theirs."""
    free, pinned = (schedule(pinning=pinning, duty=0.4, emulator_load=0) for pinning in ("none", "vcpus"))
    assert pinned.steal_share > 3 * free.steal_share
    assert pinned.pcpu_idle_share > 0.15 and pinned.waits.quantile_ns(0.99) > free.waits.quantile_ns(0.99)


def test_reserving_costs_density():
    plain, reserved = (schedule(pcpus=8, reserved_pcpus=r, vms=8 - r, vcpus_per_vm=1, wall_ns=MS) for r in (0, 2))
    assert (plain.vcpus_per_pcpu, reserved.vcpus_per_pcpu) == (1, 0.75)
    assert reserved.vcpus_per_core == 1.5 and reserved.options.threads_per_core == 2


def test_steal_does_not_show_the_cost_of_virtualization():
    """Switches and cold caches make the guest slow, and its steal is 0: it ran all the time that it wanted."""
    found = schedule(pcpus=4, vms=1, vcpus_per_vm=4, pinning="vcpus", emulator_load=0, context_switch_ns=50_000,
                     burst_ns=200_000, wall_ns=100 * MS)  # fmt: skip
    assert not found.steal_ns.any() and found.overhead_ns.min() > 0
    assert (found.work_ns == found.run_ns - found.overhead_ns).all()
    assert found.overhead_ns.sum() == pytest.approx(50_000 * found.context_switches, abs=4 * 50_000)


@needs_numba
def test_more_pcpus_never_mean_more_steal_in_the_mean():
    steal = [mean_of("steal_share", pcpus=pcpus, wall_ns=200 * MS) for pcpus in (2, 3, 4, 6, 8, 12, 16)]
    assert steal == sorted(steal, reverse=True) and steal[0] > 0.3 > 0.001 > steal[-1]


# ------------------------------------------------- memory

TWO_NODES = {"pcpus": 8, "numa_nodes": 2, "memory_share": 0.5, "remote_factor": 2.0, "wall_ns": 100 * MS,
             "context_switch_ns": 0, "migration_ns": 0}  # fmt: skip


def test_vcpus_that_stay_with_their_memory_lose_nothing_to_it():
    found = schedule(placement="local", **TWO_NODES)
    assert found.local_share == 1 and not found.remote_ns.any()
    assert (found.work_ns == found.run_ns).all()


@pytest.mark.parametrize(("nodes", "slowdown"), [(1, 1), (2, 1.25), (4, 1.375)])
def test_interleaved_memory_makes_all_work_slower_by_its_remote_part(nodes, slowdown):
    """Half the time waits for memory; of that 1 - 1/nodes takes twice as long."""
    found = schedule(**TWO_NODES | {"placement": "interleaved", "numa_nodes": nodes})
    assert found.local_share == 1 / nodes
    assert found.run_ns.sum() / found.work_ns.sum() == pytest.approx(slowdown, rel=1e-4)


def test_a_vcpu_pinned_far_from_its_memory_takes_the_time_of_remote_memory():
    """A VM of 8 vCPUs over two nodes: the memory lies where the first one touched it."""
    found = schedule(placement="free", pinning="vcpus", vms=1, vcpus_per_vm=8, duty=1, emulator_load=0, **TWO_NODES)
    wall = found.options.wall_ns
    assert found.remote_ns.tolist() == [0] * 4 + [wall] * 4
    assert found.work_ns / wall == pytest.approx([1] * 4 + [1 / 1.5] * 4, rel=1e-4)
    assert found.local_share == 0.5


@pytest.mark.parametrize("changes", [{"remote_factor": 1.0}, {"memory_share": 0.0}])
def test_where_no_memory_is_slower_or_none_is_used_its_place_does_not_matter(changes):
    for placement in ("free", "interleaved"):
        assert not schedule(placement=placement, **TWO_NODES | changes).remote_lost_ns.any()


def test_a_free_vcpu_prefers_the_node_of_its_memory():
    found = schedule(placement="free", **TWO_NODES | {"vms": 2, "duty": 0.2, "wall_ns": 500 * MS})
    assert 0.6 < found.local_share < 1
    with_none_free = schedule(placement="free", **TWO_NODES | {"vms": 8, "duty": 0.9})
    assert with_none_free.local_share < found.local_share


# ------------------------------------------------- chance

@pytest.mark.kernels
def test_a_run_depends_on_its_seed_and_on_nothing_else():
    one, again, other = (schedule(wall_ns=20 * MS, seed=seed) for seed in (1, 1, 2))
    for field in dataclasses.fields(Schedule):
        value, same = getattr(one, field.name), getattr(again, field.name)
        if isinstance(value, np.ndarray):
            assert value.tolist() == same.tolist(), field.name
    assert one.waits.counts.tolist() == again.waits.counts.tolist() and one.events == again.events
    assert one.run_ns.tolist() != other.run_ns.tolist()


def test_other_vms_change_nothing_of_what_a_vm_wants():
    """With a pCPU for each, the first VM does to the nanosecond what it does alone: settings differ by the setting."""
    few, many = (schedule(pcpus=64, vms=vms, pinning="vcpus", emulator_load=0, wall_ns=50 * MS) for vms in (1, 16))
    assert few.run_ns.tolist() == many.run_ns[:4].tolist()


@needs_numba
@pytest.mark.parametrize("duty", [0.01, 0.3, 0.9])
def test_a_vcpu_that_never_waits_runs_for_its_duty(duty):
    options = {"pcpus": 64, "vms": 16, "pinning": "vcpus", "burst_ns": 200_000} | FREE_OF_CHARGE
    assert mean_of("run_share", range(8), duty=duty, **options) == pytest.approx(duty, rel=0.02)


# ------------------------------------------------- distributions

@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_that_of_the_times_to_one_part_in_128(times, share):
    waits = [0] * BUCKETS
    for ns in times:
        count(waits, 0, ns)
    found = WaitTimes(np.array(waits))
    exact = sorted(times)[max(0, math.ceil(share * len(times)) - 1)]
    assert found.quantile_ns(share) == pytest.approx(exact, rel=1 / 128, abs=0.5)
    assert found.count == len(times) and found.mean_ns == pytest.approx(statistics.fmean(times), rel=1 / 128, abs=0.5)
    at, shares = found.curve()
    assert (np.diff(at) > 0).all() and (np.diff(shares) > 0).all() and shares[-1] == 1


def test_no_times_have_no_quantile():
    nothing = schedule(duty=0, emulator_load=0, wall_ns=MS)
    assert math.isnan(nothing.waits.quantile_ns(0.5)) and math.isnan(nothing.waits.mean_ns)
    assert "no wake-ups" in str(nothing) and "wakes up" not in nothing.sentence()


def test_a_response_takes_its_burst_and_the_wait():
    found = schedule(pcpus=64, vms=16, pinning="vcpus", burst_ns=200_000, **FREE_OF_CHARGE)
    assert found.responses.mean_ns == pytest.approx(200_000, rel=0.02), "nobody waits"
    assert found.responses.quantile_ns(0.99) == pytest.approx(200_000 * math.log(100), rel=0.05), "exponential"


def test_the_result_reads_as_a_sentence_and_a_table():
    found = busy(3)
    assert found.sentence() == (
        "6 vCPUs on 2 pCPUs (3 for each) ran 33.3 % of the time, waited 66.7 % of it (steal) and had nothing to do for"
        " 0 %; the pCPUs were idle for 0 %; a vCPU that wakes up waits 3 ms in the middle, 6 ms or more once in 100"
        " times and 6 ms once in 1,000.")  # fmt: skip
    assert "steal (runnable, but not running)" in str(found) and "99.9" in str(schedule(wall_ns=MS).waits)
    assert "an emulator thread" in schedule(wall_ns=10 * MS).sentence()


# ------------------------------------------------- errors that teach

@pytest.mark.parametrize(("changes", "match"), [
    ({"vms": 64, "vcpus_per_vm": 5}, "at most 256 vCPUs; you gave 64 x 5 = 320"),
    ({"pcpus": 4, "reserved_pcpus": 4}, "reserved_pcpus must be fewer than pcpus; you gave 4 of 4"),
    ({"pcpus": 2, "numa_nodes": 3}, "numa_nodes must be at most pcpus; you gave 3 nodes for 2"),
    ({"pinning": "all"}, "pinning must be none or vcpus or vcpus.emulators; you gave 'all'"),
    ({"slice_ns": 0}, "slice_ns must be 100,000 to 100,000,000 ns; you gave 0: "),
    ({"seed": -1}, "seed must be a whole number of 0 or more; you gave -1"),
    ({"wall_ns": 20_000 * MS, "pcpus": 64, "vms": 64, "emulator_load": 0.9, "emulator_burst_ns": 5_000},
     "wall_ns must be shorter"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence_that_teaches(changes, match):
    with pytest.raises(ParameterError, match=match):
        schedule(**changes)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_quantile_of_no_share_is_refused(share):
    with pytest.raises(ParameterError, match="share from 0 to 1; you gave"):
        schedule(wall_ns=MS).waits.quantile_ns(share)


def test_any_end_of_the_ranges_fits_into_the_default_time():
    """The most wake-ups that a setting of 1 s can have are fewer than a run can hold."""
    assert arguments_of(ScheduleOptions(pcpus=64, vms=64, duty=0.999, burst_ns=20_000, emulator_load=0.999,
                                        emulator_burst_ns=5_000), 1)  # fmt: skip
