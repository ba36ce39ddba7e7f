"""Locks and preemption: what is wasted over the vCPUs on a pCPU, and who does what around one preempted holder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, dress, ghost_style, legend, model_style, place_style

Floats = NDArray[np.float64]
MOST_ROWS = 8
#: What is drawn of a vCPU, and how high: bars of different height lie on each other.
HEIGHT: Mapping[str, float] = {
    "think": 0.62, "spin": 0.3, "exit": 0.62, "ready": 0.05, "waits_on": 0.3, "critical": 0.8,
}  # fmt: skip
_LOW, _HIGH = 1e2, 1e10  # ns
_THIN = 1 / 280  # of the window: what is shorter is drawn as long


@dataclass(frozen=True)
class Bar:
    """From ``start_ns`` to ``end_ns`` the vCPU in ``row`` does what HEIGHT names."""

    row: int
    what: str
    start_ns: float
    end_ns: float


@dataclass(frozen=True)
class LockResult:
    """Left: over ``vcpus`` the closed form, over ``simulated`` what the runs gave. Right: bars of a window in time."""

    vcpus: Floats
    closed_mean_ns: Floats
    closed_cut_ns: Floats
    simulated: Floats
    wasted_ns: Floats
    tail_ns: Floats
    chosen: int
    bars: tuple[Bar, ...]
    start_ns: float
    end_ns: float
    label: str
    sentence: str


class LockPicture(Picture[LockResult]):
    """Left: mean and tail of the waste, lines from the closed form, points from the simulation. Right: a time line."""

    size_px = (1040, 600)

    def build(self) -> Sequence[Artist]:
        look = self.look
        left = self.figure.add_axes((0.115, 0.30, 0.34, 0.58))
        right = self.figure.add_axes((0.55, 0.30, 0.43, 0.58))
        dress(left, look, title=words("lock_lab.waste"), x=words("lock_lab.x"), y=words("lock_lab.y"), grid="y")
        left.set(yscale="log", xlim=(0.6, 8.4), ylim=(_LOW / 2, _HIGH))
        left.set_xticks(range(1, 9))
        left.set_yticks([_LOW, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9],
                        ["≤ 0.1 µs", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"])  # fmt: skip
        left.minorticks_off()
        dress(right, look, title=words("lock_lab.who"), x=words("lock_lab.time"))
        right.set(xlim=(0, 1), ylim=(MOST_ROWS - 0.4, -0.6), xticks=[], yticks=range(MOST_ROWS))
        right.set_yticklabels([say("lock_lab.row", n=n) for n in range(MOST_ROWS)])
        dots: dict[str, Any] = {"color": look.ink, "linestyle": "", "markersize": 9}
        mean = {**dots, "marker": "o"}
        tail = {**dots, "marker": "^", "markerfacecolor": look.paper, "markeredgewidth": 1.8}
        cut = model_style(look, linewidth=2, linestyle=(0, (1.2, 1.2)))
        ghost = ghost_style(look, marker="o", markersize=9, markerfacecolor="none")  # a single point is seen too
        samples = [Line2D([], [], **style) for style in (model_style(look), cut, mean, tail, ghost)]
        keys = ("closed", "cut", "mean", "tail")
        names = [*(words(f"lock_lab.legend.{key}") for key in keys), words("lab.kept")]
        legend(left, look, samples, names, loc="upper left", bbox_to_anchor=(-0.34, -0.17), ncols=2, columnspacing=1,
               handletextpad=0.5)  # fmt: skip
        styles = self._styles()
        patches = [Patch(**{**styles[what], "linewidth": 0.8}) for what in HEIGHT]
        legend(right, look, patches, [words(f"lock_lab.bar.{what}") for what in HEIGHT], loc="upper left",
               bbox_to_anchor=(-0.11, -0.17), ncols=3, columnspacing=1.0, handletextpad=0.5)  # fmt: skip
        self._mark = left.plot([2, 2], [_LOW / 2, _HIGH], color=look.grid, linewidth=9, zorder=0)[0]
        self._ghost = left.plot([], [], **ghost)[0]
        self._cut_line = left.plot([], [], **cut)[0]
        self._closed = left.plot([], [], **model_style(look))[0]
        self._tail = left.plot([], [], **tail)[0]
        self._mean = left.plot([], [], **mean)[0]
        self._bars = {what: PolyCollection([], **styles[what]) for what in HEIGHT}
        for bars in self._bars.values():
            right.add_collection(bars, autolim=False)
        self._ends = [right.text(x, MOST_ROWS - 0.25, "", fontsize=SIZE["tick"], color=look.ink, ha=ha, va="top")
                      for x, ha in ((0, "left"), (1, "right"))]  # fmt: skip
        self._label = self.figure.text(0.55, 0.035, "", fontsize=SIZE["note"], color=look.ink, va="center")
        return [self._mark, self._ghost, self._cut_line, self._closed, self._tail, self._mean, *self._bars.values(),
                *self._ends, self._label]  # fmt: skip

    def _styles(self) -> dict[str, dict[str, Any]]:
        """Work, spinning and sections are the guest's; exits are KVM's."""
        look = self.look
        guest, kvm = place_style(look, "guest"), place_style(look, "kvm")
        line = {"linewidth": 0.0}
        return {
            "think": {**guest, **line, "alpha": 0.45},
            "spin": {**guest, "linewidth": 0.8},  # no hatch: drawing one takes as long as all the rest
            "exit": {**kvm, **line},
            "ready": {"facecolor": look.faint, **line},
            "waits_on": {"facecolor": look.paper, "edgecolor": look.ink, "linewidth": 2.2},
            "critical": {"facecolor": look.ink, **line},
        }

    def show(self, result: LockResult, kept: LockResult | None = None, prediction: Any = None) -> None:
        self._mark.set_xdata([result.chosen] * 2)
        self._closed.set_data(result.vcpus, _seen(result.closed_mean_ns))
        self._cut_line.set_data(result.vcpus, _seen(result.closed_cut_ns))
        self._mean.set_data(result.simulated, _seen(result.wasted_ns))
        self._tail.set_data(result.simulated, _seen(result.tail_ns))
        self._ghost.set_visible(kept is not None)
        if kept is not None:
            self._ghost.set_data(kept.simulated, _seen(kept.wasted_ns))
        whole = max(1.0, result.end_ns - result.start_ns)
        for what, bars in self._bars.items():
            corners = []
            for bar in result.bars:
                if bar.what == what:
                    x = max(0.0, (bar.start_ns - result.start_ns) / whole)
                    end = min(1.0, max((bar.end_ns - result.start_ns) / whole, x + _THIN))
                    y, high = bar.row, HEIGHT[what] / 2
                    corners.append([(x, y - high), (end, y - high), (end, y + high), (x, y + high)])
            bars.set_verts(corners)
        self._ends[0].set_text("0")
        self._ends[1].set_text(show(whole, "ns"))
        self._label.set_text(result.label)


def _seen(ns: Floats) -> Floats:
    """On the logarithmic axis: what is 0, or next to it, lies on its lowest line."""
    return np.clip(np.nan_to_num(ns), _LOW, _HIGH)
