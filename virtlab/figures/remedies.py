"""What each remedy earned: a waterfall in one order, and beside it Shapley's values, which have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.cloud import REMEDIES, Attribution, Bar
from virtlab.core.units import show, signed
from virtlab.core.words import words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, place_style, write

#: Remedies that carry a duty to the card have its colour; the others make cheaper what stays.
ON_CARD = ("network_card", "storage_card", "management_card")
#: Rows between the first and the last: each remedy, and the settings of its own.
SLOTS = len(REMEDIES) + 1
#: Ends of the axes; a bar below 0 is at most this part of an end.
_ENDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
LEAST = -0.3
_KINDS = ("card", "stays")


@dataclass(frozen=True)
class RemedyResult:
    """An attribution, its waterfall in the chosen order, and the remedy that was taken away ("" for none)."""

    found: Attribution
    bars: tuple[Bar, ...]
    taken_away: str

    @property
    def rows(self) -> tuple[str, ...]:
        """The remedies from above: the waterfall's, then the one taken away."""
        return (*(bar.remedy for bar in self.bars), *((self.taken_away,) if self.taken_away else ()))

    @property
    def losses(self) -> tuple[float, float]:
        """Before the first remedy and after the last."""
        return self.found.start.on(self.found.axis), self.found.end.on(self.found.axis)


def end_of(values: Sequence[float]) -> float:
    """The end of an axis that holds them."""
    return next((end for end in _ENDS if end >= max(values, default=0.0)), _ENDS[-1])


