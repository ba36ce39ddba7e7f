"""Notebook 07: golden values, well-known mistakes, and designs on both sides of the line."""
import pytest

from virtlab import cpu, lessons
from virtlab.lessons import items, judging

TRUE = {id: judging.truth(items.find_exercise(id)) for id in ("07.share", "07.reserve", "07.quantile")}


def test_golden_values():
    answers = items.answers("07")
    assert answers.share(4, 3).right == (75, 9, 50)
    assert answers.share(3, 4).right == pytest.approx((200 / 3, 8, 40))
    assert answers.reserve(64, 10, 5).right == (1.5625, 0.78125, 10)
    assert answers.quantile(9, 50).right == pytest.approx((90, 864.1), abs=0.1)


def test_fair_shares_are_those_of_the_scheduler():
    host = {"pcpus": 1, "vcpus_per_vm": 1, "duty": 1.0, "emulator_load": 0.0, "context_switch_ns": 0}
    for m, slice_ms in ((4, 3), (5, 4)):
        steal, wait_ms, heavy = items.answers("07").share(m, slice_ms).right
        run = cpu.schedule(vms=m, slice_ns=slice_ms * 1_000_000, wall_ns=m * slice_ms * 50_000_000, **host)
        assert 100 * run.steal_share == pytest.approx(steal, abs=0.01)
        assert run.longest_wait_ns.max() == wait_ms * 1_000_000
        weighted = cpu.schedule(vms=m, heavy_weight=3, wall_ns=4_000_000_000, **host)
        assert 100 * weighted.steal_ns[0] / weighted.options.wall_ns == pytest.approx(heavy, abs=0.5)


def test_the_predictions_are_what_the_notebook_teaches():
    asked = items.answers("07").PREDICTIONS
    assert asked["07.steal"]() == pytest.approx(200 / 3, abs=0.01)
    hosts = asked["07.hosts"]()
    assert hosts["card"] < hosts["free"] < hosts["pinned"] / 3, "pinning lengthens the tail of a crowded host"
    remedy = asked["07.remedy"]()
    assert remedy["own_cpu"] < remedy["cat"] < remedy["offload"]


@pytest.mark.parametrize(("id", "i", "wrong", "hint"), [
    ("07.share", 0, 20, "that it runs"), ("07.share", 0, 75, "one of the m"),
    ("07.share", 1, 15, "own slice is no wait"), ("07.share", 1, 3, "one other"),
    ("07.share", 2, 80, "without the weight"), ("07.share", 2, 40, "m + 2 weights"),
    ("07.reserve", 1, 32, "of one pCPU, not of the host"), ("07.reserve", 1, 4 / 32, "one VM's thread"),
    ("07.quantile", 0, 100 * 8 / 9, "sum of both"), ("07.quantile", 1, 800, "cost the same"),
    ("07.quantile", 1, 1250, "numbers of standard deviations"),
])  # fmt: skip
def test_the_well_known_wrong_answers_are_recognised(id, i, wrong, hint):
    numbers = list(TRUE[id].right)
    numbers[i] = wrong
    assert hint in str(lessons.check(id, tuple(numbers)))


@pytest.mark.parametrize("answer", [
    {"vms": 5, "pinning": "none", "reserved_pcpus": 0}, {"vms": 5, "reserved_pcpus": 1},
    {"vms": 6, "slice_ns": 200_000}, {"vms": 5, "pinning": "vcpus", "slice_ns": 100_000},
])  # fmt: skip
def test_several_hosts_keep_waits_short(answer):
    judged = lessons.check("07.design", answer)
    assert judged.right and "vCPUs on 8 pCPUs" in str(judged), judged


@pytest.mark.parametrize(("answer", "hint"), [
    ({"vms": 8, "pinning": "vcpus"}, "too many for this pinning"), ({"vms": 4}, "too few"),
    ({"vms": 5, "pinning": "vcpus+emulators", "slice_ns": 100_000}, "whose pCPU must it wait for"),
    ("vcpus", "dictionary"), ({}, "dictionary"), ({"duty": 0.1}, "not yours to choose"),
    ({"vms": 5, "placement": "local"}, "not yours to choose"), ({"vms": 5, "pinning": "all"}, "pinning must be"),
    ({"vms": 5, "reserved_pcpus": 8}, "does not take this"), ({"vms": [4]}, "does not take this"),
])  # fmt: skip
def test_a_host_that_is_not_is_told_why(answer, hint):
    assert hint in str(lessons.check("07.design", answer)), lessons.check("07.design", answer)
