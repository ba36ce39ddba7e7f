"""What the scheduler has to schedule, and where each thread may run: the parameters, and the kernel's arrays of them.

The pCPUs are numbered through the nodes, the reserved ones first, so that wherever a thread may run is one range.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.words import say
from virtlab.cpu.schedule_steps import GIVEN, PACE, PCPU, SPEED, THREAD
from virtlab.evidence import FACTS

Ints = NDArray[np.int64]
Policy = Literal["cfs", "eevdf"]
Pinning = Literal["none", "vcpus", "vcpus+emulators"]
Placement = Literal["local", "free", "interleaved"]
MOST_VCPUS = 256
NOWHERE = -1  # the home of a thread whose memory is on no node of its own


class ScheduleOptions(Parameters):
    """VMs on a host. Each vCPU runs for a burst, halts, and is woken up: ``duty`` is the share that it wants to run.

    ``pinning``: vCPUs may run on any pCPU that is not reserved, or each on one of its own; emulator threads on any
    pCPU, or on the reserved ones alone (where none is reserved: where the first vCPU of their VM runs).
    ``placement``: ``local`` keeps a VM on the node of its memory; ``free`` lets it run on any; ``interleaved`` too, and
    spreads the memory over all nodes. A pCPU is a hardware thread: a core has ``threads_per_core`` of them.
    """

    policy: Policy = parameter(FACTS["sched.policy"], default="eevdf")
    pcpus: int = parameter(FACTS["sched.pcpus"], ge=1, le=64, log=True)
    vms: int = parameter(FACTS["sched.vms"], ge=1, le=64, log=True)
    vcpus_per_vm: int = parameter(FACTS["sched.vcpus_per_vm"], ge=1, le=64, log=True)
    duty: float = parameter(FACTS["sched.duty"], ge=0, le=1)
    burst_ns: float = parameter(FACTS["sched.burst"], ge=20_000, le=100_000_000, log=True)
    slice_ns: int = parameter(FACTS["sched.slice"], ge=100_000, le=100_000_000, log=True)
    heavy_weight: int = parameter(FACTS["sched.heavy_weight"], ge=1, le=100, log=True)
    pinning: Pinning = parameter(FACTS["sched.pinning"], default="none")
    reserved_pcpus: int = parameter(FACTS["sched.reserved"], ge=0, le=7)
    emulator_load: float = parameter(FACTS["sched.emulator_load"], ge=0, le=1)
    emulator_burst_ns: float = parameter(FACTS["sched.emulator_burst"], ge=5_000, le=10_000_000, log=True)
    numa_nodes: int = parameter(FACTS["sched.numa_nodes"], ge=1, le=4)
    placement: Placement = parameter(FACTS["sched.placement"], default="free")
    memory_share: float = parameter(FACTS["sched.memory_share"], ge=0, le=1)
    remote_factor: float = parameter(FACTS["sched.remote_factor"], ge=1, le=4)
    context_switch_ns: int = parameter(FACTS["host.context_switch"], ge=0, le=50_000)
    migration_ns: int = parameter(FACTS["sched.migration"], ge=0, le=1_000_000)
    threads_per_core: int = parameter(FACTS["fleet.threads_per_core"], ge=1, le=2, unit="threads")
    wall_ns: int = parameter(FACTS["sched.wall"], ge=1_000_000, le=20_000_000_000, log=True)

    @model_validator(mode="after")
    def _it_can_be(self) -> ScheduleOptions:
        if self.vcpus > MOST_VCPUS:
            raise ValueError(say("schedule.error.vcpus", vcpus=self.vcpus, vms=self.vms, each=self.vcpus_per_vm,
                                 most=MOST_VCPUS))  # fmt: skip
        if self.reserved_pcpus >= self.pcpus:
            raise ValueError(say("schedule.error.reserved", reserved=self.reserved_pcpus, pcpus=self.pcpus))
        if self.numa_nodes > self.pcpus:
            raise ValueError(say("schedule.error.nodes", nodes=self.numa_nodes, pcpus=self.pcpus))
        return self

    @property
    def vcpus(self) -> int:
        """vCPUs of all VMs."""
        return self.vms * self.vcpus_per_vm

    @property
    def emulators(self) -> int:
        """Emulator threads: one a VM, or none without load."""
        return self.vms if self.emulator_load else 0

    @property
    def slowdown(self) -> float:
        """Time that work takes on another node than that of its memory, over the time next to it."""
        return 1 + self.memory_share * (self.remote_factor - 1)

    @property
    def spread_slowdown(self) -> float:
        """The same with the memory spread over all nodes, wherever the work is done."""
        return 1 + self.memory_share * (1 - 1 / self.numa_nodes) * (self.remote_factor - 1)


def pcpu_records(o: ScheduleOptions) -> Ints:
    """The pCPUs as the kernel wants them: node, its first pCPU, the end of it, then zeros. int64[pcpus, PCPU]."""
    records = np.zeros((o.pcpus, PCPU), np.int64)
    node = np.arange(o.pcpus) * o.numa_nodes // o.pcpus
    records[:, 0] = node
    records[:, 1] = np.searchsorted(node, node, "left")
    records[:, 2] = np.searchsorted(node, node, "right")
    return records


def checked_pins(o: ScheduleOptions, pins: Mapping[int, int] | None) -> Mapping[int, int]:
    """``pins``, or none. Raises ParameterError for a vCPU or a pCPU that is not there, or is reserved."""
    for vcpu, pcpu in (pins or {}).items():
        if vcpu not in range(o.vcpus) or pcpu not in range(o.reserved_pcpus, o.pcpus):
            raise ParameterError(say("schedule.error.pins", vcpu=vcpu, pcpu=pcpu, vcpus=o.vcpus - 1,
                                     first=o.reserved_pcpus, last=o.pcpus - 1))  # fmt: skip
    return pins or {}


def thread_records(o: ScheduleOptions, pcpu: Ints, pins: Mapping[int, int]) -> Ints:
    """The threads as the kernel wants them, vCPUs VM by VM, then emulators: int64[n, THREAD], zeros from GIVEN on."""
    node, first, end = pcpu[:, :3].T.tolist()
    reserved, pcpus = o.reserved_pcpus, o.pcpus
    homes = sorted(set(node[reserved:]))
    ranges = {h: (max(reserved, first[node.index(h)]), end[node.index(h)]) for h in homes}
    near, far = SPEED, max(1, round(SPEED / o.slowdown))
    if o.placement == "interleaved":
        near = far = max(1, round(SPEED / o.spread_slowdown))
    given = dict.fromkeys(homes, 0)  # vCPUs that a node has so far
    rows: list[tuple[Any, ...]] = []
    for vm in range(o.vms):
        home = homes[vm % len(homes)]
        weight = o.heavy_weight if vm == 0 else 1
        for k in range(o.vcpus_per_vm):
            low, high = reserved, pcpus
            if o.placement == "local":
                low, high = ranges[home]
                start = low + given[home] % (high - low)
                given[home] += 1
            else:
                start = reserved + len(rows) % (pcpus - reserved)
            start = pins.get(len(rows), start)
            if k == 0 and o.placement != "local":  # the memory lies where the first vCPU touched it
                home = node[start]
            close = ranges[home]
            if o.pinning != "none" or len(rows) in pins:
                low, high = start, start + 1
            spread = o.placement == "interleaved"
            if spread or high - low <= close[1] - close[0]:  # no part of the range is nearer than another
                close = low, low
            node_of_memory = NOWHERE if spread else home
            rows.append((low, high, *close, node_of_memory, round(PACE / weight), weight, near, far, start))
    for vm in range(o.emulators):
        low, high = 0, pcpus
        if o.pinning == "vcpus+emulators":
            start = rows[vm * o.vcpus_per_vm][-1]
            low, high = (0, reserved) if reserved else (start, start + 1)
        rows.append((low, high, low, low, NOWHERE, PACE, 1, SPEED, SPEED, low + vm % (high - low)))
    records = np.zeros((len(rows), THREAD), np.int64)
    records[:, :GIVEN] = rows
    return records


def burst_means(o: ScheduleOptions) -> NDArray[np.float64]:
    """Of each thread: its mean burst (0: never wakes up) and its mean sleep (below 0: never sleeps), ns."""
    pairs = [_means(o.burst_ns, o.duty)] * o.vcpus + [_means(o.emulator_burst_ns, o.emulator_load)] * o.emulators
    return np.ascontiguousarray(np.array(pairs, np.float64).T).ravel()


def _means(burst_ns: float, share: float) -> tuple[float, float]:
    if share == 0:
        return 0.0, 0.0
    return float(burst_ns), -1.0 if share == 1 else min(burst_ns * (1 - share) / share, 1e15)
