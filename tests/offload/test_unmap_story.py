"""The life of a buffer: after a lazy unmap a card still reaches the page for a while, after a strict one never."""
import math

import pytest
from hypothesis import given, settings

from tests.strategies import settings_of
from virtlab.offload import UnmapOptions, unmap_story

near = pytest.approx


@settings(max_examples=60)
@given(options=settings_of(UnmapOptions))
def test_the_write_arrives_exactly_within_the_window(options):
    story = unmap_story(options.replace(other_unmaps=options.other_unmaps % 600))
    assert story.stale == (options.again_us * 1e3 < story.window_ns * (1 - 1e-9))
    assert [s.ns for s in story.steps] == sorted(s.ns for s in story.steps) and story.sentence()


def test_lazy_has_a_window_and_strict_has_none():
    lazy, strict = unmap_story(), unmap_story(iommu_mode="strict")
    assert lazy.stale and lazy.window_ns == near(10e6)
    assert not strict.stale and strict.window_ns == 0
    assert lazy.steps[-1].fault == strict.steps[-1].fault == "not_mapped", "after the flush, and at once"


def test_without_an_iommu_there_is_no_end():
    story = unmap_story(iommu_mode="off", again_us=100_000.0)
    assert story.stale and math.isinf(story.window_ns)


def test_a_busy_card_flushes_sooner_than_the_timer():
    """The 256th unmap, of 300 in 1 ms after the first, flushes: 255 / 301 of a millisecond."""
    story = unmap_story(other_unmaps=300)
    assert not story.stale and story.window_ns == near(255 / 301 * 1e6)


def test_a_queue_of_one_is_strict():
    assert unmap_story(flush_entries=1).window_ns == 0
