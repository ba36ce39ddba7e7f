"""Split and packed rings bit by bit: what stands in memory after each verb, and when the other side is told."""
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtio.rings import ALL, EVENT_IDX, FEATURES, IN_ORDER, INDIRECT, KINDS, PLAIN, Ring
from virtlab.virtio import need_event
from virtlab.virtio.layout import AVAIL, NEXT, USED, WRITE

kinds = pytest.mark.parametrize("kind", KINDS)
features = pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)


# --- bits -------------------------------------------------------------------------------------------------------------

def test_a_split_chain_lies_in_the_table_and_its_head_in_the_avail_ring():
    ring = Ring("split", 4)
    ring.driver.add([(0x1000, 16)], [(0x2000, 512), (0x3000, 1)])
    ring.driver.publish()
    descs = [struct.unpack("<QIHH", ring.memory.read(ring.layout.desc + 16 * n, 16)) for n in range(3)]
    assert descs == [(0x1000, 16, NEXT, 1), (0x2000, 512, NEXT | WRITE, 2), (0x3000, 1, WRITE, 0)]
    assert ring.memory.read(ring.layout.driver, 6) == struct.pack("<HHH", 0, 1, 0), "flags, idx, ring[0]"


def test_a_packed_chain_has_its_id_in_each_descriptor_and_above_all_in_the_last():
    ring = Ring("packed", 4)
    ring.driver.add([(0x1000, 16)], [(0x2000, 512)])
    ring.driver.publish()
    descs = [struct.unpack("<QIHH", ring.memory.read(ring.layout.desc + 16 * n, 16)) for n in range(2)]
    assert descs == [(0x1000, 16, 0, AVAIL | NEXT), (0x2000, 512, 0, AVAIL | WRITE)]


def test_in_the_second_round_of_a_packed_ring_the_flags_mean_the_opposite():
    ring = Ring("packed", 1)
    for expected_available, expected_used in ((AVAIL, AVAIL | USED), (USED, 0), (AVAIL, AVAIL | USED)):
        ring.driver.add([(0x1000, 1)])
        ring.driver.publish()
        assert ring.memory.load16(ring.layout.desc + 14) == expected_available
        assert ring.serve()[0] == 1
        assert ring.memory.load16(ring.layout.desc + 14) == expected_used
        assert len(ring.driver.take()) == 1


def test_the_device_of_a_packed_ring_takes_the_id_of_the_last_descriptor():
    ring = Ring("packed", 3)  # and any size will do
    ring.driver.add([(0x1000, 4)], [(0x2000, 4)])
    ring.memory.store16(ring.layout.desc + 12, 777)  # the id in the first is nobody's business
    ring.driver.publish()
    assert ring.device.pop().id == 0


def test_a_used_entry_says_which_buffer_and_how_many_bytes_were_written():
    ring = Ring("split", 4)
    ident = ring.driver.add([], [(0x1000, 100)])
    ring.driver.publish()
    ring.device.push(ring.device.pop(), 40)
    ring.device.publish()
    assert ring.memory.read(ring.layout.device + 2, 10) == struct.pack("<HII", 1, ident, 40)
    assert ring.driver.take() == [(ident, 40)]


@kinds
def test_nothing_is_visible_before_it_is_published(kind):
    ring = Ring(kind)
    ring.driver.add([(0x1000, 1)])
    assert ring.device.pop() is None
    ring.driver.publish()
    chain = ring.device.pop()
    ring.device.push(chain)
    assert ring.driver.take() == []
    ring.device.publish()
    assert [used.id for used in ring.driver.take()] == [chain.id]


@kinds
def test_a_batch_is_shown_at_once_and_told_once(kind):
    ring = Ring(kind, 8)
    for _ in range(5):
        ring.driver.add([(0x1000, 1)])
    assert ring.driver.publish() and ring.driver.notifications == {"kicks": 1}
    assert ring.serve() == (5, True) and ring.device.notifications == {"calls": 1}


@kinds
def test_an_indirect_table_takes_one_place_of_the_ring(kind):
    ring = Ring(kind, 8, INDIRECT)
    table = ring.arena.take(16 * 8)
    for n in range(8):
        ring.driver.add([(0x1000 + n, 1)] * 4, [(0x2000, 8)] * 4, table=table)
        assert ring.driver.free == 7 - n
    ring.driver.publish()
    chain = ring.device.pop()
    assert chain.descriptors == 1 and len(chain.readable) == len(chain.writable) == 4 and chain.capacity == 32


# --- indices run free -------------------------------------------------------------------------------------------------

@features
@pytest.mark.parametrize("start", [0, 65_530, 65_535])
def test_a_split_ring_goes_on_over_the_end_of_its_indices(features, start):
    ring = Ring("split", 4, features, start)
    for n in range(12):
        ring.driver.add([(0x1000, 4)])
        ring.driver.publish()
        assert ring.serve()[0] == len(ring.driver.take()) == 1
        assert ring.memory.load16(ring.layout.driver + 2) == (start + n + 1) % 65_536, "not reduced to the ring"


