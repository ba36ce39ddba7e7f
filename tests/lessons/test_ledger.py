"""The ledger: every claim before its three witnesses, computed by its judge when it is asked for."""

import json

import pytest

from virtlab import evidence, labs, machine
from virtlab.cloud import judges
from virtlab.evidence import CLAIMS
from virtlab.lessons import duel, ledger
from virtlab.lessons.duelling import replay


@pytest.fixture(scope="module")
def whole():
    return ledger()


@pytest.fixture(scope="module")
def entries(whole):
    return json.loads(whole.json())


def test_every_claim_has_an_entry_in_order(whole):
    assert [entry.claim.id for entry in whole] == list(CLAIMS)


def test_an_entry_as_json_has_what_the_ledger_promises(entries):
    for entry in entries:
        assert list(entry) == ["id", "claim", "holds_when", "broken_by", "witnesses", "evidence_class"], entry["id"]
        assert list(entry["witnesses"]) == ["model", "literature", "machine"], entry["id"]
        assert entry["evidence_class"] in evidence.CLASSES


def test_every_claim_stands_before_model_and_literature_and_says_what_the_machine_can(entries):
    for entry in entries:
        witnesses = entry["witnesses"]
        assert witnesses["model"] and witnesses["literature"], f"{entry['id']} has no model or no literature"
        says, calls = witnesses["machine"]["says"], witnesses["machine"]["witnesses"]
        assert says.endswith(".") and bool(calls) != says.startswith("It cannot testify"), entry["id"]


def test_what_breaks_a_claim_is_one_of_the_conditions_in_which_it_holds(entries):
    for entry in entries:
        broken = entry["broken_by"]
        if broken:
            names = [(c["statement"], c["setting"], c["parameter"]) for c in entry["holds_when"]]
            assert (broken["statement"], broken["setting"], broken["parameter"]) in names, entry["id"]


def test_a_recorded_witness_says_where_and_when(entries):
    for entry in entries:
        for witness in entry["witnesses"]["machine"]["witnesses"]:
            assert "ecorded on 20" in witness["recorded"]["caption"], (entry["id"], witness["call"])
            assert callable(getattr(machine, witness["call"].removeprefix("machine.").removesuffix("()")))


def test_a_verdict_is_computed_anew_and_not_stored(monkeypatch):
    other = judges.s7()
    monkeypatch.setattr(judges, "s3", lambda: other)
    assert ledger(["S3"])["S3"].verdict is other


def test_a_terminal_gets_lines_that_name_each_claim_and_what_breaks_it(whole):
    text = str(whole)
    for entry in whole:
        first = entry.verdict.breaks_first
        assert entry.claim.text in text and (first is None or first.breaks() in text)


def test_an_unknown_claim_names_the_known_ones():
    with pytest.raises(LookupError, match="no claim 'S99'; there are S1, S2"):
        ledger(["S99"])


# --- the duel: one setting against one claim -------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_nearest_value_that_breaks_what_stands_breaks_it_in_a_duel(whole, claim):
    standing = [c for c in whole[claim].verdict.conditions if c.breaks_at is not None and c.holds(c.start)]
    first = min(standing, key=lambda c: c.distance, default=None)
    if first is None:  # nothing holds from the start, so there is nothing to break
        fallen = whole[claim].verdict.conditions[0]
        assert replay({"claim": claim, "setting": {fallen.parameter: fallen.start}})[0] == "already"
        return
    value = first.breaks_at
    if not first.axis.choices and not first.axis.integer:  # the end of an interval still holds: go beyond it
        limit = first.axis.high if value >= first.start else first.axis.low
        value = next(v for v in (value, value + 1e-6 * (limit - value), limit) if not first.holds(v))
    assert replay({"claim": claim, "setting": {first.parameter: value}})[0] == "right"


def test_of_several_parameters_each_is_tried_by_itself_and_others_are_left_out():
    assert replay({"claim": "S10", "setting": {"colour": 1, "batch": 1}})[0] == "holds"
    assert replay({"claim": "S10", "setting": {"batch": 1, "path": "vhost-user"}})[0] == "right"


def test_the_default_breaks_nothing_that_holds():
    assert replay({"claim": "S10", "setting": {"batch": 1}})[0] == "holds"


def test_a_lab_sends_its_setting_and_the_duel_replays_it():
    lab = labs.LadderLab(batch=8)
    try:
        assert replay(lab.as_json(claim="s10"))[0] == "right"
        assert str(duel("S10", lab.as_json())).startswith("Broken. “at least three switches")
    finally:
        lab.close()


@pytest.mark.parametrize(
    ("attack", "key"),
    [
        ('{"claim": "S99", "setting": {"batch": 2}}', "claim"),
        ('{"claim": "S10", "setting": {}}', "parameter"),
        ('{"claim": "S10", "setting": {"colour": 2}}', "parameter"),
        ('{"claim": "S10", "setting": {"batch": 0}}', "range"),
        ('{"claim": "S10", "setting": {"batch": true}}', "range"),
        ('{"claim": "S10", "setting": {"batch": 1.5}}', "range"),
        ('{"claim": "S10", "setting": {"batch": NaN}}', "range"),
        ('{"claim": "S10", "setting": {"batch": 1e999}}', "range"),
        ('{"claim": "S10", "setting": {"batch": [2]}}', "range"),
        ('{"claim": "S7", "setting": {"usual_cores": 64}}', "already"),
        ('{"claim": 10, "setting": {"batch": 2}}', "unreadable"),
        ('{"claim": "S10"}', "unreadable"),
        ("[1, 2", "unreadable"),
        ("[" * 9_999, "unreadable"),
        ("9" * 9_999, "unreadable"),
        (" " * 20_000, "unreadable"),
        (None, "unreadable"),
        ({1: 2}, "unreadable"),
    ],
)
def test_what_makes_no_sense_is_answered_and_never_raised(attack, key):
    got, said = replay(attack)
    assert got == key and said.strip()
