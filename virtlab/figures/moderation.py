"""Moderated interrupts: their rate and the added delay over the packet rate, the first of them one by one, the bill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.evidence import FACTS
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
from virtlab.offload import Moderation

Floats = NDArray[np.float64]
RATES: Floats = np.logspace(2, 7, 31)
ROOM = 200  # packets of the story
_LEAST_NS = 10.0  # of the delay's axis: less is drawn there
_TICKS = ([1e2, 1e3, 1e4, 1e5, 1e6, 1e7], ["100", "1 k", "10 k", "100 k", "1 M", "10 M"])
_BOXES = 8
_HEIGHTS = {"packets": 3.0, "held": 2.0, "polled": 1.0, "interrupts": 0.0}


@dataclass(frozen=True)
class Curve:
    """Over ``rates`` float64[n], packets/s: interrupts a second, delays in ns, and where the guest polls for ever."""

    rates: Floats
    irqs_per_s: Floats
    mean_ns: Floats
    p99_ns: Floats
    endless: NDArray[np.bool_]


@dataclass(frozen=True)
class Story:
    """ns since the first packet, int64: ``packets``; of each interrupt its first packet, itself, its poll's end."""

    packets: NDArray[np.int64]
    firsts: NDArray[np.int64]
    irqs: NDArray[np.int64]
    polled: NDArray[np.int64]
    window_ns: int


@dataclass(frozen=True)
class ModerationResult:
    """``now`` is this setting; ``light`` and ``heavy`` are the two limits over RATES, where the scheme has them."""

    now: Moderation
    curve: Curve
    light: Floats | None
    heavy: Floats | None
    story: Story
    chosen_ns: float

    @property
    def bill(self) -> dict[str, str]:
        """This setting in numbers."""
        m = self.now
        return {
            "irqs": show(m.interrupts_per_s, "1/s"), "packets": number(m.packets_per_interrupt),
            "mean": show(m.mean_delay_ns, "ns"), "p99": show(m.p99_delay_ns, "ns"), "timer": show(self.chosen_ns, "ns"),
            "exits": show(m.exits_per_s, "1/s"), "share": show(m.interrupt_share, "%", 2),
        }  # fmt: skip


