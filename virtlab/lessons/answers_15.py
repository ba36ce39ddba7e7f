"""Notebook 15: what is true, from the moves, the surface and the density of ``virtlab.cloud``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from virtlab.cloud import MOVES, VMM_BYTES, density, slim, trimming
from virtlab.core.parameter import ParameterError
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.lessons.mistakes import Truth

# --- predictions ----------------------------------------------------------------------------------------------------


def _moves() -> dict[str, float]:
    """Entry points that are left in the VMM process after each move alone."""
    return {move: float(slim("qemu", move).end.surface.vmm_entries) for move in MOVES}


def _fit() -> float:
    """More VMs with no memory beside them."""
    return float(density().cost_of_overhead)


def _trim() -> float:
    """Per cent of a packet's time that modules which nobody uses are worth."""
    found = trimming()
    return 100 * found["modules"].packet_ns / found.packet_ns


PREDICTIONS: dict[str, Callable[[], Any]] = {"15.moves": _moves, "15.fit": _fit, "15.trim": _trim}

# --- numbers --------------------------------------------------------------------------------------------------------

_CORES, _KEPT, _THREADS, _FREE_MIB = 64, 4, 2, int(1024 * 1024 * 0.95)


def fitting(m: int, o: int, b: int) -> Truth:
    by_cpu = (_CORES - _KEPT) * _THREADS * o
    right = min(by_cpu, _FREE_MIB // (m + b)), min(by_cpu, _FREE_MIB // m)
    with_cores, not_kept = by_cpu // _THREADS, _CORES * _THREADS * o
    wrong: dict[str, tuple[float, float]] = {
        "cores": (min(with_cores, _FREE_MIB // (m + b)), min(with_cores, _FREE_MIB // m)),
        "cpu": (by_cpu, by_cpu),
        "memory": (_FREE_MIB // (m + b), _FREE_MIB // m),
        "kept": (min(not_kept, _FREE_MIB // (m + b)), min(not_kept, _FREE_MIB // m)),
    }
    seen: list[set[float]] = [{value} for value in right]  # two mistakes may give one number: the first of them is told
    told: dict[str, tuple[float | None, ...]] = {}
    for key, values in wrong.items():
        told[key] = tuple(None if value in known else float(value) for value, known in zip(values, seen, strict=True))
        for value, known in zip(values, seen, strict=True):
            known.add(value)
    return Truth(right, told)


NUMBERS: dict[str, Callable[..., Truth]] = {"15.density": fitting}

# --- designs --------------------------------------------------------------------------------------------------------

_CHOICES = ("vmm", "memory_bytes", "vcpus_per_thread", "kept_cores", "vf_each", "vectors", "huge_pages")
_SERVER: dict[str, Any] = {"cores": 64, "threads_per_core": 2, "host_memory_bytes": 256 << 30, "vcpus": 1,
                           "kept_memory_share": 0.05}  # fmt: skip
_LEAST_VMS, _LEAST_BYTES, _MOST_BUSY, _LEAST_KEPT = 1000, 128 << 20, 10, 4


def thousand(answer: Any) -> tuple[str, dict[str, str]]:
    """A server for a thousand small functions."""
    if not isinstance(answer, Mapping) or not answer:
        return "mapping", {}
    if unknown := sorted(str(key) for key in answer if key not in _CHOICES):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(_CHOICES)}
    vmm = answer.get("vmm", "qemu")
    if not isinstance(vmm, str) or vmm not in VMM_BYTES:
        return "vmm", {}
    chosen = {key: value for key, value in answer.items() if key != "vmm"}
    try:
        found = density(**{**_SERVER, "memory_bytes": _LEAST_BYTES, **chosen, "overhead_bytes": int(VMM_BYTES[vmm])})
    except (ParameterError, TypeError) as error:
        return "options", {"error": str(error)[:300]}
    o = found.options
    values = {
        "vms": number(found.vms, 5), "first": found.first.title, "share": show(found.overhead_share, "%"),
        "lost": str(words(f"thin.design.{'pinned' if o.vf_each else 'overcommit'}")),
    }  # fmt: skip
    if o.memory_bytes < _LEAST_BYTES:
        return "small", values
    if o.vcpus_per_thread > _MOST_BUSY:
        return "busy", values
    if not o.vf_each and o.kept_cores < _LEAST_KEPT:
        return "kept", values
    if found.vms < _LEAST_VMS:
        return "few", values
    return "right", values


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"15.design": thousand}

# --- mistakes to find -----------------------------------------------------------------------------------------------


def vms(
    cores: int, kept_cores: int, threads_per_core: int, vcpus: int, memory: int, vm_memory: int, beside: int
) -> int:
    return min((cores - kept_cores) * threads_per_core // vcpus, memory // (vm_memory + beside))


REFERENCES: dict[str, Callable[..., Any]] = {"15.debug": vms}
