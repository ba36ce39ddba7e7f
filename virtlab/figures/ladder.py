"""The ladder as a picture: for each path its CPU bill, its counts, and its latency before the witnesses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, literature_style, model_style, place_style

#: The CPU places of a bill, from the guest outwards. Card, PCIe and wire are no CPU.
CPU_PLACES = ("guest", "kvm", "qemu", "host", "poller")
# Limits of the axis whose quarters are round numbers too.
_LIMITS_NS = [m * 10**e for e in range(2, 8) for m in (1, 2, 4, 8)]
_COLUMNS = ("vcpu_exits_per_packet", "context_switches_per_packet", "host_copies_per_packet", "guest_copies_per_packet")


@dataclass(frozen=True)
class Rung:
    """What the picture shows of one path: CPU time in ns and counts, per packet; there and back in ns, alone."""

    id: str
    rung: int
    cpu_ns: Mapping[str, float]
    counts: Mapping[str, float]
    alone_ns: float
    asleep_ns: float
    dedicated_cores: int


@dataclass(frozen=True)
class Witness:
    """A published time there and back in ns for one path, with its interval; ``bound``: it is only an upper bound."""

    path: str
    value_ns: float
    low_ns: float
    high_ns: float
    cite: str
    bound: bool = False


@dataclass(frozen=True)
class LadderResult:
    """All rungs under one setting, and the literature that stands beside them."""

    rungs: tuple[Rung, ...]
    witnesses: tuple[Witness, ...] = field(default=())


class LadderPicture(Picture[LadderResult]):
    """Bars: CPU time per packet by place. Columns: counts per packet. Right: one packet's latency, alone."""

    size_px = (1040, 600)
    ids: tuple[str, ...] = ("qemu", "qemu-ioeventfd", "vhost-net", "vhost-user", "vdpa", "sriov", "card")
    literature: tuple[Witness, ...] = ()

    def build(self) -> Sequence[Artist]:
        look, n = self.look, len(self.ids)
        self._row = {path: n - 1 - i for i, path in enumerate(self.ids)}
        bars = self.figure.add_axes((0.125, 0.18, 0.325, 0.7))
        cells = self.figure.add_axes((0.475, 0.18, 0.245, 0.7))
        times = self.figure.add_axes((0.735, 0.18, 0.245, 0.7))
        names = [f"P{i + 1}  {words(f'path.{p}.short')}" for i, p in enumerate(self.ids)]
        dress(bars, look, title=words("ladder.cpu_title"), x=words("ladder.cpu_axis"))
        bars.set(xlim=(0, 1), ylim=(-0.55, n - 0.45), yticks=list(self._row.values()), xticks=[])
        bars.set_yticklabels(names, fontsize=SIZE["tick"], color=look.ink)
        bars.xaxis.labelpad = 26
        for x in (0.25, 0.5, 0.75, 1.0):
            bars.axvline(x, color=look.grid, linewidth=1, zorder=0)
        cells.set(xlim=(0, 4), ylim=(-0.55, n - 0.45))
        cells.axis("off")
        for i, key in enumerate(("exits", "switches", "host_copies", "guest_copies")):
            cells.text(i + 0.5, n - 0.4, words(f"ladder.{key}"), ha="center", va="bottom", fontsize=SIZE["note"],
                       color=look.ink)  # fmt: skip
        dress(times, look, title=words("ladder.time_title"), x=words("ladder.time_axis"), grid="x")
        times.set_xscale("log")
        times.set(xlim=(1, 1000), ylim=(-0.55, n - 0.45), yticks=[], xticks=[1, 10, 100, 1000])
        times.set_xticklabels(["1 µs", "10", "100", "1 ms"])
        times.minorticks_off()
        for row in range(n):
            for axes in (bars, times):
                axes.axhline(row - 0.5, color=look.grid, linewidth=0.6, zorder=0)
        self._legend(bars, times)

        moving: list[Artist] = []
        self._scale = [bars.text(x, -0.72, "", ha="center", va="top", fontsize=SIZE["tick"], color=look.ink)
                       for x in (0, 0.25, 0.5, 0.75, 1.0)]  # fmt: skip
        self._ghosts = {p: box(bars, 0, y - 0.36, 0, 0.72, fill=False, edgecolor=look.faint,
                        linewidth=1.8, linestyle=(0, (4, 3))) for p, y in self._row.items()}  # fmt: skip
        self._bars = {
            (p, place): box(bars, 0, y - 0.28, 0, 0.56, gid=CUT, **place_style(look, place))
            for p, y in self._row.items() for place in CPU_PLACES
        }  # fmt: skip
        self._totals = {p: bars.text(0, y, "", va="center", fontsize=SIZE["note"], color=look.ink)
                        for p, y in self._row.items()}  # fmt: skip
        self._cells = {
            (p, key): cells.text(i + 0.5, y, "", ha="center", va="center", fontsize=SIZE["tick"], color=look.ink)
            for p, y in self._row.items() for i, key in enumerate(_COLUMNS)
        }  # fmt: skip
        self._alone = {p: times.plot([1, 1], [y - 0.12, y + 0.36], **model_style(look, linewidth=4))[0]
                       for p, y in self._row.items()}  # fmt: skip
        self._asleep = {p: times.plot([1, 1], [y + 0.12, y + 0.12], **model_style(look, linewidth=1.6))[0]
                        for p, y in self._row.items()}  # fmt: skip
        self._times_ghosts = {p: times.plot([1, 1], [y - 0.12, y + 0.36], **ghost_style(look))[0]
                              for p, y in self._row.items()}  # fmt: skip
        for group in (self._scale, *(d.values() for d in (self._bars, self._ghosts, self._totals, self._cells,
                      self._times_ghosts, self._asleep, self._alone))):  # fmt: skip
            moving.extend(group)
        self._ranks = {p: times.text(900, y - 0.27, "", fontsize=SIZE["note"], color=look.ink, ha="right", va="center")
                       for p, y in self._row.items()}  # fmt: skip
        moving.extend(self._ranks.values())
        for witness in self.literature:
            y = self._row[witness.path] - 0.26
            low, high = (witness.value_ns - witness.low_ns) / 1e3, (witness.high_ns - witness.value_ns) / 1e3
            container = times.errorbar([witness.value_ns / 1e3], [y], xerr=[[low], [high]], **literature_style(look))
            moving.extend(container.get_children())
            if witness.bound:
                moving.append(times.text(witness.value_ns / 1e3 / 1.25, y, "<", ha="right", va="center",
                                         fontsize=SIZE["tick"], color=look.ink))  # fmt: skip
        return moving

    def show(self, result: LadderResult, kept: LadderResult | None = None, prediction: Any = None) -> None:
        shown = [*result.rungs, *(kept.rungs if kept else ())]
        limit = next((m for m in _LIMITS_NS if m >= 1.18 * max(sum(r.cpu_ns.values()) for r in shown)), _LIMITS_NS[-1])
        for text, x in zip(self._scale, (0, 0.25, 0.5, 0.75, 1.0), strict=True):
            text.set_text(show(x * limit, "ns", 2))
        for rung in result.rungs:
            left = 0.0
            for place in CPU_PLACES:
                bar, width = self._bars[rung.id, place], rung.cpu_ns.get(place, 0.0) / limit
                bar.set_x(left)
                bar.set_width(width)
                bar.set_visible(width > 0)
                left += width
            total = self._totals[rung.id]
            core = words("ladder.core") if rung.dedicated_cores else ""
            total.set_text(f" {show(sum(rung.cpu_ns.values()), 'ns', 2)}{core}")
            old = next((r for r in kept.rungs if r.id == rung.id), None) if kept else None
            total.set_x(max(left, sum(old.cpu_ns.values()) / limit if old else 0.0))
            for key in _COLUMNS:
                self._cells[rung.id, key].set_text(number(rung.counts[key], 2))
            self._alone[rung.id].set_xdata([rung.alone_ns / 1e3] * 2)
            self._asleep[rung.id].set_xdata([rung.alone_ns / 1e3, rung.asleep_ns / 1e3])
        for path in self.ids:
            rank = prediction.index(path) + 1 if prediction else 0
            self._ranks[path].set_text(say("ladder.predicted", rank=rank) if rank else "")
            old = next((r for r in kept.rungs if r.id == path), None) if kept else None
            self._ghosts[path].set_visible(old is not None)
            self._times_ghosts[path].set_visible(old is not None)
            if old:
                self._ghosts[path].set_width(sum(old.cpu_ns.values()) / limit)
                self._times_ghosts[path].set_xdata([old.alone_ns / 1e3] * 2)

    def _legend(self, bars: Any, times: Any) -> None:
        look = self.look
        places = [Patch(**place_style(look, p)) for p in CPU_PLACES]
        legend(bars, look, [*places], [words(f"place.{p}") for p in CPU_PLACES], loc="upper left",
               bbox_to_anchor=(-0.38, -0.15), ncols=5, columnspacing=1.1, handlelength=1.6)  # fmt: skip
        marks = [
            Line2D([], [], **model_style(look, linewidth=4)),
            Line2D([], [], **{k: v for k, v in literature_style(look).items() if k in ("color", "markersize",
                   "markeredgecolor", "markeredgewidth")}, marker="D", linestyle=""),
            Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        legend(times, look, marks, [words("lab.model"), words("lab.literature"), words("lab.kept")], loc="upper right",
               bbox_to_anchor=(1.04, -0.15), ncols=3, columnspacing=1.0, handlelength=1.2)  # fmt: skip
