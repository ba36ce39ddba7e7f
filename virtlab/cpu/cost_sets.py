"""What one exit costs: named sets, one source and one CPU each, and what the host's conditions add to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.words import say, words
from virtlab.cpu.reasons import Route, Vendor
from virtlab.evidence import FACTS

CostSetName = Literal["amd-2020-floor", "qemu-2012", "skx-2020-timer"]
Access = Literal["pio", "mmio"]
#: How the figure of a set stands to a real exit of its CPU.
Bound = Literal["measured", "at_least", "at_most"]
#: Barriers on the way of each route: one for the world switch, one more for the system call.
_BARRIERS: Mapping[Route, int] = MappingProxyType({"eliminated": 0, "fastpath": 1, "kernel": 1, "userspace": 2})


@dataclass(frozen=True)
class Figure:
    """Cycles of one exit, the fact that they come from, and whether a real exit takes more or less."""

    cycles: float
    fact: str
    bound: Bound


@dataclass(frozen=True)
class CostSet:
    """One source's figures of one CPU, by route: the ids of their facts. What it did not measure is not there.

    ``floor`` says that the handler was empty, so that a real exit costs at least as much. ``decoded`` are the figures
    of an MMIO access whose instruction KVM had to decode.
    """

    name: str
    facts: Mapping[Route, str]
    decoded: Mapping[Route, str]
    floor: bool = False

    def figure(self, route: Route, *, decoded: bool = False) -> Figure:
        """The cycles of one exit on this route. Raises ParameterError where the source has none.

        A fast path that was not measured takes at most what KVM's ordinary path takes. An empty handler decodes
        nothing, so that its figure bounds a decoded access as well.
        """
        if route == "eliminated":
            return Figure(0.0, "", "measured")
        facts = self.decoded if decoded and not self.floor else self.facts
        taken: Route = "kernel" if route == "fastpath" and route not in facts else route
        if taken not in facts:
            raise ParameterError(self._missing(route, decoded))
        bound: Bound = "at_least" if self.floor else "measured" if taken == route else "at_most"
        return Figure(FACTS[facts[taken]].value, facts[taken], bound)

    def _missing(self, route: Route, decoded: bool) -> str:
        what = words(f"cpu_exits.missing.{'decoded' if decoded else route}")
        others = [name for name, costs in COST_SETS.items() if costs._has(route, decoded)]
        return say("cpu_exits.error.missing", costs=self.name, what=what, others=" or ".join(others))

    def _has(self, route: Route, decoded: bool) -> bool:
        return self.floor or route in (self.decoded if decoded else self.facts)


_PIO: Mapping[Route, str] = MappingProxyType({"kernel": "exit.m01.pio.ioeventfd", "userspace": "exit.m01.pio.qemu"})
_MMIO: Mapping[Route, str] = MappingProxyType({"kernel": "exit.m01.mmio.ioeventfd", "userspace": "exit.m01.mmio.qemu"})

#: Never averaged: a mean of two CPUs is true of neither.
COST_SETS: Mapping[str, CostSet] = MappingProxyType({
    costs.name: costs
    for costs in (
        # The way through KVM_RUN with nothing to do: both ends of what an AMD part of 2020 needs, and no handler.
        CostSet("amd-2020-floor", {"fastpath": "exit.m03.kernel", "kernel": "exit.m03.kernel",
                                   "userspace": "exit.m03.user"}, {}, floor=True),
        CostSet("qemu-2012", _PIO, _MMIO),
        # A write of TSC_DEADLINE in the past, and the interrupt that follows at once: before and after the fast path.
        CostSet("skx-2020-timer", {"fastpath": "exit.m08.immed.after", "kernel": "exit.m08.immed.before"}, {}),
    )
})  # fmt: skip


class ExitCost(Parameters):
    """What one exit costs on a host: the set of cycles, and what is added to them.

    With the defaults nothing is: the sets say what their sources measured.
    """

    exit_costs: CostSetName = parameter(FACTS["exit.costs.default"], default="amd-2020-floor")
    vendor: Vendor = parameter(FACTS["exit.vendor.default"], default="intel")
    clock_ghz: float = parameter(FACTS["cpu.clock"], ge=1, le=6)
    indirect_factor: float = parameter(FACTS["exit.indirect"], ge=0, le=10)
    mitigations: bool = parameter(FACTS["cpu.mitigations.default"], default=False)
    mitigation_ns: float = parameter(FACTS["cpu.mitigations.cost"], ge=0, le=5_000)
    tagged_tlb: bool = parameter(FACTS["mmu.tagged"], default=True)
    refill_misses: float = parameter(FACTS["mmu.refill"], ge=0, le=1_536)
    walk_nested_cycles: float = parameter(FACTS["walk.cycles.nested"], ge=5, le=5_000)

    def figure(self, route: Route, access: Access = "pio") -> Figure:
        """The cycles of the set for an exit on this route; ``pio`` stands for all exits that decode nothing.

        Intel finds the ioeventfd of an MMIO address without decoding (fast MMIO, an EPT_MISCONFIG exit): as a PIO.
        AMD has no such exit, and user space needs the decoded instruction on both. Raises ParameterError.
        """
        if access == "mmio" and route == "fastpath":
            raise ParameterError(words("cpu_exits.error.fastpath_mmio"))
        decoded = access == "mmio" and (self.vendor == "amd" or route == "userspace")
        return COST_SETS[self.exit_costs].figure(route, decoded=decoded)

    def flushes(self, route: Route) -> int:
        """TLB flushes by one exit: none where entries carry the VM's number (VPID, ASID)."""
        return 0 if self.tagged_tlb or route == "eliminated" else 1

    def parts_ns(self, route: Route, access: Access = "pio") -> dict[str, float]:
        """One exit on this route by cause: direct, indirect, mitigations, flush. Raises ParameterError.

        Indirect is what the guest pays afterwards, in caches that the host has used: a factor on the direct cost.
        """
        direct = self.figure(route, access).cycles / self.clock_ghz
        flush = self.flushes(route) * self.refill_misses * self.walk_nested_cycles / self.clock_ghz
        barriers = _BARRIERS[route] * self.mitigation_ns if self.mitigations else 0.0
        return {"direct": direct, "indirect": self.indirect_factor * direct, "mitigations": barriers, "flush": flush}

    def ns(self, route: Route, access: Access = "pio") -> float:
        """One exit on this route, with everything that it causes."""
        return sum(self.parts_ns(route, access).values())

