"""Sizes and places of both rings to the byte, and the trap in the specification's legacy formula."""
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.virtio import Arena, LocalMemory, PackedLayout, SplitLayout, align_as_printed, legacy_bytes


@pytest.mark.parametrize(("Layout", "size", "expected"), [
    (SplitLayout, 128, 3340), (SplitLayout, 256, 6668), (SplitLayout, 1024, 26_636), (PackedLayout, 256, 4104)])
def test_a_ring_takes_the_bytes_that_the_specification_says(Layout, size, expected):
    assert Layout.total_bytes(size) == expected


def test_a_legacy_ring_is_padded_to_whole_pages():
    assert legacy_bytes(256, 4096) == 12_288


def test_the_legacy_formula_as_printed_is_wrong_unless_its_alignment_is_a_mask():
    desc_avail, used = 16 * 256 + 2 * (3 + 256), 2 * 3 + 8 * 256
    assert align_as_printed(desc_avail, 4096) + align_as_printed(used, 4096) == 10_764, "what the letter gives"
    assert align_as_printed(desc_avail, 4095) + align_as_printed(used, 4095) == legacy_bytes(256, 4096) == 12_288


def test_linux_pads_only_before_the_used_ring():
    desc_avail, used = 16 * 256 + 2 * (3 + 256), 2 * 3 + 8 * 256
    assert -(-desc_avail // 4096) * 4096 + used == 10_246, "vring_size(256, 4096) of Linux has no padding at the end"


@pytest.mark.parametrize("size", [0, -1, 3, 12, 32_769, 65_536])
def test_a_split_ring_has_a_power_of_two_up_to_32768_and_says_why(size):
    with pytest.raises(ValueError, match="32,768|power of two"):
        SplitLayout.total_bytes(size)


@pytest.mark.parametrize("size", [1, 3, 1000, 32_768])
def test_a_packed_ring_may_have_any_size(size):
    assert PackedLayout.total_bytes(size) == 16 * size + 8


@pytest.mark.parametrize(("Layout", "places"), [
    (SplitLayout, (8, 4096, 8192)), (SplitLayout, (0, 4097, 8192)), (SplitLayout, (0, 4096, 8194)),
    (PackedLayout, (8, 4096, 8192)), (PackedLayout, (0, 4098, 8192)), (PackedLayout, (0, 4096, 8194))])
def test_a_part_at_a_wrong_address_is_refused(Layout, places):
    with pytest.raises(ValueError, match="multiple of"):
        Layout(8, *places)


@given(kind=st.sampled_from([SplitLayout, PackedLayout]), exponent=st.integers(0, 7))
def test_fields_cover_every_byte_of_a_ring_once(kind, exponent):
    layout = kind.place(1 << exponent, Arena(64, 1 << 16))
    fields = list(layout.fields())
    covered = list(itertools.chain.from_iterable(range(f.address, f.address + f.size) for f in fields))
    assert len(covered) == len(set(covered)) == kind.total_bytes(1 << exponent)
    starts = dict(zip(kind.PARTS, (layout.desc, layout.driver, layout.device), strict=True))
    assert all(f.address >= starts[f.part] for f in fields)


def test_a_field_reads_itself_from_memory():
    memory, layout = LocalMemory(1 << 12), SplitLayout.place(4, Arena(0, 1 << 12))
    memory.write(layout.used_event, b"\x34\x12")
    assert next(f for f in layout.fields() if f.name == "used_event").value(memory) == 0x1234
