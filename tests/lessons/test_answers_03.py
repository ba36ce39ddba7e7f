"""Notebook 03: golden traces and arithmetic, designs that do and do not, and the edge at which KVM does not poll."""
import pytest

from virtlab import lessons
from virtlab.evidence import FACTS
from virtlab.lessons import items, judging


def truth(id, **values):
    return items.answers("03").NUMBERS[id](**values)


def test_the_predictions_come_out_as_the_models_say():
    true = {key: f() for key, f in items.answers("03").PREDICTIONS.items()}
    assert true["03.posts"] == 4, "at 0, 600, 1,200 and 1,800 ns"
    assert true["03.preempted"] == pytest.approx(1_500_000 / 600), "half a slice over a notification"
    assert true["03.hundred"] == 1, "only the one that waits for less than 200 µs"


def test_eli_arithmetic_gives_the_published_interval():
    """1.3 to 1.6 times as fast, and 97 to 100 % afterwards: 60 to 77 % before."""
    gain, after = FACTS["overhead.eli.gain"], FACTS["overhead.eli.after"]
    low = truth("03.eli", gain=gain.high, after=100 * after.low, cost=3).right[0]
    high = truth("03.eli", gain=gain.low, after=100 * after.high, cost=3).right[0]
    assert (low, high) == pytest.approx((60.6, 76.9), abs=0.05)
    before = FACTS["overhead.eli.before"]
    assert before.low <= low / 100 + 0.01 and high / 100 - 0.01 <= before.high
    assert truth("03.eli", gain=1.6, after=97, cost=3).right[1:] == pytest.approx((37.5, 125_000))


@pytest.mark.parametrize(("wait", "right"), [
    (50, (5, 80, 10 + 20 + 40 + 6 * 50)), (150, (6, 160, 10 + 20 + 40 + 80 + 5 * 150)),
    (199, (7, 200, 10 + 20 + 40 + 80 + 160 + 4 * 199)),
])  # fmt: skip
def test_the_traces_are_the_golden_ones(wait, right):
    assert truth("03.trace", wait=wait).right == right


@pytest.mark.parametrize("id", ["03.eli", "03.trace"])
@pytest.mark.parametrize("seed", range(5))
def test_no_known_mistake_is_a_right_answer_in_any_variant(id, seed):
    exercise = items.find_exercise(id, seed)
    true = judging.truth(exercise)
    for name, wrong in true.wrong.items():
        for given, right, part in zip(wrong, true.right, exercise.parts, strict=True):
            assert given is None or not judging.fits(given, right, part), f"{name}, {exercise.values}"


@pytest.mark.parametrize(("answer", "verdict"), [
    (7, "mapping"), ({"grow": 2}, "unknown_option"), ({"halt_poll_grow": 99}, "options"),
    ({"halt_poll_ns": "x"}, "options"), ({}, "few"), ({"halt_poll_shrink": 0}, "few"), ({"halt_poll_ns": 0}, "few"),
    ({"halt_poll_grow_start_ns": 40_000}, "few"),
    ({"halt_poll_ns": 1_000_000}, "dear"), ({"halt_poll_grow": 16}, "dear"),
    ({"halt_poll_shrink": 1}, "right"), ({"halt_poll_grow": 4}, "right"),
    ({"halt_poll_shrink": 1, "halt_poll_ns": 30_000}, "right"),
])  # fmt: skip
def test_a_design_is_judged_by_what_it_catches_and_burns(answer, verdict):
    assert items.answers("03").DESIGNS["03.design"](answer)[0] == verdict


def test_the_designs_text_says_what_the_rules_of_two_kernels_catch():
    design = items.answers("03").DESIGNS["03.design"]
    assert design({"halt_poll_shrink": 0})[1]["caught"] == "70 %"
    assert design({})[1]["caught"].startswith("79.5"), "80 % after the first burst"


def test_a_design_says_what_it_rests_on():
    design = items.answers("03").DESIGNS["03.design"]
    assert "never shrinks" in design({"halt_poll_shrink": 1})[1]["price"]
    assert "overshoots" in design({"halt_poll_grow": 4})[1]["price"]


def test_the_edge_is_told_from_the_right_rule_and_from_other_mistakes():
    exercise = items.find_exercise("03.debug")
    broken = judging.broken_function(exercise)
    assert broken(0, 200) == 10 and items.answers("03").REFERENCES["03.debug"](0, 200) == 0
    assert "still" in str(lessons.check("03.debug", broken))

    def eager(interval, wait):
        return interval // 2 if wait >= 200 and interval else broken(interval, min(wait, 199)) if interval else 0

    assert "Not yet" in str(lessons.check("03.debug", eager))


@pytest.mark.parametrize(("wait", "intervals"), [(50, (0, 10, 20, 40, 80, 80)), (200, (0, 0, 0)), (250, (0, 0))])
def test_the_reference_gives_the_golden_intervals(wait, intervals):
    at, seen = 0, []
    for _ in intervals:
        seen.append(at)
        at = items.answers("03").REFERENCES["03.debug"](at, wait)
    assert tuple(seen) == intervals
