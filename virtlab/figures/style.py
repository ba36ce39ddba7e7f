"""The one palette: a colour means a place and nothing else; witnesses and ghosts are told apart by shape."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.text import Text

Theme = Literal["light", "dark"]

#: Hatches repeat what the colours say, for grey printing.
HATCH: Mapping[str, str] = {
    "guest": "", "kvm": "///", "qemu": "xxx", "host": "...", "poller": "\\\\\\", "card": "||", "pcie": "--",
    "wire": "++",
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """The colours of one theme. ``place`` is keyed by the values of ``virtlab.paths.Place``."""

    theme: Theme
    paper: str
    ink: str
    faint: str
    grid: str
    place: Mapping[str, str]

    def line_on(self, colour: str) -> str:
        """Ink, or paper where ink would not be seen on ``colour``."""
        light, dark = sorted((_luminance(self.ink), _luminance(colour)), reverse=True)
        return self.ink if (light + 0.05) / (dark + 0.05) > 1.5 else self.paper


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG, with the power 2.2)."""
    r, g, b = ((int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


LOOKS: Mapping[str, Look] = {
    "light": Look("light", "#ffffff", "#1a1d21", "#6b7178", "#dcdfe3", {
        "guest": "#1678ff", "kvm": "#f26a10", "qemu": "#bc165f", "host": "#ffcd38",
        "poller": "#732fa4", "card": "#14b072", "pcie": "#78e2eb", "wire": "#2d4836",
    }),
    "dark": Look("dark", "#16181d", "#f1f3f5", "#a6adb5", "#343a41", {
        "guest": "#7dc5ff", "kvm": "#f4b117", "qemu": "#d03e8f", "host": "#f6f1a8",
        "poller": "#b344fd", "card": "#13984b", "pcie": "#d6fffd", "wire": "#adb5bd",
    }),
}  # fmt: skip

#: Points; at 100 dpi and 960 px these are still legible from the last row of a classroom.
SIZE = {"title": 15, "label": 13, "tick": 12, "note": 11}


def default_theme() -> Theme:
    """The theme that environment variable VIRTLAB_THEME asks for, else light."""
    return "dark" if os.environ.get("VIRTLAB_THEME") == "dark" else "light"


def dress(axes: Axes, look: Look, *, title: str = "", x: str = "", y: str = "", grid: str = "") -> None:
    """Gives axes the look of the house: no box, quiet grid, legible labels (with their units)."""
    axes.set_facecolor(look.paper)
    axes.set_title(title, fontsize=SIZE["title"], color=look.ink, loc="left", pad=10)
    axes.set_xlabel(x, fontsize=SIZE["label"], color=look.ink)
    axes.set_ylabel(y, fontsize=SIZE["label"], color=look.ink)
    axes.tick_params(labelsize=SIZE["tick"], colors=look.ink, which="both", length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(look.faint)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=look.grid, linewidth=1)  # type: ignore[arg-type]


def place_style(look: Look, place: str) -> dict[str, Any]:
    """Fill, edge and hatch of a bar or box that stands for a place."""
    fill = look.place[place]
    return {"facecolor": fill, "edgecolor": look.line_on(fill), "linewidth": 0.8, "hatch": HATCH[place]}


def model_style(look: Look, **more: Any) -> dict[str, Any]:
    """A model's line."""
    return {"color": look.ink, "linewidth": 2.6, "linestyle": "-", **more}


def literature_style(look: Look, **more: Any) -> dict[str, Any]:
    """A published measurement: a filled diamond, with its interval as a bar (for ``Axes.errorbar``)."""
    return {"fmt": "D", "color": look.ink, "markersize": 9, "markeredgecolor": look.paper, "markeredgewidth": 1.2,
            "capsize": 5, "elinewidth": 1.8, **more}  # fmt: skip


def machine_style(look: Look, **more: Any) -> dict[str, Any]:
    """What the reader's own machine measured: a ringed point, with its spread as a bar."""
    return {"fmt": "o", "color": look.ink, "markersize": 13, "markerfacecolor": look.paper, "markeredgewidth": 3,
            "capsize": 5, "elinewidth": 1.8, **more}  # fmt: skip


def ghost_style(look: Look, **more: Any) -> dict[str, Any]:
    """A setting that was kept to compare with: a dashed outline in the quiet colour."""
    return {"color": look.faint, "linewidth": 2.0, "linestyle": (0, (4, 3)), **more}


def box(axes: Axes, x: float, y: float, width: float, height: float, **style: Any) -> Rectangle:
    """Adds a rectangle with its lower left corner at (x, y) and returns it."""
    added = Rectangle((x, y), width, height, **style)
    axes.add_patch(added)
    return added


def write(
    axes: Axes, look: Look, x: float, y: float, content: str = "", size: float = SIZE["tick"], **more: Any
) -> Text:
    """Adds a text in ink, centred on the height ``y``, and returns it."""
    return axes.text(x, y, content, fontsize=size, **{"color": look.ink, "va": "center", **more})


def legend(axes: Axes, look: Look, handles: Sequence[Artist], labels: list[str], **more: Any) -> None:
    """A legend in the look of the house, outside the data unless ``loc`` says otherwise."""
    axes.legend(list(handles), labels, fontsize=SIZE["note"], frameon=False, labelcolor=look.ink, **more)
