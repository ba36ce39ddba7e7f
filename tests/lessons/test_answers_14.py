"""Notebook 14: golden values, well-known mistakes, and designs on both sides of the line."""
import pytest

from virtlab import lessons
from virtlab.lessons import items, judging

ANSWERS = items.answers("14")
CEILING, RESERVE = (judging.truth(items.find_exercise(f"14.{name}")).right for name in ("ceiling", "reserve"))


def test_golden_values():
    assert CEILING == pytest.approx((5e6, 40e6, 5e6))
    assert ANSWERS.reserve(100, 5, 1.0, 10, 4).right == pytest.approx((0.05, 80, 8000))


def test_the_orders_are_what_the_notebook_teaches():
    masks, limit, first = (ANSWERS.PREDICTIONS[f"14.{key}"]() for key in ("masks", "limit", "first"))
    assert masks["many"] == masks["few"] < masks["shapes"] / 1.5
    assert limit == pytest.approx({"pipeline": 40e6, "flows": 5e6, "table": 1e6})
    assert first["p99"] < first["mean"] / 1.2 and first["mean"] < first["capacity"] / 10


@pytest.mark.parametrize(("exercise", "right", "i", "wrong", "hint"), [
    ("ceiling", CEILING, 0, 5e5, "new flows a second"), ("ceiling", CEILING, 0, 40e6, "needs the slow path"),
    ("ceiling", CEILING, 1, 500e6, "pipeline takes 40 million"), ("ceiling", CEILING, 2, 50e6, "share one entry"),
    ("reserve", RESERVE, 0, RESERVE[0] / 6, "each of them looks"),
    ("reserve", RESERVE, 1, 96 / RESERVE[0], "whole host"),
    ("reserve", RESERVE, 1, 1 / RESERVE[1], "over the price"),
])  # fmt: skip
def test_the_well_known_wrong_answers_are_recognised(exercise, right, i, wrong, hint):
    numbers = list(right)
    numbers[i] = wrong
    assert hint in str(lessons.check(f"14.{exercise}", tuple(numbers)))


@pytest.mark.parametrize("answer", [
    {"management": "reserved", "filter": "card", "reserved_cores": 2}, {"management": "board", "filter": "host"},
    {"management": "board", "filter": "card", "monitor_period_s": 30, "snapshots_per_day": 12},
    {"management": "host", "filter": "card", "monitor_period_s": 30},
])  # fmt: skip
def test_several_hosts_do(answer):
    judged = lessons.check("14.design", answer)
    assert judged.right and "of the host is lost" in str(judged), judged


@pytest.mark.parametrize(("answer", "hint"), [
    ({"management": "board", "filter": "card"}, "cores would be 98.7 % busy"),
    ({"management": "reserved", "filter": "host", "reserved_cores": 2}, "more than 3 %"),
    ({"management": "reserved", "filter": "card", "reserved_cores": 4}, "more than 3 %"),
    ({"management": "reserved", "filter": "card", "reserved_cores": 1}, "cannot do"),
    ({"management": "host", "filter": "card"}, "more than 325"),
    ({"management": "host", "filter": "card", "monitor_period_s": 60}, "too few"),
    ("board", "dictionary"), ({"management": "board"}, "dictionary"),
    ({"management": 1, "filter": "card"}, "is \"host\""),
    ({"management": "host", "filter": "card", "load": 0.1}, "not yours to choose"),
    ({"management": "host", "filter": "card", "monitor_period_s": "often"}, "does not take this"),
])  # fmt: skip
def test_a_host_that_does_not_do_is_told_why(answer, hint):
    assert hint in str(lessons.check("14.design", answer)), lessons.check("14.design", answer)


def test_a_cache_that_is_cleared_is_right_and_one_that_forgets_the_changed_port_too():
    def forgets_one(steps):
        rules, cache, seen = {}, {}, []
        for what, port, allowed in steps:
            if what == "rule":
                rules[port] = allowed
                cache.pop(port, None)
            else:
                seen.append(cache.setdefault(port, rules.get(port, 0)))
        return seen

    assert lessons.check("14.debug", forgets_one).right
    broken = judging.broken_function(items.find_exercise("14.debug"))
    assert "closed in between" in str(lessons.check("14.debug", broken))
