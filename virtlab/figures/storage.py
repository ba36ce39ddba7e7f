"""Storage: IOPS and latency against queue depth, and where the time of one request alone goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, literature_style, model_style, place_style

#: Depths that the picture shows; the curves are drawn through some of them, as close as a line needs.
DEEPEST = 512
_DRAWN = np.unique(np.round(np.geomspace(1, DEEPEST, 60)).astype(np.int64)) - 1
_IOPS, _NS = (1e2, 3e7), (1e4, 1e9)
_POINTS = 4  # published points of one path at most
PLACES = ("guest", "kvm", "qemu", "host", "poller", "pcie", "card", "wire")


@dataclass(frozen=True)
class StorageResult:
    """One path at every depth up to ``DEEPEST``: float64 arrays; ``bare`` is bare metal with the same disk.

    ``published`` holds (depth, IOPS, latency in ns) of runs that fit the setting; ``alone_ns`` the time by place.
    """

    path: str
    operation: str
    depth: int
    iops: NDArray[np.float64]
    latency_ns: NDArray[np.float64]
    bound_iops: NDArray[np.float64]
    bare_iops: NDArray[np.float64]
    bare_latency_ns: NDArray[np.float64]
    knee_depth: float
    limit_iops: float
    bottleneck: str
    alone_ns: Mapping[str, float]
    published: tuple[tuple[int, float, float], ...]

    @property
    def here(self) -> tuple[float, float]:
        """(IOPS, latency in ns) at the chosen depth."""
        return float(self.iops[self.depth - 1]), float(self.latency_ns[self.depth - 1])


class StoragePicture(Picture[StorageResult]):
    """Left: IOPS against depth. Right: latency against depth. Below: one request alone, by place."""

    size_px = (1080, 660)

    def build(self) -> Sequence[Artist]:
        look = self.look
        rate = self.rate = self.figure.add_axes((0.075, 0.44, 0.405, 0.48))
        time = self.time = self.figure.add_axes((0.58, 0.44, 0.405, 0.48))
        for key, axes in (("rate", rate), ("time", time)):
            dress(axes, look, title=words(f"storage_lab.{key}_title"), x=words("storage_lab.depth"),
                  y=words(f"storage_lab.{key}"), grid="both")  # fmt: skip
        for axes in (rate, time):
            axes.set(xscale="log", yscale="log", xlim=(0.85, DEEPEST * 1.2))
            axes.set_xticks([1, 4, 16, 32, 128, 512], ["1", "4", "16", "32", "128", "512"])
        rate.set(ylim=_IOPS)
        rate.set_yticks([1e2, 1e3, 1e4, 1e5, 1e6, 1e7], ["100", "1 k", "10 k", "100 k", "1 M", "10 M"])
        time.set(ylim=_NS)
        time.set_yticks([1e4, 1e5, 1e6, 1e7, 1e8, 1e9], ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"])
        for axes in (rate, time):
            axes.minorticks_off()
        bar = self.figure.add_axes((0.075, 0.165, 0.91, 0.075))
        dress(bar, look, title=words("storage_lab.alone_title"))
        bar.set(xlim=(0, 1), ylim=(-0.5, 0.5), yticks=[], xticks=[])
        for spine in bar.spines.values():
            spine.set_visible(False)
        self._legends(bar)

        self._knee = [axes.plot([1, 1], limits, color=look.faint, linewidth=1.2, linestyle=":")[0]
                      for axes, limits in ((rate, _IOPS), (time, _NS))]  # fmt: skip
        self._lines = {
            key: (rate.plot([], [], **style)[0], time.plot([], [], **style)[0])
            for key, style in (("bound", {"color": look.faint, "linewidth": 1.2, "linestyle": "--"}),
                               ("bare", {"color": look.faint, "linewidth": 2.0}),
                               ("ghost", ghost_style(look, color=look.ink)), ("model", model_style(look)))
        }  # fmt: skip
        diamond = literature_style(look)
        one = {"marker": "D", "linestyle": "", "color": look.ink, "markersize": diamond["markersize"] + 1,
               "markeredgecolor": look.paper, "markeredgewidth": 1.2}  # fmt: skip
        self._points = [tuple(axes.plot([1], [1], **one)[0] for axes in (rate, time)) for _ in range(_POINTS)]
        self._old = [axes.plot([1], [1], "o", color=look.paper, markeredgecolor=look.ink, markersize=12,
                               markeredgewidth=1.6, linestyle="")[0] for axes in (rate, time)]  # fmt: skip
        self._dots = [axes.plot([1], [1], "o", color=look.ink, markersize=10)[0] for axes in (rate, time)]
        behind: dict[str, Any] = {"facecolor": look.paper, "edgecolor": "none", "pad": 1.5}
        self._values = [axes.text(1, y, "", fontsize=SIZE["label"], color=look.ink, weight="bold", va="center",
                                  ha="right", bbox=behind) for axes, y in ((rate, 2.2e2), (time, 2.2e4))]  # fmt: skip
        for text in self._values:
            text.set_x(DEEPEST)
        # One line each: a text of two lines is slow to draw.
        self._limit = [rate.text(DEEPEST, y, "", fontsize=SIZE["note"], color=look.ink, va="center", ha="right",
                                 bbox=behind) for y in (1.7e7, 7.5e6)]  # fmt: skip
        self._bars = {p: box(bar, 0, -0.4, 0, 0.8, gid=CUT, **place_style(look, p)) for p in PLACES}
        self._old_end = bar.plot([0, 0], [-0.5, 0.5], **ghost_style(look, color=look.ink))[0]
        self._scale = [self.figure.text(0.075 + 0.91 * x, 0.150, "", ha="center" if 0 < x < 1 else "left" if x == 0
                       else "right", va="top", fontsize=SIZE["tick"], color=look.ink)
                       for x in (0, 0.25, 0.5, 0.75, 1.0)]  # fmt: skip
        moving: list[Artist] = [*self._knee]
        for lines in self._lines.values():
            moving.extend(lines)
        for pair in self._points:
            moving.extend(pair)
        return [*moving, *self._old, *self._dots, *self._values, *self._limit, *self._bars.values(), self._old_end,
                *self._scale]  # fmt: skip

    def _legends(self, bar: Any) -> None:
        look = self.look
        diamond = literature_style(look)
        handles: list[Artist] = [
            Line2D([], [], **model_style(look)), Line2D([], [], color=look.faint, linewidth=2.0),
            Line2D([], [], color=look.faint, linewidth=1.2, linestyle="--"),
            Line2D([], [], color=look.ink, marker="D", linestyle="", markersize=diamond["markersize"]),
            Line2D([], [], **ghost_style(look, color=look.ink)),
        ]  # fmt: skip
        names = [*(words(f"storage_lab.legend.{key}") for key in ("model", "bare", "bound", "published")),
                 words("lab.kept")]  # fmt: skip
        legend(self.rate, look, handles, names, loc="upper left", bbox_to_anchor=(-0.16, -0.17), ncols=5,
               columnspacing=1.4)  # fmt: skip
        patches: list[Artist] = [Patch(**place_style(look, p)) for p in PLACES]
        legend(bar, look, patches, [words(f"storage.place.{p}") for p in PLACES], loc="upper left",
               bbox_to_anchor=(-0.08, -0.75),
               ncols=8, columnspacing=1.0, handlelength=1.6)  # fmt: skip

    def show(self, result: StorageResult, kept: StorageResult | None = None, prediction: Any = None) -> None:
        x = _DRAWN + 1
        with np.errstate(divide="ignore"):
            drawn = {
                "model": (result.iops, result.latency_ns), "bare": (result.bare_iops, result.bare_latency_ns),
                "bound": (result.bound_iops, np.arange(1, DEEPEST + 1) / result.bound_iops * 1e9),
                "ghost": (kept.iops, kept.latency_ns) if kept else None,
            }  # fmt: skip
        for key, lines in self._lines.items():
            values = drawn[key]
            for i, line in enumerate(lines):
                line.set_visible(values is not None)
                if values is not None:
                    line.set_data(x, np.clip(values[i][_DRAWN], *(_IOPS, _NS)[i]))
        for line in self._knee:
            line.set_xdata([_inside(result.knee_depth)] * 2)
        for n, pair in enumerate(self._points):
            for i, point in enumerate(pair):
                point.set_visible(n < len(result.published))
                if n < len(result.published):
                    point.set_data([result.published[n][0]], [result.published[n][i + 1]])
        for i, (dot, old, text) in enumerate(zip(self._dots, self._old, self._values, strict=True)):
            limits, unit = (_IOPS, _NS)[i], ("IOPS", "ns")[i]
            dot.set_data([result.depth], [float(np.clip(result.here[i], *limits))])
            old.set_visible(kept is not None)
            if kept is not None:
                old.set_data([kept.depth], [float(np.clip(kept.here[i], *limits))])
            text.set_text(say("storage_lab.here", value=show(result.here[i], unit), depth=result.depth))
        said = (say("storage_lab.limit", server=words(f"storage.server.{result.bottleneck}")),
                say("storage_lab.limit_rate", rate=show(result.limit_iops, "IOPS"),
                    depth=number(max(1.0, result.knee_depth), 2)))  # fmt: skip
        for text, line_ in zip(self._limit, said, strict=True):
            text.set_text(line_)
        self._show_alone(result, kept)

    def _show_alone(self, result: StorageResult, kept: StorageResult | None) -> None:
        totals = [sum(r.alone_ns.values()) for r in (result, kept) if r]
        limit = _round_up(1.02 * max(totals))
        left = 0.0
        for place, bar in self._bars.items():
            width = result.alone_ns.get(place, 0.0) / limit
            bar.set_x(left)
            bar.set_width(width)
            bar.set_visible(width > 0.0015)
            left += width
        self._old_end.set_visible(kept is not None)
        if kept is not None:
            self._old_end.set_xdata([totals[1] / limit] * 2)
        for text, share in zip(self._scale, (0, 0.25, 0.5, 0.75, 1.0), strict=True):
            text.set_text(show(share * limit, "ns", 2))


def _inside(depth: float) -> float:
    return float(np.clip(depth, 1, DEEPEST))


def _round_up(ns: float) -> float:
    """The next of 1, 2, 4, 8 times a power of ten, whose quarters are round."""
    power = 10.0 ** np.floor(np.log10(ns))
    return float(next(m * power for m in (1, 2, 4, 8, 10, 20) if m * power >= ns))
