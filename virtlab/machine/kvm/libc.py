"""The C functions that Python has no module for, or whose module does too much."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any


@functools.cache
def function(name: str) -> Any:
    """A function of the C library, which releases the interpreter's lock while it runs and keeps its errno."""
    try:
        return getattr(ctypes.CDLL(None, use_errno=True), name)
    except AttributeError:  # the timers, with a glibc before 2.34
        return getattr(ctypes.CDLL("librt.so.1", use_errno=True), name)


def call(name: str, *arguments: Any) -> None:
    """Calls it. Raises OSError when it does not return 0."""
    if function(name)(*arguments):
        raise error(name)


def error(name: str) -> OSError:
    """The error of the last call in this thread."""
    number = ctypes.get_errno()
    return OSError(number, f"{name}: {os.strerror(number)}")


@functools.cache
def plain_ioctl() -> Callable[[int, int, int], int]:
    """ioctl(2) as it is, for KVM_RUN: 0, or -1 and an errno. That of ``fcntl`` repeats it after a signal since Python
    3.14, and a guest that loops would never be left.
    """
    ioctl = function("ioctl")
    ioctl.argtypes = ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong
    return ioctl
