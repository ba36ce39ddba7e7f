"""Notebook 02: what is true, from the models of ``virtlab.cpu`` and from what Linux's own KVM counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from virtlab.core.parameter import ParameterError
from virtlab.core.units import number, show
from virtlab.core.words import say
from virtlab.cpu import REMEDIES, AfterIo, after_io, exit_profile, exit_tax, exit_work, rate_at
from virtlab.evidence import FACTS
from virtlab.lessons.mistakes import Truth

#: The sets whose sources measured both an exit in KVM and one to user space.
_Set = Literal["amd-2020-floor", "qemu-2012"]

# --- predictions ------------------------------------------------------------------------------------------------------


def _tax() -> tuple[float, float]:
    low, *_, high = sorted(100 * exit_tax(route="userspace", exit_costs=costs).share for costs in get_args(_Set))
    return low, high


def _ioeventfd() -> float:
    """Exits of 100 accesses with an ioeventfd, as KVM counted them, without those of the guest's start and end."""
    from virtlab.machine import recorded_inner_kvm

    return recorded_inner_kvm().counts["pio-ioeventfd"]["exits.io"]


def _left() -> tuple[float, float]:
    """The tax lab's vCPU when kicks and its device's interrupts cause no exit."""
    rates = {"hlt": FACTS["exit.after.halts"].value, "timer_arm": FACTS["lab.tax.msr"].value}
    low, *_, high = sorted(100 * exit_profile(rates, exit_costs=costs).share for costs in get_args(_Set))
    return low, high


PREDICTIONS: dict[str, Callable[[], Any]] = {"02.tax": _tax, "02.ioeventfd": _ioeventfd, "02.left": _left}

# --- numbers ----------------------------------------------------------------------------------------------------------


def afford(rate: int, clock: float) -> Truth:
    """Kicks by the costs of 2012: the tax through QEMU, what an ioeventfd takes off, and the rate that is all."""
    through, kept = (
        exit_tax(rate_per_s=float(rate), clock_ghz=clock, exit_costs="qemu-2012", route=route)
        for route in ("userspace", "kernel")
    )
    tax, left = 100 * through.share, 100 * kept.share
    most = rate_at(1.0, through.options)
    return Truth(
        (tax, tax - left, most),
        {
            "cycles_as_ns": (clock * tax, clock * (tax - left), most / clock),
            "times_clock": (clock * clock * tax, clock * clock * (tax - left), None),
            "kernel": (left, None, rate_at(1.0, kept.options)),
            "left": (None, left, None),
            "all_gone": (None, tax, None),
            "ratio": (None, 100 * (1 - left / tax), None),
            "ten": (None, None, rate_at(0.1, through.options)),
        },
    )  # fmt: skip


def work(work_us: int, exits: int, clock: float) -> Truth:
    """The work form, with exits to user space at the floor's cost."""
    w = exit_work({"pio": exits}, {"pio": "userspace"}, work_ns=1e3 * work_us, clock_ghz=clock)
    ratio = w.exits_ns / w.options.work_ns
    share = 100 * w.profile.share
    return Truth(
        (w.slowdown, w.profile.exits_per_s, share),
        {
            "rate_form": (1 / (1 - ratio) if ratio < 1 else None, exits * 1e6 / work_us, 100 * ratio),
            "only_added": (ratio, None, None),
            "throughput": (1 / w.slowdown, None, None),
            "rest": (None, None, 100 - share),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"02.afford": afford, "02.work": work}

# --- designs ----------------------------------------------------------------------------------------------------------

_LIMIT, _MOST_IDLE = 0.01, 0.2
#: What may be chosen besides the remedies, and how far.
_FREE: Mapping[str, tuple[float, float]] = {
    "halts_per_s": (2_000, 1_000_000), "timers_per_s": (1_000, 1_000_000), "busy_share": (0.0, 0.9),
}  # fmt: skip


def below_one(answer: Any) -> tuple[str, dict[str, str]]:
    """A vCPU without I/O exits below 1 % by a timer's measured costs, at most a fifth of its CPU idle for nobody."""
    if not isinstance(answer, Mapping):
        return "mapping", {}
    options = {str(key): value for key, value in answer.items()}
    if unknown := sorted(set(options) - set(REMEDIES) - set(_FREE)):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join((*REMEDIES, *_FREE))}
    try:
        residue = after_io(AfterIo(exit_costs="skx-2020-timer", **options))
    except (ParameterError, TypeError, ValueError) as error:
        return "options", {"error": str(error)[:300]}
    for name, (low, high) in _FREE.items():
        if not low <= getattr(residue.options, name) <= high:
            return "range", {"name": name, "low": number(low), "high": number(high)}
    if residue.stranded_share > _MOST_IDLE:
        return "idle", {"stranded": show(residue.stranded_share, "%")}
    if residue.share >= _LIMIT:
        first = residue.profile.ranking()[0]
        return "above", {"share": show(residue.share, "%"), "first": first.reason}
    o = residue.options
    paid = [say(f"lessons.exit_price.{key}") for key, there in (
        ("idle", o.exits_disabled or o.isolated_cpus), ("timers", o.posted_timers), ("cpu", o.ipi_virtualization),
        ("halts", o.halts_per_s < FACTS["exit.after.halts"].value),
        ("coarse", o.timers_per_s < FACTS["exit.after.timers"].value),
    ) if there]  # fmt: skip
    return "right", {"share": show(residue.share, "%"), "price": "; ".join(paid),
                     "stranded": show(residue.stranded_share, "%"),
                     "housekeeping": show(residue.housekeeping_share, "%")}  # fmt: skip


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"02.design": below_one}

# --- mistakes to find -------------------------------------------------------------------------------------------------


def slowdown(exits: Sequence[float], cycles: Sequence[float], clock_ghz: float, work_us: float) -> float:
    return 1 + sum(n * c for n, c in zip(exits, cycles, strict=True)) / (clock_ghz * 1e3 * work_us)


REFERENCES: dict[str, Callable[..., Any]] = {"02.debug": slowdown}
