"""The load of each queue and each core, the elephant among them, and what the fullest core lets through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle, StepPatch

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu import Balance
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.migration import nice
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, place_style

_TICKS = 5
#: Bars of a panel, at most.
MOST = 64
#: Of each panel: its left end, and the place that does the work.
_PANELS = {"queue": (0.075, "card"), "core": (0.57, "host")}
_GAP = 0.1  # on each side of a bar


class BalancePicture(Picture[Balance]):
    """Two panels of bars on one scale, and below them what comes before the fullest core is full."""

    size_px = (1040, 640)

    def build(self) -> Sequence[Artist]:
        look = self.look
        self._axes = {key: self._panel(key) for key in _PANELS}
        moving: list[Artist] = []
        tick: dict[str, Any] = {"fontsize": SIZE["tick"], "color": look.ink}
        self._bars: dict[str, list[Rectangle]] = {}
        self._ghosts: dict[str, StepPatch] = {}
        self._elephants, self._means, self._notes, self._ends = {}, {}, {}, {}
        for key, axes in self._axes.items():
            style = place_style(look, _PANELS[key][1])
            self._bars[key] = [box(axes, 0, 0, 0, 0, **style, gid=CUT) for _ in range(MOST)]
            self._ghosts[key] = axes.stairs([1], [0, 1], **ghost_style(look))
            self._elephants[key] = box(axes, 0, 0, 0, 0, facecolor=look.ink, edgecolor=look.paper, linewidth=0.8)
            self._means[key] = axes.plot([0, 1], [0, 0], color=look.ink, linewidth=1.4, linestyle=":")[0]
            self._notes[key] = self.figure.text(_PANELS[key][0] - 0.06, 0.893, "", fontsize=SIZE["label"],
                                                color=look.ink, va="center")  # fmt: skip
            self._ends[key] = [axes.text(0, -0.025, "", ha="center", va="top", **tick) for _ in range(2)]
            moving += [*self._bars[key], self._elephants[key], self._ghosts[key], self._means[key], self._notes[key],
                       *self._ends[key]]  # fmt: skip
        self._shares = [axes.text(-0.015, k / _TICKS, "", ha="right", va="center", **tick)
                        for axes in self._axes.values() for k in range(_TICKS + 1)]  # fmt: skip
        return [*moving, *self._shares, *self._strip()]

    def _panel(self, key: str) -> Axes:
        look, (left, _) = self.look, _PANELS[key]
        axes = self.figure.add_axes((left, 0.42, 0.405, 0.435))
        dress(axes, look, x=words(f"balance.picture.{key}"), grid="y")
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[k / _TICKS for k in range(_TICKS + 1)])
        axes.set_yticklabels([""] * (_TICKS + 1))
        axes.xaxis.set_label_coords(0.5, -0.09)  # below the numbers of the bars
        self.figure.text(left - 0.06, 0.955, words(f"balance.picture.{key}_title"), fontsize=SIZE["title"],
                         color=look.ink, va="center")  # fmt: skip
        return axes

    def _strip(self) -> list[Artist]:
        look = self.look
        strip = self.figure.add_axes((0.075, 0.165, 0.9, 0.06))
        dress(strip, look, x=words("balance.picture.share"))
        strip.set(xlim=(0, 1.005), ylim=(0, 1), yticks=[])
        strip.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        strip.get_xticklabels()[-1].set_horizontalalignment("right")
        self.figure.text(0.015, 0.3, words("balance.picture.strip_title"), fontsize=SIZE["title"], color=look.ink,
                         va="center")  # fmt: skip
        self._through = box(strip, 0, 0.12, 0, 0.76, **place_style(look, "host"), gid=CUT)
        ghost = ghost_style(look)
        self._kept = box(strip, 0, 0.02, 0, 0.96, facecolor="none", edgecolor=ghost["color"],
                         linewidth=ghost["linewidth"], linestyle=ghost["linestyle"])  # fmt: skip
        self._most = strip.plot([0, 0], [0, 1], color=look.ink, linewidth=4, solid_capstyle="butt")[0]
        self._said = self.figure.text(0.975, 0.3, "", fontsize=SIZE["label"], color=look.ink, ha="right", va="center")
        handles: list[Artist] = [
            Patch(facecolor=look.ink), Line2D([], [], color=look.ink, linewidth=1.4, linestyle=":"),
            Line2D([], [], color=look.ink, linewidth=4), Line2D([], [], **ghost),
        ]  # fmt: skip
        names = [words(f"balance.picture.{key}") for key in ("elephant", "mean", "most")] + [words("lab.kept")]
        legend(strip, look, handles, names, loc="upper left", bbox_to_anchor=(-0.03, -1.45), ncols=4,
               columnspacing=1.6)  # fmt: skip
        return [self._through, self._kept, self._most, self._said]

    def show(self, result: Balance, kept: Balance | None = None, prediction: Any = None) -> None:
        loads = {"queue": result.queue_shares, "core": result.core_shares}
        old = {"queue": kept.queue_shares, "core": kept.core_shares} if kept else loads
        top = nice(max(float(x.max()) for x in (*loads.values(), *old.values())) * 1.02)
        for i, text in enumerate(self._shares):
            text.set_text(show(top * (i % (_TICKS + 1)) / _TICKS, "%") if i % (_TICKS + 1) else "0")
        places = {"queue": result.elephant_queue, "core": result.elephant_core}
        for key, shares in loads.items():
            count = len(shares)
            for n, bar in enumerate(self._bars[key]):
                bar.set_visible(n < count and shares[n] > 0)
                if n < count:
                    bar.set(x=(n + _GAP) / count, width=(1 - 2 * _GAP) / count, height=float(shares[n]) / top)
            self._ghosts[key].set_visible(kept is not None)
            self._ghosts[key].set_data(*_stairs(old[key] / top))
            elephant = self._elephants[key]
            elephant.set_x((places[key] + _GAP) / count)
            elephant.set_width((1 - 2 * _GAP) / count)
            elephant.set_height(result.elephant_share / top)
            self._means[key].set_ydata([1 / count / top] * 2)
            ratio = result.queue_max_over_mean if key == "queue" else result.core_max_over_mean
            self._notes[key].set_text(say(f"balance.picture.{key}_note", share=show(float(shares.max()), "%"),
                                          ratio=show(ratio)))  # fmt: skip
            for n, text in zip((0, count - 1), self._ends[key], strict=True):
                text.set_position(((n + 0.5) / count, -0.025))
                text.set_text(number(n))
            self._ends[key][1].set_visible(count > 1)
        self._show_strip(result, kept)

    def _show_strip(self, result: Balance, kept: Balance | None) -> None:
        even = result.even_packets_per_s
        self._through.set_width(result.bound_packets_per_s / even)
        most = result.elephant_packets_per_s / even
        self._most.set_visible(most <= 1 + 1e-9)
        self._most.set_xdata([min(most, 1.0)] * 2)
        self._kept.set_visible(kept is not None)
        if kept:
            self._kept.set_width(kept.bound_packets_per_s / kept.even_packets_per_s)
        self._said.set_text(say("balance.picture.said", bound=show(result.bound_packets_per_s, "packets/s"),
                                even=show(even, "packets/s")))  # fmt: skip


def _stairs(heights: Any) -> tuple[Any, Any]:
    """Values and edges of bars with gaps between them, over a width of 1."""
    count = len(heights)
    edges = (np.arange(count)[:, None] + np.array([_GAP, 1 - _GAP])).ravel() / count
    values = np.zeros(2 * count - 1)
    values[::2] = heights
    return values, edges
