"""A VM on its way: what is left to send over time, and over D / B how long it takes and how long the guest stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, literature_style, model_style
from virtlab.memory import Migration
from virtlab.memory.dirty import PAGE_BYTES
from virtlab.memory.migrate import Round

Floats = NDArray[np.float64]
#: Dirty rate over bandwidth, from left to right of the two curves.
RATIOS: Floats = np.linspace(0, 2, 161)
#: Ends of the two logarithmic time axes in s.
DOWN_S, TOTAL_S = (1e-4, 1e4), (0.1, 1e7)
_MORE = 60  # rounds that are drawn, at most, of those that never end
_DIVISIONS = 5


@dataclass(frozen=True)
class Published:
    """A published migration at its dirty rate over bandwidth; ``total_s`` is a lower bound: still under way then."""

    ratio: float
    down_s: float | None = None
    total_s: float | None = None


@dataclass(frozen=True)
class MigrationResult:
    """One migration, and what stop and total time would be at each of ``RATIOS`` (infinite: never)."""

    migration: Migration
    ratio: float
    down_s: Floats
    total_s: Floats
    published: tuple[Published, ...] = ()


class Timeline(NamedTuple):
    """Corners of the lines of the rounds: times in s, bytes left to send, bytes dirty meanwhile, share of time run."""

    send_s: Floats
    send_bytes: Floats
    dirty_s: Floats
    dirty_bytes: Floats
    run_s: Floats
    run_share: Floats
    end_s: float


def timeline(m: Migration) -> Timeline:
    """The rounds as lines over time. Where they never end, some of those that follow are there as well."""
    o = m.options
    bandwidth, rate = (x * 1e9 / 8 for x in (o.bandwidth_gbit_per_s, o.dirty_gbit_per_s))
    rounds = [*m.rounds, *_more(m, bandwidth)]
    hot = o.memory_bytes if o.hot_bytes is None else min(o.hot_bytes, o.memory_bytes)
    starts = np.concatenate([[0.0], np.cumsum([r.seconds for r in rounds])])
    end = float(starts[-1]) + (m.downtime_s if m.converged else 0.0)
    send_s, send, dirty_s, dirty = [0.0], [0.0], [], []  # the area begins on the axis
    part = np.linspace(0, 1, 13 if len(rounds) < 60 else 3)
    for start, r in zip(starts, rounds, strict=False):
        send_s += [start, start + r.seconds]
        send += [r.sent_bytes, 0.0]
        written = rate * (1 - r.throttle) * r.seconds
        if o.device == "vf-untracked":  # dirty at once
            steps, level = [0.0, 0.0, 1.0], [0.0, r.dirty_bytes, r.dirty_bytes]
        elif o.writes == "random":
            steps, level = list(part), list(-hot * np.expm1(-written * part / hot))
        else:
            full = min(1.0, r.dirty_bytes / written) if written else 1.0
            steps, level = [0.0, full, 1.0], [0.0, r.dirty_bytes, r.dirty_bytes]
        dirty_s += [*(start + r.seconds * x for x in steps), np.nan]
        dirty += [*level, np.nan]
    if m.converged:
        send_s += [float(starts[-1]), float(starts[-1]) + m.residue_bytes / bandwidth]
        send += [m.residue_bytes, 0.0]
    run_s = np.repeat(starts, 2)[1:-1] if rounds else np.zeros(0)
    runs = np.repeat([1 - r.throttle for r in rounds], 2)
    lines = [np.asarray(x, dtype=np.float64) for x in (send_s, send, dirty_s, dirty, run_s, runs)]
    return Timeline(lines[0], lines[1], lines[2], lines[3], lines[4], lines[5], end)


def _more(m: Migration, bandwidth: float) -> list[Round]:
    """The rounds that would follow those of a migration that never ends: each like the last."""
    if not m.never or not m.rounds or m.residue_bytes < 1:
        return []
    again = Round(m.residue_bytes, m.residue_bytes / bandwidth, m.residue_bytes, m.throttle)
    return [again] * min(_MORE, max(3, ceil(0.4 * m.total_s / again.seconds)))


def nice(value: float) -> float:
    """The next round number from ``value`` on, so that its fifth is round as well."""
    power = 10.0 ** floor(log10(value))
    return next(n * power for n in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if n * power >= value * (1 - 1e-9))


class MigrationPicture(Picture[MigrationResult]):
    """Left: the rounds over time, and when the guest runs. Right: the stop and the total time over D / B."""

    size_px = (1040, 640)

    def build(self) -> Sequence[Artist]:
        look = self.look
        left, width = 0.095, 0.465
        rounds = self.figure.add_axes((left, 0.405, width, 0.455))
        runs = self.figure.add_axes((left, 0.245, width, 0.075))
        dress(rounds, look, grid="both")
        dress(runs, look, x=words("migration.picture.time"))
        self.figure.text(0.012, 0.965, words("migration.picture.rounds_title"), fontsize=SIZE["title"], color=look.ink,
                         va="center")  # fmt: skip
        self.figure.text(0.012, 0.352, words("migration.picture.runs_title"), fontsize=SIZE["label"], color=look.ink,
                         va="center")  # fmt: skip
        fifths = [k / _DIVISIONS for k in range(_DIVISIONS + 1)]
        for axes in (rounds, runs):
            axes.set(xlim=(0, 1.005), xticks=fifths)
            axes.set_xticklabels([""] * len(fifths))
        rounds.set(ylim=(0, 1.04), yticks=[0, 0.25, 0.5, 0.75, 1])
        rounds.set_yticklabels([""] * 5)
        runs.set(ylim=(0, 1.05), yticks=[1])
        runs.set_yticklabels(["100 %"])
        runs.xaxis.set_label_coords(0.5, -0.62)

        place = look.place
        self._send = Polygon([(0.0, 0.0)], closed=True, facecolor=place["wire"], edgecolor=place["wire"], linewidth=0.8)
        rounds.add_patch(self._send)
        self._dirty = rounds.plot([], [], linewidth=2.6, solid_joinstyle="round")[0]
        edge = [withStroke(linewidth=4.5, foreground=look.paper)]  # or it would be lost on the dark areas
        self._old = rounds.plot([], [], path_effects=edge, **ghost_style(look))[0]
        self._run = Polygon([(0.0, 0.0)], closed=True, facecolor=place["guest"], edgecolor=look.line_on(place["guest"]),
                            linewidth=0.8)  # fmt: skip
        runs.add_patch(self._run)
        self._stop = [a.plot([0, 0], [0, 1.04], **model_style(look, linewidth=2))[0] for a in (rounds, runs)]
        style: dict[str, Any] = {"fontsize": SIZE["tick"], "color": look.ink}
        self._times = [runs.text(x, -0.16, "", ha="center", va="top", **style) for x in fifths]
        self._sizes = [rounds.text(-0.012, k / 4, "", ha="right", va="center", **style) for k in range(5)]
        note: dict[str, Any] = {"fontsize": SIZE["label"], "color": look.ink, "va": "center"}
        self._notes = [self.figure.text(0.012, y, "", **note) for y in (0.922, 0.885)]
        self._ever = self.figure.text(0.56, 0.352, "", ha="right", **note)

        curves = self._curves()
        self._legend()
        return [self._send, self._dirty, self._old, self._run, *self._stop, *self._times, *self._sizes, *self._notes,
                self._ever, *curves]  # fmt: skip

    def _curves(self) -> list[Artist]:
        look = self.look
        left, width = 0.665, 0.315
        down = self.figure.add_axes((left, 0.585, width, 0.275))
        total = self.figure.add_axes((left, 0.245, width, 0.26))
        dress(down, look, title=words("migration.picture.down_title"), grid="both")
        dress(total, look, title=words("migration.picture.total_title"), x=words("migration.picture.ratio"),
              grid="both")  # fmt: skip
        for axes, limits in ((down, DOWN_S), (total, TOTAL_S)):
            axes.set(xlim=(0, 2), yscale="log", ylim=limits, xticks=[0, 0.5, 1, 1.5, 2])
        down.set_xticklabels([""] * 5)
        down.set_yticks([1e-3, 1, 1e3], ["1 ms", "1 s", "1000 s"])
        total.set_yticks([1, 60, 3600, 86_400], ["1 s", "1 min", "1 h", "1 day"])
        for axes in (down, total):
            axes.minorticks_off()
        never: dict[str, Any] = {"facecolor": look.paper, "edgecolor": look.faint, "linewidth": 0, "gid": CUT}
        self._never = [box(a, 2, y[0], 0, y[1], hatch="//", **never) for a, y in ((down, DOWN_S), (total, TOTAL_S))]
        clear = {"facecolor": look.paper, "edgecolor": "none", "pad": 3}
        self._word = total.text(1.5, 600, "", ha="center", va="center", fontsize=SIZE["label"], color=look.ink,
                                bbox=clear)  # fmt: skip
        self._limit = down.plot([0, 2], [1, 1], color=look.ink, linewidth=1.2)[0]
        self._ghosts = [a.plot([], [], **ghost_style(look))[0] for a in (down, total)]
        self._lines = [a.plot([], [], **model_style(look))[0] for a in (down, total)]
        self._here = [a.plot([0, 0], y, color=look.faint, linewidth=1.6)[0]
                      for a, y in ((down, DOWN_S), (total, TOTAL_S))]  # fmt: skip
        self._dots = [a.plot([0], [1], "o", color=look.ink, markersize=10, clip_on=False)[0] for a in (down, total)]
        diamond = literature_style(look)
        kept = {k: diamond[k] for k in ("color", "markersize", "markeredgecolor", "markeredgewidth")}
        self._diamonds = [a.plot([], [], linestyle="", marker="D", **kept)[0] for a in (down, total)]
        self._bound = total.plot([], [], linestyle="-", color=look.ink, linewidth=1.8, marker=10, markevery=[1],
                                 markersize=9)[0]  # fmt: skip
        return [*self._never, self._word, self._limit, *self._here, *self._ghosts, *self._lines, *self._dots,
                self._bound, *self._diamonds]  # fmt: skip

    def _legend(self) -> None:
        look = self.look
        writers = tuple(Line2D([], [], color=look.place[name], linewidth=2.6) for name in ("guest", "card"))
        handles: list[Any] = [
            Patch(facecolor=look.place["wire"]),
            writers,
            Line2D([], [], **model_style(look, linewidth=2)),
            Line2D([], [], **ghost_style(look)),
            Line2D([], [], **model_style(look)),
            Line2D([], [], color=look.ink, marker="o", linestyle="", markersize=10),
            Line2D([], [], color=look.ink, linewidth=1.2),
            Line2D([], [], color=look.ink, marker="D", linestyle="", markersize=9),
        ]
        names = [words(f"migration.picture.{k}") for k in ("send", "dirty", "stop")] + [words("lab.kept")]
        names += [words("lab.model"), *(words(f"migration.picture.{k}") for k in ("here", "limit", "published"))]
        for x, part in ((0.0, slice(0, 4)), (0.61, slice(4, 8))):
            self.figure.legend(handles[part], names[part], loc="upper left", bbox_to_anchor=(x, 0.125), ncols=2,
                               frameon=False, fontsize=SIZE["note"], labelcolor=look.ink,
                               columnspacing=1.6, handler_map={tuple: HandlerTuple(ndivide=None, pad=0.4)})  # fmt: skip

    def show(self, result: MigrationResult, kept: MigrationResult | None = None, prediction: Any = None) -> None:
        self._show_rounds(result.migration, kept.migration if kept else None)
        self._show_curves(result, kept)

    def _show_rounds(self, m: Migration, kept: Migration | None) -> None:
        line, memory = timeline(m), float(m.options.memory_bytes)
        span = nice(max(line.end_s, 1e-9))
        self._send.set_xy(np.column_stack([line.send_s / span, line.send_bytes / memory]))
        self._dirty.set_data(line.dirty_s / span, line.dirty_bytes / memory)
        self._dirty.set_linewidth(max(0.3, min(2.6, 60 / max(1, len(m.rounds)))))  # or many would hide the rounds
        self._dirty.set_color(self.look.place["card" if m.options.device == "vf-untracked" else "guest"])
        corners = np.column_stack([line.run_s / span, line.run_share]) if len(line.run_s) else np.zeros((1, 2))
        self._run.set_xy(np.vstack([(corners[0, 0], 0), corners, (corners[-1, 0], 0)]))
        for stop in self._stop:
            stop.set_visible(m.converged)
            stop.set_xdata([m.total_s / span] * 2)
        self._old.set_visible(kept is not None)
        if kept is not None:
            old = timeline(kept)  # from peak to peak: the teeth of two settings would hide each other
            self._old.set_data(np.append(old.send_s[1::2], old.send_s[-1]) / span,
                               np.append(old.send_bytes[1::2], 0) / memory)  # fmt: skip
        for k, text in enumerate(self._times):
            text.set_text(show(k * span / _DIVISIONS, "s") if k else "0")
        for k, text in enumerate(self._sizes):
            text.set_text(show(k * memory / 4, "B") if k else "0")
        values = {"rounds": len(m.rounds), "time": show(m.total_s, "s"), "down": show(m.downtime_s, "s"),
                  "allowed": show(m.options.downtime_ms, "ms"), "left": show(m.residue_bytes, "B")}  # fmt: skip
        outcome = "moved" if m.converged else "never" if m.never else "gave_up"
        self._ever.set_text("" if m.converged else words(f"migration.picture.{outcome}_on"))
        if m.never and m.options.device == "vf-untracked":
            outcome = "pinned"
        if m.never and m.options.device == "vf-v2" and m.residue_bytes < PAGE_BYTES:
            outcome = "state"
        for k, text in enumerate(self._notes):
            text.set_text(say(f"migration.picture.{outcome}_{k + 1}", **values))

    def _show_curves(self, result: MigrationResult, kept: MigrationResult | None) -> None:
        m, x = result.migration, min(result.ratio, RATIOS[-1])
        for line, values, limits in zip(self._lines, (result.down_s, result.total_s), (DOWN_S, TOTAL_S), strict=True):
            line.set_data(RATIOS, _inside(values, limits))
        for ghost, name, limits in zip(self._ghosts, ("down_s", "total_s"), (DOWN_S, TOTAL_S), strict=True):
            ghost.set_visible(kept is not None)
            if kept is not None:
                ghost.set_data(RATIOS, _inside(getattr(kept, name), limits))
        wall = never_from(result)
        for area in self._never:
            area.set_x(wall)
            area.set_width(RATIOS[-1] - wall)
            area.set_visible(wall < RATIOS[-1])
        wide = RATIOS[-1] - wall
        self._word.set_text(words("migration.picture.never") if wide > 0.55 else "")
        self._word.set_x(wall + wide / 2)
        allowed = min(max(m.options.downtime_ms / 1e3, DOWN_S[0]), DOWN_S[1])
        self._limit.set_ydata([allowed] * 2)
        for here in self._here:
            here.set_xdata([x] * 2)
        ends = (m.downtime_s, m.total_s if m.converged else float("inf"))
        for dot, value, limits in zip(self._dots, ends, (DOWN_S, TOTAL_S), strict=True):
            dot.set_visible(isfinite(value))  # never has no place on an axis of times
            dot.set_marker(">" if result.ratio > RATIOS[-1] else "o")
            dot.set_data([x], [min(max(value, limits[0]), limits[1])])
        down = [(p.ratio, p.down_s) for p in result.published if p.down_s]
        total = [(p.ratio, p.total_s) for p in result.published if p.total_s]
        for diamonds, points in zip(self._diamonds, (down, total), strict=True):
            diamonds.set_data([p[0] for p in points], [p[1] for p in points])
        self._bound.set_data([p[0] for p in total for _ in range(2)], [p[1] * f for p in total for f in (1, 12)])


def never_from(result: MigrationResult) -> float:
    """The D / B from which on the guest never stops, as far as the curve tells; the right end where it always does."""
    lost = np.flatnonzero(np.isinf(result.total_s))
    return float(RATIOS[lost[0]]) if len(lost) else float(RATIOS[-1])


def _inside(values: Floats, limits: tuple[float, float]) -> Floats:
    """Cut at the ends of an axis; what never happens leaves a gap."""
    return np.where(np.isfinite(values), np.clip(values, *limits), np.nan)
