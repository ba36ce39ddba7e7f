"""One packet's way through the places of one path: a lane a place, a row a step, time downwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.patches import FancyBboxPatch

from virtlab.core.units import show
from virtlab.core.words import words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, ghost_style, place_style

PLACES = ("guest", "kvm", "qemu", "host", "poller", "pcie", "card", "wire")
MOST_STEPS = 20


@dataclass(frozen=True)
class Hop:
    """One step as the picture shows it: where, what it is called, its time in ns per packet, what it causes."""

    key: str
    place: str
    ns: float
    events: tuple[str, ...]
    shared_by: int
    aside: bool


@dataclass(frozen=True)
class JourneyResult:
    """The steps of one path in their order in time. ``total_ns`` is the sum of those that hold up the packet."""

    path: str
    direction: str
    hops: tuple[Hop, ...]
    total_ns: float


class JourneyPicture(Picture[JourneyResult]):
    """Lanes on the left with the packet's way, the steps with their times on the right."""

    size_px = (1040, 600)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.figure.add_axes((0.01, 0.02, 0.98, 0.96))
        axes.set(xlim=(0, 1040), ylim=(590, 0))
        axes.axis("off")
        self._lane = {place: 34 + 62 * i for i, place in enumerate(PLACES)}
        self._top, self._pitch = 98, 25
        for place, x in self._lane.items():
            style = place_style(look, place)
            axes.add_patch(FancyBboxPatch((x - 24, 46), 48, 16, boxstyle="round,pad=3", **style))
            axes.text(x, 38, words(f"place.{place}").replace(" ", "\n"), ha="center", va="bottom",
                      fontsize=SIZE["note"], color=look.ink)  # fmt: skip
            axes.plot([x, x], [72, 588], color=look.grid, linewidth=1.2, zorder=0)
        for x, key, side in ((520, "step", "left"), (774, "causes", "left"), (1035, "per_packet", "right")):
            axes.text(x, 60, words(f"journey.{key}"), ha=side, fontsize=SIZE["label"], color=look.faint)
        self._ghost = axes.plot([], [], **ghost_style(look))[0]
        self._line = axes.plot([], [], color=look.ink, linewidth=2, zorder=2)[0]
        self._dots = axes.scatter([], [], s=13**2, linewidths=1.6, zorder=3)
        rows = [self._top + self._pitch * i for i in range(MOST_STEPS)]

        def column(x: float, side: Any) -> list[Any]:
            return [axes.text(x, y, "", ha=side, va="center", fontsize=SIZE["tick"]) for y in rows]

        self._names, self._tags, self._times = column(520, "left"), column(774, "left"), column(1035, "right")
        return [self._ghost, self._line, self._dots, *self._names, *self._tags, *self._times]

    def show(self, result: JourneyResult, kept: JourneyResult | None = None, prediction: Any = None) -> None:
        look = self.look
        for line, shown in ((self._line, result), (self._ghost, kept)):
            way = [(i, hop) for i, hop in enumerate(shown.hops) if not hop.aside] if shown else []
            line.set_data([self._lane[hop.place] for _, hop in way], [self._top + self._pitch * i for i, _ in way])
        hops = result.hops
        self._dots.set_offsets([(self._lane[hop.place], self._top + self._pitch * i) for i, hop in enumerate(hops)])
        self._dots.set_facecolor([look.paper if hop.aside else look.place[hop.place] for hop in hops])
        self._dots.set_edgecolor([look.place[hop.place] if hop.aside else look.ink for hop in hops])
        for i in range(MOST_STEPS):
            row = (self._names[i], self._tags[i], self._times[i])
            if i >= len(hops):
                for text in row:
                    text.set_text("")
                continue
            hop = hops[i]
            colour = look.faint if hop.aside else look.ink
            shared = "" if hop.shared_by == 1 else f"  ÷{hop.shared_by}"
            events = ", ".join(words(f"journey.event.{e}") for e in hop.events)
            contents = (words(f"step.{hop.key}"), events, show(hop.ns, "ns", 2) + shared)
            for text, content in zip(row, contents, strict=True):
                text.set_text(content)
                text.set_color(colour)
