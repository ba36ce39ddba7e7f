"""What many functions take of each finite resource, and how long a new connection waits for a core of their card."""

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

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, model_style, place_style, write
from virtlab.offload import CardLoad, Functions

#: The resources from top to bottom, and the place that has them.
ROWS: Mapping[str, str] = {
    "card_vfs": "card", "ids": "pcie", "mmio": "pcie", "queues": "card", "interrupts": "host", "memory": "host",
    "cores": "card", "card_memory": "card",
}  # fmt: skip
#: Busy VFs at which the wait is drawn.
BUSY: NDArray[np.float64] = np.unique(np.round(np.logspace(0, math.log10(4096), 97)))
_LOW, _HIGH = 1e-4, 100.0  # shares: 0.01 % to 10 000 %
_WAIT_LOW, _WAIT_HIGH = 1.0, 1e9  # ns
_NEVER = 4e8  # where a wait without bound is drawn
_LEFT, _RIGHT, _TOP, _PITCH, _HEIGHT = 240, 480, 100, 45, 26
_MOST = 655  # where the column of the most VFs ends


@dataclass(frozen=True)
class FunctionResult:
    """The functions, their card when all are busy, the wait (ns) at BUSY, and the busy VFs that saturate the cores."""

    functions: Functions
    card: CardLoad
    waits_ns: NDArray[np.float64]
    saturated: float

    @property
    def shares(self) -> dict[str, float]:
        """The share of each resource that is taken, in the order of ROWS; infinite where there is nothing to take."""
        known = {use.id: use.share for use in self.functions.uses}
        known |= {"cores": self.card.shares["cores"], "card_memory": self.card.shares["memory"]}
        return {row: known[row] for row in ROWS}

    @property
    def most(self) -> dict[str, float]:
        """The most VFs that each resource allows, in the order of ROWS."""
        o, known = self.card.options, {use.id: use.most for use in self.functions.uses}
        each = o.vf_state_bytes + 2 * o.queue_pairs * o.queue_bytes + self.card.memory_bytes["flows"] / o.busy
        known |= {"cores": math.floor(self.saturated),
                  "card_memory": (o.card_memory_bytes - o.card_reserve_bytes) // each}  # fmt: skip
        return {row: known[row] for row in ROWS}

    @property
    def first(self) -> str:
        """The row that ends first."""
        return min(self.most, key=self.most.__getitem__)

    def verdict(self) -> str:
        """Whether there is enough of everything, and what ends first, in one or two sentences."""
        vfs, most = self.functions.options.vfs, self.most[self.first]
        key = "enough" if vfs <= most else "too_many"
        return say(f"function_lab.{key}", vfs=number(vfs, 5), most=number(most, 7),
                   first=words(f"function_lab.row.{self.first}"))  # fmt: skip

    def numbers(self) -> str:
        """IOMMU groups and bus numbers."""
        key = "groups" if self.functions.options.acs else "one_group"
        return say(f"function_lab.{key}", groups=number(self.functions.groups, 5),
                   buses=number(self.functions.buses, 5))  # fmt: skip


class FunctionPicture(Picture[FunctionResult]):
    """Left: shares of each resource on a logarithmic scale. Right: the wait over the number of busy VFs."""

    size_px = (1040, 550)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.whole_axes()
        text = partial(write, axes, look)
        text(20, 28, words("function_lab.title"), SIZE["title"])
        text(_LEFT, 62, words("function_lab.share"), SIZE["note"], color=look.faint)
        text(_MOST, 62, words("function_lab.most"), SIZE["note"], color=look.faint, ha="right")
        bottom = _TOP + _PITCH * (len(ROWS) - 1) + 24
        for share, label in ((0.0001, "0.01 %"), (0.01, "1 %"), (1, "100 %"), (100, "10,000 %")):
            x = _x(share)
            whole = share == 1
            axes.plot([x, x], [_TOP - 24, bottom], color=look.ink if whole else look.grid,
                      linewidth=2 if whole else 1, zorder=4 if whole else 0)  # fmt: skip
            text(x, bottom + 14, label, SIZE["note"], ha="center")
        self._y = {row: _TOP + _PITCH * i for i, row in enumerate(ROWS)}
        for row, y in self._y.items():
            text(_LEFT - 10, y, words(f"function_lab.row.{row}"), SIZE["note"], ha="right")
        self._bars = {
            row: box(axes, _LEFT, y - _HEIGHT / 2, 1, _HEIGHT, gid=CUT, **place_style(look, ROWS[row]))
            for row, y in self._y.items()
        }  # fmt: skip
        self._ghosts = {row: axes.plot([0, 0], [y - 18, y + 18], zorder=5, **ghost_style(look))[0]
                        for row, y in self._y.items()}  # fmt: skip
        self._shares = {row: text(_RIGHT + 8, y, "", SIZE["note"]) for row, y in self._y.items()}
        self._most = {row: text(_MOST, y, "", SIZE["note"], ha="right") for row, y in self._y.items()}
        self._first = axes.plot([_MOST + 13], [_TOP], marker="<", markersize=9, color=look.ink, linestyle="")[0]
        self._groups = text(20, bottom + 62, "", SIZE["tick"])
        self._verdict = text(20, bottom + 38, "", SIZE["tick"])

        chart = self.figure.add_axes((0.755, 0.25, 0.215, 0.6))
        dress(chart, look, x=words("function_lab.busy"), grid="both")
        text(725, 28, words("function_lab.wait"), SIZE["title"])
        self._limit = text(725, 62, "", SIZE["note"], color=look.faint)
        chart.set(xscale="log", yscale="log", xlim=(1, 4096), ylim=(_WAIT_LOW / 3, _WAIT_HIGH))
        chart.set_xticks([1, 16, 256, 4096], ["1", "16", "256", "4,096"])
        chart.set_yticks([1, 1e3, 1e6, _NEVER], ["1 ns", "1 µs", "1 ms", str(words("function_lab.never"))])
        chart.minorticks_off()
        self._wall = chart.plot([], [], color=look.faint, linewidth=2)[0]
        self._was = chart.plot([], [], **ghost_style(look))[0]
        self._was_at = chart.plot([], [], "o", markersize=9, markerfacecolor="none", color=look.faint)[0]
        self._curve = chart.plot([], [], **model_style(look))[0]
        self._dot = chart.plot([], [], "o", color=look.ink, markersize=8)[0]
        handles = [Line2D([], [], **model_style(look)), Line2D([], [], **ghost_style(look))]
        legend(chart, look, handles, [words("function_lab.model"), words("lab.kept")], loc="upper center",
               bbox_to_anchor=(0.42, -0.17), ncols=2)  # fmt: skip
        return [*self._bars.values(), *self._ghosts.values(), *self._shares.values(), *self._most.values(),
                self._first, self._groups, self._verdict, self._limit, self._wall, self._was, self._was_at,
                self._curve, self._dot]  # fmt: skip

    def show(self, result: FunctionResult, kept: FunctionResult | None = None, prediction: Any = None) -> None:
        shares, most = result.shares, result.most
        for row, bar in self._bars.items():
            share = shares[row]
            bar.set_width(max(_x(share) - _LEFT, 1))
            bar.set_visible(share > 0)
            self._shares[row].set_text(_share(share))
            self._most[row].set_text(_most(most[row]))
            self._ghosts[row].set_visible(kept is not None)
            if kept is not None:
                self._ghosts[row].set_xdata([_x(kept.shares[row])] * 2)
        self._first.set_ydata([self._y[result.first]])
        self._verdict.set_text(result.verdict())
        self._groups.set_text(result.numbers())
        self._limit.set_text(say("function_lab.saturated", vfs=number(result.saturated)))
        self._wall.set_data([result.saturated] * 2, [_WAIT_LOW / 3, _WAIT_HIGH])
        self._wall.set_visible(1 <= result.saturated <= BUSY[-1])
        self._curve.set_data(BUSY, _inside(result.waits_ns))
        self._dot.set_data(*_point(result))
        for ghost in (self._was, self._was_at):
            ghost.set_visible(kept is not None)
        if kept is not None:
            self._was.set_data(BUSY, _inside(kept.waits_ns))
            self._was_at.set_data(*_point(kept))


def _x(share: float) -> float:
    """Where a share lies on the logarithmic scale; what is outside lies at its end."""
    inside = min(max(share, _LOW), _HIGH)
    return _LEFT + (_RIGHT - _LEFT) * math.log(inside / _LOW) / math.log(_HIGH / _LOW)


def _share(share: float) -> str:
    if math.isinf(share):
        return str(words("function_lab.none"))
    if 0 < share < 1e-5:
        return str(words("function_lab.little"))
    if share >= 1e4:
        return say("function_lab.times", factor=number(share, 2))
    return show(share, "%", 2 if share < 1e-3 else 3)


def _most(vfs: float) -> str:
    if math.isinf(vfs):
        return str(words("function_lab.any"))
    return number(vfs, 7) if vfs < 1e6 else str(words("function_lab.many"))


def _inside(waits_ns: NDArray[np.float64]) -> NDArray[np.float64]:
    inside: NDArray[np.float64] = np.clip(waits_ns, _WAIT_LOW, _NEVER)
    return inside


def _point(result: FunctionResult) -> tuple[list[float], list[float]]:
    return [float(result.card.options.busy)], [min(max(result.card.connection_wait_ns, _WAIT_LOW), _NEVER)]
