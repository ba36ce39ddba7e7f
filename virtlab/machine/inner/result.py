"""What the KVM within counted: a record that prints itself, and the recording that comes with the course."""

from __future__ import annotations

import functools
import itertools
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable

from virtlab.core.counts import Counts
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.machine.inner.experiments import EXPERIMENTS, RUNS
from virtlab.machine.inner.protocol import PREFIX, Phase, parse

_LONGEST = 1 << 16  # characters of a recording: four times what it has
# A host's timer interrupts a guest when it will: another computer may count more or fewer of these.
_VARIES = "exits.interrupt"
_HALT = "kvm.halt_"


@dataclass(frozen=True)
class Facts:
    """What counted, and when: the kernel with its KVM, QEMU, the date, and the parameters of the module kvm."""

    kernel: str
    qemu: str
    date: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Polling:
    """KVM's polling for one halted vCPU, wait by wait: whether it was enough, and how long KVM polls the next time.

    ``interval_ns`` is a setting that KVM adapts by itself, not a time that somebody measured.
    """

    enough: tuple[bool, ...]
    interval_ns: tuple[int, ...]

    def __str__(self) -> str:
        """The intervals in turn, "10 µs, 20 µs, 40 µs, 7 × 80 µs"."""
        turns = ((show(ns, "ns") if ns else "0", len(list(same))) for ns, same in itertools.groupby(self.interval_ns))
        return ", ".join(f"{n} × {text}" if n > 1 else text for text, n in turns)


@dataclass(frozen=True, repr=False)
class InnerKvm(Shown):
    """Counts by run, as Linux's own KVM traced them. Prints as a table of all runs; ``counts["pio"]`` is one record.

    ``interrupts`` are exits by an interrupt of the host: they stand in ``counts`` only where the run is about them.
    ``statistics`` are KVM's own counters of events (KVM_GET_STATS_FD), another witness of the same runs; ``polling``
    has the runs in which the guest halted and KVM polled; ``carriers`` has the frames of a run by who wrote them to
    the tap device: QEMU, or the kernel's vhost worker.
    """

    counts: Mapping[str, Counts]
    interrupts: Mapping[str, int]
    statistics: Mapping[str, Mapping[str, int]]
    polling: Mapping[str, Polling]
    carriers: Mapping[str, Mapping[str, int]]
    facts: Facts
    live: bool
    #: Why it is a recording: what this computer has not got.
    missing: str = ""

    @property
    def recorded(self) -> bool:
        return not self.live

    @property
    def label(self) -> str:
        """What counted this: this computer now, or another one once, and why."""
        said = say(f"inner_kvm.label.{'live' if self.live else 'recorded'}", kernel=self.facts.kernel,
                   qemu=self.facts.qemu, date=self.facts.date)  # fmt: skip
        return f"{said} {self.missing}".rstrip()

    def only(self, experiments: Iterable[str]) -> InnerKvm:
        """The same record with the runs of these experiments alone. Raises KeyError for one that there is not."""
        runs = [run.id for name in experiments for run in EXPERIMENTS[name].runs]
        return replace(
            self, counts={r: self.counts[r] for r in runs}, interrupts={r: self.interrupts[r] for r in runs},
            statistics={r: self.statistics[r] for r in runs},
            polling={r: self.polling[r] for r in runs if r in self.polling},
            carriers={r: self.carriers[r] for r in runs if r in self.carriers},
        )  # fmt: skip

    def table(self) -> Table:
        rows = [self._row(run, counts) for run, counts in self.counts.items()]
        return Table.of(words("inner_kvm.header"), rows, f"{self.label} {words('inner_kvm.reading')}", (2, 3))

    def _row(self, run: str, counts: Counts) -> tuple[str, ...]:
        unknown = str(words("counter.unknown"))
        exits = {k.removeprefix("exits."): n for k, n in counts.values.items() if k.startswith("exits.") and n}
        also = [str(self.polling[run])] if run in self.polling else []
        if "kvm.dirty_pages" in counts.values:
            also.append(say("inner_kvm.dirty", pages=number(counts["kvm.dirty_pages"], 6)))
        also += [say("inner_kvm.frames", n=number(n, 6), who=who) for who, n in self.carriers.get(run, {}).items()]
        return (
            counts.title,
            " + ".join(f"{number(n, 6)} {reason}" for reason, n in exits.items()) or unknown,
            *(number(counts[k], 6) if k in counts.values else unknown for k in ("userspace_returns", "signals")),
            "; ".join(also) or unknown,
        )


