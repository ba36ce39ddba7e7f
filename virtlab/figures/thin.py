"""Ten duties and their places after some moves, and beside them the vector, each bar in a unit of its own."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.cloud import DUTIES, Slim
from virtlab.cloud.slim import figure, value
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, ghost_style, legend, place_style, write

#: The columns, each with the place whose colour it has; "nobody" has none.
COLUMNS = {"kernel": "host", "vmm": "qemu", "manager": "poller", "card": "card", "nobody": ""}
#: The rows of the vector, each with its place where it has one.
ROWS = {
    "cores": "", "memory": "", "user_kernel": "", "process": "", "pcie": "", "devices": "", "vmm_entries": "qemu",
    "kernel_entries": "host", "manager_entries": "poller", "card_entries": "card", "c_entries": "", "system_calls": "",
    "boot": "",
}  # fmt: skip
_GRID_LEFT, _GRID_TOP, _COLUMN, _ROW = 128, 106, 72, 37
_BOX = (60, 25)
_NAMES, _BARS, _FULL, _VALUES = 520, 748, 112, 868
_TOP, _PITCH, _THICK = 100, 29, 9
_CHARACTERS = 128


@dataclass(frozen=True)
class ThinResult:
    """What the moves made of a host."""

    slim: Slim

    def places(self) -> dict[str, tuple[str, ...]]:
        """The columns of each duty at the end; what is split stands in two."""
        return {d: ("vmm", "card") if p == "split" else (p,) for d, p in self.slim.end.host.places().items()}

    def order(self) -> str:
        """How the surface at the end compares with that of the start."""
        found = self.slim.end.surface.compare(self.slim.start.surface)
        return say("thin_lab.order", order=words(f"thin.order.{found}"))

    def lost(self) -> str:
        """What was lost on the way, in short words."""
        new = [x for x in self.slim.end.losses if x not in self.slim.start.losses]
        names = "; ".join(words(f"thin_lab.loss.{x}") for x in new) or words("thin_lab.nothing")
        return say("thin_lab.lost", names=names)


class ThinPicture(Picture[ThinResult]):
    """Left: duties by place, with a ring where each began. Right: every component before (outlined) and after."""

    size_px = (1040, 590)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.whole_axes()
        text = partial(write, axes, look)
        text(20, 28, words("thin_lab.title"), SIZE["title"])
        self._x = {c: _GRID_LEFT + _COLUMN * i + _COLUMN / 2 for i, c in enumerate(COLUMNS)}
        self._y = {d: _GRID_TOP + _ROW * i for i, d in enumerate(DUTIES)}
        for column, x in self._x.items():
            text(x, 74, words(f"thin_lab.column.{column}"), SIZE["note"], ha="center", linespacing=1.0)
        for duty, y in self._y.items():
            text(_GRID_LEFT - 8, y, words(f"thin_lab.duty.{duty}"), SIZE["note"], ha="right")
            axes.plot([_GRID_LEFT, self._x["nobody"] + _COLUMN / 2], [y + _ROW / 2] * 2, color=look.grid, linewidth=1,
                      zorder=0)  # fmt: skip
        width, height = _BOX
        self._boxes, self._ghosts, self._rings = {}, {}, {}
        for duty, y in self._y.items():
            self._rings[duty] = axes.plot([0], [y], "o", markersize=8, markerfacecolor=look.paper, color=look.ink,
                                          zorder=6)[0]  # fmt: skip
            for column, x in self._x.items():
                style = {"facecolor": look.paper, "edgecolor": look.faint, "linewidth": 1.2}
                if COLUMNS[column]:
                    style = place_style(look, COLUMNS[column])
                self._boxes[duty, column] = box(axes, x - width / 2, y - height / 2, width, height, gid=CUT, **style)
                xs = [x - width / 2 - 3, x + width / 2 + 3]
                ys = [y - height / 2 - 3, y + height / 2 + 3]
                self._ghosts[duty, column] = axes.plot(
                    [xs[0], xs[1], xs[1], xs[0], xs[0]], [ys[0], ys[0], ys[1], ys[1], ys[0]], **ghost_style(look)
                )[0]
        text(_NAMES, 74, words("thin_lab.vector"), SIZE["note"], color=look.faint)
        self._row = {key: _TOP + _PITCH * i for i, key in enumerate(ROWS)}
        self._before, self._after, self._was, self._values = {}, {}, {}, {}
        for key, y in self._row.items():
            text(_NAMES, y, words(f"thin.component.{key}"), SIZE["note"])
            plain = {"facecolor": look.ink, "edgecolor": look.ink, "linewidth": 0.8}
            style = place_style(look, ROWS[key]) if ROWS[key] else plain
            self._before[key] = box(axes, _BARS, y - _THICK - 1, 1, _THICK, facecolor=look.paper, edgecolor=look.faint)
            self._after[key] = box(axes, _BARS, y + 1, 1, _THICK, gid=CUT, **style)
            self._was[key] = axes.plot([0, 0], [y - 11, y + 11], **ghost_style(look), zorder=5)[0]
            self._values[key] = text(_VALUES, y, "", SIZE["note"])
        handles = [
            Line2D([], [], marker="o", markersize=8, markerfacecolor=look.paper, color=look.ink, linestyle=""),
            Patch(facecolor=look.paper, edgecolor=look.faint), Patch(facecolor=look.ink, edgecolor=look.ink),
            Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        names = [words(f"thin_lab.legend.{key}") for key in ("began", "before", "after")] + [words("lab.kept")]
        legend(axes, look, handles, names, loc="upper right", bbox_to_anchor=(0.995, 0.985), ncols=4)
        self._order = text(20, 506, "", SIZE["tick"], weight="bold")
        self._lost = [text(20, 532 + 20 * n, "", SIZE["note"]) for n in range(3)]
        return [*self._boxes.values(), *self._ghosts.values(), *self._rings.values(), *self._before.values(),
                *self._after.values(), *self._was.values(), *self._values.values(), self._order,
                *self._lost]  # fmt: skip

    def show(self, result: ThinResult, kept: ThinResult | None = None, prediction: Any = None) -> None:
        places, start = result.places(), result.slim.start.host
        old = kept.places() if kept else {}
        for (duty, column), bar in self._boxes.items():
            bar.set_visible(column in places[duty])
            self._ghosts[duty, column].set_visible(column in old.get(duty, ()))
        for duty, ring in self._rings.items():
            began = start.place(duty)
            ring.set_xdata([self._x["vmm" if began == "split" else began]])
        for key in ROWS:
            first, last = (value(step, key) for step in (result.slim.start, result.slim.end))
            before = value(kept.slim.end, key) if kept else math.nan
            most = max((v for v in (first, last, before) if not math.isnan(v)), default=0.0) or 1.0
            for bar, number in ((self._before[key], first), (self._after[key], last)):
                bar.set_visible(number > 0)
                bar.set_width(max(1.0, _FULL * number / most) if number > 0 else 1.0)
            self._was[key].set_visible(not math.isnan(before))
            self._was[key].set_xdata([_BARS + (0 if math.isnan(before) else _FULL * before / most)] * 2)
            texts = [figure(step, key) for step in (result.slim.start, result.slim.end)]
            self._values[key].set_text(f"{texts[0]} → {texts[1]}")
        self._order.set_text(result.order())
        lines = textwrap.wrap(result.lost(), _CHARACTERS)
        for n, line in enumerate(self._lost):
            line.set_text(lines[n] if n < len(lines) else "")

