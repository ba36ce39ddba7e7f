"""What a maker sells of a machine as its largest VM, beside the bare machine: a reservation as a catalogue shows it."""

from __future__ import annotations

from dataclasses import dataclass

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.evidence import FACTS

FAMILIES = ("i3", "i4i", "i7i")


@dataclass(frozen=True)
class Offer:
    """A family: threads and memory (bytes) of its largest VM and of its bare machine."""

    family: str
    vm_vcpus: int
    vm_bytes: int
    metal_vcpus: int
    metal_bytes: int

    @property
    def unsold_vcpus(self) -> float:
        """The share of the machine's hardware threads that the largest VM leaves. 0: none that a catalogue shows."""
        return 1 - self.vm_vcpus / self.metal_vcpus

    @property
    def unsold_memory(self) -> float:
        """The share of its memory."""
        return 1 - self.vm_bytes / self.metal_bytes


@dataclass(frozen=True, repr=False)
class Catalogue(Shown):
    """The offers of all FAMILIES. What is smaller than the catalogue's grain (1 vCPU, 1 GiB) it does not show."""

    offers: tuple[Offer, ...]

    def __getitem__(self, family: str) -> Offer:
        return next(offer for offer in self.offers if offer.family == family)

    def table(self) -> Table:
        rows = [
            (o.family, f"{number(o.vm_vcpus)} · {show(o.vm_bytes, 'B', 4)}",
             f"{number(o.metal_vcpus)} · {show(o.metal_bytes, 'B', 4)}",
             show(o.unsold_vcpus, "%"), show(o.unsold_memory, "%"), FACTS[f"catalogue.{o.family}.vm.vcpus"].evidence)
            for o in self.offers
        ]  # fmt: skip
        return Table.of(words("thin.catalogue.header"), rows, words("thin.catalogue.caption"), numeric=(1, 2, 3, 4))


def catalogue() -> Catalogue:
    """The largest VM beside the bare machine, family by family."""
    return Catalogue(tuple(
        Offer(family, *(int(FACTS[f"catalogue.{family}.{what}"].value)
                        for what in ("vm.vcpus", "vm.memory", "metal.vcpus", "metal.memory")))
        for family in FAMILIES
    ))  # fmt: skip
