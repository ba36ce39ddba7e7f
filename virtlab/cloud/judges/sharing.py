"""The judges of a shared host: S5, that services use its CPU, S6, jitter, S8, three remedies, S18, small remedies."""

from __future__ import annotations

import functools
from typing import Any

from virtlab.cloud.attribution import attribute
from virtlab.cloud.filter_options import FilterOptions
from virtlab.cloud.filtering import filtering
from virtlab.cloud.judges.common import cited, filled, near
from virtlab.cloud.management import management
from virtlab.cloud.management_options import ManagementOptions
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.cloud.workloads import WORKLOADS
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.cpu import (
    NEIGHBOUR_REMEDIES,
    NeighbourOptions,
    Schedule,
    ScheduleOptions,
    flow_shares,
    forecast,
    neighbours,
    schedule,
)
from virtlab.cpu.balancing import BalanceOptions
from virtlab.cpu.forecast import ForecastOptions
from virtlab.evidence import FACTS
from virtlab.offload import (
    CardNeighbourOptions,
    ModerationOptions,
    SliceOptions,
    card_neighbours,
    moderation,
    sriov,
)
from virtlab.offload.slice_options import SliceScheduler

#: Seven vCPUs of seven VMs on eight pCPUs, so that one pCPU is there to reserve; long enough for a 99th percentile.
_HOST: dict[str, Any] = {"pcpus": 8, "vms": 7, "vcpus_per_vm": 1, "wall_ns": 400_000_000}
_LOAD, _PINNING = (Axis.of(ScheduleOptions, name) for name in ("emulator_load", "pinning"))
_RESERVED = Axis("reserved_pcpus", "pCPUs", 0, 1, integer=True)
_VCPUS = Axis("vms", "vCPUs", 1, 32, integer=True)
_DEMAND = Axis.of(ForecastOptions, "demand")
_QUEUES = Axis("queues", "queues", 1, 64, integer=True)
_WORKLOAD = Axis("workload", choices=tuple(WORKLOADS))
_SECOND = Axis("second_remedy", choices=("offload", "reservation", "mba", "cat", "own_core"))
_RATE, _DELAY = (Axis.of(ModerationOptions, name) for name in ("rate_packets_per_s", "interrupt_delay_ns"))
_FILTERED, _UPCALLS = (Axis.of(FilterOptions, name) for name in ("rate_packets_per_s", "upcall_share"))
_RULES, _MASKS = Axis("rules", "rules", 10, 100_000, integer=True), Axis("masks", "masks", 1, 100, integer=True)
_AGENTS, _MANAGED = (Axis.of(ManagementOptions, name) for name in ("monitors", "host_vms"))
_PACKETS_PER_S = 1e6
_FLOWS = 1000
_LEAST_LOAD = 0.05  # below it a run sees too few wake-ups of the emulators for its 99th percentile


def s5() -> Verdict:
    """The host's services use its CPU: how much the guests lose, and when a pCPU of their own costs less.

    All vCPUs always run, and a thread of the host stands for all services; a filter's work is asked for by itself.
    """

    def host(reserved: bool, load: float, policy: str) -> Schedule:
        own = {"reserved_pcpus": 1} if reserved else {"vms": 8}
        return schedule(**_HOST | own, pinning="vcpus+emulators", duty=1.0, emulator_load=load, policy=policy)

    def work(load: float, reserved: bool = False, policy: str = "cfs") -> float:
        run = host(reserved, load, policy)
        return int(run.work_ns.sum()) / (run.options.pcpus * run.options.wall_ns)

    usual, felt = FACTS["sched.emulator_load"].value, FACTS["article.loss.after"].value
    whole = work(0.0)
    conditions = (
        turn("services_take", "host_busy", _LOAD, usual, lambda v: whole - work(v) > felt),
        turn("services_cheap", "host_busy", _LOAD, _LEAST_LOAD, lambda v: work(v) >= work(v, reserved=True)),
        turn("below_core", "filter", _FILTERED, 1e6, lambda v: filtering(rate_packets_per_s=v).cores < 1),
        turn("below_core", "filter", _UPCALLS, 0.02, lambda v: filtering(upcall_share=v).cores < 1),
        turn("below_core", "filter", _RULES, 10_000, lambda v: filtering(rules=int(v)).cores < 1),
        turn("below_core", "filter", _MASKS, 20, lambda v: filtering(masks=int(v)).cores < 1),
        turn("managed", "managing", _AGENTS, ManagementOptions().monitors,
             lambda v: management(monitors=int(v)).share < felt),
        turn("tax_cheap", "managing", _MANAGED, ManagementOptions().host_vms, _tax_is_cheaper),
    )  # fmt: skip
    few, many = (filtering(masks=m).packet_cycles for m in (1, 100))
    late = {policy: show(host(False, usual, policy).emulator_waits.quantile_ns(0.99), "ns", 2)
            for policy in ("cfs", "eevdf")}  # fmt: skip
    sentences = filled(
        "s5", load=show(usual, "%"), before=show(whole, "%", 3), after=show(work(usual), "%", 3),
        own=show(work(usual, reserved=True), "%", 3), even=show(conditions[1].high or 0.0, "%", 2),
        kept=show(work(usual, policy="eevdf"), "%", 3), **late,
        core=show(conditions[2].high or 0.0, "packets/s"), upcalls=show(conditions[3].high or 0.0, "%"),
        agents=number(conditions[6].high or 0.0), managed=show(management().share, "%"),
        vms=show(conditions[7].high or 0.0, "VMs"), cores=number(ManagementOptions().reserved_cores),
        few=show(few, "cycles"), many=show(many, "cycles"), leap=FACTS["overhead.leapio.cores"].text(),
    )  # fmt: skip
    call = 'cpu.schedule(vms=8, vcpus_per_vm=1, duty=1, pinning="vcpus+emulators", policy="cfs").table()'
    facts = cited("overhead.leapio.cores", "sched.emulator_load", "filter.mask.probe", "filter.upcall")
    return verdict("S5", sentences, conditions, facts, (call, "cloud.filtering()", "cloud.management()"))


