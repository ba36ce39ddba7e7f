"""Encryption: cores against throughput for generations of CPUs and for a card, and the delay of one request."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import (
    SIZE,
    dress,
    ghost_style,
    legend,
    literature_style,
    machine_style,
    model_style,
)
from virtlab.offload import Encryption

#: A value with its interval: (value, low, high).
Span = tuple[float, float, float]
#: Where it is encrypted, and the place whose colour that is.
ROWS: Mapping[str, str] = {"guest": "guest", "host": "qemu", "card": "card"}
PUBLISHED_AT, MACHINE_AT = 400.0, 200.0  # Gb/s at which published rates and the machine's stand
_X, _Y, _NS = (1.0, 900.0), (0.1, 130.0), (60.0, 3e7)
#: Where the name of a generation stands: at so many cores, on this side of its line.
_NAMED = {"haswell": (3.0, "right"), "skylake": (0.24, "left"), "vaes": (0.24, "left")}
_ZERO = 0.058  # of the height of the picture: the strip of no core at all
_LABEL = 128  # characters that fit into the width
_BOX_LEFT, _BOX_RIGHT = (0.075, 0.315, 0.385, 0.5), (0.755, 0.315, 0.225, 0.5)


@dataclass(frozen=True)
class CryptoResult:
    """The model's costs; what the machine encrypts in GB/s and what 4 KiB take it in ns (None is missing)."""

    now: Encryption
    rate: Span | None
    block_ns: Span | None
    label: str
    live: bool


