"""A reader at the keyboard: notebooks run in JupyterLab, sliders move pictures, and everything can be reached."""
import re
import statistics
import time

import nbformat
import pytest

from tests.browser.conftest import ROOT
from virtlab import labs
from virtlab.core.words import words

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Notes each key press, and when the picture that it caused has been painted.
WATCH = """lab => {
    const seen = window.seen = {keys: [], painted: []};
    document.addEventListener('keydown', () => seen.keys.push(performance.now()), true);
    const note = () => seen.painted.push(performance.now());
    const painted = () => requestAnimationFrame(() => requestAnimationFrame(note));
    const hook = image => image.complete ? painted() : image.addEventListener('load', painted, {once: true});
    new MutationObserver(changes => {
        for (const change of changes) for (const node of change.addedNodes) {
            const image = node.tagName === 'IMG' ? node : node.querySelector && node.querySelector('img');
            if (image) hook(image);
        }
    }).observe(lab, {subtree: true, childList: true});
}"""


def open_lab(notebook_page, write_notebook, code):
    notebook_page.open(write_notebook(code)).run_all()
    lab = notebook_page.page.locator(".virtlab-lab").first
    lab.locator("img").wait_for()
    return lab


@pytest.fixture
def all_labs(notebook_page, write_notebook):
    """One notebook with every lab, each in its cell under its name in small letters: the page, and the labs on it."""
    cells = [f"from virtlab.labs import {name}\n{name.lower()} = {name}()\n{name.lower()}" for name in labs.__all__]
    notebook_page.open(write_notebook(*cells)).run_all()
    shown = notebook_page.page.locator(".virtlab-lab")
    for i in range(len(cells)):
        shown.nth(i).locator("img").wait_for()
    return notebook_page, {name: shown.nth(i) for i, name in enumerate(labs.__all__)}


def control(within, kind, name):
    """The control that the reader knows by the label of a parameter."""
    label = re.sub(r"[^\w ]", ".", words(f"parameter.{name}.label"))  # Playwright stumbles over some signs
    return within.get_by_role(kind, name=re.compile(f"^{label}"))


def handle_of(lab, name):
    """The handle of the slider beside the number field of a parameter."""
    return lab.locator(".virtlab-control", has=control(lab.page, "spinbutton", name)).locator(".noUi-handle")


def picture_of(lab):
    return lab.locator("img").get_attribute("src").partition(",")[2]


def until(check, seconds=20):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def move_and_time(notebook_page, lab, handle, moves):
    """Presses a key on a slider, again and again; milliseconds from each key to the painted picture."""
    page = notebook_page.page
    handle.focus()
    lab.evaluate(WATCH)
    times = []
    for _ in range(moves):
        before = page.evaluate("seen.painted.length")
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"seen.painted.length > {before}", timeout=20_000)
        times.append(page.evaluate("seen.painted.at(-1) - seen.keys.at(-1)"))
    return times


