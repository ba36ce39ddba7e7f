"""The fast picture: PNG encoder, letters drawn once, hatches cut from a sheet; all equal to the slow way."""
import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from virtlab.figures.canvas import CUT, Picture, encode_png
from virtlab.figures.letters import Letters
from virtlab.figures.style import HATCH, LOOKS, place_style


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(4))))
def test_the_png_holds_exactly_the_pixels(pixels):
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        assert image.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_the_png_of_a_cut_out_is_right_as_well():
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 4), np.uint8)[3:30, 5:40]
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


# ------------------------------------------------- letters

def canvas():
    figure = Figure(figsize=(4, 1), dpi=100, facecolor="white")
    FigureCanvasAgg(figure).draw()
    return figure


def ink(figure):
    return 255 - np.asarray(figure.canvas.buffer_rgba())[:, :, :3].astype(int).sum(axis=2) / 3


def both_ways(content, **style):
    slow, fast = canvas(), canvas()
    text = slow.text(*style.pop("at", (0.5, 0.5)), content, **style)
    text.draw(slow.canvas.get_renderer())
    twin = fast.text(*text.get_position(), content, **style)
    Letters(fast, fast.canvas.get_renderer()).draw(np.asarray(fast.canvas.buffer_rgba()), twin)
    return ink(slow), ink(fast)


def middle(image):
    rows, columns = np.indices(image.shape)
    return (rows * image).sum() / image.sum(), (columns * image).sum() / image.sum()


@pytest.mark.parametrize("content", ["12.5 µs", "half above 38.8 µs", "−0.125", "÷32", "vhost worker: copy", "1,000"])
@pytest.mark.parametrize("side", ["left", "center", "right"])
@pytest.mark.parametrize("height", ["top", "center", "bottom", "baseline"])
@pytest.mark.parametrize("size", [11, 15])
def test_letters_stand_where_matplotlib_would_put_them(content, side, height, size):
    slow, fast = both_ways(content, ha=side, va=height, fontsize=size)
    assert fast.sum() == pytest.approx(slow.sum(), rel=0.03), "another weight"
    assert middle(fast) == pytest.approx(middle(slow), abs=1.25), "another place"


@pytest.mark.parametrize("style", [{"rotation": 90}, {"linespacing": 1.5}])
def test_what_letters_cannot_do_matplotlib_does(style):
    slow, fast = both_ways("two\nlines" if "linespacing" in style else "turned", ha="center", **style)
    np.testing.assert_array_equal(fast, slow)


@pytest.mark.parametrize("at", [(0.0, 0.5), (1.0, 0.5), (0.5, 0.0), (0.5, 1.0), (-0.5, 0.5), (1.5, 2.0)])
def test_letters_at_the_edge_are_cut_off(at):
    slow, fast = both_ways("0.1 % above", at=at, ha="center", va="center")
    assert fast.sum() == pytest.approx(slow.sum(), rel=0.1, abs=1)


def test_a_colour_of_a_text_may_change():
    figure = canvas()
    letters, text = Letters(figure, figure.canvas.get_renderer()), figure.text(0.5, 0.5, "mm", color="#000000")
    pixels = np.asarray(figure.canvas.buffer_rgba())
    letters.draw(pixels, text)
    pixels[:] = 255
    text.set_color("#ff0000")
    letters.draw(pixels, text)
    assert pixels[:, :, 0].min() == 255 and pixels[:, :, 1].min() < 5


def test_drawing_new_letters_leaves_the_rest_of_the_canvas_alone():
    figure = canvas()
    pixels = np.asarray(figure.canvas.buffer_rgba())
    pixels[:, :, :3] = np.random.default_rng(1).integers(0, 256, pixels[:, :, :3].shape)
    before = pixels.copy()
    text = figure.text(0.8, 0.5, "123")
    Letters(figure, figure.canvas.get_renderer()).draw(pixels, text)
    np.testing.assert_array_equal(pixels[:, :200], before[:, :200])


def test_a_text_on_a_patch_hides_what_is_behind_it():
    white = []
    for fast in (True, False):
        figure = canvas()
        pixels, renderer = np.asarray(figure.canvas.buffer_rgba()), figure.canvas.get_renderer()
        pixels[:] = 0
        text = figure.text(0.5, 0.5, "12 %", bbox={"facecolor": "white", "edgecolor": "none", "pad": 3})
        Letters(figure, renderer).draw(pixels, text) if fast else text.draw(renderer)
        rows, columns = np.nonzero(pixels[:, :, 0] == 255)
        white.append((rows.min(), rows.max(), columns.min(), columns.max()))
    assert white[0] == pytest.approx(white[1], abs=2)


# ------------------------------------------------- a picture

class Bar(Picture):
    """One bar and its number; `cut` draws it the fast way."""

    size_px = (300, 100)
    cut = True
    place = "host"

    def build(self):
        axes = self.figure.add_axes((0.1, 0.2, 0.8, 0.6))
        axes.set(xlim=(0, 1), ylim=(0, 1))
        style = place_style(self.look, self.place)
        self.bar = axes.barh([0.5], [0.5], height=0.5, gid=CUT if self.cut else None, **style)[0]
        self.number = axes.text(0, 0.9, "", va="center")
        return [self.bar, self.number]

    def show(self, result, kept=None, prediction=None):
        self.bar.set_width(result)
        self.number.set_text(f"{result:.3f}")
        self.number.set_x(result)


def pixels_of(picture, result):
    picture.show(result)
    with Image.open(io.BytesIO(picture.png())) as image:
        return np.asarray(image).astype(int)


@pytest.mark.parametrize("theme", LOOKS)
@pytest.mark.parametrize("place", HATCH)
def test_a_cut_bar_looks_as_matplotlib_would_draw_it(place, theme):
    kinds = [type("Kind", (Bar,), {"place": place, "cut": cut})(theme) for cut in (True, False)]
    for result in (0.0312, 0.4, 0.77, 1.0):
        fast, slow = (pixels_of(kind, result) for kind in kinds)
        different = (np.abs(fast - slow).max(axis=2) > 40).sum()
        rim = 2 * (240 * result + 30)
        assert different <= rim, f"width {result}: {different} pixels differ, more than the rim of the bar has"


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_a_picture_does_not_depend_on_what_was_shown_before(results):
    old, fresh = Bar("light"), Bar("light")
    for result in results:
        old.show(result)
        last = old.png()
    fresh.show(results[-1])
    assert last == fresh.png()


def test_a_changed_background_is_drawn_anew():
    picture = Bar("light")
    picture.show(0.5)
    before = picture.png()
    picture.figure.axes[0].set_title("changed")
    assert picture.png() == before
    picture.still_changed()
    assert picture.png() != before


def test_pyplot_is_never_imported():
    code = (
        "import sys; from virtlab import labs\n"
        "for name in labs.__all__: getattr(labs, name)().close()\n"
        "print([m for m in ('matplotlib.pyplot', 'scipy', 'pandas') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
