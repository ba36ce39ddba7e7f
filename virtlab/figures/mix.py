"""Published losses of one system, and the loss of a mix of them before the article's "about 10 %"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.core.units import show
from virtlab.core.words import words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, literature_style, model_style

#: The left end of the axis: what gained more is drawn here, with its number.
LEAST = -0.2
#: What the article may mean by "about 10 %".
ABOUT = (0.08, 0.12)
PARTS = ("cpu", "net", "blk")


@dataclass(frozen=True)
class LossRow:
    """One published loss (1 = all): ``key`` is its name in the words, ``part`` the kind of work."""

    key: str
    part: str
    loss: float
    low: float
    high: float
    chosen: bool


@dataclass(frozen=True)
class MixPictureResult:
    """All published losses of a system, and what the chosen mix of them loses; ``parts`` add up to ``loss``."""

    rows: tuple[LossRow, ...]
    loss: float
    low: float
    high: float
    parts: Mapping[str, float]


class MixPicture(Picture[MixPictureResult]):
    """Left: published losses, the article's band, and the mix's line. Right: what adds up to it."""

    size_px = (1040, 600)
    keys: tuple[str, ...] = ()

    def build(self) -> Sequence[Artist]:
        look, n = self.look, len(self.keys)
        self._row = {key: n - 1 - i for i, key in enumerate(self.keys)}
        losses = self.figure.add_axes((0.26, 0.2, 0.475, 0.69))
        stack = self.figure.add_axes((0.815, 0.2, 0.17, 0.69))
        dress(losses, look, title=words("mix.losses_title"), x=words("mix.losses_axis"), grid="x")
        losses.set(xlim=(LEAST - 0.03, 1.03), ylim=(-0.7, n - 0.3), yticks=list(self._row.values()))
        losses.set_xticks([-0.2, 0, 0.2, 0.4, 0.6, 0.8, 1], ["-20 %", "0", "20 %", "40 %", "60 %", "80 %", "100 %"])
        losses.set_yticklabels(["" for _ in self.keys])
        losses.axvline(0, color=look.faint, linewidth=1.5)
        band: dict[str, Any] = {"facecolor": "none", "edgecolor": look.faint, "hatch": "////", "linewidth": 1}
        box(losses, ABOUT[0], -0.7, ABOUT[1] - ABOUT[0], n + 0.4, **band)
        dress(stack, look, title=words("mix.stack_title"))
        stack.set(xlim=(0, 1), ylim=(LEAST, 1), xticks=[])
        stack.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "20 %", "40 %", "60 %", "80 %", "100 %"])
        stack.plot([0, 0.44], [0, 0], color=look.faint, linewidth=1.5)
        handles: list[Artist] = [
            Line2D([], [], **model_style(look)),
            Line2D([], [], color=look.ink, marker="D", linestyle="", markersize=9),
            Line2D([], [], color=look.faint, marker="D", linestyle="", markersize=8, markerfacecolor=look.paper),
            Patch(**band),
            Line2D([], [], **ghost_style(look)),
            Line2D([], [], color=look.ink, marker="*", linestyle="", markersize=15, markerfacecolor=look.paper),
        ]
        names = ["mix.your_mix", "mix.in_mix", "mix.not_in_mix", "mix.article", "lab.kept", "lab.prediction"]
        legend(losses, look, handles, [words(k) for k in names], loc="upper left", bbox_to_anchor=(-0.55, -0.13),
               ncols=6, columnspacing=1.2, handlelength=1.5)  # fmt: skip

        self._names = {k: losses.text(LEAST - 0.05, y, "", ha="right", va="center", fontsize=SIZE["tick"],
                                      color=look.ink) for k, y in self._row.items()}  # fmt: skip
        self._span = box(losses, 0, -0.7, 0, n + 0.4, facecolor=look.ink, alpha=0.15, linewidth=0)
        self._line = losses.plot([0, 0], [-0.7, n - 0.3], **model_style(look))[0]
        self._ghost = losses.plot([0, 0], [-0.7, n - 0.3], **ghost_style(look))[0]
        rows, diamond = list(self._row.values()), literature_style(look)
        self._bars = losses.hlines(rows, 0, 0, color=look.ink, linewidth=2)
        self._points = losses.scatter([0.0] * n, rows, s=diamond["markersize"] ** 2, marker="D",
                                      linewidths=diamond["markeredgewidth"])  # fmt: skip
        clear = {"facecolor": look.paper, "edgecolor": "none", "pad": 1.5}  # readable on the band
        self._values = {k: losses.text(0, y, "", va="center", fontsize=SIZE["note"], color=look.ink, bbox=clear)
                        for k, y in self._row.items()}  # fmt: skip
        self._guess = losses.plot([0], [self._row.get("4k-qd32-read", 0)], "*", color=look.ink, markersize=17,
                                  markerfacecolor=look.paper, markeredgewidth=1.5)[0]  # fmt: skip
        shades = {"cpu": ("", 0.25), "net": ("///", 0.5), "blk": ("xx", 0.75)}
        self._stack = {
            p: box(stack, 0.08, 0, 0.34, 0, facecolor=look.paper, edgecolor=look.ink, hatch=shades[p][0],
                   linewidth=1, gid=CUT) for p in PARTS
        }  # fmt: skip
        self._stack_text = {p: stack.text(0.47, 0, "", va="center", fontsize=SIZE["note"], color=look.ink)
                            for p in PARTS}  # fmt: skip
        return [*self._names.values(), self._span, self._line, self._ghost, self._bars, self._points,
                *self._values.values(), self._guess, *self._stack.values(),
                *self._stack_text.values()]  # fmt: skip

    def show(self, result: MixPictureResult, kept: MixPictureResult | None = None, prediction: Any = None) -> None:
        look = self.look
        self._line.set_xdata([result.loss] * 2)
        self._span.set_x(result.low)
        self._span.set_width(max(result.high - result.low, 0))
        self._ghost.set_visible(kept is not None)
        if kept is not None:
            self._ghost.set_xdata([kept.loss] * 2)
        self._guess.set_visible(prediction is not None)
        if prediction is not None:
            self._guess.set_xdata([min(max(float(prediction) / 100, LEAST), 1)])  # it was asked for in per cent
        for row in result.rows:
            colour = look.ink if row.chosen else look.faint
            name = self._names[row.key]
            name.set_text(("▸ " if row.chosen else "") + words(f"mix.row.{row.key}"))
            name.set_color(colour)
            value = self._values[row.key]
            value.set_text(("◂ " if row.loss < LEAST else "") + show(row.loss, "%"))
            right = row.loss < 0.85  # beyond, there is no room on the right
            value.set_x(max(row.loss, LEAST) + (0.03 if right else -0.03))
            value.set_horizontalalignment("left" if right else "right")
            value.set_color(colour)
        y = self._row
        self._bars.set_segments([[(max(r.low, LEAST), y[r.key]), (max(r.high, LEAST), y[r.key])] for r in result.rows])
        self._points.set_offsets([(max(r.loss, LEAST), y[r.key]) for r in result.rows])
        self._points.set_facecolor([look.ink if r.chosen else look.paper for r in result.rows])
        self._points.set_edgecolor([look.paper if r.chosen else look.faint for r in result.rows])
        up = down = 0.0
        used: list[float] = []
        for part in PARTS:
            height = result.parts[part]
            base = up if height >= 0 else down
            self._stack[part].set_y(base)
            self._stack[part].set_height(height)
            middle = base + height / 2
            # Names of thin parts keep a line's distance from each other.
            if used and middle < used[-1] + 0.055:
                middle = used[-1] + 0.055
            used.append(middle)
            text = self._stack_text[part]
            text.set_y(middle)
            text.set_text(f"{words(f'mix.part.{part}')}\n{show(height, '%', 2)}".replace("\n", " "))
            up, down = (up + height, down) if height >= 0 else (up, down + height)
