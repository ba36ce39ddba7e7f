"""Notebook 15: golden values, well-known mistakes, and designs on both sides of the line."""
import pytest

from virtlab import lessons
from virtlab.lessons import items, judging

TRUE = judging.truth(items.find_exercise("15.density"))


def test_golden_values():
    assert items.answers("15").fitting(512, 16, 148).right == (1509, 1920)
    assert items.answers("15").fitting(768, 16, 148).right == (1087, 1297)


def test_the_predictions_are_what_the_notebook_teaches():
    asked = items.answers("15").PREDICTIONS
    left = asked["15.moves"]()
    assert left["minimise"] < left["separate"] < left["flatten"]
    assert asked["15.fit"]() == 0 and asked["15.trim"]() == 0


@pytest.mark.parametrize(("i", "wrong", "hint"), [
    (0, 960, "a vCPU is a hardware thread"), (0, 1920, "what the CPUs allow"), (1, 1945, "what the memory allows"),
])  # fmt: skip
def test_the_well_known_wrong_answers_are_recognised(i, wrong, hint):
    assert TRUE.right == (1509, 1920), "the course's own numbers"
    numbers = list(TRUE.right)
    numbers[i] = wrong
    assert hint in str(lessons.check("15.density", tuple(numbers)))


@pytest.mark.parametrize("answer", [
    {"vmm": "light", "memory_bytes": 192 << 20, "vcpus_per_thread": 9.0, "kept_cores": 4},
    {"vmm": "chv", "memory_bytes": 128 << 20, "vcpus_per_thread": 8.0, "kept_cores": 0, "vf_each": True, "vectors": 16},
    {"vmm": "light", "memory_bytes": 240 << 20, "vcpus_per_thread": 10.0, "kept_cores": 12, "huge_pages": True},
])  # fmt: skip
def test_several_hosts_run_a_thousand_functions(answer):
    judged = lessons.check("15.design", answer)
    assert judged.right and "VMs fit" in str(judged), judged


@pytest.mark.parametrize(("answer", "hint"), [
    ({"vmm": "qemu", "memory_bytes": 128 << 20, "vcpus_per_thread": 10.0, "kept_cores": 4}, "First to end: memory"),
    ({"vmm": "light", "vcpus_per_thread": 8.0}, "First to end: CPUs"),
    ({"vmm": "light", "vcpus_per_thread": 10.0, "kept_cores": 0, "vf_each": True, "vectors": 128}, "First to end: int"),
    ({"vmm": "light", "memory_bytes": 64 << 20}, "at least 128 MiB"), ({"vmm": "light", "kept_cores": 2}, "at least 4"),
    ({"vmm": "light", "vcpus_per_thread": 12.0}, "a tenth of their time"), ({"vmm": "xen"}, "qemu, chv, light"),
    ({"cores": 128}, "not yours to choose"), ({"kept_cores": -1}, "does not take this"), ("1000", "dictionary"),
])  # fmt: skip
def test_a_host_that_does_not_is_told_why(answer, hint):
    assert hint in str(lessons.check("15.design", answer)), lessons.check("15.design", answer)
