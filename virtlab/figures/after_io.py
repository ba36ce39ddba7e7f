"""What is left when I/O has gone: exits by reason, the line at 1 %, and four remedies in turn with their prices."""

from __future__ import annotations

import math
import textwrap
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
from virtlab.cpu import REMEDIES, Residue
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, ghost_style, legend, place_style, write

#: The reasons, in the order of their rows; the last two are there without APICv alone.
REASONS = ("hlt", "ipi_send", "ipi_send_many", "timer_arm", "timer_fire", "pause", "host_tick", "vcpu_kick", "eoi")
PLACES = ("kvm", "guest")
#: Of the claims S2 and S24.
LINE = 0.01
_ROUND = (1.0, 2.0, 4.0, 6.0, 10.0)
_X, _WIDTH, _TOP, _PITCH, _HEIGHT = 168, 190, 112, 37, 22
_RIGHT, _SHORT, _ROW, _STEP = 486, 150, 112, 96  # of the remedies: left edge, length of bars, first row, distance
_PRICE, _COLUMN, _LINES = 716, 39, 4  # of their prices: left edge, characters in a line, lines


@dataclass(frozen=True)
class AfterIoResult:
    """The vCPU as it stands: the places' shares by reason; and with one more remedy each time: the places' shares.

    ``wanted`` are the remedies that are switched on. ``idle`` says why a remedy can have no effect, by remedy.
    """

    residue: Residue
    parts: Mapping[str, Mapping[str, float]]
    steps: tuple[Mapping[str, float], ...]
    wanted: tuple[str, ...]
    idle: Mapping[str, str]

    def share_of(self, reason: str) -> float | None:
        """A reason's share of the vCPU's time; None where there is no such event."""
        return sum(self.parts[reason].values()) if reason in self.parts else None


