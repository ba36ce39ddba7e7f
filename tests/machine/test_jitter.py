"""The gaps of a busy loop: sorted without loss, alone and beside a rival, in bounded memory, and nothing is left."""
import os
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.leftovers import interrupted_after, killed, nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.machine import Host, gaps, measure_jitter, recorded_jitter
from virtlab.machine import jitter as module
from virtlab.machine.gaps import EDGES_NS, FIRST, LAST, LOST_NS, PERCENTILES, bins, listen, percentile, quarter
from virtlab.machine.jitter import Window, load_jitter, windows
from virtlab.machine.measured import JITTER

ALONE, RIVAL = list(JITTER)[:6], list(JITTER)[6:]
linux = pytest.mark.skipif(sys.platform != "linux", reason="pins a program to a CPU")
times = st.lists(st.integers(0, 2**40), min_size=1, max_size=200)


def sort(gaps_ns):
    """What the loop keeps of these gaps."""
    fine, coarse = [0] * 4096, [0] * LAST
    for gap in gaps_ns:
        if gap < len(fine):
            fine[gap] += 1
        else:
            coarse[quarter(gap)] += 1
    return fine, coarse


# --- the histogram --------------------------------------------------------------------------------------------------


@given(times)
def test_the_bins_are_those_of_numpy_between_the_same_edges(gaps_ns):
    inside = np.clip(gaps_ns, EDGES_NS[0], EDGES_NS[-1] - 1)
    assert bins(*sort(gaps_ns)) == np.histogram(inside, EDGES_NS)[0].tolist()


def test_the_edges_are_four_in_each_doubling():
    assert (EDGES_NS[0], EDGES_NS[4], EDGES_NS[-1]) == (32, 64, 2.0**35) and len(EDGES_NS) == LAST - FIRST + 1
    assert all(b / a == pytest.approx(2**0.25) for a, b in pairwise(EDGES_NS))


@given(times, st.sampled_from(PERCENTILES))
def test_a_percentile_is_exact_below_4096_ns_and_within_9_percent_above(gaps_ns, share):
    gaps_ns = [min(gap, 2**34) for gap in gaps_ns]
    exact = int(np.quantile(gaps_ns, share, method="inverted_cdf"))
    found = percentile(share, *sort(gaps_ns))
    assert found == exact if exact < 4096 else found == pytest.approx(exact, rel=0.0906)


class Clock:
    """Says these times one after the other, and then the last for ever."""

    def __init__(self, gaps_ns):
        self.left = list(np.cumsum([0, *gaps_ns]).tolist())

    def __call__(self):
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=100))
def test_the_loop_loses_no_gap_and_counts_the_long_ones_as_lost(gaps_ns):
    gaps_ns = gaps_ns[:100]
    before, gaps.now = gaps.now, Clock(gaps_ns)
    try:
        took, lost, longest, *sorted_ = listen(sum(gaps_ns))
    finally:
        gaps.now = before
    assert (took, longest, lost) == (sum(gaps_ns), max(gaps_ns), sum(g for g in gaps_ns if g > LOST_NS))
    assert sorted_ == list(sort(gaps_ns))


def test_the_memory_does_not_grow_with_the_time():
    short, long = (listen(gaps.now() + ns)[3:] for ns in (1_000_000, 30_000_000))
    assert [len(part) for part in short] == [len(part) for part in long] == [4096, LAST]


# --- the real thing -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here():
    return measure_jitter(0.4)


@linux
@pytest.mark.machine
def test_every_quantity_is_measured_on_linux(here):
    assert [q.id for q in here.quantities] == list(JITTER) and here.origin == "now"
    for q in here.quantities:
        if q.id.startswith("waited") and not q.present:
            assert q.missing == words("probe.why.no_books")
            continue
        assert q.present and 0 <= q.low <= q.value <= q.high and q.n == 5, q
    for place in ("alone", "rival"):
        of = [here[f"gap_{part}_{place}"].value for part in ("p50", "p99", "p999", "longest")]
        assert of == sorted(of) and 10 < of[0] < 1e6, "a look at the clock takes less than 1 ms anywhere"


@linux
@pytest.mark.machine
def test_a_rival_on_the_same_cpu_takes_a_good_part_of_the_time_in_long_gaps(here):
    assert here["lost_rival"].value > 0.2, "half by the law; others may take more, but nobody gives the loop more"
    assert here["gap_longest_rival"].value > LOST_NS
    if here["waited_alone"].present and here["waited_alone"].high < 0.05:  # nobody else was there
        assert here["lost_rival"].value > here["lost_alone"].value


