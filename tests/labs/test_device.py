"""The device lab: a model in closed form, a recorded QEMU within it, and the reader's own in the present setting."""
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.labs.conftest import in_light, read_out, real_qemu
from tests.machine.leftovers import nothing_left
from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.core.units import number
from virtlab.labs import DeviceLab
from virtlab.labs import device as module
from virtlab.labs.device import DeviceSetting, modelled
from virtlab.machine import Facts
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.recorded import BATCHES, Batch, RegisterCounts, Span, Way, Witness, recorded_device
from virtlab.virtio.registers import Bounds, ide_request, virtio_batch

HERE = Witness("9.9.9", Facts("Test CPU", 8, "Linux 7", "2027-01-01", virtual=False))
IDE = Batch(Span(2062, 2062, 2062), Span(8, 8, 8))


def fake(ways, seconds=0.6):
    """Each batch costs 5 accesses, at least 4 and at most 6, and 2 calls."""
    batch = Batch(Span(4, 5, 6), Span(2, 2, 2))
    return RegisterCounts(HERE, 7, IDE, {(disk, way): dict.fromkeys(BATCHES, batch) for disk in ("mmio", "pci")
                                         for way in ways})  # fmt: skip


@pytest.fixture
def lab(monkeypatch):
    monkeypatch.setattr(module, "count_registers", fake)
    return in_light(DeviceLab)


# --- the model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cost", "accesses", "calls"), [
    (virtio_batch("mmio"), 3, 1), (virtio_batch("pci"), 1, 1), (ide_request(), 2062, 8),
    (virtio_batch("mmio", 32, calls="last"), 3 / 32, 1 / 32), (virtio_batch("pci", 32, calls="last"), 1 / 32, 1 / 32),
    (virtio_batch("mmio", 32, calls="none"), 1 / 32, 0), (ide_request(512), 263, 1)])
def test_golden_costs_of_a_request(cost, accesses, calls):
    assert cost.accesses_per_request == Bounds(accesses, accesses)
    assert cost.calls_per_request == Bounds(calls, calls)


def test_a_batch_of_32_costs_0094_accesses_a_request():
    assert round(virtio_batch("mmio", 32, calls="last").accesses_per_request.most, 3) == 0.094


@given(setting=settings_of(DeviceSetting))
def test_the_model_keeps_its_closed_form_and_its_order(setting):
    costs = modelled(setting)
    mmio, pci = costs["mmio"], costs["pci"]
    for k in (0, 1):
        assert mmio.accesses[k] == mmio.kicks[k] + 2 * mmio.calls[k] and pci.accesses[k] == pci.kicks[k]
    for cost in costs.values():
        for bounds in (cost.kicks, cost.calls, cost.accesses):
            assert 0 <= bounds.least <= bounds.most <= cost.requests * (3 if cost is not costs["ide"] else 2062)
    assert costs["ide"] == ide_request(), "nothing of it is shared in a batch"
    if setting.requests == 1:
        assert mmio.accesses.sure and pci.accesses.sure, "one request alone leaves nothing to timing"


@given(requests=st.integers(1, 31), transport=st.sampled_from(["mmio", "pci"]))
def test_a_larger_batch_costs_no_more_for_each_request(requests, transport):
    small, large = (virtio_batch(transport, n, calls="last") for n in (requests, requests + 1))
    assert large.accesses_per_request.most < small.accesses_per_request.most


def test_without_event_idx_a_ring_cannot_ask_for_the_last_call():
    assert virtio_batch("mmio", 8, calls="last", event_idx=False) == virtio_batch("mmio", 8, calls="each")


def test_a_packed_ring_whose_requests_are_shown_one_by_one_may_call_early():
    assert virtio_batch("pci", 8, "each", "last", packed=True).calls == Bounds(1, 8)
    assert virtio_batch("pci", 8, "once", "last", packed=True).calls == Bounds(1, 1)


def test_a_batch_of_nothing_and_half_a_sector_are_refused():
    with pytest.raises(ValueError, match="at least 1 request"):
        virtio_batch("mmio", 0)
    for size in (0, 100, -512):
        with pytest.raises(ValueError, match="whole sectors"):
            ide_request(size)


def test_what_was_recorded_lies_within_the_model():
    kept = recorded_device()
    assert kept.ide.accesses.median == ide_request().accesses.most and kept.ide.calls.median == 8
    for (disk, way), seen in kept.batches.items():
        for n, batch in seen.items():
            model = virtio_batch(disk, n, way.kicks, way.calls, way.event_idx, way.ring == "packed")
            assert model.accesses.least <= batch.accesses.least <= batch.accesses.most <= model.accesses.most
            assert model.calls.least <= batch.calls.least and batch.calls.median <= model.calls.most, (disk, way, n)


# --- the lab ----------------------------------------------------------------------------------------------------------


def test_it_opens_with_the_recorded_qemu_and_measures_nothing(monkeypatch):
    monkeypatch.setattr(module, "count_registers", lambda *_: pytest.fail("measured without being asked"))
    lab = in_light(DeviceLab)
    assert lab.measured is recorded_device() and lab.describe().startswith("Recorded on")
    assert "QEMU 7.2.22" in lab.describe()


