"""Register accesses and interrupts of one request on three disks: the model, and what a real QEMU was seen to do."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.text import Text

from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, dress, ghost_style, legend, machine_style, model_style
from virtlab.virtio.registers import Bounds, RequestCost

#: A count with its interval: (median, least, most).
Span = tuple[float, float, float]
DISKS = ("ide", "mmio", "pci")
COUNTS = ("accesses", "calls")
ZERO = 0.012  # where a logarithmic axis that has a place for nothing puts it
_LIMITS = {"accesses": (0.02, 6000.0), "calls": (0.008, 30.0)}
_TICKS = {"accesses": (0.03, 0.3, 1, 3, 10, 100, 1000), "calls": (0.03, 0.1, 0.3, 1, 3, 8)}
_MODEL, _MACHINE = 0.2, -0.2  # lanes within a row
_COLUMNS = {"model": 0.792, "machine": 0.922}
_LABEL = 118  # characters that fit into the width


@dataclass(frozen=True)
class DeviceResult:
    """The model's cost by disk, and what a QEMU was seen to do per request: ``machine[disk][count]``."""

    model: Mapping[str, RequestCost]
    machine: Mapping[str, Mapping[str, Span]]
    label: str
    live: bool

    def bounds(self, disk: str, count: str) -> Bounds:
        """The model's bounds of one count per request."""
        cost = self.model[disk]
        return cost.accesses_per_request if count == "accesses" else cost.calls_per_request


