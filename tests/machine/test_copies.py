"""Copies to another process: every byte is counted on the other side, the order is lawful, and nothing is left."""
import html
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine.leftovers import interrupted_after, killed, nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.machine import copies as module
from virtlab.machine import reader
from virtlab.machine.copies import Carried, carry, measure_copies
from virtlab.machine.measured import COPIES, recorded_copies
from virtlab.machine.probing import PROBES, RECORDINGS, probe
from virtlab.machine.reader import BLOCK_BYTES, WAYS, Blocks, intact_bytes, way
from virtlab.machine.sampling import CannotMeasure

HERE = hasattr(os, "memfd_create") and hasattr(os, "eventfd") and hasattr(os, "sched_setaffinity")
linux = pytest.mark.skipif(not HERE or sys.platform != "linux", reason="needs Linux (memfd, eventfd)")
# Wide enough for a loaded sandbox; narrow enough for a wrong unit.
BOUNDS_NS = {"block_socket": (2e4, 1e9), "block_two_copies": (2e4, 1e9), "block_one_copy": (1e4, 1e9),
             "block_zero_copies": (1e3, 1e9)}


def affinity():
    return os.sched_getaffinity(0)


# --- what travels ---------------------------------------------------------------------------------------------------


@linux
@pytest.mark.machine
def test_every_byte_that_is_sent_arrives_intact_on_the_other_side_in_every_way():
    carried = carry(0.1)
    for kind in WAYS:
        blocks = len(carried.ns[kind])
        assert blocks >= 5 and carried.sent_bytes[kind] == carried.intact_bytes[kind] == blocks * BLOCK_BYTES, kind
    assert len(set(map(len, carried.ns.values()))) == 1, "all ways in every round"


@linux
@pytest.mark.machine
@pytest.mark.parametrize("broken", ["two_copies", "one_copy"])
def test_a_copy_that_is_not_made_is_noticed(monkeypatch, broken):
    def without(self, kind):
        if kind == broken:
            os.eventfd_write(self._bell, 1)  # the other side finds the block of another turn
        else:
            really(self, kind)

    really = module.Sender._hand_over
    monkeypatch.setattr(module.Sender, "_hand_over", without)
    carried = carry(0.05)
    assert carried.intact_bytes[broken] < carried.sent_bytes[broken] / 10
    assert all(carried.intact_bytes[k] == carried.sent_bytes[k] for k in WAYS if k != broken)
    with pytest.raises(CannotMeasure, match="did not arrive intact"):
        module._compared(carried)


def test_the_blocks_of_two_turns_have_nothing_in_common_and_both_sides_make_the_same():
    ours, theirs = Blocks(), Blocks()
    seen = [ours[turn] for turn in range(64)]
    assert len(set(seen)) == 64 and {len(block) for block in seen} == {BLOCK_BYTES}
    assert seen[17] == theirs[17] and ours[64] == ours[0]
    assert intact_bytes(memoryview(seen[0]), seen[1]) < BLOCK_BYTES / 100  # by chance, 1 byte of 256


@pytest.mark.parametrize("wrong", [0, 1, 4096])
def test_the_intact_bytes_are_counted_one_by_one(wrong):
    got = bytearray(Blocks()[3])
    for at in range(wrong):
        got[at * 7] ^= 255
    assert intact_bytes(memoryview(got), Blocks()[3]) == BLOCK_BYTES - wrong


def test_every_round_has_all_ways_and_each_is_first_in_turn():
    rounds = [[way(4 * n + i) for i in range(4)] for n in range(8)]
    assert all(set(kinds) == set(WAYS) for kinds in rounds)
    assert [kinds[0] for kinds in rounds] == list(WAYS) * 2


# --- what is measured -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here():
    if not HERE:
        pytest.skip("needs Linux (memfd, eventfd)")
    return measure_copies(0.3)


@linux
@pytest.mark.machine
def test_each_way_has_its_order_of_magnitude(here):
    assert [q.id for q in here.quantities] == list(COPIES) and here.origin == "now"
    for q in here.quantities:
        assert q.present and 0 <= q.low <= q.value <= q.high and q.n >= 5, q
    for key, (low, high) in BOUNDS_NS.items():
        assert low < here[key].value < high, here[key]


@linux
@pytest.mark.machine
def test_fewer_copies_are_faster_by_the_median_round(here):
    # Loosely: one copy of 1 MiB costs several times the hand-over, and the whole ladder some ten times.
    assert here["ratio_socket_two"].value * here["ratio_two_one"].value * here["ratio_one_zero"].value > 1.5
    assert here["ratio_one_zero"].value > 1


def test_the_ratios_are_those_of_the_rounds_and_not_of_the_medians():
    ns = {"socket": [8, 8, 80.0], "two_copies": [4, 2, 8.0], "one_copy": [2, 2, 2.0], "zero_copies": [1, 1, 1.0]}
    found = {q.id: q for q in module._compared(Carried(ns))}
    assert list(found) == list(COPIES)
    assert found["ratio_socket_two"].value == 4 and found["ratio_two_one"].value == 2
    assert (found["block_socket"].value, found["block_socket"].n, found["ratio_one_zero"].value) == (8, 3, 2)


@pytest.mark.parametrize("seconds", [0, -1, 11, float("nan")])
def test_a_time_out_of_range_is_explained(seconds):
    with pytest.raises(ParameterError, match=r"seconds must be 0\.05 to 10; you gave"):
        measure_copies(seconds)


# --- what is missing, and why ---------------------------------------------------------------------------------------


def reasons():
    found = measure_copies(0.05)
    assert [q.id for q in found.quantities] == list(COPIES)
    (why,) = {q.missing for q in found.quantities}
    assert why.endswith(".")
    return why


