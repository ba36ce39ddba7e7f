"""A host's pCPUs over some ms: who has each of them, where the time of the vCPUs goes, and how long wake-ups wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.cpu import ScheduleTrace, WaitTimes
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, model_style, place_style, write

#: pCPUs that are drawn, and the time that is.
ROWS, WINDOW_NS = 8, 20_000_000
#: The parts of each bar, with the place whose colour they have; "" is left empty.
BARS: Mapping[str, Mapping[str, str]] = {
    "mean": {"run": "guest", "steal": "kvm", "idle": ""},
    "worst": {"run": "guest", "steal": "kvm", "idle": ""},
    "pcpus": {"run": "guest", "emulators": "qemu", "idle": ""},
}
#: Ends of the axis of waits, and the quantiles that are marked, by the share of waits beyond them.
LEAST_NS, MOST_NS, LEAST_SHARE = 1e3, 1e10, 1e-4
QUANTILES = {"p50": 0.5, "p99": 0.01, "p999": 0.001}
_LEAST_NS = WINDOW_NS // 900  # an emulator's burst is drawn a pixel wide at least
_HEIGHT = {"guest": 0.56, "qemu": 0.84}  # of a row; the emulator is taller, for print in grey


@dataclass(frozen=True)
class ScheduleResult:
    """``shares`` by bar and part, each bar 1 in all; ``trace`` holds the run and who ran where in the window."""

    trace: ScheduleTrace
    shares: Mapping[str, Mapping[str, float]]

    @property
    def quantiles_ns(self) -> dict[str, float]:
        """Waits of the vCPUs from wake-up to running; NaN where none woke up."""
        return {key: self.trace.schedule.waits.quantile_ns(1 - beyond) for key, beyond in QUANTILES.items()}


class SchedulePicture(Picture[ScheduleResult]):
    """Above: the pCPUs. Below: shares of the time, and the tail of the waits."""

    size_px = (1040, 640)

    def build(self) -> Sequence[Artist]:
        return [*self._chart(), *self._bars(), *self._tail()]

    def _chart(self) -> list[Artist]:
        look = self.look
        axes = self.figure.add_axes((0.075, 0.6, 0.905, 0.325))
        dress(axes, look, title=words("schedule_lab.chart"))
        axes.set(xlim=(0, WINDOW_NS), ylim=(ROWS - 0.4, -0.6), yticks=range(ROWS))
        ticks = range(0, WINDOW_NS + 1, 5_000_000)
        axes.set_xticks(ticks, [show(ns, "ns") if ns else "0" for ns in ticks])
        axes.get_xticklabels()[-1].set_horizontalalignment("right")
        axes.set_yticklabels([""] * ROWS)
        self._names = [write(axes, look, -WINDOW_NS / 150, y, "", ha="right") for y in range(ROWS)]
        self._note = write(axes, look, WINDOW_NS, -1.25, "", SIZE["note"], ha="right")
        self._threads = {place: PolyCollection([], facecolors=look.place[place], edgecolors=look.paper,
                                               linewidths=width, antialiaseds=False)
                         for place, width in (("guest", 0.5), ("qemu", 0))}  # fmt: skip
        for threads in self._threads.values():
            axes.add_collection(threads)
        handles = [Patch(facecolor=look.place[place]) for place in _HEIGHT]
        names = [words(f"schedule_lab.thread.{place}") for place in _HEIGHT]
        legend(axes, look, handles, names, loc="upper left", bbox_to_anchor=(-0.01, -0.08), ncols=2)
        return [*self._threads.values(), *self._names, self._note]

    def _bars(self) -> list[Artist]:
        look = self.look
        axes = self.figure.add_axes((0.165, 0.165, 0.285, 0.235))
        dress(axes, look, title=words("schedule_lab.bars"), x=words("schedule_lab.bars_x"))
        axes.set(xlim=(0, 1), ylim=(len(BARS) - 0.4, -0.6), yticks=[])
        axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        parts: dict[tuple[str, str], Any] = {}
        self._values, self._ghosts = {}, {}
        for y, (bar, of) in enumerate(BARS.items()):
            write(axes, look, -0.03, y, words(f"schedule_lab.bar.{bar}"), SIZE["note"], ha="right")
            for part, place in of.items():
                style: dict[str, Any] = {"facecolor": "none", "edgecolor": look.faint}
                if place:
                    style = place_style(look, place) | {"gid": CUT}
                parts[bar, part] = box(axes, 0, y - 0.3, 0, 0.6, **style)
            ghost = ghost_style(look)
            self._ghosts[bar] = axes.plot([0, 0], [y - 0.42, y + 0.42], **ghost)[0]
            self._values[bar] = write(axes, look, 1.02, y, "", SIZE["note"])
        self._parts = parts
        handles: list[Artist] = [Patch(**place_style(look, place)) for place in ("guest", "kvm", "qemu")]
        handles += [Patch(facecolor="none", edgecolor=look.faint), Line2D([], [], **ghost_style(look))]
        names = [words(f"schedule_lab.part.{part}") for part in ("run", "steal", "emulators", "idle")]
        names.append(words("lab.kept"))
        legend(axes, look, handles, names, loc="upper left", bbox_to_anchor=(-0.59, -0.32), ncols=5,
               columnspacing=1.0, handlelength=1.4)  # fmt: skip
        return [*parts.values(), *self._ghosts.values(), *self._values.values()]

    def _tail(self) -> list[Artist]:
        look = self.look
        axes = self.figure.add_axes((0.645, 0.165, 0.325, 0.235))
        dress(axes, look, title=words("schedule_lab.tail"), grid="both")
        axes.set(xscale="log", yscale="log", xlim=(LEAST_NS, MOST_NS), ylim=(0.8 * LEAST_SHARE, 1.4))
        axes.set_xticks([10.0**k for k in range(3, 11)], ["1 µs", "10", "100", "1 ms", "10", "100", "1 s", "10"])
        axes.set_yticks([1, 0.1, 0.01, 1e-3, 1e-4], ["all", "10 %", "1 %", "0.1 %", "0.01 %"])
        axes.minorticks_off()
        axes.tick_params(axis="x", pad=9)
        kinds = {"vcpus": model_style(look), "emulators": model_style(look, linestyle=":"), "kept": ghost_style(look)}
        self._lines = {key: axes.plot([], [], **style)[0] for key, style in kinds.items()}
        self._marks = axes.plot([], [], "o", color=look.ink, markersize=7)[0]
        self._notes = {key: axes.text(LEAST_NS, beyond, "", fontsize=SIZE["note"], color=look.ink, va="bottom")
                       for key, beyond in QUANTILES.items()}  # fmt: skip
        self._none = write(axes, look, 10**6, 0.01, "", ha="center")
        names = [words(f"schedule_lab.line.{key}") for key in ("vcpus", "emulators")] + [words("lab.kept")]
        legend(axes, look, [Line2D([], [], **style) for style in kinds.values()], names, loc="upper right",
               bbox_to_anchor=(1.02, -0.14), ncols=3, columnspacing=1.0, handlelength=1.6)  # fmt: skip
        return [*self._lines.values(), self._marks, *self._notes.values(), self._none]

    def show(self, result: ScheduleResult, kept: ScheduleResult | None = None, prediction: Any = None) -> None:
        self._show_chart(result)
        for bar, of in BARS.items():
            at = 0.0
            for part in of:
                self._parts[bar, part].set_x(at)
                self._parts[bar, part].set_width(result.shares[bar][part])
                self._parts[bar, part].set_visible(result.shares[bar][part] > 0)
                at += result.shares[bar][part]
            part = "idle" if bar == "pcpus" else "steal"
            share = show(round(result.shares[bar][part], 4), "%", 2)
            self._values[bar].set_text(say(f"schedule_lab.value.{part}", share=share))
            self._ghosts[bar].set_visible(kept is not None)
            if kept is not None:
                self._ghosts[bar].set_xdata([1 - kept.shares[bar]["idle"]] * 2)
        run = result.trace.schedule
        for key, times in (("vcpus", run.waits), ("emulators", run.emulator_waits),
                           ("kept", kept.trace.schedule.waits if kept else None)):  # fmt: skip
            self._lines[key].set_data(*tail(times))
        quantiles = [max(LEAST_NS, ns) for ns in result.quantiles_ns.values()]
        self._marks.set_data(quantiles, list(QUANTILES.values()))
        self._marks.set_visible(run.waits.count > 0)
        for (key, note), ns, at in zip(self._notes.items(), result.quantiles_ns.values(), quantiles, strict=True):
            text = say(f"schedule_lab.quantile.{key}", time=show(ns, "ns", 2)) if run.waits.count else ""
            far = at > 1e8  # then there is room on the other side only
            note.set(text=text, x=at / 1.4 if far else at * 1.4, ha="right" if far else "left",
                     va="top" if far else "bottom")  # fmt: skip
        self._none.set_text("" if run.waits.count or run.emulator_waits.count else words("schedule_lab.no_waits"))

    def _show_chart(self, result: ScheduleResult) -> None:
        trace = result.trace
        o = trace.schedule.options
        bars: dict[str, list[list[tuple[float, float]]]] = {place: [] for place in _HEIGHT}
        for pcpu, thread, start, end in trace.intervals:
            if pcpu < ROWS:
                place = "guest" if thread < o.vcpus else "qemu"
                low, high = pcpu - _HEIGHT[place] / 2, pcpu + _HEIGHT[place] / 2
                x = start - trace.start_ns
                y = max(end - trace.start_ns, x + (_LEAST_NS if place == "qemu" else 0))
                bars[place].append([(x, low), (y, low), (y, high), (x, high)])
        for place, threads in self._threads.items():
            threads.set_verts(bars[place])
        for k, name in enumerate(self._names):
            key = "reserved" if k < o.reserved_pcpus else "pcpu"
            name.set_text(say(f"schedule_lab.row.{key}", n=k) if k < o.pcpus else "")
        more = o.pcpus > ROWS
        self._note.set_text(say("schedule_lab.more", rows=ROWS, pcpus=o.pcpus) if more else "")


def tail(times: WaitTimes | None) -> tuple[Any, Any]:
    """Times (ns) and the share of waits beyond each, within the axes; empty where there are none."""
    if times is None or not times.count:
        return [], []
    at, below = times.curve()
    times_ns = np.repeat(at, 2)
    beyond = np.repeat(np.concatenate(([1.0], 1 - below)), 2)[1:-1]
    return np.clip(times_ns, LEAST_NS, MOST_NS), np.clip(beyond, 0.8 * LEAST_SHARE, 1)
