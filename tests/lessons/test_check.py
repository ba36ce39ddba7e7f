"""check, question, hint, solution, student: every exercise, every listed mistake, every type of answer."""
import decimal
import fractions
import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab import lessons, paths
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.lessons import book, items, judging, mistakes

IDS = items.exercise_ids()
SEEDS = (0, 1, 2, 3, 4, 5, 6, 7)


def of_kind(kind):
    return [id for id in IDS if items.find_exercise(id).kind == kind]


NUMBERS, DESIGNS, DEBUGS, EXPLAINS = map(of_kind, items.KINDS[:1] + ("design", "debug", "explain"))
NUMBER_PARTS = [(id, i) for id in NUMBERS for i in range(len(items.find_exercise(id).parts))]


def truth(id, seed=0):
    return judging.truth(items.find_exercise(id, seed))


def answer_of(numbers):
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def with_part(id, index, value):
    numbers = list(truth(id).right)
    numbers[index] = value
    return answer_of(numbers)


LOST = truth("01.cores").right[0]


def solved(id):
    space = {}
    exec(lessons.solution(id).code, space)
    return space["answer"]


# --- every exercise -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("id", IDS)
def test_the_solution_runs_and_is_accepted_for_every_student(id, seed):
    lessons.student(seed)
    judged = lessons.check(id, solved(id))
    assert judged.status == ("kept" if id in EXPLAINS else "right"), f"{id}, student {seed}: {judged}"


@pytest.mark.parametrize("id", IDS)
def test_each_notebook_has_its_four_kinds_and_every_exercise_its_why(id):
    exercise = items.find_exercise(id)
    assert exercise.why and exercise.hints and "answer" in exercise.solution + exercise.stub + exercise.text
    assert {items.find_exercise(other).kind for other in IDS if other[:2] == id[:2]} == set(items.KINDS)


@pytest.mark.parametrize("id", IDS)
def test_an_untouched_cell_is_not_answered_yet(id):
    exercise = items.find_exercise(id)
    space = {}
    exec(exercise.stub, space)
    answer = space.get("answer", next((v for v in space.values() if callable(v)), None))
    for untouched in (answer, ..., None):
        judged = lessons.check(id, untouched)
        assert judged.status == "not answered" and str(judged).startswith("Not answered yet."), f"{id}: {judged}"


@pytest.mark.parametrize("id", IDS)
def test_question_hints_and_solution_show_themselves_as_text_and_html(id):
    for shown in (lessons.question(id), lessons.hint(id), lessons.solution(id)):
        assert str(shown) and shown._repr_html_() == shown.html
        assert "**" not in str(shown).replace("**options", ""), "bold marks are for the HTML"
        unfilled = re.search(r"\{(vmm|cores|batch|share|switches|gbit|ghz)\}(?!\.)", str(shown))
        assert not unfilled, f"a number was not filled in: {unfilled}"
    assert lessons.hint(id).html.startswith("<details><summary>") and "<details open" not in lessons.solution(id).html


@pytest.mark.parametrize("id", IDS)
def test_what_is_printed_is_the_same_each_time(id):
    for call in (lessons.question, lessons.hint, lessons.solution, lambda i: lessons.check(i, 12345.678)):
        assert (str(call(id)), call(id).html) == (str(call(id)), call(id).html)


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("wrong", [
    "three", b"x", [], (), {}, set(), object(), type, lambda: 1, [[1]], (1, "a", None), float("nan"), float("inf"), 1j,
    True, np.True_, np.array([1.0, 2.0]), np.array(None), 10**400, {"path": 3}, {3: 4}, print, [1, 2, 3, 4, 5],
], ids=lambda value: repr(value).split(" at 0x")[0])  # an address differs from run to run  # fmt: skip
def test_an_answer_of_a_wrong_type_gives_a_sentence_and_no_traceback(id, wrong):
    judged = lessons.check(id, wrong)
    assert not judged.right and str(judged) and "Traceback" not in str(judged)


def test_an_object_that_raises_when_looked_at_gives_a_sentence():
    class Hostile:
        def __getattribute__(self, name):
            raise ZeroDivisionError("<b>no</b>")

    for id in IDS:
        judged = lessons.check(id, Hostile())
        assert not judged.right and "<b>no" not in judged.html, f"{id}: {judged}"


