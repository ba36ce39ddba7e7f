"""The journey lab: one path as a picture of places, with the packet's way through them."""

from __future__ import annotations

from typing import Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.journey import Hop, JourneyPicture, JourneyResult
from virtlab.labs.base import Lab
from virtlab.paths import COST_SETS, LADDER, TUNING, Event, PathOptions
from virtlab.paths.path import shared_by

PathId = Literal["qemu", "qemu-ioeventfd", "vhost-net", "vhost-user", "vdpa", "sriov", "card"]
# Shown without saying: each step of PCIe is one, and every send is a system call of the guest.
_UNSAID = (Event.PCIE_TRANSACTION, Event.GUEST_SYSCALL)


class JourneySetting(Parameters):
    """Which path, which way, and whether it is tuned."""

    path: PathId = parameter(FACTS["lab.path"], default="vhost-net")
    direction: Literal["tx", "rx"] = same(PathOptions, "direction")
    tuning: Literal["untuned", "tuned"] = parameter(FACTS["lab.tuning"], default="untuned")
    frame_bytes: int = same(PathOptions, "frame_bytes")

    def options(self) -> PathOptions:
        """The options of the path under this setting."""
        options: PathOptions = TUNING[self.tuning].replace(direction=self.direction, frame_bytes=self.frame_bytes)
        return options


class JourneyLab(Lab):
    """One packet's way through the places of one path."""

    Setting = JourneySetting
    Picture = JourneyPicture

    def solve(self, setting: JourneySetting) -> JourneyResult:
        path, options, costs = LADDER[setting.path], setting.options(), COST_SETS["qemu-2012"]
        hops = []
        for step in path.active(options):
            share = shared_by(step, options)
            ns = (path.step_busy_ns(step, options, costs) + sum(costs.ns(d) for d in step.delay)) / share
            events = tuple(str(e) for e in step.causes if e not in _UNSAID)
            hops.append(Hop(step.key, step.place, ns, events, share, step.aside))
        return JourneyResult(path.id, setting.direction, tuple(hops), sum(h.ns for h in hops if not h.aside))

    def sentence(self, setting: JourneySetting, result: JourneyResult) -> str:
        counts = LADDER[setting.path].counts(setting.options())
        places: dict[str, float] = {}
        for hop in result.hops:
            if not hop.aside:
                places[hop.place] = places.get(hop.place, 0.0) + hop.ns
        slowest = max(places, key=lambda p: places[p])
        return say(
            "journey.sentence",
            path=words(f"path.{result.path}.title"),
            direction=words(f"path.{result.direction}"),
            tuning=words(f"parameter.tuning.choices.{setting.tuning}"),
            steps=sum(not h.aside for h in result.hops),
            time=show(result.total_ns, "ns"),
            place=words(f"place.{slowest}"),
            place_time=show(places[slowest], "ns"),
            exits=number(counts.vcpu_exits_per_packet),
            switches=number(counts.context_switches_per_packet),
            host_copies=number(counts.host_copies_per_packet),
            guest_copies=number(counts.guest_copies_per_packet),
            dmas=number(counts.data_dmas_per_packet),
        )
