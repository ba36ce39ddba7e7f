"""Measures waiting for a CPU by the kernel's own books: two busy processes on one CPU and on two. Linux, no rights.

Linux keeps for each process how long it ran and how long it was ready to run and waited (/proc/PID/schedstat; see
Documentation/scheduler/sched-stats.rst). Both arrangements are taken in turns, so that a busy moment strikes both.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic_ns as now

from virtlab.core.words import words
from virtlab.machine.answers import PATIENCE_SECONDS, lines
from virtlab.machine.computer import watch
from virtlab.machine.measured import Measured, Quantity
from virtlab.machine.owning import MachineError, start
from virtlab.machine.presence import Host
from virtlab.machine.probes import another_core, usable_cpus
from virtlab.machine.sampling import CannotMeasure, check_seconds, reason, spread

_WINDOWS = 5  # of each arrangement
_LEAST_NS = 50_000_000  # of a window: some ten turns of the two on one CPU
_APART_NS = 20_000_000  # between two windows: whoever is late for one still has its rival


@dataclass(frozen=True)
class Booked:
    """What the books say of one process in one window: it ran, it waited, and the clock meanwhile; in ns."""

    wall_ns: int
    run_ns: int
    waited_ns: int

    @property
    def shares(self) -> tuple[float, float, float]:
        """Run, waited, and both together, as shares of the clock's time. Law: the last is 1, less what was stolen."""
        run, waited = self.run_ns / self.wall_ns, self.waited_ns / self.wall_ns
        return run, waited, run + waited


def measure_waiting(seconds: float = 1.5, host: Host | None = None) -> Measured:
    """Shares of the time that each of two busy processes ran, waited for its CPU, and both: on one CPU and on two.

    Takes about ``seconds`` (0.05 to 10, and 0.7 s at least) and some 0.2 s to prepare. A sample is one process in one
    window; median, 10th and 90th percentile. A look at the books takes some µs, and they are exact to that; but the two
    take turns of some ms, so in a single window a share may be a few percent off. Never raises for what cannot be
    measured: it is missing, with the reason. Whatever was started is gone afterwards, after an interrupt as well.
    Raises ParameterError for ``seconds`` out of range.
    """
    check_seconds(seconds)
    host = host or Host()
    facts = watch(host)
    found: dict[str, list[Booked]] = {}
    try:
        _keeps_books(host)
        cpus = usable_cpus()
        pairs = {"one_cpu": (cpus[0], cpus[0])}
        if len(cpus) > 1:
            pairs["two_cpus"] = (cpus[0], another_core(cpus))
        found, why = busy(pairs, seconds), words("machine.why.one_cpu")
    except MachineError as error:
        why = str(error)
    except Exception as error:  # a sandbox may refuse anything
        why = reason(error)
    quantities = [q for place in ("one_cpu", "two_cpus") for q in _shares(place, found.get(place), why)]
    # Some program waited all the time: ours. That others were in the way shows in the shares on two CPUs.
    return Measured(tuple(quantities), replace(facts(), waiting_meanwhile=None))


def _shares(place: str, booked: Sequence[Booked] | None, why: str) -> list[Quantity]:
    """The three quantities of one arrangement."""
    keys = [f"{part}_{place}" for part in ("run", "wait", "booked")]
    if booked is None:
        return [Quantity(key, missing=why) for key in keys]
    return [spread(*each) for each in zip(keys, zip(*(b.shares for b in booked), strict=True), strict=True)]


def _keeps_books(host: Host) -> None:
    """Raises CannotMeasure when the kernel does not say how long a process ran and waited."""
    numbers = host.read("proc/self/schedstat").split()
    if len(numbers) != 3 or not all(n.isdecimal() for n in numbers):
        raise CannotMeasure(words("probe.why.no_books"))
    if int(numbers[0]) == 0:  # this process ran, and the kernel did not write it down
        raise CannotMeasure(words("probe.why.empty_books"))


def busy(pairs: dict[str, tuple[int, int]], seconds: float) -> dict[str, list[Booked]]:
    """Two processes, busy on the CPUs of each pair in turns: what the books say of each of them, window by window.

    Raises CannotMeasure, MachineError or OSError.
    """
    order = [place for _ in range(_WINDOWS) for place in pairs]
    window_ns = max(_LEAST_NS, int(seconds * 1e9) // len(order) - _APART_NS)
    life = int(seconds) + 2 * PATIENCE_SECONDS
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("spinner.py")), str(life)]
    with contextlib.ExitStack() as held:
        both = [start(held, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
        for process in both:
            lines(process, 1, now())
        begin = now() + _APART_NS
        for n, process in enumerate(both):
            plan, at = [], begin
            for place in order:
                plan += [pairs[place][n], at, at + window_ns, at + window_ns + _APART_NS // 2]
                at += window_ns + _APART_NS
            assert process.stdin is not None
            process.stdin.write(f"{' '.join(map(str, plan))}\n".encode())
        answers = [lines(process, len(order), at) for process in both]
    found: dict[str, list[Booked]] = {place: [] for place in pairs}
    for answer in answers:
        for place, line in zip(order, answer, strict=True):
            booked = Booked(*(int(number) for number in line.split()))
            if booked.wall_ns > window_ns / 2:  # else it came too late for this window
                found[place].append(booked)
    if not all(found.values()):
        raise CannotMeasure(words("machine.why.noise"))
    return found
