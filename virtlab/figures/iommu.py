"""The wall of the IOTLB over the size of the pool, and beside it what each way to use an IOMMU leaves of the rate."""

from __future__ import annotations

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
from virtlab.figures.style import (
    SIZE,
    box,
    dress,
    ghost_style,
    legend,
    literature_style,
    model_style,
    place_style,
    write,
)
from virtlab.offload import Iommu

#: Ways to use an IOMMU, in the order of their rows: the modes, and strict as Fast & Safe does it.
ROWS = ("off", "static", "lazy", "strict", "kept")
PAGES = ("4K", "2M", "1G")
#: Buffers at which the curves are drawn.
POOLS: NDArray[np.int64] = np.unique(np.round(np.geomspace(16, 65_536, 17)).astype(np.int64))
_X0, _WIDTH, _Y0, _PITCH, _HEIGHT = 715, 215, 122, 88, 26
_BOTTOM, _TOP = 0.255, 0.83  # of the left axes


@dataclass(frozen=True)
class IommuResult:
    """``rows`` by way; ``curves`` by page, mapped once, in Gb/s at POOLS; ``chosen`` is the curve of the mode.

    ``measured`` is what a strict IOMMU left in a published measurement, ``wall`` what was left at the published wall
    (both in Gb/s, worst and best); None where it was another link.
    """

    rows: Mapping[str, Iommu]
    curves: Mapping[str, NDArray[np.float64]]
    chosen: NDArray[np.float64]
    mode: str
    page: str
    measured: tuple[float, float] | None
    wall: tuple[float, float] | None

    @property
    def top_gbit_per_s(self) -> float:
        """What arrives without an IOMMU: the end of all scales."""
        return self.rows["off"].rate_gbit_per_s

    @property
    def now(self) -> Iommu:
        """The way that was chosen."""
        return self.rows[self.mode]


