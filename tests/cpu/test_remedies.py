"""What is left after I/O: which remedy removes which exits, what stays, and what each is paid with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.cpu.nested import NestedOptions, nested_exit
from virtlab.cpu.remedies import NEEDS, REMEDIES, AfterIo, after_io, remedy_steps
from virtlab.evidence import FACTS

OPTIONS = settings_of(AfterIo)
BARE = settings_of(AfterIo, **dict.fromkeys(REMEDIES, False))


def rates(residue):
    """Exits that are left, by reason."""
    return {line.reason: line.exits_per_s for line in residue.profile.lines}


@given(OPTIONS)
def test_every_event_is_an_exit_or_eliminated(options):
    counted, events = after_io(options).law()
    assert counted == pytest.approx(events)


@given(BARE)
def test_no_remedy_adds_exits(options):
    exits = [step.profile.exits_per_s for step in remedy_steps(options.replace(apicv=True)).steps]
    assert all(b <= a * (1 + 1e-12) for a, b in zip(exits, exits[1:], strict=False))


@given(settings_of(AfterIo, exit_costs="qemu-2012"), st.sampled_from(["amd-2020-floor", "qemu-2012"]))
def test_no_remedy_raises_the_tax_where_the_fast_path_was_not_measured(options, costs):
    shares = [s.share for s in remedy_steps(options.replace(apicv=True, exit_costs=costs)).steps]
    assert all(b <= a * (1 + 1e-12) for a, b in zip(shares, shares[1:], strict=False))


def test_a_guest_that_halts_by_itself_pays_for_its_timers_off_the_fast_path():
    """Where the fast path was measured, a vCPU with many timers and no HLT loses by exits disabled alone."""
    busy = {"exit_costs": "skx-2020-timer", "halts_per_s": 0, "spins_per_s": 0}
    assert after_io(exits_disabled=True, **busy).share > after_io(**busy).share
    assert after_io(exits_disabled=True, posted_timers=True, **busy).share < after_io(**busy).share


def test_apicv_does_not_remove_the_exit_of_sending_an_ipi():
    without, with_ = (rates(after_io(apicv=a)) for a in (False, True))
    assert without["ipi_send"] == with_["ipi_send"] > 0
    assert without["vcpu_kick"] > 0 and without["eoi"] > 0 and "vcpu_kick" not in with_ and "eoi" not in with_


def test_ipi_virtualization_removes_it_for_one_target_and_avic_has_it():
    options = {"ipis_per_s": 1000, "multicast_share": 0.25}
    for left in (rates(after_io(ipi_virtualization=True, **options)), rates(after_io(vendor="amd", **options))):
        assert (left["ipi_send"], left["ipi_send_many"]) == (0, 250)


def test_a_posted_timer_fires_without_an_exit_and_is_still_set_with_one():
    left = rates(after_io(exits_disabled=True, posted_timers=True))
    assert left["timer_fire"] == 0 and left["timer_arm"] == AfterIo().armed_per_s > 0


def test_exits_disabled_remove_halts_and_spins_and_nothing_else():
    before, after = rates(after_io()), rates(after_io(exits_disabled=True))
    assert {key for key in before if before[key] != after[key]} == {"hlt", "pause"}
    assert after["hlt"] == after["pause"] == 0


def test_isolated_cpus_remove_the_tick_of_the_host():
    before, after = rates(after_io()), rates(after_io(isolated_cpus=True))
    assert {key for key in before if before[key] != after[key]} == {"host_tick"}


def test_all_four_reach_below_one_per_cent_by_every_set_and_none_does_not():
    for costs in ("amd-2020-floor", "qemu-2012", "skx-2020-timer"):
        steps = remedy_steps(exit_costs=costs).steps
        assert not steps[0].below_one_percent and steps[-1].below_one_percent, costs


def test_the_residue_is_the_tax_of_its_profile():
    residue = after_io(exit_costs="qemu-2012")
    assert float(residue) == residue.share == residue.profile.share
    slower = residue.profile.moved("ipi_send", "kernel")  # a guest whose x2APIC is in cluster mode
    assert slower.share >= residue.share


def test_below_one_per_cent_by_a_floor_is_said_with_its_condition():
    assert "below 1 % as long as no handler has anything to do" in remedy_steps().steps[-1].sentence()
    assert "not below 1 %" in after_io().sentence()


def test_the_default_vcpu_exits_as_often_as_a_web_server():
    band = FACTS["exit.band.rate.web"]
    assert band.low < after_io().profile.exits_per_s < band.high


# --- prices --------------------------------------------------------------------------------------------------------


@given(OPTIONS)
def test_no_remedy_no_price(options):
    bare = after_io(options.replace(**dict.fromkeys(REMEDIES, False)))
    assert bare.stranded_share == bare.housekeeping_share == 0


def test_a_cpu_that_kvm_does_not_hear_of_is_idle_for_nobody():
    assert after_io(exits_disabled=True, busy_share=0.4).stranded_share == pytest.approx(0.6)
    assert after_io(isolated_cpus=True, busy_share=1).stranded_share == 0


def test_posted_timers_are_paid_by_another_cpu():
    o = AfterIo(exits_disabled=True, posted_timers=True, guest_hz=0, timers_per_s=10_000, host_irq_ns=800,
                notification_ipi_ns=600)  # fmt: skip
    assert after_io(o).housekeeping_share == pytest.approx(0.014)


@pytest.mark.parametrize(("remedy", "need"), [(r, n) for r in REMEDIES for n in NEEDS[r]])
def test_a_remedy_without_what_it_needs_is_refused(remedy, need):
    there = dict.fromkeys(NEEDS[remedy], True) | {need: False}
    with pytest.raises(ParameterError, match=f"{remedy} must be False when {need} is False: "):
        after_io(**{remedy: True}, **there)


def test_the_steps_name_each_remedy_with_its_price():
    text = str(remedy_steps())
    for word in ("exits disabled", "no overcommit", "Sapphire Rapids", "housekeeping CPU"):
        assert word in text
    assert "{" not in text and "{" not in str(after_io())


# --- a guest in a guest --------------------------------------------------------------------------------------------


@given(settings_of(NestedOptions))
def test_a_nested_exit_costs_at_least_its_reflected_exits(options):
    nested = nested_exit(options)
    assert nested.total_ns >= (1 + options.l1_exits) * nested.exit_ns
    parts, total = nested.law()
    assert parts == pytest.approx(total)


def test_shadowing_leaves_two_exits_of_each():
    assert nested_exit(l1_exits=0).exits == 2 and nested_exit(l1_exits=10).exits == 12
    assert "2 exits for the host" in str(nested_exit())
