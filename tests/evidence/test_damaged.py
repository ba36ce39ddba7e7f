"""A damaged data file is refused, and the message names file, entry and field."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from virtlab.evidence import EvidenceError, Source, load_claims, load_facts, load_sources

HEADER = "id,quantity,value,low,high,unit,conditions,source,class,note"
GOOD = {"id": "a.b", "quantity": "A thing", "value": "2", "low": "1", "high": "3", "unit": "ns", "conditions": "here",
        "source": "book", "class": "V", "note": ""}  # fmt: skip
SOURCES = {"book": Source("book", "A book", 2020, "a shelf")}


def facts(folder: Path, *rows: dict[str, str], header: str = HEADER, text: str | None = None):
    file = folder / "made_up.csv"
    lines = [header, *(",".join(r.values()) for r in rows)]
    file.write_text("\n".join(lines) if text is None else text, encoding="utf-8")
    return load_facts(file, SOURCES)


def refused(folder: Path, *parts: str, **damage: str) -> None:
    with pytest.raises(EvidenceError) as error:
        facts(folder, {**GOOD, **damage})
    for part in ("made_up.csv", *parts):
        assert part in str(error.value)


def test_a_good_row_is_read(tmp_path):
    fact = facts(tmp_path, GOOD)["a.b"]
    assert (fact.value, fact.low, fact.high, fact.unit, fact.source.title) == (2, 1, 3, "ns", "A book")


def test_a_figure_without_interval_is_its_own_interval(tmp_path):
    fact = facts(tmp_path, {**GOOD, "low": "", "high": ""})["a.b"]
    assert (fact.low, fact.value, fact.high) == (2, 2, 2)


def test_an_interval_without_figure_has_its_middle(tmp_path):
    fact = facts(tmp_path, {**GOOD, "value": "", "low": "1", "high": "5"})["a.b"]
    assert (fact.value, fact.middle, fact.text()) == (3, True, "1 ns to 5 ns")


def test_a_figure_in_an_interval_is_no_middle_even_where_it_lies_there(tmp_path):
    fact = facts(tmp_path, GOOD)["a.b"]
    assert (fact.middle, fact.text()) == (False, "2 ns (1 ns to 3 ns)")


def test_a_share_reads_as_per_cent(tmp_path):
    fact = facts(tmp_path, {**GOOD, "value": "0.2", "low": "0.1", "high": "0.3", "unit": "share"})["a.b"]
    assert fact.text() == "20 % (10 % to 30 %)"


@pytest.mark.parametrize("field", ["quantity", "unit", "source", "class"])
def test_a_fact_without_one_of_its_texts_is_refused(tmp_path, field):
    refused(tmp_path, "entry a.b", f"field {field}", "must not be empty", **{field: " "})


def test_a_fact_without_id_is_named_by_its_line(tmp_path):
    refused(tmp_path, "entry line 2", "field id", id="")


def test_a_line_is_counted_with_the_blank_ones(tmp_path):
    with pytest.raises(EvidenceError, match="entry line 4, field id"):
        facts(tmp_path, text="\n".join([HEADER, "", "", ",".join({**GOOD, "id": ""}.values())]))


def test_a_fact_without_any_number_is_refused(tmp_path):
    refused(tmp_path, "entry a.b", "field value", "a figure or an interval is needed", value="", low="", high="")


@pytest.mark.parametrize("field", ["value", "low", "high"])
@pytest.mark.parametrize("text", ["fast", "1,000", "1 000", "0x10"])
def test_a_number_that_is_none_is_refused(tmp_path, field, text):
    refused(tmp_path, "entry a.b", f"field {field}", "is not a number", **{field: f'"{text}"'})


@pytest.mark.parametrize("field", ["value", "low", "high"])
@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_a_number_without_end_is_refused(tmp_path, field, text):
    refused(tmp_path, "entry a.b", f"field {field}", "is not a finite number", **{field: text})


@pytest.mark.parametrize(("gone", "kept"), [("low", "high"), ("high", "low")])
def test_an_interval_with_one_end_is_refused(tmp_path, gone, kept):
    refused(tmp_path, "entry a.b", f"field {gone}", "needs both ends", **{gone: ""})


@pytest.mark.parametrize("value", ["0.5", "4"])
def test_a_figure_outside_its_interval_is_refused(tmp_path, value):
    refused(tmp_path, "entry a.b", "field value", "lies outside its interval 1 to 3", value=value)


def test_an_interval_upside_down_is_refused(tmp_path):
    refused(tmp_path, "entry a.b", "field value", "outside", low="3", high="1")


@pytest.mark.parametrize("letter", ["U", "X", "v", "VS", "SR", "VSRD"])
def test_an_unknown_class_is_refused(tmp_path, letter):
    refused(tmp_path, "entry a.b", "field class", f"must be V, S, R or D, not '{letter}'", **{"class": letter})


def test_an_unknown_source_is_refused(tmp_path):
    refused(tmp_path, "entry a.b", "field source", "'paper' is not in sources.toml", source="paper")


def test_a_recalled_figure_that_does_not_say_where_to_look_is_refused(tmp_path):
    refused(tmp_path, "entry a.b", "field note", "recalled; look in", **{"class": "R", "note": "I think so"})


def test_a_derived_figure_without_formula_is_refused(tmp_path):
    refused(tmp_path, "entry a.b", "field note", "must give the formula", **{"class": "D"})


def test_an_id_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(EvidenceError, match=r"made_up\.csv, entry a\.b, field id: stands twice"):
        facts(tmp_path, GOOD, GOOD)


@pytest.mark.parametrize("row", ["a.b,A thing,2", ",".join([*GOOD.values(), "one more"])])
def test_a_row_of_another_length_is_refused(tmp_path, row):
    with pytest.raises(EvidenceError, match=r"made_up\.csv, entry a\.b, field note: the row must have 10 columns"):
        facts(tmp_path, text=f"{HEADER}\n{row}")


@pytest.mark.parametrize("header", ["", HEADER.replace(",unit", ""), HEADER.replace("unit", "units"), HEADER + ",more"])
def test_another_header_is_refused(tmp_path, header):
    with pytest.raises(EvidenceError, match=r"made_up\.csv, line 1: the header must be id,quantity,"):
        facts(tmp_path, GOOD, header=header)


def test_a_quote_that_never_closes_is_refused_with_its_line(tmp_path):
    with pytest.raises(EvidenceError, match=r"made_up\.csv, line 2: "):
        facts(tmp_path, text=f'{HEADER}\na.b,"A thing,2,1,3,ns,here,book,V,')


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "made_up.csv").write_bytes(b"id,\xff\n")
    with pytest.raises(EvidenceError, match=r"made_up\.csv: must be UTF-8 .* at byte 3"):
        load_facts(tmp_path / "made_up.csv", SOURCES)


# --- sources -------------------------------------------------------------------------------------------------------

SOURCE = 'title = "A book"\nyear = 2020\naddress = "a shelf"\n'


def sources(folder: Path, text: str):
    (folder / "made_up.toml").write_text(text, encoding="utf-8")
    return load_sources(folder / "made_up.toml")


def test_a_good_source_is_read(tmp_path):
    assert sources(tmp_path, "[book]\n" + SOURCE) == SOURCES


@pytest.mark.parametrize("field", ["title", "year", "address"])
def test_a_source_without_a_field_is_refused(tmp_path, field):
    text = "".join(line for line in SOURCE.splitlines(keepends=True) if not line.startswith(field))
    with pytest.raises(EvidenceError, match=rf"made_up\.toml, entry book, field {field}: missing"):
        sources(tmp_path, "[book]\n" + text)


@pytest.mark.parametrize(
    ("field", "line"),
    [("title", 'title = ""'), ("address", 'address = " "'), ("year", "year = true"), ("year", 'year = "2020"')],
)
def test_a_source_with_an_empty_or_wrong_field_is_refused(tmp_path, field, line):
    text = "\n".join(line if old.startswith(field) else old for old in SOURCE.splitlines())
    with pytest.raises(EvidenceError, match=rf"made_up\.toml, entry book, field {field}: "):
        sources(tmp_path, "[book]\n" + text)


def test_a_source_that_is_no_table_is_refused(tmp_path):
    with pytest.raises(EvidenceError, match=r"made_up\.toml, entry book, field title: missing"):
        sources(tmp_path, 'book = "A book"')


def test_a_file_that_is_no_toml_is_refused_with_its_line(tmp_path):
    with pytest.raises(EvidenceError, match=r"made_up\.toml: .*line 1"):
        sources(tmp_path, "= 3")


# --- claims --------------------------------------------------------------------------------------------------------

CLAIM = {"id": '"S1"', "text": '"It is so."', "notebooks": '["01"]', "judge": '"math:floor"', "class": '"V"',
         "note": '""', "machine": "[]", "testimony": '"None."'}  # fmt: skip


def claims(folder: Path, *entries: dict[str, str], text: str | None = None):
    body = "\n".join("[[claim]]\n" + "\n".join(f"{k} = {v}" for k, v in e.items()) for e in entries)
    (folder / "made_up.toml").write_text(body if text is None else text, encoding="utf-8")
    return load_claims(folder / "made_up.toml")


def test_a_good_claim_is_read(tmp_path):
    claim = claims(tmp_path, CLAIM)["S1"]
    assert (claim.text, claim.notebooks, claim.judge_function()) == ("It is so.", ("01",), math.floor)


@pytest.mark.parametrize("field", ["text", "notebooks", "judge", "class", "note", "machine", "testimony"])
def test_a_claim_without_a_field_is_refused(tmp_path, field):
    with pytest.raises(EvidenceError, match=rf"made_up\.toml, entry S1, field {field}: missing"):
        claims(tmp_path, {k: v for k, v in CLAIM.items() if k != field})


def test_a_claim_without_id_is_named_by_its_number(tmp_path):
    with pytest.raises(EvidenceError, match=r"made_up\.toml, entry number 2, field id: missing"):
        claims(tmp_path, CLAIM, {k: v for k, v in CLAIM.items() if k != "id"})


@pytest.mark.parametrize(
    ("field", "value"),
    [("text", '""'), ("notebooks", "[]"), ("notebooks", '"01"'), ("class", '"X"'), ("class", '"VS"'),
     ("judge", '""'), ("judge", '"virtlab.cloud.judges"'), ("judge", '"a:b:c"')],
)  # fmt: skip
def test_a_claim_with_an_empty_or_wrong_field_is_refused(tmp_path, field, value):
    with pytest.raises(EvidenceError, match=rf"made_up\.toml, entry S1, field {field}: "):
        claims(tmp_path, {**CLAIM, field: value})


def test_a_claim_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(EvidenceError, match=r"made_up\.toml, entry S1, field id: stands twice"):
        claims(tmp_path, CLAIM, CLAIM)


def test_claims_that_are_no_array_are_refused(tmp_path):
    with pytest.raises(EvidenceError, match=r"made_up\.toml, entry claim: must be an array of tables"):
        claims(tmp_path, text='[claim]\nid = "S1"')


# --- the whole folder ----------------------------------------------------------------------------------------------


def test_an_id_in_two_files_is_refused_and_other_files_are_left_alone(tmp_path, monkeypatch):
    from virtlab import evidence

    (tmp_path / "facts").mkdir()
    row = ",".join(GOOD.values())
    for name in ("one.csv", "two.csv"):
        (tmp_path / "facts" / name).write_text(f"{HEADER}\n{row}\n", encoding="utf-8")
    (tmp_path / "facts" / ".DS_Store").write_bytes(b"\x00\xff")
    monkeypatch.setattr(evidence, "_data", lambda: tmp_path)
    monkeypatch.setattr(evidence, "SOURCES", SOURCES)
    with pytest.raises(EvidenceError, match=r"two\.csv, entry a\.b, field id: stands in another file too"):
        evidence._all_facts()
