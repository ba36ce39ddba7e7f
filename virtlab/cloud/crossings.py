"""How many boundaries a control operation crosses on a host: into the kernel, into another process, over PCIe.

Counted from the places of the duties, one way, as the least that the places ask for: a call into the kernel is one
crossing, a message to another process two and a switch, a command to the card one over PCIe. A real operation makes
many calls on each of these ways; their number is the software's, these ways are the architecture's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from virtlab.cloud.architectures import Architecture
from virtlab.cloud.host import Host
from virtlab.cloud.overhead import host_of
from virtlab.core.table import Shown, Table
from virtlab.core.units import number
from virtlab.core.words import say, words

#: The duties that a control operation has to reach, in their order.
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "start": ("schedule", "memory", "interrupts", "device_model", "switch", "storage", "policy", "monitor"),
    "attach": ("device_model", "storage"),
    "rule": ("policy",),
    "snapshot": ("snapshot", "storage"),
}
#: What the VMM process sets up for its own VM; all else is asked of its place by the agent of the management.
_OF_THE_VMM = ("schedule", "memory", "interrupts", "device_model", "console")
_PROCESSES = ("vmm", "manager")


@dataclass(frozen=True)
class Crossings:
    """Boundaries on the way of one operation: ``user_kernel``, ``process`` (one to another), ``pcie``. Never added."""

    user_kernel: int = 0
    process: int = 0
    pcie: int = 0

    def __str__(self) -> str:
        return say("thin.crossing.sentence", **{f.name: number(getattr(self, f.name)) for f in fields(self)})

    def __add__(self, other: Crossings) -> Crossings:
        return Crossings(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def way(start: str, end: str) -> Crossings:
    """The boundaries between two places of a host; to "nobody" there is no way and nothing to cross."""
    if end == "split":
        return way(start, "vmm") + way("vmm", "card")
    if start == end or "nobody" in (start, end):
        return Crossings()
    processes = [place in _PROCESSES for place in (start, end)]
    return Crossings(sum(processes), int(all(processes)), int("card" in (start, end)))


def agent(host: Host) -> str:
    """Where the management's agent runs that receives operations: on the card if it monitors there."""
    return "card" if host.monitor_place == "card" else "manager"


def crossings(start: Host | Architecture | str, operation: str = "start") -> Crossings:
    """The boundaries that one of OPERATIONS crosses on a host, an architecture, or the one of that id.

    The agent asks the VMM process once, and that sets up what belongs to its VM; the agent asks the rest itself. A duty
    that nobody does is not reached. Raises ValueError for an unknown operation.
    """
    if operation not in OPERATIONS:
        raise ValueError(f"there is no operation '{operation}'; there are {', '.join(OPERATIONS)}.")
    _, host = host_of(start)
    asks = agent(host)
    duties = [duty for duty in OPERATIONS[operation] if host.place(duty) != "nobody"]
    whole = way(asks, "vmm") if any(duty in _OF_THE_VMM for duty in duties) else Crossings()
    for duty in duties:
        whole += way(_asked_by(duty, duties, host, asks), host.place(duty))
    return whole


def _asked_by(duty: str, duties: list[str], host: Host, asks: str) -> str:
    """Who asks for a duty: the VMM for what is its VM's; whoever takes the snapshot for the disk beneath it."""
    if duty == "storage":
        return host.snapshot_place if "snapshot" in duties else "vmm"
    return "vmm" if duty in _OF_THE_VMM else asks


@dataclass(frozen=True, repr=False)
class Operations(Shown):
    """The crossings of every operation on one host, by operation."""

    found: Mapping[str, Crossings]

    def table(self) -> Table:
        rows = [
            (words(f"thin.operation.{key}"), *(getattr(c, f.name) for f in fields(Crossings)))
            for key, c in self.found.items()
        ]
        return Table.of(words("thin.crossing.header"), rows, words("thin.crossing.caption"), numeric=(1, 2, 3))


def operations(start: Host | Architecture | str) -> Operations:
    """The crossings of all OPERATIONS on a host, an architecture, or the one of that id."""
    return Operations({key: crossings(start, key) for key in OPERATIONS})
