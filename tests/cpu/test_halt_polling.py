"""Halt polling: KVM's algorithm and the guest's, golden sequences, what it costs and what it gains."""
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.cpu import PollRules, guest_polling, halt_polling, host_share, poll_intervals_ns
from virtlab.cpu.halt_polling import GuestPollingOptions, HaltPollingOptions, HostShareOptions, host_interval_ns
from virtlab.evidence import FACTS
from virtlab.machine.inner import EXPERIMENTS, recorded_inner_kvm

US = 1000


def us(intervals):
    return [ns // US for ns in intervals]


def waits_of(run):
    """The waits that the guest of a recorded run is given, as its law has them."""
    return {"poll-60us": [60] * 10, "poll-150us": [150] * 10, "poll-250us": [250] * 10,
            "poll-mixed": [60] * 6 + [1000] * 6}[run]  # fmt: skip


# ------------------------------------------------- golden sequences

@pytest.mark.parametrize(("wait_us", "intervals_us"), [
    (5, [0] + [10] * 11), (9, [0] + [10] * 11), (50, [0, 10, 20, 40] + [80] * 8),
    (150, [0, 10, 20, 40, 80] + [160] * 7), (199, [0, 10, 20, 40, 80, 160] + [200] * 6), (250, [0] * 12)])
def test_equal_waits_make_the_interval_grow_to_its_end(wait_us, intervals_us):
    assert us(halt_polling(waits=12, wait_mean_ns=wait_us * US).intervals_ns) == intervals_us


def test_a_wait_of_exactly_halt_poll_ns_never_polls():
    """Neither shorter than the limit nor longer: both tests are strict."""
    found = halt_polling(waits=1000, wait_mean_ns=200 * US)
    assert set(found.intervals_ns) == {0} and found.final_ns == 0 and found.burnt_ns == 0
    assert halt_polling(waits=10, wait_mean_ns=200 * US - 1).final_ns == 200 * US


@pytest.mark.parametrize(("shrink", "after_us"), [(2, [80, 40, 20, 10, 0, 0]), (0, [80, 0, 0, 0, 0, 0])])
def test_long_waits_make_it_shrink_in_halves_or_at_once(shrink, after_us):
    """Linux 6.12 and Linux up to 6.8."""
    found = halt_polling(waits_ns=[50 * US] * 6 + [1000 * US] * 6, halt_poll_shrink=shrink)
    assert us(found.intervals_ns) == [0, 10, 20, 40, 80, 80, *after_us]


def test_the_two_divisors_are_those_of_two_versions_of_linux():
    assert (FACTS["kvm.halt_poll.shrink"].value, FACTS["kvm.halt_poll.shrink.old"].value) == (2, 0)
    assert HaltPollingOptions().halt_poll_shrink == 2


def test_a_wake_up_for_nothing_shrinks_it():
    rules = PollRules(200 * US, 2, 10 * US, 2)
    assert host_interval_ns(80 * US, 50 * US, rules, valid=False) == 40 * US
    assert host_interval_ns(80 * US, 50 * US, rules) == 80 * US


def test_a_factor_of_0_never_grows_and_a_limit_of_0_switches_polling_off():
    assert halt_polling(halt_poll_grow=0).burnt_ns == 0
    assert halt_polling(halt_poll_ns=0).burnt_ns == 0
    assert host_interval_ns(80 * US, 50 * US, PollRules(0, 2, 10 * US, 2)) == 0


@pytest.mark.parametrize("run", ["poll-60us", "poll-150us", "poll-250us", "poll-mixed"])
def test_the_recorded_kvm_polls_as_the_model_does(run):
    """Linux's own KVM told its rules, and after each wait how long it would poll the next time."""
    record = recorded_inner_kvm()
    told = record.facts.parameters
    rules = PollRules(*(int(told[name]) for name in ("halt_poll_ns", "halt_poll_ns_grow", "halt_poll_ns_grow_start",
                                                     "halt_poll_ns_shrink")))
    waits = [wait * US for wait in waits_of(run)]
    intervals = poll_intervals_ns(waits, rules)
    assert record.polling[run].interval_ns == intervals[1:]
    model = halt_polling(waits_ns=waits, halt_poll_shrink=rules.shrink)
    assert sum(model.enough) == sum(record.polling[run].enough) == EXPERIMENTS[run].runs[0].law[
        "kvm.halt_successful_poll"]


# ------------------------------------------------- what holds for all

rules = st.builds(PollRules, st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 10**6), st.integers(0, 5))


@given(rules, st.lists(st.integers(1, 2 * 10**6), max_size=60))
def test_an_interval_is_0_or_between_the_first_one_and_the_limit(rules, waits):
    for interval in poll_intervals_ns(waits, rules):
        assert 0 <= interval <= rules.most_ns
        assert interval == 0 or interval >= min(rules.grow_start_ns, rules.most_ns)


@given(settings_of(HaltPollingOptions, waits=50) | settings_of(GuestPollingOptions, waits=50), st.integers(0, 9))
def test_burnt_and_slept_are_all_that_was_waited(options, seed):
    found = halt_polling(options, seed=seed)
    assert found.law()[0] == found.law()[1]
    assert all(0 <= polled <= min(pair) for polled, *pair in zip(found.polled_ns, found.waits_ns, found.intervals_ns,
                                                                 strict=True))
    assert 0 <= found.in_vain_ns <= found.burnt_ns
    assert found.gained_ns + found.late_ns * len(found.waits_ns) == pytest.approx(options.wakeup_ns * 50)
    assert found.sentence() and str(found)


