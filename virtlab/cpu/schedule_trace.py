"""Who ran where when: a run of the scheduler with the intervals of a window, for a Gantt chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from virtlab.core.parameter import ParameterError
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu.schedule import run
from virtlab.cpu.schedule_options import ScheduleOptions
from virtlab.cpu.schedule_result import Schedule

#: Intervals that one trace can hold: far more than a chart can show.
MOST_INTERVALS = 100_000


class Interval(NamedTuple):
    """A thread on a pCPU. Threads are numbered: first the vCPUs, VM by VM, then the emulators, one a VM."""

    pcpu: int
    thread: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, repr=False, eq=False)
class ScheduleTrace(Shown):
    """The intervals of a window, by pCPU and time, cut to the window. ``left_out``: those beyond ``most``."""

    schedule: Schedule
    start_ns: int
    end_ns: int
    intervals: tuple[Interval, ...]
    left_out: int

    def name(self, thread: int) -> str:
        """The thread as a reader calls it: vCPU 2 of VM 1, or the emulator of VM 1. VMs and vCPUs count from 0."""
        o = self.schedule.options
        if thread >= o.vcpus:
            return say("schedule.thread.emulator", vm=thread - o.vcpus)
        vm, vcpu = divmod(thread, o.vcpus_per_vm)
        return say("schedule.thread.vcpu", vm=vm, vcpu=vcpu)

    def law(self) -> tuple[int, int]:
        """On no pCPU do two intervals overlap. Returns how many do, and 0."""
        pairs = zip(self.intervals, self.intervals[1:], strict=False)
        return sum(a.pcpu == b.pcpu and a.end_ns > b.start_ns for a, b in pairs), 0

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        key = "cut" if self.left_out else "sentence"
        return say(f"schedule.trace.{key}", count=number(len(self.intervals), 6), left_out=number(self.left_out, 6),
                   start=show(self.start_ns, "ns"), end=show(self.end_ns, "ns"))  # fmt: skip

    def table(self) -> Table:
        rows = [(i.pcpu, self.name(i.thread), show(i.start_ns, "ns", 6), show(i.end_ns - i.start_ns, "ns"))
                for i in self.intervals[:50]]  # fmt: skip
        return Table.of(words("schedule.trace.header"), rows, self.sentence(), numeric=[0, 2, 3])


def schedule_trace(
    options: ScheduleOptions | None = None, /, *, start_ns: int = 0, length_ns: int = 50_000_000, most: int = 5_000,
    seed: int = 1, pins: Mapping[int, int] | None = None, **changes: Any,
) -> ScheduleTrace:  # fmt: skip
    """:func:`schedule`, with who ran where from ``start_ns`` on for ``length_ns``, at most ``most`` intervals.

    A thread that goes on after its slice has one interval. Where there are more than ``most``, those that ended first
    are kept. Raises ParameterError.
    """
    o = ScheduleOptions.given(options, changes)
    for name, value, least, highest in (("start_ns", start_ns, 0, o.wall_ns), ("length_ns", length_ns, 1, 10**12),
                                        ("most", most, 1, MOST_INTERVALS)):  # fmt: skip
        if not isinstance(value, int | np.integer) or not least <= value <= highest:
            raise ParameterError(say("schedule.error.window", name=name, least=least, most=highest, given=repr(value)))
    end_ns = min(int(start_ns + length_ns), o.wall_ns)
    result, found, left_out = run(o, seed, pins, (int(start_ns), end_ns), int(most))
    kept: list[Interval] = []
    for pcpu, thread, begin, end in sorted(found.tolist(), key=lambda row: (row[0], row[2])):
        begin, end = max(begin, start_ns), min(end, end_ns)
        if kept and kept[-1][:2] == (pcpu, thread) and kept[-1].end_ns == begin:
            kept[-1] = kept[-1]._replace(end_ns=end)
        else:
            kept.append(Interval(pcpu, thread, begin, end))
    return ScheduleTrace(result, int(start_ns), end_ns, tuple(kept), left_out)

