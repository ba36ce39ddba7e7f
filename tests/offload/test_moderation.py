"""Moderation: four schemes in closed form and simulated, NAPI's bound, trains, DIM's rules, the cost of interrupts."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab import offload
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.offload import (
    Dim,
    DimSample,
    batch_calls,
    compare_moderation,
    delayed_event,
    moderation,
    moderation_at,
    moderation_run,
)
from virtlab.offload import dim as rules
from virtlab.offload.moderation import ModerationOptions
from virtlab.virtio import need_event

near = pytest.approx


@pytest.mark.kernels
@pytest.mark.parametrize("changes", [
    {"rate_packets_per_s": 1e3}, {}, {"rate_packets_per_s": 1e6}, {"rate_packets_per_s": 5e6},
    {"masked_while_polling": True, "rate_packets_per_s": 4e5}, {"moderation": "napi", "rate_packets_per_s": 3e5},
    {"moderation": "napi", "interrupt_delay_ns": 64_000}, {"moderation": "napi", "interrupt_delay_ns": 0},
    {"max_packets": 3, "interrupt_delay_ns": 40_000}], ids=str)  # fmt: skip
def test_a_simulated_run_agrees_with_the_closed_form(changes):
    options = ModerationOptions(**changes)
    closed, seen = moderation(options), moderation_run(options).summary()
    assert seen.interrupts_per_s == near(closed.interrupts_per_s, rel=0.015)
    assert seen.first_delay_ns == near(closed.first_delay_ns, rel=0.02, abs=5)
    assert seen.mean_delay_ns == near(closed.mean_delay_ns, rel=0.025, abs=5)
    assert seen.p99_delay_ns == near(closed.p99_delay_ns, rel=0.03, abs=5)


@given(options=settings_of(ModerationOptions, run_packets=300))
def test_any_options_keep_the_laws(options):
    run = moderation_run(options)
    assert run.law()[0] == run.law()[1] and len(run.irqs) <= len(run.arrivals)
    assert (np.diff(run.irqs) >= 0).all() and (run.waits >= 0).all()
    m = moderation(options)
    assert m.law()[0] == near(m.law()[1], rel=1e-6)
    assert run.waits.max() <= m.longest_wait_ns + 1e-6 or options.moderation == "adaptive"
    assert m.mean_delay_ns <= m.longest_wait_ns + 1e-6 and "{" not in str(m)


@given(rate=st.floats(100, 9e5), delay=st.integers(0, 1_000_000))
def test_napi_is_bounded_by_its_poll_and_its_delay(rate, delay):
    m = moderation(moderation="napi", rate_packets_per_s=rate, interrupt_delay_ns=delay)
    assert m.interrupts_per_s <= 1e9 / (m.polled_ns + delay) * (1 + 1e-9)
    assert m.quiet_ns + m.held_ns + m.polled_ns == near(1e9 / m.interrupts_per_s)
    run = moderation_run(m.options, run_packets=300)
    if len(run.irqs) > 1:
        shortest = m.options.interrupt_ns + m.options.guest_stack_ns + delay
        assert np.diff(run.irqs).min() >= math.floor(shortest) - 1


def test_the_delay_of_ena_allows_no_more_than_15_625_interrupts():
    us = FACTS["ena.m57.tx_delay"].value
    for rate in (1e5, 5e5, 9e5):
        m = moderation(moderation="napi", rate_packets_per_s=rate, interrupt_delay_ns=round(1000 * us))
        assert m.interrupts_per_s < 1e6 / us == 15_625


def test_a_guest_that_packets_outrun_polls_for_ever():
    for scheme in ("napi", "adaptive"):
        m = moderation(moderation=scheme, rate_packets_per_s=2e6)
        assert m.endless and m.exits_per_s == m.interrupt_share == 0 and "for ever" in m.sentence()
    run = moderation_run(moderation="napi", rate_packets_per_s=2e6, interrupt_delay_ns=0)
    assert len(run.irqs) < 100 and run.polls >= run.options.run_packets / 64


def test_a_poll_takes_at_most_64_packets():
    arrivals = np.zeros(130, np.int64)
    run = moderation_at(ModerationOptions(moderation="napi", interrupt_delay_ns=0), arrivals)
    assert len(run.irqs) == 1 and run.polls == 3


def test_what_a_poll_finds_waits_for_no_interrupt():
    options = ModerationOptions(moderation="napi", interrupt_delay_ns=5000, guest_irq_ns=1000, guest_stack_ns=1000)
    run = moderation_at(options, np.array([0, 1500, 3000, 4001, 20_000]))
    assert run.irqs.tolist() == [0, 9000, 20_000], "three packets polled until 4000, and 5000 of quiet"
    assert run.waits.tolist() == [0, 0, 0, 4999, 0] and run.batches.tolist() == [3, 1, 1]


@pytest.mark.kernels
def test_a_train_needs_two_interrupts_where_single_packets_need_many():
    single, train = (moderation(rate_packets_per_s=1e5, max_packets=64, train_packets=n) for n in (1, 32))
    assert train.interrupts_per_s == near(1e5 / 16, rel=0.05), "32 packets take 14.9 µs, and the timer 10"
    assert single.interrupts_per_s == near(50_000, rel=0.01)
    assert train.simulated and not single.simulated


def test_the_same_seed_is_the_same_run_and_another_is_another():
    one, two, other = (moderation_run(moderation_seed=n) for n in (1, 1, 2))
    assert (one.irqs == two.irqs).all() and len(one.irqs) != len(other.irqs)


def test_exits_follow_from_how_the_interrupt_reaches_the_guest():
    exits = {how: moderation(interrupts=how).exits_per_s / moderation().interrupts_per_s
             for how in ("emulated", "pv-eoi", "apicv", "posted")}  # fmt: skip
    assert exits == {"emulated": near(2), "pv-eoi": near(1), "apicv": 0, "posted": 0}
    dear, cheap = moderation(interrupts="emulated"), moderation()
    assert dear.interrupt_share == near(cheap.interrupt_share + dear.exits_per_s * 1762 / 2.5e9, rel=0.2)


def test_all_schemes_stand_in_one_table():
    rows = compare_moderation(rate_packets_per_s=1e5).rows
    assert [row[0] for row in rows] == ["off", "virtio coalescing", "NAPI", "adaptive (DIM)"]


# --- DIM --------------------------------------------------------------------------------------------------------------


def constant(packets_per_s, wait_us, begin=1e6):
    """The measurement of 64 interrupts when packets come evenly and the timer alone decides."""
    cycle_us = begin / packets_per_s + wait_us
    us = round(64 * cycle_us)
    return DimSample.of(round(us * packets_per_s / 1e6), 1518, us)


def settle(rate, decisions=60):
    dim, seen = Dim(), []
    for _ in range(decisions):
        dim.take(constant(rate, dim.wait_us))
        seen.append((dim.profile, dim.tune))
    return seen


def test_steady_traffic_that_is_dense_leads_to_the_longest_wait_and_stays_there():
    seen = settle(200_000)
    assert [profile for profile, _ in seen[:5]] == [1, 2, 3, 4, 4] and seen[-1] == (4, "parked on top")
    assert len(set(seen[6:])) == 1


def test_steady_traffic_that_is_thin_leads_back_to_the_shortest():
    """At 1 k packets/s no wait of DIM's spares a tenth of the interrupts."""
    seen = settle(1_000)
    assert seen[-1][0] <= 1


