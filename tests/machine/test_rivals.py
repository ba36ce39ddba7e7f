"""A gather beside a stream: the rival runs only when it should, memory is bounded, and nothing is left."""
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.machine.leftovers import alive, children, interrupted_after, killed, nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.machine import Host, hog, measure_rivals, recorded_rivals
from virtlab.machine import rival as rival_module
from virtlab.machine import rivals as module
from virtlab.machine.measured import RIVALS
from virtlab.machine.pages import free_bytes
from virtlab.machine.rival import Rival
from virtlab.machine.rivals import Gather, gathering
from virtlab.machine.sampling import CannotMeasure

MIB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="pins a program to a CPU")
two_cpus = pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
                              reason="needs two CPUs")
room = pytest.mark.skipif((free_bytes(Host()) or 0) < 1200 * MIB, reason="too little free memory")


@pytest.fixture
def quick(monkeypatch):
    """Small memory, short turns."""
    monkeypatch.setattr(module, "SIZES", {"128k": 128 << 10})
    monkeypatch.setattr(module, "STREAM_BYTES", 8 * MIB)
    for name in ("_SETTLE_NS", "_SAMPLE_NS"):
        monkeypatch.setattr(module, name, 1_000_000)


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# --- the rival ------------------------------------------------------------------------------------------------------


@linux
@pytest.mark.machine
def test_the_rival_streams_while_it_runs_and_stands_still_else():
    with nothing_left(), contextlib.ExitStack() as held:
        rival = Rival(held, min(os.sched_getaffinity(0)), 1, 8 * MIB)
        for _ in range(3):
            begin = rival.streamed_bytes
            assert state_of(rival._process.pid) == "T"
            time.sleep(0.02)
            assert rival.streamed_bytes == begin, "it streamed although it should stand still"
            with rival.running():
                until = time.monotonic() + 10
                while rival.streamed_bytes == begin and time.monotonic() < until:
                    time.sleep(0.005)
            assert rival.streamed_bytes > begin and rival.streamed_bytes % hog.BLOCK_BYTES == 0


@linux
@pytest.mark.machine
def test_a_rival_that_only_computes_runs_on_its_cpu_alone():
    cpu = max(os.sched_getaffinity(0))
    with nothing_left(), contextlib.ExitStack() as held:
        rival = Rival(held, cpu, 1)
        assert os.sched_getaffinity(rival._process.pid) == {cpu}
        with rival.running():
            assert state_of(rival._process.pid) != "T"


@linux
@pytest.mark.machine
def test_a_rival_that_stands_still_ends_at_once():
    held = contextlib.ExitStack()
    process = Rival(held, min(os.sched_getaffinity(0)), 1)._process
    held.close()
    assert process.returncode == -signal.SIGTERM, "it was killed after it had not heard that it should end"


@linux
@pytest.mark.machine
@pytest.mark.parametrize("when", ["while it stands still", "while it runs"])
def test_the_death_of_the_rival_is_noticed(when):
    with nothing_left(), contextlib.ExitStack() as held:
        rival = Rival(held, min(os.sched_getaffinity(0)), 1)
        if when == "while it stands still":
            rival._process.kill()
        with pytest.raises(CannotMeasure, match="ended early"), rival.running():
            rival._process.kill()


@linux
@pytest.mark.parametrize("arguments", [
    ("1000000", "9", "0", "-1"), ("0", "9", "1000000", "99"), ("x", "9", "0", "-1"), ("0", "9", str(1 << 62), "0"),
])
def test_a_rival_with_a_wrong_plan_ends_quietly(arguments):
    program = [sys.executable, "-I", "-S", str(Path(hog.__file__)), *arguments]
    done = subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert done.returncode != 0 and done.stdout == done.stderr == b""


