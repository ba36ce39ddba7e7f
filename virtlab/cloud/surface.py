"""What a guest can reach, as a vector: how many entry points lead where, and what stands behind them. Never one number.

An entry point is something that the guest decides: reading or writing a region of ports or addresses that leads into a
device model (two), a queue that it fills, or its packets, which the switch and the policy look into. Where each leads
follows from the places of a host's duties and from counted lists of devices. Moving a duty moves its entry points.

Left out, the same in all: KVM's own exit handlers and hypercalls, instruction emulation, side channels. What runs on a
card is counted and not known: no maker publishes it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

from virtlab.cloud.architectures import Architecture
from virtlab.cloud.host import Host
from virtlab.cloud.overhead import host_of
from virtlab.core.table import Shown, Table
from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

_OPS = 2  # a region is read and written
#: Where the queue of a PCI device leads when its back end has this place; the rest of the device stays with the VMM.
_BACK_ENDS = {"kernel": "kernel", "manager": "manager", "split": "card"}


def _count(fact: str) -> int:
    return int(FACTS[f"surface.{fact}"].value)


@dataclass(frozen=True, repr=False)
class Surface(Shown):
    """What a guest can reach. Components have different meanings and are never added.

    ``a <= b`` holds where no component of ``a`` is greater: a partial order, so that neither may hold. ``devices`` are
    device models in software of the host; the ``_entries`` are entry points by where they lead, ``c_entries`` those of
    the host that code without memory safety answers; ``system_calls`` is what the VMM process may call.
    """

    devices: int
    vmm_entries: int
    kernel_entries: int
    manager_entries: int
    card_entries: int
    c_entries: int
    system_calls: int

    def components(self) -> dict[str, int]:
        """The components by name, in their order."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __le__(self, other: Surface) -> bool:
        return all(mine <= theirs for mine, theirs in self._pairs(other))

    def __ge__(self, other: Surface) -> bool:
        return all(mine >= theirs for mine, theirs in self._pairs(other))

    def compare(self, other: Surface) -> str:
        """"same", "smaller", "larger", or "incomparable", where each has something that is greater."""
        if self == other:
            return "same"
        if self <= other:
            return "smaller"
        return "larger" if self >= other else "incomparable"

    def _pairs(self, other: Surface) -> list[tuple[int, int]]:
        return list(zip(self.components().values(), other.components().values(), strict=True))

    def sentence(self) -> str:
        """The vector in one sentence."""
        return say("thin.surface.sentence", **{key: number(n, 4) for key, n in self.components().items()})

    def table(self) -> Table:
        rows = [(words(f"thin.component.{key}"), number(n, 4)) for key, n in self.components().items()]
        return Table.of(words("thin.surface.header"), rows, self.sentence(), numeric=[1])


def surface(start: Host | Architecture | str) -> Surface:
    """What a guest can reach on a host, an architecture, or the architecture of that id. Raises ValueError.

    A device model outside the VMM leaves the device's registers with it and takes the queue; an assigned function takes
    both, and leaves what VFIO traps. "light" is Firecracker's list of devices, "qemu" the machine pc of QEMU 7.2.
    """
    _, host = host_of(start)
    light = host.vmm == "light"
    places: Counter[str] = Counter()  # entry points by place
    devices = _board(host, light, places)
    for duty, queues in (("device_model", _count("net.queues")), ("storage", _count("disk.queues"))):
        place = _device_place(host, duty)
        _regions(places, place, on_mmio=light and place not in ("card", "split"))
        places[_BACK_ENDS.get(place, place)] += queues
        devices += place not in ("card", "split")
    for duty in ("switch", "policy"):
        places[host.place(duty)] += 1
    in_c = places["kernel"] + places["manager"] + (0 if light else places["vmm"])
    calls = FACTS["firecracker.syscalls" if light else "surface.syscalls.linux"]
    return Surface(devices, places["vmm"], places["kernel"], places["manager"], places["card"], in_c, int(calls.value))


def _board(host: Host, light: bool, places: Counter[str]) -> int:
    """The entry points of board, interrupt chips and console; returns how many device models of software they are."""
    places["vmm"] += _OPS * _count("light.board.regions" if light else "qemu.board.regions")
    devices = 1 if light else _count("qemu.board.devices")
    outside = {"card", "split"} & {host.device_model_place, host.storage_place, host.console_place}
    if light and outside:  # functions are found by PCI configuration, which a VMM without a PCI board has to add
        places["vmm"] += _OPS * _count("pci.config")
        devices += 1
    chips, chip_devices = _count("chips.regions"), _count("chips.devices")
    if host.interrupts_place == "nobody":  # the CPU answers for the local APIC
        chips, chip_devices = chips - _count("chips.apicv"), chip_devices - 1
    places["vmm" if host.interrupts_place == "vmm" else "kernel"] += _OPS * chips
    if host.console_place == "vmm":
        places["vmm"] += _OPS * _count("light.console.regions" if light else "qemu.console.regions")
        return devices + chip_devices + (1 if light else _count("qemu.console.devices"))
    if host.console_place != "nobody":
        _regions(places, host.console_place, on_mmio=light and host.console_place == "manager")
    return devices + chip_devices + (host.console_place == "manager")


def _device_place(host: Host, duty: str) -> str:
    """Where the back end of the network device or the disk is; a split VMM splits its disks too."""
    place = host.place(duty)
    return "split" if place == "card" and host.device_model_place == "split" else place


def _regions(places: Counter[str], place: str, *, on_mmio: bool) -> None:
    """Adds the regions of one device: one window on MMIO, seven regions on PCI."""
    if place == "card":
        places["vmm"] += _OPS * _count("vf.trapped")
        places["card"] += _OPS * _count("vf.mapped")
        return
    whole, doorbell = (1, 0) if on_mmio else (_count("pci.regions"), _count("pci.notify"))
    if place == "vmm":
        places["vmm"] += _OPS * whole
    else:
        places["vmm"] += _OPS * (whole - doorbell)
        places[_BACK_ENDS[place]] += _OPS * doorbell
