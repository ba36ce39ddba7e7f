"""The timeline lab: the steps of a read add up, each in its place, recorded or traced now, whatever QEMU logs."""
from dataclasses import replace

import pytest
from matplotlib.colors import to_hex

from tests.labs.conftest import in_light, read_out, real_qemu
from tests.machine.leftovers import nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.core.units import number, show
from virtlab.labs import TimelineLab
from virtlab.labs import timeline as module
from virtlab.labs.timeline import event_rows, stage_rows
from virtlab.machine import Facts
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.recorded import TracedReads, Witness, recorded_timeline
from virtlab.machine.qemu.trace import STAGES, Event, Timeline

HERE = Witness("9.9.9", Facts("Test CPU", 8, "Linux 7", "2027-01-01", virtual=False))
TIMES = {"notify": 0.0, "pop": 10.0, "submit": 20.0, "complete": 50.0, "done": 60.0, "interrupt": 80.0}


def traced(us=TIMES, one=()):
    rings = {ring: Timeline(50, dict(us), tuple(one)) for ring in ("split", "packed")}
    return TracedReads(HERE, rings, dict.fromkeys(rings, 1e5), dict.fromkeys(rings, 1.25e5))


@pytest.fixture
def lab(monkeypatch):
    monkeypatch.setattr(module, "trace_reads", lambda requests: traced())
    return in_light(TimelineLab)


@pytest.fixture
def showing(lab, monkeypatch):
    """Makes the lab show a measurement."""

    def show_(**what):
        monkeypatch.setattr(module, "trace_reads", lambda requests: traced(**what))
        lab.measure()
        return lab

    return show_


# --- what the rows say ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_the_steps_follow_each_other_and_add_up_to_the_whole(ring):
    seen = recorded_timeline().timelines[ring]
    rows = stage_rows(seen)
    assert [row.place for row in rows] == ["guest", "qemu", "qemu", "host", "qemu", "qemu", "guest"]
    assert all(a.end_us == b.start_us for a, b in zip(rows, rows[1:], strict=False))
    assert sum(row.us for row in rows) == seen.us["interrupt"] and all(row.us >= 0 for row in rows)


@pytest.mark.parametrize("missing", [stage for stage, _ in STAGES])
def test_a_qemu_that_lacks_one_event_still_has_a_timeline(missing):
    us = {stage: time for stage, time in TIMES.items() if stage != missing}
    rows = stage_rows(Timeline(9, us, ()))
    assert sum(row.us for row in rows) == max(us.values()) - min(us.values())
    assert [row.place for row in rows].count("host") == 1, "the read of the file is in some step"


def test_an_event_lasts_until_the_next_and_waiting_belongs_to_who_makes_it_wait():
    names = ["virtio_queue_notify", "thread_pool_submit", "thread_pool_complete", "virtio_mmio_setting_irq",
             "virtio_mmio_read", "virtio_mmio_write_offset", "virtio_mmio_setting_irq"]  # fmt: skip
    values = [*[""] * 3, "virtio_mmio setting IRQ 1", "", "", "virtio_mmio setting IRQ 0"]
    one = [Event(10 * n, 1, name, value) for n, (name, value) in enumerate(zip(names, values, strict=True))]
    rows = event_rows(Timeline(1, {}, tuple(one)))
    assert [row.title for row in rows] == names and [row.us for row in rows] == [10] * 6 + [0]
    assert [row.place for row in rows] == ["qemu", "host", "qemu", "guest", "guest", "qemu", "qemu"]
    assert event_rows(Timeline(0, {}, ())) == ()


# --- the lab ----------------------------------------------------------------------------------------------------------


def test_it_opens_with_the_recorded_trace_and_measures_nothing(monkeypatch):
    monkeypatch.setattr(module, "trace_reads", lambda *_: pytest.fail("measured without being asked"))
    lab = in_light(TimelineLab)
    assert lab.measured is recorded_timeline() and "Recorded on" in lab.describe() and "7.2.22" in lab.describe()


def test_the_sentence_names_every_step_the_longest_one_and_what_tracing_costs(showing):
    sentence = showing().describe()
    for part in ("notify → pop 10 µs", "submit → complete 30 µs", "80 µs from the kick to the interrupt",
                 "longest step is submit → complete (host kernel), 30 µs or 38 %", "Your QEMU 9.9.9, now",
                 "Median of 50 reads", "about a quarter", "100 µs without and 125 µs with it, 1.25 times"):  # fmt: skip
        assert part in sentence, f"{part}: {sentence}"


