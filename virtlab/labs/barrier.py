"""The barrier lab: leave out one barrier of a virtqueue, and every interleaving is run until a wake-up is lost."""

from __future__ import annotations

from typing import Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.barrier import BarrierPicture, BarrierResult
from virtlab.labs.base import Lab
from virtlab.virtio.explorer import NOTIFICATION_BARRIERS, explore

_STORES = {"split": ("descriptors, avail idx", "used ring, used idx"),
           "packed": ("descriptors, first flags", "used descriptors, first used flags")}  # fmt: skip
#: The store that each of the full barriers keeps before a later load.
_STORED = {
    "split": {"driver_kick": "avail.idx", "device_kick": "used.flags", "device_call": "used.idx",
              "driver_call": "avail.flags"},
    "packed": {"driver_kick": "desc[0].flags", "device_kick": "device event.flags", "device_call": "desc[0].flags",
               "driver_call": "driver event.flags"},
}  # fmt: skip
#: What may be left out, in the order of the notification and of the store barriers above.
MISSING = ("none", "driver_kick", "device_kick", "device_call", "driver_call", "driver_store", "device_store")


class BarrierSetting(Parameters):
    """The ring, the barrier that is left out, and the CPU."""

    ring: Literal["split", "packed"] = parameter(FACTS["vring.ring"], default="split")
    missing: Literal[MISSING] = parameter(FACTS["vring.barrier"], default="none")  # type: ignore[valid-type]
    store_order: Literal["tso", "weak"] = parameter(FACTS["vring.barrier"], default="tso")

    def name(self) -> str:
        """The missing barrier as the ring code calls it, or nothing."""
        if self.missing == "none":
            return ""
        return (*NOTIFICATION_BARRIERS[self.ring], *_STORES[self.ring])[MISSING.index(self.missing) - 1]


class BarrierLab(Lab):
    """One buffer there and back, both sides with flags (no EVENT_IDX), in every order that the CPU allows."""

    Setting = BarrierSetting
    Picture = BarrierPicture
    visible = ("missing", "store_order", "ring")

    def solve(self, setting: BarrierSetting) -> BarrierResult:
        name = setting.name()
        without = (name,) if name else ()
        return BarrierResult(explore(setting.ring == "packed", buffers=1, size=1, without=without,
                                     order=setting.store_order), name)  # fmt: skip

    def sentence(self, setting: BarrierSetting, result: BarrierResult) -> str:
        found = result.found
        key = "fault" if found.fault else "lost" if found.lost else "safe"
        return say(
            f"barrier.sentence.{key}", states=number(found.states, 7), steps=len(found.schedule),
            late=_STORED[setting.ring].get(setting.missing, ""), fault=found.fault,
            asleep=words(f"barrier.asleep.{'both' if len(found.asleep) > 1 else 'one'}"),
            ring=words(f"barrier.ring.{setting.ring}"),
            cpu=words(f"barrier.cpu.{setting.store_order}"),
            missing=say("barrier.without", name=result.missing) if result.missing else words("barrier.with_all"),
        )  # fmt: skip
