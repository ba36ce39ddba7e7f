"""The judges of two whole hypervisors: S21, Nitro's on KVM below half a per cent, S23, Huawei's zero and split."""

from __future__ import annotations

from virtlab.cloud.architectures import ARCHITECTURES
from virtlab.cloud.judges.common import ARCHITECTURE, cited, filled
from virtlab.cloud.overhead import Overhead, overhead
from virtlab.cloud.surface import surface
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.cloud.workloads import Workload
from virtlab.core.units import show
from virtlab.core.words import words
from virtlab.evidence import FACTS

_SET = 1 << 30  # a working set that the TLB of the model reaches with 2 MiB pages


def s21() -> Verdict:
    """KVM inside, no QEMU, below 0.5 %: of which loss, under which work."""
    limit = FACTS["article.nitro.loss"].value

    def nitro(who: str = "nitro", **changes: float) -> Overhead:
        return overhead(who, "compute", **{"working_set_bytes": _SET, **changes})

    working_set = Axis("working_set_bytes", "B", 65_536, Workload().vm_memory_bytes, integer=True)
    conditions = (
        turn("slows_little", "nitro_computing", working_set, _SET,
             lambda v: nitro(working_set_bytes=int(v)).slowdown < limit),
        turn("slows_little", "nitro_computing", Axis.of(Workload, "timers_per_s"), Workload().timers_per_s,
             lambda v: nitro(timers_per_s=v).slowdown < limit),
        turn("slows_little", "nitro_computing", Axis("network_share", "1", 0, 0.5), 0.0,
             lambda v: nitro(network_share=v).slowdown < limit),
        turn("loses_little", "computing_1g", ARCHITECTURE, "nitro", lambda v: nitro(v).loss < limit),
        turn("no_qemu", "described", ARCHITECTURE, "nitro", lambda v: ARCHITECTURES[v].host.vmm != "qemu"),
    )  # fmt: skip
    now = nitro()
    sentences = filled(
        "s21", limit=show(limit, "%"), slow=show(now.slowdown, "%"), reach=show(conditions[0].high or 0, "B"),
        wait=show(conditions[2].high or 0.0, "%"), timers=show(conditions[1].high or 0.0, "1/s"),
        memory=show(now.unsold["memory"], "%"), loss=show(now.loss, "%"),
        network=show(overhead("nitro", "network").slowdown, "%"),
        low=show(FACTS["overhead.gregg.hardware"].low, "%"), high=show(FACTS["overhead.gregg.hardware"].high, "%"),
    )  # fmt: skip
    facts = cited("article.nitro.loss", "vendor.nitro.indistinguishable", "vendor.nitro.hpc",
                  "overhead.gregg.hardware", "vendor.nitro.kvm")  # fmt: skip
    calls = ('cloud.overhead("nitro", "compute", working_set_bytes=1 << 30)', 'cloud.overhead("nitro", "network")')
    return verdict("S21", sentences, conditions, facts, calls)


def s23() -> Verdict:
    """No kernel of its own, and split in two: what a guest still reaches, and where the device models are."""
    conditions = (
        turn("no_kernel", "described", ARCHITECTURE, "qingtian", lambda v: surface(v).kernel_entries == 0),
        turn("split", "described", ARCHITECTURE, "qingtian",
             lambda v: ARCHITECTURES[v].host.device_model_place == "split"),
        turn("off_the_host", "described", ARCHITECTURE, "qingtian",
             lambda v: surface(v).card_entries > surface(v).vmm_entries),
    )  # fmt: skip
    seen = surface("qingtian")
    sentences = filled("s23", kernel=seen.kernel_entries, vmm=seen.vmm_entries, card=seen.card_entries,
                       whole=surface("cipu").vmm_entries,
                       cipu=words("parameter.architecture.choices")["cipu"])  # fmt: skip
    facts = cited("vendor.qingtian.os", "vendor.qingtian.code", "vendor.qingtian.loss", "surface.pci.regions",
                  "surface.pci.notify", "surface.chips.regions")  # fmt: skip
    calls = ('cloud.surface("qingtian")', 'cloud.side_by_side("qingtian", "cipu")')
    return verdict("S23", sentences, conditions, facts, calls)
