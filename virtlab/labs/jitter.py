"""The jitter lab: what neighbours on the same CPU and on the next one cost on the reader's computer, beside the law."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.jitter import GROUPS, JitterPicture, JitterPictureResult, Span
from virtlab.labs.measuring import MeasuringLab
from virtlab.machine import (
    Jitter,
    Measured,
    Quantity,
    measure_jitter,
    measure_rivals,
    measure_switches,
    measure_waiting,
    recorded_jitter,
    recorded_rivals,
    recorded_switches,
    recorded_waiting,
)
from virtlab.machine.gaps import EDGES_NS, LOST_NS

#: The law: of m processes that always want one CPU, each waits 1 - 1/m of the time. One a CPU, and two.
_LAW = {"wait_two_cpus": 0.0, "wait_one_cpu": 0.5, "lost_rival": 0.5}
_TIMES = {key: (key.replace("slower", "alone"), key.replace("slower", "beside")) for key in GROUPS["slower"]}


class JitterSetting(Parameters):
    """What the law takes the scheduler's slice for. The measurement does not depend on it."""

    slice_ns: float = parameter(FACTS["sched.slice"], ge=100_000, le=100_000_000, log=True)


@dataclass(frozen=True)
class Neighbours:
    """Four measurements of one computer. ``neighbours["lost_rival"]`` finds a quantity of any of them."""

    jitter: Jitter
    waiting: Measured
    rivals: Measured
    switches: Measured

    def __getitem__(self, key: str) -> Quantity:
        for measured in (self.jitter, self.waiting, self.rivals):
            if any(q.id == key for q in measured.quantities):
                return measured[key]
        return self.switches[key]

    def label(self) -> str:
        """Where and when; what was measured on another day says so."""
        date = self.jitter.facts.date
        others = {name: getattr(self, name).facts.date for name in ("waiting", "rivals", "switches")}
        parts = [say("jitter.also_part", title=words(f"jitter.parts.{name}"), date=day)
                 for name, day in others.items() if day != date]  # fmt: skip
        label = self.jitter.label()
        return say("jitter.also", label=label, parts=", ".join(parts)) if parts else label

    def _repr_html_(self) -> str:
        return "".join(m._repr_html_() for m in (self.jitter, self.waiting, self.rivals, self.switches))


def published() -> dict[str, Span]:
    """What others measured of the same: a switch through a pipe, and DRAM under a full load of reads over idle."""
    pipe, idle, loaded = (FACTS[key] for key in ("io.context_switch.pipe", "cpu.clx.dram.local", "cpu.clx.dram.loaded"))
    ratio = loaded.value / idle.value
    return {"switch_one_cpu": (pipe.value, pipe.low, pipe.high), "slower_256m": (ratio, ratio, ratio)}


@functools.cache
def _recorded() -> Neighbours:
    return Neighbours(recorded_jitter(), recorded_waiting(), recorded_rivals(), recorded_switches())


class _Picture(JitterPicture):
    lost_ns = LOST_NS


class JitterLab(MeasuringLab):
    """Gaps of a busy loop, waiting, a gather beside a stream, context switches. It opens with recorded measurements;
    ``measure()`` asks this computer."""

    Setting = JitterSetting
    Picture = _Picture
    visible = ("slice_ns",)

    button_help, seconds = "jitter.button_help", 6.0

    def record(self) -> Neighbours:
        return _recorded()

    def ask(self, seconds: float) -> Neighbours:
        part = max(seconds / 4, 0.05)
        switches, rivals, jitter = measure_switches(part), measure_rivals(part), measure_jitter(part)
        return Neighbours(jitter, measure_waiting(part), rivals, switches)

    def solve(self, setting: JitterSetting) -> JitterPictureResult:
        here: Neighbours = self.measured
        rows = {key: _span(here[key]) for keys in GROUPS.values() for key in keys}
        low, high = (us * 1e3 for us in (FACTS["jitter.oslat.max"].low, FACTS["jitter.oslat.max"].high))
        return JitterPictureResult(
            edges_ns=EDGES_NS,
            gaps={g.place: g.per_s() for g in here.jitter.gaps},
            said={place: _said(here, place) for place in ("alone", "rival")},
            rows=rows,
            texts={key: _text(here, key) for key in rows},
            law=_LAW,
            published=published(),
            longest_ns=((low * high) ** 0.5, low, high),
            gap_ns=setting.slice_ns,
            gaps_per_s=1e9 / (2 * setting.slice_ns),
            label=here.label(),
            live=here.jitter.origin == "now",
        )

    def sentence(self, setting: JitterSetting, result: JitterPictureResult) -> str:
        parts = []
        for key, lines in result.texts.items():
            text = " ".join(line for line in lines if line)
            title = words(f"jitter.said.{key}")
            if key in result.law:
                parts.append(say("jitter.part_law", title=title, here=text, law=show(result.law[key], "share")))
            elif key in result.published:
                value = result.published[key][0]
                known = show(value, "ns") if key.startswith("switch") else number(value)
                said = say(f"jitter.published.{key}", value=known)
                parts.append(say("jitter.part_published", title=title, here=text, published=said))
            else:
                parts.append(say("jitter.part", title=title, here=text))
        loops = {place: "; ".join(line for line in lines if line) for place, lines in result.said.items()}
        _, low, high = result.longest_ns
        return say(
            "jitter.sentence", label=result.label, **loops, slice=show(setting.slice_ns, "ns"),
            rate=show(result.gaps_per_s, "1/s"), low=show(low, "ns"), high=show(high, "ns"), parts="; ".join(parts),
        )  # fmt: skip


def _span(q: Quantity) -> Span | None:
    return (q.value, q.low, q.high) if q.present else None


def _said(here: Neighbours, place: str) -> tuple[str, str]:
    """The percentiles of a loop, and its longest gap and what it lost."""
    of = {key: here[f"gap_{key}_{place}"] for key in ("p50", "p99", "p999", "longest")}
    lost = here[f"lost_{place}"]
    if not lost.present:
        return str(words("machine.missing")), ""
    times = {key: show(q.value, "ns", 2) for key, q in of.items()}
    return say("jitter.percentiles", **times), say("jitter.lost", lost=show(lost.value, "share", 2), **times)


def _text(here: Neighbours, key: str) -> tuple[str, str]:
    """A row's number; and the two times of a ratio, or the spread of another."""
    q = here[key]
    if not q.present:
        return str(words("machine.missing")), ""
    if key in _TIMES:
        first, second = (show(here[name].value, "ns", 2) for name in _TIMES[key])
        return number(q.value), say("jitter.times", first=first, second=second)
    low, high = (show(value, q.unit, 2) for value in (q.low, q.high))
    return show(q.value, q.unit, 2), say("jitter.range", low=low, high=high)
