"""What we open and start is ours to close: at the end of ``with``, when it is dropped, and when Python ends."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self

from virtlab.core.words import say

_PATIENCE_SECONDS = 3.0  # between a polite end and a kill


class MachineError(RuntimeError):
    """Something of this computer that was started did not do its part; one sentence for the reader."""


class Owner:
    """Base of what holds processes, descriptors, mappings and folders. Closing it closes them, the last one first.

    It is closed by ``close()``, by the end of ``with``, when the last name of it is gone, and when Python ends. What
    holds it must therefore not be held by it.
    """

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()
        self._close = weakref.finalize(self, self._held.close)

    @contextlib.contextmanager
    def _opening(self) -> Iterator[contextlib.ExitStack]:
        """For ``__init__``: when it fails or is interrupted half-way, what was opened so far is closed."""
        try:
            yield self._held
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        return not self._close.alive

    def close(self) -> None:
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def start(
    held: contextlib.ExitStack, command: Sequence[str], pass_fds: Sequence[int] = (),
    stdin: int | IO[Any] = subprocess.DEVNULL, stdout: int | IO[Any] = subprocess.DEVNULL,
    stderr: int | IO[Any] = subprocess.DEVNULL, environ: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a program that ``held`` ends, and that Linux kills when the thread that starts it ends.

    It is in a session of its own: an interrupt is for us, and we end it. Nothing is inherited but ``pass_fds`` and the
    three streams. Raises MachineError when there is no such program.
    """  # fmt: skip
    path = shutil.which(command[0])
    if path is None:
        raise MachineError(say("machine.why.program", name=command[0]))
    if sys.platform == "linux":
        launcher = str(Path(__file__).with_name("launch.py"))
        line = [sys.executable, "-I", "-S", launcher, str(os.getpid()), path, *command[1:]]
    else:
        line = [path, *command[1:]]
    with _uninterrupted():  # between the fork and the next line, nobody would know of the child
        process = subprocess.Popen(line, pass_fds=pass_fds, stdin=stdin, stdout=stdout, stderr=stderr, env=environ,
                                   start_new_session=True, bufsize=0)  # fmt: skip
        held.callback(end, process)
    return process


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Puts an interrupt off until the end. (Python handles signals in the main thread alone.)"""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    late: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: late.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if late:
            signal.raise_signal(signal.SIGINT)


def end(process: subprocess.Popen[bytes], seconds: float = _PATIENCE_SECONDS) -> int:
    """Asks, waits, insists; closes its pipes and returns the exit status. Does nothing twice."""
    try:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
    finally:  # an interrupt while it waits is no reason to leave anything
        if process.poll() is None:
            process.kill()
        status = process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return status


def descriptor(held: contextlib.ExitStack, fd: int) -> int:
    """A descriptor that ``held`` closes."""
    held.callback(os.close, fd)
    return fd


def memory_file(held: contextlib.ExitStack, data: bytes = b"", size: int = 0) -> int:
    """A file without a name that a child may inherit, of ``data`` or of ``size`` bytes; ``held`` closes it.

    Raises MachineError where there is no memfd: it needs Linux.
    """
    if not hasattr(os, "memfd_create"):
        raise MachineError(say("qemu.linux"))
    fd = descriptor(held, os.memfd_create("virtlab"))
    os.truncate(fd, max(size, len(data)))
    os.pwrite(fd, data, 0)
    return fd


def shared_view(held: contextlib.ExitStack, fd: int, size: int) -> memoryview:
    """The first ``size`` bytes of a file, mapped so that others see what is written; ``held`` unmaps them."""
    mapping = mmap.mmap(fd, size)
    held.callback(_unmap, mapping)
    view = memoryview(mapping)
    held.callback(view.release)
    return view


def _unmap(mapping: mmap.mmap) -> None:
    with contextlib.suppress(BufferError):  # somebody keeps a view of it: it goes with the view
        mapping.close()


def folder(held: contextlib.ExitStack) -> Path:
    """A fresh folder of this user alone, which ``held`` removes."""
    path = Path(tempfile.mkdtemp(prefix="virtlab-"))
    held.callback(shutil.rmtree, path, ignore_errors=True)
    return path


