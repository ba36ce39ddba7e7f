"""Does the card pay? What is left of its worth, against its price; and where that goes, for one server and year."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.cloud import Tco
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, model_style, place_style, write

_X, _Y = (10.0, 10_000.0), (-20_000.0, 100_000.0)  # USD a card, and USD that are left
_LINEAR = 100.0  # below it the axis is linear, so that it has a zero
#: The steps from what the card is worth to what is left, and the place whose colour each has.
STEPS = {"gain": "guest", "card": "card", "power": "card"}
_HIGH = 0.56  # of a bar


class TcoPicture(Picture[Tco]):
    """Left: what is left against the card's price, with the break-even price. Right: one server and year."""

    size_px = (1080, 540)
    #: The prices that cards have, low and high.
    prices: tuple[float, float] = (1.0, 1.0)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.axes = self.figure.add_axes((0.085, 0.255, 0.46, 0.635))
        dress(axes, look, title=words("tco_lab.title"), x=words("tco_lab.x"), grid="both")
        axes.set(xscale="log", xlim=_X, ylim=_Y)
        axes.set_yscale("symlog", linthresh=_LINEAR, linscale=0.6)
        axes.set_xticks([10, 100, 1000, 10_000], ["10", "100", "1,000", "10,000"])
        ticks = (-10_000, -1000, -100, 0, 100, 1000, 10_000, 100_000)
        axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.axhline(0, color=look.ink, linewidth=1.2)
        low, high = self.prices
        band: dict[str, Any] = {"facecolor": "none", "edgecolor": look.grid, "hatch": "////", "linewidth": 0}
        box(axes, low, _Y[0], high - low, _Y[1] - _Y[0], **band)
        handles: list[Artist] = [
            Line2D([], [], **model_style(look)),
            Line2D([], [], color=look.ink, marker="o", markersize=10, linestyle=""),
            Line2D([], [], color=look.ink, linewidth=1.6, linestyle=":"), Patch(**band),
            Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        names = [words(f"tco_lab.legend.{key}") for key in ("model", "here", "limit", "prices")]
        legend(axes, look, handles, [*names, words("lab.kept")], loc="upper left", bbox_to_anchor=(-0.17, -0.19),
               ncols=5, columnspacing=1.3)  # fmt: skip
        return [*self._build_line(), *self._build_steps()]

    def _build_line(self) -> list[Artist]:
        look, axes = self.look, self.axes
        self._prices = np.geomspace(*_X, 121)
        self._ghost = axes.plot([], [], **ghost_style(look))[0]
        self._line = axes.plot([], [], **model_style(look))[0]
        self._even = axes.plot([1, 1], _Y, color=look.ink, linewidth=1.6, linestyle=":")[0]
        self._dot = axes.plot([], [], "o", color=look.ink, markersize=12, clip_on=False)[0]
        behind: dict[str, Any] = {"facecolor": look.paper, "edgecolor": "none", "pad": 1.5}
        self._limit = write(axes, look, _X[1] / 1.15, 32_000, ha="right", size=SIZE["label"], bbox=behind)
        return [self._ghost, self._line, self._even, self._dot, self._limit]

    def _build_steps(self) -> list[Artist]:
        look = self.look
        steps = self.steps = self.figure.add_axes((0.695, 0.255, 0.142, 0.635))
        dress(steps, look)
        self.figure.text(0.585, 0.915, words("tco_lab.steps_title"), fontsize=SIZE["title"], color=look.ink)
        n = len(STEPS) + 1
        steps.set(xlim=(-0.015, 1.015), ylim=(-0.5, n - 0.5), xticks=[], yticks=[])
        for spine in steps.spines.values():
            spine.set_visible(False)
        self._bars, self._figures = {}, {}
        for i, key in enumerate([*STEPS, "net"]):
            y = n - 1 - i
            beside: dict[str, Any] = {"transform": steps.get_yaxis_transform(), "size": SIZE["label"]}
            write(steps, look, -0.06, y, words(f"tco_lab.step.{key}"), ha="right", **beside)
            style = place_style(look, STEPS[key]) if key in STEPS else {"facecolor": look.ink, "edgecolor": look.ink}
            self._bars[key] = box(steps, 0, y - _HIGH / 2, 0.5, _HIGH, **style)
            self._figures[key] = write(steps, look, 1.06, y, **beside)
        self._figures["net"].set_fontweight("bold")
        self._old = steps.plot([0, 0], [-0.45, 0.45], **ghost_style(look, linewidth=3))[0]
        self._zero = steps.plot([0, 0], [-0.5, n - 0.5], color=look.ink, linewidth=1.2)[0]
        self._fleet = self.figure.text(0.585, 0.175, "", fontsize=SIZE["note"], color=look.ink, va="center")
        return [*self._bars.values(), self._zero, self._old, *self._figures.values(), self._fleet]

    def show(self, result: Tco, kept: Tco | None = None, prediction: Any = None) -> None:
        self._line.set_data(self._prices, self._left(result))
        for ghost in (self._ghost, self._old):
            ghost.set_visible(kept is not None)
        if kept is not None:
            self._ghost.set_data(self._prices, self._left(kept))
        even = result.break_even_usd
        self._even.set_visible(_X[0] <= even <= _X[1])
        if self._even.get_visible():
            self._even.set_xdata([even, even])
        self._limit.set_text(say("tco_lab.limit", limit=result.limit()))
        self._dot.set_data([result.options.card_usd], [min(max(result.net_usd, _Y[0]), _Y[1])])
        self._show_steps(result, kept)

    def _show_steps(self, result: Tco, kept: Tco | None) -> None:
        """Each step starts where the one before it ended; all in proportion to the way that they go."""
        gain, after = result.gain_usd, result.gain_usd - result.card_usd
        spans = {"gain": (0, gain), "card": (after, gain), "power": (result.net_usd, after), "net": (0, result.net_usd)}
        low = min(0, *(min(span) for span in spans.values()))
        width = max(0, *(max(span) for span in spans.values())) - low or 1
        for key, bar in self._bars.items():
            start, end = sorted(spans[key])
            bar.set_x((start - low) / width)
            bar.set_width((end - start) / width)
        values = {"gain": gain, "card": -result.card_usd, "power": -result.power_usd, "net": result.net_usd}
        for key, value in values.items():
            self._figures[key].set_text(show(value, "USD"))
        self._zero.set_xdata([-low / width] * 2)
        if kept is not None:
            self._old.set_xdata([min(max((kept.net_usd - low) / width, 0), 1)] * 2)
        self._fleet.set_text(say("tco_lab.fleet", left=show(result.fleet_usd, "USD"),
                                 servers=show(result.options.servers, "servers"),
                                 cores=show(result.freed_cores, "cores")))  # fmt: skip

    def _left(self, result: Tco) -> Any:
        """What is left over the prices of a card, cut to the picture."""
        left = result.gain_usd - result.power_usd - self._prices * result.options.rate
        return np.clip(left, *_Y)
