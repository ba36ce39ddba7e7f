"""What a trace of the lock simulator says: who did what from when to when, and who held a lock meanwhile."""

from __future__ import annotations

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


def stretches(run: Locks) -> tuple[Stretch, ...]:
    """What each vCPU did until ``run.traced_ns``: by VM, by pCPU, by time. Raises ParameterError without a trace."""
    if not len(run.trace):
        raise ParameterError(words("locks.error.trace"))
    pcpus, found = run.options.pcpus, []
    for vcpu in range(pcpus * run.options.vcpus_per_cpu):
        own = run.trace[run.trace[:, 1] == vcpu]
        times = [0, *own[:, 0].tolist(), run.traced_ns]
        states = np.concatenate([[READY], own[:, 2]]).tolist()
        found += [
            Stretch(vcpu // pcpus, vcpu % pcpus, STATES[state % 8], state >= 8, start, end)
            for state, start, end in zip(states, times[:-1], times[1:], strict=True) if start < end
        ]  # fmt: skip
    return tuple(found)


def critical_sections(run: Locks) -> tuple[Stretch, ...]:
    """Who holds a lock from when to when, preempted or not, in order of time: two of one VM never overlap."""
    found: list[Stretch] = []
    for s in stretches(run):
        if s.holds and found and found[-1].end_ns == s.start_ns and (found[-1].vm, found[-1].pcpu) == (s.vm, s.pcpu):
            found[-1] = Stretch(s.vm, s.pcpu, "critical", True, found[-1].start_ns, s.end_ns)
        elif s.holds:
            found.append(s)
    return tuple(sorted(found, key=lambda s: (s.start_ns, s.end_ns)))
