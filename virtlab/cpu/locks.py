"""Spinlocks of a guest whose vCPUs are preempted: lock holders, lock waiters, PLE, paravirtual locks.

Closed form: a holder that is preempted keeps the lock for the m - 1 slices of its rivals. With a slice s and a critical
section c that begins anywhere in a slice, c / s of the sections are cut, and each cut lasts (m - 1) s: a vCPU that runs
and spins for the holder loses c (m - 1) on average, whatever the slice. The slice sets the tail.

The simulation adds what follows from it. Each VM has one vCPU on each pCPU, pinned; pCPUs share their time round robin.
A vCPU works, takes its VM's lock, holds it, and releases it. A vCPU that is woken or boosted gets its pCPU at once,
unless it is a slice ahead of the one that runs there. Kinds of lock:

- test-and-set: the first running vCPU that looks takes it;
- ticket: first come, first served, so that the lock stays free until the vCPU whose turn it is runs;
- paravirtual, after Linux's qspinlock: a line; a waiter that has spun for `pv_spin_ns`, or whose predecessor halted,
  halts; the release wakes the head of the line. Newcomers steal a free lock unless the head has set its pending bit.

PLE is KVM's: a spinning vCPU exits after a window that each exit doubles and each preemption resets, and gives its time
to the next preempted vCPU of the VM in a round (kvm_vcpu_on_spin). KVM does not know who holds the lock.

Left out, each in favour of the lock: cache misses of the hand-over, interrupts, threads of the guest that are more than
its vCPUs. Left out, against it: balancing between pCPUs. The scheduler of Linux ignores some boosts: here few are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu.lock_kernels import lock_kernel
from virtlab.cpu.lock_records import AREA, COUNTS, IDLE, LINE, OWNER, RUN, SPENT, STATES, Ints, V, records
from virtlab.evidence import FACTS

LockKind = Literal["tas", "ticket", "pv"]
KINDS: tuple[LockKind, ...] = ("tas", "ticket", "pv")
#: Events of one run: as many as answer a slider in time, with and without numba.
EVENTS, EVENTS_WITHOUT_NUMBA = 100_000, 3_000
#: What spinning vCPUs wait for: a holder that runs, a preempted one, or one that is next and does not look.
CAUSES = ("running_holder", "preempted_holder", "absent_waiter")


class LockOptions(Parameters):
    """A lock, its VM, and the host that they run on."""

    lock_kind: LockKind = parameter(FACTS["lock.kind"], default="tas")
    critical_ns: int = parameter(FACTS["lock.critical"], ge=500, le=100_000, log=True)
    think_ns: int = parameter(FACTS["lock.think"], ge=1_000, le=10_000_000, log=True)
    vcpus_per_cpu: int = parameter(FACTS["sched.vcpus_per_cpu"], ge=1, le=16)
    slice_ns: float = parameter(FACTS["sched.slice"], ge=100_000, le=100_000_000, log=True)
    pcpus: int = parameter(FACTS["lock.pcpus"], ge=2, le=16)
    rivals: Literal["busy", "vms"] = parameter(FACTS["lock.rivals"], default="busy")
    co_scheduled: bool = parameter(FACTS["lock.co_scheduled"], default=False)
    ple: bool = parameter(FACTS["ple.on"], default=False)
    ple_window_cycles: int = parameter(FACTS["ple.window"], ge=512, le=16_384, log=True)
    ple_window_grow: int = parameter(FACTS["ple.grow"], ge=0, le=16)
    ple_window_shrink: int = parameter(FACTS["ple.shrink"], ge=0, le=16)
    pv_spin_ns: int = parameter(FACTS["lock.pv.spin"], ge=0, le=10_000_000)
    lock_exit_ns: int = parameter(FACTS["lock.exit"], ge=100, le=20_000, log=True)
    wakeup_ns: float = parameter(FACTS["host.wakeup"], ge=0, le=1_000_000)
    clock_ghz: float = parameter(FACTS["cpu.clock"], ge=1, le=6)


@dataclass(frozen=True, repr=False)
class LockWaste(Shown):
    """What a vCPU that runs and spins for the holder loses per acquisition: the closed form, in ns."""

    critical_ns: int
    vcpus_per_cpu: int
    slice_ns: float

    @property
    def mean_ns(self) -> float:
        """c (m - 1): the slice is not in it."""
        return float(self.critical_ns * (self.vcpus_per_cpu - 1))

    @property
    def cut_ns(self) -> float:
        """How long the holder is off its pCPU each time: (m - 1) s, which is the size of the tail."""
        return (self.vcpus_per_cpu - 1) * self.slice_ns

    @property
    def cut_share(self) -> float:
        """The share of the sections that are cut: c / s, up to 1."""
        return min(1.0, self.critical_ns / self.slice_ns) if self.vcpus_per_cpu > 1 else 0.0

    def quantile_ns(self, q: float) -> float:
        """The waste that a share ``q`` (0 to 1) of the sections does not exceed."""
        if not 0 <= q <= 1:
            raise ParameterError(say("locks.error.quantile", given=repr(q)))
        whole, rest = divmod(self.critical_ns / self.slice_ns, 1)
        return (whole + (rest > 0 and q > 1 - rest)) * self.cut_ns

    def law(self) -> tuple[float, float]:
        """The mean of the distribution that the quantiles describe, and c (m - 1)."""
        whole, rest = divmod(self.critical_ns / self.slice_ns, 1)
        return ((1 - rest) * whole + rest * (whole + 1)) * self.cut_ns, self.mean_ns

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say(f"locks.waste.{'sentence' if self.vcpus_per_cpu > 1 else 'alone'}", m=self.vcpus_per_cpu,
                   critical=show(self.critical_ns, "ns"), mean=show(self.mean_ns, "ns"), cut=show(self.cut_ns, "ns"),
                   slice=show(self.slice_ns, "ns"), share=show(self.cut_share, "%"))  # fmt: skip

    def table(self) -> Table:
        parts = {"mean": self.mean_ns, "cut": self.cut_ns, "p99": self.quantile_ns(0.99),
                 "p999": self.quantile_ns(0.999), "worst": self.quantile_ns(1)}  # fmt: skip
        rows = [(words(f"locks.waste.{part}"), show(ns, "ns")) for part, ns in parts.items()]
        rows.insert(1, (words("locks.waste.share"), show(self.cut_share, "%")))
        return Table.of(words("locks.header"), rows, self.sentence(), numeric=[1])


@dataclass(frozen=True, repr=False)
class Locks(Shown):
    """One run of the simulation, over all VMs that have a lock. Times in ns.

    ``waits_ns`` and ``spins_ns`` int64[acquisitions]: from wanting the lock to having it, and the CPU time spun
    meanwhile. ``extra_ns`` int64[releases]: how much longer than the critical section the lock was held.
    ``spent_ns`` int64[vms, pcpus, 6]: each vCPU's time by state (``STATES``). ``idle_ns`` int64[pcpus].
    ``spin_ns``: the spin time by what was waited for. ``trace`` int64[rows, 3], until ``traced_ns``: read it with
    :mod:`virtlab.cpu.lock_trace`.
    """

    options: LockOptions
    wall_ns: int
    counts: Mapping[str, int]
    waits_ns: Ints
    spins_ns: Ints
    extra_ns: Ints
    spent_ns: Ints
    idle_ns: Ints
    spin_ns: Mapping[str, int]
    trace: Ints
    traced_ns: int

    @property
    def vms(self) -> int:
        """VMs that have a lock."""
        return self.options.vcpus_per_cpu if self.options.rivals == "vms" else 1

    @property
    def closed(self) -> LockWaste:
        """The closed form of the same options."""
        return lock_waste(self.options)

    @property
    def acquisitions_per_s(self) -> float:
        """How often a VM takes its lock."""
        return self.counts["acquisitions"] / self.vms / self.wall_ns * 1e9

    def share(self, state: str) -> float:
        """The share of its vCPUs' time that a VM with a lock spends in a state, 0 to 1."""
        spent = int(self.spent_ns[: self.vms, :, STATES.index(state)].sum())
        return spent / (self.vms * self.options.pcpus * self.wall_ns)

    @property
    def useful_share(self) -> float:
        """The share of the vCPUs' time that is work, in critical sections or not."""
        return self.share("think") + self.share("critical")

    @property
    def wait_mean_ns(self) -> float:
        return float(self.waits_ns.mean()) if len(self.waits_ns) else math.nan

    def wait_ns(self, q: float) -> float:
        """The quantile ``q`` of the wait for the lock; unknown (nan) if it was never taken."""
        if not len(self.waits_ns):
            return math.nan
        at = min(len(self.waits_ns) - 1, int(q * len(self.waits_ns)))
        return float(np.partition(self.waits_ns, at)[at])

    @property
    def wasted_ns(self) -> int:
        """CPU time that vCPUs spun for one that did not run, and that exits took."""
        exits = int(self.spent_ns[: self.vms, :, STATES.index("exit")].sum())
        return self.spin_ns["preempted_holder"] + self.spin_ns["absent_waiter"] + exits

    @property
    def waste_per_contended_ns(self) -> float:
        """The same per acquisition that had to wait; 0 where none had to."""
        return self.per("contended", self.wasted_ns)

    @property
    def preempted_share(self) -> float:
        """The share of the acquisitions whose holder was preempted."""
        return self.per("acquisitions", self.counts["preempted_holders"])

    @property
    def absent_share(self) -> float:
        """The share of the releases with waiters at which the one that is next (or any) does not look."""
        return self.per("handovers", self.counts["absent_waiters"])

    def per(self, count: str, what: float) -> float:
        """``what`` per event that ``counts`` counts; 0 where there was none."""
        return what / self.counts[count] if self.counts[count] else 0.0

    def law(self) -> tuple[int, int]:
        """Conservation, exact: what the vCPUs' time went to, and wall time times vCPUs. Returns both sides."""
        return int(self.spent_ns.sum()), self.wall_ns * self.spent_ns.shape[0] * self.spent_ns.shape[1]

    def price(self) -> str:
        """What the remedies in force cost, in words."""
        o = self.options
        prices = [key for key, on in (("pinned", o.vcpus_per_cpu == 1), ("co_scheduled", o.co_scheduled),
                                      ("pv", o.lock_kind == "pv"), ("ple", o.ple)) if on]  # fmt: skip
        return "; ".join(words(f"locks.price.{key}") for key in prices or ["none"])

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        return say(f"locks.run.{'sentence' if self.counts['acquisitions'] else 'nothing'}", m=o.vcpus_per_cpu,
                   kind=words(f"locks.kind.{o.lock_kind}"), ple=words(f"locks.ple.{'on' if o.ple else 'off'}"),
                   rate=show(self.acquisitions_per_s, "1/s"), useful=show(self.useful_share, "%"),
                   spin=show(self.share("spin"), "%"), mean=show(self.wait_mean_ns, "ns"),
                   p99=show(self.wait_ns(0.99), "ns"), waste=show(self.waste_per_contended_ns, "ns"),
                   wall=show(self.wall_ns, "ns"))  # fmt: skip

    def table(self) -> Table:
        idle = float(self.idle_ns.sum()) / (self.options.pcpus * self.wall_ns)
        values = {
            "rate": show(self.acquisitions_per_s, "1/s"), **{s: show(self.share(s), "%") for s in STATES},
            "idle": show(idle, "%"), "mean": show(self.wait_mean_ns, "ns"), "p99": show(self.wait_ns(0.99), "ns"),
            "waste": show(self.waste_per_contended_ns, "ns"), "cut": show(self.preempted_share, "%"),
            "absent": show(self.absent_share, "%"),
            **{name: number(self.per("acquisitions", self.counts[count]))
               for name, count in (("exits", "ple_exits"), ("yields", "yields"), ("kicks", "kicks"))},
            "price": self.price(),
        }  # fmt: skip
        rows = [(words(f"locks.run.{key}"), text) for key, text in values.items()]
        return Table.of(words("locks.header"), rows, self.sentence(), numeric=[1])


