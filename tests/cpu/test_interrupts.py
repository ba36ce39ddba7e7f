"""What one interrupt costs: the table by mode and state, the latency over the states, and bursts."""
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.cpu import burst, interrupts
from virtlab.cpu.interrupts import STATES, InterruptOptions
from virtlab.paths import LADDER

MODES = ("emulated", "pv-eoi", "apicv", "posted")


# ------------------------------------------------- the table

@pytest.mark.parametrize(("how", "exits"), [*zip(MODES, (2, 1, 0, 0), strict=True)])
@pytest.mark.parametrize("source", ["irqfd", "ipi"])
def test_a_running_vcpu_pays_two_exits_one_or_none(how, exits, source):
    cost = interrupts(interrupts=how, interrupt_source=source).by_state["guest"]
    assert (cost.vcpu_exits, cost.host_irqs) == (exits, 0)
    assert cost.kick_ipis + cost.notification_ipis == 1 and bool(cost.notification_ipis) == (exits == 0)


@pytest.mark.parametrize(("how", "own", "exits", "irqs"), [
    ("emulated", True, 2, 1), ("emulated", False, 2, 1), ("pv-eoi", True, 1, 1), ("apicv", True, 1, 1),
    ("apicv", False, 0, 1), ("posted", True, 0, 0), ("posted", False, 0, 0)])
def test_an_assigned_devices_interrupt_costs_a_running_vcpu(how, own, exits, irqs):
    """Without posting the host takes it first; on the vCPU's own CPU that throws the guest out."""
    cost = interrupts(interrupts=how, interrupt_source="assigned", irq_on_vcpu_cpu=own).by_state["guest"]
    assert (cost.vcpu_exits, cost.host_irqs) == (exits, irqs)


@pytest.mark.parametrize("source", ["ipi", "irqfd", "assigned"])
def test_posting_by_the_iommu_is_for_assigned_devices_only(source):
    apicv, posting = (interrupts(interrupts=how, interrupt_source=source) for how in ("apicv", "posted"))
    assert (apicv.by_state == posting.by_state) == (source != "assigned")


@given(settings_of(InterruptOptions, interrupts="posted"), st.sampled_from(["ipi", "irqfd", "assigned"]))
def test_posted_a_running_vcpu_never_exits_and_a_blocked_one_is_at_least_one_event_of_the_host(options, source):
    found = interrupts(options, interrupt_source=source, multicast=False).by_state
    assert found["guest"].vcpu_exits == 0
    assert found["blocked"].host_events >= 1 and found["blocked"].wakeups == 1
    assert found["preempted"].notification_ipis == found["preempted"].hardware_notifications == 0


@given(settings_of(InterruptOptions))
def test_a_preempted_vcpu_waits_for_up_to_all_others_slices(options):
    cost = interrupts(options).by_state["preempted"]
    assert cost.deferred_ns == (options.vcpus_per_cpu - 1) * options.slice_ns
    assert cost.high_ns - cost.low_ns == pytest.approx(cost.deferred_ns, rel=1e-9, abs=1e-3)
    assert cost.kick_ipis == cost.wakeups == 0


def test_a_multicast_interrupt_is_not_posted():
    """It falls back to the remapped mode: an interrupt of the host, and KVM posts."""
    single = interrupts(interrupts="posted", interrupt_source="assigned")
    several = interrupts(interrupts="posted", interrupt_source="assigned", multicast=True)
    assert single.by_state["guest"].host_irqs == 0 and several.by_state["guest"].host_irqs == 1
    assert several.by_state == interrupts(interrupts="apicv", interrupt_source="assigned").by_state


def test_the_wake_up_vector_is_an_interrupt_of_the_host_before_it_is_a_wake_up():
    posting = interrupts(interrupts="posted", interrupt_source="assigned").by_state["blocked"]
    by_kvm = interrupts(interrupts="apicv", interrupt_source="irqfd").by_state["blocked"]
    assert (posting.host_irqs, posting.wakeups) == (1, 1) and (by_kvm.host_irqs, by_kvm.wakeups) == (0, 1)
    assert posting.low_ns > by_kvm.low_ns


def test_apicv_does_not_remove_the_exit_of_sending_an_ipi_and_ipi_virtualization_does():
    for how in MODES:
        assert interrupts(interrupts=how, interrupt_source="ipi").cost.sender_exits == 1
    assert interrupts(interrupt_source="ipi", ipi_virtualization=True).cost.sender_exits == 0
    assert interrupts(interrupt_source="ipi", ipi_virtualization=True, multicast=True).cost.sender_exits == 1
    assert interrupts(interrupt_source="irqfd").cost.sender_exits == 0


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("source", ["ipi", "irqfd", "assigned"])
def test_each_step_from_emulation_to_posting_costs_no_more_exits(state, source):
    exits = [interrupts(interrupts=how, interrupt_source=source).by_state[state].vcpu_exits for how in MODES]
    assert exits == sorted(exits, reverse=True)


