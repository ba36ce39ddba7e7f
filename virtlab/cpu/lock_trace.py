"""What a trace of the lock simulator says: who did what from when to when, and who held a lock meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.cpu.lock_records import READY, STATES
from virtlab.cpu.locks import Locks


@dataclass(frozen=True)
class Stretch:
    """From ``start_ns`` to ``end_ns`` a vCPU was in one state; ``holds`` says whether it held its lock."""

    vm: int
    pcpu: int
    state: str
    holds: bool
    start_ns: int
    end_ns: int


def stretches(run: Locks, vm: int | None = None, start_ns: float = 0, end_ns: float = math.inf) -> tuple[Stretch, ...]:
    """What each vCPU (of one VM) did until ``run.traced_ns``: by VM, by pCPU, by time; what touches start to end.

    Raises ParameterError without a trace.
    """
    if not len(run.trace):
        raise ParameterError(words("locks.error.trace"))
    pcpus, found = run.options.pcpus, []
    for vcpu in range(pcpus * run.options.vcpus_per_cpu):
        if vm is not None and vm != vcpu // pcpus:
            continue
        own = run.trace[run.trace[:, 1] == vcpu]
        times = np.concatenate([[0], own[:, 0], [run.traced_ns]])
        starts, ends, states = times[:-1], times[1:], np.concatenate([[READY], own[:, 2]])
        seen = (starts < ends) & (starts < end_ns) & (ends > start_ns)
        found += [
            Stretch(vcpu // pcpus, vcpu % pcpus, STATES[state % 8], state >= 8, start, end)
            for state, start, end in zip(*(a[seen].tolist() for a in (states, starts, ends)), strict=True)
        ]  # fmt: skip
    return tuple(found)


def longest_stretch(run: Locks, state: str, holds: bool = False, vm: int = 0) -> Stretch | None:
    """The longest time that a vCPU of a VM was in a state and left it again; None if none did."""
    code, pcpus = STATES.index(state) + (8 if holds else 0), run.options.pcpus
    best = None
    for pcpu in range(pcpus):
        own = run.trace[run.trace[:, 1] == vm * pcpus + pcpu]
        lengths = np.where(own[:-1, 2] == code, np.diff(own[:, 0]), -1)
        if len(lengths) and lengths.max() > (best.end_ns - best.start_ns if best else 0):
            at = int(lengths.argmax())
            start = int(own[at, 0])
            best = Stretch(vm, pcpu, state, holds, start, start + int(lengths[at]))
    return best


def critical_sections(run: Locks) -> tuple[Stretch, ...]:
    """Who holds a lock from when to when, preempted or not, in order of time: two of one VM never overlap."""
    found: list[Stretch] = []
    for s in stretches(run):
        if s.holds and found and found[-1].end_ns == s.start_ns and (found[-1].vm, found[-1].pcpu) == (s.vm, s.pcpu):
            found[-1] = Stretch(s.vm, s.pcpu, "critical", True, found[-1].start_ns, s.end_ns)
        elif s.holds:
            found.append(s)
    return tuple(sorted(found, key=lambda s: (s.start_ns, s.end_ns)))
