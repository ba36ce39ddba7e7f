"""A picture that is drawn once and then updated: fixed layout, blitting, and a PNG encoder made for speed."""

from __future__ import annotations

import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from virtlab.figures.style import LOOKS, Look, Theme, default_theme

R = TypeVar("R")
#: Group id of a moving text that has nothing but the background behind it.
STAMP = "stamp"
_STAMPS = 1_000


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
        self._background: Any = None
        self._stamps: dict[tuple[Any, ...], Any] = {}

    @abstractmethod
    def build(self) -> Sequence[Artist]:
        """Draws into ``self.figure`` and returns the artists that ``show`` will change, in drawing order."""

    @abstractmethod
    def show(self, result: R, kept: R | None = None, prediction: Any = None) -> None:
        """Changes the moving artists to ``result``; ``kept`` is a ghost to compare with; both may be absent."""

    def png(self) -> bytes:
        """The picture as it is now."""
        if self._background is None:
            self._canvas.draw()
            self._background = self._canvas.copy_from_bbox(self.figure.bbox)  # type: ignore[attr-defined]
            self._stamps.clear()
        self._canvas.restore_region(self._background)  # type: ignore[attr-defined]
        renderer = self._canvas.get_renderer()
        for artist in self._moving:
            if artist.get_gid() == STAMP:
                self._stamp(cast(Text, artist), renderer)
            else:
                artist.draw(renderer)
        return encode_png(np.asarray(self._canvas.buffer_rgba()))

    def _stamp(self, text: Text, renderer: Any) -> None:
        """Draws a text once for each content and position, and copies its pixels after that: text is what costs most."""
        if not text.get_visible() or not text.get_text():
            return
        key = (id(text), text.get_text(), *text.get_position())
        if key not in self._stamps:
            if len(self._stamps) >= _STAMPS:
                self._stamps.clear()
            text.draw(renderer)
            self._stamps[key] = self._canvas.copy_from_bbox(text.get_window_extent(renderer))  # type: ignore[attr-defined]
        self._canvas.restore_region(self._stamps[key])  # type: ignore[attr-defined]

    def still_changed(self) -> None:
        """Tells that something of the background was changed, so that the next ``png`` draws all of it anew."""
        self._background = None


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
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
