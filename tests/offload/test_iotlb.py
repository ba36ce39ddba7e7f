"""The IOTLB under a card's rings: conservation, the wall where it must stand, and the closed form of random reuse."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.offload import IotlbOptions, count_iotlb
from virtlab.offload.iotlb import geometry, reads_of_fresh_buffers

near = pytest.approx


@settings(max_examples=60)
@given(options=settings_of(IotlbOptions))
def test_each_look_up_hits_in_the_device_or_in_the_iotlb_or_misses(options):
    seen = count_iotlb(options, 256)
    assert seen.device_hits + seen.iotlb_hits + seen.misses == seen.lookups == 3 * seen.pages
    assert seen.misses <= seen.reads <= 4 * seen.misses


@pytest.mark.parametrize("entries", [32, 64, 256])
def test_in_order_nothing_misses_while_buffers_and_rings_fit_and_every_buffer_does_beyond(entries):
    """One queue of N buffers has N pages and two ring pages: with LRU a cycle fits whole, or not at all."""
    seen = {n: count_iotlb(IotlbOptions(pool_buffers=n, dma_queues=1, iotlb_entries=entries, iotlb_ways=256))
            for n in (entries - 8, 4 * entries)}  # fmt: skip
    assert seen[entries - 8].misses == 0
    assert seen[4 * entries].misses >= seen[4 * entries].pages


@pytest.mark.parametrize("pool", [256, 1024, 8192])
def test_with_random_reuse_a_buffer_misses_as_often_as_the_pool_is_larger(pool):
    """A buffer drawn evenly from P is among the E kept with probability E / P; the rings' few pages stay."""
    seen = count_iotlb(IotlbOptions(pool_buffers=pool, dma_queues=1, recycling="random", iotlb_entries=128,
                                    iotlb_ways=256))  # fmt: skip
    assert seen.misses / seen.pages == near(1 - 128 / pool, abs=0.06)


@settings(max_examples=60)
@given(options=settings_of(IotlbOptions))
def test_a_larger_io_page_never_misses_more_where_the_iotlb_is_fully_associative(options):
    full = options.replace(iotlb_entries=min(options.iotlb_entries, 256), iotlb_ways=256, ats_entries=0)
    misses = [count_iotlb(full.replace(io_page=page), 256).reads for page in ("4K", "2M", "1G")]
    assert misses == sorted(misses, reverse=True)


def test_more_entries_never_miss_more():
    misses = [count_iotlb(IotlbOptions(iotlb_entries=16 << k, recycling="random")).misses for k in range(9)]
    assert misses == sorted(misses, reverse=True) and misses[0] > misses[-1] == 0


def test_what_the_device_keeps_is_not_asked_of_the_iommu():
    seen = count_iotlb(IotlbOptions(ats_entries=2048))
    assert seen.device_hits == seen.lookups and seen.misses == 0
    assert count_iotlb(IotlbOptions()).misses >= 1024


def test_many_queues_push_each_others_rings_out():
    """F&S saw misses grow with the number of flows: here three a buffer, once 2 ring pages a queue exceed the IOTLB."""
    few, many = (count_iotlb(IotlbOptions(dma_queues=q, pool_buffers=256 * q)) for q in (4, 64))
    assert few.misses / few.pages < 1.1 and many.misses / many.pages == near(3, abs=0.1)


def test_a_fresh_buffer_reads_the_last_level_and_seldom_more_in_order():
    assert reads_of_fresh_buffers(IotlbOptions(pool_buffers=65_536)) == near(1, abs=0.01)
    assert 1.5 < reads_of_fresh_buffers(IotlbOptions(pool_buffers=65_536, recycling="random")) < 2


@given(entries=st.integers(1, 4096), ways=st.integers(1, 256))
def test_sets_are_a_power_of_two_and_nearly_all_entries_are_used(entries, ways):
    kept, found = geometry(entries, ways)
    sets = kept // found
    assert sets & (sets - 1) == 0 and kept == sets * found and entries - sets < kept <= entries
    assert found >= min(ways, entries)


def test_an_iotlb_without_entries_is_refused_with_the_reason():
    with pytest.raises(ParameterError, match="16 to 4,096 entries; you gave 0: below, the rings alone"):
        IotlbOptions(iotlb_entries=0)
