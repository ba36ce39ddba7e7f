"""One tiny guest: what it says when it comes back, its time limit, and that nothing is left behind however it ends."""
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.machine.leftovers import children
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.machine.kvm import PROGRAMS, Stuck, TinyGuest, abi
from virtlab.machine.kvm import guest as guest_module
from virtlab.machine.kvm.guest import CODE_BYTES, MEMORY_BYTES
from virtlab.machine.kvm.modes import MMIO, MODES
from virtlab.machine.owning import MachineError

pytestmark = pytest.mark.machine
ENDLESS = b"\xeb\xfe"  # jmp to itself, in each mode


def held():
    """What must be given back: open files, mappings, timers, blocked signals, threads, child processes."""
    files = [os.path.basename(link) for link in map(_target, os.listdir("/proc/self/fd")) if link]
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    guests = sum("kvm" in fields[-1] or _size(fields[0]) == MEMORY_BYTES and "s" in fields[1] for fields in maps)
    timers = Path("/proc/self/timers")  # not in every kernel
    return (sorted(files), guests, timers.exists() and timers.read_text(), sorted(children()),
            signal.pthread_sigmask(signal.SIG_BLOCK, ()), threading.active_count())


def _target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:  # the one that listed them
        return ""


def _size(addresses):
    low, high = (int(part, 16) for part in addresses.split("-"))
    return high - low


def out_guest(n=3, **kw):
    guest = TinyGuest(PROGRAMS["out"].code, **kw)
    guest.set_registers(rcx=n, rdx=0x3F8, rax=0x41)
    return guest


def test_a_write_to_a_port_comes_back_with_port_and_data():
    with out_guest() as guest:
        last = guest.run()
        assert (last.reason, last.address, last.size, last.write, last.data) == ("io", 0x3F8, 1, True, b"A")
        assert last.ns > 0


def test_a_store_comes_back_with_address_and_data():
    with TinyGuest(PROGRAMS["store"].code) as guest:
        guest.set_registers(rcx=1, rdi=MMIO, rax=0x11223344)
        last = guest.run()
        assert (last.reason, last.address, last.data) == ("mmio", MMIO, b"\x44\x33\x22\x11")


@pytest.mark.parametrize(("program", "answer"), [("in", b"\x5a"), ("load", b"\x04\x03\x02\x01")])
def test_a_read_gets_the_answer(program, answer):
    with TinyGuest(PROGRAMS[program].code) as guest:
        guest.set_registers(rcx=1, rdx=0x3F8, rdi=MMIO)
        assert not guest.run().write
        guest.answer(answer)
        guest.run()
        assert guest.registers()["rax"] == int.from_bytes(answer, "little")


@pytest.mark.parametrize("mode", list(MODES))
def test_every_mode_runs_to_its_end(mode):
    end = b"\xe6\x99" if mode == "user" else b"\xf4"
    with TinyGuest(b"\x90" + end, mode) as guest:
        assert guest.run().reason == ("io" if mode == "user" else "hlt")


def test_many_returns_in_one_call_leave_the_guest_at_the_last():
    with out_guest(10) as guest:
        assert guest.run(times=10).address == 0x3F8 and guest.registers()["rcx"] == 1
        assert guest.run().address == 0x99


def test_what_ends_a_guest_for_good_is_one_sentence():
    with TinyGuest(b"\xf4", "user") as guest, pytest.raises(MachineError, match="cannot go on: KVM says"):
        guest.run()  # hlt is not allowed in ring 3, and there is no table of handlers


# --- the time limit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(MODES))
def test_a_guest_that_loops_is_left_and_can_be_run_on(mode):
    with TinyGuest(ENDLESS, mode) as guest:
        for _ in range(2):
            with pytest.raises(Stuck, match="time limit is over, with 0 returns"):
                guest.run(0.06)