@features
@pytest.mark.parametrize("start", [0, 1, 2 | 1 << 15, 2])
def test_a_packed_ring_goes_on_where_it_was_told_to(features, start):
    ring = Ring("packed", 3, features, start)
    for _ in range(12):
        ring.driver.add([(0x1000, 4)], [(0x1000, 4)])
        ring.driver.publish()
        assert ring.serve()[0] == len(ring.driver.take()) == 1


def test_a_packed_ring_cannot_go_on_outside_itself():
    with pytest.raises(ValueError, match="below 3"):
        Ring("packed", 3, PLAIN, 3)


# --- conservation -----------------------------------------------------------------------------------------------------

@kinds
@features
@given(steps=st.lists(st.integers(1, 3), max_size=60))
def test_free_places_and_places_in_flight_add_up_to_the_ring(kind, features, steps):
    ring, flying = Ring(kind, 8, features), {}
    for pieces in steps:
        if ring.driver.free >= pieces:
            flying[ring.driver.add([(0x1000, 4)] * pieces)] = pieces
        else:
            ring.driver.publish()
            ring.serve()
            back = [used.id for used in ring.driver.take()]
            assert len(back) == len(set(back)) and set(back) == set(flying), "each comes back exactly once"
            flying.clear()
        assert ring.driver.free + sum(flying.values()) == 8 and ring.driver.in_flight == len(flying)


@kinds
def test_a_full_ring_and_a_chain_longer_than_it_are_refused_with_a_reason(kind):
    ring = Ring(kind, 4, INDIRECT)
    ring.driver.add([(0x1000, 1)] * 3)
    with pytest.raises(IndexError, match="1 free places, and 2 are needed"):
        ring.driver.add([(0x1000, 1)] * 2)
    with pytest.raises(IndexError, match="longer than the ring"):
        ring.driver.add([(0x1000, 1)] * 5, table=0x2000)
    with pytest.raises(ValueError, match="at least one piece"):
        ring.driver.add()


@kinds
def test_a_buffer_goes_back_once_and_no_further_than_it_reaches(kind):
    ring = Ring(kind)
    ring.driver.add([], [(0x1000, 4)])
    ring.driver.publish()
    chain = ring.device.pop()
    with pytest.raises(ValueError, match="may write 4 B"):
        ring.device.push(chain, 5)
    ring.device.push(chain, 4)
    with pytest.raises(ValueError, match="not in flight"):
        ring.device.push(chain, 4)


# --- IN_ORDER ---------------------------------------------------------------------------------------------------------

@kinds
def test_in_order_one_entry_stands_for_the_whole_batch(kind):
    ring = Ring(kind, 8, IN_ORDER)
    ids = [ring.driver.add([], [(0x1000, 10)]) for _ in range(5)]
    ring.driver.publish()
    chains = [ring.device.pop() for _ in range(5)]
    for chain in chains:
        ring.device.push(chain, 10)
    before = ring.memory.accesses.writes
    ring.device.publish()
    assert ring.memory.accesses.writes - before == 2, "one entry, and what makes it visible"
    assert ring.driver.take() == [(ident, 10) for ident in ids]


@kinds
def test_in_order_a_buffer_that_was_not_filled_is_written_out_itself(kind):
    ring = Ring(kind, 8, IN_ORDER)
    ids = [ring.driver.add([], [(0x1000, 10)]) for _ in range(4)]
    ring.driver.publish()
    for written, chain in zip((10, 3, 10, 10), [ring.device.pop() for _ in range(4)], strict=True):
        ring.device.push(chain, written)
    ring.device.publish()
    assert ring.driver.take() == list(zip(ids, (10, 3, 10, 10), strict=True))


@kinds
def test_in_order_means_in_order(kind):
    ring = Ring(kind, 8, IN_ORDER)
    for _ in range(2):
        ring.driver.add([(0x1000, 1)])
    ring.driver.publish()
    ring.device.pop()
    with pytest.raises(ValueError, match="before buffer"):
        ring.device.push(ring.device.pop())


def test_in_order_places_go_round_the_table():
    ring = Ring("split", 4, IN_ORDER)
    heads = []
    for _ in range(3):
        heads.append(ring.driver.add([(0x1000, 1)] * 3))
        ring.driver.publish()
        ring.serve()
        ring.driver.take()
    assert heads == [0, 3, 2]


# --- suppression ------------------------------------------------------------------------------------------------------

