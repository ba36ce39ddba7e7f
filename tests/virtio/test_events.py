"""The comparison of EVENT_IDX: its vectors over the wrap, and equality entry by entry as the oracle."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.virtio import need_event, need_event_packed

WORD = st.integers(0, 65_535)
# domain.md, correction 19: (event, new, old)
TRUE = [(4, 5, 4), (15, 16, 15), (65_532, 65_533, 65_532), (0, 1, 0), (65_535, 0, 65_535)]
FALSE = [(4, 6, 5), (15, 15, 14), (15, 16, 16), (0, 0, 65_535), (3, 2, 4)]


@pytest.mark.parametrize("vector", TRUE)
def test_these_moves_pass_the_event(vector):
    assert need_event(*vector)


@pytest.mark.parametrize("vector", FALSE)
def test_these_moves_do_not_pass_the_event(vector):
    assert not need_event(*vector)


@given(event=WORD, old=WORD, moved=st.integers(0, 40_000))
def test_the_formula_is_equality_with_each_index_of_the_batch(event, old, moved):
    new = old + moved & 0xFFFF
    assert need_event(event, new, old) == any(old + k & 0xFFFF == event for k in range(moved))


@given(event=WORD, old=WORD)
def test_a_move_by_65536_looks_like_none(event, old):
    assert not need_event(event, old + 65_536, old)


def test_one_at_a_time_an_event_of_4_fires_at_5_and_again_only_at_65541():
    assert [new for new in range(1, 131_073) if need_event(4, new, new - 1)] == [5, 65_541]


def test_an_event_of_0_is_not_off_it_fires_at_the_first_and_the_65537th_buffer():
    # The specification's note says "after the 65536th": one too early, as index 0 is written again by the next.
    assert [new for new in range(1, 131_073) if need_event(0, new, new - 1)] == [1, 65_537]


@given(size=st.integers(1, 60), data=st.data())
def test_in_a_packed_ring_the_event_is_a_place_that_the_batch_went_over(size, data):
    start = data.draw(st.integers(0, 2 * size - 1), label="where the batch begins, counted over two rounds")
    moved = data.draw(st.integers(0, size))
    offset, wrap = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, 1))
    new, new_wrap = (start + moved) % size, 1 - (start + moved) // size % 2
    passed = {((start + k) % size, 1 - (start + k) // size % 2) for k in range(moved)}
    assert need_event_packed(offset, wrap, new, moved, new_wrap, size) == ((offset, wrap) in passed)
