"""The times of exits with their spread, and the kind of KVM that they belong to."""

from __future__ import annotations

import functools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from virtlab.core.counts import Counts
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.machine.kvm.kinds import Kind
from virtlab.machine.measured import Facts, Measured, Quantity

#: Each quantity with its unit; all are of one access, in ring 3 of long mode.
COSTS: Mapping[str, str] = {
    "userspace_pio": "ns", "ioeventfd_pio": "ns", "ratio_pio": "1",
    "userspace_mmio": "ns", "ioeventfd_mmio": "ns", "ratio_mmio": "1",
    "in_kernel": "ns", "coalesced_mmio": "ns", "entry": "ns", "loop": "ns",
}  # fmt: skip


@dataclass(frozen=True)
class Cost(Quantity):
    """A quantity of :data:`COSTS`: median and spread, or why it is missing."""

    @property
    def unit(self) -> str:
        return COSTS[self.id]

    @property
    def title(self) -> str:
        return str(words(f"kvm.cost.{self.id}.title"))

    @property
    def how(self) -> str:
        return str(words(f"kvm.cost.{self.id}.how"))

    @property
    def remains(self) -> str:
        return str(words(f"kvm.cost.{self.id}.remains"))


_NO_KIND = Kind("none")


@dataclass(frozen=True, repr=False)
class ExitCosts(Measured):
    """What one access costs by the place that handles it, and the ``kind`` of KVM. Prints as a table."""

    kind: Kind = _NO_KIND

    def label(self) -> str:
        noisy = words("machine.noisy") if self.facts.busy else ""
        return say(f"kvm.kind.{self.origin}", kind=self.kind, facts=self.facts.text(), date=self.facts.date,
                   noisy=noisy)  # fmt: skip

    def sentence(self) -> str:
        """The result with its numbers, or why there is none."""
        user, kernel, ratio = (self[key] for key in ("userspace_pio", "ioeventfd_pio", "ratio_pio"))
        missing = next((q.missing for q in (user, kernel, ratio) if q.missing), "")
        if missing:
            return say("kvm.sentence.missing", reason=missing)
        return say(f"kvm.sentence.{self.kind.name}", user=show(user.value, user.unit),
                   kernel=show(kernel.value, kernel.unit), ratio=show(ratio.value, ratio.unit))  # fmt: skip

    def toml(self) -> str:
        """The text of a file like the one that :func:`recorded` reads."""
        kind = self.kind
        values = {"name": kind.name, "reason": kind.reason, "modules": kind.modules, "flag": kind.flag}
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items() if value]
        lines.append(f"nested = {json.dumps(kind.nested)}")
        return "\n".join(["[kvm]", *lines, "", super().toml()])


def on_one_axis(*measured: ExitCosts) -> None:
    """For figures, before they draw. Raises ValueError if the times belong to more than one kind of KVM."""
    kinds = {m.kind.name for m in measured} - {"none"}
    if len(kinds) > 1:
        raise ValueError(say("kvm.axis", kinds=", ".join(sorted(kinds))))


@functools.cache
def recorded() -> ExitCosts:
    """The exits of a computer that come with the course: software KVM, for computers that have none."""
    tree = _kept("recorded_kvm.toml")
    kind = Kind(**tree["kvm"] | {"modules": tuple(tree["kvm"].get("modules", ()))})
    return ExitCosts(tuple(Cost(**q) for q in tree["quantity"]), Facts(**tree["facts"]), "recorded", kind)


#: The accesses of each recorded count.
ACCESSES = 100


@functools.cache
def recorded_counts() -> Mapping[str, Counts]:
    """What ``kvm.count`` said on that computer, of the experiments that Linux's own KVM (inner_kvm) does not have."""
    return {name: Counts(str(words(f"kvm.experiment.{name}.title")), values, ACCESSES, "access")
            for name, values in _kept("recorded_kvm_counts.toml").items()}  # fmt: skip


def _kept(name: str) -> dict[str, Any]:
    file = resources.files("virtlab.machine") / "data" / name
    return tomllib.loads(file.read_text(encoding="utf-8"))
