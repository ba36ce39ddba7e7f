"""The judges of memory, of what passthrough does to it, and of the split hypervisor: S15, S16, S19, S20."""

from __future__ import annotations

import functools
import math
from typing import Any

from virtlab.cloud.judges.common import cited, filled
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.core.units import number, show
from virtlab.core.words import say
from virtlab.cpu import InterruptCost, interrupts
from virtlab.cpu.interrupts import InterruptOptions
from virtlab.evidence import FACTS
from virtlab.memory import (
    PROGRAMS,
    Slowdown,
    Workload,
    break_even_updates_per_s,
    dirty_logging,
    migrate,
    mmu,
    slowdown,
    walk,
)
from virtlab.memory.dirty import DirtyOptions
from virtlab.memory.migrate import MigrationOptions
from virtlab.memory.mmu import MmuOptions
from virtlab.memory.pages import page_bytes, smaller
from virtlab.memory.reach import reach_bytes
from virtlab.paths import LADDER, Counts, PathOptions

_HUGE: dict[str, Any] = {"guest_page": "2M", "host_page": "2M"}
_SMALL: dict[str, Any] = {"guest_page": "4K", "host_page": "4K"}
_SETS = tuple(1 << bits for bits in range(24, 41, 2))  # 16 MiB to 1 TiB
_LARGE: dict[str, Any] = {"working_set_bytes": 1 << 34}
_MANY_UPDATES = 100_000.0  # page-table updates a second at which hardware walks pay, with the other default rates
_DEVICE = Axis.of(MigrationOptions, "device")
_POSTED = Axis.of(PathOptions, "posted")
_HALTS = Axis.of(PathOptions, "guest_halts")
_STATE = Axis.of(InterruptOptions, "vcpu_state")


# --- S19: huge pages ------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _run(workload: Workload) -> Slowdown:
    return slowdown(workload)


def _pair(**changes: Any) -> tuple[Slowdown, Slowdown]:
    """A workload with pages of 4 KiB on both sides, and with the pages that are asked for."""
    return _run(Workload(**{**changes, **_SMALL})), _run(Workload(**changes))


def _removed(**changes: Any) -> float:
    """Share of the time that virtualization added to bare metal with pages of 4 KiB, which other pages take away.

    More than 1 where the guest gets faster than that. NaN where nothing was added.
    """
    small, other = _pair(**changes)
    added = small.virtual_ns - small.native_ns
    return (small.virtual_ns - other.virtual_ns) / added if added > 0 else math.nan


def _closed(**changes: Any) -> float:
    """Share of the gap to bare metal with the same guest pages that closes, against 4 KiB on both sides."""
    small, other = _pair(**changes)
    gap = small.virtual_ns - small.native_ns
    return 1 - (other.virtual_ns - other.native_ns) / gap if gap > 0 else math.nan


def _translated(**changes: Any) -> float:
    """Share of the guest's time of translation with pages of 4 KiB that other pages take away."""
    small, other = _pair(**changes)
    before = small.virtual.translation_ns
    return 1 - other.virtual.translation_ns / before if before > 0 else math.nan


def _reach_bytes(guest_page: Any, host_page: Any) -> float:
    """Memory that the TLBs of the default CPU map in a guest with these pages."""
    setting = Workload(guest_page=guest_page, host_page=host_page)
    return reach_bytes(setting.geometry(virtual=True), smaller(guest_page, host_page))


def _walked(program: str, pages: str) -> float:
    """Published time in walks over the time outside them."""
    share = FACTS[f"mem.sagepte.{program}.{pages}"].value
    return share / (1 - share)


def _fewer_walks(program: str) -> bool:
    """Whether huge pages took more than half of the published time in walks, if the rest of the run stayed."""
    return _walked(program, "thp") < _walked(program, "4k") / 2


def _walks_pay(**changes: Any) -> bool:
    """Whether nested paging takes less of a vCPU's time than shadow paging, which it replaced."""
    nested, shadow = (mmu(technique=t, **changes).total_share for t in ("nested", "shadow"))
    return nested < shadow


