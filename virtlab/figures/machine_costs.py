"""Costs of the ladder before the witnesses: what the course assumes, what was published, what a machine measured."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from virtlab.core.units import show
from virtlab.core.words import words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, dress, ghost_style, legend, literature_style, machine_style, model_style

#: A value with its interval: (value, low, high).
Span = tuple[float, float, float]
_COURSE, _LITERATURE, _MACHINE = 0.27, 0.0, -0.27  # lanes within a row
_TIMES_NS, _COPIES = (50.0, 2e5), (1.0, 200.0)
_COLUMNS = {"course": 0.685, "literature": 0.803, "machine": 0.925}
_LABEL = 125  # characters that fit into the width


@dataclass(frozen=True)
class Assumed:
    """What is known before anything is measured: the course's default with its range, and a published figure."""

    id: str
    unit: str
    course: Span
    literature: Span | None = None


@dataclass(frozen=True)
class CostPictureResult:
    """What a machine measured, by quantity; None is missing. ``counts`` names the copy that the model is given."""

    machine: Mapping[str, Span | None]
    counts: str
    label: str
    live: bool


class CostPicture(Picture[CostPictureResult]):
    """One row a quantity and three lanes a row; times above, copies below; the numbers to the right."""

    size_px = (1040, 660)
    assumed: tuple[Assumed, ...] = ()

    def build(self) -> Sequence[Artist]:
        look = self.look
        self.figure.text(0.015, 0.965, words("machine.title"), fontsize=SIZE["title"], color=look.ink, va="center")
        self._label = [self.figure.text(0.015, y, "", fontsize=SIZE["note"], color=look.ink, va="center")
                       for y in (0.92, 0.888)]  # fmt: skip
        head: dict[str, Any] = {"fontsize": SIZE["note"], "color": look.faint, "ha": "center", "va": "center"}
        for key in ("course", "literature"):
            self.figure.text(_COLUMNS[key], 0.835, words(f"machine.column.{key}"), **head)
        self._head = self.figure.text(_COLUMNS["machine"], 0.835, "", **head)
        times = [a for a in self.assumed if a.unit == "ns"]
        copies = [a for a in self.assumed if a.unit != "ns"]
        left, width, row = 0.225, 0.385, 0.112
        above = self.figure.add_axes((left, 0.48, width, row * len(times)))
        below = self.figure.add_axes((left, 0.165, width, row * len(copies)))
        dress(above, look, x=words("machine.time_axis"), grid="x")
        above.set(xscale="log", xlim=_TIMES_NS)
        above.set_xticks([100, 1e3, 1e4, 1e5], ["100 ns", "1 µs", "10 µs", "100 µs"])
        dress(below, look, x=words("machine.copy_axis"), grid="x")
        below.set(xscale="log", xlim=_COPIES)
        below.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])

        self._limits: dict[str, tuple[float, float]] = {}
        self._names: dict[str, Any] = {}
        self._spreads: dict[str, Line2D] = {}
        self._points: dict[str, Line2D] = {}
        self._ghosts: dict[str, Line2D] = {}
        self._values: dict[str, Any] = {}
        self._intervals: dict[str, Any] = {}
        for axes, group, limits in ((above, times, _TIMES_NS), (below, copies, _COPIES)):
            n = len(group)
            axes.minorticks_off()
            axes.set(ylim=(-0.5, n - 0.5), yticks=[])
            for i, quantity in enumerate(group):
                self._limits[quantity.id] = limits
                self._row(axes, n - 1 - i, quantity)
                if i:
                    axes.axhline(n - 0.5 - i, color=look.grid, linewidth=0.8, zorder=0)
        self._legend(below)
        groups = (self._names, self._ghosts, self._spreads, self._points, self._values, self._intervals)
        return [*self._label, self._head, *(artist for group in groups for artist in group.values())]

    def _row(self, axes: Any, y: int, quantity: Assumed) -> None:
        look, key = self.look, quantity.id
        middle, low, high = quantity.course
        axes.plot([low, high], [y + _COURSE] * 2, solid_capstyle="butt", **model_style(look))
        axes.plot([middle] * 2, [y + _COURSE - 0.13, y + _COURSE + 0.13], solid_capstyle="butt",
                  **model_style(look, linewidth=5))  # fmt: skip
        if quantity.literature:
            middle, low, high = quantity.literature
            axes.errorbar([middle], [y + _LITERATURE], xerr=[[middle - low], [high - middle]], **literature_style(look))
        names = axes.get_yaxis_transform()  # x in the axes, y in the data
        self._names[key] = axes.text(-0.02, y + 0.13, "", transform=names, ha="right", va="center",
                                     fontsize=SIZE["label"])  # fmt: skip
        axes.text(-0.02, y - 0.19, words(f"machine.{key}.note"), transform=names, ha="right", va="center",
                  fontsize=SIZE["note"], color=look.faint)  # fmt: skip
        # The machine's marker is that of style.machine_style, moved with every result.
        drawn = axes.errorbar([1], [y + _MACHINE], xerr=[[0], [0]], **machine_style(look, markersize=10))
        self._points[key] = drawn.lines[0]
        for part in (*drawn.lines[1], *drawn.lines[2]):
            part.remove()
        style = machine_style(look)
        self._spreads[key] = axes.plot([1, 1], [y + _MACHINE] * 2, color=style["color"], marker="|", markersize=10,
                                       linewidth=style["elinewidth"])[0]  # fmt: skip
        self._ghosts[key] = axes.plot([1, 1], [y + _MACHINE - 0.2, y + _MACHINE + 0.2], **ghost_style(look))[0]
        box, (bottom, top) = axes.get_position(), axes.get_ylim()
        at = box.y0 + (y - bottom) / (top - bottom) * box.height
        for column, span in (("course", quantity.course), ("literature", quantity.literature)):
            self._numbers(column, at, *_number(span, quantity.unit, "–"))
        self._values[key], self._intervals[key] = self._numbers("machine", at, " ", " ")

    def _numbers(self, column: str, at: float, value: str, interval: str) -> list[Any]:
        """Two lines of text beside a row: the value, and its interval below it."""
        both = ((value, 0.0175 if interval else 0.0), (interval, -0.0175))
        return [self.figure.text(_COLUMNS[column], at + up, text, fontsize=SIZE["note"], color=self.look.ink,
                                 ha="center", va="center") for text, up in both]  # fmt: skip

    def show(
        self, result: CostPictureResult, kept: CostPictureResult | None = None, prediction: Any = None
    ) -> None:
        look = self.look
        mark = "◉ " if result.live else "◎ "
        lines = textwrap.wrap(mark + result.label, _LABEL, max_lines=2, placeholder=" …")
        for part, line in zip(self._label, [*lines, ""], strict=False):
            part.set_text(line)
        self._head.set_text(words("machine.column.now" if result.live else "machine.column.recorded"))
        for quantity in self.assumed:
            key = quantity.id
            span, old = result.machine.get(key), kept.machine.get(key) if kept else None
            colour = look.ink if quantity.unit == "ns" or key == result.counts else look.faint
            self._names[key].set_text(words(f"machine.{key}.title"))
            self._names[key].set_color(colour)
            for artist in (self._points[key], self._spreads[key]):
                artist.set_visible(span is not None)
                artist.set_color(colour)
            self._points[key].set_markerfacecolor(look.paper)
            texts = _number(span, quantity.unit, words("machine.missing"))
            for number, written in zip((self._values[key], self._intervals[key]), texts, strict=True):
                number.set_text(written)
                number.set_color(colour)
            if span is not None:
                middle, low, high = (self._inside(key, x) for x in span)
                self._points[key].set_xdata([middle])
                self._spreads[key].set_xdata([low, high])
            self._ghosts[key].set_visible(old is not None)
            if old is not None:
                self._ghosts[key].set_xdata([self._inside(key, old[0])] * 2)

    def _inside(self, key: str, value: float) -> float:
        """``value`` within the axis: what lies beyond is drawn at its end, and its number stands beside it."""
        low, high = self._limits[key]
        return min(max(value, low), high)

    def _legend(self, axes: Any) -> None:
        look = self.look
        literature, machine = literature_style(look), machine_style(look, markersize=10)
        handles = [
            Line2D([], [], **model_style(look)),
            *(Line2D([], [], linestyle="", marker=style["fmt"], **{k: v for k, v in style.items()
                     if k.startswith("marker") or k == "color"}) for style in (literature, machine)),
            Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        names = [words("machine.course"), words("lab.literature"), words("machine.ring"), words("lab.kept")]
        legend(axes, look, handles, names, loc="upper left", bbox_to_anchor=(-0.58, -0.38), ncols=4, columnspacing=1.8)


def _number(span: Span | None, unit: str, missing: str) -> tuple[str, str]:
    """The value, and its interval where there is one."""
    if span is None:
        return missing, ""
    value, low, high = span
    if low >= high:
        return show(value, unit, 2), ""
    (a, _, unit_a), (b, _, unit_b) = (show(x, unit, 2).partition(" ") for x in (low, high))
    return show(value, unit, 2), f"{a} – {b} {unit_b}" if unit_a == unit_b else f"{a} {unit_a} – {b} {unit_b}"
