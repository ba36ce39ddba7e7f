"""The judge of the storage card, S16: native NVMe, 3 million IOPS, 40 µs, no CPU."""

from __future__ import annotations

from virtlab.cloud.judges.common import cited, filled, million
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.core.units import number, show
from virtlab.evidence import FACTS
from virtlab.memory import migrate
from virtlab.memory.migrate import MigrationOptions
from virtlab.memory.pages import page_bytes

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
        turn("moved", "vm_64g", Axis.of(MigrationOptions, "device"), "vf-v2", lambda v: migrate(device=v).converged),
    )  # fmt: skip
    cpu, one = FACTS["nvme.request.cpu"], FACTS["nsdi20.metal.randread.4k.qd1.mean"]
    sentences = filled(
        "s16", iops=million(iops), latency=show(latency_s, "s"), in_flight=number(in_flight),
        alone=number(1 / latency_s), payload=show(iops * block * 8, "bit/s"), link=link.text(),
        budget=show(conditions[2].high or 0.0, "ns"), cpu=cpu.text(), cores=number(iops * cpu.value / 1e6),
        pl3=million(FACTS["storage.essd.pl3"].value), local=one.text(),
        stop=show(migrate(device="vf-untracked").downtime_s, "s", 4), v2=show(migrate(device="vf-v2").downtime_s, "s"),
    )  # fmt: skip
    facts = cited("article.iops", "article.storage.latency", *_DISKS.values(), "storage.essd.plx",
                  "storage.essd.plx.encrypted", cpu.id, one.id, "migration.vfio.untracked")  # fmt: skip
    calls = ('memory.migrate(device="vf-untracked").downtime_s', 'memory.migrate(device="vf-v2").downtime_s')
    return verdict("S16", sentences, conditions, facts, calls)
