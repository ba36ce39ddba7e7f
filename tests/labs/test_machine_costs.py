"""The cost lab: recorded until measured, the same by button and by code, and its costs are those of a path."""
from dataclasses import replace

import pytest

from virtlab import labs
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.evidence import FACTS
from virtlab.labs import CostLab
from virtlab.labs import machine_costs as module
from virtlab.machine import Facts, Measured, Quantity, recorded
from virtlab.paths import LADDER, Costs

VALUES = {"syscall": 150.0, "context_switch": 1500.0, "wakeup": 4000.0, "copy_cache": 30.0, "copy_memory": 8.0}
FACTS_HERE = Facts("Test CPU", 8, "Linux 7", "2027-01-01", virtual=False)


def fake(**changed):
    """A measurement with the given values; None is missing."""
    rows = [Quantity(k, v, 0.9 * v, 1.2 * v, 50) if v else Quantity(k, missing="Not here.")
            for k, v in (VALUES | changed).items()]
    return Measured(tuple(rows), FACTS_HERE)


@pytest.fixture
def lab(monkeypatch):
    monkeypatch.setattr(module, "measure", lambda seconds: fake())
    monkeypatch.setattr(CostLab, "strict", True)
    lab = CostLab(theme="light")
    yield lab
    lab.close()


def test_it_is_one_of_the_labs():
    assert "CostLab" in labs.__all__


def test_it_opens_with_the_recorded_measurement_and_measures_nothing(monkeypatch):
    monkeypatch.setattr(module, "measure", lambda seconds: pytest.fail("measured without being asked"))
    first, second = CostLab(), CostLab()
    assert first.measured is recorded()
    assert first.describe().startswith("Recorded on 2026-11-23") and first.describe() == second.describe()
    data, _ = first._repr_mimebundle_()
    assert data["text/plain"] == first.describe() and data["image/png"] == second._repr_mimebundle_()[0]["image/png"]


def test_measuring_by_code_shows_this_machine(lab):
    before = lab.png
    assert lab.measure(0.5) == lab.measured == fake()
    assert lab.describe().startswith("This machine, now: Test CPU, 8 CPUs, Linux 7")
    assert lab.png != before and lab.result.live


def test_the_button_does_the_same_as_the_code(lab):
    lab._buttons["measure"].click()
    by_button = lab.describe(), lab.png
    lab.reset()
    lab.measure()
    assert by_button == (lab.describe(), lab.png)


def test_the_button_is_free_again_after_an_interrupt(lab, monkeypatch):
    def interrupt(seconds):
        assert lab._buttons["measure"].disabled
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "measure", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lab.measure()
    button = lab._buttons["measure"]
    assert not button.disabled and button.description == words("machine.button")
    assert lab.measured is recorded()


def test_reset_returns_to_the_recorded_measurement(lab):
    opened = lab.describe(), lab.png
    lab.measure()
    lab.copy_source = "memory"
    lab.reset()
    assert (lab.describe(), lab.png) == opened and lab.copy_source == "cache"


@pytest.mark.parametrize(("source", "copy"), [("cache", 30.0), ("memory", 8.0)])
def test_the_costs_are_the_courses_with_the_measured_ones_put_in(lab, source, copy):
    lab.measure()
    lab.copy_source = source
    expected = Costs(syscall_ns=150.0, context_switch_ns=1500.0, wakeup_ns=4000.0, copy_gbyte_per_s=copy)
    assert lab.costs() == expected
    assert lab.costs(clock_ghz=3) == expected.replace(clock_ghz=3)


def test_a_path_takes_the_costs_of_the_lab(lab):
    lab.measure()
    path = LADDER["vhost-net"]
    assert path.latency(costs=lab.costs()).total_ns < path.latency().total_ns, "a faster machine is faster"


def test_what_is_missing_stays_at_the_courses_default_and_is_said(lab, monkeypatch):
    monkeypatch.setattr(module, "measure", lambda seconds: fake(wakeup=None, syscall=None))
    lab.measure()
    assert lab.costs().wakeup_ns == Costs().wakeup_ns and lab.costs().syscall_ns == Costs().syscall_ns
    assert lab.costs().context_switch_ns == 1500
    assert f"{words('machine.wakeup.title')}: not measured" in lab.describe()


