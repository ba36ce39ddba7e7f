"""The parameters of a VM with noisy neighbours on one socket, and the remedies as switches."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import model_validator

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.words import say
from virtlab.cpu.contention import Contention, Host, Scene, Tenant
from virtlab.cpu.request_tail import Wait
from virtlab.cpu.shared_cache import LINE_BYTES, Reuse
from virtlab.evidence import FACTS

Cause = Literal["vcpu_wait", "host_wait", "smt", "cache", "bandwidth", "dma"]
#: What makes the victim slower whenever the neighbours are active; the two waits meet only a vCPU that wakes up.
SLOWING: tuple[Cause, ...] = ("smt", "cache", "bandwidth", "dma")
WAITING: tuple[Cause, ...] = ("vcpu_wait", "host_wait")
NeighbourRemedy = Literal["own_cpu", "reservation", "offload", "own_core", "cat", "mba"]
NEIGHBOUR_REMEDIES: tuple[NeighbourRemedy, ...] = ("own_cpu", "reservation", "offload", "own_core", "cat", "mba")
Sibling = Literal["neighbour", "own", "idle"]


class SocketOptions(Parameters):
    """What tenants share: the last-level cache, the memory and the cores of one socket, and what its devices move."""

    cache_bytes: int = parameter(FACTS["cat.llc.size"], ge=2**20, le=2**29, log=True)
    cache_ways: int = parameter(FACTS["cat.llc.ways"], ge=2, le=32)
    cache_ns: float = parameter(FACTS["cpu.skx.l3.time"], ge=1, le=50)
    memory_ns: float = parameter(FACTS["cpu.clx.dram.local"], ge=50, le=500)
    memory_gbyte_per_s: float = parameter(FACTS["cpu.clx.dram.peak"], ge=5, le=2_000, log=True)
    memory_banks: int = parameter(FACTS["memory.banks"], ge=1, le=1_024, log=True)
    dma_share: float = parameter(FACTS["neighbour.dma"], ge=0, le=0.9)
    socket_cores: int = parameter(FACTS["cpu.clx.cores"], ge=2, le=256, log=True)
    threads_per_core: int = parameter(FACTS["fleet.threads_per_core"], ge=1, le=2, unit="threads")
    smt_yield: float = parameter(FACTS["smt.yield"], ge=1, le=2)
    vcpus_per_thread: int = parameter(FACTS["neighbour.overcommit"], ge=1, le=16)

    @property
    def sibling_slowdown(self) -> float:
        """How many times longer a thread computes while its sibling computes too."""
        return 2 / self.smt_yield if self.threads_per_core == 2 else 1.0


class TenantOptions(SocketOptions):
    """One vCPU of the victim, and ``neighbour_vcpus`` of others that are all alike.

    A vCPU computes for ``compute_ns`` between two references to the last-level cache. ``stream_share`` of those go to
    lines that it never uses again, the others to its working set; ``mlp`` may be under way at once.
    """

    victim_bytes: int = parameter(FACTS["neighbour.victim.size"], ge=2**12, le=2**33, log=True)
    victim_zipf: float = parameter(FACTS["neighbour.victim.zipf"], ge=0, le=2)
    victim_stream_share: float = parameter(FACTS["neighbour.victim.stream"], ge=0, le=1)
    victim_compute_ns: float = parameter(FACTS["neighbour.victim.compute"], ge=0.5, le=100_000, log=True)
    victim_mlp: float = parameter(FACTS["neighbour.victim.mlp"], ge=1, le=64)
    neighbour_vcpus: int = parameter(FACTS["neighbour.vcpus"], ge=0, le=511)
    neighbour_bytes: int = parameter(FACTS["neighbour.size"], ge=2**12, le=2**33, log=True)
    neighbour_zipf: float = parameter(FACTS["neighbour.zipf"], ge=0, le=2)
    neighbour_stream_share: float = parameter(FACTS["neighbour.stream"], ge=0, le=1)
    neighbour_compute_ns: float = parameter(FACTS["neighbour.compute"], ge=0.5, le=100_000, log=True)
    neighbour_mlp: float = parameter(FACTS["cpu.skl.mlp"], ge=1, le=64)
    smt_sibling: Sibling = parameter(FACTS["neighbour.sibling"], default="neighbour")

    @model_validator(mode="after")
    def _has_threads_for_all(self) -> TenantOptions:
        threads = self.socket_cores * self.threads_per_core
        if self.neighbour_vcpus >= threads:
            raise ValueError(say("neighbours.error.threads", vcpus=self.neighbour_vcpus, cores=self.socket_cores,
                                 per_core=self.threads_per_core, most=threads - 1))  # fmt: skip
        return self


class NeighbourOptions(TenantOptions):
    """The victim serves requests; the neighbours are active now and then; each remedy is there or not.

    The waits for the CPU are what a scheduler (or its model) says of a vCPU that is woken: how often it finds another
    vCPU, or a thread of the host such as QEMU's or vhost's, and the longest rest of that thread's slice.
    """

    load: float = parameter(FACTS["neighbour.load"], ge=0.01, le=0.95)
    service_ns: float = parameter(FACTS["neighbour.service"], ge=1_000, le=1_000_000, log=True)
    active_share: float = parameter(FACTS["neighbour.active"], ge=0, le=1)
    episode_ns: float = parameter(FACTS["neighbour.episode"], ge=1_000_000, le=10_000_000_000, log=True)
    vcpu_wait_share: float = parameter(FACTS["neighbour.vcpu_wait.share"], ge=0, le=1)
    vcpu_wait_ns: float = parameter(FACTS["sched.slice"], ge=0, le=100_000_000)
    host_wait_share: float = parameter(FACTS["neighbour.host_wait.share"], ge=0, le=1)
    host_wait_ns: float = parameter(FACTS["neighbour.host_wait"], ge=0, le=100_000_000)
    victim_ways: int = parameter(FACTS["neighbour.ways"], ge=1, le=31)
    mba_share: float = parameter(FACTS["neighbour.mba"], ge=0.1, le=1)
    reserved_cores: int = parameter(FACTS["neighbour.reserved"], ge=1, le=255)
    own_cpu: bool = parameter(FACTS["neighbour.remedy"], default=False)
    reservation: bool = parameter(FACTS["neighbour.remedy"], default=False)
    offload: bool = parameter(FACTS["neighbour.remedy"], default=False)
    own_core: bool = parameter(FACTS["neighbour.remedy"], default=False)
    cat: bool = parameter(FACTS["neighbour.remedy"], default=False)
    mba: bool = parameter(FACTS["neighbour.remedy"], default=False)

    @model_validator(mode="after")
    def _leaves_something(self) -> NeighbourOptions:
        if self.cat and self.victim_ways >= self.cache_ways:
            raise ValueError(say("neighbours.error.ways", ways=self.victim_ways, all=self.cache_ways))
        if self.reservation and self.reserved_cores >= self.socket_cores:
            raise ValueError(say("neighbours.error.reserved", cores=self.reserved_cores, all=self.socket_cores))
        return self

    @property
    def remedies(self) -> tuple[NeighbourRemedy, ...]:
        """Those that are there."""
        return tuple(remedy for remedy in NEIGHBOUR_REMEDIES if getattr(self, remedy))

    def with_remedies(self, remedies: Collection[NeighbourRemedy]) -> NeighbourOptions:
        """The same host with these remedies and no others."""
        changed: NeighbourOptions = self.replace(**{remedy: remedy in remedies for remedy in NEIGHBOUR_REMEDIES})
        return changed

    @property
    def masks(self) -> tuple[int, int]:
        """The bit masks of the ways (victim, neighbours), as resctrl takes them. The victim has the low ones: devices
        write into the high ones."""
        every = 2**self.cache_ways - 1
        mine = 2**self.victim_ways - 1
        return (mine, every - mine) if self.cat else (every, every)

    @property
    def waits(self) -> dict[Cause, Wait]:
        """What a vCPU that is woken may wait for. The host's threads serve the victim as well, neighbours or not."""
        vcpus = 0.0 if self.own_cpu or not self.neighbour_vcpus else self.vcpu_wait_share
        host = 0.0 if self.reservation or self.offload else self.host_wait_share
        return {"vcpu_wait": Wait(vcpus, self.vcpu_wait_ns), "host_wait": Wait(host, self.host_wait_ns)}

    @property
    def vcpus_sold(self) -> int:
        """vCPUs that a socket sells when each of its VMs has these remedies."""
        cores = self.socket_cores - (self.reserved_cores if self.reservation else 0)
        threads = cores * (1 if self.own_core else self.threads_per_core)
        return threads * (1 if self.own_cpu else self.vcpus_per_thread)

    def contention(self) -> Contention:
        """Victim and neighbours on this socket. All threads of the neighbours' cores are taken to be busy."""
        host = Host(self.cache_bytes / LINE_BYTES, self.cache_ns, self.memory_ns, self.memory_gbyte_per_s,
                    self.memory_banks)  # fmt: skip
        victim, neighbour = (
            Tenant(Reuse.of(size / LINE_BYTES, zipf, stream), compute, mlp) for size, zipf, stream, compute, mlp in (
                (self.victim_bytes, self.victim_zipf, self.victim_stream_share, self.victim_compute_ns,
                 self.victim_mlp),
                (self.neighbour_bytes, self.neighbour_zipf, self.neighbour_stream_share,
                 self.neighbour_compute_ns * self.sibling_slowdown, self.neighbour_mlp),
            )
        )  # fmt: skip
        return Contention(host, victim, neighbour, self.neighbour_vcpus)

    def scene(self, causes: Collection[Cause]) -> Scene:
        """The victim's lot when only these causes are at work: with none it is alone on the socket, without remedies,
        beside its own sibling if it has one."""
        own = self.smt_sibling == "own"
        beside = self.smt_sibling == "neighbour" and self.neighbour_vcpus > 0 and not self.own_core
        return Scene(
            core=self.sibling_slowdown if own or (beside and "smt" in causes) else 1.0,
            cache="cache" in causes, memory="bandwidth" in causes,
            dma=self.dma_share if "dma" in causes and self.neighbour_vcpus else 0.0,
            part=self.victim_ways / self.cache_ways if self.cat else 0.0,
            throttle=self.mba_share if self.mba else 1.0,
        )  # fmt: skip