def _tax_is_cheaper(host_vms: float) -> bool:
    """Whether management beside the guests loses less of the host than cores that are reserved for it."""
    places = management(host_vms=int(host_vms)).places
    return places["host"].lost < places["reserved"].lost


def s6() -> Verdict:
    """Player and referee: when a vCPU is kept waiting by the host's threads, and what ends that.

    "Waits" means: once in 100 wake-ups longer than an ordinary wake-up through the scheduler takes.
    """
    felt = FACTS["host.wakeup"].value

    def wait_ns(**host: Any) -> float:
        return schedule(**_HOST | host).waits.quantile_ns(0.99)

    conditions = (
        turn("jitter", "host_pinned", _LOAD, FACTS["sched.emulator_load"].value,
             lambda v: wait_ns(pinning="vcpus", emulator_load=v) > felt),
        turn("jitter", "host_seven", _PINNING, "vcpus", lambda v: wait_ns(pinning=v) > felt),
        turn("jitter", "host_all_pinned", _RESERVED, 0,
             lambda v: wait_ns(pinning="vcpus+emulators", reserved_pcpus=int(v)) > felt),
        turn("quiet", "host_card", _VCPUS, 8,
             lambda v: wait_ns(pinning="vcpus", emulator_load=0.0, vms=int(v)) <= felt),
    )  # fmt: skip
    longest = FACTS["jitter.oslat.max"]
    own = schedule(**_HOST, pinning="vcpus+emulators")
    sentences = filled(
        "s6", felt=show(felt, "ns"), shared=show(wait_ns(pinning="vcpus"), "ns", 2),
        free=show(wait_ns(pinning="none"), "ns", 2),
        reserved=show(wait_ns(pinning="vcpus+emulators", reserved_pcpus=1), "ns", 2),
        card=show(wait_ns(pinning="vcpus", emulator_load=0.0), "ns", 2),
        crowd=show(wait_ns(pinning="vcpus", emulator_load=0.0, vms=16), "ns", 2),
        referee=show(own.emulator_waits.quantile_ns(0.99), "ns", 2), longest=longest.text(),
    )  # fmt: skip
    facts = cited(longest.id, "host.wakeup", "sched.emulator_load", "sched.slice")
    calls = ('cpu.schedule(vms=7, vcpus_per_vm=1, pinning="vcpus").waits',
             'cpu.schedule(vms=7, vcpus_per_vm=1, pinning="vcpus+emulators", reserved_pcpus=1).waits')  # fmt: skip
    return verdict("S6", sentences, conditions, facts, calls)


def s8() -> Verdict:
    """Three remedies: whether what two of them gain together is about the sum of what each gains alone."""

    def gain_ns(*remedies: str) -> float:
        return _p99_ns() - _p99_ns(*remedies)

    def adds(first: str, second: str) -> bool:
        return near(gain_ns(first, second), gain_ns(first) + gain_ns(second))

    conditions = (
        turn("adds", "with_own_cpu", _SECOND, "offload", lambda v: adds("own_cpu", v)),
        turn("adds", "with_own_core", Axis("second_remedy", choices=_SECOND.choices[:-1]), "offload",
             lambda v: adds("own_core", v)),
        turn("vf_served", "sliced", Axis.of(SliceOptions, "slice_scheduler"), "drr", _served),
        turn("unmoved", "card_rival", Axis.of(CardNeighbourOptions, "rival_frame_bytes"),
             FACTS["ethernet.frame.typical"].value, lambda v: _unmoved(int(v))),
        turn("card_first", "qemu_to_nitro", _WORKLOAD, "network",
             lambda v: attribute("nitro", v).ranking()[0].endswith("_card")),
    )  # fmt: skip
    lots = {name: show(lot.victim_gbit_per_s, "Gb/s") for name, lot in card_neighbours().lots.items()}
    host = NeighbourOptions()
    sold = [host.with_remedies(remedies).vcpus_sold for remedies in ((), NEIGHBOUR_REMEDIES)]
    sentences = filled(
        "s8", none=show(_p99_ns(), "ns"), all=show(_p99_ns(*NEIGHBOUR_REMEDIES), "ns"),
        alone=show(neighbours().quiet.p99_ns, "ns"),
        cpu=show(gain_ns("own_cpu"), "ns", 2), core=show(gain_ns("own_core"), "ns", 2),
        cat=show(gain_ns("cat"), "ns", 2), pair=show(gain_ns("own_cpu", "cat"), "ns", 2),
        two=show(gain_ns("own_core", "cat"), "ns", 2), offload=show(gain_ns("offload"), "ns", 2),
        **{w: words(f"whole.remedy.{attribute('nitro', w).ranking()[0]}") for w in WORKLOADS},
        before=number(sold[0]), after=number(sold[1]), asked=show(SliceOptions().small_gbit_per_s, "Gb/s"),
        **{f"lot_{name}": text for name, text in lots.items()},
    )  # fmt: skip
    facts = cited("smt.yield", "cat.llc.size", "neighbour.overcommit", "slice.small.demand", "card.packet",
                  "iommu.m50.miss")  # fmt: skip
    calls = ("cpu.neighbour_remedies()", "cpu.neighbours(own_cpu=True)", "offload.sriov()", "offload.card_neighbours()",
             'cloud.attribute("nitro", "network")')  # fmt: skip
    return verdict("S8", sentences, conditions, facts, calls)


