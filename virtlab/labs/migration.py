"""The migration lab: a running VM is moved by pre-copy, round by round, or never."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.migration import RATIOS, MigrationPicture, MigrationResult, Published
from virtlab.labs.base import Lab
from virtlab.memory import migrate
from virtlab.memory.dirty import PAGE_BYTES, Log, Split, Writes
from virtlab.memory.migrate import MigrationOptions, curve

Device = Literal["virtio", "vf-untracked", "vf-v2"]
Page = Literal["4K", "2M"]


class MigrationSetting(Parameters):
    """A VM, how it writes, its device, and the network that it is to be moved over."""

    dirty_gbit_per_s: float = same(MigrationOptions, "dirty_gbit_per_s", le=40, step=0.5)
    hot_share: float = parameter(FACTS["lab.migration.hot_share"], ge=0.0001, le=1, log=True)
    device: Device = same(MigrationOptions, "device")
    downtime_ms: float = same(MigrationOptions, "downtime_ms", le=100_000)
    memory_bytes: int = same(MigrationOptions, "memory_bytes", ge=1 << 30, le=1 << 40)
    bandwidth_gbit_per_s: float = same(MigrationOptions, "bandwidth_gbit_per_s", ge=0.1, le=100)
    writes: Writes = same(MigrationOptions, "writes")
    auto_converge: bool = same(MigrationOptions, "auto_converge")
    dirty_log: Log = parameter(FACTS["dirty.log"], default="pml")  # "log" is taken: every widget has one
    page: Page = parameter(FACTS["migration.page"], default="2M")

    def options(self) -> MigrationOptions:
        """The options of the model. With the dirty ring QEMU lets KVM split when logging starts, else at each CLEAR."""
        same = {name: getattr(self, name) for name in type(self).model_fields if name not in ("hot_share", "dirty_log")}
        hot = max(PAGE_BYTES, round(self.hot_share * self.memory_bytes))
        split: Split = "start" if self.dirty_log == "ring" else "clear"
        return MigrationOptions(**same, hot_bytes=hot, log=self.dirty_log, split=split)


def _conditions() -> dict[str, dict[str, Any]]:
    """Two published migrations as settings of the lab. What was left to send is taken for the working set."""

    def value(fact: str) -> float:
        return FACTS[f"moved.{fact}"].value

    used = value("java.total") * 1024 - value("java.skipped") * PAGE_BYTES  # zero pages cost nothing
    sent_per_s = value("java.sent") * 1024 / value("java.time")
    return {
        "power": {
            "memory_bytes": int(value("power.total") * 1024),
            "hot_share": value("power.residue") / value("power.total"),
            "bandwidth_gbit_per_s": value("power.rate") / 1e3,
            "dirty_gbit_per_s": value("power.dirty") * PAGE_BYTES * 8 / 1e9,
        },
        "java": {
            "memory_bytes": int(used),
            "hot_share": value("java.residue") * 1024 / used,
            "bandwidth_gbit_per_s": sent_per_s * 8 / 1e9,
            "dirty_gbit_per_s": value("java.dirty") * PAGE_BYTES * 8 / 1e9,
            "downtime_ms": value("java.limit") * 1e3,
        },
    }


#: Published migrations by name, as settings: ``lab.set(**PUBLISHED["power"])``.
PUBLISHED: Mapping[str, Mapping[str, Any]] = _conditions()


def _published(setting: MigrationSetting) -> tuple[Published, ...]:
    """What was published under this setting; the dirty rate, the downtime and the log are left to the reader."""
    found = []
    for name, conditions in PUBLISHED.items():
        fixed = ("memory_bytes", "hot_share", "bandwidth_gbit_per_s")
        if setting.device != "virtio" or setting.auto_converge:
            continue
        if all(abs(getattr(setting, n) / conditions[n] - 1) < 0.01 for n in fixed):
            ratio = conditions["dirty_gbit_per_s"] / conditions["bandwidth_gbit_per_s"]
            stop = FACTS["moved.power.expected"].value / 1e3 if name == "power" else None
            found.append(Published(ratio, stop, FACTS["moved.java.time"].value if name == "java" else None))
    return tuple(found)


@lru_cache(maxsize=64)
def _curves(options: MigrationOptions) -> tuple[Any, Any]:
    return curve(RATIOS, options)


class MigrationLab(Lab):
    """When can a running VM not be moved?"""

    Setting = MigrationSetting
    Picture = MigrationPicture
    visible = ("dirty_gbit_per_s", "hot_share", "device", "downtime_ms")

    def solve(self, setting: MigrationSetting) -> MigrationResult:
        options = setting.options()
        ratio = setting.dirty_gbit_per_s / setting.bandwidth_gbit_per_s
        return MigrationResult(migrate(options), ratio, *_curves(options.replace(dirty_gbit_per_s=0)),
                               published=_published(setting))  # fmt: skip

    def sentence(self, setting: MigrationSetting, result: MigrationResult) -> str:
        m = result.migration
        exits = m.faults + m.pml_exits + m.ring_exits
        parts = [
            say("migration.lab.setting", memory=show(setting.memory_bytes, "B"),
                hot=show(m.options.hot_bytes or 0, "B"), ratio=number(result.ratio),
                bandwidth=show(setting.bandwidth_gbit_per_s, "Gb/s"),
                device=words(f"parameter.device.choices.{setting.device}")),
            m.sentence(),
            say("migration.lab.log", exits=number(exits), time=show(m.log_s, "s"), split=number(m.split_entries)),
        ]  # fmt: skip
        if setting.auto_converge:
            parts.insert(2, say("migration.lab.converge", steps=m.throttle_steps, throttle=show(m.throttle, "%"),
                                slow=show(m.slowdown, "%")))  # fmt: skip
        return " ".join(parts)
