"""From places to paths: which path a host's network and disks take, and what a packet or request costs on it.

The paths, their steps and costs are those of `virtlab.paths`; here they are only chosen and read. CPU time is told
apart by whose it is: that of a vCPU's thread (guest code, and exits, which hold up the guest) and that of the host's
own threads, which takes cores.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, Literal

from virtlab import paths
from virtlab.cloud.host import Host
from virtlab.paths import Place, Server

#: The network path of each place of the device model; a card that also switches is "card".
NETWORK_PATHS = {"vmm": "qemu-ioeventfd", "kernel": "vhost-net", "manager": "vhost-user", "split": "vdpa",
                 "card": "sriov"}  # fmt: skip
#: The storage path of each block engine of the VMM process, and of each other place.
BLOCK_ENGINES = {"threads": "virtio-blk", "iothread": "virtio-blk-iothread", "sync": "virtio-blk-sync"}
STORAGE_PATHS = {"kernel": "vhost-blk", "manager": "vhost-user-blk", "card": "nvme-vfio"}
#: How interrupts reach the guest, by who delivers them.
INTERRUPTS: dict[str, dict[str, bool]] = {
    "vmm": {"apicv": False, "posted": False}, "kernel": {"apicv": True, "posted": False},
    "nobody": {"apicv": True, "posted": True},
}  # fmt: skip
_HOST_THREADS = (Server.HOST, Server.BACKEND, Server.POOL)
_SOFTWARE = (Place.QEMU, Place.HOST, Place.POLLER, Place.KVM)


@dataclass(frozen=True)
class NetworkWork:
    """A packet of a stream, mean of both ways: CPU times in ns, the most packets a second, and one round trip's ends.

    ``polling_cores`` poll at any rate, shared by all VMs of the host.
    """

    path: str
    guest_ns: float
    vcpu_exit_ns: float
    host_ns: float
    poller_ns: float
    polling_cores: int
    most_per_s: float
    ends_ns: float


@dataclass(frozen=True)
class StorageWork:
    """A request of a VM with so many in flight: requests a second, and the host's time in ns for each."""

    path: str
    per_s: float
    host_ns: float
    poller_ns: float
    polling_cores: int


def network_path(host: Host) -> str:
    """The id in LADDER of the path that a host's packets take."""
    if host.device_model_place == "card" and host.switch_place == "card":
        return "card"
    return NETWORK_PATHS[host.device_model_place]


def storage_path(host: Host) -> str:
    """The id in STORAGE of the path that a host's requests take, to a local disk."""
    return BLOCK_ENGINES[host.block_engine] if host.storage_place == "vmm" else STORAGE_PATHS[host.storage_place]


def network_work(host: Host, queues: int, batch: int, frame_bytes: int, costs: str) -> NetworkWork:
    """What a packet costs on this host. QEMU's own network code has one thread; all else has a queue a vCPU."""
    path = network_path(host)
    used = 1 if host.device_model_place == "vmm" else queues
    work = _network(path, host.interrupts_place, used, batch, frame_bytes, costs)
    cost = paths.COST_SETS[costs]
    past_the_kernel = path not in ("qemu-ioeventfd", "vhost-net")
    if host.switch_place == "kernel" and past_the_kernel:  # the card or the poller hands each packet to the kernel
        work = replace(work, host_ns=work.host_ns + cost.host_stack_ns, ends_ns=work.ends_ns + 2 * cost.host_stack_ns)
    elif host.switch_place == "manager" and path != "vhost-user":  # a polling switch behind another device model
        poller = _network("vhost-user", host.interrupts_place, used, batch, frame_bytes, costs)
        work = replace(work, poller_ns=work.poller_ns + poller.poller_ns, polling_cores=poller.polling_cores,
                       ends_ns=work.ends_ns + 2 * poller.poller_ns)  # fmt: skip
    elif host.switch_place == "card" and path != "card":
        work = replace(work, ends_ns=work.ends_ns + 2 * cost.card_pipeline_ns)
    return work


