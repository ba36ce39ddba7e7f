"""Moderation against published measurements. Nothing was fitted: all costs are the course's defaults."""
import pytest

from virtlab.evidence import FACTS
from virtlab.offload import moderation


def guest(rate, **changes):
    """A guest with NAPI whose back end interrupts as soon as it may."""
    return moderation(moderation="napi", interrupt_delay_ns=0, rate_packets_per_s=rate, **changes)


def test_packets_an_interrupt_of_a_vhost_user_guest():
    """2.37 at 390 k packets/s, no event index (M44d). How interrupts reached it, and its costs, were not stated.

    So near is luck: it is the driver before the patch, with interrupts that it did not need, and a guest that is sent
    more than it takes, which ours would answer with polling for ever. Hence a bracket.
    """
    rate, measured = FACTS["io.vhost_user.guest.rx"].value, FACTS["io.vhost_user.guest.packets_per_interrupt"].value
    assert measured == FACTS["irq.m44d.packets"].value
    model = guest(rate)
    published = FACTS["io.vhost_user.guest.interrupts"].value
    assert measured / 2 < model.packets_per_interrupt < 2 * measured
    assert published / 2 < model.interrupts_per_s < 2 * published
    assert guest(rate, guest_irq_ns=300).packets_per_interrupt < measured
    assert measured < guest(rate, interrupts="emulated").packets_per_interrupt < 1.4 * measured


def test_dim_on_a_card_lies_between_both_readings_of_its_rate():
    """7,500 interrupts/s with DIM at 181 Gb/s over 31 queues: of one queue, or of all, the source does not say."""
    queues = FACTS["dim.bluefield.queues"].value
    rate = FACTS["dim.bluefield.rx.throughput"].value * 1e9 / 8 / 1500 / queues
    on, off = FACTS["dim.bluefield.rx.on"].value, FACTS["dim.bluefield.rx.off"].value
    model = moderation(moderation="adaptive", rate_packets_per_s=rate)
    assert on / queues < model.interrupts_per_s < on
    assert guest(rate).interrupts_per_s / model.interrupts_per_s > off / on, "DIM spares at least the published factor"


def test_the_least_rates_of_ixgbevf_are_waits_of_100_and_83_us():
    """A driver that lets 12,000 interrupts/s through holds a packet back for 83 µs, and at a busy queue it does."""
    for key in ("before", "after"):
        rate = FACTS[f"ixgbevf.m57b.{key}"].value
        wait = round(1e9 / rate)
        busy = moderation(moderation="napi", rate_packets_per_s=8e5, interrupt_delay_ns=wait, guest_stack_ns=100)
        assert busy.interrupts_per_s == pytest.approx(rate, rel=0.15) and busy.interrupts_per_s < rate


@pytest.mark.parametrize("us", [62, 84, 235])
def test_a_busy_queue_of_a_card_with_a_fixed_interval_has_the_rate_that_its_guide_states(us):
    """The interval counts from interrupt to interrupt: a delay after a poll that takes no time."""
    stated = FACTS[f"intel.itr.{us}us"].value
    free = {"guest_irq_ns": 0, "guest_stack_ns": 50}
    model = moderation(moderation="napi", interrupt_delay_ns=1000 * us, rate_packets_per_s=1e6, **free)
    assert model.interrupts_per_s == pytest.approx(stated, rel=0.08)


def test_the_default_of_a_card_that_counts_from_the_first_packet():
    """5 packets or 10 µs: its two limits meet at 400,000 packets/s, and no packet waits longer than 10 µs."""
    k, us = int(FACTS["mellanox.winof.packets"].value), FACTS["mellanox.winof.wait"].value
    at = {rate: moderation(max_packets=k, interrupt_delay_ns=round(1000 * us), rate_packets_per_s=rate)
          for rate in (1e4, 4e5, 5e6)}  # fmt: skip
    assert at[1e4].interrupts_per_s == pytest.approx(1e4 / 1.1, rel=0.01)
    assert at[5e6].interrupts_per_s == pytest.approx(1e6, rel=0.01)
    assert 1 < at[4e5].packets_per_interrupt < k and all(m.p99_delay_ns <= 1000 * us for m in at.values())
