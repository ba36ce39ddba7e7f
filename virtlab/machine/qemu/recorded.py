"""What a real QEMU showed, kept as it was or measured now: register accesses of requests, and the timeline of one."""

from __future__ import annotations

import functools
import json
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import resources
from time import monotonic
from time import perf_counter_ns as now
from typing import Any, Literal, NamedTuple, get_args

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.machine.computer import watch
from virtlab.machine.measured import Facts
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import Host
from virtlab.machine.qemu.disks import MOST_AT_ONCE, VirtioBlk, ide_read
from virtlab.machine.qemu.process import PROGRAM
from virtlab.machine.qemu.trace import PATTERNS, STAGES, Event, Timeline, timeline

Ring = Literal["split", "packed"]
Disk = Literal["mmio", "pci"]
BATCHES = range(1, MOST_AT_ONCE + 1)
LEAST_ROUNDS = 3


class Span(NamedTuple):
    """The least, the median and the most of some counts."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, counts: Sequence[float]) -> Span:
        return cls(min(counts), statistics.median(counts), max(counts))

    def per(self, requests: int) -> Span:
        return Span(*(n / requests for n in self))

    def text(self) -> str:
        """The median, and in brackets the interval where there is one."""
        middle = number(self.median)
        if self.least == self.most:
            return middle
        return say("machine.spread", value=middle, low=number(self.least), high=number(self.most))


class Way(NamedTuple):
    """How a driver works with its ring, as the parameters of ``VirtioBlk`` and ``batch`` say it."""

    ring: str = "split"
    event_idx: bool = True
    kicks: str = "once"
    calls: str = "last"


class Batch(NamedTuple):
    """Register accesses and calls (interrupts) of one whole batch."""

    accesses: Span
    calls: Span


@dataclass(frozen=True)
class Witness:
    """Whose QEMU it was: its version, the computer, and whether this was now or comes with the course."""

    qemu: str
    facts: Facts
    origin: Literal["now", "recorded"] = "now"

    def label(self) -> str:
        """Where and when: one line for a caption."""
        noisy = words("device.noisy") if self.facts.busy else ""
        return say(f"device.{self.origin}", qemu=self.qemu, facts=self.facts.text(), date=self.facts.date, noisy=noisy)


@dataclass(frozen=True, repr=False)
class RegisterCounts(Shown):
    """What batches of 1 to 32 reads of 4 KiB cost, counted access by access, on each disk and in each way measured.

    ``batches[disk, way][n]`` is a batch of n; each was run ``rounds`` times. ``ide`` is one read from an IDE disk. Not
    exits: no guest runs. On pci two messages that arrive before the driver looks count as one call.
    """

    witness: Witness
    rounds: int
    ide: Batch
    batches: Mapping[tuple[str, Way], Mapping[int, Batch]] = field(default_factory=dict)

    def __contains__(self, way: Way) -> bool:
        return all((disk, way) in self.batches for disk in get_args(Disk))

    def only(self, way: Way) -> RegisterCounts:
        """The same record with this way alone."""
        kept = {key: seen for key, seen in self.batches.items() if key[1] == way}
        return RegisterCounts(self.witness, self.rounds, self.ide, kept)

    def with_(self, other: RegisterCounts) -> RegisterCounts:
        """Both records in one; ``other`` is the newer one."""
        return RegisterCounts(other.witness, other.rounds, other.ide, {**self.batches, **other.batches})

    def table(self) -> Table:
        sizes = [n for n in (1, 2, 8, MOST_AT_ONCE) if all(n in seen for seen in self.batches.values())]
        rows = [(words("device.disk.ide"), "", *[self.ide.accesses.text()] * len(sizes))]
        for (disk, way), seen in self.batches.items():
            rows.append((words(f"device.disk.{disk}"), way_text(way), *(seen[n].accesses.per(n).text() for n in sizes)))
        columns = [say("device.column.batch", n=n) for n in sizes]
        head = (words("device.column.disk"), words("device.column.way"), *columns)
        caption = say("device.caption", label=self.witness.label(), rounds=self.rounds)
        return Table.of(head, rows, caption, range(2, 2 + len(sizes)))

    def toml(self) -> str:
        """The text of a file that :func:`recorded_device` reads."""
        lines = [*witness_lines(self.witness), f"rounds = {self.rounds}", f"ide = {plain(self.ide.accesses)}",
                 f"ide_calls = {plain(self.ide.calls)}"]  # fmt: skip
        for (disk, way), seen in self.batches.items():
            lines += ["", "[[batches]]", f'disk = "{disk}"']
            lines += [f"{name} = {json.dumps(value)}" for name, value in way._asdict().items()]
            for name in Batch._fields:
                lines.append(f"counted_{name} = [{', '.join(plain(getattr(seen[n], name)) for n in BATCHES)}]")
        return "\n".join([*lines, ""])


@dataclass(frozen=True, repr=False)
class TracedReads(Shown):
    """Timelines of single reads by ring, and by ring what a read took the driver without and with tracing, in ns."""

    witness: Witness
    timelines: Mapping[str, Timeline]
    plain_ns: Mapping[str, float]
    traced_ns: Mapping[str, float]

    def slowdown(self, ring: str) -> float:
        """How many times as long a read takes when QEMU traces it."""
        return self.traced_ns[ring] / self.plain_ns[ring]

    def events(self, ring: str) -> Table:
        """Every trace event of one request."""
        rows = [(show(e.us, "us"), e.name, e.values) for e in self.timelines[ring].one]
        head = [words(f"timeline.column.{k}") for k in ("since", "event", "values")]
        return Table.of(head, rows, say("timeline.events_caption", label=self.witness.label()), (0,))

    def table(self) -> Table:
        rows = []
        for ring, seen in self.timelines.items():
            order, before = [stage for stage, _ in STAGES if stage in seen.us], 0.0
            for stage in order:
                times = (show(seen.us[stage], "us"), show(seen.us[stage] - before, "us"))
                rows.append((words(f"parameter.ring.choices.{ring}"), words(f"qemu.stage.{stage}"), *times))
                before = seen.us[stage]
        head = [words("parameter.ring.label"), *(words(f"qemu.trace.{k}") for k in ("stage", "since", "step"))]
        return Table.of(head, rows, self.witness.label(), (2, 3))

    def toml(self) -> str:
        """The text of a file that :func:`recorded_timeline` reads."""
        lines = witness_lines(self.witness)
        for ring, seen in self.timelines.items():
            stages = ", ".join(f"{stage} = {us:g}" for stage, us in seen.us.items())
            lines += ["", "[[timeline]]", f'ring = "{ring}"', f"requests = {seen.requests}"]
            lines += [f"plain_ns = {self.plain_ns[ring]:.0f}", f"traced_ns = {self.traced_ns[ring]:.0f}"]
            lines += [f"us = {{ {stages} }}", "one = ["]
            lines += [f"  [{e.us}, {e.thread}, {json.dumps(e.name)}, {json.dumps(e.values)}]," for e in seen.one]
            lines.append("]")
        return "\n".join([*lines, ""])


def way_text(way: Way) -> str:
    """A way in words: ring, kicks, calls and whether EVENT_IDX was negotiated."""
    event_idx = words(f"device.event_idx.{'on' if way.event_idx else 'off'}")
    return say("device.way", ring=way.ring, kicks=words(f"device.kicks.{way.kicks}"),
               calls=words(f"device.calls.{way.calls}"), event_idx=event_idx)  # fmt: skip


# --- measuring now ----------------------------------------------------------------------------------------------------


def qemu_version(host: Host | None = None) -> str:
    """The version of the QEMU on this computer. Raises MachineError, in one sentence that says how to get one."""
    host = host or Host()
    path = host.which(PROGRAM)
    if host.system != "Linux":
        raise MachineError(say("qemu.linux"))
    if path is None:
        raise MachineError(say("machine.why.program", name=PROGRAM))
    line = host.first_line([path, "--version"])
    if line is None:
        raise MachineError(say("device.silent", name=path))
    found = [word for word in line.split() if word[:1].isdigit()]
    return found[0] if found else line


def count_registers(
    ways: Sequence[Way] = (Way(),), seconds: float = 0.6, rounds: int = LEAST_ROUNDS, sizes: Sequence[int] = BATCHES
) -> RegisterCounts:
    """Drives disks of this computer's own QEMU in these ways: batches of ``sizes``, at least ``rounds`` times each.

    Goes on for about ``seconds``, and leaves nothing behind. Raises MachineError when there is no QEMU or it fails.
    """
    qemu, looked = qemu_version(), watch()
    batches, done = {}, []
    for disk in get_args(Disk):
        for way in ways:
            batches[disk, way], n = _count(disk, way, seconds / len(ways) / len(get_args(Disk)), rounds, sizes)
            done.append(n)
    ide = ide_read()[1]
    accesses, calls = ide["register_reads"] + ide["register_writes"], ide["calls"]
    seen = Batch(Span(accesses, accesses, accesses), Span(calls, calls, calls))
    return RegisterCounts(Witness(qemu, looked()), min(done), seen, batches)


def _count(
    disk: Any, way: Way, seconds: float, rounds: int, sizes: Sequence[int]
) -> tuple[dict[int, Batch], int]:  # fmt: skip
    """All batches on one disk in one way, round by round, and how many rounds there were."""
    accesses: dict[int, list[float]] = {n: [] for n in sizes}
    calls: dict[int, list[float]] = {n: [] for n in sizes}
    with VirtioBlk(packed=way.ring == "packed", transport=disk, event_idx=way.event_idx) as drive:
        drive.read(0)
        drive.counted("", 1)
        end, done = monotonic() + seconds, 0
        while done < rounds or monotonic() < end:
            for n in sizes:
                drive.batch(n, kick_each=way.kicks == "each", calls=way.calls)  # type: ignore[arg-type]
                drive.late_calls(n)
                counted = drive.counted("", n)
                accesses[n].append(counted["register_reads"] + counted["register_writes"])
                calls[n].append(counted["calls"])
            done += 1
    return {n: Batch(Span.of(accesses[n]), Span.of(calls[n])) for n in sizes}, done


def trace_reads(requests: int = 100, rings: Sequence[str] = get_args(Ring)) -> TracedReads:
    """Traces single reads through this computer's own QEMU, and times them with tracing and without, by turns.

    Leaves nothing behind. Raises MachineError when there is no QEMU or it fails.
    """
    qemu, looked = qemu_version(), watch()
    timelines, plain_ns, traced_ns = {}, {}, {}
    for ring in rings:
        packed = ring == "packed"
        timelines[ring] = timeline(requests, packed)
        with VirtioBlk(packed=packed) as plain, VirtioBlk(packed=packed, trace=PATTERNS) as traced:
            pairs = [(_time(plain, n), _time(traced, n)) for n in range(requests)]
        plain_ns[ring], traced_ns[ring] = (float(statistics.median(times)) for times in zip(*pairs, strict=True))
    return TracedReads(Witness(qemu, looked()), timelines, plain_ns, traced_ns)


def _time(disk: VirtioBlk, n: int) -> int:
    start = now()
    disk.read(8 * (n % 64))
    return now() - start


# --- what comes with the course ---------------------------------------------------------------------------------------


@functools.cache
def recorded_device() -> RegisterCounts:
    """The register accesses of a QEMU that come with the course, in all 24 ways, for computers that have none."""
    tree = kept_table("recorded_device.toml")
    batches = {}
    for entry in tree["batches"]:
        spans = zip(*([span(value) for value in entry[f"counted_{name}"]] for name in Batch._fields), strict=True)
        way = Way(**{name: entry[name] for name in Way._fields})
        batches[entry["disk"], way] = {n: Batch(*pair) for n, pair in zip(BATCHES, spans, strict=True)}
    ide = Batch(span(tree["ide"]), span(tree["ide_calls"]))
    return RegisterCounts(witness_of(tree), tree["rounds"], ide, batches)


@functools.cache
def recorded_timeline() -> TracedReads:
    """The timelines of a QEMU that come with the course, for computers that have none."""
    tree = kept_table("recorded_timeline.toml")
    entries = {entry["ring"]: entry for entry in tree["timeline"]}
    seen = {
        ring: Timeline(e["requests"], {stage: float(us) for stage, us in e["us"].items()},
                       tuple(Event(*values) for values in e["one"])) for ring, e in entries.items()
    }  # fmt: skip
    plain, traced = ({ring: float(e[key]) for ring, e in entries.items()} for key in ("plain_ns", "traced_ns"))
    return TracedReads(witness_of(tree), seen, plain, traced)


def kept_table(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("virtlab.machine") / "data" / name).read_text(encoding="utf-8"))


def witness_of(tree: dict[str, Any]) -> Witness:
    """The witness in a file that comes with the course."""
    return Witness(tree["qemu"], Facts(**tree["facts"]), "recorded")


def witness_lines(witness: Witness) -> list[str]:
    """The witness as TOML: an inline table, so that other values can follow it."""
    known = {f.name: getattr(witness.facts, f.name) for f in fields(Facts)}
    rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in known.items() if v not in (None, "")}
    parts = ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in rounded.items())
    return [f"qemu = {json.dumps(witness.qemu)}", f"facts = {{ {parts} }}"]


def plain(span: Span) -> str:
    """A span as TOML: one number where there is no interval."""
    values = [f"{value:g}" for value in span]
    return values[0] if span.least == span.most else f"[{', '.join(values)}]"


def span(value: Any) -> Span:
    return Span(*value) if isinstance(value, list) else Span(value, value, value)
