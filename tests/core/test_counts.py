"""One record of counts: for the model and for the machine, per unit of work, side by side in one table."""
import pytest

from virtlab.core.counts import Counts, name_of, side_by_side

MODEL = Counts("model", {"kicks": 1, "exits.io": 2})
DEVICE = Counts("QEMU", {"kicks": 4, "calls": 1}, work=32)


def test_what_nobody_counted_is_a_dash_and_what_was_counted_is_per_unit_of_work():
    text = str(side_by_side(MODEL, DEVICE))
    rows = {line.split("  ")[0]: line.split()[-2:] for line in text.splitlines()}
    assert rows["notifications of the device (kicks)"] == ["1", "0.125"]
    assert rows["VM exits: io"] == ["2", "–"] and "Per request" in text


def test_only_some_counters_leave_the_rest_out():
    assert DEVICE.only("calls", "exits.io").values == {"calls": 1} and DEVICE.only("calls").per_unit("calls") == 1 / 32


def test_a_counter_without_a_word_and_work_of_nothing_are_refused():
    with pytest.raises(LookupError, match="no entry"):
        Counts("x", {"things": 1})
    with pytest.raises(ValueError, match="more than 0"):
        Counts("x", {}, work=0)


def test_two_units_do_not_stand_in_one_table():
    with pytest.raises(ValueError, match="ONE unit"):
        side_by_side(MODEL, Counts("frames", {"kicks": 1}, unit="frame"))


def test_a_reason_is_named_with_its_scope():
    assert name_of("exits.npf") == "VM exits: npf" and name_of("exits") == "VM exits"
