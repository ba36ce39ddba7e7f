"""The times of exits: measured or said to be missing, told apart by kind, kept apart on axes, and recorded."""
import html
import os
import tomllib
from dataclasses import replace
from importlib import resources

import pytest

from virtlab.core.parameter import ParameterError
from virtlab.machine import Host
from virtlab.machine.kvm import ExitCosts, Kind, count, measure, on_one_axis, recorded, recorded_counts
from virtlab.machine.kvm import measuring as module
from virtlab.machine.kvm.records import COSTS, Cost
from virtlab.machine.owning import MachineError

SOFTWARE, HARDWARE, NONE = Kind("software"), Kind("hardware"), Kind("none", "It is not there.")


@pytest.fixture(scope="module")
def now():
    return measure(0.1)


@pytest.mark.machine
def test_every_quantity_is_measured_with_its_spread(now, here):
    assert [q.id for q in now.quantities] == list(COSTS) and now.kind == here and now.origin == "now"
    for q in now.quantities:
        assert q.present and 0 <= q.low <= q.value <= q.high and q.n >= 5, q


@pytest.mark.machine
def test_the_label_says_what_was_measured(now, here):
    assert here.text in now.label() and now.facts.cpu in now.label() and now.facts.cpu in now._repr_html_()


@pytest.mark.machine
def test_a_measurement_leaves_nothing_behind():
    before = sorted(os.listdir("/proc/self/fd"))
    measure(0.05)
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.machine
@pytest.mark.parametrize("error", [KeyboardInterrupt, MachineError("It broke."), OSError(5, "I/O"), MemoryError()])
def test_an_error_becomes_a_reason_and_an_interrupt_reaches_the_reader(monkeypatch, error):
    calls, really = [], module.nothing_lost

    def sometimes(guest, left):
        calls.append(left)
        if len(calls) == 4:
            raise error
        really(guest, left)

    monkeypatch.setattr(module, "nothing_lost", sometimes)
    before = sorted(os.listdir("/proc/self/fd"))
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            measure(0.05)
    else:
        costs = measure(0.05)
        assert costs["userspace_pio"].missing and costs["in_kernel"].present
        assert str(error) in costs["userspace_pio"].missing or type(error).__name__ in costs["userspace_pio"].missing
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_without_kvm_everything_is_missing_for_one_reason(tmp_path):
    costs = measure(0.05, Host(system="Linux", environ={}, root=tmp_path, home=tmp_path))
    assert {q.missing for q in costs.quantities} == {costs.kind.text} and costs.kind.name == "none"
    assert costs.kind.text in costs.sentence() and costs.kind.text in str(costs)


@pytest.mark.parametrize("seconds", [0, 11, float("nan")])
def test_a_time_out_of_range_is_explained(seconds):
    with pytest.raises(ParameterError, match="seconds must be"):
        measure(seconds)


def test_a_cost_lost_in_the_noise_is_missing_alone():
    costs = module._careful(("userspace_pio", "loop"), lambda seconds: (pair for pair in [(5.0, 0.0)] * 5), 0.1)
    assert costs[0] == Cost("userspace_pio", 5, 5, 5, 5) and costs[1].missing


def test_times_of_two_kinds_do_not_share_an_axis():
    kept = recorded()
    on_one_axis(kept, kept, replace(kept, kind=NONE))
    on_one_axis()
    with pytest.raises(ValueError, match="do not share an axis: hardware, software"):
        on_one_axis(replace(kept, kind=HARDWARE), replace(kept, kind=SOFTWARE))


def test_the_sentence_of_software_claims_no_time_of_hardware():
    assert "no time does" in replace(recorded(), kind=SOFTWARE).sentence()
    assert "software" not in replace(recorded(), kind=HARDWARE).sentence()


def test_the_recorded_measurement_is_complete_dated_and_of_one_kind():
    kept = recorded()
    assert kept is recorded() and kept.origin == "recorded" and kept.kind.name == "software"
    assert kept.kind.modules == ("kvm_pvm",) and not kept.facts.busy
    assert kept.label().startswith(f"Recorded on {kept.facts.date}: Software KVM (kvm_pvm)")
    assert [q.id for q in kept.quantities] == list(COSTS)
    for q in kept.quantities:
        assert q.present and 0 < q.low <= q.value <= q.high and q.n >= 5, q
    assert kept["ratio_pio"].value > 1 and kept["userspace_pio"].value > kept["ioeventfd_pio"].value


def test_a_measurement_is_written_as_the_recorded_file_is_read():
    kept = recorded()
    tree = tomllib.loads(kept.toml())
    file = resources.files("virtlab.machine") / "data" / "recorded_kvm.toml"
    assert tree == tomllib.loads(file.read_text(encoding="utf-8"))
    assert tree["kvm"]["name"] == "software" and len(tree["quantity"]) == len(COSTS)


def test_the_tables_tell_how_each_was_measured_and_what_remains_in_it():
    page, text = recorded()._repr_html_(), str(recorded())
    for q in recorded().quantities:
        assert html.escape(q.how) in page and html.escape(q.remains) in page and q.text() in text and q.unit


def test_a_measurement_is_also_one_of_the_machines_kind():
    assert isinstance(recorded(), ExitCosts) and recorded()["loop"].unit == "ns"


RECORDED_COUNTS = ("in_kernel", "coalesced_pio", "coalesced_mmio")


def test_the_recorded_counts_have_the_end_of_the_guest_as_their_only_return():
    assert tuple(recorded_counts()) == RECORDED_COUNTS
    for counts in recorded_counts().values():
        assert (counts.work, counts.unit, counts["userspace_returns"], counts["userspace.io"]) == (100, "access", 1, 1)


@pytest.mark.machine
@pytest.mark.parametrize("name", RECORDED_COUNTS)
def test_what_is_counted_here_is_what_was_recorded(here, name):
    kept = recorded_counts()[name]
    assert count(name, 100).only(*kept.values) == kept
