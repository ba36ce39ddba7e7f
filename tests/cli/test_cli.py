"""The commands, in this process and as a program of their own."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from virtlab import __version__, cli, machine
from virtlab.cloud import judges
from virtlab.core.words import words
from virtlab.evidence import CLAIMS, FACTS
from virtlab.lessons import ledger
from virtlab.machine import probing


def program(*arguments, **environ):
    return subprocess.run(
        [sys.executable, "-m", "virtlab.cli", *arguments], capture_output=True, text=True, encoding="utf-8", timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environ},
    )  # fmt: skip


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_start_here.ipynb").write_text("{}")
    return tmp_path


def run_lab(checkout, *arguments):
    """The command line that JupyterLab would get."""
    seen = []
    assert cli.lab(arguments, checkouts=[checkout], start=lambda command: seen.extend(command) or 0) == 0
    return seen


# --- lab ------------------------------------------------------------------------------------------------------------


def test_lab_opens_on_the_notebooks(checkout):
    command = run_lab(checkout)
    assert f"--ServerApp.root_dir={checkout / 'notebooks'}" in command
    assert "--LabApp.default_url=/lab/tree/00_start_here.ipynb" in command


def test_lab_asks_about_no_news_and_looks_nothing_up(checkout):
    assert {
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    } <= set(run_lab(checkout))


def test_lab_passes_further_arguments_on_and_last(checkout):
    assert run_lab(checkout, "--no-browser", "--port", "9999")[-3:] == ["--no-browser", "--port", "9999"]


def test_lab_takes_jupyters_options_on_the_command_line(monkeypatch):
    seen = []
    monkeypatch.setattr(cli, "lab", lambda arguments: seen.extend(arguments) or 0)
    assert cli.main(["lab", "--no-browser", "--port", "9999", "--ip=::1"]) == 0
    assert seen == ["--no-browser", "--port", "9999", "--ip=::1"]


def test_lab_gives_jupyters_exit_code_on(checkout):
    assert cli.lab([], checkouts=[checkout], start=lambda command: 3) == 3


def test_lab_without_notebooks_says_where_they_are(tmp_path, capsys):
    assert cli.lab([], checkouts=[tmp_path], start=lambda command: 0) == 1
    assert capsys.readouterr().err.strip() == words("doctor.cli.no_notebooks")


def test_lab_without_jupyterlab_says_how_to_get_it(checkout, capsys):
    def missing(command):
        raise ModuleNotFoundError("No module named 'jupyterlab'", name="jupyterlab")

    assert cli.lab([], checkouts=[checkout], start=missing) == 1
    assert "pip install jupyterlab" in capsys.readouterr().err


def test_lab_hides_no_other_missing_module(checkout):
    def missing(command):
        raise ModuleNotFoundError("No module named 'tornado'", name="tornado")

    with pytest.raises(ModuleNotFoundError, match="tornado"):
        cli.lab([], checkouts=[checkout], start=missing)


# --- doctor, facts, claims, measure -----------------------------------------------------------------------------------


def test_doctor_ends_well_whatever_is_missing(capsys):
    assert cli.main(["doctor"]) == 0
    assert "JupyterLab" in capsys.readouterr().out


def test_doctor_ends_well_without_a_path():
    done = program("doctor", "--all", PATH="", HOME="/nonexistent")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no qemu-system-x86_64 on the PATH" in done.stdout and "brew install qemu" in done.stdout


def test_facts_lists_every_fact(capsys):
    assert cli.main(["facts"]) == 0
    out = capsys.readouterr().out
    assert all(f"{key} " in out for key in FACTS)


def test_a_few_facts_are_shown_with_conditions_and_address(capsys):
    fact = FACTS["nsdi20.qemu.ping.avg"]
    assert cli.main(["facts", "qemu.ping.avg"]) == 0
    out = capsys.readouterr().out
    assert all(part in out for part in (fact.id, "134 µs", fact.conditions, fact.source.title, fact.source.address))


def test_no_fact_found_is_said_and_is_exit_code_1(capsys):
    assert cli.main(["facts", "no-such-thing"]) == 1
    assert "no-such-thing" in capsys.readouterr().err


def test_claims_prints_the_ledger(capsys):
    assert cli.main(["claims"]) == 0
    assert capsys.readouterr().out == f"{ledger()}\n"


def test_claims_as_json_is_the_same_ledger(capsys):
    assert cli.main(["claims", "S7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [ledger(["S7"])["S7"].as_json()]


@pytest.mark.parametrize("name", ["S10", "s10"])
def test_a_claim_is_shown_with_its_verdict(capsys, name):
    assert cli.main(["claims", name]) == 0
    out = capsys.readouterr().out
    assert CLAIMS["S10"].text in out and str(judges.s10()) in out


def test_an_unknown_claim_names_the_known_ones(capsys):
    assert cli.main(["claims", "S99"]) == 1
    assert "S1, S2" in capsys.readouterr().err


@pytest.fixture
def measured(monkeypatch):
    """Nothing is measured: the recorded results pass for those of this computer, marked as now."""
    for name, recording in probing.RECORDINGS.items():
        monkeypatch.setitem(probing.PROBES, name, lambda kept=recording: replace(kept(), origin="now"))


ONE_OF_EACH = ["syscall", "ratio_64m", "block_socket", "wait_one_cpu", "switch_free", "slower_4m", "python_each",
               "lost_rival", "aes_gcm"]


@pytest.mark.parametrize(("what", "shown"), [
    (["costs"], ["syscall"]), (["pages"], ["ratio_64m"]), (["copies"], ["block_socket"]),
    (["waiting"], ["wait_one_cpu"]), (["switches"], ["switch_free"]), (["rivals"], ["slower_4m"]),
    (["calls"], ["python_each"]), (["jitter"], ["lost_rival"]), (["ciphers"], ["aes_gcm"]), ([], ONE_OF_EACH),
])
def test_measure_prints_one_table_a_set(measured, capsys, what, shown):
    assert cli.main(["measure", *what]) == 0
    out = capsys.readouterr().out
    for key in ONE_OF_EACH:
        assert (machine.Quantity(key).title in out) is (key in shown)
    assert out.count("This machine, now") == len(shown) and "Recorded on" not in out


@pytest.mark.parametrize("what", machine.PROBE_NAMES)
def test_measure_shows_the_recorded_table_too_where_something_is_missing(measured, monkeypatch, capsys, what):
    whole = probing.PROBES[what]()
    first = machine.Quantity(whole.quantities[0].id, missing="Not on this computer.")
    monkeypatch.setitem(probing.PROBES, what, lambda: replace(whole, quantities=(first, *whole.quantities[1:])))
    assert cli.main(["measure", what]) == 0
    out = capsys.readouterr().out
    assert out.index("This machine, now") < out.index("Not on this computer.") < out.index("Recorded on")


@pytest.mark.parametrize("what", machine.COUNTED_NAMES)
def test_measure_counts_what_is_named_and_shows_the_recorded_table_where_a_case_is_missing(monkeypatch, capsys, what):
    _, recording = probing.COUNTED[what]
    kept = recording()
    case, *rest = kept.cases
    for missing in ({}, {case: "Not on this computer."}):
        seen = replace(kept, cases={name: kept.cases[name] for name in rest}, missing=missing,
                       witness=replace(kept.witness, origin="now"))  # fmt: skip
        monkeypatch.setitem(probing.COUNTED, what, (lambda seen=seen: seen, recording))
        assert cli.main(["measure", what]) == 0
        out = capsys.readouterr().out
        assert ("Recorded on" in out) is ("Not on this computer." in out) is bool(missing)


# --- the program ----------------------------------------------------------------------------------------------------


def test_version():
    done = program("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"virtlab {__version__}")


def test_without_a_command_the_help_is_shown(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("lab", "doctor", "facts", "claims", "measure"))


@pytest.mark.parametrize("arguments", [["nope"], ["doctor", "--port", "9"], ["facts", "a", "b"], ["measure", "speed"]])
def test_unknown_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "usage: virtlab" in capsys.readouterr().err


def test_ctrl_c_is_exit_code_130(monkeypatch):
    def interrupted(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert cli.main([]) == 130


def test_a_reader_that_closes_the_pipe_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "virtlab.cli", "facts"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""


def test_a_console_of_another_code_page_does_not_fail():
    assert program("claims", "S14", PYTHONIOENCODING="ascii").returncode == 0


def test_nothing_heavy_is_imported_to_start_doctor_or_facts():
    code = (
        "import sys; from virtlab import cli; cli.main(['doctor']); cli.main(['facts', 'mix.cpu']);"
        "heavy = {'numpy', 'matplotlib', 'ipywidgets', 'numba', 'pydantic', 'jupyterlab'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
