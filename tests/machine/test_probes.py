"""The costs of this computer: what is measured has the right order of magnitude, the rest is said, nothing leaks."""
import html
import os
import platform
import subprocess
import sys
import threading

import pytest

from tests.machine.leftovers import children
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.machine import Facts, Quantity, measure, recorded, sampling
from virtlab.machine import probes as module
from virtlab.machine.measured import COSTS

# Wide enough for a sandbox on a laptop under load; narrow enough for a wrong unit or a forgotten division.
BOUNDS = {"syscall": (5, 1e5), "context_switch": (100, 1e6), "wakeup": (100, 5e6), "copy_cache": (0.5, 1000),
          "copy_memory": (0.1, 500)}
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def held():
    """What a measurement must give back: open files, children, threads, and the CPUs that the program may use."""
    return sorted(os.listdir("/proc/self/fd")), sorted(children()), threading.active_count(), os.sched_getaffinity(0)


@pytest.fixture(scope="module")
def here():
    return measure(0.1)


def test_every_quantity_is_measured_in_its_order_of_magnitude_or_said_to_be_missing(here):
    assert [q.id for q in here.quantities] == list(COSTS) == list(BOUNDS)
    for q in here.quantities:
        if q.present:
            low, high = BOUNDS[q.id]
            assert low < q.value < high, q
            assert 0 <= q.low <= q.value <= q.high and q.n >= 5, q
        else:
            assert q.missing.endswith(".") and q.value == 0, q


@linux
def test_on_linux_a_system_call_a_switch_and_both_copies_are_measured(here):
    missing = {q.id: q.missing for q in here.quantities if not q.present}
    assert not set(missing) - ({"wakeup"} if len(os.sched_getaffinity(0)) == 1 else set()), missing


def test_the_computer_is_named(here):
    assert here.facts.cpu and here.facts.cores >= 1 and here.origin == "now"
    assert here.facts.kernel == f"{platform.system()} {platform.release()}"


@linux
def test_nothing_is_left_behind():
    before = held()
    measure(0.05)
    assert held() == before


@linux
@pytest.mark.parametrize("cpu", ["same", "other"])
def test_an_interrupt_in_the_middle_leaves_nothing_behind_and_reaches_the_reader(monkeypatch, cpu):
    if cpu == "other" and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one CPU")
    calls, really = [], module._round_trips

    def interrupted(times, to, back):
        calls.append(times)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return really(times, to, back)

    monkeypatch.setattr(module, "_round_trips", interrupted)
    before = held()
    with pytest.raises(KeyboardInterrupt) as stopped:
        module._careful({"same": "context_switch", "other": "wakeup"}[cpu], 0.1)
    assert held() == before, "with the traceback still alive"
    assert stopped.tb


def test_a_system_that_cannot_pin_says_so_and_measures_the_rest(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    found = measure(0.05)
    assert found["context_switch"].missing == found["wakeup"].missing == words("machine.why.affinity")
    assert found["copy_cache"].present and found["copy_memory"].present


def test_one_cpu_leaves_only_the_wakeup_missing(monkeypatch):
    monkeypatch.setattr(module, "usable_cpus", lambda: [0])
    assert module._careful("wakeup", 0.01).missing == words("machine.why.one_cpu")


def test_another_system_than_posix_has_no_system_call_to_measure(monkeypatch):
    monkeypatch.setattr(module.os, "name", "nt")
    assert "WSL2" in module._careful("syscall", 0.01).missing


@pytest.mark.parametrize("error", [OSError(1, "Operation not permitted"), MemoryError(), ValueError("what")])
def test_an_error_becomes_a_reason(monkeypatch, error):
    def refuse(seconds):
        raise error
        yield

    monkeypatch.setitem(module.PROBES, "syscall", refuse)
    q = module._careful("syscall", 0.1)
    assert not q.present and type(error).__name__ in q.missing and q.text() == q.missing


@linux
@pytest.mark.parametrize("program", ["/bin/true", "/no/such/program", ""])
def test_a_partner_that_does_not_answer_becomes_a_reason(monkeypatch, program):
    before = held()
    monkeypatch.setattr(module.sys, "executable", program)
    assert module._careful("context_switch", 0.05).missing
    assert held() == before


@pytest.mark.parametrize("samples", [[0.0, 0.0, -3.0], [-5.0] * 5])
def test_a_cost_that_is_lost_in_the_noise_is_missing_and_never_negative(monkeypatch, samples):
    monkeypatch.setitem(module.PROBES, "syscall", lambda seconds: (s for s in samples))
    assert module._careful("syscall", 0.1).missing == words("machine.why.noise")


def test_the_value_is_the_median_and_the_spread_the_10th_and_90th_percentile(monkeypatch):
    monkeypatch.setitem(module.PROBES, "syscall", lambda seconds: (float(s) for s in range(101)))
    assert module._careful("syscall", 0.1) == Quantity("syscall", 50, 10, 90, 101)


def test_a_slow_computer_gives_five_samples_all_the_same():
    assert list(sampling.until(0)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seconds", [0, -1, 11, float("nan")])
def test_a_time_out_of_range_is_explained(seconds):
    with pytest.raises(ParameterError, match=r"seconds must be 0\.05 to 10; you gave"):
        measure(seconds)


@linux
def test_the_partner_answers_and_ends_with_its_input():
    command = [sys.executable, "-I", "-S", module.Path(module.__file__).with_name("pong.py"), "0", "10"]
    cpu = str(min(os.sched_getaffinity(0)))
    done = subprocess.run([*command[:-2], cpu, "10"], input=b"abc", capture_output=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"abc", b"")


@linux
def test_the_partner_on_a_cpu_that_does_not_exist_ends_quietly():
    command = [sys.executable, "-I", "-S", module.Path(module.__file__).with_name("pong.py"), "1000000", "10"]
    done = subprocess.run(command, input=b"abc", capture_output=True, timeout=20)
    assert done.returncode != 0 and done.stdout == done.stderr == b""


@pytest.mark.parametrize(("siblings", "other"), [
    ("0,2", 1), ("0-1", 2), ("0", 1), ("", 1), ("0-2", 3), ("0-1,2", 3), ("0-3", 1), ("what", 1),
])  # fmt: skip
def test_the_other_cpu_is_another_core_where_there_is_one(tmp_path, siblings, other):
    topology = tmp_path / "sys/devices/system/cpu/cpu0/topology"
    topology.mkdir(parents=True)
    (topology / "thread_siblings_list").write_text(siblings + "\n")
    assert module.another_core([0, 1, 2, 3], tmp_path) == other


def test_the_recorded_measurement_is_complete_dated_and_plausible():
    kept = recorded()
    assert kept.origin == "recorded" and kept.facts.date == "2026-11-23" and not kept.facts.busy
    assert "software-only KVM (kvm_pvm)" in kept.label() and kept.label().startswith("Recorded on 2026-11-23")
    for key, (low, high) in BOUNDS.items():
        assert low < kept[key].low <= kept[key].value <= kept[key].high < high, key


def test_the_tables_tell_how_each_was_measured_and_what_remains_in_it():
    page, text = recorded()._repr_html_(), str(recorded())
    for q in recorded().quantities:
        assert html.escape(q.how) in page and html.escape(q.remains) in page and q.text() in text
    assert "1 CPU," in Facts("c", 1, "k", "d").text() + ","


def test_an_unknown_quantity_names_the_known_ones():
    with pytest.raises(KeyError, match="there are syscall, context_switch"):
        recorded()["speed"]
