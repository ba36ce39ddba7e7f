"""What is left when I/O has gone to a card (timers, IPIs, HLT, PAUSE, the host's tick), what removes it, at what price.

Four remedies, none of which is free: exits disabled (the vCPU halts and spins on its CPU without KVM), timers that a
housekeeping CPU posts, IPI virtualization, and CPUs that are isolated and tickless. Rates are per vCPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from pydantic import model_validator

from virtlab.core.parameter import parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.cpu.cost_sets import ExitCost
from virtlab.cpu.exits import ExitProfile, Tax, exit_profile
from virtlab.cpu.reasons import Route
from virtlab.evidence import FACTS

Remedy = Literal["exits_disabled", "posted_timers", "ipi_virtualization", "isolated_cpus"]
#: In the order in which they help: a posted timer needs a vCPU that halts without KVM.
REMEDIES: tuple[Remedy, ...] = ("exits_disabled", "posted_timers", "ipi_virtualization", "isolated_cpus")
#: What must be there for a remedy to work at all, by the name of the option.
NEEDS: Mapping[Remedy, tuple[str, ...]] = MappingProxyType(
    {
        "exits_disabled": (),
        "posted_timers": ("exits_disabled", "apicv"),
        "ipi_virtualization": ("apicv",),
        "isolated_cpus": (),
    }
)


class AfterIo(ExitCost):
    """A vCPU whose devices cause no exit any more: what it still does, and which remedies are there."""

    guest_hz: float = parameter(FACTS["exit.after.guest_hz"], ge=0, le=1_000)
    timers_per_s: float = parameter(FACTS["exit.after.timers"], ge=0, le=1_000_000)
    ipis_per_s: float = parameter(FACTS["exit.after.ipis"], ge=0, le=1_000_000)
    multicast_share: float = parameter(FACTS["exit.after.multicast"], ge=0, le=1)
    halts_per_s: float = parameter(FACTS["exit.after.halts"], ge=0, le=1_000_000)
    spins_per_s: float = parameter(FACTS["exit.after.spins"], ge=0, le=1_000_000)
    host_hz: float = parameter(FACTS["exit.after.host_hz"], ge=0, le=1_000)
    busy_share: float = parameter(FACTS["exit.after.busy"], ge=0, le=1)
    host_irq_ns: float = parameter(FACTS["host.irq"], ge=0, le=50_000)
    notification_ipi_ns: float = parameter(FACTS["kvm.notification_ipi"], ge=0, le=10_000)
    apicv: bool = parameter(FACTS["kvm.apicv.default"], default=True)
    exits_disabled: bool = parameter(FACTS["exit.after.remedy"], default=False)
    posted_timers: bool = parameter(FACTS["exit.after.remedy"], default=False)
    ipi_virtualization: bool = parameter(FACTS["exit.after.remedy"], default=False)
    isolated_cpus: bool = parameter(FACTS["exit.after.remedy"], default=False)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> AfterIo:
        for remedy in self.remedies:
            for need in NEEDS[remedy]:
                if not getattr(self, need):
                    raise ValueError(say("cpu_exits.error.needs", remedy=remedy, need=need,
                                         why=words(f"cpu_exits.needs.{need}")))  # fmt: skip
        return self

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """Those that are there."""
        return tuple(remedy for remedy in REMEDIES if getattr(self, remedy))

    @property
    def armed_per_s(self) -> float:
        """Timers that the guest sets: its tick sets the next one each time."""
        return self.guest_hz + self.timers_per_s


@dataclass(frozen=True, repr=False)
class Residue(Tax):
    """The tax that I/O does not explain, and the price of having it lower."""

    options: AfterIo
    profile: ExitProfile

    @property
    def share(self) -> float:
        """The tax on the vCPU's time."""
        return self.profile.share

    @property
    def below_one_percent(self) -> bool:
        """Whether the tax is below the figure of the claims S2 and S24: by the named set, without EPT and steal."""
        return self.share < 0.01

    @property
    def stranded_share(self) -> float:
        """The vCPU's idle time that the host can give to nobody: KVM never hears of a HLT, or nobody may come."""
        o = self.options
        return 1 - o.busy_share if o.exits_disabled or o.isolated_cpus else 0.0

    @property
    def housekeeping_share(self) -> float:
        """The time of a housekeeping CPU: for each posted timer one interrupt there, and one notification sent."""
        o = self.options
        if not o.posted_timers:
            return 0.0
        return o.armed_per_s * (o.host_irq_ns + o.notification_ipi_ns) / 1e9

    def law(self) -> tuple[float, float]:
        """Conservation: every event of the options is an exit, or eliminated. Returns both sides, in 1/s."""
        o = self.options
        events = 2 * o.armed_per_s + o.ipis_per_s + o.halts_per_s + o.spins_per_s + o.host_hz
        if not o.apicv:  # each interrupt that comes is also a kick out of the guest, or an end that is written
            events += 2 * o.ipis_per_s + o.armed_per_s
        return math.fsum(line.rate_per_s for line in self.profile.lines), events

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        names = [str(words(f"cpu_exits.remedy.{remedy}.name")) for remedy in o.remedies]
        return say(
            "cpu_exits.after", remedies=", ".join(names) or words("cpu_exits.no_remedy"), tax=self.profile.sentence(),
            verdict=words(f"cpu_exits.{'below' if self.below_one_percent else 'above'}.{self.profile.bound}"),
            stranded=show(self.stranded_share, "%"), housekeeping=show(self.housekeeping_share, "%"),
        )  # fmt: skip

    def table(self) -> Table:
        table = self.profile.table()
        return Table.of(table.headers, table.rows, self.sentence(), table.numeric)


