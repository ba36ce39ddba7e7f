"""Notebook 05: golden values, well-known mistakes, and designs on both sides of the line."""
import pytest

from virtlab import lessons
from virtlab.lessons import items, judging

TRUE = {id: judging.truth(items.find_exercise(id)) for id in ("05.reach", "05.share", "05.touch")}


def test_golden_values():
    answers = items.answers("05")
    assert answers.reach(1536).right == (6, 6, 3)
    assert answers.reach(2048).right == (8, 8, 4)
    assert answers.touch(1).right == (262_144, 512, 4)
    assert answers.share(4).right == pytest.approx((25, 99.85), abs=0.01)


def test_the_predictions_are_what_the_notebook_teaches():
    asked = items.answers("05").PREDICTIONS
    times = asked["05.order"]()
    assert min(times, key=times.get) == "2M.2M" and max(times, key=times.get) == "4K.4K"
    assert lessons.compare("05").rows[0][2].count("≈") == 1, "the two one-sided pairs are as good as equal"
    assert asked["05.cliff"]() == 100
    low, high = asked["05.factor"]()
    assert low == pytest.approx(260 / 79) and 4 < high < 7


@pytest.mark.parametrize(("id", "i", "wrong", "hint"), [
    ("05.reach", 1, 2048, "larger of both"), ("05.reach", 2, 1024, "larger of both"),
    ("05.reach", 0, 4.096, "steps of 1,024"), ("05.share", 0, 75, "that hits"),
    ("05.share", 1, 25, "which size has an entry"), ("05.share", 0, 100, "in turn"), ("05.touch", 2, 32, "one side"),
    ("05.touch", 0, 262_144, "of 1 GiB"), ("05.touch", 1, 2 * 8192, "do not leave the guest"),
])  # fmt: skip
def test_the_well_known_wrong_answers_are_recognised(id, i, wrong, hint):
    numbers = list(TRUE[id].right)
    numbers[i] = wrong
    assert hint in str(lessons.check(id, tuple(numbers)))


@pytest.mark.parametrize("answer", [
    {"working_set_bytes": 8 << 30, "guest_page": "2M", "host_page": "2M"},
    {"working_set_bytes": 16 << 30, "guest_page": "2M", "host_page": "1G", "cpu": "zen2"},
    {"working_set_bytes": 16 << 30, "guest_page": "1G", "host_page": "1G", "cpu": "cascade-lake"},
])  # fmt: skip
def test_several_guests_are_near_bare_metal(answer):
    judged = lessons.check("05.design", answer)
    assert judged.right and "slower than bare metal" in str(judged), judged


@pytest.mark.parametrize(("answer", "hint"), [
    ({"working_set_bytes": 8 << 30, "guest_page": "4K", "host_page": "2M"}, "an entry covers 4 KiB"),
    ({"working_set_bytes": 8 << 30, "guest_page": "2M", "host_page": "4K"}, "an entry covers 4 KiB"),
    ({"working_set_bytes": 8 << 30, "guest_page": "2M", "host_page": "2M", "cpu": "haswell"}, "reaches 2 GiB"),
    ({"working_set_bytes": 64 << 30, "guest_page": "2M", "host_page": "2M"}, "need a walk"),
    ({"guest_page": "2M", "host_page": "2M"}, "at least 8 GiB"), ("2M", "dictionary"), ({}, "dictionary"),
    ({"pattern": "cyclic"}, "not yours to choose"), ({"cpu": "8086"}, "cpu must be"), ({"guest_page": 3}, "guest_page"),
    ({"working_set_bytes": [8]}, "does not take"),
])  # fmt: skip
def test_a_guest_that_is_not_is_told_why(answer, hint):
    assert hint in str(lessons.check("05.design", answer)), lessons.check("05.design", answer)
