"""A vhost-user peer that lies: a clear error, no descriptor kept, no touch outside the memory that it gave."""
import mmap
import os
import random
import socket
import struct
import threading

import pytest

from tests.machine.leftovers import nothing_left
from virtlab.machine.owning import MachineError
from virtlab.machine.vhost.blk import BlkBackend
from virtlab.machine.vhost.front import Front
from virtlab.machine.vhost.protocol import Connection, Request
from virtlab.virtio import LocalMemory, SplitDevice, SplitDriver, SplitLayout

MEMORY = 1 << 16


class Liar:
    """The front end's end of a connection, free to say anything."""

    def __init__(self, **more):
        self.socket, theirs = socket.socketpair()
        self.disk = bytearray(1 << 16)
        self.back_end = BlkBackend(theirs, self.disk, **more)
        self.memory = os.memfd_create("liar")
        os.truncate(self.memory, MEMORY)
        self.error = None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        try:
            self.back_end.run()
        except MachineError as error:
            self.error = error

    def say(self, request, body=b"", fds=(), flags=1, size=None):
        socket.send_fds(self.socket, [struct.pack("<III", request, flags, len(body) if size is None else size) + body],
                        list(fds))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()
        self.thread.join(10)
        assert not self.thread.is_alive(), "the back end hangs"
        self.back_end.close()
        os.close(self.memory)


def region(guest=0, size=MEMORY, user=0, offset=0):
    return struct.pack("<QQQQ", guest, size, user, offset)


def table(*regions, count=None):
    return struct.pack("<II", len(regions) if count is None else count, 0) + b"".join(regions)


def remember(*regions, fds=1):
    return lambda liar: liar.say(Request.SET_MEM_TABLE, table(*regions), [liar.memory] * fds)


LIES = {
    "a version that is none": lambda liar: liar.say(1, flags=2),
    "a body without end": lambda liar: liar.say(1, size=1 << 31),
    "a message that is too short": lambda liar: liar.say(Request.SET_VRING_NUM, b"\0" * 4),
    "a queue that there is not": lambda liar: liar.say(Request.SET_VRING_NUM, struct.pack("<II", 9, 8)),
    "features that were not offered": lambda liar: liar.say(Request.SET_FEATURES, struct.pack("<Q", 1 << 60)),
    "a table without descriptors": remember(region(), fds=0),
    "a table of many": lambda liar: liar.say(Request.SET_MEM_TABLE, table(count=1 << 20)),
    "a table that is too short": lambda liar: liar.say(Request.SET_MEM_TABLE, table(count=1), [liar.memory]),
    "memory beyond its file": remember(region(size=2 * MEMORY)),
    "an offset that wraps": remember(region(offset=(1 << 64) - 8)),
    "an empty region": remember(region(size=0)),
    "regions that overlap": remember(region(), region(guest=8), fds=2),
    "a ring before its memory": lambda liar: (liar.say(Request.SET_VRING_ENABLE, struct.pack("<II", 0, 1)),
                                              liar.say(Request.SET_VRING_KICK, struct.pack("<Q", 0), [liar.memory])),
    "a kick without a descriptor": lambda liar: liar.say(Request.SET_VRING_KICK, struct.pack("<Q", 0)),
    "too much configuration": lambda liar: liar.say(Request.GET_CONFIG, struct.pack("<III", 1 << 31, 1 << 31, 0)),
}


@pytest.mark.parametrize("name", LIES)
def test_a_back_end_ends_the_connection_at(name):
    with nothing_left(), Liar() as liar:
        LIES[name](liar)
        liar.thread.join(10)
        assert isinstance(liar.error, MachineError) and "{" not in str(liar.error)


