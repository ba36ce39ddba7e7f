"""The tax of a vCPU's exits: by reason, as a point between rate and cost, and beside published costs of one exit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.cpu import ExitProfile
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

#: The reasons of the lab, in the order of their rows.
KINDS = ("io", "interrupts", "halts", "msr")
#: Whose time an exit takes, in the order in which it does.
PLACES = ("kvm", "qemu", "guest")
#: Shares of a vCPU at which lines are drawn: little, much, all there is.
SHARES = (0.01, 0.1, 1.0)
#: What was published of one exit: a column a source.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "amd": ("floor_kernel", "floor_user"), "kvm": ("pio_kernel", "pio_user", "mmio_kernel", "mmio_user"),
    "xeon": ("direct",), "timer": ("fast", "slow"), "device": ("pci", "rtc"),
}  # fmt: skip
RATES, COSTS_NS = (100.0, 1e7), (100.0, 1e5)
_ROUND = (1.0, 2.0, 4.0, 6.0, 10.0)
_X, _WIDTH, _TOP, _PITCH, _HEIGHT = 30, 250, 112, 80, 24


@dataclass(frozen=True)
class TaxResult:
    """The exits by reason; ``parts_ns`` is one exit by reason and place, ``published`` one exit as (value, low, high).

    ``kicks_per_s`` is the rate at which the published exits are read as a tax.
    """

    profile: ExitProfile
    parts_ns: Mapping[str, Mapping[str, float]]
    published: Mapping[str, tuple[float, float, float]]
    kicks_per_s: float

    @property
    def mean_ns(self) -> float:
        """One exit of this mix."""
        exits = self.profile.exits_per_s
        return self.profile.share * 1e9 / exits if exits else 0.0

    def rate_at(self, share: float) -> float:
        """Exits a second of this mix that take ``share`` of a vCPU's time; infinite where they cost nothing."""
        return share * 1e9 / self.mean_ns if self.mean_ns else math.inf


