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

from virtlab.cloud.architectures import ARCHITECTURES, Architecture
from virtlab.cloud.efficiency import Efficiency, efficiency
from virtlab.cloud.guest_time import Bare, jitter, longer
from virtlab.cloud.host import Host
from virtlab.cloud.host_share import unsold
from virtlab.cloud.placed import network_work, storage_work
from virtlab.cloud.server import ServerOptions
from virtlab.cloud.workloads import Workload, workload_of
from virtlab.core.parameter import ParameterError, unknown
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words

#: The parts of the slowdown, in the order of the course.
SLOW = ("walks", "exits", "timers", "storage_wait", "network_wait", "jitter")
Axis = Literal["loss", "host_tax", "slowdown"]


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
    bare = Bare.of(w, s)
    net = network_work(host, w.vm_vcpus, w.packet_batch, w.frame_bytes, s.path_costs)
    disk = storage_work(host, w.storage_depth, bare.jobs, w.request_bytes, s.path_costs)
    grown = longer(host, w, s, bare, net, disk)
    tax, vms, threads = unsold(host, w, s, bare, net, disk, math.fsum(grown.values()))
    grown["jitter"] = jitter(host, w, s, bare, net, disk, threads)
    total = 1 + math.fsum(grown.values())
    slow = {part: grown[part] / total for part in SLOW}
    return Overhead(name, host, w, s, MappingProxyType(tax), MappingProxyType(slow),
                    efficiency(min(1.0, math.fsum(tax.values())), max(0.0, 1 - 1 / total)), vms)  # fmt: skip


def _title(architecture: str) -> str:
    return str(words(f"whole.architecture.{architecture}"))
