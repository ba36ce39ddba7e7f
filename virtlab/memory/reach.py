"""How far a TLB reaches: the share of accesses that miss it, over the working set, by the law of each pattern.

Where a pattern has a law, no trace is needed, so that a curve costs no more than a point. Exact in the steady state:
uniform accesses (any replacement); page after page, and a chase with 4 KiB entries, under LRU. Approximations, held
against the simulator by a test: Zipf (Che, Tung and Wang 2002 for LRU; Gelenbe 1973 for random replacement), and a
chase with larger entries, whose order within an entry is as good as uniform. Page after page under random replacement
has no closed form for sets of a few ways: one such set is simulated.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np

from virtlab.core.parameter import ParameterError
from virtlab.memory import traces
from virtlab.memory.pages import PAGES, PageSize, page_bytes
from virtlab.memory.residence import Stream, characteristic_time
from virtlab.memory.reuse import zipf as zipf_units
from virtlab.memory.tlb import NO_WALK_CACHES, Tlb, TlbResult, simulate

ReachPattern = Literal["uniform", "zipf", "cyclic", "chase"]
Replacement = Literal["lru", "random"]
_SMALL = page_bytes("4K")
_NOTHING_LEFT = 8  # so many times as many pages as ways: under random replacement one in 3000 survives a round
_ROUNDS, _FIRST = 60, 20  # of the simulated set, and those of them that only fill it


def entries(tlb: Tlb) -> int:
    """Entries of the larger of both TLBs: the first holds copies of what is in the second."""
    return max(tlb.l1_entries, tlb.l2_entries)


def reach_bytes(tlb: Tlb, page: PageSize) -> int:
    """The memory that all entries cover. Golden: 1536 entries of 4 KiB reach 6 MiB, of 2 MiB 3 GiB."""
    return entries(tlb) * page_bytes(page)


def miss_share(
    tlb: Tlb, page: PageSize, pattern: ReachPattern, working_set_bytes: int, zipf_exponent: float = 0.99
) -> float:
    """The share of accesses that miss both TLBs in the steady state, 0 to 1.

    ``page`` is the size of an entry: the smaller of the guest's and the host's page. Raises ParameterError, also for
    a pattern without a law.
    """
    if page not in PAGES:
        raise ParameterError(f"page must be {' or '.join(PAGES)}; you gave {page!r}: x86-64 has no other page size.")
    if not working_set_bytes >= 1:
        raise ParameterError(
            f"working_set_bytes must be 1 or more; you gave {working_set_bytes!r}: an access goes to some byte."
        )
    pages = max(1, -(-working_set_bytes // page_bytes(page)))
    known = entries(tlb)
    if pattern == "cyclic" or (pattern == "chase" and page == "4K"):
        in_a_row = page_bytes(page) // _SMALL  # references to one entry before the next
        return _round_and_round(tlb, pages) / in_a_row
    if pattern in ("uniform", "chase"):
        return max(0.0, 1 - known * page_bytes(page) / working_set_bytes)
    if pattern == "zipf":
        return _zipf(working_set_bytes, page_bytes(page), known, zipf_exponent, tlb.replacement)
    raise ParameterError(
        f"pattern must be uniform or zipf or cyclic or chase; you gave {pattern!r}: the others have no law here."
    )


def simulated(
    tlb: Tlb, page: PageSize, pattern: ReachPattern, working_set_bytes: int, accesses: int, zipf_exponent: float = 0.99
) -> TlbResult:
    """The same by simulation of ``accesses`` references, after a round that fills the TLBs.

    A pass through the last entries of the working set stands for the rounds before: the trace itself may be shorter
    than one round.
    """
    trace = _trace(pattern, accesses, working_set_bytes, zipf_exponent)
    pages = max(1, -(-working_set_bytes // page_bytes(page)))
    first = max(0, pages - 2 * (tlb.l1_entries + tlb.l2_entries))
    before = np.arange(first, pages, dtype=np.uint64) * np.uint64(page_bytes(page)) + np.uint64(traces.BASE)
    both = np.concatenate([before, trace])
    return simulate(both, tlb.replace(**NO_WALK_CACHES), guest_page=page, host_page=None, warm=len(before))


@functools.lru_cache(maxsize=2)
def _trace(pattern: ReachPattern, accesses: int, working_set_bytes: int, exponent: float) -> traces.Addresses:
    trace = traces.make(pattern, accesses, working_set_bytes, zipf_exponent=exponent)
    trace.flags.writeable = False
    return trace


# --- the laws -------------------------------------------------------------------------------------------------------


def _round_and_round(tlb: Tlb, pages: int) -> float:
    """Each page once a round, always in the same order: a set keeps all of its pages, or loses them.

    The low bits of the page choose the set, so that each set has the same number of pages, or one more.
    """
    part = "l1" if tlb.l1_entries >= tlb.l2_entries else "l2"
    sets, ways = tlb.geometry(part)
    each, sets_with_more = divmod(pages, sets)
    missed = 0.0
    for count, of_sets in ((each, sets - sets_with_more), (each + 1, sets_with_more)):
        if of_sets and count > ways:
            missed += of_sets * count * (1.0 if tlb.replacement == "lru" else _one_set(ways, count))
    return missed / pages


@functools.lru_cache(maxsize=4096)
def _one_set(ways: int, pages: int) -> float:
    """Misses of ``pages`` in turn in a set of ``ways`` whose victims are chosen at random."""
    if pages > _NOTHING_LEFT * ways:
        return 1.0
    one = Tlb(l1_entries=ways, l1_ways=ways, l2_entries=0, replacement="random", **NO_WALK_CACHES)
    trace = traces.cyclic(_ROUNDS * pages, _SMALL * pages)
    return simulate(trace, one, host_page=None, warm=_FIRST * pages).miss_share


@functools.lru_cache(maxsize=4096)
def _zipf(working_set_bytes: int, entry_bytes: int, known: int, exponent: float, replacement: Replacement) -> float:
    units = zipf_units(float(working_set_bytes), exponent).at(float(entry_bytes))
    count, popularity = units.count, units.popularity
    if count.sum() <= known:
        return 0.0
    mass = count * popularity
    if replacement == "lru":
        time = characteristic_time([Stream.of(1.0, mass, 1 / popularity)], known)
        return float(mass @ np.exp(-popularity * time))
    low, high = 0.0, 60 * math.log(2)  # of the logarithm of the time in which a set of pages of this size is replaced
    for _ in range(32):
        middle = (low + high) / 2
        kept = float((count * popularity * math.exp(middle)) @ (1 / (1 + popularity * math.exp(middle))))
        low, high = (middle, high) if kept < known else (low, middle)
    return float(mass @ (1 / (1 + popularity * math.exp(low))))
