"""What memory virtualization costs a vCPU: shadow paging, nested paging (EPT, NPT) and what makes the latter cheap.

Shadow paging: KVM keeps tables of its own that lead from guest-virtual to host addresses. A TLB miss then walks one
dimension, but KVM must see what the guest does to its tables: page-table writes, page faults and CR3 loads exit.
Nested paging: the hardware walks both tables, and none of these exits. What is called EPT or NPT optimization are the
three things that took away what was left: faults in parallel, accessed and dirty bits, and tagged TLBs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

Technique = Literal["shadow", "nested"]


class MmuOptions(Parameters):
    """A vCPU's memory events each second, what each costs, and which help is there. Rates are per vCPU."""

    technique: Technique = parameter(FACTS["mmu.technique"], default="nested")
    parallel_faults: bool = parameter(FACTS["mmu.parallel_faults"], default=True)
    accessed_dirty_bits: bool = parameter(FACTS["mmu.ad_bits"], default=True)
    tagged_tlb: bool = parameter(FACTS["mmu.tagged"], default=True)
    vcpus: int = parameter(FACTS["mmu.vcpus"], ge=1, le=512, log=True, unit="1")
    page_table_updates_per_s: float = parameter(FACTS["mmu.rate.updates"], ge=1, le=10_000_000, log=True)
    tlb_misses_per_s: float = parameter(FACTS["mmu.rate.misses"], ge=1, le=100_000_000, log=True)
    guest_faults_per_s: float = parameter(FACTS["mmu.rate.faults"], ge=1, le=1_000_000, log=True)
    cr3_loads_per_s: float = parameter(FACTS["mmu.rate.cr3"], ge=1, le=1_000_000, log=True)
    exits_per_s: float = parameter(FACTS["mmu.rate.exits"], ge=1, le=1_000_000, log=True)
    first_touches_per_s: float = parameter(FACTS["mmu.rate.touches"], ge=1, le=1_000_000, log=True)
    aged_pages_per_s: float = parameter(FACTS["mmu.rate.aged"], ge=1, le=1_000_000, log=True)
    updates_that_exit: float = parameter(FACTS["mmu.updates_that_exit"], ge=0, le=1)
    walk_native_cycles: float = parameter(FACTS["walk.cycles.native"], ge=5, le=2_000)
    walk_nested_cycles: float = parameter(FACTS["walk.cycles.nested"], ge=5, le=5_000)
    exit_kernel_cycles: float = parameter(FACTS["exit.m01.pio.ioeventfd"], ge=300, le=20_000)
    ept_violation_ns: float = parameter(FACTS["mmu.first_touch"], ge=500, le=100_000)
    fault_lock_ns: float = parameter(FACTS["mmu.lock"], ge=0, le=20_000)
    refill_misses: float = parameter(FACTS["mmu.refill"], ge=0, le=1_536)
    clock_ghz: float = parameter(FACTS["cpu.clock"], ge=1, le=6)

    @property
    def walk_ns(self) -> float:
        """One TLB miss: shadow tables have one dimension, as bare metal has."""
        cycles = self.walk_native_cycles if self.technique == "shadow" else self.walk_nested_cycles
        return cycles / self.clock_ghz

    @property
    def exit_ns(self) -> float:
        """One exit that KVM handles."""
        return self.exit_kernel_cycles / self.clock_ghz


@dataclass(frozen=True, repr=False)
class MmuCost(Shown):
    """Shares of one vCPU's time by cause. ``lock_utilisation`` is how busy the *other* vCPUs keep the MMU lock.

    ``total_share`` above 1, or infinite with a saturated lock, says that these rates cannot be had: ``feasible`` is
    then False, and nothing is clipped.
    """

    options: MmuOptions
    shares: Mapping[str, float]
    total_share: float
    mmu_exits_per_s: float
    flushes_per_s: float
    lock_utilisation: float

    @property
    def feasible(self) -> bool:
        """Whether a vCPU can do all this in the time that it has."""
        return self.total_share <= 1

    @property
    def guest_share(self) -> float:
        """What is left for the guest's own work; below 0 where the rates cannot be had."""
        return 1 - self.total_share

    def law(self) -> tuple[float, float]:
        """Conservation: the shares of the causes add up to the total. Returns both sides."""
        return math.fsum(self.shares.values()), self.total_share

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        technique = MmuOptions.specs()["technique"].show(self.options.technique)
        if self.lock_utilisation >= 1:
            return say("mmu.saturated", technique=technique, utilisation=show(self.lock_utilisation, "%"))
        key = "caption" if self.feasible else "infeasible"
        return say(f"mmu.{key}", technique=technique, total=show(self.total_share, "%"))

    def table(self) -> Table:
        rows = [(words(f"mmu.cause.{cause}"), show(share, "%")) for cause, share in self.shares.items() if share]
        rows.append((words("mmu.total"), show(self.total_share, "%")))
        return Table.of(words("mmu.header"), rows, self.sentence(), numeric=[1])


