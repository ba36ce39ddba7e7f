"""4 KiB over 2 MiB pages: what the model says, what a computer measured, and what was published of whole programs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, dress, ghost_style, legend, literature_style, machine_style, model_style

#: A value with its interval: (value, low, high).
Span = tuple[float, float, float]
MEASURED = ("ratio_4m", "ratio_64m", "ratio_256m", "ratio_touch")
PUBLISHED = ("times", "shares")
_LIMITS = (0.4, 40.0)
_MODEL, _MACHINE, _PUBLISHED = 0.2, -0.2, 0.16  # lanes within a row
_COLUMNS = {"model": 0.722, "machine": 0.893}
_LABEL = 125  # characters that fit into the width


@dataclass(frozen=True)
class PagesResult:
    """Ratios by quantity: the model's by CPU, the machine's (None is missing), and its times as a text."""

    model: Mapping[str, Mapping[str, float]]
    machine: Mapping[str, Span | None]
    times: Mapping[str, str]
    label: str
    live: bool


class PagesPicture(Picture[PagesResult]):
    """One row a comparison, with the model above and the machine below; published programs under them."""

    size_px = (1040, 640)
    published: Mapping[str, tuple[float, ...]] = {}

    def build(self) -> Sequence[Artist]:
        look = self.look
        rows = (*MEASURED, *PUBLISHED)
        n = len(rows)
        self.figure.text(0.015, 0.965, words("pages.title"), fontsize=SIZE["title"], color=look.ink, va="center")
        self._label = [self.figure.text(0.015, y, "", fontsize=SIZE["note"], color=look.ink, va="center")
                       for y in (0.92, 0.888)]  # fmt: skip
        axes = self.figure.add_axes((0.215, 0.19, 0.42, 0.64))
        dress(axes, look, x=words("pages.x"), grid="x")
        axes.set(xscale="log", xlim=_LIMITS, ylim=(-0.5, n - 0.5), yticks=[])
        ticks = (0.5, 1, 2, 5, 10, 20)
        axes.set_xticks(ticks, [number(t) for t in ticks])
        axes.minorticks_off()
        axes.axvline(1, color=look.faint, linewidth=1.5)
        head: dict[str, Any] = {"fontsize": SIZE["note"], "color": look.faint, "ha": "center", "va": "center"}
        self.figure.text(_COLUMNS["model"], 0.845, words("pages.column.model"), **head)
        self._head = self.figure.text(_COLUMNS["machine"], 0.845, "", **head)
        box = axes.get_position()
        self._y = {key: n - 1 - i for i, key in enumerate(rows)}
        at = {key: box.y0 + (y + 0.5) / n * box.height for key, y in self._y.items()}
        names = axes.get_yaxis_transform()
        for key, y in self._y.items():
            for up, part, size in ((0.14, "title", SIZE["tick"]), (-0.18, "note", SIZE["note"])):
                axes.text(-0.02, y + up, words(f"pages.{key}.{part}"), transform=names, ha="right", va="center",
                          fontsize=size, color=look.ink if part == "title" else look.faint)  # fmt: skip
            if y:
                axes.axhline(y - 0.5, color=look.grid, linewidth=0.8, zorder=0)
        between = sum(_COLUMNS.values()) / 2  # neither model nor machine: under no heading
        middle: dict[str, Any] = {"ha": "center", "va": "center"}
        for key in PUBLISHED:
            ratios = self.published[key]
            # By turns above and below, so that programs with nearly the same ratio are all seen.
            lanes = [self._y[key] + (_PUBLISHED if i % 2 else -_PUBLISHED) for i in range(len(ratios))]
            axes.plot(sorted(ratios), lanes, "D", color=look.ink, markersize=9, markeredgecolor=look.paper,
                      markeredgewidth=1.2)  # fmt: skip
            text = say("pages.range", low=number(min(ratios)), high=number(max(ratios)))
            self.figure.text(between, at[key] + 0.021, text, fontsize=SIZE["label"], color=look.ink, **middle)
            self.figure.text(between, at[key] - 0.021, words("pages.column.published"), fontsize=SIZE["note"],
                             color=look.faint, **middle)  # fmt: skip
        self._build_legend(axes)
        return self._build_moving(axes, at)

    def _build_legend(self, axes: Any) -> None:
        look = self.look
        diamond, ring = literature_style(look), machine_style(look, markersize=10)
        handles: list[Artist] = [
            Line2D([], [], **model_style(look), marker="|", markersize=12, markeredgewidth=3),
            Line2D([], [], color=look.ink, marker="o", linestyle="", markersize=10, markerfacecolor=look.paper,
                   markeredgewidth=ring["markeredgewidth"]),
            Line2D([], [], color=look.ink, marker="D", linestyle="", markersize=diamond["markersize"]),
            Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        names = [words(f"pages.legend.{key}") for key in ("model", "machine", "published")] + [words("lab.kept")]
        legend(axes, look, handles, names, loc="upper left", bbox_to_anchor=(-0.5, -0.13), ncols=4, columnspacing=1.4)

    def _build_moving(self, axes: Any, at: Mapping[str, float]) -> list[Artist]:
        look = self.look
        line = model_style(look, marker="|", markersize=13, markeredgewidth=3, solid_capstyle="butt")
        ring = machine_style(look, markersize=10)
        self._models = {k: axes.plot([1], [self._y[k] + _MODEL], **line)[0] for k in MEASURED}
        self._ghosts = {k: axes.plot([1, 1], [self._y[k] + _MACHINE - 0.2, self._y[k] + _MACHINE + 0.2],
                                     **ghost_style(look))[0] for k in MEASURED}  # fmt: skip
        self._spreads = {k: axes.plot([1, 1], [self._y[k] + _MACHINE] * 2, color=look.ink, marker="|", markersize=10,
                                      linewidth=ring["elinewidth"])[0] for k in MEASURED}  # fmt: skip
        self._points = {k: axes.plot([1], [self._y[k] + _MACHINE], "o", color=look.ink, markersize=10,
                                     markerfacecolor=look.paper, markeredgewidth=3)[0] for k in MEASURED}  # fmt: skip

        def text(key: str, column: str, up: float, size: str) -> Any:
            return self.figure.text(_COLUMNS[column], at[key] + up, "", fontsize=SIZE[size], color=look.ink,
                                    ha="center", va="center")  # fmt: skip

        self._said = {k: text(k, "model", 0.0, "label") for k in MEASURED}
        self._values = {k: text(k, "machine", 0.021, "label") for k in MEASURED}
        self._times = {k: text(k, "machine", -0.021, "note") for k in MEASURED}
        groups = (self._models, self._ghosts, self._spreads, self._points, self._said, self._values, self._times)
        return [*self._label, self._head, *(artist for group in groups for artist in group.values())]

    def show(self, result: PagesResult, kept: PagesResult | None = None, prediction: Any = None) -> None:
        mark = "◉ " if result.live else "◎ "
        lines = textwrap.wrap(mark + result.label, _LABEL, max_lines=2, placeholder=" …")
        for part, line in zip(self._label, [*lines, ""], strict=False):
            part.set_text(line)
        self._head.set_text(words("pages.column.now" if result.live else "pages.column.recorded"))
        for key in MEASURED:
            ratios = sorted(result.model[key].values())
            self._models[key].set_data([_inside(r) for r in ratios], [self._y[key] + _MODEL] * len(ratios))
            low, high = number(ratios[0]), number(ratios[-1])
            self._said[key].set_text(low if low == high else say("pages.range", low=low, high=high))
            span = result.machine.get(key)
            for artist in (self._points[key], self._spreads[key]):
                artist.set_visible(span is not None)
            self._times[key].set_text(result.times.get(key, ""))
            if span is None:
                self._values[key].set_text(words("machine.missing"))
            else:
                middle, low_, high_ = span
                self._points[key].set_xdata([_inside(middle)])
                self._spreads[key].set_xdata([_inside(low_), _inside(high_)])
                self._values[key].set_text(
                    say("machine.spread", value=number(middle), low=number(low_), high=number(high_))
                )
            old = kept.machine.get(key) if kept else None
            self._ghosts[key].set_visible(old is not None)
            if old is not None:
                self._ghosts[key].set_xdata([_inside(old[0])] * 2)


def _inside(ratio: float) -> float:
    """What lies beyond the axis is drawn at its end, and its number stands beside it."""
    return min(max(ratio, _LIMITS[0]), _LIMITS[1])
