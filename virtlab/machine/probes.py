"""Measures the costs that decide the I/O ladder on this computer: in Python, without rights, in bounded time.

Python is slow, so each probe takes away what Python itself costs: a call that asks the kernel for nothing, a byte that
is written and read without a switch, a copy of almost no bytes. What is left over is said with each quantity.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from time import perf_counter_ns as now

import numpy as np

from virtlab.core.words import words
from virtlab.machine.computer import watch
from virtlab.machine.measured import COSTS, Measured, Quantity
from virtlab.machine.sampling import CannotMeasure, check_seconds, quantity, reason, until

FRAME_BYTES = 1518
_STRIDE_BYTES = 2048  # frames lie apart, as on a ring, so that NumPy copies each on its own
_FRAMES = 32  # two rings of 64 KiB: in the second-level cache of any server
_LARGE_BYTES = 64 << 20
_PARTNER_SECONDS = 30  # a partner that nobody ends lives no longer than this
#: The part of the time that each quantity gets.
_SHARE = {"syscall": 0.1, "context_switch": 0.25, "wakeup": 0.3, "copy_cache": 0.1, "copy_memory": 0.25}

Samples = Generator[float, None, None]


def measure(seconds: float = 0.5) -> Measured:
    """The costs of this computer, in about ``seconds`` (0.05 to 10) and some 0.2 s to prepare.

    Never raises for a quantity that cannot be measured: it is reported as missing, with the reason. Whatever was opened
    or started is closed again, after an interrupt as well. Raises ParameterError for ``seconds`` out of range.
    """
    check_seconds(seconds)
    facts = watch()
    return Measured(tuple(_careful(key, seconds * _SHARE[key]) for key in COSTS), facts())


def _careful(key: str, seconds: float) -> Quantity:
    try:
        with contextlib.closing(PROBES[key](seconds)) as probe:  # an interrupt closes it at once, not some time later
            return quantity(key, list(probe))
    except Exception as error:  # a sandbox may refuse anything
        return Quantity(key, missing=reason(error))


# --- the probes: each yields samples until its time is over ---------------------------------------------------------


def _calls_ns(call: Callable[[], object], times: int) -> int:
    start = now()
    for _ in range(times):
        call()
    return now() - start


def syscall(seconds: float) -> Samples:
    """ns of one system call: getppid, less a call of the same form that asks the kernel for nothing."""
    if os.name != "posix":
        raise CannotMeasure(words("machine.why.posix"))
    times = 400
    for _ in until(seconds):
        # Both in one sample, so that a change of the clock frequency strikes both.
        yield (_calls_ns(os.getppid, times) - _calls_ns(threading.get_ident, times)) / times


def context_switch(seconds: float) -> Samples:
    """ns from one process to another on ONE CPU: half a round trip, less one write and one read of the pipe."""
    cpus = usable_cpus()
    return ping_pong(seconds, cpus[0], cpus[0])


def wakeup(seconds: float) -> Samples:
    """ns until a process that sleeps on ANOTHER CPU runs: half a round trip, less one write and one read."""
    cpus = usable_cpus()
    if len(cpus) < 2:
        raise CannotMeasure(words("machine.why.one_cpu"))
    return ping_pong(seconds, cpus[0], another_core(cpus))


def usable_cpus() -> list[int]:
    if not hasattr(os, "sched_setaffinity"):
        raise CannotMeasure(words("machine.why.affinity"))
    return sorted(os.sched_getaffinity(0))


def another_core(cpus: list[int], root: Path = Path("/")) -> int:
    """A CPU that is no hyper-thread of the first one, if there is one."""
    try:
        file = root / f"sys/devices/system/cpu/cpu{cpus[0]}/topology/thread_siblings_list"
        ranges = [[int(n) for n in part.split("-")] for part in file.read_text().strip().split(",")]
        siblings = {cpu for ends in ranges for cpu in range(ends[0], ends[-1] + 1)}
    except (OSError, ValueError):
        siblings = set()
    return next((cpu for cpu in cpus[1:] if cpu not in siblings), cpus[1])


def ping_pong(
    seconds: float, ours: int | None, theirs: int | None, look: Callable[[int], None] = lambda pid: None
) -> Samples:
    """ns from one process to another, on these CPUs; None leaves a process where the scheduler puts it.

    ``look`` is called after each sample, with the pid of the other process.
    """
    times = 10
    with pinned(ours), _partner(theirs) as (to, back, pid), _pipe() as own:
        _round_trips(20, to, back)  # the partner starts, and caches fill
        for _ in until(seconds):
            # Through one's own pipe a byte is written and read without a switch: the same calls, the same Python.
            yield _round_trips(times, to, back) / times / 2 - _round_trips(times, *own) / times
            look(pid)


def _round_trips(times: int, to: int, back: int) -> int:
    """ns for ``times`` bytes that are written into ``to`` and read from ``back``."""
    read, write = os.read, os.write
    start = now()
    for _ in range(times):
        write(to, b"x")
        if not read(back, 1):
            raise CannotMeasure(words("machine.why.partner"))
    return now() - start


@contextlib.contextmanager
def pinned(cpu: int | None) -> Iterator[None]:
    """This thread on ``cpu`` only; None changes nothing."""
    if cpu is None:
        yield
        return
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {cpu})
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _partner(cpu: int | None) -> Iterator[tuple[int, int, int]]:
    """A process on ``cpu`` that answers each byte, as (write end, read end, pid). No fork: a notebook has threads."""
    program, where = str(Path(__file__).with_name("pong.py")), "any" if cpu is None else str(cpu)
    command = [sys.executable, "-I", "-S", program, where, str(_PARTNER_SECONDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            assert process.stdin is not None and process.stdout is not None
            yield process.stdin.fileno(), process.stdout.fileno(), process.pid
        finally:
            process.kill()  # and __exit__ closes the pipes and waits


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """A pipe within this process, as (write end, read end)."""
    back, to = os.pipe()
    try:
        yield to, back
    finally:
        os.close(to)
        os.close(back)


def copy_cache(seconds: float) -> Samples:
    """GB/s of one core that copies frames in its cache, less what NumPy needs to begin."""
    source, target = (np.full((_FRAMES, _STRIDE_BYTES), fill, np.uint8) for fill in (1, 2))
    frames = target[:, :FRAME_BYTES], source[:, :FRAME_BYTES]
    almost_nothing = target[:, :1], source[:, :1]
    times = 20
    for _ in until(seconds):
        ns = _copies_ns(*frames, times) - _copies_ns(*almost_nothing, times)
        yield times * _FRAMES * FRAME_BYTES / ns if ns > 0 else 0.0


def copy_memory(seconds: float) -> Samples:
    """GB/s of one core that copies 64 MiB, more than its caches hold."""
    source, target = (np.full(_LARGE_BYTES, fill, np.uint8) for fill in (1, 2))  # filled: every page is there
    for _ in until(seconds):
        yield _LARGE_BYTES / _copies_ns(target, source, 1)


def _copies_ns(target: np.ndarray, source: np.ndarray, times: int) -> int:
    copy = np.copyto
    start = now()
    for _ in range(times):
        copy(target, source)
    return now() - start


PROBES: dict[str, Callable[[float], Samples]] = {
    "syscall": syscall, "context_switch": context_switch, "wakeup": wakeup, "copy_cache": copy_cache,
    "copy_memory": copy_memory,
}  # fmt: skip