def s19() -> Verdict:
    """Huge pages remove most of the overhead: which pages on which side, for which set, pattern, CPU and node."""
    guest, host = Axis.of(Workload, "guest_page"), Axis.of(Workload, "host_page")
    sets = Axis("working_set_bytes", "B", choices=_SETS)
    size, limit = Workload().working_set_bytes, 1 + FACTS["article.loss"].value

    def most(**changes: Any) -> bool:
        return _removed(**{**_HUGE, **changes}) > 0.5

    def alike(**changes: Any) -> bool:
        return _closed(**{**_HUGE, **changes}) > 0.5

    def translation(**changes: Any) -> bool:
        return _translated(**{**_HUGE, **changes}) > 0.5

    patterns = Axis.of(Workload, "pattern")
    alone: dict[str, Any] = {"guest_page": "4K"}
    conditions = (
        turn("most", "random", guest, "2M", lambda v: most(guest_page=v)),
        turn("most", "random", host, "2M", lambda v: most(host_page=v)),
        turn("alike", "random", guest, "2M", lambda v: alike(guest_page=v)),
        turn("alike", "random", host, "2M", lambda v: alike(host_page=v)),
        turn("translation", "random", guest, "2M", lambda v: translation(guest_page=v)),
        turn("translation", "random", host, "2M", lambda v: translation(host_page=v)),
        turn("reach", "random", guest, "2M", lambda v: _reach_bytes(v, "2M") >= size),
        turn("reach", "random", host, "2M", lambda v: _reach_bytes("2M", v) >= size),
        turn("most", "random", sets, 1 << 30, lambda v: most(working_set_bytes=v)),
        turn("alike", "random", sets, 1 << 30, lambda v: alike(working_set_bytes=v)),
        turn("near", "random", sets, 1 << 30, lambda v: _run(Workload(working_set_bytes=v, **_HUGE)).ratio <= limit),
        turn("most", "random", Axis.of(Workload, "accesses_per_instruction"), Workload().accesses_per_instruction,
             lambda v: most(accesses_per_instruction=v)),
        turn("most", "random", Axis.of(Workload, "host_table_node"), "local", lambda v: most(host_table_node=v)),
        turn("most", "random", Axis.of(Workload, "cpu"), "cascade-lake", lambda v: most(cpu=v)),
        turn("most", "any", patterns, "uniform", lambda v: most(pattern=v)),
        turn("most", "host_random", sets, 1 << 34, lambda v: most(working_set_bytes=v, **alone)),
        turn("most", "host_any", patterns, "uniform", lambda v: most(pattern=v, **alone, **_LARGE)),
        turn("nested", "events", Axis.of(MmuOptions, "page_table_updates_per_s"), _MANY_UPDATES,
             lambda v: _walks_pay(page_table_updates_per_s=v)),
        turn("nested", "events", Axis.of(MmuOptions, "tlb_misses_per_s"), MmuOptions().tlb_misses_per_s,
             lambda v: _walks_pay(page_table_updates_per_s=_MANY_UPDATES, tlb_misses_per_s=v)),
        turn("walking", "published", Axis("program", choices=PROGRAMS), "canneal", _fewer_walks),
    )  # fmt: skip
    refs = {f"{g}{h}": len(walk(guest_page=g, host_page=h).references) for g in ("4K", "2M") for h in ("4K", "2M")}
    added = {
        f"{g}{h}": _run(Workload(guest_page=g, host_page=h)).virtual_ns - _run(Workload(**_SMALL)).native_ns
        for g in ("4K", "2M") for h in ("4K", "2M")
    }  # fmt: skip
    times = {f"ratio_{n}": number(_run(Workload(working_set_bytes=1 << n, **_HUGE)).ratio) for n in (30, 34, 36)}
    gups = [_run(Workload(working_set_bytes=1 << 36, accesses_per_instruction=0.1, **pages)).virtual_ns
            for pages in (_SMALL, _HUGE)]  # fmt: skip
    seconds = [FACTS[f"mem.vmitosis.gups.{row}"].value for row in ("ll", "tll")]
    shares = {f"{p}_{row}": show(FACTS[f"mem.sagepte.{p}.{row}"].value, "%")
              for p in ("gups", "btree") for row in ("4k", "thp")}  # fmt: skip
    fewer = [p for p in PROGRAMS if _fewer_walks(p)]
    sentences = filled(
        "s19", small=refs["4K4K"], one=refs["4K2M"], both=refs["2M2M"], reach_one=show(_reach_bytes("4K", "2M"), "B"),
        reach_both=show(_reach_bytes("2M", "2M"), "B"), set=show(size, "B"),
        native=show(_run(Workload(**_SMALL)).native_ns, "ns"),
        added=show(added["4K4K"], "ns"), host=show(added["4K2M"], "ns"), guest=show(added["2M4K"], "ns"),
        fewer=show(-added["2M2M"], "ns"), host_closed=show(_closed(guest_page="4K", host_page="2M"), "%"),
        guest_closed=show(_closed(guest_page="2M", host_page="4K"), "%"),
        even=show(break_even_updates_per_s(), "1/s"), misses=show(MmuOptions().tlb_misses_per_s, "1/s"),
        faster=number(seconds[0] / seconds[1]), model=number(gups[0] / gups[1]),
        count=number(len(fewer)), all=number(len(PROGRAMS)), names=", ".join(fewer), **times, **shares,
    )  # fmt: skip
    ids = (f"mem.sagepte.{p}.{row}" for p in ("gups", "btree") for row in ("4k", "thp"))
    facts = cited("thp.sides", "walk.m26.refs.4k", "walk.m26.refs.2m", "article.loss", "mem.vmitosis.gups.ll",
                  "mem.vmitosis.gups.tll", *ids)  # fmt: skip
    calls = (
        'memory.walk(guest_page="4K", host_page="2M").references',
        "memory.break_even_updates_per_s()",
        'memory.slowdown(guest_page="4K", host_page="2M")',
        'memory.slowdown(guest_page="2M", host_page="2M")',
        'memory.slowdown(guest_page="2M", host_page="2M", working_set_bytes=1 << 36)',
    )
    return verdict("S19", sentences, conditions, facts, calls)