def test_an_unknown_exercise_is_met_with_the_nearest_name():
    for call in (lessons.check, lessons.question, lessons.hint, lessons.solution):
        with pytest.raises(LookupError, match="did you mean 01.cores"):
            call("01.core")


# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("id", NUMBERS)
def test_every_known_mistake_has_its_own_hint_and_lies_outside_the_tolerance(id, seed):
    lessons.student(seed)
    exercise, true = items.find_exercise(id, seed), truth(id, seed)
    assert set(exercise.mistakes) == set(true.wrong), f"{id}: mistakes in data and in truth differ"
    for key, values in true.wrong.items():
        assert len(values) == len(true.right), f"{id}, {key}: one value a part"
        for i, value in enumerate(values):
            if value is None:
                continue
            part = exercise.parts[i]
            if isinstance(value, tuple):
                low, high = max(value[0], -1e9), min(value[1], 1e9)
                inner = [v for v in (low, (low + high) / 2, high) if low <= v <= high]
                inner = [v for v in inner if not mistakes.fits(v, true.right[i], part)]
                shown = {mistakes.diagnose(v, true, i, part, exercise.mistakes) for v in inner}
                assert inner == [] or exercise.mistakes[key] in shown, f"{id}, {key}, student {seed}: {shown}"
                continue
            assert not mistakes.fits(value, true.right[i], part), f"{id}, {key}, student {seed}: it is also right"
            given = mistakes.diagnose(value, true, i, part, exercise.mistakes)
            same = [k for k, w in true.wrong.items() if isinstance(w[i], float) and mistakes.fits(value, w[i], part)]
            assert given in [exercise.mistakes[k] for k in same], f"{id}, {key}, student {seed}: {given}"


@pytest.mark.parametrize("id", NUMBERS)
def test_no_two_known_mistakes_share_a_hint_unless_they_share_the_cause(id):
    hints = list(items.find_exercise(id).mistakes.values())
    assert len(set(hints)) >= len(hints) - 1


@pytest.mark.parametrize("id, i", NUMBER_PARTS)
def test_a_number_within_the_tolerance_is_right_and_one_beyond_it_is_not(id, i):
    part, right = items.find_exercise(id).parts[i], truth(id).right[i]
    room = max(part.absolute, part.relative * abs(right))
    assert lessons.check(id, with_part(id, i, right + 0.99 * room)).right
    assert not lessons.check(id, with_part(id, i, right + 1.01 * room)).right


@pytest.mark.parametrize("wrong, hint", [
    (LOST * 2, "hardware threads"), (LOST / 1000, "prefixes"), (LOST / 1e6, "prefixes"), (LOST * 1e3, "prefixes"),
    (0, "Zero"), (-LOST, "sign"), (LOST * 1.012, "Very close"), (LOST * 1.5, "Too large"), (LOST / 1.7, "Too small"),
    (LOST * 77, "Far too large"), (LOST / 7777, "Far too small"), (LOST / 10, "lost zero"),
    (300_000, "claim's own figure"), (1 / LOST, "Upside down"), (3.2e6, "32 cores a server"),
    (12.8e6, "128 cores a server"), (float("inf"), "not a finite number"), (float("nan"), "not a finite number"),
])  # fmt: skip
def test_the_hint_depends_on_the_mistake(wrong, hint):
    judged = lessons.check("01.cores", wrong)
    assert judged.status == "not yet" and hint in str(judged), judged


@pytest.mark.parametrize("id, i, wrong, hint", [
    ("01.reproduce", 0, 55.14, "sign"),
    ("01.reproduce", 0, -0.5514, "share of 1"),
    ("01.reproduce", 0, 44.86, "what is left"),
    ("01.reproduce", 1, 119.2, "virtual machine's figure"),
    ("01.reproduce", 2, -10, "the claim's figure"),
    ("09.exits", 0, 3, "whole batch"),
    ("09.exits", 0, 16 / 3, "Upside down"),
    ("09.exits", 0, 2 / 16, "ioeventfd does not remove"),  # guard 11
    ("09.exits", 0, 4 / 16, "one exit of the batch too many"),
    ("09.exits", 1, 3 / 16, "one exit of the batch too many"),
    ("09.exits", 2, 2 / 16, "one exit of the batch too many"),
    ("09.exits", 0, 0.19, "three decimals"),
    ("09.exits", 2, 0.06, "three decimals"),
    ("09.exits", 2, 0.0, "not the exit"),
    ("09.batch", 0, 5 / 3, "whole number"),
    ("09.batch", 0, 1, "still holds"),
    ("09.batch", 0, 32, "false there too"),
    ("09.batch", 0, 20, "false there too"),
    ("09.batch", 0, 0, "at least one packet"),
    ("09.batch", 0, -2, "at least one packet"),
    ("09.budget", 0, 15.36, "preamble"),  # guard 40
    ("09.budget", 0, 6.72, "cycles"),
    ("09.budget", 0, 2.52, "bytes by bits"),  # guard 61
    ("09.quarter", 1, 0, "not posted"),
    ("09.quarter", 1, 0.25, "not cores"),
    ("09.quarter", 2, 0.25, "not cores"),
])  # fmt: skip
def test_the_well_known_wrong_answers_are_recognised(id, i, wrong, hint):
    said = str(lessons.check(id, with_part(id, i, wrong)))
    assert hint.lower() in said.lower(), said


