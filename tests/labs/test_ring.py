"""The ring and barrier labs: what they show is what the ring code did, and each missing barrier has its consequence."""
import pytest

from virtlab.core.words import words
from virtlab.labs import BarrierLab, RingLab
from virtlab.labs.barrier import MISSING


def test_the_ring_lab_shows_the_value_that_a_step_has_stored():
    lab = RingLab()
    moments = lab.result.story.moments
    lab.step = 1 + next(n for n, m in enumerate(moments) if m.verb == "publish" and m.kind == "store")
    assert "Store to avail.idx: 2." in lab.describe() and "Now the batch is offered" in lab.describe()
    assert any(text.get_text() == "2" for text in lab._picture._cells)


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_what_a_step_is_good_for_is_told_in_sentences(ring):
    told = words(f"ring.why.{ring}")
    assert [key for key, text in told.items() if not text.endswith(".")] == [], "the lab's sentence would not end"


def test_a_step_beyond_the_end_is_the_end():
    lab = RingLab(step=280)
    assert lab.result.position == len(lab.result.story.moments) and f"Step {lab.result.position}" in lab.describe()


def test_a_ring_that_is_too_small_says_so():
    lab = RingLab(ring="packed", queue_size=2, buffers=8)
    assert lab.result.story.buffers == 1 and "two batches of 1" in lab.describe()


def test_of_a_large_ring_the_places_are_shown_that_are_used():
    lab = RingLab(ring="packed", queue_size=1024, start_index=1000, step=10)
    shown = {text.get_text() for text in lab._picture._numbers}
    assert "1000" in shown and "0" not in shown


@pytest.mark.parametrize("ring", ["split", "packed"])
@pytest.mark.parametrize("missing", MISSING[1:5])
def test_each_full_barrier_is_missed_on_x86(ring, missing):
    lab = BarrierLab(ring=ring, missing=missing)
    assert "a wake-up is lost" in lab.describe() and lab.result.found.lost


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_store_barriers_are_missed_on_a_weak_cpu_only(ring):
    lab = BarrierLab(ring=ring, missing="driver_store")
    assert "no wake-up is lost" in lab.describe()
    lab.store_order = "weak"
    assert "had not finished" in lab.describe()


@pytest.mark.parametrize("order", ["tso", "weak"])
def test_with_all_barriers_all_is_well(order):
    assert "no wake-up is lost" in BarrierLab(store_order=order).describe()


def test_the_store_that_the_sentence_names_is_held_back_in_the_picture():
    for ring in ("split", "packed"):
        for missing in MISSING[1:5]:
            lab = BarrierLab(ring=ring, missing=missing)
            held = {line.name for line in lab.result.found.schedule if line.kind == "store"}
            named = lab.describe().split("its store to ")[1].split(" is seen")[0]
            assert named in held
