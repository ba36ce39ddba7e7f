"""How thin can a host get? Three moves over its ten duties: to the card, away, and out of the process into the kernel.

A move is a function from a :class:`Host` to a :class:`Host`. Which duty can go where is what the Literals of Host
allow: nothing else decides it. The numbers of each step are those of the models that stand: `cloud.overhead` for
cores, `cloud.surface`, `cloud.crossings`, published runs for the VMM's memory and for boots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from virtlab.cloud.architectures import Architecture
from virtlab.cloud.crossings import Crossings, crossings
from virtlab.cloud.density import DensityOptions, density_of
from virtlab.cloud.host import DUTIES, ON_HOST, PLACES, Host
from virtlab.cloud.overhead import host_of, overhead
from virtlab.cloud.surface import Surface, surface
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

Move = Literal["separate", "minimise", "flatten"]


def _allowed(duty: str, place: str) -> bool:
    return place in Host.specs()[f"{duty}_place"].choices


def _moved(host: Host, place: str, out_of: tuple[str, ...]) -> dict[str, str]:
    """Every duty that is in one of ``out_of`` and can be in ``place``, there."""
    return {f"{duty}_place": place for duty in DUTIES if host.place(duty) in out_of and _allowed(duty, place)}


def separate(host: Host) -> Host:
    """Every duty of the host's software that a card can do goes to the card. What is split or given up stays so."""
    moved: Host = host.replace(**_moved(host, "card", ON_HOST))
    return moved


def minimise(host: Host) -> Host:
    """Every duty of the host's software that can be left out is left out, and the VMM is one of few devices."""
    moved: Host = host.replace(vmm="light", **_moved(host, "nobody", ON_HOST))
    return moved


def flatten(host: Host) -> Host:
    """Every duty of the VMM process that the kernel can do goes into the kernel. The process itself stays."""
    moved: Host = host.replace(**_moved(host, "kernel", ("vmm",)))
    return moved


#: The three moves by name.
MOVES: Mapping[str, Callable[[Host], Host]] = {"separate": separate, "minimise": minimise, "flatten": flatten}

#: What a host no longer has, or has only with help, by name: from the places alone. Texts: words thin.loss.
LOSSES: Mapping[str, Callable[[Host], bool]] = {
    "cpu_overcommit": lambda h: h.schedule_place == "nobody",
    "memory_management": lambda h: h.memory_place == "nobody",
    "pinned_memory": lambda h: h.memory_place != "nobody" and _assigned(h),
    "migration": lambda h: h.device_model_place == "card",
    "legacy_guests": lambda h: h.vmm == "light",
    "process_wall": lambda h: "kernel" in (h.device_model_place, h.storage_place),
    "policy": lambda h: h.policy_place == "nobody",
    "monitor": lambda h: h.monitor_place == "nobody",
    "snapshot": lambda h: h.snapshot_place == "nobody",
    "console": lambda h: h.console_place == "nobody",
    "card_is_finite": lambda h: any(place in ("card", "split") for place in h.places().values()),
}


def _assigned(host: Host) -> bool:
    """Whether the card reads and writes the guest's memory."""
    return bool({"card", "split"} & {host.device_model_place, host.storage_place})


@dataclass(frozen=True)
class Thinness:
    """One host in figures: ``cores`` that it keeps for itself, ``memory_bytes`` beside each VM's own, ``crossings`` of
    starting a VM, what its guests reach, ``boot_ns`` where a VMM with these places was measured, and what is lost.

    ``move`` is how it came about; empty for the start.
    """

    move: str
    host: Host
    cores: float
    memory_bytes: int
    crossings: Crossings
    surface: Surface
    boot_ns: float | None
    losses: tuple[str, ...]

    def duties(self) -> dict[str, int]:
        """How many duties are in each of PLACES."""
        places = list(self.host.places().values())
        return {place: places.count(place) for place in PLACES}


