"""The bill of a walk: which entries are read, how large their tables are, where they are found, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.text import Text

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, box, ghost_style, legend, place_style, write

PLACE = {"guest": "guest", "host": "kvm"}
#: Rows of entries that are shown by name, for each side, and how many more there may be: the rest of each table.
NAMED = {"virtual": 5, "native": 2}
POOLED = {"virtual": 2, "native": 1}
LEVELS = ("l1", "l2", "llc", "dram")
_GREY = (0.12, 0.38, 0.68, 1.0)  # how strong: the farther, the darker
_LIMITS = [m * 10**e for e in range(0, 6) for m in (1, 2, 4, 8)]  # whose quarters are round numbers too
_TOP, _PITCH, _HEIGHT = 78, 36, 22
_NAME, _READS, _SIZE, _FOUND, _FOUND_WIDTH, _BAR, _BAR_WIDTH = 176.0, 222.0, 310.0, 330.0, 120.0, 476.0, 370.0


@dataclass(frozen=True)
class Row:
    """Entries of one table: reads and cycles a walk, bytes of the table, where found. ``where`` is guest or host.

    ``table_bytes`` is None for the rest of a side's entries, which are of several tables.
    """

    name: str
    where: str
    reads: float
    table_bytes: float | None
    found_in: tuple[float, ...]
    cycles: float


@dataclass(frozen=True)
class Bill:
    """One side's walk, the dearest entries first. ``cycles`` is the mean of a walk, 0 where nothing is walked."""

    rows: tuple[Row, ...]
    reads: float
    cycles: float
    misses: float


@dataclass(frozen=True)
class Published:
    """A published walk under this setting: cycles, whether it is only an upper bound, and what is to be said of it."""

    side: str
    cycles: float
    bound: bool
    note: str


@dataclass(frozen=True)
class WalkCostResult:
    """The bill in the guest and on bare metal, and what was published for these conditions."""

    virtual: Bill
    native: Bill
    published: tuple[Published, ...]

    def bill(self, side: str) -> Bill:
        """The bill of one side."""
        return self.virtual if side == "virtual" else self.native


