"""Real disks and cards of a real QEMU: every byte right, and what a request costs in register accesses, exactly."""
import contextlib
import os
import signal
import time

import pytest

from tests.machine.leftovers import alive, interrupted_after, killed, nothing_left
from virtlab.core.counts import side_by_side
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.disks import VirtioBlk, ide_read, pattern, register_accesses
from virtlab.machine.qemu.mmio import Mmio
from virtlab.machine.qemu.net import VirtioNet
from virtlab.machine.qemu.process import Qemu
from virtlab.virtio import ide_request, virtio_batch

DISK = pattern()
rings = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
transports = pytest.mark.parametrize("transport", ["mmio", "pci"])


@contextlib.contextmanager
def counting(disk, work=1):
    """Yields a function that says what was counted since; nothing of before is in it."""
    disk.counted("", 1)
    yield lambda: disk.counted(disk.title, work)


def accesses(counts):
    return counts["register_reads"] + counts["register_writes"]


@transports
@rings
@pytest.mark.parametrize("event_idx", [False, True], ids=["flags", "event_idx"])
@pytest.mark.parametrize("how", [{}, {"messages": True}, {"indirect": True}], ids=["mapped", "messages", "indirect"])
def test_a_disk_reads_writes_and_keeps_what_was_written(transport, packed, event_idx, how):
    with VirtioBlk(DISK, packed=packed, transport=transport, event_idx=event_idx, **how) as disk:
        assert disk.sectors == len(DISK) // 512
        assert disk.read(8) == DISK[4096:8192] and disk.read(2047, 512) == DISK[-512:]
        disk.write(16, bytes(range(256)) * 16)
        disk.flush()
        assert disk.read(16) == bytes(range(256)) * 16 and disk.read(24) == DISK[24 * 512:32 * 512]
        assert disk.batch(32) == disk.batch(32, kick_each=True, calls="each") == disk.batch(32, calls="none")


@rings
def test_on_virtio_mmio_a_read_costs_three_register_accesses_and_one_interrupt(packed):
    with VirtioBlk(packed=packed) as disk:
        assert accesses(disk.initialization) == 25, "15, and 10 a queue"
        disk.read(0)
        with counting(disk) as counted:
            disk.read(8)
        one = counted()
        assert (one["register_reads"], one["register_writes"], one["kicks"], one["calls"]) == (1, 2, 1, 1)


@rings
def test_on_virtio_pci_with_msi_x_a_read_costs_one_register_access(packed):
    with VirtioBlk(packed=packed, transport="pci") as disk:
        disk.read(0)
        with counting(disk) as counted:
            disk.read(8)
        one = counted()
        assert (one["register_reads"], one["register_writes"], one["kicks"], one["calls"]) == (0, 1, 1, 1)


@rings
def test_a_batch_of_32_shares_its_three_accesses(packed):
    with VirtioBlk(packed=packed) as disk:
        with counting(disk, 32) as counted:
            disk.batch(32)
        batch = counted()
        assert accesses(batch) == 3 and round(accesses(batch) / 32, 3) == 0.094
        with counting(disk, 32) as counted:
            disk.batch(32, calls="none")
        assert accesses(counted()) == 1 and counted()["calls"] == 0


def test_the_ring_costs_what_was_counted_on_a_ring_of_ours():
    """The same driver code on local memory makes the same accesses: what differs is only who is on the other side."""
    with VirtioBlk() as disk:
        disk.read(0)
        with counting(disk) as counted:
            disk.read(8)
        one = counted()
    assert (one["memory_writes"], one["memory_written_bytes"]) == (8, 71)
    assert one["memory_reads"] == 6


def test_an_ide_disk_needs_2062_accesses_and_8_interrupts_for_the_same_4_KiB():
    data, counts = ide_read(DISK, sector=8)
    assert data == DISK[4096:8192]
    assert (counts["register_reads"], counts["register_writes"], counts["calls"]) == (2056, 6, 8)


def test_all_disks_stand_in_one_table():
    table = str(side_by_side(*register_accesses()))
    assert "2,056" in table and "virtio-pci with MSI-X" in table


@rings
@transports
@pytest.mark.parametrize("requests", [1, 32])
def test_the_model_and_the_device_stand_in_one_table_and_agree(transport, packed, requests):
    model = virtio_batch(transport, requests, "once", "last", packed=packed).counts("model")
    with VirtioBlk(packed=packed, transport=transport) as disk:
        disk.read(0)
        with counting(disk, requests) as counted:
            disk.batch(requests)
        device = counted().only(*model.values)
    assert device.values == model.values, str(side_by_side(model, device))