class AfterIoPicture(Picture[AfterIoResult]):
    """Left: the exits that are left, each beginning where the one above ends. Right: one remedy after the other."""

    size_px = (1040, 600)

    def build(self) -> Sequence[Artist]:
        axes = self.whole_axes()
        return [*self._reasons(axes), *self._remedies(axes)]

    def _reasons(self, axes: Axes) -> list[Artist]:
        look = self.look
        text = partial(write, axes, look)
        text(30, 26, words("after_io.title"), SIZE["label"], color=look.faint)
        ys = {reason: _TOP + _PITCH * (i + 1) for i, reason in enumerate(REASONS)} | {"total": _TOP}
        bottom = ys["eoi"] + 20
        for reason, y in ys.items():
            text(_X - 8, y, words(f"after_io.reason.{reason}"), SIZE["note"], ha="right")
        for i in (0, 1, 2):
            axes.plot([_X + _WIDTH * i / 2] * 2, [_TOP - 18, bottom], color=look.grid, linewidth=1, zorder=0)
        self._scale = [text(_X + _WIDTH * i / 2, bottom + 13, "", SIZE["note"], ha=ha)
                       for i, ha in ((0, "left"), (1, "center"), (2, "right"))]  # fmt: skip
        self._bars = {(reason, place): box(axes, _X, y - _HEIGHT / 2, 0, _HEIGHT, gid=CUT, **place_style(look, place))
                      for reason, y in ys.items() for place in PLACES}  # fmt: skip
        self._values = {reason: text(_X, y, "", SIZE["note"], bbox=self._clear()) for reason, y in ys.items()}
        self._paid = [text(30, bottom + 48 + 18 * i, "", SIZE["note"]) for i in (0, 1)]
        self._line = axes.plot([], [], color=look.ink, linewidth=2, linestyle=(0, (1, 1)))[0]
        self._span = (_TOP - 24, bottom)
        self._named = text(_X, _TOP - 34, show(LINE, "%"), SIZE["note"], ha="center")
        self._was = axes.plot([], [], **ghost_style(look))[0]
        handles: list[Artist] = [Patch(**place_style(look, place)) for place in PLACES]
        handles += [Line2D([], [], **ghost_style(look))]
        legend(axes, look, handles, [*(words(f"after_io.place.{place}") for place in PLACES), words("lab.kept")],
               loc="lower left", bbox_to_anchor=(0.018, 0.005), ncols=3, columnspacing=1.6,
               handlelength=1.6)  # fmt: skip
        return [*self._bars.values(), self._line, self._named, self._was, *self._values.values(), *self._scale,
                *self._paid]  # fmt: skip

    def _clear(self) -> dict[str, Any]:
        """Behind a text that a line may run through."""
        return {"facecolor": self.look.paper, "edgecolor": "none", "pad": 1.0}

    def _remedies(self, axes: Axes) -> list[Artist]:
        look = self.look
        text = partial(write, axes, look)
        text(_RIGHT, 26, words("after_io.turn"), SIZE["label"], color=look.faint)
        text(_PRICE, 62, words("after_io.price"), SIZE["note"], color=look.faint)
        ys = [_ROW + _STEP * i for i in range(len(REMEDIES) + 1)]
        self._names = [text(_RIGHT, y - 22, "", SIZE["note"]) for y in ys]
        self._steps = [{place: box(axes, _RIGHT, y - 8, 0, 20, gid=CUT, **place_style(look, place)) for place in PLACES}
                       for y in ys]  # fmt: skip
        self._tax = [text(_RIGHT, y + 2, "", SIZE["note"], bbox=self._clear()) for y in ys]
        self._prices = [[text(_PRICE, y - 22 + 17 * i, "", SIZE["note"]) for i in range(_LINES)] for y in ys]
        self._limit = axes.plot([], [], color=look.ink, linewidth=2, linestyle=(0, (1, 1)))[0]
        self._limit_named = text(_RIGHT, 62, show(LINE, "%"), SIZE["note"], ha="center")
        self._down = [end for y in ys for end in (y - 12.0, y + 16.0, math.nan)]
        return [*self._names, *(bar for bars in self._steps for bar in bars.values()), self._limit, self._limit_named,
                *self._tax, *(line for lines in self._prices for line in lines)]  # fmt: skip

    def show(self, result: AfterIoResult, kept: AfterIoResult | None = None, prediction: Any = None) -> None:
        totals = [r.residue.share for r in (result, kept) if r]
        self.limit = _round_up(max(2 * LINE, *totals))
        for i, tick in enumerate(self._scale):
            tick.set_text("" if i == 1 and self.limit > 10 else show(self.limit * i / 2, "%"))
        self._line.set_data([self._at(LINE)] * 2, list(self._span))
        self._named.set_x(self._at(LINE))
        end, whole = 0.0, dict.fromkeys(PLACES, 0.0)
        for reason in REASONS:
            for place in PLACES:
                share = result.parts[reason][place] if reason in result.parts else 0.0
                self._stretch(self._bars[reason, place], end, end + share)
                end, whole[place] = end + share, whole[place] + share
            share_of = result.share_of(reason)
            value = self._values[reason]
            value.set_text(words("after_io.absent") if share_of is None else
                           show(share_of, "%") if share_of else words("after_io.nothing"))  # fmt: skip
            value.set_x(self._at(end) + 7)
        end = 0.0
        for place in PLACES:
            self._stretch(self._bars["total", place], end, end + whole[place])
            end += whole[place]
        total = self._values["total"]
        total.set_text(show(result.residue.share, "%"))
        total.set_x(max(self._at(share) for share in totals) + 7)
        right, top, low = self._at(kept.residue.share if kept else 0.0), _TOP - 14, _TOP + 14
        self._was.set_visible(kept is not None)
        self._was.set_data([_X, right, right, _X, _X], [top, top, low, low, top])
        paid = say("after_io.paid", stranded=show(result.residue.stranded_share, "%"),
                   housekeeping=show(result.residue.housekeeping_share, "%"))  # fmt: skip
        for text, part in zip(self._paid, textwrap.wrap(paid, 58), strict=True):
            text.set_text(part)
        self._show_remedies(result)

    def _show_remedies(self, result: AfterIoResult) -> None:
        taxes = [sum(step.values()) for step in result.steps]
        per_share = _SHORT / _round_up(max(2 * LINE, *taxes))
        self._limit.set_data([_RIGHT + LINE * per_share] * len(self._down), self._down)
        self._limit_named.set_x(_RIGHT + LINE * per_share)
        for i, step in enumerate(result.steps):
            remedy, end = REMEDIES[i - 1] if i else "", 0.0
            key = "none" if not i else "chosen" if remedy in result.wanted else "open"
            name = words(f"cpu_exits.remedy.{remedy}.name") if i else ""
            self._names[i].set_text(say(f"after_io.{key}", remedy=name))
            for place in PLACES:
                self._steps[i][place].set(x=_RIGHT + end * per_share, width=step[place] * per_share)
                self._steps[i][place].set_visible(step[place] > 0)
                end += step[place]
            self._tax[i].set_text(show(taxes[i], "%"))
            self._tax[i].set_x(_RIGHT + end * per_share + 7)
            for text, line in zip(self._prices[i], _price(result, remedy), strict=True):
                text.set_text(line)

    def _stretch(self, bar: Any, start: float, end: float) -> None:
        bar.set_x(self._at(start))
        bar.set_width(self._at(end) - self._at(start))
        bar.set_visible(end > start)

    def _at(self, share: float) -> float:
        """Where a share ends on the axis of the bars."""
        return _X + _WIDTH * share / self.limit


def _price(result: AfterIoResult, remedy: str) -> list[str]:
    """What a remedy is paid with, or why it does nothing here, in lines."""
    if not remedy:
        return [""] * _LINES
    idle = say(f"after_io.idle{'_chosen' if remedy in result.wanted else ''}", why=result.idle.get(remedy, ""))
    lines = textwrap.wrap(idle if remedy in result.idle else words(f"cpu_exits.remedy.{remedy}.price"), _COLUMN)
    return [*lines, *[""] * (_LINES - len(lines))]


def _round_up(share: float) -> float:
    """A round number that is as large: the end of an axis of bars."""
    power: float = 10.0 ** math.floor(math.log10(share))
    return next(factor * power for factor in _ROUND if factor * power >= share * (1 - 1e-9))