# --- S15, S16, S20: what passthrough and the split do to it ----------------------------------------------------------


def _received(path: str = "sriov", **options: Any) -> Counts:
    """A packet that an awake guest receives, interrupts posted unless asked otherwise."""
    return LADDER[path].counts(**{"direction": "rx", "posted": True, **options})


def _untouched(path: str = "sriov", **options: Any) -> bool:
    """Whether no VM exit and no interrupt of the host comes with a received packet."""
    counts = _received(path, **options)
    return counts.vcpu_exits_per_packet == 0 and counts.host_irqs_per_packet == 0


def _interrupt(**options: Any) -> InterruptCost:
    """One interrupt of an assigned device, posted by VT-d unless asked otherwise."""
    return interrupts(**{"interrupts": "posted", "interrupt_source": "assigned", **options}).cost


def _unnoticed(**options: Any) -> bool:
    """Whether the host does nothing for it: no exit, no interrupt of its own, no IPI, no wake-up."""
    cost = _interrupt(**options)
    return not (cost.vcpu_exits or cost.host_events or cost.kick_ipis or cost.notification_ipis)


def _moved(**options: Any) -> bool:
    return migrate(**options).converged


_PACKETS: dict[str, Any] = {"direction": "tx", "frame_bytes": 64, "kick_batch": 32, "interrupt_batch": 32}
_SOFTWARE = ("qemu", "qemu-ioeventfd", "vhost-net", "vhost-user")


def _times_as_many(opponent: str, guest_poll: bool = True) -> float:
    """The card's capacity over that of another path, in small packets on one queue."""
    card, other = (LADDER[p].capacity(guest_poll=guest_poll, **_PACKETS).packets_per_s for p in ("card", opponent))
    return card / other