def test_the_model_of_an_ide_disk_agrees_with_the_real_one():
    model, device = ide_request().counts("model"), ide_read(DISK)[1]
    assert device.values == model.only(*device.values).values, str(side_by_side(model, device))


@transports
@rings
def test_a_card_sends_and_receives_every_frame(transport, packed):
    head = b"\xff" * 6 + bytes([2, 0, 0, 0, 0, 1]) + b"\x88\xb5"
    frames = [head + n.to_bytes(2, "big") * (20 + n) for n in range(100)]
    with VirtioNet(packed=packed, transport=transport) as card:
        card.send(frames)
        assert [card.cable.receive() for _ in frames] == frames
        card.send(frames[:5], kick_each=True)
        assert [card.cable.receive() for _ in range(5)] == frames[:5]
        for start in (0, 50):
            for frame in frames[start:start + 50]:
                card.cable.send(frame)
            got = card.receive(50)
            assert [frame[:len(sent)] for frame, sent in zip(got, frames[start:start + 50], strict=True)] == \
                frames[start:start + 50]


def test_a_card_of_two_queues_is_set_up_with_35_register_accesses():
    with VirtioNet() as card:
        counts = card.counted("", 1)
        assert accesses(counts) - counts["kicks"] == 35 and counts["kicks"] == 1, "the kick offers receive buffers"


# --- what a user gets wrong -------------------------------------------------------------------------------------------

def test_requests_outside_the_disk_and_frames_that_are_none_are_refused():
    with VirtioBlk(DISK) as disk:
        for sector, size in ((-1, 512), (2048, 512), (2041, 4096), (0, 100), (0, 8192), (0, 0)):
            with pytest.raises(ValueError, match="outside the disk"):
                disk.read(sector, size)
        with pytest.raises(ValueError, match="1 to 32"):
            disk.batch(33)
    with VirtioNet() as card, pytest.raises(ValueError, match="14 to 1514"):
        card.send([b"short"])
    with pytest.raises(ValueError, match="outside the disk"):
        ide_read(DISK, sector=2048)


def test_options_that_qemu_does_not_know_are_reported_in_its_own_words():
    with nothing_left(), pytest.raises(MachineError, match="no-such-device"):
        Qemu(["-device", "no-such-device"])


def test_a_machine_without_the_device_says_so():
    with Qemu() as qemu, pytest.raises(MachineError, match="no virtio device of kind 2"):
        Mmio(qemu, 2)
    with pytest.raises(ValueError, match="microvm, pc"):
        Qemu(machine="toaster")


def test_a_qemu_that_is_killed_is_reported_as_dead():
    with VirtioBlk() as disk:
        os.kill(disk.qemu.pid, signal.SIGKILL)
        with pytest.raises(MachineError, match="exit status is -9"):
            for _ in range(100):
                disk.read(0)


def test_a_qemu_that_stands_still_is_reported_in_time():
    with Qemu(seconds=0.5) as qemu:
        os.kill(qemu.pid, signal.SIGSTOP)
        with pytest.raises(MachineError, match="0.5 s"):
            qemu.qtest.command("clock_set 1") or qemu.qtest.load(0, 4)


# --- nothing is left --------------------------------------------------------------------------------------------------

@transports
def test_nothing_is_left_after_a_disk(transport):
    with nothing_left(), VirtioBlk(transport=transport) as disk:
        disk.read(0)


def test_nothing_is_left_when_the_last_name_is_gone():
    with nothing_left():
        disk = VirtioBlk()
        pid = disk.qemu.pid
        del disk
    assert not alive(pid)


def test_nothing_is_left_after_an_interrupt_and_it_comes_out_at_once():
    with nothing_left():
        start = time.monotonic()
        with interrupted_after(0.5), VirtioBlk() as disk:
            while True:
                disk.read(0)
        assert time.monotonic() - start < 5


def test_an_interrupt_while_qemu_starts_leaves_nothing():
    for delay in (0.01, 0.03, 0.06):
        with nothing_left(), interrupted_after(delay), VirtioBlk() as disk:
            while True:
                disk.read(0)


def test_qemu_does_not_outlive_a_python_that_is_killed():
    assert killed("from virtlab.machine.qemu.disks import VirtioBlk\nimport sys\nd = VirtioBlk()\n"
                  "print(d.qemu.pid, flush=True)\nsys.stdin.read()") == []


@pytest.mark.parametrize("make", [Qemu, VirtioBlk, ide_read], ids=["qemu", "virtio", "ide"])
def test_a_system_without_anonymous_files_says_so_in_one_sentence(make, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with pytest.raises(MachineError, match="needs Linux"):
        make()
