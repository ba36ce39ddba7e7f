"""A ring whose other side lies: every lie has its error, nothing hangs, nothing outside guest memory is touched."""
import struct

import pytest

from tests.virtio.fuzz import fuzz
from tests.virtio.rings import ALL, IN_ORDER, INDIRECT, KINDS, PLAIN, Ring
from virtlab.virtio import RingError, SplitLayout
from virtlab.virtio.layout import AVAIL, NEXT, WRITE
from virtlab.virtio.layout import INDIRECT as TABLE

kinds = pytest.mark.parametrize("kind", KINDS)


def split(descs, heads=(0,), idx=None, features=INDIRECT, size=4, table=()):
    """A split ring with these descriptors (addr, len, flags, next), and an indirect table at 0x4000."""
    ring = Ring("split", size, features)
    for n, desc in enumerate(descs):
        ring.memory.write(ring.layout.desc + 16 * n, struct.pack("<QIHH", *desc))
    for n, desc in enumerate(table):
        ring.memory.write(0x4000 + 16 * n, struct.pack("<QIHH", *desc))
    for n, head in enumerate(heads):
        ring.memory.store16(ring.layout.driver + 4 + 2 * (n % size), head)
    ring.memory.store16(ring.layout.driver + 2, len(heads) if idx is None else idx)
    return ring


def packed(descs, features=INDIRECT, size=4, table=()):
    """A packed ring with these descriptors (addr, len, id, flags), and an indirect table at 0x4000."""
    ring = Ring("packed", size, features)
    for n, desc in enumerate(descs):
        ring.memory.write(ring.layout.desc + 16 * n, struct.pack("<QIHH", *desc))
    for n, desc in enumerate(table):
        ring.memory.write(0x4000 + 16 * n, struct.pack("<QIHH", *desc))
    return ring


SPLIT_LIES = {
    "loop": (split, [(0x1000, 4, NEXT, 1), (0x1000, 4, NEXT, 0)]),
    "loop of one": (split, [(0x1000, 4, NEXT, 0)]),
    "address": (split, [(0xFFFF_0000, 16, 0, 0)]),
    "address that wraps": (split, [((1 << 64) - 8, 16, 0, 0)]),
    "address, last byte": (split, [((1 << 16) - 15, 16, 0, 0)]),
    "empty": (split, [(0x1000, 0, 0, 0)]),
    "order": (split, [(0x1000, 4, NEXT | WRITE, 1), (0x1000, 4, 0, 0)]),
    "place": (split, [(0x1000, 4, NEXT, 4)]),
    "flags": (split, [(0x1000, 4, 8, 0)]),
    "next": (split, [(0x4000, 16, TABLE | NEXT, 1)]),
}


def _code(name):
    return name.replace(" of one", "").replace(" that wraps", "").replace(", last byte", "")


@pytest.mark.parametrize("name", SPLIT_LIES)
def test_a_lie_in_a_split_ring_has_its_error(name):
    make, descs = SPLIT_LIES[name]
    with pytest.raises(RingError) as caught:
        make(descs).device.pop()
    assert caught.value.code == _code(name)


def test_the_head_of_a_chain_outside_the_table_is_an_error():
    with pytest.raises(RingError, match="descriptor 4 of a table with 4"):
        split([(0x1000, 4, 0, 0)], heads=(4,)).device.pop()


@pytest.mark.parametrize("idx", [5, 0x8000, 0xFFFF])
def test_an_avail_index_that_jumps_over_the_ring_is_an_error(idx):
    with pytest.raises(RingError) as caught:
        split([(0x1000, 4, 0, 0)], idx=idx).device.pop()
    assert caught.value.code == "avail_idx"


def test_buffers_that_the_device_holds_count_against_the_ring():
    ring = split([(0x1000, 4, 0, 0)] * 4, heads=(0, 1, 2, 3))
    ring.device.pop()
    ring.memory.store16(ring.layout.driver + 2, 5)
    for _ in range(3):
        ring.device.pop()
    with pytest.raises(RingError) as caught:
        ring.device.pop()
    assert caught.value.code == "avail_idx"


