"""A rival beside the work that is measured: a busy process that runs and stands still by turns. Linux, no rights."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns as now

from virtlab.core.words import words
from virtlab.machine.answers import PATIENCE_SECONDS, lines
from virtlab.machine.hog import BLOCK_BYTES, COUNT_BYTES
from virtlab.machine.owning import memory_file, shared_view, start
from virtlab.machine.sampling import CannotMeasure


class Rival:
    """A busy process on ``cpu`` that stands still until it is let run; ``held`` ends it.

    With ``stream_bytes`` it streams through so much memory, else it only computes. It lives no longer than ``seconds``
    and some. Raises CannotMeasure or MachineError when it does not start.
    """

    def __init__(self, held: contextlib.ExitStack, cpu: int, seconds: float, stream_bytes: int = 0) -> None:
        fds = []
        if stream_bytes:
            fds.append(memory_file(held, size=COUNT_BYTES))
            self._count = shared_view(held, fds[0], COUNT_BYTES)
        program = str(Path(__file__).with_name("hog.py"))
        numbers = cpu, int(seconds) + 3 * PATIENCE_SECONDS, stream_bytes, *(fds or [-1])
        command = [sys.executable, "-I", "-S", program, *map(str, numbers)]
        self._process = start(held, command, pass_fds=fds, stdout=subprocess.PIPE)
        held.callback(self._process.send_signal, signal.SIGCONT)  # who stands still does not hear that it should end
        lines(self._process, 1, now())
        self._stop()

    @property
    def streamed_bytes(self) -> int:
        """How much it has copied."""
        return int.from_bytes(self._count, sys.byteorder) * BLOCK_BYTES

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """It runs inside ``with``, and stands still after it."""
        try:
            self._process.send_signal(signal.SIGCONT)
            yield
        finally:
            self._stop()

    def _stop(self) -> None:
        """Returns when it stands still. Raises CannotMeasure when it is gone."""
        self._process.send_signal(signal.SIGSTOP)
        if self._process.returncode is None:
            state = os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if state is not None and state.si_code == os.CLD_STOPPED:
                return
        raise CannotMeasure(words("machine.why.partner"))
