"""Each test of the lessons starts with an empty book and leaves no form behind."""
import ipywidgets as widgets
import pytest

from virtlab.lessons import book, box, selftest


def alive():
    """The widgets that this kernel holds."""
    return set(widgets.widget._instances.values())


@pytest.fixture(autouse=True)
def clean():
    book.clear()
    before = alive()
    yield
    for form in (*box._boxes.values(), *selftest._form):
        form.close()
    box._boxes.clear()
    selftest._form.clear()
    book.clear()
    left = alive() - before
    assert not left, f"{len(left)} widgets are left in the kernel: {[type(w).__name__ for w in left][:5]}"
