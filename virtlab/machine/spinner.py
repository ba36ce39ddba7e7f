"""A process that wants its CPU all the time and reads its own books. Run as a file: its longest life in seconds."""

from __future__ import annotations

import os
import signal
import sys
from time import monotonic_ns as now

_BOOKS = "/proc/self/schedstat"


def books(file: int) -> tuple[int, int, int]:
    """ns: the clock, the time that this process ran, the time that it was ready to run and waited for a CPU."""
    os.sched_yield()  # the kernel enters the running time when it looks at the CPU anew, and else at the next tick
    run, waited, _ = os.pread(file, 100, 0).split()
    return now(), int(run), int(waited)


def spin(until_ns: int) -> None:
    """Is busy until the clock says ``until_ns``."""
    while now() < until_ns:
        pass


def main(seconds: int) -> None:
    """Obeys one line of windows, "cpu begin end leave ..." in ns of the monotonic clock, and prints a line for each.

    In each window the process is bound to its CPU and busy, before and after it as well, from the end of the last one
    to ``leave``. The line printed: ns of the clock, ns run and ns waited between the two looks at the books.
    """
    signal.alarm(seconds)
    file = os.open(_BOOKS, os.O_RDONLY)
    os.write(1, b"ready\n")
    plan = [int(number) for number in sys.stdin.readline().split()]
    lines = []
    for cpu, begin, end, leave in zip(*(plan[n::4] for n in range(4)), strict=True):
        os.sched_setaffinity(0, {cpu})
        spin(begin)
        before = books(file)
        spin(end)
        after = books(file)
        spin(leave)  # the rival's window may end a little later
        lines.append(" ".join(str(b - a) for a, b in zip(before, after, strict=True)))
    os.write(1, "".join(f"{line}\n" for line in lines).encode())


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except (OSError, ValueError):  # no such books, no such CPU, or the asker is gone
        os._exit(1)
