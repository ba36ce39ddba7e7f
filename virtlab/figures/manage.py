"""Management in three places: what a request waits over what management takes, and what each place costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from virtlab.cloud import Management, ManagementCurve
from virtlab.cloud.management import MEASURES
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, box, dress, ghost_style, legend, literature_style, model_style, place_style

#: Shares of the host that management takes, at which the waits are drawn.
SHARES: NDArray[np.float64] = np.logspace(-4, np.log10(0.6), 49)
_BOTTOM, _TOP = 5e2, 4e9  # ns
_LEAST, _NEVER = 2e3, 5e8  # where shorter waits are drawn, and those without end
#: Rows on the right, from top to bottom, and the place whose cores they count.
ROWS: Mapping[str, str] = {"host": "host", "reserved": "host", "board": "card"}
_WIDTH = {"p99": 2.6, "mean": 1.3}


@dataclass(frozen=True)
class ManageResult:
    """Management as it is, and the waits at SHARES."""

    now: Management
    curve: ManagementCurve

    @property
    def parts(self) -> dict[str, float]:
        """What the rows on the right show: shares of the host's cores, and how busy the board's are."""
        return {"host": self.now.share, "reserved": self.now.reserved_share, "board": self.now.places["board"].busy}


class ManagePicture(Picture[ManageResult]):
    """Left: waits, mean and 99th percentile, in three places. Right: what is taken of the host, and of the board."""

    size_px = (1080, 570)
    #: Published: what hosts keep back, as shares.
    kept_back: Sequence[float] = ()

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.axes = self.figure.add_axes((0.085, 0.27, 0.53, 0.6))
        names = {key: words(f"manage_lab.{key}") for key in ("title", "x", "y")}
        dress(axes, look, **names, grid="both")
        axes.set(xscale="log", yscale="log", xlim=(SHARES[0], SHARES[-1]), ylim=(_BOTTOM, _TOP))
        axes.set_xticks([1e-4, 1e-3, 1e-2, 0.1, 0.5], ["0.01 %", "0.1 %", "1 %", "10 %", "50 %"])
        axes.set_yticks([1e4, 1e5, 1e6, 1e7, 1e8, _NEVER],
                        ["10 µs", "0.1 ms", "1 ms", "10 ms", "0.1 s", str(words("manage_lab.never"))])  # fmt: skip
        axes.minorticks_off()
        self._ghosts = {m: axes.plot([], [], **ghost_style(look))[0] for m in MEASURES}
        self._ghost_at = axes.plot([], [], "o", markersize=11, markerfacecolor="none", color=look.faint)[0]
        card = look.place["card"]
        self._board = {m: axes.plot([], [], **model_style(look, color=card, linewidth=_WIDTH[m] + 0.8))[0]
                       for m in MEASURES}  # fmt: skip
        self._reserved = {m: axes.plot([], [], **model_style(look, linestyle="-.", linewidth=_WIDTH[m]))[0]
                          for m in MEASURES}  # fmt: skip
        self._host = {m: axes.plot([], [], **model_style(look, linewidth=_WIDTH[m]))[0] for m in MEASURES}
        self._full = axes.plot([], [], color=look.faint, linewidth=1.6)[0]
        behind: dict[str, Any] = {"facecolor": look.paper, "edgecolor": "none", "pad": 1.0}
        self._full_text = axes.text(1, _TOP / 2, "", fontsize=SIZE["note"], color=look.faint, va="center", bbox=behind)
        self._pays = {m: axes.plot([], [], "x", color=look.ink, markersize=11, markeredgewidth=2.6, zorder=6)[0]
                      for m in MEASURES}  # fmt: skip
        self._dots = {m: axes.plot([], [], "o", color=look.ink, markersize=9, zorder=7)[0] for m in MEASURES}
        self._values = {m: axes.text(1, 1, "", fontsize=SIZE["label"], color=look.ink, weight="bold", ha="right",
                                     va="bottom" if m == "p99" else "top", bbox=behind, zorder=5)
                        for m in MEASURES}  # fmt: skip
        handles = [
            Line2D([], [], **model_style(look)), Line2D([], [], **model_style(look, linestyle="-.")),
            Line2D([], [], **model_style(look, color=card)),
            Line2D([], [], color=look.ink, marker="x", markersize=10, markeredgewidth=2.6, linestyle=""),
            Line2D([], [], color=look.ink, marker="D", markersize=literature_style(look)["markersize"], linestyle=""),
            Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        labels = [words(f"manage_lab.legend.{key}") for key in words("manage_lab.legend")]
        legend(axes, look, handles, [*labels, words("lab.kept")], loc="upper left", bbox_to_anchor=(-0.13, -0.2),
               ncols=3, columnspacing=1.6)  # fmt: skip
        return [*self._build_costs(), *self._ghosts.values(), self._ghost_at, *self._board.values(),
                *self._reserved.values(), *self._host.values(), self._full, self._full_text, *self._pays.values(),
                *self._dots.values(), *self._values.values()]  # fmt: skip

    def _build_costs(self) -> list[Artist]:
        look = self.look
        axes = self.costs = self.figure.add_axes((0.68, 0.27, 0.285, 0.6))
        dress(axes, look, title=words("manage_lab.costs_title"), x=words("manage_lab.costs_x"), grid="x")
        axes.set(xlim=(0, 1.12), ylim=(-0.55, 2.75), yticks=[])
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.axvline(1, color=look.ink, linewidth=1.6)
        self._row = {key: 2 - i for i, key in enumerate(ROWS)}
        for share in self.kept_back:
            axes.plot([share], [self._row["reserved"] - 0.3], "D", color=look.ink, clip_on=False,
                      markersize=literature_style(look)["markersize"] - 1)  # fmt: skip
        self._bars = {key: box(axes, 0, y - 0.16, 0.1, 0.32, **place_style(look, ROWS[key]))
                      for key, y in self._row.items()}  # fmt: skip
        self._old = {key: axes.plot([0, 0], [y - 0.26, y + 0.26], **ghost_style(look))[0]
                     for key, y in self._row.items()}  # fmt: skip
        self._names = {key: axes.text(0.0, y + 0.24, "", fontsize=SIZE["note"], color=look.ink, va="bottom")
                       for key, y in self._row.items()}  # fmt: skip
        return [*self._bars.values(), *self._old.values(), *self._names.values()]

    def show(self, result: ManageResult, kept: ManageResult | None = None, prediction: Any = None) -> None:
        now = result.now
        reserved, board = now.places["reserved"], now.places["board"]
        full = min(max(now.reserved_share, SHARES[0]), SHARES[-1])
        for m in MEASURES:
            self._host[m].set_data(SHARES, _inside(getattr(result.curve, f"{m}_wait_ns")))
            self._reserved[m].set_data([SHARES[0], full], _inside([getattr(reserved, f"{m}_wait_ns")] * 2))
            self._board[m].set_data([SHARES[0], SHARES[-1]], _inside([getattr(board, f"{m}_wait_ns")] * 2))
            wait = getattr(now.places["host"], f"{m}_wait_ns")
            at = (min(max(now.share, SHARES[0]), SHARES[-1]), float(_inside([wait])[0]))
            self._dots[m].set_data([at[0]], [at[1]])
            left = at[0] < 2e-3  # then there is room on the other side only
            # The mean's stands below all lines, for nobody waits less than beside a board, and the other above that.
            least = float(_inside([board.mean_wait_ns])[0])
            y = 1.3 * max(at[1], least) if m == "p99" else least / 1.35
            self._values[m].set(x=at[0] * (1.15 if left else 0.87), y=y, ha="left" if left else "right")
            self._values[m].set_text(f"{words(f'manage_lab.{m}')} {show(wait, 'ns')}")
            pays = now.breaks_even[m]
            self._pays[m].set_visible(False)
            if pays is not None and SHARES[0] <= pays <= full:
                self._pays[m].set_visible(True)
                self._pays[m].set_data([pays], _inside([getattr(reserved, f"{m}_wait_ns")]))
            self._ghosts[m].set_visible(kept is not None)
            if kept is not None:
                self._ghosts[m].set_data(SHARES, _inside(getattr(kept.curve, f"{m}_wait_ns")))
        self._full.set_data([full, full], [_BOTTOM, _TOP])
        self._full_text.set(x=full * 1.06 if full < 0.1 else full / 1.06, ha="left" if full < 0.1 else "right")
        self._full_text.set_text(say("manage_lab.full", n=now.options.reserved_cores))
        self._ghost_at.set_visible(kept is not None)
        if kept is not None:
            was = kept.now.places["host"].p99_wait_ns
            self._ghost_at.set_data([min(max(kept.now.share, SHARES[0]), SHARES[-1])], _inside([was]))
        self._show_costs(result, kept)

    def _show_costs(self, result: ManageResult, kept: ManageResult | None) -> None:
        for key, share in result.parts.items():
            self._bars[key].set_width(max(min(share, 1.1), 0.002))
            self._names[key].set_text(say(f"manage_lab.row.{key}", share=show(share, "%")))
            self._old[key].set_visible(kept is not None)
            if kept is not None:
                self._old[key].set_xdata([min(kept.parts[key], 1.1)] * 2)


def _inside(waits_ns: Any) -> NDArray[np.float64]:
    """Waits as they are drawn: what is outside lies at the edge, and one without end above all."""
    inside: NDArray[np.float64] = np.clip(np.asarray(waits_ns, dtype=np.float64), _LEAST, _NEVER)
    return inside
