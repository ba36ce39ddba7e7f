"""Trimming a kernel: what each thing that is left out changes, at boot, in memory, and while packets flow.

Code that nothing runs costs memory and, if it initialises itself, time at boot. While packets flow it costs nothing,
because it is no step of any path. Leaving out what *is* run on the way of a packet is another thing, and so is its
price: each of these protects, accounts or filters.
"""

from __future__ import annotations

from dataclasses import dataclass

from virtlab import cpu, memory, paths
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.paths import Place

_PATH = "vhost-net"
_COSTS = "qemu-2012"
_HZ = (1000.0, 100.0)
_HOST_BYTES = 1 << 40


@dataclass(frozen=True)
class Trimmed:
    """One thing left out of a kernel: whether the boot gets shorter, the share of the host's memory that it frees
    (None: some, and the machine has to say how much), the time (ns) that a packet saves, the share of a vCPU's time."""

    id: str
    boot: bool
    memory_share: float | None
    packet_ns: float
    vcpu_share: float

    @property
    def steady(self) -> bool:
        """Whether anything gets faster while the guest runs."""
        return self.packet_ns > 0 or self.vcpu_share > 0


@dataclass(frozen=True, repr=False)
class Trimming(Shown):
    """What each thing changes when it is left out. A packet runs ``kernel_steps`` in the host's kernel and KVM."""

    things: tuple[Trimmed, ...]
    packet_ns: float
    kernel_steps: int

    def __getitem__(self, key: str) -> Trimmed:
        return next(thing for thing in self.things if thing.id == key)

    def sentence(self) -> str:
        """What a packet runs, and what of the rest it notices."""
        return say("thin.trim.sentence", steps=self.kernel_steps, time=show(self.packet_ns, "ns"))

    def table(self) -> Table:
        rows = []
        for thing in self.things:
            freed = words("thin.trim.some") if thing.memory_share is None else show(thing.memory_share, "%")
            boot = words("thin.trim.shorter" if thing.boot else "thin.trim.same")
            rows.append((words(f"thin.trim.thing.{thing.id}"), boot, freed, show(thing.packet_ns, "ns"),
                         show(thing.vcpu_share, "%"), words(f"thin.trim.price.{thing.id}")))  # fmt: skip
        return Table.of(words("thin.trim.header"), rows, self.sentence(), numeric=(2, 3, 4))


def trimming() -> Trimming:
    """What leaving out each thing changes, by the models that stand: a packet through vhost-net, a vCPU's timer tick,
    page descriptors of a host with 1 TiB in huge pages. Filters: a fact of the whole course (recalled)."""
    way = paths.LADDER[_PATH]
    options = paths.PathOptions(direction="rx")
    costs = paths.COST_SETS[_COSTS]
    packet_ns = way.cpu(options, costs=costs).host_ns_per_packet
    guarded = way.cpu(options, costs=costs.replace(mitigations=True)).host_ns_per_packet
    ticks = [cpu.after_io(guest_hz=hz).share for hz in _HZ]
    kept = [memory.footprint(memory_bytes=_HOST_BYTES, host_page="2M", hugetlb=True, hvo=hvo).host_struct_pages_bytes
            for hvo in (False, True)]  # fmt: skip
    things = (
        Trimmed("modules", True, None, 0.0, 0.0),
        Trimmed("descriptors", False, (kept[0] - kept[1]) / _HOST_BYTES, 0.0, 0.0),
        Trimmed("tick", False, 0.0, 0.0, ticks[0] - ticks[1]),
        Trimmed("filter", False, 0.0, FACTS["whole.filter"].value, 0.0),
        Trimmed("barriers", False, 0.0, guarded - packet_ns, 0.0),
    )
    steps = sum(step.place in (Place.HOST, Place.KVM) for step in way.active(options))
    return Trimming(things, packet_ns, steps)