@given(settings_of(HaltPollingOptions, waits=30))
def test_with_another_task_the_host_burns_nothing(options):
    assert halt_polling(options, other_task=True).burnt_ns == 0


def test_an_idle_guest_is_not_an_idle_host():
    assert halt_polling().burnt_share > 0.9
    assert "KVM polled for 4.87 ms of the 5 ms" in halt_polling().sentence()


@pytest.mark.parametrize("kind", ["constant", "exponential", "bursty"])
def test_waits_of_each_kind_have_the_mean_that_was_asked_for(kind):
    found = halt_polling(wait_kind=kind, waits=20_000, wait_mean_ns=50 * US)
    assert statistics.fmean(found.waits_ns) == pytest.approx(50 * US, rel=0.03)
    assert len(set(found.waits_ns)) == {"constant": 1, "bursty": 2}.get(kind, len(set(found.waits_ns)))


def test_random_waits_depend_on_the_seed_and_on_nothing_else():
    one, again, other = (halt_polling(wait_kind="exponential", seed=seed) for seed in (1, 1, 2))
    assert one == again and one.waits_ns != other.waits_ns


# ------------------------------------------------- the guest polls itself

def test_the_guests_governor_takes_waits_of_exactly_the_limit_as_short():
    assert us(guest_polling(waits=6, wait_mean_ns=200 * US).intervals_ns) == [0, 50, 100, 100, 100, 100]


def test_the_guests_governor_judges_only_what_was_slept_and_may_poll_in_vain_for_ever():
    """90 µs: 50 µs of polling leave 40 µs of sleep, which is no reason to grow."""
    found = guest_polling(waits=100, wait_mean_ns=90 * US)
    assert set(found.intervals_ns[1:]) == {50 * US} and not any(found.enough)
    assert found.in_vain_ns == found.burnt_ns == 99 * 50 * US
    assert "for nothing" in found.sentence() and found.side == "guest"
    assert all(halt_polling(waits=100, wait_mean_ns=90 * US).enough[5:]), "the host's would have grown"


def test_the_guests_interval_shrinks_below_its_first_one():
    found = guest_polling(waits_ns=[40 * US, *[1000 * US] * 3])
    assert found.intervals_ns == (0, 50 * US, 25 * US, 12_500)


def test_a_guest_polls_on_although_the_host_has_another_task():
    assert guest_polling(other_task=True).burnt_ns == guest_polling().burnt_ns > 0


def test_the_published_ping_pong_is_quoted_with_its_own_percentages():
    host, host_polls, guest_polls = (
        FACTS[f"guest.halt_poll.pingpong.{who}"].value for who in ("host", "host_polls", "guest_polls"))
    assert (round(host / host_polls, 3), round(host / guest_polls, 3)) == (0.938, 0.957)


# ------------------------------------------------- why does a VM that works 1 % show 100 %?

@pytest.mark.parametrize(("interval_us", "host"), [(20, 1), (100, 1), (200, 1), (203, 0.01), (250, 0.01), (4000, 0.01)])
def test_a_vm_that_works_1_per_cent_shows_100_per_cent_if_it_is_woken_often_enough(interval_us, host):
    found = host_share(wake_interval_ns=interval_us * US)
    assert found.work_share == pytest.approx(0.01) and found.host_share == pytest.approx(host)


def test_an_idle_guest_with_a_timer_of_250_hz_costs_next_to_nothing():
    assert host_share(wake_interval_ns=4_000_000, work_share=0).host_share == 0


def test_without_polling_the_host_shows_the_work():
    assert host_share(halt_poll_ns=0).host_share == host_share(other_task=True).host_share == pytest.approx(0.01)
    assert "takes 100 % of a host CPU" in host_share().sentence() and "system time" in str(host_share())


@given(settings_of(HostShareOptions))
def test_work_polling_and_sleep_are_all_the_time_there_is(options):
    found = host_share(options)
    total, whole = found.law()
    assert total == pytest.approx(whole)
    assert found.work_share == pytest.approx(options.work_share, abs=1 / options.wake_interval_ns)
    assert -1e-12 <= min(found.polled_share, found.slept_share)


@given(settings_of(HostShareOptions))
def test_the_settled_share_is_that_of_many_waits(options):
    wait = round(options.wake_interval_ns * (1 - options.work_share))
    intervals = poll_intervals_ns([wait] * 1000, options.rules)
    assert intervals[-1] == host_share(options).interval_ns


# ------------------------------------------------- errors that teach

@pytest.mark.parametrize("waits", [[], [0], [1.5], [-1], [10**16]])
def test_waits_that_are_none_are_refused(waits):
    with pytest.raises(ParameterError, match="whole numbers of ns above 0"):
        halt_polling(waits_ns=waits)


@pytest.mark.parametrize(("name", "value"), [("halt_poll_ns", -1), ("halt_poll_shrink", 17), ("wait_kind", "normal"),
                                             ("waits", 0)])
def test_out_of_range_is_refused_in_a_sentence_that_teaches(name, value):
    with pytest.raises(ParameterError, match=f"{name} must be .*you gave {value!r}: "):
        halt_polling(**{name: value})
