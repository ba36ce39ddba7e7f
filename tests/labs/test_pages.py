"""The pages lab: recorded until measured, the same by button and by code, beside a model that knows no measurement."""
from dataclasses import replace

import pytest

from virtlab.core.words import words
from virtlab.evidence import FACTS
from virtlab.labs import PagesLab
from virtlab.labs import pages as module
from virtlab.machine import Facts, Measured, Quantity, recorded_pages
from virtlab.machine.measured import PAGES
from virtlab.memory import CPUS

HERE = Facts("Test CPU", 8, "Linux 7", "2027-01-01", virtual=False)


def fake(*missing):
    """Each quantity 3, but for those that are missing."""
    rows = [Quantity(key, missing="Not here.") if key in missing else Quantity(key, 3.0, 2.0, 4.0, 9) for key in PAGES]
    return Measured(tuple(rows), HERE)


@pytest.fixture
def lab(monkeypatch):
    monkeypatch.setattr(module, "measure_pages", lambda seconds: fake())
    monkeypatch.setattr(PagesLab, "strict", True)
    lab = PagesLab(theme="light")
    yield lab
    lab.close()


def test_it_opens_with_the_recorded_measurement_and_measures_nothing(monkeypatch):
    monkeypatch.setattr(module, "measure_pages", lambda seconds: pytest.fail("measured without being asked"))
    first, second = PagesLab(), PagesLab()
    assert first.measured is recorded_pages() and first.describe().startswith("Recorded on")
    assert first.describe() == second.describe() and first.png == second.png


def test_the_button_does_the_same_as_the_code(lab):
    lab._buttons["measure"].click()
    by_button = lab.describe(), lab.png
    lab.reset()
    assert lab.measured is recorded_pages()
    assert lab.measure(0.5) == fake()
    assert by_button == (lab.describe(), lab.png) and lab.describe().startswith("This machine, now: Test CPU")


def test_the_button_is_free_again_after_an_interrupt(lab, monkeypatch):
    def interrupt(seconds):
        assert lab._buttons["measure"].disabled
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "measure_pages", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lab.measure()
    assert not lab._buttons["measure"].disabled and lab.measured is recorded_pages()


def test_without_huge_pages_there_is_no_ratio_and_that_is_said(lab, monkeypatch):
    gone = [key for key in PAGES if not key.endswith("_4k")]
    monkeypatch.setattr(module, "measure_pages", lambda seconds: fake(*gone))
    lab.measure()
    assert lab.describe().count(words("machine.missing")) == 4
    assert not any(point.get_visible() for point in lab._picture._points.values())


def test_a_noisy_measurement_says_so(lab, monkeypatch):
    monkeypatch.setattr(module, "measure_pages", lambda seconds: replace(fake(), facts=replace(HERE, stolen=0.3)))
    lab.measure()
    assert "noisy" in lab.describe()


def test_a_kept_measurement_is_a_ghost_behind_the_next(lab):
    lab.keep()
    lab.measure()
    ghost = lab._picture._ghosts["ratio_64m"]
    assert ghost.get_visible() and list(ghost.get_xdata()) == [recorded_pages()["ratio_64m"].value] * 2


@pytest.mark.parametrize("cpu", CPUS)
def test_the_model_of_the_control_is_near_one_and_larger_memory_gains_more(cpu):
    model = module.modelled(module.PagesSetting())
    assert 1 <= model["ratio_4m"][cpu] < 1.2 < model["ratio_64m"][cpu]


def test_on_small_host_pages_huge_guest_pages_gain_less_than_on_huge_ones():
    small, huge = (module.modelled(module.PagesSetting(nested_paging=True, host_page=page)) for page in ("4K", "2M"))
    for cpu in CPUS:
        for key in ("ratio_64m", "ratio_256m"):
            assert small[key][cpu] < huge[key][cpu], (cpu, key)


def test_published_ratios_are_those_of_the_facts():
    found = module.published()
    gups = FACTS["mem.vmitosis.gups.ll"].value / FACTS["mem.vmitosis.gups.tll"].value
    assert max(found["times"]) == pytest.approx(gups) and len(found["shares"]) == 7
    assert all(ratio > 1 for ratios in found.values() for ratio in ratios)
