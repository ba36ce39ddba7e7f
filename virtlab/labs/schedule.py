"""The schedule lab: vCPUs and emulator threads share the pCPUs of one host; who runs, who waits, and how long."""

from __future__ import annotations

import numpy as np

from virtlab.core.jit import have_numba
from virtlab.core.parameter import same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu import Schedule, ScheduleOptions, schedule_trace
from virtlab.figures.schedule import WINDOW_NS, SchedulePicture, ScheduleResult
from virtlab.labs.base import Lab

#: Simulated without numba: a thirtieth of the speed.
WITHOUT_NUMBA_NS = 50_000_000


class ScheduleSetting(ScheduleOptions):
    """The host of the simulator, within what a lab can show at once: at every setting all VMs fit."""

    pcpus: int = same(ScheduleOptions, "pcpus", ge=8)
    vcpus_per_vm: int = same(ScheduleOptions, "vcpus_per_vm", le=4)
    burst_ns: float = same(ScheduleOptions, "burst_ns", ge=100_000)
    emulator_burst_ns: float = same(ScheduleOptions, "emulator_burst_ns", ge=20_000)
    wall_ns: int = same(ScheduleOptions, "wall_ns", ge=50_000_000, le=2_000_000_000)


class ScheduleLab(Lab):
    """Who has the CPU? Player and referee on the same pCPUs, pinned or not, with or without pCPUs of their own."""

    Setting = ScheduleSetting
    Picture = SchedulePicture
    visible = ("vms", "duty", "emulator_load", "pinning")

    def solve(self, setting: ScheduleSetting) -> ScheduleResult:
        o = setting if have_numba() else setting.replace(wall_ns=min(setting.wall_ns, WITHOUT_NUMBA_NS))
        trace = schedule_trace(o, start_ns=(o.wall_ns - WINDOW_NS) // 2, length_ns=WINDOW_NS)
        run = trace.schedule
        worst = int(np.argmax(run.steal_ns))
        shares = {
            "mean": {"run": run.run_share, "steal": run.steal_share, "idle": run.idle_share},
            "worst": {"run": int(run.run_ns[worst]) / o.wall_ns, "steal": int(run.steal_ns[worst]) / o.wall_ns,
                      "idle": int(run.idle_ns[worst]) / o.wall_ns},
            "pcpus": {"run": 1 - run.host_share - run.pcpu_idle_share, "emulators": run.host_share,
                      "idle": run.pcpu_idle_share},
        }  # fmt: skip
        return ScheduleResult(trace, shares)

    def sentence(self, setting: ScheduleSetting, result: ScheduleResult) -> str:
        run, o = result.trace.schedule, result.trace.schedule.options
        return say(
            "schedule_lab.sentence", vcpus=o.vcpus, pcpus=o.pcpus, density=number(run.vcpus_per_pcpu),
            pinning=words(f"schedule_lab.pinning.{o.pinning}"), steal=show(run.steal_share, "%", 2),
            worst=show(result.shares["worst"]["steal"], "%", 2), run=show(run.run_share, "%", 2),
            unused=show(run.pcpu_idle_share, "%", 2), host=show(run.host_share, "%", 2), waits=_waits(run, result),
            wall=show(o.wall_ns, "ns"),
        )  # fmt: skip


def _waits(run: Schedule, result: ScheduleResult) -> str:
    text = say("schedule_lab.never")
    if run.waits.count:
        text = say("schedule_lab.woken", **{key: show(ns, "ns", 2) for key, ns in result.quantiles_ns.items()})
    if run.emulator_waits.count:
        text += say("schedule_lab.emulators", p99=show(run.emulator_waits.quantile_ns(0.99), "ns", 2))
    return text
