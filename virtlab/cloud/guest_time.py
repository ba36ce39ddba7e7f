"""What makes the work of a VM longer than on bare metal, by cause: the guest's axis of `virtlab.cloud.overhead`."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from virtlab import cpu, memory
from virtlab.cloud.host import Host
from virtlab.cloud.placed import NetworkWork, StorageWork, bare_network, bare_storage
from virtlab.cloud.server import ServerOptions
from virtlab.cloud.workloads import Workload
from virtlab.core.parameter import ParameterError
from virtlab.core.units import show
from virtlab.core.words import say


@dataclass(frozen=True)
class Bare:
    """The VM's work on bare metal: its paths, and what follows from its shares: round trips and requests a second."""

    jobs: int
    net: NetworkWork
    disk: StorageWork
    round_trip_ns: float
    round_trips_per_s: float
    requests_per_s: float

    @classmethod
    def of(cls, w: Workload, s: ServerOptions) -> Bare:
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


def longer(
    host: Host, w: Workload, s: ServerOptions, bare: Bare, net: NetworkWork, disk: StorageWork
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


def jitter(
    host: Host, w: Workload, s: ServerOptions, bare: Bare, net: NetworkWork, disk: StorageWork,
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
