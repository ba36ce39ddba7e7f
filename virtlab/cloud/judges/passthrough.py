"""The judges of passthrough and of the split: S15, the hypervisor out of the way, and S20, control apart from data."""

from __future__ import annotations

from typing import Any

from virtlab.cloud.judges.common import cited, filled, million
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.core.units import number, show
from virtlab.cpu import InterruptCost, interrupts
from virtlab.cpu.interrupts import InterruptOptions
from virtlab.evidence import FACTS
from virtlab.memory import dirty_logging, migrate
from virtlab.memory.dirty import DirtyOptions
from virtlab.memory.migrate import MigrationOptions
from virtlab.memory.pages import PageSize
from virtlab.offload import Iommu, IommuOptions, functions, iommu
from virtlab.offload.functions import FunctionOptions
from virtlab.paths import LADDER, Counts, PathOptions

_DEVICE = Axis.of(MigrationOptions, "device")
_POSTED = Axis.of(PathOptions, "posted")
_HALTS = Axis.of(PathOptions, "guest_halts")
_STATE = Axis.of(InterruptOptions, "vcpu_state")
_VECTORS = Axis("vectors", "vectors", 1, 2048, integer=True)
_TWO_VECTORS = 2  # a queue's and the control's: the least that a card gives
_MICRO_VM = 128 << 20  # as small as the VMs of the NSDI'20 data


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


def _mapped(io_page: PageSize) -> Iommu:
    """A VF's DMAs at 200 Gb/s: its VM's memory is mapped once, in pages of this size."""
    return iommu(io_page=io_page, link_gbit_per_s=200.0)


def _enough(**options: Any) -> bool:
    """Whether as many functions as the claim says find enough of everything; the VFs' BARs hold any MSI-X table."""
    return functions(**{"vfs": int(FACTS["article.functions"].value), "vf_bar_bytes": 1 << 16, **options}).fits


def _times_as_many(opponent: str, guest_poll: bool = True) -> float:
    """The card's capacity over that of another path, in small packets on one queue."""
    card, other = (LADDER[p].capacity(guest_poll=guest_poll, **_PACKETS).packets_per_s for p in ("card", opponent))
    return card / other


def s15() -> Verdict:
    """The hypervisor is out of the way: data, moving the VM, 1 024 functions, ten times as many packets as whom."""
    count, factor = (FACTS[f"article.{n}"].value for n in ("functions", "pps.factor"))
    many = functions(vfs=int(count))
    most_ms = MigrationOptions.specs()["downtime_ms"].high or 0.0
    conditions = (
        turn("untouched", "sriov_receive", _POSTED, True, lambda v: _untouched(posted=v)),
        turn("untouched", "sriov_receive", _HALTS, False, lambda v: _untouched(guest_halts=v)),
        turn("moved", "vm_64g", _DEVICE, "vf-v2", lambda v: _moved(device=v)),
        turn("moved", "vm_untracked", Axis.of(MigrationOptions, "downtime_ms"), most_ms,
             lambda v: _moved(device="vf-untracked", downtime_ms=v)),
        turn("moved", "vm_v2", Axis.of(MigrationOptions, "device_state_bytes"), MigrationOptions().device_state_bytes,
             lambda v: _moved(device="vf-v2", device_state_bytes=int(v))),
        turn("enough", "functions_1024", _VECTORS, _TWO_VECTORS, lambda v: _enough(vectors=int(v))),
        turn("enough", "functions_1024", Axis.of(FunctionOptions, "memory_bytes"), _MICRO_VM,
             lambda v: _enough(memory_bytes=int(v))),
        turn("enough", "functions_1024", Axis.of(FunctionOptions, "acs"), True, lambda v: _enough(acs=v)),
        turn("iommu", "vf_200g", Axis.of(IommuOptions, "io_page"), "2M", lambda v: _mapped(v).lost_share == 0),
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
        functions=number(count, 4), buses=number(many.buses), vectors=number(many.options.vectors),
        entries=number(many["interrupts"].limit, 5), vm=show(many.options.memory_bytes, "B"),
        memory=show(many.options.host_memory_bytes, "B"), eight=number(functions(memory_bytes=8 << 30).most),
        ptile=number(FACTS["pcie.ptile.functions"].value, 4),
        reads=number(_mapped("4K").reads), slowed=show(_mapped("4K").rate_gbit_per_s, "Gb/s"),
        pool=show(_mapped("4K").options.pool_bytes, "B"), whole=show(_mapped("2M").rate_gbit_per_s, "Gb/s"),
        ratios=", ".join(f"{number(_times_as_many(p))} ({LADDER[p].title})" for p in _SOFTWARE),
        ordinary=number(_times_as_many("qemu", False)), card=FACTS["io.ena.pps"].text(),
    )  # fmt: skip
    facts = cited(before.id, after.id, "migration.vfio.untracked", "iommu.m50.base", "iommu.m50.miss",
                  "article.functions", "pcie.ari.functions", "pcie.ari.buses", "vtd.remap.entries",
                  "pcie.ptile.functions", "article.pps.factor", "io.vhost.testpmd.after", "io.dpdk.vhost_user",
                  "io.ena.pps")  # fmt: skip
    calls = (
        'paths.LADDER["sriov"].counts(direction="rx", posted=True)',
        'cpu.interrupts(interrupts="posted", interrupt_source="assigned", vcpu_state="blocked")',
        'memory.migrate(device="vf-untracked").downtime_s',
        'memory.migrate(device="vf-v2").downtime_s',
        'offload.iommu(io_page="4K", link_gbit_per_s=200.0)',
        "offload.functions(vfs=1024, memory_bytes=8 << 30)",
        'paths.LADDER["card"].capacity(frame_bytes=64, kick_batch=32, interrupt_batch=32, guest_poll=True)',
    )
    return verdict("S15", sentences, conditions, facts, calls)


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
        faults=million(faults), pml=number(log.pml_exits),
        wp_share=show(dirty_logging(log="write-protect").vcpu_share, "%"),
        share=show(split.vcpu_share, "%"), rate=number(usual),
        entries=million(log.split_entries), before=show(split.reach_before_bytes, "B"),
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
