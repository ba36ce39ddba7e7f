"""What a host loses under a workload, on two axes: capacity that cannot be sold, and slowdown of the guests.

Guest: the VM's work takes 1 s on bare metal. Each cause makes it longer by so many seconds, and these add up to R - 1;
the slowdown is 1 - 1/R, and each cause's part of it is its time divided by R. Page walks lengthen computing, exits and
timers take a vCPU's time, and where the VM waits for a disk or an answer, Amdahl's law holds: only that share grows.

Host: work for a VM takes cores that cannot be sold, at the rate that the slowed guest really asks for. As many VMs are
sold as then fit, and the cores that are left for the host are the unsold ones. Pinned vCPUs have CPUs of their own, so
that the host keeps whole cores; otherwise its threads share the vCPUs' CPUs, and one that wakes may have to wait.
Memory that the host needs counts where it takes more than the cores do: VMs are cut to the server's shape.

No time is counted twice: an exit holds up its own vCPU (guest), a host thread takes a core (host). Left out, so that
the true loss is higher: overcommitment, caches and bandwidth that neighbours share (`cpu.neighbours`), a full card
(`offload.card`), the IOMMU's misses, and programs that wait for their slowest thread. Writes are taken as reads.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from virtlab import cpu, memory
from virtlab.cloud.architectures import ARCHITECTURES, Architecture
from virtlab.cloud.efficiency import Efficiency, efficiency
from virtlab.cloud.host import Host
from virtlab.cloud.placed import (
    NetworkWork,
    StorageWork,
    bare_network,
    bare_storage,
    network_work,
    storage_work,
)
from virtlab.cloud.server import ServerOptions
from virtlab.cloud.workloads import Workload, workload_of
from virtlab.core.parameter import ParameterError, unknown
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

#: The parts of what is not sold, and of the slowdown, in the order of the course.
UNSOLD = ("network", "storage", "policy", "monitor", "snapshot", "console", "rounding", "memory")
SLOW = ("walks", "exits", "timers", "storage_wait", "network_wait", "jitter")
Axis = Literal["loss", "host_tax", "slowdown"]
_VMM_BYTES = {"qemu": FACTS["overhead.memory.qemu"].value * 2**20, "light": FACTS["overhead.memory.fc"].value * 2**20}
_ON_HOST = ("kernel", "vmm", "manager")
_HALVINGS = 40


@dataclass(frozen=True, repr=False)
class Overhead(Shown):
    """What a host loses: shares of 1. ``unsold`` are the parts of ``host_tax``, ``slow`` those of ``slowdown``.

    A part of ``slow`` may be negative (a driver that is cheaper than that of bare metal). ``reserved_cores`` are the
    cores that are not sold; ``vms`` may be a fraction: what is left over by the sizes of VMs is not this model's.
    """

    architecture: str
    host: Host
    workload: Workload
    server: ServerOptions
    unsold: Mapping[str, float]
    slow: Mapping[str, float]
    both: Efficiency
    vms: float

    @property
    def host_tax(self) -> float:
        """The share of the server that is not sold (rho)."""
        return self.both.host_tax

    @property
    def slowdown(self) -> float:
        """The share of their speed that guests lose on what is sold (sigma)."""
        return self.both.slowdown

    @property
    def efficiency(self) -> float:
        """E = (1 - host_tax) (1 - slowdown)."""
        return self.both.efficiency

    @property
    def loss(self) -> float:
        """1 - E."""
        return self.both.loss

    def on(self, axis: Axis) -> float:
        """The loss, or one of its two axes by name."""
        return float(getattr(self.both, axis))

    def law(self) -> tuple[float, float]:
        """Conservation: the parts of both axes, less the overlap of the axes, are the loss. Returns both sides."""
        tax, slow = math.fsum(self.unsold.values()), math.fsum(self.slow.values())
        return tax + slow - tax * slow, self.loss

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        first, most = (max(parts, key=lambda k: parts[k]) for parts in (self.unsold, self.slow))
        return say(
            "whole.overhead.sentence", who=_title(self.architecture), tax=show(self.host_tax, "%"),
            slow=show(self.slowdown, "%"), loss=show(self.loss, "%"), first=words(f"whole.unsold.{first}"),
            part=show(self.unsold[first], "%"), most=words(f"whole.slow.{most}"), much=show(self.slow[most], "%"),
        )  # fmt: skip

    def table(self) -> Table:
        rows = [
            (words(f"whole.axis.{axis}"), words(f"whole.{key}.{part}"), show(share, "%"))
            for axis, key, parts in (("host_tax", "unsold", self.unsold), ("slowdown", "slow", self.slow))
            for part, share in parts.items()
        ]
        rows += [(words(f"whole.axis.{a}"), "", show(getattr(self.both, a), "%"))
                 for a in ("host_tax", "slowdown", "loss")]  # fmt: skip
        return Table.of(words("whole.overhead.header"), rows, self.sentence(), numeric=[2])


def overhead(
    architecture: Architecture | Host | str = "qemu", workload: Workload | str = "compute",
    server: ServerOptions | None = None, /, **changes: Any,
) -> Overhead:  # fmt: skip
    """The loss of a host under a workload, on two axes. Names of ARCHITECTURES and WORKLOADS, or objects.

    ``changes`` are parameters of :class:`Workload` or :class:`ServerOptions` by name. The bare machine that is
    compared with has the same pages, the same disk and a network card of its own. Raises ParameterError, also for a
    workload that asks for more than its VM or its host could do.
    """
    name, host = host_of(architecture)
    return overhead_of(name, host, *setting_of(workload, server, changes))


def setting_of(
    workload: Workload | str, server: ServerOptions | None, changes: Mapping[str, Any]
) -> tuple[Workload, ServerOptions]:
    """Workload and server with ``changes``, each of which belongs to one of them. Raises ParameterError."""
    mine = {k: v for k, v in changes.items() if k in Workload.model_fields}
    others = {k: v for k, v in changes.items() if k not in mine}
    for name in others:
        if name not in ServerOptions.model_fields:
            raise ParameterError(unknown(name, [*Workload.model_fields, *ServerOptions.model_fields]))
    return Workload.given(workload_of(workload), mine), ServerOptions.given(server, others)


def host_of(architecture: Architecture | Host | str) -> tuple[str, Host]:
    """The name and the host of an architecture, a host of the reader's own, or a name. Raises ParameterError."""
    if isinstance(architecture, Host):
        return "own", architecture
    if isinstance(architecture, str):
        if architecture not in ARCHITECTURES:
            raise ParameterError(
                say("whole.error.architecture", given=repr(architecture), names=", ".join(ARCHITECTURES))
            )
        architecture = ARCHITECTURES[architecture]
    return architecture.id, architecture.host