def test_the_time_limit_holds_in_another_thread_and_needs_no_handler():
    before, errors = signal.getsignal(signal.SIGURG), []

    def loop():
        with TinyGuest(ENDLESS) as guest:
            try:
                guest.run(0.06)
            except Stuck as error:
                errors.append(error)

    threads = [threading.Thread(target=loop) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(errors) == 3 and not any(thread.is_alive() for thread in threads)
    assert signal.getsignal(signal.SIGURG) is before


def test_a_guest_that_sleeps_in_the_kernel_is_left():
    with TinyGuest(b"\xf4\xeb\xfd", "real", irqchip=True) as guest, pytest.raises(Stuck, match="sleeps in HLT"):
        guest.run(0.06)


def test_a_guest_that_comes_back_for_ever_is_left():
    with out_guest(2**60) as guest, pytest.raises(Stuck, match="comes back without end"):
        guest.serve(lambda last: False, 0.1)
    with out_guest(2**60) as guest, pytest.raises(Stuck, match="time limit is over"):
        guest.run(0.1, times=10**9)


def test_a_tick_that_waits_is_of_no_consequence_for_the_next_run():
    with out_guest(4) as guest:
        guest.serve(lambda last: time.sleep(0.07) or last.address == 0x99, 5)
        assert guest.registers()["rcx"] == 0


# --- nothing is left --------------------------------------------------------------------------------------------------


def test_all_is_closed_at_the_end_of_with():
    before = held()
    with out_guest(irqchip=True) as guest:
        guest.ioeventfd(0x3F8, 1, pio=True)
        guest.irqfd(5)
        guest.coalesce(0x3F9, 1, pio=True)
        guest.run()
        files, guests, timers = held()[:3]
        assert guests == 2 and not timers, "its memory and its kvm_run"
        assert sum("kvm" in name for name in files) >= 3 and sum("eventfd" in name for name in files) == 2
    assert held() == before


def test_all_is_closed_when_the_last_name_is_gone():
    before = held()
    guest = out_guest()
    guest.run()
    del guest
    assert held() == before


@pytest.mark.parametrize("step", ["page_tables", "special_registers"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(5, "Input/output error")])
def test_all_is_closed_when_the_start_fails_or_is_interrupted(monkeypatch, step, error):
    def fail(*arguments):
        raise error

    before = held()
    monkeypatch.setattr(f"virtlab.machine.kvm.modes.{step}", fail)
    with pytest.raises((KeyboardInterrupt, MachineError)) as stopped:
        TinyGuest(ENDLESS)
    assert held() == before, "with the traceback still alive"
    assert stopped.tb


@pytest.mark.parametrize("mode", ["user", "real"])
def test_ctrl_c_ends_a_guest_that_loops_and_leaves_nothing(mode):
    before = held()
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt) as stopped, TinyGuest(ENDLESS, mode) as guest:
        guest.run(30)
    timer.join()
    assert guest.closed and held() == before and stopped.tb


def test_ctrl_c_that_another_thread_receives_ends_it_too():
    before = held()

    def interrupt():
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # Python notes it, KVM_RUN is not disturbed

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt), TinyGuest(ENDLESS) as guest:
        guest.run(30)
    thread.join()
    assert held() == before


def test_a_stray_tick_does_no_harm():
    signal.raise_signal(signal.SIGURG)
    with out_guest() as guest:
        assert guest.run().reason == "io"


RUNS = """
import contextlib, sys, threading, time
from virtlab.machine.kvm import TinyGuest
from virtlab.machine.owning import MachineError
guest = TinyGuest(b"\\xeb\\xfe")
if "thread" in sys.argv:
    def run():
        with contextlib.suppress(MachineError):  # it is closed when Python ends
            guest.run(60)
    threading.Thread(target=run, daemon="daemon" in sys.argv).start()
    while not guest._turn.taken:
        time.sleep(0.01)
    print("runs", flush=True)
    if "daemon" not in sys.argv:
        sys.stdin.read()
else:
    print("runs", flush=True)
    guest.run(60)
"""