def test_nothing_measured_at_all_is_drawn_and_said(lab, monkeypatch):
    monkeypatch.setattr(module, "measure", lambda seconds: fake(**dict.fromkeys(VALUES)))
    lab.measure()
    assert lab.costs() == Costs() and lab.describe().count("not measured") == len(VALUES)
    assert lab.describe().endswith("The course's defaults stay in force.")


def test_a_cost_that_the_model_does_not_take_raises_and_is_drawn_all_the_same(lab, monkeypatch):
    monkeypatch.setattr(module, "measure", lambda seconds: fake(wakeup=900_000.0))
    lab.measure()
    with pytest.raises(ParameterError, match=r"wakeup_ns must be 500 to 200,000 ns; you gave 900000"):
        lab.costs()
    assert "wakeup_ns must be" in lab.describe() and lab.error is None


def test_the_sentence_names_what_lies_outside_the_recalled_range(lab, monkeypatch):
    high = 2 * FACTS["host.context_switch"].high
    monkeypatch.setattr(module, "measure", lambda seconds: fake(context_switch=high))
    lab.measure()
    assert f"Outside the recalled range: {words('machine.context_switch.title')}." in lab.describe()


def test_inside_all_ranges_the_sentence_says_so(lab):
    lab.measure()
    assert words("machine.inside").strip() in lab.describe()


def test_what_is_assumed_comes_from_facts():
    by = {a.id: a for a in module.assumed()}
    assert by["wakeup"].course == (6000, 3000, 10_000) and by["wakeup"].literature == (6000, 5000, 7000)
    assert by["context_switch"].literature[0] == FACTS["io.context_switch.pipe"].value
    for key, cost in {"syscall": "syscall_ns", "context_switch": "context_switch_ns", "wakeup": "wakeup_ns",
                      "copy_cache": "copy_gbyte_per_s", "copy_memory": "copy_gbyte_per_s"}.items():
        assert by[key].course[0] == getattr(Costs(), cost), "the course's default is the model's default"


def test_the_markers_are_where_the_values_are_and_at_the_end_of_the_axis_beyond_it(lab, monkeypatch):
    monkeypatch.setattr(module, "measure", lambda seconds: fake(syscall=1.0, wakeup=None))
    lab.measure()
    points = lab._picture._points
    assert list(points["context_switch"].get_xdata()) == [1500]
    assert list(points["syscall"].get_xdata()) == [50]
    assert not points["wakeup"].get_visible()


def test_a_kept_measurement_is_a_ghost_behind_the_next(lab):
    lab.keep()
    lab.measure()
    ghosts = lab._picture._ghosts
    assert ghosts["wakeup"].get_visible() and list(ghosts["wakeup"].get_xdata()) == [recorded()["wakeup"].value] * 2
    lab.forget()
    assert not ghosts["wakeup"].get_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_text_leaves_the_picture_or_overlaps_another(lab, monkeypatch, theme):
    long = replace(FACTS_HERE, cpu="Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", kernel="Linux 5.15.167-microsoft",
                   note="a long note that somebody wrote who wanted to be sure that all is said, twice", waiting=1)
    monkeypatch.setattr(module, "measure", lambda seconds: replace(fake(wakeup=None, syscall=888.0), facts=long))
    lab.theme = theme
    lab.measure()
    figure = lab._picture.figure
    renderer = lab._picture._canvas.get_renderer()
    texts = [t for axes in figure.axes for t in (*axes.texts, axes.xaxis.label, *axes.get_xticklabels())]
    texts = [t for t in (*texts, *figure.texts) if t.get_text().strip()]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
    for i, (name, box) in enumerate(boxes):
        assert 0 <= box.x0 and box.x1 <= 1040 and 0 <= box.y0 and box.y1 <= 660, name
        for other, there in boxes[:i]:
            assert not box.overlaps(there), (name, other)
