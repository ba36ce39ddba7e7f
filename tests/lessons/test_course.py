"""The self-test, the glossary and the map of notebook 00."""
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab import lessons
from virtlab.lessons import items, selftest
from virtlab.lessons.text import fill, plain, to_html

QUESTIONS = {q.id: q for t in selftest.topics() for q in t.questions}
RIGHT = {id: q.right for id, q in QUESTIONS.items()}


def wrong(question):
    return next(k for k in question.choices if k != question.right) if question.choices else question.right * 3


# --- self-test ------------------------------------------------------------------------------------------------------


def test_there_are_six_topics_with_two_questions_and_a_short_refresher_each():
    topics = selftest.topics()
    assert [t.title for t in topics] == ["Page table", "Interrupt", "DMA", "Context switch", "Percentile", "Gb and GiB"]
    for topic in topics:
        assert len(topic.questions) == 2 and 100 <= len(topic.refresher.split()) <= 135, topic.title


def test_the_numbers_are_right():
    assert RIGHT["gb-gib.1"] == pytest.approx(8 * 2**30 / 10e9)
    assert RIGHT["gb-gib.2"] == pytest.approx(3 * 8 * 2**30 / 1e9)
    assert RIGHT["context-switch.2"] == pytest.approx(100 * 100_000 * 2e-6)
    assert RIGHT["percentile.1"] == pytest.approx(0.01 * 1000)
    assert math.isclose(1 - 0.99**100, 0.63, abs_tol=0.005)


@pytest.mark.parametrize("id", QUESTIONS)
def test_the_right_answer_is_among_the_choices(id):
    question = QUESTIONS[id]
    assert question.choices == {} or question.right in question.choices


def test_not_every_right_answer_has_the_same_letter():
    assert len({q.right for q in QUESTIONS.values() if q.choices}) >= 3


def test_an_untouched_self_test_is_one_sentence_that_stays_the_same():
    texts = {lessons.self_test()._repr_mimebundle_()["text/plain"] for _ in range(2)}
    assert texts == {"Self-test: 12 short questions on 6 topics; nothing answered yet."}


def test_the_same_form_is_shown_again_and_a_closed_one_is_made_anew():
    form = lessons.self_test()
    assert lessons.self_test() is form
    form.close()
    assert lessons.self_test() is not form


def test_all_right_needs_no_refresher():
    report = str(lessons.self_test(RIGHT).report())
    assert "12 of 12 answered questions are right." in report and report.count("you are ready") == 6
    assert all(t.refresher[:40] not in report for t in selftest.topics())


@pytest.mark.parametrize("id", QUESTIONS)
def test_a_miss_brings_the_refresher_of_its_topic_and_no_other(id):
    report = lessons.self_test({**RIGHT, id: wrong(QUESTIONS[id])}).report()
    missed = [t for t in selftest.topics() if plain(t.refresher).split("\n")[0] in str(report)]
    assert [t.title for t in missed] == [t.title for t in selftest.topics() if id in {q.id for q in t.questions}]
    assert QUESTIONS[id].why in str(report) and "<table>" in report.html


def test_a_share_given_for_per_cent_is_told_what_it_is():
    assert "which is 20 %" in str(lessons.self_test({"context-switch.2": 0.2}).report())


def test_the_button_judges_what_the_fields_hold():
    form = lessons.self_test()
    form.fields["dma.1"].value, form.fields["gb-gib.1"].value, form.fields["gb-gib.2"].value = "b", "0,86", "many"
    form.button.click()
    assert form.answers == {"dma.1": "b", "gb-gib.1": 0.86}
    assert "2 of 2 answered" in form.result.value and "answer to gb-gib.2 must be a number" in form.result.value


def test_a_field_that_is_emptied_is_no_answer():
    form = lessons.self_test({"gb-gib.1": 0.86})
    form.fields["gb-gib.1"].value = ""
    form.button.click()
    assert form.answers == {}


def test_answers_by_code_stand_in_the_fields():
    form = lessons.self_test({"dma.1": "B", "gb-gib.1": 0.86})
    assert form.fields["dma.1"].value == "b" and form.fields["gb-gib.1"].value == "0.86"


@pytest.mark.parametrize("answers, error", [
    ({"dma.1": "z"}, "one of a, b, c, d"), ({"dma.1": 3}, "one of a"), ({"gb-gib.1": "much"}, "a number"),
    ({"gb-gib.1": True}, "a number"), ({"gb-gib.1": None}, "a number"), ({"gb-gib.1": float("nan")}, "a number"),
    ({"dma.3": "a"}, "did you mean dma"), ([], "dictionary"),
])  # fmt: skip
def test_an_impossible_answer_gives_one_sentence(answers, error):
    with pytest.raises((ValueError, LookupError), match=error):
        lessons.self_test(answers)