@kinds
@features
def test_a_device_that_wants_no_kick_gets_none_until_it_asks_again(kind, features):
    ring = Ring(kind, 8, features)
    ring.device.kicks(False)
    ring.driver.add([(0x1000, 1)])
    assert not ring.driver.publish()
    assert ring.device.kicks(True), "it is told that a buffer came meanwhile: the second look of every driver"
    ring.serve()
    assert not ring.device.kicks(True)
    ring.driver.add([(0x1000, 1)])
    assert ring.driver.publish()
    assert ring.driver.notifications == {"kicks": 1, "kicks_suppressed": 1}, "kicks + suppressed = batches"


@kinds
@pytest.mark.parametrize("features", [EVENT_IDX, ALL], ids=["event_idx", "all"])
def test_with_event_idx_a_driver_is_called_after_as_many_buffers_as_it_asked_for(kind, features):
    ring = Ring(kind, 8, features)
    for _ in range(6):
        ring.driver.add([(0x1000, 1)])
    ring.driver.publish()
    chains = [ring.device.pop() for _ in range(6)]
    ring.device.push(chains[0])
    assert ring.device.publish(), "the first call after a start always comes"
    ring.driver.take()
    assert not ring.driver.calls(after=3)
    told = []
    for chain in chains[1:]:
        ring.device.push(chain)
        told.append(ring.device.publish())
    assert told == [False, False, True, False, False]


@kinds
@features
def test_calls_says_when_what_it_asks_for_is_there_already(kind, features):
    ring = Ring(kind, 8, features)
    for _ in range(2):
        ring.driver.add([(0x1000, 1)])
    ring.driver.publish()
    ring.driver.calls(None)
    ring.serve()
    assert ring.driver.calls(1)
    assert len(ring.driver.take()) == 2 and not ring.driver.calls(1)


@pytest.mark.parametrize(("features", "told"), [(EVENT_IDX, [1, 65_537]), (PLAIN, list(range(1, 66_001)))],
                         ids=["event_idx", "plain"])
def test_with_used_event_0_left_alone_a_split_ring_calls_as_the_formula_says(features, told):
    ring, calls = Ring("split", 1, features), []
    for n in range(66_000):
        ring.driver.add([(0x1000, 1)])
        ring.driver.publish()
        chain = ring.device.pop()
        ring.device.push(chain)
        if ring.device.publish():
            calls.append(n + 1)
        ring.driver.take()
    assert calls == told


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_call_after_a_start_comes_whatever_the_event_field_says(kind):
    """signalled_used_valid of QEMU and vhost: after a restart the last call's index is not known."""
    ring = Ring(kind, 8, EVENT_IDX, start=5 if kind == "split" else 5 | 1 << 15)
    ring.driver.add([(0x1000, 1)])
    ring.driver.publish()
    ring.memory.store16(ring.layout.driver + (4 + 2 * 8 if kind == "split" else 0), 4)
    if kind == "packed":
        ring.memory.store16(ring.layout.driver + 2, 2)
    assert ring.serve() == (1, True)


@given(start=st.integers(0, 65_535), event=st.integers(0, 65_535), batches=st.lists(st.integers(1, 8), max_size=12))
def test_a_split_driver_kicks_exactly_when_the_batch_passes_the_event(start, event, batches):
    ring = Ring("split", 8, EVENT_IDX, start)
    ring.memory.store16(ring.layout.avail_event, event)
    index = start
    for batch in batches:
        for _ in range(batch):
            ring.driver.add([(0x1000, 1)])
        assert ring.driver.publish() == need_event(event, index + batch & 0xFFFF, index)
        index = index + batch & 0xFFFF
        ring.serve()
        ring.driver.take()
    assert sum(ring.driver.notifications.values()) == len(batches), "kicks + suppressed = batches"


@kinds
@pytest.mark.parametrize("after", [0, 9, -1])
def test_a_call_after_more_buffers_than_the_ring_holds_would_never_come(kind, after):
    with pytest.raises(ValueError, match="1 to 8 buffers"):
        Ring(kind, 8).driver.calls(after)


# --- the receive loop of the specification ----------------------------------------------------------------------------

def _receive_as_printed(ring, last, limit=20):
    """The loop of VirtIO 1.4, 2.7.14, to the letter: it tests `!=` where `==` is meant."""
    taken = []
    for _ in range(limit):
        if last != ring.memory.load16(ring.layout.device + 2):
            if last != ring.memory.load16(ring.layout.device + 2):
                break
        taken.append(ring.memory.read(ring.layout.device + 4 + 8 * (last % ring.layout.size), 8))
        last += 1
    return taken


def test_the_loop_as_printed_takes_nothing_where_something_is_and_something_where_nothing_is():
    ring = Ring("split", 4)
    assert len(_receive_as_printed(ring, 0)) > 0, "nothing was used, and it takes an entry that nobody wrote"
    for _ in range(3):
        ring.driver.add([(0x1000, 1)])
    ring.driver.publish()
    ring.serve()
    assert _receive_as_printed(ring, 0) == [], "three were used, and it takes none"
    assert len(ring.driver.take()) == 3 and ring.driver.take() == []
