"""The jitter lab: recorded until measured, the same by button and by code, beside a law that knows no measurement."""
import html
from dataclasses import replace

import pytest

from tests.figures.reading import moving_texts, outside, overlapping, still_texts
from virtlab.core.words import words
from virtlab.evidence import FACTS
from virtlab.figures.jitter import GROUPS, PER_S
from virtlab.labs import JitterLab
from virtlab.labs import jitter as module
from virtlab.machine import Facts, Gaps, Jitter, Measured, Quantity, recorded_jitter, recorded_waiting
from virtlab.machine.gaps import EDGES_NS, LOST_NS
from virtlab.machine.measured import JITTER, RIVALS, SWITCHES, WAITING

HERE = Facts("Test CPU", 8, "Linux 7", "2027-01-01", virtual=False)
BINS = len(EDGES_NS) - 1
ROWS = [key for keys in GROUPS.values() for key in keys]
near = pytest.approx


def quantities(keys, missing=()):
    """Each share a quarter, each time 3 µs, each ratio 3, but for those that are missing."""
    values = {"share": 0.25, "1": 3.0, "GB/s": 3.0, "ns": 3000.0}
    return tuple(
        Quantity(key, missing="Not here.") if key in missing
        else Quantity(key, v := values[unit], v * 0.8, v * 1.2, 9) for key, unit in keys.items()
    )


def counts(**bins):
    """Two hundred gaps of 256 ns in the bin that begins there, and others by the name of their bin."""
    found = [0] * BINS
    found[12] = 200
    for name, n in bins.items():
        found[int(name.removeprefix("bin"))] = n
    return tuple(found)


def fake(*missing, gaps=None):
    """What the four probes give."""
    gaps = (Gaps("alone", 10**9, counts()), Gaps("rival", 10**9, counts(bin68=5))) if gaps is None else gaps
    return {
        "measure_jitter": Jitter(quantities(JITTER, missing), HERE, "now", gaps),
        "measure_waiting": Measured(quantities(WAITING, missing), HERE),
        "measure_rivals": Measured(quantities(RIVALS, missing), HERE),
        "measure_switches": Measured(quantities(SWITCHES, missing), HERE),
    }


def answers(monkeypatch, found):
    for name, measured in found.items():
        monkeypatch.setattr(module, name, lambda seconds, measured=measured: measured)


@pytest.fixture
def lab(monkeypatch):
    answers(monkeypatch, fake())
    monkeypatch.setattr(JitterLab, "strict", True)
    lab = JitterLab(theme="light")
    yield lab
    lab.close()


def test_it_opens_with_the_recorded_measurements_and_measures_nothing(monkeypatch):
    for name in fake():
        monkeypatch.setattr(module, name, lambda seconds: pytest.fail("measured without being asked"))
    first, second = JitterLab(), JitterLab()
    assert first.measured.jitter is recorded_jitter() and first.measured.waiting is recorded_waiting()
    assert first.describe().startswith("Recorded on") and not first.result.live
    assert first.describe() == second.describe() and first.png == second.png


def test_the_button_does_the_same_as_the_code(lab):
    lab._buttons["measure"].click()
    by_button = lab.describe(), lab.png
    lab.reset()
    assert lab.measured.jitter is recorded_jitter()
    assert lab.measure(0.5).jitter == fake()["measure_jitter"]
    assert by_button == (lab.describe(), lab.png) and lab.describe().startswith("This machine, now: Test CPU")


def test_the_seconds_are_shared_by_the_four_probes(lab, monkeypatch):
    asked = {}
    for name, measured in fake().items():
        monkeypatch.setattr(
            module, name, lambda seconds, name=name, measured=measured: asked.update({name: seconds}) or measured)
    lab.measure(4)
    assert asked == dict.fromkeys(fake(), 1.0)
    lab.measure(0.05)
    assert asked == dict.fromkeys(fake(), 0.05), "the least that a probe takes"


def test_the_button_is_free_again_after_an_interrupt(lab, monkeypatch):
    def interrupt(seconds):
        assert lab._buttons["measure"].disabled
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "measure_rivals", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lab.measure()
    assert not lab._buttons["measure"].disabled and lab.measured.jitter is recorded_jitter()


def test_where_nothing_can_be_measured_nothing_is_drawn_and_that_is_said(lab, monkeypatch):
    answers(monkeypatch, fake(*JITTER, *WAITING, *RIVALS, *SWITCHES, gaps=()))
    lab.measure()
    picture = lab._picture
    assert lab.describe().count(words("machine.missing")) == len(ROWS) + 2
    assert not any(picture._points[key].get_visible() or picture._spreads[key].get_visible() for key in ROWS)
    assert not any(bar.get_visible() for bar in picture._bars.values())
    assert all(len(picture._rings[key].get_xdata()) == 0 for key in ("alone", "rival"))


def test_what_was_measured_on_another_day_says_so(lab, monkeypatch):
    found = fake()
    found["measure_rivals"] = replace(found["measure_rivals"], facts=replace(HERE, date="2027-02-03"))
    answers(monkeypatch, found)
    assert "2027" not in lab.describe()
    lab.measure()
    assert lab.result.label.endswith("gather: 2027-02-03") and "waiting:" not in lab.result.label


def test_each_bin_that_holds_a_gap_is_a_ring_at_its_middle_and_at_its_rate(lab):
    lab.measure()
    x, y = lab._picture._rings["rival"].get_data()
    assert list(x) == near([256 * 2**0.125, 2 ** (88.5 / 4)]) and list(y) == near([200, 5])
    assert len(lab._picture._rings["alone"].get_xdata()) == 1


