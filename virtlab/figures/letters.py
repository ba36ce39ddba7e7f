"""Lines of text put together from letters that were drawn once: laying out a text anew is what costs most."""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
_PHASES = 4  # a letter is drawn once for each quarter of a pixel that it may begin at
_LINES = 500  # lines and places that are remembered
_BEFORE = {"left": 0.0, "center": 0.5, "right": 1.0}
_EDGE = 3  # pixels around a letter that it may touch


class _Line(NamedTuple):
    """How much each byte of a pixel is covered, 0 to 255: from ``_EDGE`` pixels left of the pen on, ``top`` rows from
    the highest row of a letter. ``width`` is the way of the pen."""

    cover: NDArray[np.int16]
    top: int
    width: float


class Letters:
    """Draws the texts of one figure into the pixels of its canvas, each in the font that it had at first."""

    def __init__(self, figure: Any, renderer: Any) -> None:
        self._figure, self._renderer = figure, renderer
        self._fonts: dict[Any, _Font] = {}
        self._font_of: dict[int, _Font] = {}
        self._places: dict[tuple[Any, ...], tuple[float, float]] = {}

    def draw(self, pixels: Pixels, text: Text) -> None:
        """Draws ``text`` into uint8[height, width, 4]. Several lines, turned text and formulas go the slow way."""
        content = text.get_text()
        if not content:
            return
        if "\n" in content or "$" in content or text.get_rotation():
            text.draw(self._renderer)
            return
        font = self._font_of.get(id(text)) or self._font(text)
        line = font.line(pixels, content)
        x, y = self._place(text)
        left = round(x - _BEFORE[text.get_horizontalalignment()] * line.width)
        baseline = pixels.shape[0] - round(y + font.rise[text.get_verticalalignment()])
        if (box := text.get_bbox_patch()) is not None:
            style: Any = box.get_boxstyle()
            pad = round(self._renderer.points_to_pixels(style.pad * text.get_fontsize()))
            top, bottom = baseline - font.ascent - pad, baseline + font.descent + pad
            right = left + round(line.width) + pad
            pixels[max(top, 0) : max(bottom, 0), max(left - pad, 0) : max(right, 0)] = _bytes(box.get_facecolor())
        _lay(pixels, line.cover, baseline - font.above + line.top, left - _EDGE, _bytes(text.get_color()))

    def _place(self, text: Text) -> tuple[float, float]:
        """Where the text is, in pixels from the lower left. The axes of a picture stay where they are."""
        key = id(text), *text.get_position()
        if key not in self._places:
            if len(self._places) >= _LINES:
                self._places.clear()
            x, y = text.get_transform().transform(text.get_position())
            self._places[key] = float(x), float(y)
        return self._places[key]

    def _font(self, text: Text) -> _Font:
        properties = text.get_fontproperties()
        if properties not in self._fonts:
            self._fonts[properties] = _Font(properties, self._figure, self._renderer)
        self._font_of[id(text)] = self._fonts[properties]
        return self._fonts[properties]


class _Font:
    """The letters of one font and size. ``rise`` is how far the baseline is above a text's position, in pixels."""

    def __init__(self, properties: Any, figure: Any, renderer: Any) -> None:
        self._properties, self._figure, self._renderer = properties, figure, renderer
        self._letters: dict[tuple[str, int], Pixels] = {}
        self._advances: dict[str, float] = {}
        self._lines: dict[str, _Line] = {}
        _, height, descent = renderer.get_text_width_height_descent("lp", properties, False)  # what Text measures by
        self.ascent, self.descent = round(height - descent), round(descent)
        self.rise = {"baseline": 0.0, "bottom": descent, "top": descent - height, "center": descent - height / 2}
        self.above, self._below = round(1.5 * (height - descent)) + _EDGE, round(1.5 * descent) + _EDGE

    def line(self, pixels: Pixels, content: str) -> _Line:
        """The line as it covers pixels; ``pixels`` is the canvas that new letters are drawn on for a moment."""
        if content not in self._lines:
            if len(self._lines) >= _LINES:
                self._lines.clear()
            self._lines[content] = self._compose(pixels, content)
        return self._lines[content]

    def _compose(self, pixels: Pixels, content: str) -> _Line:
        parts, pen = [], 0.0
        for token in re.findall(r"[^\W\d_]+|.", content):  # a word as one, digits and signs one by one
            at, phase = divmod(round(pen * _PHASES), _PHASES)
            parts.append((at, self._letter(pixels, token, phase)))
            pen += self._advance(token)
        length = max(at + letter.shape[1] for at, letter in parts)
        cover = np.zeros((self.above + self._below, length), np.uint8)
        for at, letter in parts:
            there = cover[:, at : at + letter.shape[1]]
            np.maximum(there, letter, out=there)
        inked = np.flatnonzero(cover.any(axis=1))
        top, bottom = (inked[0], inked[-1] + 1) if len(inked) else (0, 0)
        return _Line(np.repeat(cover[top:bottom].astype(np.int16), 4, axis=1), int(top), pen)

    def _letter(self, pixels: Pixels, token: str, phase: int) -> Pixels:
        """The pixels that one token covers; a corner of the canvas is borrowed to draw it, and given back as it was."""
        if (token, phase) not in self._letters:
            corner = pixels[: self.above + self._below, : int(self._advance(token)) + 2 * _EDGE + 2]
            before = corner.copy()
            corner[:] = 255
            place = _EDGE + phase / _PHASES, pixels.shape[0] - self.above
            letter = Text(*place, token, fontproperties=self._properties, color="black")
            letter.set_figure(self._figure)
            letter.draw(self._renderer)
            self._letters[token, phase] = 255 - corner[:, :, 0]
            corner[:] = before
        return self._letters[token, phase]

    def _advance(self, token: str) -> float:
        """How far the pen moves. A token alone would be measured by its ink, so it is measured between two others."""
        if token not in self._advances:
            with_it, without = (
                self._renderer.get_text_width_height_descent(f"0{t}0", self._properties, False)[0] for t in (token, "")
            )
            self._advances[token] = float(with_it - without)
        return self._advances[token]


@functools.lru_cache
def _bytes(colour: Any) -> Pixels:
    return np.array([*(round(255 * c) for c in to_rgb(colour)), 255], np.uint8)


def _lay(pixels: Pixels, cover: NDArray[np.int16], top: int, left: int, colour: Pixels) -> None:
    """Lays a colour over the pixels as thick as ``cover`` says; what is outside the image is left out."""
    height, width = pixels.shape[0], 4 * pixels.shape[1]
    rows = slice(max(top, 0), max(min(top + cover.shape[0], height), 0))
    columns = slice(max(4 * left, 0), max(min(4 * left + cover.shape[1], width), 0))
    inside = cover[max(-top, 0) :, max(-4 * left, 0) :][: rows.stop - rows.start, : columns.stop - columns.start]
    under = pixels.reshape(height, width)[rows, columns]
    whole = np.frombuffer(colour.tobytes() * (width // 4), np.uint8)[: under.shape[1]]
    to_colour = np.subtract(whole, under, dtype=np.int32)
    under[:] = under + (to_colour * inside + 127) // 255
