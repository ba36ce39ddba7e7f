"""What is kept of a real QEMU: counted and traced anew it is the same in kind, written and read it is the same."""
import tomllib
from typing import get_args

import pytest

from tests.machine.leftovers import interrupted_after, nothing_left
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import Host
from virtlab.machine.qemu import recorded as module
from virtlab.machine.qemu.recorded import (
    BATCHES,
    Span,
    Way,
    count_registers,
    qemu_version,
    recorded_device,
    recorded_timeline,
    trace_reads,
)
from virtlab.machine.qemu.trace import STAGES
from virtlab.virtio.registers import Calls, Kicks, virtio_batch

WAYS = [Way(ring, event_idx, kicks, calls) for ring in ("split", "packed") for event_idx in (True, False)
        for kicks in get_args(Kicks) for calls in get_args(Calls)]  # fmt: skip


SIZES = (1, 2, 8, 32)


def read_back(record, reader, monkeypatch):
    monkeypatch.setattr(module, "kept_table", lambda name: tomllib.loads(record.toml()))
    reader.cache_clear()
    try:
        return reader()
    finally:
        reader.cache_clear()


@pytest.mark.parametrize("reader", [recorded_device, recorded_timeline])
def test_a_fake_or_true_recording_is_read_as_it_was_written(reader, monkeypatch):
    kept = reader()
    assert read_back(kept, reader, monkeypatch) == kept


def test_what_was_counted_now_is_read_as_it_was_written(monkeypatch):
    way = Way(kicks="each")
    now = count_registers([way], seconds=0, rounds=1)
    again = read_back(now, recorded_device, monkeypatch)
    assert (again.ide, again.batches, again.rounds) == (now.ide, now.batches, now.rounds)
    assert again.witness.qemu == now.witness.qemu and again.witness.origin == "recorded"


def test_every_way_that_the_fake_driver_knows_is_recorded_in_every_batch():
    kept = recorded_device()
    assert all(way in kept for way in WAYS) and len(kept.batches) == 2 * len(WAYS)
    assert all(list(seen) == list(BATCHES) for seen in kept.batches.values())


@pytest.mark.parametrize("way", [
    Way(), Way("packed", kicks="each"), Way(event_idx=False, calls="none")], ids=str)  # fmt: skip
def test_a_real_qemu_costs_what_the_model_says(way):
    with nothing_left():
        seen = count_registers([way], seconds=0, rounds=1, sizes=SIZES)
    assert seen.ide.accesses == Span(2062, 2062, 2062) and seen.ide.calls == Span(8, 8, 8)
    for disk in ("mmio", "pci"):
        for n in SIZES:
            model = virtio_batch(disk, n, way.kicks, way.calls, way.event_idx, way.ring == "packed")
            counted = seen.batches[disk, way][n]
            assert model.accesses.least <= counted.accesses.least, (disk, n)
            assert counted.accesses.most <= model.accesses.most or disk == "mmio" and way.calls != "none", (disk, n)
            assert counted.calls.least >= model.calls.least, (disk, n)
    alone = 3 if way.calls != "none" else 1
    assert seen.batches["mmio", way][1].accesses.least == alone and seen.batches["pci", way][1].accesses.median == 1


def test_a_traced_read_goes_through_its_stages_and_leaves_nothing():
    with nothing_left():
        seen = trace_reads(10)
    for ring in ("split", "packed"):
        times = list(seen.timelines[ring].us.values())
        assert list(seen.timelines[ring].us) == [stage for stage, _ in STAGES] and times == sorted(times)
        assert len(seen.timelines[ring].one) > 6 and seen.plain_ns[ring] > 0 and seen.slowdown(ring) > 0
    assert "virtqueue_pop" in str(seen.events("split")) and "Your QEMU" in str(seen)


def test_the_table_has_the_sizes_that_were_counted():
    text = str(count_registers(seconds=0, rounds=1, sizes=(1, 8)))
    assert "batch of 8" in text and "batch of 32" not in text and "2,062" in text


@pytest.mark.parametrize("measure", [lambda: count_registers(seconds=9), lambda: trace_reads(10**6)],
                         ids=["counting", "tracing"])  # fmt: skip
def test_an_interrupt_comes_out_and_leaves_nothing(measure):
    with nothing_left(), interrupted_after(0.4):
        measure()


# --- where there is no QEMU -------------------------------------------------------------------------------------------


def test_a_fake_computer_without_qemu_is_told_how_to_get_it():
    with pytest.raises(MachineError, match=r"no program qemu-system-x86_64 .*virtlab doctor"):
        qemu_version(Host(system="Linux", environ={"PATH": ""}))


def test_a_fake_computer_of_another_kind_is_told_what_it_lacks():
    for system in ("Darwin", "Windows"):
        with pytest.raises(MachineError, match="needs Linux"):
            qemu_version(Host(system=system))


@pytest.mark.parametrize(("line", "version"), [
    ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)", "7.2.22"), ("qemu of my own", "qemu of my own")])
def test_a_fake_version_is_read_from_what_qemu_says(line, version, tmp_path):
    program = tmp_path / "qemu-system-x86_64"
    program.touch(mode=0o755)
    environ = {"PATH": str(tmp_path)}
    assert qemu_version(Host(system="Linux", environ=environ, first_line=lambda command: line)) == version
    with pytest.raises(MachineError, match="does not tell its version"):
        qemu_version(Host(system="Linux", environ=environ, first_line=lambda command: None))
