"""The first step of every program that virtlab starts. Run as a file: the starter's pid, then the command."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(starter: int, command: list[str]) -> None:
    """Asks Linux to kill this process when the thread that started it ends, and becomes ``command``.

    A notebook has threads, so nothing may run between fork and exec there (``preexec_fn`` can dead-lock): it runs here.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != starter:  # it ended before the kernel knew
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
