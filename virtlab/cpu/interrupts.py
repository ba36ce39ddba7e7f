"""What one interrupt costs by how it reaches the guest and by what the vCPU does: exits, host IRQs, IPIs, latency.

How: an emulated LAPIC, one with PV-EOI, APICv (KVM posts, see posted.py), or APICv with VT-d posting (the IOMMU posts
what an assigned device sends; anything else is posted by KVM). On AMD: AVIC, and for the last the GA log of the IOMMU.
What the vCPU does: it runs in the guest, it is in the host (handling an exit), it is preempted, or it is blocked.

Counted is what this interrupt causes: not the HLT exit that put a blocked vCPU to sleep, and one interrupt at a time,
so that a post always raises ON (see :func:`burst` for many). The guest's own handler is left out everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from pydantic import model_validator

from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

How = Literal["emulated", "pv-eoi", "apicv", "posted"]
InterruptSource = Literal["ipi", "irqfd", "assigned"]
VcpuState = Literal["guest", "host", "preempted", "blocked"]
STATES: tuple[VcpuState, ...] = get_args(VcpuState)


class InterruptOptions(Parameters):
    """An interrupt, the vCPU that it is for, and what each event costs.

    ``blocked_share`` and ``preempted_share`` say how often an interrupt finds the vCPU so; else it runs in the guest.
    """

    interrupts: How = parameter(FACTS["lab.interrupts"], default="apicv")
    interrupt_source: InterruptSource = parameter(FACTS["irq.source"], default="irqfd")
    vcpu_state: VcpuState = parameter(FACTS["irq.vcpu_state"], default="guest")
    irq_on_vcpu_cpu: bool = parameter(FACTS["vfio.irq.placement"], default=False)
    multicast: bool = parameter(FACTS["irq.multicast"], default=False)
    ipi_virtualization: bool = parameter(FACTS["exit.after.remedy"], default=False)
    blocked_share: float = parameter(FACTS["irq.blocked_share"], ge=0, le=1)
    preempted_share: float = parameter(FACTS["irq.preempted_share"], ge=0, le=1)
    vcpus_per_cpu: int = parameter(FACTS["sched.vcpus_per_cpu"], ge=1, le=16)
    slice_ns: float = parameter(FACTS["sched.slice"], ge=100_000, le=100_000_000)
    notification_ipi_ns: float = parameter(FACTS["kvm.notification_ipi"], ge=0, le=100_000)
    host_irq_ns: float = parameter(FACTS["host.irq"], ge=0, le=100_000)
    wakeup_ns: float = parameter(FACTS["kvm.wakeup.blocked"], ge=0, le=1_000_000)
    idle_exit_ns: float = parameter(FACTS["cpu.idle_exit"], ge=0, le=1_000_000)
    exit_kernel_cycles: float = parameter(FACTS["exit.m01.pio.ioeventfd"], ge=300, le=20_000)
    clock_ghz: float = parameter(FACTS["cpu.clock"], ge=1, le=6)

    @model_validator(mode="after")
    def _it_can_be(self) -> InterruptOptions:
        if self.blocked_share + self.preempted_share > 1:
            raise ValueError(say("cpu_interrupts.error.shares", blocked=show(self.blocked_share, "%"),
                                 preempted=show(self.preempted_share, "%")))  # fmt: skip
        if self.ipi_virtualization and not self.apicv:
            raise ValueError(say("cpu_interrupts.error.ipi"))
        return self

    @property
    def apicv(self) -> bool:
        """Whether the CPU delivers interrupts and takes their end without an exit."""
        return self.interrupts in ("apicv", "posted")

    @property
    def posted_by_hardware(self) -> bool:
        """Whether the IOMMU (or, for an IPI, the sender's CPU) posts, and not KVM. It posts to one vCPU only."""
        vtd = self.interrupt_source == "assigned" and self.interrupts == "posted"
        return (vtd or (self.interrupt_source == "ipi" and self.ipi_virtualization)) and not self.multicast

    @property
    def exit_ns(self) -> float:
        """One exit that KVM handles."""
        return self.exit_kernel_cycles / self.clock_ghz

    def share(self, state: VcpuState) -> float:
        """How often an interrupt finds the vCPU in this state; being in the host counts as being in the guest."""
        running = 1 - self.blocked_share - self.preempted_share
        return {"guest": max(0.0, running), "host": 0.0, "preempted": self.preempted_share,
                "blocked": self.blocked_share}[state]  # fmt: skip


class InterruptCost(NamedTuple):
    """What one interrupt causes. IPIs are those that KVM sends; hardware notifications those of the IOMMU or the CPU.

    ``deferred_ns`` is the longest that it waits for the vCPU's turn; the latency is even between its two ends.
    """

    vcpu_exits: int
    sender_exits: int
    host_irqs: int
    kick_ipis: int
    notification_ipis: int
    hardware_notifications: int
    wakeups: int
    deferred_ns: float
    low_ns: float
    high_ns: float

    @property
    def host_events(self) -> int:
        """What the host must do besides exits: its interrupts and wake-ups."""
        return self.host_irqs + self.wakeups

    @property
    def mean_ns(self) -> float:
        """Mean latency until the guest's handler can start."""
        return (self.low_ns + self.high_ns) / 2


@dataclass(frozen=True, repr=False)
class Interrupts(Shown):
    """The costs in each state of the vCPU, and the latency over all of them by how often each is met."""

    options: InterruptOptions
    by_state: Mapping[VcpuState, InterruptCost]

    @property
    def cost(self) -> InterruptCost:
        """In the state that the options ask for."""
        return self.by_state[self.options.vcpu_state]

    @property
    def mean_ns(self) -> float:
        """Mean latency over the states."""
        return math.fsum(self.options.share(state) * cost.mean_ns for state, cost in self.by_state.items())

    def share_within(self, latency_ns: float) -> float:
        """The share of interrupts whose latency is ``latency_ns`` or less."""
        return math.fsum(self.options.share(s) * _within(c, latency_ns) for s, c in self.by_state.items())

    def quantile_ns(self, share: float) -> float:
        """The shortest latency that ``share`` of the interrupts do not exceed: 0.99 for p99. Raises ParameterError."""
        if not 0 < share <= 1:
            raise ParameterError(say("cpu_interrupts.error.quantile", given=repr(share)))
        met = [(self.options.share(s), c) for s, c in self.by_state.items() if self.options.share(s)]
        ends = sorted({end for _, c in met for end in (c.low_ns, c.high_ns)})
        before_ns = ends[0]
        for end_ns in ends:
            jump = math.fsum(part for part, c in met if c.low_ns == c.high_ns == end_ns)
            reached = math.fsum(part * _within(c, end_ns) for part, c in met)
            if reached - jump >= share > (begun := self.share_within(before_ns)):
                return before_ns + (end_ns - before_ns) * (share - begun) / (reached - jump - begun)
            if reached >= share:
                return end_ns
            before_ns = end_ns
        return ends[-1]

    def law(self) -> tuple[float, float]:
        """Conservation: each interrupt finds the vCPU in one state. Returns both sides."""
        return math.fsum(self.options.share(state) for state in self.by_state), 1.0

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o, c, specs = self.options, self.cost, InterruptOptions.specs()
        key = "deferred" if c.deferred_ns else "sentence"
        return say(f"cpu_interrupts.{key}", how=specs["interrupts"].show(o.interrupts),
                   source=specs["interrupt_source"].show(o.interrupt_source), exits=c.vcpu_exits, irqs=c.host_irqs,
                   state=specs["vcpu_state"].show(o.vcpu_state), ipis=c.kick_ipis + c.notification_ipis,
                   wakeups=c.wakeups, latency=show(c.mean_ns, "ns"), most=show(c.high_ns, "ns"))  # fmt: skip

    def table(self) -> Table:
        state_words = InterruptOptions.specs()["vcpu_state"]
        rows = [
            (state_words.show(state), c.vcpu_exits, c.sender_exits, c.host_irqs, c.kick_ipis, c.notification_ipis,
             c.hardware_notifications, c.wakeups, _latency(c)) for state, c in self.by_state.items()
        ]  # fmt: skip
        return Table.of(words("cpu_interrupts.header"), rows, self.sentence(), numeric=range(1, 9))


def interrupts(options: InterruptOptions | None = None, /, **changes: Any) -> Interrupts:
    """What one interrupt costs. Options as in :class:`InterruptOptions`, as one object or by name.

    Golden, exits of a running vCPU by an irqfd: emulated 2, PV-EOI 1, APICv 0; of an assigned device's interrupt with
    VT-d posting 0 and no host IRQ, without posting on the vCPU's own CPU 1 with APICv and 2 without. A blocked vCPU
    costs at least one event of the host, a preempted one waits for up to (m - 1) slices. Raises ParameterError.
    """
    o = InterruptOptions.given(options, changes)
    return Interrupts(o, {state: _cost(o, state) for state in STATES})


def _cost(o: InterruptOptions, state: VcpuState) -> InterruptCost:
    hardware, running, in_host, blocked = o.posted_by_hardware, state == "guest", state == "host", state == "blocked"
    # A device's interrupt is the host's first, unless it is posted. On the vCPU's own CPU it throws the guest out.
    device = o.interrupt_source == "assigned" and not hardware
    thrown_out = running and device and o.irq_on_vcpu_cpu
    kicked = running and not o.apicv and not thrown_out
    told = running and o.apicv and not hardware and not thrown_out
    # The notification of the hardware finds no guest when the vCPU is in the host, and wakes it when it is blocked:
    # an interrupt of the host both times. SN keeps it from being sent to a preempted vCPU.
    host_irqs = int(device) + int(hardware and (in_host or blocked))
    deferred_ns = (o.vcpus_per_cpu - 1) * o.slice_ns if state == "preempted" else 0.0
    low_ns = o.host_irq_ns if device or (hardware and blocked) else 0.0
    if running:
        low_ns += o.exit_ns if kicked or thrown_out else o.notification_ipi_ns
    elif blocked:
        low_ns += o.wakeup_ns + o.idle_exit_ns
    # In the host it waits for the rest of the exit that is being handled: taken to be one that KVM handles.
    spread_ns = o.exit_ns if in_host else deferred_ns
    return InterruptCost(
        vcpu_exits=int(kicked or thrown_out) + int(o.interrupts == "emulated"),  # the latter: the write of EOI
        sender_exits=int(o.interrupt_source == "ipi" and not hardware),
        host_irqs=host_irqs,
        kick_ipis=int(kicked),
        notification_ipis=int(told),
        hardware_notifications=int(hardware and state != "preempted"),
        wakeups=int(blocked),
        deferred_ns=deferred_ns,
        low_ns=low_ns,
        high_ns=low_ns + spread_ns,
    )


class BurstOptions(Parameters):
    """Posts to a running vCPU, evenly over ``within_ns``; ON stays set until the notification has arrived."""

    posts: int = parameter(FACTS["irq.burst.posts"], ge=1, le=1_000)
    within_ns: float = parameter(FACTS["irq.burst.within"], ge=0, le=1_000_000_000)
    notification_ipi_ns: float = parameter(FACTS["kvm.notification_ipi"], ge=0, le=100_000)


class Burst(NamedTuple):
    """``same_vector``: interrupts that the guest takes if all posts are of one vector; else it takes each of them."""

    posts: int
    notifications: int
    same_vector: int

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say("cpu_interrupts.burst", **self._asdict())


def burst(options: BurstOptions | None = None, /, **changes: Any) -> Burst:
    """How many notifications a burst of posts takes: one each time that a post finds ON clear.

    Golden: ten posts within 2 µs and 600 ns a notification: 4; all at once: 1. Raises ParameterError.
    """
    o = BurstOptions.given(options, changes)
    notifications, clear_ns = 0, -math.inf
    for n in range(o.posts):
        at_ns = o.within_ns * n / o.posts
        if at_ns >= clear_ns:
            notifications, clear_ns = notifications + 1, at_ns + o.notification_ipi_ns
    return Burst(o.posts, notifications, notifications)


def _within(cost: InterruptCost, latency_ns: float) -> float:
    if latency_ns >= cost.high_ns:
        return 1.0
    return max(0.0, (latency_ns - cost.low_ns) / (cost.high_ns - cost.low_ns)) if latency_ns > cost.low_ns else 0.0


def _latency(cost: InterruptCost) -> str:
    low = show(cost.low_ns, "ns")
    return low if cost.low_ns == cost.high_ns else say("cpu_interrupts.span", low=low, high=show(cost.high_ns, "ns"))