@pytest.mark.parametrize("given, right, hint", [(0.38, 0.375, "three"), (0.13, 0.125, "three"), (13.0, 12.5, "close")])
def test_only_a_small_number_that_is_rounded_too_far_is_asked_for_decimals(given, right, hint):
    part = items.Part("exits", "1", relative=0.01)
    assert hint in mistakes.diagnose(given, mistakes.Truth((right,)), 0, part, {})


@pytest.mark.parametrize("bytes, factor, hint", [
    (True, 8, "bits and bytes"), (True, 2**10, "KiB"), (True, 2**20, "KiB"), (True, 1.024, "kB and KiB"),
    (False, 8, "Too large"), (False, 2**10, "Far too large"), (False, 1.024, "close"),
])  # fmt: skip
def test_bytes_are_named_only_where_bytes_are_in_the_question(bytes, factor, hint):
    part = items.Part("size", "cycles", relative=0.001, bytes=bytes)
    said = mistakes.diagnose(300.0 * factor, mistakes.Truth((300.0,)), 0, part, {})
    assert hint in said and (bytes or not re.search("KiB|bytes", said)), said


def test_only_reach_tables_and_budget_count_bytes():
    counting = [id for id in NUMBERS if any(p.bytes for p in items.find_exercise(id).parts)]
    assert counting == ["05.reach", "05.touch", "09.budget"]


@pytest.mark.parametrize("factor", [2, 8, 10, 100, 1000, 1e6, 1e9, 2**10, 2**20, 1.024, 55, 5])
@pytest.mark.parametrize("bytes", [True, False])
def test_no_hint_says_by_what_factor_an_answer_is_off(factor, bytes):
    part = items.Part("size", "%", relative=0.001, bytes=bytes)
    for wrong in (300 * factor, 300 / factor):
        said = mistakes.diagnose(wrong, mistakes.Truth((300.0,)), 0, part, {})
        assert not re.search(r"factor|thousand|million|hundred|\bten\b|\btwo times|twice|[02-9]", said), said


def test_two_numbers_in_each_others_place_look_swapped():
    right = truth("01.reproduce").right
    text = str(lessons.check("01.reproduce", (right[1], right[0], right[2])))
    assert "Numbers 1 and 2 look swapped." in text and "1 of 3" in text and "Number 1 (" not in text


def test_a_sentence_after_the_verdict_begins_with_a_capital():
    for id in NUMBERS:
        exercise = items.find_exercise(id)
        for i, key in ((i, key) for i in range(len(exercise.parts)) for key in exercise.mistakes):
            wrong = truth(id).wrong[key][i]
            if isinstance(wrong, float):
                text = str(lessons.check(id, with_part(id, i, wrong)))
                assert re.match(r"Not yet\. [A-Z0-9]", text) and not re.search(r"\): [a-z]", text), text


@pytest.mark.parametrize("answer, gave", [((1, 2), "you gave 2."), (5, "a value of type int"), ((1,) * 5, "gave 5.")])
def test_a_wrong_count_of_numbers_is_told(answer, gave):
    text = str(lessons.check("09.exits", answer))
    assert "takes 3 numbers" in text and gave in text


@pytest.mark.parametrize("id", IDS)
def test_the_words_of_an_exercise_keep_the_house_spelling(id):
    everything = " ".join(str(call(id)) for call in (lessons.question, lessons.hint, lessons.solution))
    exercise = items.find_exercise(id)
    everything += " ".join((exercise.why, *exercise.rubric, *exercise.mistakes.values()))
    assert not re.search(r"virtualis|\d us\b|\{P\d\}", everything)