@functools.lru_cache(maxsize=4096)
def overhead_of(name: str, host: Host, w: Workload, s: ServerOptions) -> Overhead:
    """As :func:`overhead`, for a host that is called ``name`` and a setting that is complete."""
    bare = _Bare.of(w, s)
    net = network_work(host, w.vm_vcpus, w.packet_batch, w.frame_bytes, s.path_costs)
    disk = storage_work(host, w.storage_depth, bare.jobs, w.request_bytes, s.path_costs)
    longer = _longer(host, w, s, bare, net, disk)
    tax, vms, threads = _unsold(host, w, s, bare, net, disk, math.fsum(longer.values()))
    longer["jitter"] = _jitter(host, w, s, bare, net, disk, threads)
    total = 1 + math.fsum(longer.values())
    slow = {part: longer[part] / total for part in SLOW}
    return Overhead(name, host, w, s, MappingProxyType(tax), MappingProxyType(slow),
                    efficiency(min(1.0, math.fsum(tax.values())), max(0.0, 1 - 1 / total)), vms)  # fmt: skip


# --- the guest ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bare:
    """The VM's work on bare metal: its paths, and what follows from its shares: round trips and requests a second."""

    jobs: int
    net: NetworkWork
    disk: StorageWork
    round_trip_ns: float
    round_trips_per_s: float
    requests_per_s: float

    @classmethod
    def of(cls, w: Workload, s: ServerOptions) -> _Bare:
        jobs = min(w.vm_vcpus, w.storage_depth, 64)
        net = bare_network(w.vm_vcpus, w.packet_batch, w.frame_bytes, s.path_costs)
        disk = bare_storage(w.storage_depth, jobs, w.request_bytes, s.path_costs)
        busy = w.vm_packets_per_s * net.guest_ns / 1e9 / w.vm_vcpus
        if busy > w.compute_share or w.vm_packets_per_s > net.most_per_s:
            most = min(net.most_per_s, w.compute_share * w.vm_vcpus * 1e9 / net.guest_ns)
            raise ParameterError(say("whole.error.packets", asked=show(w.vm_packets_per_s, "packets/s"),
                                     most=show(most, "packets/s"), vcpus=w.vm_vcpus))  # fmt: skip
        trip = s.fabric_rtt_ns + net.ends_ns
        return cls(jobs, net, disk, trip, w.network_share * 1e9 / trip, w.storage_share * disk.per_s)


