"""The labs of notebook 06: what is never is drawn as never, witnesses stand under their own conditions only."""
import numpy as np
import pytest

from virtlab.core.words import words
from virtlab.figures.migration import RATIOS, never_from, nice, timeline
from virtlab.labs import DirtyLogLab, MigrationLab
from virtlab.labs.migration import PUBLISHED
from virtlab.memory import migrate

GIB = 1 << 30


@pytest.fixture
def lab():
    return MigrationLab()


def test_the_teeth_are_as_high_as_what_became_dirty_before():
    line = timeline(migrate(dirty_gbit_per_s=5))
    ends = line.dirty_bytes[2::4]  # zero, full, end, gap
    assert line.send_bytes[3::2] == pytest.approx(ends), "a round sends what became dirty during the last one"


def test_the_slopes_are_bandwidth_and_dirty_rate():
    line = timeline(migrate(dirty_gbit_per_s=4))
    assert line.send_bytes[1] / (line.send_s[2] - line.send_s[1]) == pytest.approx(10e9 / 8)
    assert line.dirty_bytes[1] / line.dirty_s[1] == pytest.approx(4e9 / 8)


def test_random_writes_bend_and_stay_below_the_working_set():
    line = timeline(migrate(dirty_gbit_per_s=12, hot_bytes=GIB, writes="random"))
    first = line.dirty_bytes[:13]
    assert (np.diff(first) >= 0).all() and first[-1] <= GIB and first[1] > first[-1] / 13


def test_rounds_that_never_end_go_on_beyond_those_that_were_computed():
    m = migrate(dirty_gbit_per_s=12)
    assert timeline(m).end_s > 3 * m.total_s
    moved = migrate()
    assert timeline(moved).end_s == pytest.approx(moved.moved_s)


@pytest.mark.parametrize("value", [1e-6, 0.37, 1, 54.9, 110, 999, 8.8e7])
def test_an_axis_ends_at_the_next_round_number(value):
    end = nice(value)
    assert value <= end * (1 + 1e-9) <= 2 * value * (1 + 1e-9)


def test_never_has_no_time(lab):
    lab.dirty_gbit_per_s = 12.0
    down, total = lab._picture._dots
    assert down.get_visible() and not total.get_visible()
    assert never_from(lab.result) == 1.0 and np.isnan(lab._picture._lines[1].get_ydata()[RATIOS >= 1]).all()
    assert lab._picture._word.get_text() == words("migration.picture.never")


def test_the_wall_has_a_door(lab):
    lab.set(dirty_gbit_per_s=12.0, hot_share=0.005)
    assert lab.result.migration.converged and never_from(lab.result) == RATIOS[-1]


def test_a_published_migration_stands_where_its_conditions_are_met_and_nowhere_else(lab):
    assert not lab.result.published
    for name, which in (("power", 0), ("java", 1)):
        lab.reset()
        lab.set(**PUBLISHED[name])
        assert len(lab.result.published) == 1
        assert [len(d.get_xdata()) for d in lab._picture._diamonds] == [1 - which, which]
        assert lab.result.migration.never, "neither VM moved, in fact and in the model"
        lab.memory_bytes = 2 * lab.memory_bytes
        assert not lab.result.published


def test_the_server_that_did_not_move_was_moved_by_auto_converge(lab):
    lab.set(**PUBLISHED["java"], auto_converge=True)
    assert lab.result.migration.converged and not lab.result.published


def test_with_the_dirty_ring_there_is_no_split_at_a_clear():
    assert MigrationLab(dirty_log="ring").setting.options().split == "start"
    lab = DirtyLogLab(dirty_log="ring")
    assert lab.result.log.options.split == "start" and words("dirty_log.ring_splits") in lab.describe()
    lab.split = "fault"
    assert lab.result.log.options.split == "fault" and words("dirty_log.ring_splits") not in lab.describe()


def test_a_split_at_the_fault_takes_from_pml_what_it_saves():
    lab = DirtyLogLab(split="fault")
    result = lab.result
    assert result.exits_per_s["pml"] == pytest.approx(result.exits_per_s["write-protect"])


def test_the_golden_example_stands_in_the_picture():
    lab = DirtyLogLab()
    assert "83,137 of 262,144" in lab._picture._notes["dirty"].get_text()
    assert "16,777,216" in lab._picture._notes["split"].get_text()
