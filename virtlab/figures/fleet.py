"""What a loss means for a fleet: cores against servers, and money against the price of a core-year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from virtlab.core.units import show
from virtlab.core.words import words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, model_style


@dataclass(frozen=True)
class FleetPictureResult:
    """One fleet. The lines are ``cores_per_server * loss * servers`` and ``lost_cores * price``."""

    servers: float
    lost_per_server: float
    lost_cores: float
    core_year_usd: float
    usd_per_year: float


class FleetPicture(Picture[FleetPictureResult]):
    """Two log-log panels with the article's statements in them."""

    size_px = (1040, 540)
    #: The article's statements: servers, cores lost (low, high), USD a year.
    article_servers: float = 1e6
    article_cores: tuple[float, float] = (1e5, 1e6)
    article_usd: float = 1e9

    def build(self) -> Sequence[Artist]:
        look = self.look
        cores = self.figure.add_axes((0.11, 0.25, 0.36, 0.63))
        money = self.figure.add_axes((0.595, 0.25, 0.37, 0.63))
        dress(cores, look, title=words("fleet.cores_title"), x=words("fleet.cores_x"), grid="both")
        cores.set(xscale="log", yscale="log", xlim=(1e4, 1e7), ylim=(1e2, 1e9))
        cores.set_xticks([1e4, 1e5, 1e6, 1e7], ["10,000", "100,000", "1 million", "10 million"])
        cores.set_yticks([1e4, 1e6, 1e8], ["10,000", "1 million", "100 million"])
        dress(money, look, title=words("fleet.money_title"), x=words("fleet.money_x"), grid="both")
        money.set(xscale="log", yscale="log", xlim=(20, 4000), ylim=(1e5, 1e12))
        money.set_xticks([20, 100, 400, 1000, 4000], ["20", "100", "400", "1,000", "4,000"])
        money.set_yticks([1e6, 1e8, 1e9, 1e10, 1e12], ["1 M", "100 M", "1 bn", "10 bn", "1,000 bn"])
        for axes in (cores, money):
            axes.minorticks_off()
        band: dict[str, Any] = {"facecolor": "none", "edgecolor": look.faint, "hatch": "////", "linewidth": 1}
        low, high = self.article_cores
        box(cores, 1e4, low, 1e7, high - low, **band)
        cores.plot([self.article_servers] * 2, [1e2, 1e9], color=look.faint, linewidth=1.2, linestyle="--")
        money.plot([20, 4000], [self.article_usd] * 2, color=look.faint, linewidth=6, solid_capstyle="butt")
        handles: list[Artist] = [
            Line2D([], [], **model_style(look)),
            Line2D([], [], color=look.ink, marker="o", markersize=10, linestyle=""),
            Patch(**band), Line2D([], [], color=look.faint, linewidth=6), Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        names = ["lab.model", "fleet.here", "fleet.article_cores", "fleet.article_usd", "lab.kept"]
        legend(cores, look, handles, [words(k) for k in names], loc="upper left", bbox_to_anchor=(-0.25, -0.2), ncols=5)

        self._x, self._price = np.array([1e4, 1e7]), np.array([20.0, 4000.0])
        self._ghosts = [axes.plot([], [], **ghost_style(look))[0] for axes in (cores, money)]
        self._lines = [axes.plot([], [], **model_style(look))[0] for axes in (cores, money)]
        self._points = [axes.plot([], [], "o", color=look.ink, markersize=12, clip_on=False)[0]
                        for axes in (cores, money)]  # fmt: skip
        self._notes = [axes.text(1, 1, "", fontsize=SIZE["note"], color=look.ink, ha="right", va="bottom")
                       for axes in (cores, money)]  # fmt: skip
        self._limits = {"cores": cores.get_ylim(), "USD": money.get_ylim()}
        return [*self._ghosts, *self._lines, *self._points, *self._notes]

    def show(self, result: FleetPictureResult, kept: FleetPictureResult | None = None, prediction: Any = None) -> None:
        for lines, fleet in ((self._lines, result), (self._ghosts, kept)):
            for line in lines:
                line.set_visible(fleet is not None)
            if fleet is not None:
                lines[0].set_data(self._x, self._x * max(fleet.lost_per_server, 1e-9))
                lines[1].set_data(self._price, self._price * max(fleet.lost_cores, 1e-3))
        places = ((result.servers, result.lost_cores, "cores"), (result.core_year_usd, result.usd_per_year, "USD"))
        for point, note, (x, y, unit) in zip(self._points, self._notes, places, strict=True):
            low, high = self._limits[unit]
            y_drawn = min(max(y, low), high)  # what lies beyond is drawn at the edge; its number stands beside it
            point.set_data([x], [y_drawn])
            note.set_text(f"  {show(y, unit)}  ")
            # The lines rise, so there is room at the upper left, and for points far left at the lower right.
            far_left = x < (1e5 if unit == "cores" else 100)
            below = far_left and y_drawn > 3 * low or y_drawn * 30 > high
            note.set_position((x, y_drawn / 1.6 if below else y_drawn * 1.6))
            note.set(ha="left" if far_left else "right", va="top" if below else "bottom")
