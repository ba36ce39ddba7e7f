"""The interrupt and delivery labs: what is drawn is what the story and the model say."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.labs.conftest import in_light
from tests.strategies import settings_of
from virtlab.core.units import show
from virtlab.core.words import words
from virtlab.cpu import interrupt_story, interrupts
from virtlab.cpu.interrupt_story import SHOWN_RULES
from virtlab.figures.delivery import FINDS
from virtlab.labs import DeliveryLab, PostedLab

near = pytest.approx
some = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


@pytest.fixture
def posted():
    return in_light(PostedLab)


@pytest.fixture
def delivery():
    return in_light(DeliveryLab)


# ------------------------------------------------- one interrupt, step by step

def test_the_rules_to_leave_out_are_those_that_a_story_shows():
    assert PostedLab.Setting.specs()["left_out"].choices == ("none", *SHOWN_RULES)


def test_every_step_says_what_it_is_good_for():
    told = words("posted_lab.why")
    steps = set(words("cpu_interrupts.posted.step")) | set(words("interrupt_story.step"))
    assert set(told) == steps
    assert [key for key, text in told.items() if not text.endswith(".")] == [], "the lab's sentence would not end"


@some
@given(data=st.data())
def test_the_waves_are_the_bits_of_the_story(posted, data):
    setting = data.draw(settings_of(posted.Setting))
    posted.set(**setting.model_dump())
    story, at, picture = posted.result.story, posted.result.position, posted._picture
    assert at == min(setting.step, len(story.moments))
    bits = story.moments[at - 1].bits if at else dict.fromkeys(story.moments[0].bits, 0)
    for n, (name, value) in enumerate(bits.items()):
        y = np.concatenate([picture._waves[n].get_ydata(), picture._future[n].get_ydata()])
        levels = [0, *(m.bits[name] for m in story.moments)]
        base = max(y)  # y grows downwards, and each bit begins at 0
        assert [int(v < base) for v in picture._waves[n].get_ydata()[::2]] == levels[: at + 1]
        assert picture._wave_names[n].get_text() == name
        assert picture._values[n].get_text() == (words("posted_lab.nv")["wake" if value else "notify"]
                                                 if name == "NV" else str(value))  # fmt: skip
    played = sum(len(dots.get_xdata()) for dots in picture._dots[1:])
    assert played == at and len(picture._dots[0].get_xdata()) == len(story.moments) - at
    assert bool(picture._lost.get_text()) == bool(story.left and at == len(story.moments))


def test_where_the_vcpu_is_fills_the_band_without_a_gap(posted):
    posted.set(interrupts="emulated", interrupt_scene="burst")
    spans = [span for span in posted._picture._spans if span.get_visible()]
    assert len(spans) == 7, "four times in the guest, and between them in the host"
    for before, after in zip(spans, spans[1:], strict=False):
        assert before.get_x() + before.get_width() == near(after.get_x())


def test_a_lost_interrupt_is_said(posted):
    posted.set(interrupts="posted", interrupt_scene="preempted", left_out="recheck", step=14)
    assert "Lost: 1" in posted.describe() and "lost" in posted._picture._lost.get_text()
    posted.interrupts = "apicv"
    assert "Lost" not in posted.describe(), "KVM's own post looks where the vCPU is"
    posted.interrupts = "emulated"
    assert "has no such rule" in posted.describe()


def test_the_player_plays_as_far_as_the_story_goes(posted):
    posted.set(interrupts="posted", step=14)
    assert posted._player.max == posted._player.value == len(interrupt_story("posted").moments)


# ------------------------------------------------- how late, and what for

@some
@given(data=st.data())
def test_the_curve_is_the_models_share_within_each_time(delivery, data):
    setting = data.draw(settings_of(delivery.Setting))
    delivery.set(**setting.model_dump())
    result = delivery.result
    assert result.model.law()[0] == near(result.model.law()[1])
    assert (np.diff(result.within) >= -1e-12).all() and result.within[-1] == near(1)
    for ns, share in list(zip(result.at_ns, result.within, strict=True))[::17]:
        assert share == near(result.model.share_within(float(ns)))
    assert list(delivery._picture._curve.get_xdata()) == list(result.at_ns)
    shares = [result.model.options.share(state) for state in FINDS]
    assert shares == near([setting.running_share, (1 - setting.running_share) * setting.blocked_of_rest_share,
                           (1 - setting.running_share) * (1 - setting.blocked_of_rest_share)])  # fmt: skip
    assert sum(shares) == near(1)


def test_events_a_second_are_those_of_one_interrupt_by_how_often_each_state_is_found(delivery):
    delivery.set(interrupts="emulated", interrupt_rate_per_s=1e5, running_share=0.6, blocked_of_rest_share=0.5)
    assert delivery.result.a_second["exits"] == near(1e5 * (0.6 * 2 + 0.4)), "the kick finds 60 %, the EOI all"
    assert delivery.result.a_second["wakeups"] == near(2e4)
    cells = delivery._picture._cells
    assert [cells["guest", key].get_text() for key in ("exits", "irqs", "ipis", "wakeups")] == ["2", "0", "1", "0"]
    assert cells["second", "exits"].get_text() == "160 k/s"
    assert delivery.result.exit_share == near(1.6e5 * delivery.result.model.options.exit_ns / 1e9)


def test_the_sender_of_an_ipi_exits_until_ipis_are_virtualized(delivery):
    delivery.set(interrupt_source="ipi", interrupt_rate_per_s=1e4)
    assert delivery.result.a_second["sender_exits"] == near(1e4), "APICv is about receiving"
    delivery.ipi_virtualization = True
    assert delivery.result.a_second["sender_exits"] == 0
    delivery.interrupts = "pv-eoi"
    assert delivery.result.a_second["sender_exits"] == near(1e4) and "needs APICv" in delivery.describe()


def test_what_no_vcpu_has_time_for_is_said(delivery):
    delivery.set(interrupts="emulated", interrupt_rate_per_s=1e6)
    assert delivery.result.exit_share > 1 and "No vCPU has the time" in delivery.describe()


def test_the_marks_stand_at_the_quantiles(delivery):
    model = interrupts(delivery.setting.options())
    assert list(delivery._picture._marks.get_xdata()) == near([model.quantile_ns(0.5), model.quantile_ns(0.99)])
    assert show(model.quantile_ns(0.99), "ns") in delivery.describe()
