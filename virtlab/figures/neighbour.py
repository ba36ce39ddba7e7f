"""A vCPU beside noisy neighbours: slow-down by cause, percentiles of its requests, and each remedy with its price."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu import NEIGHBOUR_REMEDIES, Neighbours
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.huge_pages import ceiling
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, place_style, write

#: Causes of slower work, and of waits, with the place whose colour says who takes it.
CAUSES: Mapping[str, str] = {"smt": "guest", "cache": "guest", "bandwidth": "guest", "dma": "card"}
WAITS: Mapping[str, str] = {"vcpu_wait": "guest", "host_wait": "host"}
QUANTILES = ("p50", "p99", "p999")
STATES = ("alone", "none", "chosen")
ROWS = ("none", *NEIGHBOUR_REMEDIES, "all", "yours")
_BESIDE = STATES[1:]
#: Ends of the axis of slow-downs: their roots are round too.
_ENDS = (1.44, 2.25, 4.0, 9.0, 25.0, 100.0, 400.0, 2_500.0, 1e4, 1e6)
_LEFT = -0.06  # of the axis of slow-downs: a cause that makes the work faster leads below 1


@dataclass(frozen=True)
class NeighbourResult:
    """``rows``: without a remedy, with each one alone, with all. ``row`` names the chosen one among them, or "yours"
    for several together; ``chosen`` is what they give."""

    rows: Mapping[str, Neighbours]
    row: str
    chosen: Neighbours

    @property
    def states(self) -> tuple[str, ...]:
        """What there is to show: without a remedy, what is chosen is nothing else."""
        return STATES if self.chosen.options.remedies else STATES[:-1]

    def found(self, state: str) -> Neighbours:
        """Beside neighbours without a remedy (``none``), or with those that are chosen."""
        return self.rows["none"] if state == "none" else self.chosen

    def quantile_ns(self, state: str, key: str) -> float:
        """Of the requests; infinite where the queue grows without end."""
        tail = self.rows["none"].quiet if state == "alone" else self.found(state).tail
        return float(getattr(tail, f"{key}_ns"))

    def p99_ns(self, row: str) -> float:
        """With the remedies of a row."""
        return (self.chosen if row == "yours" else self.rows[row]).tail.p99_ns


def steps(found: Neighbours) -> dict[str, tuple[float, float]]:
    """Each cause from the product of those before it to the one with it, and all of them from 1."""
    at, ends = 1.0, {}
    for cause, factor in found.factors.items():
        ends[str(cause)] = (at, at * factor)
        at *= factor
    return ends | {"all": (1.0, found.slowdown)}


def end_of(slowdowns: Sequence[float]) -> float:
    """The end of an axis that holds them."""
    return next((end for end in _ENDS if end >= max(slowdowns)), _ENDS[-1])


def along(slowdown: float, end: float) -> float:
    """Where a slow-down stands on the axis: 0 for 1, 1 for ``end``."""
    return min(max(math.log(slowdown) / math.log(end), _LEFT), 1.0)


def of(ns: float, full: float) -> float:
    """The part of an axis that a time takes."""
    return min(ns / full, 1.0)


class NeighbourPicture(Picture[NeighbourResult]):
    """Above: causes of slower work, and waits. Below: percentiles of the requests; remedies and their prices."""

    size_px = (1040, 640)

    def build(self) -> Sequence[Artist]:
        look = self.look
        self._styles: dict[str, dict[str, Any]] = {
            "alone": {"facecolor": look.paper, "edgecolor": look.ink, "linewidth": 0.8},
            "none": {"facecolor": look.faint, "edgecolor": look.ink, "linewidth": 0.8},
            "chosen": {"facecolor": look.ink, "edgecolor": look.ink, "linewidth": 0.8},
        }
        moving = [*self._causes(), *self._waits(), *self._requests(), *self._remedies()]
        self._legend()
        return moving

    def _causes(self) -> list[Artist]:
        look, figure = self.look, self.figure
        axes = figure.add_axes((0.22, 0.645, 0.335, 0.25))
        dress(axes, look, x=words("neighbour_lab.causes_x"))
        figure.text(0.015, 0.962, words("neighbour_lab.causes"), fontsize=SIZE["title"], color=look.ink, va="center")
        rows = [*CAUSES, "all"]
        axes.set(xlim=(_LEFT, 1), ylim=(len(rows) - 0.45, -0.55), yticks=[])
        axes.set_xticks([0, 0.5, 1], ["1", "", ""])
        axes.grid(axis="x", color=look.grid, linewidth=1)
        axes.spines["left"].set_visible(False)
        axes.axvline(0, color=look.faint, linewidth=1.5)
        axes.axhline(len(CAUSES) - 0.5, color=look.grid, linewidth=1)
        self._steps, self._factors, self._ends = {}, {}, {}
        across = axes.get_yaxis_transform()
        for y, row in enumerate(rows):
            write(axes, look, -0.07, y, words(f"neighbour_lab.row.{row}"), ha="right", transform=across)
            if row in CAUSES:
                box(axes, -0.05, y - 0.2, 0.03, 0.4, transform=across, clip_on=False, **place_style(look, CAUSES[row]))
            for state, above, x in (("none", -0.36, 1.245), ("chosen", 0.02, 1.47)):
                self._steps[row, state] = box(axes, 0, y + above, 0, 0.34, gid=CUT, **self._styles[state])
                self._factors[row, state] = write(axes, look, x, y, "", SIZE["label"], ha="right", transform=across)
            self._ends[row] = axes.plot([0, 0], [y - 0.46, y + 0.46], **ghost_style(look))[0]
        for state, x in (("none", 1.245), ("chosen", 1.47)):
            write(axes, look, x, -0.75, words(f"neighbour_lab.head.{state}"), SIZE["note"], ha="right",
                  color=look.faint, transform=across)  # fmt: skip
        self._ticks = [write(axes, look, x, -0.035, "", ha="center", va="top", transform=axes.get_xaxis_transform())
                       for x in (0.5, 1)]  # fmt: skip
        return [*self._steps.values(), *self._ends.values(), *self._factors.values(), *self._ticks]

    def _waits(self) -> list[Artist]:
        look, figure = self.look, self.figure
        figure.text(0.755, 0.962, words("neighbour_lab.waits"), fontsize=SIZE["title"], color=look.ink, va="center")
        axes = figure.add_axes((0.755, 0.645, 0.23, 0.25))
        axes.set(xlim=(0, 1), ylim=(4.55, -0.55))
        axes.axis("off")
        self._means = {}
        for state, x in (("none", 0.55), ("chosen", 1.0)):
            write(axes, look, x, -0.75, words(f"neighbour_lab.head.{state}"), SIZE["note"], ha="right",
                  color=look.faint)  # fmt: skip
        for y, (cause, place) in zip((0, 2), WAITS.items(), strict=True):
            box(axes, 0, y - 0.2, 0.045, 0.4, **place_style(look, place))
            write(axes, look, 0.07, y, words(f"neighbour_lab.wait.{cause}"))
            for state, x in (("none", 0.55), ("chosen", 1.0)):
                self._means[cause, state] = write(axes, look, x, y + 0.8, "", SIZE["label"], ha="right")
        write(axes, look, 0, 4.1, words("neighbour_lab.waits_note"), SIZE["note"], color=look.faint, linespacing=1.2)
        return list(self._means.values())

    def _requests(self) -> list[Artist]:
        look = self.look
        axes = self.figure.add_axes((0.075, 0.165, 0.29, 0.325))
        dress(axes, look, x=words("neighbour_lab.requests_x"))
        self.figure.text(0.015, 0.535, words("neighbour_lab.requests"), fontsize=SIZE["title"], color=look.ink,
                         va="center")  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(len(QUANTILES) - 0.5, -0.5), yticks=[])
        axes.set_xticks([0, 0.5, 1], ["0", "", ""])
        axes.grid(axis="x", color=look.grid, linewidth=1)
        self._tails, self._times, self._tail_ghosts = {}, {}, {}
        for y, key in enumerate(QUANTILES):
            write(axes, look, -0.03, y, words(f"neighbour_lab.quantile.{key}"), ha="right")
            for n, state in enumerate(STATES):
                low = y - 0.42 + 0.28 * n
                self._tails[key, state] = box(axes, 0, low, 0, 0.26, gid=CUT, **self._styles[state])
                self._times[key, state] = write(axes, look, 0, low + 0.13, "", SIZE["note"])
            self._tail_ghosts[key] = axes.plot([0, 0], [y + 0.11, y + 0.45], **ghost_style(look))[0]
        self._time_ticks = [write(axes, look, x, -0.035, "", ha="center", va="top",
                                  transform=axes.get_xaxis_transform()) for x in (0.5, 1)]  # fmt: skip
        return [*self._tails.values(), *self._tail_ghosts.values(), *self._times.values(), *self._time_ticks]

    def _remedies(self) -> list[Artist]:
        look, figure = self.look, self.figure
        axes = figure.add_axes((0.605, 0.165, 0.155, 0.285))
        dress(axes, look, x=words("neighbour_lab.remedies_x"))
        figure.text(0.475, 0.535, words("neighbour_lab.remedies"), fontsize=SIZE["title"], color=look.ink, va="center")
        axes.set(xlim=(0, 1), ylim=(len(ROWS) - 0.5, -0.5), yticks=[])
        axes.set_xticks([0, 0.5, 1], ["0", "", ""])
        axes.grid(axis="x", color=look.grid, linewidth=1)
        self._names, self._bars, self._row_ghosts, self._cells = {}, {}, {}, {}
        across = axes.get_yaxis_transform()
        columns = {"p99": 1.5, "sold": 1.82, "speed": 2.45}
        for key, x in columns.items():
            write(axes, look, x, -0.65, words(f"neighbour_lab.head.{key}"), SIZE["note"], ha="right", va="bottom",
                  color=look.faint, transform=across, linespacing=1.1)  # fmt: skip
        for y, row in enumerate(ROWS):
            self._names[row] = write(axes, look, -0.06, y, words(f"neighbour_lab.remedy.{row}"), SIZE["note"],
                                     ha="right")  # fmt: skip
            self._bars[row] = box(axes, 0, y - 0.34, 0, 0.68, gid=CUT, **self._styles["none"])
            self._row_ghosts[row] = axes.plot([0, 0], [y - 0.46, y + 0.46], **ghost_style(look))[0]
            for key, x in columns.items():
                self._cells[row, key] = write(axes, look, x, y, "", SIZE["note"], ha="right", transform=across)
        self._quiet = axes.plot([0, 0], [-0.5, len(ROWS) - 0.5], color=look.ink, linewidth=1.4)[0]
        self._p99_ticks = [write(axes, look, x, -0.035, "", ha="center", va="top",
                                 transform=axes.get_xaxis_transform()) for x in (0.5, 1)]  # fmt: skip
        return [*self._bars.values(), self._quiet, *self._row_ghosts.values(), *self._names.values(),
                *self._cells.values(), *self._p99_ticks]  # fmt: skip

    def _legend(self) -> None:
        look = self.look
        axes = self.figure.add_axes((0, 0, 1, 0.06))
        axes.axis("off")
        handles: list[Artist] = [Patch(**self._styles[state]) for state in STATES]
        handles += [Line2D([], [], **ghost_style(look)), *(Patch(**place_style(look, p)) for p in ("guest", "card",
                                                                                                "host"))]  # fmt: skip
        names = [words(f"neighbour_lab.state.{state}") for state in STATES] + [words("lab.kept")]
        names += [words(f"neighbour_lab.who.{place}") for place in ("guest", "card", "host")]
        legend(axes, look, handles, names, loc="center left", bbox_to_anchor=(0.005, 0.5), ncols=7,
               columnspacing=1.2, handlelength=1.8)  # fmt: skip

    def show(self, result: NeighbourResult, kept: NeighbourResult | None = None, prediction: Any = None) -> None:
        self._show_causes(result, kept)
        for (cause, state), text in self._means.items():
            mean_ns = result.found(state).options.waits[cause].mean_ns  # type: ignore[index]
            text.set_text(show(mean_ns, "ns") if state in result.states else "")
        self._show_requests(result, kept)
        self._show_remedies(result, kept)

    def _show_causes(self, result: NeighbourResult, kept: NeighbourResult | None) -> None:
        drawn = {state: steps(result.found(state)) for state in _BESIDE}
        old = steps(kept.chosen) if kept else {}
        end = end_of([high for ends in (*drawn.values(), old) for step in ends.values() for high in step])
        for tick, value in zip(self._ticks, (math.sqrt(end), end), strict=True):
            tick.set_text(number(value))
        for (row, state), bar in self._steps.items():
            low, high = drawn[state][row]
            left, right = sorted((along(low, end), along(high, end)))
            bar.set(x=left, width=right - left)
            bar.set_visible(right > left and state in result.states)
            factor = say("neighbour_lab.times", n=number(high / low))
            self._factors[row, state].set_text(factor if state in result.states else "")
        for row, line in self._ends.items():
            line.set_visible(kept is not None)
            if kept is not None:
                line.set_xdata([along(old[row][1], end)] * 2)

    def _show_requests(self, result: NeighbourResult, kept: NeighbourResult | None) -> None:
        times = {(key, state): result.quantile_ns(state, key) for key, state in self._tails}
        old = {key: kept.quantile_ns("chosen", key) for key in QUANTILES} if kept else {}
        full = _full(list(times.values()), list(old.values()))
        for tick, share in zip(self._time_ticks, (0.5, 1), strict=True):
            tick.set_text(show(share * full, "ns"))
        for at, ns in times.items():
            self._tails[at].set_width(of(ns, full))
            self._tails[at].set_visible(at[1] in result.states)
            ghost = of(old[at[0]], full) if kept and at[1] == "chosen" else 0.0
            self._times[at].set(x=max(of(ns, full), ghost) + 0.02, text=_time(ns) if at[1] in result.states else "")
        for key, line in self._tail_ghosts.items():
            line.set_visible(kept is not None)
            if kept is not None:
                line.set_xdata([of(old[key], full)] * 2)

    def _show_remedies(self, result: NeighbourResult, kept: NeighbourResult | None) -> None:
        quiet = result.quantile_ns("alone", "p99")
        old = {row: kept.p99_ns(row) for row in ROWS} if kept else {}
        full = _full([quiet, *(result.p99_ns(row) for row in ROWS)], list(old.values()))
        for tick, share in zip(self._p99_ticks, (0.5, 1), strict=True):
            tick.set_text(show(share * full, "ns"))
        self._quiet.set_xdata([of(quiet, full)] * 2)
        for row in ROWS:
            there = row != "yours" or result.row == "yours"
            for artist in (self._names[row], self._bars[row]):
                artist.set_visible(there)
            self._bars[row].set_width(of(result.p99_ns(row), full))
            state = "chosen" if row == result.row != "none" else "none"
            self._bars[row].set_facecolor(self._styles[state]["facecolor"])
            found = result.chosen if row == "yours" else result.rows[row]
            cells = (_time(found.tail.p99_ns), number(found.options.vcpus_sold), show(found.neighbour_speed, "%"))
            for key, text in zip(("p99", "sold", "speed"), cells, strict=True):
                self._cells[row, key].set_text(text if there else "")
            self._row_ghosts[row].set_visible(kept is not None and (row != "yours" or kept.row == "yours"))
            if kept is not None:
                self._row_ghosts[row].set_xdata([of(old[row], full)] * 2)


def _full(times: Sequence[float], old: Sequence[float]) -> float:
    """The end of an axis: what is kept may make it four times as long, and what has no end makes it no longer."""
    longest = max(ns for ns in times if math.isfinite(ns))
    return ceiling(max([longest, *(min(ns, 4 * longest) for ns in old if math.isfinite(ns))]))


def _time(ns: float) -> str:
    return show(ns, "ns") if math.isfinite(ns) else say("neighbour_lab.endless")
