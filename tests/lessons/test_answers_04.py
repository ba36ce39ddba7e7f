"""Notebook 04: the well-known wrong counts of a walk, the asymmetry of a fifth level, designs, and the broken count."""
import pytest

from virtlab import lessons, memory
from virtlab.lessons import items, judging, mistakes
from virtlab.lessons.comparing import chosen

CASES = ("4K/2M", "2M/4K", "4K/1G", "1G/4K", "2M/1G", "1G/2M")


def truth(id, **values):
    return items.answers("04").NUMBERS[id](**values)


@pytest.mark.parametrize("index, wrong, mistake", [
    (0, 16, "product"), (0, 20, "no_last"), (0, 25, "one_more"), (0, 8, "sum"),
    (1, 30, "no_last"), (1, 34, "one_less"), (1, 36, "one_more"), (1, 25, "product"),
])  # fmt: skip
def test_the_famous_wrong_counts_are_told_apart(index, wrong, mistake):
    """Guards 1 and 3: 16, 20 and 25 for four levels, 30 and 34 for five, pages of 4 KiB on both sides."""
    exercise, true = items.find_exercise("04.count"), truth("04.count", pair="4K/4K")
    assert true.right[:2] == (24, 35)
    said = mistakes.diagnose(wrong, true, index, exercise.parts[index], exercise.mistakes)
    assert said == exercise.mistakes[mistake]


@pytest.mark.parametrize("pair", CASES)
def test_counts_follow_from_the_reads_of_either_side(pair):
    """Plain arithmetic: a huge page ends a walk one level earlier, one of 1 GiB two."""
    guest, host = (("4K", "2M", "1G").index(page) for page in pair.split("/"))
    four, five, mixed = truth("04.count", pair=pair).right
    g, h = 4 - guest, 4 - host
    assert four == (g + 1) * (h + 1) - 1
    assert five == (g + 2) * (h + 2) - 1
    assert mixed == g * 5 + h
    in_guest, in_host = truth("04.levels", pair=pair).right
    assert in_guest == four + h + 1 and in_host == four + g + 1 and in_guest != in_host


def test_the_asymmetry_is_the_golden_one():
    """Guard 4: 23 and 24."""
    assert truth("04.levels", pair="4K/2M").right == (23, 24)


@pytest.mark.parametrize("cache", [16, 32, 64])
def test_tables_outgrow_the_cache_where_the_model_says_so(cache):
    """2 MiB of PTEs a GiB; the entries of huge pages are 512 times fewer."""
    alone, both, huge = truth("04.outgrow", cache=cache).right
    assert alone == cache / 2 and both == cache / 4 and huge == 512 * both
    reads = memory.slowdown(working_set_bytes=int(alone * 2**30)).native.reads
    assert next(r for r in reads if r.name == "gPTE").table_bytes == cache * 2**20


def test_the_share_of_the_last_read_lies_well_inside_its_choice():
    asked = items.find_prediction("04.last")
    share = items.answers("04").PREDICTIONS["04.last"]()
    choice = chosen(asked, share)
    assert choice.key == "third" and choice.low + 5 < share < choice.high - 5


@pytest.mark.parametrize("answer", [
    {"guest_cache": "PDE"}, {"nested_tlb_tables": True}, {"guest_cache": "PDPTE", "host_page": "2M"},
    {"host_cache": "PDE", "nested_tlb_data": True}, {"guest_cache": "PDPTE", "host_cache": "PDE"},
    {"host_page": "1G", "host_cache": "PML4E", "guest_cache": "PML4E"},
])  # fmt: skip
def test_several_designs_are_right(answer):
    judged = lessons.check("04.design", answer)
    assert judged.right and f"{memory.walk(**answer).count} reads" in str(judged), judged


@pytest.mark.parametrize("answer, hint", [
    ({}, "24 reads: more than asked"), ({"host_page": "1G"}, "14 reads: more"), (8, "dictionary"),
    ({"guest_page": "2M", "guest_cache": "PDPTE"}, "guest_page stays"), ({"guest_paging": False}, "guest_paging stays"),
    ({"nested_paging": False}, "no guest"), ({"guest_cash": "PDE"}, "no option guest_cash"),
    ({"guest_cache": "PTE"}, "no such value"),
])  # fmt: skip
def test_a_design_that_does_not_do_is_told_why(answer, hint):
    judged = lessons.check("04.design", answer)
    assert not judged.right and hint in str(judged), judged


def test_the_broken_count_is_right_on_bare_metal_only():
    exercise = items.find_exercise("04.debug")
    broken = judging.broken_function(exercise)
    assert broken(4, 0) == 4 and broken(4, 4) == 20
    assert lessons.check("04.debug", lambda g, h: (g + 1) * (h + 1) - 1).right
    said = str(lessons.check("04.debug", lambda g, h: (g + 1) * (h + 1)))
    assert "references(4, 0)" in said and "bare metal" in said


def test_the_explanation_states_what_the_model_counts():
    from virtlab.memory import walk

    solution = items.find_exercise("04.why").solution
    assert walk(guest_depth=2).count == 24 and len(walk(guest_depth=2).first_touch) == 5
    assert "24" in solution and "five instead of one" in solution


@pytest.mark.parametrize("id, values, index, wrong, mistake", [
    ("04.count", {"pair": "4K/2M"}, 2, 24, "small"), ("04.count", {"pair": "4K/2M"}, 1, 31, "too_many"),
    ("04.count", {"pair": "4K/2M"}, 0, 8, "too_few"), ("04.levels", {"pair": "4K/2M"}, 0, 20, "one_read"),
    ("04.levels", {"pair": "4K/2M"}, 0, 25, "too_many"), ("04.outgrow", {"cache": 32}, 0, 2, "line"),
    ("04.outgrow", {"cache": 32}, 0, 32, "four"), ("04.outgrow", {"cache": 32}, 1, 4, "half"),
    ("04.outgrow", {"cache": 32}, 2, 8, "small"),
])  # fmt: skip
def test_a_wrong_count_is_told_what_was_counted_and_nothing_of_tolerances(id, values, index, wrong, mistake):
    exercise = items.find_exercise(id)
    said = mistakes.diagnose(wrong, truth(id, **values), index, exercise.parts[index], exercise.mistakes)
    assert said == exercise.mistakes[mistake]
