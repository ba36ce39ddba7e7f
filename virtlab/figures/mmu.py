"""Shadow paging beside nested paging: what each cause takes of a vCPU, and the rate of updates where one overtakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, model_style, place_style, write
from virtlab.memory.mmu import MmuCost, Technique

#: The causes, and the place whose time each takes.
CAUSES = {
    "walks": "guest", "refills": "guest", "updates": "kvm", "guest_faults": "kvm", "cr3_loads": "kvm",
    "first_touches": "kvm", "ageing": "kvm", "lock": "kvm",
}  # fmt: skip
TECHNIQUES: tuple[Technique, ...] = ("shadow", "nested")
#: Page-table updates a second at which the curves are drawn.
RATES: NDArray[np.float64] = np.logspace(1, 7, 49)
_LIMITS = [0.01, 0.02, 0.04, 0.08, 0.2, 0.4, 0.6, 1.0]
_LOW, _HIGH = 8e-4, 2.5
_OVER = 1.7  # where more than can be had is drawn
_X: Mapping[Technique, int] = {"shadow": 222, "nested": 462}
_WIDTH = 160
_TOP, _PITCH, _HEIGHT = 96, 40, 24


@dataclass(frozen=True)
class MmuResult:
    """Both techniques under one load; ``curve`` is shadow paging's share at RATES; ``break_even_per_s`` may be 0 or
    infinite."""

    shadow: MmuCost
    nested: MmuCost
    curve: NDArray[np.float64]
    break_even_per_s: float

    def cost(self, technique: Technique) -> MmuCost:
        """The cost of one technique."""
        return self.shadow if technique == "shadow" else self.nested


class MmuPicture(Picture[MmuResult]):
    """Left: the shares by cause, each beginning where the one above ends. Right: the break-even."""

    size_px = (1040, 560)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.whole_axes()
        text = partial(write, axes, look)
        ys = {cause: _TOP + _PITCH * (i + 1) for i, cause in enumerate(CAUSES)} | {"total": _TOP}
        bottom = max(ys.values()) + 22
        text(_X["shadow"], 24, words("mmu.title"), SIZE["label"], color=look.faint)
        text(765, 24, words("mmu.chart"), SIZE["label"], color=look.faint)
        for technique, x in _X.items():
            text(x, 58, words(f"mmu.column.{technique}"), SIZE["label"])
            for i in (0, 1, 2):
                axes.plot([x + _WIDTH * i / 2] * 2, [_TOP - 20, bottom], color=look.grid, linewidth=1, zorder=0)
        for cause, y in ys.items():
            name = words("mmu.total") if cause == "total" else words(f"mmu.cause.{cause}")
            text(_X["shadow"] - 8, y, name, SIZE["note"], ha="right")
        self._scale = [
            text(x + _WIDTH * i / 2, bottom + 12, "", SIZE["note"], ha="center") for x in _X.values() for i in (0, 1, 2)
        ]
        self._bars = {
            (technique, cause): box(axes, x, y - _HEIGHT / 2, 0, _HEIGHT, gid=CUT, **place_style(look, CAUSES[cause]))
            for technique, x in _X.items() for cause, y in ys.items() if cause != "total"
        }  # fmt: skip
        self._wholes = {
            (technique, place): box(axes, x, _TOP - _HEIGHT / 2, 0, _HEIGHT, gid=CUT, **place_style(look, place))
            for technique, x in _X.items() for place in ("guest", "kvm")
        }  # fmt: skip
        self._values = {
            (technique, cause): text(x, y, "", SIZE["note"]) for technique, x in _X.items() for cause, y in ys.items()
        }
        self._were = {technique: axes.plot([], [], **ghost_style(look))[0] for technique in _X}

        chart = self.figure.add_axes((0.745, 0.2, 0.235, 0.63))
        dress(chart, look, x=words("mmu.updates"), grid="both")
        chart.set(xscale="log", yscale="log", xlim=(10, 1e7), ylim=(_LOW, _HIGH))
        chart.set_xticks([100, 1e4, 1e6], ["100/s", "10 k/s", "1 M/s"])
        chart.set_yticks([0.001, 0.01, 0.1, 1], ["0.1 %", "1 %", "10 %", "100 %"])
        chart.minorticks_off()
        chart.tick_params(axis="x", labelsize=SIZE["note"])
        chart.axhline(1, color=look.faint, linewidth=1.5)
        self._break = chart.plot([], [], color=look.faint, linewidth=2)[0]
        styles = {"shadow": model_style(look), "nested": model_style(look, linestyle=(0, (1, 1)))}
        self._ghosts = [chart.plot([], [], **ghost_style(look))[0] for _ in TECHNIQUES]
        self._curves = {technique: chart.plot([], [], **styles[technique])[0] for technique in TECHNIQUES}
        self._dots = chart.plot([], [], "o", color=look.ink, markersize=8)[0]
        self._title = text(765, 58, "", SIZE["tick"])
        handles = [Line2D([], [], **styles[t]) for t in TECHNIQUES] + [Line2D([], [], **ghost_style(look))]
        legend(chart, look, handles, [*(words(f"mmu.short.{t}") for t in TECHNIQUES), words("lab.kept")],
               loc="upper center", bbox_to_anchor=(0.45, -0.17), ncols=3, columnspacing=1.0,
               handlelength=1.6)  # fmt: skip
        return [*self._bars.values(), *self._wholes.values(), *self._were.values(), *self._values.values(),
                *self._scale, self._break, *self._ghosts, *self._curves.values(), self._dots, self._title]  # fmt: skip

    def show(self, result: MmuResult, kept: MmuResult | None = None, prediction: Any = None) -> None:
        totals = [r.cost(t).total_share for r in (result, kept) if r for t in TECHNIQUES]
        self.limit = next((m for m in _LIMITS if m >= max(totals)), 1.0)
        for i, tick in enumerate(self._scale):
            tick.set_text(show(self.limit * (i % 3) / 2, "%"))
        for technique in TECHNIQUES:
            self._show_bars(technique, result.cost(technique), kept.cost(technique) if kept else None)
        for technique, curve in self._curves.items():
            curve.set_data(RATES, _inside(_shares(result, technique)))
        for technique, ghost in zip(TECHNIQUES, self._ghosts, strict=True):
            ghost.set_visible(kept is not None)
            ghost.set_data(RATES, _inside(_shares(kept, technique)) if kept else RATES)
        now = result.shadow.options.page_table_updates_per_s
        self._dots.set_data([max(now, 10)] * 2, _inside(np.array([result.cost(t).total_share for t in TECHNIQUES])))
        at = result.break_even_per_s
        self._break.set_visible(0 < at < math.inf)
        self._break.set_data([at] * 2, [_LOW, _HIGH])
        key = "never" if not at else "always" if at == math.inf else "at"
        self._title.set_text(say(f"mmu.break_even.{key}", rate=show(at, "1/s")))

    def _show_bars(self, technique: Technique, cost: MmuCost, before: MmuCost | None) -> None:
        x, per_share = _X[technique], _WIDTH / self.limit

        def place(share: float) -> float:
            return x + min(share * per_share, _WIDTH)

        at = 0.0
        for cause in CAUSES:
            share = cost.shares[cause]
            bar, value = self._bars[technique, cause], self._values[technique, cause]
            bar.set_x(place(at))
            bar.set_width(place(at + share) - place(at))
            bar.set_visible(share > 0)
            value.set_text(show(share, "%", 2) if share else "–")
            value.set_x(place(at + share) + 6 if share else x + 6)
            at += share
        guest = sum(cost.shares[c] for c, p in CAUSES.items() if p == "guest")
        for key, start, end in (("guest", 0.0, guest), ("kvm", guest, cost.total_share)):
            whole = self._wholes[technique, key]
            whole.set_x(place(start))
            whole.set_width(place(end) - place(start))
            whole.set_visible(end > start)
        was = before.total_share if before else 0.0
        value = self._values[technique, "total"]
        value.set_text(show(cost.total_share, "%"))
        value.set_x(place(max(cost.total_share, was)) + 6)
        right, top, low = place(was), _TOP - _HEIGHT / 2 - 3, _TOP + _HEIGHT / 2 + 3
        self._were[technique].set_visible(before is not None)
        self._were[technique].set_data([x, right, right, x, x], [top, top, low, low, top])


def _shares(result: MmuResult, technique: Technique) -> NDArray[np.float64]:
    return result.curve if technique == "shadow" else np.full(len(RATES), result.nested.total_share)


def _inside(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Within the axes: what is far more than can be had is drawn just above 100 %."""
    inside: NDArray[np.float64] = np.clip(shares, _LOW, _OVER)
    return inside
