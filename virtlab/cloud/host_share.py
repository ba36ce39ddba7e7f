"""What of a server cannot be sold, cause by cause: the host's axis of :mod:`virtlab.cloud.overhead`."""

from __future__ import annotations

import math

from virtlab.cloud.beside import VMM_BYTES, tables_bytes
from virtlab.cloud.guest_time import Bare
from virtlab.cloud.host import ON_HOST, Host
from virtlab.cloud.placed import NetworkWork, StorageWork
from virtlab.cloud.server import ServerOptions
from virtlab.cloud.workloads import Workload
from virtlab.core.parameter import ParameterError
from virtlab.core.units import number
from virtlab.core.words import say

#: The parts of what is not sold, in the order of the course.
UNSOLD = ("network", "storage", "policy", "monitor", "snapshot", "console", "rounding", "memory")
_HALVINGS = 40


def unsold(
    host: Host, w: Workload, s: ServerOptions, bare: Bare, net: NetworkWork, disk: StorageWork, longer: float
) -> tuple[dict[str, float], float, dict[str, float]]:
    """The unsold shares by cause, the VMs that fit, and the cores' worth of threads that a vCPU can meet, by cause."""
    pace = 1 / (1 + longer)  # a slowed guest asks for less
    packets = pace * (w.vm_packets_per_s + 2 * bare.round_trips_per_s)
    requests, flows = pace * bare.requests_per_s, pace * w.vm_flows_per_s
    filtered = host.policy_place in ON_HOST
    each = {  # cores for one VM
        "network": packets * net.host_ns / 1e9,
        "storage": requests * disk.host_ns / 1e9,
        "policy": (packets * s.filter_ns + flows * s.flow_setup_ns) / 1e9 if filtered else 0.0,
        "monitor": s.monitor_cores if host.monitor_place in ON_HOST else 0.0,
        "snapshot": s.snapshot_cores if host.snapshot_place in ON_HOST else 0.0,
        "console": s.console_cores if host.console_place in ON_HOST else 0.0,
    }
    agents = s.agents_cores if host.monitor_place in ON_HOST else 0.0
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
    needed = VMM_BYTES[host.vmm] + tables_bytes(w.vm_memory_bytes, host.huge_pages, host.memory_place == "kernel")
    return needed / (w.vm_memory_bytes + needed)
