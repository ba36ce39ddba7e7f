"""predict, prediction, compare: asked before the lab, kept in memory, compared at the end."""
import html
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab import lessons, paths
from virtlab.lessons import book, comparing, items, judging

IDS = tuple(items.all_predictions())
NUMBERS = [id for id in IDS if items.find_prediction(id).kind == "number"]
ORDER = sorted(paths.LADDER, key=items.answers("09").PREDICTIONS["09.order"]().get)


def click(box):
    box.button.click()
    return box.status.value


def test_at_most_three_predictions_a_notebook():
    for notebook in items.notebooks():
        assert len(items.raw(notebook).get("prediction", [])) <= 3, notebook


def test_the_lessons_are_imported_without_widgets():
    code = "import sys; from virtlab.lessons import check, prediction, compare; print('ipywidgets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize("id", IDS)
def test_a_form_has_a_label_and_help_for_every_field(id):
    box = lessons.predict(id)
    head = html.unescape(box.children[0].value)
    assert box.asked.label in head and box.asked.help in head
    assert all(field.description for field in box.fields) and box.button.description and box.button.tooltip


@pytest.mark.parametrize("id", IDS)
def test_a_form_as_text_is_the_same_sentence_each_time(id):
    first, again = (lessons.predict(id)._repr_mimebundle_()["text/plain"] for _ in range(2))
    assert first == again and id in first and "Nothing kept yet." in first


def test_a_form_offers_the_live_widget_and_no_output_widget():
    box = lessons.predict("01.loss")
    assert "application/vnd.jupyter.widget-view+json" in box._repr_mimebundle_()
    assert "Output" not in {type(child).__name__ for child in box.children}


def test_a_cell_that_runs_twice_shows_the_same_form():
    assert lessons.predict("01.loss") is lessons.predict("01.loss")


def test_a_closed_form_is_made_anew_and_shows_what_is_kept():
    old = lessons.predict("01.loss")
    old.answer = 30
    old.close()
    new = lessons.predict("01.loss")
    assert new is not old and new.fields[0].value == "30"


def test_nothing_is_kept_before_the_reader_answers():
    lessons.predict("01.loss")
    assert lessons.prediction("01.loss") is None


@pytest.mark.parametrize("typed, kept", [("30", 30.0), (" 30 % ", 30.0), ("0,5", 0.5), ("1e1", 10.0)])
def test_the_button_keeps_what_the_field_holds(typed, kept):
    box = lessons.predict("01.loss")
    box.fields[0].value = typed
    assert "Kept:" in click(box) and lessons.prediction("01.loss") == kept


@pytest.mark.parametrize("id, typed, kept", [
    ("09.factor", "41", 41.0), ("09.factor", "1", 1.0), ("09.cpu", "1,000", 1000.0), ("09.cpu", "12,000.5", 12000.5),
    ("09.cpu", "1,5", 1.5), ("09.cpu", "10,00", 10.0), ("01.loss", "1,000", 1.0), ("01.loss", "0,5", 0.5),
])  # fmt: skip
def test_a_comma_and_the_digit_one_are_read_as_a_person_means_them(id, typed, kept):
    box = lessons.predict(id)
    box.fields[0].value = typed
    assert "Kept:" in click(box) and lessons.prediction(id) == kept


@pytest.mark.parametrize("typed", ["much", "30 EUR", "3 0", "?"])
def test_what_was_typed_is_shown_when_it_cannot_be_kept(typed):
    box = lessons.predict("01.loss")
    box.fields[0].value = typed
    assert f"you gave '{typed}'" in html.unescape(click(box))


@pytest.mark.parametrize("given", ["inf", "-inf", "nan", "1e999", float("inf"), float("nan")])
def test_infinity_is_told_not_to_be_a_finite_number(given):
    with pytest.raises(ValueError, match="not a finite number"):
        lessons.predict("01.loss").answer = given


def test_a_share_given_for_per_cent_is_kept_and_asked_about():
    box = lessons.predict("01.loss")
    box.answer = 0.15
    assert box.status.value.count("Kept: 0.15 %, that is 15 in ten thousand; did you mean 15?") == 1
    assert lessons.prediction("01.loss") == 0.15


@pytest.mark.parametrize("id, answer", [("01.loss", 0), ("01.loss", 1), ("09.factor", 1)])
def test_other_numbers_are_kept_without_a_question(id, answer):
    box = lessons.predict(id)
    box.answer = answer
    assert "?" not in box.status.value


@pytest.mark.parametrize("typed", ["", "much", "101", "-1", "nan", "inf", "1e999", "<b>"])
def test_a_field_that_holds_no_possible_answer_says_so_and_keeps_nothing(typed):
    box = lessons.predict("01.loss")
    box.fields[0].value = typed
    status = click(box)
    assert ("0 to 100" in status or "Give an answer" in status) and "<b>" not in status
    assert lessons.prediction("01.loss") is None


