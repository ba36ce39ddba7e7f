"""Notification coalescing: the closed form, the device event by event, and the simulated run say the same."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab import offload
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.offload import Coalescer, moderation, moderation_at
from virtlab.offload.coalescing import hold
from virtlab.offload.moderation import ModerationOptions

near = pytest.approx
counts, waits_us = st.integers(0, 40), st.integers(0, 200)
whole = st.integers(0, 30).map(lambda us: 1000 * us)  # so that packets and timers meet at the same ns
gaps = st.lists(st.integers(0, 30_000), min_size=1, max_size=120) | st.lists(whole, min_size=1, max_size=120)


# --- the closed form --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "irqs"), [(1e3, 990), (1e5, 50_000), (1e6, 92_481), (5e6, 333_333)])
def test_golden_rates_with_15_packets_and_10_us(rate, irqs):
    assert round(moderation(rate_packets_per_s=rate).interrupts_per_s) == irqs


@pytest.mark.parametrize(("rate", "us"), [(1e6, 9.81), (5e6, 2.80)])
def test_golden_waits_of_the_first_packet(rate, us):
    assert moderation(rate_packets_per_s=rate).first_delay_ns / 1e3 == near(us, abs=0.005)


def test_the_first_wait_is_the_integral_of_the_chance_that_nothing_has_fired():
    """E[min(T, Erlang(K - 1))] by numbers, as the golden values were computed."""
    for rate, k, wait in ((1e6, 15, 10_000), (3e5, 4, 25_000), (2e6, 2, 1_000)):
        dt = wait / 20_000
        mean = (np.arange(20_000) + 0.5) * dt * rate / 1e9
        terms = sum(np.exp(-mean) * mean**j / math.factorial(j) for j in range(k - 1))
        assert hold(rate, k, wait).first_ns == near(float(terms.sum() * dt), rel=1e-6)


@pytest.mark.parametrize("rate", [100, 1e4])
def test_at_light_load_the_timer_decides(rate):
    assert moderation(rate_packets_per_s=rate).interrupts_per_s == near(offload.light_limit(rate, 10_000), rel=1e-6)


@pytest.mark.parametrize("rate", [8e6, 1e7])
def test_at_heavy_load_the_count_decides(rate):
    assert moderation(rate_packets_per_s=rate).interrupts_per_s == near(offload.heavy_limit(rate, 15), rel=1e-6)


@pytest.mark.parametrize("changes", [{"max_packets": 0}, {"max_packets": 1}, {"interrupt_delay_ns": 0},
                                     {"moderation": "off"}], ids=str)  # fmt: skip
def test_zero_means_an_interrupt_at_each_packet_and_not_none(changes):
    m = moderation(rate_packets_per_s=2e5, **changes)
    assert m.interrupts_per_s == near(2e5) and m.packets_per_interrupt == near(1)
    assert m.mean_delay_ns == m.p99_delay_ns == m.longest_wait_ns == 0


@given(rate=st.floats(100, 1e7), k=st.integers(0, 1023), wait=st.integers(0, 1_000_000))
def test_more_packets_never_mean_more_interrupts_and_no_mean_wait_exceeds_the_timer(rate, k, wait):
    fewer, more = (moderation(rate_packets_per_s=rate, max_packets=n, interrupt_delay_ns=wait) for n in (k, k + 1))
    if k > 0:
        assert more.interrupts_per_s <= fewer.interrupts_per_s * (1 + 1e-9)
    for m in (fewer, more):
        assert m.interrupts_per_s <= rate * (1 + 1e-9)
        assert 0 <= m.mean_delay_ns <= m.first_delay_ns + 1e-6 <= wait + 2e-6 and m.p99_delay_ns <= wait + 1e-6
        assert m.law()[0] == near(m.law()[1])


# --- the device, event by event ---------------------------------------------------------------------------------------


def test_the_specifications_example_15_becomes_8_with_10_pending():
    before, after, pending = (int(FACTS[f"moderation.packets{k}"].value) for k in ("", ".lowered", ".pending"))
    device = Coalescer(before, 10)
    assert all(not device.packet(100 * n) for n in range(pending))
    (told,) = device.change(1000, after, 10)
    assert (told.at_ns, told.packets, told.cause, told.sent) == (1000, 10, "change", True) and device.pending == 0


def test_a_change_that_leaves_the_condition_unmet_sends_nothing_and_keeps_the_first_packets_time():
    device = Coalescer(15, 10)
    device.packet(0)
    assert device.change(4000, 8, 20) == [] and device.due_ns == 20_000
    (told,) = device.change(9000, 8, 5)
    assert told.cause == "change", "5 µs were over long ago"


def test_a_change_to_0_sends_what_is_pending_at_once():
    for new in ((0, 10), (15, 0)):
        device = Coalescer(15, 10)
        device.packet(0)
        assert [t.at_ns for t in device.change(1, *new)] == [1]


def test_the_timer_starts_at_the_first_packet_and_at_no_later_one():
    device = Coalescer(15, 10)
    told = [t for n in range(10) for t in device.packet(4000 * n)]
    assert [(t.at_ns, t.packets, t.cause) for t in told] == [
        (10_000, 3, "timer"), (22_000, 3, "timer"), (34_000, 3, "timer")
    ]


def test_at_the_same_ns_the_timer_is_before_the_packet():
    device, arrivals = Coalescer(2, 10), np.array([0, 10_000])
    told = [t for at in arrivals.tolist() for t in device.packet(at)] + device.until(30_000)
    assert [(t.at_ns, t.packets, t.cause) for t in told] == [(10_000, 1, "timer"), (20_000, 1, "timer")]
    run = moderation_at(ModerationOptions(max_packets=2, interrupt_delay_ns=10_000), arrivals)
    assert run.irqs.tolist() == [10_000, 20_000] and run.batches.tolist() == [1, 1]


def test_after_a_reset_each_packet_is_told_of():
    device = Coalescer(15, 10)
    device.packet(0)
    device.reset(5)
    assert (device.max_packets, device.max_usecs, device.pending, device.due_ns) == (0, 0, 0, None)
    assert [t.at_ns for t in device.packet(7)] == [7]
    assert Coalescer().each and FACTS["moderation.reset"].value == 0


def test_a_suppressed_notification_is_not_sent_though_its_condition_is_met():
    device = Coalescer(2, 10)
    device.suppressed = True
    device.packet(0)
    (told,) = device.packet(1)
    assert not told.sent and device.pending == 0
    device.suppressed = False
    device.packet(2)
    assert [t.sent for t in device.until(10_002)] == [True]


@pytest.mark.parametrize(("build", "match"), [
    (lambda: Coalescer(-1, 0), "max_packets must be"), (lambda: Coalescer(1, 2**32), "max_usecs must be"),
    (lambda: Coalescer(1.5, 1), "max_packets must be")])  # fmt: skip
def test_a_field_that_does_not_fit_is_refused(build, match):
    with pytest.raises(ParameterError, match=match):
        build()


def test_time_does_not_go_backwards():
    device = Coalescer(15, 10)
    device.packet(100)
    with pytest.raises(ParameterError, match="backwards"):
        device.packet(99)


@given(gaps=gaps, k=counts, us=waits_us)
def test_no_packet_waits_longer_than_the_timer_and_each_is_told_of_once(gaps, k, us):
    device, told, at = Coalescer(k, us), [], 0
    for gap in gaps:
        at += gap
        told += device.packet(at)
    told += device.until(at + 10**9)
    assert sum(t.packets for t in told) == len(gaps)
    assert all(t.delay_ns <= 1000 * us and (k == 0 or t.packets <= k) for t in told)
    assert len(told) <= len(gaps)


@given(gaps=gaps, k=counts, us=waits_us)
def test_the_simulated_run_is_the_device_event_by_event(gaps, k, us):
    arrivals = np.cumsum(np.array(gaps, np.int64))
    device = Coalescer(k, us)
    told = [t for at in arrivals.tolist() for t in device.packet(at)] + device.until(int(arrivals[-1]) + 10**9)
    run = moderation_at(ModerationOptions(max_packets=k, interrupt_delay_ns=1000 * us), arrivals)
    assert run.irqs.tolist() == [t.at_ns for t in told] and run.batches.tolist() == [t.packets for t in told]
    firsts = np.concatenate(([0], np.cumsum(run.batches)[:-1]))
    assert run.waits[firsts].tolist() == [t.delay_ns for t in told]
    assert run.law()[0] == run.law()[1]
