"""The filter lab: steps that add up to the model's cost, lines over rules, and the wall of the card."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.labs.conftest import in_light
from tests.strategies import settings_of
from virtlab.cloud import FilterOptions, filtering
from virtlab.core.units import number, show
from virtlab.figures.filter import PACKETS
from virtlab.labs import FilterLab

near = pytest.approx


@pytest.fixture
def lab():
    return in_light(FilterLab)


def ends(bar):
    return bar.get_x(), bar.get_x() + bar.get_width()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(data=st.data())
def test_what_is_drawn_is_the_models(lab, data):
    lab.set(**data.draw(settings_of(lab.Setting)).model_dump())
    picture, sentence = lab._picture, lab.describe()
    model = filtering(FilterOptions(**lab.setting.model_dump()))
    whole = picture._bars["total"].get_width()
    at = picture._bars["total"].get_x()
    for part, cycles in model.cycles.items():
        start, end = ends(picture._bars[part])
        assert start == near(at, abs=1.1) and end - start == near(whole * cycles / model.packet_cycles, abs=1.1)
        assert picture._values[part].get_text() == number(cycles)
        at = end
    x, y = picture._points.get_data()
    assert list(x) == [lab.rules] * 3
    assert list(y) == near([model.packet_cycles, model.tracked_scan_cycles, model.scan_cycles])
    wall = picture._wall.get_data()
    dot = picture._dot.get_data()
    assert np.interp(np.log(dot[0][0]), np.log(PACKETS), np.log(wall[1])) == near(np.log(dot[1][0]), abs=0.02)
    for text in (show(model.packet_cycles, "cycles"), show(model.card.most_packets_per_s, "packets/s")):
        assert text in sentence


def test_it_opens_with_the_slow_path_as_the_wall_and_a_scan_far_above(lab):
    result = lab.result.filtering
    assert result.card.first == "new_flows" and result.card.most_packets_per_s == near(5e6)
    assert result.scan_cycles > 1000 * result.packet_cycles
    lab.rules = 10
    assert lab.result.filtering.cycles == result.cycles


def test_a_kept_setting_stays_visible(lab):
    lab.keep()
    lab.set(masks=100, connection_packets=1000)
    picture = lab._picture
    assert picture._was.get_visible() and picture._ghosts["total"].get_visible()
    assert picture._was_at.get_data()[1] == near([5e6])