def mmu(options: MmuOptions | None = None, /, **changes: Any) -> MmuCost:
    """The share of a vCPU's time that each cause takes. Options as in :class:`MmuOptions`, as one object or by name.

    Shadow paging exits once for each page-table update that is write-protected, each page fault of the guest and each
    CR3 load. KVM lets last-level tables run unsynchronised (unsync) until the guest flushes, so that a share of the
    updates does not exit: ``updates_that_exit``. Each such exit costs no more than an empty one here, though its
    handler walks the guest's tables or emulates a write, and a page fault may exit once more to fill the shadow entry:
    this errs in favour of shadow paging. Nested paging without accessed bits (before Haswell) takes a violation for
    each page that is looked at and used again; without tags each exit empties the TLB (a CR3 load empties it anyway).
    Under one lock a fault or update waits as in an M/D/1 queue that the other vCPUs fill; readers do not wait.
    Left out: walks that fetch code, kernel work beyond the exit, remote TLB flushes. Raises ParameterError.
    """
    o = MmuOptions.given(options, changes)
    return _cost(o, o.page_table_updates_per_s)


def break_even_updates_per_s(options: MmuOptions | None = None, /, **changes: Any) -> float:
    """The rate of page-table updates (1/s per vCPU) from which on shadow paging is not cheaper than nested paging.

    Everything else as in ``options``, whose technique and update rate do not matter. 0 where shadow paging is never
    cheaper, infinite where it always is (updates that never exit). Closed form: with L updates and first touches a
    second under the lock, shadow paging costs a + c L + m s^2 L^2 / (2 (1 - m s L)), where m other vCPUs hold the lock
    for s each time; equal to the cost of nested paging this is a quadratic in L with one root below saturation. The
    result may lie outside the range of the parameter, or where neither is feasible. Raises ParameterError.
    """
    o = MmuOptions.given(options, changes)
    nested = _cost(o.replace(technique="nested"), 0.0).total_share
    shadow = o.replace(technique="shadow")
    idle = _cost(shadow, 0.0)
    gain = nested - idle.total_share
    if not gain > 0:  # also where both wait for ever
        return 0.0
    if not o.updates_that_exit:
        return math.inf
    refill = 0.0 if o.tagged_tlb else o.refill_misses * shadow.walk_ns
    cost = (o.exit_ns + refill) / 1e9
    hold = o.fault_lock_ns / 1e9
    crowd = (o.vcpus - 1) * hold
    # The unknown is all that takes the lock; this form of the root stays exact where the lock hardly matters.
    gain += idle.shares["lock"] + cost * o.first_touches_per_s
    root = math.sqrt((cost - gain * crowd) ** 2 + 2 * gain * crowd * hold)
    locked = 2 * gain / (cost + gain * crowd + root)
    return (locked - o.first_touches_per_s) / o.updates_that_exit


def _cost(o: MmuOptions, updates_per_s: float) -> MmuCost:
    shadow = o.technique == "shadow"
    updates = o.updates_that_exit * updates_per_s if shadow else 0.0
    faults = o.guest_faults_per_s if shadow else 0.0
    loads = o.cr3_loads_per_s if shadow else 0.0
    # The tables of x86 have these bits: so have shadow tables, and NPT.
    aged = 0.0 if shadow or o.accessed_dirty_bits else o.aged_pages_per_s
    flushing = updates + faults + o.first_touches_per_s + aged + o.exits_per_s
    flushes = 0.0 if o.tagged_tlb else flushing
    # A page fault that goes back to the guest returns before KVM takes the lock (FNAME(page_fault)).
    locked = updates + o.first_touches_per_s
    serial = shadow or not o.parallel_faults
    busy = (o.vcpus - 1) * locked * o.fault_lock_ns / 1e9 if serial else 0.0
    wait_ns = busy * o.fault_lock_ns / (2 * (1 - busy)) if busy < 1 else math.inf
    ns_per_s = {
        "walks": o.tlb_misses_per_s * o.walk_ns,
        "updates": updates * o.exit_ns,
        "guest_faults": faults * o.exit_ns,
        "cr3_loads": loads * o.exit_ns,
        "first_touches": o.first_touches_per_s * o.ept_violation_ns,
        "ageing": aged * o.exit_ns,
        "refills": flushes * o.refill_misses * o.walk_ns,
        "lock": locked * wait_ns,
    }
    exits = updates + faults + loads + o.first_touches_per_s + aged
    shares = {cause: ns / 1e9 for cause, ns in ns_per_s.items()}
    return MmuCost(o, shares, math.fsum(ns_per_s.values()) / 1e9, exits, flushes, busy)
