"""Halt polling: wait by wait, as a trade of CPU time against wake-ups, and as what the host's monitor shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from virtlab.core.words import say, words
from virtlab.cpu.halt_polling import HaltPolling
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import (
    SIZE,
    box,
    dress,
    ghost_style,
    legend,
    machine_style,
    model_style,
    place_style,
    write,
)

SHOWN = 20  # waits
#: Longest polling (ns) of the points of the trade.
MOST_NS = (0, 10_000, 20_000, 30_000, 50_000, 75_000, 100_000, 150_000, 200_000, 250_000, 300_000, 400_000, 500_000)
#: Time from one wake-up to the next (ns) of the points of the host's share.
AT_NS: NDArray[np.float64] = np.unique(np.concatenate([np.logspace(3.5, 7.2, 75), np.logspace(5, 6, 61)]))
_PLACE = {"host": "kvm", "guest": "guest"}
_SHARE_NS = (3e3, 1.6e7)  # the axis of the host's share
_TICK_NS = 4e6  # 250 Hz
_HALF = 0.36  # of the width of a bar
_CUT_AT = 1.06  # of the axis: a longer wait is cut there, and marked
_NICE = [m * 10.0**e for e in range(2, 9) for m in (1, 1.6, 2, 3, 4, 6, 8)]


@dataclass(frozen=True)
class HaltResult:
    """``now`` is this setting. ``trade``: by who polls, float[limits, 2], CPU burnt and waits that slept, as shares.

    ``shares``: what the host shows for equal waits by the time between wake-ups (``AT_NS``); ``host_share`` for these.
    ``recorded_ns`` are the intervals of a recorded KVM, if it had these waits and rules.
    """

    now: HaltPolling
    poller: str
    trade: Mapping[str, NDArray[np.float64]]
    shares: Mapping[str, NDArray[np.float64]]
    interval_ns: float
    work_share: float
    host_share: float
    recorded_ns: tuple[int, ...]
    never: bool

    @property
    def point(self) -> tuple[float, float]:
        """CPU burnt, and waits that needed a wake-up: this setting in the trade."""
        return self.now.burnt_share, 1 - sum(self.now.enough) / len(self.now.enough)


class HaltPicture(Picture[HaltResult]):
    """Above: the first waits one by one; what the host shows. Below: the trade; this setting in numbers."""

    size_px = (1040, 720)

    def build(self) -> Sequence[Artist]:
        look = self.look
        self._build_waits()
        shares = self.figure.add_axes((0.685, 0.605, 0.295, 0.30))
        trade = self.figure.add_axes((0.085, 0.135, 0.36, 0.30))
        dress(shares, look, title=words("halt_lab.share.title"), x=words("halt_lab.share.x"), grid="both")
        shares.set(xscale="log", xlim=_SHARE_NS, ylim=(0, 1.06))
        shares.set_xticks([1e4, 1e5, 1e6, 1e7], ["10 µs", "100 µs", "1 ms", "10 ms"])
        shares.minorticks_off()
        shares.axvline(_TICK_NS, color=look.faint, linewidth=1.2)
        shares.text(_TICK_NS / 1.15, 0.8, words("halt_lab.share.tick"), fontsize=SIZE["note"], color=look.faint,
                    ha="right", va="center")  # fmt: skip
        x, y = words("halt_lab.trade.x"), words("halt_lab.trade.y")
        dress(trade, look, title=words("halt_lab.trade.title"), x=x, y=y, grid="both")
        trade.set(xlim=(-0.03, 1.03), ylim=(-0.04, 1.06), xticks=[0, 0.25, 0.5, 0.75, 1])
        trade.set_xticklabels(["0", "25 %", "50 %", "75 %", "100 %"])
        for axes in (shares, trade):
            axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        trade.plot([0, 1], [1, 0], color=look.grid, linewidth=1.5)

        # The host's line is the broader one: told apart without colours, and seen where the guest's lies on it.
        sides: dict[str, dict[str, Any]] = {side: {"color": look.place[place], "linewidth": width}
                 for (side, place), width in zip(_PLACE.items(), (5.5, 2.2), strict=True)}  # fmt: skip
        self._shares = {side: shares.plot([], [], **style)[0] for side, style in sides.items()}
        self._trade = {side: trade.plot([], [], marker=mark, markersize=6, **sides[side])[0]
                       for side, mark in (("host", "s"), ("guest", "^"))}  # fmt: skip
        self._ghosts = [axes.plot([], [], **ghost_style(look))[0] for axes in (shares, trade)]
        self._dots = [axes.plot([], [], "o", linestyle="", color=look.ink, markersize=11)[0]
                      for axes in (shares, trade)]  # fmt: skip
        self._said = shares.text(0, 0, "", fontsize=SIZE["label"], color=look.ink, va="center", weight="bold")
        whole = self.whole_axes()
        text = partial(write, whole, look)
        text(520, 402, words("halt_lab.bill.title"), SIZE["title"])
        keys = list(words("halt_lab.bill.row"))
        for n, key in enumerate(keys):
            text(520, 434 + 26 * n, words("halt_lab.bill.row")[key], SIZE["note"])
        self._bill = {key: text(868, 434 + 26 * n, "", SIZE["tick"], ha="right") for n, key in enumerate(keys)}
        self._old = {key: text(1012, 434 + 26 * n, "", SIZE["note"], color=look.faint, ha="right")
                     for n, key in enumerate(keys)}  # fmt: skip
        self._kept = text(1012, 402, "", SIZE["note"], color=look.faint, ha="right")
        self._never = text(520, 434 + 26 * len(keys), "", SIZE["note"])
        self._legend(whole)
        return [self._waits, *self._bars, self._longer, self._old_steps, self._steps, self._seen, *self._ticks,
                *self._ghosts, *self._shares.values(), *self._trade.values(), *self._dots, self._said,
                *self._bill.values(), *self._old.values(), self._kept, self._never]  # fmt: skip

    def _build_waits(self) -> None:
        look = self.look
        axes = self.figure.add_axes((0.085, 0.605, 0.525, 0.30))
        dress(axes, look, title=words("halt_lab.waits.title"), x=words("halt_lab.waits.x"))
        axes.set(xlim=(0.4, SHOWN + 0.6), ylim=(0, 1.13), xticks=[1, 5, 10, 15, 20], yticks=[])
        for y in (0.5, 1):
            axes.axhline(y, color=look.grid, linewidth=1)
        self._ticks = [axes.text(0.2, y, "", fontsize=SIZE["tick"], color=look.ink, ha="right", va="center")
                       for y in (0.0, 0.5, 1.0)]  # fmt: skip
        # One line draws the outlines of all waits: twenty boxes more would take as long as the rest of the picture.
        self._waits = axes.plot([], [], color=look.faint, linewidth=1.2)[0]
        self._bars = [self._bar(axes, n) for n in range(1, SHOWN + 1)]
        self._old_steps = axes.plot([], [], **ghost_style(look))[0]
        self._steps = axes.plot([], [], **model_style(look))[0]
        mark = machine_style(look, markersize=9, markeredgewidth=2.2)
        self._seen = axes.plot([], [], linestyle="", marker=mark["fmt"], **_marker(mark))[0]
        self._longer = axes.plot([], [], "^", linestyle="", color=look.faint, markersize=8)[0]

    def _bar(self, axes: Axes, n: int) -> Rectangle:
        bar = box(axes, n - _HALF, 0, 2 * _HALF, 0, **place_style(self.look, "kvm"))
        bar.set_gid(CUT)
        return bar

    def _legend(self, axes: Axes) -> None:
        look = self.look
        mark = machine_style(look, markersize=9, markeredgewidth=2.2)
        handles: list[Artist] = [Patch(**place_style(look, place)) for place in _PLACE.values()]
        handles += [Patch(facecolor=look.paper, edgecolor=look.faint), Line2D([], [], **model_style(look)),
                    Line2D([], [], linestyle="", marker="o", **_marker(mark)),
                    Line2D([], [], **ghost_style(look))]  # fmt: skip
        names = [words(f"halt_lab.legend.{key}") for key in ("host", "guest", "slept", "interval", "recorded")]
        legend(axes, look, handles, [*names, words("lab.kept")], loc="lower left", bbox_to_anchor=(0.0, 0.0), ncols=6,
               columnspacing=1.2, handlelength=1.6)  # fmt: skip

    # --- a result ---------------------------------------------------------------------------------------------------

    def show(self, result: HaltResult, kept: HaltResult | None = None, prediction: Any = None) -> None:
        self._show_waits(result, kept)
        for side in _PLACE:
            self._shares[side].set_data(AT_NS, result.shares[side])
            self._trade[side].set_data(result.trade[side][:, 0], result.trade[side][:, 1])
        x = min(max(result.interval_ns, _SHARE_NS[0]), _SHARE_NS[1])
        self._dots[0].set_data([x], [result.host_share])
        self._dots[1].set_data([result.point[0]], [result.point[1]])
        self._said.set_text(show(result.host_share, "%"))
        y, right = result.host_share, x < 1.5e4 or 2e5 < x < 1e6  # on the other side the curves are in the way
        self._said.set(x=x * 1.35 if right else x / 1.35, ha="left" if right else "right",
                       y=y - 0.1 if y > 0.5 else y + 0.1)  # fmt: skip
        for ghost in self._ghosts:
            ghost.set_visible(kept is not None)
        if kept is not None:
            self._ghosts[0].set_data(AT_NS, kept.shares[kept.poller])
            self._ghosts[1].set_data(kept.trade[kept.poller][:, 0], kept.trade[kept.poller][:, 1])
        for cells, shown in ((self._bill, result), (self._old, kept)):
            bill = _bill(shown) if shown is not None else {}
            for key, cell in cells.items():
                cell.set_text(bill.get(key, ""))
        self._kept.set_text(words("lab.kept") if kept is not None else "")
        self._never.set_text(words("halt_lab.never") if result.never else "")

    def _show_waits(self, result: HaltResult, kept: HaltResult | None) -> None:
        now = result.now
        some = [r.now for r in (result, kept) if r]
        least = [max(1.2 * max(r.intervals_ns[:SHOWN]), 1.4 * sorted(r.waits_ns[:SHOWN])[SHOWN // 2]) for r in some]
        self._top_ns = next((ns for ns in _NICE if ns >= max(least)), _NICE[-1])
        for tick, share in zip(self._ticks, (0.0, 0.5, 1.0), strict=True):
            tick.set_text(show(self._top_ns * share, "ns") if share else "0")
        place = place_style(self.look, _PLACE[result.poller])
        outlines: list[tuple[float, float]] = []
        for n, bar in enumerate(self._bars):
            top = min(now.waits_ns[n] / self._top_ns, _CUT_AT)
            low, high = n + 1 - _HALF, n + 1 + _HALF
            outlines += [(low, 0), (low, top), (high, top), (high, 0), (math.nan, math.nan)]
            bar.set_visible(now.polled_ns[n] > 0)
            bar.set(height=min(now.polled_ns[n] / self._top_ns, _CUT_AT), **place)
        self._waits.set_data([x for x, _ in outlines], [y for _, y in outlines])
        longer = [n + 1 for n in range(SHOWN) if now.waits_ns[n] > _CUT_AT * self._top_ns]
        self._longer.set_data(longer, [_CUT_AT] * len(longer))
        for line, of in ((self._steps, result), (self._old_steps, kept)):
            line.set_visible(of is not None)
            if of is not None:
                ns = np.array(of.now.intervals_ns[:SHOWN]) / self._top_ns
                x = np.arange(SHOWN)
                line.set_data(np.column_stack([x + 0.5, x + 1.5]).ravel(), np.repeat(ns, 2))
        seen = result.recorded_ns
        self._seen.set_visible(bool(seen))
        self._seen.set_data([n + 2 for n in range(len(seen))], [ns / self._top_ns for ns in seen])


def _bill(result: HaltResult) -> dict[str, str]:
    """This setting in numbers, by row."""
    now = result.now
    saved = sum(now.enough)
    price = now.burnt_ns / now.gained_ns if now.gained_ns else math.inf
    return {
        "most": show(now.options.halt_poll_ns, "ns"),
        "burnt": show(now.burnt_share, "%"),
        "vain": show(now.in_vain_ns / now.waited_ns, "%"),
        "saved": say("halt_lab.of", n=saved, of=len(now.enough)),
        "late": show(now.late_ns, "ns"),
        "price": number(price) if now.burnt_ns and saved else words("halt_lab.no_price"),
        "host": show(result.host_share, "%"),
    }


def _marker(style: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in style.items() if k.startswith("marker") or k == "color"}
