"""Published boots: the same span beside the same span, and what many at once do to each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.evidence import FACTS, Fact

#: VMMs by id, with the fact of the wall time of one boot, and of one of a hundred at once where it was measured.
BOOTS: Mapping[str, tuple[str, str]] = {
    "chv": ("overhead.boot.chv", "boot.chv.many"),
    "fc": ("overhead.boot.fc", "boot.fc.many"),
    "qboot": ("overhead.boot.qboot", ""),
    "qemu": ("overhead.boot.qemu", "boot.qemu.many"),
    "microvm": ("overhead.boot.microvm", ""),
}


@dataclass(frozen=True)
class Boot:
    """One VMM: the fact of its boot alone, and of one among a hundred (None where nobody measured it). 99th as high."""

    id: str
    alone: Fact
    many: Fact | None

    @property
    def jitter(self) -> float:
        """99th percentile over median, alone."""
        return self.alone.high / self.alone.value

    @property
    def jitter_many(self) -> float:
        """The same with a hundred at once; NaN where nobody measured it."""
        return self.many.high / self.many.value if self.many else float("nan")


@dataclass(frozen=True, repr=False)
class Boots(Shown):
    """Boots of one study on one machine, the fastest first. Wall time of the process: compare it with nothing else."""

    boots: tuple[Boot, ...]

    def __getitem__(self, key: str) -> Boot:
        return next(boot for boot in self.boots if boot.id == key)

    def table(self) -> Table:
        rows = []
        for boot in self.boots:
            rows.append((words(f"thin.boot.{boot.id}"), show(boot.alone.value, "ms", 4), show(boot.alone.high, "ms", 4),
                         show(boot.many.value, "ms", 4) if boot.many else "–",
                         number(boot.jitter), number(boot.jitter_many) if boot.many else "–"))  # fmt: skip
        return Table.of(words("thin.boot.header"), rows, words("thin.boot.caption"), numeric=(1, 2, 3, 4, 5))


def boots() -> Boots:
    """The boots of the NSDI'20 data on one machine, the fastest first."""
    found = [Boot(key, FACTS[alone], FACTS[many] if many else None) for key, (alone, many) in BOOTS.items()]
    return Boots(tuple(sorted(found, key=lambda boot: boot.alone.value)))
