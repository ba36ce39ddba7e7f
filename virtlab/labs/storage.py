"""The storage lab: one path to a disk, its IOPS and its latency with so many requests in flight."""

from __future__ import annotations

import functools
from typing import Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.storage import DEEPEST, StoragePicture, StorageResult
from virtlab.labs.base import Lab
from virtlab.paths import STORAGE, DepthCurve, StorageCosts, StorageOptions

StorageId = Literal["metal", "virtio-blk", "virtio-blk-sync", "virtio-blk-iothread", "vhost-blk", "vhost-user-blk",
                    "nvme-vfio", "cloud-disk"]  # fmt: skip
#: Published runs (NSDI'20) by path; the small VMMs of that year are one path here.
_PUBLISHED = {"metal": ("metal",), "virtio-blk": ("qemu",), "virtio-blk-sync": ("fc", "chv")}
_SIZES = {4096: "4k", 131_072: "128k"}


class StorageSetting(Parameters):
    """A path, how many requests are in flight, how large they are, and what stands at the far end."""

    storage_path: StorageId = parameter(FACTS["storage.path"], default="virtio-blk")
    depth: int = parameter(FACTS["storage.depth"], ge=1, le=DEEPEST, log=True)
    request_bytes: int = same(StorageOptions, "request_bytes")
    device_ns: float = same(StorageCosts, "device_ns", le=10_000_000)
    operation: Literal["read", "write"] = same(StorageOptions, "operation")
    jobs: int = same(StorageOptions, "jobs")
    backend_threads: int = same(StorageOptions, "backend_threads")
    cipher: Literal["none", "software", "inline"] = same(StorageOptions, "cipher")
    backend_polls: bool = same(StorageOptions, "backend_polls")
    idle_exit_ns: float = same(StorageCosts, "idle_exit_ns", le=150_000)
    device_gbyte_per_s: float = same(StorageCosts, "device_gbyte_per_s")
    fabric_rtt_ns: float = same(StorageCosts, "fabric_rtt_ns")

    def options(self) -> StorageOptions:
        """The options of the path under this setting."""
        return StorageOptions(**{name: getattr(self, name) for name in StorageOptions.model_fields
                                 if name in type(self).model_fields})  # fmt: skip

    def costs(self) -> StorageCosts:
        """The costs of its steps."""
        return StorageCosts(**{name: getattr(self, name) for name in StorageCosts.model_fields
                               if name in type(self).model_fields})  # fmt: skip


@functools.lru_cache(maxsize=32)
def _curve(path: str, options: StorageOptions, costs: StorageCosts) -> DepthCurve:
    return STORAGE[path].depths(options, costs=costs, deepest=DEEPEST)


class StorageLab(Lab):
    """IOPS and latency against queue depth."""

    Setting = StorageSetting
    Picture = StoragePicture
    visible = ("storage_path", "depth", "request_bytes", "device_ns")

    def solve(self, setting: StorageSetting) -> StorageResult:
        options, costs = setting.options(), setting.costs()
        curve = _curve(setting.storage_path, options, costs)
        bare = _curve("metal", options, costs)
        alone = STORAGE[setting.storage_path].latency(options, costs=costs).by_place()
        return StorageResult(
            path=setting.storage_path,
            operation=setting.operation,
            depth=setting.depth,
            iops=curve.iops,
            latency_ns=curve.latency_ns,
            bound_iops=curve.bound_iops,
            bare_iops=bare.iops,
            bare_latency_ns=bare.latency_ns,
            knee_depth=curve.knee_depth,
            limit_iops=curve.limit_iops,
            bottleneck=str(curve.bottleneck),
            alone_ns={str(place): ns for place, ns in alone.items()},
            published=_published(setting),
        )

    def sentence(self, setting: StorageSetting, result: StorageResult) -> str:
        iops, ns = result.here
        cached = STORAGE[result.path].cached_writes and result.operation == "write"
        bare = float(result.bare_iops[result.depth - 1])
        return say(
            "storage_lab.sentence_cached" if cached else "storage_lab.sentence",
            path=words(f"storage_path.{result.path}.title"),
            operation=words(f"storage_lab.operation.{result.operation}"),
            size=show(setting.request_bytes, "B"),
            depth=say("storage_lab.one" if result.depth == 1 else "storage_lab.many", n=result.depth),
            iops=show(iops, "IOPS"),
            latency=show(ns, "ns"),
            share=show(iops / bare, "%", 2),
            server=words(f"storage.server.{result.bottleneck}"),
            limit=show(result.limit_iops, "IOPS"),
            knee=number(max(1.0, result.knee_depth), 2),
            alone=show(float(result.latency_ns[0]), "ns"),
        )


def _published(setting: StorageSetting) -> tuple[tuple[int, float, float], ...]:
    """Runs of one job without encryption at this size: (depth, IOPS, mean latency in ns)."""
    size = _SIZES.get(setting.request_bytes)
    if size is None or setting.jobs > 1 or setting.cipher != "none":
        return ()
    rows = [
        (depth, f"nsdi20.{who}.rand{setting.operation}.{size}.qd{depth}")
        for who in _PUBLISHED.get(setting.storage_path, ()) for depth in (1, 32)
    ]  # fmt: skip
    return tuple((depth, FACTS[f"{key}.iops"].value, 1e3 * FACTS[f"{key}.mean"].value) for depth, key in rows)
