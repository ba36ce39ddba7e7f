"""Notebook 11: golden values, well-known mistakes, and designs on both sides of the line."""
import pytest

from virtlab import lessons, offload
from virtlab.lessons import items, judging

TRUE = {id: judging.truth(items.find_exercise(id)) for id in ("11.frame",)}


def test_golden_values():
    answers = items.answers("11")
    assert answers.frame(300, 256, 58).right == pytest.approx((2, 58 * 300 / 348, 58 * 300 / 372))


@pytest.mark.parametrize(("data", "mps"), [(300, 256), (700, 128), (600, 512)])
def test_the_sums_by_hand_are_the_models(data, mps):
    link = {"transfer_bytes": data, "mps": mps}
    model = offload.pcie(**link)
    tlp = model.options.tlp_gbit_per_s
    found = items.answers("11").frame(data, mps, tlp).right
    assert found == pytest.approx((model.options.writes(data), model.write_gbit_per_s, model.both_gbit_per_s))


def test_the_predictions_are_what_the_notebook_teaches():
    asked = items.answers("11").PREDICTIONS
    assert asked["11.small"]() == pytest.approx(11.58, abs=0.005)
    assert asked["11.transactions"]() == 6
    rates = asked["11.iommu"]()
    assert rates["strict"] < rates["small"] / 2 < rates["small"] < 0.7 * rates["off"]
    assert rates["huge"] == rates["off"] == 200, "within the tie"


@pytest.mark.parametrize(("id", "i", "wrong", "hint"), [
    ("11.frame", 0, 1, "rest needs a packet"), ("11.frame", 1, 58 * 300 / 324, "has a header, not each block"),
    ("11.frame", 2, 58 * 300 / 348, "requests up, beside"),
    ("11.frame", 2, 58 * 300 / 348 / 2, "data read does not take"),
])  # fmt: skip
def test_the_well_known_wrong_answers_are_recognised(id, i, wrong, hint):
    numbers = list(TRUE[id].right)
    numbers[i] = wrong
    assert hint in str(lessons.check(id, tuple(numbers)))


@pytest.mark.parametrize("answer", [
    {"pcie_generation": 4, "lanes": 8, "nic": "dpdk"}, {"pcie_generation": 4, "lanes": 8, "nic": "kernel"},
    {"pcie_generation": 3, "lanes": 16, "nic": "plain", "ring_batch": 16},
    {"pcie_generation": 5, "lanes": 4, "nic": "llq", "ring_batch": 8},
    {"pcie_generation": 3, "lanes": 16, "nic": "virtio-packed", "ring_batch": 32},
])  # fmt: skip
def test_several_cards_carry_small_frames(answer):
    judged = lessons.check("11.design", answer)
    assert judged.right and "each way" in str(judged), judged


@pytest.mark.parametrize(("answer", "hint"), [
    ({"pcie_generation": 3, "lanes": 16, "nic": "virtio", "ring_batch": 1}, "reads one after the other"),
    ({"pcie_generation": 4, "lanes": 8, "nic": "simple"}, "are not enough"),
    ({"pcie_generation": 4, "lanes": 16, "nic": "dpdk"}, "at most 128"),
    ({"pcie_generation": 3, "lanes": 8, "nic": "dpdk"}, "are not enough"),
    ("dpdk", "dictionary"), ({}, "dictionary"), ({"added_ns": 0}, "not yours to choose"),
    ({"nic": "best"}, "does not take this"), ({"lanes": [4]}, "does not take this"),
])  # fmt: skip
def test_a_card_that_does_not_do_is_told_why(answer, hint):
    assert hint in str(lessons.check("11.design", answer)), lessons.check("11.design", answer)


def test_the_broken_function_is_the_published_slip():
    """What it loses is just the request that the published model loses."""
    def broken(data, mps, header):
        return data + header * -(-data // mps) + 16 + header + 4 + header

    assert items.answers("11").up_bytes(60, 256, 24) - broken(60, 256, 24) == 24
    assert not lessons.check("11.debug", broken).right
