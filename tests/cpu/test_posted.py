"""Posted interrupts: every interleaving of up to six events, each rule left out once, and single stories."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.core.parameter import ParameterError
from virtlab.cpu import RULES, posted, posted_story
from virtlab.cpu.posted_model import PLACES, Model, State
from virtlab.cpu.posted_story import STORY_EVENTS

LOSING = RULES[:-1]


# ------------------------------------------------- every interleaving

@pytest.mark.parametrize("events", range(1, 7))
def test_no_interrupt_is_lost_and_notifications_are_as_many_as_times_that_a_post_raised_on(events):
    found = posted(events)
    assert not found.lost and not found.miscounted and not found.schedule
    assert f"up to {events} events" in str(found) and "no interrupt is lost" in str(found)


def test_six_events_are_tens_of_thousands_of_states_and_more_events_more_states():
    states = [posted(events).states for events in range(1, 7)]
    assert states == sorted(set(states)) and states[-1] > 50_000


def test_the_exploration_meets_every_state_of_the_vcpu():
    seen, todo, model = set(), [State(left=3)], Model(frozenset(), ("device", "software"))
    while todo:
        state = todo.pop()
        if state not in seen:
            seen.add(state)
            todo += [move.state for move in (*model.steps(state), *(model.events(state) if state.left else ()))]
    assert {state.at for state in seen} == set(PLACES) and set(PLACES.values()) == {"guest", "host", "preempted",
                                                                                     "blocked"}
    assert len(seen) == posted(3).states, "breadth first or depth first: the same states"
    # SN only while it waits for its turn, the wake-up vector only while it sleeps or is about to
    assert {s.at for s in seen if s.sn} == {"preempted"}
    assert {s.at for s in seen if s.wake_vector} == {"armed", "asleep"}


# ------------------------------------------------- the seeded faults

def test_without_the_look_at_pir_on_load_the_interrupt_of_a_device_is_lost():
    found = posted(without=("recheck",))
    assert found.lost and not found.miscounted
    assert [line.key for line in found.schedule] == ["preempt", "put", "device_sn", "load", "no_recheck", "mode",
                                                     "on_clear", "enter"]
    assert "nobody is on the way to fetch it" in str(found) and "SN forbids to tell" in str(found)


def test_that_fault_needs_a_device_because_a_post_of_kvm_does_not_look_at_sn():
    assert not posted(without=("recheck",), sources=("software",)).lost
    assert posted(without=("recheck",), sources=("device",)).lost


@pytest.mark.parametrize("rule", LOSING)
def test_each_other_rule_left_out_loses_an_interrupt_too(rule):
    found = posted(without=(rule,))
    assert found.lost and found.schedule


@pytest.mark.parametrize(("rule", "step"), [
    ("on checked", "spurious"), ("wake-up vector", "sleep_unarmed"), ("destination", "elsewhere"),
    ("clear first", "take"), ("mode first", "no_mode"), ("pir first", "post_on_first")])
def test_the_schedule_shows_the_step_at_which_it_goes_wrong(rule, step):
    assert step in {line.key for line in posted(without=(rule,)).schedule}


def test_a_post_that_does_not_test_on_loses_nothing_and_sends_too_many():
    found = posted(without=("on tested",))
    assert found.miscounted and not found.lost and "already announced" in str(found)


@pytest.mark.parametrize(("rule", "source"), [("mode first", "device"), ("pir first", "device")])
def test_the_order_of_kvms_own_post_does_not_concern_a_device(rule, source):
    assert not posted(4, (rule,), (source,)).lost


def test_the_schedule_is_a_shortest_one():
    """With one event fewer than the schedule needs, nothing is found."""
    assert not posted(1, without=("recheck",)).lost and posted(2, without=("recheck",)).lost


# ------------------------------------------------- stories

@pytest.mark.parametrize("source", ["device", "software"])
def test_two_posts_of_one_vector_before_delivery_coalesce_to_one(source):
    story = posted_story(f"{source} A", f"{source} A", "run")
    assert (story.posts, story.raised, story.notifications, story.taken, story.left) == (2, 1, 1, 1, ())


def test_two_vectors_share_one_notification_and_both_arrive():
    story = posted_story("software A", "device B", "run")
    assert (story.posts, story.notifications, story.taken) == (2, 1, 2)


def test_a_post_after_delivery_is_told_again():
    story = posted_story("device A", "run", "device A", "run")
    assert (story.notifications, story.taken) == (2, 2)


def test_a_running_guest_takes_a_posted_interrupt_without_leaving():
    assert {m.place for m in posted_story("device A", "run", "software B", "run").moments} == {"guest"}


def test_a_preempted_vcpu_is_not_told_of_a_devices_interrupt_and_has_it_when_it_is_back():
    story = posted_story("preempt", "device A", "run")
    assert story.notifications == 0 and story.left == ("A",) and story.moments[-1].place == "preempted"
    assert story.moments[-1].sn and not story.moments[-1].on
    back = posted_story("preempt", "device A", "load", "run")
    assert back.taken == 1 and back.notifications == 0 and "recheck" in {m.line.key for m in back.moments}


@pytest.mark.parametrize(("source", "step"), [("device", "device_wake"), ("software", "post_wake")])
def test_a_blocked_vcpu_is_woken(source, step):
    story = posted_story("halt", f"{source} A", "run")
    assert story.taken == 1 and step in {m.line.key for m in story.moments}
    assert story.moments[3].place == "blocked" and story.moments[3].wake_vector


def test_a_story_without_the_look_on_load_leaves_the_interrupt_behind():
    story = posted_story("preempt", "device A", "load", "run", without=("recheck",))
    assert story.taken == 0 and story.left == ("A",) and story.moments[-1].place == "guest"


def test_a_software_post_to_a_preempted_vcpu_ends_before_the_next_event():
    story = posted_story("preempt", "software A", "load", "run")
    assert [m.event for m in story.moments if m.line.who == "software"] == ["software A"] * 3
    assert story.taken == 1 and story.law() == (1, 1)


def test_a_story_refuses_a_rule_that_there_is_not():
    with pytest.raises(ParameterError, match="recheck"):
        posted_story("device A", without=("rechek",))


def test_a_story_prints_the_descriptor_step_by_step():
    text = str(posted_story("halt", "device A"))
    assert all(part in text for part in ("PIR", "ON", "SN", "NV", "wake-up", "blocked", "VT-d"))


@given(st.lists(st.sampled_from(STORY_EVENTS), max_size=12))
def test_in_any_order_each_time_that_on_is_raised_is_one_notification(events):
    played = []
    for event in events:
        try:
            posted_story(*played, event)
        except ParameterError:
            continue
        played.append(event)
    for end in ((), ("load", "run")):
        try:
            story = posted_story(*played, "run", *end)
        except ParameterError:
            continue  # it was not preempted
        assert story.law()[0] == story.law()[1]
        assert story.taken <= story.posts
        if story.moments and story.moments[-1].place == "guest":
            assert not story.left


# ------------------------------------------------- errors that teach

@pytest.mark.parametrize("events", [0, 7, 2.5])
def test_a_scope_that_is_no_small_one_is_refused(events):
    with pytest.raises(ParameterError, match="events must be 1 to 6; you gave"):
        posted(events)


def test_an_unknown_rule_is_answered_with_those_that_there_are():
    with pytest.raises(ParameterError, match="called barrier.*recheck; on checked"):
        posted(without=("barrier",))


@pytest.mark.parametrize("sources", [(), ("nic",)])
def test_an_unknown_source_or_none_is_refused(sources):
    with pytest.raises(ParameterError, match="device; software"):
        posted(sources=sources)


def test_an_event_that_cannot_happen_now_says_where_the_vcpu_is():
    with pytest.raises(ParameterError, match="'load' cannot happen now: the vCPU is in the guest"):
        posted_story("load")
    with pytest.raises(ParameterError, match="no event of a story is called 'sleep'"):
        posted_story("sleep")
