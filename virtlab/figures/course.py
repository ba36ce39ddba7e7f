"""The map of the course: which notebook builds on which, which are core, and which are still to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from virtlab.core.words import words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE

_WIDTH, _HEIGHT = 152, 70


@dataclass(frozen=True)
class Box:
    """One notebook as the map shows it: number, title (broken into lines), core or deeper, here or to come."""

    number: str
    title: str
    core: bool
    here: bool


@dataclass(frozen=True)
class CourseResult:
    """Boxes, the column (level) of each, and the arrows between them."""

    boxes: tuple[Box, ...]
    level: Mapping[str, int]
    edges: tuple[tuple[str, str], ...]


class CoursePicture(Picture[CourseResult]):
    """Columns from left to right: what stands further right builds on what stands further left."""

    size_px = (1200, 640)

    def build(self) -> Sequence[Artist]:
        self._axes = self.whole_axes()
        return []

    def show(self, result: CourseResult, kept: CourseResult | None = None, prediction: Any = None) -> None:
        look = self.look
        for artist in [*self._axes.patches, *self._axes.texts]:
            artist.remove()
        columns: dict[int, list[Box]] = {}
        for box in result.boxes:
            columns.setdefault(result.level[box.number], []).append(box)
        middle: dict[str, tuple[float, float]] = {}
        for level, boxes in columns.items():
            for i, box in enumerate(boxes):
                x = 20 + _WIDTH / 2 + level * (1160 - _WIDTH) / max(columns)
                middle[box.number] = (x, 304 + (i - (len(boxes) - 1) / 2) * 104)
        for first, later in result.edges:
            (x0, y0), (x1, y1) = middle[first], middle[later]
            arrow = FancyArrowPatch((x0 + _WIDTH / 2 + 4, y0), (x1 - _WIDTH / 2 - 4, y1), arrowstyle="-|>",
                                    mutation_scale=13, color=look.faint, linewidth=1.2,
                                    connectionstyle="arc3,rad=0")  # fmt: skip
            self._axes.add_patch(arrow)
        for box in result.boxes:
            x, y = middle[box.number]
            frame = FancyBboxPatch((x - _WIDTH / 2, y - _HEIGHT / 2), _WIDTH, _HEIGHT, boxstyle="round,pad=3", zorder=3)
            frame.set(linewidth=2.2 if box.core else 1.2, linestyle="-" if box.core else (0, (4, 3)),
                      edgecolor=look.ink if box.here else look.faint,
                      facecolor=look.grid if box.here else look.paper)  # fmt: skip
            self._axes.add_patch(frame)
            sign = "■" if box.core else "□"
            self._axes.text(x, y, f"{sign} {box.number}\n{box.title}", ha="center", va="center",
                            fontsize=SIZE["note"] - 1, zorder=4, linespacing=1.15,
                            color=look.ink if box.here else look.faint)  # fmt: skip
        note: dict[str, Any] = {"fontsize": SIZE["note"], "color": look.ink, "va": "center"}
        self._axes.text(20, 620, words("course.legend"), **note)
        self.still_changed()
