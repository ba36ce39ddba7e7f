"""What of QEMU a guest can reach: the ports and addresses that trap into a device model, counted by machine."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Mapping, Sequence

from virtlab.core.words import say
from virtlab.machine.counted import Counted, count, kept_counts
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.monitor import Monitor, Monitored

#: Machines by case. Each vCPU runs the firmware: PCI devices have no addresses before it gives them some.
CASES: Mapping[str, Sequence[str]] = {
    # the card of the default machine, but without the network behind it
    "pc": ("-machine", "pc", "-net", "nic"),
    "q35": ("-machine", "q35", "-net", "nic"),
    "pc_bare": ("-machine", "pc", "-nodefaults"),
    "microvm": ("-machine", "microvm", "-nodefaults", "-device", "virtio-rng-device"),
    "microvm_bare": ("-machine", "microvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=off", "-nodefaults", "-device",
                     "virtio-rng-device"),
    "none": ("-machine", "none"),
}  # fmt: skip
_RAM_MIB = 64
_SPACES = {"I/O", "memory"}
_REACHED = ("port_ranges", "ports", "address_ranges", "address_bytes")
_MOST_LINES = 20_000
_LINE = re.compile(r"  ([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d{1,10}, ([\w/-]{1,20})\): (.{0,200})")
_SETTLED = 3  # equal readings in a row
_PAUSE_SECONDS = 0.1


def measure_surface(seconds: float = 20.0) -> Counted:
    """Counts what a guest reaches of this computer's own QEMU, machine by machine; about half a second each.

    By case: ``port_ranges`` of I/O ports that lead into a device model, and how many ``ports``; ``address_ranges`` and
    ``address_bytes``, the same of memory addresses; ``devices`` on the machine; and of the program, whatever the
    machine: ``types`` of devices, and ``creatable``, those that a user may add. Reading or writing in such a range
    leaves the guest, if no part of KVM answers it. ``seconds`` (1 to 600) is the longest that one machine may take.
    Never raises for what cannot be counted: it is missing, with the reason. Raises ParameterError for ``seconds``.
    """
    return count("surface", CASES, lambda case: _look(CASES[case], seconds), seconds)


def _look(options: Sequence[str], seconds: float) -> dict[str, int]:
    end = time.monotonic() + seconds
    with Monitored(["-m", str(_RAM_MIB), *options], seconds) as qemu:
        flat = _settled(qemu.monitor, end)
        return {**reachable(flat), "devices": devices(qemu.monitor.tell("info qtree")), **types(qemu.monitor)}


def _settled(monitor: Monitor, end: float) -> str:
    """The map of the address spaces when the firmware has given every bus its addresses."""
    flat, same = "", 0
    while same < _SETTLED:
        if time.monotonic() > end:
            raise MachineError(say("surface.unsettled"))
        before, flat = flat, monitor.tell("info mtree -f")
        same = same + 1 if flat == before and _addressed(monitor.ask("query-pci")) else 0
        time.sleep(_PAUSE_SECONDS)
    return flat


def _addressed(buses: object) -> bool:
    """Whether the firmware has given a device of PCI an address; true where there is none to give."""
    try:
        regions = [region for bus in buses for device in bus["devices"] for region in device["regions"]]  # type: ignore[attr-defined]
        return not regions or any(region["address"] not in (-1, (1 << 64) - 1) for region in regions)
    except (TypeError, KeyError):
        raise MachineError(say("qemu.nonsense", command="query-pci", answer=repr(buses)[:80])) from None


def reachable(flat: str) -> dict[str, int]:
    """Ranges and bytes of ports and of memory addresses that lead into a device model, from ``info mtree -f``.

    Left out are RAM and ROM, where nothing traps for a read, and what belongs to the space itself and to no device.
    Raises MachineError for a map that is none.
    """
    found = dict.fromkeys(_REACHED, 0)
    seen: set[str] = set()
    spaces: set[str] = set()
    root = ""
    lines = flat.splitlines()
    if len(lines) > _MOST_LINES:
        raise _nonsense(f"{len(lines)} lines")
    for line in lines:
        if line.startswith("FlatView #"):
            spaces, root = set(), ""
        elif line.startswith(' AS "'):
            spaces.add(line[5:].partition('"')[0])
        elif line.startswith(" Root memory region: "):
            root = line.partition(": ")[2]
            seen |= spaces & _SPACES
        elif spaces & _SPACES and line.startswith("  0"):
            match = _LINE.fullmatch(line)
            if match is None or int(match[2], 16) < int(match[1], 16):
                raise _nonsense(line)
            # a piece of a region says where in it it begins: "io @0000000000000022"
            if match[3] == "i/o" and match[4].partition(" @")[0] != root:
                ranges, addresses = _REACHED[:2] if "I/O" in spaces else _REACHED[2:]
                found[ranges] += 1
                found[addresses] += int(match[2], 16) - int(match[1], 16) + 1
    if seen != _SPACES:
        raise _nonsense(flat[:40])
    return found


def devices(tree: str) -> int:
    """The devices on a machine, from ``info qtree``."""
    return sum(line.lstrip().startswith("dev: ") for line in tree.splitlines()[:_MOST_LINES])


def types(monitor: Monitor) -> dict[str, int]:
    """The types of devices in the program, and those of them that a user may add to a machine."""
    known = monitor.ask("qom-list-types", implements="device", abstract=False)
    lines = [line for line in monitor.tell("info qdm").splitlines()[:_MOST_LINES] if line.startswith('name "')]
    if not isinstance(known, list) or not lines:
        raise MachineError(say("qemu.nonsense", command="qom-list-types", answer=repr(known)[:80]))
    return {"types": len(known), "creatable": sum(not line.endswith(", no-user") for line in lines)}


def _nonsense(answer: str) -> MachineError:
    return MachineError(say("qemu.nonsense", command="info mtree -f", answer=repr(answer)[:80]))


@functools.cache
def recorded_surface() -> Counted:
    """What a guest reaches of a QEMU that comes with the course, for computers that have none."""
    return kept_counts("surface")
