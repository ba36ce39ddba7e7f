"""Whatever is started or opened ends with us: at the end of `with`, when dropped, when interrupted, when killed."""
import contextlib
import gc
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.machine.leftovers import alive, interrupted_after, nothing_left
from virtlab.machine.owning import MachineError, Owner, descriptor, end, folder, start

pytestmark = pytest.mark.machine
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and PR_SET_PDEATHSIG")
SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


class Sleeper(Owner):
    def __init__(self, fails=False):
        super().__init__()
        with self._opening() as held:
            self.folder = folder(held)
            self.read, write = (descriptor(held, fd) for fd in os.pipe())
            self.process = start(held, SLEEP, stdout=subprocess.PIPE)
            assert self.process.stdout.read(2) == b"up"
            if fails:
                raise MachineError("half-way")

    def things(self):
        return self.process.pid, self.folder, self.read


def gone(pid, path, fd):
    with pytest.raises(OSError):
        os.fstat(fd)
    return not alive(pid) and not path.exists()


@linux
def test_everything_is_gone_after_with():
    with Sleeper() as sleeper:
        things = sleeper.things()
        assert alive(things[0]) and things[1].is_dir() and not sleeper.closed
    assert gone(*things) and sleeper.closed


@linux
def test_everything_is_gone_when_the_last_name_is():
    sleeper = Sleeper()
    things = sleeper.things()
    del sleeper
    gc.collect()
    assert gone(*things)


@linux
def test_what_was_opened_before_a_failure_is_closed():
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(MachineError, match="half-way"):
        Sleeper(fails=True)
    assert set(os.listdir("/proc/self/fd")) == before


@linux
def test_closing_twice_does_nothing_twice():
    sleeper = Sleeper()
    sleeper.close()
    sleeper.close()
    assert end(sleeper.process) == sleeper.process.returncode


@linux
def test_a_program_that_will_not_end_is_killed():
    stubborn = ("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "
                "time.sleep(60)")
    with contextlib.ExitStack() as held:
        process = start(held, [sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
        process.stdout.read(2)
        assert end(process, seconds=0.2) == -signal.SIGKILL


STARTER = """
import contextlib, subprocess, sys
from tests.machine.leftovers import alive, interrupted_after, nothing_left
from virtlab.machine.owning import start
held = contextlib.ExitStack()
sleep = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"]
process = start(held, sleep, stdout=subprocess.PIPE)
process.stdout.read(2)
print(process.pid, flush=True)
sys.stdin.read()
"""


@linux
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_dies_with_a_starter_that_is_killed(how):
    starter = subprocess.Popen([sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = int(starter.stdout.readline())
    assert alive(pid)
    starter.send_signal(how)
    starter.communicate()
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(pid)


@linux
def test_an_interrupt_of_our_group_is_for_us_alone():
    """Jupyter sends its interrupts to the whole process group of a kernel."""
    with Sleeper() as sleeper:
        assert os.getpgid(sleeper.process.pid) != os.getpgid(0)


@linux
@pytest.mark.parametrize("delay", [0.0, 0.001, 0.002, 0.005, 0.01])
def test_an_interrupt_at_any_moment_of_a_start_leaves_nothing(delay):
    with nothing_left(), interrupted_after(delay), Sleeper():
        time.sleep(10)


@linux
def test_only_the_named_descriptors_are_inherited():
    with contextlib.ExitStack() as held:
        ours, theirs = (descriptor(held, fd) for fd in os.pipe())
        os.set_inheritable(ours, True)
        code = "import os; print(*sorted(os.listdir('/proc/self/fd')))"
        process = start(held, [sys.executable, "-c", code], pass_fds=[theirs], stdout=subprocess.PIPE)
        listed = process.stdout.read().split()
    assert str(theirs).encode() in listed and str(ours).encode() not in listed


def test_a_program_that_is_missing_is_one_sentence():
    with contextlib.ExitStack() as held, pytest.raises(MachineError, match="no program no-such-program"):
        start(held, ["no-such-program"])