class WalkCostPicture(Picture[WalkCostResult]):
    """A row an entry, each bar beginning where the one above ends; above them the whole walk."""

    size_px = (1040, 620)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.whole_axes()
        text = partial(write, axes, look)
        for x, key, side in ((_NAME, "entry", "right"), (_READS, "reads", "center"), (_SIZE, "table", "right"),
                             (_FOUND, "found", "left"), (_BAR, "cycles", "left")):  # fmt: skip
            text(x, 34, words(f"walk_cost.{key}"), SIZE["label"], color=look.faint, ha=side)
        self._y = {
            side: [_TOP + _PITCH * i + down for i in range(1 + NAMED[side] + POOLED[side])]
            for side, down in (("virtual", 0.0), ("native", _PITCH * (1 + NAMED["virtual"] + POOLED["virtual"]) + 18.0))
        }
        bottom = self._y["native"][-1] + 20
        for i in range(5):
            x = _BAR + _BAR_WIDTH * i / 4
            axes.plot([x, x], [_TOP - 20, bottom], color=look.grid, linewidth=1, zorder=0)
        between = self._y["native"][0] - _PITCH / 2 - 9
        axes.plot([20, 1020], [between, between], color=look.grid, linewidth=1, zorder=0)
        handles: list[Artist] = [Patch(**place_style(look, place)) for place in ("guest", "kvm")]
        handles += [Patch(facecolor=look.ink, alpha=grey, edgecolor=look.faint) for grey in _GREY]
        handles.append(Line2D([], [], linestyle="none", marker="D", color=look.ink, markersize=9))
        names = [words(f"walk_cost.legend.{k}") for k in ("guest", "host", *LEVELS, "published")]
        legend(axes, look, handles, names, loc="lower left", bbox_to_anchor=(0.01, 0.045), ncols=7, columnspacing=1.2,
               handlelength=1.4)  # fmt: skip

        self._scale = [text(_BAR + _BAR_WIDTH * i / 4, bottom + 12, size=SIZE["note"], ha="center") for i in range(5)]
        self._note = text(20, self.size_px[1] - 14, size=SIZE["note"], color=look.faint)
        self._names: dict[str, list[Text]] = {}
        self._reads: dict[str, list[Text]] = {}
        self._sizes: dict[str, list[Text]] = {}
        self._values: dict[str, list[Text]] = {}
        self._bars: dict[str, list[dict[str, Rectangle]]] = {}
        self._found: dict[str, list[list[Rectangle]]] = {}
        self._ghosts: dict[str, Line2D] = {}
        self._diamonds: dict[str, Line2D] = {}
        moving: list[Artist] = []
        for side, ys in self._y.items():
            self._names[side] = [text(_NAME, y, ha="right") for y in ys]
            self._reads[side] = [text(_READS, y, ha="center") for y in ys]
            self._sizes[side] = [text(_SIZE, y, ha="right") for y in ys]
            self._values[side] = [text(_BAR, y) for y in ys]
            self._bars[side] = [
                {where: box(axes, _BAR, y - _HEIGHT / 2, 0, _HEIGHT, **place_style(look, place))
                 for where, place in PLACE.items()} for y in ys
            ]  # fmt: skip
            self._found[side] = [
                [box(axes, _FOUND, y - 7, 0, 14, facecolor=look.ink, alpha=grey, edgecolor="none") for grey in _GREY]
                for y in ys[1:]
            ]
            self._ghosts[side] = axes.plot([], [], **ghost_style(look))[0]
            self._diamonds[side] = axes.plot([], [], "D", color=look.ink, markersize=10, markeredgecolor=look.paper,
                                             markeredgewidth=1.2)[0]  # fmt: skip
            for bars in self._bars[side]:
                moving += bars.values()
            for parts in self._found[side]:
                moving += parts
            moving += [self._ghosts[side], self._diamonds[side], *self._names[side], *self._reads[side],
                       *self._sizes[side], *self._values[side]]  # fmt: skip
        return [*moving, *self._scale, self._note]

    def show(self, result: WalkCostResult, kept: WalkCostResult | None = None, prediction: Any = None) -> None:
        ends = [b.cycles for r in (result, kept) if r for b in (r.virtual, r.native)]
        ends += [p.cycles for p in result.published]
        limit = next(m for m in _LIMITS if m >= max(ends))
        self.per_cycle = _BAR_WIDTH / limit
        for i, tick in enumerate(self._scale):
            tick.set_text(number(limit * i / 4))
        for side in self._y:
            self._show_side(side, result.bill(side), result, kept)
        self._note.set_text(" ".join(p.note for p in result.published))

    def _show_side(self, side: str, bill: Bill, result: WalkCostResult, kept: WalkCostResult | None) -> None:
        parts = {where: sum(r.cycles for r in bill.rows if r.where == where) for where in PLACE}
        published = next((p for p in result.published if p.side == side), None)
        before = kept.bill(side).cycles if kept else 0.0
        end = max(bill.cycles, before, published.cycles if published else 0.0)
        value = f"{number(bill.cycles)}" if bill.cycles else words("walk_cost.no_walk")
        if published and published.bound:
            value += say("walk_cost.at_most", cycles=number(published.cycles))
        elif published:
            value += say("walk_cost.counted", cycles=number(published.cycles))
        self._row(side, 0, words(f"walk_cost.side.{side}"), number(bill.reads), "", value,
                  {"guest": (0.0, parts["guest"]), "host": (parts["guest"], parts["host"])}, end)  # fmt: skip
        at = 0.0
        for i in range(1, len(self._y[side])):
            row = bill.rows[i - 1] if i <= len(bill.rows) else None
            if row is None:
                self._row(side, i, "", "", "", "", {}, 0.0)
            else:
                size = "" if row.table_bytes is None else show(row.table_bytes, "B")
                share = show(row.cycles / bill.cycles, "%", 2) if bill.cycles else ""
                self._row(side, i, row.name, _reads(row.reads), size, f"{number(row.cycles)} ({share})",
                          {row.where: (at, row.cycles)}, at + row.cycles)  # fmt: skip
                at += row.cycles
            x = float(_FOUND)
            for part, share_ in zip(self._found[side][i - 1], row.found_in if row else (0.0,) * 4, strict=True):
                part.set_x(x)
                part.set_width(_FOUND_WIDTH * share_)
                x += _FOUND_WIDTH * share_
        y = self._y[side][0]
        right = _BAR + before * self.per_cycle
        top, low = y - _HEIGHT / 2 - 3, y + _HEIGHT / 2 + 3
        self._ghosts[side].set_visible(kept is not None)
        self._ghosts[side].set_data([_BAR, right, right, _BAR, _BAR], [top, top, low, low, top])
        self._diamonds[side].set_visible(published is not None)
        self._diamonds[side].set_data([_BAR + (published.cycles if published else 0.0) * self.per_cycle], [y])

    def _row(self, side: str, i: int, name: str, reads: str, size: str, value: str,
             bars: dict[str, tuple[float, float]], end: float) -> None:  # fmt: skip
        self._names[side][i].set_text(name)
        self._reads[side][i].set_text(reads)
        self._sizes[side][i].set_text(size)
        text = self._values[side][i]
        text.set_text(value)
        text.set_x(_BAR + end * self.per_cycle + 14)
        for where, bar in self._bars[side][i].items():
            start, length = bars.get(where, (0.0, 0.0))
            bar.set_x(_BAR + start * self.per_cycle)
            bar.set_width(length * self.per_cycle)
            bar.set_visible(length > 0)


def _reads(reads: float) -> str:
    return number(round(reads, 2)) if reads >= 0.01 else "≈ 0"