def _longer(
    host: Host, w: Workload, s: ServerOptions, bare: _Bare, net: NetworkWork, disk: StorageWork
) -> dict[str, float]:
    """By how much a second of bare-metal work grows, by cause; jitter comes later."""
    each_ns = net.vcpu_exit_ns + net.guest_ns - bare.net.guest_ns
    full = max(0.0, w.vm_packets_per_s / net.most_per_s - 1)  # the path itself cannot pass the stream
    return {
        "walks": w.compute_share * (_walks(w, host.huge_pages) - 1),
        "exits": w.vm_packets_per_s * each_ns / 1e9 / w.vm_vcpus,
        "timers": _timers(host, w, s) * w.compute_share,
        "storage_wait": w.storage_share * (bare.disk.per_s / disk.per_s - 1),
        "network_wait": w.network_share * (net.ends_ns - bare.net.ends_ns) / bare.round_trip_ns + full,
    }


def _walks(w: Workload, huge_pages: bool) -> float:
    return _memory_ratio(w.working_set_bytes, w.accesses_per_instruction, "2M" if huge_pages else "4K")


@functools.lru_cache(maxsize=1024)
def _memory_ratio(working_set_bytes: int, accesses: float, page: Literal["4K", "2M"]) -> float:
    return memory.slowdown(working_set_bytes=working_set_bytes, accesses_per_instruction=accesses, pattern="zipf",
                           guest_page=page, host_page=page).ratio  # fmt: skip


def _timers(host: Host, w: Workload, s: ServerOptions) -> float:
    """Time of the exits that no I/O causes, a second: timers, IPIs, and the host's tick unless vCPUs are alone."""
    apicv = host.interrupts_place != "vmm"
    return _timer_tax(w.guest_hz, w.timers_per_s, w.ipis_per_s, s.path_costs, apicv,
                      host.interrupts_place == "nobody", host.schedule_place == "nobody")  # fmt: skip


@functools.lru_cache(maxsize=512)
def _timer_tax(
    hz: float, timers: float, ipis: float, costs: Any, apicv: bool, virtual_ipis: bool, isolated: bool
) -> float:
    return cpu.after_io(guest_hz=hz, timers_per_s=timers, ipis_per_s=ipis, halts_per_s=0.0, spins_per_s=0.0,
                        exit_costs=costs, apicv=apicv, ipi_virtualization=virtual_ipis,
                        isolated_cpus=isolated).share  # fmt: skip


def _jitter(
    host: Host, w: Workload, s: ServerOptions, bare: _Bare, net: NetworkWork, disk: StorageWork,
    cores: Mapping[str, float],
) -> float:  # fmt: skip
    """Waits of a vCPU that wakes after a request or an answer for a thread of the host on its CPU.

    It finds one as often as a CPU is busy with one (arrivals see time averages) and waits for the rest of its run: the
    sum of utilization x run / 2. An upper bound: a scheduler that finds an idle CPU moves the vCPU there. A vCPU with a
    CPU of its own never waits, and no thread that polls is on one.
    """
    if host.schedule_place == "nobody":
        return 0.0
    packets_ns = w.packet_batch * (net.host_ns + (s.filter_ns if host.policy_place == "kernel" else 0.0))
    runs_ns = {"network": packets_ns, "policy": packets_ns, "storage": disk.host_ns}
    wait_ns = math.fsum(n / s.host_cores * runs_ns.get(part, s.host_wait_ns) / 2 for part, n in cores.items())
    cycle_ns = w.storage_depth / bare.disk.per_s * 1e9
    return wait_ns * (w.storage_share / cycle_ns + w.network_share / bare.round_trip_ns)


