"""What a dirty log costs over the rate of writes, and over time how many pages are dirty and how many are split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, dress, ghost_style, model_style
from virtlab.memory import DirtyLog

Floats = NDArray[np.float64]
#: Pages written a second, from left to right of the costs: 20 a decade.
RATES: Floats = np.logspace(3, 7, 81)
#: Seconds since logging began, from left to right of the other two: 20 a decade.
TIMES_S: Floats = np.logspace(-3, 3, 121)
LOGS = ("write-protect", "pml", "ring")
SPLITS = ("start", "clear", "fault")
EXITS, SHARES = (0.3, 3e7), (1e-6, 30.0)
_GAP = 0.105  # of an axes' height: the least distance between two names


@dataclass(frozen=True)
class DirtyLogResult:
    """One interval of a log; each log's exits and share over ``RATES``, dirty and split shares over ``TIMES_S``."""

    log: DirtyLog
    exits_per_s: Mapping[str, Floats]
    vcpu_share: Mapping[str, Floats]
    dirty_share: Floats
    split_share: Mapping[str, Floats]


class DirtyLogPicture(Picture[DirtyLogResult]):
    """Left: exits and their share of the vCPU, for three logs. Right: dirty pages and split memory over time."""

    size_px = (1040, 680)

    def build(self) -> Sequence[Artist]:
        look = self.look
        exits = self._axes(0.075, 0.6, "exits_title", xlim=(RATES[0], RATES[-1]), yscale="log", ylim=EXITS)
        exits.set_yticks([1, 1e3, 1e6], ["1/s", "1 k/s", "1 M/s"])
        share = self._axes(0.075, 0.17, "share_title", xlim=(RATES[0], RATES[-1]), yscale="log", ylim=SHARES)
        share.set_yticks([1e-4, 1e-2, 1], ["0.01 %", "1 %", "100 %"])
        share.axhline(1, color=look.faint, linewidth=1.6)
        dirty = self._axes(0.6, 0.6, "dirty_title", xlim=(TIMES_S[0], TIMES_S[-1]), ylim=(0, 1.08))
        split = self._axes(0.6, 0.17, "split_title", xlim=(TIMES_S[0], TIMES_S[-1]), ylim=(-0.03, 1.08))
        for axes in (dirty, split):
            axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        for axes, key in ((share, "rate"), (split, "time")):
            axes.set_xlabel(words(f"dirty_log.{key}"), fontsize=SIZE["label"], color=look.ink)
        for axes in (exits, share):
            axes.set_xticks([1e3, 1e4, 1e5, 1e6, 1e7], ["1 k", "10 k", "100 k", "1 M", "10 M"])
        for axes in (dirty, split):
            axes.set_xticks([1e-3, 1e-2, 0.1, 1, 10, 100, 1e3],
                            ["1 ms", "", "0.1 s", "", "10 s", "", "1000 s"])  # fmt: skip
        for axes in (exits, dirty):
            axes.set_xticklabels([""] * len(axes.get_xticks()))
        for axes in (exits, share, dirty, split):
            axes.minorticks_off()

        self._here = [a.plot([1, 1], a.get_ylim(), color=look.faint, linewidth=1.6)[0]
                      for a in (exits, share, dirty, split)]  # fmt: skip
        self._ghosts = [a.plot([], [], **ghost_style(look))[0] for a in (exits, share, dirty, split)]
        self._ghosts[-1].set_drawstyle("steps-post")
        panels = {"exits": (exits, LOGS), "share": (share, LOGS), "split": (split, SPLITS), "dirty": (dirty, ())}
        steps = {"split": "steps-post"}
        self._lines = {
            (name, key): axes.plot([], [], drawstyle=steps.get(name, "default"), **self._quiet())[0]
            for name, (axes, keys) in panels.items() for key in keys
        }  # fmt: skip
        self._chosen = {
            name: axes.plot([], [], **model_style(look, drawstyle=steps.get(name, "default")))[0]
            for name, (axes, _) in panels.items()
        }  # fmt: skip
        self._dots = [a.plot([1], [1], "o", color=look.ink, markersize=10, clip_on=False)[0]
                      for a in (exits, share, dirty, split)]  # fmt: skip
        self._names = {
            (name, key): axes.text(1.035, 0, "", transform=axes.transAxes, va="center", fontsize=SIZE["note"])
            for name, (axes, keys) in panels.items() for key in keys
        }  # fmt: skip
        note: dict[str, Any] = {"fontsize": SIZE["tick"], "color": look.ink, "va": "center"}
        self._notes = {
            name: self.figure.text(x, y, "", **note)
            for name, x, y in (("exits", 0.02, 0.915), ("share", 0.02, 0.487), ("dirty", 0.548, 0.915),
                               ("split", 0.548, 0.487), ("reach", 0.548, 0.042))
        }  # fmt: skip
        handles = [Line2D([], [], **model_style(look)), Line2D([], [], **self._quiet()),
                   Line2D([], [], color=look.ink, marker="o", linestyle="", markersize=10),
                   Line2D([], [], **ghost_style(look))]  # fmt: skip
        names = [words(f"dirty_log.{key}") for key in ("chosen", "others", "here")] + [words("lab.kept")]
        self.figure.legend(handles, names, loc="center left", bbox_to_anchor=(0.0, 0.045), ncols=2, frameon=False,
                           fontsize=SIZE["note"], labelcolor=look.ink, columnspacing=1.2, handlelength=1.5)  # fmt: skip
        return [*self._here, *self._lines.values(), *self._ghosts, *self._chosen.values(), *self._dots,
                *self._names.values(), *self._notes.values()]  # fmt: skip

    def _axes(self, left: float, bottom: float, title: str, **limits: Any) -> Axes:
        axes = self.figure.add_axes((left, bottom, 0.33 if left < 0.5 else 0.285, 0.27))
        dress(axes, self.look, grid="both")
        xlim = limits.pop("xlim")
        axes.set(xscale="log", xlim=xlim, **limits)
        at = {0.6: 0.957, 0.17: 0.53}[bottom]
        self.figure.text(0.02 if left < 0.5 else 0.548, at, words(f"dirty_log.{title}"), fontsize=SIZE["title"],
                         color=self.look.ink, va="center")  # fmt: skip
        return axes

    def _quiet(self) -> dict[str, Any]:
        return {"color": self.look.faint, "linewidth": 1.4, "linestyle": "-"}

    def show(self, result: DirtyLogResult, kept: DirtyLogResult | None = None, prediction: Any = None) -> None:
        log, o = result.log, result.log.options
        curves = _curves(result)
        chosen = {"exits": o.log, "share": o.log, "split": o.split, "dirty": ""}
        for name, line in self._chosen.items():
            x, y, limits = curves[name, chosen[name]]
            line.set_data(x, np.clip(y, *limits))
        ends = {}
        for (name, key), line in self._lines.items():
            x, y, limits = curves[name, key]
            line.set_data(x, np.clip(y, *limits))
            ends[name, key] = _height(float(np.clip(y[-1], *limits)), limits, log=name != "split")
            text = self._names[name, key]
            text.set_text(words(f"dirty_log.{'split_name' if name == 'split' else 'log'}.{key}"))
            text.set_color(self.look.ink if key == chosen[name] else self.look.faint)
        for name in ("exits", "share", "split"):
            own = {k: v for k, v in ends.items() if k[0] == name}
            for key, height in _apart(own).items():
                self._names[key].set_y(height)
        small = log.split_entries / o.pages if o.page != "4K" else 1.0
        spots: tuple[tuple[float, float, tuple[float, float]], ...] = (
            (o.write_rate_per_s, log.exits_per_s, EXITS), (o.write_rate_per_s, log.vcpu_share, SHARES),
            (o.clear_s, log.unique_pages / o.hot_pages, (0, 1)), (o.clear_s, small, (0, 1)),
        )  # fmt: skip
        for line, dot, (at, value, ends_at) in zip(self._here, self._dots, spots, strict=True):
            line.set_xdata([at, at])
            dot.set_data([at], [min(max(value, ends_at[0]), ends_at[1])])
        for ghost in self._ghosts:
            ghost.set_visible(kept is not None)
        if kept is not None:
            old, was = _curves(kept), kept.log.options
            keys = (("exits", was.log), ("share", was.log), ("dirty", ""), ("split", was.split))
            for ghost, which in zip(self._ghosts, keys, strict=True):
                ghost.set_data(old[which][0], np.clip(old[which][1], *old[which][2]))
        self._write(result)

    def _write(self, result: DirtyLogResult) -> None:
        log, o = result.log, result.log.options
        reach = "reach" if o.page != "4K" else "reach_small"
        notes = {
            "exits": say("dirty_log.exits_note", exits=number(log.exits_per_s)),
            "share": say("dirty_log.share_note", share=show(log.vcpu_share, "%")),
            "dirty": say("dirty_log.dirty_note", dirty=number(round(log.unique_pages), 12),
                         hot=number(round(o.hot_pages), 12)),
            "split": say("dirty_log.split_note", entries=number(round(log.split_entries), 12)),
            "reach": say(f"dirty_log.{reach}", before=show(log.reach_before_bytes, "B"),
                         after=show(log.reach_after_bytes, "B")),
        }  # fmt: skip
        for name, text in notes.items():
            self._notes[name].set_text(text)


