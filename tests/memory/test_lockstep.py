"""The NumPy twin: exact on every stream, whatever its shape, and the whole walk equal to the kernel's."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.core.jit import have_numba
from virtlab.memory import lockstep, traces
from virtlab.memory.lockstep import distances, hits
from virtlab.memory.tlb import Tlb, miss_curve, simulate

needs_numba = pytest.mark.skipif(not have_numba(), reason="numba is not there to compare with")
N = 40_000 if have_numba() else 8_000
GEOMETRIES = ((1, 1), (1, 4), (16, 4), (128, 12), (2, 17), (1, 64), (4, 100), (512, 1))


def plain_hits(tags, sets, ways):
    """One ordered dictionary a set."""
    lists, out = [OrderedDict() for _ in range(sets)], []
    for tag in tags.tolist():
        chosen = lists[tag % sets]
        out.append(tag in chosen)
        chosen[tag] = None
        chosen.move_to_end(tag)
        if len(chosen) > ways:
            chosen.popitem(last=False)
    return out


def plain_distances(tags, sets):
    lists, out = [[] for _ in range(sets)], []
    for tag in tags.tolist():
        chosen = lists[tag % sets]
        out.append(chosen.index(tag) if tag in chosen else 2**62)
        if tag in chosen:
            chosen.remove(tag)
        chosen.insert(0, tag)
    return out


STREAMS = {
    "uniform": lambda: np.random.default_rng(1).integers(0, 3000, N),
    "few tags": lambda: np.random.default_rng(2).integers(0, 3, N),
    "two phases": lambda: np.concatenate((np.arange(N // 2) % 4, np.random.default_rng(3).integers(0, 9999, N // 2))),
    "one tag": lambda: np.zeros(N, np.int64),
    "cyclic": lambda: np.arange(N) % 130,
    "one set": lambda: np.random.default_rng(4).integers(0, 40, N) * 1024,
    "far apart": lambda: np.random.default_rng(5).integers(0, 700, N) << 36,
    "slow drift": lambda: np.arange(N) // 97 % 50,
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_hits_are_those_of_ordered_dictionaries(stream, geometry):
    tags = STREAMS[stream]().astype(np.uint64)
    assert hits(tags, *geometry).tolist() == plain_hits(tags, *geometry)


@settings(max_examples=150)
@given(st.lists(st.integers(0, 40), max_size=300), st.sampled_from([1, 2, 8]), st.integers(0, 60))
def test_short_streams_are_exact_too(tags, sets, ways):
    tags = np.array(tags, np.uint64)
    assert hits(tags, sets, ways).tolist() == (plain_hits(tags, sets, ways) if ways else [False] * len(tags))


@settings(max_examples=100)
@given(st.lists(st.integers(0, 30), max_size=200), st.sampled_from([1, 4]))
def test_stack_distances_are_those_of_a_list(tags, sets):
    tags = np.array(tags, np.uint64)
    assert distances(tags, sets).tolist() == plain_distances(tags, sets)


def test_wide_and_narrow_sets_take_different_ways_to_the_same_hits(monkeypatch):
    tags = STREAMS["uniform"]().astype(np.uint64)
    for ways in (40, 48, 49, 60):
        found = hits(tags, 1, ways).tolist()
        monkeypatch.setattr(lockstep, "_WIDE", 100)
        assert hits(tags, 1, ways).tolist() == found
        monkeypatch.undo()


@needs_numba
@pytest.mark.parametrize("pattern", ["sequential", "strided", "uniform", "zipf", "cyclic", "chase", "gups"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host_page": "2M", "guest_levels": 5},
        {"guest_page": "2M", "host_levels": 5, "warm": 1234},
        {"guest_page": "1G", "host_page": "1G", "guest_levels": 5, "host_levels": 5},
        {"host_page": None, "guest_levels": 5},
        {"l2_entries": 0, "pde_entries": 0, "nested_entries": 0},
        {"nested_entries": 128, "nested_ways": 64, "l1_ways": 64, "pdpte_entries": 0},
    ],
)
def test_the_walk_in_numpy_counts_as_the_kernel_does(pattern, options, monkeypatch):
    trace = traces.make(pattern, N, 1 << 33)
    compiled = simulate(trace, **options)
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    assert simulate(trace, **options) == compiled


@needs_numba
def test_the_curve_in_numpy_is_that_of_the_kernel(monkeypatch):
    trace = traces.zipf(N, 1 << 26)
    compiled = [miss_curve(trace, sets=sets, most_ways=64).tolist() for sets in (1, 16)]
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    assert [miss_curve(trace, sets=sets, most_ways=64).tolist() for sets in (1, 16)] == compiled


def test_a_single_reference_is_a_walk(monkeypatch):
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    assert simulate([1 << 45]).walks == 1
    assert simulate([1 << 45] * 9, Tlb(), warm=8).l1_hits == 1
