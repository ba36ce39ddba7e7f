"""Two labs of the whole host: which remedy earned what, and two architectures next to each other."""

from __future__ import annotations

import functools
from typing import Any, Literal

from pydantic import model_validator

from virtlab.cloud import WORKLOADS, Attribution, ServerOptions, attribute, overhead, placement
from virtlab.cloud.overhead import Axis
from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import show, signed
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.remedies import RemedyPicture, RemedyResult
from virtlab.figures.side_by_side import SidePicture, SideResult
from virtlab.labs.base import Lab

WorkloadName = Literal["compute", "network", "storage"]
Name = Literal["qemu", "qemu-tuned", "firecracker", "nitro", "cipu", "qingtian", "azure", "google", "dpu"]
Remedy = Literal["none", "huge_pages", "pinning", "posted_interrupts", "network_card", "storage_card",
                 "management_card", "light_vmm"]  # fmt: skip
Order = Literal["course", "reverse", "best", "worst"]
_START = FACTS["whole.lab"]


class _ServerSetting(Parameters):
    """The server in both labs: never so small that it could sell nothing."""

    host_cores: int = same(ServerOptions, "host_cores", ge=16, le=512)
    agents_cores: float = same(ServerOptions, "agents_cores", le=4)
    monitor_cores: float = same(ServerOptions, "monitor_cores", le=0.1)
    filter_ns: float = same(ServerOptions, "filter_ns", le=2_000)

    def server(self) -> ServerOptions:
        """The server of the models."""
        return ServerOptions(**{name: getattr(self, name) for name in _ServerSetting.model_fields})


class RemedySetting(_ServerSetting):
    """A workload, two hosts, a remedy that is taken away, and the order of the waterfall."""

    workload: WorkloadName = parameter(_START, default="storage")
    architecture: Name = parameter(_START, default="nitro")
    taken_away: Remedy = parameter(_START, default="none")
    fall_order: Order = parameter(_START, default="course")
    compared_with: Name = parameter(_START, default="qemu")
    loss_axis: Axis = parameter(_START, default="loss")


class RemedyLab(Lab):
    """Which remedy earned most? Take one away, turn the order round, and compare with Shapley's values."""

    Setting = RemedySetting
    Picture = RemedyPicture
    visible = ("workload", "architecture", "taken_away", "fall_order")

    def solve(self, setting: RemedySetting) -> RemedyResult:
        found = _attributed(setting.replace(fall_order="course", taken_away="none"))
        taken = setting.taken_away if setting.taken_away in found.remedies else ""
        if taken:
            found = found.without(taken)
        ranked = found.ranking()
        orders = {"course": found.remedies, "reverse": found.remedies[::-1], "best": ranked, "worst": ranked[::-1]}
        return RemedyResult(found, found.waterfall(*orders[setting.fall_order]), taken)

    def sentence(self, setting: RemedySetting, result: RemedyResult) -> str:
        found = result.found
        if not found.remedies:
            return say("remedy_lab.nothing", loss=show(found.end.on(found.axis), "%"),
                       axis=words(f"whole.axis.{found.axis}"))  # fmt: skip
        first = found.ranking()[0]
        step = next(bar.earned for bar in result.bars if bar.remedy == first)
        return say(
            "remedy_lab.sentence", workload=words(f"whole.workload.{setting.workload}"),
            axis=words(f"whole.axis.{found.axis}"), start=show(result.losses[0], "%"), end=show(result.losses[1], "%"),
            first=words(f"whole.remedy.{first}"), earned=show(found.earned[first], "%"), step=show(step, "%"),
            alone=signed(found.alone[first], "%"), missed=signed(found.missed[first], "%"),
        )  # fmt: skip


@functools.lru_cache(maxsize=16)  # turning the order round asks for the same again
def _attributed(setting: RemedySetting) -> Attribution:
    return attribute(setting.architecture, setting.workload, setting.server(), baseline=setting.compared_with,
                     axis=setting.loss_axis)  # fmt: skip


class SideSetting(_ServerSetting):
    """Two architectures under one workload, whose own shares of waiting stand where none are given."""

    left_architecture: Name = parameter(_START, default="nitro")
    right_architecture: Name = parameter(_START, default="qingtian")
    workload: WorkloadName = parameter(_START, default="storage")
    storage_share: float = parameter(FACTS["workload.storage.storage"], ge=0, le=0.6)
    network_share: float = parameter(FACTS["workload.storage.network"], ge=0, le=0.2)

    @model_validator(mode="before")
    @classmethod
    def _own_shares(cls, given: Any) -> Any:
        return _shares(given.get("workload")) | given


def _shares(workload: Any) -> dict[str, float]:
    """How long the workload of that name waits, by parameters of SideSetting; nothing for another name."""
    own = WORKLOADS.get(workload)
    return {} if own is None else {"storage_share": own.storage_share, "network_share": own.network_share}


class SideBySideLab(Lab):
    """Two architectures next to each other: who does what, who says so, and what is lost on both axes."""

    Setting = SideSetting
    Picture = SidePicture
    visible = ("left_architecture", "right_architecture", "workload", "storage_share")

    def set(self, **values: Any) -> None:
        """Sets several parameters and redraws once. Another workload brings its own shares of waiting."""
        super().set(**_shares(values.get("workload")) | values)

    def _changed(self, change: Any) -> None:
        if change.name == "workload" and not self._busy:
            self.set(workload=change.new)
        else:
            super()._changed(change)

    def _changed_values(self) -> dict[str, Any]:
        own = self.Setting(workload=self.workload)  # what is left out follows from the workload
        shared = {n: getattr(self, n) for n in _shares(self.workload)}
        others = {n: v for n, v in super()._changed_values().items() if n not in shared}
        return others | {n: v for n, v in shared.items() if v != getattr(own, n)}

    def solve(self, setting: SideSetting) -> SideResult:
        names = (setting.left_architecture, setting.right_architecture)
        waits = {"storage_share": setting.storage_share, "network_share": setting.network_share}
        left, right = (overhead(name, setting.workload, setting.server(), **waits) for name in names)
        return SideResult((left, right), (placement(names[0]), placement(names[1])))

    def sentence(self, setting: SideSetting, result: SideResult) -> str:
        left, right = result.overheads
        differ = [a.duty for a, b in zip(*result.placed, strict=True) if a.place != b.place]
        duties = ", ".join(str(words(f"whole.duty.{duty}")) for duty in differ)
        return say(
            "side_lab.sentence", workload=words(f"whole.workload.{setting.workload}"),
            left=words(f"whole.architecture.{left.architecture}"), left_loss=show(left.loss, "%"),
            right=words(f"whole.architecture.{right.architecture}"), right_loss=show(right.loss, "%"),
            places=say("whole.side.differ", duties=duties) if differ else words("whole.side.same"),
        )  # fmt: skip