def test_gaps_of_any_length_stay_inside_the_axes(lab, monkeypatch):
    every = tuple(Gaps(place, 1000, (1,) * BINS) for place in ("alone", "rival"))
    answers(monkeypatch, fake(gaps=every))
    lab.measure()
    x, y = lab._picture._rings["alone"].get_data()
    axes = lab._picture._rings["alone"].axes
    assert axes.get_xlim()[0] <= min(x) <= max(x) <= axes.get_xlim()[1] and set(y) == {1e6}
    assert len(x) == BINS


def test_the_law_is_a_gap_of_one_slice_in_every_two(lab):
    lab.slice_ns = 4_000_000
    assert [list(part) for part in lab._picture._law.get_data()] == [[4e6] * 2, [PER_S[0], 125]]
    assert "in gaps of 4 ms, 125/s of them" in lab.describe()


def test_the_law_of_m_on_a_cpu_does_not_depend_on_the_measurement(lab):
    before = dict(lab.result.law)
    lab.measure()
    assert lab.result.law == before == {"wait_two_cpus": 0, "wait_one_cpu": 0.5, "lost_rival": 0.5}
    for key, share in before.items():
        assert list(lab._picture._laws[key].get_xdata()) == [share] * 2


def test_the_bars_end_where_the_measured_shares_are(lab):
    lab.measure()
    assert {key: bar.get_width() for key, bar in lab._picture._bars.items()} == dict.fromkeys(GROUPS["waited"], 0.25)


def test_a_ratio_beyond_the_axis_is_drawn_at_its_end_with_its_number_beside_it(lab, monkeypatch):
    found = fake()
    beyond = Quantity("slower_4m", 50.0, 0.01, 90.0, 9)
    of = tuple(beyond if q.id == beyond.id else q for q in found["measure_rivals"].quantities)
    answers(monkeypatch, {**found, "measure_rivals": Measured(of, HERE)})
    lab.measure()
    assert list(lab._picture._points["slower_4m"].get_xdata()) == [8]
    assert list(lab._picture._spreads["slower_4m"].get_xdata()) == [0.5, 8]
    assert lab._picture._values["slower_4m"][0].get_text() == "50"


def test_what_was_published_comes_from_facts():
    loaded, idle = FACTS["cpu.clx.dram.loaded"].value, FACTS["cpu.clx.dram.local"].value
    assert module.published()["slower_256m"][0] == near(loaded / idle) == near(2.88, abs=0.005)
    assert module.published()["switch_one_cpu"][0] == FACTS["io.context_switch.pipe"].value


def test_the_diamonds_stand_where_something_was_published(lab):
    shown = {key for key, diamond in lab._picture._diamonds.items() if diamond.get_visible()}
    assert shown == {"slower_256m", "switch_one_cpu"}
    low, high = (1e3 * end for end in (FACTS["jitter.oslat.max"].low, FACTS["jitter.oslat.max"].high))
    assert LOST_NS < low < lab._picture._diamond.get_xdata()[0] < high
    assert list(lab._picture._longest.get_xdata()) == [low, high]
    assert "longest gaps of 5.02 ms to 10.2 ms" in lab.describe()


def test_a_noisy_measurement_says_so(lab, monkeypatch):
    found = fake()
    found["measure_jitter"] = replace(found["measure_jitter"], facts=replace(HERE, stolen=0.3))
    answers(monkeypatch, found)
    lab.measure()
    assert "noisy" in lab.describe()


def test_a_kept_measurement_and_a_kept_slice_are_ghosts_behind_the_next(lab):
    lab.measure()
    lab.keep()
    lab.reset()
    lab.measure()
    lab.keep()
    lab.slice_ns = 10_000_000
    picture = lab._picture
    assert list(picture._ghosts["slower_4m"].get_xdata()) == [3.0] * 2 and picture._ghosts["slower_4m"].get_visible()
    assert list(picture._old["rival"].get_xdata()) == near([256 * 2**0.125, 2 ** (88.5 / 4)])
    assert list(picture._old_law.get_xdata()) == [FACTS["sched.slice"].value] * 2
    lab.forget()
    assert len(picture._old["rival"].get_xdata()) == 0 and len(picture._old_law.get_xdata()) == 0


def test_the_details_hold_every_quantity_of_the_four(lab):
    page = lab._details.value
    assert all(html.escape(Quantity(key).title) in page for key in (*JITTER, *WAITING, *RIVALS, *SWITCHES))


def test_no_text_leaves_the_picture_or_lies_on_another_however_wide_the_numbers(lab, monkeypatch):
    wide = {"share": (0.0888, 0.0777, 0.0999), "1": (0.888, 0.777, 0.999), "GB/s": (88.8, 77.7, 99.9),
            "ns": (288_000.0, 187_000.0, 489_000.0)}  # fmt: skip
    facts = replace(HERE, cpu="Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", kernel="Linux 5.15.167-microsoft",
                    note="a long note of somebody who wanted to be sure that all is said, twice", waiting=1)
    found = fake()
    for name, measured in found.items():
        of = tuple(Quantity(q.id, *wide[q.unit], 9) for q in measured.quantities)
        found[name] = replace(measured, quantities=of, facts=facts)
    answers(monkeypatch, found)
    monkeypatch.setattr(JitterLab, "scale", 1.0)
    full = JitterLab()
    full.measure()
    still, moving = still_texts(full._picture), moving_texts(full._picture)
    assert not outside(full._picture, moving) and not overlapping(still + moving)