def started(*arguments):
    process = subprocess.Popen([sys.executable, "-c", RUNS, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "runs\n"
    return process


@pytest.mark.parametrize(("name", "arguments"), [
    ("SIGKILL", ()), ("SIGKILL", ("thread",)), ("SIGTERM", ()), ("SIGINT", ()),
])
def test_a_python_that_is_killed_in_a_run_is_gone_at_once(name, arguments):
    number = getattr(signal, name)  # Windows, where this is skipped, has not all of them
    with started(*arguments) as process:
        time.sleep(0.05)
        assert not children(process.pid), "nothing else could be left"
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == -number
    assert not Path(f"/proc/{process.pid}").exists()


def test_a_python_that_ends_while_a_thread_of_it_runs_a_guest_ends_too():
    with started("thread", "daemon") as process:
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


# --- polite refusals --------------------------------------------------------------------------------------------------


CALLS = {
    "run": lambda g: g.run(), "serve": lambda g: g.serve(lambda last: True), "bounce": lambda g: g.bounce(1),
    "read": lambda g: g.read(0, 1), "write": lambda g: g.write(0, b"a"), "answer": lambda g: g.answer(b"a"),
    "registers": lambda g: g.registers(), "set_registers": lambda g: g.set_registers(),
    "ioeventfd": lambda g: g.ioeventfd(0x3F8, 1, pio=True), "irqfd": lambda g: g.irqfd(5),
    "coalesce": lambda g: g.coalesce(0x3F8, 1, pio=True), "coalesced": lambda g: g.coalesced(),
    "signals": lambda g: g.signals(0), "statistics": lambda g: g.statistics(),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_closed_guest_says_so(call):
    guest = out_guest(irqchip=True)
    guest.close()
    guest.close()
    with pytest.raises(MachineError) as refused:
        call(guest)
    assert str(refused.value) == words("kvm.closed")


def test_one_vcpu_runs_in_one_thread_at_a_time():
    with TinyGuest(ENDLESS) as guest:
        thread = threading.Thread(target=lambda: pytest.raises(Stuck, guest.run, 0.3))
        thread.start()
        time.sleep(0.1)
        with pytest.raises(MachineError, match="one thread at a time"):
            guest.run()
        thread.join()


def test_closing_from_another_thread_ends_the_run():
    before, errors = held(), []
    guest = TinyGuest(ENDLESS)

    def loop():
        try:
            guest.run(20)
        except MachineError as error:
            errors.append(str(error))

    thread = threading.Thread(target=loop)
    thread.start()
    time.sleep(0.1)
    guest.close()
    thread.join(10)
    assert errors == [words("kvm.closed")] and held() == before


def test_a_handler_may_close_its_guest():
    before = held()
    with out_guest() as guest, pytest.raises(MachineError) as refused:
        guest.serve(lambda last: guest.close())
    assert str(refused.value) == words("kvm.closed") and held() == before


WRONG = {
    "no code": (lambda: TinyGuest(b""), "code must be 1 to 12,288 bytes; you gave 0"),
    "too much code": (lambda: TinyGuest(bytes(CODE_BYTES + 1)), "you gave 12289"),
    "no such mode": (lambda: TinyGuest(ENDLESS, "virtual"), "one of real, protected, long, user"),
}
WRONG_CALLS = {
    "a time of none": (lambda g: g.run(0), "above 0 and at most 60"),
    "a time that is no number": (lambda g: g.run(float("nan")), "above 0 and at most 60"),
    "an hour": (lambda g: g.run(3600), "a guest that loops is left"),
    "no returns": (lambda g: g.run(times=0), "never entered"),
    "memory below": (lambda g: g.read(-1, 2), "do not lie in it"),
    "memory beyond": (lambda g: g.write(MEMORY_BYTES - 1, b"ab"), "do not lie in it"),
    "no such register": (lambda g: g.set_registers(eax=1), "no register with its value"),
    "a register too full": (lambda g: g.set_registers(rax=1 << 64), "no register with its value"),
    "a port too far": (lambda g: g.ioeventfd(0x10000, 1, pio=True), "0 to 0xffff"),
    "a port of 8 bytes": (lambda g: g.ioeventfd(0x3F8, 8, pio=True), "its size is 1, 2, 4 B"),
    "a device in memory": (lambda g: g.ioeventfd(0x1000, 4), "beyond the guest's 2 MiB"),
    "a device of 3 bytes": (lambda g: g.ioeventfd(MMIO, 3), "its size is 1, 2, 4, 8 B"),
    "a zone of nothing": (lambda g: g.coalesce(MMIO, 0), "its size is 1 to 4,096 B; you gave 0 B"),
    "line 24": (lambda g: g.irqfd(24), "0 to 23"),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_a_guest_that_cannot_be_is_explained(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


@pytest.mark.parametrize(("call", "message"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_an_argument_out_of_range_is_explained(call, message):
    with out_guest(irqchip=True) as guest, pytest.raises(ParameterError, match=message):
        call(guest)


def test_an_irqfd_without_interrupt_controller_is_explained():
    with out_guest() as guest, pytest.raises(MachineError, match="irqchip=True"):
        guest.irqfd(5)


def test_an_eventfd_that_nobody_signalled_holds_nothing_and_a_ring_that_nobody_asked_for_is_empty():
    with out_guest() as guest:
        assert guest.signals(guest.ioeventfd(0x3F9, 1, pio=True)) == 0 and guest.coalesced() == []
        guest.run()
        assert guest.coalesced() == []


@pytest.mark.parametrize(("capability", "call"), [
    ("KVM_CAP_IRQFD", lambda g: g.irqfd(5)), ("KVM_CAP_COALESCED_PIO", lambda g: g.coalesce(0x3F8, 1, pio=True)),
    ("KVM_CAP_COALESCED_MMIO", lambda g: g.coalesce(MMIO, 4)),
])
def test_help_that_this_kvm_lacks_is_named(monkeypatch, capability, call):
    lacking, really = getattr(abi, capability), guest_module.capability
    with out_guest(irqchip=True) as guest:
        monkeypatch.setattr(guest_module, "capability", lambda fd, number: number != lacking and really(fd, number))
        with pytest.raises(MachineError, match=f"lacks {capability}"):
            call(guest)


def test_a_system_that_gives_no_timer_says_so_and_keeps_its_signals(monkeypatch):
    before = held()
    monkeypatch.setattr("virtlab.machine.kvm.watchdog._CLOCK_MONOTONIC", 9999)
    with out_guest() as guest, pytest.raises(MachineError, match="timer_create"):
        guest.run()
    assert held() == before


def test_what_kvm_refuses_is_one_sentence():
    with out_guest() as guest, pytest.raises(MachineError, match=r"could not be used \(File exists\)"):
        guest.ioeventfd(0x3F8, 1, pio=True)
        guest.ioeventfd(0x3F8, 1, pio=True)


def test_the_state_of_a_guest_does_not_depend_on_how_often_it_bounced():
    with out_guest(2) as guest:
        assert guest.bounce(100) > 0
        assert guest.run().address == 0x3F8 and guest.registers()["rcx"] == 2


def test_the_structures_of_the_timer_have_the_sizes_of_the_c_library():
    from virtlab.machine.kvm import watchdog

    assert (ctypes.sizeof(watchdog._Event), ctypes.sizeof(watchdog._Times)) == (64, 32)