@pytest.mark.parametrize("name", ["memfd_create", "eventfd"])
def test_a_system_without_shared_memory_or_eventfd_says_so(monkeypatch, name):
    monkeypatch.setattr(module, "usable_cpus", lambda: [0])
    monkeypatch.delattr(os, name, raising=False)
    assert reasons() == words("probe.why.memfd")


def test_a_system_that_cannot_pin_says_so(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert reasons() == words("machine.why.affinity")


@linux
@pytest.mark.machine
def test_a_reader_that_does_not_start_becomes_a_reason(monkeypatch):
    before = affinity()
    with nothing_left():
        for program in ("/bin/true", "/no/such/program", ""):
            monkeypatch.setattr(module.sys, "executable", program)
            assert reasons()
    assert affinity() == before


@linux
def test_an_error_becomes_a_reason(monkeypatch):
    def refuse(*_):
        raise error

    monkeypatch.setattr(os, "memfd_create", refuse)
    with nothing_left():
        for error in (PermissionError(1, "Operation not permitted"), MemoryError(), ValueError("what")):
            assert type(error).__name__ in reasons()


# --- nothing is left ------------------------------------------------------------------------------------------------


@linux
@pytest.mark.machine
def test_nothing_is_left_behind():
    before = affinity()
    with nothing_left():
        assert measure_copies(0.05)["block_socket"].present
    assert affinity() == before


@linux
@pytest.mark.machine
@pytest.mark.parametrize("after", [0.02, 0.3])
def test_an_interrupt_leaves_nothing_and_reaches_the_reader(after):
    before = affinity()
    with nothing_left(), interrupted_after(after):
        measure_copies(5)
    assert affinity() == before


@linux
@pytest.mark.machine
def test_an_interrupt_in_any_way_leaves_nothing_with_its_traceback_still_alive(monkeypatch):
    def interrupted(self, now):
        really(self, now)
        if now == kind:
            raise KeyboardInterrupt

    really = module.Sender._hand_over
    monkeypatch.setattr(module.Sender, "_hand_over", interrupted)
    stopped = []
    with nothing_left():
        for kind in WAYS:
            with pytest.raises(KeyboardInterrupt) as stop:
                measure_copies(1)
            stopped.append((kind, stop))
    assert all(stop.tb for _, stop in stopped)


@linux
@pytest.mark.machine
def test_the_death_of_the_reader_in_any_way_becomes_a_reason_and_not_a_wait(monkeypatch):
    def dies(self, now):
        if now == kind:
            self.process.kill()
            self.process.wait()
        really(self, now)

    really = module.Sender._hand_over
    monkeypatch.setattr(module.Sender, "_hand_over", dies)
    with nothing_left():
        for kind in WAYS:
            why = reasons()
            assert why == words("machine.why.partner") or "BrokenPipe" in why or "ConnectionReset" in why, kind


@linux
@pytest.mark.machine
def test_a_reader_that_does_not_answer_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 1)
    monkeypatch.setattr(module.Sender, "_hand_over", lambda self, kind: None)
    with nothing_left():
        assert "BlockingIOError" in reasons()


@linux
@pytest.mark.machine
def test_the_reader_ends_when_this_program_is_killed():
    code = """
import threading, time
from tests.machine.leftovers import children
from virtlab.machine.copies import measure_copies
def tell():
    time.sleep(0.7)
    print(*children(), flush=True)
threading.Thread(target=tell).start()
measure_copies(10)
"""
    assert killed(code) == []


@linux
def test_a_reader_whose_sender_is_gone_ends_quietly():
    program = [sys.executable, "-I", "-S", str(Path(reader.__file__)), "77", "78", "79", "10"]
    done = subprocess.run(program, capture_output=True, timeout=20)
    assert done.returncode != 0 and done.stdout == done.stderr == b""


# --- by name, and recorded ------------------------------------------------------------------------------------------


def test_a_probe_is_found_by_its_name_and_given_its_seconds(monkeypatch):
    asked = []
    for name in PROBES:
        monkeypatch.setitem(PROBES, name, lambda *seconds, name=name: asked.append((name, *seconds)))
        probe(name)
        probe(name, 0.3)
    assert asked == [call for name in PROBES for call in ((name,), (name, 0.3))]
    assert list(PROBES) == list(RECORDINGS)
    assert list(PROBES) == ["costs", "pages", "copies", "switches", "rivals", "calls", "jitter", "ciphers", "waiting"]


def test_an_unknown_probe_names_the_known_ones():
    with pytest.raises(ParameterError, match="There is no probe 'speed'; there are costs, pages, copies, switches,"):
        probe("speed")


@pytest.mark.parametrize("name", PROBES)
def test_every_probe_explains_a_time_out_of_range(name):
    with pytest.raises(ParameterError, match="seconds must be"):
        probe(name, 0)


def test_the_recorded_copies_are_complete_dated_and_in_order():
    kept = recorded_copies()
    assert kept.origin == "recorded" and [q.id for q in kept.quantities] == list(COPIES) and not kept.facts.busy
    assert all(q.present and q.n >= 5 for q in kept.quantities)
    times = [kept[f"block_{kind}"].value for kind in WAYS]
    assert times == sorted(times, reverse=True)
    assert kept.label().startswith(f"Recorded on {kept.facts.date}") and "software-only KVM (kvm_pvm)" in kept.label()


def test_the_table_tells_how_each_was_measured_and_what_remains_in_it():
    page, text = recorded_copies()._repr_html_(), str(recorded_copies())
    for q in recorded_copies().quantities:
        assert html.escape(q.how) in page and html.escape(q.remains) in page and q.title in text and q.text() in text
