"""The share of accesses that miss the TLB over the working set, for four pairs of page sizes of guest and host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from numpy.typing import NDArray

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, dress, ghost_style, model_style

#: Small pages on both sides, huge ones on one, huge ones on both.
PAIRS = ("small", "guest", "host", "both")
LOW_BYTES, HIGH_BYTES = 1 << 16, 1 << 36
_ROW_Y = {"small": 0.76, "guest": 0.61, "host": 0.46, "both": 0.31}
_LEFT = 0.672  # of the table on the right


@dataclass(frozen=True)
class ReachResult:
    """Curves over ``sizes`` in bytes, by pair; ``shares`` are those simulated at the working set."""

    sizes: NDArray[np.float64]
    curves: Mapping[str, NDArray[np.float64]]
    shares: Mapping[str, float]
    reach_bytes: Mapping[str, int]
    working_set_bytes: int
    huge_page: str
    entries: Mapping[str, int]


class ReachPicture(Picture[ReachResult]):
    """Left: the curves, three of them one on the other. Right: what each pair reaches, and misses at the mark."""

    size_px = (1040, 560)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.figure.add_axes((0.085, 0.15, 0.535, 0.66))
        dress(axes, look, x=words("reach.x"), y=words("reach.y"), grid="both")
        self.figure.text(0.015, 0.955, words("reach.title"), fontsize=SIZE["title"], color=look.ink, va="center")
        axes.set(xscale="log", xlim=(LOW_BYTES, HIGH_BYTES), ylim=(-0.03, 1.05))
        ticks = [1 << k for k in range(16, 37, 4)]
        axes.set_xticks(ticks, [show(t, "B") for t in ticks])
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.minorticks_off()
        styles = self._styles()
        self._ghosts = [axes.plot([], [], **ghost_style(look))[0] for _ in range(2)]
        self._lines = {pair: axes.plot([], [], **styles[pair])[0] for pair in PAIRS}
        self._edges = {pair: axes.plot([1, 1], [-0.03, 1.05], color=look.faint, linewidth=1.2, linestyle=":")[0]
                       for pair in ("small", "both")}  # fmt: skip
        self._mark = axes.plot([1, 1], [-0.03, 1.05], color=look.ink, linewidth=1.4)[0]
        self._dots = axes.plot([1, 1], [0, 0], "o", color=look.ink, markersize=9)[0]
        above = axes.get_xaxis_transform()
        note: dict[str, Any] = {"fontsize": SIZE["note"], "va": "bottom", "transform": above}
        self._edge_texts = {pair: axes.text(1, 1.02, "", color=look.ink, ha="center", **note)
                            for pair in ("small", "both")}  # fmt: skip
        self._mark_text = axes.text(1, 1.085, "", color=look.ink, ha="center", **note)
        table = self._table(styles)
        return [*self._ghosts, *self._edges.values(), *self._lines.values(), self._mark, self._dots,
                *self._edge_texts.values(), self._mark_text, *table]  # fmt: skip

    def _styles(self) -> dict[str, dict[str, Any]]:
        """Widest below, so that lines that lie on each other are all seen."""
        look = self.look
        return {
            "small": model_style(look, color=look.faint, linewidth=9, solid_capstyle="butt", alpha=0.55),
            "guest": model_style(look, linewidth=5, linestyle=(0, (1.2, 1.2)), color=look.place["guest"]),
            "host": model_style(look, linewidth=2, linestyle=(0, (6, 3)), color=look.ink),
            "both": model_style(look, linewidth=3),
        }

    def _table(self, styles: Mapping[str, Mapping[str, Any]]) -> list[Artist]:
        look, figure = self.look, self.figure
        head: dict[str, Any] = {"fontsize": SIZE["note"], "color": look.faint, "va": "center"}
        figure.text(_LEFT, 0.875, words("reach.head.pair"), **head)
        figure.text(0.985, 0.875, words("reach.head.share"), ha="right", **head)
        self._names: dict[str, Any] = {}
        self._reaches: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        for pair, y in _ROW_Y.items():
            sample = {**styles[pair]}
            figure.add_artist(_line([_LEFT, _LEFT + 0.045], [y + 0.025] * 2, figure, **sample))
            self._names[pair] = figure.text(_LEFT + 0.06, y + 0.025, "", fontsize=SIZE["tick"], color=look.ink,
                                            va="center")  # fmt: skip
            self._reaches[pair] = figure.text(_LEFT + 0.06, y - 0.022, "", fontsize=SIZE["note"], color=look.faint,
                                              va="center")  # fmt: skip
            self._values[pair] = figure.text(0.985, y + 0.025, "", fontsize=SIZE["label"], color=look.ink, ha="right",
                                             va="center")  # fmt: skip
        figure.text(_LEFT, 0.16, words("reach.lesson"), fontsize=SIZE["note"], color=look.ink, va="center",
                    linespacing=1.35)  # fmt: skip
        return [*self._names.values(), *self._reaches.values(), *self._values.values()]

    def show(self, result: ReachResult, kept: ReachResult | None = None, prediction: Any = None) -> None:
        huge = words(f"parameter.guest_page.choices.{result.huge_page}")
        for pair in PAIRS:
            self._lines[pair].set_data(result.sizes, result.curves[pair])
            self._names[pair].set_text(say(f"reach.pair.{pair}", huge=huge))
            self._reaches[pair].set_text(
                say("reach.reach", entries=f"{result.entries[pair]:,}", reach=show(result.reach_bytes[pair], "B"))
            )
            self._values[pair].set_text(show(result.shares[pair], "%"))
        for ghost, pair in zip(self._ghosts, ("small", "both"), strict=True):
            ghost.set_visible(kept is not None)
            if kept is not None:
                ghost.set_data(kept.sizes, kept.curves[pair])
        for pair, edge in self._edges.items():
            at = min(result.reach_bytes[pair], HIGH_BYTES)
            edge.set_xdata([at, at])
            self._put(self._edge_texts[pair], at, show(result.reach_bytes[pair], "B"))
        size = result.working_set_bytes
        self._mark.set_xdata([size, size])
        self._dots.set_data([size, size], [result.shares["small"], result.shares["both"]])
        self._put(self._mark_text, size, say("reach.mark", size=show(size, "B")))

    def _put(self, text: Any, at: float, words_: str) -> None:
        """Above ``at``, but inside the axes at both ends."""
        place = np.log2(at / LOW_BYTES) / np.log2(HIGH_BYTES / LOW_BYTES)
        text.set(x=at, text=words_, ha="left" if place < 0.15 else "right" if place > 0.85 else "center")


def _line(x: list[float], y: list[float], figure: Any, **style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(x, y, transform=figure.transFigure, **style)