def report(record_property, name, times):
    median, slowest = statistics.median(times), max(times)
    record_property("slider_to_pixels_median_ms", round(median))
    record_property("slider_to_pixels_slowest_ms", round(slowest))
    print(f"\n{name}: slider to pixels, {len(times)} moves: median {median:.0f} ms, slowest {slowest:.0f} ms")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs_and_its_sliders_move_pictures(notebook_page, notebook, record_property):
    notebook_page.open(notebook).run_all()
    assert not notebook_page.errors()
    shown = notebook_page.page.locator(".virtlab-lab")
    code = "".join(cell.source for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code")
    if any(f"{name}(" in code for name in labs.__all__):
        shown.first.locator("img").wait_for()
    for lab in shown.all():
        sliders = lab.locator(".noUi-handle:visible")
        if not sliders.count():
            continue
        sliders.first.scroll_into_view_if_needed()
        before = picture_of(lab)
        times = move_and_time(notebook_page, lab, sliders.first, 5)  # a story may have no more steps
        assert picture_of(lab) != before
        assert not lab.get_by_role("alert").count(), lab.get_by_role("alert").inner_text()
        report(record_property, notebook.stem, times)


def test_a_key_on_the_slider_moves_value_picture_and_sentence(notebook_page, write_notebook, record_property):
    lab = open_lab(notebook_page, write_notebook, "from virtlab.labs import LadderLab\nlab = LadderLab()\nlab")
    picture, sentence = picture_of(lab), lab.get_by_role("status").inner_text()
    times = move_and_time(notebook_page, lab, handle_of(lab, "batch"), 20)
    report(record_property, "LadderLab", times)
    assert notebook_page.kernel("lab.batch") == 21
    assert control(lab, "spinbutton", "batch").input_value() == "21"
    assert picture_of(lab) != picture
    assert lab.get_by_role("status").inner_text() != sentence


def test_the_pictures_say_in_words_what_they_show(all_labs):
    page, shown = all_labs
    for name, lab in shown.items():
        sentence = page.kernel(f"{name.lower()}.describe()")
        assert lab.get_by_role("img", name=sentence).count() == 1, name
        assert lab.get_by_role("status").inner_text() == sentence, name


def test_of_a_burst_of_keys_the_last_value_wins(notebook_page, write_notebook):
    lab = open_lab(notebook_page, write_notebook, "from virtlab.labs import LoadLab\nlab = LoadLab()\nlab")
    before = notebook_page.kernel("lab.redraws")
    handle = handle_of(lab, "rate_packets_per_s")
    start = int(float(handle.get_attribute("aria-valuenow")))
    handle.focus()
    for _ in range(30):
        notebook_page.page.keyboard.press("ArrowRight")
    expected = notebook_page.kernel(f"lab._controls['rate_packets_per_s']._stops[{start + 30}]")
    until(lambda: notebook_page.kernel("lab.rate_packets_per_s") == expected)
    redraws = notebook_page.kernel("lab.redraws") - before
    print(f"\n30 keys: {redraws} redraws")
    assert redraws <= 30
    until(lambda: picture_of(lab) == notebook_page.kernel("__import__('base64').b64encode(lab.png).decode()"))
    assert float(control(lab, "spinbutton", "rate_packets_per_s").input_value()) == expected
    assert int(float(handle.get_attribute("aria-valuenow"))) == start + 30


def test_a_typed_number_moves_the_picture(notebook_page, write_notebook):
    lab = open_lab(notebook_page, write_notebook, "from virtlab.labs import FleetLab\nlab = FleetLab()\nlab")
    picture = picture_of(lab)
    control(lab, "spinbutton", "cores").fill("77")
    notebook_page.page.keyboard.press("Enter")
    until(lambda: notebook_page.kernel("lab.cores") == 77)
    until(lambda: picture_of(lab) != picture)


def test_an_attribute_set_in_a_cell_moves_the_controls(notebook_page, write_notebook):
    code = "from virtlab.labs import LadderLab\nlab = LadderLab()\nlab"
    notebook_page.open(write_notebook(code, "lab.batch = 32; lab.direction = 'rx'")).run_all()
    lab = notebook_page.page.locator(".virtlab-lab").first
    until(lambda: control(lab, "spinbutton", "batch").input_value() == "32")
    chosen = control(lab, "combobox", "direction").locator("option:checked").inner_text()
    assert chosen.replace("\N{NO-BREAK SPACE}", " ") == words("parameter.direction.choices.rx")


def test_an_error_while_moving_a_slider_is_seen(notebook_page, write_notebook):
    code = (
        "from virtlab.labs import LadderLab\n"
        "class Broken(LadderLab):\n"
        "    def solve(self, setting):\n"
        "        if setting.batch == 2: raise RuntimeError('planted')\n"
        "        return super().solve(setting)\n"
        "lab = Broken()\nlab"
    )
    lab = open_lab(notebook_page, write_notebook, code)
    handle_of(lab, "batch").focus()
    notebook_page.page.keyboard.press("ArrowRight")
    alert = lab.get_by_role("alert")
    alert.wait_for()
    assert "planted" in alert.inner_text()
    assert "planted" in notebook_page.kernel("repr(lab.error)")
    notebook_page.page.keyboard.press("ArrowRight")
    alert.wait_for(state="detached")
    assert notebook_page.kernel("lab.error") is None


def test_every_control_has_a_name_and_is_reached_by_keyboard(all_labs):
    page, shown = all_labs
    kinds = {"int": "spinbutton", "float": "spinbutton", "choice": "combobox", "bool": "checkbox"}
    for name, lab in shown.items():
        more = lab.get_by_text(words("lab.more"), exact=True)
        if more.count():
            more.click()
        wanted = {
            spec.label: control(lab, kinds[spec.kind], parameter)
            for parameter, spec in getattr(labs, name).Setting.specs().items()
        }
        wanted |= {key: lab.get_by_role("button", name=words(f"lab.{key}"), exact=True) for key in ("reset", "keep")}
        for label, found in wanted.items():
            assert found.count() == 1, f"{name}: {found.count()} controls are named '{label}'"
            found.evaluate("(node, label) => node.dataset.label = label", label)
        lab.locator("[data-label]").first.focus()  # the first on the page, which need not be declared first
        reached = set()
        for _ in range(4 * len(wanted) + 10):
            reached.add(page.page.evaluate("document.activeElement.dataset.label"))
            page.page.keyboard.press("Tab")
        assert not set(wanted) - reached, f"{name}: the Tab key does not reach {set(wanted) - reached}"


def test_running_the_cell_again_leaves_one_lab(notebook_page, write_notebook):
    notebook_page.open(write_notebook("from virtlab.labs import FleetLab\nlab = FleetLab()\nlab")).run_all()
    count = "len(__import__('ipywidgets').widget._instances)"
    first = notebook_page.kernel(count)
    for _ in range(3):
        notebook_page.run_all()
    assert notebook_page.kernel(count) == first
    assert notebook_page.page.locator(".virtlab-lab").count() == 1
