"""Notebook 02: predictions from models and counts, goldens of the tax, designs that do and do not, and the forecast."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab import cpu, lessons
from virtlab.lessons import items, judging

DESIGN = items.answers("02").DESIGNS["02.design"]


def truth(id, **values):
    return items.answers("02").NUMBERS[id](**values)


def test_the_predictions_come_out_as_the_golden_tax_and_the_counts_say():
    true = {key: f() for key, f in items.answers("02").PREDICTIONS.items()}
    assert true["02.tax"] == pytest.approx((5.06, 10.57), abs=0.005), "50 k/s of 2,528 and of 5,287 cycles"
    assert true["02.ioeventfd"] == 100, "Linux's own KVM counted every exit with an ioeventfd as well"
    assert true["02.left"] == pytest.approx((2.0 * 0.544, 20_000 * 1762 / 2.5e9 * 100)), "20 k/s of 544 and of 705 ns"


@pytest.mark.parametrize(("rate", "clock"), [(20_000, 2.0), (60_000, 2.6)])
def test_what_can_be_afforded_is_rate_times_cost(rate, clock):
    right = truth("02.afford", rate=rate, clock=clock).right
    assert right == pytest.approx((rate * 5287 / clock / 1e7, rate * (5287 - 1762) / clock / 1e7, clock * 1e9 / 5287))


@given(st.integers(1, 10**6), st.integers(0, 10**5), st.floats(1, 6))
def test_the_two_forms_of_the_tax_agree(work_us, exits, clock):
    slowdown, rate, share = truth("02.work", work_us=work_us, exits=exits, clock=clock).right
    assert share == pytest.approx(100 * (1 - 1 / slowdown))
    assert rate == pytest.approx(exits / (work_us * 1e-6 * slowdown))
    assert share < 100, "work that is done has had some time"


@pytest.mark.parametrize("exercise", ["02.afford", "02.work"])
@pytest.mark.parametrize("seed", range(8))
def test_a_mistake_is_never_taken_for_the_right_answer(exercise, seed):
    drawn = items.find_exercise(exercise, seed)
    true = judging.truth(drawn)
    for key, wrong in true.wrong.items():
        for value, right, part in zip(wrong, true.right, drawn.parts, strict=True):
            assert value is None or not judging.fits(value, right, part), (key, drawn.values)


@pytest.mark.parametrize(("answer", "verdict"), [
    (7, "mapping"), ({"apicv": False}, "unknown_option"), ({"posted_timers": True}, "options"),
    ({"halts_per_s": "few"}, "options"), ({"halts_per_s": 100}, "range"), ({"timers_per_s": 0}, "range"),
    ({"busy_share": 1.0}, "range"), ({"exits_disabled": True}, "idle"), ({"isolated_cpus": True}, "idle"),
    ({"isolated_cpus": True, "busy_share": 0.9}, "above"), ({}, "above"), ({"ipi_virtualization": True}, "above"),
    ({"halts_per_s": 2000, "timers_per_s": 1000}, "above"),
    ({"exits_disabled": True, "ipi_virtualization": True, "busy_share": 0.9}, "above"),
    ({"ipi_virtualization": True, "halts_per_s": 2000, "timers_per_s": 1000}, "right"),
    ({"ipi_virtualization": True, "halts_per_s": 3000, "timers_per_s": 1500}, "right"),
    ({"exits_disabled": True, "posted_timers": True, "ipi_virtualization": True, "busy_share": 0.8}, "right"),
])  # fmt: skip
def test_a_design_is_judged_by_its_tax_and_by_whose_idle_time_it_takes(answer, verdict):
    assert DESIGN(answer)[0] == verdict


def test_a_design_says_what_it_is_paid_with():
    batched = DESIGN({"ipi_virtualization": True, "halts_per_s": 2000, "timers_per_s": 1000})[1]
    assert "wait for each other" in batched["price"] and batched["stranded"] == "0 %"
    taken = DESIGN({"exits_disabled": True, "posted_timers": True, "ipi_virtualization": True, "busy_share": 0.8})[1]
    assert "lend to nobody" in taken["price"] and taken["stranded"] == "20 %"


def test_the_forecast_by_shares_of_the_work_is_told_from_the_right_one():
    exercise = items.find_exercise("02.debug")
    broken = judging.broken_function(exercise)
    assert broken([100, 100], [2528, 1360], 2.5, 50) < 0, "shares that add up to more than 1"
    judged = lessons.check("02.debug", broken)
    assert not judged.right and "still" in str(judged)
    assert not lessons.check("02.debug", lambda *args: max(1.0, broken(*args))).right, "clipping mends nothing"


@pytest.mark.parametrize(("exits", "work_us"), [([10], 100), ([200], 50)])
def test_the_reference_forecasts_what_the_work_form_does(exits, work_us):
    form = cpu.exit_work({"pio": exits[0]}, {"pio": "userspace"}, work_ns=1e3 * work_us, clock_ghz=2.5)
    assert items.answers("02").REFERENCES["02.debug"](exits, [2528], 2.5, work_us) == pytest.approx(form.slowdown)
