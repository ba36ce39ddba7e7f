"""Durability: every order of events in every cache mode, the promise of a flush, and rates that may not be compared."""
import pytest

from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.offload import WRITE_CACHES, cache_modes, compare_writes, durability
from virtlab.offload.durability import CRASHES, MOMENTS, all_durabilities

ALL = all_durabilities()
EVERY = pytest.mark.parametrize("found", ALL.values(), ids=lambda d: "-".join(map(str, dict(d.options).values())))
DIRECT = [d for o, d in ALL.items() if o.guest_direct]


@EVERY
def test_a_flush_keeps_its_promise_in_every_mode_but_unsafe(found):
    assert found.promise_kept == (found.options.write_cache != "unsafe")


@EVERY
def test_a_crash_that_ends_more_keeps_no_more(found):
    left, right = found.law()
    assert left == right
    for moment in MOMENTS:
        kept = [set(found.losses[moment, crash].certain) for crash in CRASHES]
        assert kept[0] >= kept[1] >= kept[2]


@EVERY
def test_what_was_written_last_cannot_be_certain_before_what_was_written_first(found):
    for moment in MOMENTS:
        for crash in CRASHES:
            assert found.losses[moment, crash].certain in ("", "A", "AB")


WRITTEN = {
    ("writeback", "volatile"): "guest", ("writeback", "protected"): "guest", ("writeback", "none"): "guest",
    ("none", "volatile"): "guest host", ("none", "protected"): "guest host power", ("none", "none"): "guest host power",
    **{(mode, device): "guest host power" for mode in ("writethrough", "directsync")
       for device in ("volatile", "protected", "none")},
    ("unsafe", "volatile"): "guest", ("unsafe", "protected"): "guest", ("unsafe", "none"): "guest",
}


@pytest.mark.parametrize("found", DIRECT, ids=lambda d: f"{d.options.write_cache}-{d.options.device_cache}")
def test_what_a_completed_write_survives_without_a_flush(found):
    assert " ".join(found.written) == WRITTEN[found.options.write_cache, found.options.device_cache]


def test_an_application_that_uses_the_guests_page_cache_has_written_nothing_that_survives_the_guest():
    for mode in WRITE_CACHES:
        assert durability(write_cache=mode, guest_direct=False).written == ()


def test_without_a_flush_the_later_write_may_survive_alone():
    found = durability(write_cache="none")
    assert found.reorders and found.losses["after_b", "power"].survivors == ("", "A", "B", "AB")
    assert not durability(write_cache="writethrough").reorders


def test_a_protected_cache_makes_none_as_durable_as_directsync_and_does_not_help_writeback():
    none, direct = (durability(write_cache=mode, device_cache="protected") for mode in ("none", "directsync"))
    assert none.matches(direct) and not durability(write_cache="writeback", device_cache="protected").matches(none)


def test_writeback_and_none_are_not_as_durable_when_a_write_completes_but_are_after_a_flush():
    one, other = durability(write_cache="writeback"), durability(write_cache="none")
    assert one.flushed == other.flushed and one.written != other.written and not one.matches(other)


# --- guard 48: the published rows in which a virtual machine writes faster than the metal

@pytest.mark.parametrize("row", ["randwrite.4k.qd1", "randwrite.128k.qd32"])
@pytest.mark.parametrize("monitor", ["fc", "chv"])
def test_rows_in_which_a_virtual_machine_beats_the_metal_at_writing_may_not_be_compared(monitor, row):
    metal = durability(write_cache="none")  # fio with O_DIRECT on the disk itself
    # Firecracker of 2020 ignored flushes; Cloud Hypervisor wrote into the host's page cache, and flushed
    virtual = durability(write_cache="unsafe" if monitor == "fc" else "writeback")
    rates = [FACTS[f"nsdi20.{who}.{row}.iops"].value for who in (monitor, "metal")]
    if row.startswith("randwrite.128k"):
        assert rates[0] > 2 * rates[1], "the row that invites to it"
    with pytest.raises(ParameterError, match="not as durable"):
        compare_writes(virtual, metal, *rates)


def test_writes_that_are_as_durable_may_be_compared():
    one = durability(write_cache="directsync")
    assert compare_writes(one, durability(write_cache="writethrough"), 300, 100) == 3
    with pytest.raises(ParameterError, match="above 0"):
        compare_writes(one, one, 300, 0)


def test_the_modes_beside_each_other_name_every_mode_and_say_that_unsafe_ignores_the_flush():
    table = cache_modes().table()
    assert [row[0] for row in table.rows] == list(WRITE_CACHES)
    assert [row[0] for row in table.rows if "ignored" in row[2]] == ["unsafe"]
    assert "volatile" in table.caption


def test_the_sentence_says_when_a_flush_does_not_mean_what_it_says():
    assert "does not mean" in durability(write_cache="unsafe").sentence()
    assert "does not mean" not in durability().sentence()
    assert "A and B, or B, or A, or nothing" in str(durability())


def test_an_unknown_mode_is_told():
    with pytest.raises(ParameterError, match="write_cache must be writeback or none"):
        durability(write_cache="fast")
    with pytest.raises(ParameterError, match="device_cache"):
        cache_modes("big")
