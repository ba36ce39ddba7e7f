"""What a test of this folder may leave behind: nothing. Processes, descriptors, mappings and threads are counted."""
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def children(pid=None):
    """The living processes that this one (or another) started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, rest = stat.read_text().split(" ", 1)
            state, parent = rest.rsplit(")", 1)[1].split()[:2]
            if int(parent) == (pid or os.getpid()) and state not in "ZX":
                found.append(int(number))
    return found


def alive(pid):
    """Whether a process runs; one that ended and was not waited for does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


def shared_mappings():
    """Mappings of memory files: guest memory, disks, eventfd pages of a vCPU."""
    return sorted(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()
                  if "memfd:" in line or "kvm-vcpu" in line)


def state():
    gc.collect()
    fds = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
           if os.path.exists(f"/proc/self/fd/{fd}")}
    return sorted(v for v in fds.values() if not v.startswith("/proc")), shared_mappings(), threading.active_count()


@contextlib.contextmanager
def nothing_left():
    """Fails when what runs inside leaves a process, a descriptor, a mapping of guest memory or a thread."""
    before, ran = state(), set(children())
    yield
    after = state()
    assert set(children()) <= ran, "a process was left"
    assert after == before, f"left: {[x for a, b in zip(after[:2], before[:2], strict=True) for x in a if x not in b]}"


class interrupted_after:
    """Sends this process an interrupt, as Jupyter does, and expects it to come out of what runs inside."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        while True:
            self.timer = threading.Timer(self.seconds, signal.raise_signal, [signal.SIGINT])
            try:
                self.timer.start()
                return
            except KeyboardInterrupt:  # it came before anything ran inside: again, a little later
                self.seconds += 0.005

    def __exit__(self, kind, error, trace):
        try:
            self.timer.join()
        except KeyboardInterrupt:  # what ran inside was over already
            pass
        assert kind is not None, "the interrupt did not come out"
        return kind is KeyboardInterrupt


def killed(code):
    """Runs a program that prints pids and then waits, kills it, and returns those that outlive it by two seconds."""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd=Path(__file__).parents[2]) as program:
        pids = [int(pid) for pid in program.stdout.readline().split()]
        assert pids and all(map(alive, pids)), "the program did not start what it should"
        program.kill()
    until = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    return [pid for pid in pids if alive(pid)]
