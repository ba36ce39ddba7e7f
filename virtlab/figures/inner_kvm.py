"""Linux's own KVM counts: a bar a count, by reason of exit, and the model's number beside it. Counts, never times."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, ghost_style, legend, machine_style, model_style, place_style, write

ROWS, BARS, REASONS, STAIRS = 7, 2, 5, 4  # the most that a subject has
_LABEL = 122  # characters that fit into the width
_NAME, _KIND, _BAR, _WIDTH, _SAID, _MODEL = 208.0, 216.0, 302.0, 300.0, 638.0, 936.0
_TOP, _HEIGHT, _LEAST, _MOST = 146.0, 17.0, 52.0, 78.0  # of rows: where they begin, a bar, the distance of two
_BESIDE = 2.0  # the model's line stands beside the end of a bar, so that one of a single exit is seen
_STAIRS_TOP, _STAIRS_HEIGHT, _STAIRS_WIDTH, _STAIRS_PITCH = 352.0, 130.0, 200.0, 246.0
_LIMITS = [m * 10.0**e for e in range(0, 7) for m in (1.2, 1.6, 2, 4, 6, 8)]


@dataclass(frozen=True)
class Bar:
    """One count by reason, the most frequent first, and the model's: of the ``work``, and of what is ``around`` it.

    ``place`` says where it is handled; ``also`` is what else was counted, in words.
    """

    kind: str
    place: str
    parts: tuple[tuple[str, int], ...]
    work: int
    around: int = 0
    also: str = ""

    @property
    def counted(self) -> int:
        return sum(n for _, n in self.parts)

    @property
    def model(self) -> int:
        return self.work + self.around

    @property
    def agrees(self) -> bool:
        return self.counted == self.model

    def said(self) -> str:
        """What was counted, in words: "100 io + 1 hlt"."""
        by = " + ".join(f"{number(n, 9)} {reason}".rstrip() for reason, n in self.parts) or number(0)
        return f"{by}; {self.also}" if self.also else by

    def modelled(self) -> str:
        """The model's number, the work first: "100 + 2"."""
        return f"{number(self.work, 9)} + {self.around}" if self.around else number(self.work, 9)


@dataclass(frozen=True)
class Row:
    """One run of a guest. A kept result is drawn behind the rows of the same ``key``."""

    key: str
    title: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Staircase:
    """How long KVM polls after each wait (ns), and how many waits ended meanwhile; the model's is None if unknown."""

    key: str
    title: str
    seen_ns: tuple[int, ...]
    enough: int
    model_ns: tuple[int, ...] | None
    model_enough: int

    @property
    def agrees(self) -> bool:
        return self.model_ns is None or (self.seen_ns, self.enough) == (self.model_ns, self.model_enough)

    def said(self) -> str:
        return say("inner_kvm_lab.enough", enough=self.enough, n=len(self.seen_ns))


@dataclass(frozen=True)
class InnerKvmResult:
    """All of one subject; ``limit_ns`` is the longest that this KVM polls, where it polls at all."""

    subject: str
    rows: tuple[Row, ...]
    stairs: tuple[Staircase, ...]
    limit_ns: int
    label: str
    live: bool

    @property
    def title(self) -> str:
        return str(words(f"inner_kvm_lab.subject.{self.subject}"))