@dataclass(frozen=True, repr=False)
class Slim(Shown):
    """A host and what it became, move by move; ``steps[0]`` is the start."""

    steps: tuple[Thinness, ...]

    @property
    def start(self) -> Thinness:
        return self.steps[0]

    @property
    def end(self) -> Thinness:
        return self.steps[-1]

    @property
    def lost(self) -> tuple[str, ...]:
        """What the end has lost and the start had, as sentences."""
        return tuple(str(words(f"thin.loss.{x}")) for x in self.end.losses if x not in self.start.losses)

    def law(self) -> tuple[int, int]:
        """Conservation: no duty is forgotten. The duties of all places, and how many there are, at every step."""
        return sum(sum(step.duties().values()) for step in self.steps), len(DUTIES) * len(self.steps)

    def sentence(self) -> str:
        """The end beside the start in one sentence; what is smaller of the surface, larger, or neither."""
        a, b = self.start, self.end
        return say(
            "thin.slim.sentence", cores=number(a.cores), cores_end=number(b.cores), memory=show(a.memory_bytes, "B"),
            memory_end=show(b.memory_bytes, "B"), vmm=number(a.surface.vmm_entries),
            vmm_end=number(b.surface.vmm_entries), order=words(f"thin.order.{b.surface.compare(a.surface)}"),
            lost=number(len(self.lost)),
        )  # fmt: skip

    def table(self) -> Table:
        rows: list[tuple[str, ...]] = []
        for key in ("cores", "memory", "user_kernel", "process", "pcie", *Surface.__dataclass_fields__, "boot"):
            rows.append((str(words(f"thin.component.{key}")), *(figure(step, key) for step in self.steps)))
        rows.append((str(words("thin.component.losses")), *(number(len(step.losses)) for step in self.steps)))
        head = [words("thin.slim.component"), *(words(f"thin.move.{step.move or 'start'}") for step in self.steps)]
        return Table.of(head, rows, self.sentence(), numeric=range(1, len(head)))


def figure(step: Thinness, component: str) -> str:
    """One component of a step as a person reads it."""
    if component == "cores":
        return number(step.cores)
    if component == "memory":
        return show(step.memory_bytes, "B")
    if component == "boot":
        return "–" if step.boot_ns is None else show(step.boot_ns, "ns")
    return number(value(step, component), 4)


def value(step: Thinness, component: str) -> float:
    """One component of a step as a number in its own unit (cores, bytes, ns, counts); NaN for an unmeasured boot."""
    if component in ("user_kernel", "process", "pcie"):
        return float(getattr(step.crossings, component))
    if component == "boot":
        return float("nan") if step.boot_ns is None else step.boot_ns
    own = {"cores": step.cores, "memory": float(step.memory_bytes), "losses": float(len(step.losses))}
    return own[component] if component in own else float(step.surface.components()[component])


def slim(start: Host | Architecture | str = "qemu", *moves: str, **changes: Any) -> Slim:
    """A host, and what each of ``moves`` (names of MOVES, in this order) makes of it.

    ``start`` is a host, an architecture or the id of one. ``changes`` are parameters of the workload "network" and of
    the server by name, as in :func:`virtlab.cloud.overhead`. Raises ValueError for an unknown move.
    """
    for move in moves:
        if move not in MOVES:
            raise ValueError(f"there is no move '{move}'; there are {', '.join(MOVES)}.")
    _, host = host_of(start)
    steps = [thinness(host, **changes)]
    for move in moves:
        host = MOVES[move](host)
        steps.append(thinness(host, move, **changes))
    return Slim(tuple(steps))


def thinness(start: Host | Architecture | str, move: str = "", /, **changes: Any) -> Thinness:
    """One host in figures; ``changes`` as in :func:`slim`."""
    _, host = host_of(start)
    found = overhead(host, "network", **changes)
    kept = round(sum(v for part, v in found.unsold.items() if part != "memory") * found.server.host_cores, 6)
    memory_bytes = min(found.workload.vm_memory_bytes, int(DensityOptions.specs()["memory_bytes"].high or 0))
    room = density_of(host, memory_bytes=memory_bytes)
    return Thinness(
        move, host, kept, room.options.each_bytes - room.options.memory_bytes, crossings(host), surface(host),
        _boot_ns(host), tuple(name for name, holds in LOSSES.items() if holds(host)),
    )  # fmt: skip


def _boot_ns(host: Host) -> float | None:
    """The published median boot of a VMM with these places: its devices and disks in its own process."""
    if (host.device_model_place, host.storage_place) != ("vmm", "vmm"):
        return None
    return 1e6 * FACTS["overhead.boot.fc" if host.vmm == "light" else "overhead.boot.qemu"].value
