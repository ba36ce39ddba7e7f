"""Notebook 10: what is true, from the models of moderation in ``virtlab.offload``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from virtlab.core.parameter import ParameterError
from virtlab.core.units import show
from virtlab.lessons.mistakes import Truth
from virtlab.offload import Coalescer, heavy_limit, light_limit, moderation

# --- predictions ------------------------------------------------------------------------------------------------------


def _rate() -> float:
    return moderation(moderation="virtio", rate_packets_per_s=1e5, max_packets=15,
                      interrupt_delay_ns=10_000).interrupts_per_s  # fmt: skip


def _timer() -> float:
    """Of packets every 4 µs: when the first notification comes, µs."""
    device = Coalescer(max_packets=15, max_usecs=10)
    told = [t.at_ns for n in range(30) for t in device.packet(4_000 * n)]
    return told[0] / 1e3


def _schemes() -> dict[str, float]:
    """Interrupts a second under the three schemes of the question."""
    waits = {"off": 0, "virtio": 10_000, "napi": 0}
    return {key: moderation(moderation=key, rate_packets_per_s=390_000, max_packets=15, interrupt_delay_ns=wait,
                            guest_stack_ns=1_000, guest_irq_ns=1_000).interrupts_per_s
            for key, wait in waits.items()}  # fmt: skip


PREDICTIONS: dict[str, Callable[[], Any]] = {"10.rate": _rate, "10.timer": _timer, "10.schemes": _schemes}

# --- numbers ----------------------------------------------------------------------------------------------------------


def limits(packets: int, wait: int, light: int, heavy: int) -> Truth:
    many = heavy * 1e6
    meet = (packets - 1) / (wait / 1e6)
    return Truth(
        (light_limit(light, 1000 * wait), heavy_limit(many, packets), meet),
        {
            "each": (float(light), many, None),
            "timer_only": (1e6 / wait, None, None),
            "not_heavy": (None, light_limit(many, 1000 * wait), None),
            "with_first": (None, None, packets / (wait / 1e6)),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"10.limits": limits}

# --- designs ----------------------------------------------------------------------------------------------------------

_CHOICES = ("moderation", "max_packets", "interrupt_delay_ns")
_LIGHT, _HEAVY = 5_000, 600_000
_LATE_NS, _MOST_IRQS = 50_000, 30_000


def quiet_and_quick(answer: Any) -> tuple[str, dict[str, str]]:
    """Moderation that keeps a deadline at both rates and spares interrupts at the higher one."""
    if not isinstance(answer, Mapping) or not answer:
        return "mapping", {}
    if unknown := sorted(str(key) for key in answer if key not in _CHOICES):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(_CHOICES)}
    try:
        light, heavy = (moderation(**answer, rate_packets_per_s=rate) for rate in (_LIGHT, _HEAVY))
    except (ParameterError, TypeError) as error:
        return "options", {"error": str(error)[:300]}
    for m in (light, heavy):
        if m.p99_delay_ns >= _LATE_NS:
            return "late", {"rate": f"{m.options.rate_packets_per_s:,.0f}", "wait": show(m.p99_delay_ns, "ns")}
    irqs = f"{heavy.interrupts_per_s:,.0f}"
    if heavy.interrupts_per_s > _MOST_IRQS:
        return "many", {"irqs": irqs}
    return "right", {"irqs": irqs, "light": show(light.p99_delay_ns, "ns"), "heavy": show(heavy.p99_delay_ns, "ns")}


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"10.design": quiet_and_quick}

# --- mistakes to find -------------------------------------------------------------------------------------------------


def notifications(times_us: Sequence[int], most: int, wait_us: int) -> tuple[int, ...]:
    """By the device of the library, which counts in ns."""
    device = Coalescer(most, wait_us)
    told = [t.at_ns for at in times_us for t in device.packet(1000 * at)]
    told += [t.at_ns for t in device.until(1000 * (max(times_us, default=0) + wait_us))]
    return tuple(at // 1000 for at in told)


REFERENCES: dict[str, Callable[..., Any]] = {"10.debug": notifications}
