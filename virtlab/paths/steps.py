"""What a path is made of: steps, each with its place, its cost, what it is shared by and what it causes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

Direction = Literal["tx", "rx"]


class Place(StrEnum):
    """Where the code or the hardware of a step stands. Every figure gives a place its one colour."""

    GUEST = "guest"
    KVM = "kvm"
    QEMU = "qemu"
    HOST = "host"
    POLLER = "poller"
    CARD = "card"
    PCIE = "pcie"
    WIRE = "wire"


class Server(StrEnum):
    """Who is busy during a step: the queueing servers of a path."""

    VCPU = "vcpu"
    HOST = "host"
    BACKEND = "backend"
    POOL = "pool"
    CARD = "card"
    PCIE = "pcie"
    WIRE = "wire"
    DISK = "disk"
    DISK_LINK = "disk_link"
    CLUSTER = "cluster"


class Event(StrEnum):
    """What a step may cause. The scope is in the name: most mistakes of the field come from mixing these."""

    VCPU_EXIT = "vcpu_exits"
    USERSPACE_EXIT = "userspace_exits"
    CONTEXT_SWITCH = "context_switches"
    HOST_SYSCALL = "host_syscalls"
    GUEST_SYSCALL = "guest_syscalls"
    HOST_COPY = "host_copies"
    GUEST_COPY = "guest_copies"
    DATA_DMA = "data_dmas"
    PCIE_TRANSACTION = "pcie_transactions"
    HOST_IRQ = "host_irqs"
    NOTIFICATION_IPI = "notification_ipis"


#: What the cost of a step is shared by: every packet or request pays it, or all of one kick, refill, interrupt ...
Per = Literal["packet", "request", "kick", "refill", "interrupt", "completion"]

#: Kinds of per-byte cost: a CPU copies, the wire (with preamble and gap), the PCIe link (with packet headers), a disk,
#: a copy through the page cache of the host, which has its work with each page, a cipher on a core, and in an engine.
PerByte = Literal["", "copy", "wire", "pcie", "disk", "page", "cipher", "engine"]

#: The way that a step may be limited to: of a packet, or of a request.
Way = Literal["tx", "rx", "read", "write", "both"]


@dataclass(frozen=True)
class Step:
    """One step of a path.

    ``cost`` names the costs (of :class:`virtlab.paths.costs.Costs`) that keep ``server`` busy, each once;
    ``per_byte`` adds a cost for every byte of the frame or request; ``delay`` names costs that only take time.
    ``when`` lists the options that must have these values for the step to happen at all.
    ``aside`` steps use a server but do not hold up the packet (going back to sleep, a completion).
    ``idle`` steps happen because the server had nothing to do (it sleeps, it must be woken): never at full load.
    ``blocks``: the server waits through the delays too and does nothing else (a thread in a blocking system call).
    """

    key: str
    place: Place
    server: Server
    function: str
    cost: tuple[str, ...] = ()
    per_byte: PerByte = ""
    delay: tuple[str, ...] = ()
    per: Per = "packet"
    causes: Mapping[Event, int] = field(default_factory=lambda: MappingProxyType({}))
    direction: Way = "both"
    when: tuple[tuple[str, object], ...] = ()
    aside: bool = False
    idle: bool = False
    blocks: bool = False


def when(**options: object) -> tuple[tuple[str, object], ...]:
    """Conditions of a step, written like the options that they ask for."""
    return tuple(options.items())


def causes(*events: Event) -> Mapping[Event, int]:
    """What one occurrence of a step causes; an event named twice counts twice."""
    return MappingProxyType({event: events.count(event) for event in dict.fromkeys(events)})
