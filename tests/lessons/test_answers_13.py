"""Notebook 13: golden values, well-known mistakes, and designs on both sides of the line."""
import pytest

from virtlab import lessons
from virtlab.lessons import items, judging
from virtlab.paths import STORAGE

TRUE = judging.truth(items.find_exercise("13.little"))


def test_golden_values():
    assert items.answers("13").little(3000, 40, 4, 32).right == pytest.approx((120, 98.304, 800_000))
    assert items.answers("13").PREDICTIONS["13.depth"]() == pytest.approx(120)
    assert items.answers("13").PREDICTIONS["13.cores"]() == pytest.approx(2.667, abs=0.001)


def test_the_order_at_depth_32_is_what_the_notebook_teaches():
    found = items.answers("13").PREDICTIONS["13.order"]()
    assert found["virtio-blk-sync"] < found["virtio-blk"] / 5 and found["virtio-blk"] < 0.8 * found["metal"]


def test_what_the_question_says_of_one_request_alone_is_the_models():
    alone = {p: STORAGE[p].latency().total_ns / 1e3 for p in ("virtio-blk-sync", "virtio-blk")}
    assert alone == pytest.approx({"virtio-blk-sync": 95.4, "virtio-blk": 128.4}, abs=0.6)


@pytest.mark.parametrize(("i", "wrong", "hint"), [
    (0, TRUE.right[0] / 1000, "in thousands"), (1, TRUE.right[1] / 8, "8 bits"),
    (1, TRUE.right[1] * 1000 / 1024, "1,000 bytes"), (2, 1e6 / 90, "one request at a time"),
    (2, 800_000, "fewer in flight"),
])  # fmt: skip
def test_the_well_known_wrong_answers_are_recognised(i, wrong, hint):
    numbers = list(TRUE.right)
    numbers[i] = wrong
    assert hint in str(lessons.check("13.little", tuple(numbers)))


@pytest.mark.parametrize("answer", [
    {"path": "vhost-user-blk", "depth": 32, "jobs": 4, "cipher": "software"},
    {"path": "nvme-vfio", "depth": 32, "jobs": 2, "cipher": "inline"},
    {"path": "nvme-vfio", "depth": 32, "jobs": 3, "cipher": "software"},
    {"path": "cloud-disk", "depth": 40, "jobs": 2, "cipher": "inline"},
])  # fmt: skip
def test_several_disks_serve_the_tenant(answer):
    judged = lessons.check("13.design", answer)
    assert judged.right and "cores of the host" in str(judged), judged


@pytest.mark.parametrize(("answer", "hint"), [
    ({"path": "virtio-blk-iothread", "depth": 32, "jobs": 4, "backend_threads": 2, "cipher": "software"}, "too few"),
    ({"path": "virtio-blk-iothread", "depth": 45, "jobs": 4, "backend_threads": 4, "cipher": "inline"}, "than three"),
    ({"path": "metal", "depth": 32, "jobs": 4, "cipher": "inline"}, "no VM"),
    ({"path": "nvme-vfio", "depth": 32, "jobs": 2}, "not encrypted"),
    ({"path": "nvme-vfio", "depth": 32, "jobs": 8, "cipher": "inline"}, "more than four"),
    ({"path": "nvme-vfio", "depth": 400, "jobs": 4, "cipher": "inline"}, "too long"),
    ("vfio", "dictionary"), ({"path": "metal"}, "dictionary"), ({"path": "nvme", "depth": 3}, "no storage path"),
    ({"path": "metal", "depth": 9, "device_ns": 1}, "not yours to choose"),
    ({"path": "metal", "depth": 0}, "depth must be"), ({"path": [], "depth": 9}, "does not take this"),
    ({"path": "metal", "depth": 9, "jobs": "many"}, "jobs must be"),
])  # fmt: skip
def test_a_disk_that_does_not_do_is_told_why(answer, hint):
    assert hint in str(lessons.check("13.design", answer)), lessons.check("13.design", answer)
