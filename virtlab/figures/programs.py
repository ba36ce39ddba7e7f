"""Seven programs: the published share of their time in nested walks, beside what the model says with other pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, dress, ghost_style, legend, literature_style, model_style

_HALF = 0.3
_COLUMNS = {"small": 0.695, "huge": 0.785, "model": 0.895, "factor": 0.985}


@dataclass(frozen=True)
class ProgramsResult:
    """Shares of time in walks (1 = all), by program: published with 4 KiB and huge pages, and the model's."""

    small: Mapping[str, float]
    huge: Mapping[str, float]
    model: Mapping[str, float]
    pages: str


class ProgramsPicture(Picture[ProgramsResult]):
    """One row a program: two published points, and the model's mark."""

    size_px = (1040, 560)
    programs: tuple[str, ...] = ()
    small: Mapping[str, float] = {}
    huge: Mapping[str, float] = {}

    def build(self) -> Sequence[Artist]:
        look, n = self.look, len(self.programs)
        axes = self.figure.add_axes((0.125, 0.2, 0.49, 0.63))
        dress(axes, look, x=words("programs.x"), grid="x")
        axes.set(xlim=(0, 1), ylim=(-0.6, n - 0.4), yticks=[])
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        self.figure.text(0.015, 0.955, words("programs.title"), fontsize=SIZE["title"], color=look.ink, va="center")
        head: dict[str, Any] = {"fontsize": SIZE["note"], "color": look.faint, "va": "center", "ha": "right"}
        for key in ("small", "huge", "factor"):
            self.figure.text(_COLUMNS[key], 0.885, words(f"programs.head.{key}"), linespacing=1.2, **head)
        self.figure.text(_COLUMNS["model"], 0.905, words("programs.head.model"), **head)
        self._pages = self.figure.text(_COLUMNS["model"], 0.867, "", **head)
        self._y = {name: n - 1 - i for i, name in enumerate(self.programs)}
        hollow = literature_style(look)["markersize"]
        both: dict[str, Any] = {"marker": "D", "linestyle": "", "markersize": hollow, "markeredgewidth": 1.8,
                                "markeredgecolor": look.ink}  # fmt: skip
        for name, y in self._y.items():
            axes.text(-0.025, y, words(f"programs.name.{name}"), ha="right", va="center", color=look.ink,
                      fontsize=SIZE["label"], transform=axes.get_yaxis_transform())  # fmt: skip
            axes.plot([self.huge[name], self.small[name]], [y, y], color=look.faint, linewidth=1.4, zorder=1)
            axes.plot([self.small[name]], [y], markerfacecolor=look.paper, **both)
            axes.plot([self.huge[name]], [y], markerfacecolor=look.ink, **both)
        handles: list[Artist] = [
            Line2D([], [], markerfacecolor=look.paper, **both), Line2D([], [], markerfacecolor=look.ink, **both),
            Line2D([], [], color=look.ink, marker="|", markersize=16, markeredgewidth=4, linestyle=""),
            Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        names = [words(f"programs.legend.{k}") for k in ("small", "huge", "model")] + [words("lab.kept")]
        legend(axes, look, handles, names, loc="upper left", bbox_to_anchor=(-0.22, -0.17), ncols=4, columnspacing=1.4,
               handlelength=2.1)  # fmt: skip
        style = model_style(look, linewidth=4.5, solid_capstyle="butt")
        self._ghosts = {name: axes.plot([0, 0], [y - 0.42, y + 0.42], **ghost_style(look))[0]
                        for name, y in self._y.items()}  # fmt: skip
        self._marks = {name: axes.plot([0, 0], [y - _HALF, y + _HALF], **style)[0] for name, y in self._y.items()}
        box = axes.get_position()
        at = {name: box.y0 + (y + 0.6) / (n + 0.2) * box.height for name, y in self._y.items()}
        row: dict[str, Any] = {"fontsize": SIZE["label"], "color": look.ink, "va": "center", "ha": "right"}
        for name, y in at.items():
            for key, share in (("small", self.small[name]), ("huge", self.huge[name])):
                self.figure.text(_COLUMNS[key], y, show(share, "%"), **row)
        self._values = {(name, key): self.figure.text(_COLUMNS[key], y, "", **row)
                        for name, y in at.items() for key in ("model", "factor")}  # fmt: skip
        return [*self._ghosts.values(), *self._marks.values(), *self._values.values(), self._pages]

    def show(self, result: ProgramsResult, kept: ProgramsResult | None = None, prediction: Any = None) -> None:
        self._pages.set_text(result.pages)
        for name in self.programs:
            share = result.model[name]
            self._marks[name].set_xdata([share, share])
            self._ghosts[name].set_visible(kept is not None)
            if kept is not None:
                self._ghosts[name].set_xdata([kept.model[name]] * 2)
            self._values[name, "model"].set_text(show(share, "%"))
            self._values[name, "factor"].set_text(
                say("huge_pages.times", n=number(share / result.huge[name], 2)) if share else "0"
            )
