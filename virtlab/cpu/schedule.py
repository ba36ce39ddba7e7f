"""Who runs when: vCPUs and emulator threads of VMs on the pCPUs of a host, under Linux's fair schedulers.

Policies. Each thread has a virtual time, to which its run time adds, divided by its weight. A pCPU lets a thread run
for a slice; then, if others wait, it chooses again. While nobody waits, slice follows slice, and who comes then waits
for at most the rest of one.

cfs    The thread with the least virtual time. One that wakes up may be behind the others by half of CFS's latency
       (four slices), and takes the place of the one that runs if it is behind by more than the wake-up granularity
       (4/3 of a slice): the proportions of Linux 6.5. CFS itself made slices longer where few competed, down to its
       minimum granularity; here a slice is ``slice_ns`` always.
eevdf  Of those that had no more than their share (virtual time up to the mean of the pCPU's threads), the one with the
       earliest deadline: virtual time at the begin of its slice, plus the slice by its weight (Stoica and Abdel-Wahab
       1995). As in Linux 6.12: one that sleeps keeps what it was behind its share, up to two slices, and works off what
       it was ahead; one that wakes up takes the place of another only if that had more than its share
       (RUN_TO_PARITY). So a thread that never had to wait has to wait for the end of the slice.

Placement. A thread that wakes up stays on its pCPU if that is idle, else goes to the one with the fewest threads, near
its memory first. A thread that is put back goes to an idle pCPU, and a pCPU that becomes idle takes over who has waited
longest, from its own node first. So no pCPU is idle while a thread waits that may run there. That a pCPU has more
threads than another is put right only where threads wake up or a pCPU becomes idle.

What a switch costs, and a cold cache after a migration, is time of the thread that runs, in which it does no work: as
Linux accounts for it, so that it is no steal. Left out: VM exits, interrupts, SMT siblings that slow each other down,
the groups of cgroups (a weight is that of each thread), NUMA balancing, bandwidth limits, real-time policies.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.parameter import ParameterError
from virtlab.core.units import number, show
from virtlab.core.words import say
from virtlab.cpu import schedule_steps as at
from virtlab.cpu.schedule_kernel import COUNTERS, schedule_kernel, space_for
from virtlab.cpu.schedule_options import ScheduleOptions, burst_means, checked_pins, pcpu_records, thread_records
from virtlab.cpu.schedule_result import Schedule, WaitTimes
from virtlab.evidence import FACTS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
#: Bursts of a thread that are drawn; then they come again.
BURSTS = 1024
#: Wake-ups that one run can hold, some seconds.
MOST_WAKEUPS = 20_000_000


def schedule(
    options: ScheduleOptions | None = None, /, *, seed: int = 1, pins: Mapping[int, int] | None = None, **changes: Any,
) -> Schedule:  # fmt: skip
    """Simulate a host for ``wall_ns``. Options as in :class:`ScheduleOptions`, as one object or by name.

    ``pins`` names a pCPU for some vCPUs (numbered VM by VM from 0), as ``virsh vcpupin`` does; it goes before
    ``pinning``, which says where the others go.

    Bursts and sleeps are exponential; the same ``seed`` gives each thread the same ones at every setting. All threads
    sleep at first, but for vCPUs that always run (``duty`` 1), which start together. Closed forms: m such vCPUs on a
    pCPU have steal 1 - 1/m, and none waits longer than m - 1 slices. Raises ParameterError.
    """
    o = ScheduleOptions.given(options, changes)
    return run(o, seed, pins)[0]


def run(
    o: ScheduleOptions, seed: int, pins: Mapping[int, int] | None = None, window_ns: tuple[int, int] = (0, 0),
    most: int = 0,
) -> tuple[Schedule, Ints, int]:  # fmt: skip
    """The result, up to ``most`` intervals that reach into the window, and how many are left out.

    Intervals: int64[k, 4] (pCPU, thread, begin, end), in the order in which they ended.
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ParameterError(say("schedule.error.seed", given=repr(seed)))
    arguments = arguments_of(o, seed, pins, window_ns, most)
    schedule_kernel(*arguments)
    _, threads, pcpus, *_, waits, trace, counters = arguments
    seen = int(counters[4]) if most else 0
    return _result(o, threads, pcpus, waits, counters), trace.reshape(-1, 4)[:seen], max(0, seen - most)


