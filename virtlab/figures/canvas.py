"""A picture that is drawn once and then updated: fixed layout, blitting, and a PNG encoder made for speed."""

from __future__ import annotations

import base64
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from numpy.typing import NDArray

from virtlab.figures.letters import Letters
from virtlab.figures.style import LOOKS, Look, Theme, default_theme

R = TypeVar("R")
#: Group id of a moving rectangle, opaque and inside its axes, whose hatch is cut from one that was drawn before.
CUT = "cut"
_Box = tuple[slice, slice]  # rows and columns of an image


class Still:
    """A finished picture with the sentence that says the same, shown as an image wherever that is possible."""

    def __init__(self, png: bytes, sentence: str) -> None:
        self.png, self.sentence = png, sentence

    def __repr__(self) -> str:
        return self.sentence

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        image = base64.b64encode(self.png).decode()
        return {"image/png": image, "text/plain": self.sentence}, {"image/png": {"alt": self.sentence}}


class Picture(ABC, Generic[R]):
    """A figure that shows one result of type ``R``.

    A subclass draws everything once in ``build``, returns the artists that will change, and changes them in ``show``.
    What stands still (axes, ticks, labels, legends) is kept as a background, which makes an update ten times faster.
    """

    size_px: tuple[int, int] = (960, 540)

    def __init__(self, theme: Theme | None = None, scale: float = 1.0) -> None:
        self.look: Look = LOOKS[theme or default_theme()]
        dpi = 100 * scale
        self.figure = Figure(figsize=(self.size_px[0] / 100, self.size_px[1] / 100), dpi=dpi, facecolor=self.look.paper)
        self._canvas = FigureCanvasAgg(self.figure)
        self._moving: Sequence[Artist] = self.build()
        for artist in self._moving:
            artist.set_animated(True)
        self._background: NDArray[np.uint8] | None = None
        self._letters = Letters(self.figure, self._canvas.get_renderer())
        self._sheets: dict[tuple[Any, ...], tuple[_Box, NDArray[np.uint8]]] = {}

    @abstractmethod
    def build(self) -> Sequence[Artist]:
        """Draws into ``self.figure`` and returns the artists that ``show`` will change, in drawing order."""

    @abstractmethod
    def show(self, result: R, kept: R | None = None, prediction: Any = None) -> None:
        """Changes the moving artists to ``result``; ``kept`` is a ghost to compare with; both may be absent."""

    def whole_axes(self) -> Axes:
        """Bare axes over the whole picture, in its own pixels, from the top left corner (for diagrams)."""
        axes = self.figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, self.size_px[0]), ylim=(self.size_px[1], 0))
        axes.axis("off")
        return axes

    def png(self) -> bytes:
        """The picture as it is now."""
        if self._background is None:
            self._canvas.draw()
            self._background = self._pixels().copy()
            self._sheets.clear()
        pixels, renderer = self._pixels(), self._canvas.get_renderer()
        pixels[:] = self._background
        for artist in self._moving:
            if not artist.get_visible():
                continue
            if isinstance(artist, Text):
                self._letters.draw(pixels, artist)
            elif artist.get_gid() == CUT:
                self._cut(pixels, cast(Rectangle, artist), renderer)
            else:
                artist.draw(renderer)
        return encode_png(pixels)

    def _pixels(self) -> NDArray[np.uint8]:
        """The canvas itself as uint8[height, width, 4]: what is written here is drawn."""
        return np.asarray(self._canvas.buffer_rgba())

    def _cut(self, pixels: NDArray[np.uint8], bar: Rectangle, renderer: Any) -> None:
        """Fills a bar with its colour and hatch, and lines it. Drawing a hatch anew each time is slow."""
        key = (id(bar.axes), bar.get_facecolor(), bar.get_edgecolor(), bar.get_hatch())
        if key not in self._sheets:
            self._sheets[key] = self._sheet(pixels, bar, renderer)
        (rows, columns), sheet = self._sheets[key]
        inside = _box(bar.get_window_extent(renderer), pixels.shape)
        top, bottom = max(inside[0].start, rows.start), min(inside[0].stop, rows.stop)
        left, right = max(inside[1].start, columns.start), min(max(inside[1].stop, inside[1].start + 1), columns.stop)
        pixels[top:bottom, left:right] = sheet[
            top - rows.start : bottom - rows.start, left - columns.start : right - columns.start
        ]
        line = np.round(255 * to_rgba_array(bar.get_edgecolor())[0]).astype(np.uint8)
        if bottom > top and right > left:
            pixels[top:bottom, left] = pixels[top:bottom, right - 1] = line
            pixels[top, left:right] = pixels[bottom - 1, left:right] = line

    def _sheet(self, pixels: NDArray[np.uint8], bar: Rectangle, renderer: Any) -> tuple[_Box, NDArray[np.uint8]]:
        """The whole area of the axes in the bar's colour and hatch, and where it is; the canvas is left as it was."""
        assert bar.axes is not None
        before = pixels.copy()
        whole = Rectangle((0, 0), 1, 1, transform=bar.axes.transAxes, facecolor=bar.get_facecolor(),
                          edgecolor=bar.get_edgecolor(), hatch=bar.get_hatch(), linewidth=0)  # fmt: skip
        whole.set_figure(self.figure)
        whole.draw(renderer)
        at = _box(bar.axes.bbox, pixels.shape)
        sheet = pixels[at].copy()
        pixels[:] = before
        return at, sheet

    def still_changed(self) -> None:
        """Tells that something of the background was changed, so that the next ``png`` draws all of it anew."""
        self._background = None


def _box(extent: Any, shape: tuple[int, ...]) -> _Box:
    """Rows and columns of an extent, which counts from below, inside an image of ``shape``."""
    height, width = shape[:2]
    top, bottom = (min(max(round(height - y), 0), height) for y in (extent.y1, extent.y0))
    left, right = (min(max(round(x), 0), width) for x in (extent.x0, extent.x1))
    return slice(top, bottom), slice(left, right)


def encode_png(rgba: np.ndarray) -> bytes:
    """PNG of a uint8[height, width, 4] image. Several times as fast as a general encoder, for about the same size.

    Each row is stored as the difference to the row above ("up" filter), which suits the flat areas of a plot; the
    alpha channel stays, because taking it out costs more than compressing it.
    """
    height, width = rgba.shape[:2]
    image = np.ascontiguousarray(rgba).reshape(height, 4 * width)
    rows = np.empty((height, 1 + 4 * width), np.uint8)
    rows[:, 0] = 2
    rows[0, 1:] = image[0]
    np.subtract(image[1:], image[:-1], out=rows[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.data, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
