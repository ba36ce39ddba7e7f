"""Snapshots by copy-on-write: the first write to each block after a snapshot pays, and how many such writes there are.

The old data must stay readable: the first write to a block reads it, writes it elsewhere, notes where, and only then
goes its way. Writes are random over a part of the disk, so that the blocks written to follow the same law as dirty
pages do: B (1 - e^(-w t / B)). Left out: a write that fills a whole block needs no read in qcow2 (too long here);
barriers and arms that move (too short: LVM on disks lost 90 %, where this counts four accesses for one); snapshots
that write new data elsewhere and copy nothing (thin pools, log-structured stores), whose price is paid by reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.memory import unique_pages
from virtlab.paths import StorageCosts

_DAY_S = 86_400
_PAYING = 0.01  # from this share on the slowest hundredth of the writes are first writes


class SnapshotOptions(Parameters):
    """A VM that writes at random to ``written_bytes`` of its disk, which is divided into blocks of copy-on-write."""

    disk_writes_per_s: float = parameter(FACTS["manage.writes"], ge=0.1, le=1_000_000, log=True)
    written_bytes: int = parameter(FACTS["manage.written"], ge=2**20, le=2**46, log=True)
    cow_block_bytes: int = parameter(FACTS["manage.cow.block"], ge=4096, le=2**22, log=True)
    cow_ns: float = parameter(FACTS["manage.cow.cost"], ge=20_000, le=200_000)
    snapshots_per_day: float = parameter(FACTS["manage.snapshots"], ge=0, le=1440)
    device_ns: float = same(StorageCosts, "device_ns")
    device_write_ns: float = parameter(FACTS["storage.device.write"], ge=1_000, le=20_000_000, log=True)

    @property
    def blocks(self) -> float:
        """Blocks that writes go to: one at least."""
        return max(1.0, self.written_bytes / self.cow_block_bytes)

    @property
    def interval_s(self) -> float:
        """From one snapshot to the next; infinite without snapshots."""
        return _DAY_S / self.snapshots_per_day if self.snapshots_per_day else math.inf


@dataclass(frozen=True, repr=False)
class Snapshots(Shown):
    """One VM between two snapshots. ``first_writes``: writes that copy a block, in one interval."""

    options: SnapshotOptions
    first_writes: float

    @property
    def writes(self) -> float:
        """All writes of an interval; infinite without snapshots."""
        return self.options.disk_writes_per_s * self.options.interval_s

    @property
    def first_share(self) -> float:
        """The share of the writes that copy a block, over the interval. Just after a snapshot it is all of them."""
        return self.first_writes / self.writes if self.first_writes else 0.0

    @property
    def first_per_s(self) -> float:
        """First writes a second, over the interval. Just after a snapshot there are ``disk_writes_per_s``."""
        return self.options.disk_writes_per_s * self.first_share

    @property
    def first_write_ns(self) -> float:
        """A first write: a read, the copy's write and its note, the CPU time, and the write itself."""
        o = self.options
        return o.device_ns + 3 * o.device_write_ns + o.cow_ns

    @property
    def mean_write_ns(self) -> float:
        """The mean time of a write over the interval, without queues."""
        o = self.options
        return o.device_write_ns + self.first_share * (self.first_write_ns - o.device_write_ns)

    @property
    def p99_write_ns(self) -> float:
        """What 99 of 100 writes do not exceed: a first write's time as soon as more than one in 100 is one."""
        return self.first_write_ns if self.first_share > _PAYING else self.options.device_write_ns

    @property
    def cores(self) -> float:
        """CPU time of the host for first writes, in cores, over the interval."""
        return self.first_per_s * self.options.cow_ns / 1e9

    @property
    def cores_at_first(self) -> float:
        """The same in the moment after a snapshot, when every write is a first one."""
        return self.options.disk_writes_per_s * self.options.cow_ns / 1e9 if self.options.snapshots_per_day else 0.0

    def law(self) -> tuple[float, float]:
        """Each block pays at most once, and no write twice. Returns the first writes, and what they cannot exceed."""
        return self.first_writes, min(self.options.blocks, self.writes)

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        if not o.snapshots_per_day:
            return str(words("snapshots.none"))
        return say(
            "snapshots.sentence", interval=show(o.interval_s, "s"), first=number(self.first_writes),
            blocks=number(o.blocks), share=show(self.first_share, "%"), plain=show(o.device_write_ns, "ns"),
            slow=show(self.first_write_ns, "ns"), cores=number(self.cores), at_first=number(self.cores_at_first),
        )  # fmt: skip

    def table(self) -> Table:
        o = self.options
        figures = {
            "blocks": number(o.blocks), "writes": number(self.writes), "first": number(self.first_writes),
            "share": show(self.first_share, "%"), "mean": show(self.mean_write_ns, "ns"),
            "p99": show(self.p99_write_ns, "ns"), "cores": number(self.cores), "at_first": number(self.cores_at_first),
        }  # fmt: skip
        rows = [(words(f"snapshots.row.{key}"), text) for key, text in figures.items()]
        return Table.of(words("snapshots.header"), rows, self.sentence(), numeric=[1])


def snapshots(options: SnapshotOptions | None = None, /, **changes: Any) -> Snapshots:
    """A VM whose disk is snapshotted. Options as in :class:`SnapshotOptions`, as one object or by name.

    First writes of an interval t: B (1 - e^(-w t / B)), the mean for random writes (``memory.unique_pages``). More
    snapshots mean more first writes in a day, up to all writes. Raises ParameterError.
    """
    o = SnapshotOptions.given(options, changes)
    seldom = math.isinf(o.interval_s)
    first = 0.0 if seldom else float(unique_pages(o.blocks, o.disk_writes_per_s, o.interval_s))
    return Snapshots(o, first)