def arguments_of(
    o: ScheduleOptions, seed: int, pins: Mapping[int, int] | None = None, window_ns: tuple[int, int] = (0, 0),
    most: int = 0,
) -> tuple[Any, ...]:  # fmt: skip
    """The arguments of the kernel, fresh: it writes to all but the setting, the means and the units."""
    pcpus, means = pcpu_records(o), burst_means(o)
    n = o.vcpus + o.emulators
    expected = _wakeups(o, means)
    if expected > MOST_WAKEUPS:
        raise ParameterError(say("schedule.error.long", wakeups=number(expected), most=number(MOST_WAKEUPS),
                                 wall=show(o.wall_ns, "ns")))  # fmt: skip
    latency, granularity, least = (
        int(FACTS[f"sched.cfs.{name}"].value) for name in ("latency", "wakeup_granularity", "min_granularity")
    )
    setting = np.array([
        o.pcpus, o.vcpus, n, BURSTS, o.wall_ns, o.slice_ns, o.slice_ns * latency // (2 * least) * at.PACE,
        o.slice_ns * granularity // least, o.policy == "eevdf", o.context_switch_ns, o.migration_ns, *window_ns, most,
    ], np.int64)  # fmt: skip
    threads = thread_records(o, pcpus, checked_pins(o, pins))
    outputs = (np.zeros(size, np.int64) for size in (4 * at.BUCKETS, 4 * most, len(COUNTERS)))
    return (setting, threads.ravel(), pcpus.ravel(), means, *_units(int(seed), o.vcpus, o.emulators),
            *space_for(o.pcpus, n), *outputs)  # fmt: skip


def _wakeups(o: ScheduleOptions, means: Floats) -> float:
    """How many wake-ups to expect at most: what the threads want, or what the pCPUs have room for."""
    bursts, sleeps = means.reshape(2, -1)
    kinds = ((slice(0, o.vcpus), o.burst_ns), (slice(o.vcpus, None), o.emulator_burst_ns))
    total = 0.0
    for part, burst_ns in kinds:
        woken = (bursts[part] > 0) & (sleeps[part] >= 0)
        wanted = float(np.sum(woken / (bursts[part] + sleeps[part] + ~woken)))
        total += min(wanted, o.pcpus / burst_ns)
    return total * o.wall_ns


@functools.lru_cache(maxsize=4)
def _units(seed: int, vcpus: int, emulators: int) -> tuple[Floats, Floats]:
    """Exponential numbers of mean 1 for bursts and sleeps, float64[threads x BURSTS]; a thread has its own, always."""
    drawn = []
    for kind in range(2):
        parts = [np.random.default_rng([seed, kind, who]).exponential(1.0, count * BURSTS)
                 for who, count in enumerate((vcpus, emulators))]  # fmt: skip
        units = np.concatenate(parts)
        units.flags.writeable = False
        drawn.append(units)
    return drawn[0], drawn[1]


def _result(o: ScheduleOptions, threads: Ints, pcpus: Ints, waits: Ints, counters: Ints) -> Schedule:
    for array in (threads, pcpus, waits):
        array.flags.writeable = False
    records, of_pcpu = threads.reshape(-1, at.THREAD).T, pcpus.reshape(-1, at.PCPU).T
    vcpu, emulator = records[:, : o.vcpus], records[:, o.vcpus :]
    times = [WaitTimes(row) for row in waits.reshape(4, at.BUCKETS)]
    events, switches, migrations, preemptions, _ = counters.tolist()
    return Schedule(
        options=o,
        run_ns=vcpu[at.RUN],
        steal_ns=vcpu[at.STEAL],
        idle_ns=vcpu[at.IDLE],
        work_ns=vcpu[at.WORK],
        overhead_ns=vcpu[at.OVERHEAD],
        remote_ns=vcpu[at.FAR],
        longest_wait_ns=vcpu[at.LONGEST],
        emulator_run_ns=emulator[at.RUN],
        emulator_wait_ns=emulator[at.STEAL],
        emulator_idle_ns=emulator[at.IDLE],
        pcpu_vcpu_ns=of_pcpu[at.VCPUS],
        pcpu_emulator_ns=of_pcpu[at.EMULATORS],
        pcpu_idle_ns=of_pcpu[at.UNUSED],
        waits=times[0],
        emulator_waits=times[1],
        responses=times[2],
        emulator_responses=times[3],
        context_switches=switches,
        migrations=migrations,
        preemptions=preemptions,
        events=events,
    )
