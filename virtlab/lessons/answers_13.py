"""Notebook 13: what is true, from the storage paths, Little's law and the costs of encryption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from virtlab.core.parameter import ParameterError
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.lessons.mistakes import Truth
from virtlab.offload import encryption
from virtlab.paths import STORAGE, two_of

# --- predictions ----------------------------------------------------------------------------------------------------


def _depth() -> float:
    return two_of(iops=3e6, latency_ns=40_000).depth


def _order() -> dict[str, float]:
    """IOPS of 4 KiB reads with 32 in flight."""
    return {path: STORAGE[path].depths(deepest=32).at(32)[0] for path in ("metal", "virtio-blk", "virtio-blk-sync")}


def _cores() -> float:
    return encryption(throughput_gbit_per_s=100, cipher_cycles_per_byte=0.64, clock_ghz=3.0).cores


PREDICTIONS: dict[str, Callable[[], Any]] = {"13.depth": _depth, "13.order": _order, "13.cores": _cores}

# --- numbers --------------------------------------------------------------------------------------------------------


def little(iops: int, latency: int, size: int, depth: int) -> Truth:
    quoted = two_of(iops=1e3 * iops, latency_ns=1e3 * latency)
    gbit = quoted.payload_gbit_per_s(1024 * size)
    seen = two_of(depth=depth, latency_ns=1e3 * latency).iops
    return Truth(
        (quoted.depth, gbit, seen),
        {
            "thousand": (quoted.depth / 1e3, gbit / 1e3, None),
            "bytes": (None, gbit / 8, None),
            "decimal": (None, gbit * 1000 / 1024, None),
            "one": (None, None, seen / depth),
            "quoted": (None, None, quoted.iops),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"13.little": little}

# --- designs --------------------------------------------------------------------------------------------------------

_CHOICES = ("path", "depth", "jobs", "backend_threads", "cipher", "backend_polls", "posted", "requests_per_kick",
            "requests_per_interrupt")  # fmt: skip
_IOPS, _NS, _HOST_CORES, _JOBS = 350_000, 120_000, 3.0, 4


def tenant_disk(answer: Any) -> tuple[str, dict[str, str]]:
    """A path and a depth that give the tenant what it wants, within the cores that there are."""
    if not isinstance(answer, Mapping) or not {"path", "depth"} <= set(answer):
        return "mapping", {}
    if unknown := sorted(str(key) for key in answer if key not in _CHOICES):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(_CHOICES)}
    options = {key: value for key, value in answer.items() if key not in ("path", "depth")}
    try:
        path = STORAGE[answer["path"]]
        iops, ns = path.depths(deepest=512, **options).at(answer["depth"])
        cpu, limit = path.cpu(**options), path.capacity(**options)
    except (ParameterError, ValueError, TypeError, KeyError) as error:
        return "options", {"error": str(error.args[0] if error.args else error)[:300]}
    host, jobs = cpu.host_cores(iops), options.get("jobs", 1)
    values = {
        "path": path.title, "iops": show(iops, "IOPS"), "latency": show(ns, "ns"), "host": number(host),
        "guest": number(cpu.guest_cores(iops)), "jobs": number(jobs), "limit": show(limit.iops, "IOPS"),
        "server": str(words(f"storage.server.{limit.bottleneck}")),
    }  # fmt: skip
    if path.id == "metal":
        return "metal", values
    if options.get("cipher", "none") == "none":
        return "plain", values
    if jobs > _JOBS:
        return "jobs", values
    if iops < _IOPS:
        return "slow", values
    if ns > _NS:
        return "late", values
    if host > _HOST_CORES:
        return "host", values
    return "right", values


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"13.design": tenant_disk}

# --- mistakes to find -----------------------------------------------------------------------------------------------


def iops(depth: float, alone_us: float, held_us: float) -> float:
    return min(depth / alone_us, 1 / held_us) * 1e6


REFERENCES: dict[str, Callable[..., Any]] = {"13.debug": iops}
