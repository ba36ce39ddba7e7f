"""The disk behind QEMU as a server: it keeps what it promised, and a client that lies gets an error or no answer."""
import random
import socket
import struct
import threading
import time

import pytest

from tests.machine.leftovers import nothing_left
from virtlab.machine.qemu.nbd import NbdDisk

DISK = bytes(range(256)) * 256
OPTION, REQUEST = 0x49484156454F5054, 0x25609513


class Client:
    def __init__(self, greet=True):
        self.disk = NbdDisk(DISK)
        self.socket = self.disk.peer
        self.socket.settimeout(5)
        assert self.receive(18)[:8] == b"NBDMAGIC"
        if greet:
            self.send(struct.pack(">I", 3) + struct.pack(">QII", OPTION, 7, 0))
            reply = self.receive(20 + 12 + 20)
            size, flags = struct.unpack(">QH", reply[22:32])
            assert size == len(DISK) and flags == 0b1101

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, size):
        found = b""
        while len(found) < size:
            more = self.socket.recv(size - len(found))
            if not more:
                return found
            found += more
        return found

    def ask(self, kind, at=0, size=0, data=b"", flags=0, magic=REQUEST):
        self.send(struct.pack(">IHHQQI", magic, flags, kind, 0x1234, at, size) + data)
        answer = self.receive(16)
        if not answer:
            return None
        magic, error, cookie = struct.unpack(">IIQ", answer)
        assert (magic, cookie) == (0x67446698, 0x1234)
        return error, self.receive(size) if kind == 0 and not error else b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.disk.close()


def test_a_fake_client_reads_what_it_wrote_and_a_power_failure_leaves_what_was_flushed():
    with nothing_left(), Client() as client:
        assert client.ask(0, 256, 256) == (0, DISK[256:512])
        assert client.ask(1, 0, 4, b"abcd") == (0, b"") and client.ask(0, 0, 4) == (0, b"abcd")
        assert client.disk.after_power_failure() == DISK
        assert client.ask(1, 8, 4, b"efgh", flags=1) == (0, b"")
        assert client.disk.after_power_failure()[:12] == DISK[:8] + b"efgh", "FUA alone, not what was before it"
        assert client.ask(3) == (0, b"") and client.disk.after_power_failure()[:12] == b"abcd" + DISK[4:8] + b"efgh"
        assert client.disk.counted == {"reads": 2, "writes": 2, "fua": 1, "flushes": 1}


@pytest.mark.parametrize(("kind", "at", "size", "data"), [
    (0, len(DISK), 1, b""), (0, len(DISK) - 1, 2, b""), (0, 1 << 63, 512, b""), (1, len(DISK), 2, b"xx"),
    (9, 0, 0, b""),
])
def test_what_a_fake_client_asks_beyond_the_disk_is_an_error_and_changes_nothing(kind, at, size, data):
    with nothing_left(), Client() as client:
        assert client.ask(kind, at, size, data) == (22, b"") and client.disk.counted == {"errors": 1}
        assert client.ask(3) == (0, b"") and client.disk.after_power_failure() == DISK


@pytest.mark.parametrize(("ask", "why"), [
    ({"kind": 0, "magic": 7}, "request: 0x7"), ({"kind": 1, "size": 0xFFFF_FFFF}, "4294967295 B"),
    ({"kind": 0, "size": (1 << 20) + 1}, "1048577 B"),
])
def test_a_fake_client_that_breaks_the_rules_is_hung_up_on_and_that_is_said(ask, why):
    with nothing_left(), Client() as client:
        assert client.ask(**ask) is None
        assert why in client.disk.failure


@pytest.mark.parametrize("options", [
    struct.pack(">QII", 7, 7, 0), struct.pack(">QII", OPTION, 7, 1 << 30), struct.pack(">QII", OPTION, 3, 0) * 70,
])
def test_a_fake_client_that_never_comes_to_the_point_is_hung_up_on(options):
    with nothing_left(), Client(greet=False) as client:
        client.send(struct.pack(">I", 3) + options)
        while client.socket.recv(1 << 16):
            pass
        assert "broke the rules of NBD" in client.disk.failure


def test_unknown_options_of_a_fake_client_are_declined_and_it_may_leave():
    with nothing_left(), Client(greet=False) as client:
        client.send(struct.pack(">I", 3) + struct.pack(">QII", OPTION, 8, 0))
        assert struct.unpack(">QIII", client.receive(20))[1:3] == (8, 0x8000_0001)
        client.send(struct.pack(">QII", OPTION, 2, 0))
        assert struct.unpack(">QIII", client.receive(20))[1:3] == (2, 1) and client.socket.recv(1) == b""
        assert client.disk.failure == ""


def test_closing_ends_a_server_that_waits_for_a_fake_client_at_any_place():
    for sent in (b"", struct.pack(">I", 3), struct.pack(">I", 3) + struct.pack(">QI", OPTION, 7)):
        with nothing_left(), Client(greet=False) as client:
            client.send(sent)
            time.sleep(0.01)
    assert not [t for t in threading.enumerate() if t.name == "virtlab-nbd"]


@pytest.mark.parametrize("seed", range(30))
def test_the_noise_of_a_fake_client_neither_hangs_nor_kills_the_server(seed):
    noise = random.Random(seed)
    with nothing_left(), Client(greet=noise.random() < 0.7) as client:
        client.send(noise.randbytes(noise.randint(1, 300)))
        client.socket.shutdown(socket.SHUT_WR)
        while client.socket.recv(1 << 16):
            pass
        assert client.disk.after_power_failure() == DISK