@pytest.mark.parametrize("id, i", NUMBER_PARTS)
@given(factor=st.sampled_from([2, 0.5, 8, 0.125, 10, 100, 0.01, 1000, 1024, 1e-3, 1e6, 2**20, 1.03, 1.3, -1, 55, 1e-9]))
def test_no_hint_shows_the_true_value(id, i, factor):
    right = truth(id).right[i]
    part = items.find_exercise(id).parts[i]
    hint = mistakes.diagnose(right * factor, truth(id), i, part, items.find_exercise(id).mistakes)
    shown = {number(right), number(right, 6), show(right, part.unit), f"{right:g}"}
    said = set(re.findall(r"[-\d.,]*\d", hint))
    # Small whole numbers (a batch of 2) stand in sentences of their own accord.
    assert not {s for s in shown if len(s.strip("-")) > 2} & said, f"{id}: {hint!r} gives {right} away"


@given(st.sampled_from(NUMBERS), st.floats() | st.integers() | st.fractions() | st.decimals())
def test_no_number_makes_check_raise(id, value):
    for answer in (value, (value,) * len(items.find_exercise(id).parts)):
        assert str(lessons.check(id, answer))


@pytest.mark.parametrize("value", [4_800_000, 4.8e6, np.float32(4.8e6), np.int64(4_800_000), np.array(4.8e6),
                                   fractions.Fraction(4_800_000), decimal.Decimal("4.8e6")], ids=repr)  # fmt: skip
def test_every_kind_of_number_is_a_number(value):
    assert lessons.check("01.cores", value).right


@pytest.mark.parametrize("make", [tuple, list, np.array])
def test_several_numbers_come_as_tuple_list_or_array(make):
    assert lessons.check("09.exits", make([0.1875, 0.125, 0.0625])).right


def test_each_of_several_numbers_is_judged_by_itself():
    text = str(lessons.check("09.exits", (0.1875, ..., 7)))
    assert "1 of 3 numbers are right" in text and "Number 2" in text and "Still to come" in text and "Number 3" in text
    assert "Number 1" not in text


GOLDEN = {
    "01.reproduce": (-55.14, -54.39, 2.42), "01.cores": (4.8e6,), "01.price": (208.33,),
    "09.exits": (0.1875, 0.125, 0.0625), "09.batch": (2,), "09.budget": (20.16,),
}  # fmt: skip


def test_a_batch_of_eight_costs_the_golden_exits():
    assert items.answers("09").exits(8).right == pytest.approx((0.375, 0.25, 0.125))


def test_no_student_is_asked_what_the_notebook_prints():
    vary = {e["id"]: e["vary"] for n in ("01", "09") for e in items.raw(n)["exercise"] if "vary" in e}
    assert not {32, 64, 128} & {*vary["01.cores"]["cores"], *vary["01.price"]["cores"]}
    assert not {1, 8, 32, 64} & set(vary["09.exits"]["batch"])


def test_the_figures_of_the_contradiction_follow_from_the_claim():
    from virtlab.cloud import price_at_which

    solution = items.find_exercise("01.contradiction").solution
    for cores in (32 * 1e5, 128 * 1e5):
        assert f"{cores / 1e6:.1f}" in solution
    for cores in (6.4e6, 3e5):
        assert f"{price_at_which(1e9, cores):,.0f} USD" in solution


@pytest.mark.parametrize("id", GOLDEN)
def test_the_notebooks_own_numbers_are_the_golden_ones(id):
    assert truth(id).right == pytest.approx(GOLDEN[id], abs=0.005)


def test_vhost_net_at_a_quarter_of_the_host_is_busy_for_a_quarter_of_its_cores():
    rate, host, guest = truth("09.quarter").right
    bill = paths.LADDER["vhost-net"].cpu(direction="tx", kick_batch=8, interrupt_batch=8)
    quarter = 0.25 * items.find_exercise("09.quarter").values["cores"]
    assert bill.host_cores(rate) == pytest.approx(quarter)
    assert host < quarter / 10 < guest, "the card must take little of the host and leave the guest its own bill"


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_times_holds_against_qemu_alone_and_with_an_ordinary_guest_against_none(seed):
    true = truth("09.tenfold", seed)
    assert min(true.right[:2]) > 10 > true.right[2] and true.right[3] < 1.1, "the sentence after the answer says so"
    assert max(true.wrong["ordinary_guest"][:3]) < 10


