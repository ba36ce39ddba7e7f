"""A process that never rests: it computes, or streams through memory. Run as a file (see main)."""

from __future__ import annotations

import mmap
import os
import signal
import sys

BLOCK_BYTES = 1 << 20
COUNT_BYTES = 8


def stream(size: int, count: memoryview) -> None:
    """Copies from one half of ``size`` bytes to the other, block by block, for ever; ``count[0]`` is of blocks."""
    half = size // 2
    source, target = (memoryview(bytearray(fill) * half) for fill in (b"s", b"t"))  # written: all pages are there
    os.write(1, b"ready\n")
    while True:
        for at in range(0, half, BLOCK_BYTES):
            target[at : at + BLOCK_BYTES] = source[at : at + BLOCK_BYTES]
            count[0] += 1


def main(cpu: int, seconds: int, size: int, counter: int) -> None:
    """Is busy on ``cpu`` only, for ``seconds`` at most. It prints a line when it begins.

    It streams through ``size`` bytes, whole pairs of blocks, and counts the blocks in the file ``counter``; with a size
    of 0 it only computes.
    """
    signal.alarm(seconds)
    os.sched_setaffinity(0, {cpu})
    if size:
        with mmap.mmap(counter, COUNT_BYTES) as shared, memoryview(shared).cast("Q") as count:
            stream(size, count)
    os.write(1, b"ready\n")
    while True:
        pass


if __name__ == "__main__":
    try:
        main(*map(int, sys.argv[1:5]))
    except (OSError, ValueError, MemoryError):  # no such CPU or file, no memory, or the asker is gone
        os._exit(1)
