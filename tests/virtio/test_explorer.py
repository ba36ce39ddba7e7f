"""Every interleaving of the real ring code: no lost wake-up with the barriers, and one without any of the four."""
import pytest

from tests.virtio.rings import ALL, EVENT_IDX, FEATURES, PLAIN
from virtlab.virtio import NOTIFICATION_BARRIERS, explore

layouts = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
features = pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)


def barriers(packed):
    return NOTIFICATION_BARRIERS["packed" if packed else "split"]


@layouts
@pytest.mark.parametrize(("features", "order"), [(PLAIN, "tso"), (PLAIN, "weak"), (EVENT_IDX, "tso"),
                                                 (EVENT_IDX, "weak"), (ALL, "tso")])
def test_with_all_barriers_no_interleaving_loses_a_wake_up(packed, features, order):
    found = explore(packed, features, order=order)
    assert not found.lost and not found.fault and found.states > 10_000, str(found)
    assert "no wake-up is lost" in str(found)


@layouts
@features
@pytest.mark.parametrize("which", range(4))
def test_without_one_of_the_four_full_barriers_a_wake_up_is_lost_even_on_x86(packed, features, which):
    found = explore(packed, features, without=(barriers(packed)[which],))
    assert found.lost, f"nothing was lost in {found.states} states"
    assert found.schedule and "The shortest way there" in str(found) and "driver" in found.asleep


@layouts
def test_a_batch_and_a_start_at_the_end_of_the_indices_are_safe_as_well(packed):
    start = 1 if packed else 65_535
    assert not explore(packed, EVENT_IDX, buffers=2, batch=2, start=start).lost


@pytest.mark.parametrize(("packed", "barrier"), [
    (False, "descriptors, avail idx"), (False, "used ring, used idx"), (True, "descriptors, first flags"),
    (True, "used descriptors, first used flags")])
def test_a_store_barrier_is_needed_on_a_weak_cpu_and_not_on_x86(packed, barrier):
    assert explore(packed, PLAIN, without=(barrier,), order="weak").fault
    on_x86 = explore(packed, PLAIN, without=(barrier,), order="tso")
    assert not on_x86.fault and not on_x86.lost


def test_the_schedule_ends_with_the_store_that_was_seen_too_late():
    found = explore(False, EVENT_IDX, buffers=1, size=1, without=(barriers(False)[0],))
    told = [f"{line.side}: {line.what}" for line in found.schedule]
    held_back = told.index("driver: stores avail.idx = 1, not seen yet")
    looked = next(n for n, line in enumerate(told) if n > held_back and line == "driver: loads used.avail_event: 65535")
    seen = told.index("driver: avail.idx = 1 is seen from now on")
    assert held_back < looked < seen and any(line == "device: loads avail.idx: 0" for line in told[looked:seen])


def test_an_unknown_barrier_is_named_with_those_that_there_are():
    with pytest.raises(ValueError, match="avail idx, kicks wanted"):
        explore(False, ALL, buffers=1, size=1, without=("membar",))