@pytest.mark.parametrize("path", ["vhost-user", "card"])
def test_a_polling_guest_is_the_limit_on_vhost_user_and_on_the_card(path):
    options = {"direction": "tx", "frame_bytes": 64, "guest_poll": True}
    for batch in next(e for e in items.raw("09")["exercise"] if e["id"] == "09.tenfold")["vary"]["batch"]:
        limit = paths.LADDER[path].capacity(kick_batch=batch, interrupt_batch=batch, **options).bottleneck
        assert limit == paths.Server.VCPU, "the sentence after the answer says so"


# --- students -------------------------------------------------------------------------------------------------------


def test_student_zero_has_the_first_of_every_list():
    for id in NUMBERS:
        entry = next(e for e in items.raw(id[:2])["exercise"] if e["id"] == id)
        assert items.find_exercise(id).values == {name: values[0] for name, values in entry["vary"].items()}


@given(st.integers(0, 10**9))
def test_the_numbers_of_a_student_are_a_pure_function_of_exercise_and_seed(seed):
    for id in NUMBERS:
        entry = next(e for e in items.raw(id[:2])["exercise"] if e["id"] == id)
        drawn = items.draw(id, entry["vary"], seed)
        assert drawn == items.draw(id, entry["vary"], seed)
        assert all(drawn[name] in values for name, values in entry["vary"].items())


def test_known_students_keep_their_numbers():
    assert [items.find_exercise("01.cores", s).values["cores"] for s in (0, 1, 2, 7)] == [48, 72, 56, 96]


def test_students_differ():
    assert len({tuple(tuple(items.find_exercise(id, s).values.values()) for id in NUMBERS) for s in range(30)}) > 1
    for id in NUMBERS:
        assert len({tuple(items.find_exercise(id, s).values.values()) for s in range(40)}) > 1, id


def test_a_student_sees_and_is_judged_by_their_own_numbers():
    assert "student 7" in str(lessons.student(7))
    assert "96 cores" in str(lessons.question("01.cores"))
    assert lessons.check("01.cores", 9.6e6).right and not lessons.check("01.cores", 4.8e6).right
    lessons.student(0)
    assert lessons.check("01.cores", 4.8e6).right


@pytest.mark.parametrize("seed", [-1, 1.0, "7", True, None, 10**10])
def test_an_impossible_student_gives_a_sentence(seed):
    with pytest.raises(ValueError, match="whole number from 0"):
        lessons.student(seed)


# --- explain, design, debug -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", EXPLAINS)
def test_an_explanation_is_only_checked_for_being_there_and_shows_three_points(id):
    assert lessons.check(id, " ... ").status == "not answered"
    judged = lessons.check(id, "because " * 15)
    assert judged.status == "kept" and judged.html.count("<li>") == 3 == len(items.find_exercise(id).rubric)


@pytest.mark.parametrize("id", EXPLAINS)
def test_an_explanation_of_a_few_words_does_not_open_the_points(id):
    judged = lessons.check(id, "because " * 14)
    assert judged.status == "not answered" and "Write two or three sentences first" in str(judged)
    assert "<li>" not in judged.html and id not in book._checks


@pytest.mark.parametrize("answer, hint", [
    ([(0.8, 0.1, 0.1)], "Two mixes"), ((0.8, 0.1, 0.1), "Two mixes"), (5, "Two mixes"),
    ([(0.8, 0.2), (1, 2)], "Mix 1 must be three"), ([(0.8, "a", 0.1)] * 2, "three numbers"),
    ([(60, 25, 15)] * 2, "60 % is 0.6"), ([(0.5, 0.2, 0.1)] * 2, "add up to 0.8"), ([(1.2, -0.1, -0.1)] * 2, "below 0"),
    ([(1, 0, 0)] * 2, "more of the work that loses much"),
    ([(0.5, 0.25, 0.25)] * 2, "more of the work that loses little"),
])  # fmt: skip
def test_a_mix_that_does_not_lose_ten_per_cent_is_told_why(answer, hint):
    assert hint in str(lessons.check("01.ten", answer)), lessons.check("01.ten", answer)


