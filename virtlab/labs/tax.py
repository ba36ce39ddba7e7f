"""The tax lab: what a vCPU's exits take of its time, by reason, and how many of them it can afford."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu import ExitCost, exit_profile
from virtlab.cpu.reasons import Route, Vendor
from virtlab.evidence import FACTS
from virtlab.figures.tax import KINDS, SHARES, TaxPicture, TaxResult
from virtlab.labs.base import Lab

Access = Literal["pio", "mmio"]
IoRoute = Literal["userspace", "kernel", "eliminated"]
#: The sets whose sources measured an exit in KVM and one to user space.
IoCosts = Literal["amd-2020-floor", "qemu-2012"]

#: One exit as it was published, by fact.
_PUBLISHED: Mapping[str, str] = {
    "floor_kernel": "exit.m03.kernel", "floor_user": "exit.m03.user", "pio_kernel": "exit.m01.pio.ioeventfd",
    "pio_user": "exit.m01.pio.qemu", "mmio_kernel": "exit.m01.mmio.ioeventfd", "mmio_user": "exit.m01.mmio.qemu",
    "direct": "exit.m02.direct", "fast": "exit.m08.immed.after", "slow": "exit.m08.immed.before",
    "pci": "exit.m07.pci", "rtc": "exit.m07.rtc",
}  # fmt: skip


class TaxSetting(Parameters):
    """How often a vCPU exits for what, who handles the kicks of its device, and what one exit costs."""

    io_per_s: float = parameter(FACTS["exit.rate.default"], ge=100, le=2_000_000, log=True)
    io_route: IoRoute = parameter(FACTS["lab.tax.route"], default="userspace")
    exit_costs: IoCosts = parameter(FACTS["lab.tax.costs"], default="amd-2020-floor")
    indirect_factor: float = same(ExitCost, "indirect_factor")
    interrupts_per_s: float = parameter(FACTS["lab.tax.interrupts"], ge=0, le=300_000, step=1_000)
    halts_per_s: float = parameter(FACTS["exit.after.halts"], ge=0, le=300_000, step=1_000)
    msr_writes_per_s: float = parameter(FACTS["lab.tax.msr"], ge=0, le=300_000, step=1_000)
    tagged_tlb: bool = same(ExitCost, "tagged_tlb")
    mitigations: bool = same(ExitCost, "mitigations")
    access: Access = parameter(FACTS["lab.exit.access"], default="pio")
    vendor: Vendor = same(ExitCost, "vendor")
    clock_ghz: float = same(ExitCost, "clock_ghz")
    mitigation_ns: float = same(ExitCost, "mitigation_ns")
    refill_misses: float = same(ExitCost, "refill_misses")
    walk_nested_cycles: float = same(ExitCost, "walk_nested_cycles")

    def cost(self) -> ExitCost:
        """What one exit costs under this setting."""
        return ExitCost(**{name: getattr(self, name) for name in ExitCost.specs()})


class TaxLab(Lab):
    """How many exits a second can a vCPU afford?"""

    Setting = TaxSetting
    Picture = TaxPicture
    visible = ("io_per_s", "io_route", "exit_costs", "indirect_factor")

    def solve(self, setting: TaxSetting) -> TaxResult:
        s, cost = setting, setting.cost()
        rates = {s.access: s.io_per_s, "vcpu_kick": s.interrupts_per_s, "hlt": s.halts_per_s,
                 "timer_arm": s.msr_writes_per_s}  # fmt: skip
        profile = exit_profile(rates, {s.access: s.io_route}, cost)
        parts = {
            kind: _by_place(cost, line.route, s.access if kind == "io" else "pio")
            for kind, line in zip(KINDS, profile.lines, strict=True)
        }
        return TaxResult(profile, parts, published(s.clock_ghz), s.io_per_s)

    def sentence(self, setting: TaxSetting, result: TaxResult) -> str:
        s, profile = setting, result.profile
        if not profile.share:
            return say("tax.sentence_none", kicks=show(s.io_per_s, "1/s"))
        first = profile.ranking()[0]
        kind = KINDS[profile.lines.index(first)]
        bounded = say(f"cpu_exits.bound.{profile.bound}", figure=show(profile.share, "%"))
        spans = sorted(value for value, _, _ in result.published.values())
        return say(
            f"tax.sentence_{'feasible' if profile.feasible else 'infeasible'}",
            exits=show(profile.exits_per_s, "1/s"), share=bounded, costs=words(f"tax.costs.{s.exit_costs}"),
            clock=show(s.clock_ghz, "GHz"), slowdown=number(profile.slowdown, 4), first=words(f"tax.first.{kind}"),
            part=show(profile.of_total()[first.reason], "%"), kicks=show(s.io_per_s, "1/s"),
            io=say(f"tax.io.{s.io_route}", kicks=show(s.io_per_s, "1/s")), flush=_flush(s, result),
            **{f"at{round(100 * share)}": show(result.rate_at(share), "1/s") for share in SHARES},
            least=show(spans[0], "ns"), most=show(spans[-1], "ns"),
        )  # fmt: skip


def published(clock_ghz: float) -> dict[str, tuple[float, float, float]]:
    """One exit in ns as (value, low, high), by what was measured; cycles are counted by ``clock_ghz``.

    The high end of the direct cost is what its source puts indirect costs at, in certain cases.
    """
    found = {}
    for key, id in _PUBLISHED.items():
        fact = FACTS[id]
        per_unit = 1e3 if fact.unit == "us" else 1 / clock_ghz
        most = fact.value * (1 + FACTS["exit.indirect"].high) if key == "direct" else fact.high
        found[key] = (fact.value * per_unit, fact.low * per_unit, most * per_unit)
    return found


def _by_place(cost: ExitCost, route: Route, access: Access) -> dict[str, float]:
    """One exit by whose time it takes: KVM's, that of the trip to user space, and the guest's own afterwards.

    KVM's part of an exit to user space is what the same set says of one that ends in KVM: what an ioeventfd leaves.
    """
    parts = cost.parts_ns(route, access)
    barrier_ns = cost.mitigation_ns if parts["mitigations"] else 0.0
    kvm = parts["direct"] + barrier_ns
    if route == "userspace":
        kvm = cost.figure("kernel", access).cycles / cost.clock_ghz + barrier_ns
    trip = parts["direct"] + parts["mitigations"] - kvm
    return {"kvm": kvm, "qemu": trip, "guest": parts["indirect"] + parts["flush"]}


def _flush(setting: TaxSetting, result: TaxResult) -> str:
    if setting.tagged_tlb:
        return str(words("tax.tagged"))
    return say("tax.flushed", flushes=show(result.profile.exits_per_s, "1/s"))