def _curves(result: DirtyLogResult) -> dict[tuple[str, str], tuple[Floats, Floats, tuple[float, float]]]:
    """The lines of a result by panel and choice: x, y and the ends of the axis."""
    lines = {("dirty", ""): (TIMES_S, result.dirty_share, (0.0, 1.0))}
    for key in LOGS:
        lines["exits", key] = (RATES, result.exits_per_s[key], EXITS)
        lines["share", key] = (RATES, result.vcpu_share[key], SHARES)
    for key in SPLITS:
        lines["split", key] = (TIMES_S, result.split_share[key], (0.0, 1.0))
    return lines


def _height(value: float, limits: tuple[float, float], *, log: bool) -> float:
    """Where a value lies on its axis, 0 to 1."""
    if log:
        low, high = np.log10(limits)
        return float((np.log10(value) - low) / (high - low))
    return (value + 0.03) / 1.11


def _apart(heights: Mapping[Any, float]) -> dict[Any, float]:
    """The same heights with a line's distance between them, as near as can be, none above the top."""
    order = sorted(heights, key=lambda key: heights[key])
    placed: dict[Any, float] = {}
    low = 0.04  # clear of the tick label below
    for key in order:
        placed[key] = low = max(heights[key], low)
        low += _GAP
    high = 0.99
    for key in reversed(order):
        placed[key] = high = min(placed[key], high)
        high -= _GAP
    return placed
