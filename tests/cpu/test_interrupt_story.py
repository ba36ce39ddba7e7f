"""Interrupt stories: what a story counts is what the model says of one interrupt; a rule that is left out loses one."""
from typing import get_args

import pytest

from virtlab.core.parameter import ParameterError
from virtlab.cpu import RULES, interrupt_story, interrupts
from virtlab.cpu.interrupt_story import SCENES, SHOWN_RULES
from virtlab.cpu.interrupts import How

MODES = get_args(How)
EVERY = [(how, scene) for how in MODES for scene in SCENES]


@pytest.mark.parametrize(("how", "scene"), EVERY)
@pytest.mark.parametrize("without", [(), *[(rule,) for rule in RULES]], ids=str)
def test_each_post_is_taken_merged_or_left(how, scene, without):
    story = interrupt_story(how, scene, without)
    assert story.law()[0] == story.law()[1] == story.posts


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize("state", ["guest", "host", "preempted", "blocked"])
def test_a_story_counts_what_the_model_says_of_one_interrupt(how, state):
    """Two descriptions of one thing: a table of costs by state, and a machine that is played."""
    source = "assigned" if how == "posted" else "irqfd"
    cost = interrupts(interrupts=how, interrupt_source=source, vcpu_state=state).cost
    spent = interrupt_story(how, state).spent
    assert spent.exits == cost.vcpu_exits
    assert spent.kicks == cost.kick_ipis
    assert spent.told == cost.notification_ipis + cost.hardware_notifications
    assert spent.host_irqs == cost.host_irqs
    assert spent.wakeups == cost.wakeups


def test_three_posts_of_two_vectors_share_a_notification_but_not_the_ends_of_interrupt():
    """Golden: one kick and two EOIs; PV-EOI cannot spare the first, since the second vector waits (lapic.c)."""
    assert [interrupt_story(how, "burst").spent.exits for how in MODES] == [3, 2, 0, 0]
    for how in MODES:
        spent = interrupt_story(how, "burst").spent
        assert (spent.taken, spent.merged, spent.kicks + spent.told) == (2, 1, 1)


@pytest.mark.parametrize(("rule", "scene"), [("recheck", "preempted"), ("wake-up vector", "blocked"),
                                             ("destination", "moved")])  # fmt: skip
def test_each_rule_that_is_shown_loses_an_interrupt_in_one_scene_where_hardware_posts(rule, scene):
    losing = {(how, s) for how, s in EVERY if interrupt_story(how, s, (rule,)).left}
    assert losing == {("posted", scene)}
    assert "nobody is on the way" in interrupt_story("posted", scene, (rule,)).sentence()


def test_with_all_rules_nothing_is_left():
    assert not any(interrupt_story(how, scene).left for how, scene in EVERY)


def test_other_rules_are_not_seen_in_a_story_of_one_order():
    others = [rule for rule in RULES if rule not in SHOWN_RULES]
    assert others and not any(interrupt_story(how, s, (rule,)).left for rule in others for how, s in EVERY)


def test_pv_eoi_marks_a_word_of_the_guest_and_the_guest_clears_it():
    keys = [m.key for m in interrupt_story("pv-eoi").moments]
    assert keys[-2:] == ["enter", "pv_eoi"] and "eoi" not in keys
    assert [m.bits["PV-EOI"] for m in interrupt_story("pv-eoi").moments][-3:] == [1, 1, 0]


def test_a_posted_interrupt_leaves_the_vcpu_in_the_guest():
    assert {m.place for m in interrupt_story("posted").moments} == {"guest"}
    assert {m.place for m in interrupt_story("emulated").moments} == {"guest", "host"}


@pytest.mark.parametrize("how", MODES)
def test_a_story_prints_step_by_step(how):
    story = interrupt_story(how, "blocked")
    assert all(m.what in str(story) for m in story.moments) and story.sentence() in str(story)


@pytest.mark.parametrize("given", [{"interrupts": "x2apic"}, {"scene": "idle"}, {"without": ("x",)}], ids=str)
def test_what_there_is_not_is_refused_with_what_there_is(given):
    with pytest.raises(ParameterError):
        interrupt_story(**given)
