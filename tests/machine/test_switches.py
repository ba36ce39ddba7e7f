"""Context switches on one CPU, on two and free: each pinned where it says, in turns, and nothing is left."""
import os
import sys

import pytest

from tests.machine.leftovers import interrupted_after, nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.machine import Host, measure_switches, recorded_switches
from virtlab.machine import switches as module
from virtlab.machine.measured import SWITCHES
from virtlab.machine.probes import ping_pong

linux = pytest.mark.skipif(sys.platform != "linux", reason="pins a program to a CPU")
TIMES = ["switch_one_cpu", "switch_two_cpus", "switch_free"]


@linux
@pytest.mark.machine
def test_every_quantity_is_measured_in_its_order_of_magnitude_or_said_to_be_missing():
    before = os.sched_getaffinity(0)
    with nothing_left():
        found = measure_switches(0.2)
    assert [q.id for q in found.quantities] == list(SWITCHES) and os.sched_getaffinity(0) == before
    for key in TIMES:
        q = found[key]
        if key == "switch_two_cpus" and len(before) == 1:
            assert q.missing == words("machine.why.one_cpu")
        else:
            assert 100 < q.value < 5e6 and 0 <= q.low <= q.value <= q.high and q.n >= 15, q
    assert 0 <= found["apart_free"].value <= 1 and found["apart_free"].n >= 15
    if len(before) == 1:
        assert found["apart_free"].value == 0


@linux
@pytest.mark.machine
def test_each_arrangement_runs_on_the_cpus_that_it_names(monkeypatch):
    seen, all_cpus = {}, os.sched_getaffinity(0)

    def watched(seconds, ours, theirs, look=None):
        def looked(pid):
            seen[ours, theirs] = os.sched_getaffinity(0), os.sched_getaffinity(pid)
            if look:
                look(pid)

        return ping_pong(seconds, ours, theirs, looked)

    monkeypatch.setattr(module, "ping_pong", watched)
    measure_switches(0.05)
    first = min(all_cpus)
    assert seen.pop((None, None)) == (all_cpus, all_cpus), "free is free"
    assert seen.pop((first, first)) == ({first}, {first})
    assert all((ours, theirs) == ({first}, {key[1]}) and key[1] != first for key, (ours, theirs) in seen.items())
    assert len(seen) == (len(all_cpus) > 1)


def test_the_three_are_taken_in_turns(monkeypatch):
    order = []

    def pair(key, seconds, look):
        order.append((key, seconds))
        yield from [5.0] * 5

    monkeypatch.setattr(module, "_pair", pair)
    found = measure_switches(0.9)
    assert order == [(key, pytest.approx(0.1)) for key in TIMES] * 3 and found["switch_free"].n == 15


def test_what_fails_is_missing_alone_and_is_not_tried_again(monkeypatch):
    tried = []

    def pair(key, seconds, look):
        tried.append(key)
        if key == "switch_two_cpus":
            raise OSError(1, "Operation not permitted")
        yield from [5.0] * 5

    monkeypatch.setattr(module, "_pair", pair)
    found = measure_switches(0.05)
    assert "PermissionError" in found["switch_two_cpus"].missing and tried.count("switch_two_cpus") == 1
    assert found["switch_one_cpu"].present and found["switch_free"].present


def test_one_cpu_leaves_only_the_switch_between_two_missing(monkeypatch):
    monkeypatch.setattr(module, "usable_cpus", lambda: [0])
    with pytest.raises(Exception, match=words("machine.why.one_cpu")):
        module._pair("switch_two_cpus", 0.05, print)


def test_the_share_apart_is_that_of_the_looks(monkeypatch, tmp_path):
    def stat(name, cpu):
        (tmp_path / f"proc/{name}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"proc/{name}/stat").write_text(f"1 (a) b) S {' '.join(['0'] * 35)} {cpu} 0 0\n")

    def pair(key, seconds, look):
        for cpu in (0, 0, 0, 1) if key == "switch_free" else ():
            stat(7, cpu)
            look(7)
        yield from [5.0] * 5

    stat("thread-self", 0)
    monkeypatch.setattr(module, "_pair", pair)
    apart = measure_switches(0.05, Host(system="Linux", root=tmp_path))["apart_free"]
    assert (apart.value, apart.n) == (0.25, 12)


def test_a_system_that_does_not_tell_the_cpu_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_pair", lambda key, seconds, look: (look(1) or x for x in [5.0] * 5))
    found = measure_switches(0.05, Host(system="Linux", root=tmp_path))
    assert found["apart_free"].missing == words("probe.why.which_cpu") and found["switch_free"].present


@pytest.mark.parametrize("seconds", [0, -1, 11, float("nan")])
def test_a_time_out_of_range_is_explained(seconds):
    with pytest.raises(ParameterError, match=r"seconds must be 0\.05 to 10; you gave"):
        measure_switches(seconds)


@linux
@pytest.mark.machine
@pytest.mark.parametrize("after", [0.1, 0.6])
def test_an_interrupt_leaves_nothing_and_reaches_the_reader(after):
    before = os.sched_getaffinity(0)
    with nothing_left(), interrupted_after(after):
        measure_switches(9)
    assert os.sched_getaffinity(0) == before


def test_the_recorded_switches_are_complete_and_dated():
    kept = recorded_switches()
    assert kept.origin == "recorded" and [q.id for q in kept.quantities] == list(SWITCHES)
    assert all(q.present and q.n >= 5 for q in kept.quantities)
    assert kept["switch_two_cpus"].value > 2 * kept["switch_one_cpu"].value, "waking an idle vCPU is an exit here"
    assert kept.label().startswith(f"Recorded on {kept.facts.date}") and "software-only KVM (kvm_pvm)" in kept.label()
    assert not kept.facts.busy or "went before all others" in kept.label() and "noisy" in kept.label()
