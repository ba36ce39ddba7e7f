"""Neighbours on a computer: gaps of a busy loop as histograms, and what waiting, streams and switches cost."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from virtlab.core.words import words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import (
    SIZE,
    box,
    dress,
    ghost_style,
    legend,
    literature_style,
    machine_style,
    model_style,
    place_style,
)

#: A value with its interval: (value, low, high).
Span = tuple[float, float, float]
LOOPS = ("alone", "rival")
#: The rows on the right, by axes: their limits and ticks with labels, and whether the axis is logarithmic.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "waited": ("wait_two_cpus", "wait_one_cpu", "lost_rival"),
    "slower": ("slower_128k", "slower_4m", "slower_256m"),
    "switch": ("switch_one_cpu", "switch_two_cpus", "switch_free"),
}
LIMITS: Mapping[str, tuple[float, float]] = {"waited": (0.0, 1.0), "slower": (0.5, 8.0), "switch": (500.0, 5e5)}
_TICKS: Mapping[str, Mapping[float, str]] = {
    "waited": {0: "0 %", 0.5: "50 %", 1: "100 %"},
    "slower": {0.5: "0.5", 1: "1", 2: "2", 4: "4", 8: "8"},
    "switch": {1e3: "1 µs", 1e4: "10 µs", 1e5: "100 µs"},
}
GAPS_NS, PER_S = (60.0, 2e8), (0.2, 3e7)
_GAP_TICKS = {100: "100 ns", 1e3: "1 µs", 1e4: "10 µs", 1e5: "100 µs", 1e6: "1 ms", 1e7: "10 ms", 1e8: ""}
_BOTTOMS = {"waited": 0.69, "slower": 0.42, "switch": 0.15}
_LEFT, _WIDTH, _HEIGHT = 0.645, 0.195, 0.175  # of the rows
_VALUES = 0.921  # where the numbers stand
_ABOVE = 0.3  # the diamond of a row stands above its ring
_LABEL = 125  # characters that fit into the width


@dataclass(frozen=True)
class JitterPictureResult:
    """Histograms in gaps a second by loop, empty where missing, and rows by key, None where missing.

    ``edges_ns`` are one more than the bins. ``said`` are two lines a loop and ``texts`` two a row. ``law`` and
    ``published`` are of some rows. ``gap_ns`` and ``gaps_per_s`` are the law's for the loop with a rival,
    ``longest_ns`` is the published span of the longest gap of a loop alone.
    """

    edges_ns: Sequence[float]
    gaps: Mapping[str, Sequence[float]]
    said: Mapping[str, tuple[str, str]]
    rows: Mapping[str, Span | None]
    texts: Mapping[str, tuple[str, str]]
    law: Mapping[str, float]
    published: Mapping[str, Span]
    longest_ns: Span
    gap_ns: float
    gaps_per_s: float
    label: str
    live: bool


class JitterPicture(Picture[JitterPictureResult]):
    """Two histograms on the left, one below the other; three groups of rows on the right."""

    size_px = (1040, 720)
    lost_ns: float = 1.0

    def build(self) -> Sequence[Artist]:
        look = self.look
        self.figure.text(0.015, 0.968, words("jitter.title"), fontsize=SIZE["title"], color=look.ink, va="center")
        self._label = [self.figure.text(0.015, y, "", fontsize=SIZE["note"], color=look.ink, va="center")
                       for y in (0.925, 0.893)]  # fmt: skip
        moving = [*self._label, *self._build_histograms(), *self._build_rows()]
        self._build_legend()
        return moving

    def _build_histograms(self) -> list[Artist]:
        look = self.look
        self._stems: dict[str, Line2D] = {}
        self._rings: dict[str, Line2D] = {}
        self._old: dict[str, Line2D] = {}
        self._said: dict[str, list[Any]] = {}
        ticks = list(_GAP_TICKS)
        for key, bottom in zip(LOOPS, (0.535, 0.15), strict=True):
            axes = self.figure.add_axes((0.085, bottom, 0.375, 0.24))
            below = words("jitter.gap_axis") if key == "rival" else ""
            dress(axes, look, x=below, y=words("jitter.rate_axis"), grid="y")
            axes.set(xscale="log", yscale="log", xlim=GAPS_NS, ylim=PER_S)
            axes.set_xticks(ticks, list(_GAP_TICKS.values()) if key == "rival" else [""] * len(ticks))
            axes.set_yticks([1, 1e3, 1e6], ["1", "1 k", "1 M"])
            axes.minorticks_off()
            self.figure.text(0.085, bottom + 0.316, words(f"jitter.{key}"), fontsize=SIZE["label"], color=look.ink,
                             va="center")  # fmt: skip
            self._said[key] = [self.figure.text(0.085, bottom + up, "", fontsize=SIZE["note"], color=look.ink,
                                                va="center") for up in (0.286, 0.26)]  # fmt: skip
            self._stems[key] = axes.plot([], [], color=look.faint, linewidth=1.6)[0]
            self._old[key] = axes.plot([], [], **ghost_style(look))[0]
            self._rings[key] = axes.plot([], [], "o", color=look.ink, markersize=5.5, markerfacecolor=look.paper,
                                         markeredgewidth=1.6)[0]  # fmt: skip
            if key == "alone":
                diamond = literature_style(look)
                self._longest = axes.plot([], [], color=look.ink, linewidth=diamond["elinewidth"])[0]
                self._diamond = axes.plot([], [], "D", color=look.ink, markersize=9, markeredgecolor=look.paper)[0]
            else:
                self._law = axes.plot([], [], solid_capstyle="butt", **model_style(look))[0]
                self._old_law = axes.plot([], [], **ghost_style(look))[0]
            self._lost_at(axes, key)
        said = [text for of in self._said.values() for text in of]
        return [*self._stems.values(), *self._old.values(), *self._rings.values(), *said, self._longest, self._diamond,
                self._old_law, self._law]  # fmt: skip

    def _lost_at(self, axes: Any, key: str) -> None:
        """From where on a gap counts as lost."""
        axes.axvline(self.lost_ns, color=self.look.faint, linewidth=1, linestyle=":")
        if key == "alone":
            axes.text(1.15 * self.lost_ns, 6e6, words("jitter.lost_line"), fontsize=SIZE["note"], color=self.look.faint,
                      va="center")  # fmt: skip

    def _build_rows(self) -> list[Artist]:
        look = self.look
        mark = model_style(look, solid_capstyle="butt")
        self._points: dict[str, Line2D] = {}
        self._spreads: dict[str, Line2D] = {}
        self._laws: dict[str, Line2D] = {}
        self._diamonds: dict[str, Line2D] = {}
        self._ghosts: dict[str, Line2D] = {}
        self._values: dict[str, list[Any]] = {}
        self._bars: dict[str, Rectangle] = {}
        for group, keys in GROUPS.items():
            axes = self.figure.add_axes((_LEFT, _BOTTOMS[group], _WIDTH, _HEIGHT))
            dress(axes, look, x=words(f"jitter.{group}"), grid="x")
            axes.set(xscale="linear" if group == "waited" else "log", xlim=LIMITS[group], ylim=(2.5, -0.5), yticks=[])
            axes.set_xticks(list(_TICKS[group]), list(_TICKS[group].values()))
            axes.minorticks_off()
            if group == "slower":
                axes.axvline(1, color=look.faint, linewidth=1.5)
            for y, key in enumerate(keys):
                axes.text(-0.04, y, words(f"jitter.row.{key}"), transform=axes.get_yaxis_transform(), ha="right",
                          va="center", fontsize=SIZE["tick"], color=look.ink)  # fmt: skip
                if group == "waited":
                    self._bars[key] = box(axes, 0, y - 0.3, 0, 0.6, **place_style(look, "host"))
                self._ghosts[key] = axes.plot([], [], **ghost_style(look))[0]
                self._laws[key] = axes.plot([], [], **mark)[0]
                self._spreads[key] = axes.plot([], [], color=look.ink, marker="|", markersize=10, linewidth=1.8)[0]
                self._points[key] = axes.plot([], [], "o", color=look.ink, markersize=10, markerfacecolor=look.paper,
                                              markeredgewidth=3)[0]  # fmt: skip
                self._diamonds[key] = axes.plot([], [], "D", color=look.ink, markersize=9,
                                                markeredgecolor=look.paper)[0]  # fmt: skip
                at = _BOTTOMS[group] + _HEIGHT * (2.5 - y) / 3
                self._values[key] = [self.figure.text(_VALUES, at + up, "", fontsize=SIZE["note"], color=look.ink,
                                                      ha="center", va="center") for up in (0.013, -0.013)]  # fmt: skip
        groups = (self._bars, self._ghosts, self._laws, self._spreads, self._points, self._diamonds)
        drawn = [artist for of in groups for artist in of.values()]
        return [*drawn, *(text for of in self._values.values() for text in of)]

    def _build_legend(self) -> None:
        look = self.look
        ring: dict[str, Any] = {"color": look.ink, "marker": "o", "linestyle": "", "markerfacecolor": look.paper}
        handles: list[Artist] = [
            Line2D([], [], markersize=5.5, markeredgewidth=1.6, **ring),
            Line2D([], [], markersize=10, markeredgewidth=machine_style(look)["markeredgewidth"], **ring),
            Line2D([], [], **model_style(look)),
            Line2D([], [], color=look.ink, marker="D", linestyle="", markersize=9),
            Line2D([], [], **ghost_style(look)),
        ]
        names = [words(f"jitter.legend.{key}") for key in ("bin", "machine", "model", "published")]
        names.append(words("lab.kept"))
        legend(self.figure.axes[0], look, handles, names, loc="lower left", bbox_to_anchor=(0.01, 0.0),
               bbox_transform=self.figure.transFigure, ncols=5, columnspacing=1.6)  # fmt: skip

    # --- a result ---------------------------------------------------------------------------------------------------

    def show(
        self, result: JitterPictureResult, kept: JitterPictureResult | None = None, prediction: Any = None
    ) -> None:
        lines = textwrap.wrap(("◉ " if result.live else "◎ ") + result.label, _LABEL, max_lines=2, placeholder=" …")
        for part, line in zip(self._label, [*lines, ""], strict=False):
            part.set_text(line)
        for key in LOOPS:
            x, y = _points(result, key)
            self._rings[key].set_data(x, y)
            self._stems[key].set_data([a for at in x for a in (at, at, at)],
                                      [b for top in y for b in (PER_S[0], top, float("nan"))])  # fmt: skip
            self._old[key].set_data(*(_points(kept, key) if kept else ([], [])))
            for text, line in zip(self._said[key], result.said[key], strict=True):
                text.set_text(line)
        value, low, high = result.longest_ns
        foot = 2 * PER_S[0]
        self._longest.set_data([low, high], [foot, foot])
        self._diamond.set_data([value], [foot])
        self._law.set_data(*_law(result))
        self._old_law.set_data(*(_law(kept) if kept else ([], [])))
        for group, keys in GROUPS.items():
            for row, key in enumerate(keys):
                self._show_row(key, row, LIMITS[group], result, kept)

    def _show_row(
        self, key: str, y: int, limits: tuple[float, float], result: JitterPictureResult,
        kept: JitterPictureResult | None,
    ) -> None:  # fmt: skip
        def inside(value: float) -> float:
            """What lies beyond the axis is drawn at its end, and its number stands beside it."""
            return min(max(value, limits[0]), limits[1])

        def upright(line: Line2D, value: float | None) -> None:
            line.set_visible(value is not None)
            if value is not None:
                line.set_data([inside(value)] * 2, [y - 0.36, y + 0.36])

        span = result.rows.get(key)
        for artist in (self._points[key], self._spreads[key]):
            artist.set_visible(span is not None)
        if span is not None:
            self._points[key].set_data([inside(span[0])], [y])
            self._spreads[key].set_data([inside(span[1]), inside(span[2])], [y, y])
        if key in self._bars:
            self._bars[key].set_visible(span is not None)
            self._bars[key].set_width(span[0] if span else 0)
        upright(self._laws[key], result.law.get(key))
        old = kept.rows.get(key) if kept else None
        upright(self._ghosts[key], old[0] if old else None)
        published = result.published.get(key)
        self._diamonds[key].set_visible(published is not None)
        if published is not None:
            self._diamonds[key].set_data([inside(published[0])], [y - _ABOVE])
        one, two = result.texts[key]
        for text, line in zip(self._values[key], (one, two) if two else (one, ""), strict=True):
            text.set_text(line)


def _points(result: JitterPictureResult, key: str) -> tuple[list[float], list[float]]:
    """The middles of the bins that hold anything, and what they hold; what lies beyond the axes is at their end."""
    middles = [(a * b) ** 0.5 for a, b in zip(result.edges_ns, result.edges_ns[1:], strict=False)]
    shown = [(min(max(x, GAPS_NS[0]), GAPS_NS[1]), y) for x, y in zip(middles, result.gaps.get(key, ()), strict=False)
             if y > 0]  # fmt: skip
    return [x for x, _ in shown], [min(max(y, PER_S[0]), PER_S[1]) for _, y in shown]


def _law(result: JitterPictureResult) -> tuple[list[float], list[float]]:
    return [result.gap_ns] * 2, [PER_S[0], result.gaps_per_s]