@dataclass(frozen=True, repr=False)
class RemedySteps(Shown):
    """The same vCPU without any remedy, and with one more each time."""

    steps: tuple[Residue, ...]

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        first, last = self.steps[0], self.steps[-1]
        return say("cpu_exits.steps.sentence", first=show(first.share, "%"), last=show(last.share, "%"),
                   stranded=show(last.stranded_share, "%"))  # fmt: skip

    def table(self) -> Table:
        rows = []
        for before, step in zip((None, *self.steps), self.steps, strict=False):
            new = step.options.remedies if before is None else set(step.options.remedies) - set(before.options.remedies)
            names = [str(words(f"cpu_exits.remedy.{r}.name")) for r in REMEDIES if r in new]
            prices = [str(words(f"cpu_exits.remedy.{r}.price")) for r in REMEDIES if r in new]
            rows.append((
                ", ".join(names) or words("cpu_exits.no_remedy"), show(step.profile.exits_per_s, "1/s"),
                show(step.share, "%"), show(step.stranded_share, "%"), show(step.housekeeping_share, "%"),
                "; ".join(prices),
            ))  # fmt: skip
        return Table.of(words("cpu_exits.steps.header"), rows, self.sentence(), numeric=range(1, 5))


def after_io(options: AfterIo | None = None, /, **changes: Any) -> Residue:
    """The exits that are left without I/O, their tax, and the price of the remedies. Options as in :class:`AfterIo`.

    Each timer that is set also fires in the guest: one that is cancelled, or that fires while the vCPU is blocked,
    costs no second exit. APICv delivers IPIs and timers without an exit to a vCPU that runs; it does not remove the
    exit of *sending* an IPI (AMD's AVIC does). KVM's fast path sends those of an x2APIC with a physical destination;
    for a guest in cluster mode move "ipi_send" of the profile to the kernel. A HLT counts as its exit alone: waking
    up, and polling for it, are another model. Posted timers need a timer of the host, so that setting one leaves the
    fast path (Linux until the change of 2025), and a guest that halts by itself cannot use the preemption timer at
    all. Raises ParameterError.
    """
    o = AfterIo.given(options, changes)
    rates, routes = _exits(o)
    return Residue(o, exit_profile(rates, routes, o))


def remedy_steps(options: AfterIo | None = None, /, **changes: Any) -> RemedySteps:
    """The four remedies, one added after the other in the order of ``REMEDIES``; those of ``options`` do not matter."""
    o = AfterIo.given(options, changes)
    return RemedySteps(tuple(
        after_io(o, **{remedy: k < n for k, remedy in enumerate(REMEDIES)}) for n in range(len(REMEDIES) + 1)
    ))  # fmt: skip


def _exits(o: AfterIo) -> tuple[dict[str, float], dict[str, Route]]:
    armed, many = o.armed_per_s, o.multicast_share * o.ipis_per_s
    rates = {
        "timer_arm": armed, "timer_fire": armed, "ipi_send": o.ipis_per_s - many, "ipi_send_many": many,
        "hlt": o.halts_per_s, "pause": o.spins_per_s, "host_tick": o.host_hz,
    }  # fmt: skip
    routes: dict[str, Route] = {}
    if not o.apicv:
        # As many IPIs come as go; each end of interrupt is a register write, that of a timer too.
        rates |= {"vcpu_kick": o.ipis_per_s, "eoi": o.ipis_per_s + armed}
    if o.exits_disabled:
        # kvm_can_use_hv_timer: not for a guest that executes MWAIT by itself. The host's timer interrupts it instead.
        routes |= {"hlt": "eliminated", "pause": "eliminated", "timer_arm": "kernel", "timer_fire": "kernel"}
    if o.posted_timers:
        routes["timer_fire"] = "eliminated"
    if o.ipi_virtualization or (o.apicv and o.vendor == "amd"):  # AVIC does both
        routes["ipi_send"] = "eliminated"  # one target only: the CPU sends no others by itself
    if o.isolated_cpus:
        routes["host_tick"] = "eliminated"
    return rates, routes
