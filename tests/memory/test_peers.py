"""The two TLBs against pycachesim, a cache simulator of others in C: equal hits on any geometry and trace."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.memory import traces
from virtlab.memory.tlb import simulate

pytestmark = pytest.mark.peers
PATTERNS = ("sequential", "uniform", "zipf", "cyclic", "chase", "gups", "recorded")


@pytest.fixture(scope="module")
def cachesim():
    return pytest.importorskip("cachesim", reason="pycachesim is not installed: make peers")


def peer_hits(cachesim, addresses, l1, l2):
    """Hits in two caches whose lines are pages: (sets, ways) each."""
    memory = cachesim.MainMemory()
    second = cachesim.Cache("L2", *l2, 4096, "LRU")
    first = cachesim.Cache("L1", *l1, 4096, "LRU", load_from=second, store_to=second)
    memory.load_to(second)
    memory.store_from(second)
    simulator = cachesim.CacheSimulator(first, memory)
    simulator.load(addresses.tolist(), length=1)
    return tuple(level["HIT_count"] for level in list(simulator.stats())[:2])


def our_hits(addresses, l1, l2):
    sizes = {"l1_entries": l1[0] * l1[1], "l1_ways": l1[1], "l2_entries": l2[0] * l2[1], "l2_ways": l2[1]}
    run = simulate(addresses, **sizes)
    return run.l1_hits, run.l2_hits


geometry = st.tuples(st.sampled_from([1, 2, 4, 16]), st.integers(1, 8))


@settings(max_examples=80)
@given(st.data())
def test_hits_of_random_geometries_and_traces_are_those_of_pycachesim(cachesim, data):
    l1, l2 = data.draw(geometry), data.draw(geometry)
    pages = data.draw(st.lists(st.integers(0, data.draw(st.sampled_from([5, 30, 300]))), min_size=1, max_size=400))
    addresses = np.array(pages, np.uint64) << np.uint64(12)
    assert our_hits(addresses, l1, l2) == peer_hits(cachesim, addresses, l1, l2)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_hits_of_every_pattern_are_those_of_pycachesim(cachesim, pattern):
    addresses = traces.make(pattern, 20_000, 1 << 25)
    l1, l2 = (16, 4), (128, 12)
    assert our_hits(addresses, l1, l2) == peer_hits(cachesim, addresses, l1, l2)