class RemedyPicture(Picture[RemedyResult]):
    """Left: the loss falls from the baseline to the architecture. Right: what each remedy earned whatever the order."""

    size_px = (1040, 580)

    def build(self) -> Sequence[Artist]:
        look, n = self.look, SLOTS + 2
        fall = self.figure.add_axes((0.225, 0.215, 0.375, 0.67))
        share = self.figure.add_axes((0.645, 0.215, 0.335, 0.67))
        dress(fall, look, title=words("remedy_lab.fall"), x=words("remedy_lab.fall_x"))
        dress(share, look, title=words("remedy_lab.share"), x=words("remedy_lab.share_x"))
        fall.set(xlim=(0, 1.18), ylim=(n - 0.5, -0.5), yticks=[])
        share.set(xlim=(LEAST, 1.42), ylim=(n - 0.5, -0.5), yticks=[])
        self._ticks = []
        for axes in (fall, share):
            axes.set_xticks([0, 0.5, 1], ["0", "", ""])
            axes.grid(axis="x", color=look.grid, linewidth=1)
            axes.xaxis.labelpad = 16
            self._ticks += [write(axes, look, x, -0.016, "", ha="center", va="top",
                                  transform=axes.get_xaxis_transform()) for x in (0.5, 1)]  # fmt: skip
        share.axvline(0, color=look.faint, linewidth=1.5)
        share.spines["left"].set_visible(False)
        styles: Mapping[str, dict[str, Any]] = {
            "card": place_style(look, "card"),
            "stays": {"facecolor": look.faint, "edgecolor": look.ink, "linewidth": 0.8},
            "whole": {"facecolor": look.paper, "edgecolor": look.ink, "linewidth": 1.2},
        }
        self._names = [write(fall, look, -0.02, y, "", ha="right") for y in range(n)]
        self._values = [write(fall, look, 0, y, "", SIZE["note"]) for y in range(n)]
        self._ends = [box(fall, 0, y - 0.34, 0, 0.68, **styles["whole"]) for y in (0, n - 1)]
        self._bars = [{k: box(fall, 0, y - 0.34, 0, 0.68, gid=CUT, **styles[k]) for k in _KINDS}
                      for y in range(1, n - 1)]  # fmt: skip
        self._shares = [{k: box(share, 0, y - 0.34, 0, 0.68, gid=CUT, **styles[k]) for k in _KINDS}
                        for y in range(1, n - 1)]  # fmt: skip
        self._numbers = [write(share, look, 1.42, y, "", SIZE["note"], ha="right") for y in range(1, n - 1)]
        marks = {"alone": "<", "missed": ">"}
        self._marks = {k: share.plot([], [], m, color=look.ink, markersize=8, markerfacecolor=look.paper,
                                     markeredgewidth=1.4)[0] for k, m in marks.items()}  # fmt: skip
        self._ghost_ends = [fall.plot([0, 0], [y - 0.46, y + 0.46], **ghost_style(look))[0] for y in (0, n - 1)]
        self._ghost_shares = [share.plot([0, 0], [y - 0.46, y + 0.46], **ghost_style(look))[0]
                              for y in range(1, n - 1)]  # fmt: skip
        handles: list[Artist] = [
            *(Patch(**styles[k]) for k in (*_KINDS, "whole")),
            *(Line2D([], [], color=look.ink, marker=m, linestyle="", markersize=8, markerfacecolor=look.paper)
              for m in marks.values()),
            Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        names = [words(f"remedy_lab.key.{k}") for k in (*_KINDS, "whole", *marks)]
        legend(fall, look, handles, [*names, words("lab.kept")], loc="upper left", bbox_to_anchor=(-0.53, -0.165),
               ncols=6, columnspacing=1.2, handlelength=1.5)  # fmt: skip
        return [*self._ends, *(b for row in (*self._bars, *self._shares) for b in row.values()), *self._ghost_ends,
                *self._ghost_shares, *self._marks.values(), *self._names, *self._values, *self._numbers,
                *self._ticks]  # fmt: skip

    def show(self, result: RemedyResult, kept: RemedyResult | None = None, prediction: Any = None) -> None:
        found, rows = result.found, result.rows
        heights = [*result.losses, *(loss for bar in result.bars for loss in (bar.before, bar.after))]
        if kept is not None:
            heights += kept.losses
        end = end_of(heights)
        values = [abs(v) for part in (found.earned, found.alone, found.missed) for v in part.values()]
        most = end_of(values)
        texts = [show(e * part, "%") for e in (end, most) for part in (0.5, 1)]
        for tick, text in zip(self._ticks, texts, strict=True):
            tick.set_text(text)
        self._whole(result, end)
        earned = {bar.remedy: bar for bar in result.bars}
        for slot in range(SLOTS):
            name = rows[slot] if slot < len(rows) else ""
            self._names[slot + 1].set_text(words(f"whole.remedy.{name}") if name else "")
            self._names[slot + 1].set_color(self.look.faint if name == result.taken_away else self.look.ink)
            self._row(slot, earned.get(name), found.earned.get(name), (end, most))
            if name and name == result.taken_away:
                self._values[slot + 1].set_text(words("remedy_lab.taken"))
                self._values[slot + 1].set_x(0.02)
            ghost = kept.found.earned.get(name) if kept is not None and name else None
            self._ghost_shares[slot].set_visible(ghost is not None)
            if ghost is not None:
                self._ghost_shares[slot].set_xdata([min(max(ghost / most, LEAST), 1.0)] * 2)
        for n, ghost_end in enumerate(self._ghost_ends):
            ghost_end.set_visible(kept is not None)
            if kept is not None:
                ghost_end.set_xdata([kept.losses[n] / end] * 2)
        for key, part in (("alone", found.alone), ("missed", found.missed)):
            points = [(min(max(part[r] / most, LEAST), 1.0), y + 1) for y, r in enumerate(rows) if r in part]
            self._marks[key].set_data([x for x, _ in points], [y for _, y in points])

    def _whole(self, result: RemedyResult, end: float) -> None:
        """The bars of the baseline and of the architecture."""
        found = result.found
        for y, bar, loss, side in zip((0, SLOTS + 1), self._ends, result.losses, (found.start, found.end), strict=True):
            bar.set_width(loss / end)
            self._names[y].set_text(words(f"whole.architecture.{side.architecture}"))
            self._values[y].set_text(show(loss, "%"))
            self._values[y].set_x(loss / end + 0.015)

    def _row(self, slot: int, bar: Bar | None, earned: float | None, ends: tuple[float, float]) -> None:
        """One remedy: its step of the waterfall, and its share."""
        end, most = ends
        kind = "card" if bar is not None and bar.remedy in ON_CARD else "stays"
        for key in _KINDS:
            self._bars[slot][key].set_visible(bar is not None and key == kind)
            self._shares[slot][key].set_visible(earned is not None and key == kind)
        value = self._values[slot + 1]
        value.set_text("" if bar is None else _step(bar))
        self._numbers[slot].set_text("" if earned is None else show(earned, "%"))
        if bar is not None:
            low, high = sorted((bar.before / end, bar.after / end))
            self._bars[slot][kind].set_x(low)
            self._bars[slot][kind].set_width(high - low)
            value.set_x(high + 0.015)
        if earned is not None:
            x = min(max(earned / most, LEAST), 1.0)
            self._shares[slot][kind].set_x(min(x, 0.0))
            self._shares[slot][kind].set_width(abs(x))


def _step(bar: Bar) -> str:
    """What a step changes of the loss."""
    return signed(-bar.earned, "%", 2) if abs(bar.earned) > 1e-9 else show(0.0, "%")