def test_the_same_mix_twice_is_one_mix():
    assert "same mix" in str(lessons.check("01.ten", [solved("01.ten")[0]] * 2))


@given(st.floats(0, 0.2), st.floats(0, 0.2))
def test_every_two_members_of_the_family_are_right(one, other):
    from virtlab.cloud import share_for

    found = [share_for(0.10, share_cpu=1 - n, share_net=n, share_blk=0.0) for n in (one, other)]
    judged = lessons.check("01.ten", [(m.share_cpu, m.share_net, m.share_blk) for m in found])
    assert judged.right == (abs(one - other) >= 0.01) or abs(abs(one - other) - 0.01) < 1e-6, judged


@pytest.mark.parametrize("loss, right", [(0.0987, False), (0.0992, True), (0.1004, True), (0.1008, True),
                                         (0.1013, False)])  # fmt: skip
def test_ten_per_cent_means_a_tenth_of_a_percentage_point_on_both_sides(loss, right):
    from virtlab.cloud import share_for

    assert "0.1 percentage points" in str(lessons.question("01.ten"))
    found = [share_for(loss, share_cpu=1 - n, share_net=n, share_blk=0.0) for n in (0.0, 0.1)]
    judged = lessons.check("01.ten", [(m.share_cpu, m.share_net, m.share_blk) for m in found])
    assert judged.right == right, judged


@pytest.mark.parametrize("answer", [
    {"path": "vhost-user"}, {"path": "vhost-user", "guest_poll": True, "apicv": False},
    {"path": "vdpa", "posted": True},
    {"path": "sriov", "posted": True}, {"path": "sriov", "guest_poll": True, "apicv": False}, {"path": "card"},
    {"path": "vhost-net", "busy_poll": True, "apicv": True}, {"path": paths.LADDER["card"], "direction": "tx"},
])  # fmt: skip
def test_every_set_up_without_exits_is_right_and_names_its_price(answer):
    judged = lessons.check("09.zero", answer)
    assert judged.right and "The price:" in str(judged), judged


@pytest.mark.parametrize("answer, hint", [
    ("vhost-user", "dictionary"), ({}, "one of qemu"), ({"path": "x"}, "one of qemu"),
    ({"path": ["qemu"]}, "one of qemu"),
    ({"path": "vhost-net"}, "kick"), ({"path": "vhost-user", "apicv": False}, "inject"),
    ({"path": "vhost-user", "guest_halts": True}, "goes to sleep"),
    ({"path": "card", "irq_on_vcpu_cpu": True}, "external"),
    ({"path": "card", "apicv": "yes"}, "apicv must be"), ({"path": "card", "apic": True}, "no option apic"),
    ({"path": "card", "apic": True}, "kick_batch, refill_batch"),
    ({"path": "card", "apicv": False, "posted": True}, "posted must be False"),
    ({"path": "card", "kick_batch": 0}, "kick_batch"),
])  # fmt: skip
def test_a_set_up_with_exits_is_told_where_they_come_from(answer, hint):
    assert hint in str(lessons.check("09.zero", answer)), lessons.check("09.zero", answer)


@pytest.mark.parametrize("id", DEBUGS)
def test_the_broken_function_counts_as_untouched(id):
    broken = judging.broken_function(items.find_exercise(id))
    assert lessons.check(id, broken).status == "not answered"


@pytest.mark.parametrize("id", DEBUGS)
def test_a_function_that_is_wrong_elsewhere_is_told_the_call_and_not_the_result(id):
    judged = lessons.check(id, lambda a, b, *rest: (7, 7) if rest else 7)
    name = judging.broken_function(items.find_exercise(id)).__name__
    assert judged.status == "not yet" and f"{name}(" in str(judged)


@pytest.mark.parametrize("id", DEBUGS)
@pytest.mark.parametrize("function, hint", [
    (lambda *a: 1 / 0, "ZeroDivisionError"), (lambda: 1, "TypeError"), (lambda *a: None, "returns nothing"),
    (lambda *a: ..., "returns nothing"), (lambda *a: sys.exit(3), "SystemExit"), (lambda *a: "x", "is not right"),
    (0.0975, "without brackets"), ("total_loss", "without brackets"),
], ids=range(8))  # fmt: skip
def test_a_function_that_fails_gives_a_sentence(id, function, hint):
    assert hint in str(lessons.check(id, function)), lessons.check(id, function)


