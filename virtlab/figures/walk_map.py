"""The references of a walk for all levels and page sizes at once: four blocks of nine cells, bare metal beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, Look, box, ghost_style, place_style, write
from virtlab.memory.pages import PAGES, PageSize

Side = tuple[Literal[4, 5], PageSize]  # levels and page
Key = tuple[Literal[4, 5], PageSize, Literal[4, 5], PageSize]  # those of the guest, then those of the host
LEVELS: tuple[Literal[4, 5], ...] = (4, 5)
MOST = 35
_CELL = (70, 52)
_PITCH = (75, 57)
_NATIVE_X, _BLOCK_X = 128, {4: 232, 5: 482}
_BLOCK_Y = {4: 96, 5: 292}
_PANEL = 742
_BIG = 22
_DARKEST = 0.55  # of the quiet colour over the paper, so that ink is still read on it
_BAR = 9  # pixels a reference


@dataclass(frozen=True)
class WalkMapResult:
    """References for each cell and for bare metal. ``parts`` are those of the marked cell: the guest's own entries,
    the host's walks to the guest's tables, the host's walk to the data."""

    counts: Mapping[Key, int]
    native: Mapping[Side, int]
    marked: Key
    cold: int
    parts: tuple[int, int, int]


class WalkMapPicture(Picture[WalkMapResult]):
    """Left: the map. Right: what the marked cell is made of."""

    size_px = (1040, 560)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.whole_axes()
        text = partial(write, axes, look)
        half = _CELL[0] / 2
        text(_NATIVE_X + half, 40, words("walk_map.native"), color=look.faint, ha="center")
        for levels in (4, 5):
            text(_BLOCK_X[levels], 30, say("walk_map.host", levels=levels), SIZE["label"])
            for i, page in enumerate(PAGES):
                text(_BLOCK_X[levels] + half + i * _PITCH[0], 74, words(f"walk_map.page.{page}"), color=look.faint,
                     ha="center")  # fmt: skip
                text(118, _BLOCK_Y[levels] + _CELL[1] / 2 + i * _PITCH[1], words(f"walk_map.page.{page}"),
                     color=look.faint, ha="right")  # fmt: skip
            text(10, _BLOCK_Y[levels] - 18, say("walk_map.guest", levels=levels), SIZE["label"])
        for i, count in enumerate((1, 5, 10, 20, MOST)):
            x = _BLOCK_X[4] + 46 * i
            box(axes, x, 494, 46, 26, facecolor=shade(look, count), edgecolor="none")
            text(x + 23, 507, str(count), ha="center")
        text(_BLOCK_X[4] + 46 * 5 + 12, 507, words("walk_map.shade"), color=look.faint)
        text(_PANEL, 30, words("walk_map.marked"), SIZE["label"], color=look.faint)

        self._boxes: dict[Key, Rectangle] = {}
        self._numbers: dict[Key, Text] = {}
        self._were: dict[Key, Text] = {}
        self._corner: dict[Key, tuple[float, float]] = {}
        self._native: dict[Side, Text] = {}
        for guest_levels in LEVELS:
            for row, guest_page in enumerate(PAGES):
                y = _BLOCK_Y[guest_levels] + row * _PITCH[1]
                self._native[guest_levels, guest_page] = text(_NATIVE_X + half, y + _CELL[1] / 2, "", SIZE["title"],
                                                              ha="center")  # fmt: skip
                for host_levels in LEVELS:
                    for column, host_page in enumerate(PAGES):
                        key: Key = (guest_levels, guest_page, host_levels, host_page)
                        x = _BLOCK_X[host_levels] + column * _PITCH[0]
                        self._corner[key] = x, y
                        self._boxes[key] = box(axes, x, y, *_CELL, edgecolor="none")
                        self._numbers[key] = text(x + half - 6, y + _CELL[1] / 2, "", SIZE["title"], ha="center")
                        self._were[key] = text(x + _CELL[0] - 6, y + _CELL[1] - 14, "", SIZE["note"], ha="right")
        self._frame = box(axes, 0, 0, _CELL[0] + 6, _CELL[1] + 6, fill=False, edgecolor=look.ink, linewidth=3.5)
        self._ghost = axes.plot([], [], **ghost_style(look))[0]
        self._count = text(_PANEL, 66, "", _BIG)
        self._about = [text(_PANEL, y) for y in (104, 128, 152)]
        self._bars = [box(axes, _PANEL, y, 0, 22, **place_style(look, place))
                      for y, place in ((208, "guest"), (274, "kvm"), (340, "kvm"))]  # fmt: skip
        self._values = [text(0, y + 12, "", SIZE["label"]) for y in (208, 274, 340)]
        for y, key_ in ((194, "own"), (260, "tables"), (326, "data")):
            text(_PANEL, y, words(f"walk_map.part.{key_}"))
        self._sum = text(_PANEL, 396, "", SIZE["label"])
        self._range = text(_PANEL, 428)
        self._kept = text(_PANEL, 460, color=look.faint)
        return [*self._boxes.values(), self._ghost, self._frame, *self._numbers.values(), *self._were.values(),
                *self._native.values(), self._count, *self._about, *self._bars, *self._values, self._sum, self._range,
                self._kept]  # fmt: skip

    def show(self, result: WalkMapResult, kept: WalkMapResult | None = None, prediction: Any = None) -> None:
        for key, count in result.counts.items():
            self._boxes[key].set_facecolor(shade(self.look, count))
            self._numbers[key].set_text(str(count))
            before = kept.counts[key] if kept else count
            self._were[key].set_text(str(before) if before != count else "")
        for levels_and_page, count in result.native.items():
            self._native[levels_and_page].set_text(str(count))
        x, y = self._corner[result.marked]
        self._frame.set_xy((x - 3, y - 3))
        self._ghost.set_visible(kept is not None)
        if kept:
            x, y = self._corner[kept.marked]
            right, low = x + _CELL[0] - 2, y + _CELL[1] - 2
            self._ghost.set_data([x + 2, right, right, x + 2, x + 2], [y + 2, y + 2, low, low, y + 2])
        guest_levels, guest_page, host_levels, host_page = result.marked
        count = result.counts[result.marked]
        self._count.set_text(words("walk.one_reference") if count == 1 else say("walk.references", count=count))
        sides = (("guest", guest_levels, guest_page), ("host", host_levels, host_page))
        lines = [say(f"walk_map.side.{side}", levels=levels, page=words(f"walk_map.page.{page}"))
                 for side, levels, page in sides]  # fmt: skip
        for line, content in zip(self._about, [*lines, say("walk.of_cold", cold=result.cold)], strict=True):
            line.set_text(content)
        for bar, value, part in zip(self._bars, self._values, result.parts, strict=True):
            bar.set_width(_BAR * part)
            value.set_x(_PANEL + _BAR * part + 8)
            value.set_text(str(part))
        self._sum.set_text(" + ".join(map(str, result.parts)) + f" = {count}")
        numbers = result.counts.values()
        self._range.set_text(say("walk_map.range", least=min(numbers), most=max(numbers)))
        self._kept.set_text(say("walk_map.kept", count=kept.counts[kept.marked]) if kept else "")


def shade(look: Look, count: int) -> str:
    """The paper, darkened by the number of references."""
    share = _DARKEST * count / MOST
    mixed = (p + share * (q - p) for p, q in zip(to_rgb(look.paper), to_rgb(look.faint), strict=True))
    return to_hex(tuple(mixed))  # type: ignore[arg-type]
