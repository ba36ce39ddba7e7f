"""Every lab over its whole parameter space: no exception, laws hold, picture and sentence agree, labels can be read."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

from tests.figures.reading import moving_texts, outside, overlapping, still_texts
from tests.labs.conftest import alt, other, read_out
from tests.strategies import settings_of
from virtlab import labs
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.figures.journey import MOST_STEPS
from virtlab.figures.load import BARS, EDGES_NS
from virtlab.figures.mix import LEAST, PARTS
from virtlab.figures.style import LOOKS

borrowed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
near = pytest.approx


def move(lab, setting):
    lab.set(**setting.model_dump())
    return lab.result, lab._picture, lab.describe()


def same_words(lab):
    """What holds in every lab for every setting."""
    sentence = lab.describe()
    assert lab.error is None
    assert sentence.endswith(".") and len(sentence) > 40
    for sign in ("nan", "inf ", "None", "{", "}", "  "):
        assert sign not in sentence, sentence
    assert alt(lab) == read_out(lab, "status") == sentence
    for text, _ in moving_texts(lab._picture):
        assert "nan" not in text and "None" not in text, text


# ------------------------------------------------- one check a lab: laws, and what the picture shows

def ladder(lab, setting):
    result, picture, sentence = move(lab, setting)
    limit = None
    for rung in result.rungs:
        total, shown = sum(rung.cpu_ns.values()), [b for (p, _), b in picture._bars.items() if p == rung.id]
        assert all(ns >= 0 for ns in rung.cpu_ns.values())
        width = sum(bar.get_width() for bar in shown if bar.get_visible())
        limit = limit or total / width
        assert width == near(total / limit), f"{rung.id}: bars and bill disagree"
        assert width <= 1, f"{rung.id}: the bar leaves its axes"
        for (path, place), bar in picture._bars.items():
            if path == rung.id and bar.get_visible():
                assert bar.get_width() * limit == near(rung.cpu_ns[place])
        assert show(total, "ns", 2) in picture._totals[rung.id].get_text()
        assert picture._alone[rung.id].get_xdata()[0] * 1e3 == near(rung.alone_ns)
        assert [us * 1e3 for us in picture._asleep[rung.id].get_xdata()] == near([rung.alone_ns, rung.asleep_ns])
        assert 0 < rung.alone_ns <= rung.asleep_ns * (1 + 1e-12), f"{rung.id}: sleep makes nothing faster"
        for (path, key), cell in picture._cells.items():
            if path == rung.id:
                assert cell.get_text() == number(rung.counts[key], 2)
    assert picture._scale[-1].get_text() == show(limit, "ns", 2)
    by = {rung.id: rung for rung in result.rungs}
    for path in ("vhost-net", "card"):
        host = sum(ns for place, ns in by[path].cpu_ns.items() if place != "guest")
        assert show(host, "ns") in sentence


def journey(lab, setting):
    result, picture, sentence = move(lab, setting)
    hops = result.hops
    assert 0 < len(hops) <= MOST_STEPS, "steps beyond the last row would be left out"
    assert result.total_ns == near(sum(h.ns for h in hops if not h.aside))
    places = picture._dots.get_offsets()
    assert len(places) == len(hops)
    for i, hop in enumerate(hops):
        assert places[i][0] == picture._lane[hop.place], f"{hop.key} is drawn in the wrong lane"
        assert picture._names[i].get_text() == words(f"step.{hop.key}")
        assert picture._times[i].get_text().startswith(show(hop.ns, "ns", 2))
        assert ("÷" in picture._times[i].get_text()) == (hop.shared_by != 1)
    assert all(not text.get_text() for text in picture._names[len(hops) :])
    assert list(picture._line.get_xdata()) == [picture._lane[h.place] for h in hops if not h.aside]
    assert show(result.total_ns, "ns") in sentence
    assert words(f"path.{result.path}.title") in sentence


def load(lab, setting):
    result, picture, sentence = move(lab, setting)
    assert ((result.slower >= -1e-12) & (result.slower <= 1)).all()
    assert (np.diff(result.slower) <= 1e-12).all(), "the share of slower packets cannot grow with the time"
    quantiles = [result.quantiles_ns[key] for key in ("p50", "p99", "p999")]
    assert 0 < quantiles[0] <= quantiles[1] <= quantiles[2]
    for share, ns in zip((0.5, 0.01, 0.001), quantiles, strict=True):
        edge = np.searchsorted(EDGES_NS, ns)
        if 0 < edge < len(EDGES_NS):
            assert result.slower[edge] <= share + 1e-9, "curve and quantile disagree"
    assert 0 <= result.dropped_share <= 1
    assert 0 < result.delivered_packets_per_s <= result.capacity_packets_per_s * 100
    x, y = picture._curve.get_data()
    assert list(y) == near(list(result.slower[result.slower > 0]))
    assert list(x * 1e3) == near(list(EDGES_NS[result.slower > 0]))
    assert list(picture._marks.get_xdata()) == near([ns / 1e3 for ns in quantiles])
    for key in BARS:
        assert picture._bars[key].get_width() == near(min(result.busy[key], 1.2))
    for key in ("front", "worker", "consumer"):
        assert -1e-9 <= result.busy[key] <= 1 + 1e-9, f"{key} is busy for more than all of its time"
    for ns in quantiles:
        assert show(ns, "ns", 2) in sentence
    assert show(result.delivered_packets_per_s, "packets/s", 2) in sentence


def mix(lab, setting):
    result, picture, sentence = move(lab, setting)
    shares = setting.mix().shares
    assert sum(shares.values()) == near(1)
    assert result.low - 1e-9 <= result.loss <= result.high + 1e-9
    assert result.loss < 1, "nothing loses all"
    assert sum(result.parts.values()) == near(result.loss)
    assert list(picture._line.get_xdata()) == near([result.loss] * 2)
    assert picture._span.get_x() == near(result.low)
    assert picture._span.get_width() == near(max(result.high - result.low, 0))
    for part in PARTS:
        assert picture._stack[part].get_height() == near(result.parts[part])
    for row, place in zip(result.rows, picture._points.get_offsets(), strict=True):
        assert place[0] == near(max(row.loss, LEAST))
        assert show(row.loss, "%") in picture._values[row.key].get_text()
    assert show(result.loss, "%") in sentence
    assert show(result.low, "%") in sentence and show(result.high, "%") in sentence


def fleet(lab, setting):
    result, picture, sentence = move(lab, setting)
    assert result.lost_cores == near(setting.servers * setting.cores * setting.loss)
    assert result.usd_per_year == near(result.lost_cores * setting.core_year_usd)
    for point, x, y in zip(picture._points, (result.servers, result.core_year_usd),
                           (result.lost_cores, result.usd_per_year), strict=True):  # fmt: skip
        low, high = point.axes.get_ylim()
        assert point.get_xdata()[0] == near(x)
        assert point.get_ydata()[0] == near(min(max(y, low), high))
    assert picture._notes[0].get_text().strip() == show(result.lost_cores, "cores")
    assert picture._notes[1].get_text().strip() == show(result.usd_per_year, "USD")
    if result.lost_cores:
        assert show(result.lost_cores, "cores") in sentence
        slopes = max(result.lost_per_server, 1e-9), max(result.lost_cores, 1e-3)  # a logarithmic axis has no zero
        for line, slope in zip(picture._lines, slopes, strict=True):
            assert list(line.get_ydata() / line.get_xdata()) == near([slope] * 2)


CHECKS = {"LadderLab": ladder, "JourneyLab": journey, "LoadLab": load, "MixLab": mix, "FleetLab": fleet}


@borrowed
@given(data=st.data())
def test_any_setting_holds_its_laws_and_says_what_it_shows(lab, cls, data):
    setting = data.draw(settings_of(cls.Setting))
    CHECKS.get(cls.__name__, move)(lab, setting)
    same_words(lab)


@borrowed
@given(data=st.data())
def test_the_code_of_any_setting_makes_it_again(lab, cls, data):
    lab.set(**data.draw(settings_of(cls.Setting)).model_dump())
    start = eval(lab.as_python(), {cls.__name__: dict})
    assert cls.Setting(**start) == lab.setting


@settings(borrowed, max_examples=5)
@given(data=st.data())
def test_a_picture_does_not_depend_on_what_was_shown_before(lab, cls, data):
    for _ in range(3):
        lab.set(**data.draw(settings_of(cls.Setting)).model_dump())
    fresh = cls(**lab.setting.model_dump())
    try:
        assert lab.png == fresh.png, "a notebook would not give the same bytes twice"
    finally:
        fresh.close()


@settings(borrowed, max_examples=15)
@given(data=st.data())
def test_a_ghost_of_any_setting_can_stand_behind_any_other(lab, cls, data):
    lab.reset()
    for _ in range(2):
        lab.set(**data.draw(settings_of(cls.Setting)).model_dump())
        lab.keep()
    assert lab.error is None


# ------------------------------------------------- labels

def extremes(cls):
    """Each parameter at its ends and choices, the others at their defaults; then all together at one end."""
    ends = {}
    for name, spec in cls.Setting.specs().items():
        ends[name] = spec.choices or ((False, True) if spec.kind == "bool" else (spec.low, spec.high))
        for value in ends[name]:
            yield {name: value}
    for k in (0, -1):
        yield {name: choices[k] for name, choices in ends.items()}


@pytest.fixture
def full_size(cls, monkeypatch):
    monkeypatch.setattr(labs.base.Lab, "scale", 1.0)
    return cls()


def test_labels_lie_inside_the_picture_and_not_on_each_other(full_size):
    lab = full_size
    still = still_texts(lab._picture)
    assert not outside(lab._picture, still), "labels of the background stick out"
    for values in extremes(type(lab)):
        lab.reset()
        lab.set(**values)
        moving = moving_texts(lab._picture)
        assert not outside(lab._picture, moving), f"{values}: sticks out, by pixels"
        assert not overlapping(still + moving), f"{values}: texts lie on each other"


def test_labels_lie_well_beside_a_ghost_too(full_size):
    lab = full_size
    still = still_texts(lab._picture)
    lab.keep()
    lab.set(**other(type(lab)))
    moving = moving_texts(lab._picture)
    assert not outside(lab._picture, moving)
    assert not overlapping(still + moving)


@pytest.mark.parametrize("theme", LOOKS)
def test_no_label_is_too_small_for_a_projector(cls, theme):
    """At 100 dpi, 11 points are 15 pixels."""
    lab = cls(theme=theme)
    sizes = {text.get_fontsize() for text in lab._picture.figure.findobj(Text) if text.get_text()}
    assert min(sizes) >= 10, sizes


# ------------------------------------------------- predictions

def test_a_prediction_is_drawn_with_the_result(lab, cls):
    if not cls.prediction_id:
        pytest.skip("this lab is not predicted")
    from virtlab.lessons import book

    before = lab.png
    book.keep(cls.prediction_id, example(cls.prediction_id))
    try:
        lab.reset()
        assert lab.png != before, "the prediction is not in the picture"
        assert words("lab.no_prediction") not in lab._text.value
    finally:
        book.clear()
    lab.reset()
    assert lab.png == before
    assert words("lab.no_prediction") in lab._text.value


def example(id):
    from virtlab.lessons.items import find_prediction

    asked = find_prediction(id)
    return tuple(choice.key for choice in asked.choices) if asked.kind == "order" else 10
