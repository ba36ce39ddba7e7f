"""PCIe: what a link carries by frame size, beside the Ethernet port, and the transactions of one packet below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.text import Text
from numpy.typing import NDArray

from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import (
    SIZE,
    box,
    dress,
    ghost_style,
    legend,
    literature_style,
    model_style,
    place_style,
    write,
)
from virtlab.offload import PacketDma, Transaction

#: Frames (B, with checksum) of the points of the curves.
FRAMES: NDArray[np.int64] = np.arange(64, 1519)
#: Which of them are drawn: every eighth, and both sides of each full payload.
_DRAWN = (FRAMES % 8 == 0) | np.isin(FRAMES % 128, (4, 5)) | (FRAMES == 1518)
ROWS = 9  # transactions of one way, at most
_TOPS = [m * 10.0**e for e in range(-1, 5) for m in (1, 2, 4, 6, 8)]  # their quarters are round numbers too
_WAYS = ("tx", "rx")
_LEFT = {"tx": 14.0, "rx": 526.0}
_PACKETS, _MIDDLE, _HALF = 164.0, 402.0, 76.0  # of one panel: where packets stand, where bytes begin, their width
_TOP, _PITCH, _HEIGHT = 492.0, 22.0, 14.0
_BILL_X, _BILL_Y, _BILL_PITCH = 606.0, 78.0, 28.0
_BILL_AT = (920.0, 1032.0)  # the right edges of this setting's numbers, and of a kept one's


@dataclass(frozen=True)
class PcieResult:
    """One packet's transactions; curves in Gb/s of data by frame (``FRAMES``), and published points (frame, Gb/s).

    ``curves``: ``nic`` (this NIC, both ways at once), ``write`` and ``read`` (data alone), ``both`` (data alone, at
    once), ``wire`` (what the Ethernet port brings). ``others``: the other NICs.
    """

    packet: PacketDma
    curves: Mapping[str, NDArray[np.float64]]
    others: Mapping[str, NDArray[np.float64]]
    wire_gbit_per_s: float
    link_gbit_per_s: float
    published: tuple[tuple[float, float], ...]

    @property
    def rate_gbit_per_s(self) -> float:
        return self.packet.gbit_per_s()

    @property
    def line_share(self) -> float:
        """How much of the port's frames PCIe carries, of this size; at most all."""
        return min(1.0, self.rate_gbit_per_s / self.wire_gbit_per_s)


