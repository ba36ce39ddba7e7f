"""The story of a ring: the real ring code, access by access, replayed to the same memory."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtio.rings import ALL, EVENT_IDX, IN_ORDER, INDIRECT, PLAIN
from virtlab.labs.ring import MOST_STEPS, did, why
from virtlab.virtio import Feature
from virtlab.virtio.story import tell

FEATURES = st.sampled_from([PLAIN, EVENT_IDX, INDIRECT, IN_ORDER, ALL])


@given(packed=st.booleans(), size=st.sampled_from([1, 2, 4, 8, 64]), features=FEATURES, batch=st.integers(1, 8),
       start=st.integers(0, 65_535), sleeps=st.booleans())
def test_every_story_ends_with_all_buffers_back_and_explains_each_step(packed, size, features, batch, start, sleeps):
    story = tell(packed, size, Feature(features), batch, start, sleeps)
    if not story.buffers:
        assert size == 1
        return
    last = story.moments[-1]
    assert last.side == "driver" and last.kind == "load", "the driver has taken the last buffer back"
    assert 1 <= last.kicks <= 2 and 1 <= last.calls <= 2
    for n, moment in enumerate(story.moments, 1):
        assert did(story, moment) and why(story, n), f"no words for {moment}"
    assert len(story.moments) <= MOST_STEPS, "the slider does not reach the end"


@given(packed=st.booleans(), features=FEATURES, start=st.integers(0, 65_535))
def test_what_is_loaded_is_what_lies_in_the_image_at_that_moment(packed, features, start):
    story = tell(packed, 8, Feature(features), 3, start)
    for n, moment in enumerate(story.moments):
        if moment.kind == "load" and story.touched(moment):
            image = story.image(n)
            assert image[moment.address:moment.address + len(moment.data)] == moment.data


@pytest.mark.parametrize("packed", [False, True])
def test_a_device_that_does_not_sleep_saves_the_second_kick(packed):
    assert tell(packed, device_sleeps=True).moments[-1].kicks == 2
    assert tell(packed, device_sleeps=False).moments[-1].kicks == 1


def test_a_batch_is_no_larger_than_the_ring():
    assert tell(size=4, batch=8).buffers == 2 and tell(size=4, batch=8, features=INDIRECT).buffers == 4


def test_the_wrap_counters_flip_when_a_side_comes_round():
    story = tell(packed=True, size=4, batch=2)
    assert story.wraps(0) == (1, 1) and story.wraps(len(story.moments)) == (1, 1), "two rounds of the ring"
    half = next(n for n, m in enumerate(story.moments) if m.verb == "publish")
    assert story.wraps(half) == (0, 1), "the driver has filled the ring, and the device has not begun"
