"""The qtest protocol against a QEMU that lies, stalls or dies: always an error that says what happened."""
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.qtest import Qtest


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Qtest(ours, lambda: "it was told to", seconds=0.3), theirs


def test_a_fake_answer_is_returned_and_interrupts_in_between_are_kept(pair):
    qtest, peer = pair
    peer.sendall(b"IRQ raise 12\nOK 0x2a\nIRQ lower 12\n")
    assert qtest.load(0xFEB00000, 4) == 42
    assert peer.recv(100) == b"readl 0xfeb00000\n"
    assert qtest.lines() == [(True, 12), (False, 12)] and qtest.lines() == []


@pytest.mark.parametrize(("answer", "message"), [
    (b"FAIL Unknown command 'x'\n", "refused"), (b"ERR\n", "refused"), (b"OK banana\n", "something else"),
    (b"OK 0x100000000\n", "something else"), (b"OK -1\n", "something else"), (b"\xff\xfe\n", "refused"),
    (b"OK " + b"7" * 300_000, "something else"), (b"", "did not answer"), (b"OK 0x1", "did not answer")])
def test_a_fake_answer_that_cannot_be_is_an_error(pair, answer, message):
    qtest, peer = pair
    threading.Thread(target=lambda: peer.sendall(answer)).start()
    with pytest.raises(MachineError, match=message):
        qtest.load(0, 4)


@pytest.mark.parametrize("answer", ["!!!!", "AAAA", "A", "", "ÄÄ"])
def test_fake_memory_that_is_no_memory_is_an_error(pair, answer):
    qtest, peer = pair
    peer.sendall(f"OK {answer}\n".encode())
    with pytest.raises(MachineError):
        qtest.read(0, 4)


def test_a_fake_qemu_that_dies_is_reported_with_its_last_words(pair):
    qtest, peer = pair
    peer.close()
    with pytest.raises(MachineError, match="it was told to"):
        qtest.command("clock")
    with pytest.raises(MachineError, match="it was told to"):
        qtest.lines(0.1)


def test_after_a_fake_late_answer_the_next_command_gets_its_own(pair):
    """An interrupted cell leaves an answer behind: it must not be taken for the next one's."""
    qtest, peer = pair
    with pytest.raises(MachineError, match="0.3 s"):
        qtest.load(1, 4)
    peer.sendall(b"OK 0x1\nOK 0x2\n")
    assert qtest.load(2, 4) == 2


@given(noise=st.binary(max_size=200))
def test_fake_noise_is_an_answer_or_an_error_and_never_a_hang(noise):
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(noise)
        try:
            assert 0 <= Qtest(ours, str, 0.2).load(0, 4) < 1 << 32
        except MachineError:
            pass