class PciePicture(Picture[PcieResult]):
    """Above: rates by frame size, and this setting in numbers. Below: the transactions of a packet, a bar each way."""

    size_px = (1040, 760)

    def build(self) -> Sequence[Artist]:
        whole = self.whole_axes()
        moving = [*self._build_rates(), *self._build_bill(whole), *self._build_transactions(whole)]
        write(whole, self.look, _LEFT["tx"] + 190, _TOP - 20, words("pcie_lab.waiting"), SIZE["note"],
              color=self.look.faint, ha="center")  # fmt: skip
        self._legend(whole)
        return moving

    def _build_rates(self) -> list[Artist]:
        look = self.look
        axes = self.figure.add_axes((0.055, 0.515, 0.49, 0.42))
        dress(axes, look, title=words("pcie_lab.rates.title"), x=words("pcie_lab.rates.x"))
        axes.set(xlim=(0, 1540), ylim=(0, 1.08), yticks=[])
        axes.set_xticks([64, 256, 512, 768, 1024, 1280, 1518])
        for y in (0.25, 0.5, 0.75, 1):
            axes.axhline(y, color=look.grid, linewidth=1)
        self._ticks = [axes.text(-14, y, "", fontsize=SIZE["tick"], color=look.ink, ha="right", va="center")
                       for y in (0.0, 0.25, 0.5, 0.75, 1.0)]  # fmt: skip
        self._others = axes.plot([], [], color=look.grid, linewidth=1.6)[0]
        self._curves = {name: axes.plot([], [], **style)[0] for name, style in self._styles().items()}
        self._ghost = axes.plot([], [], **ghost_style(look))[0]
        mark = literature_style(look)
        self._seen = axes.plot([], [], linestyle="", marker=mark["fmt"], **_marker(mark))[0]
        self._dot = axes.plot([], [], "o", linestyle="", color=look.ink, markersize=11)[0]
        return [*self._ticks, self._others, *self._curves.values(), self._ghost, self._dot, self._seen]

    def _styles(self) -> dict[str, dict[str, Any]]:
        look = self.look
        return {
            "write": {"color": look.faint, "linewidth": 1.4, "linestyle": (0, (1, 1.5))},
            "read": {"color": look.faint, "linewidth": 1.4, "linestyle": (0, (6, 1.5, 1, 1.5))},
            "both": {"color": look.faint, "linewidth": 1.6},
            "wire": {"color": look.place["wire"], "linewidth": 4.5},
            "nic": model_style(look),
        }

    def _build_bill(self, axes: Axes) -> list[Artist]:
        look = self.look
        text = partial(write, axes, look)
        text(_BILL_X, 38, words("pcie_lab.bill.title"), SIZE["title"])
        keys = list(words("pcie_lab.bill.row"))
        for n, key in enumerate(keys):
            text(_BILL_X, _BILL_Y + _BILL_PITCH * n, words("pcie_lab.bill.row")[key], SIZE["note"])
        self._bill, self._old = (
            {key: text(x, _BILL_Y + _BILL_PITCH * n, "", size, color=colour, ha="right") for n, key in enumerate(keys)}
            for x, size, colour in zip(_BILL_AT, (SIZE["tick"], SIZE["note"]), (look.ink, look.faint), strict=True)
        )
        self._kept = text(_BILL_AT[1], 38, "", SIZE["note"], color=look.faint, ha="right")
        return [*self._bill.values(), *self._old.values(), self._kept]

    def _build_transactions(self, axes: Axes) -> list[Artist]:
        look = self.look
        text = partial(write, axes, look)
        moving: list[Artist] = []
        self._names: dict[str, list[Text]] = {}
        self._packets: dict[str, list[Text]] = {}
        self._bars: dict[str, list[tuple[Rectangle, Rectangle, Rectangle, Rectangle]]] = {}
        for way in _WAYS:
            left, low = _LEFT[way], _TOP + _PITCH * ROWS - 6
            middle = left + _MIDDLE
            text(left, _TOP - 46, words(f"pcie_lab.way.{way}"), SIZE["title"])
            text(middle - 6, _TOP - 20, words("pcie_lab.down"), SIZE["note"], color=look.faint, ha="right")
            text(middle + 6, _TOP - 20, words("pcie_lab.up"), SIZE["note"], color=look.faint)
            for side in (-1, 1):
                x = middle + side * _HALF
                axes.plot([x, x], [_TOP - 12, low], color=look.grid, linewidth=1, zorder=0)
            axes.plot([middle, middle], [_TOP - 12, low], color=look.faint, linewidth=1.2, zorder=3)
            ys = [_TOP + _PITCH * n for n in range(ROWS)]
            self._names[way] = [text(left, y, size=SIZE["note"]) for y in ys]
            self._packets[way] = [text(left + _PACKETS, y, size=SIZE["note"], color=look.faint) for y in ys]
            self._bars[way] = [self._row(axes, middle, y - _HEIGHT / 2) for y in ys]
            moving += [*self._names[way], *self._packets[way], *(bar for row in self._bars[way] for bar in row)]
        low = _TOP + _PITCH * ROWS + 3
        self._scale = [text(_LEFT[way] + _MIDDLE + side * _HALF, low, size=SIZE["note"], color=look.faint, ha="center")
                       for way in _WAYS for side in (-1, 1)]  # fmt: skip
        return [*moving, *self._scale]

    def _row(self, axes: Axes, x: float, y: float) -> tuple[Rectangle, Rectangle, Rectangle, Rectangle]:
        """Data and headers down, data and headers up."""
        look = self.look
        data = place_style(look, "pcie")
        header = {"facecolor": look.paper, "edgecolor": look.ink, "linewidth": 0.9}
        bars = [box(axes, x, y, 0, _HEIGHT, **style) for style in (data, header, data, header)]
        for bar in bars[::2]:
            bar.set_gid(CUT)
        return bars[0], bars[1], bars[2], bars[3]

    def _legend(self, axes: Axes) -> None:
        look = self.look
        mark = literature_style(look)
        styles = self._styles()
        handles: list[Artist] = [Line2D([], [], **styles[k]) for k in ("nic", "wire", "both", "write", "read")]
        handles += [Line2D([], [], color=look.grid, linewidth=1.6),
                    Line2D([], [], linestyle="", marker=mark["fmt"], **_marker(mark)),
                    Line2D([], [], **ghost_style(look)), Patch(**place_style(look, "pcie")),
                    Patch(facecolor=look.paper, edgecolor=look.ink)]  # fmt: skip
        names = [words(f"pcie_lab.legend.{k}") for k in ("nic", "wire", "both", "write", "read", "others", "published")]
        names += [words("lab.kept"), words("pcie_lab.legend.data"), words("pcie_lab.legend.header")]
        legend(axes, look, handles, names, loc="lower left", bbox_to_anchor=(0.01, 0.0), ncols=5, columnspacing=1.4,
               handlelength=1.8, labelspacing=0.3)  # fmt: skip

    # --- a result ---------------------------------------------------------------------------------------------------

    def show(self, result: PcieResult, kept: PcieResult | None = None, prediction: Any = None) -> None:
        shown = [r for r in (result, kept) if r]
        self.top_gbit_per_s = _nice(max(float(r.curves["read"].max()) for r in shown))
        for tick, share in zip(self._ticks, (0, 0.25, 0.5, 0.75, 1.0), strict=True):
            tick.set_text(number(share * self.top_gbit_per_s))
        for name, line in self._curves.items():
            line.set_data(FRAMES[_DRAWN], result.curves[name][_DRAWN] / self.top_gbit_per_s)
        xs = np.append(FRAMES[_DRAWN].astype(float), math.nan)
        ys = [np.append(c[_DRAWN] / self.top_gbit_per_s, math.nan) for c in result.others.values()]
        self._others.set_data(np.tile(xs, len(ys)), np.concatenate(ys))
        self._ghost.set_visible(kept is not None)
        if kept is not None:
            self._ghost.set_data(FRAMES[_DRAWN], kept.curves["nic"][_DRAWN] / self.top_gbit_per_s)
        frame = result.packet.options.frame_bytes
        self._dot.set_data([frame], [result.rate_gbit_per_s / self.top_gbit_per_s])
        self._seen.set_data([f for f, _ in result.published], [r / self.top_gbit_per_s for _, r in result.published])
        for cells, of in ((self._bill, result), (self._old, kept)):
            bill = _bill(of) if of is not None else {}
            for key, cell in cells.items():
                cell.set_text(bill.get(key, ""))
        self._kept.set_text(words("lab.kept") if kept is not None else "")
        self._show_transactions(result.packet)

    def _show_transactions(self, packet: PacketDma) -> None:
        self.top_bytes = _nice(max(max(t.up_bytes, t.down_bytes) / t.per for t in (*packet.tx, *packet.rx)))
        for tick in self._scale:
            tick.set_text(f"{number(self.top_bytes)} B")
        for way in _WAYS:
            rows = list(packet.of("tx" if way == "tx" else "rx"))
            for n in range(ROWS):
                shown = rows[n] if n < len(rows) else None
                name, packets = self._names[way][n], self._packets[way][n]
                mark = words("pcie_lab.waits") if shown and shown.waits else ""
                name.set_text(f"{mark}{shown.title}" if shown else "")
                packets.set_text(_packets(shown) if shown else "")
                self._show_bars(self._bars[way][n], shown, _LEFT[way] + _MIDDLE)

    def _show_bars(self, bars: Sequence[Rectangle], shown: Transaction | None, x: float) -> None:
        for k, side in ((0, -1), (2, 1)):
            whole = (shown.down_bytes if side < 0 else shown.up_bytes) / shown.per if shown else 0.0
            data = shown.data_bytes / shown.per if shown and _carries(shown, side) else 0.0
            data, px = min(data, whole), _HALF / self.top_bytes
            for bar, start, size in ((bars[k], 0.0, data), (bars[k + 1], data, whole - data)):
                bar.set_visible(size > 0)
                width = size * px
                bar.set(x=x + start * px if side > 0 else x - start * px - width, width=width)


