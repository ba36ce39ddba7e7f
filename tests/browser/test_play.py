"""The walk is played by a button that has a name: the front end counts, and each count is one step."""
from tests.browser.test_labs import open_lab, until
from virtlab.core.words import words


def test_a_walk_is_played_from_the_keyboard_and_stopped(notebook_page, write_notebook):
    code = "from virtlab.labs import WalkLab\nlab = WalkLab()\nlab._player.interval = 100\nlab"
    lab = open_lab(notebook_page, write_notebook, code)
    button = lab.get_by_role("button", name=words("lab.play"))
    button.focus()
    notebook_page.page.keyboard.press("Space")
    until(lambda: notebook_page.kernel("lab.step") >= 3)
    notebook_page.page.keyboard.press("Space")
    until(lambda: not notebook_page.kernel("lab._player.playing"))
    at = notebook_page.kernel("lab.step")
    until(lambda: f"Step {at} of 24" in lab.get_by_role("status").inner_text())
    assert not lab.get_by_role("alert").count()


def test_a_walk_that_is_played_stops_at_its_end(notebook_page, write_notebook):
    code = "from virtlab.labs import WalkLab\nlab = WalkLab(guest_cache='PDE')\nlab._player.interval = 50\nlab"
    lab = open_lab(notebook_page, write_notebook, code)
    button = lab.get_by_role("button", name=words("lab.play"))
    button.click()
    until(lambda: notebook_page.kernel("lab.step") == 5 and not notebook_page.kernel("lab._player.playing"))
    assert button.get_attribute("aria-pressed") in (None, "false")
    button.click()  # once more from the start
    until(lambda: notebook_page.kernel("lab._player.playing"))
    until(lambda: not notebook_page.kernel("lab._player.playing"))
    assert notebook_page.kernel("lab.step") == 5
