"""Demand and the level reserved for it over some days, and what each predictor costs beside persistence and oracle."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon
from matplotlib.patheffects import withStroke

from virtlab.core.units import number, show, signed
from virtlab.core.words import say, words
from virtlab.cpu import Forecast
from virtlab.cpu.demand import DAY
from virtlab.cpu.forecast import LEARN
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, model_style, place_style

#: Days that are drawn: the first ones that no predictor has learnt from.
DAYS = 8
#: The right end of the cost axis, in shares of persistence's cost; what is beyond is cut.
MOST = 2.0
ROWS = ("persistence", "ewma", "window", "seasonal", "holt-winters", "oracle")
_TICKS = 4  # steps of the demand axis
_BAR = 0.30  # of a row


class ForecastPicture(Picture[Forecast]):
    """Left: demand, level, and the hours in which it was too low. Right: a row a predictor, persistence as 100 %."""

    size_px = (1040, 600)

    def build(self) -> Sequence[Artist]:
        look = self.look
        left = self.figure.add_axes((0.085, 0.235, 0.44, 0.61))
        dress(left, look, x=words("forecast.picture.day"), grid="both")
        left.set(xlim=(0, DAYS), ylim=(0, 1), yticks=[k / _TICKS for k in range(_TICKS + 1)])
        left.set_xticks([d + 0.5 for d in range(DAYS)], [number(LEARN // DAY + 1 + d) for d in range(DAYS)])
        left.set_yticklabels([""] * (_TICKS + 1))
        head: dict[str, Any] = {"fontsize": SIZE["title"], "color": look.ink, "va": "center"}
        self.figure.text(0.012, 0.955, words("forecast.picture.title"), **head)
        self.figure.text(0.565, 0.955, words("forecast.picture.cost_title"), **head)
        note: dict[str, Any] = {"fontsize": SIZE["label"], "color": look.ink, "va": "center"}
        self._unit = self.figure.text(0.012, 0.895, words("forecast.picture.unit"), **note)
        self._verdict = self.figure.text(0.565, 0.895, "", **note)

        self._spare = Polygon([(0.0, 0.0)], closed=True, facecolor=look.grid, linewidth=0)
        left.add_patch(self._spare)
        self._old = left.plot([], [], drawstyle="steps-mid", **ghost_style(look))[0]
        self._demand = left.plot([], [], color=look.place["guest"], linewidth=2.0)[0]
        self._level = left.plot([], [], **model_style(look, linewidth=1.6))[0]
        self._late = left.plot([], [], linestyle="", marker="v", markersize=8, color=look.ink,
                               markeredgecolor=look.paper)[0]  # fmt: skip
        tick: dict[str, Any] = {"fontsize": SIZE["tick"], "color": look.ink, "ha": "right", "va": "center"}
        self._values = [left.text(-0.08, k / _TICKS, "", **tick) for k in range(_TICKS + 1)]
        lines = [self._spare, self._old, self._demand, self._level, self._late, *self._values]
        return [self._verdict, *lines, *self._rows(left)]

    def _rows(self, left: Axes) -> list[Artist]:
        look = self.look
        right = self.figure.add_axes((0.565, 0.235, 0.405, 0.61))
        dress(right, look, x=words("forecast.picture.share"), grid="x")
        right.set(xlim=(0, MOST), ylim=(len(ROWS) - 0.5, -0.5), yticks=[])
        right.set_xticks([0, 0.5, 1, 1.5, 2], ["0", "50 %", "100 %", "150 %", "200 %"])
        right.get_xticklabels()[-1].set_horizontalalignment("right")
        right.spines["left"].set_visible(False)
        rows = np.arange(len(ROWS))
        right.vlines([1] * len(ROWS), rows - 0.06, rows + _BAR + 0.06, colors=look.ink, linewidth=1.6)
        self._bars = {name: [box(right, 0, y, 0, _BAR, **place_style(look, place), gid=CUT)
                             for place in ("guest", "host")] for y, name in enumerate(ROWS)}  # fmt: skip
        ghost = ghost_style(look)
        self._ghosts = {name: box(right, 0, y, 0, _BAR, facecolor="none", edgecolor=ghost["color"],
                                  linewidth=ghost["linewidth"], linestyle=ghost["linestyle"])
                        for y, name in enumerate(ROWS)}  # fmt: skip
        edge = [withStroke(linewidth=4.5, foreground=look.paper)]  # or it would be lost on the bars of one theme
        self._spans = {name: right.plot([], [], color=look.ink, linewidth=1.8, marker="|", markersize=9,
                                        path_effects=edge)[0] for name in ROWS}  # fmt: skip
        text: dict[str, Any] = {"fontsize": SIZE["tick"], "color": look.ink, "va": "center"}
        self._names = {name: right.text(0, y - 0.2, "", **text) for y, name in enumerate(ROWS)}
        self._costs = {name: right.text(MOST, y - 0.2, "", ha="right", **text) for y, name in enumerate(ROWS)}
        handles: list[Artist] = [
            Line2D([], [], color=look.place["guest"], linewidth=2.6), Line2D([], [], **model_style(look)),
            Patch(facecolor=look.grid),
            Line2D([], [], linestyle="", marker="v", markersize=9, color=look.ink), Line2D([], [], **ghost),
            Patch(**place_style(look, "guest")), Patch(**place_style(look, "host")),
            Line2D([], [], color=look.ink, linewidth=1.8, marker="|", markersize=9),
        ]  # fmt: skip
        names = [words(f"forecast.picture.{key}") for key in ("demand", "level", "spare", "late")] + [words("lab.kept")]
        names += [words(f"forecast.picture.{key}") for key in ("missing_cost", "spare_cost", "span")]
        for axes, part in ((left, slice(0, 5)), (right, slice(5, 8))):
            legend(axes, look, handles[part], names[part], loc="upper left", bbox_to_anchor=(-0.03, -0.15),
                   ncols=3 if axes is left else 2, columnspacing=1.2, handlelength=1.5)  # fmt: skip
        moving = [*self._ghosts.values(), *(bar for bars in self._bars.values() for bar in bars), *self._spans.values()]
        return [*moving, *self._names.values(), *self._costs.values()]

    def show(self, result: Forecast, kept: Forecast | None = None, prediction: Any = None) -> None:
        self._show_days(result, kept)
        naive = result.outcomes["persistence"].cost_vcpus
        chosen = result.options.predictor
        free = not naive
        self._verdict.set_text(words("forecast.picture.free" if free else f"forecast.picture.{result.chosen.verdict}"))
        for y, name in enumerate(ROWS):
            outcome = result.outcomes[name]
            start, spare = 0.0, outcome.headroom_vcpus
            for bar, part in zip(self._bars[name], (outcome.cost_vcpus - spare, spare), strict=True):
                end = min(MOST, start + part / naive) if naive else 0.0
                bar.set_x(start)
                bar.set_width(end - start)
                bar.set_visible(end > start)
                start = end
            ends = [min(MOST, max(0.0, 1 - skill)) for skill in (outcome.skill_high, outcome.skill_low)]
            self._spans[name].set_data(ends, [y + _BAR / 2] * 2)
            self._spans[name].set_visible(ends[0] < ends[1])
            mark = "▸ " if name == chosen else ""
            self._names[name].set_text(mark + words(f"forecast.predictor.{name}"))
            saved = signed(outcome.skill, "%", 2) if np.isfinite(outcome.skill) else ""
            beyond = words("forecast.picture.beyond") if naive and outcome.cost_vcpus > MOST * naive else ""
            key = "cost" if name in ("persistence", "oracle") or not saved else "saved"
            self._costs[name].set_text(say(f"forecast.picture.{key}", cost=show(outcome.cost_vcpus), skill=saved,
                                           beyond=beyond))  # fmt: skip
            before = kept.outcomes[name].cost_vcpus / (kept.outcomes["persistence"].cost_vcpus or 1) if kept else 0.0
            self._ghosts[name].set_visible(before > 0)
            self._ghosts[name].set_width(min(MOST, before))

    def _show_days(self, result: Forecast, kept: Forecast | None) -> None:
        hours = DAYS * DAY
        demand, level = result.held_out[:hours], result.levels[result.options.predictor][:hours]
        old = kept.levels[kept.options.predictor][:hours] if kept else level
        low, high = _range(float(min(demand.min(), level.min())), float(max(demand.max(), level.max())))
        x = (np.arange(hours) + 0.5) / DAY
        at = [(values - low) / (high - low) for values in (demand, level, old)]
        self._demand.set_data(x, at[0])
        self._level.set_data(x, at[1])
        covered = np.minimum(at[0], at[1])
        self._spare.set_xy(np.column_stack([np.append(x, x[::-1]), np.append(at[1], covered[::-1])]))
        short = demand > level + 1e-9 * (1 + high)
        self._late.set_data(x[short], at[0][short])
        self._old.set_visible(kept is not None)
        self._old.set_data(x, at[2])
        for k, text in enumerate(self._values):
            text.set_text(number(low + k * (high - low) / _TICKS, 5))


def _range(low: float, high: float) -> tuple[float, float]:
    """Round ends around ``low`` to ``high``, so that their quarters are round as well."""
    span = max(high - low, 1e-6 * max(high, 1.0), 1e-3)
    power = 10.0 ** floor(log10(span / _TICKS))
    for step in (power * n for n in (1, 2, 2.5, 5, 10, 20, 25, 50)):
        start = floor(low / step) * step
        if start + _TICKS * step >= high:
            return start, start + _TICKS * step
    raise AssertionError("no round range")
