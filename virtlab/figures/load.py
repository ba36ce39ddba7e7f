"""A path under load: how many packets are slower than a time, and how busy its servers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, model_style

#: Edges of the latency bins in ns: twenty a decade, from 1 µs to 1 s.
EDGES_NS: NDArray[np.float64] = np.logspace(3, 9, 121)
_QUANTILES = ((0.5, "p50"), (0.01, "p99"), (0.001, "p999"))
BARS = ("front", "worker", "consumer", "host_cores", "guest_cores")


@dataclass(frozen=True)
class LoadResult:
    """``slower`` is the share of packets above each edge; ``busy`` the load of each server (1 = one core, or full)."""

    path: str
    direction: str
    slower: NDArray[np.float64]
    quantiles_ns: Mapping[str, float]
    busy: Mapping[str, float]
    delivered_packets_per_s: float
    dropped_share: float
    capacity_packets_per_s: float


class LoadPicture(Picture[LoadResult]):
    """Left: the tail of the latency. Right: how busy everything is."""

    size_px = (1040, 560)

    def build(self) -> Sequence[Artist]:
        look = self.look
        tail = self.figure.add_axes((0.09, 0.17, 0.5, 0.7))
        busy = self.figure.add_axes((0.76, 0.17, 0.2, 0.7))
        dress(tail, look, title=words("load.tail_title"), x=words("load.tail_x"), y=words("load.tail_y"), grid="both")
        tail.set(xscale="log", yscale="log", xlim=(1, 1e6), ylim=(8e-5, 1.2))
        tail.set_xticks([1, 10, 100, 1e3, 1e4, 1e5, 1e6], ["1 µs", "10", "100", "1 ms", "10", "100", "1 s"])
        tail.set_yticks([1, 0.1, 0.01, 1e-3, 1e-4], ["all", "10 %", "1 %", "0.1 %", "0.01 %"])
        tail.minorticks_off()
        tail.tick_params(axis="x", pad=9)
        dress(busy, look, title=words("load.busy_title"), x=words("load.busy_x"))
        busy.set(xlim=(0, 1.25), ylim=(-0.6, len(BARS) - 0.4), yticks=range(len(BARS) - 1, -1, -1), xticks=[0, 0.5, 1])
        busy.set_xticklabels(["0", "50 %", "100 %"])
        busy.set_yticklabels(["" for _ in BARS])
        busy.axvline(1, color=look.faint, linewidth=1.5)
        handles = [Line2D([], [], **model_style(look)), Line2D([], [], **ghost_style(look))]
        legend(tail, look, handles, [words("lab.model"), words("lab.kept")], loc="upper right",
               bbox_to_anchor=(1.02, -0.12), ncols=2)  # fmt: skip

        self._kept = tail.plot([], [], **ghost_style(look))[0]
        self._curve = tail.plot([], [], **model_style(look))[0]
        self._marks = tail.plot([1] * len(_QUANTILES), [s for s, _ in _QUANTILES], "o", color=look.ink, markersize=8)[0]
        self._notes = {key: tail.text(1, share, "", fontsize=SIZE["note"], color=look.ink, va="bottom")
                       for share, key in _QUANTILES}  # fmt: skip
        rows = {key: len(BARS) - 1 - i for i, key in enumerate(BARS)}
        self._bars = {key: box(busy, 0, y - 0.28, 0, 0.56, facecolor=look.faint, edgecolor=look.ink)
                      for key, y in rows.items()}  # fmt: skip
        self._names = {key: busy.text(-0.04, y, "", ha="right", va="center", fontsize=SIZE["note"], color=look.ink)
                       for key, y in rows.items()}  # fmt: skip
        self._values = {key: busy.text(0, y, "", va="center", fontsize=SIZE["note"], color=look.ink)
                        for key, y in rows.items()}  # fmt: skip
        return [self._kept, self._curve, self._marks, *self._notes.values(), *self._bars.values(),
                *self._names.values(), *self._values.values()]  # fmt: skip

    def show(self, result: LoadResult, kept: LoadResult | None = None, prediction: Any = None) -> None:
        for line, shown in ((self._curve, result), (self._kept, kept)):
            line.set_visible(shown is not None)
            if shown is not None:
                some = shown.slower > 0
                line.set_data(EDGES_NS[some] / 1e3, shown.slower[some])
        self._marks.set_xdata([result.quantiles_ns[key] / 1e3 for _, key in _QUANTILES])
        for _, key in _QUANTILES:
            x = result.quantiles_ns[key] / 1e3
            far = x > 1e4  # then there is room on the other side only, below the curve
            self._notes[key].set_x(x / 1.15 if far else x * 1.15)
            self._notes[key].set(ha="right" if far else "left", va="top" if far else "bottom")
            self._notes[key].set_text(f"{words(f'load.{key}_short')} {show(x * 1e3, 'ns')}")
        for key in BARS:
            load = result.busy[key]
            width = min(load, 1.2)
            self._bars[key].set_width(width)
            self._names[key].set_text(words(f"load.bar.{result.direction}.{key}"))
            self._values[key].set_text(" " + (number(load, 2) if key.endswith("cores") else show(load, "%", 2)))
            self._values[key].set_x(width)
