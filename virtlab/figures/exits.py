"""What one access costs by who handles it: a measured KVM and published hardware, each on an axis of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import (
    HATCH,
    SIZE,
    dress,
    ghost_style,
    legend,
    literature_style,
    machine_style,
    place_style,
)
from virtlab.machine.kvm import ExitCosts, on_one_axis

#: A time in ns with its interval: (value, low, high).
Span = tuple[float, float, float]
MEASURED, PUBLISHED = 4, 5  # rows of the panels
_LABEL = 122  # characters that fit into the width
#: Of each panel: where it is, and its axis in ns. They differ, so that nobody reads across from one to the other.
_PANELS = {"measured": (0.025, 0.46, (100.0, 1e5)), "published": (0.55, 0.43, (200.0, 1e4))}
_LANE = 0.24  # of a row: where its marker is; above it stand two lines of text
_TICKS = {"measured": (100, 1e3, 1e4, 1e5), "published": (200, 500, 1e3, 2e3, 5e3, 1e4)}


@dataclass(frozen=True)
class Way:
    """One way to handle an access: what it costs (None: unknown) and what that makes of a core.

    ``note`` is drawn below its title, ``said`` is the same in full, for the sentence. ``cycles`` were published.
    """

    title: str
    place: str
    cost_ns: Span | None
    share: float | None
    note: str
    said: str
    cycles: float | None = None

    @property
    def too_much(self) -> bool:
        """Whether no core has the time for so many accesses."""
        return self.share is not None and self.share > 1

    def time_text(self) -> str:
        if self.cost_ns is None:
            return str(words("machine.missing"))
        time = show(self.cost_ns[0], "ns")
        return time if self.cycles is None else say("exit_lab.cycles", cycles=number(self.cycles, 4), time=time)

    def share_text(self) -> str:
        if self.share is None:
            return ""
        return say("exit_lab.too_much" if self.too_much else "exit_lab.share", share=show(self.share, "%"))


@dataclass(frozen=True)
class ExitResult:
    """The measured KVM's ways, the published ones, and the measurement itself, whose kind of KVM rules the axis."""

    ways: tuple[Way, ...]
    published: tuple[Way, ...]
    measured: ExitCosts
    rate_per_s: float
    clock_ghz: float


class ExitPicture(Picture[ExitResult]):
    """Two panels, one a witness; a row a way: its name, who handles it, its time and its share of a core."""

    size_px = (1040, 680)

    def build(self) -> Sequence[Artist]:
        look = self.look
        note: dict[str, Any] = {"fontsize": SIZE["note"], "va": "center"}
        self.figure.text(0.02, 0.962, words("exit_lab.title"), fontsize=SIZE["title"], color=look.ink, va="center")
        self._label = [self.figure.text(0.02, y, "", color=look.ink, **note) for y in (0.917, 0.888, 0.859)]
        self._heads = {key: self.figure.text(left, 0.808, "", fontsize=SIZE["label"], color=look.ink, va="center")
                       for key, (left, _, _) in _PANELS.items()}  # fmt: skip
        self._under = {key: self.figure.text(left, 0.776, "", color=look.faint, **note)
                       for key, (left, _, _) in _PANELS.items()}  # fmt: skip
        for y, line in zip((0.052, 0.023), words("exit_lab.notes"), strict=True):
            self.figure.text(0.02, y, line, color=look.ink, **note)
        self.axes = {key: self._panel(key) for key in _PANELS}
        self._rows = {key: [_Row(self.axes[key], look, i, n, key == "measured") for i in range(n)]
                      for key, n in (("measured", MEASURED), ("published", PUBLISHED))}  # fmt: skip
        self._legend(self.axes["measured"])
        rows = [artist for rows in self._rows.values() for row in rows for artist in row.artists]
        return [*self._label, *self._heads.values(), *self._under.values(), *rows]

    def _panel(self, key: str) -> Axes:
        left, width, limits = _PANELS[key]
        axes = self.figure.add_axes((left, 0.215, width, 0.54))
        dress(axes, self.look, x=words(f"exit_lab.axis.{key}"))
        n = MEASURED if key == "measured" else PUBLISHED
        axes.set(xscale="log", xlim=limits, ylim=(n - 0.5, -0.5), yticks=[])
        axes.set_xticks(_TICKS[key], [show(ns, "ns") for ns in _TICKS[key]])
        axes.minorticks_off()
        axes.spines["left"].set_visible(False)
        for y in range(n):
            if y:
                axes.axhline(y - 0.5, color=self.look.grid, linewidth=1, zorder=0)
            axes.vlines(_TICKS[key], y + _LANE - 0.17, y + _LANE + 0.17, colors=self.look.grid, linewidth=1, zorder=0)
        first, last = axes.get_xticklabels()[0], axes.get_xticklabels()[-1]
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
        return axes

    def _legend(self, axes: Axes) -> None:
        look = self.look
        marks = (machine_style(look, markersize=10), literature_style(look))
        handles: list[Artist] = [Patch(**place_style(look, place)) for place in ("qemu", "kvm")]
        handles += [Line2D([], [], linestyle="", marker=style["fmt"], **_marker(style)) for style in marks]
        handles.append(Line2D([], [], **ghost_style(look)))
        names = [words(f"exit_lab.legend.{key}") for key in ("qemu", "kvm", "machine", "literature")]
        legend(axes, look, handles, [*names, words("lab.kept")], loc="upper left", bbox_to_anchor=(-0.03, -0.14),
               ncols=5, columnspacing=1.4, handlelength=1.6)  # fmt: skip

    def show(self, result: ExitResult, kept: ExitResult | None = None, prediction: Any = None) -> None:
        measured = result.measured
        mark = "◉ " if measured.origin == "now" else "◎ "
        lines = textwrap.wrap(mark + measured.label(), _LABEL, max_lines=3, placeholder=" …")
        for i, part in enumerate(self._label):
            part.set_text(lines[i] if i < len(lines) else "")
        kind = measured.kind
        self._heads["measured"].set_text(
            say(f"exit_lab.head.{kind.name}", modules=", ".join(kind.modules) or words("kvm.kind.unknown_modules"),
                flag=kind.flag)
        )  # fmt: skip
        self._heads["published"].set_text(say("exit_lab.head.published", clock=show(result.clock_ghz, "GHz")))
        shared = kept is not None and one_axis(measured, kept.measured)
        under = kind.name if kept is None or shared else "other_kind"
        self._under["measured"].set_text(words(f"exit_lab.under.{under}"))
        self._under["published"].set_text(words("exit_lab.under.published"))
        for key, ways, old in (("measured", result.ways, kept.ways if kept and shared else ()),
                               ("published", result.published, kept.published if kept else ())):  # fmt: skip
            for i, row in enumerate(self._rows[key]):
                row.show(ways[i], old[i] if i < len(old) else None)