@linux
@pytest.mark.machine
def test_the_histograms_hold_all_the_time_of_their_windows(here):
    assert [g.place for g in here.gaps] == ["alone", "rival"]
    for g in here.gaps:
        low = sum(n * edge for n, edge in zip(g.counts, EDGES_NS, strict=False))
        high = sum(n * edge for n, edge in zip(g.counts, EDGES_NS[1:], strict=True))
        assert low <= g.listened_ns <= high, "each gap lies between the edges of its bin"
        assert sum(g.per_s()) == pytest.approx(sum(g.counts) / g.listened_ns * 1e9)


@pytest.mark.parametrize("seconds", [0, -1, 11, float("nan")])
def test_a_time_out_of_range_is_explained(seconds):
    with pytest.raises(ParameterError, match=r"seconds must be 0\.05 to 10; you gave"):
        measure_jitter(seconds)


# --- what is missing, and why ---------------------------------------------------------------------------------------


@linux
@pytest.mark.machine
def test_a_system_that_cannot_pin_measures_the_loop_alone_and_says_why_no_rival(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity")
    with nothing_left():
        found = measure_jitter(0.05)
    assert all(found[key].present for key in ALONE[:5])
    assert {found[key].missing for key in RIVAL} == {words("machine.why.affinity")}
    assert [g.place for g in found.gaps] == ["alone"]


def test_a_system_without_such_pipes_says_so(monkeypatch):
    monkeypatch.setattr(module, "os", SimpleNamespace(name="nt"))
    monkeypatch.setattr(module, "start", lambda *_, **__: pytest.fail("started"))
    found = measure_jitter(0.05)
    assert {q.missing for q in found.quantities} == {words("probe.why.pipes")} and found.gaps == ()


@linux
@pytest.mark.machine
def test_a_kernel_without_books_leaves_only_the_shares_that_waited_missing(tmp_path):
    found = measure_jitter(0.05, Host(system="Linux", root=tmp_path))
    missing = {q.id: q.missing for q in found.quantities if not q.present}
    assert missing == dict.fromkeys(("waited_alone", "waited_rival"), words("probe.why.no_books"))


@linux
@pytest.mark.machine
@pytest.mark.parametrize("program", ["/bin/true", "/no/such/program", ""])
def test_a_loop_that_does_not_start_becomes_a_reason(monkeypatch, program):
    monkeypatch.setattr(module.sys, "executable", program)
    with nothing_left():
        assert all(q.missing.endswith(".") for q in measure_jitter(0.05).quantities)


@linux
@pytest.mark.machine
def test_a_cpu_that_does_not_exist_becomes_a_reason(monkeypatch):
    monkeypatch.setattr(module, "usable_cpus", lambda: [1_000_000])
    with nothing_left():
        assert {q.missing for q in measure_jitter(0.05).quantities} == {words("machine.why.partner")}


@pytest.mark.parametrize("answer", ["1 2 3", "1 2 3 " * 200])
def test_an_answer_of_another_length_becomes_a_reason(monkeypatch, answer):
    monkeypatch.setattr(module, "lines", lambda process, count, at: [answer])
    if sys.platform != "linux":
        pytest.skip("starts a rival")
    with nothing_left():
        assert {q.missing for q in measure_jitter(0.05).quantities} == {words("machine.why.partner")}


def test_a_share_that_waited_is_of_the_time_that_it_wanted_the_cpu(monkeypatch):
    books = iter([(100, 50), (400, 150)])
    monkeypatch.setattr(module, "_books", lambda pid, host: next(books))
    monkeypatch.setattr(module, "lines", lambda *_: [" ".join(map(str, [10, 5, 5, 1, 2, 3, *[0] * 120]))])
    process = type("P", (), {"stdin": type("I", (), {"write": lambda self, text: None})(), "pid": 1})()
    assert module._window(process, 10, Host()) == Window(10, (1, 2, 3, 5, 0.5), (0,) * 120, 0.25)


# --- nothing is left ------------------------------------------------------------------------------------------------


@linux
@pytest.mark.machine
def test_nothing_is_left_behind_and_we_may_use_the_same_cpus():
    before = os.sched_getaffinity(0)
    with nothing_left():
        assert measure_jitter(0.05)["lost_rival"].present
    assert os.sched_getaffinity(0) == before


@linux
@pytest.mark.machine
@pytest.mark.parametrize("after", [0.03, 0.4, random.Random(1).uniform(0.4, 1.5)])
def test_an_interrupt_leaves_nothing_and_reaches_the_reader(after):
    with nothing_left(), interrupted_after(after):
        measure_jitter(9)


@linux
@pytest.mark.machine
def test_the_loop_and_its_rival_end_when_this_program_is_killed():
    code = """
import threading, time
from tests.machine.leftovers import children
from virtlab.machine import measure_jitter
def tell():
    time.sleep(0.7)
    print(*children(), flush=True)
threading.Thread(target=tell).start()
measure_jitter(10)
"""
    assert killed(code) == []


@linux
@pytest.mark.machine
def test_the_death_of_the_loop_becomes_a_reason_and_ends_the_rival(monkeypatch):
    def dies(loop, window_ns, host):
        loop.kill()
        return really(loop, window_ns, host)

    really = module._window
    monkeypatch.setattr(module, "_window", dies)
    with nothing_left():
        found = measure_jitter(0.05)
    assert all(q.missing for q in found.quantities)


@linux
@pytest.mark.parametrize(("cpu", "plan"), [("any", b""), ("any", b"what\n"), ("1000000", b"1\n"), ("x", b"1\n")])
def test_a_loop_with_no_plan_or_a_wrong_one_ends_quietly(cpu, plan):
    program = [sys.executable, "-I", "-S", str(Path(gaps.__file__)), cpu]
    done = subprocess.run(program, input=plan, capture_output=True, timeout=20)
    assert (done.returncode != 0 or plan == b"") and done.stderr == b""


@linux
@pytest.mark.machine
def test_each_arrangement_is_first_in_every_other_round(monkeypatch):
    order = []
    window = Window(10, (1, 2, 3, 5, 0.5), (0,) * 120, None)

    class Silent:
        def __init__(self, held, cpu, seconds):
            pass

        def running(self):
            order.append("rival")
            return module.contextlib.nullcontext()

    def taken(*_):
        order.append("window")
        return window

    monkeypatch.setattr(module, "Rival", Silent)
    monkeypatch.setattr(module, "_window", taken)
    found = windows(min(os.sched_getaffinity(0)), 0.05, Host())
    assert {place: len(of) for place, of in found.items()} == {"alone": 5, "rival": 5}
    assert order == ["window", "rival", "window", "rival", "window", "window"] * 2 + ["window", "rival", "window"]


# --- the recorded measurement, and files ----------------------------------------------------------------------------


def test_the_recorded_jitter_is_complete_and_dated():
    kept = recorded_jitter()
    assert kept.origin == "recorded" and [q.id for q in kept.quantities] == list(JITTER)
    assert all(q.present and q.n >= 5 for q in kept.quantities) and len(kept.gaps) == 2
    assert kept["lost_rival"].value == pytest.approx(0.5, abs=0.06) and kept["lost_alone"].value < 0.1
    assert kept["waited_rival"].value == pytest.approx(0.5, abs=0.06) and kept["waited_alone"].value < 0.05
    assert kept.label().startswith(f"Recorded on {kept.facts.date}") and "software-only KVM (kvm_pvm)" in kept.label()
    assert not kept.facts.busy or "went before all others" in kept.label() and "noisy" in kept.label()


def test_a_recorded_file_survives_being_written_again(tmp_path):
    (tmp_path / "kept.toml").write_text(recorded_jitter().toml(), encoding="utf-8")
    assert load_jitter(tmp_path / "kept.toml") == recorded_jitter() and recorded_jitter() is recorded_jitter()


def damaged(change):
    text = recorded_jitter().toml()
    head, _, tail = text.partition("[[gaps]]")
    return change(head, tail)


HOSTILE = {
    "no histogram": lambda head, tail: head,
    "a histogram that is no table": lambda head, tail: "gaps = [1]\n" + head,
    "an unknown place": lambda head, tail: head + "[[gaps]]" + tail.replace('"alone"', '"../x"'),
    "the same place twice": lambda head, tail: head + "[[gaps]]" + tail.replace('"alone"', '"rival"'),
    "no time": lambda head, tail: head + "[[gaps]]" + tail.replace("listened_ns = ", "listened_ns = -"),
    "a count too few": lambda head, tail: head + "[[gaps]]" + tail.replace("counts = [0, ", "counts = ["),
    "a negative count": lambda head, tail: head + "[[gaps]]" + tail.replace("counts = [0, ", "counts = [-1, "),
    "a count that is no number": lambda head, tail: head + "[[gaps]]" + tail.replace("[0, ", "[true, "),
    "counts that are no list": lambda head, tail: head + "[[gaps]]" + tail.replace("counts = [0, ", "counts = 3 # "),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_damaged_file_is_refused(tmp_path, what):
    (tmp_path / "kept.toml").write_text(damaged(HOSTILE[what]), encoding="utf-8")
    with pytest.raises((ValueError, TypeError)):
        load_jitter(tmp_path / "kept.toml")