def ring(liar, size=8, desc=0x1000, used=0x3000, avail=0x2000, kick=None):
    """Says all that starts a ring; returns its kick."""
    kick = os.eventfd(0) if kick is None else kick
    liar.say(Request.SET_FEATURES, struct.pack("<Q", 1 << 32 | 1 << 30))
    liar.say(Request.SET_MEM_TABLE, table(region()), [liar.memory])
    liar.say(Request.SET_VRING_NUM, struct.pack("<II", 0, size))
    liar.say(Request.SET_VRING_ADDR, struct.pack("<IIQQQQ", 0, 0, desc, used, avail, 0))
    liar.say(Request.SET_VRING_KICK, struct.pack("<Q", 0), [kick])
    liar.say(Request.SET_VRING_ENABLE, struct.pack("<II", 0, 1))
    return kick


@pytest.mark.parametrize("how", [{"size": 0}, {"size": 7}, {"size": 1 << 16}, {"desc": 0x1008}, {"desc": 1 << 40},
                                 {"used": MEMORY - 8}, {"avail": 0x2001}])
def test_a_back_end_refuses_a_ring_that_cannot_be(how):
    with nothing_left(), Liar() as liar:
        os.close(ring(liar, **how))
        liar.thread.join(10)
        assert isinstance(liar.error, MachineError)


def test_a_ring_against_the_rules_ends_the_connection_and_rings_the_error_descriptor():
    with nothing_left(), Liar() as liar, mmap.mmap(liar.memory, MEMORY) as memory:
        memory[0x1000:0x1010] = struct.pack("<QIHH", 1 << 50, 16, 0, 0)
        memory[0x2000:0x2006] = struct.pack("<HHH", 0, 1, 0)
        error = os.eventfd(0)
        liar.say(Request.SET_VRING_ERR, struct.pack("<Q", 0), [error])
        os.close(ring(liar))
        liar.thread.join(10)
        assert "not within guest memory" in str(liar.error) and os.eventfd_read(error) == 1
        os.close(error)


def test_requests_of_any_shape_are_answered_or_end_the_connection():
    """Chains that are valid, and requests that are not: short headers, no status, sectors far away, endless sizes."""
    rng = random.Random(5)
    for _ in range(300):
        memory = LocalMemory(MEMORY)
        layout = SplitLayout(8, 0x1000, 0x2000, 0x3000)
        driver = SplitDriver(memory, layout)
        header = struct.pack("<IIQ", rng.choice((0, 1, 4, 8, 9, 1 << 31)), 0, rng.choice((0, 8, 127, 128, 1 << 62)))
        memory.write(0x4000, header)
        for _ in range(rng.randrange(1, 3)):
            readable = [(0x4000, rng.choice((1, 8, 16)))] * rng.randrange(0, 2) + [(0x5000, 512)] * rng.randrange(0, 2)
            writable = [(0x6000, rng.choice((1, 16, 511, 512, 8192)))] * rng.randrange(0, 3)
            if readable or writable:
                driver.add(readable, writable)
        driver.publish()
        ours, theirs = socket.socketpair()
        with ours, BlkBackend(theirs, bytearray(1 << 16)) as back_end:
            device = SplitDevice(memory, layout)
            while (chain := device.pop()) is not None:
                device.push(chain, back_end.request(chain, memory))
            device.publish()
        assert len(driver.take()) >= 0


@pytest.mark.parametrize("answer", [
    b"", b"\0" * 12, struct.pack("<III", 1, 5, 8), struct.pack("<III", 1, 5, 1 << 30), struct.pack("<IIIQ", 2, 5, 8, 0),
    struct.pack("<IIII", 1, 5, 4, 0), struct.pack("<IIIQ", 1, 5, 8, 0)])
def test_a_front_end_believes_no_answer_that_cannot_be(answer):
    with nothing_left():
        ours, theirs = socket.socketpair()
        theirs.sendall(answer)
        with theirs, Front(ours, seconds=0.3) as front, pytest.raises(MachineError):
            front.start(0, [8])


def test_descriptors_of_a_message_that_is_refused_are_closed():
    with nothing_left():
        ours, theirs = socket.socketpair()
        fd = os.memfd_create("x")
        with ours, theirs:
            socket.send_fds(theirs, [struct.pack("<III", 1, 7 << 8, 4)], [fd] * 8)
            with pytest.raises(MachineError, match="cannot be"):
                Connection(ours, 0.3).receive()
        os.close(fd)