def s15() -> Verdict:
    """The hypervisor is out of the way: data, moving the VM, 1 024 functions, ten times as many packets as whom."""
    functions, factor = (FACTS[f"article.{n}"].value for n in ("functions", "pps.factor"))
    entries = FACTS["vtd.remap.entries"].value
    most_ms = MigrationOptions.specs()["downtime_ms"].high or 0.0
    conditions = (
        turn("untouched", "sriov_receive", _POSTED, True, lambda v: _untouched(posted=v)),
        turn("untouched", "sriov_receive", _HALTS, False, lambda v: _untouched(guest_halts=v)),
        turn("moved", "vm_64g", _DEVICE, "vf-v2", lambda v: _moved(device=v)),
        turn("moved", "vm_untracked", Axis.of(MigrationOptions, "downtime_ms"), most_ms,
             lambda v: _moved(device="vf-untracked", downtime_ms=v)),
        turn("moved", "vm_v2", Axis.of(MigrationOptions, "device_state_bytes"), MigrationOptions().device_state_bytes,
             lambda v: _moved(device="vf-v2", device_state_bytes=int(v))),
        turn("entries", "functions_1024", Axis("vectors", "vectors", 1, 2048, True), 2,
             lambda v: functions * v <= entries),
        turn("tenfold", "small_polling", Axis("opponent", choices=_SOFTWARE), "qemu",
             lambda v: _times_as_many(v) >= factor),
        turn("tenfold", "small_qemu", Axis.of(PathOptions, "guest_poll"), True,
             lambda v: _times_as_many("qemu", v) >= factor),
        turn("unnoticed", "one_assigned", _STATE, "guest", lambda v: _unnoticed(vcpu_state=v)),
        turn("at_once", "one_assigned", _STATE, "guest", lambda v: not _interrupt(vcpu_state=v).deferred_ns),
        turn("unnoticed", "one_assigned", Axis.of(InterruptOptions, "multicast"), False,
             lambda v: _unnoticed(multicast=v)),
    )  # fmt: skip
    unposted = LADDER["sriov"].cpu(direction="rx", irq_on_vcpu_cpu=True)
    stop = migrate(device="vf-untracked").downtime_s
    with_v2 = migrate(device="vf-v2")
    before, after = FACTS["overhead.eli.before"], FACTS["overhead.eli.after"]
    blocked, preempted = _interrupt(vcpu_state="blocked"), _interrupt(vcpu_state="preempted")
    sentences = filled(
        "s15", irqs=number(blocked.host_irqs), wakeups=number(blocked.wakeups),
        deferred=show(preempted.deferred_ns, "ns"), vcpus=number(InterruptOptions().vcpus_per_cpu),
        unposted=show(LADDER["sriov"].cpu(direction="rx").host_ns_per_packet, "ns"),
        own=show(unposted.host_ns_per_packet, "ns"), exits=number(_received(guest_halts=True).vcpu_exits_per_packet),
        before=before.text(), after=after.text(),
        stop=show(stop, "s", 4), v2=show(with_v2.downtime_s, "s"), state=show(conditions[4].high or 0.0, "B"),
        functions=number(functions, 4), buses=number(FACTS["pcie.ari.buses"].value),
        vectors=number(conditions[5].high or 0.0), entries=number(entries, 5),
        ptile=number(FACTS["pcie.ptile.functions"].value, 4),
        ratios=", ".join(f"{number(_times_as_many(p))} ({LADDER[p].title})" for p in _SOFTWARE),
        ordinary=number(_times_as_many("qemu", False)), card=FACTS["io.ena.pps"].text(),
    )  # fmt: skip
    facts = cited(before.id, after.id, "migration.vfio.untracked", "article.functions", "pcie.ari.functions",
                  "pcie.ari.buses", "vtd.remap.entries", "pcie.ptile.functions", "article.pps.factor",
                  "io.vhost.testpmd.after", "io.dpdk.vhost_user", "io.ena.pps")  # fmt: skip
    calls = (
        'paths.LADDER["sriov"].counts(direction="rx", posted=True)',
        'cpu.interrupts(interrupts="posted", interrupt_source="assigned", vcpu_state="blocked")',
        'memory.migrate(device="vf-untracked").downtime_s',
        'memory.migrate(device="vf-v2").downtime_s',
        'paths.LADDER["card"].capacity(frame_bytes=64, kick_batch=32, interrupt_batch=32, guest_poll=True)',
    )
    return verdict("S15", sentences, conditions, facts, calls)


def _million(count: float) -> str:
    """A count in millions."""
    return say("judge.million", count=number(count / 1e6))


_DISKS = {
    "pl1": "storage.essd.pl1", "pl2": "storage.essd.pl2", "pl3": "storage.essd.pl3", "i3": "storage.i3.local",
    "launch": "storage.cipu.launch",
}  # fmt: skip