def test_a_choice_is_kept_by_its_key():
    box = lessons.predict("01.large")
    assert "Give an answer" in click(box)
    box.fields[0].value = "none"
    click(box)
    assert lessons.prediction("01.large") == "none"


def test_an_order_is_kept_when_each_rank_is_given_once():
    box = lessons.predict("09.order")
    keys = [c.key for c in box.asked.choices]
    for field in box.fields:
        field.value = 1
    assert "rank of its own" in click(box) and lessons.prediction("09.order") is None
    for rank, key in enumerate(ORDER, start=1):
        box.fields[keys.index(key)].value = rank
    click(box)
    assert lessons.prediction("09.order") == tuple(ORDER)


def test_an_answer_by_code_is_the_same_as_by_the_button():
    box = lessons.predict("09.order")
    box.answer = ORDER
    ranks = {c.key: f.value for c, f in zip(box.asked.choices, box.fields, strict=True)}
    assert ranks == {key: i for i, key in enumerate(ORDER, start=1)} and "Kept:" in box.sentence()


@pytest.mark.parametrize("nothing", [None, ...])
def test_no_answer_forgets_the_kept_one(nothing):
    lessons.predict("01.loss").answer = 30
    lessons.predict("01.loss").answer = nothing
    assert lessons.prediction("01.loss") is None


@pytest.mark.parametrize("id, wrong", [("01.loss", True), ("01.loss", "a"), ("01.loss", [1]), ("01.loss", 200),
                                       ("01.large", "x"), ("01.large", 3), ("09.order", ORDER[:-1]),
                                       ("09.order", [*ORDER[:-1], ORDER[0]]), ("09.order", "sriov"),
                                       ("09.order", [[]])])
def test_an_impossible_answer_by_code_gives_one_sentence_with_name_and_range(id, wrong):
    with pytest.raises(ValueError, match=f"answer to {id} must .*you gave"):
        lessons.predict(id).answer = wrong


def test_an_unknown_prediction_is_met_with_the_nearest_name():
    with pytest.raises(LookupError, match="did you mean 01.loss"):
        lessons.predict("01.los")
    with pytest.raises(LookupError):
        lessons.prediction("nothing like it")


def test_a_kept_answer_is_told_to_those_who_watch():
    seen = []
    book.watchers.append(seen.append)
    try:
        lessons.predict("01.cpu").answer = 1
    finally:
        book.watchers.remove(seen.append)
    assert seen == ["01.cpu"]


# --- compare --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("notebook", ["01", "09"])
def test_compare_shows_the_results_without_any_prediction(notebook):
    table = lessons.compare(notebook)
    assert all(row[1] == "no prediction kept" and row[2] for row in table.rows)
    assert str(table) == str(lessons.compare(notebook)), "compare must be deterministic"


def test_the_results_are_those_of_the_facts_and_the_models():
    results = [row[2] for n in ("01", "09") for row in lessons.compare(n).rows]
    assert results[:3] == ["55.1 %", "nothing (within 5 %): +2.42 %", "0.1 % to 1.5 %"]
    assert results[3].count(" < ") + results[3].count(" ≈ ") == len(paths.LADDER) - 1


def test_the_order_is_that_of_one_packet_sent_and_one_received():
    truth = items.answers("09").PREDICTIONS["09.order"]()
    for id, path in paths.LADDER.items():
        assert truth[id] == path.latency(direction="tx").total_ns + path.latency(direction="rx").total_ns


def test_the_batch_divides_only_a_part_of_the_hosts_work():
    truth = items.answers("09").PREDICTIONS["09.factor"]()
    one, many = (
        paths.LADDER["vhost-net"].cpu(direction="tx", kick_batch=b, interrupt_batch=b).host_ns_per_packet
        for b in (1, 32)
    )
    assert truth == pytest.approx(one / many) and 1 < truth < 32


def test_paths_are_named_as_everywhere_else():
    asked = items.find_prediction("09.order")
    assert [c.label for c in asked.choices] == [path.title for path in paths.LADDER.values()]


def test_values_less_apart_than_the_tie_count_as_equal():
    truth = {"a": 1.0, "b": 1.29, "c": 1.31, "d": 10.0}
    assert comparing.ties(truth, 0.3) == [["a", "b"], ["c"], ["d"]]
    assert comparing._swaps(("b", "a", "c", "d"), truth, 0.3) == "all in order"
    assert comparing._swaps(("c", "b", "a", "d"), truth, 0.3) == "1 of 4 pairs swapped", "b = c, but a < c"
    assert comparing.ties(truth) == [["a"], ["b"], ["c"], ["d"]]


def test_ties_are_spoken_of_where_there_are_some():
    assert "cannot tell them apart" in lessons.compare("09").caption and "30 %" in lessons.compare("09").caption
    assert "apart" not in lessons.compare("01").caption
    asked = items.find_prediction("09.order")
    assert "Ties do not count" in asked.help and asked.tie == 0.3


