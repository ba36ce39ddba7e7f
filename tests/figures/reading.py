"""Reads a picture as a person would: which texts are drawn, and where."""

from contextlib import contextmanager

from matplotlib.text import Text


@contextmanager
def recording(found):
    draw = Text.draw

    def recorded(self, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            found.append(self)
        return draw(self, renderer, *args, **kwargs)

    Text.draw = recorded
    try:
        yield
    finally:
        Text.draw = draw


def still_texts(picture):
    """The texts of the background: titles, ticks, labels, legends."""
    found = []
    with recording(found):
        picture.figure.draw(picture.figure.canvas.get_renderer())
    return [(text.get_text(), extent(picture, text)) for text in found]


def moving_texts(picture):
    """The texts that a result fills in."""
    shown = [a for a in picture._moving if isinstance(a, Text) and a.get_visible() and a.get_text().strip()]
    return [(text.get_text(), extent(picture, text)) for text in shown]


def extent(picture, text):
    return text.get_window_extent(picture.figure.canvas.get_renderer())


def outside(picture, texts, slack=1):
    """Which texts stick out of the picture, and by how many pixels."""
    width, height = picture.size_px
    found = {}
    for content, box in texts:
        over = max(-box.x0, -box.y0, box.x1 - width, box.y1 - height)
        if over > slack:
            found[content] = round(over)
    return found


def overlapping(texts, slack=1, gap=4):
    """Pairs of texts that lie on each other, or have less than ``gap`` pixels between them on one line."""
    found = []
    for i, (one, a) in enumerate(texts):
        for other, b in texts[i + 1 :]:
            across = min(a.x1, b.x1) - max(a.x0, b.x0)
            along = min(a.y1, b.y1) - max(a.y0, b.y0)
            if across > -gap and along > slack:
                found.append((one, other))
    return found
