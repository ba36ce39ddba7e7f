"""The device lab: what one request costs in register accesses and interrupts, before a model and a real QEMU."""

from __future__ import annotations

from typing import ClassVar

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.device import DISKS, DevicePicture, DeviceResult, bounds_text, span_text
from virtlab.labs.measuring import MeasuringLab
from virtlab.machine.qemu.recorded import (
    MOST_AT_ONCE,
    Batch,
    RegisterCounts,
    Ring,
    Way,
    count_registers,
    recorded_device,
    way_text,
)
from virtlab.machine.sampling import check_seconds
from virtlab.virtio.registers import Calls, Kicks, RequestCost, ide_request, virtio_batch


class DeviceSetting(Parameters):
    """How many requests are in flight together, and how driver and device tell each other of them."""

    requests: int = parameter(FACTS["device.requests"], ge=1, le=MOST_AT_ONCE)
    kicks: Kicks = parameter(FACTS["device.kicks"], default="once")
    calls: Calls = parameter(FACTS["device.calls"], default="last")
    event_idx: bool = parameter(FACTS["device.event_idx"], default=True)
    ring: Ring = parameter(FACTS["device.ring"], default="split")

    def way(self) -> Way:
        """How the driver works with its ring: all but the size of the batch."""
        return Way(self.ring, self.event_idx, self.kicks, self.calls)


def modelled(setting: DeviceSetting) -> dict[str, RequestCost]:
    """The model's cost of a batch on each disk."""
    way = (setting.requests, setting.kicks, setting.calls, setting.event_idx, setting.ring == "packed")
    return {"ide": ide_request(), "mmio": virtio_batch("mmio", *way), "pci": virtio_batch("pci", *way)}


class DeviceLab(MeasuringLab):
    """Register accesses on three disks. It opens with recorded ones; ``measure()`` drives this computer's own QEMU.

    That asks only for the present setting, with batches of every size; what was measured before is kept beside it.
    """

    Setting = DeviceSetting
    Picture = DevicePicture
    visible = ("requests", "kicks", "calls", "event_idx")

    button_help: ClassVar[str] = "device.button_help"
    details_title: ClassVar[str] = "device.details"
    seconds: ClassVar[float] = 0.6

    def record(self) -> RegisterCounts:
        return recorded_device()

    def ask(self, seconds: float) -> RegisterCounts:
        check_seconds(seconds)
        new = count_registers((self.setting.way(),), seconds)
        return self._measured.with_(new) if self._measured.witness.origin == "now" else new

    def shown(self, way: Way) -> RegisterCounts:
        """What is drawn in this way: what this computer's QEMU did, and what is recorded where it was not asked."""
        return self._measured if way in self._measured else recorded_device()

    def details(self) -> str:
        way = self.setting.way()
        return self.shown(way).only(way)._repr_html_()

    def solve(self, setting: DeviceSetting) -> DeviceResult:
        way, n = setting.way(), setting.requests
        record = self.shown(way)
        seen = {disk: _per_request(record.batches[disk, way][n], n) for disk in DISKS if disk != "ide"}
        label = record.witness.label()
        if record is not self._measured:
            label = say("device.elsewhere", label=label)
        machine = {"ide": _per_request(record.ide, 1), **seen}
        return DeviceResult(modelled(setting), machine, label, record.witness.origin == "now")

    def sentence(self, setting: DeviceSetting, result: DeviceResult) -> str:
        way = setting.way()
        parts = [
            say("device.part", disk=words(f"device.disk.{disk}"), accesses=span_text(result.machine[disk]["accesses"]),
                calls=span_text(result.machine[disk]["calls"]),
                model_accesses=bounds_text(result.bounds(disk, "accesses")),
                model_calls=bounds_text(result.bounds(disk, "calls"))) for disk in DISKS
        ]  # fmt: skip
        open_ = any(least < most for seen in result.machine.values() for _, least, most in seen.values())
        scheduling = say("device.scheduling", rounds=self.shown(way).rounds) if open_ else ""
        batch = words("device.one") if setting.requests == 1 else say("device.batch", n=setting.requests)
        return say("device.sentence", label=result.label.rstrip("."), batch=batch, way=way_text(way),
                   parts="; ".join(parts), scheduling=scheduling)  # fmt: skip


def _per_request(batch: Batch, requests: int) -> dict[str, tuple[float, float, float]]:
    """Accesses and calls of a batch as (median, least, most) per request."""
    spans = {name: getattr(batch, name).per(requests) for name in Batch._fields}
    return {name: (span.median, span.least, span.most) for name, span in spans.items()}