def one_axis(one: ExitCosts, other: ExitCosts) -> bool:
    """Whether the times of two measurements may stand on one axis: not those of software and of hardware KVM."""
    try:
        on_one_axis(one, other)
    except ValueError:
        return False
    return True


class _Row:
    """One way: a line with its name and its time, a line with its note and its share, and a lane with the marker."""

    def __init__(self, axes: Axes, look: Any, i: int, rows: int, machine: bool) -> None:
        self._look, self._limits, self._machine = look, axes.get_xlim(), machine
        across = axes.get_yaxis_transform()  # x in the axes, y in the data
        self._swatch = Rectangle((0, i - 0.37), 0.028, 0.17, transform=across, linewidth=0.8, facecolor=look.paper)
        self._swatch.set_gid(CUT)  # a hatch that is drawn anew each time is slow
        axes.add_patch(self._swatch)
        note: dict[str, Any] = {"fontsize": SIZE["note"], "va": "center", "transform": across}
        self._title = axes.text(0.042, i - 0.285, "", color=look.ink, **note)
        self._note = axes.text(0.042, i - 0.06, "", color=look.faint, **note)
        self._value = axes.text(1, i - 0.285, "", color=look.ink, ha="right", **note)
        self._share = axes.text(1, i - 0.06, "", color=look.ink, ha="right", **note)
        lane, style = i + _LANE, machine_style(look, markersize=11) if machine else literature_style(look)
        self._spread = axes.plot([], [], color=style["color"], linewidth=style["elinewidth"], marker="|",
                                 markersize=11)[0]  # fmt: skip
        self._point = axes.plot([], [], linestyle="", marker=style["fmt"], **_marker(style))[0]
        self._ghost = axes.plot([], [], **ghost_style(look))[0]
        self._lane = lane
        self.artists: list[Artist] = [self._swatch, self._ghost, self._spread, self._point, self._title, self._note,
                                      self._value, self._share]  # fmt: skip

    def show(self, way: Way, old: Way | None) -> None:
        style = place_style(self._look, way.place)
        self._swatch.set(facecolor=style["facecolor"], edgecolor=style["edgecolor"], hatch=HATCH[way.place])
        self._title.set_text(way.title)
        self._note.set_text(way.note)
        self._value.set_text(way.time_text())
        self._share.set_text(way.share_text())
        for part in (self._point, self._spread):
            part.set_visible(way.cost_ns is not None)
        if way.cost_ns:
            value, low, high = (self._inside(ns) for ns in way.cost_ns)
            self._point.set_data([value], [self._lane])
            self._spread.set_data([low, high], [self._lane] * 2)
        self._ghost.set_visible(old is not None and old.cost_ns is not None)
        if old and old.cost_ns:
            self._ghost.set_data([self._inside(old.cost_ns[0])] * 2, [self._lane - 0.2, self._lane + 0.2])

    def _inside(self, ns: float) -> float:
        """What lies beyond the axis is drawn at its end; its number stands above."""
        return min(max(ns, self._limits[0]), self._limits[1])


def _marker(style: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in style.items() if k.startswith("marker") or k == "color"}
