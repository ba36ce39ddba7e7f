"""What the guests of a host do: one VM's work as it would run on bare metal, and three such workloads by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import model_validator

from virtlab import cpu, paths
from virtlab.cloud.architectures import read_data
from virtlab.core.parameter import ParameterError, Parameters, parameter, same
from virtlab.core.units import show
from virtlab.core.words import say
from virtlab.evidence import FACTS

_StorageOptions = paths.StorageOptions


class Workload(Parameters):
    """A VM and its work. Rates and shares are those of the same work on bare metal: a slower guest does less of it.

    Of its time the VM waits ``network_share`` for answers over the network and ``storage_share`` for a disk with
    ``storage_depth`` requests in flight; in the rest all its vCPUs compute. ``vm_packets_per_s`` are packets that flow
    while nobody waits for a single one; those of the round trips come on top. Rates of timers and IPIs are of one vCPU.
    """

    vm_vcpus: int = parameter(FACTS["workload.vcpus"], ge=1, le=256, log=True)
    vm_memory_bytes: int = parameter(FACTS["workload.memory"], ge=1 << 27, le=1 << 43, log=True)
    working_set_bytes: int = parameter(FACTS["workload.compute.working_set"], ge=1 << 16, le=1 << 40, log=True)
    accesses_per_instruction: float = parameter(FACTS["workload.compute.accesses"], ge=0.0001, le=1, log=True)
    vm_packets_per_s: float = parameter(FACTS["workload.compute.packets"], ge=0, le=100_000_000)
    frame_bytes: int = same(paths.PathOptions, "frame_bytes")
    packet_batch: int = parameter(FACTS["workload.batch"], ge=1, le=64, log=True)
    vm_flows_per_s: float = parameter(FACTS["workload.compute.flows"], ge=0, le=10_000_000)
    network_share: float = parameter(FACTS["workload.compute.network"], ge=0, le=1)
    storage_share: float = parameter(FACTS["workload.compute.storage"], ge=0, le=1)
    storage_depth: int = parameter(FACTS["workload.depth"], ge=1, le=256, log=True)
    request_bytes: int = same(_StorageOptions, "request_bytes")
    guest_hz: float = same(cpu.AfterIo, "guest_hz")
    timers_per_s: float = parameter(FACTS["workload.compute.timers"], ge=0, le=1_000_000)
    ipis_per_s: float = parameter(FACTS["workload.compute.ipis"], ge=0, le=1_000_000)

    @model_validator(mode="after")
    def _can_be(self) -> Workload:
        if self.network_share + self.storage_share > 1:
            raise ValueError(say("whole.error.shares", network=show(self.network_share, "%"),
                                 storage=show(self.storage_share, "%")))  # fmt: skip
        if self.working_set_bytes > self.vm_memory_bytes:
            raise ValueError(say("whole.error.memory", work=show(self.working_set_bytes, "B"),
                                 memory=show(self.vm_memory_bytes, "B")))  # fmt: skip
        return self

    @property
    def compute_share(self) -> float:
        """The share of its time in which the VM computes."""
        return max(0.0, 1 - self.network_share - self.storage_share)


def _named() -> dict[str, Workload]:
    return {key: Workload(**{name: _value(name, fact) for name, fact in entry.items()})
            for key, entry in read_data("workloads.toml").items()}  # fmt: skip


def _value(name: str, fact: str) -> Any:
    value = FACTS[fact].value
    return int(value) if Workload.specs()[name].kind == "int" else value


#: Three workloads: "compute" (bound by CPU and memory), "network" (a service) and "storage" (a database on disk).
WORKLOADS: Mapping[str, Workload] = MappingProxyType(_named())


def workload_of(workload: Workload | str) -> Workload:
    """The workload itself, or the one of that name. Raises ParameterError."""
    if isinstance(workload, Workload):
        return workload
    if workload not in WORKLOADS:
        raise ParameterError(say("whole.error.workload", given=repr(workload), names=", ".join(WORKLOADS)))
    return WORKLOADS[workload]


