"""A host's ten duties, each with the place where it is done: the description from which everything else follows.

Overhead, thinness, an architecture beside another, a remedy taken away: each is a view of one :class:`Host`.
"""

from __future__ import annotations

from typing import Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.evidence import FACTS

#: Where a duty can be done. "split": its front end in the VMM process, its back end on the card. "nobody": by no
#: software of the host (hardware does it, it was made needless, or it was given up).
PLACES = ("kernel", "vmm", "manager", "card", "split", "nobody")
#: Those that take the time of the host's own CPUs.
ON_HOST = ("kernel", "vmm", "manager")

#: The duties of a host towards its guests, in the order of the course.
DUTIES = (
    "schedule", "memory", "interrupts", "device_model", "switch", "storage", "policy", "monitor", "snapshot", "console",
)  # fmt: skip

_PLACED = FACTS["host.placed"]


class Host(Parameters):
    """Where each duty is done, and what else a host has. The defaults are QEMU, KVM and VirtIO as they come.

    What must stay on the CPU can go to no card: it is scheduled, mapped and interrupted there. "manager" is a
    privileged VM or a process of the management, such as a polling switch. "light" is a VMM with few devices.
    The ``block_engine`` matters where the VMM process serves the disk: QEMU's main loop and a pool of threads, an
    iothread with io_uring and no page cache, or one thread that waits for each request.
    """

    schedule_place: Literal["kernel", "nobody"] = parameter(_PLACED, default="kernel")
    memory_place: Literal["kernel", "nobody"] = parameter(_PLACED, default="kernel")
    interrupts_place: Literal["vmm", "kernel", "nobody"] = parameter(_PLACED, default="kernel")
    device_model_place: Literal["vmm", "kernel", "manager", "split", "card"] = parameter(_PLACED, default="vmm")
    switch_place: Literal["kernel", "manager", "card"] = parameter(_PLACED, default="kernel")
    storage_place: Literal["vmm", "kernel", "manager", "card"] = parameter(_PLACED, default="vmm")
    policy_place: Literal["kernel", "manager", "card", "nobody"] = parameter(_PLACED, default="kernel")
    monitor_place: Literal["kernel", "manager", "card", "nobody"] = parameter(_PLACED, default="manager")
    snapshot_place: Literal["vmm", "manager", "card", "nobody"] = parameter(_PLACED, default="vmm")
    console_place: Literal["vmm", "manager", "card", "nobody"] = parameter(_PLACED, default="vmm")
    vmm: Literal["qemu", "light"] = parameter(_PLACED, default="qemu")
    huge_pages: bool = parameter(FACTS["host.huge.pages"], default=False)
    block_engine: Literal["threads", "iothread", "sync"] = parameter(FACTS["host.block.engine"], default="threads")

    def place(self, duty: str) -> str:
        """The place of one of DUTIES."""
        return str(getattr(self, f"{duty}_place"))

    def places(self) -> dict[str, str]:
        """The place of every duty, in the order of DUTIES."""
        return {duty: self.place(duty) for duty in DUTIES}
