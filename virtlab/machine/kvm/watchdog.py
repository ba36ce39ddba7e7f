"""A time limit for KVM_RUN that works in every thread and installs no signal handler.

A timer of the kernel sends SIGURG to this very thread, every 50 ms. The thread blocks it, so Python never sees it; KVM
unblocks it for the time of KVM_RUN (KVM_SET_SIGNAL_MASK), so KVM_RUN, and nothing else, is interrupted. A tick that
comes before KVM_RUN stays pending and ends it at once: there is no gap to fall into. SIGURG is taken because the
system ignores it by default: a tick gone astray does no harm. Each tick lets Python handle a Ctrl-C, even one that was
delivered to another thread or just before KVM_RUN.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from collections.abc import Iterator

from virtlab.machine.kvm import abi, libc

TICK_SECONDS = 0.05
_CLOCK_MONOTONIC, _SIGEV_THREAD_ID = 1, 4


class _Event(ctypes.Structure):
    """struct sigevent, of which SIGEV_THREAD_ID uses these."""

    _fields_ = [
        ("value", ctypes.c_void_p), ("signal", ctypes.c_int), ("notify", ctypes.c_int), ("thread", ctypes.c_int),
        ("_rest", ctypes.c_int * 11),
    ]  # fmt: skip


class _Times(ctypes.Structure):
    """struct itimerspec: the interval, then the time to the first tick."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")]


@contextlib.contextmanager
def ticking(vcpu: int) -> Iterator[None]:
    """While this lasts, KVM_RUN of this thread on ``vcpu`` fails with EINTR at every tick.

    Call :func:`drain` before KVM_RUN is entered again. Raises OSError if the system gives no timer.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})
        # What is blocked in KVM_RUN, as the kernel writes a set: bit n-1 is signal n.
        blocked = sum(1 << number - 1 for number in before if number != signal.SIGURG)
        abi.ioctl(vcpu, abi.KVM_SET_SIGNAL_MASK, abi.SIGNAL_MASK.pack(8, blocked))
        with _timer():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _timer() -> Iterator[None]:
    event = _Event(signal=signal.SIGURG, notify=_SIGEV_THREAD_ID, thread=threading.get_native_id())
    timer = ctypes.c_size_t()  # timer_t: an opaque word, of which 0 is a good one
    libc.call("timer_create", _CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer))
    try:
        every = int(TICK_SECONDS * 1e9)
        libc.call("timer_settime", timer, 0, ctypes.byref(_Times(0, every, 0, every)), None)
        yield
    finally:
        libc.call("timer_delete", timer)
        drain()


def drain() -> None:
    """Takes the tick that ended KVM_RUN, which would end the next one at once."""
    while signal.sigtimedwait({signal.SIGURG}, 0) is not None:
        pass
