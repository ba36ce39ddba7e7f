"""The partner of a ping-pong: a process of its own that answers every byte. Run as a file: CPU or "any", longest s."""

from __future__ import annotations

import os
import signal
import sys


def main(cpu: int | None, seconds: int) -> None:
    """Answers each byte of standard input on standard output, on ``cpu`` only, if any, until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the asker, whose pipe then ends
    signal.alarm(seconds)  # the asker waits without a limit of its own, so this process must never outstay
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    read, write = os.read, os.write
    while ping := read(0, 1):
        write(1, ping)


if __name__ == "__main__":
    try:
        main(None if sys.argv[1] == "any" else int(sys.argv[1]), int(sys.argv[2]))
    except OSError as error:  # the asker is gone, or the CPU may not be used
        os._exit(error.errno or 1)
