"""Notebook 07: what is true, from the scheduler, the neighbours and the newsvendor's rule of ``virtlab.cpu``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Any

from virtlab.core.parameter import ParameterError
from virtlab.core.units import show
from virtlab.cpu import neighbours, schedule
from virtlab.lessons.mistakes import Truth

# --- predictions ----------------------------------------------------------------------------------------------------


def _steal() -> float:
    """Three vCPUs that always run on one pCPU, in per cent."""
    host: dict[str, Any] = {"pcpus": 1, "vms": 3, "vcpus_per_vm": 1, "duty": 1.0, "emulator_load": 0.0}
    return 100 * schedule(**host, context_switch_ns=0, wall_ns=9_000_000_000, slice_ns=3_000_000).steal_share


def _hosts() -> dict[str, float]:
    """What 1 in 100 wake-ups of a vCPU waits at least, ns, on the three hosts of the question."""
    hosts: dict[str, dict[str, Any]] = {"free": {}, "pinned": {"pinning": "vcpus"}, "card": {"emulator_load": 0.0}}
    return {key: schedule(**host).waits.quantile_ns(0.99) for key, host in hosts.items()}


def _remedy() -> dict[str, float]:
    """p99 of the victim's requests with each remedy alone, ns."""
    return {key: neighbours(**{key: True}).tail.p99_ns for key in ("own_cpu", "offload", "cat")}


PREDICTIONS: dict[str, Callable[[], Any]] = {"07.steal": _steal, "07.hosts": _hosts, "07.remedy": _remedy}

# --- numbers --------------------------------------------------------------------------------------------------------


def share(m: int, slice: float) -> Truth:
    steal, heavy = 100 * (1 - 1 / m), 100 * (1 - 3 / (m + 2))
    return Truth(
        (steal, (m - 1) * slice, heavy),
        {
            "run": (100 / m, None, 300 / (m + 2)),
            "others": (100 * (1 - 1 / (m - 1)), None, None),
            "own": (None, float(m * slice), None),
            "one": (None, float(slice), None),
            "of_m": (None, None, 100 * (1 - 3 / m)),
            "unweighted": (None, None, steal),
        },
    )


def reserve(pcpus: int, vms: int, load: int) -> Truth:
    return Truth(
        (100 / pcpus, vms * load / pcpus, 100 / vms),
        {
            "all_vms": (None, float(vms * load), None),
            "one_vm": (None, load / pcpus, None),
            "times": (None, None, 100 * pcpus / vms),
        },
    )


def quantile(ratio: int, deviation: int) -> Truth:
    q = ratio / (ratio + 1)
    level = NormalDist(800, deviation).inv_cdf(q)
    return Truth(
        (100 * q, level),
        {
            "ratio": (100 * (1 - 1 / ratio), None),
            "mean": (50.0, 800.0),
            "sigmas": (None, 800.0 + ratio * deviation),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"07.share": share, "07.reserve": reserve, "07.quantile": quantile}

# --- designs --------------------------------------------------------------------------------------------------------

_CHOICES = ("vms", "pinning", "reserved_pcpus", "slice_ns")
_FEWEST, _WAIT_NS = 10, 100_000


def short_waits(answer: Any) -> tuple[str, dict[str, str]]:
    """A host of eight pCPUs whose waits are short enough for vCPUs and for emulator threads."""
    if not isinstance(answer, Mapping) or not answer:
        return "mapping", {}
    if unknown := sorted(str(key) for key in answer if key not in _CHOICES):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(_CHOICES)}
    try:
        run = schedule(**{"vcpus_per_vm": 2, "emulator_load": 0.2, **answer})
    except (ParameterError, TypeError) as error:
        return "options", {"error": str(error)[:300]}
    wait, emulator = run.waits.quantile_ns(0.99), run.emulator_waits.quantile_ns(0.99)
    values = {"vcpus": str(run.options.vcpus), "wait": show(wait, "ns", 2), "emulator": show(emulator, "ns", 2),
              "unused": show(run.pcpu_idle_share, "%", 2)}  # fmt: skip
    if run.options.vcpus < _FEWEST:
        return "few", values
    if wait > _WAIT_NS:
        return "wait", values
    if emulator > _WAIT_NS:
        return "emulator", values
    return "right", values


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"07.design": short_waits}

# --- mistakes to find -----------------------------------------------------------------------------------------------


def steal_share(wall_ms: float, run_ms: float, halted_ms: float) -> float:
    return (wall_ms - run_ms - halted_ms) / wall_ms


REFERENCES: dict[str, Callable[..., Any]] = {"07.debug": steal_share}