def test_more_than_ten_whole_per_cent_is_a_difference():
    assert FACTS["dim.significant"].value == 0.11
    state = np.zeros(rules.FIELDS, np.int64)
    state[[rules.BYTES, rules.PACKETS, rules.INTERRUPTS]] = 1000, 1000, 1000
    assert rules.compare(state, 1109, 1109, 1109) == 0 and rules.compare(state, 1110, 1000, 9999) == 1
    assert rules.compare(state, 1000, 890, 1) == -1, "packets come before interrupts"
    assert rules.compare(state, 1000, 1000, 1110) == -1 and rules.compare(state, 1000, 1000, 890) == 1


def test_the_first_measurement_is_better_than_none():
    dim = Dim()
    assert dim.tune == "parked on top" and dim.take(DimSample(10, 1, 1)) and dim.profile == 1


def test_dim_parks_tired_after_ten_steps_and_leaves_after_ten_measurements():
    dim, tunes = Dim(), []
    for n in range(60):  # it gets worse all the time: to and fro
        dim.take(DimSample(round(1e9 * 0.8**n), 10, 10))
        tunes.append(dim.tune)
    assert "parked tired" in tunes
    begin = tunes.index("parked tired")
    assert tunes[begin : begin + 10] == ["parked tired"] * 10 and tunes[begin + 10] != "parked tired"


@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 3), max_size=200))
def test_dim_never_leaves_its_profiles_and_never_takes_more_than_one_step(samples):
    dim, before = Dim(), 0
    for sample in samples:
        changed = dim.take(DimSample(*sample))
        assert 0 <= dim.profile < len(offload.DIM_WAITS_US) and abs(dim.profile - before) <= 1
        assert changed == (dim.profile != before)
        before = dim.profile


def test_the_profiles_are_those_of_the_kernel():
    assert offload.DIM_WAITS_US == (1, 8, 64, 128, 256) and rules.PROFILE_PACKETS == 256 and rules.EVENTS == 64


@pytest.mark.kernels
def test_dense_random_traffic_is_held_back_most_of_the_time_and_thin_traffic_makes_dim_wander():
    dense, thin = (moderation_run(moderation="adaptive", rate_packets_per_s=r, run_packets=50_000) for r in (4e5, 2e3))
    assert np.mean(dense.chosen >= 64_000) > 0.7
    assert len(set(thin.chosen.tolist())) >= 4, "64 packets at random times: more than 10 per cent of noise"


# --- the delayed callback ---------------------------------------------------------------------------------------------


def test_a_delayed_callback_names_the_entry_at_three_quarters():
    assert delayed_event(0, 64) == 48 and delayed_event(65_530, 64) == 42 and delayed_event(7, 0) == 7
    event = delayed_event(100, 64)
    assert [n for n in range(1, 65) if need_event(event, 100 + n, 100 + n - 1)] == [49]


@pytest.mark.parametrize(("asked", "event_idx", "least", "most"), [
    ("none", True, 0, 0), ("none", False, 0, 0), ("last", True, 1, 1), ("last", False, 32, 32), ("each", True, 1, 32),
    ("each", False, 32, 32), ("delayed", True, 1, 3), ("delayed", False, 32, 32)])  # fmt: skip
def test_calls_of_a_batch_of_32(asked, event_idx, least, most):
    assert batch_calls(32, asked, event_idx) == (least, most)


@given(st.integers(1, 4000))
def test_a_driver_that_asks_for_three_quarters_again_and_again_is_called_logarithmically(n):
    assert 1 <= batch_calls(n, "delayed").most <= 2 + math.log(n, 4)


@pytest.mark.parametrize("wrong", [lambda: delayed_event(0, -1), lambda: batch_calls(0), lambda: batch_calls(10**6)])
def test_a_batch_that_cannot_be_is_explained(wrong):
    with pytest.raises(ParameterError, match="a ring holds no more|nothing would ever"):
        wrong()