@pytest.mark.parametrize("id, answer, words", [
    ("01.loss", 30, "too low by a factor of 1.8"), ("01.loss", 55, "within a tenth of it"), ("01.loss", 0, "not zero"),
    ("01.large", "none", "right"), ("01.large", "some", "the neighbouring choice"),
    ("01.large", "most", "3 choices away"),
    ("01.cpu", 1, "inside the interval"), ("01.cpu", 15, "too high by a factor of 10"),
    ("09.factor", 10_000, "too high by a factor of"), ("09.order", ORDER, "all in order"),
    ("09.order", ORDER[::-1], "exactly the other way round"),
    ("09.order", [ORDER[1], ORDER[0], *ORDER[2:]], "all in order"),  # a tie cannot be swapped
    ("09.order", [ORDER[-1], *ORDER[1:-1], ORDER[0]], "pairs swapped"),
])  # fmt: skip
def test_the_distance_is_put_into_words(id, answer, words):
    lessons.predict(id).answer = answer
    row = next(r for r in lessons.compare(id[:2]).rows if r[0] == items.find_prediction(id).label)
    assert words in row[3], f"{id} = {answer}: {row[3]!r}"


def test_a_wrong_direction_is_called_so():
    assert comparing._factor(-3, 5) == "the other direction"


@given(st.sampled_from(NUMBERS), st.floats(0, 1))
def test_every_possible_number_has_a_distance(id, place):
    asked = items.find_prediction(id)
    kept = asked.low + place * (asked.high - asked.low)
    assert comparing.distance(asked, kept, items.answers(id[:2]).PREDICTIONS[id]())


@given(st.permutations(ORDER))
def test_every_order_has_a_distance(order):
    asked = items.find_prediction("09.order")
    assert comparing.distance(asked, tuple(order), items.answers("09").PREDICTIONS["09.order"]())


@pytest.mark.parametrize("notebook", ["00", "77", 1, None, [1]])
def test_a_notebook_without_predictions_is_told_from_those_that_have_some(notebook):
    asked = ", ".join(sorted({id[:2] for id in IDS}))
    with pytest.raises(LookupError, match=f"there are some for {asked}"):
        lessons.compare(notebook)


# --- export and import ----------------------------------------------------------------------------------------------


def test_what_is_exported_comes_back():
    lessons.student(7)
    for id, answer in (("01.loss", 30), ("01.large", "some"), ("09.order", ORDER)):
        lessons.predict(id).answer = answer
    text = lessons.export_answers()
    book.clear()
    assert "taken over: 3" in str(lessons.import_answers(text))
    assert lessons.export_answers() == text and lessons.predict("01.loss").fields[0].value == "30"


def test_the_export_holds_the_judgements_and_the_import_leaves_them_out():
    lessons.check("01.cores", judging.truth(items.find_exercise("01.cores")).right[0])
    text = lessons.export_answers()
    assert json.loads(text)["checks"] == {"01.cores": {"tries": 1, "right": True}}
    book.clear()
    lessons.import_answers(text)
    assert json.loads(lessons.export_answers())["checks"] == {}


def whole(**changes):
    return json.dumps({"format": "virtlab-answers-1", "student": 0, "predictions": {}, "checks": {}, **changes})


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "3", "{}", '{"format": "other"}', whole(predictions=[1]), "[" * 90_000, "9" * 50_000,
    None, 3,
    b"{}", ["x"], "x" * 200_000,
], ids=range(15))  # fmt: skip
def test_a_text_that_is_no_export_changes_nothing_and_raises_nothing(text):
    lessons.predict("01.loss").answer = 30
    assert "Nothing taken over" in str(lessons.import_answers(text))
    assert lessons.prediction("01.loss") == 30


@pytest.mark.parametrize("predictions", [
    {"01.loss": 1e999}, {"01.loss": "<script>"}, {"01.loss": [1]}, {"01.loss": {"a": 1}}, {"01.loss": True}, {"x": 1},
    {"<script>alert(1)</script>": 1}, {"09.order": [[]]}, {"09.order": ["card"] * 7}, {"01.large": None, "": 2},
])  # fmt: skip
def test_hostile_predictions_are_left_out_and_named_harmlessly(predictions):
    note = lessons.import_answers(whole(predictions=predictions))
    assert "Left out" in str(note) and "<script" not in note.html
    assert all(lessons.prediction(id) is None for id in IDS)


@pytest.mark.parametrize("seed", [-1, 1.5, "7", True, None, 10**12, []])
def test_a_hostile_seed_is_left_out(seed):
    assert "student" in str(lessons.import_answers(whole(student=seed))) and book.seed() == 0


KEYS = st.sampled_from(["format", "predictions", "student", *IDS]) | st.text()
LEAVES = st.none() | st.booleans() | st.floats() | st.text()
TREES = st.recursive(LEAVES, lambda below: st.lists(below) | st.dictionaries(KEYS, below))


@given(st.text() | TREES.map(json.dumps) | TREES.map(lambda tree: whole(predictions={"01.loss": tree}, student=tree)))
def test_no_text_makes_the_import_raise(text):
    assert str(lessons.import_answers(text))
    book.clear()
