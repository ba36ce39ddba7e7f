"""When the lines of data and of page tables come back, for each access pattern: what `residence` needs to know.

Memory is cut into units (a line, a page, the span of a line of page-table entries), and each unit has a share of the
references. Where a pattern scatters its references, units are grouped by popularity; a larger unit is made of smaller
ones that lie together by chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from virtlab.memory.pages import ENTRY_BYTES, LINE_BYTES, page_bytes
from virtlab.memory.residence import Floats, Stream, characteristic_time

_BASE_BYTES = page_bytes("4K")  # what the popularity of memory is given for
ENTRIES_PER_LINE = LINE_BYTES // ENTRY_BYTES


@dataclass(frozen=True, eq=False)
class Units:
    """Units of ``bytes`` each: ``count[i]`` of them have ``popularity[i]`` of the references, the largest first.

    count · popularity adds up to 1.
    """

    bytes: float
    count: Floats
    popularity: Floats

    def at(self, bytes: float) -> Units:
        """The same references by units of another size. Smaller units share the references of a larger one equally."""
        k = bytes / self.bytes
        if k <= 1:
            return Units(bytes, self.count / k, self.popularity * k)
        # A larger unit is as popular as its most popular part, and as the mean of what is below that for the others.
        total = self.count.sum()
        units = max(1.0, total / k)
        k = total / units
        before = np.concatenate([[0.0], np.cumsum(self.count)]) / total
        none_before = (1 - np.minimum(before, 1)) ** k  # the share of units without any of the parts before
        count = units * (none_before[:-1] - none_before[1:])
        mass = self.count * self.popularity
        below, rest = mass.sum() - np.cumsum(mass), total - np.cumsum(self.count)
        others = np.where(rest > 0.5, below / np.maximum(rest, 0.5), self.popularity)
        popularity = self.popularity + (k - 1) * others
        return _sorted(bytes, count, popularity)

    def missing(self, entries: float) -> Units:
        """The references that are left when an LRU cache of ``entries`` of these units has served the others."""
        stream = Stream.of(1.0, self.count * self.popularity, 1 / self.popularity)
        time = characteristic_time([stream], entries)
        left = self.popularity * np.exp(-self.popularity * time) if math.isfinite(time) else self.popularity
        return _sorted(self.bytes, self.count, left)

    def stream(self, rate: float) -> Stream:
        """These references as a stream of ``rate`` an access."""
        mass = self.count * self.popularity
        return Stream.of(rate, mass / mass.sum(), 1 / (rate * self.popularity))


def _sorted(bytes: float, count: Floats, popularity: Floats) -> Units:
    """Units without empty groups, the most popular first, their shares scaled to add up to 1."""
    keep = (count > 0) & (popularity > 1e-300)
    if not keep.any():
        return Units(bytes, np.ones(1), np.ones(1))
    order = np.argsort(-popularity[keep], kind="stable")
    count, popularity = count[keep][order], popularity[keep][order]
    return Units(bytes, count, popularity / (count * popularity).sum())


def uniform(working_set_bytes: float) -> Units:
    """Every page alike."""
    pages = max(1.0, working_set_bytes / _BASE_BYTES)
    return Units(_BASE_BYTES, np.array([pages]), np.array([1 / pages]))


def zipf(working_set_bytes: float, exponent: float) -> Units:
    """The page of rank r with a share in proportion to 1 / r ** exponent; ranks in groups of a quarter octave."""
    pages = max(1, round(working_set_bytes / _BASE_BYTES))
    edges = np.floor(2 ** np.arange(0, math.log2(pages) + 0.25, 0.25))
    edges = np.unique(np.append(edges[edges <= pages], pages + 1))
    count, middle = np.diff(edges), np.sqrt(edges[:-1] * (edges[1:] - 1))  # from each edge to before the next
    return _sorted(_BASE_BYTES, count, middle**-exponent)


def in_order(working_set_bytes: float, stride_bytes: float, unit_bytes: float, rate: float) -> Stream:
    """The lines whose units of ``unit_bytes`` are passed in order, ``stride_bytes`` an access, round after round.

    Of ``rate`` references an access only the first to each unit finds a line that has been away for a round.
    """
    round_accesses = max(1.0, working_set_bytes / stride_bytes)
    first = min(1.0, min(stride_bytes, working_set_bytes) / unit_bytes / rate)
    return Stream.of(rate, 1.0, round_accesses, fixed=True).with_repeats(1 - first, 1 / rate)


def once_a_round(working_set_bytes: float, unit_bytes: float, rate: float) -> Stream:
    """The lines of a pass through all pages in a scattered order, one line of each page: in turn for a unit of one
    page or less, at chance for a unit of several."""
    pages = max(1.0, working_set_bytes / _BASE_BYTES)
    if unit_bytes <= _BASE_BYTES:
        return Stream.of(rate, 1.0, pages / rate, fixed=True)
    return uniform(working_set_bytes).at(unit_bytes).stream(rate)
