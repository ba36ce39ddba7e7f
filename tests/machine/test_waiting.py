"""Waiting for a CPU by the kernel's books: run and wait add up to the clock, and what keeps no books says so."""
import contextlib
import html
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine.leftovers import interrupted_after, killed, nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.machine import Host, spinner
from virtlab.machine import waiting as module
from virtlab.machine.measured import WAITING, recorded_waiting
from virtlab.machine.owning import start
from virtlab.machine.sampling import CannotMeasure
from virtlab.machine.waiting import Booked, busy, measure_waiting

ONE, TWO = list(WAITING)[:3], list(WAITING)[3:]


def books():
    numbers = Host().read("proc/self/schedstat").split()
    return len(numbers) == 3 and int(numbers[0]) > 0


linux = pytest.mark.skipif(sys.platform != "linux" or not books(), reason="this kernel keeps no books of waiting")
two_cpus = pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
                              reason="needs two CPUs")


@pytest.fixture(scope="module")
def here():
    return measure_waiting(0.6)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "_WINDOWS", 1)


# --- the law --------------------------------------------------------------------------------------------------------


@linux
@pytest.mark.machine
def test_run_and_wait_add_up_to_the_clock_but_for_what_was_stolen(here):
    stolen = here.facts.stolen or 0
    for key in ("booked_one_cpu", "booked_two_cpus"):
        if here[key].present:
            # 0.1 for interrupts, which are nobody's; nothing but the length of a look can make it more than all
            assert 1 - stolen - 0.1 < here[key].value <= here[key].high < 1.02, here[key]


@linux
@pytest.mark.machine
def test_two_processes_cannot_run_more_than_one_cpu_has():
    cpu = min(os.sched_getaffinity(0))
    both = busy({"one_cpu": (cpu, cpu)}, 0.6)["one_cpu"]
    run = sum(b.run_ns for b in both) / (sum(b.wall_ns for b in both) / 2)
    assert 0 < run < 1.25, "the windows of the two are a few ms apart"


@linux
@pytest.mark.machine
def test_who_shares_a_cpu_waits_and_all_quantities_are_shares(here):
    assert [q.id for q in here.quantities] == list(WAITING)
    assert here["wait_one_cpu"].value > 0.2, "a rival that is always busy"
    for q in here.quantities:
        assert q.missing or (0 <= q.low <= q.value <= q.high < 1.02 and q.n >= 2), q


@linux
@two_cpus
@pytest.mark.machine
def test_two_cpus_are_measured_where_there_are_two_and_give_no_less_to_run(here):
    assert all(here[key].present for key in TWO)
    if here["wait_two_cpus"].high < 0.1:  # nobody else was there: then each has a CPU of its own
        assert here["run_two_cpus"].value > here["run_one_cpu"].value


def test_the_shares_of_a_window_are_those_of_its_clock():
    assert Booked(200, 90, 100).shares == (0.45, 0.5, 0.95)


def test_a_share_may_be_nothing():
    run, waited, booked = module._shares("two_cpus", [Booked(10, 10, 0)] * 3, "")
    assert (run.value, waited.value, booked.value, waited.n, waited.missing) == (1, 0, 1, 3, "")


@pytest.mark.parametrize("seconds", [0, -1, 11, float("nan")])
def test_a_time_out_of_range_is_explained(seconds):
    with pytest.raises(ParameterError, match=r"seconds must be 0\.05 to 10; you gave"):
        measure_waiting(seconds)


# --- what is missing, and why ---------------------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path):
    def computer(schedstat=None):
        if schedstat is not None:
            (tmp_path / "proc/self").mkdir(parents=True)
            (tmp_path / "proc/self/schedstat").write_text(schedstat)
        return Host(system="Linux", root=tmp_path)

    return computer


@pytest.mark.parametrize(("schedstat", "why"), [
    (None, "no_books"), ("", "no_books"), ("1 2\n", "no_books"), ("a b c\n", "no_books"), ("0 0 0\n", "empty_books"),
])
def test_a_kernel_without_books_says_so_and_nothing_is_started(monkeypatch, host, schedstat, why):
    monkeypatch.setattr(module, "start", lambda *_, **__: pytest.fail("started"))
    found = measure_waiting(0.05, host(schedstat))
    assert [q.id for q in found.quantities] == list(WAITING)
    assert {q.missing for q in found.quantities} == {words(f"probe.why.{why}")}


def test_a_system_that_cannot_pin_says_so(monkeypatch, host):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    found = measure_waiting(0.05, host("5 0 1\n"))
    assert {q.missing for q in found.quantities} == {words("machine.why.affinity")}


@linux
@pytest.mark.machine
def test_one_cpu_leaves_only_the_second_arrangement_missing(monkeypatch, quick):
    cpu = min(os.sched_getaffinity(0))
    monkeypatch.setattr(module, "usable_cpus", lambda: [cpu])
    found = measure_waiting(0.05)
    assert all(found[key].present for key in ONE)
    assert {found[key].missing for key in TWO} == {words("machine.why.one_cpu")}


