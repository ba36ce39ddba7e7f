"""What a boot of Linux costs, in instructions and memory: with no, the needed and many modules, on three machines."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from virtlab.core.words import say
from virtlab.machine.counted import Counted, count, kept_counts
from virtlab.machine.guest.boot import DISK, SECONDS
from virtlab.machine.guest.counting import CountedGuest
from virtlab.machine.guest.kernel import GENERAL, find_kernel
from virtlab.machine.owning import MachineError


class Case(NamedTuple):
    """A machine of QEMU, how its disk is named there, the modules that it needs, and those loaded if they are there."""

    machine: str
    disk: str
    modules: tuple[str, ...]
    more: tuple[str, ...] = ()


# Without KVM there is no kvmclock: on microvm the kernel then needs the PIT, as a clock to calibrate its own with.
_MICROVM = "microvm,pit=on,pic=on,rtc=on,acpi=on"
CASES: Mapping[str, Case] = {
    "pc_none": Case("pc", "virtio-blk-pci", ()),
    "pc_needed": Case("pc", "virtio-blk-pci", DISK),
    "pc_many": Case("pc", "virtio-blk-pci", DISK, GENERAL),
    "q35_needed": Case("q35", "virtio-blk-pci", DISK),
    "microvm_needed": Case(_MICROVM, "virtio-blk-device", ("virtio_mmio", "virtio_blk")),
}
_BUSES = "acpi pci platform pnp scsi serio virtio"
_SCRIPT = f"""
grep -E '^(MemTotal|MemAvailable|Slab):' /proc/meminfo
echo "modules $(wc -l < /proc/modules)"
echo "devices $(for bus in {_BUSES}; do ls /sys/bus/$bus/devices 2>/dev/null; done | wc -l)"
echo "disks $(ls /sys/block | grep -c '^vd')"
"""
_LINE = re.compile(r"(MemTotal|MemAvailable|Slab|modules|devices|disks):? +(\d{1,12})(?: kB)?")


def measure_boots(seconds: float = SECONDS, cases: Iterable[str] = tuple(CASES)) -> Counted:
    """Boots one kernel under this computer's QEMU (TCG), case by case; some 10 s each, and 30 s with many modules.

    By case: ``init_instructions`` that the guest ran from power-on until its first program speaks, firmware and
    unpacking included, and ``load_instructions`` for its modules after that; ``used_bytes``, the memory that is then no
    longer available to programs, and ``slab_bytes``, the kernel's small objects; ``modules``; ``devices`` on the buses
    of the kernel; and ``disks`` that it can use, of one. ``seconds`` (1 to 600) is the longest that one boot may take.
    Never raises for what cannot be booted: it is missing, with the reason. Raises ParameterError for other ``seconds``,
    and KeyError for an unknown case.
    """
    chosen = {case: CASES[case] for case in cases}
    return count("boots", chosen, lambda case: boot(chosen[case], seconds), seconds,
                 lambda: find_kernel().version)  # fmt: skip


def boot(case: Case, seconds: float) -> dict[str, int]:
    """One boot. Raises MachineError when something is missing or the guest does not succeed."""
    disk = "driver=null-co,node-name=disk,size=1048576,read-zeroes=on"
    devices = ["-blockdev", disk, "-device", f"{case.disk},drive=disk"]
    with CountedGuest(_SCRIPT, modules=case.modules, optional=case.more, machine=case.machine, devices=devices,
                      seconds=seconds) as guest:  # fmt: skip
        lines = guest.finish().lines
        return {**_instructions(guest.counted()), **_said(lines)}


def _instructions(counted: Mapping[str, int]) -> dict[str, int]:
    return {"init_instructions": counted["init"], "load_instructions": counted["modules"] - counted["init"]}


def _said(lines: Iterable[str]) -> dict[str, int]:
    """What the guest's script printed. Raises MachineError when it is not all there, or cannot be."""
    said: dict[str, int] = {}
    for line in lines:
        if match := _LINE.fullmatch(line):
            said.setdefault(match[1], int(match[2]))
    if len(said) < 6 or said["MemAvailable"] > said["MemTotal"]:
        raise MachineError(say("boots.silent"))
    return {
        "used_bytes": (said["MemTotal"] - said["MemAvailable"]) << 10, "slab_bytes": said["Slab"] << 10,
        "modules": said["modules"], "devices": said["devices"], "disks": said["disks"],
    }  # fmt: skip


@functools.cache
def recorded_boots() -> Counted:
    """The boots that come with the course, for computers that have no QEMU or no kernel for a guest."""
    return kept_counts("boots")