@settings(max_examples=30)
@given(setting=settings_of(DeviceSetting))
def test_sentence_and_picture_say_what_model_and_machine_say(setting):
    lab = in_light(DeviceLab)
    lab.set(**setting.model_dump())
    picture, sentence = lab._picture, lab.describe()
    assert "not exits" in sentence and "Under KVM each is one exit" in sentence and "ioeventfd" in sentence
    for disk, cost in modelled(setting).items():
        kept, per = recorded_device(), 1 if disk == "ide" else setting.requests
        seen = kept.ide if disk == "ide" else kept.batches[disk, setting.way()][setting.requests]
        for count, bounds in (("accesses", cost.accesses_per_request), ("calls", cost.calls_per_request)):
            span = getattr(seen, count).per(per)
            assert number(span.median) in sentence and number(bounds.least) in sentence
            assert picture._values[disk, count].get_text() == number(span.median)
            assert (picture._intervals[disk, count].get_text() != "") == (span.least < span.most)
            assert list(picture._models[disk, count].get_xdata()) == pytest.approx([n or 0.012 for n in bounds])
            assert list(picture._points[disk, count].get_xdata()) == pytest.approx([span.median or 0.012])
            low, high = picture._points[disk, count].axes.get_xlim()
            assert all(low < x < high for x in (*picture._spreads[disk, count].get_xdata(), bounds.most or 0.012))


def test_an_interval_that_scheduling_makes_is_shown_and_explained(lab):
    lab.set(requests=32, kicks="each")
    lab.measure()
    assert "0.156 (0.125 to 0.188)" in lab.describe() and "scheduling decides" in lab.describe()
    assert "7 batches" in lab.describe()
    lab.reset()
    assert "scheduling" not in lab.describe()


def test_the_button_does_the_same_as_the_code(lab):
    lab._buttons["measure"].click()
    by_button = lab.describe(), lab.png
    lab.reset()
    assert lab.measured is recorded_device()
    lab.measure(0.5)
    assert by_button == (lab.describe(), lab.png) and lab.describe().startswith("Your QEMU 9.9.9, now: Test CPU")


def test_only_the_present_setting_is_asked_and_the_others_stay_recorded(lab, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "count_registers", lambda ways, seconds: asked.extend(ways) or fake(ways))
    lab.measure()
    lab.requests = 17
    assert asked == [Way()] and lab.describe().startswith("Your QEMU"), "batches of every size are measured"
    lab.kicks = "each"
    assert lab.describe().startswith("Recorded on") and "was not asked in this setting yet" in lab.describe()
    lab.measure()
    assert lab.describe().startswith("Your QEMU")
    lab.kicks = "once"
    assert lab.describe().startswith("Your QEMU"), "what was measured before is kept"
    assert asked == [Way(), Way(kicks="each")]


def test_the_details_are_those_of_the_present_setting(lab):
    rows = re.findall(r"<tr><td.*?</tr>", lab._details.value)
    assert len(rows) == 3 and "2,062" in rows[0] and all("a call after the last" in row for row in rows[1:])
    lab.measure()
    assert "7 batches" in lab._details.value


@pytest.mark.parametrize("way", ["button", "code"])
def test_a_failure_is_one_sentence_and_the_recording_stays(lab, monkeypatch, way):
    def fail(ways, seconds):
        raise MachineError("QEMU & <friends> went away.")

    before = lab.describe()
    with monkeypatch.context() as patch:
        patch.setattr(module, "count_registers", fail)
        lab._buttons["measure"].click() if way == "button" else lab.measure()
    assert read_out(lab, "alert") == lab.failure == "QEMU & <friends> went away." and "<friends>" not in lab._text.value
    assert lab.describe() == read_out(lab, "status") == before and lab.error is None
    assert not lab._buttons["measure"].disabled
    lab.requests = 2
    assert read_out(lab, "alert") is None, "it is said once, and not at each move of a slider"
    lab.measure()
    assert read_out(lab, "alert") is None and lab.describe().startswith("Your QEMU")


def test_without_qemu_the_button_says_what_is_missing_and_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    lab = in_light(DeviceLab)
    lab.measure()
    assert re.search(r"no program qemu-system-x86_64 .*virtlab doctor", read_out(lab, "alert"))
    assert lab.describe().startswith("Recorded on")
    lab.reset()
    assert read_out(lab, "alert") is None


def test_a_time_for_which_nobody_waits_is_refused(lab):
    with pytest.raises(ParameterError, match=r"0\.05 to 10"):
        lab.measure(11)


def test_a_kept_setting_is_a_ghost_behind_the_next(lab):
    lab.keep()
    lab.requests = 32
    ghost = lab._picture._ghosts["mmio", "accesses"]
    assert ghost.get_visible() and list(ghost.get_xdata()) == [3, 3]


@pytest.mark.parametrize("_", [pytest.param(0, marks=real_qemu)])
def test_the_button_drives_a_real_qemu_and_leaves_nothing(_):
    lab = in_light(DeviceLab)
    lab.requests = 32
    with nothing_left():
        lab._buttons["measure"].click()
    assert lab.failure == "" and lab.describe().startswith("Your QEMU")
    assert "2,062" in lab.describe() and "register accesses 0.0938" in lab.describe()
