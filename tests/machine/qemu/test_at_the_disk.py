"""What arrives at the disk behind a real QEMU: merged reads, flushes and FUA by cache mode, as the models have them."""
import tomllib

import pytest

from tests.machine.leftovers import interrupted_after, nothing_left
from virtlab.machine import measure_flushes, measure_merging, recorded_flushes, recorded_merging
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import Host
from virtlab.machine.qemu import at_the_disk as module
from virtlab.machine.qemu import recorded
from virtlab.machine.qemu.at_the_disk import DEPTHS, MOMENTS, SETUPS, Setup
from virtlab.machine.qemu.disks import CACHE_OPTIONS, VirtioBlk, pattern
from virtlab.machine.qemu.nbd import NbdDisk
from virtlab.offload import WRITE_CACHES, durability
from virtlab.virtio.registers import virtio_batch


def check_merging(found):
    for setup, by_depth in found.seen.items():
        for depth, seen in by_depth.items():
            whole = setup.merging and setup.adjacent
            assert seen.at_disk.least >= 1 and seen.at_disk.most <= depth
            assert seen.at_disk.most == (1 if whole else depth), (setup, depth)
            model = virtio_batch(setup.transport, depth, "once", "last", setup.event_idx)
            assert model.accesses.least <= seen.accesses.least, (setup, depth)
            # a level-triggered line may rise again before it was acknowledged: one call more is seen then
            assert seen.accesses.most <= model.accesses.most or setup.transport == "mmio", (setup, depth)
            assert model.calls.least <= seen.calls.least and seen.calls.most <= depth + (setup.transport == "mmio")
    alone = {t: found.seen[Setup(t)][1].accesses.least for t in ("mmio", "pci")}
    assert alone == {"mmio": 3, "pci": 1}


def check_flushes(found):
    assert list(found.modes) == list(CACHE_OPTIONS)
    for mode, seen in found.modes.items():
        cached, durable, ignored = WRITE_CACHES[mode]
        assert seen.write_back is not durable and seen.fua == (2 if durable else 0)
        assert (seen.refused == "") is ignored is found.swallows(mode), mode
        if seen.refused == "write":
            assert durable, "only a write that must be durable asks the disk for a flush"
        # Our disk is volatile and the next thing behind QEMU: what it has left is what the model's disk may leave.
        if not ignored:
            model = durability(write_cache="none" if not durable else mode, device_cache="volatile")
            for moment, left in zip(MOMENTS, seen.survivors, strict=True):
                losses = model.losses[moment, "power"]
                assert left in losses.survivors and set(losses.certain) <= set(left), (mode, moment)
        assert seen.flushes == 1, "QEMU's NBD client passes a flush on in every mode"


def test_adjacent_reads_are_merged_and_scattered_ones_are_not_and_the_registers_cost_what_the_model_says():
    setups = [Setup(), Setup(adjacent=False), Setup(merging=False), Setup("pci"), Setup("pci", False, adjacent=False)]
    with nothing_left():
        found = measure_merging(1, setups)
    check_merging(found)
    assert set(found.seen) == set(setups) and "1 arrives at the disk" in found.sentence()
    assert "1 → 0.125 → 0.0312" in str(found) and found.witness.label() in str(found)


def test_each_cache_mode_does_what_the_model_says_and_unsafe_alone_hides_a_refused_flush():
    with nothing_left():
        found = measure_flushes()
    check_flushes(found)
    assert [mode for mode in found.modes if found.swallows(mode)] == ["unsafe"]
    assert "as done with: unsafe" in found.sentence() and "all is said to be done" in str(found)


def test_what_is_recorded_of_a_fake_or_true_qemu_says_the_same():
    check_merging(recorded_merging())
    check_flushes(recorded_flushes())
    assert list(recorded_merging().seen) == list(SETUPS)
    assert all(list(by_depth) == list(DEPTHS) for by_depth in recorded_merging().seen.values())


@pytest.mark.parametrize("reader", [recorded_merging, recorded_flushes])
def test_a_fake_or_true_recording_is_read_as_it_was_written(reader, monkeypatch):
    kept = reader()
    monkeypatch.setattr(module, "kept_table", lambda name: tomllib.loads(kept.toml()))
    reader.cache_clear()
    try:
        assert reader() == kept
    finally:
        reader.cache_clear()


@pytest.mark.parametrize("measure", [lambda: measure_merging(1000), measure_flushes])
def test_an_interrupt_leaves_nothing(measure):
    with nothing_left(), interrupted_after(0.4):
        measure()


@pytest.mark.parametrize("measure", [measure_merging, measure_flushes])
def test_without_a_qemu_a_fake_host_is_told_in_one_sentence(measure, monkeypatch):
    def none(host=None):
        return recorded.qemu_version(Host(system="Linux", environ={"PATH": ""}))

    monkeypatch.setattr(module, "qemu_version", none)
    with pytest.raises(MachineError, match="qemu-system-x86_64"):
        measure()


def test_every_byte_goes_through_our_disk_and_back():
    disk = pattern()
    with nothing_left(), NbdDisk(disk) as nbd, VirtioBlk(served=nbd, transport="pci") as blk:
        assert blk.sectors == len(disk) // 512 and blk.read(8) == disk[4096:8192]
        blk.write(2040, b"x" * 4096)
        assert blk.read(2040) == b"x" * 4096 and nbd.after_power_failure() == disk
        blk.flush()
        assert nbd.after_power_failure() == disk[:-4096] + b"x" * 4096
        assert blk.batch(32, adjacent=True) == [disk[n * 4096 : n * 4096 + 4096] for n in range(32)]


def test_a_disk_that_is_gone_is_an_error_of_the_request_and_not_a_hang():
    with nothing_left(), NbdDisk(pattern()) as nbd, VirtioBlk(served=nbd) as blk:
        nbd.close()
        with pytest.raises(MachineError, match="status 1"):
            blk.read(0)


def test_an_unknown_cache_mode_is_told_to_a_fake_reader_before_anything_starts():
    with nothing_left(), pytest.raises(ValueError, match="cache fast is not one of writeback"):
        VirtioBlk(cache="fast")
