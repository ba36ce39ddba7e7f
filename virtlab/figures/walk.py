"""A page walk on its grid: across what is being located, down the host's levels; each cell is one read of an entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.artist import Artist
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch, Rectangle
from matplotlib.text import Text

from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, Look, box, ghost_style, legend, place_style, write
from virtlab.memory.pages import ENTRY
from virtlab.memory.walk import Reference, Walk

COLUMNS = (5, 4, 3, 2, 1, 0)  # guest levels that are located, then the data
ROWS = (5, 4, 3, 2, 1, 0)  # host levels, then the guest's own read
SAVERS = ("guest_cache", "host_cache", "nested_tlb")
_CELL = (64, 42)
_PITCH = 86
_X = {column: 160 + _PITCH * i for i, column in enumerate(COLUMNS)}
_Y = {row: 122 + 60 * i for i, row in enumerate(ROWS)} | {0: 440}
_PANEL = 664
_BIG = 22


@dataclass(frozen=True)
class WalkResult:
    """One walk, and how far it has been played: 0 shows all of it, a step beyond its end is the end."""

    walk: Walk
    step: int

    @property
    def position(self) -> int:
        """The number of the read that is shown, 0 for none."""
        return min(self.step, self.walk.count)

    @property
    def current(self) -> Reference | None:
        """The read that is shown."""
        return self.walk.references[self.position - 1] if self.position else None

    @property
    def at_end(self) -> bool:
        """Whether the last read has been made, so that the data can be used."""
        return self.position in (0, self.walk.count)

    def saved(self) -> dict[str, int]:
        """How many reads each cache saved."""
        return {key: sum(r.skipped_by == key for r in self.walk.skipped) for key in SAVERS}


class WalkPicture(Picture[WalkResult]):
    """Left: the grid with its path. Right: how many reads, what saved the others, and the read of this step."""

    size_px = (1040, 540)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.whole_axes()
        text = partial(write, axes, look)
        axes.plot([_PANEL, 1030], [262, 262], color=look.grid, linewidth=1.2)
        handles = [Patch(**place_style(look, "guest")), Patch(**place_style(look, "kvm")),
                   Patch(facecolor=look.paper, edgecolor=look.faint, linewidth=0.8)]  # fmt: skip
        names = [words("walk.legend.guest"), words("walk.legend.host"), words("walk.legend.saved")]
        legend(axes, look, handles, names, loc="lower left", bbox_to_anchor=(0.115, 0.015), ncols=3, columnspacing=1.6,
               handlelength=2.2)  # fmt: skip

        self._path = axes.plot([], [], color=look.ink, linewidth=2.2)[0]
        self._cells: dict[tuple[int, int], Rectangle] = {}
        self._numbers: dict[tuple[int, int], Text] = {}
        self._reasons: dict[tuple[int, int], Text] = {}
        clear = {"facecolor": look.paper, "edgecolor": "none", "boxstyle": "square,pad=0.15"}
        for column in COLUMNS:
            for row in ROWS if column else ROWS[:-1]:
                x, y = _X[column], _Y[row]
                at = column, row
                self._cells[at] = box(axes, x - _CELL[0] / 2, y - _CELL[1] / 2, *_CELL, gid=CUT)
                self._numbers[at] = text(x, y, "", SIZE["title"], ha="center", bbox=clear)
                self._reasons[at] = text(x, y, "", SIZE["note"], ha="center", color=look.faint)
        self._data = box(axes, _X[0] - _CELL[0] / 2, _Y[0] - _CELL[1] / 2, *_CELL, facecolor=look.paper,
                         edgecolor=look.ink, linewidth=1.5)  # fmt: skip
        self._data_text = text(_X[0], _Y[0], "", SIZE["tick"], ha="center")
        self._frame = box(axes, 0, 0, _CELL[0] + 10, _CELL[1] + 10, fill=False, edgecolor=look.ink, linewidth=3.5)
        self._ghost = axes.plot([], [], **ghost_style(look))[0]
        self._across = text(_X[1] + 32, 0, "", SIZE["tick"], ha="right", color=look.faint)
        self._heads = {c: text(_X[c], 75, "", SIZE["tick"], ha="center") for c in COLUMNS}
        self._sides = {r: text(118, _Y[r], "", SIZE["tick"], ha="right") for r in ROWS}
        self._count = text(_PANEL, 34, "", _BIG)
        self._bill = [text(_PANEL, y, "", SIZE["tick"]) for y in (70, 98, 124, 150, 186)]
        self._kept = text(_PANEL, 222, "", SIZE["tick"], color=look.faint)
        self._at = text(_PANEL, 294, "", SIZE["label"], color=look.faint)
        self._entry = text(_PANEL, 332, "", _BIG)
        self._lines = [text(_PANEL, y, "", SIZE["tick"]) for y in (370, 396, 422, 448)]
        return [self._path, *self._cells.values(), self._data, self._ghost, self._frame, *self._numbers.values(),
                *self._reasons.values(), self._data_text, self._across, *self._heads.values(), *self._sides.values(),
                self._count, *self._bill, self._kept, self._at, self._entry, *self._lines]  # fmt: skip

    def show(self, result: WalkResult, kept: WalkResult | None = None, prediction: Any = None) -> None:
        self._show_grid(result)
        self._show_bill(result, kept)
        self._show_step(result)
        outlines: list[tuple[float, float]] = []
        for reference in kept.walk.references if kept else ():
            x, y, w, h = _X[reference.column], _Y[reference.row], _CELL[0] / 2 + 2, _CELL[1] / 2 + 2
            outlines += [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h), (x - w, y - h)]
            outlines.append((float("nan"), float("nan")))
        self._ghost.set_data([x for x, _ in outlines], [y for _, y in outlines])

    def _show_grid(self, result: WalkResult) -> None:
        look, walk = self.look, result.walk
        cells = {(r.column, r.row): r for r in (*walk.references, *walk.skipped)}
        for at, cell in self._cells.items():
            reference = cells.get(at)
            cell.set_visible(reference is not None)
            number = reason = ""
            if reference is not None:
                style = place_style(look, "guest" if reference.space == "guest" else "kvm")
                done = not result.step or reference.number <= result.position
                if reference.skipped_by:
                    reason = words(f"walk.saved.{reference.skipped_by}")
                    style |= {"facecolor": look.paper, "edgecolor": look.grid, "hatch": None}
                elif not done:
                    number = str(reference.number)
                    style |= {"facecolor": look.paper, "edgecolor": style["facecolor"], "hatch": None}
                else:
                    number = str(reference.number)
                cell.set(**{k: style[k] for k in ("facecolor", "edgecolor", "hatch")})
                if number:
                    self._numbers[at].get_bbox_patch().set_facecolor(style["facecolor"])  # type: ignore[union-attr]
                    self._numbers[at].set_color(_letters_on(look, style["facecolor"]))
            self._numbers[at].set_text(number)
            self._reasons[at].set_text(reason)
        columns = {column for column, _ in cells}
        rows = {row for _, row in cells}
        top = min(_Y[row] for row in rows or {0})
        left = min(_X[column] for column in columns or {0})
        for column, head in self._heads.items():
            head.set_y(top - 38)
            head.set_text(words(f"walk.column.{column}") if column in columns or not column else "")
        for row, side in self._sides.items():
            own = "guest" if result.walk.options.nested_paging else "bare"
            name = say("walk.row.host", entry=ENTRY[row]) if row else words(f"walk.row.{own}")
            side.set_text(name if row in rows else "")
            side.set_x(left - 42)
        self._across.set_y(top - 72)
        bare = "" if walk.options.nested_paging else "_bare"  # bare metal has no guest whose tables these could be
        self._across.set_text(words(f"walk.across{bare}") if columns - {0} else "")
        self._data_text.set_text(words("walk.data"))
        self._path.set_data(*_way(result))
        current = result.current
        self._frame.set_visible(current is not None)
        if current is not None:
            self._frame.set_xy((_X[current.column] - _CELL[0] / 2 - 5, _Y[current.row] - _CELL[1] / 2 - 5))

    def _show_bill(self, result: WalkResult, kept: WalkResult | None) -> None:
        walk, saved = result.walk, result.saved()
        self._count.set_text(_references(walk))
        self._bill[0].set_text(say("walk.of_cold", cold=walk.cold))
        for line, key in zip(self._bill[1:4], SAVERS, strict=True):
            line.set_text(say(f"walk.saved_by.{key}", count=saved[key]))
            line.set_color(self.look.ink if saved[key] else self.look.faint)
        self._bill[4].set_text(say("walk.first_touch", exits=_exits(walk)))
        self._kept.set_text(say("walk.kept", references=_references(kept.walk)) if kept else "")

    def _show_step(self, result: WalkResult) -> None:
        current = result.current
        self._entry.set_text(current.entry if current else "")
        end = say("walk.then", address=f"{result.walk.final:#x}") if result.at_end else ""
        if current is None:
            self._at.set_text(words("walk.all_steps"))
            lines = [words("walk.how_to_play"), end, "", ""]
        else:
            self._at.set_text(say("walk.step_of", step=result.position, count=result.walk.count))
            own = current.space if result.walk.options.nested_paging else "bare"
            table = say(f"walk.table.{own}", entries=words(f"walk.column.{current.level}"))
            at = say("walk.where", index=current.index, address=f"{current.address:#x}")
            lines = [table, at, _use(result.walk, current), end]
        for line, content in zip(self._lines, lines, strict=True):
            line.set_text(content)


def _letters_on(look: Look, colour: str) -> str:
    """Ink or paper, whichever is read better on ``colour`` (contrast as in WCAG)."""
    ink, paper, ground = (sum(w * c**2.2 for w, c in zip((0.2126, 0.7152, 0.0722), to_rgb(x), strict=True)) + 0.05
                          for x in (look.ink, look.paper, colour))  # fmt: skip
    return look.ink if max(ink / ground, ground / ink) >= max(paper / ground, ground / paper) else look.paper


def _references(walk: Walk) -> str:
    return str(words("walk.one_reference")) if walk.count == 1 else say("walk.references", count=walk.count)


def _exits(walk: Walk) -> str:
    exits = len(walk.first_touch)
    return str(words("walk.one_exit")) if exits == 1 else say("walk.exits", count=exits)


def _use(walk: Walk, r: Reference) -> str:
    """What the entry is good for."""
    if r.space == "host":
        return say("walk.to_find", target=words(f"walk.short.{r.target}"))
    last = not any(q.space == "guest" and q.number > r.number for q in walk.references)
    kind = "guest" if walk.options.nested_paging else "native"
    return say(f"walk.gives.{kind}", target=words(f"walk.next.{'data' if last else 'table'}"))


def _way(result: WalkResult) -> tuple[list[float], list[float]]:
    """The path through the reads so far: down a column, and through the gap to the top of the next."""
    stops = [(r.column, r.row) for r in result.walk.references[: result.position if result.step else None]]
    if result.at_end:
        stops.append((0, 0))  # the data
    xs: list[float] = []
    ys: list[float] = []
    for column, row in stops:
        x, y = _X[column], _Y[row]
        if xs and x != xs[-1]:
            xs += [xs[-1] + _PITCH / 2] * 2
            ys += [ys[-1], y]
        xs.append(x)
        ys.append(y)
    return xs, ys