class ModerationPicture(Picture[ModerationResult]):
    """Left: rate of interrupts and added delay over the packet rate. Right: the first interrupts; the bill."""

    size_px = (1040, 720)

    def build(self) -> Sequence[Artist]:
        look = self.look
        rate = self.figure.add_axes((0.085, 0.605, 0.4, 0.315))
        delay = self.figure.add_axes((0.085, 0.175, 0.4, 0.27))
        dress(rate, look, title=words("moderation_lab.rate.title"), x=words("moderation_lab.rate.x"), grid="both")
        dress(delay, look, title=words("moderation_lab.delay.title"), x=words("moderation_lab.delay.x"), grid="both")
        for axes in (rate, delay):
            axes.set(xscale="log", yscale="log", xlim=(1e2, 1e7))
            axes.set_xticks(*_TICKS)
            axes.minorticks_off()
        rate.set_ylim(70, 1.5e7)
        rate.set_yticks([1e2, 1e3, 1e4, 1e5, 1e6, 1e7], ["100/s", "1 k/s", "10 k/s", "100 k/s", "1 M/s", "10 M/s"])
        delay.set_ylim(_LEAST_NS * 0.25, 2e6)
        delay.set_yticks([1e1, 1e2, 1e3, 1e4, 1e5, 1e6], ["≤ 10 ns", "100 ns", "1 µs", "10 µs", "100 µs", "1 ms"])
        rate.minorticks_off()
        delay.minorticks_off()
        rate.plot([1e2, 1e7], [1e2, 1e7], color=look.grid, linewidth=2)
        limit: dict[str, Any] = {"color": look.faint, "linewidth": 1.6}
        self._limits = {"light": rate.plot([], [], linestyle=":", **limit)[0],
                        "heavy": rate.plot([], [], linestyle="-.", **limit)[0]}  # fmt: skip
        self._ghosts = [axes.plot([], [], **ghost_style(look))[0] for axes in (rate, delay)]
        self._ghost_dots = [axes.plot([], [], "o", linestyle="", color=look.faint, markersize=9)[0]
                            for axes in (rate, delay)]  # fmt: skip
        self._rate = rate.plot([], [], **model_style(look))[0]
        self._mean = delay.plot([], [], **model_style(look))[0]
        self._p99 = delay.plot([], [], **model_style(look, linewidth=1.4))[0]
        published = FACTS["io.vhost_user.guest.rx"].value, FACTS["io.vhost_user.guest.interrupts"].value
        diamond = literature_style(look)
        rate.errorbar(*published, **diamond)
        self._dots = [axes.plot([], [], "o", linestyle="", color=look.ink, markersize=11)[0] for axes in (rate, delay)]
        self._p99_dot = delay.plot([], [], "o", linestyle="", color=look.ink, markersize=6)[0]
        self._far = delay.plot([], [], color=look.faint, linewidth=1.2)[0]
        self._far_text = delay.text(0, 1e3, "", fontsize=SIZE["note"], color=look.faint, va="center")
        self._build_story()
        whole = self.whole_axes()
        self._build_bill(whole)
        self._build_legend(whole, limit, diamond)
        return [*self._limits.values(), *self._ghosts, *self._ghost_dots, self._rate, self._mean, self._p99, self._far,
                self._far_text, *self._dots, self._p99_dot, *self._held, *self._polls, self._packets, self._irqs,
                *self._times, *self._titles.values(), *self._bill.values(), *self._old.values(),
                self._kept]  # fmt: skip

    def _build_story(self) -> None:
        look = self.look
        axes = self.figure.add_axes((0.6, 0.635, 0.38, 0.265))
        dress(axes, look)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.5, 3.5), xticks=[], yticks=[])
        axes.spines["left"].set_visible(False)
        for key, y in _HEIGHTS.items():
            axes.text(-0.04, y, words(f"moderation_lab.story.{key}"), fontsize=SIZE["tick"], color=look.ink, ha="right",
                      va="center")  # fmt: skip
            axes.axhline(y - 0.5, color=look.grid, linewidth=1)
        self._held = [self._box(axes, "held", "card") for _ in range(_BOXES)]
        self._polls = [self._box(axes, "polled", "guest") for _ in range(_BOXES)]
        self._packets = axes.plot([], [], "|", linestyle="", color=look.ink, markersize=16, markeredgewidth=1.6,
                                  clip_on=False)[0]
        self._irqs = axes.plot([], [], "^", linestyle="", color=look.ink, markersize=11, clip_on=False)[0]
        self._times = [axes.text(x, -0.95, "", fontsize=SIZE["tick"], color=look.ink, ha=ha, va="center")
                       for x, ha in ((0, "left"), (0.5, "center"), (1, "right"))]  # fmt: skip
        self._titles = {key: axes.text(-0.27, 3.95, words(f"moderation_lab.story.{key}"), fontsize=SIZE["title"],
                                       color=look.ink) for key in ("title", "later")}  # fmt: skip

    def _box(self, axes: Axes, row: str, place: str) -> Rectangle:
        bar = box(axes, 0, _HEIGHTS[row] - 0.3, 0, 0.6, **place_style(self.look, place))
        bar.set_gid(CUT)
        return bar

    def _build_bill(self, whole: Axes) -> None:
        look = self.look
        text = partial(write, whole, look)
        text(590, 372, words("moderation_lab.bill.title"), SIZE["title"])
        rows = words("moderation_lab.bill.row")
        for n, key in enumerate(rows):
            text(590, 406 + 28 * n, rows[key], SIZE["tick"])
        self._bill = {key: text(895, 406 + 28 * n, "", SIZE["label"], ha="right") for n, key in enumerate(rows)}
        self._old = {key: text(1015, 406 + 28 * n, "", SIZE["tick"], color=look.faint, ha="right")
                     for n, key in enumerate(rows)}  # fmt: skip
        self._kept = text(1015, 372, "", SIZE["tick"], color=look.faint, ha="right")

    def _build_legend(self, whole: Axes, limit: dict[str, Any], diamond: dict[str, Any]) -> None:
        look = self.look
        names = words("moderation_lab.legend")
        mark = {"marker": diamond["fmt"], "linestyle": "", "color": look.ink, "markersize": 8}
        handles: list[Artist] = [
            Line2D([], [], **model_style(look)), Line2D([], [], **model_style(look, linewidth=1.4)),
            Line2D([], [], color=look.grid, linewidth=2), Line2D([], [], linestyle=":", **limit),
            Line2D([], [], linestyle="-.", **limit), Line2D([], [], **mark), Line2D([], [], **ghost_style(look)),
            Patch(**place_style(look, "card")), Patch(**place_style(look, "guest")),
        ]  # fmt: skip
        labels = [names["model"], names["p99"], names["each"], names["light"], names["heavy"], names["published"],
                  names["kept"], words("moderation_lab.story.held"), words("moderation_lab.story.polled")]  # fmt: skip
        legend(whole, look, handles, labels, loc="lower center", bbox_to_anchor=(0.5, -0.005), ncols=5,
               columnspacing=1.4, handlelength=1.8)  # fmt: skip

    def show(self, result: ModerationResult, kept: ModerationResult | None = None, prediction: Any = None) -> None:
        curve = result.curve
        there = ~curve.endless
        self._rate.set_data(curve.rates[there], curve.irqs_per_s[there])
        self._mean.set_data(curve.rates[there], _floor(curve.mean_ns[there]))
        self._p99.set_data(curve.rates[there], _floor(curve.p99_ns[there]))
        for key, line in self._limits.items():
            values = getattr(result, key)
            line.set_visible(values is not None)
            if values is not None:
                line.set_data(RATES, values)
        self._mark(self._dots, result)
        self._p99_dot.set_visible(not result.now.endless)
        self._p99_dot.set_data([result.now.options.rate_packets_per_s], [_floor(result.now.p99_delay_ns)])
        self._endless(curve)
        for line in (*self._ghosts, *self._ghost_dots):
            line.set_visible(kept is not None)
        if kept is not None:
            old = ~kept.curve.endless
            self._ghosts[0].set_data(kept.curve.rates[old], kept.curve.irqs_per_s[old])
            self._ghosts[1].set_data(kept.curve.rates[old], _floor(kept.curve.mean_ns[old]))
            self._mark(self._ghost_dots, kept)
        self._tell(result)
        for key, text in result.bill.items():
            self._bill[key].set_text(text)
            self._old[key].set_text("" if kept is None else kept.bill[key])
        self._kept.set_text("" if kept is None else words("moderation_lab.bill.kept"))

    def _mark(self, dots: Sequence[Line2D], result: ModerationResult) -> None:
        m = result.now
        for dot, y in zip(dots, (m.interrupts_per_s, _floor(m.mean_delay_ns)), strict=True):
            dot.set_visible(not m.endless)
            dot.set_data([m.options.rate_packets_per_s], [y])

    def _endless(self, curve: Curve) -> None:
        """Where no interrupt comes any more: an upright line, and what it means."""
        some = bool(curve.endless.any())
        self._far.set_visible(some)
        self._far_text.set_text(words("moderation_lab.legend.endless") if some else "")
        if some:
            at = float(curve.rates[curve.endless][0])
            self._far.set_data([at, at], [_LEAST_NS / 4, 2e6])
            self._far_text.set(x=at / 1.12, y=22, ha="right")

    def _tell(self, result: ModerationResult) -> None:
        story, adaptive = result.story, result.now.options.moderation == "adaptive"
        window = story.window_ns
        self._packets.set_data(story.packets / window, np.full(len(story.packets), _HEIGHTS["packets"]))
        self._irqs.set_data(story.irqs / window, np.full(len(story.irqs), _HEIGHTS["interrupts"]))
        for bars, starts, ends in ((self._held, story.firsts, story.irqs), (self._polls, story.irqs, story.polled)):
            for n, bar in enumerate(bars):
                bar.set_visible(n < len(starts) and bool(ends[n] > starts[n]))
                if bar.get_visible():
                    bar.set(x=starts[n] / window, width=max((ends[n] - starts[n]) / window, 0.002))
        for text, part in zip(self._times, (0.0, 0.5, 1.0), strict=True):
            text.set_text(show(part * window, "ns") if part else "0")
        self._titles["title"].set_visible(not adaptive)
        self._titles["later"].set_visible(adaptive)


def _floor(ns: Any) -> Any:
    return np.maximum(ns, _LEAST_NS)