class IommuPicture(Picture[IommuResult]):
    """Left: throughput over the pool for each IO page. Right: the ways, their rate, price and gap."""

    size_px = (1040, 600)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.figure.add_axes((0.1, _BOTTOM, 0.425, _TOP - _BOTTOM))
        dress(axes, look, x=words("iommu_lab.x"), grid="both")
        self.figure.text(0.015, 0.955, words("iommu_lab.wall"), fontsize=SIZE["title"], color=look.ink, va="center")
        axes.set(xscale="log", xlim=(POOLS[0], POOLS[-1]), ylim=(0, 1.06))
        ticks = [16, 256, 4096, 65_536]
        axes.set_xticks(ticks, [show(4096 * t, "B") for t in ticks])
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], [""] * 5)
        axes.minorticks_off()
        styles = self._styles()
        side: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
        side |= {"fontsize": SIZE["tick"], "color": look.faint}
        self._scale = [axes.text(-0.015, max(i / 4, 0.02), "", **side) for i in range(5)]
        self._ghost = axes.plot([], [], **ghost_style(look))[0]
        self._lines = {page: axes.plot([], [], **styles[page])[0] for page in PAGES}
        self._chosen = axes.plot([], [], **styles["mode"])[0]
        self._mark = axes.plot([1, 1], [0, 1.06], color=look.faint, linewidth=1.4)[0]
        self._dot = axes.plot([1], [0], "o", color=look.ink, markersize=9)[0]
        self._ghost_dot = axes.plot([1], [0], "o", markerfacecolor="none", markeredgecolor=look.faint, markersize=12,
                                    markeredgewidth=2)[0]  # fmt: skip
        self._mark_text = axes.text(1, 1.02, "", fontsize=SIZE["note"], color=look.ink, va="bottom",
                                    transform=axes.get_xaxis_transform())  # fmt: skip
        # The published pools are not known: the diamond stands beside the axes.
        self._wall = axes.errorbar([1.03], [0.9], yerr=[[0.1], [0.1]], clip_on=False,
                                   transform=axes.get_yaxis_transform(), **literature_style(look))  # fmt: skip
        handles = [Line2D([], [], **styles[key]) for key in (*PAGES, "mode")]
        handles += [Line2D([], [], **ghost_style(look)), Line2D([], [], marker="D", linestyle="", color=look.ink)]
        names = [words(f"parameter.io_page.choices.{page}") for page in PAGES]
        legend(axes, look, handles, [*(say("iommu_lab.once", page=n) for n in names), words("iommu_lab.mode"),
               words("lab.kept"), words("iommu_lab.published")], loc="upper left", bbox_to_anchor=(-0.2, -0.17),
               handlelength=2.0, ncols=3, columnspacing=1.2)  # fmt: skip
        right = self._right()
        return [*self._scale, self._ghost, self._chosen, *self._lines.values(), self._mark, self._dot, self._ghost_dot,
                self._mark_text, *self._parts(self._wall), *right]  # fmt: skip

    def _styles(self) -> dict[str, dict[str, Any]]:
        """Widest below, so that lines that lie on each other are all seen."""
        look = self.look
        return {
            "4K": model_style(look, linewidth=3),
            "2M": model_style(look, linewidth=2.2, linestyle=(0, (5, 2))),
            "1G": model_style(look, linewidth=2.2, linestyle=(0, (1, 1.4))),
            "mode": model_style(look, color=look.faint, linewidth=10, solid_capstyle="butt", alpha=0.5),
        }

    @staticmethod
    def _parts(bars: Any) -> list[Artist]:
        line, caps, segments = bars
        return [line, *caps, *segments]

    def _right(self) -> list[Artist]:
        look = self.look
        axes = self.whole_axes()
        text = partial(write, axes, look)
        text(_X0 - 112, 27, words("iommu_lab.ways"), SIZE["title"])
        for i in range(3):
            axes.plot([_X0 + _WIDTH * i / 2] * 2, [_Y0 - 26, _Y0 + 4 * _PITCH + 22], color=look.grid, linewidth=1)
        self._ticks = [text(_X0 + _WIDTH * i / 2, _Y0 - 38, "", SIZE["note"], ha="center", color=look.faint)
                       for i in range(3)]  # fmt: skip
        self._bars, self._was, self._values, self._notes, self._names = {}, {}, {}, {}, {}
        for i, row in enumerate(ROWS):
            y = _Y0 + _PITCH * i
            self._names[row] = text(_X0 - 12, y, "", SIZE["note"], ha="right", linespacing=1.15)
            self._bars[row] = box(axes, _X0, y - _HEIGHT / 2, 0, _HEIGHT, gid=CUT, **place_style(look, "pcie"))
            self._was[row] = axes.plot([], [], **ghost_style(look))[0]
            self._values[row] = text(_X0, y, "", SIZE["note"])
            self._notes[row] = text(_X0, y + 30, "", SIZE["note"], color=look.faint)
        y = _Y0 + _PITCH * ROWS.index("strict")
        style = literature_style(look, markersize=7)
        self._measured = axes.errorbar([_X0], [y + 15], xerr=[[1], [1]], **style)
        return [*self._ticks, *self._names.values(), *self._bars.values(), *self._was.values(), *self._values.values(),
                *self._notes.values(), *self._parts(self._measured)]  # fmt: skip

    def show(self, result: IommuResult, kept: IommuResult | None = None, prediction: Any = None) -> None:
        top, now = result.top_gbit_per_s, result.now
        for i, tick in enumerate(self._scale):
            tick.set_text(show(top * i / 4, "Gb/s") if i else "0")
        for page, line in self._lines.items():
            line.set_data(POOLS, result.curves[page] / top)
        self._chosen.set_data(POOLS, result.chosen / top)
        pool = now.options.pool_buffers
        self._mark.set_xdata([pool, pool])
        self._dot.set_data([pool], [now.rate_gbit_per_s / top])
        place = np.log(pool / POOLS[0]) / np.log(POOLS[-1] / POOLS[0])
        self._mark_text.set(x=pool, text=say("iommu_lab.mark", pool=show(now.options.pool_bytes, "B")),
                            ha="left" if place < 0.3 else "right" if place > 0.7 else "center")  # fmt: skip
        for ghost in (self._ghost, self._ghost_dot):
            ghost.set_visible(kept is not None)
        if kept is not None:
            before = kept.now
            self._ghost.set_data(POOLS, np.minimum(kept.chosen / top, 1.06))
            self._ghost_dot.set_data([before.options.pool_buffers], [min(before.rate_gbit_per_s / top, 1.06)])
        self._place(self._wall, result.wall, lambda v: v / top, across=False)
        for i, tick in enumerate(self._ticks):
            tick.set_text(show(top * i / 2, "Gb/s") if i else "0")
        for row in ROWS:
            self._show_row(row, result, kept)
        self._place(self._measured, result.measured, lambda v: _X0 + _WIDTH * min(v / top, 1.0), across=True)

    def _show_row(self, row: str, result: IommuResult, kept: IommuResult | None) -> None:
        way, top = result.rows[row], result.top_gbit_per_s
        y = _Y0 + _PITCH * ROWS.index(row)
        width = _WIDTH * way.rate_gbit_per_s / top
        self._bars[row].set_width(width)
        page = words(f"parameter.io_page.choices.{result.page}")
        name = say(f"iommu_lab.row.{row}", page=page)
        self._names[row].set_text(say("iommu_lab.this", name=name) if row == result.mode else name)
        before = kept.rows[row].rate_gbit_per_s if kept is not None else 0.0
        right = _X0 + _WIDTH * min(before / top, 1.0)
        high, low = y - _HEIGHT / 2 - 3, y + _HEIGHT / 2 + 3
        self._was[row].set_visible(kept is not None)
        self._was[row].set_data([_X0, right, right, _X0, _X0], [high, high, low, low, high])
        value = self._values[row]
        value.set_text(show(way.rate_gbit_per_s, "Gb/s"))
        value.set_x(max(_X0 + width, right) + 8)
        note = say("iommu_lab.reads", reads=number(way.reads))
        if row in ("strict", "kept"):
            note += say("iommu_lab.cores", cores=number(way.invalidation_cores, 2))
        if way.stale_ns:
            note += say("iommu_lab.stale", time=show(way.stale_ns, "ns"))
        self._notes[row].set_text(words("iommu_lab.open") if row == "off" else note)

    def _place(self, bars: Any, found: tuple[float, float] | None, at: Any, across: bool) -> None:
        for part in self._parts(bars):
            part.set_visible(found is not None)
        if found is None:
            return
        line, caps, (segment,) = bars
        low, high = (at(v) for v in found)
        middle = (low + high) / 2
        if across:
            y = line.get_ydata()[0]
            line.set_xdata([middle])
            segment.set_segments([[(low, y), (high, y)]])
        else:
            x = line.get_xdata()[0]
            line.set_ydata([middle])
            segment.set_segments([[(x, low), (x, high)]])
        for cap, end in zip(caps, (low, high), strict=True):
            (cap.set_xdata if across else cap.set_ydata)([end])
