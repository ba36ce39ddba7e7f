"""Notebook 12: golden values, well-known mistakes, and designs on both sides of the line."""
import pytest

from virtlab import lessons
from virtlab.lessons import items, judging

TRUE = {id: judging.truth(items.find_exercise(id)) for id in ("12.water", "12.buses", "12.pause")}


def test_golden_values():
    answers = items.answers("12")
    assert answers.water(10, 2).right == (60, 30, 15)
    assert answers.buses(1024).right == (5, 64)
    assert answers.pause(10, 10).right == pytest.approx((1000, 90.909), abs=0.001)
    assert answers.pause(1000, 1000).right == pytest.approx((1000, 909.09), abs=0.01)


def test_the_predictions_are_what_the_notebook_teaches():
    asked = items.answers("12").PREDICTIONS
    assert asked["12.share"]() == 30
    first = asked["12.first"]()
    assert first["interrupts"] == 1024 < first["memory"] < first["ids"] < first["mmio"]
    neighbour = asked["12.neighbour"]()
    assert neighbour["pages"] < neighbour["pps"] < neighbour["link"]


@pytest.mark.parametrize(("id", "i", "wrong", "hint"), [
    ("12.water", 0, 50, "fixed part"), ("12.water", 0, 45, "even share"), ("12.water", 1, 25, "fixed part"),
    ("12.water", 0, 10_000 / 210, "by what is asked for"), ("12.water", 2, 25, "whole part of A"),
    ("12.buses", 0, 4, "physical function"), ("12.buses", 0, 129, "without ARI"),
    ("12.pause", 1, 1_000, "on top of the refill"), ("12.pause", 1, 100, "a bucket in each pause"),
])  # fmt: skip
def test_the_well_known_wrong_answers_are_recognised(id, i, wrong, hint):
    numbers = list(TRUE[id].right)
    numbers[i] = wrong
    assert hint in str(lessons.check(id, tuple(numbers)))


@pytest.mark.parametrize("answer", [
    {"vfs": 1024, "vectors": 8, "memory_bytes": 1 << 30, "queue_pairs": 4},
    {"vfs": 1200, "vectors": 16, "memory_bytes": 4 << 30, "queue_pairs": 8, "pri": True},
    {"vfs": 1500, "vectors": 5, "memory_bytes": 1 << 30, "queue_pairs": 2},
])  # fmt: skip
def test_several_cards_carry_a_thousand_guests(answer):
    judged = lessons.check("12.design", answer)
    assert judged.right and "VFs fit" in str(judged), judged


@pytest.mark.parametrize(("answer", "hint"), [
    ({"vfs": 1024, "vectors": 64, "memory_bytes": 2 << 30}, "does not fit"),
    ({"vfs": 1024, "vectors": 64, "memory_bytes": 1 << 30}, "less than a tenth"),
    ({"vfs": 126, "vectors": 8}, "too few"), ({"vectors": 4, "queue_pairs": 4}, "the function itself another"),
    ({"vectors": 8, "acs": False}, "one IOMMU group"), ({"vectors": 8, "memory_bytes": 1 << 20}, "at least 1 GiB"),
    ({"bus": 3}, "not yours to choose"), ({"vfs": 0}, "does not take this"), ("1024", "dictionary"),
])  # fmt: skip
def test_a_card_that_does_not_is_told_why(answer, hint):
    assert hint in str(lessons.check("12.design", answer)), lessons.check("12.design", answer)
