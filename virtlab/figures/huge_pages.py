"""The time of an access on bare metal and in a guest, by page sizes: instructions, data, TLB, and whose tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, literature_style, place_style

#: Rows: bare metal with small and huge pages, then the guest by (guest's page, host's page).
ROWS = ("bare.4K", "bare.2M", "4K.4K", "4K.2M", "2M.4K", "2M.2M")
PARTS = ("work", "data", "tlb", "guest", "host")
_Y = {"bare.4K": 6.3, "bare.2M": 5.3, "4K.4K": 3.7, "4K.2M": 2.7, "2M.4K": 1.7, "2M.2M": 0.7}
_HALF = 0.32
_STEPS = (1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0)  # whose quarters are short numbers


@dataclass(frozen=True)
class Published:
    """A measured time of an access in ns (several runs: the interval), and where it is from."""

    ns: float
    low: float
    high: float


@dataclass(frozen=True)
class HugePageResult:
    """By row: the parts of an access's time in ns, the share of accesses that walk, and what was published of it.

    ``ratio`` is the time in the guest / on bare metal with the guest's page, for the rows of the guest.
    """

    parts: Mapping[str, Mapping[str, float]]
    ratio: Mapping[str, float]
    misses: Mapping[str, float]
    walk_cycles: Mapping[str, float]
    published: Mapping[str, Published]

    def total_ns(self, row: str) -> float:
        """The time of one access with its instructions."""
        return sum(self.parts[row].values())


def ceiling(ns: float) -> float:
    """The end of an axis that holds ``ns``: a round number."""
    scale = 1.0
    while scale * 10 < ns:
        scale *= 10
    while scale > ns:
        scale /= 10
    return next(s * scale for s in _STEPS if s * scale >= ns)


class HugePagePicture(Picture[HugePageResult]):
    """Six stacked bars, published points on them, and three numbers beside each."""

    size_px = (1040, 580)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.figure.add_axes((0.215, 0.2, 0.455, 0.63))
        dress(axes, look)
        axes.set(xlim=(0, 1), ylim=(0.1, 6.9), yticks=[])
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["" for _ in range(5)])
        axes.grid(axis="x", color=look.grid, linewidth=1)
        axes.spines["left"].set_visible(True)
        self._axes = axes
        self.figure.text(0.015, 0.955, words("huge_pages.title"), fontsize=SIZE["title"], color=look.ink, va="center")
        self.figure.text(0.4425, 0.1, words("huge_pages.x"), fontsize=SIZE["label"], color=look.ink, ha="center")
        head: dict[str, Any] = {"fontsize": SIZE["note"], "color": look.faint, "va": "center", "ha": "right"}
        for key, x in (("time", 0.785), ("ratio", 0.885), ("misses", 0.985)):
            self.figure.text(x, 0.875, words(f"huge_pages.head.{key}"), linespacing=1.2, **head)
        for key, y in (("bare", 6.3), ("guest", 3.7)):
            axes.text(-0.02, y + 0.62, words(f"huge_pages.group.{key}"), ha="right", va="center", color=look.faint,
                      fontsize=SIZE["note"], transform=axes.get_yaxis_transform())  # fmt: skip
        for row, y in _Y.items():
            axes.text(-0.02, y, words("huge_pages.row")[row.replace(".", "_")], ha="right", va="center",
                      color=look.ink, fontsize=SIZE["tick"], transform=axes.get_yaxis_transform())  # fmt: skip
        styles = self._styles()
        handles: list[Artist] = [Patch(**styles[part]) for part in PARTS]
        handles += [Line2D([], [], color=look.ink, marker="D", linestyle="", markersize=9),
                    Line2D([], [], **ghost_style(look))]  # fmt: skip
        names = [words(f"huge_pages.part.{part}") for part in PARTS]
        names += [words("huge_pages.published"), words("lab.kept")]
        legend(axes, look, handles, names, loc="upper left", bbox_to_anchor=(-0.46, -0.17), ncols=7,
               columnspacing=1.1, handlelength=2.1, handletextpad=0.5)  # fmt: skip
        self._bars = {(row, part): box(axes, 0, y - _HALF, 0, 2 * _HALF, gid=CUT, **styles[part])
                      for row, y in _Y.items() for part in PARTS}  # fmt: skip
        self._ghosts = {row: axes.plot([0, 0], [y - 0.42, y + 0.42], **ghost_style(look))[0] for row, y in _Y.items()}
        diamond = literature_style(look)
        self._spans = {row: axes.plot([0, 0], [y, y], color=look.ink, marker="|", markersize=11,
                                      linewidth=diamond["elinewidth"])[0] for row, y in _Y.items()}  # fmt: skip
        self._points = {row: axes.plot([0], [y], "D", color=look.ink, markersize=diamond["markersize"],
                                       markeredgecolor=look.paper, markeredgewidth=1.2)[0]
                        for row, y in _Y.items()}  # fmt: skip
        texts: dict[str, Any] = {"fontsize": SIZE["label"], "color": look.ink, "va": "center", "ha": "right"}
        place = axes.get_position()
        at = {row: place.y0 + (y - 0.1) / 6.8 * place.height for row, y in _Y.items()}
        self._numbers = {(row, key): self.figure.text(x, at[row], "", **texts) for row in ROWS
                         for key, x in (("time", 0.785), ("ratio", 0.885), ("misses", 0.985))}  # fmt: skip
        below = axes.get_xaxis_transform()
        self._ticks = [axes.text(x, -0.03, "", ha="center", va="top", fontsize=SIZE["tick"], color=look.ink,
                                 transform=below) for x in (0, 0.25, 0.5, 0.75, 1)]  # fmt: skip
        return [*self._bars.values(), *self._ghosts.values(), *self._spans.values(), *self._points.values(),
                *self._numbers.values(), *self._ticks]  # fmt: skip

    def _styles(self) -> dict[str, dict[str, Any]]:
        """Tables have the colour of whose they are; instructions, data and TLB belong to no place, and have none."""
        look = self.look
        plain: dict[str, Any] = {"edgecolor": look.ink, "linewidth": 0.8}
        return {
            "work": {"facecolor": look.paper, "hatch": "", **plain},
            "data": {"facecolor": look.grid, "hatch": "", **plain},
            "tlb": {"facecolor": look.paper, "hatch": "xxx", **plain},
            "guest": place_style(look, "guest"),
            "host": place_style(look, "kvm"),
        }

    def show(self, result: HugePageResult, kept: HugePageResult | None = None, prediction: Any = None) -> None:
        drawn = [result.total_ns(row) for row in ROWS] + [p.high for p in result.published.values()]
        if kept is not None:
            drawn += [min(kept.total_ns(row), 4 * max(drawn)) for row in ROWS]
        full = ceiling(max(drawn))
        for tick, share in zip(self._ticks, (0, 0.25, 0.5, 0.75, 1), strict=True):
            tick.set_text(show(share * full, "ns"))
        for row in ROWS:
            left = 0.0
            for part in PARTS:
                width = result.parts[row][part] / full
                bar = self._bars[row, part]
                bar.set(x=left, width=width)
                bar.set_visible(width > 0)
                left += width
            self._ghosts[row].set_visible(kept is not None)
            if kept is not None:
                self._ghosts[row].set_xdata([min(kept.total_ns(row) / full, 1)] * 2)
            point = result.published.get(row)
            for artist in (self._points[row], self._spans[row]):
                artist.set_visible(point is not None)
            if point is not None:
                self._points[row].set_xdata([point.ns / full])
                self._spans[row].set_xdata([point.low / full, point.high / full])
            self._numbers[row, "time"].set_text(show(result.total_ns(row), "ns"))
            ratio = result.ratio.get(row)
            self._numbers[row, "ratio"].set_text("" if ratio is None else say("huge_pages.times", n=number(ratio)))
            self._numbers[row, "misses"].set_text(show(result.misses[row], "%"))