def bare_network(queues: int, batch: int, frame_bytes: int, costs: str) -> NetworkWork:
    """The same on bare metal: the driver of a VF and its card, without anything that a hypervisor does."""
    return _network("sriov", "nobody", queues, batch, frame_bytes, costs, sleeps=False)


def storage_work(host: Host, depth: int, jobs: int, request_bytes: int, costs: str) -> StorageWork:
    """What a read costs on this host, with ``depth`` in flight from ``jobs`` threads, from the same local disk."""
    return _storage(storage_path(host), host.interrupts_place, depth, jobs, request_bytes, costs)


def bare_storage(depth: int, jobs: int, request_bytes: int, costs: str) -> StorageWork:
    """The same on bare metal."""
    return _storage("metal", "kernel", depth, jobs, request_bytes, costs)


@functools.lru_cache(maxsize=512)
def _network(
    path: str, interrupts: str, queues: int, batch: int, frame_bytes: int, costs: str, sleeps: bool = True
) -> NetworkWork:
    way, cost = paths.LADDER[path], paths.COST_SETS[costs]
    own: dict[str, Any] = {"frame_bytes": frame_bytes, **INTERRUPTS[interrupts]}
    guest = exits = host = poller = most = ends = 0.0
    polling = 0
    directions: tuple[Literal["tx", "rx"], ...] = ("tx", "rx")
    for direction in directions:
        stream = paths.PathOptions(direction=direction, kick_batch=batch, interrupt_batch=batch, **own)
        of_guest, of_vcpu, of_host, of_poller = _cpu_ns(way, stream, cost)
        polling = way.cpu(stream, costs=cost).dedicated_cores
        guest, exits, host, poller = guest + of_guest, exits + of_vcpu, host + of_host, poller + of_poller
        # Half of the packets go each way: a queue's servers are busy for the mean of both.
        most += 1 / way.capacity(stream, costs=cost).packets_per_s
        ends += way.latency(paths.PathOptions(direction=direction, guest_halts=sleeps, **own), costs=cost).total_ns
    return NetworkWork(path, guest / 2, exits / 2, host / 2, poller / 2, polling, queues * 2 / most, ends)


@functools.lru_cache(maxsize=512)
def _storage(path: str, interrupts: str, depth: int, jobs: int, request_bytes: int, costs: str) -> StorageWork:
    way, cost = paths.STORAGE[path], paths.STORAGE_COST_SETS[costs]
    own: dict[str, Any] = {"request_bytes": request_bytes, **INTERRUPTS[interrupts]}
    options = paths.StorageOptions(jobs=jobs, **own)
    stations = way.stations(options, cost)
    if path == "nvme-vfio":  # not the disk itself, but the card's front end before it
        stations = (*stations[:-1], replace(stations[-1], demand_ns=stations[-1].demand_ns + cost.card_storage_ns))
    rate = float(paths.closed_network(stations, depth).rate_per_s[-1])
    per_s = min(rate, way.capacity(options, costs=cost).iops)
    # A posted interrupt that wakes a vCPU is taken on that vCPU's own CPU, which is idle: no core is lost by it.
    _, _, host, poller = _cpu_ns(way, options.replace(guest_sleeps=False), cost)
    return StorageWork(path, per_s, host, poller, way.cpu(options, costs=cost).dedicated_cores)


def _cpu_ns(way: Any, options: Any, costs: paths.Costs) -> tuple[float, float, float, float]:
    """CPU time in ns of one packet or request: of the guest's code, of exits on the vCPU's thread, of the host's
    threads that sleep when they can, and of those that poll."""
    guest = exits = host = poller = 0.0
    for step in way.active(options):
        ns = way.step_busy_ns(step, options, costs) / options.batch(step.per)
        if step.server is Server.VCPU:
            if step.place in _SOFTWARE:
                exits += ns
            else:
                guest += ns
        elif step.server in _HOST_THREADS and step.place is Place.POLLER:
            poller += ns
        elif step.server in _HOST_THREADS and step.place in _SOFTWARE:
            host += ns
    return guest, exits, host, poller
