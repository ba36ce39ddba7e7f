"""The ladder lab: all seven paths side by side, under one setting."""

from __future__ import annotations

import functools
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.ladder import CPU_PLACES, LadderPicture, LadderResult, Rung, Witness
from virtlab.labs.base import Lab
from virtlab.paths import COST_SETS, LADDER, Costs, Path, PathOptions

Interrupts = Literal["emulated", "pv-eoi", "apicv", "posted"]
CostSet = Literal["qemu-2012", "qemu-2012-mmio", "amd-2020-floor"]
INTERRUPTS: dict[str, dict[str, bool]] = {
    "emulated": {"apicv": False, "posted": False, "pv_eoi": False},
    "pv-eoi": {"apicv": False, "posted": False, "pv_eoi": True},
    "apicv": {"apicv": True, "posted": False, "pv_eoi": False},
    "posted": {"apicv": True, "posted": True, "pv_eoi": False},
}


class LadderSetting(Parameters):
    """One setting for all seven paths."""

    direction: Literal["tx", "rx"] = same(PathOptions, "direction")
    batch: int = parameter(FACTS["virtio.batch.none"], ge=1, le=64, log=True)
    frame_bytes: int = same(PathOptions, "frame_bytes")
    interrupts: Interrupts = parameter(FACTS["lab.interrupts"], default="apicv")
    guest_poll: bool = same(PathOptions, "guest_poll")
    busy_poll: bool = same(PathOptions, "busy_poll")
    context_switch_ns: float = same(Costs, "context_switch_ns", ge=500, le=5_000)
    copy_gbyte_per_s: float = same(Costs, "copy_gbyte_per_s", ge=5, le=50)
    guest_stack_ns: float = same(Costs, "guest_stack_ns", ge=100, le=5_000)
    exit_costs: CostSet = parameter(FACTS["lab.exit_costs"], default="qemu-2012")

    def options(self, **more: object) -> PathOptions:
        """The options of every path under this setting."""
        wanted: dict[str, Any] = {
            "direction": self.direction, "frame_bytes": self.frame_bytes, "kick_batch": self.batch,
            "interrupt_batch": self.batch, "guest_poll": self.guest_poll, "busy_poll": self.busy_poll,
            **INTERRUPTS[self.interrupts], **more,
        }  # fmt: skip
        return PathOptions(**wanted)

    def costs(self, **more: float) -> Costs:
        """The costs of every path under this setting."""
        base: Costs = COST_SETS[self.exit_costs]
        changed: Costs = base.replace(
            context_switch_ns=self.context_switch_ns, copy_gbyte_per_s=self.copy_gbyte_per_s,
            guest_stack_ns=self.guest_stack_ns, **more,
        )  # fmt: skip
        return changed


@functools.cache
def witnesses() -> tuple[Witness, ...]:
    """Published times of one packet there and back, in ns, beside the path that they were measured on."""
    measured = (
        ("qemu-ioeventfd", "nsdi20.qemu.ping.avg", "nsdi20.qemu.ping.min", "nsdi20.qemu.ping.avg"),
        ("vhost-net", "io.virtio.rr.p50", "io.virtio.rr.p50", "io.virtio.rr.p99"),
    )
    found = [Witness(path, _ns(value), _ns(low), _ns(high), FACTS[value].cite()) for path, value, low, high in measured]
    # One guest sends and another receives: the same two halves. Only an upper bound was published.
    card = _ns("io.accelnet.latency")
    return (*found, Witness("card", card, card, card, FACTS["io.accelnet.latency"].cite(), bound=True))


def _ns(fact: str) -> float:
    return 1e3 * FACTS[fact].value  # these facts are in µs


class _Picture(LadderPicture):
    literature = witnesses()


def rung(path: Path, setting: LadderSetting) -> Rung:
    """What the picture shows of ``path``."""
    options, costs = setting.options(), setting.costs()
    bill = path.cpu(options, costs=costs)
    counts = path.counts(options)
    cpu = {place: bill.host_by_place.get(place, 0.0) for place in CPU_PLACES[1:]}  # type: ignore[call-overload]
    deepest = setting.costs(idle_exit_ns=FACTS["cpu.idle_exit.c6"].value)

    def there_and_back(costs: Costs, halts: bool) -> float:
        one = [setting.options(direction=d, kick_batch=1, interrupt_batch=1, guest_halts=halts) for d in ("tx", "rx")]
        return sum(path.latency(o, costs=costs).total_ns for o in one)

    return Rung(
        id=path.id,
        rung=path.rung,
        cpu_ns={"guest": bill.guest_ns_per_packet, **cpu},
        counts={k: getattr(counts, k) for k in type(counts).__dataclass_fields__ if k.endswith("_per_packet")},
        alone_ns=there_and_back(costs, halts=False),
        asleep_ns=there_and_back(deepest, halts=True),
        dedicated_cores=counts.dedicated_cores,
    )  # fmt: skip


class LadderLab(Lab):
    """Seven paths from QEMU to the full card: CPU time, counts and latency of one packet."""

    Setting = LadderSetting
    Picture = _Picture
    visible = ("direction", "batch", "frame_bytes", "interrupts")
    prediction_id = "09.order"

    def solve(self, setting: LadderSetting) -> LadderResult:
        return LadderResult(tuple(rung(path, setting) for path in LADDER.values()), witnesses())

    def sentence(self, setting: LadderSetting, result: LadderResult) -> str:
        by = {r.id: r for r in result.rungs}

        def host(path: str) -> str:
            return show(sum(by[path].cpu_ns[p] for p in CPU_PLACES[1:]), "ns")

        batch = "ladder.batch_one" if setting.batch == 1 else "ladder.batch_many"
        return say(
            "ladder.sentence",
            direction=words(f"path.{setting.direction}"),
            batch=say(batch, n=setting.batch),
            frame=f"{setting.frame_bytes} B",
            vhost_host=host("vhost-net"),
            vhost_exits=number(by["vhost-net"].counts["vcpu_exits_per_packet"]),
            vhost_switches=number(by["vhost-net"].counts["context_switches_per_packet"]),
            card_host=host("card"),
            card_exits=number(by["card"].counts["vcpu_exits_per_packet"]),
            qemu_host=host("qemu-ioeventfd"),
            qemu_alone=show(by["qemu-ioeventfd"].alone_ns, "ns"),
            vhost_alone=show(by["vhost-net"].alone_ns, "ns"),
            card_alone=show(by["card"].alone_ns, "ns"),
        )
