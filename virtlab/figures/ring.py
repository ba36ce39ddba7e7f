"""A virtqueue as it lies in memory: every number of the ring, and the one that is read or written at this moment."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.text import Text

from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, box, place_style, write
from virtlab.virtio.layout import Field
from virtlab.virtio.story import Moment, Story

#: Whose colour a side has: the driver is the guest's, the device QEMU's.
PLACE = {"driver": "guest", "device": "qemu"}
ROWS = 8  # places of each part that are shown at once
_ROW, _TOP = 25, 142


class _Column(NamedTuple):
    """Cells of one name: one for each place of the ring, or a single one; where the first stands, and how wide."""

    part: str
    name: str
    x: int
    y: int
    width: int
    many: bool


_SPLIT = (
    *(_Column("desc", name, x, _TOP, w, True) for name, x, w in (
        ("addr", 66, 92), ("len", 170, 50), ("flags", 232, 62), ("next", 306, 50))),
    *(_Column(part, name, x, _TOP + _ROW * n, 74, False) for part, x, event in (
        ("avail", 560, "used_event"), ("used", 838, "avail_event"))
      for n, name in enumerate(("flags", "idx", event))),
    _Column("avail", "ring", 560, _TOP + 4 * _ROW, 74, True),
    _Column("used", "id", 838, _TOP + 4 * _ROW, 60, True),
    _Column("used", "len", 910, _TOP + 4 * _ROW, 60, True),
)  # fmt: skip
_PACKED = (
    *(_Column("desc", name, x, _TOP, w, True) for name, x, w in (
        ("addr", 66, 92), ("len", 170, 50), ("id", 232, 50), ("flags", 294, 100))),
    *(_Column(f"{side} event", name, 700, _TOP - 16 + _ROW * n + 130 * (side == "device"), 260, False)
      for side in ("driver", "device") for n, name in enumerate(("off_wrap", "flags"))),
)  # fmt: skip
_COLUMNS = {"split": _SPLIT, "packed": _PACKED}
#: The heading of each part: where, and who writes it.
_HEADS = {
    "split": {"desc": (30, 70, "driver"), "avail": (470, 70, "driver"), "used": (748, 70, "device")},
    "packed": {"desc": (30, 70, "both"), "driver event": (560, 70, "driver"), "device event": (560, 200, "device")},
}
_FLAG_LETTERS = ((1, "N"), (2, "W"), (4, "I"), (1 << 7, "A"), (1 << 15, "U"))
_CHARACTERS = 118


@dataclass(frozen=True)
class RingResult:
    """A story and how far it has been played: 0 is before the first moment, beyond its end is the end."""

    story: Story
    step: int
    asked: int = 0  # buffers in a batch that were asked for; the ring may hold fewer
    did: str = ""  # what has just happened, and why; in words
    why: str = ""

    @property
    def position(self) -> int:
        return min(self.step, len(self.story.moments))

    @property
    def moment(self) -> Moment | None:
        """What has just happened."""
        return self.story.moments[self.position - 1] if self.position else None


def flag_letters(value: int) -> str:
    """The set flags of a descriptor, by their letters."""
    return " ".join(letter for bit, letter in _FLAG_LETTERS if value & bit) or "–"


def shown_value(field: Field, value: int) -> str:
    """A number of the ring as it is written into its cell."""
    if field.name == "addr":
        return f"{value:#x}" if value else "0"
    if field.name == "off_wrap":
        return say("ring.off_wrap", offset=value & 0x7FFF, wrap=value >> 15)
    if field.name == "flags" and field.part == "desc":
        return flag_letters(value)
    if field.name == "flags" and field.part.endswith("event"):
        return str(words("ring.event_flags").get(str(value), value))
    return str(value)


class RingPicture(Picture[RingResult]):
    """The parts of the ring side by side, the counters below, and what this moment does and why."""

    size_px = (1040, 664)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.whole_axes()
        text = partial(write, axes, look)
        text(20, 30, words("ring.title"), SIZE["title"])
        for n, side in enumerate(PLACE):
            box(axes, 574 + 226 * n, 20, 26, 18, **place_style(look, PLACE[side]))
            text(608 + 226 * n, 30, words(f"ring.side.{side}"), SIZE["note"])
        axes.plot([20, 1020], [468, 468], color=look.grid, linewidth=1.2)
        most = max(len(columns) for columns in _COLUMNS.values()) * ROWS
        self._marks = [box(axes, 0, 0, 1, 1, fill=False, linewidth=3) for _ in range(4)]
        self._cells = [text(0, 0, "", SIZE["tick"]) for _ in range(most)]
        self._numbers = [text(0, 0, "", SIZE["note"], color=look.faint, ha="right") for _ in range(3 * ROWS)]
        self._heads = [text(0, 0, "", SIZE["label"], weight="bold") for _ in range(3)]
        self._writers = [text(0, 0, "", SIZE["note"], color=look.faint) for _ in range(3)]
        self._names = [text(0, 0, "", SIZE["note"], color=look.faint) for _ in range(len(_SPLIT))]
        self._letters_of = [text(30, 350 + 20 * n, "", SIZE["note"], color=look.faint) for n in range(2)]
        self._wraps = text(560, 350, "", SIZE["note"])
        self._told = text(30, 402, "", SIZE["label"])
        self._done = text(30, 426, "", SIZE["tick"])
        self._kept = text(30, 450, "", SIZE["tick"], color=look.faint)
        self._bar = box(axes, 20, 484, 8, 164, facecolor=look.faint, edgecolor="none")
        self._head = text(44, 496, "", SIZE["label"], color=look.faint)
        self._did = [text(44, 528 + 24 * n, "", SIZE["label"]) for n in range(2)]
        self._why = [text(44, 586 + 24 * n, "", SIZE["tick"]) for n in range(3)]
        return [*self._marks, self._bar, *self._cells, *self._numbers, *self._heads, *self._writers, *self._names,
                *self._letters_of, self._wraps, self._told, self._done, self._kept, self._head, *self._did,
                *self._why]  # fmt: skip

    def show(self, result: RingResult, kept: RingResult | None = None, prediction: Any = None) -> None:
        kind = "packed" if result.story.packed else "split"
        starts = _window(result)
        where = self._show_cells(result, kind, starts)
        self._show_frame(kind, starts, result.story.layout.size)
        self._show_marks(result, where)
        self._show_words(result, kept)

    def _show_cells(self, result: RingResult, kind: str, starts: dict[str, int]) -> dict[int, tuple[_Column, float]]:
        """Writes the numbers; returns where each stands, by its address."""
        image, size = result.story.image(result.position), result.story.layout.size
        at = result.story.named
        where: dict[int, tuple[_Column, float]] = {}
        texts = iter(self._cells)
        for column in _COLUMNS[kind]:
            for row in range(min(ROWS, size) if column.many else 1):
                index = (starts[column.part] + row) % size if column.many else None
                field = at[column.part, column.name, index]
                y = column.y + _ROW * row
                cell = next(texts)
                cell.set_position((column.x, y))
                cell.set_text(shown_value(field, int.from_bytes(image[field.address :][: field.size], "little")))
                where[field.address] = column, y
        for cell in texts:
            cell.set_text("")
        return where

    def _show_frame(self, kind: str, starts: dict[str, int], size: int) -> None:
        """Headings, the names of the columns, and the numbers of the places."""
        for n, (head, writer) in enumerate(zip(self._heads, self._writers, strict=True)):
            part, (x, y, by) = list(_HEADS[kind].items())[n]
            head.set_position((x, y))
            head.set_text(words(f"ring.part.{kind}.{part.replace(' ', '_')}"))
            writer.set_position((x, y + 22))
            writer.set_text(words(f"ring.written_by.{by}"))
        numbered: dict[str, _Column] = {}
        for name, column in zip(self._names, (*_COLUMNS[kind], *[None] * len(_SPLIT)), strict=False):
            name.set_text("" if column is None else words(f"ring.column.{column.name}"))
            if column is None:
                continue
            if column.many:  # above the column; a ring of plain numbers needs no name there
                name.set_horizontalalignment("left")
                name.set_position((column.x, column.y - 24))
            else:
                name.set_horizontalalignment("right")
                name.set_position((column.x - 12, column.y))
            if column.name == "ring":
                name.set_text("")
            if column.many:
                numbered.setdefault(column.part, column)
        numbers = iter(self._numbers)
        for part, column in numbered.items():
            for row in range(min(ROWS, size)):
                number = next(numbers)
                number.set_position((column.x - 12, column.y + _ROW * row))
                place = (starts[part] + row) % size
                number.set_text(str(place) if part == "desc" else f"ring[{place}]")
        for number in numbers:
            number.set_text("")

    def _show_marks(self, result: RingResult, where: dict[int, tuple[_Column, float]]) -> None:
        """Frames what is touched: full for a store, dashed for a load."""
        moment = result.moment
        touched = [where[f.address] for f in result.story.touched(moment) if f.address in where] if moment else []
        for mark, place in zip(self._marks, (*touched, *[None] * len(self._marks)), strict=False):
            mark.set_visible(place is not None)
            if place is None or moment is None:
                continue
            column, y = place
            mark.set_bounds(column.x - 6, y - _ROW / 2 + 1, column.width, _ROW - 2)
            mark.set_edgecolor(self.look.place[PLACE[moment.side]])
            mark.set_linestyle("-" if moment.kind == "store" else (0, (2, 1.2)))

    def _show_words(self, result: RingResult, kept: RingResult | None) -> None:
        story, moment = result.story, result.moment
        key = "batches" if result.asked <= story.buffers else "batches_cut"
        self._told.set_text(say(f"ring.{key}", buffers=story.buffers, asked=result.asked))
        done = story.moments[: result.position]
        counted = {side: sum(m.side == side and m.kind in ("load", "store") for m in done) for side in PLACE}
        told = {"kicks": moment.kicks if moment else 0, "calls": moment.calls if moment else 0}
        self._done.set_text(say("ring.so_far", **told, **counted))
        last = kept.story.moments[-1] if kept and kept.story.moments else None
        self._kept.set_text(say("ring.kept", kicks=last.kicks, calls=last.calls, n=len(kept.story.moments))
                            if kept and last else "")  # fmt: skip
        side = str(words(f"ring.side.{moment.side}")) if moment else ""
        self._head.set_text(say("ring.step", n=result.position, of=len(story.moments), side=side))
        self._bar.set_facecolor(self.look.place[PLACE[moment.side]] if moment else self.look.faint)
        driver, device = story.wraps(result.position)
        self._wraps.set_text(say("ring.wraps", driver=driver, device=device) if story.packed else "")
        legend = str(words("ring.letters_packed" if story.packed else "ring.letters"))
        for text, line in zip(self._letters_of, legend.split("\n"), strict=True):
            text.set_text(line)
        for texts, content in ((self._did, result.did), (self._why, result.why)):
            _wrap(texts, content)


def _wrap(texts: Sequence[Text], content: str) -> None:
    lines = textwrap.wrap(content, _CHARACTERS if len(texts) > 2 else _CHARACTERS - 12)
    for text, line in zip(texts, (*lines, *[""] * len(texts)), strict=False):
        text.set_text(line)


def _window(result: RingResult) -> dict[str, int]:
    """The first place that is shown of each part: of a large ring the eight among which something was touched last."""
    size = result.story.layout.size
    starts = dict.fromkeys(("desc", "avail", "used"), 0)
    if size <= ROWS:
        return starts
    seen: set[str] = set()
    for n in (*range(result.position - 1, -1, -1), *range(result.position, len(result.story.moments))):
        for field in result.story.touched(result.story.moments[n]):
            if field.index is not None and field.part not in seen:
                seen.add(field.part)
                starts[field.part] = field.index // ROWS * ROWS
        if len(seen) == len(starts):
            break
    return starts