def read(console: Iterable[str], experiments: Iterable[str], facts: Facts, live: bool, missing: str = "") -> InnerKvm:
    """The record of what the monitor printed about these experiments. Raises MachineError where that is damaged."""
    wanted = {name: [run.id for run in EXPERIMENTS[name].runs] for name in experiments}
    report = parse(console, wanted)
    phases = {run: phase for runs in report.experiments.values() for run, phase in runs.items()}
    return InnerKvm(
        counts={run: _counts(run, phase) for run, phase in phases.items()},
        interrupts={run: phase.counts.get(_VARIES, 0) for run, phase in phases.items()},
        statistics={run: _scope("kvm.", phase) for run, phase in phases.items()},
        polling={run: Polling(tuple(map(bool, phase.lists["polled"])), phase.lists["halt_poll_ns"])
                 for run, phase in phases.items() if phase.lists.keys() == {"polled", "halt_poll_ns"}},
        carriers={run: frames for run, phase in phases.items() if (frames := _scope("frames.", phase))},
        facts=replace(facts, parameters=report.parameters), live=live, missing=missing,
    )  # fmt: skip


def _scope(scope: str, phase: Phase) -> dict[str, int]:
    return {key.removeprefix(scope): n for key, n in phase.counts.items() if key.startswith(scope)}


def _counts(run: str, phase: Phase) -> Counts:
    """A run's counters: exits and returns by reason, signals; of KVM's own, those that the run is about.

    Every exit is traced, so a reason that did not come is known to be none: it is 0 if a comparable run has it.
    """
    about = RUNS[run]
    told = {key if key.startswith("exits.") else key.lower(): n for key, n in phase.counts.items()}
    values: dict[str, float] = {}
    if any(key.startswith("exits.") for key in told):
        comparable = {key: 0 for other in RUNS.values() if other.unit == about.unit for key in other.law}
        if _VARIES not in about.law:
            told.pop(_VARIES, None)
            comparable.pop(_VARIES, None)
        for scope in ("exits.", "userspace.", "signals"):
            counted = {key: n for key, n in {**comparable, **told}.items() if key.startswith(scope)}
            values |= dict(sorted(counted.items(), key=lambda item: -item[1]))
            if scope == "exits.":
                values["userspace_returns"] = sum(n for key, n in told.items() if key.startswith("userspace."))
    halting = any(key.startswith(_HALT) for key in about.law)
    values |= {key: n for key, n in told.items() if key in about.law or (halting and key.startswith(_HALT))}
    return Counts(about.title, values, about.work, about.unit)


def recording(facts: Facts, console: Iterable[str]) -> str:
    """A file that :func:`load` reads: the facts, and what the monitor printed, as it stands."""
    entries = [f"{key} = {json.dumps(getattr(facts, key))}" for key in ("kernel", "qemu", "date")]
    lines = [line for line in console if line.startswith(PREFIX)]
    return "\n".join([*entries, "console = '''", *lines, "'''", ""])


def load(file: Traversable) -> InnerKvm:
    """Reads what :func:`recording` wrote. Raises ValueError, TypeError, OSError or MachineError for a damaged file."""
    with file.open(encoding="utf-8") as stream:
        text = stream.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise ValueError(f"a recording has at most {_LONGEST} characters")
    tree = tomllib.loads(text)
    if tree.keys() != {"kernel", "qemu", "date", "console"} or not all(type(value) is str for value in tree.values()):
        raise ValueError("a recording has the texts kernel, qemu, date and console")
    console = tree.pop("console").splitlines()
    return read(console, EXPERIMENTS, Facts(**tree, parameters={}), live=False)


@functools.cache
def recorded_inner_kvm() -> InnerKvm:
    """The counts that come with the course, for a computer that cannot run the experiments."""
    return load(resources.files("virtlab.machine") / "data" / "recorded_inner_kvm.toml")
