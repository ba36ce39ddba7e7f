"""The moderation lab: what is drawn is the model's, each step shows, and what a scheme ignores is said."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.labs.conftest import in_light
from tests.strategies import settings_of
from virtlab.core.units import show
from virtlab.evidence import FACTS
from virtlab.figures.moderation import RATES
from virtlab.labs import ModerationLab
from virtlab.offload import moderation

near = pytest.approx


@pytest.fixture
def lab():
    return in_light(ModerationLab)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(data=st.data())
def test_what_is_drawn_is_the_models(lab, data):
    setting = data.draw(settings_of(lab.Setting))
    lab.set(**setting.model_dump())
    result, picture = lab.result, lab._picture
    now = moderation(setting.options())
    assert result.now.interrupts_per_s == near(now.interrupts_per_s)
    assert picture._bill["irqs"].get_text() == show(now.interrupts_per_s, "1/s")
    assert all(dot.get_visible() is not now.endless for dot in picture._dots)
    if not now.endless:
        assert list(picture._dots[0].get_ydata()) == near([now.interrupts_per_s])
    some = np.flatnonzero(~result.curve.endless)[::7]
    for n in some:
        point = moderation(setting.options(), rate_packets_per_s=float(result.curve.rates[n]))
        assert result.curve.irqs_per_s[n] == near(point.interrupts_per_s)
        assert result.curve.mean_ns[n] == near(point.mean_delay_ns)
    story = result.story
    assert (story.firsts <= story.irqs).all() and (story.irqs <= story.polled).all() and len(story.irqs) <= 7


def test_the_limits_are_drawn_where_the_scheme_has_them_and_bound_the_curve(lab):
    light, heavy = lab.result.light, lab.result.heavy
    exact = lab.result.curve.irqs_per_s
    assert (exact >= np.maximum(light, heavy) * (1 - 1e-9)).all() or (exact >= heavy * (1 - 1e-9)).all()
    assert exact[0] == near(light[0], rel=1e-4) and exact[-1] == near(heavy[-1], rel=1e-3)
    for other in ({"moderation": "napi"}, {"moderation": "off"}, {"max_packets": 1}, {"interrupt_delay_ns": 0},
                  {"masked_while_polling": True}, {"train_packets": 8}):
        lab.reset()
        lab.set(**other)
        assert lab.result.light is None and not lab._picture._limits["light"].get_visible()


def test_it_opens_between_the_two_limits(lab):
    assert lab.result.now.interrupts_per_s == near(50_000) and "50 k/s" in lab.describe()
    assert "50 % are spared" in lab.describe()


def test_the_published_guest_lies_within_a_factor_of_two_of_napi_without_delay(lab):
    lab.set(moderation="napi", interrupt_delay_ns=0, rate_packets_per_s=FACTS["io.vhost_user.guest.rx"].value)
    published = FACTS["io.vhost_user.guest.interrupts"].value
    assert published / 2 < lab.result.now.interrupts_per_s < 2 * published


@pytest.mark.parametrize(("scheme", "words"), [
    ("off", "not used"), ("napi", "count is not used"), ("adaptive", "yours are not used")])  # fmt: skip
def test_what_a_scheme_ignores_is_said(lab, scheme, words):
    lab.moderation = scheme
    assert words in lab.describe()


def test_where_the_guest_is_outrun_the_picture_says_so(lab):
    assert not lab._picture._far.get_visible()
    lab.set(moderation="napi", rate_packets_per_s=5e6)
    assert lab._picture._far.get_visible() and "for ever" in lab.describe()
    assert lab._picture._far.get_xdata()[0] >= 1e6 * (1 - 1e-9) and (RATES[lab.result.curve.endless] >= 1e6 - 1).all()


def test_the_story_shows_who_waits_for_what(lab):
    lab.set(moderation="napi", interrupt_delay_ns=64_000)
    story, picture = lab.result.story, lab._picture
    assert ((story.irqs - story.firsts) <= 64_000).all() and (story.polled > story.irqs).all()
    assert [bar.get_visible() for bar in picture._polls[:7]] == [True] * 7
    lab.moderation = "off"
    assert not any(bar.get_visible() for bar in (*picture._held, *picture._polls))


def test_moving_what_a_scheme_ignores_moves_no_curve(lab):
    lab.moderation = "off"
    before = lab.result.curve
    lab.set(max_packets=200, interrupt_delay_ns=77_000)
    assert lab.result.curve is before