def lock_waste(options: LockOptions | None = None, /, **changes: Any) -> LockWaste:
    """The closed form: waste per contended acquisition and running waiter. Options as in :class:`LockOptions`.

    Golden, m and c in µs: (2, 5) 5 µs, (4, 5) 15 µs, (4, 50) 150 µs, for every slice. Raises ParameterError.
    """
    o = _options(options, changes)
    return LockWaste(o.critical_ns, o.vcpus_per_cpu, o.slice_ns)


def locks(
    options: LockOptions | None = None, /, seed: int = 1, events: int | None = None, rows: int = 0, **changes: Any
) -> Locks:
    """Simulates a VM that contends for its lock. Options as in :class:`LockOptions`, as one object or by name.

    Depends on ``seed``: who has each pCPU at first, and the times between two sections. A run ends after ``events``
    events (changes of what a pCPU does), so that it takes the same time whatever is simulated; ``rows`` is how many
    changes of state the trace keeps. Raises ParameterError.
    """
    o = _options(options, changes)
    length = (EVENTS if have_numba() else EVENTS_WITHOUT_NUMBA) if events is None else events
    if not 1 <= length <= 10**8 or not 0 <= rows <= 10**7:
        raise ParameterError(say("locks.error.length", events=repr(events), rows=repr(rows)))
    p, m, slice_ns = o.pcpus, o.vcpus_per_cpu, round(o.slice_ns)
    locking = m if o.rivals == "vms" else 1
    left, turn, unit = _draws(seed, p)
    first = np.ceil(left * slice_ns).astype(np.int64)
    think = np.maximum(1, np.rint(unit * o.think_ns)).astype(np.int64)
    if o.co_scheduled:
        first, turn = np.full(p, slice_ns), np.zeros(p)
    v, c, k, n = records(p, m, locking, slice_ns, think, first, (turn * m).astype(np.int64))
    window = max(1, round(o.ple_window_cycles / o.clock_ghz)) if o.ple else 0
    numbers = np.array([KINDS.index(o.lock_kind), p, m, o.critical_ns, slice_ns, o.pv_spin_ns, round(o.wakeup_ns),
                        o.lock_exit_ns, window, o.ple_window_grow, o.ple_window_shrink, slice_ns, o.co_scheduled,
                        length], np.int64)  # fmt: skip
    waits, spins, extras = (np.zeros(length, np.int64) for _ in range(3))
    flat = np.zeros(3 * rows, np.int64)
    lock_kernel(numbers, v, c, k, n, think, waits, spins, extras, flat)
    counts = dict(zip(COUNTS, n.tolist(), strict=False))
    taken, held = counts["acquisitions"], k.reshape(m, LINE + p)
    areas = held[:locking, AREA : AREA + len(CAUSES)].sum(axis=0)
    released = taken - int((held[:locking, OWNER] >= 0).sum())
    trace = flat[: 3 * counts["rows"]].reshape(-1, 3)
    traced_ns = counts["end"] if len(trace) < rows else int(trace[-1, 0]) if rows else 0
    return Locks(
        o, counts["end"], counts, waits[:taken], spins[:taken], extras[:released],
        v.reshape(m, p, V)[:, :, SPENT:], c.reshape(p, RUN + m)[:, IDLE],
        dict(zip(CAUSES, areas.tolist(), strict=True)), trace, traced_ns,
    )  # fmt: skip


def _options(options: LockOptions | None, changes: Mapping[str, Any]) -> LockOptions:
    chosen: LockOptions = LockOptions.given(options, changes)
    return chosen


@functools.lru_cache(maxsize=4)
def _draws(seed: int, pcpus: int) -> tuple[Any, Any, Any]:
    """Common random numbers: how much of a slice is left, whose turn it is (0 to 1), and times of mean 1."""
    draw = np.random.default_rng(seed)
    times = draw.exponential(1.0, 65_536)
    return 1 - draw.random(pcpus), draw.random(pcpus), times / times.mean()
