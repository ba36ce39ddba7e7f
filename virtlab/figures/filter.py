"""What a filter costs a packet on the host, step by step; the same over the rules; and the wall of a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from virtlab.cloud import Filtering
from virtlab.cloud.filtering import PARTS
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.migration import nice
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, model_style, place_style, write

Floats = NDArray[np.float64]
#: Packets of a connection at which the wall is drawn.
PACKETS: Floats = np.geomspace(1, 10_000, 65)
RULES: Floats = np.array([10.0, 1e5])
_LEFT, _RIGHT, _TOP, _PITCH, _HEIGHT = 190, 455, 64, 34, 24
_CYCLES = (10.0, 1e8)
_RATES = (1e3, 1e9)


@dataclass(frozen=True)
class FilterResult:
    """The filter, and the most packets/s of its card at PACKETS."""

    filtering: Filtering
    wall_packets_per_s: Floats

    @property
    def lines(self) -> dict[str, tuple[Floats, Floats]]:
        """Cycles of a packet over the rules, point by point: the filter, a scan of first packets, a scan of each."""
        r, o = self.filtering, self.filtering.options
        rules = np.geomspace(10, 1e5, 41)
        scan = o.rule_cycles * (rules + 1) / 2
        tracked = o.cache_probe_cycles + scan / o.connection_packets
        return {"total": (RULES, np.full(2, r.packet_cycles)), "tracked": (rules, tracked), "scan": (rules, scan)}

    @property
    def here(self) -> tuple[list[float], list[float]]:
        """Where the rules stand on the three lines."""
        r = self.filtering
        return [float(r.options.rules)] * 3, [r.packet_cycles, r.tracked_scan_cycles, r.scan_cycles]


class FilterPicture(Picture[FilterResult]):
    """Left: steps that add up, and cost over rules. Right: packets/s over packets a connection."""

    size_px = (1040, 580)

    def build(self) -> Sequence[Artist]:
        look = self.look
        whole = self.whole_axes()
        text = partial(write, whole, look)
        text(20, 28, words("filter_lab.title"), SIZE["title"])
        self._y = {part: _TOP + _PITCH * i for i, part in enumerate((*PARTS, "total"))}
        for part, y in self._y.items():
            text(_LEFT - 10, y, words(f"filter_lab.step.{part}"), SIZE["note"], ha="right")
        self._bars = {part: box(whole, _LEFT, y - _HEIGHT / 2, 1, _HEIGHT, gid=CUT, **place_style(look, "host"))
                      for part, y in self._y.items()}  # fmt: skip
        self._ghosts = {part: whole.plot([0, 0], [y - 15, y + 15], zorder=5, **ghost_style(look))[0]
                        for part, y in self._y.items()}  # fmt: skip
        self._values = {part: text(_LEFT, y, "", SIZE["note"]) for part, y in self._y.items()}
        self._notes = text(20, self._y["total"] + 32, "", SIZE["note"])

        rules = self.figure.add_axes((0.095, 0.2, 0.405, 0.35))
        dress(rules, look, x=words("filter_lab.rules"), y=words("filter_lab.cycles"), grid="both")
        rules.set(xscale="log", yscale="log", xlim=(10, 1e5), ylim=_CYCLES)
        rules.set_xticks([10, 100, 1e3, 1e4, 1e5], ["10", "100", "1,000", "10,000", "100,000"])
        rules.set_yticks([1e2, 1e4, 1e6, 1e8], ["100", "10,000", "1 M", "100 M"])
        styles = {"total": "-", "tracked": "-.", "scan": ":"}
        self._were = rules.plot([], [], **ghost_style(look))[0]
        self._were_at = rules.plot([], [], "o", markersize=10, markerfacecolor="none", color=look.faint)[0]
        self._lines = {k: rules.plot([], [], **model_style(look, linestyle=s))[0] for k, s in styles.items()}
        self._points = rules.plot([], [], "o", color=look.ink, markersize=8)[0]
        handles = [Line2D([], [], **model_style(look, linestyle=s)) for s in styles.values()]
        legend(rules, look, handles, [words(f"filter_lab.line.{k}") for k in styles], loc="upper left",
               bbox_to_anchor=(-0.2, -0.24), ncols=3, columnspacing=1.0, handlelength=2.6)  # fmt: skip

        card = self.figure.add_axes((0.61, 0.2, 0.355, 0.64))
        dress(card, look, title="", x=words("filter_lab.packets"), y=words("filter_lab.rate"), grid="both")
        card.set(xscale="log", yscale="log", xlim=(PACKETS[0], PACKETS[-1]), ylim=_RATES)
        card.set_xticks([1, 10, 100, 1e3, 1e4], ["1", "10", "100", "1,000", "10,000"])
        card.set_yticks([1e4, 1e5, 1e6, 1e7, 1e8, 1e9], ["10 k", "100 k", "1 M", "10 M", "100 M", "1 G"])
        for axes in (rules, card):
            axes.minorticks_off()
        text(560, 28, words("filter_lab.card"), SIZE["title"])
        self._limit = text(560, 62, "", SIZE["note"])
        self._asked = card.plot([], [], color=look.faint, linewidth=2)[0]
        self._core = card.plot([], [], **model_style(look, linestyle="-."))[0]
        self._was = card.plot([], [], **ghost_style(look))[0]
        self._was_at = card.plot([], [], "o", markersize=10, markerfacecolor="none", color=look.faint)[0]
        self._wall = card.plot([], [], **model_style(look))[0]
        self._dot = card.plot([], [], "o", color=look.ink, markersize=9)[0]
        handles = [Line2D([], [], **model_style(look)), Line2D([], [], **model_style(look, linestyle="-.")),
                   Line2D([], [], color=look.faint, linewidth=2), Line2D([], [], **ghost_style(look))]  # fmt: skip
        names = ["filter_lab.most", "filter_lab.core", "filter_lab.asked", "lab.kept"]
        legend(card, look, handles, [words(k) for k in names], loc="upper left", bbox_to_anchor=(-0.1, -0.13), ncols=2,
               columnspacing=1.5, handlelength=2.6)  # fmt: skip
        return [*self._bars.values(), *self._ghosts.values(), *self._values.values(), self._notes, self._were,
                self._were_at, *self._lines.values(), self._points, self._limit, self._asked, self._core, self._was,
                self._was_at, self._wall, self._dot]  # fmt: skip

    def show(self, result: FilterResult, kept: FilterResult | None = None, prediction: Any = None) -> None:
        r, card = result.filtering, result.filtering.card
        scale = (_RIGHT - _LEFT) / nice(max(f.filtering.packet_cycles for f in (result, kept) if f is not None))
        for part, (start, cycles) in _steps(r).items():
            self._bars[part].set_x(_LEFT + start * scale)
            self._bars[part].set_width(max(cycles * scale, 1))
            self._values[part].set_x(_LEFT + (start + cycles) * scale + 7)
            self._values[part].set_text(number(cycles))
        for part, ghost in self._ghosts.items():
            ghost.set_visible(kept is not None)
            if kept is not None:
                ghost.set_xdata([_LEFT + sum(_steps(kept.filtering)[part]) * scale] * 2)
        self._notes.set_text(say("filter_lab.hits", hits=show(r.hit_share, "%"), best=show(r.best_share, "%"),
                                 probes=number(r.probes)))  # fmt: skip
        for key, (x, y) in result.lines.items():
            self._lines[key].set_data(x, y)
        self._points.set_data(*result.here)
        self._limit.set_text(say("filter_lab.limit", limit=words(f"filter.limit.{card.first}"),
                                 most=show(card.most_packets_per_s, "packets/s")))  # fmt: skip
        self._wall.set_data(PACKETS, _inside(result.wall_packets_per_s))
        self._dot.set_data(*_at(result))
        self._asked.set_data([1, 1e4], [r.options.rate_packets_per_s] * 2)
        self._core.set_data([1, 1e4], _inside(np.full(2, r.core_packets_per_s)))
        for ghost in (self._were, self._were_at, self._was, self._was_at):
            ghost.set_visible(kept is not None)
        if kept is not None:
            self._were.set_data(*kept.lines["total"])
            self._were_at.set_data(*kept.here)
            self._was.set_data(PACKETS, _inside(kept.wall_packets_per_s))
            self._was_at.set_data(*_at(kept))


def _steps(r: Filtering) -> dict[str, tuple[float, float]]:
    """Where each step begins and how long it is, in cycles; the last is all of it."""
    steps, start = {}, 0.0
    for part in PARTS:
        steps[part] = (start, r.cycles[part])
        start += r.cycles[part]
    return steps | {"total": (0.0, start)}


def _inside(rates: Floats) -> Floats:
    return np.asarray(np.clip(rates, *_RATES))


def _at(result: FilterResult) -> tuple[list[float], list[float]]:
    card = result.filtering.card
    return [float(card.options.connection_packets)], [float(np.clip(card.most_packets_per_s, *_RATES))]
