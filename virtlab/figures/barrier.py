"""Two sides and their memory accesses, one below the other: how a store that is seen late loses a wake-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.artist import Artist

from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.ring import PLACE
from virtlab.figures.style import SIZE, box, place_style, write
from virtlab.virtio.explorer import Found

ROWS = 26
_TOP, _ROW = 96, 21
_X = {"driver": 56, "device": 566}  # of the lanes; the text begins a little to the right
_WIDTH = 440
_LATE = 3  # of these stores, seen late, the longest lines are drawn side by side


@dataclass(frozen=True)
class BarrierResult:
    """What the explorer found, and the barrier that is missing, by its name in the ring code."""

    found: Found
    missing: str


class BarrierPicture(Picture[BarrierResult]):
    """The shortest schedule that goes wrong, the driver's steps left and the device's right; or that there is none."""

    size_px = (1040, 680)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.whole_axes()
        text = partial(write, axes, look)
        text(20, 28, words("barrier.title"), SIZE["title"])
        for side, x in _X.items():
            box(axes, x - 36, 55, 26, 18, **place_style(look, PLACE[side]))
            text(x, 64, words(f"ring.side.{side}"), SIZE["label"], weight="bold")
        self._late = [axes.plot([], [], color=look.ink, linewidth=2.2)[0] for _ in range(_LATE)]
        self._dots = [axes.plot([], [], linestyle="", marker="o", markersize=8, color=look.ink,
                                markerfacecolor=fill)[0] for fill in (look.paper, look.ink)]  # fmt: skip
        self._steps = [text(0, _TOP + _ROW * n, "", SIZE["note"]) for n in range(ROWS)]
        self._numbers = [text(0, _TOP + _ROW * n, "", SIZE["note"], color=look.faint, ha="right") for n in range(ROWS)]
        self._kept = text(1020, 28, "", SIZE["note"], color=look.faint, ha="right")
        self._end = text(20, 660, "", SIZE["label"], weight="bold")
        self._big = text(520, 250, "", 22, ha="center")
        self._below = [text(520, 300 + 28 * n, "", SIZE["label"], ha="center") for n in range(3)]
        return [*self._late, *self._dots, *self._steps, *self._numbers, self._kept, self._end, self._big, *self._below]

    def show(self, result: BarrierResult, kept: BarrierResult | None = None, prediction: Any = None) -> None:
        found = result.found
        schedule = found.schedule[:ROWS]
        rows = (*schedule, *[None] * (ROWS - len(schedule)))
        for n, (text, number, line) in enumerate(zip(self._steps, self._numbers, rows, strict=True)):
            text.set_text("" if line is None else line.what)
            number.set_text("" if line is None else str(n + 1))
            if line is not None:
                text.set_position((_X[line.side] + 16, _TOP + _ROW * n))
                number.set_position((_X[line.side] - 12, _TOP + _ROW * n))
        self._show_late(result)
        safe = not found.schedule
        side = schedule[-1].side if schedule else "driver"
        key = "fault" if found.fault else "both" if len(found.asleep) > 1 else "one"
        self._end.set_text("" if safe else say(f"barrier.end.{key}", side=words(f"barrier.side.{side}"),
                                               asleep=words(f"barrier.side.{(*found.asleep, 'driver')[0]}")))
        self._big.set_text(say("barrier.states", states=f"{found.states:,}") if safe else "")
        lines = str(words("barrier.safe_missing" if result.missing else "barrier.safe")).split("\n") if safe else []
        for text, content in zip(self._below, (*lines, "", "", ""), strict=False):
            text.set_text(content)

        before = kept.found if kept is not None else None
        key = "" if before is None else "fault" if before.fault else "lost" if before.lost else "safe"
        self._kept.set_text(say(f"barrier.kept.{key}", steps=len(before.schedule)) if before is not None else "")

    def _show_late(self, result: BarrierResult) -> None:
        """A line from each store that is held back to the moment at which the other side can see it."""
        schedule = result.found.schedule[:ROWS]
        spans = []
        for n, line in enumerate(schedule):
            if line.kind == "store":
                seen = next((m for m in range(n + 1, len(schedule))
                             if schedule[m].kind == "seen" and schedule[m][::3] == line[::3]), None)  # fmt: skip
                spans.append((line.side, n, seen))
        spans.sort(key=lambda s: (s[2] is None, -((s[2] or ROWS) - s[1])))
        shown = spans[:_LATE]
        at = {span: _X[span[0]] - 2 + 6 * n for n, span in enumerate(shown)}
        for line2d, span in zip(self._late, (*shown, *[None] * _LATE), strict=False):
            line2d.set_visible(span is not None)
            if span is not None:
                last = span[2] if span[2] is not None else len(schedule) - 0.5
                line2d.set_data([at[span]] * 2, [_TOP + _ROW * span[1], _TOP + _ROW * last])
        ends = ([(at[s], s[1]) for s in shown], [(at[s], s[2]) for s in shown if s[2] is not None])
        for dots, places in zip(self._dots, ends, strict=True):
            dots.set_data([x for x, _ in places], [_TOP + _ROW * y for _, y in places])
