"""The halt lab: waits, trade and the host's share are the model's; a recorded KVM is shown where it had these waits."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.labs.conftest import in_light
from tests.strategies import settings_of
from virtlab.core.units import show
from virtlab.cpu import host_share
from virtlab.figures.halt import AT_NS, MOST_NS, SHOWN
from virtlab.labs import HaltLab
from virtlab.labs.halt import _RECORDED, polling, settled_share
from virtlab.labs.inner_kvm import waits_ns
from virtlab.machine.inner import recorded_inner_kvm

near = pytest.approx


@pytest.fixture
def lab():
    return in_light(HaltLab)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(data=st.data())
def test_what_is_drawn_is_the_models(lab, data):
    setting = data.draw(settings_of(lab.Setting))
    lab.set(**setting.model_dump())
    result, picture = lab.result, lab._picture
    now = result.now
    assert now.law()[0] == now.law()[1] and 0 <= result.work_share <= result.host_share <= 1 + 1e-9
    assert list(picture._steps.get_ydata()[::2] * picture._top_ns) == near(list(now.intervals_ns[:SHOWN]))
    for n, bar in enumerate(picture._bars):
        assert bar.get_visible() == (now.polled_ns[n] > 0)
        if bar.get_visible() and bar.get_height() < 1.06:
            assert bar.get_height() * picture._top_ns == near(now.polled_ns[n])
    for side in ("host", "guest"):
        for most, (burnt, slept) in zip(MOST_NS, result.trade[side], strict=True):
            found = polling(setting, side, most)
            assert (burnt, slept) == near((found.burnt_share, 1 - sum(found.enough) / len(found.enough)))
    if setting.other_task:
        assert (result.trade["host"] == [0, 1]).all(), "the host does not poll, and every wait needs a wake-up"
    assert show(result.host_share, "%") in lab.describe()
    assert picture._said.get_text() == picture._bill["host"].get_text() == show(result.host_share, "%")


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("most_ns", [0, 50_000, 200_000, 500_000])
def test_the_hosts_share_is_that_of_the_model(lab, most_ns, other):
    lab.set(halt_poll_ns=float(most_ns), other_task=other)
    for ns, share in list(zip(AT_NS, lab.result.shares["host"], strict=True))[::9]:
        model = host_share(halt_poll_ns=most_ns, other_task=other, wake_interval_ns=round(ns), work_share=0.01)
        assert share == near(model.host_share, abs=1e-3)


def test_a_vm_that_works_1_percent_shows_100_percent_only_if_it_is_woken_often(lab):
    at = {ns: settled_share(lab.setting, "host", ns) for ns in (100_000, 200_000, 250_000, 4_000_000)}
    assert at[100_000] == near(1) and at[200_000] == near(1), "198 µs of waiting are below 200 µs"
    assert at[250_000] == at[4_000_000] == near(0.01)


def test_the_edge_a_wait_of_exactly_halt_poll_ns_is_never_polled_for(lab):
    lab.wait_mean_ns = 200_000
    assert set(lab.result.now.intervals_ns) == {0}
    lab.wait_mean_ns = 199_000
    assert lab.result.now.intervals_ns[-1] == 200_000


def test_near_an_edge_the_recorded_kvm_measured_shorter_waits_and_the_lab_says_so(lab):
    """Set to 12 µs the guest waited less than 10, and KVM stayed there; the model, told 12, doubles once more."""
    lab.wait_mean_ns = 12_000
    assert set(lab.result.recorded_ns) == {10_000} and lab.result.now.intervals_ns[-1] == 20_000
    assert "some µs shorter" in lab.describe()


@pytest.mark.parametrize("wait_ns", [ns for ns in _RECORDED if ns > 12_000])
def test_a_recorded_kvm_with_these_waits_is_shown_and_agrees(lab, wait_ns):
    run = _RECORDED[wait_ns]
    assert set(waits_ns(run)) == {wait_ns}, "the table maps a wait to a run of other waits"
    lab.wait_mean_ns = wait_ns
    assert lab.result.recorded_ns == recorded_inner_kvm().polling[run].interval_ns
    assert "are the model's" in lab.describe()
    seen = np.array(lab._picture._seen.get_ydata()) * lab._picture._top_ns
    assert list(seen) == near(list(lab.result.now.intervals_ns[1 : 1 + len(seen)]))
    at = list(lab._picture._seen.get_xdata())
    assert at == [n + 2 for n in range(len(seen))], "what follows from wait 1 is for wait 2"


@pytest.mark.parametrize("other", [{"poller": "guest"}, {"wait_kind": "exponential"}, {"halt_poll_ns": 100_000.0},
                                   {"halt_poll_grow": 3}, {"wait_mean_ns": 61_000}, {"other_task": True}],
                         ids=str)  # fmt: skip
def test_a_recorded_kvm_with_other_waits_or_rules_is_not_shown(lab, other):
    assert lab._picture._seen.get_visible()
    lab.set(**other)
    assert not lab.result.recorded_ns and not lab._picture._seen.get_visible() and "recorded" not in lab.describe()


def test_polling_for_random_waits_saves_about_as_many_wakeups_as_it_burns(lab):
    """Exponential waits have no memory: a wait that has lasted says nothing of when it ends."""
    lab.wait_kind = "exponential"
    for burnt, slept in lab.result.trade["host"]:
        assert burnt == near(1 - slept, abs=0.08)


def test_polling_for_bursts_is_cheaper(lab):
    lab.set(wait_kind="bursty", wait_mean_ns=100_000)
    burnt, slept = lab.result.point
    assert burnt < 0.2 and 1 - slept > 0.75


def test_only_the_host_knows_of_its_other_tasks(lab):
    lab.set(other_task=True)
    assert lab.result.host_share == near(0.01) and "does not poll" in lab.describe()
    lab.poller = "guest"
    assert lab.result.host_share > 0.8 and "does not poll" not in lab.describe()
    assert np.isfinite(lab.result.shares["guest"]).all()