def s16() -> Verdict:
    """Native NVMe, 3 million IOPS, 40 µs, no CPU: requests in flight, link, disk, the guest's CPU, and moving it."""
    iops, latency_s = FACTS["article.iops"].value, FACTS["article.storage.latency"].value / 1e6
    link, block = FACTS["link.rate"], page_bytes("4K")
    in_flight = iops * latency_s

    def carried(io_bytes: float) -> bool:
        return iops * io_bytes * 8 / 1e9 <= link.value

    conditions = (
        turn("iops", "at_40us", Axis("in_flight", "requests", 1, 1024, True), round(in_flight),
             lambda v: v / latency_s >= iops * (1 - 1e-12)),
        turn("carried", "at_3m", Axis("io_bytes", "B", 512, 131_072), block, carried),
        turn("one_core", "at_3m", Axis("request_ns", "ns", 0, 10_000), 0.0, lambda v: iops * v / 1e9 <= 1),
        turn("sold", "per_unit", Axis("disk", choices=tuple(_DISKS)), "launch",
             lambda v: FACTS[_DISKS[v]].value >= iops),
        turn("moved", "vm_64g", _DEVICE, "vf-v2", lambda v: _moved(device=v)),
    )  # fmt: skip
    cpu, one = FACTS["nvme.request.cpu"], FACTS["nsdi20.metal.randread.4k.qd1.mean"]
    sentences = filled(
        "s16", iops=_million(iops), latency=show(latency_s, "s"), in_flight=number(in_flight),
        alone=number(1 / latency_s), payload=show(iops * block * 8, "bit/s"), link=link.text(),
        budget=show(conditions[2].high or 0.0, "ns"), cpu=cpu.text(), cores=number(iops * cpu.value / 1e6),
        pl3=_million(FACTS["storage.essd.pl3"].value), local=one.text(),
        stop=show(migrate(device="vf-untracked").downtime_s, "s", 4), v2=show(migrate(device="vf-v2").downtime_s, "s"),
    )  # fmt: skip
    facts = cited("article.iops", "article.storage.latency", *_DISKS.values(), "storage.essd.plx",
                  "storage.essd.plx.encrypted", cpu.id, one.id, "migration.vfio.untracked")  # fmt: skip
    calls = ('memory.migrate(device="vf-untracked").downtime_s', 'memory.migrate(device="vf-v2").downtime_s')
    return verdict("S16", sentences, conditions, facts, calls)


def s20() -> Verdict:
    """Control split from data: what the split takes from a packet, and what of control a moving VM still needs."""
    rate = Axis.of(DirtyOptions, "write_rate_per_s")

    def cheap(log: str, write_rate_per_s: float) -> bool:
        return dirty_logging(log=log, write_rate_per_s=write_rate_per_s).vcpu_share < 0.01

    usual = DirtyOptions().write_rate_per_s
    conditions = (
        turn("moved", "vm_64g", _DEVICE, "virtio", lambda v: _moved(device=v)),
        turn("untouched", "receive_posted", Axis("path", choices=tuple(LADDER)), "card", lambda v: _untouched(v)),
        turn("untouched", "card_receive", _POSTED, True, lambda v: _untouched("card", posted=v)),
        turn("untouched", "card_receive", _HALTS, False, lambda v: _untouched("card", guest_halts=v)),
        turn("cheap", "logged", Axis.of(DirtyOptions, "log"), "pml", lambda v: cheap(v, usual)),
        turn("cheap", "logged_pml", rate, usual, lambda v: cheap("pml", v)),
        turn("cheap", "logged_wp", rate, 1000.0, lambda v: cheap("write-protect", v)),
    )
    split, log = dirty_logging(), migrate()
    faults = migrate(log="write-protect").faults
    sentences = filled(
        "s20", exits=number(_received("card", guest_halts=True).vcpu_exits_per_packet),
        faults=_million(faults), pml=number(log.pml_exits),
        wp_share=show(dirty_logging(log="write-protect").vcpu_share, "%"),
        share=show(split.vcpu_share, "%"), rate=number(usual),
        entries=_million(log.split_entries), before=show(split.reach_before_bytes, "B"),
        after=show(split.reach_after_bytes, "B"), stop=show(migrate(device="vf-untracked").downtime_s, "s", 4),
        syscalls=FACTS["firecracker.syscalls"].text(),
    )  # fmt: skip
    facts = cited("nitro.kvm", "qingtian.vmm", "firecracker.syscalls", "dirty.split", "dirty.pml.entries",
                  "migration.vfio.untracked")  # fmt: skip
    calls = (
        'paths.LADDER["card"].counts(direction="rx", posted=True)',
        "memory.migrate()",
        'memory.dirty_logging(log="write-protect")',
        'memory.dirty_logging(log="pml")',
    )
    return verdict("S20", sentences, conditions, facts, calls)
