"""The exit lab: who handles an access, at what cost; and times of software KVM stand on an axis of their own."""
import os
from dataclasses import replace

import pytest

from tests.figures.reading import moving_texts, outside, overlapping, still_texts
from tests.labs.conftest import in_light
from tests.machine.leftovers import nothing_left
from virtlab import labs
from virtlab.core.units import show
from virtlab.core.words import words
from virtlab.evidence import FACTS
from virtlab.labs import ExitLab
from virtlab.machine import kvm
from virtlab.machine.kvm import Kind, recorded
from virtlab.machine.owning import MachineError

HARDWARE = Kind("hardware", modules=("kvm_intel",), flag="vmx", nested=True)


def other(kind=HARDWARE, factor=0.1, missing=()):
    """The recorded costs as another KVM's, measured now."""
    costs = recorded()
    scaled = tuple(replace(q, value=0, low=0, high=0, n=0, missing="It was refused.") if q.id in missing else
                   replace(q, value=factor * q.value, low=factor * q.low, high=factor * q.high)
                   for q in costs.quantities)  # fmt: skip
    return replace(costs, quantities=scaled, kind=kind, origin="now")


@pytest.fixture
def lab():
    return in_light(ExitLab)


@pytest.fixture
def measures(monkeypatch):
    """Lets the lab measure what is given, and count nothing."""
    def prepare(costs):
        monkeypatch.setattr(kvm, "measure", lambda seconds: costs)
        monkeypatch.setattr(kvm, "count", lambda *_: (_ for _ in ()).throw(MachineError("not here")))

    return prepare


def test_it_is_one_of_the_labs_and_opens_with_the_recording(monkeypatch):
    monkeypatch.setattr(kvm, "measure", lambda seconds: pytest.fail("measured without being asked"))
    assert "ExitLab" in labs.__all__
    lab = ExitLab()
    assert lab.measured.costs is recorded() and lab.describe().startswith("Recorded on 2026-11-26: Software KVM")


# ------------------------------------------------- costs, shares, counts

@pytest.mark.parametrize("access", ["pio", "mmio"])
def test_the_times_are_those_that_were_measured(lab, access):
    lab.access = access
    quantities = (f"userspace_{access}", f"ioeventfd_{access}", "in_kernel", "coalesced_mmio")
    for way, key in zip(lab.result.ways, quantities, strict=True):
        q = recorded()[key]
        assert way.cost_ns == (q.value, q.low, q.high)
        assert show(q.value, "ns") in lab.describe() and show(q.high, "ns") in lab.describe()


def test_the_published_cycles_become_times_by_the_clock(lab):
    for clock in (1, 2.5, 6):
        lab.clock_ghz = clock
        qemu = lab.result.published[0]
        assert qemu.cost_ns[0] * clock == pytest.approx(FACTS["exit.m01.pio.qemu"].value)
        assert lab.result.ways[0].cost_ns[0] == recorded()["userspace_pio"].value, "what is measured has its own clock"


@pytest.mark.parametrize(("rate", "kernel", "user"), [(5e3, "0.272 %", "0.506 %"), (5e4, "2.72 %", "5.06 %"),
                                                      (1e5, "5.44 %", "10.1 %")])  # fmt: skip
def test_the_share_of_a_core_is_rate_times_cost(lab, rate, kernel, user):
    """The golden tax of the empty-handler floor at 2.5 GHz."""
    lab.set(access_rate_per_s=rate, clock_ghz=2.5)
    floors = {FACTS["exit.m03.user"].value: user, FACTS["exit.m03.kernel"].value: kernel}
    for way in lab.result.published:
        if way.cycles in floors and way.share is not None:
            assert show(way.share, "%") == floors[way.cycles]
            assert f"{floors[way.cycles]} of a core" in lab.describe()


def test_more_than_a_core_is_flagged(lab):
    lab.access_rate_per_s = 1_000_000
    user = lab.result.published[2]
    assert user.share == pytest.approx(1.0112) and user.too_much
    assert "101 %: impossible" in lab.describe() and "54.4 % of a core" in lab.describe()
    lab.access_rate_per_s = 100
    assert "impossible" not in lab.describe()


def test_the_recorded_counts_are_those_of_linuxs_own_kvm_and_of_the_kvm_of_the_times(lab):
    said = [way.said for way in lab.result.ways]
    assert "1 return to user space (counted: 100 in 100" in said[0]
    assert "no return to user space (counted: 0 in 100" in said[1]
    assert all("no return to user space (counted: 0 in 100" in text for text in said[2:])


def test_the_details_have_times_and_counts(lab):
    assert words("kvm.cost.entry.title") in lab._details.value
    assert words("counter.userspace_returns.title") in lab._details.value


