"""The cost lab: what the ladder assumes of a computer, before what was published and what a computer measured."""

from __future__ import annotations

import functools
from typing import Any, Literal

from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS, Fact
from virtlab.figures.machine_costs import Assumed, CostPicture, CostPictureResult, Span
from virtlab.labs.measuring import MeasuringLab
from virtlab.machine import Measured, measure, recorded
from virtlab.machine.measured import COSTS
from virtlab.paths import LADDER, Costs, PathOptions


class CostSetting(Parameters):
    """Which of the measured copies stands for the copy of a frame."""

    copy_source: Literal["cache", "memory"] = parameter(FACTS["host.copy"], default="cache", unit="1")


def _span(middle: Fact, range_: Fact | None = None) -> Span:
    """A fact as (value, low, high); the interval may be that of another fact."""
    interval = range_ or middle
    return middle.value, interval.low, interval.high


@functools.cache
def assumed() -> tuple[Assumed, ...]:
    """What the course assumes of each quantity, with the recalled range, and what was published."""
    copy = _span(FACTS["host.copy"])
    known: dict[str, tuple[Span, Span | None]] = {
        "syscall": (_span(FACTS["host.syscall"]), None),
        "context_switch": (_span(FACTS["host.context_switch"]), _span(FACTS["io.context_switch.pipe"])),
        "wakeup": (_span(FACTS["host.wakeup"], FACTS["kvm.wakeup.blocked"]), _span(FACTS["host.wakeup"])),
        "copy_cache": (copy, None),
        "copy_memory": (copy, None),
    }
    return tuple(Assumed(key, unit, *known[key]) for key, unit in COSTS.items())


class _Picture(CostPicture):
    assumed = assumed()


class CostLab(MeasuringLab):
    """Five assumed costs before the third witness. It opens with a recorded one; ``measure()`` asks this computer."""

    Setting = CostSetting
    Picture = _Picture
    visible = ("copy_source",)

    def record(self) -> Measured:
        return recorded()

    def ask(self, seconds: float) -> Measured:
        return measure(seconds)

    def costs(self, **more: float) -> Costs:
        """The course's costs with the measured ones put in; what is missing stays at the course's default.

        ``more`` are further costs by name. Raises ParameterError when one lies outside what the model takes.
        """
        return _costs(self.measured, self.setting, **more)

    def solve(self, setting: CostSetting) -> CostPictureResult:
        measured = self.measured
        spans = {q.id: (q.value, q.low, q.high) if q.present else None for q in measured.quantities}
        return CostPictureResult(spans, _copy(setting), measured.label(), measured.origin == "now")

    def sentence(self, setting: CostSetting, result: CostPictureResult) -> str:
        parts, outside = [], []
        for quantity in assumed():
            title, span = words(f"machine.{quantity.id}.title"), result.machine.get(quantity.id)
            if span is None:
                parts.append(say("machine.not_measured", title=title))
                continue
            course, low, high = quantity.course
            parts.append(say("machine.quantity", title=title, value=show(span[0], quantity.unit),
                             course=show(course, quantity.unit)))  # fmt: skip
            if not low <= span[0] <= high:
                outside.append(title)
        if not any(result.machine.values()):
            return say("machine.nothing", label=result.label, quantities="; ".join(parts) + ".")
        return say(
            "machine.sentence", label=result.label, quantities="; ".join(parts) + ".",
            outside=say("machine.outside", names=", ".join(outside)) if outside else words("machine.inside"),
            latency=self._consequence(setting),
        )  # fmt: skip

    def _consequence(self, setting: CostSetting) -> str:
        """What the measured costs mean for one packet on the path that most guests use."""
        path, options = LADDER["vhost-net"], PathOptions()
        try:
            here = path.latency(options, costs=_costs(self.measured, setting)).total_ns
        except ParameterError as error:
            return say("machine.no_latency", error=error)
        return say("machine.latency", here=show(here, "ns"), course=show(path.latency(options).total_ns, "ns"),
                   copies=words(f"parameter.copy_source.choices.{setting.copy_source}"))  # fmt: skip



def _copy(setting: CostSetting) -> str:
    return f"copy_{setting.copy_source}"


def _costs(measured: Measured, setting: CostSetting, **more: float) -> Costs:
    """The costs of a path with what was measured."""
    names = {"syscall": "syscall_ns", "context_switch": "context_switch_ns", "wakeup": "wakeup_ns",
             _copy(setting): "copy_gbyte_per_s"}  # fmt: skip
    found: dict[str, Any] = {name: measured[key].value for key, name in names.items() if measured[key].present}
    return Costs(**{**found, **more})
