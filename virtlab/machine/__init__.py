"""The third witness: what this computer has, and what it can show. No model imports it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from virtlab.machine.presence import Found, Host, Presence, look

if TYPE_CHECKING:
    from virtlab.machine import kvm as kvm
    from virtlab.machine.boots import measure_boots, recorded_boots
    from virtlab.machine.calls import measure_calls, recorded_calls
    from virtlab.machine.cipher import measure_ciphers, recorded_ciphers
    from virtlab.machine.copies import measure_copies
    from virtlab.machine.counted import Counted
    from virtlab.machine.functions import SriovRecord, measure_functions, recorded_functions
    from virtlab.machine.guest import Guest, boot_guest, find_kernel
    from virtlab.machine.inner import EXPERIMENTS, InnerKvm, inner_kvm, recorded_inner_kvm
    from virtlab.machine.jitter import Gaps, Jitter, measure_jitter, recorded_jitter
    from virtlab.machine.measured import (
        Facts,
        Measured,
        Quantity,
        recorded,
        recorded_copies,
        recorded_pages,
        recorded_waiting,
    )
    from virtlab.machine.owning import MachineError
    from virtlab.machine.pages import measure_pages
    from virtlab.machine.presence import Available, available
    from virtlab.machine.probes import measure
    from virtlab.machine.probing import probe
    from virtlab.machine.qemu.at_the_disk import measure_flushes, measure_merging, recorded_flushes, recorded_merging
    from virtlab.machine.qemu.disks import VirtioBlk, ide_read, register_accesses
    from virtlab.machine.qemu.isolating import IommuSeen, measure_iommu, recorded_iommu
    from virtlab.machine.qemu.net import VirtioNet
    from virtlab.machine.qemu.overhead import measure_overhead, recorded_overhead
    from virtlab.machine.qemu.process import Qemu
    from virtlab.machine.qemu.surface import measure_surface, recorded_surface
    from virtlab.machine.qemu.trace import Timeline, timeline
    from virtlab.machine.rivals import measure_rivals, recorded_rivals
    from virtlab.machine.seeing import SCENES, Seen, see
    from virtlab.machine.switches import measure_switches, recorded_switches
    from virtlab.machine.vhost.backend import in_thread
    from virtlab.machine.vhost.blk import BlkBackend
    from virtlab.machine.vhost.disks import VhostBlk
    from virtlab.machine.waiting import measure_waiting

#: What measures this computer, in the order in which it is best asked (the last one keeps every CPU busy).
PROBE_NAMES = ("costs", "pages", "copies", "switches", "rivals", "calls", "jitter", "ciphers", "waiting")
#: What is counted and not timed, so that no time is given to it: a boot, what a guest reaches, a process's memory.
COUNTED_NAMES = ("boots", "surface", "overhead")

# `virtlab doctor` must work where NumPy does not, and most of this needs Linux: each is imported at first use.
_WHERE = {
    **dict.fromkeys(("Facts", "Measured", "Quantity", "recorded", "recorded_copies", "recorded_pages",
                     "recorded_waiting"), "measured"),
    "Counted": "counted", **dict.fromkeys(("measure_boots", "recorded_boots"), "boots"),
    **dict.fromkeys(("measure_overhead", "recorded_overhead"), "qemu.overhead"),
    **dict.fromkeys(("measure_surface", "recorded_surface"), "qemu.surface"),
    **dict.fromkeys(("measure_calls", "recorded_calls"), "calls"),
    **dict.fromkeys(("measure_ciphers", "recorded_ciphers"), "cipher"),
    **dict.fromkeys(("Gaps", "Jitter", "measure_jitter", "recorded_jitter"), "jitter"),
    **dict.fromkeys(("measure_rivals", "recorded_rivals"), "rivals"),
    **dict.fromkeys(("measure_switches", "recorded_switches"), "switches"),
    "measure_copies": "copies", "measure_waiting": "waiting", "probe": "probing",
    **dict.fromkeys(("SriovRecord", "measure_functions", "recorded_functions"), "functions"),
    **dict.fromkeys(("Guest", "boot_guest", "find_kernel"), "guest"),
    **dict.fromkeys(("EXPERIMENTS", "InnerKvm", "inner_kvm", "recorded_inner_kvm"), "inner"),
    **dict.fromkeys(("VirtioBlk", "ide_read", "register_accesses"), "qemu.disks"),
    **dict.fromkeys(("measure_flushes", "measure_merging", "recorded_flushes", "recorded_merging"), "qemu.at_the_disk"),
    **dict.fromkeys(("Timeline", "timeline"), "qemu.trace"),
    **dict.fromkeys(("IommuSeen", "measure_iommu", "recorded_iommu"), "qemu.isolating"),
    **dict.fromkeys(("Available", "available"), "presence"),
    **dict.fromkeys(("SCENES", "Seen", "see"), "seeing"),
    "measure": "probes", "measure_pages": "pages", "MachineError": "owning", "Qemu": "qemu.process",
    "VirtioNet": "qemu.net", "in_thread": "vhost.backend", "BlkBackend": "vhost.blk", "VhostBlk": "vhost.disks",
}  # fmt: skip

__all__ = [
    "COUNTED_NAMES", "EXPERIMENTS", "PROBE_NAMES", "SCENES", "Available", "BlkBackend", "Counted", "Facts", "Found",
    "Gaps", "Guest", "Host", "InnerKvm", "IommuSeen", "Jitter", "MachineError", "Measured", "Presence", "Qemu",
    "Quantity", "Seen", "SriovRecord", "Timeline", "VhostBlk", "VirtioBlk", "VirtioNet", "available", "boot_guest",
    "find_kernel", "ide_read", "in_thread", "inner_kvm", "kvm", "look", "measure", "measure_boots", "measure_calls",
    "measure_ciphers", "measure_copies", "measure_flushes", "measure_functions", "measure_iommu", "measure_jitter",
    "measure_merging", "measure_overhead", "measure_pages", "measure_rivals", "measure_surface", "measure_switches",
    "measure_waiting", "probe", "recorded", "recorded_boots", "recorded_calls", "recorded_ciphers", "recorded_copies",
    "recorded_flushes", "recorded_functions", "recorded_inner_kvm", "recorded_iommu", "recorded_jitter",
    "recorded_merging", "recorded_overhead", "recorded_pages", "recorded_rivals", "recorded_surface",
    "recorded_switches", "recorded_waiting", "register_accesses", "see", "timeline",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "kvm":
        return importlib.import_module("virtlab.machine.kvm")
    if name in _WHERE:
        return getattr(importlib.import_module(f"virtlab.machine.{_WHERE[name]}"), name)
    raise AttributeError(f"virtlab.machine has no '{name}'; it has {', '.join(__all__)}")