def test_a_buffer_that_is_offered_twice_is_an_error():
    ring = split([(0x1000, 4, 0, 0)], heads=(0, 0))
    ring.device.pop()
    with pytest.raises(RingError) as caught:
        ring.device.pop()
    assert caught.value.code == "twice"


@pytest.mark.parametrize(("features", "size", "flags", "table", "code"), [
    (PLAIN, 16, TABLE, [(0x1000, 4, 0, 0)], "no_indirect"),
    (INDIRECT, 0, TABLE, [], "table"),
    (INDIRECT, 24, TABLE, [], "table"),
    (INDIRECT, 1 << 20, TABLE, [], "address"),
    (INDIRECT, 16, TABLE, [(0x4000, 16, TABLE, 0)], "nested"),
    (INDIRECT, 16, TABLE, [(0x1000, 4, NEXT, 1)], "place"),
    (INDIRECT, 32, TABLE, [(0x1000, 4, NEXT, 1), (0x1000, 4, NEXT, 0)], "loop"),
    (INDIRECT | IN_ORDER, 48, TABLE, [(0x1000, 4, NEXT, 2)], "not_next"),
])
def test_a_lie_in_an_indirect_table_has_its_error(features, size, flags, table, code):
    with pytest.raises(RingError) as caught:
        split([(0x4000, size, flags, 0)], features=features, table=table).device.pop()
    assert caught.value.code == code


def test_a_chain_may_end_in_an_indirect_table_and_the_tables_write_flag_means_nothing():
    ring = split([(0x1000, 4, NEXT, 1), (0x4000, 32, TABLE | WRITE, 0)],
                 table=[(0x2000, 4, NEXT, 1), (0x3000, 8, WRITE, 0)])
    chain = ring.device.pop()
    assert chain.readable == ((0x1000, 4), (0x2000, 4)) and chain.writable == ((0x3000, 8),)


def test_a_chain_over_4_GiB_is_an_error():
    class Endless(type(Ring("split").memory)):
        def check(self, address, size):
            """All addresses are memory."""

    ring = split([(0x1000, 0xFFFF_FFFF, NEXT, 1), (0x1000, 2, 0, 0)])
    memory = Endless(1 << 16)
    memory.write(0, bytes(ring.memory.bytes))
    device = type(ring.device)(memory, ring.layout)
    with pytest.raises(RingError) as caught:
        device.pop()
    assert caught.value.code == "bytes"


@pytest.mark.parametrize(("descs", "features", "table", "code"), [
    ([(0x1000, 4, 0, AVAIL | NEXT), (0x1000, 4, 0, 0)], PLAIN, [], "flags"),
    ([(0x1000, 4, 0, AVAIL | 8)], PLAIN, [], "flags"),
    ([(0x1000, 4, 0, AVAIL | NEXT)] * 4, PLAIN, [], "loop"),
    ([(1 << 40, 4, 0, AVAIL)], PLAIN, [], "address"),
    ([(0x1000, 0, 0, AVAIL)], PLAIN, [], "empty"),
    ([(0x1000, 4, 0, AVAIL | NEXT | WRITE), (0x1000, 4, 0, AVAIL)], PLAIN, [], "order"),
    ([(0x4000, 16, 0, AVAIL | TABLE)], PLAIN, [], "no_indirect"),
    ([(0x4000, 16, 0, AVAIL | TABLE | NEXT)], INDIRECT, [], "next"),
    ([(0x1000, 4, 0, AVAIL | NEXT), (0x4000, 16, 0, AVAIL | TABLE)], INDIRECT, [(0x1000, 4, 0, 0)], "next"),
    ([(0x4000, 16, 0, AVAIL | TABLE)], INDIRECT, [(0x4000, 16, 0, TABLE)], "nested"),
    ([(0x4000, 8, 0, AVAIL | TABLE)], INDIRECT, [], "table"),
    ([(0x4000, 80, 0, AVAIL | TABLE)], INDIRECT, [(0x1000, 4, 0, 0)] * 5, "loop"),
    ([(0x1000, 4, 7, AVAIL), (0x1000, 4, 7, AVAIL)], PLAIN, [], "twice"),
])
def test_a_lie_in_a_packed_ring_has_its_error(descs, features, table, code):
    ring = packed(descs, features, table=table)
    with pytest.raises(RingError) as caught:
        for _ in range(3):
            ring.device.pop()
    assert caught.value.code == code


