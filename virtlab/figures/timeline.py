"""One request on a time axis, a row a step: where each happens, how long it takes, in QEMU's own trace events."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.core.units import show
from virtlab.core.words import words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, ghost_style, legend, place_style, write

PLACES = ("guest", "qemu", "host")
MOST_ROWS = 20
_LEFT, _WIDTH, _TOP, _BOTTOM = 330.0, 600.0, 92.0, 552.0
_TICKS = 5
_STEPS_US = [m * 10.0**e for e in range(-1, 7) for m in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)]  # between ticks
_LABEL = 118  # characters that fit into the width


@dataclass(frozen=True)
class Row:
    """One step: its name, what happens in it, where, and when, in µs. A row that ends where it starts is a point."""

    title: str
    note: str
    place: str
    start_us: float
    end_us: float

    @property
    def us(self) -> float:
        return self.end_us - self.start_us


@dataclass(frozen=True)
class TimelineResult:
    """The rows from above, those that found no room (``left_out``), and what tracing costs (two lines of ``notes``)."""

    rows: tuple[Row, ...]
    left_out: str
    label: str
    live: bool
    notes: tuple[str, str]

    @property
    def end_us(self) -> float:
        return max((row.end_us for row in self.rows), default=0.0)

    @property
    def longest(self) -> int:
        """Which row takes longest, of those that are not the driver's."""
        return max(range(len(self.rows)), key=lambda i: self.rows[i].us * (self.rows[i].place != "guest"))


class TimelinePicture(Picture[TimelineResult]):
    """A waterfall: each bar begins where the one above ends, in the colour of the place."""

    size_px = (1040, 680)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.whole_axes()
        text = partial(write, axes, look)
        text(16, 22, words("timeline.title"), SIZE["title"])
        self._label = [text(16, y, "", SIZE["note"]) for y in (49, 69)]
        for i in range(_TICKS + 1):
            x = _LEFT + _WIDTH * i / _TICKS
            axes.plot([x, x], [_TOP - 6, _BOTTOM], color=look.grid, linewidth=1, zorder=0)
        text(_LEFT + _WIDTH / 2, _BOTTOM + 36, words("timeline.axis"), SIZE["label"], ha="center")
        handles: list[Artist] = [Patch(**place_style(look, place)) for place in PLACES]
        handles.append(Line2D([], [], **ghost_style(look)))
        names = [*(words(f"timeline.legend.{place}") for place in PLACES), words("lab.kept")]
        legend(axes, look, handles, names, loc="upper left", bbox_to_anchor=(0.005, 1 - 596 / 680), ncols=4,
               columnspacing=1.8)  # fmt: skip
        self._ticks = [text(_LEFT + _WIDTH * i / _TICKS, _BOTTOM + 14, "", ha="center") for i in range(_TICKS + 1)]
        self._notes = [text(16, y, "", SIZE["note"]) for y in (644, 665)]
        self._titles = [text(_LEFT - 16, 0, "", ha="right") for _ in range(MOST_ROWS)]
        self._hints = [text(_LEFT - 16, 0, "", SIZE["note"], color=look.faint, ha="right") for _ in range(MOST_ROWS)]
        self._times = [text(0, 0, "") for _ in range(MOST_ROWS)]
        self._bars = [
            {place: box(axes, _LEFT, _TOP, 0, 1, gid=CUT, **place_style(look, place)) for place in PLACES}
            for _ in range(MOST_ROWS)
        ]
        dot: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 11, "markeredgewidth": 1.2}
        self._points = {
            place: axes.plot([], [], color=fill, markeredgecolor=look.line_on(fill), **dot)[0]
            for place, fill in look.place.items() if place in PLACES
        }  # fmt: skip
        self._more = text(_LEFT, _BOTTOM - 10, "", SIZE["note"], color=look.faint)
        self._ghost = axes.plot([], [], **ghost_style(look))[0]
        bars = [bar for row in self._bars for bar in row.values()]
        return [*self._label, *self._ticks, *bars, self._ghost, *self._points.values(), *self._titles, *self._hints,
                *self._times, self._more, *self._notes]  # fmt: skip

    def show(self, result: TimelineResult, kept: TimelineResult | None = None, prediction: Any = None) -> None:
        mark = "◉ " if result.live else "◎ "
        lines = textwrap.wrap(mark + result.label, _LABEL, max_lines=2, placeholder=" …")
        for part, line in zip(self._label, [*lines, ""], strict=False):
            part.set_text(line)
        for note, line in zip(self._notes, result.notes, strict=True):
            note.set_text(line)
        end = max(result.end_us, kept.end_us if kept else 0.0, _TICKS * _STEPS_US[0])
        step = next(s for s in _STEPS_US if _TICKS * s >= end or s == _STEPS_US[-1])
        self.per_us = _WIDTH / (_TICKS * step)
        for i, tick in enumerate(self._ticks):
            tick.set_text(show(step * i, "us") if i else "0")
        pitch = (_BOTTOM - _TOP - 14 * bool(result.left_out)) / max(len(result.rows), 1)
        height = min(0.62 * pitch, 30.0)
        for i in range(MOST_ROWS):
            self._row(i, result.rows[i] if i < len(result.rows) else None, _TOP + pitch * (i + 0.5), height, pitch > 40)
        for place, points in self._points.items():
            at = [(self._x(row.start_us), _TOP + pitch * (i + 0.5)) for i, row in enumerate(result.rows)
                  if row.place == place and not row.us]  # fmt: skip
            points.set_data([x for x, _ in at], [y for _, y in at])
        self._more.set_text(result.left_out)
        self._ghost.set_visible(kept is not None)
        if kept is not None:
            self._ghost.set_data(*self._staircase(kept))

    def _row(self, i: int, row: Row | None, y: float, height: float, roomy: bool) -> None:
        texts = (self._titles[i], self._hints[i], self._times[i])
        contents = ("", "", "")
        if row is not None:
            contents = (row.title, row.note if roomy else "", show(row.us, "us") if row.us else "")
        for text, content in zip(texts, contents, strict=True):
            text.set_text(content)
        for place, bar in self._bars[i].items():
            bar.set_visible(row is not None and row.place == place and row.us > 0)
            if row is not None and bar.get_visible():
                bar.set_bounds(self._x(row.start_us), y - height / 2, row.us * self.per_us, height)
        if row is not None:
            self._titles[i].set_y(y - 9 if roomy else y)
            self._hints[i].set_y(y + 11)
            self._times[i].set_position((self._x(row.end_us) + 9, y))

    def _x(self, us: float) -> float:
        return _LEFT + us * self.per_us

    def _staircase(self, kept: TimelineResult) -> tuple[Any, Any]:
        """The ends of the kept steps, one below the other, as the edge of a stair."""
        pitch = (_BOTTOM - _TOP - 14 * bool(kept.left_out)) / max(len(kept.rows), 1)
        ends = np.repeat([self._x(row.end_us) for row in kept.rows], 2)
        levels = [_TOP + pitch * (i + down) for i in range(len(kept.rows)) for down in (0, 1)]
        return ends, levels