@pytest.mark.parametrize("view", ["stages", "one"])
def test_bars_and_numbers_are_those_of_the_rows(lab, view):
    lab.view = view
    picture, rows = lab._picture, lab.result.rows
    for i, row in enumerate(rows):
        shown = {place: bar for place, bar in picture._bars[i].items() if bar.get_visible()}
        assert list(shown) == ([row.place] if row.us else [])
        for place, bar in shown.items():
            assert bar.get_width() == pytest.approx(row.us * picture.per_us)
            assert to_hex(bar.get_facecolor()) == picture.look.place[place], "a colour means a place"
            assert bar.get_x() + bar.get_width() <= 930 + 1e-6, "a bar leaves the axis"
        assert picture._titles[i].get_text() == row.title
        assert picture._times[i].get_text() == (show(row.us, "us") if row.us else "")
        assert not row.us or show(row.us, "us") in lab.describe()
    assert all(not text.get_text() for text in picture._titles[len(rows):])


@pytest.mark.parametrize("whole", [0.5, 7, 80, 99.9, 253, 1234, 98_765, 3e6])
def test_every_length_finds_an_axis(showing, whole):
    lab = showing(us={stage: time * whole / 80 for stage, time in TIMES.items()})
    assert 0.4 * 600 <= whole * lab._picture.per_us <= 600 + 1e-6
    assert lab._picture._ticks[-1].get_text() == show(600 / lab._picture.per_us, "us")


def test_a_qemu_that_logs_none_of_the_stages_says_so(showing):
    lab = showing(us={})
    assert "logged none of the events" in lab.describe() and lab.error is None
    lab.view = "one"
    assert "logged none of the events" in lab.describe() and lab.error is None


def test_events_for_which_there_is_no_room_are_counted_and_stand_in_the_details(showing):
    lab = showing(one=[Event(n, 1, f"event_{n}", "<b>") for n in range(33)])
    lab.view = "one"
    assert "13 more" in lab._picture._more.get_text() and "33 events" in lab.describe()
    assert "event_32" in lab._details.value and "<b>" not in lab._details.value


def test_the_button_does_the_same_as_the_code(lab):
    lab._buttons["measure"].click()
    by_button = lab.describe(), lab.png
    lab.reset()
    assert lab.measured is recorded_timeline()
    assert lab.measure(0.5) == traced() and by_button == (lab.describe(), lab.png)


def test_a_failure_is_one_sentence_and_the_recording_stays(lab, monkeypatch):
    def fail(requests):
        raise MachineError("QEMU went away.")

    monkeypatch.setattr(module, "trace_reads", fail)
    lab._buttons["measure"].click()
    assert read_out(lab, "alert") == "QEMU went away." and lab.measured is recorded_timeline()
    lab.view = "one"
    assert lab.error is None and lab.describe() == read_out(lab, "status")


def test_a_time_for_which_nobody_waits_is_refused(lab):
    with pytest.raises(ParameterError, match=r"0\.05 to 10"):
        lab.measure(0.01)


def test_a_kept_timeline_is_a_stair_behind_the_next(lab):
    lab.keep()
    lab.measure()
    ghost, kept = lab._picture._ghost, recorded_timeline().timelines["split"]
    end = 330 + kept.us["interrupt"] * lab._picture.per_us
    assert ghost.get_visible() and ghost.get_xdata()[-1] == pytest.approx(end)


def test_tracing_that_costs_nothing_is_said_as_it_is(showing, monkeypatch):
    quick = replace(traced(), traced_ns={"split": 9e4, "packed": 9e4})
    monkeypatch.setattr(module, "trace_reads", lambda requests: quick)
    lab = in_light(TimelineLab)
    lab.measure()
    assert f"{number(0.9)} times as long" in lab.describe()


@pytest.mark.parametrize("_", [pytest.param(0, marks=real_qemu)])
def test_the_button_traces_a_real_qemu_and_leaves_nothing(_):
    lab = in_light(TimelineLab)
    with nothing_left():
        lab.measure(0.3)
    assert lab.failure == "" and "Your QEMU" in lab.describe() and "The longest step is" in lab.describe()
    lab.view = "one"
    assert "virtqueue_pop" in lab.describe()
