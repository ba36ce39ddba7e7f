"""Notebook 10: golden values, well-known mistakes, and designs on both sides of the line."""
import pytest

from virtlab import lessons
from virtlab.lessons import items, judging

TRUE = {id: judging.truth(items.find_exercise(id)) for id in ("10.limits",)}


def test_golden_values():
    answers = items.answers("10")
    assert answers.limits(15, 10, 1_000, 5).right == pytest.approx((990.1, 333_333.3, 1.4e6), rel=1e-4)


def test_the_limits_are_those_of_the_closed_form_at_every_seed():
    from virtlab.offload import moderation

    entry = next(e for e in items.raw("10")["exercise"] if e["id"] == "10.limits")
    vary = entry["vary"]
    for packets, wait, light, heavy in zip(*(vary[k] for k in ("packets", "wait", "light", "heavy")), strict=True):
        low, high, _ = items.answers("10").limits(packets, wait, light, heavy).right
        for rate, limit in ((light, low), (heavy * 1e6, high)):
            exact = moderation(rate_packets_per_s=rate, max_packets=packets, interrupt_delay_ns=1000 * wait)
            assert exact.interrupts_per_s == pytest.approx(limit, rel=0.005)


def test_the_predictions_are_what_the_notebook_teaches():
    asked = items.answers("10").PREDICTIONS
    assert asked["10.rate"]() == pytest.approx(50_000, rel=1e-6) and asked["10.timer"]() == 10
    schemes = asked["10.schemes"]()
    assert 1.1 * schemes["virtio"] < schemes["napi"] < schemes["off"] / 1.1


@pytest.mark.parametrize(("id", "i", "wrong", "hint"), [
    ("10.limits", 0, 20_000, "nothing is held back"), ("10.limits", 1, 8e6, "nothing is held back"),
    ("10.limits", 1, 8e6 / 401, "does not come first"), ("10.limits", 2, 1.28e6, "only starts the timer"),
])  # fmt: skip
def test_the_well_known_wrong_answers_are_recognised(id, i, wrong, hint):
    numbers = list(TRUE[id].right)
    numbers[i] = wrong
    assert hint in str(lessons.check(id, tuple(numbers))), lessons.check(id, tuple(numbers))


@pytest.mark.parametrize("answer", [
    {"moderation": "virtio", "max_packets": 64, "interrupt_delay_ns": 40_000},
    {"moderation": "virtio", "max_packets": 24, "interrupt_delay_ns": 45_000},
    {"moderation": "napi", "interrupt_delay_ns": 30_000}, {"moderation": "napi", "interrupt_delay_ns": 45_000},
])  # fmt: skip
def test_several_ways_are_quiet_and_quick(answer):
    judged = lessons.check("10.design", answer)
    assert judged.right and "knows no deadline" in str(judged), judged


@pytest.mark.parametrize(("answer", "hint"), [
    ({"moderation": "virtio", "max_packets": 15, "interrupt_delay_ns": 10_000}, "too many"),
    ({"moderation": "off"}, "too many"),
    ({"moderation": "virtio", "max_packets": 200, "interrupt_delay_ns": 60_000}, "one packet in 100"),
    ({"moderation": "adaptive"}, "one packet in 100"),
    ({"moderation": "napi", "interrupt_delay_ns": 64_000}, "one packet in 100"),
    ({"moderation": "none"}, "does not take this"), ({"interrupt_delay_ns": -1}, "does not take this"),
    ({"rate_packets_per_s": 1}, "not yours to choose"), ("napi", "dictionary"), ({}, "dictionary"),
])  # fmt: skip
def test_a_way_that_does_not_do_is_told_why(answer, hint):
    assert hint in str(lessons.check("10.design", answer)), lessons.check("10.design", answer)


def test_the_broken_timer_is_found_and_the_mended_one_passes():
    space = {}
    exec(items.find_exercise("10.debug").stub, space)
    assert not lessons.check("10.debug", space["notifications"]).right
    exec(items.find_exercise("10.debug").solution, space)
    assert lessons.check("10.debug", space["answer"]).right