def test_a_loss_in_per_cent_is_told_so():
    judged = lessons.check("01.debug", lambda tax, slowdown: 100 * (1 - (1 - tax) * (1 - slowdown)))
    assert "looks like per cent" in str(judged)


def test_five_and_five_are_nine_and_three_quarters():  # guard 54
    assert items.answers("01").REFERENCES["01.debug"](0.05, 0.05) == pytest.approx(0.0975)


@pytest.mark.parametrize("id", DEBUGS)
def test_the_broken_function_is_right_somewhere_and_wrong_somewhere(id):
    exercise = items.find_exercise(id)
    broken, reference = judging.broken_function(exercise), items.answers(id[:2]).REFERENCES[id]
    agree = [judging._same(broken(*c.args), reference(*c.args)) for c in exercise.cases]
    assert any(agree) and not all(agree)


def test_every_try_is_noted_but_not_the_untouched_cell():
    for answer in (..., 1, LOST):
        lessons.check("01.cores", answer)
    assert book._checks == {"01.cores": {"tries": 2, "right": True}}


# --- data -----------------------------------------------------------------------------------------------------------


def entry(**changes):
    base = {"id": "99.x", "kind": "number", "title": "t", "text": "x", "why": "w", "solution": "answer = 1",
    "hints": ["h"],
                "part": [{"label": "l", "unit": "1", "relative": 0.1}]}  # fmt: skip
    return {k: v for k, v in {**base, **changes}.items() if v is not None}


@pytest.mark.parametrize("changes, field", [
    ({"text": None}, "text"), ({"hints": []}, "hints"), ({"kind": "essay"}, "kind"), ({"part": None}, "part"),
    ({"colour": "red"}, "colour"), ({"part": [{"label": "l", "unit": "1", "colour": 1}]}, "colour"),
    ({"part": [{"unit": "1"}]}, "label"), ({"rubric": ["r"]}, "rubric"), ({"kind": "debug", "part": None}, "case"),
])  # fmt: skip
def test_a_damaged_exercise_names_file_entry_and_field(changes, field):
    with pytest.raises(items.LessonError, match=f"99.toml, entry 99.x.*{field}"):
        items.make_exercise(entry(**changes), 0, "99.toml")


@pytest.mark.parametrize("changes, field", [
    ({"help": ""}, "help"), ({"kind": "essay"}, "kind"), ({"kind": "choice"}, "choices"), ({"colour": 1}, "colour"),
    ({"choices": [{"key": "a", "label": "b"}]}, "choices"), ({"kind": "order", "choices": [{"key": "a"}]}, "label"),
])  # fmt: skip
def test_a_damaged_prediction_names_file_entry_and_field(changes, field):
    base = {"id": "99.p", "kind": "number", "label": "l", "help": "h", "low": 0, "high": 1}
    with pytest.raises(items.LessonError, match=f"99.toml, entry 99.p.*{field}"):
        items.make_prediction({**base, **changes}, "99.toml")


def test_a_file_that_is_no_toml_is_named(tmp_path):
    (tmp_path / "99.toml").write_text("= 1")
    with pytest.raises(items.LessonError, match="99.toml"):
        items._load(tmp_path / "99.toml")


def test_every_id_is_unique_and_names_its_notebook():
    everything = [*IDS, *items.all_predictions()]
    assert len(set(everything)) == len(everything)
    for notebook in items.notebooks():
        entries = items.raw(notebook).get("exercise", []) + items.raw(notebook).get("prediction", [])
        assert all(e["id"].startswith(f"{notebook}.") for e in entries)


def test_every_factor_and_every_unit_has_its_words():
    assert {key for _, key in mistakes._FACTORS + mistakes._BYTE_FACTORS} == set(words("lessons.factor"))
    units = {part.unit for id in NUMBERS for part in items.find_exercise(id).parts}
    assert units <= set(words("lessons.unit"))


def test_design_mistakes_in_data_are_those_that_the_judge_can_return():
    import inspect

    for id in DESIGNS:
        source = inspect.getsource(items.answers(id[:2]).DESIGNS[id])
        keys = set(re.findall(r'return "(\w+)"|"(\w+)" if lost|else "(\w+)"', source))
        returned = {k for group in keys for k in group if k} - {"right"}
        assert returned == set(items.find_exercise(id).mistakes), id