class InnerKvmPicture(Picture[InnerKvmResult]):
    """A row a run with two bars; for halts a staircase a run below."""

    size_px = (1040, 660)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self._axes = self.whole_axes()
        text = partial(write, axes, look)
        quiet = partial(text, size=SIZE["note"], color=look.faint)
        quiet(_SAID, _TOP - 27, words("inner_kvm_lab.column.counted"))
        quiet(_MODEL, _TOP - 27, words("inner_kvm_lab.column.model"))
        self._legend()

        self._title = text(20, 27, size=SIZE["title"])
        self._label = [text(20, y, size=SIZE["note"]) for y in (55, 74, 93)]
        self._notes = [text(20, y, size=SIZE["note"]) for y in (553, 573, 593)]
        self._ticks = [quiet(_BAR + _WIDTH * i / 4, _TOP - 27, ha="center") for i in range(5)]
        self._grid = [axes.plot([], [], color=look.grid, linewidth=1)[0] for _ in range(5)]
        self._names = [text(_NAME, 0, ha="right") for _ in range(ROWS)]
        slots = [(i, k) for i in range(ROWS) for k in range(BARS)]
        self._kinds = {slot: quiet(_KIND, 0) for slot in slots}
        self._said = {slot: text(_SAID, 0, size=SIZE["note"]) for slot in slots}
        self._models = {slot: text(_MODEL, 0, size=SIZE["note"]) for slot in slots}
        self._bars = {slot: [self._empty_bar() for _ in range(REASONS)] for slot in slots}
        self._marks = {slot: axes.plot([], [], solid_capstyle="butt", **model_style(look))[0]
                       for slot in slots}  # fmt: skip
        self._ghosts = {slot: axes.plot([], [], **ghost_style(look))[0] for slot in slots}
        self._no_ghost = quiet(1020, 27, ha="right")
        stairs = self._build_stairs()
        bars = [bar for parts in self._bars.values() for bar in parts]
        texts = [*self._kinds.values(), *self._said.values(), *self._models.values()]
        return [self._title, *self._label, *self._notes, *self._grid, *self._ticks, *self._names, *bars,
                *self._ghosts.values(), *self._marks.values(), *texts, self._no_ghost, *stairs]  # fmt: skip

    def _empty_bar(self) -> Rectangle:
        bar = box(self._axes, _BAR, 0, 0, _HEIGHT, **place_style(self.look, "kvm"))
        bar.set_gid(CUT)
        return bar

    def _build_stairs(self) -> list[Artist]:
        axes, look = self._axes, self.look
        text = partial(write, axes, look)
        at = [90 + _STAIRS_PITCH * i for i in range(STAIRS)]
        seen = machine_style(look, markersize=8, markeredgewidth=2)
        self._stairs_title = text(20, _STAIRS_TOP - 50)
        self._stairs_names = [text(x, _STAIRS_TOP - 22, size=SIZE["note"]) for x in at]
        self._stairs_said = [text(x, _STAIRS_TOP + _STAIRS_HEIGHT + 20, size=SIZE["note"], color=look.faint)
                             for x in at]  # fmt: skip
        self._stairs_ticks = [text(78, self._stairs_y(share), size=SIZE["note"], color=look.faint, ha="right")
                              for share in (0.0, 0.5, 1.0)]  # fmt: skip
        self._stairs_grid = [axes.plot([], [], color=look.grid, linewidth=1)[0] for _ in at for _ in range(3)]
        self._stairs_ghosts = [axes.plot([], [], drawstyle="steps-mid", **ghost_style(look))[0] for _ in at]
        self._stairs_models = [axes.plot([], [], drawstyle="steps-mid", **model_style(look))[0] for _ in at]
        self._stairs_seen = [
            axes.plot([], [], linestyle="", marker=seen.pop("fmt", "o"),
                      **{k: v for k, v in seen.items() if k.startswith("marker") or k == "color"})[0] for _ in at
        ]  # fmt: skip
        return [*self._stairs_grid, *self._stairs_ghosts, *self._stairs_models, *self._stairs_seen, self._stairs_title,
                *self._stairs_names, *self._stairs_said, *self._stairs_ticks]  # fmt: skip

    def _legend(self) -> None:
        look = self.look
        seen = machine_style(look, markersize=8, markeredgewidth=2)
        ring = {k: v for k, v in seen.items() if k.startswith("marker") or k == "color"}
        handles: list[Artist] = [Patch(**place_style(look, place)) for place in ("kvm", "qemu", "host")]
        handles += [Line2D([], [], linestyle="", marker="o", **ring), Line2D([], [], **model_style(look)),
                    Line2D([], [], **ghost_style(look))]  # fmt: skip
        names = [words(f"inner_kvm_lab.legend.{key}") for key in ("kvm", "qemu", "host", "seen")]
        legend(self._axes, look, handles, [*names, words("lab.model"), words("lab.kept")], loc="lower left",
               bbox_to_anchor=(0.01, 0.005), ncols=6, columnspacing=1.2, handlelength=1.6)  # fmt: skip

    # --- a result ---------------------------------------------------------------------------------------------------

    def show(self, result: InnerKvmResult, kept: InnerKvmResult | None = None, prediction: Any = None) -> None:
        self._title.set_text(result.title)
        lines = textwrap.wrap(("◉ " if result.live else "◎ ") + result.label, _LABEL, max_lines=3, placeholder=" …")
        _fill(self._label, lines)
        _fill(self._notes, words(f"inner_kvm_lab.notes.{result.subject}"))
        before = {row.key: row for row in kept.rows} if kept else {}
        ghosts = [before.get(row.key) for row in result.rows]
        stands_alone = kept is not None and not any(ghosts)
        self._no_ghost.set_text(words("inner_kvm_lab.no_ghost") if stands_alone else "")

        counts = [bar for row in (*result.rows, *(g for g in ghosts if g)) for bar in row.bars]
        limit = next(m for m in _LIMITS if m >= 1.02 * max([1, *(max(b.counted, b.model) for b in counts)]))
        self.per_count = _WIDTH / limit
        pitch = min(_MOST, max(_LEAST, 390.0 / len(result.rows)))
        bottom = _TOP + pitch * len(result.rows) - (pitch - 2 * _HEIGHT - 4) - 6
        for i, (tick, line) in enumerate(zip(self._ticks, self._grid, strict=True)):
            tick.set_text(number(limit * i / 4))
            line.set_data([_BAR + _WIDTH * i / 4] * 2, [_TOP - 17, bottom])
        for i in range(ROWS):
            row = result.rows[i] if i < len(result.rows) else None
            old = ghosts[i] if i < len(ghosts) else None
            top = _TOP + pitch * i - 10
            self._names[i].set_text(row.title if row else "")
            self._names[i].set_y(top + (_HEIGHT + 1 if row and len(row.bars) > 1 else _HEIGHT / 2))
            for k in range(BARS):
                self._show_bar((i, k), top + k * (_HEIGHT + 3), row.bars[k] if row and k < len(row.bars) else None,
                               old.bars[k] if old and k < len(old.bars) else None)  # fmt: skip
        self._show_stairs(result, kept)

    def _show_bar(self, slot: tuple[int, int], top: float, bar: Bar | None, old: Bar | None) -> None:
        middle = top + _HEIGHT / 2
        for part in (self._kinds[slot], self._said[slot], self._models[slot]):
            part.set_y(middle)
        self._kinds[slot].set_text(words(f"inner_kvm_lab.bar.{bar.kind}") if bar else "")
        self._said[slot].set_text(bar.said() if bar else "")
        self._models[slot].set_text(f"{'=' if bar.agrees else '≠'} {bar.modelled()}" if bar else "")
        at = _BAR
        for j, rectangle in enumerate(self._bars[slot]):
            n = bar.parts[j][1] if bar and j < len(bar.parts) else 0
            rectangle.set_visible(n > 0)
            if bar and n:
                rectangle.set(x=at, y=top, width=n * self.per_count, **place_style(self.look, bar.place))
                at += n * self.per_count
        self._marks[slot].set_visible(bar is not None)
        if bar:
            x = _BAR + bar.model * self.per_count + _BESIDE
            self._marks[slot].set_data([x, x], [top - 1, top + _HEIGHT + 1])
        self._ghosts[slot].set_visible(old is not None)
        if old:
            x, low, high = _BAR + old.counted * self.per_count, top - 1, top + _HEIGHT + 1
            self._ghosts[slot].set_data([_BAR, x, x, _BAR, _BAR], [low, low, high, high, low])

    def _stairs_y(self, share: float) -> float:
        return _STAIRS_TOP + _STAIRS_HEIGHT * (1 - share)

    def _show_stairs(self, result: InnerKvmResult, kept: InnerKvmResult | None) -> None:
        self._stairs_title.set_text(words("inner_kvm_lab.stairs") if result.stairs else "")
        for tick, share in zip(self._stairs_ticks, (0.0, 0.5, 1.0), strict=True):
            tick.set_text(say("inner_kvm_lab.us", us=number(result.limit_ns * share / 1000)) if result.stairs else "")
        before = {stair.key: stair for stair in kept.stairs} if kept else {}
        for i in range(STAIRS):
            stair = result.stairs[i] if i < len(result.stairs) else None
            old = before.get(stair.key) if stair else None
            self._stairs_names[i].set_text(stair.title if stair else "")
            self._stairs_said[i].set_text(stair.said() if stair else "")
            left = 90 + _STAIRS_PITCH * i
            for j, line in enumerate(self._stairs_grid[3 * i : 3 * i + 3]):
                line.set_visible(stair is not None)
                line.set_data([left, left + _STAIRS_WIDTH], [self._stairs_y(j / 2)] * 2)
            values = (stair.seen_ns if stair else None, stair.model_ns if stair else None, old.seen_ns if old else None)
            drawn = (self._stairs_seen[i], self._stairs_models[i], self._stairs_ghosts[i])
            for line, ns in zip(drawn, values, strict=True):
                line.set_visible(bool(ns))
                if ns:
                    line.set_data([left + _STAIRS_WIDTH * (k + 0.5) / len(ns) for k in range(len(ns))],
                                  [self._stairs_y(min(v / result.limit_ns, 1.05)) for v in ns])  # fmt: skip


def _fill(texts: Sequence[Any], lines: Sequence[str]) -> None:
    for i, part in enumerate(texts):
        part.set_text(lines[i] if i < len(lines) else "")