# --- the gather -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [128 << 10, 4 * MIB])
def test_each_line_is_gathered_once_before_any_again_and_not_in_order(size):
    gather, lines = Gather(size), size // 64
    blocks = [next(gather._blocks) for _ in range(2 * lines // module._BLOCK)]
    first, second = np.split(np.concatenate(blocks), 2)
    assert sorted(first * 8 // 64) == list(range(lines)) and (first == second).all()
    assert (np.diff(first) == 8).mean() < 0.01, "neighbours would be fetched ahead"


def test_the_order_of_large_memory_is_bounded_and_reaches_all_of_it():
    gather = Gather(256 * MIB)
    once = np.concatenate([next(gather._blocks) for _ in range(module._MOST // module._BLOCK)])
    assert len(set(once.tolist())) == module._MOST and once.min() < MIB < 31 * MIB < once.max() < 32 * MIB
    gather.close()


def test_the_memory_is_let_go_although_the_object_is_held():
    with gathering(4 * MIB) as gather:
        assert gather._words is not None and gather.word_ns() > 0
    assert gather._words is None


# --- the measurement ------------------------------------------------------------------------------------------------


@linux
@two_cpus
@room
@pytest.mark.machine
def test_every_quantity_is_measured_in_its_order_of_magnitude():
    found = measure_rivals(0.3)
    assert [q.id for q in found.quantities] == list(RIVALS)
    for q in found.quantities:
        assert q.present and 0 <= q.low <= q.value <= q.high and q.n >= 5, q
        low, high = {"ns": (0.05, 1e5), "1": (0.01, 100), "GB/s": (0.01, 500)}[q.unit]
        assert low < q.value < high, q


@linux
@two_cpus
@pytest.mark.machine
def test_the_rival_runs_for_half_of_the_samples_and_is_first_in_every_other_round(monkeypatch, quick):
    order, started = [], []

    class Watched(Rival):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self._process.pid)

    def looked(gather):
        order.append(state_of(started[0]) == "T")
        return 1.0

    monkeypatch.setattr(module, "Rival", Watched)
    monkeypatch.setattr(Gather, "word_ns", looked)
    monkeypatch.setattr(module, "until", lambda seconds: range(4))
    with nothing_left():
        found = measure_rivals(0.05)
    assert order == [True, False, False, True] * 2, "alone is when the rival stands still"
    assert found["slower_128k"].value == 1 and found["alone_128k"].n == 4


@linux
def test_a_rival_that_never_came_to_run_is_said_and_raises_nothing(monkeypatch):
    class Starved:
        streamed_bytes = 0

        def __init__(self, *_):
            pass

        running = staticmethod(contextlib.nullcontext)

    cpus = sorted(os.sched_getaffinity(0))
    monkeypatch.setattr(module, "usable_cpus", lambda: [cpus[0], cpus[-1]])
    monkeypatch.setattr(module, "SIZES", {"128k": 128 << 10})
    monkeypatch.setattr(module, "Rival", Starved)
    found = measure_rivals(0.05)
    assert found["streamed"].value == 0 and found["streamed"].present and found["slower_128k"].present


@pytest.mark.parametrize("seconds", [0, -1, 11, float("nan")])
def test_a_time_out_of_range_is_explained(seconds):
    with pytest.raises(ParameterError, match=r"seconds must be 0\.05 to 10; you gave"):
        measure_rivals(seconds)


# --- what is missing, and why ---------------------------------------------------------------------------------------


def reasons(found):
    assert [q.id for q in found.quantities] == list(RIVALS)
    return {q.missing for q in found.quantities}


def test_one_cpu_says_so_in_one_sentence_and_starts_nothing(monkeypatch):
    monkeypatch.setattr(module, "usable_cpus", lambda: [0])
    monkeypatch.setattr(module, "Rival", lambda *_: pytest.fail("started"))
    assert reasons(measure_rivals(0.05)) == {words("machine.why.one_cpu")}


def test_a_system_that_cannot_pin_says_so(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert reasons(measure_rivals(0.05)) == {words("machine.why.affinity")}


@linux
@pytest.mark.parametrize(("free_mib", "missing"), [
    (200, list(RIVALS)), (400, ["alone_256m", "beside_256m", "slower_256m"]),
])
def test_too_little_memory_is_said_and_what_fits_is_measured(monkeypatch, tmp_path, free_mib, missing):
    class Silent:
        streamed_bytes = 0

        def __init__(self, *_):
            pass

        running = staticmethod(contextlib.nullcontext)

    def streamed(gather, rival, turns):
        turns.beside.append(gather.word_ns())
        turns.streamed.append(1.0)

    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemAvailable:   {free_mib << 10} kB\n")
    cpus = sorted(os.sched_getaffinity(0))
    monkeypatch.setattr(module, "usable_cpus", lambda: [cpus[0], cpus[-1]])
    monkeypatch.setattr(module, "Rival", Silent)
    monkeypatch.setattr(module, "_beside", streamed)
    monkeypatch.setattr(module, "_SETTLE_NS", 0)
    monkeypatch.setattr(module, "_SAMPLE_NS", 0)
    found = measure_rivals(0.05, Host(system="Linux", root=tmp_path))
    assert [q.id for q in found.quantities if not q.present] == missing
    assert all("more than half of the" in q.missing for q in found.quantities if not q.present)


@linux
@two_cpus
@pytest.mark.machine
@pytest.mark.parametrize("program", ["/bin/true", "/no/such/program", ""])
def test_a_rival_that_does_not_start_becomes_a_reason(monkeypatch, quick, program):
    monkeypatch.setattr(rival_module.sys, "executable", program)
    with nothing_left():
        assert all(q.missing.endswith(".") for q in measure_rivals(0.05).quantities)


# --- nothing is left ------------------------------------------------------------------------------------------------


@linux
@two_cpus
@pytest.mark.machine
def test_nothing_is_left_behind_and_we_may_use_the_same_cpus(quick):
    before = os.sched_getaffinity(0)
    with nothing_left():
        assert measure_rivals(0.05)["slower_128k"].present
    assert os.sched_getaffinity(0) == before


@linux
@two_cpus
@room
@pytest.mark.machine
@pytest.mark.parametrize("after", [0.03, 0.5, 1.2])
def test_an_interrupt_leaves_nothing_and_reaches_the_reader(after):
    before = os.sched_getaffinity(0)
    with nothing_left(), interrupted_after(after):
        measure_rivals(9)
    assert os.sched_getaffinity(0) == before


@linux
@two_cpus
@room
@pytest.mark.machine
def test_the_rival_ends_when_this_program_is_killed_although_it_may_stand_still():
    code = """
import threading, time
from tests.machine.leftovers import children
from virtlab.machine import measure_rivals
def tell():
    time.sleep(1)
    print(*children(), flush=True)
threading.Thread(target=tell).start()
measure_rivals(10)
"""
    assert killed(code) == []
    assert not [pid for pid in children() if alive(pid)]


# --- the recorded measurement ---------------------------------------------------------------------------------------


def test_the_recorded_rivals_are_complete_and_dated():
    kept = recorded_rivals()
    assert kept.origin == "recorded" and [q.id for q in kept.quantities] == list(RIVALS)
    assert all(q.present and q.n >= 5 for q in kept.quantities)
    assert kept["slower_128k"].value == pytest.approx(1, abs=0.15), "no neighbour reaches the second-level cache"
    assert kept["slower_256m"].value > 1 and kept["alone_128k"].value < kept["alone_256m"].value
    assert kept.label().startswith(f"Recorded on {kept.facts.date}") and "software-only KVM (kvm_pvm)" in kept.label()
    assert not kept.facts.busy or "went before all others" in kept.label() and "noisy" in kept.label()
