"""Counts the calls (used-buffer notifications) of a batch of requests on real devices, by what the driver asks for.

The devices are vhost-user back ends in processes of their own: ours in Python, which is made slower than the driver,
and QEMU's storage daemon, which is faster. A call is a
write to an eventfd, which counts them exactly; under KVM each would be an interrupt of the guest (irqfd).
"""

from __future__ import annotations

import functools
import sys
from typing import Literal, get_args

from virtlab.core.words import say, words
from virtlab.machine.computer import watch
from virtlab.machine.measured import CALLS, Measured, Quantity, kept
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import Host
from virtlab.machine.qemu.blk_driver import MOST_AT_ONCE, Calls
from virtlab.machine.sampling import CannotMeasure, check_seconds, reason, spread, until
from virtlab.machine.vhost.disks import STORAGE_DAEMON, Server, VhostBlk

BATCH = MOST_AT_ONCE
Which = Literal["python", "daemon"]
#: Ways that the driver asks by: whether EVENT_IDX is agreed on, and for which calls it asks.
WAYS: dict[str, tuple[bool, Calls]] = {
    "flags": (False, "last"), "each": (True, "each"), "delayed": (True, "delayed"), "last": (True, "last"),
    "none": (True, "none"),
}  # fmt: skip
_SERVER: dict[Which, Server] = {"python": "python", "daemon": "qemu-storage-daemon"}
_DELAY_US = 300.0  # of our back end for each request: a disk that is slower than its driver
_LATE_SECONDS = 0.002  # how long a call may come after its request


def measure_calls(seconds: float = 1.0, host: Host | None = None) -> Measured:
    """Calls for a batch of 32 reads of 4 KiB: each device, each way of asking. Needs Linux.

    Takes about ``seconds`` (0.05 to 10) and some 0.5 s to prepare; median, 10th and 90th percentile of the batches.
    Never raises for what cannot be measured: it is missing, with the reason. Whatever was started is gone afterwards,
    after an interrupt as well. Raises ParameterError for ``seconds`` out of range.
    """
    check_seconds(seconds)
    host = host or Host()
    facts = watch(host)
    found: dict[str, Quantity] = {}
    for which in get_args(Which):
        for event_idx in (False, True):
            ways = [way for way, (agreed, _) in WAYS.items() if agreed == event_idx]
            share = seconds * len(ways) / len(CALLS)
            try:
                samples = _count(which, event_idx, ways, share, host)
                found |= {f"{which}_{way}": spread(f"{which}_{way}", samples[way]) for way in ways}
            except Exception as error:  # a sandbox may refuse anything
                why = str(error) if isinstance(error, MachineError) else reason(error)
                found |= {f"{which}_{way}": Quantity(f"{which}_{way}", missing=why) for way in ways}
    return Measured(tuple(found[key] for key in CALLS), facts())


def _count(which: Which, event_idx: bool, ways: list[str], seconds: float, host: Host) -> dict[str, list[float]]:
    """Calls of each batch, by way; the ways take turns."""
    if host.system != "Linux" or sys.platform != "linux":
        raise CannotMeasure(words("probe.why.memfd"))
    if which == "daemon" and host.which(STORAGE_DAEMON) is None:
        raise CannotMeasure(say("machine.why.program", name=STORAGE_DAEMON))
    samples: dict[str, list[float]] = {way: [] for way in ways}
    with VhostBlk(server=_SERVER[which], event_idx=event_idx, call_each=True, delay_us=_DELAY_US) as disk:
        disk.batch(BATCH)  # the first call of a device always comes: it does not know what the driver saw
        disk.late_calls(BATCH, _LATE_SECONDS)
        for _ in until(seconds):
            for way in ways:
                disk.counted("", 1)
                disk.batch(BATCH, calls=WAYS[way][1])
                disk.late_calls(BATCH, _LATE_SECONDS)
                samples[way].append(disk.counted("", BATCH)["calls"])
    return samples


@functools.cache
def recorded_calls() -> Measured:
    """The calls of a computer that come with the course, for comparison and where there is no eventfd."""
    return kept("recorded_calls.toml")
