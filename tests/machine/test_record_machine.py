"""tools/record_machine.py: only calm runs count, the middle one is kept, and a computer that is never calm ends it."""
from dataclasses import replace
from importlib import resources

import pytest

from tools import record_machine as tool
from virtlab.machine import Facts, recorded_boots, recorded_jitter
from virtlab.machine.measured import Measured, Quantity, load
from virtlab.machine.probing import COUNTED, PROBES, RECORDINGS

CALM = Facts("c", 2, "k", "2027-01-01", waiting=0.0, stolen=0.0)


def run(value, facts=CALM):
    return Measured((Quantity("slower_256m", value, value, value, 5),), facts)


@pytest.fixture
def computer(monkeypatch, tmp_path):
    """One that is calm before each run, and gives these runs; time passes only in naps."""
    def gives(*runs, waiting=(0.0,)):
        runs, waits, clock = iter(runs), list(waiting), [0.0]
        monkeypatch.setitem(tool.PROBES, "rivals", lambda: next(runs))
        now = lambda: replace(CALM, waiting=waits.pop(0) if len(waits) > 1 else waits[0])  # noqa: E731
        monkeypatch.setattr(tool, "look_at", now)
        monkeypatch.setattr(tool.time, "sleep", lambda s: clock.append(clock.pop() + s))
        monkeypatch.setattr(tool.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(tool, "DATA", tmp_path)
        return tmp_path / "recorded_rivals.toml"

    return gives


def test_the_middle_run_is_written_with_a_note_on_how_it_was_chosen(computer):
    file = computer(run(3.0), run(1.0), run(2.0))
    tool.main(["rivals", "--runs", "3", "--note", "a laptop"])
    kept = load(file)
    assert kept["slower_256m"].value == 2
    assert kept.facts.note.startswith("a laptop (the middle one of 3 calm runs, by: ")


def test_a_run_that_others_disturbed_does_not_count(computer):
    file = computer(run(9.0, replace(CALM, stolen=0.5)), run(9.0, replace(CALM, waiting=0.5)), run(2.0))
    tool.main(["rivals", "--runs", "1"])
    assert load(file)["slower_256m"].value == 2


def test_it_waits_until_nobody_waits_for_a_cpu(computer):
    naps = [0.5, 0.3, 0.1, 0.05]
    file = computer(run(2.0), waiting=naps)
    tool.main(["rivals", "--runs", "1", "--patience", "4"])
    assert load(file)["slower_256m"].value == 2


def test_a_computer_that_is_never_calm_ends_it_and_nothing_is_written(computer):
    file = computer(waiting=(0.9,))
    with pytest.raises(SystemExit, match="never calm"):
        tool.main(["rivals", "--patience", "5"])
    assert not file.exists()


def test_a_loop_that_waited_alone_was_disturbed(monkeypatch):
    noisy, kept = (replace(recorded_jitter(), facts=CALM, quantities=tuple(
        Quantity(q.id, share, share, share, 5) if q.id == "waited_alone" else q for q in recorded_jitter().quantities
    )) for share in (0.3, 0.0))
    runs = iter([noisy, kept])
    monkeypatch.setitem(tool.PROBES, "jitter", lambda: next(runs))
    monkeypatch.setattr(tool, "look_at", lambda: CALM)
    assert tool.calm_runs(["jitter"], 1, float("inf")) == {"jitter": [kept]}


def test_every_probe_can_be_recorded_into_the_file_that_is_read():
    assert list(tool.SORTED_BY) == list(PROBES)
    for name, recording in RECORDINGS.items():
        assert recording()[tool.SORTED_BY[name]].present
        file = tool.DATA / tool.FILES.get(name, f"recorded_{name}.toml")
        assert load(file).quantities == recording().quantities


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_counted_is_recorded_at_once_into_the_file_that_is_read(name, monkeypatch, tmp_path):
    kept = COUNTED[name][1]()
    monkeypatch.setattr(tool, "DATA", tmp_path)
    monkeypatch.setitem(tool.COUNTED, name, (lambda seconds: kept, None))
    tool.main([name, "--note", kept.witness.facts.note])
    file = resources.files("virtlab.machine") / "data" / f"recorded_{name}.toml"
    assert (tmp_path / file.name).read_text() == file.read_text()


def test_a_record_with_a_case_missing_is_not_written(monkeypatch, tmp_path):
    lacking = replace(recorded_boots(), missing={"pc_none": "No."})
    monkeypatch.setattr(tool, "DATA", tmp_path)
    monkeypatch.setitem(tool.COUNTED, "boots", (lambda seconds: lacking, None))
    with pytest.raises(SystemExit, match="No."):
        tool.main(["boots"])
    assert not list(tmp_path.iterdir())
