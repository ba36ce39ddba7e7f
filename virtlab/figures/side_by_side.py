"""Two architectures next to each other: who does what, who says so, and where both stand on the map of efficiency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from virtlab.cloud import DUTIES, Overhead
from virtlab.cloud.placement import FUNCTIONS, Placed
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, legend, place_style, write

ROWS = (*DUTIES, *FUNCTIONS)
#: The place whose colour stands for where a duty is done; a split duty has two, what nobody does none.
COLOURS: Mapping[str, tuple[str, ...]] = {
    "kernel": ("host",), "vmm": ("qemu",), "manager": ("poller",), "card": ("card",), "split": ("qemu", "card"),
    "guest": ("guest",), "nobody": (),
}  # fmt: skip
#: Ends of the map: not sold, slowdown.
MOST = (0.4, 0.7)
_LEVELS = (0.99, 0.9, 0.8, 0.7, 0.6, 0.5)
_MARKS = ("o", "s")


@dataclass(frozen=True)
class SideResult:
    """Two hosts under one workload, and the places of their duties and functions."""

    overheads: tuple[Overhead, Overhead]
    placed: tuple[tuple[Placed, ...], tuple[Placed, ...]]


class SidePicture(Picture[SideResult]):
    """Left: a row for each function. Right: lines of equal efficiency, and a point for each architecture."""

    size_px = (1040, 620)

    def build(self) -> Sequence[Artist]:
        look = self.look
        matrix = self.whole_axes()
        write(matrix, look, 16, 24, words("side_lab.matrix"), SIZE["title"])
        self._heads = [write(matrix, look, x, 62, "", SIZE["label"]) for x in (190, 375)]
        self._cells: dict[tuple[int, int, str], list[Artist]] = {}
        self._texts: dict[tuple[int, int], Any] = {}
        for y, row in enumerate(ROWS):
            at = 98 + 39 * y + (12 if row in FUNCTIONS else 0)
            write(matrix, look, 16, at, words(f"whole.duty.{row}"))
            for n, x in enumerate((190, 375)):
                for place, colours in COLOURS.items():
                    width = 44 / max(len(colours), 1)
                    self._cells[y, n, place] = [
                        box(matrix, x + k * width, at - 13, width, 26, gid=CUT, **place_style(look, colour))
                        for k, colour in enumerate(colours)
                    ]
                self._texts[y, n] = write(matrix, look, x + 52, at)
        write(matrix, look, 16, 596, words("side_lab.classes"), SIZE["note"], color=look.faint)
        chart = self.figure.add_axes((0.635, 0.36, 0.335, 0.545))
        dress(chart, look, title=words("side_lab.map"), x=words("side_lab.map_x"), y=words("side_lab.map_y"))
        chart.set(xlim=(0, MOST[0]), ylim=(0, MOST[1]))
        chart.set_xticks([0, 0.1, 0.2, 0.3, 0.4], ["0", "10 %", "20 %", "30 %", "40 %"])
        chart.set_yticks([0, 0.2, 0.4, 0.6], ["", "20 %", "40 %", "60 %"])
        kept = np.linspace(0, MOST[0], 100)
        for level in _LEVELS:
            chart.plot(kept, 1 - level / (1 - kept), color=look.faint, linewidth=1)
            if level < 0.95:
                write(chart, look, 0.005, 1 - level + 0.022, say("side_lab.level", level=show(level, "%")),
                      SIZE["note"], color=look.faint)  # fmt: skip
        self._ghosts = [chart.plot([], [], m, color=look.faint, markersize=17, markerfacecolor="none",
                                   markeredgewidth=2, linestyle="", clip_on=False)[0] for m in _MARKS]  # fmt: skip
        fills = (look.ink, look.paper)
        self._points = [
            chart.plot([], [], m, color=look.ink, markersize=11, markerfacecolor=fill, markeredgewidth=2, linestyle="",
                       clip_on=False)[0] for m, fill in zip(_MARKS, fills, strict=True)
        ]  # fmt: skip
        handles: list[Artist] = [
            Line2D([], [], color=look.faint, marker="o", linestyle="", markersize=13, markerfacecolor="none")
        ]
        legend(chart, look, handles, [words("lab.kept")], loc="upper right", borderaxespad=0.1)
        self._table = [
            [write(matrix, look, x, 468 + 34 * y, "", SIZE["tick"], ha="left" if x < 700 else "right")
             for x in (618, 846, 944, 1028)] for y in range(3)
        ]  # fmt: skip
        for key, text in zip(("", "host_tax", "slowdown", "loss"), self._table[0], strict=True):
            text.set_text(words(f"whole.axis.{key}") if key else "")
        for y, (m, fill) in enumerate(zip(_MARKS, fills, strict=True)):
            matrix.plot([600], [502 + 34 * y], m, color=look.ink, markersize=11, markerfacecolor=fill,
                        markeredgewidth=2)  # fmt: skip
        cells = [a for boxes in self._cells.values() for a in boxes]
        texts = [text for row in self._table for text in row]
        return [*cells, *self._heads, *self._texts.values(), *self._ghosts, *self._points, *texts]

    def show(self, result: SideResult, kept: SideResult | None = None, prediction: Any = None) -> None:
        for n, (found, placed) in enumerate(zip(result.overheads, result.placed, strict=True)):
            name = words(f"whole.architecture.{found.architecture}")
            self._heads[n].set_text(name)
            for y, cell in enumerate(placed):
                for place in COLOURS:
                    for artist in self._cells[y, n, place]:
                        artist.set_visible(place == cell.place)
                self._texts[y, n].set_text(say("whole.cell", text=words(f"side_lab.place.{cell.place}"),
                                               class_=cell.class_))  # fmt: skip
            self._points[n].set_data(*_at(found))
            figures = (show(share, "%", 2) for share in (found.host_tax, found.slowdown, found.loss))
            for text, content in zip(self._table[n + 1], (name, *figures), strict=True):
                text.set_text(content)
            self._ghosts[n].set_visible(kept is not None)
            if kept is not None:
                self._ghosts[n].set_data(*_at(kept.overheads[n]))


def _at(found: Overhead) -> tuple[list[float], list[float]]:
    return [min(found.host_tax, MOST[0])], [min(found.slowdown, MOST[1])]
