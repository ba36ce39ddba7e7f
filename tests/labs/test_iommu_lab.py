"""The IOMMU lab: what is drawn is the model's, the wall stands where buffers outgrow the IOTLB, and a ghost is seen."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.labs.conftest import in_light
from tests.strategies import settings_of
from virtlab.core.units import show
from virtlab.figures.iommu import _WIDTH, POOLS, ROWS
from virtlab.labs import IommuLab
from virtlab.offload import iommu

near = pytest.approx


@pytest.fixture
def lab():
    return in_light(IommuLab)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(data=st.data())
def test_what_is_drawn_is_the_models(lab, data):
    setting = data.draw(settings_of(lab.Setting))
    lab.set(**setting.model_dump())
    picture, top = lab._picture, iommu(setting, iommu_mode="off").rate_gbit_per_s
    for row in ROWS:
        change = {"iommu_mode": "strict", "walk_caches": "kept"} if row == "kept" else {"iommu_mode": row}
        rate = iommu(setting, **change).rate_gbit_per_s
        assert picture._bars[row].get_width() == near(_WIDTH * rate / top)
        assert picture._values[row].get_text() == show(rate, "Gb/s")
    assert picture._dot.get_ydata()[0] * top == near(iommu(setting).rate_gbit_per_s)
    drawn = picture._chosen.get_ydata() * top
    assert drawn[0] == near(iommu(setting, pool_buffers=int(POOLS[0])).rate_gbit_per_s)
    assert show(iommu(setting).rate_gbit_per_s, "Gb/s") in lab.describe()


@pytest.mark.parametrize("entries", [64, 512])
def test_the_wall_stands_where_the_buffers_outgrow_the_iotlb(lab, entries):
    lab.iotlb_entries = entries
    curve = lab.result.curves["4K"]
    assert (curve[POOLS < 0.8 * entries] == 200).all() and (curve[POOLS > 1.1 * entries] < 140).all()
    assert (lab.result.curves["2M"] == 200).all(), "a huge page takes it away"


def test_a_larger_io_page_is_never_drawn_below_a_smaller_one(lab):
    for queues in (1, 16, 64):
        lab.dma_queues = queues
        small, large, largest = (lab.result.curves[page] for page in ("4K", "2M", "1G"))
        assert (small <= large + 1e-9).all() and (large <= largest + 1e-9).all()


def test_published_figures_are_shown_only_on_a_link_that_they_fit(lab):
    assert lab.result.wall == (160, 200) and lab.result.measured == (near(35), near(80))
    lab.link_gbit_per_s = 100.0
    assert lab.result.wall is None and lab.result.measured is not None
    lab.link_gbit_per_s = 40.0
    assert lab.result.measured is None and not lab._picture._measured[0].get_visible()


def test_the_gap_of_lazy_is_told_and_no_other_way_has_one(lab):
    notes = {row: lab._picture._notes[row].get_text() for row in ROWS}
    assert [row for row, text in notes.items() if "reachable" in text] == ["lazy"]
    assert "reaches all memory" in notes["off"] and "waiting" in notes["strict"]


def test_a_kept_setting_stays_as_a_ghost_even_on_another_link(lab):
    lab.keep()
    lab.set(link_gbit_per_s=400.0, pool_buffers=64)
    picture = lab._picture
    assert picture._ghost.get_visible() and picture._ghost_dot.get_visible()
    assert picture._ghost_dot.get_xdata()[0] == 1024
    assert np.max(picture._ghost.get_ydata()) == near(0.5)
