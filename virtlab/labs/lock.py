"""The lock lab: what preemption makes of a spinlock, and which remedy helps at which price."""

from __future__ import annotations

from typing import Literal

import numpy as np

from virtlab.core.jit import have_numba
from virtlab.core.parameter import Parameters, same
from virtlab.core.units import show
from virtlab.core.words import say
from virtlab.cpu import Locks, Stretch, lock_waste, locks, longest_stretch, stretches
from virtlab.cpu.locks import LockKind, LockOptions
from virtlab.figures.lock import Bar, LockPicture, LockResult
from virtlab.labs.base import Lab

#: vCPUs on a pCPU that a move of a slider simulates, besides the one that was chosen.
OTHERS = (1, 2, 3, 4, 6, 8)
EVENTS, EVENTS_OF_OTHERS, EVENTS_WITHOUT_NUMBA = 40_000, 16_000, 600
ROWS = 8_000  # of the trace: some thousand acquisitions


class LockSetting(Parameters):
    """A lock, how it is held, and how the host shares its pCPUs."""

    lock_kind: LockKind = same(LockOptions, "lock_kind")
    critical_ns: int = same(LockOptions, "critical_ns")
    vcpus_per_cpu: int = same(LockOptions, "vcpus_per_cpu", le=8)
    slice_ns: float = same(LockOptions, "slice_ns")
    ple: bool = same(LockOptions, "ple")
    think_ns: int = same(LockOptions, "think_ns")
    rivals: Literal["busy", "vms"] = same(LockOptions, "rivals")
    co_scheduled: bool = same(LockOptions, "co_scheduled")
    pv_spin_ns: int = same(LockOptions, "pv_spin_ns")


class LockLab(Lab):
    """Holder and waiter preemption: the mean that no slice moves, the tail that it does, and the remedies."""

    Setting = LockSetting
    Picture = LockPicture
    visible = ("lock_kind", "critical_ns", "vcpus_per_cpu", "slice_ns")

    def solve(self, setting: LockSetting) -> LockResult:
        fast = have_numba()
        values = setting.model_dump()
        chosen = setting.vcpus_per_cpu
        run = locks(**values, events=EVENTS if fast else EVENTS_WITHOUT_NUMBA, rows=ROWS)
        runs = {chosen: run}
        for m in OTHERS if fast else ():
            if m != chosen:
                runs[m] = locks(**{**values, "vcpus_per_cpu": m}, events=EVENTS_OF_OTHERS)
        ms = sorted(runs)
        each = [lock_waste(critical_ns=setting.critical_ns, slice_ns=setting.slice_ns, vcpus_per_cpu=m)
                for m in range(1, 9)]  # fmt: skip
        bars, start, end, label = time_line(run)
        return LockResult(
            vcpus=np.arange(1.0, 9.0),
            closed_mean_ns=np.array([w.mean_ns for w in each]),
            closed_cut_ns=np.array([w.cut_ns for w in each]),
            simulated=np.array(ms, float),
            wasted_ns=np.array([runs[m].per("acquisitions", runs[m].wasted_ns) for m in ms]),
            tail_ns=np.array([runs[m].wait_ns(0.999) for m in ms]),
            chosen=chosen, bars=bars, start_ns=start, end_ns=end, label=label,
            sentence=f"{each[chosen - 1].sentence()} {run.sentence()} {_drawn(run)}",
        )  # fmt: skip

    def sentence(self, setting: LockSetting, result: LockResult) -> str:
        return result.sentence


def _drawn(run: Locks) -> str:
    """What the dot and the triangle of this run show."""
    wasted = run.per("acquisitions", run.wasted_ns)
    return say("lock_lab.drawn", wasted=show(wasted, "ns"), tail=show(run.wait_ns(0.999), "ns"))


def time_line(run: Locks) -> tuple[tuple[Bar, ...], float, float, str]:
    """Who does what around a preempted holder, or, where there is none, around the longest spinning."""
    cut, spun = longest_stretch(run, "ready", holds=True), longest_stretch(run, "spin")
    event = cut or spun
    start, end = 0.0, float(max(1, run.traced_ns))
    if event:
        margin = 0.3 * (event.end_ns - event.start_ns)
        start, end = max(start, event.start_ns - margin), min(end, event.end_ns + margin)
    label = say(f"lock_lab.event.{'preempted' if cut else 'spun' if spun else 'nothing'}", n=event.pcpu if event else 0,
                time=show(event.end_ns - event.start_ns if event else end, "ns"))  # fmt: skip
    seen = [s for s in stretches(run, 0, start, end) if s.state != "halted"] if len(run.trace) else []
    return tuple(Bar(s.pcpu, _what(s), s.start_ns, s.end_ns) for s in seen), start, end, label


def _what(s: Stretch) -> str:
    return "waits_on" if s.holds and s.state == "ready" else s.state
