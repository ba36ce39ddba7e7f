"""Virtual functions as vessels on one link, the water line between them, and the small one's latency by scheduler."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.migration import nice
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, place_style, write
from virtlab.offload import SCHEDULERS, Slices

MOST = 32
_TICKS = 5
#: Ends of the axis of latencies, ns.
LEAST_NS, MOST_NS = 1.0, 1e9
_GAP = 0.06  # on each side of a vessel, in parts of a weight of 1


@dataclass(frozen=True)
class SliceResult:
    """The link under the chosen scheduler, and under each."""

    chosen: Slices
    each: Mapping[str, Slices]


def vessels(found: Slices) -> tuple[tuple[float, float, float], ...]:
    """Left end, width and height of each VF: as wide as its weight in all, as high as its rate for a weight of 1."""
    weights, at, ends = found.options.weights, 0.0, []
    total = sum(weights)
    for weight, share in zip(weights, found.shares_gbit_per_s, strict=True):
        ends.append(((at + _GAP) / total, (weight - 2 * _GAP) / total, share / weight))
        at += weight
    return tuple(ends)


def top_of(*results: Slices) -> float:
    """The end of the axis of heights: all vessels and the water fit below it."""
    heights = [height for found in results for *_, height in vessels(found)]
    heights += [found.water_gbit_per_s for found in results if math.isfinite(found.water_gbit_per_s)]
    return nice(max(heights) * 1.06)


class SlicePicture(Picture[SliceResult]):
    """Vessels above, latencies of the small VF under all five schedulers below."""

    size_px = (1040, 700)

    def build(self) -> Sequence[Artist]:
        look = self.look
        self._axes = axes = self.figure.add_axes((0.1, 0.535, 0.875, 0.315))
        dress(axes, look, x=words("slices.picture.x"), y=words("slices.picture.y"), grid="y")
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[k / _TICKS for k in range(_TICKS + 1)])
        axes.set_yticklabels([""] * (_TICKS + 1))
        axes.xaxis.set_label_coords(0.5, -0.12)
        axes.yaxis.set_label_coords(-0.075, 0.5)
        self.figure.text(0.015, 0.962, words("slices.picture.title"), fontsize=SIZE["title"], color=look.ink,
                         va="center")  # fmt: skip
        tick: dict[str, Any] = {"fontsize": SIZE["tick"], "color": look.ink}
        self._note = self.figure.text(0.015, 0.905, "", fontsize=SIZE["label"], color=look.ink, va="center")
        self._bars = [box(axes, 0, 0, 0, 0, **place_style(look, "card"), gid=CUT) for _ in range(MOST)]
        self._lids = axes.plot([], [], color=look.ink, linewidth=3.2, solid_capstyle="butt")[0]
        self._water = axes.plot([0, 1], [0, 0], color=look.ink, linewidth=1.8, linestyle=":")[0]
        self._ghost = axes.plot([], [], **ghost_style(look))[0]
        self._scale = [axes.text(-0.01, k / _TICKS, "", ha="right", va="center", **tick) for k in range(_TICKS + 1)]
        self._names = [axes.text(0, -0.025, "", ha="center", va="top", **tick) for _ in range(3)]
        return [*self._bars, self._ghost, self._water, self._lids, self._note, *self._scale, *self._names,
                *self._latencies()]  # fmt: skip

    def _latencies(self) -> list[Artist]:
        look = self.look
        self._below = axes = self.figure.add_axes((0.265, 0.165, 0.71, 0.21))
        dress(axes, look, x=words("slices.picture.latency"), grid="x")
        axes.set(xlim=(LEAST_NS, MOST_NS), ylim=(-0.6, len(SCHEDULERS) - 0.4), yticks=[], xscale="log")
        axes.invert_yaxis()
        ends = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]
        axes.set_xticks(ends, [show(end, "ns") for end in ends])
        axes.minorticks_off()
        self.figure.text(0.015, 0.425, words("slices.picture.latency_title"), fontsize=SIZE["title"], color=look.ink,
                         va="center")  # fmt: skip
        style = place_style(look, "card")
        self._spans = [box(axes, 1, y - 0.3, 0, 0.6, **style, gid=CUT) for y in range(len(SCHEDULERS))]
        self._ends = [write(axes, look, 6e8, y, words("slices.picture.endless"), ha="right")
                      for y in range(len(SCHEDULERS))]  # fmt: skip
        ghost = ghost_style(look)
        self._kept = axes.plot([], [], **ghost)[0]
        self._rows = [self.figure.text(0.255, 0, "", fontsize=SIZE["label"], color=look.ink, ha="right", va="center")
                      for _ in SCHEDULERS]  # fmt: skip
        for y, text in enumerate(self._rows):
            text.set_y(0.165 + 0.21 * (1 - (y + 0.6) / (len(SCHEDULERS) + 0.2)))
        handles: list[Artist] = [
            Line2D([], [], color=look.ink, linewidth=1.8, linestyle=":"), Line2D([], [], color=look.ink, linewidth=3.2),
            Patch(**style), Line2D([], [], **ghost),
        ]  # fmt: skip
        names = [words(f"slices.picture.{key}") for key in ("water", "lid", "span")] + [words("lab.kept")]
        legend(axes, look, handles, names, loc="upper left", bbox_to_anchor=(-0.365, -0.34), ncols=4,
               columnspacing=1.6)  # fmt: skip
        return [*self._spans, *self._ends, self._kept, *self._rows]

    def show(self, result: SliceResult, kept: SliceResult | None = None, prediction: Any = None) -> None:
        chosen = result.chosen
        top = top_of(chosen, *([kept.chosen] if kept else []))
        for k, text in enumerate(self._scale):
            text.set_text(number(top * k / _TICKS))
        drawn = vessels(chosen)
        for bar, (left, width, height) in zip(self._bars, drawn, strict=False):
            bar.set(x=left, width=width, height=height / top)
        for i, bar in enumerate(self._bars):
            bar.set_visible(i < len(drawn) and drawn[i][2] > 0)
        o = chosen.options
        lids = [demand / weight for demand, weight in zip(o.demands, o.weights, strict=True)]
        self._lids.set_data(*_steps([(left, width, lid / top) for (left, width, _), lid in zip(drawn, lids, strict=True)
                                     if lid <= top]))  # fmt: skip
        water = chosen.water_gbit_per_s
        self._water.set_visible(math.isfinite(water))
        self._water.set_ydata([water / top if math.isfinite(water) else 0.0] * 2)
        self._ghost.set_visible(kept is not None)
        if kept:
            old = [(left, width, height / top) for left, width, height in vessels(kept.chosen)]
            self._ghost.set_data(*_outlines(old))
        named = dict.fromkeys((0, 1, len(drawn) - 1))
        for text in self._names:
            text.set_visible(False)
        for text, i in zip(self._names, named, strict=False):
            text.set_visible(True)
            text.set_position((drawn[i][0] + drawn[i][1] / 2, -0.025))
            text.set_text(str(i))
        self._note.set_text(_note(chosen))
        self._show_latencies(result, kept)

    def _show_latencies(self, result: SliceResult, kept: SliceResult | None) -> None:
        for y, scheduler in enumerate(SCHEDULERS):
            found = result.each[scheduler]
            there = found.frames > 0 and not found.starved
            self._spans[y].set_visible(there)
            self._ends[y].set_visible(found.starved)
            if there:
                low, high = _within(found.p50_ns), _within(found.p99_ns)
                self._spans[y].set(x=low, width=max(high - low, 0.12 * low))
            mark = "▶ " if scheduler == result.chosen.options.slice_scheduler else ""
            self._rows[y].set_text(mark + words(f"slices.picture.row.{scheduler}"))
        xs: list[float] = []
        ys: list[float] = []
        for y, scheduler in enumerate(SCHEDULERS if kept else ()):
            assert kept is not None
            found = kept.each[scheduler]
            if found.frames and not found.starved:
                low, high = _within(found.p50_ns), _within(found.p99_ns)
                high = max(high, 1.12 * low)
                xs += [low, low, high, high, low, math.nan]
                ys += [y - 0.42, y + 0.42, y + 0.42, y - 0.42, y - 0.42, math.nan]
        self._kept.set_data(xs, ys)


def _within(ns: float) -> float:
    return min(max(ns, LEAST_NS), MOST_NS)


def _steps(drawn: Sequence[tuple[float, float, float]]) -> tuple[Any, Any]:
    """A flat line across each vessel."""
    xs = [x for left, width, _ in drawn for x in (left, left + width, math.nan)]
    ys = [y for *_, height in drawn for y in (height, height, math.nan)]
    return np.array(xs), np.array(ys)


def _outlines(drawn: Sequence[tuple[float, float, float]]) -> tuple[Any, Any]:
    """The outline of each vessel's filling."""
    xs = [x for left, width, _ in drawn for x in (left, left, left + width, left + width, math.nan)]
    ys = [y for *_, height in drawn for y in (0.0, height, height, 0.0, math.nan)]
    return np.array(xs), np.array(ys)


def _note(found: Slices) -> str:
    """What the small VF, the second and the others get, beside max-min."""
    rates = [(number(share), number(fair))
             for share, fair in zip(found.shares_gbit_per_s[:3], found.fair_gbit_per_s, strict=False)]  # fmt: skip
    parts = [say(f"slices.picture.note.{key}", share=share, fair=fair)
             for key, (share, fair) in zip(("small", "second", "others"), rates, strict=False)]  # fmt: skip
    idle = found.idle_gbit_per_s if found.idle_gbit_per_s > 1e-9 else 0.0
    return " · ".join([*parts, say("slices.picture.note.idle", idle=number(idle))])
