"""Every lab, small (a tenth of the pixels), with no widget left behind."""
import html
import re
import shutil
import sys

import pytest
from ipywidgets.widgets.widget import _instances

from virtlab import labs

NAMES = labs.__all__
real_qemu = [
    pytest.mark.machine, pytest.mark.qemu,
    pytest.mark.skipif(sys.platform != "linux" or shutil.which("qemu-system-x86_64") is None,
                       reason="needs Linux and qemu-system-x86_64 (virtlab doctor says how to get it)"),
]  # fmt: skip


def pytest_generate_tests(metafunc):
    if "cls" in metafunc.fixturenames:
        metafunc.parametrize("cls", [getattr(labs, name) for name in NAMES], ids=NAMES)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("virtlab.labs.base.Lab.scale", 0.3)


@pytest.fixture
def undrawn(monkeypatch):
    """No picture is drawn: for what is said of controls, code, redraws, widgets or places of texts alone."""
    monkeypatch.setattr("virtlab.figures.canvas.Picture.png", lambda _: b"")


@pytest.fixture(autouse=True)
def nothing_left():
    before = set(_instances)
    yield
    for key in set(_instances) - before - lent:
        if key in _instances and hasattr(_instances[key], "_specs"):
            _instances[key].close()
    left = [type(_instances[key]).__name__ for key in set(_instances) - before - lent]
    assert not left, f"{len(left)} widgets are left in the kernel: {sorted(left)}"


open_labs, lent = {}, set()


def borrowed(cls):
    """A lab as it opens; tests borrow one after the other, because drawing a picture for the first time is slow."""
    if cls not in open_labs:
        before = set(_instances)
        open_labs[cls] = cls()
        lent.update(set(_instances) - before)
    open_labs[cls].reset()
    return open_labs[cls]


def in_light(cls):
    """The same lab in the light theme, without what was measured before."""
    lab = borrowed(cls)
    lab.theme = "light"
    lab.forget()
    return lab


@pytest.fixture
def lab(cls):
    return borrowed(cls)


def other(cls):
    """A value for each parameter that is not its default."""
    values = {}
    for name, spec in cls.Setting.specs().items():
        choices = spec.choices or ((False, True) if spec.kind == "bool" else (spec.low, spec.high))
        values[name] = next(c for c in choices if c != spec.default)
    return values


def alt(lab):
    """The text alternative of the picture that is shown."""
    return html.unescape(re.search(r'<img alt="([^"]*)"', lab._image.value)[1])


def read_out(lab, role):
    """What the lab says under its picture in the element of this role, or None."""
    found = re.search(rf'role="{role}"[^>]*>(.*?)</(?:div|pre)>', lab._text.value, re.DOTALL)
    return found and html.unescape(found[1])


def widgets_of(lab):
    """All widgets of a lab, itself included."""
    found, new = [], [lab]
    while new:
        found += new
        new = [child for widget in new for child in getattr(widget, "children", ())]
    return found


def from_the_browser(widget, **state):
    """What happens in the kernel when a reader moves a control."""
    widget._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})
