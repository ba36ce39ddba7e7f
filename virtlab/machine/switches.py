"""Measures a context switch on one CPU, on two, and where the scheduler is free to choose. Linux, without rights.

The three are taken in turns of a part of the time, so that a busy moment strikes all of them.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable

from virtlab.core.words import words
from virtlab.machine.computer import watch
from virtlab.machine.measured import SWITCHES, Measured, Quantity, kept
from virtlab.machine.presence import Host
from virtlab.machine.probes import Samples, another_core, ping_pong, usable_cpus
from virtlab.machine.sampling import CannotMeasure, check_seconds, quantity, reason

_TURNS = 3
_CPU_FIELD = 36  # of /proc/PID/stat, behind the name: the CPU that it ran on last


def measure_switches(seconds: float = 1.0, host: Host | None = None) -> Measured:
    """ns from one process to another: both on one CPU, each on its own, and both free; how often apart when free.

    Takes about ``seconds`` (0.05 to 10) and some 0.5 s to prepare. Half a round trip through pipes, less a write and a
    read; median, 10th and 90th percentile. Never raises for what cannot be measured: it is missing, with the reason.
    Whatever was started is gone afterwards, after an interrupt as well. Raises ParameterError for ``seconds`` out of
    range.
    """
    check_seconds(seconds)
    host = host or Host()
    facts = watch(host)
    samples: dict[str, list[float]] = {key: [] for key in SWITCHES}
    missing: dict[str, str] = {}

    def look(pid: int) -> None:
        here, there = (_ran_on(f"proc/{who}/stat", host) for who in ("thread-self", pid))
        if here and there:
            samples["apart_free"].append(float(here != there))

    for _ in range(_TURNS):
        for key in ("switch_one_cpu", "switch_two_cpus", "switch_free"):
            if key in missing:
                continue
            try:
                with contextlib.closing(_pair(key, seconds / 3 / _TURNS, look)) as pair:  # an interrupt closes it
                    samples[key] += list(pair)
            except Exception as error:  # a sandbox may refuse anything
                missing[key] = reason(error)
    return Measured(tuple(_found(key, samples[key], missing.get(key, "")) for key in SWITCHES), facts())


def _pair(key: str, seconds: float, look: Callable[[int], None]) -> Samples:
    if key == "switch_free":
        return ping_pong(seconds, None, None, look)
    cpus = usable_cpus()
    if key == "switch_one_cpu":
        return ping_pong(seconds, cpus[0], cpus[0])
    if len(cpus) < 2:
        raise CannotMeasure(words("machine.why.one_cpu"))
    return ping_pong(seconds, cpus[0], another_core(cpus))


def _ran_on(file: str, host: Host) -> str:
    """The CPU that a process ran on last, as Linux writes it; empty where it is not told."""
    fields = host.read(file).rpartition(")")[2].split()
    return fields[_CPU_FIELD] if len(fields) > _CPU_FIELD else ""


def _found(key: str, samples: list[float], why: str) -> Quantity:
    if not why and not samples:
        why = words("probe.why.which_cpu")
    if why:
        return Quantity(key, missing=why)
    if key == "apart_free":  # each look says yes or no: the middle of them would say no more than one look
        share = sum(samples) / len(samples)
        return Quantity(key, share, share, share, len(samples))
    try:
        return quantity(key, samples)
    except CannotMeasure as error:
        return Quantity(key, missing=reason(error))


@functools.cache
def recorded_switches() -> Measured:
    """The context switches of a computer that come with the course, for comparison and where nothing can be pinned."""
    return kept("recorded_switches.toml")
