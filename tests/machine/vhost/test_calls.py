"""Calls of a batch on real devices: within what the model says, exact where it is exact, and nothing is left."""
import html
import sys

import pytest

from tests.machine.leftovers import interrupted_after, nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.machine import Host, measure_calls, recorded_calls
from virtlab.machine import calls as module
from virtlab.machine.measured import CALLS
from virtlab.machine.vhost.disks import VhostBlk
from virtlab.offload import batch_calls, delayed_event

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs eventfd and shared memory")
daemon = getattr(pytest.mark, "storage-daemon")
PYTHON, DAEMON = ([key for key in CALLS if key.startswith(which)] for which in ("python", "daemon"))


def model(key):
    event_idx, asked = module.WAYS[key.partition("_")[2]]
    return batch_calls(module.BATCH, asked, event_idx)


def within(found, keys):
    for key in keys:
        q, bounds = found[key], model(key)
        assert q.present and q.n >= 5, q
        assert bounds.least <= q.low <= q.value <= q.high <= bounds.most, q


@linux
@pytest.mark.machine
def test_a_python_back_end_calls_as_often_as_the_model_says_and_nothing_is_left():
    with nothing_left():
        within(measure_calls(0.3), PYTHON)


@linux
@pytest.mark.machine
@daemon
def test_the_storage_daemon_of_qemu_does_so_too():
    within(measure_calls(0.3), DAEMON)


@linux
@pytest.mark.machine
def test_a_driver_names_the_entry_at_three_quarters():
    seen = []
    with VhostBlk(call_each=True) as disk:
        really = disk.ring.calls
        disk.ring.calls = lambda after: seen.append(after) or really(after)
        disk.batch(32, calls="delayed")
    assert seen[0] == delayed_event(0, 32) + 1 == 25
    assert set(seen) <= {delayed_event(0, left) + 1 for left in range(1, 33)}


@linux
@pytest.mark.machine
@pytest.mark.parametrize("delay", [0.1, 0.7])
def test_an_interrupt_comes_out_and_leaves_nothing(delay):
    with nothing_left(), interrupted_after(delay):
        measure_calls(10)


@pytest.mark.parametrize("seconds", [0, -1, 11, float("nan")])
def test_a_time_out_of_range_is_explained(seconds):
    with pytest.raises(ParameterError, match=r"seconds must be 0\.05 to 10; you gave"):
        measure_calls(seconds)


def test_another_system_says_what_it_lacks_and_nothing_is_started(monkeypatch):
    monkeypatch.setattr(module, "VhostBlk", lambda **_: pytest.fail("started"))
    found = measure_calls(0.05, Host(system="Darwin"))
    assert [q.id for q in found.quantities] == list(CALLS)
    assert {q.missing for q in found.quantities} == {words("probe.why.memfd")}


@linux
@pytest.mark.machine
def test_without_the_daemon_its_calls_are_missing_and_the_others_are_there():
    found = measure_calls(0.05, Host(system="Linux", environ={"PATH": ""}))
    assert all(found[key].present for key in PYTHON)
    assert all("qemu-storage-daemon" in found[key].missing for key in DAEMON)


def test_a_device_that_fails_becomes_a_reason(monkeypatch):
    def broken(**_):
        raise RuntimeError("refused")

    monkeypatch.setattr(module, "VhostBlk", broken)
    assert all("refused" in q.missing or q.missing for q in measure_calls(0.05).quantities)


def test_the_recorded_calls_are_complete_dated_and_within_the_model():
    kept = recorded_calls()
    assert kept.origin == "recorded" and [q.id for q in kept.quantities] == list(CALLS)
    within(kept, CALLS)
    assert all(kept[key].value == model(key).least for key in CALLS if model(key).least == model(key).most)
    assert kept["python_delayed"].value < kept["python_each"].value < kept["python_flags"].value
    page = kept._repr_html_()
    assert all(html.escape(q.how) in page and html.escape(q.remains) in page for q in kept.quantities)
