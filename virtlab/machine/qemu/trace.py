"""QEMU's own account of a request: its trace events as a table, and as the stages of one request's journey.

The events and their names differ between versions of QEMU. What is not known is passed over; a stage whose event is
missing is missing, and the others stand.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.machine.qemu.disks import VirtioBlk

#: What is asked of QEMU: patterns, so that an event that a version lacks is no error.
PATTERNS = (
    "virtio_mmio_*", "virtio_queue_notify", "virtqueue_*", "virtio_blk_*", "blk_co_*", "bdrv_co_*",
    "thread_pool_*", "virtio_notify*",
)  # fmt: skip
#: The stages of a request: id, and the events that mark it in one version or another.
STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("notify", ("virtio_queue_notify",)),
    ("pop", ("virtqueue_pop",)),
    ("submit", ("thread_pool_submit", "thread_pool_submit_aio", "luring_co_submit", "laio_co_submit")),
    ("complete", ("thread_pool_complete", "thread_pool_complete_aio", "luring_process_completion")),
    ("done", ("virtio_blk_req_complete",)),
    ("interrupt", ("virtio_notify", "virtio_notify_irqfd")),
)
_LINE = re.compile(rb"(\d{1,10})@(\d{1,12})\.(\d{6}):(\w{1,64}) ?([^\r\n]{0,500})")
MOST_EVENTS = 200_000


@dataclass(frozen=True)
class Event:
    """One trace event: microseconds since 1970 (or since the first, see ``since``), the thread, its name and values."""

    us: int
    thread: int
    name: str
    values: str


def parse(log: bytes, most: int = MOST_EVENTS) -> list[Event]:
    """The events of a log (``-msg timestamp=on``). Lines of any other kind, or cut off at its end, are passed over."""
    events = []
    for line in log.split(b"\n")[:-1]:
        if (m := _LINE.fullmatch(line.rstrip(b"\r"))) is not None:
            us = int(m[2]) * 1_000_000 + int(m[3])
            events.append(Event(us, int(m[1]), m[4].decode("ascii", "replace"), m[5].decode("utf-8", "replace")))
            if len(events) == most:
                break
    return events


def stages(events: Iterable[Event]) -> dict[str, int]:
    """When each stage was first reached, in µs since the notification; empty where there was none."""
    reached: dict[str, int] = {}
    for event in events:
        for stage, names in STAGES:
            if event.name in names and stage not in reached and ("notify" in reached or stage == "notify"):
                reached[stage] = event.us
    return {stage: us - reached["notify"] for stage, us in reached.items()} if "notify" in reached else {}


@dataclass(frozen=True, repr=False)
class Timeline(Shown):
    """The median journey of single 4 KiB reads through QEMU: µs since the notification at each stage.

    Tracing slows QEMU down (about a quarter for a single request), so these times are upper bounds.
    """

    requests: int
    us: dict[str, float]
    one: tuple[Event, ...]  # every event of one request, in µs since its notification

    def sentence(self) -> str:
        order = [stage for stage, _ in STAGES if stage in self.us]
        pairs = list(zip(order, order[1:], strict=False))
        slowest = max(pairs, key=lambda p: self.us[p[1]] - self.us[p[0]], default=None)
        if slowest is None:
            return str(words("qemu.trace.nothing"))
        whole = self.us[order[-1]]
        part = self.us[slowest[1]] - self.us[slowest[0]]
        return say("qemu.trace.sentence", whole=show(whole, "us"), part=show(part, "us"), n=self.requests,
                   of=words(f"qemu.stage.{slowest[0]}"), to=words(f"qemu.stage.{slowest[1]}"))  # fmt: skip

    def table(self) -> Table:
        order = [stage for stage, _ in STAGES if stage in self.us]
        rows = []
        before = 0.0
        for stage in order:
            rows.append((words(f"qemu.stage.{stage}"), show(self.us[stage], "us"), show(self.us[stage] - before, "us")))
            before = self.us[stage]
        headers = [words(f"qemu.trace.{name}") for name in ("stage", "since", "step")]
        return Table.of(headers, rows, say("qemu.trace.caption", n=self.requests), numeric=[1, 2])


def timeline(requests: int = 100, packed: bool = False) -> Timeline:
    """Drives a virtio-blk disk of a real QEMU with its tracing on, one read at a time. Raises MachineError, as Qemu."""
    journeys: list[dict[str, int]] = []
    one: Sequence[Event] = ()
    with VirtioBlk(packed=packed, trace=PATTERNS) as disk:
        at = len(disk.qemu.log())
        for n in range(requests):
            disk.read(8 * (n % 64))
            log = disk.qemu.log(at)
            at += log.rfind(b"\n") + 1  # QEMU may be writing a line at this moment: it comes next time
            events = parse(log[: log.rfind(b"\n") + 1])
            journey = stages(events)
            if len(journey) >= len(journeys[-1] if journeys else ()):
                journeys.append(journey)
                one = events
    start = next((e.us for e in one if e.name in STAGES[0][1]), 0)
    full = [j for j in journeys if len(j) == len(journeys[-1])] if journeys else []
    us = {stage: statistics.median(j[stage] for j in full) for stage in (full[-1] if full else {})}
    shifted = tuple(Event(e.us - start, e.thread, e.name, e.values) for e in one if e.us >= start)
    return Timeline(len(full), us, shifted)
