"""The function lab: a bar is the model's share, the mark stands where the fewest VFs fit, the wall where cores end."""
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.labs.conftest import in_light
from tests.strategies import settings_of
from virtlab.core.units import show
from virtlab.figures.functions import BUSY, ROWS, _x
from virtlab.labs import FunctionLab
from virtlab.offload import card, functions

near = pytest.approx


@pytest.fixture
def lab():
    return in_light(FunctionLab)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(data=st.data())
def test_what_is_drawn_is_the_models(lab, data):
    lab.set(**data.draw(settings_of(lab.Setting)).model_dump())
    setting, result, picture = lab.setting, lab.result, lab._picture
    taken, load = functions(setting.function_options()), card(setting.card_options())
    shares = {use.id: use.share for use in taken.uses}
    shares |= {"cores": load.shares["cores"], "card_memory": load.shares["memory"]}
    for row in ROWS:
        bar = picture._bars[row]
        assert bar.get_visible() == (shares[row] > 0)
        assert bar.get_x() + bar.get_width() == near(_x(shares[row]), abs=1.1), row
    assert picture._first.get_ydata()[0] == picture._y[min(result.most, key=result.most.get)]
    assert picture._dot.get_xdata()[0] == setting.vfs
    first = result.first
    assert result.verdict() in lab.describe() and show(shares[first], "%") in lab.describe()
    assert ("too many" in result.verdict()) == (setting.vfs > result.most[first])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(data=st.data())
def test_the_card_holds_as_many_as_it_says_and_no_more(lab, data):
    setting = data.draw(settings_of(lab.Setting))
    most = lab.solve(setting).most
    for row, part in (("cores", "cores"), ("card_memory", "memory")):
        if 1 <= most[row] < 4096:
            inside, outside = (card(setting.card_options().replace(vfs=int(most[row]) + n)) for n in (0, 1))
            assert inside.shares[part] <= 1 + 1e-9 and outside.shares[part] > 1 - 1e-9, row


def test_the_wait_has_no_bound_from_the_wall_on(lab):
    assert lab.result.saturated == near(1250)
    for busy, wait in zip(BUSY, lab.result.waits_ns, strict=True):
        assert math.isinf(wait) == (busy >= 1250), busy


def test_it_opens_with_the_table_of_interrupts_full_and_the_card_nearly_so(lab):
    assert lab.result.shares["interrupts"] == 1 and lab.result.first == "interrupts"
    assert 0.8 < lab.result.shares["cores"] < 0.85


def test_vectors_move_the_end_to_another_resource(lab):
    firsts = set()
    for vectors, memory in ((64, 30), (8, 30), (8, 34), (8, 28)):
        lab.set(vectors=vectors, memory_bytes=1 << memory)
        firsts.add(lab.result.first)
    assert firsts == {"interrupts", "cores", "memory"}


def test_a_table_of_most_vectors_fits_into_the_smallest_bar(lab):
    lab.set(vectors=2048, vf_bar_bytes=lab.Setting.specs()["vf_bar_bytes"].low)
    assert lab.error is None
