"""QEMU's monitor protocol: answers among events, and a QEMU that is gone, silent, too talkative or mad."""
import json
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.leftovers import interrupted_after, killed, nothing_left
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu import monitor as module
from virtlab.machine.qemu.monitor import Monitor, Monitored

GREETING = b'{"QMP": {"version": {}, "capabilities": []}}\n'
READY = GREETING + b'{"return": {}}\n'
PC = ["-machine", "pc", "-nodefaults", "-m", "16", "-S"]


@pytest.fixture
def fake():
    """A monitor whose QEMU has said all that it ever will; it stays silent, or ends."""
    held = []

    def says(said, ends=True):
        ours, theirs = socket.socketpair()
        held.extend((ours, theirs))
        theirs.setblocking(False)
        theirs.send(said)
        monitor = Monitor(ours, lambda: "it is gone", 0.1)
        monitor.asked = lambda: [json.loads(line)["execute"] for line in theirs.recv(1 << 16).splitlines()]
        if ends:
            theirs.shutdown(socket.SHUT_WR)
        return monitor

    yield says
    for end in held:
        end.close()


def test_a_fake_answer_is_found_among_events_and_they_are_kept(fake):
    monitor = fake(READY + b'{"event": "RESUME"}\n{"return": [1, 2]}\n{"event": "STOP"}\n')
    assert monitor.ask("query-something", a=1) == [1, 2]
    assert monitor.events() == ["RESUME", "STOP"] and monitor.events() == []
    assert monitor.ended and monitor.asked() == ["qmp_capabilities", "query-something"]


@pytest.mark.parametrize(("said", "message"), [
    (b"", "it is gone"), (GREETING, "it is gone"), (b"hello\n", "something else"), (b"[]\n", "something else"),
    (b"[" * 100_000 + b"\n", "something else"), (READY + b"\xff\xfe\n", "something else"),
    (READY + b'{"error": {"class": "CommandNotFound"}}\n', "refused"), (READY + b'{"event": 7}\n', "something else"),
    (READY + b"{}\n", "something else"), (READY + b'{"return": 7}\n', "something else"),
], ids=lambda value: str(value)[:30])  # fmt: skip
def test_a_fake_qemu_that_says_nonsense_is_an_error_in_one_sentence(fake, said, message):
    with pytest.raises(MachineError, match=message) as error:
        fake(said).tell("info x")
    assert len(str(error.value)) < 300


def test_a_fake_qemu_that_says_nothing_is_waited_for_and_no_longer(fake):
    with pytest.raises(MachineError, match="within 0.1 s"):
        fake(READY, ends=False).ask("query-status")


def test_a_fake_line_without_an_end_is_not_kept_for_ever(fake, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_LINE", 1000)
    with pytest.raises(MachineError, match="something else"):
        fake(READY + b"x" * 2000, ends=False).ask("query-status")


def test_a_fake_qemu_that_floods_with_events_is_stopped(fake, monkeypatch):
    monkeypatch.setattr(module, "_MOST_EVENTS", 10)
    with pytest.raises(MachineError, match="something else"):
        fake(READY + b'{"event": "RTC_CHANGE"}\n' * 20).events()


@given(st.binary(max_size=300))
def test_a_fake_qemu_may_say_any_bytes(said):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(READY + said + b"\n")
        theirs.shutdown(socket.SHUT_WR)
        try:
            Monitor(ours, str, 1).ask("x")
        except MachineError:
            pass


# --- a real QEMU ------------------------------------------------------------------------------------------------------


def test_a_real_qemu_answers_and_leaves_nothing():
    with nothing_left(), Monitored(PC) as qemu:
        assert qemu.monitor.ask("query-status")["status"] == "prelaunch"
        assert "pc.ram" in qemu.monitor.tell("info mtree -f")


def test_a_real_qemu_that_refuses_its_options_says_which():
    with nothing_left(), pytest.raises(MachineError, match="no-such-card"):
        Monitored([*PC, "-device", "no-such-card"])


def test_a_real_qemu_that_is_killed_is_said_to_be_gone():
    with nothing_left(), Monitored(PC) as qemu:
        os.kill(qemu.pid, 9)
        with pytest.raises(MachineError, match="exit status is -9"):
            qemu.monitor.ask("query-status")


def test_an_interrupt_while_a_real_qemu_starts_leaves_nothing():
    with nothing_left(), interrupted_after(0.02):
        while True:
            Monitored(PC).close()


def test_a_real_qemu_ends_with_a_reader_who_is_killed():
    assert killed(f"""
from virtlab.machine.qemu.monitor import Monitored
qemu = Monitored({PC!r})
print(qemu.pid, flush=True)
input()
""") == []
