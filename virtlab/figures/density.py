"""VMs on a host over the size of a VM, with the limit that binds, and where the host's memory goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from virtlab.cloud import Density
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, model_style, place_style, write

#: Sizes of a VM at which the curves are drawn: four for each doubling.
SIZES = tuple(round(2 ** (bits / 4)) for bits in range(24 * 4, 42 * 4 + 1))
#: Parts of the host's memory in their order, with the place whose colour each has.
PARTS = {"kept": "host", "guests": "guest", "beside": "qemu"}
_LEAST, _MOST = 0.5, 2e4
_LEFT, _WIDTH, _BAR_TOP, _BAR_HEIGHT = 96, 904, 478, 30


@dataclass(frozen=True)
class DensityResult:
    """The density here, and over SIZES: VMs, VMs without any memory beside them, and what CPUs and functions allow."""

    density: Density
    vms: tuple[int, ...]
    without: tuple[int, ...]
    fixed: float

    def shares(self) -> dict[str, float]:
        """The shares of the host's memory by PARTS; the rest is free."""
        d = self.density
        whole = d.options.host_memory_bytes
        return {"kept": d.kept_bytes / whole, "guests": d.guest_bytes / whole, "beside": d.vmm_bytes / whole}


class DensityPicture(Picture[DensityResult]):
    """Above: VMs over the size of a VM. Below: the host's memory as one bar."""

    size_px = (1040, 580)

    def build(self) -> Sequence[Artist]:
        look = self.look
        chart = self.figure.add_axes((_LEFT / 1040, 0.29, _WIDTH / 1040, 0.6))
        dress(chart, look, title=words("density_lab.title"), x=words("density_lab.x"), y=words("density_lab.y"),
              grid="both")  # fmt: skip
        chart.set(xscale="log", yscale="log", xlim=(SIZES[0], SIZES[-1]), ylim=(_LEAST, _MOST))
        ticks = [1 << bits for bits in range(24, 43, 3)]
        chart.set_xticks(ticks, [show(tick, "B") for tick in ticks])
        counts = (1, 10, 100, 1000, 10_000)
        chart.set_yticks(counts, [number(n, 7) for n in counts])
        chart.minorticks_off()
        self._without = chart.plot([], [], color=look.faint, linewidth=1.6)[0]
        self._fixed = chart.plot([], [], color=look.faint, linewidth=1.6, linestyle=":")[0]
        self._was = chart.plot([], [], **ghost_style(look))[0]
        self._was_at = chart.plot([], [], "o", markersize=11, markerfacecolor="none", color=look.faint)[0]
        self._curve = chart.plot([], [], **model_style(look))[0]
        self._dot = chart.plot([], [], "o", color=look.ink, markersize=9)[0]
        self._note = chart.text(0, 0, "", fontsize=SIZE["tick"], color=look.ink, va="bottom", ha="center")
        handles = [
            Line2D([], [], **model_style(look)), Line2D([], [], color=look.faint, linewidth=1.6),
            Line2D([], [], color=look.faint, linewidth=1.6, linestyle=":"), Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        names = [words(f"density_lab.legend.{key}") for key in ("vms", "without", "fixed")] + [words("lab.kept")]
        legend(chart, look, handles, names, loc="upper right", bbox_to_anchor=(1.0, 1.19), ncols=2)

        axes = self.whole_axes()
        text = partial(write, axes, look)
        text(_LEFT, _BAR_TOP - 14, words("density_lab.memory"), SIZE["note"], color=look.faint)
        box(axes, _LEFT, _BAR_TOP, _WIDTH, _BAR_HEIGHT, facecolor=look.paper, edgecolor=look.faint)
        self._bars = {p: box(axes, _LEFT, _BAR_TOP, 1, _BAR_HEIGHT, gid=CUT, **place_style(look, place))
                      for p, place in PARTS.items()}  # fmt: skip
        self._ghosts = [axes.plot([0, 0], [_BAR_TOP - 6, _BAR_TOP + _BAR_HEIGHT + 6], **ghost_style(look))[0]
                        for _ in PARTS]  # fmt: skip
        self._parts = text(_LEFT, _BAR_TOP + _BAR_HEIGHT + 16, "", SIZE["note"])
        self._verdict = text(_LEFT, _BAR_TOP + _BAR_HEIGHT + 42, "", SIZE["tick"], weight="bold")
        return [self._without, self._fixed, self._was, self._was_at, self._curve, self._dot, self._note,
                *self._bars.values(), *self._ghosts, self._parts, self._verdict]  # fmt: skip

    def show(self, result: DensityResult, kept: DensityResult | None = None, prediction: Any = None) -> None:
        d = result.density
        self._curve.set_data(SIZES, [_y(n) for n in result.vms])
        self._without.set_data(SIZES, [_y(n) for n in result.without])
        self._fixed.set_data([SIZES[0], SIZES[-1]], [_y(result.fixed)] * 2)
        self._dot.set_data([d.options.memory_bytes], [_y(d.vms)])
        at = min(max(d.options.memory_bytes, SIZES[0] * 32), SIZES[-1] / 32)
        self._note.set_position((at, _y(d.vms) * 1.25))
        self._note.set_text(say("density_lab.here", vms=number(d.vms, 7), first=d.first.title))
        for ghost in (self._was, self._was_at):
            ghost.set_visible(kept is not None)
        if kept is not None:
            self._was.set_data(SIZES, [_y(n) for n in kept.vms])
            self._was_at.set_data([kept.density.options.memory_bytes], [_y(kept.density.vms)])
        x = float(_LEFT)
        for part, share in result.shares().items():
            self._bars[part].set(x=x, width=max(1.0, _WIDTH * share))
            self._bars[part].set_visible(share > 0)
            x += _WIDTH * share
        x = float(_LEFT)
        for ghost, share in zip(self._ghosts, (kept or result).shares().values(), strict=True):
            x += _WIDTH * share
            ghost.set_xdata([x, x])
            ghost.set_visible(kept is not None)
        shares = {part: show(share, "%") for part, share in result.shares().items()}
        free = show(d.free_bytes / d.options.host_memory_bytes, "%")
        self._parts.set_text(say("density_lab.parts", free=free, **shares))
        self._verdict.set_text(verdict(d))


def verdict(found: Density) -> str:
    """What the memory beside each VM is, and how many VMs it costs here."""
    key = "costs" if found.cost_of_overhead else "free"
    return say(f"density_lab.{key}", share=show(found.overhead_share, "%"), cost=number(found.cost_of_overhead, 7))


def _y(vms: float) -> float:
    """Where a number of VMs lies: none at the lower edge, more than fit at the upper one."""
    return min(max(vms, _LEAST * 1.1), _MOST / 1.1) if math.isfinite(vms) else _MOST / 1.1
