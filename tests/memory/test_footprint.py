"""Bytes beside the memory itself, and the exits of the first touch."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.memory.footprint import FootprintOptions, footprint

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
OPTIONS = settings_of(FootprintOptions)


@given(OPTIONS)
def test_touched_bloat_and_unused_are_all_that_backs_the_guest(options):
    parts, backing = footprint(options).law()
    assert parts == backing


@given(OPTIONS)
def test_nothing_is_negative(options):
    found = footprint(options)
    sizes = (found.touched_bytes, found.bloat_bytes, found.unused_bytes, found.first_touch_exits, found.first_touch_ns)
    assert min(sizes) >= 0 and min(found.host_tables_bytes.values()) >= 0


# --- page tables ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "levels", "golden"),
    [
        ("4K", 4, {4: 4 * KIB, 3: 4 * KIB, 2: 4 * KIB, 1: 2 * MIB}),
        ("2M", 4, {4: 4 * KIB, 3: 4 * KIB, 2: 4 * KIB}),
        ("1G", 4, {4: 4 * KIB, 3: 4 * KIB}),
        ("4K", 5, {5: 4 * KIB, 4: 4 * KIB, 3: 4 * KIB, 2: 4 * KIB, 1: 2 * MIB}),
    ],
)
def test_tables_of_one_gibibyte_by_level_on_both_sides(page, levels, golden):
    found = footprint(memory_bytes=GIB, guest_page=page, host_page=page, guest_levels=levels, host_levels=levels)
    assert found.guest_tables_bytes == found.host_tables_bytes == golden


def test_a_huge_page_on_one_side_shrinks_the_tables_of_that_side_only():
    small, huge = (footprint(host_page=page) for page in ("4K", "2M"))
    assert sum(huge.host_tables_bytes.values()) * 400 < sum(small.host_tables_bytes.values())
    assert huge.guest_tables_bytes == small.guest_tables_bytes


def test_tables_count_by_hand_for_64_gibibytes():
    assert footprint(memory_bytes=64 * GIB).host_tables_bytes == {
        4: 4 * KIB, 3: 4 * KIB, 2: 64 * 4 * KIB, 1: 64 * 512 * 4 * KIB
    }  # fmt: skip


def test_an_untouched_guest_has_no_host_tables_but_the_root():
    assert sum(footprint(touched_share=0).host_tables_bytes.values()) == 4 * KIB


# --- page descriptors ----------------------------------------------------------------------------------------------


def test_descriptors_take_one_part_in_64_in_guest_and_host():
    found = footprint(memory_bytes=GIB)
    assert found.host_struct_pages_bytes == found.guest_struct_pages_bytes == 16 * MIB
    assert 16 * MIB / GIB == FACTS["page.struct.share"].value == 0.015625


@pytest.mark.parametrize(("page", "fact", "kept"), [("2M", "page.hvo.2m", 1 / 8), ("1G", "page.hvo.1g", 1 / 4096)])
def test_hvo_keeps_one_page_of_descriptors_a_huge_page(page, fact, kept):
    full, thin = (footprint(host_page=page, hugetlb=True, hvo=on).host_struct_pages_bytes for on in (False, True))
    assert thin / full == kept == 1 / FACTS[fact].value


@pytest.mark.parametrize("options", [{"host_page": "2M", "hugetlb": False}, {"host_page": "4K", "hugetlb": True}])
def test_hvo_is_for_hugetlb_pages_only(options):
    assert footprint(hvo=True, **options).host_struct_pages_bytes == footprint(**options).host_struct_pages_bytes


# --- bloat and pools -----------------------------------------------------------------------------------------------


def test_one_small_page_touched_in_each_huge_page_allocates_them_all():
    found = footprint(memory_bytes=GIB, host_page="2M", touched_share=1 / 512)
    assert (found.touched_bytes, found.bloat_bytes) == (2 * MIB, GIB - 2 * MIB)


def test_small_pages_have_no_bloat():
    found = footprint(memory_bytes=GIB, host_page="4K", touched_share=1 / 512)
    assert (found.touched_bytes, found.bloat_bytes, found.backing_bytes) == (2 * MIB, 0, 2 * MIB)


def test_fewer_touched_pages_than_huge_pages_leave_some_unallocated():
    found = footprint(memory_bytes=GIB, host_page="2M", touched_share=1 / 1024)
    assert found.backing_bytes == GIB / 2


def test_a_pool_is_paid_whether_it_is_used_or_not():
    found = footprint(memory_bytes=GIB, host_page="2M", hugetlb=True, pool_bytes=4 * GIB, touched_share=0)
    assert (found.backing_bytes, found.unused_bytes) == (4 * GIB, 4 * GIB)


def test_the_pool_just_holds_the_guest_until_it_is_set():
    found = footprint(memory_bytes=GIB, host_page="2M", hugetlb=True, touched_share=0.5)
    assert (found.backing_bytes, found.unused_bytes) == (GIB, 0)


def test_gibibyte_pages_come_from_the_pool_and_small_ones_never_do():
    assert footprint(memory_bytes=GIB, host_page="1G", pool_bytes=2 * GIB).unused_bytes == GIB
    assert footprint(memory_bytes=GIB, host_page="4K", hugetlb=True, pool_bytes=2 * GIB).unused_bytes == 0


def test_a_guest_that_is_no_whole_number_of_pages_gets_a_page_more():
    assert footprint(memory_bytes=GIB + MIB, host_page="2M").backing_bytes == GIB + 2 * MIB


def test_a_pool_too_small_for_the_guest_is_refused():
    with pytest.raises(ParameterError, match="pool_bytes must be at least memory_bytes .*: a guest whose pool"):
        footprint(memory_bytes=GIB, pool_bytes=GIB - 1)


# --- first touch ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "exits"), [("4K", 262_144), ("2M", 512), ("1G", 1)])
def test_a_gibibyte_is_first_touched_with_one_exit_a_host_page(page, exits):
    assert footprint(memory_bytes=GIB, host_page=page).first_touch_exits == exits


def test_the_guests_page_size_does_not_change_the_exits():
    assert {footprint(memory_bytes=GIB, guest_page=p).first_touch_exits for p in ("4K", "2M", "1G")} == {262_144}


@pytest.mark.parametrize(("page", "fact"), [("4K", "page.touch.4k"), ("2M", "page.touch.2m")])
def test_the_facts_count_the_same_exits(page, fact):
    assert footprint(memory_bytes=GIB, host_page=page).first_touch_exits == FACTS[fact].value


def test_the_time_of_a_first_touch_is_exits_and_cleared_bytes():
    options = {"memory_bytes": GIB, "ept_violation_ns": 5000.0, "copy_gbyte_per_s": 10.0}
    assert footprint(host_page="4K", **options).first_touch_ns == pytest.approx(262_144 * 5000)
    cleared = (2 * MIB - 4 * KIB) / 10
    assert footprint(host_page="2M", **options).first_touch_ns == pytest.approx(512 * (5000 + cleared))


def test_larger_pages_are_touched_sooner_in_all():
    times = [footprint(memory_bytes=GIB, host_page=page).first_touch_ns for page in ("4K", "2M", "1G")]
    assert times == sorted(times, reverse=True)


# --- what a reader sees --------------------------------------------------------------------------------------------


def test_the_total_is_pages_tables_and_descriptors():
    found = footprint(memory_bytes=GIB)
    assert found.host_total_bytes == GIB + 2 * MIB + 3 * 4 * KIB + 16 * MIB
    assert found.guest_overhead_bytes == 2 * MIB + 3 * 4 * KIB + 16 * MIB


@pytest.mark.parametrize(("name", "value"), [("memory_bytes", 0), ("touched_share", 2), ("host_page", "4M")])
def test_wrong_options_are_refused_in_a_sentence_that_teaches(name, value):
    with pytest.raises(ParameterError, match=f"{name} must be .*; you gave {value!r}: "):
        footprint(**{name: value})


def test_a_footprint_prints_its_parts_and_the_first_touch():
    text = str(footprint(memory_bytes=GIB))
    assert "1 GiB of guest memory" in text and "262,144 exits, 1.33 s" in text and "16 MiB" in text
