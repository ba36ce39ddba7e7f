"""Notebook 08: golden sizes, calls over the wrap, designs that do and do not, and the loop as the text prints it."""
import pytest

from virtlab import lessons, virtio
from virtlab.lessons import items, judging


def truth(id, **values):
    return items.answers("08").NUMBERS[id](**values)


def test_the_predictions_come_out_as_the_ring_and_the_explorer_say():
    true = {key: f() for key, f in items.answers("08").PREDICTIONS.items()}
    assert true["08.fires"] == 2, "at the first buffer and at the 65,537th"
    assert true["08.ide"] == pytest.approx(2062 / 3)
    assert true["08.barriers"] == 0, "x86 can do without none of the four"


def test_the_sizes_are_the_golden_ones():
    assert truth("08.size", places=256).right == (6668, 4104, 12_288)
    assert truth("08.size", places=128).right[0] == 3340
    assert truth("08.size", places=256).wrong["printed"][2] == 10_764, "ALIGN as printed, with 4,096"


@pytest.mark.parametrize(("start", "event", "batch"), [(65_530, 9, 4), (0, 0, 1), (10, 9, 8), (65_535, 65_535, 2)])
def test_the_next_call_is_where_a_ring_calls(start, event, batch):
    """The oracle counts entries one by one."""
    first = next(n for n in range(1, 65_537) if (start + n - 1) % 65_536 == event)
    right = truth("08.next", start=start, event=event, batch=batch).right
    assert right == (first, first + 65_536, -(-first // batch))


@pytest.mark.parametrize(("answer", "verdict"), [
    (7, "mapping"), ({"ring": "split"}, "unknown_option"), ({"transport": "isa"}, "options"),
    ({"transport": "pci", "requests": 0}, "options"), ({"transport": "pci", "requests": 32, "calls": "last"}, "flight"),
    ({"transport": "pci", "requests": 16, "calls": "none"}, "polls"), ({"transport": "mmio", "requests": 16}, "many"),
    ({"transport": "mmio", "requests": 16, "calls": "last"}, "many"),
    ({"transport": "pci", "requests": 16, "kicks": "each"}, "many"),
    ({"transport": "pci", "requests": 7, "calls": "last"}, "right"), ({"transport": "pci", "requests": 16}, "right"),
])  # fmt: skip
def test_a_design_is_judged_by_its_worst_case(answer, verdict):
    assert items.answers("08").DESIGNS["08.design"](answer)[0] == verdict


def test_a_design_says_what_it_rests_on():
    design = items.answers("08").DESIGNS["08.design"]
    last = design({"transport": "pci", "requests": 16, "calls": "last"})[1]["price"]
    each = design({"transport": "pci", "requests": 16, "calls": "last", "event_idx": False})[1]["price"]
    assert "one call" in last and "an interrupt of its own" in each, "without EVENT_IDX the last is each"


def test_the_loop_as_printed_is_told_from_the_right_one_and_from_other_mistakes():
    exercise = items.find_exercise("08.debug")
    broken = judging.broken_function(exercise)
    assert broken(0, 0, 8) == (0,) and broken(3, 0, 8) == ()
    assert not lessons.check("08.debug", broken).right and "still" in str(lessons.check("08.debug", broken))

    def reduced(used_idx, last_seen, size):
        return tuple((last_seen + n) % size for n in range((used_idx - last_seen) % size))

    assert "Not yet" in str(lessons.check("08.debug", reduced)), "a full ring looks empty to it"


def test_the_reference_takes_what_a_real_ring_gives_back():
    memory, arena = virtio.LocalMemory(1 << 12), virtio.Arena(0, 1 << 12)
    layout = virtio.SplitLayout.place(8, arena)
    driver, device = virtio.SplitDriver(memory, layout), virtio.SplitDevice(memory, layout)
    for _ in range(3):
        driver.add([(0, 1)])
    driver.publish()
    while (chain := device.pop()) is not None:
        device.push(chain)
    device.publish()
    idx = memory.load16(layout.device + 2)
    assert len(items.answers("08").REFERENCES["08.debug"](idx, 0, 8)) == len(driver.take()) == 3
