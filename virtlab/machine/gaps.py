"""A process that does nothing but read the clock, and sorts the gaps between two looks. Run as a file: CPU or "any"."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from time import monotonic_ns as now

#: The bins of a histogram: four in each doubling, from 32 ns to 34 s; what lies beyond is in the first or the last.
FIRST, LAST = 20, 140
EDGES_NS = tuple(2 ** (k / 4) for k in range(FIRST, LAST + 1))
#: Whoever is away for longer did not only handle an interrupt: somebody else had the CPU.
LOST_NS = 20_000
PERCENTILES = (0.5, 0.99, 0.999)
_FINE_NS = 4096  # below it each ns is counted alone
_LIFE_SECONDS = 60


def listen(until_ns: int) -> tuple[int, int, int, list[int], list[int]]:
    """Reads the clock until it says ``until_ns``, in memory that does not grow.

    Returns, in ns, the time that it took, how much of it lay in gaps above LOST_NS, and the longest gap; and how many
    gaps there were of each ns below _FINE_NS, and of the longer ones in each quarter of a doubling.
    """
    fine, coarse = [0] * _FINE_NS, [0] * LAST
    lost = longest = 0
    last = start = now()
    while last < until_ns:
        time = now()
        gap = time - last
        last = time
        if gap < _FINE_NS:
            fine[gap] += 1
        else:
            coarse[quarter(gap)] += 1
            if gap > longest:
                longest = gap
            if gap > LOST_NS:
                lost += gap
    return last - start, lost, longest or max((ns for ns, n in enumerate(fine) if n), default=0), fine, coarse


def quarter(gap_ns: int) -> int:
    """The quarter of a doubling in which a gap lies, counted from 1 ns: 4 log2, rounded down, without a float."""
    return min((gap_ns**4).bit_length() - 1, LAST - 1)


def bins(fine: Sequence[int], coarse: Sequence[int]) -> list[int]:
    """How many gaps lie between each two neighbours of EDGES_NS."""
    found = list(coarse)
    for ns, n in enumerate(fine):
        if n:
            found[max(quarter(ns), FIRST)] += n
    return found[FIRST:]


def percentile(share: float, fine: Sequence[int], coarse: Sequence[int]) -> int:
    """ns that this share of the gaps does not exceed: exact below _FINE_NS, and above it to 9 %."""
    gaps = [(ns, n) for ns, n in enumerate(fine) if n]
    gaps += [(round(2 ** ((k + 0.5) / 4)), n) for k, n in enumerate(coarse) if n]
    wanted, found = share * sum(n for _, n in gaps), 0
    for ns, n in gaps:
        found += n
        if found >= wanted:
            return ns
    return 0


def main(cpu: str) -> None:
    """For each line, a time in ns, listens so long on ``cpu`` and prints a line: listened, lost and longest in ns, the
    percentiles in ns, and the bins. It ends with its input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the asker, whose pipe then ends
    signal.alarm(_LIFE_SECONDS)
    if cpu != "any":
        os.sched_setaffinity(0, {int(cpu)})
    os.write(1, b"ready\n")
    while line := sys.stdin.readline():
        listened, lost, longest, fine, coarse = listen(now() + int(line))
        numbers = [listened, lost, longest, *(percentile(share, fine, coarse) for share in PERCENTILES)]
        os.write(1, f"{' '.join(map(str, (*numbers, *bins(fine, coarse))))}\n".encode())


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (OSError, ValueError):  # no such CPU, or the asker is gone
        os._exit(1)
