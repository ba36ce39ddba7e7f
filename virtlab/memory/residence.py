"""In which cache a line is found: streams of references that compete for LRU caches, by their reuse times.

Page-table entries live in the same caches as data. Whether a line is still there when it is used again depends on how
long it was away (its reuse time) and on how long a cache keeps a line (its characteristic time). The latter is the same
for all lines of an LRU cache and follows from its size: what all streams keep there must just fill it. Sources: Che,
Tung and Wang 2002 for random references (proved asymptotically exact by Fagin 1977); Denning and Schwartz 1972 for the
identity of the kept lines and the mean of the bounded reuse time. Real caches have sets and are not quite LRU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.memory.pages import LINE_BYTES

Floats = NDArray[np.float64]
_STEPS = 200  # of Newton's method, which needs ten
_EXACT = 1e-9


@dataclass(frozen=True, eq=False)
class Stream:
    """References of one kind, ``rate`` of them an access of the program.

    ``share[i]`` of them (adding up to 1) go to lines that come back after ``after[i]`` accesses: always so where
    ``fixed[i]``, else at random with that mean.
    """

    rate: float
    share: Floats
    after: Floats
    fixed: NDArray[np.bool_]

    @classmethod
    def of(cls, rate: float, share: Any, after: Any, fixed: bool = False) -> Stream:
        """A stream whose lines all come back in one of the two ways; scalars or arrays."""
        shares, times = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, float)) for x in (share, after)))
        return cls(rate, shares, times, np.full(len(times), fixed))

    def with_repeats(self, share: float, after: float) -> Stream:
        """The same, but ``share`` of the references are to a line that was used ``after`` accesses before."""
        return Stream(self.rate, np.append(self.share * (1 - share), share), np.append(self.after, after),
                      np.append(self.fixed, True))  # fmt: skip

    @property
    def lines(self) -> float:
        """The number of different lines."""
        return float(self.rate * (self.share * self.after).sum())


@dataclass(frozen=True, eq=False)
class _Streams:
    """Streams side by side, so that one operation serves all: ``start`` is where each begins."""

    weight: Floats
    share: Floats
    after: Floats
    fixed: NDArray[np.bool_]
    start: NDArray[np.intp]

    def away(self, time: float) -> Floats:
        """The share of each part's references that have not come back after ``time``."""
        return np.where(self.fixed, self.after > time, np.exp(-time / self.after))

    def kept(self, time: float, away: Floats) -> float:
        """The lines in a cache that keeps each for ``time`` after its use: rates times the mean of the smaller of
        ``time`` and the reuse time."""
        mean = np.where(self.fixed, np.minimum(time, self.after), self.after * (1 - away))
        return float(self.weight @ mean)

    def within(self, time: float) -> Floats:
        """The share of each stream's references that come back within ``time``."""
        return np.add.reduceat(self.share * (1 - self.away(time)), self.start)


def _joined(streams: Sequence[Stream]) -> _Streams:
    share, after, fixed = (np.concatenate([getattr(s, f) for s in streams]) for f in ("share", "after", "fixed"))
    sizes = [len(s.share) for s in streams]
    rates = np.repeat([s.rate for s in streams], sizes)
    return _Streams(rates * share, share, after, fixed, np.cumsum([0, *sizes[:-1]]).astype(np.intp))


def characteristic_time(streams: Sequence[Stream], lines: float) -> float:
    """How long, in accesses, an LRU cache of ``lines`` keeps a line after its last use; infinite when all lines fit."""
    return _time(_joined(streams), lines)


def _time(joined: _Streams, lines: float) -> float:
    if joined.weight @ joined.after <= lines:
        return math.inf
    # What is kept is concave in the time and at most rate times time, so Newton's method comes up from below.
    time = float(lines / joined.weight.sum())
    for _ in range(_STEPS):
        away = joined.away(time)
        missing = lines - joined.kept(time, away)
        growth = float(joined.weight @ away)
        if missing <= _EXACT * lines or growth <= 0:
            break
        time += missing / growth
    return time


def found(streams: Sequence[Stream], cache_bytes: Sequence[float]) -> Floats:
    """The share of each stream's references found in each cache, and in memory: float[streams, caches + 1].

    ``cache_bytes`` from the nearest cache to the last. A line is found in the nearest cache that still keeps it.
    Rows add up to 1.
    """
    joined = _joined(streams)
    within = np.array([joined.within(_time(joined, size / LINE_BYTES)) for size in cache_bytes]).T
    # A larger cache keeps whatever a smaller one does; a sum of shares may be rounded to more than 1.
    within = np.minimum(np.maximum.accumulate(within, axis=1), 1.0)
    edges = np.zeros((len(streams), 1)), within, np.ones((len(streams), 1))
    return np.diff(np.concatenate(edges, axis=1), axis=1)
