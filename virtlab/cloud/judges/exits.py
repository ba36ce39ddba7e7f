"""The judges of exits: S3, that each I/O exits to QEMU, and S24, that only the hardware's latency is left."""

from __future__ import annotations

from typing import Any

from virtlab.cloud.judges.common import BATCH, PATH, batch_of, cited, counts_of, filled
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.core.units import number, show
from virtlab.cpu import REMEDIES, AfterIo, after_io, exit_tax, remedy_steps
from virtlab.evidence import FACTS
from virtlab.offload.iommu import PAGE_BYTES, page_ns
from virtlab.paths import LADDER, Event, PathOptions

_HALTS = Axis.of(PathOptions, "guest_halts")
_POSTED = Axis.of(PathOptions, "posted")
_TIMERS, _INDIRECT = (Axis.of(AfterIo, name) for name in ("timers_per_s", "indirect_factor"))
#: One remedy more each time.
_REMEDIES = Axis("remedies", choices=("none", *REMEDIES))


def s3() -> Verdict:
    """Every I/O leaves the guest and is served by QEMU: which VirtIO paths, and until which batch.

    Sending with APICv: then no interrupt costs an exit, and each exit that is counted is a kick.
    """

    def every_packet_exits(path: str = "qemu-ioeventfd", **options: Any) -> bool:
        return counts_of(path, **options).vcpu_exits_per_packet >= 1

    virtio = Axis("path", choices=("qemu", "qemu-ioeventfd", "vhost-net", "vhost-user", "vdpa"))
    suppressed = turn("exits", "send", Axis.of(PathOptions, "busy_poll"), False,
                      lambda v: every_packet_exits("vhost-net", busy_poll=v))  # fmt: skip
    conditions = (
        turn("served", "send", virtio, "qemu", lambda v: counts_of(v).qemu_in_datapath),
        turn("exits", "send", virtio, "qemu", every_packet_exits),
        turn("exits", "qemu_send", BATCH, 1, lambda v: every_packet_exits(**batch_of(v))),
        suppressed,
    )
    before, after = FACTS["io.vhost.busypoll.before.kicks"], FACTS["io.vhost.busypoll.after.kicks"]
    with_qemu = [LADDER[p].title for p in virtio.choices if counts_of(p).qemu_in_datapath]
    without = [LADDER[p].title for p in virtio.choices if not counts_of(p).qemu_in_datapath]
    sentences = filled(
        "s3", served=", ".join(with_qemu), others=", ".join(without),
        user=number(counts_of("qemu").userspace_exits_per_packet),
        event=number(counts_of("qemu-ioeventfd").userspace_exits_per_packet),
        at8=number(counts_of("qemu-ioeventfd", **batch_of(8)).vcpu_exits_per_packet),
        before=show(before.value, before.unit), after=show(after.value, after.unit), **_price_of_a_kick(),
    )  # fmt: skip
    facts = cited(before.id, after.id, "exit.m01.pio.qemu", "exit.m01.pio.ioeventfd")
    calls = ('paths.LADDER["vhost-net"].counts()', 'paths.LADDER["vhost-net"].counts(busy_poll=True)',
             'cpu.exit_tax(route="userspace", exit_costs="qemu-2012")')  # fmt: skip
    return verdict("S3", sentences, conditions, facts, calls)


def s24() -> Verdict:
    """Only hardware latency remains: when no software of the host runs for a packet, and what else remains.

    Beside the packet: what a vCPU's own timers, IPIs and halts leave, with all four remedies and by the floor of costs.
    """
    awake: dict[str, Any] = {"direction": "rx", "posted": True}

    def no_software(path: str = "card", **changes: Any) -> bool:
        return LADDER[path].cpu(**{**awake, **changes}).host_ns_per_packet == 0

    def rate_gbit_per_s(misses: float) -> float:
        return 8 * PAGE_BYTES / page_ns(misses)

    link, limit = FACTS["link.rate"], FACTS["article.loss.after"].value
    conditions = (
        turn("software", "card_receive", _HALTS, False, lambda v: no_software(guest_halts=v)),
        turn("software", "card_receive", _POSTED, True, lambda v: no_software(posted=v)),
        turn("software", "receive_posted", PATH, "card", no_software),
        turn("iommu", "dma_4k", Axis("iotlb_misses", "misses", 0, 10), 0.0, lambda v: rate_gbit_per_s(v) >= link.value),
        turn("little", "vcpu", _REMEDIES, _REMEDIES.choices[-1], lambda v: _left(v) < limit),
        turn("little", "vcpu_all", _TIMERS, FACTS["exit.after.timers"].value, lambda v: _left(timers_per_s=v) < limit),
        turn("little", "vcpu_all", _INDIRECT, 0.0, lambda v: _left(indirect_factor=v) < limit),
    )  # fmt: skip
    first, *_, last = steps = remedy_steps().steps
    fast, slow = (after_io(exit_costs="skx-2020-timer", **dict.fromkeys(REMEDIES, there)) for there in (True, False))
    asleep = LADDER["card"].cpu(**awake, guest_halts=True)
    events = counts_of("card", **awake, guest_halts=True)
    sentences = filled(
        "s24", host=show(LADDER["card"].cpu(**awake).host_ns_per_packet, "ns"),
        irq=show(LADDER["card"].cpu(direction="rx").host_ns_per_packet, "ns"),
        asleep=show(asleep.host_ns_per_packet, "ns"), exits=number(getattr(events, f"{Event.VCPU_EXIT}_per_packet")),
        switches=number(events.context_switches_per_packet), misses=number(conditions[3].high or 0.0),
        link=show(link.value, link.unit), iommu=FACTS["overhead.iommu.strict"].text(),
        cpu=FACTS["overhead.gregg.hardware"].text(), left=show(first.profile.exits_per_s, "1/s"),
        tax=show(first.share, "%"), slow=show(slow.share, "%"), remedies=number(len(steps) - 1),
        last=show(last.share, "%"), fast=show(fast.share, "%"), stranded=show(last.stranded_share, "%"),
        timers=show(conditions[5].high or 0.0, "1/s"), indirect=number(conditions[6].high or 0.0),
    )  # fmt: skip
    facts = cited("overhead.iommu.strict", "overhead.gregg.hardware", "iommu.m50.base", "iommu.m50.miss", "link.rate",
                  "exit.m03.kernel", "exit.m08.immed.after", "exit.after.halts", "exit.after.timers", "exit.after.ipis")
    calls = ('paths.LADDER["card"].cpu(direction="rx", posted=True, guest_halts=True)', "cpu.remedy_steps()")
    return verdict("S24", sentences, conditions, facts, calls)


def _price_of_a_kick() -> dict[str, str]:
    """What a kick costs by who handles it, and what that makes of a vCPU: one source, one machine."""
    said: dict[str, str] = {}
    for route, fact in (("userspace", "exit.m01.pio.qemu"), ("kernel", "exit.m01.pio.ioeventfd")):
        tax = exit_tax(route=route, exit_costs="qemu-2012")
        said |= {"kicks": show(tax.options.rate_per_s, "1/s"), f"{route}_tax": show(tax.share, "%"),
                 f"{route}_cycles": show(FACTS[fact].value, "cycles", 4)}  # fmt: skip
    return said


def _left(last: str = REMEDIES[-1], **options: Any) -> float:
    """The tax that I/O does not explain, with the remedies up to ``last``."""
    n = _REMEDIES.choices.index(last)
    return after_io(**{remedy: k < n for k, remedy in enumerate(REMEDIES)}, **options).share
