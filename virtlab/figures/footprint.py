"""What a VM's memory costs with 4 KiB and with huge pages on both sides, and how long its first touch takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, dress, ghost_style, legend

#: Whose memory each part is: the host's own, or the guest's.
PARTS: Mapping[str, str] = {
    "bloat": "kvm", "unused": "kvm", "host_struct_pages": "kvm", "host_tables": "kvm", "guest_struct_pages": "guest",
    "guest_tables": "guest",
}  # fmt: skip
PAGES = ("4K", "2M", "1G")
SMALL, HUGE = "small", "huge"
#: Least and most that the axes show; nothing at all stands at the left end.
_BYTES, _NS = (1 << 10, 1 << 47), (1e3, 1e15)
_LEAST = 2.3 * _BYTES[0]  # where nothing stands
_LANE = 0.17
_WIDTH = 1 << 10  # the factor that a number beside its mark spans


@dataclass(frozen=True)
class FootprintResult:
    """Bytes by part for ``small`` and ``huge`` pages on both sides; exits and time of the first touch by host page."""

    parts: Mapping[str, Mapping[str, int]]
    exits: Mapping[str, int]
    touch_ns: Mapping[str, float]
    huge_page: str
    memory_bytes: int


class FootprintPicture(Picture[FootprintResult]):
    """Left: what the pages cost besides the memory that the guest touches. Right: its first touch."""

    size_px = (1040, 580)

    def build(self) -> Sequence[Artist]:
        look, n = self.look, len(PARTS)
        left = self.figure.add_axes((0.19, 0.2, 0.4, 0.65))
        right = self.figure.add_axes((0.7, 0.2, 0.27, 0.65))
        self.figure.text(0.015, 0.955, words("footprint_lab.title"), fontsize=SIZE["title"], color=look.ink,
                         va="center")  # fmt: skip
        self.figure.text(0.64, 0.955, words("footprint_lab.touch_title"), fontsize=SIZE["title"], color=look.ink,
                         va="center")  # fmt: skip
        dress(left, look, x=words("footprint_lab.x"), grid="x")
        left.set(xscale="log", xlim=_BYTES, ylim=(-0.6, n - 0.4), yticks=[])
        left.set_xticks([1 << 10, 1 << 20, 1 << 30, 1 << 40], ["1 KiB", "1 MiB", "1 GiB", "1 TiB"])
        dress(right, look, x=words("footprint_lab.touch_x"), grid="x")
        right.set(xscale="log", xlim=_NS, ylim=(-0.6, len(PAGES) - 0.4), yticks=[])
        right.set_xticks([1e3, 1e6, 1e9, 1e12, 1e15], ["1 µs", "1 ms", "1 s", "1000 s", "12 d"])
        for axes in (left, right):
            axes.minorticks_off()
        self._y = {part: n - 1 - i for i, part in enumerate(PARTS)}
        names = left.get_yaxis_transform()
        for part, y in self._y.items():
            left.text(-0.02, y + 0.15, words(f"footprint_lab.part.{part}"), ha="right", va="center", color=look.ink,
                      fontsize=SIZE["tick"], transform=names)  # fmt: skip
            left.text(-0.02, y - 0.2, words(f"footprint_lab.whose.{PARTS[part]}"), ha="right", va="center",
                      color=look.faint, fontsize=SIZE["note"], transform=names)  # fmt: skip
            if y:
                left.axhline(y - 0.5, color=look.grid, linewidth=0.8)
        rows = {page: len(PAGES) - 1 - i for i, page in enumerate(PAGES)}
        for page, y in rows.items():
            right.text(-0.03, y, words(f"parameter.host_page.choices.{page}"), ha="right", va="center", color=look.ink,
                       fontsize=SIZE["tick"], transform=right.get_yaxis_transform())  # fmt: skip
        handles: list[Artist] = [Line2D([], [], **self._style(key, "kvm"), linestyle="") for key in (SMALL, HUGE)]
        handles += [Line2D([], [], **ghost_style(look))]
        texts = [words(f"footprint_lab.legend.{key}") for key in (SMALL, HUGE)] + [words("lab.kept")]
        legend(left, look, handles, texts, loc="upper left", bbox_to_anchor=(-0.47, -0.16), ncols=3)
        lanes = {SMALL: _LANE, HUGE: -_LANE}
        keys = [(part, key) for part in PARTS for key in lanes]
        self._ghosts = {(part, key): left.plot([1, 1], [self._y[part] + lanes[key] - 0.13, self._y[part] + lanes[key]
                        + 0.13], **ghost_style(look))[0] for part, key in keys}  # fmt: skip
        self._points = {(part, key): left.plot([1], [self._y[part] + lanes[key]], **self._style(key, PARTS[part]))[0]
                        for part, key in keys}  # fmt: skip
        behind: dict[str, Any] = {"facecolor": look.paper, "edgecolor": "none", "pad": 0.5}  # a ghost may stand there
        self._values = {(part, key): left.text(1, self._y[part] + lanes[key], "", va="center", fontsize=SIZE["note"],
                                               color=look.ink, bbox=behind) for part, key in keys}  # fmt: skip
        self._touch_ghosts = {page: right.plot([1, 1], [y - 0.13, y + 0.13], **ghost_style(look))[0]
                              for page, y in rows.items()}  # fmt: skip
        self._touches = {page: right.plot([1], [y], **self._style(HUGE, "kvm"))[0] for page, y in rows.items()}
        self._times = {page: right.text(0.5, y + 0.27, "", va="center", ha="center", fontsize=SIZE["label"],
                                        color=look.ink, transform=right.get_yaxis_transform())
                       for page, y in rows.items()}  # fmt: skip
        self._exits = {page: right.text(0.5, y - 0.27, "", va="center", ha="center", fontsize=SIZE["note"],
                                        color=look.ink, transform=right.get_yaxis_transform())
                       for page, y in rows.items()}  # fmt: skip
        return [*self._ghosts.values(), *self._points.values(), *self._values.values(), *self._touch_ghosts.values(),
                *self._touches.values(), *self._times.values(), *self._exits.values()]  # fmt: skip

    def _style(self, key: str, place: str) -> dict[str, Any]:
        """Hollow squares are small pages, full ones huge; the colour says whose memory it is."""
        look = self.look
        fill = look.place[place]
        return {"marker": "s", "markersize": 9, "markeredgewidth": 2.2, "color": fill, "markeredgecolor": fill,
                "markerfacecolor": look.paper if key == SMALL else fill}  # fmt: skip

    def show(self, result: FootprintResult, kept: FootprintResult | None = None, prediction: Any = None) -> None:
        for (part, key), point in self._points.items():
            size = result.parts[key][part]
            at = min(max(size, _LEAST), _BYTES[1])
            point.set_xdata([at])
            value = self._values[part, key]
            old = min(max(kept.parts[key][part], _LEAST), _BYTES[1]) if kept is not None else at
            # To the left where there is no room on the right, or where a ghost stands there and the left is free.
            left = at > _BYTES[1] / (1 << 12) or (at < old < at * _WIDTH and at > _BYTES[0] * _WIDTH)
            value.set(text=show(size, "B") if size else words("footprint_lab.nothing"), x=at / 3 if left else at * 3,
                      ha="right" if left else "left")  # fmt: skip
            self._ghosts[part, key].set_visible(kept is not None)
            self._ghosts[part, key].set_xdata([old, old])
        for page in PAGES:
            self._touches[page].set_xdata([min(max(result.touch_ns[page], 2.5 * _NS[0]), _NS[1])])
            self._times[page].set_text(show(result.touch_ns[page], "ns"))
            exits = result.exits[page]
            self._exits[page].set_text(say("footprint_lab.exits" if exits != 1 else "footprint_lab.exit",
                                           n=f"{exits:,}"))  # fmt: skip
            self._touch_ghosts[page].set_visible(kept is not None)
            if kept is not None:
                old_ns = min(max(kept.touch_ns[page], 2.5 * _NS[0]), _NS[1])
                self._touch_ghosts[page].set_xdata([old_ns, old_ns])