@linux
@pytest.mark.machine
def test_a_spinner_that_does_not_start_becomes_a_reason(monkeypatch, quick):
    with nothing_left():
        for program in ("/bin/true", "/no/such/program", ""):
            monkeypatch.setattr(module.sys, "executable", program)
            assert all(q.missing.endswith(".") for q in measure_waiting(0.05).quantities)


@linux
@pytest.mark.machine
def test_a_cpu_that_does_not_exist_becomes_a_reason(monkeypatch):
    monkeypatch.setattr(module, "usable_cpus", lambda: [1_000_000])
    with nothing_left():
        found = measure_waiting(0.05)
    assert found["run_one_cpu"].missing == words("machine.why.partner")


def test_processes_that_came_too_late_for_every_window_are_noise(monkeypatch):
    monkeypatch.setattr(module, "lines", lambda process, count, at: ["1 1 0"] * count)
    monkeypatch.setattr(module, "start", lambda *_, **__: type("P", (), {"stdin": io.BytesIO()}))
    with pytest.raises(CannotMeasure, match="too busy"):
        busy({"one_cpu": (0, 0)}, 0.05)


# --- nothing is left ------------------------------------------------------------------------------------------------


@linux
@pytest.mark.machine
def test_nothing_is_left_behind_and_we_may_use_the_same_cpus(quick):
    before = os.sched_getaffinity(0)
    with nothing_left():
        assert measure_waiting(0.05)["run_one_cpu"].present
    assert os.sched_getaffinity(0) == before


@linux
@pytest.mark.machine
@pytest.mark.parametrize("after", [0.02, 0.3])
def test_an_interrupt_leaves_nothing_and_reaches_the_reader(after):
    with nothing_left(), interrupted_after(after):
        measure_waiting(8)


@linux
@pytest.mark.machine
@pytest.mark.parametrize("which", [0, 1])
def test_the_death_of_a_spinner_becomes_a_reason_and_ends_the_other(monkeypatch, quick, which):
    started, asked = [], []

    def starting(*arguments, **options):
        started.append(really(*arguments, **options))
        return started[-1]

    def dies(process, count, at):
        asked.append(process)
        if len(asked) == 3:  # both were ready and have their plan
            started[which].kill()
        return lines(process, count, at)

    really, lines = module.start, module.lines
    monkeypatch.setattr(module, "start", starting)
    monkeypatch.setattr(module, "lines", dies)
    with nothing_left():
        found = measure_waiting(0.05)
    assert {q.missing for q in found.quantities} == {words("machine.why.partner")}


@linux
@pytest.mark.machine
def test_a_spinner_that_says_nothing_is_not_waited_for_without_end():
    with nothing_left(), contextlib.ExitStack() as held:
        silent = start(held, [sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.PIPE)
        with pytest.raises(CannotMeasure, match="too busy"):
            module.lines(silent, 1, module.now() - int(module.PATIENCE_SECONDS * 1e9))


@linux
@pytest.mark.machine
def test_the_spinners_end_when_this_program_is_killed():
    code = """
import threading, time
from tests.machine.leftovers import children
from virtlab.machine.owning import start
from virtlab.machine.sampling import CannotMeasure
from virtlab.machine.waiting import measure_waiting
def tell():
    time.sleep(0.7)
    print(*children(), flush=True)
threading.Thread(target=tell).start()
measure_waiting(10)
"""
    assert killed(code) == []


@linux
@pytest.mark.parametrize("plan", [b"", b"0 1 2\n", b"what\n", b"1000000 1 2 3\n"])
def test_a_spinner_with_no_plan_or_a_wrong_one_ends_quietly(plan):
    program = [sys.executable, "-I", "-S", str(Path(spinner.__file__)), "10"]
    done = subprocess.run(program, input=plan, capture_output=True, timeout=20)
    assert (done.returncode != 0 or plan == b"") and done.stderr == b""


# --- the recorded measurement ---------------------------------------------------------------------------------------


def test_the_recorded_waiting_is_complete_dated_and_calm():
    kept = recorded_waiting()
    assert kept.origin == "recorded" and [q.id for q in kept.quantities] == list(WAITING) and not kept.facts.busy
    assert all(q.present and q.n >= 5 for q in kept.quantities)
    assert kept["run_one_cpu"].value == pytest.approx(0.5, abs=0.03) == kept["wait_one_cpu"].value
    assert kept["run_two_cpus"].value > 0.95 and kept["wait_two_cpus"].value < 0.05
    assert kept.label().startswith(f"Recorded on {kept.facts.date}") and "software-only KVM (kvm_pvm)" in kept.label()


def test_the_table_tells_how_each_was_measured_and_what_remains_in_it():
    page, text = recorded_waiting()._repr_html_(), str(recorded_waiting())
    for q in recorded_waiting().quantities:
        assert html.escape(q.how) in page and html.escape(q.remains) in page and q.title in text and q.text() in text