# --- the host -------------------------------------------------------------------------------------------------------


def _unsold(
    host: Host, w: Workload, s: ServerOptions, bare: _Bare, net: NetworkWork, disk: StorageWork, longer: float
) -> tuple[dict[str, float], float, dict[str, float]]:
    """The unsold shares by cause, the VMs that fit, and the cores' worth of threads that a vCPU can meet, by cause."""
    pace = 1 / (1 + longer)  # a slowed guest asks for less
    packets = pace * (w.vm_packets_per_s + 2 * bare.round_trips_per_s)
    requests, flows = pace * bare.requests_per_s, pace * w.vm_flows_per_s
    filtered = host.policy_place in _ON_HOST
    each = {  # cores for one VM
        "network": packets * net.host_ns / 1e9,
        "storage": requests * disk.host_ns / 1e9,
        "policy": (packets * s.filter_ns + flows * s.flow_setup_ns) / 1e9 if filtered else 0.0,
        "monitor": s.monitor_cores if host.monitor_place in _ON_HOST else 0.0,
        "snapshot": s.snapshot_cores if host.snapshot_place in _ON_HOST else 0.0,
        "console": s.console_cores if host.console_place in _ON_HOST else 0.0,
    }
    agents = s.agents_cores if host.monitor_place in _ON_HOST else 0.0
    polled = {"network": (net.polling_cores, packets * net.poller_ns / 1e9),
              "storage": (disk.polling_cores, requests * disk.poller_ns / 1e9)}  # fmt: skip

    own = math.fsum(each.values())
    polls = [(part, least, busy) for part, (least, busy) in polled.items() if least]

    def pollers(least: int, busy: float, vms: float) -> int:
        return max(least, math.ceil(vms * busy - 1e-9))  # whole cores poll, also with nothing to do

    def needed(vms: float) -> float:
        return agents + vms * own + sum(pollers(least, busy, vms) for _, least, busy in polls)

    if needed(0.0) >= s.host_cores:
        raise ParameterError(say("whole.error.host", cores=s.host_cores, needs=number(needed(0.0))))
    kept = (agents + own * s.host_cores / w.vm_vcpus) / (1 + own / w.vm_vcpus)  # needed(what is left) = kept
    if polls:  # fewer VMs need fewer cores: one number of cores keeps both
        low, high = kept, float(s.host_cores)
        for _ in range(_HALVINGS):
            kept = (low + high) / 2
            low, high = (low, kept) if needed((s.host_cores - kept) / w.vm_vcpus) <= kept else (kept, high)
        kept = high
    if host.schedule_place == "nobody":  # whole cores for the host
        kept = float(math.ceil(kept - 1e-6))
    vms = (s.host_cores - kept) / w.vm_vcpus
    threads = {part: vms * share + (agents if part == "monitor" else 0.0) for part, share in each.items()}
    cores = threads | {part: threads[part] + pollers(least, busy, vms) for part, least, busy in polls}
    tax = {part: n / s.host_cores for part, n in cores.items()}
    tax["rounding"] = max(0.0, kept - math.fsum(cores.values())) / s.host_cores
    for_memory = _memory_share(host, w)
    tax["memory"] = max(0.0, for_memory - kept / s.host_cores)
    sold = min(vms, (1 - for_memory) * s.host_cores / w.vm_vcpus)
    return {part: tax[part] for part in UNSOLD}, sold, threads


def _memory_share(host: Host, w: Workload) -> float:
    """The share of the memory that the host needs beside the guests' own: its process, tables, page descriptors."""
    needed = _VMM_BYTES[host.vmm] + _tables_bytes(w.vm_memory_bytes, host.huge_pages, host.memory_place == "kernel")
    return needed / (w.vm_memory_bytes + needed)


@functools.lru_cache(maxsize=256)
def _tables_bytes(memory_bytes: int, huge_pages: bool, described: bool) -> float:
    page: Literal["4K", "2M"] = "2M" if huge_pages else "4K"
    f = memory.footprint(memory_bytes=memory_bytes, guest_page=page, host_page=page, touched_share=1.0)
    return float(sum(f.host_tables_bytes.values()) + (f.host_struct_pages_bytes if described else 0))


def _title(architecture: str) -> str:
    return str(words(f"whole.architecture.{architecture}"))