def _served(scheduler: SliceScheduler) -> bool:
    """Whether a small VF beside greedy ones is given what it asks for."""
    found = sriov(slice_scheduler=scheduler)
    return found.shares_gbit_per_s[0] >= found.options.small_gbit_per_s * (1 - 1e-9)


def _unmoved(rival_frame_bytes: int) -> bool:
    """Whether a VF still receives more than nine tenths of its packets beside one that has no slice but its queue."""
    lots = card_neighbours(rival_frame_bytes=rival_frame_bytes).lots
    return lots["none"].victim_gbit_per_s > 0.9 * lots["alone"].victim_gbit_per_s


def s18() -> Verdict:
    """Pinning, looking ahead, merging, balancing: until which density, demand, rate and flows each helps."""

    def wait_ns(vcpus: int, pinning: str) -> float:
        run = schedule(**_HOST | {"vms": vcpus}, pinning=pinning, emulator_load=0.0)
        return run.waits.quantile_ns(0.99)

    felt = FACTS["host.wakeup"].value
    shares = [float(flow_shares(_FLOWS, exponent)[0]) for exponent in (0.0, 1.0)]
    conditions = (
        turn("pinned", "host_no_emulators", _VCPUS, 8, lambda v: wait_ns(int(v), "vcpus") <= wait_ns(int(v), "none")),
        turn("predicted", "ahead", _DEMAND, "season", lambda v: forecast(demand=v).chosen.verdict == "better"),
        turn("halved", "coalescing", _RATE, 1e6, lambda v: moderation(rate_packets_per_s=v).packets_per_interrupt >= 2),
        turn("unfelt", "coalescing", _DELAY, 1_000,
             lambda v: moderation(interrupt_delay_ns=int(v), rate_packets_per_s=_PACKETS_PER_S).p99_delay_ns <= felt),
        turn("divisible", "flows", _QUEUES, 1, lambda v: shares[1] <= 1 / v),
    )  # fmt: skip
    each, merged = (moderation(moderation=scheme, rate_packets_per_s=_PACKETS_PER_S) for scheme in ("off", "virtio"))
    measured = forecast(demand="azure")
    sentences = filled(
        "s18", free=show(wait_ns(16, "none"), "ns", 2), pinned=show(wait_ns(16, "vcpus"), "ns", 2),
        low=show(measured.chosen.skill_low, "%", 2), high=show(measured.chosen.skill_high, "%", 2),
        walk=show(forecast(demand="walk").chosen.skill_high, "%", 2), flows=number(_FLOWS, 4),
        packets=show(_PACKETS_PER_S, "packets/s"), count=number(merged.options.max_packets),
        timer=show(merged.options.interrupt_delay_ns, "ns"), every=show(each.interrupts_per_s, "1/s"),
        fewer=show(merged.interrupts_per_s, "1/s"), all=show(each.interrupt_share, "%"),
        rest=show(merged.interrupt_share, "%"), mean=show(merged.mean_delay_ns, "ns"),
        light=show(conditions[2].low or 0.0, "packets/s"), felt=show(felt, "ns"),
        even=show(shares[0], "%", 2), elephant=show(shares[1], "%", 2), queues=number(BalanceOptions().queues),
    )  # fmt: skip
    calls = ('cpu.schedule(vms=16, vcpus_per_vm=1, pinning="vcpus", emulator_load=0)', 'cpu.forecast(demand="walk")',
             "offload.moderation(rate_packets_per_s=1e6)", "cpu.balance(flows=1)")  # fmt: skip
    facts = cited("sched.slice", "moderation.packets", "host.wakeup", "rss.table")
    return verdict("S18", sentences, conditions, facts, calls)


@functools.cache
def _p99_ns(*remedies: str) -> float:
    """p99 of the victim's requests with these remedies and no others."""
    return neighbours(**dict.fromkeys(remedies, True)).tail.p99_ns
