"""Many functions of one card: routing IDs and buses against a list of them all, and what each resource allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.offload.functions import FunctionOptions, functions, table_bytes

OPTIONS = settings_of(FunctionOptions)
#: Small distances, so that buses and gaps are met often.
NEAR = st.builds(
    FunctionOptions, vfs=st.integers(1, 1024), ari=st.booleans(), vf_offset=st.integers(1, 600),
    vf_stride=st.integers(1, 300), bus=st.integers(1, 255), port_buses=st.integers(1, 255),
)  # fmt: skip


# --- routing IDs and buses -------------------------------------------------------------------------------------------


def test_1024_vfs_beside_their_physical_function_take_5_buses():
    seen = functions(vfs=1024)
    assert seen.buses == 5 == FACTS["pcie.ari.buses"].value
    assert seen.functions_per_bus == {1: 256, 2: 256, 3: 256, 4: 256, 5: 1}


def test_255_vfs_are_the_most_beside_their_physical_function_on_one_bus():
    assert functions(vfs=255).buses == 1 and functions(vfs=256).buses == 2


def test_a_vf_has_the_id_of_its_physical_function_plus_offset_plus_strides():
    o = FunctionOptions(bus=2, vf_offset=128, vf_stride=2)
    assert [o.routing_id(n) for n in (1, 2, 64)] == [0x280, 0x282, 0x2FE]


@given(NEAR)
def test_the_functions_of_all_buses_are_the_vfs_and_their_physical_function(options):
    here, there = functions(options).law()
    assert here == there


@given(NEAR)
def test_the_functions_of_each_bus_are_those_whose_id_has_its_number(options):
    ids = [options.pf_id, *(options.routing_id(n) for n in range(1, options.vfs + 1))]
    listed = {bus: sum(i >> 8 == bus for i in ids) for bus in {i >> 8 for i in ids}}
    assert functions(options).functions_per_bus == listed


@given(NEAR)
def test_addressable_are_the_vfs_before_the_first_one_that_does_not_answer(options):
    n = options.addressable
    assert all(options.answers(vf) for vf in range(1, min(n, 2000) + 1))
    assert not options.answers(n + 1)


def test_without_ari_seven_vfs_have_a_place_beside_their_physical_function():
    assert functions(ari=False).first.id == "ids" and functions(ari=False).most == 7


def test_without_ari_a_card_that_moves_its_vfs_to_the_next_bus_reaches_all_of_them():
    assert functions(ari=False, vf_offset=256)["ids"].most > 1024


def test_a_vf_beyond_the_buses_of_the_port_does_not_answer():
    assert functions(vfs=256, port_buses=1)["ids"].most == 255


# --- the other resources ----------------------------------------------------------------------------------------------


def test_64_vectors_for_each_of_1024_vfs_fill_one_remapping_table_exactly():
    seen = functions(vfs=1024, vectors=64)
    assert seen["interrupts"].used == 65_536 == seen["interrupts"].limit and seen.first.id == "interrupts" and seen.fits


def test_one_vector_more_is_one_too_many():
    seen = functions(vfs=1024, vectors=65)
    assert not seen.fits and seen["interrupts"].most == 65_536 // 65


def test_the_window_holds_each_vf_on_a_power_of_two():
    assert functions(vfs=8, vf_bar_bytes=(1 << 20) + 1)["mmio"].used == 8 << 21


def test_a_table_that_does_not_fit_into_the_bar_is_refused_with_what_is_needed():
    with pytest.raises(ParameterError, match=r"32,768 B for 2,048 vectors"):
        functions(vectors=2048, vf_bar_bytes=16_384)


def test_all_memory_of_each_vm_is_pinned_unless_the_device_can_fault():
    seen = functions(vfs=100, memory_bytes=1 << 30)
    assert seen.pinned_bytes == 100 << 30
    waits = functions(vfs=100, memory_bytes=1 << 30, pri=True)
    assert waits.pinned_bytes == 0 == waits["memory"].used


@pytest.mark.parametrize(("page", "tables"), [("4K", 1 + 1 + 2 + 1024), ("2M", 1 + 1 + 2), ("1G", 2)])
def test_the_tables_of_the_iommu_for_2_gib(page, tables):
    assert table_bytes(2 << 30, page) == 4096 * tables


@given(OPTIONS)
def test_a_larger_page_of_the_iommu_never_takes_more(options):
    sizes = [functions(options.replace(dma_page=page)).table_bytes for page in ("4K", "2M", "1G")]
    assert sizes == sorted(sizes, reverse=True)


def test_without_acs_all_functions_are_one_group_and_two_vms_cannot_share_them():
    assert functions(vfs=2).groups == 3
    alone = functions(vfs=2, acs=False)
    assert alone.groups == 1 and not alone.fits


# --- what ends first --------------------------------------------------------------------------------------------------


@given(OPTIONS)
def test_as_many_vfs_as_a_resource_allows_fit_and_one_more_does_not(options):
    for use in functions(options).uses:
        if 1 <= use.most <= 4096:
            assert functions(options.replace(vfs=int(use.most)))[use.id].share <= 1
        if use.most < 4096:
            assert functions(options.replace(vfs=int(use.most) + 1))[use.id].share > 1


@given(OPTIONS)
def test_the_resource_that_ends_first_allows_the_fewest_vfs(options):
    seen = functions(options)
    assert seen.most == min(use.most for use in seen.uses)
    assert seen.fits == ((options.acs or options.vfs == 1) and all(use.share <= 1 for use in seen.uses))


@given(OPTIONS)
def test_sentence_and_table_have_a_word_for_everything(options):
    seen = functions(options)
    assert seen.first.title in seen.sentence() and len(seen.table().rows) == len(seen.uses) + 1


def test_each_limit_names_a_fact():
    assert all(use.fact in FACTS for use in functions().uses)


def test_an_unknown_resource_is_named_with_the_known_ones():
    with pytest.raises(KeyError, match="interrupts"):
        functions()["irqs"]