def _carries(t: Transaction, side: int) -> bool:
    """Whether the data of a transaction goes down (-1) or up (+1): a read's goes against its request."""
    return (t.act in ("cpu_write", "card_read")) == (side < 0)


def _packets(t: Transaction) -> str:
    text = " + ".join(f"{n} {kind}" for kind, n in t.packets.items())
    return text if t.per == 1 else say("pcie_lab.shared", packets=text, per=t.per)


def _bill(result: PcieResult) -> dict[str, str]:
    """This setting in numbers, by row."""
    p = result.packet
    counts = (number(p.transactions_per_packet("tx")), number(p.transactions_per_packet("rx")))
    return {
        "rate": show(result.rate_gbit_per_s, "Gb/s"),
        "packets": show(p.packets_per_s(), "packets/s"),
        "line": show(result.line_share, "share"),
        "bound": words(f"pcie_lab.bound.{p.bound}"),
        "transactions": " / ".join(counts),
        "tlps": " / ".join(number(p.tlps_per_packet(way)) for way in ("tx", "rx")),
        "headers": " / ".join(show(_headers(p, way), "share", 2) for way in _WAYS),
        "trips": number(p.round_trips("tx")),
        "time_tx": show(p.latency_ns("tx"), "ns"),
        "time_rx": show(p.latency_ns("rx"), "ns"),
    }


def _headers(p: PacketDma, way: str) -> float:
    """The share of the bytes of a packet, both ways, that are not the packet."""
    side = p.tx if way == "tx" else p.rx
    return 1 - p.options.data_bytes / sum((t.up_bytes + t.down_bytes) / t.per for t in side)


def _nice(most: float) -> float:
    return next((top for top in _TOPS if top >= most), _TOPS[-1])


def _marker(style: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in style.items() if k.startswith("marker") or k == "color"}
