"""vhost-user: our back end and front end, against each other, against QEMU and against its storage daemon."""
import os
import signal
import socket
import time

import pytest

from tests.machine.leftovers import alive, children, interrupted_after, killed, nothing_left
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.blk_driver import BlkDriver
from virtlab.machine.qemu.disks import VirtioBlk, pattern
from virtlab.machine.vhost.backend import in_thread
from virtlab.machine.vhost.blk import BlkBackend
from virtlab.machine.vhost.disks import VhostBlk
from virtlab.machine.vhost.front import Front
from virtlab.virtio import NO_FEATURES, Feature

DISK = pattern()
rings = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
events = pytest.mark.parametrize("event_idx", [False, True], ids=["flags", "event_idx"])
daemon = pytest.param("qemu-storage-daemon", marks=getattr(pytest.mark, "storage-daemon"))
servers = pytest.mark.parametrize("server", ["python", daemon])


def works(disk):
    assert disk.sectors == 2048 and disk.read(8) == DISK[4096:8192]
    disk.write(16, bytes(range(256)) * 16)
    disk.flush()
    assert disk.read(16) == bytes(range(256)) * 16 and disk.read(24) == DISK[24 * 512:32 * 512]
    assert disk.batch(32) == disk.batch(32, kick_each=True, calls="each") == disk.batch(32, calls="none")


@servers
@events
def test_a_disk_of_another_process_reads_and_keeps_what_was_written(server, event_idx):
    with VhostBlk(DISK, server, event_idx=event_idx) as disk:
        works(disk)


@events
def test_and_on_a_packed_ring(event_idx):
    with VhostBlk(DISK, packed=True, event_idx=event_idx) as disk:
        works(disk)


@pytest.mark.qemu
@rings
@events
def test_qemu_passes_the_rings_of_its_guest_to_python(packed, event_idx):
    ours, theirs = socket.socketpair()
    content = bytearray(DISK)
    with ours, in_thread(BlkBackend(theirs, content, without=NO_FEATURES)) as back_end:
        with VirtioBlk(back_end=ours, packed=packed, event_idx=event_idx) as disk:
            works(disk)
            assert content[8192:12288] == bytes(range(256)) * 16, "the write is in our bytearray"
    assert back_end.journal[:4] == ["GET_FEATURES", "GET_PROTOCOL_FEATURES", "SET_PROTOCOL_FEATURES", "GET_QUEUE_NUM"]
    assert {"SET_MEM_TABLE", "SET_VRING_KICK", "SET_VRING_CALL", "SET_VRING_ADDR"} <= set(back_end.journal)


@pytest.mark.qemu
@pytest.mark.parametrize(("event_idx", "most_calls"), [(True, 40), (False, 320)])
def test_event_idx_lets_ten_batches_be_called_about_ten_times(event_idx, most_calls):
    ours, theirs = socket.socketpair()
    with ours, in_thread(BlkBackend(theirs, bytearray(DISK), call_each=True)) as back_end:
        with VirtioBlk(back_end=ours, event_idx=event_idx) as disk:
            for _ in range(10):
                disk.batch(32, kick_each=True)
        counts = back_end.counts("")
        assert counts.work == 320 and 10 <= counts["calls"] <= most_calls
        assert counts["calls"] + counts["calls_suppressed"] == 320, "one question for each request that was done"
        assert event_idx or counts["calls"] == 320


@getattr(pytest.mark, "storage-daemon")
def test_the_storage_daemon_calls_once_a_request_without_event_idx_and_seldom_with_it():
    calls = {}
    for event_idx in (False, True):
        with VhostBlk(DISK, "qemu-storage-daemon", event_idx=event_idx) as disk:
            disk.counted("", 1)
            for _ in range(10):
                disk.batch(32)
            calls[event_idx] = disk.counted("", 320)["calls"]
    assert calls[True] <= 40 and 2 * calls[True] < calls[False]


def test_a_kick_and_a_call_are_eventfds_and_a_lone_read_has_one_of_each():
    with VhostBlk(DISK) as disk:
        disk.read(0)
        time.sleep(0.05)  # until the back end sleeps
        disk.counted("", 1)
        disk.read(8)
        one = disk.counted("", 1)
        assert (one["kicks"], one["calls"], one["register_reads"], one["register_writes"]) == (1, 1, 0, 0)


def test_a_back_end_that_polls_needs_hardly_a_kick():
    kicks = {}
    for poll_us in (0, 50_000):
        with VhostBlk(DISK, poll_us=poll_us) as disk:
            for n in range(40):
                disk.read(8 * n)
                time.sleep(0.005)  # long enough for one that sleeps, and not for one that goes on looking
            kicks[poll_us] = disk.counted("", 40)["kicks"]
    assert kicks[50_000] <= 10 < 30 <= kicks[0]


def test_requests_that_cannot_be_done_have_their_status():
    ours, theirs = socket.socketpair()
    with in_thread(BlkBackend(theirs, bytearray(DISK))), Front(ours) as front:
        disk = BlkDriver(front, Feature.EVENT_IDX)
        assert disk.serial() == "virtlab"
        disk.sectors = 1 << 40
        with pytest.raises(MachineError, match="status 1"):
            disk.read(1 << 30)
        with pytest.raises(MachineError, match="status 2"):
            disk._one(99, 0, 512)
        assert disk.read(8) == DISK[4096:8192], "and the disk goes on"


# --- a peer that dies, stalls -----------------------------------------------------------------------------------------

@servers
def test_a_server_that_is_killed_is_an_error_in_time(server):
    before = set(children())
    with VhostBlk(DISK, server) as disk:
        disk.seconds = 1
        (pid,) = set(children()) - before
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(MachineError, match="did not come back|gone"):
            for _ in range(100):
                disk.read(0)


def test_a_front_end_that_goes_away_ends_the_server():
    before = set(children())
    disk = VhostBlk(DISK)
    (pid,) = set(children()) - before
    disk.transport._connection.socket.close()
    until = time.monotonic() + 5
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(pid)
    disk.close()


@servers
def test_nothing_is_left(server):
    with nothing_left(), VhostBlk(DISK, server) as disk:
        disk.read(0)


def test_nothing_is_left_of_a_thread_that_serves():
    with nothing_left():
        ours, theirs = socket.socketpair()
        with in_thread(BlkBackend(theirs, bytearray(DISK))), Front(ours) as front:
            BlkDriver(front, Feature.EVENT_IDX).read(0)


@servers
@pytest.mark.parametrize("delay", [0.02, 0.1, 0.6])
def test_nothing_is_left_after_an_interrupt(server, delay):
    with nothing_left(), interrupted_after(delay), VhostBlk(DISK, server) as disk:
        while True:
            disk.read(0)


@servers
def test_a_server_does_not_outlive_a_python_that_is_killed(server):
    assert killed(f"import sys\nfrom tests.machine.leftovers import children\n"
                  f"from virtlab.machine.vhost.disks import VhostBlk\n"
                  f"d = VhostBlk(server={server!r})\nprint(*children(), flush=True)\nsys.stdin.read()") == []