class TaxPicture(Picture[TaxResult]):
    """Left: the tax by reason, each beginning where the one above ends. Middle: rate against cost. Right: published."""

    size_px = (1040, 600)

    def build(self) -> Sequence[Artist]:
        axes = self.whole_axes()
        return [*self._reasons(axes), *self._plane(axes), *self._strip(axes)]

    def _reasons(self, axes: Axes) -> list[Artist]:
        look = self.look
        text = partial(write, axes, look)
        ys = {kind: _TOP + _PITCH * (i + 1) for i, kind in enumerate(KINDS)} | {"total": _TOP}
        text(_X, 26, words("tax.title"), SIZE["label"], color=look.faint)
        bottom = ys["msr"] + 34
        for i in (0, 1, 2):
            axes.plot([_X + _WIDTH * i / 2] * 2, [_TOP - 14, bottom], color=look.grid, linewidth=1, zorder=0)
        self._scale = [text(_X + _WIDTH * i / 2, bottom + 13, "", SIZE["note"], ha=ha)
                       for i, ha in ((0, "left"), (1, "center"), (2, "right"))]  # fmt: skip
        for kind, y in ys.items():
            text(_X, y - 28, words(f"tax.kind.{kind}"), SIZE["tick"])
        self._notes = {kind: text(_X + _WIDTH + 62, y - 28, "", SIZE["note"], color=look.faint, ha="right")
                       for kind, y in ys.items()}  # fmt: skip
        self._bars = {(kind, place): box(axes, _X, y - 8, 0, _HEIGHT, gid=CUT, **place_style(look, place))
                      for kind, y in ys.items() for place in PLACES}  # fmt: skip
        self._values = {kind: text(_X, y + 4, "", SIZE["note"]) for kind, y in ys.items()}
        self._was = axes.plot([], [], **ghost_style(look))[0]
        handles: list[Artist] = [Patch(**place_style(look, place)) for place in PLACES]
        handles += [Line2D([], [], **ghost_style(look))]
        legend(axes, look, handles, [*(words(f"tax.place.{place}") for place in PLACES), words("lab.kept")],
               loc="lower left", bbox_to_anchor=(0.018, 0.01), ncols=2, columnspacing=1.6,
               handlelength=1.6)  # fmt: skip
        return [*self._bars.values(), self._was, *self._notes.values(), *self._values.values(), *self._scale]

    def _plane(self, axes: Axes) -> list[Artist]:
        look = self.look
        write(axes, look, 392, 26, words("tax.plane"), SIZE["label"], color=look.faint)
        self._allowed = [write(axes, look, 392, y, "", SIZE["note"]) for y in (50, 70)]
        plane = self.figure.add_axes((0.435, 0.205, 0.236, 0.645))
        dress(plane, look, x=words("tax.rate"), grid="both")
        plane.set(xscale="log", yscale="log", xlim=RATES, ylim=COSTS_NS)
        plane.set_xticks([1e3, 1e5, 1e7], ["1 k/s", "100 k/s", "10 M/s"])
        plane.set_yticks([100, 1e3, 1e4, 1e5], [show(ns, "ns") for ns in (100, 1e3, 1e4, 1e5)])
        plane.get_xticklabels()[-1].set_horizontalalignment("right")
        plane.minorticks_off()
        plane.fill_between([1e4, 1e7], [1e5, 100], 1e5, facecolor=look.paper, edgecolor=look.grid, hatch="////",
                           linewidth=0)  # fmt: skip
        clear = {"facecolor": look.paper, "edgecolor": "none", "pad": 1.5}
        for share in SHARES:
            plane.plot(RATES, [share * 1e9 / rate for rate in RATES], color=look.faint, linewidth=1.6)
            y = 2.6e4
            write(plane, look, share * 1e9 / y, y, show(share, "%"), SIZE["note"], ha="center", bbox=clear)
        write(plane, look, 7.5e5, 5.5e4, words("tax.never"), SIZE["note"], ha="center", bbox=clear)
        self._mix = plane.plot([], [], **model_style(look, linewidth=2))[0]
        self._ghost = plane.plot([], [], marker="s", markersize=11, markerfacecolor="none", markeredgewidth=2,
                                 linestyle="", color=look.faint)[0]  # fmt: skip
        self._dots = {kind: plane.plot([], [], "o", markersize=9, markeredgewidth=1.2)[0] for kind in KINDS}
        self._sum = plane.plot([], [], "s", color=look.ink, markersize=9)[0]
        return [self._mix, self._ghost, *self._dots.values(), self._sum, *self._allowed]

    def _strip(self, axes: Axes) -> list[Artist]:
        look = self.look
        write(axes, look, 733, 26, words("tax.published"), SIZE["label"], color=look.faint)
        self._at = write(axes, look, 733, 60, "", SIZE["note"])
        strip = self.figure.add_axes((0.705, 0.205, 0.243, 0.645))
        dress(strip, look)
        strip.set(yscale="log", ylim=COSTS_NS, xlim=(-0.6, len(COLUMNS) - 0.4), yticks=[])
        strip.set_xticks(range(len(COLUMNS)), [words(f"tax.column.{column}") for column in COLUMNS])
        strip.tick_params(axis="x", labelsize=SIZE["note"], pad=6)
        strip.minorticks_off()
        self._lines = [strip.plot([], [], color=look.faint, linewidth=1.6)[0] for _ in SHARES]
        self._marks = [write(strip, look, len(COLUMNS) - 0.33, 1e3, show(share, "%"), SIZE["note"], clip_on=False)
                       for share in SHARES]  # fmt: skip
        style = literature_style(look)
        self._spans = {key: strip.plot([], [], color=look.ink, linewidth=style["elinewidth"])[0]
                       for keys in COLUMNS.values() for key in keys}  # fmt: skip
        marker = {k: v for k, v in style.items() if k.startswith("marker") or k == "color"}
        self._diamonds = {key: strip.plot([], [], linestyle="", marker="D", **marker)[0] for key in self._spans}
        self._column = {key: float(x) for x, keys in enumerate(COLUMNS.values()) for key in keys}
        return [self._at, *self._lines, *self._marks, *self._spans.values(), *self._diamonds.values()]

    def show(self, result: TaxResult, kept: TaxResult | None = None, prediction: Any = None) -> None:
        totals = [r.profile.share for r in (result, kept) if r]
        self.limit = _round_up(max(0.01, *totals))
        for i, tick in enumerate(self._scale):
            tick.set_text("" if i == 1 and self.limit > 10 else show(self.limit * i / 2, "%"))
        self._show_reasons(result)
        was = kept.profile.share if kept else 0.0
        right, top, low = self._at_share(was), _TOP - 11, _TOP + _HEIGHT - 5
        self._was.set_visible(kept is not None)
        self._was.set_data([_X, right, right, _X, _X], [top, top, low, low, top])
        total = self._values["total"]
        total.set_x(max(self._at_share(t) for t in totals) + 7)
        self._show_plane(result, kept)
        self._show_strip(result)

    def _show_reasons(self, result: TaxResult) -> None:
        start, whole = 0.0, dict.fromkeys(PLACES, 0.0)
        for kind, line in zip(KINDS, result.profile.lines, strict=True):
            end = start
            for place in PLACES:
                share = line.exits_per_s * result.parts_ns[kind][place] / 1e9
                self._stretch(self._bars[kind, place], end, end + share)
                whole[place] += share
                end += share
            self._notes[kind].set_text(say(
                "tax.note", rate=show(line.rate_per_s, "1/s"), time=show(line.exit_ns, "ns"),
                route=words(f"tax.route.{line.route}"),
            ))  # fmt: skip
            value = self._values[kind]
            value.set_text(show(line.share, "%") if line.share else words("tax.nothing"))
            value.set_x(self._at_share(end) + 7)
            start = end
        end = 0.0
        for place in PLACES:
            self._stretch(self._bars["total", place], end, end + whole[place])
            end += whole[place]
        key = "tax.note_total" if result.profile.feasible else "tax.note_never"
        self._notes["total"].set_text(say(key, rate=show(result.profile.exits_per_s, "1/s")))
        self._values["total"].set_text(show(result.profile.share, "%"))

    def _stretch(self, bar: Any, start: float, end: float) -> None:
        bar.set_x(self._at_share(start))
        bar.set_width(self._at_share(end) - self._at_share(start))
        bar.set_visible(end > start)

    def _at_share(self, share: float) -> float:
        """Where a share ends on the axis of the bars."""
        return _X + _WIDTH * share / self.limit

    def _show_plane(self, result: TaxResult, kept: TaxResult | None) -> None:
        for kind, line in zip(KINDS, result.profile.lines, strict=True):
            dot = self._dots[kind]
            dot.set_visible(line.share > 0)
            style = place_style(self.look, "qemu" if line.route == "userspace" else "kvm")
            dot.set(markerfacecolor=style["facecolor"], markeredgecolor=style["edgecolor"])
            dot.set_data([_inside(line.rate_per_s, RATES)], [_inside(line.exit_ns, COSTS_NS)])
        some = result.profile.share > 0
        y = _inside(result.mean_ns, COSTS_NS)
        for part, xs in ((self._mix, RATES), (self._sum, (_inside(result.profile.exits_per_s, RATES),))):
            part.set_visible(some)
            part.set_data(list(xs), [y] * len(xs))
        self._ghost.set_visible(kept is not None and kept.profile.share > 0)
        if kept is not None:
            self._ghost.set_data([_inside(kept.profile.exits_per_s, RATES)], [_inside(kept.mean_ns, COSTS_NS)])
        rates = {f"at{round(100 * share)}": show(result.rate_at(share), "1/s", 2) for share in SHARES}
        lines = words("tax.allowed") if some else (words("tax.no_tax"), "")
        for text, line in zip(self._allowed, lines, strict=True):
            text.set_text(line.format(**rates))

    def _show_strip(self, result: TaxResult) -> None:
        self._at.set_text(say("tax.at", rate=show(result.kicks_per_s, "1/s")))
        for share, line, mark in zip(SHARES, self._lines, self._marks, strict=True):
            ns = share * 1e9 / result.kicks_per_s
            for part in (line, mark):
                part.set_visible(COSTS_NS[0] <= ns <= COSTS_NS[1])
            line.set_data([-0.6, len(COLUMNS) - 0.4], [ns, ns])
            mark.set_y(_inside(ns, COSTS_NS))
        for key, span in result.published.items():
            value, low, high = (_inside(ns, COSTS_NS) for ns in span)
            self._diamonds[key].set_data([self._column[key]], [value])
            self._spans[key].set_data([self._column[key]] * 2, [low, high])


def _round_up(share: float) -> float:
    """A round number that is as large: the end of the axis of the bars."""
    power: float = 10.0 ** math.floor(math.log10(share))
    return next(factor * power for factor in _ROUND if factor * power >= share * (1 - 1e-9))


def _inside(value: float, limits: tuple[float, float]) -> float:
    """What lies beyond an axis is drawn at its end; its number stands on the left."""
    return min(max(value, limits[0]), limits[1])
