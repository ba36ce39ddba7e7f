"""Notebook 06: what its exercises call right agrees with plain loops; designs are judged by what they do."""
import math

import pytest

from virtlab import lessons, memory
from virtlab.lessons import items, judging

GIB = 1 << 30


def truth(id, seed=0):
    return judging.truth(items.find_exercise(id, seed))


def test_predictions_have_the_golden_results():
    results = {id: ask() for id, ask in items.answers("06").PREDICTIONS.items()}
    assert results["06.rounds"] == 50
    assert results["06.hot"] == pytest.approx(GIB * 8 / 1e10)
    assert results["06.log"] == pytest.approx(1e6 / 1953)
    assert "about a second: 859 ms" in str(lessons.compare("06"))


@pytest.mark.parametrize("seed", range(6))
def test_rounds_time_and_stop_are_those_of_a_loop_written_out(seed):
    values = items.find_exercise("06.lunch", seed).values
    left, sent_per_s, share = values["memory"] * 2**30, values["gbit"] * 1e9 / 8, values["percent"] / 100
    rounds = seconds = 0
    while left / sent_per_s > 0.3:
        rounds, seconds, left = rounds + 1, seconds + left / sent_per_s, left * share
    assert truth("06.lunch", seed).right == pytest.approx((rounds, seconds, 1e3 * left / sent_per_s))


@pytest.mark.parametrize("id, wrong, hint", [
    ("06.lunch", (23, 218.6 / 1.0737, ...), "10^9 bytes"),  # guard 61: GB is not GiB
    ("06.lunch", (..., 1e4, 300), "allowed"),
    ("06.lunch", (24, ..., ...), "one round too many"),
    ("06.lunch", (22, ..., ...), "one round too early"),
    ("06.stop", (96 * 0.08 * 4, ...), "10^9 bytes"),
    ("06.stop", (0, ...), "device may have written"),  # guard 45
    ("06.know", (3e6 / 512, ..., ...), "4 kib"),  # guard 7
    ("06.know", (..., 3e6, ...), "one exit for each page"),
    ("06.converge", (..., 3), "qemu goes on"),
])  # fmt: skip
def test_the_well_known_wrong_answers_are_recognised(id, wrong, hint):
    assert hint in str(lessons.check(id, wrong)).lower(), lessons.check(id, wrong)


@pytest.mark.parametrize("seed", range(6))
def test_qemu_brakes_until_a_round_leaves_half(seed):
    ratio = items.find_exercise("06.converge", seed).values["ratio"]
    enough, taken = truth("06.converge", seed).right
    throttle = [0.2 + 0.1 * k for k in range(8)]
    assert enough == next(k + 1 for k, t in enumerate(throttle) if ratio * (1 - t) < 1 - 1e-9)
    assert taken == next(k + 1 for k, t in enumerate(throttle) if ratio * (1 - t) <= 0.5)


@pytest.mark.parametrize("answer", [
    {"device": "vf-v2", "auto_converge": True}, {"downtime_ms": 55_000},
    {"device": "virtio", "bandwidth_gbit_per_s": 25}, {"device": "virtio", "hot_bytes": GIB // 4},
    {"device": "vf-v2", "hot_bytes": GIB // 4}, {"device": "virtio", "dirty_gbit_per_s": 9.0},
    {"device": "virtio", "hot_bytes": GIB, "downtime_ms": 1000},
])  # fmt: skip
def test_every_way_to_move_the_vm_is_right_and_names_its_price(answer):
    judged = lessons.check("06.movable", answer)
    assert judged.right and "The price: " in str(judged) and "none" not in str(judged), judged
    assert memory.migrate(**{"dirty_gbit_per_s": 12, "device": "vf-untracked", **answer}).converged


@pytest.mark.parametrize("answer, hint", [
    (25, "dictionary"), ({}, "change something"), ({"device": "vf-untracked"}, "change something"),
    ({"bandwidth_gbit_per_s": 25}, "What helps first: Device"), ({"device": "virtio"}, "What helps first: Dirty rate"),
    ({"auto_converge": True}, "Device"), ({"memory_bytes": GIB}, "another product"), ({"max_rounds": 5}, "max_rounds"),
    ({"bandwith": 25}, "no option bandwith"), ({"downtime_ms": -1}, "downtime_ms must be"),
    ({"device": "virtio", "dirty_gbit_per_s": 9.95}, "you have an hour"),
])  # fmt: skip
def test_a_change_that_does_not_move_the_vm_is_told_why(answer, hint):
    judged = lessons.check("06.movable", answer)
    assert not judged.right and hint in str(judged), judged


def test_the_mended_loop_agrees_with_the_model_where_all_is_written_in_a_sweep():
    loop = items.answers("06").REFERENCES["06.debug"]
    for ratio, hot in ((0.5, 1.0), (0.9, 1.0), (0.9, 0.1), (1.2, 0.004)):
        m = memory.migrate(dirty_gbit_per_s=10 * ratio, hot_bytes=int(64 * GIB * hot))
        pages = 64 * GIB / 4096
        assert loop(pages, pages * hot, ratio * 305176, 305176, 0.3) == len(m.rounds)
    assert not math.isnan(loop(1, 1, 2, 1, 0.1))