# ------------------------------------------------- one kind of KVM on an axis

def test_software_and_hardware_have_panels_of_their_own(lab):
    picture = lab._picture
    measured, published = picture.axes["measured"], picture.axes["published"]
    assert measured is not published and measured.get_xlim() != published.get_xlim()
    assert not measured.get_shared_x_axes().joined(measured, published)
    for key, axes in picture.axes.items():
        assert all(row._point.axes is axes and row._ghost.axes is axes for row in picture._rows[key])
    assert "software KVM (kvm_pvm)" in picture._heads["measured"].get_text()
    assert "hardware" in picture._heads["published"].get_text()


def test_a_kept_time_of_another_kind_of_kvm_is_not_drawn(lab, measures):
    lab.keep()
    measures(other())
    lab.measure()
    rows = lab._picture._rows
    assert not any(row._ghost.get_visible() for row in rows["measured"])
    assert all(row._ghost.get_visible() for row in rows["published"]), "those are hardware, then and now"
    assert lab._picture._under["measured"].get_text() == words("exit_lab.under.other_kind")
    assert "hardware KVM (kvm_intel, vmx)" in lab._picture._heads["measured"].get_text()
    assert "This is hardware KVM" in lab.describe() and "no time does" not in lab.describe()


def test_a_kept_time_of_the_same_kind_is_a_ghost(lab, measures):
    lab.keep()
    measures(other(recorded().kind))
    lab.measure()
    ghost = lab._picture._rows["measured"][0]._ghost
    assert ghost.get_visible() and list(ghost.get_xdata()) == [recorded()["userspace_pio"].value] * 2


def test_the_markers_stand_at_their_values_and_at_the_end_of_the_axis_beyond(lab, measures):
    for row, way in zip(lab._picture._rows["published"], lab.result.published, strict=True):
        assert list(row._point.get_xdata()) == [way.cost_ns[0]]
    measures(other(factor=1e-3))
    lab.measure()
    assert list(lab._picture._rows["measured"][0]._point.get_xdata()) == [100]


# ------------------------------------------------- the button

@pytest.mark.parametrize("reason", ["There is no /dev/kvm: virtualization is off.", "It may not be opened."])
def test_without_kvm_the_recording_stays_with_one_sentence_why(lab, measures, reason):
    opened = lab.png, lab.describe()
    measures(other(Kind("none", reason)))
    lab.measure()
    assert lab.error is None and (lab.png, lab.describe()) == opened and lab.measured.costs is recorded()
    assert reason in lab._text.value and "Traceback" not in lab._text.value


def test_a_quantity_that_could_not_be_measured_is_said_and_the_others_are_shown(lab, measures):
    measures(other(missing=("userspace_pio", "ratio_pio")))
    lab.measure()
    assert lab.error is None and lab.result.ways[0].cost_ns is None
    assert "out, handled in user space not measured" in lab.describe()
    assert "times the ioeventfd" not in lab.describe(), "without both there is no ratio"
    row = lab._picture._rows["measured"][0]
    assert not row._point.get_visible() and row._value.get_text() == words("machine.missing")


def test_reset_returns_to_the_recording(lab, measures):
    opened = lab.png
    measures(other())
    lab.measure()
    assert lab.png != opened
    lab.reset()
    assert lab.png == opened


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_text_leaves_the_picture_or_lies_on_another(monkeypatch, measures, theme):
    monkeypatch.setattr("virtlab.labs.base.Lab.scale", 1.0)
    long = replace(other(factor=1, missing=("in_kernel",)), facts=replace(
        recorded().facts, cpu="Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", waiting=1.0))  # fmt: skip
    measures(long)
    lab = ExitLab(theme=theme)
    lab.keep()
    lab.measure()
    for rate in (100, 10_000_000):
        lab.set(access="mmio", access_rate_per_s=rate, clock_ghz=1)
        found = moving_texts(lab._picture)
        assert not outside(lab._picture, found) and not overlapping(still_texts(lab._picture) + found)


@pytest.mark.machine
@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="no /dev/kvm for this user")
def test_a_real_kvm_counts_the_models_returns_and_nothing_is_left(lab):
    with nothing_left():
        lab.measure(0.3)
    if lab.failure:
        pytest.skip(lab.failure)
    assert lab.describe().startswith("This machine, now")
    for access in ("pio", "mmio"):
        lab.access = access
        for way, wanted in zip(lab.result.ways, (100, 0, 0, 0), strict=True):
            assert f"(counted: {wanted} in 100 accesses)" in way.said, way.title
        user, kernel = (way.cost_ns[0] for way in lab.result.ways[:2])
        assert user > kernel, "the way to user space is longer"
