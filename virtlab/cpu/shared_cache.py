"""A last-level cache that tenants share by LRU: what each keeps in it, and what each misses.

The characteristic time of an LRU cache (Che, Tung and Wang 2002; Fagin 1977): a line stays for one and the same time
after its last use, whoever used it, and what all tenants then keep just fills the cache. Time is counted in a tenant's
own references, so that only the ratio of the tenants' rates matters. A real cache has sets, is not quite LRU and may
be filled by what the L2 throws out only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LINE_BYTES = 64
EVER = 1e30  # references that a line is kept for where everything fits: no product with it overflows
_RARE = 1e-12  # a stream that would take years to fill a cache is none
_GROUPS = 32  # of lines that are used about as often
_STEPS, _EXACT = 400, 1e-12  # Newton's method needs ten, and some dozen where all but a few lines fit


@dataclass(frozen=True, eq=False)
class Reuse:
    """What a tenant refers to, reference by reference: with probability ``stream`` a line that it never uses again.

    Else one of its working set, at random: ``count[g]`` lines of group g, each with the probability ``chance[g]``.
    """

    stream: float
    count: Floats
    chance: Floats

    @classmethod
    def of(cls, lines: float, zipf: float, stream: float) -> Reuse:
        """``lines`` in the working set, the k-th most used with a probability like k to the power of ``-zipf``."""
        stream = stream if stream > _RARE else 0.0
        if zipf == 0 or lines <= 1:
            return cls(stream, np.array([lines]), np.array([1 / lines]))
        edges = np.unique(np.floor(np.geomspace(1, math.floor(lines) + 1, _GROUPS + 1)))
        low, high = edges[:-1], edges[1:]
        # A group of one rank as it stands; a larger one by the integral over its ranks, from half to half.
        one = high - low == 1
        wide = np.log(high - 0.5) - np.log(low - 0.5) if zipf == 1 else (
            ((high - 0.5) ** (1 - zipf) - (low - 0.5) ** (1 - zipf)) / (1 - zipf))  # fmt: skip
        mass = np.where(one, low**-zipf, wide)
        return cls(stream, high - low, mass / mass.sum() / (high - low))

    @property
    def lines(self) -> float:
        """The size of the working set."""
        return float(self.count.sum())

    @property
    def footprint(self) -> float:
        """The lines that the tenant would keep in an endless cache."""
        return math.inf if self.stream else self.lines

    def kept(self, references: Floats) -> Floats:
        """Lines in a cache that keeps each for so many of the tenant's references."""
        away = np.exp(-(1 - self.stream) * references[:, None] * self.chance)
        return (1 - away) @ self.count + self.stream * references

    def missed(self, references: Floats) -> Floats:
        """The share of references that miss then. It is also the growth of what is kept: a line comes with a miss."""
        away = np.exp(-(1 - self.stream) * references[:, None] * self.chance)
        return self.stream + (1 - self.stream) * (away @ (self.count * self.chance))


class Part(NamedTuple):
    """Tenants of a cache: ``number`` alike, each making ``rate`` references in the common unit of time."""

    reuse: Reuse
    number: float
    rate: Floats


def lifetime(parts: Sequence[Part], lines: Floats, guess: Floats | None = None) -> Floats:
    """How long LRU caches of ``lines`` keep a line, in the unit of the rates; ``EVER`` where all tenants fit.

    What is kept is concave in the time, so that Newton's method comes up from below, wherever it starts, and needs no
    bracket. A good ``guess`` saves it some steps.
    """
    fits = sum(part.number * part.reuse.footprint for part in parts if part.number) <= lines
    if fits.all():
        return np.full(lines.shape, EVER)
    least = lines / sum(part.number * part.rate for part in parts)  # as if each reference brought a line of its own
    time = least if guess is None else np.where(fits, least, np.maximum(guess, least))
    for nth in range(_STEPS):
        missing = lines - sum(part.number * part.reuse.kept(part.rate * time) for part in parts)
        growth = sum(part.number * part.rate * part.reuse.missed(part.rate * time) for part in parts)
        step = np.where(fits, 0.0, missing / np.maximum(growth, 1e-300))
        if nth:  # only the first step may lead down; a later one that does is a rounding error
            step = np.maximum(step, 0.0)
        time = np.clip(time + step, least, EVER)
        if nth and (step <= _EXACT * time).all():
            break
    return np.where(fits, EVER, time)