class DevicePicture(Picture[DeviceResult]):
    """Register accesses above, interrupts below; a row a disk, in it the model over the machine."""

    size_px = (1040, 680)

    def build(self) -> Sequence[Artist]:
        look = self.look
        self.figure.text(0.015, 0.967, words("device.title"), fontsize=SIZE["title"], color=look.ink, va="center")
        note: dict[str, Any] = {"fontsize": SIZE["note"], "va": "center"}
        self._label = [self.figure.text(0.015, y, "", color=look.ink, **note) for y in (0.925, 0.896)]
        self.figure.text(_COLUMNS["model"], 0.853, words("device.column.model"), color=look.faint, ha="center", **note)
        self._head = self.figure.text(_COLUMNS["machine"], 0.853, "", color=look.faint, ha="center", **note)
        for y, line in zip((0.052, 0.022), words("device.not_exits"), strict=True):
            self.figure.text(0.015, y, line, color=look.ink, **note)
        self._models: dict[tuple[str, str], Line2D] = {}
        self._spreads: dict[tuple[str, str], Line2D] = {}
        self._points: dict[tuple[str, str], Line2D] = {}
        self._ghosts: dict[tuple[str, str], Line2D] = {}
        self._said: dict[tuple[str, str], Text] = {}
        self._values: dict[tuple[str, str], Text] = {}
        self._intervals: dict[tuple[str, str], Text] = {}
        self._notes: dict[tuple[str, str], Text] = {}
        self._at: dict[tuple[str, str], float] = {}
        for count, bottom, height in (("accesses", 0.535, 0.295), ("calls", 0.205, 0.225)):
            axes = self.figure.add_axes((0.335, bottom, 0.375, height))
            dress(axes, look, x=words(f"device.{count}_axis"), grid="x")
            axes.set(xscale="log", xlim=_LIMITS[count], ylim=(-0.5, len(DISKS) - 0.5), yticks=[])
            nothing = {ZERO: "0"} if count == "calls" else {}
            ticks = nothing | {tick: number(tick) for tick in _TICKS[count]}
            axes.set_xticks(list(ticks), list(ticks.values()))
            axes.minorticks_off()
            for y, disk in enumerate(reversed(DISKS)):
                self._row(axes, y, disk, count)
        self._build_legend(axes)
        moving = (self._ghosts, self._models, self._spreads, self._points, self._said, self._values, self._intervals,
                  self._notes)  # fmt: skip
        return [*self._label, self._head, *(artist for group in moving for artist in group.values())]

    def _row(self, axes: Any, y: int, disk: str, count: str) -> None:
        look, key = self.look, (disk, count)
        if y:
            axes.axhline(y - 0.5, color=look.grid, linewidth=0.8, zorder=0)
        names: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
        axes.text(-0.025, y + 0.17, words(f"device.disk.{disk}"), fontsize=SIZE["tick"], color=look.ink, **names)
        self._notes[key] = axes.text(-0.025, y - 0.2, "", fontsize=SIZE["note"], color=look.faint, **names)
        line = model_style(look, marker="|", markersize=13, markeredgewidth=3, solid_capstyle="butt")
        ring = machine_style(look)
        self._models[key] = axes.plot([1, 1], [y + _MODEL] * 2, **line)[0]
        self._spreads[key] = axes.plot([1, 1], [y + _MACHINE] * 2, color=look.ink, marker="|", markersize=10,
                                       linewidth=ring["elinewidth"])[0]  # fmt: skip
        self._points[key] = axes.plot([1], [y + _MACHINE], ring["fmt"], color=look.ink, markersize=10,
                                      markerfacecolor=look.paper, markeredgewidth=ring["markeredgewidth"],
                                      )[0]  # fmt: skip
        self._ghosts[key] = axes.plot([1, 1], [y - 0.4, y + 0.4], **ghost_style(look))[0]
        box = axes.get_position()
        at = box.y0 + (y + 0.5) / len(DISKS) * box.height
        middle: dict[str, Any] = {"color": look.ink, "ha": "center", "va": "center"}
        self._said[key] = self.figure.text(_COLUMNS["model"], at, "", fontsize=SIZE["label"], **middle)
        self._values[key] = self.figure.text(_COLUMNS["machine"], at, "", fontsize=SIZE["label"], **middle)
        self._intervals[key] = self.figure.text(_COLUMNS["machine"], at - 0.017, "", fontsize=SIZE["note"], **middle)
        self._at[key] = at

    def _build_legend(self, axes: Any) -> None:
        look = self.look
        handles = [
            Line2D([], [], **model_style(look), marker="|", markersize=12, markeredgewidth=3),
            Line2D([], [], color=look.ink, marker="o", linestyle="", markersize=10, markerfacecolor=look.paper,
                   markeredgewidth=3),
            Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        names = [words("device.legend.model"), words("device.legend.machine"), words("lab.kept")]
        legend(axes, look, handles, names, loc="upper left", bbox_to_anchor=(-0.88, -0.3), ncols=3, columnspacing=1.8)

    def show(self, result: DeviceResult, kept: DeviceResult | None = None, prediction: Any = None) -> None:
        mark = "◉ " if result.live else "◎ "
        lines = textwrap.wrap(mark + result.label, _LABEL, max_lines=2, placeholder=" …")
        for part, line in zip(self._label, [*lines, ""], strict=False):
            part.set_text(line)
        self._head.set_text(words(f"device.column.{'now' if result.live else 'recorded'}"))
        for disk in DISKS:
            cost = result.model[disk]
            made = {"kicks": bounds_text(cost.kicks, "device.short"), "calls": bounds_text(cost.calls, "device.short")}
            for count in COUNTS:
                key, bounds = (disk, count), result.bounds(disk, count)
                kind = "made_of" if count == "accesses" else "interrupts_note"
                self._notes[key].set_text(say(f"device.{kind}.{disk}", **made))
                self._models[key].set_xdata([_place(n) for n in bounds])
                self._said[key].set_text(bounds_text(bounds))
                median, least, most = result.machine[disk][count]
                self._spreads[key].set_xdata([_place(least), _place(most)])
                self._points[key].set_xdata([_place(median)])
                open_ = least < most
                self._values[key].set_text(number(median))
                self._values[key].set_y(self._at[key] + 0.016 * open_)
                self._intervals[key].set_text(bounds_text(Bounds(least, most)) if open_ else "")
                self._ghosts[key].set_visible(kept is not None)
                if kept is not None:
                    self._ghosts[key].set_xdata([_place(kept.machine[disk][count][0])] * 2)


def bounds_text(bounds: Bounds, template: str = "device.bounds") -> str:
    """One number, or from the least to the most."""
    if bounds.sure:
        return number(bounds.least)
    return say(template, least=number(bounds.least), most=number(bounds.most))


def span_text(span: Span) -> str:
    """The median, and in brackets the interval where there is one."""
    median, least, most = span
    if least == most:
        return number(median)
    return say("machine.spread", value=number(median), low=number(least), high=number(most))


def _place(count: float) -> float:
    """Where a count stands on the axis: nothing has a place of its own."""
    return count or ZERO
