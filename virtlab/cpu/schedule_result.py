"""What a run of the scheduler gave: run, steal and idle of each vCPU, who had each pCPU, how long threads waited."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.core.parameter import ParameterError
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu.schedule_options import ScheduleOptions
from virtlab.cpu.schedule_steps import BUCKETS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


@functools.cache
def _middles() -> Floats:
    """The middle of each bucket, ns. The first 128 hold one ns each; from there on 64 buckets to a doubling."""
    k = np.arange(BUCKETS)
    shift = np.maximum(k // 64 - 1, 0)
    return ((k - 64.0 * shift) + 0.5) * 2.0**shift - 0.5


@dataclass(frozen=True, repr=False, eq=False)
class WaitTimes(Shown):
    """A distribution of times: how many fell into each bucket, int64[BUCKETS]. Good to 1/128 of a time."""

    counts: Ints

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    @property
    def mean_ns(self) -> float:
        """The mean; NaN of none."""
        return float(self.counts @ _middles()) / self.count if self.count else float("nan")

    def quantile_ns(self, share: float) -> float:
        """The time that the share ``share`` of them does not exceed; NaN of none. Raises ParameterError."""
        if not 0 <= share <= 1:
            raise ParameterError(say("schedule.error.quantile", given=repr(share)))
        below = np.cumsum(self.counts)
        if not below[-1]:
            return float("nan")
        return float(_middles()[np.searchsorted(below, max(1.0, share * below[-1]))])

    def curve(self) -> tuple[Floats, Floats]:
        """Times (ns) and the share that does not exceed each: the distribution function, where it rises."""
        at = np.flatnonzero(self.counts)
        return _middles()[at], np.cumsum(self.counts[at]) / max(1, self.count)

    def table(self) -> Table:
        rows = [(words(f"schedule.quantile.{name}"), show(self.quantile_ns(share), "ns"))
                for name, share in QUANTILES.items()]  # fmt: skip
        rows.append((words("schedule.quantile.mean"), show(self.mean_ns, "ns")))
        caption = say("schedule.times", count=number(self.count, 12))
        return Table.of(words("schedule.header"), rows, caption, numeric=[1])


@dataclass(frozen=True, repr=False, eq=False)
class Schedule(Shown):
    """All in ns, int64: one value a vCPU (VM by VM), an emulator thread (one a VM, or none), a pCPU.

    ``steal_ns`` is time in which a vCPU was runnable and did not run, and nothing else. ``work_ns`` is what the run
    time was good for: work as it takes next to the memory; the rest went on switches and cold caches
    (``overhead_ns``) and on remote memory. ``remote_ns`` is run time away from the node of the memory.
    ``longest_wait_ns`` is the longest that a vCPU was runnable and did not run, at a time. ``waits`` and
    ``responses`` are of wake-ups: until the thread ran, and until its burst was done.
    """

    options: ScheduleOptions
    run_ns: Ints
    steal_ns: Ints
    idle_ns: Ints
    work_ns: Ints
    overhead_ns: Ints
    remote_ns: Ints
    longest_wait_ns: Ints
    emulator_run_ns: Ints
    emulator_wait_ns: Ints
    emulator_idle_ns: Ints
    pcpu_vcpu_ns: Ints
    pcpu_emulator_ns: Ints
    pcpu_idle_ns: Ints
    waits: WaitTimes
    emulator_waits: WaitTimes
    responses: WaitTimes
    emulator_responses: WaitTimes
    context_switches: int
    migrations: int
    preemptions: int
    events: int

    def law(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Conservation, exact. Returns both sides of each of these in turn.

        Each vCPU, each emulator: run + steal + idle = wall. Each pCPU: vCPUs + emulators + idle = wall.
        All pCPUs: time for vCPUs = run of the vCPUs, the same for emulators.
        All: run of the vCPUs + of the emulators + idle pCPUs = pCPUs x wall.
        """
        o = self.options
        threads = (self.run_ns + self.steal_ns + self.idle_ns).tolist()
        emulators = (self.emulator_run_ns + self.emulator_wait_ns + self.emulator_idle_ns).tolist()
        pcpus = (self.pcpu_vcpu_ns + self.pcpu_emulator_ns + self.pcpu_idle_ns).tolist()
        guests, host, unused = (int(ns.sum()) for ns in (self.run_ns, self.emulator_run_ns, self.pcpu_idle_ns))
        taken = int(self.pcpu_vcpu_ns.sum()), int(self.pcpu_emulator_ns.sum())
        walls = (o.wall_ns,) * (len(threads) + len(emulators) + len(pcpus))
        left = (*threads, *emulators, *pcpus, *taken, guests + host + unused)
        return left, (*walls, guests, host, o.pcpus * o.wall_ns)

    def _share(self, ns: Ints) -> float:
        """Of the time of all vCPUs."""
        return int(ns.sum()) / (self.options.vcpus * self.options.wall_ns)

    @property
    def run_share(self) -> float:
        return self._share(self.run_ns)

    @property
    def steal_share(self) -> float:
        """What ``top`` shows as st in the guests, as a mean of all vCPUs."""
        return self._share(self.steal_ns)

    @property
    def idle_share(self) -> float:
        return self._share(self.idle_ns)

    @property
    def work_share(self) -> float:
        """Work done, over the time of all vCPUs."""
        return self._share(self.work_ns)

    @property
    def host_share(self) -> float:
        """Time of the pCPUs that emulator threads took: the host's work."""
        return int(self.pcpu_emulator_ns.sum()) / (self.options.pcpus * self.options.wall_ns)

    @property
    def pcpu_idle_share(self) -> float:
        """Time of the pCPUs that nobody used."""
        return int(self.pcpu_idle_ns.sum()) / (self.options.pcpus * self.options.wall_ns)

    @property
    def vcpus_per_pcpu(self) -> float:
        """Density: vCPUs by all pCPUs, the reserved ones too, since they are paid for."""
        return self.options.vcpus / self.options.pcpus

    @property
    def vcpus_per_core(self) -> float:
        """Density by cores, which have ``threads_per_core`` pCPUs each."""
        return self.vcpus_per_pcpu * self.options.threads_per_core

    @property
    def local_share(self) -> float:
        """Run time next to the memory; with interleaved memory the part of it that is next to any pCPU."""
        if self.options.placement == "interleaved":
            return 1 / self.options.numa_nodes
        run = int(self.run_ns.sum())
        return 1 - int(self.remote_ns.sum()) / run if run else 1.0

    @property
    def remote_lost_ns(self) -> Ints:
        """Run time of each vCPU that remote memory took."""
        return self.run_ns - self.overhead_ns - self.work_ns

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        text = say("schedule.sentence", vcpus=o.vcpus, pcpus=o.pcpus, density=number(self.vcpus_per_pcpu),
                   run=show(self.run_share, "%"), steal=show(self.steal_share, "%"), idle=show(self.idle_share, "%"),
                   unused=show(self.pcpu_idle_share, "%"))  # fmt: skip
        for key, times in (("woken", self.waits), ("emulators", self.emulator_waits)):
            if times.count:
                values = {name: show(times.quantile_ns(share), "ns") for name, share in QUANTILES.items()}
                text += say(f"schedule.{key}", **values)
        return f"{text}."

    def table(self) -> Table:
        values = {
            "density": number(self.vcpus_per_pcpu),
            "per_core": number(self.vcpus_per_core),
            "run": show(self.run_share, "%"),
            "steal": show(self.steal_share, "%"),
            "idle": show(self.idle_share, "%"),
            "work": show(self.work_share, "%"),
            "longest": show(int(self.longest_wait_ns.max()), "ns"),
            "host": show(self.host_share, "%"),
            "unused": show(self.pcpu_idle_share, "%"),
            "local": show(self.local_share, "%"),
            "switches": show(self.context_switches / self.options.wall_ns * 1e9, "1/s"),
            "migrations": show(self.migrations / self.options.wall_ns * 1e9, "1/s"),
        }
        rows = [(words(f"schedule.row.{key}"), value) for key, value in values.items()]
        for key, times in (("waits", self.waits), ("responses", self.responses),
                           ("emulator_waits", self.emulator_waits)):  # fmt: skip
            spread = " / ".join(show(times.quantile_ns(share), "ns") for share in QUANTILES.values())
            rows.append((words(f"schedule.row.{key}"), spread if times.count else words("schedule.none")))
        return Table.of(words("schedule.header"), rows, self.sentence(), numeric=[1])