@pytest.mark.parametrize(("how", "options"), [
    ("emulated", {"apicv": False}), ("pv-eoi", {"apicv": False, "pv_eoi": True}), ("apicv", {}),
    ("posted", {"posted": True})])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("path", "source"), [("vhost-net", "irqfd"), ("sriov", "assigned")])
def test_the_ladder_counts_the_same_exits_host_irqs_and_ipis(how, options, own, path, source):
    """The ladder also counts the HLT exit of a guest that sleeps, and the NIC's own interrupt before vhost-net."""
    found = interrupts(interrupts=how, interrupt_source=source, irq_on_vcpu_cpu=own).by_state
    for state, halts in (("guest", False), ("blocked", True)):
        counts = LADDER[path].counts(direction="rx", refill_kicks=False, guest_halts=halts, irq_on_vcpu_cpu=own,
                                     **options)
        assert counts.vcpu_exits_per_packet == found[state].vcpu_exits + halts
        assert counts.host_irqs_per_packet == found[state].host_irqs + (path == "vhost-net")
        assert counts.notification_ipis_per_packet == found[state].notification_ipis


# ------------------------------------------------- latency over the states

@given(settings_of(InterruptOptions))
def test_every_interrupt_finds_the_vcpu_in_one_state(options):
    found = interrupts(options)
    shares, whole = found.law()
    assert shares == pytest.approx(whole)
    assert found.share_within(1e12) == pytest.approx(1)


@given(settings_of(InterruptOptions), st.floats(0.01, 1))
def test_a_quantile_is_the_latency_that_this_share_does_not_exceed(options, share):
    found = interrupts(options)
    latency = found.quantile_ns(share)
    slack = 1e-6 * latency + 1e-3
    assert found.share_within(latency + slack) >= share - 1e-6
    assert found.share_within(latency - slack) <= share + 1e-6 or latency - slack < 0


def test_the_distribution_is_that_of_interrupts_drawn_one_by_one():
    found = interrupts(blocked_share=0.3, preempted_share=0.2, vcpus_per_cpu=3)
    rng = random.Random(5)
    o, drawn = found.options, []
    for _ in range(20_000):
        cost = found.by_state[rng.choices(STATES, [o.share(s) for s in STATES])[0]]
        drawn.append(rng.uniform(cost.low_ns, cost.high_ns))
    drawn.sort()
    assert sum(drawn) / len(drawn) == pytest.approx(found.mean_ns, rel=0.03)
    for share in (0.25, 0.6, 0.9, 0.99):
        assert found.quantile_ns(share) == pytest.approx(drawn[int(share * len(drawn))], rel=0.03)
    for latency in (100, 5_000, 1e6, 4e6):
        assert found.share_within(latency) == pytest.approx(sum(ns <= latency for ns in drawn) / len(drawn), abs=0.01)


def test_the_tail_is_the_schedulers_whatever_hardware_posts():
    """A preempted vCPU is the p99 even where nothing exits."""
    found = interrupts(interrupts="posted", interrupt_source="assigned")
    assert found.quantile_ns(0.5) == 600 and found.quantile_ns(0.99) == pytest.approx(2.7e6)
    assert interrupts(interrupts="posted", interrupt_source="assigned", vcpus_per_cpu=1).quantile_ns(0.99) < 10_000


# ------------------------------------------------- bursts

def test_ten_posts_in_two_microseconds_take_four_notifications():
    assert burst() == (10, 4, 4)
    assert burst(within_ns=0).notifications == 1
    assert burst(within_ns=1e6).notifications == 10


@given(st.integers(1, 200), st.floats(0, 1e6), st.floats(1, 1e4))
def test_there_are_never_more_notifications_than_posts_or_than_fit_one_after_the_other(posts, within, ns):
    found = burst(posts=posts, within_ns=within, notification_ipi_ns=ns)
    assert 1 <= found.notifications <= min(posts, math.floor(within / ns) + 1)


# ------------------------------------------------- the reader's side

def test_shares_beyond_the_whole_are_refused():
    with pytest.raises(ParameterError, match="at most the whole; you gave 70 % and 50 %"):
        interrupts(blocked_share=0.7, preempted_share=0.5)


def test_ipi_virtualization_without_apicv_is_refused():
    with pytest.raises(ParameterError, match="needs APICv"):
        interrupts(interrupts="emulated", ipi_virtualization=True)


def test_a_quantile_is_a_share():
    with pytest.raises(ParameterError, match="0.99 is the latency"):
        interrupts().quantile_ns(0)


@pytest.mark.parametrize("state", STATES)
def test_a_result_says_its_counts_and_prints_all_states(state):
    found = interrupts(vcpu_state=state)
    assert "APICv, from a back end (irqfd), vCPU" in found.sentence() and "exits 0" in found.sentence()
    assert ("up to 3 ms" in found.sentence()) == (state == "preempted")
    assert all(word in str(found) for word in ("in the guest", "in the host", "preempted", "blocked", "kick IPIs"))
    assert "notifications: 4" in burst().sentence()
