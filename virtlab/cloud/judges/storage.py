"""The judge of the storage card, S16: native NVMe, 3 million IOPS, 40 µs, no CPU."""

from __future__ import annotations

from typing import Any

from virtlab.cloud.judges.common import cited, filled, million
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.evidence import FACTS
from virtlab.memory import migrate
from virtlab.memory.migrate import MigrationOptions
from virtlab.memory.pages import page_bytes
from virtlab.offload import encryption
from virtlab.paths import STORAGE, two_of
from virtlab.paths.storage_options import StorageCosts, StorageOptions

_POSTED, _SLEEPS = (Axis.of(StorageOptions, name) for name in ("posted", "guest_sleeps"))
_DISKS = {
    "pl1": "storage.essd.pl1", "pl2": "storage.essd.pl2", "pl3": "storage.essd.pl3", "i3": "storage.i3.local",
    "launch": "storage.cipu.launch",
}  # fmt: skip


#: The fastest disk and network that were read about: what gives the 40 µs their best chance.
_FAST: dict[str, Any] = {"device_ns": FACTS["storage.optane.qd1"].value, "fabric_rtt_ns": 5_000.0}
_AWAKE: dict[str, Any] = {"posted": True, "guest_sleeps": False}
_CLOUD = STORAGE["cloud-disk"]


def _latency_ns(operation: Any = "read", **costs: Any) -> float:
    """One request of 4 KiB to a cloud disk behind a card, by a guest that is awake, interrupts posted."""
    return _CLOUD.latency(operation=operation, costs=StorageCosts(**_FAST | costs), **_AWAKE).total_ns


def _idle_host(**changes: Any) -> bool:
    return _CLOUD.cpu(**_AWAKE | changes).host_ns_per_request == 0


def s16() -> Verdict:
    """Native NVMe, 3 million IOPS, 40 µs, no CPU: requests in flight, latency, link, disk, CPUs, and moving it."""
    iops, latency_s = FACTS["article.iops"].value, FACTS["article.storage.latency"].value / 1e6
    link, block = FACTS["link.rate"], page_bytes("4K")
    in_flight = two_of(iops=iops, latency_ns=latency_s * 1e9).depth

    def carried(io_bytes: float) -> bool:
        return iops * io_bytes * 8 / 1e9 <= link.value

    one_core = turn("one_core", "at_3m", Axis("request_ns", "ns", 0, 10_000), 0.0, lambda v: iops * v / 1e9 <= 1)
    conditions = (
        turn("iops", "at_40us", Axis("in_flight", "requests", 1, 1024, True), round(in_flight),
             lambda v: v / latency_s >= iops * (1 - 1e-12)),
        turn("within", "cloud_fast", Axis.of(StorageCosts, "fabric_rtt_ns"), _FAST["fabric_rtt_ns"],
             lambda v: _latency_ns(fabric_rtt_ns=v) <= latency_s * 1e9),
        turn("within", "cloud_fast", Axis.of(StorageCosts, "device_ns"), _FAST["device_ns"],
             lambda v: _latency_ns(device_ns=v) <= latency_s * 1e9),
        turn("within", "cloud_fast", Axis.of(StorageOptions, "operation"), "read",
             lambda v: _latency_ns(v) <= latency_s * 1e9),
        turn("idle_host", "cloud_awake", _POSTED, True, lambda v: _idle_host(posted=v)),
        turn("idle_host", "cloud_awake", _SLEEPS, False, lambda v: _idle_host(guest_sleeps=v)),
        turn("carried", "at_3m", Axis("io_bytes", "B", 512, 131_072), block, carried),
        one_core,
        turn("sold", "per_unit", Axis("disk", choices=tuple(_DISKS)), "launch",
             lambda v: FACTS[_DISKS[v]].value >= iops),
        turn("moved", "vm_64g", Axis.of(MigrationOptions, "device"), "vf-v2", lambda v: migrate(device=v).converged),
    )  # fmt: skip
    full, sealed = _CLOUD.capacity(jobs=64), encryption(throughput_gbit_per_s=iops * block * 8 / 1e9).by_place
    cpu, one = FACTS["nvme.request.cpu"], FACTS["nsdi20.metal.randread.4k.qd1.mean"]
    sentences = filled(
        "s16", iops=million(iops), latency=show(latency_s, "s"), in_flight=number(in_flight),
        alone=number(1 / latency_s), payload=show(iops * block * 8, "bit/s"), link=link.text(),
        budget=show(one_core.high or 0.0, "ns"), cpu=cpu.text(), cores=number(iops * cpu.value / 1e6),
        pl3=million(FACTS["storage.essd.pl3"].value), local=one.text(),
        read=show(_CLOUD.latency(operation="read").total_ns, "ns"), fast=show(_latency_ns(), "ns"),
        write=show(_CLOUD.latency(operation="write").total_ns, "ns"), most=million(full.iops),
        bound=words(f"server.{full.bottleneck}"), guest=show(_CLOUD.cpu(**_AWAKE).guest_ns_per_request, "ns"),
        software=number(sealed["host"].cores), crypto=show(sealed["card"].latency_ns, "ns"),
        stop=show(migrate(device="vf-untracked").downtime_s, "s", 4), v2=show(migrate(device="vf-v2").downtime_s, "s"),
    )  # fmt: skip
    facts = cited("article.iops", "article.storage.latency", *_DISKS.values(), "storage.essd.plx",
                  "storage.essd.plx.encrypted", "storage.optane.qd1", "storage.fabric.rtt", "storage.cluster", cpu.id,
                  one.id, "migration.vfio.untracked")  # fmt: skip
    calls = ("paths.two_of(iops=3e6, latency_ns=40_000)", 'paths.STORAGE["cloud-disk"].capacity(jobs=64)',
             'paths.STORAGE["cloud-disk"].latency(operation="write")', 'offload.encryption(throughput_gbit_per_s=98.3)',
             'memory.migrate(device="vf-untracked").downtime_s',
             'memory.migrate(device="vf-v2").downtime_s')  # fmt: skip
    return verdict("S16", sentences, conditions, facts, calls)