def test_a_packed_ring_that_is_held_whole_offers_nothing_whatever_stands_in_it():
    ring = packed([(0x1000, 4, n, AVAIL) for n in range(4)])
    for _ in range(4):
        assert ring.device.pop() is not None
    for n in range(4):  # the driver pretends a second round
        ring.memory.store16(ring.layout.desc + 16 * n + 14, 1 << 15)
    assert ring.device.pop() is None


def test_in_an_indirect_table_of_a_packed_ring_only_the_write_flag_counts():
    ring = packed([(0x4000, 32, 0, AVAIL | TABLE | WRITE)], table=[(0x1000, 4, 9, NEXT), (0x2000, 4, 9, WRITE | NEXT)])
    chain = ring.device.pop()
    assert chain.readable == ((0x1000, 4),) and chain.writable == ((0x2000, 4),)


# --- a device that lies: a driver must not believe it either ----------------------------------------------------------

def _offered(kind, features=PLAIN):
    ring = Ring(kind, 4, features)
    for _ in range(2):
        ring.driver.add([], [(0x1000, 8)])
    ring.driver.publish()
    return ring


@pytest.mark.parametrize(("idx", "entries", "code"), [
    (3, [(0, 0)] * 3, "used_idx"), (0xFFFF, [(0, 0)], "used_idx"), (1, [(2, 0)], "used_id"),
    (1, [(1 << 31, 0)], "used_id"), (2, [(0, 0), (0, 0)], "used_id"), (1, [(0, 9)], "used_len")])
def test_a_driver_believes_no_device_that_returns_what_it_has_not(idx, entries, code):
    ring = _offered("split")
    for n, entry in enumerate(entries):
        ring.memory.write(ring.layout.device + 4 + 8 * n, struct.pack("<II", *entry))
    ring.memory.store16(ring.layout.device + 2, idx)
    with pytest.raises(RingError) as caught:
        ring.driver.take()
    assert caught.value.code == code
    with pytest.raises(RingError):
        ring.driver.publish()


@pytest.mark.parametrize(("ident", "written", "code"), [(3, 0, "used_id"), (0, 9, "used_len")])
def test_a_driver_of_a_packed_ring_believes_no_such_device_either(ident, written, code):
    ring = _offered("packed")
    ring.memory.write(ring.layout.desc + 8, struct.pack("<IHH", written, ident, 1 << 7 | 1 << 15))
    with pytest.raises(RingError) as caught:
        ring.driver.take()
    assert caught.value.code == code


def test_in_order_an_entry_cannot_stand_for_more_than_the_index_moved():
    ring = _offered("split", ALL)
    ring.memory.write(ring.layout.device + 4, struct.pack("<II", 1, 8))
    ring.memory.store16(ring.layout.device + 2, 1)
    with pytest.raises(RingError) as caught:
        ring.driver.take()
    assert caught.value.code == "used_idx"


# --- noise ------------------------------------------------------------------------------------------------------------

@kinds
def test_fifty_thousand_damaged_rings_neither_hang_nor_reach_outside(kind):
    codes = fuzz(kind, seed=20_260_401, count=50_000)
    common = {"loop", "address", "empty", "order", "flags", "table", "nested", "next", "no_indirect", "twice"}
    own = {"place", "avail_idx", "not_next"} if kind == "split" else set()
    assert set(codes) >= common | own, f"some lie was never told: {sorted(common | own - set(codes))}"
    assert codes[""] > 1000, "some damage does no harm"


@pytest.mark.soak
@kinds
@pytest.mark.parametrize("seed", range(20))
def test_a_million_damaged_rings(kind, seed):
    assert sum(fuzz(kind, seed, 25_000).values()) == 25_000


def test_the_layout_of_the_ring_itself_must_be_guest_memory():
    ring = Ring("split", 4)
    device = type(ring.device)(ring.memory, SplitLayout(4, 1 << 20, 1 << 21, 1 << 22))
    with pytest.raises(ValueError, match="not guest memory"):
        device.pop()
