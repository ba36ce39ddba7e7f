"""The delivery lab: what an interrupt costs and how late it comes, by mode and by what it finds the vCPU doing."""

from __future__ import annotations

import math

import numpy as np

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.cpu.interrupts import How, InterruptOptions, Interrupts, InterruptSource, interrupts
from virtlab.evidence import FACTS
from virtlab.figures.delivery import FINDS, GRID_NS, DeliveryPicture, DeliveryResult
from virtlab.labs.base import Lab


class DeliverySetting(Parameters):
    """How interrupts reach the guest, how many there are, what they find the vCPU doing, and what each event costs."""

    interrupts: How = same(InterruptOptions, "interrupts")
    interrupt_rate_per_s: float = parameter(FACTS["irq.rate"], ge=1_000, le=1_000_000, log=True)
    running_share: float = parameter(FACTS["irq.running_share"], ge=0, le=1)
    blocked_of_rest_share: float = parameter(FACTS["irq.blocked_of_rest"], ge=0, le=1)
    interrupt_source: InterruptSource = same(InterruptOptions, "interrupt_source")
    irq_on_vcpu_cpu: bool = same(InterruptOptions, "irq_on_vcpu_cpu")
    multicast: bool = same(InterruptOptions, "multicast")
    ipi_virtualization: bool = same(InterruptOptions, "ipi_virtualization")
    vcpus_per_cpu: int = same(InterruptOptions, "vcpus_per_cpu")
    slice_ns: float = same(InterruptOptions, "slice_ns", ge=1_000_000, le=10_000_000)
    wakeup_ns: float = same(InterruptOptions, "wakeup_ns", le=100_000)
    idle_exit_ns: float = same(InterruptOptions, "idle_exit_ns", le=200_000)
    notification_ipi_ns: float = same(InterruptOptions, "notification_ipi_ns", ge=100, le=10_000)
    host_irq_ns: float = same(InterruptOptions, "host_irq_ns", le=10_000)
    exit_kernel_cycles: float = same(InterruptOptions, "exit_kernel_cycles")
    clock_ghz: float = same(InterruptOptions, "clock_ghz")

    def options(self) -> InterruptOptions:
        """The options of the model. IPI virtualization without APICv there is none, so it is left off then."""
        own = {"interrupt_rate_per_s", "running_share", "blocked_of_rest_share", "ipi_virtualization"}
        rest = 1 - self.running_share
        blocked = rest * self.blocked_of_rest_share
        return InterruptOptions(**self.model_dump(exclude=own), blocked_share=blocked,
                                preempted_share=max(0.0, rest - blocked),
                                ipi_virtualization=self.ipi_virtualization and self.apicv)  # fmt: skip

    @property
    def apicv(self) -> bool:
        return self.interrupts in ("apicv", "posted")


def curve(result: Interrupts) -> tuple[np.ndarray, np.ndarray]:
    """The share of interrupts that have come within a time (ns), with both sides of each jump."""
    ends = [end for cost in result.by_state.values() for end in (cost.low_ns, cost.high_ns)]
    below = [math.nextafter(end, 0) for end in ends]
    at = np.unique(np.concatenate([GRID_NS, [ns for ns in (*ends, *below) if ns > 0]]))
    return at, np.array([result.share_within(float(ns)) for ns in at])


class DeliveryLab(Lab):
    """How late do interrupts come, and what does the host do for each?"""

    Setting = DeliverySetting
    Picture = DeliveryPicture
    visible = ("interrupts", "interrupt_rate_per_s", "running_share", "blocked_of_rest_share")

    def solve(self, setting: DeliverySetting) -> DeliveryResult:
        model = interrupts(setting.options())
        at_ns, within = curve(model)
        o, rate = model.options, setting.interrupt_rate_per_s

        def a_second(name: str) -> float:
            return rate * math.fsum(o.share(s) * getattr(c, name) for s, c in model.by_state.items())

        exits = a_second("vcpu_exits")
        return DeliveryResult(
            model, at_ns, within, rate,
            a_second={"exits": exits, "sender_exits": a_second("sender_exits"), "host_irqs": a_second("host_irqs"),
                      "ipis": a_second("kick_ipis") + a_second("notification_ipis"), "wakeups": a_second("wakeups")},
            exit_share=exits * o.exit_ns / 1e9, ignored=setting.ipi_virtualization and not setting.apicv,
        )  # fmt: skip

    def sentence(self, setting: DeliverySetting, result: DeliveryResult) -> str:
        model, specs = result.model, InterruptOptions.specs()
        parts = "; ".join(
            say("delivery.part", state=specs["vcpu_state"].show(s), share=show(model.options.share(s), "%"),
                exits=model.by_state[s].vcpu_exits, irqs=model.by_state[s].host_irqs,
                ipis=model.by_state[s].kick_ipis + model.by_state[s].notification_ipis,
                wakeups=model.by_state[s].wakeups, latency=result.latency(s)) for s in FINDS
        )  # fmt: skip
        return say(
            "delivery.sentence", how=specs["interrupts"].show(setting.interrupts), parts=parts,
            source=specs["interrupt_source"].show(setting.interrupt_source),
            p50=show(model.quantile_ns(0.5), "ns"), p99=show(model.quantile_ns(0.99), "ns"),
            rate=show(result.rate_per_s, "1/s"), tax=show(result.exit_share, "%"),
            too_much=words("delivery.too_much") if result.exit_share > 1 else "",
            ignored=words("delivery.ignored") if result.ignored else "",
            **{key: show(n, "1/s") for key, n in result.a_second.items()},
        ).replace("  ", " ").rstrip()  # fmt: skip