@given(st.dictionaries(st.sampled_from(sorted(QUESTIONS)), st.sampled_from(["a", "b", "c", "d"]) | st.floats(0, 100)))
def test_any_mixture_of_answers_is_judged_or_refused_in_words(answers):
    form = lessons.self_test()
    try:
        form.answers = answers
    except ValueError as error:
        assert "must be" in str(error)
    assert str(form.report())


def test_every_field_has_a_label():
    assert all(field.description and field.tooltip for field in lessons.self_test().fields.values())


# --- map and glossary -----------------------------------------------------------------------------------------------


def test_the_map_has_seventeen_notebooks_and_says_which_stand_here():
    table = lessons.course_map(["00", "01", "09"])
    assert len(table.rows) == 17
    assert [row[0] for row in table.rows if row[4] == "here"] == ["00", "01", "09"]
    assert {row[4] for row in table.rows} == {"here", "to come"}


def test_the_map_looks_at_the_notebooks_that_stand_in_a_folder(tmp_path):
    for name in ("00_start_here.ipynb", "09_the_io_ladder.ipynb", "notes.txt", "x9_no.ipynb"):
        (tmp_path / name).touch()
    assert [row[0] for row in lessons.course_map(tmp_path).rows if row[4] == "here"] == ["00", "09"]
    assert lessons.course_map(str(tmp_path)) == lessons.course_map(tmp_path)


def test_the_map_is_the_same_from_the_notebooks_folder_and_from_above_it(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_where.ipynb").touch()
    monkeypatch.chdir(tmp_path)
    above = lessons.course_map()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert lessons.course_map() == above and above.rows[1][4] == "here"


def test_a_folder_without_notebooks_has_none(tmp_path):
    assert all(row[4] == "to come" for row in lessons.course_map(tmp_path / "nowhere").rows)


def ancestors(needs, number):
    return set(needs[number]).union(*(ancestors(needs, n) for n in needs[number]))


def test_the_graph_only_points_forward_and_reaches_every_notebook():
    graph = lessons.course_graph([])
    assert all(first < later for first, later in graph.edges)
    assert all("00" in ancestors({n.number: n.needs for n in graph.notebooks}, n.number) for n in graph.notebooks[1:])
    assert all(graph.level[first] < graph.level[later] for first, later in graph.edges)


def test_the_core_never_needs_the_deeper_track():
    graph = lessons.course_graph([])
    track = {n.number: n.track for n in graph.notebooks}
    assert [edge for edge in graph.edges if track[edge[0]] == "deeper" and track[edge[1]] == "core"] == []


def test_the_ladder_needs_exits_and_virtqueue_and_the_last_notebook_needs_the_whole_core():
    graph = lessons.course_graph([])
    needs = {n.number: n.needs for n in graph.notebooks}
    assert needs["09"] == ("02", "08")
    assert ancestors(needs, "16") == {n.number for n in graph.notebooks if n.track == "core"} - {"16"}


def test_the_glossary_explains_each_of_its_terms_once_in_one_sentence():
    rows = lessons.glossary().rows
    assert 50 <= len(rows) <= 160 and len({term for term, _ in rows}) == len(rows)
    assert [t for t, _ in rows] == sorted((t for t, _ in rows), key=str.lower)
    assert all(means.endswith(".") and ". " not in means for _, means in rows)


@pytest.mark.parametrize("term", [
    "LAPIC", "PV-EOI", "refill", "suppressed notification", "C-state (C1, C6)", "IOTLB", "loopback", "io_uring",
    "page walk", "halt polling", "VT-d posting",
])  # fmt: skip
def test_the_glossary_has_the_term(term):
    assert term in {row[0] for row in lessons.glossary().rows}


def test_the_course_is_spelt_as_the_notebooks_are():
    assert "virtualis" not in str(items.raw("00"))


@pytest.mark.parametrize("twin", ["AVIC", "NPT", "#VMEXIT", "AMD-Vi"])
def test_the_amd_twin_of_an_intel_term_is_given(twin):
    assert any(twin in means for _, means in lessons.glossary().rows)


# --- the little markup ----------------------------------------------------------------------------------------------


@given(st.text())
def test_no_text_puts_a_tag_of_its_own_into_the_html(text):
    html = to_html(text)
    for tag in ("p", "ul", "li", "code", "strong"):
        html = html.replace(f"<{tag}>", "").replace(f"</{tag}>", "")
    assert "<" not in html


def test_markup_becomes_paragraphs_lists_code_and_bold():
    html = to_html("a `<b>` **c**\n\n- d\n- e")
    assert html == "<p>a <code>&lt;b&gt;</code> <strong>c</strong></p><ul><li>d</li><li>e</li></ul>"


def test_only_named_braces_are_filled():
    assert fill("{a} {b} {c}", {"a": 1, "c": 2}) == "1 {b} 2"