class CryptoPicture(Picture[CryptoResult]):
    """Left: cores against throughput. Below it: the card, which takes none. Right: one request."""

    size_px = (1080, 600)
    #: Published costs by generation in cycles a byte, and published rates by key in GB/s.
    generations: Mapping[str, float] = {}
    published: Mapping[str, float] = {}

    def build(self) -> Sequence[Artist]:
        look = self.look
        self.figure.text(0.015, 0.96, words("crypto_lab.title"), fontsize=SIZE["title"], color=look.ink, va="center")
        self.figure.text(0.665, 0.96, words("crypto_lab.delay_title"), fontsize=SIZE["title"], color=look.ink,
                         va="center")  # fmt: skip
        self._label = [self.figure.text(0.015, y, "", fontsize=SIZE["note"], color=look.faint, va="center")
                       for y in (0.91, 0.875)]  # fmt: skip
        axes = self.axes = self.figure.add_axes(_BOX_LEFT)
        dress(axes, look, y=words("crypto_lab.y"), grid="both")
        axes.set(xscale="log", yscale="log", xlim=_X, ylim=_Y)
        axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        axes.minorticks_off()
        left, bottom, width, height = _BOX_LEFT
        strip = self.strip = self.figure.add_axes((left, bottom - 0.04 - _ZERO, width, _ZERO), sharex=axes)
        dress(strip, look, x=words("crypto_lab.x"))
        strip.set(ylim=(0, 1), yticks=[0.5])
        strip.set_yticklabels(["0"])
        strip.set_xticks([1, 10, 40, 100, 200, 400, 800], ["1", "10", "40", "100", "200", "400", "800"])
        strip.minorticks_off()
        axes.tick_params(labelbottom=False)
        self._build_still()
        self._build_delays()
        return self._build_moving()

    def _build_still(self) -> None:
        """The generations' lines, and what others measured."""
        look, axes = self.look, self.axes
        clock = 3.0
        for key, cost in self.generations.items():
            axes.plot(_X, [x / 8 * cost / clock for x in _X], color=look.faint, linewidth=1.2)
            cores, side = _NAMED[key]
            at = cores * 8 * clock / cost
            axes.text(at / 1.12 if side == "right" else at * 1.12, cores, words(f"crypto_lab.generation.{key}"),
                      fontsize=SIZE["note"], color=look.faint, va="center", ha=side)  # fmt: skip
        diamond = literature_style(look)
        for key, rate in self.published.items():
            cores = PUBLISHED_AT / 8 / rate
            axes.plot([PUBLISHED_AT], [cores], "D", color=look.ink, markersize=diamond["markersize"],
                      markeredgecolor=look.paper, markeredgewidth=1.2, zorder=4)  # fmt: skip
            axes.annotate(words(f"crypto_lab.published.{key}"), (_X[1] * 1.04, cores), fontsize=SIZE["note"],
                          color=look.ink, va="center", annotation_clip=False)  # fmt: skip
        handles: list[Artist] = [
            Line2D([], [], **model_style(look)),
            Line2D([], [], color=look.faint, linewidth=1.2),
            Line2D([], [], color=look.ink, marker="D", linestyle="", markersize=diamond["markersize"]),
            Line2D([], [], color=look.ink, marker="o", linestyle="", markersize=10, markerfacecolor=look.paper,
                   markeredgewidth=3),
            Line2D([], [], color=look.place["qemu"], marker="x", markersize=10, markeredgewidth=4, linestyle=""),
            Line2D([], [], color=look.place["guest"], marker="|", markersize=14, markeredgewidth=4, linestyle=""),
            Line2D([], [], color=look.place["card"], linewidth=4),
            Line2D([], [], **ghost_style(look)),
        ]  # fmt: skip
        names = [words(f"crypto_lab.legend.{key}") for key in words("crypto_lab.legend")]
        legend(self.strip, look, handles, [*names, words("lab.kept")], loc="upper left", bbox_to_anchor=(-0.17, -1.25),
               ncols=4, columnspacing=1.3)  # fmt: skip

    def _build_delays(self) -> None:
        look = self.look
        axes = self.delays = self.figure.add_axes(_BOX_RIGHT)
        dress(axes, look, x=words("crypto_lab.delay_x"), grid="x")
        n = len(ROWS)
        axes.set(xscale="log", xlim=_NS, ylim=(-0.5, n - 0.5), yticks=[])
        axes.set_xticks([1e2, 1e4, 1e6], ["100 ns", "10 µs", "1 ms"])
        axes.minorticks_off()
        self._row = {key: n - 1 - i for i, key in enumerate(ROWS)}
        for key, y in self._row.items():
            axes.text(-0.04, y, words(f"crypto_lab.row.{key}"), transform=axes.get_yaxis_transform(), ha="right",
                      va="center", fontsize=SIZE["note"], color=look.ink)  # fmt: skip
            if y:
                axes.axhline(y - 0.5, color=look.grid, linewidth=0.8)

    def _build_moving(self) -> list[Artist]:
        look, axes = self.look, self.axes
        ring: dict[str, Any] = {"color": look.ink, "markersize": 12, "markerfacecolor": look.paper,
                                "markeredgewidth": 3, "zorder": 5}  # fmt: skip
        self._ghost = axes.plot([], [], **ghost_style(look))[0]
        self._ghost_at = axes.plot([], [], **ghost_style(look))[0]
        self._line = axes.plot([], [], **model_style(look))[0]
        self._ends = {key: axes.plot([1], [1], mark, color=look.place[ROWS[key]], markersize=size, markeredgewidth=4)[0]
                      for key, mark, size in (("guest", "|", 20), ("host", "x", 11))}  # fmt: skip
        self._spread = axes.plot([], [], color=look.ink, linewidth=machine_style(look)["elinewidth"])[0]
        self._ring = axes.plot([1], [1], "o", **ring)[0]
        self._dot = axes.plot([1], [1], "o", color=look.ink, markersize=9, zorder=6)[0]
        behind: dict[str, Any] = {"facecolor": look.paper, "edgecolor": "none", "pad": 1.0}
        self._cores = axes.text(1.12, _Y[1] / 1.7, "", fontsize=SIZE["label"], color=look.ink, weight="bold",
                                va="center", bbox=behind)  # fmt: skip
        self._card = self.strip.plot([1, 1], [0.5, 0.5], color=look.place["card"], linewidth=5,
                                     solid_capstyle="butt")[0]  # fmt: skip
        self._card_dot = self.strip.plot([1], [0.5], "o", color=look.ink, markersize=9)[0]
        self._card_end = self.strip.text(0, 0.5, "", fontsize=SIZE["note"], color=look.ink, va="center",
                                         clip_on=False)  # fmt: skip
        delays = self.delays
        self._old = {key: delays.plot([1, 1], [y - 0.2, y + 0.2], **ghost_style(look))[0]
                     for key, y in self._row.items()}  # fmt: skip
        self._points = {key: delays.plot([1], [y], "s", color=look.place[ROWS[key]], markersize=13,
                                         markeredgecolor=look.ink, markeredgewidth=0.8)[0]
                        for key, y in self._row.items()}  # fmt: skip
        self._times = {key: delays.text(1, y + 0.26, "", fontsize=SIZE["label"], color=look.ink, ha="center",
                                        va="center", bbox=behind) for key, y in self._row.items()}  # fmt: skip
        self._block = delays.plot([1], [self._row["host"] - 0.25], "o", **ring)[0]
        return [*self._label, self._ghost, self._ghost_at, self._line, *self._ends.values(), self._spread, self._ring,
                self._dot, self._cores, self._card, self._card_dot, self._card_end, *self._old.values(),
                *self._points.values(), *self._times.values(), self._block]  # fmt: skip

    def show(self, result: CryptoResult, kept: CryptoResult | None = None, prediction: Any = None) -> None:
        now, o = result.now, result.now.options
        mark = "◉ " if result.live else "◎ "
        lines = textwrap.wrap(mark + result.label, _LABEL, max_lines=2, placeholder=" …")
        for part, line in zip(self._label, [*lines, ""], strict=False):
            part.set_text(line)
        self._line.set_data(*_line(now))
        self._ghost.set_visible(kept is not None)
        self._ghost_at.set_visible(kept is not None)
        if kept is not None:
            self._ghost.set_data(*_line(kept.now))
            old = min(max(kept.now.cores, _Y[0] * 1.06), _Y[1] / 1.06)
            self._ghost_at.set_data([kept.now.options.throughput_gbit_per_s] * 2, [old / 2, old * 2])
        for key, threads in (("guest", o.guest_crypto_threads), ("host", o.host_crypto_threads)):
            rate = 8 * threads * o.core_gbyte_per_s
            seen = _X[0] <= rate <= _X[1] and _Y[0] <= threads <= _Y[1]
            self._ends[key].set_visible(seen)
            if seen:
                self._ends[key].set_data([rate], [threads])
        at, cores = o.throughput_gbit_per_s, min(max(now.cores, _Y[0] * 1.06), _Y[1] / 1.06)
        self._dot.set_data([min(max(at, _X[0]), _X[1])], [cores])
        self._cores.set_text(say("crypto_lab.cores", n=number(now.cores), rate=show(at, "Gb/s")))
        self._show_machine(result)
        end = min(o.card_crypto_gbit_per_s, _X[1])
        self._card.set_xdata([_X[0], max(end, _X[0] * 1.05)])
        self._card_dot.set_xdata([min(max(at, _X[0]), end)])
        self._card_end.set(x=_X[1] * 1.04, text=say("crypto_lab.card_end", rate=show(o.card_crypto_gbit_per_s, "Gb/s")))
        for key, point in self._points.items():
            ns = _inside(now.by_place[key].latency_ns)  # type: ignore[index]
            point.set_xdata([ns])
            self._times[key].set(text=show(now.by_place[key].latency_ns, "ns"), x=min(max(ns, 400), 4e6))  # type: ignore[index]
            self._old[key].set_visible(kept is not None)
            if kept is not None:
                self._old[key].set_xdata([_inside(kept.now.by_place[key].latency_ns)] * 2)  # type: ignore[index]

    def _show_machine(self, result: CryptoResult) -> None:
        for artist in (self._ring, self._spread):
            artist.set_visible(result.rate is not None)
        if result.rate is not None:
            value, *ends = (min(max(MACHINE_AT / 8 / rate, _Y[0]), _Y[1]) for rate in result.rate)
            self._ring.set_data([MACHINE_AT], [value])
            self._spread.set_data([MACHINE_AT] * 2, ends)
        block = result.block_ns if result.now.options.request_bytes == 4096 else None
        self._block.set_visible(block is not None)
        if block is not None:
            self._block.set_xdata([_inside(block[0])])


def _line(now: Encryption) -> tuple[list[float], list[float]]:
    """The software's line through the picture, up to its edges."""
    per = 1 / (8 * now.options.core_gbyte_per_s)  # cores a Gb/s
    xs = [min(max(y / per, _X[0]), _X[1]) for y in _Y]
    return xs, [min(max(x * per, _Y[0]), _Y[1]) for x in xs]


def _inside(ns: float) -> float:
    return min(max(ns, _NS[0] * 1.3), _NS[1] / 1.3)
