"""When lines come back: no reference is lost when units change size, and what was drawn and counted agrees."""
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.memory.residence import LINE_BYTES, found
from virtlab.memory.reuse import in_order, once_a_round, uniform, zipf

sizes = st.integers(16, 40).map(lambda bits: float(1 << bits))


@given(sizes, st.floats(0, 2), st.integers(6, 45).map(lambda bits: float(1 << bits)))
def test_no_reference_is_lost_when_units_change_their_size(working_set, exponent, unit):
    units = zipf(working_set, exponent).at(unit)
    assert (units.count * units.popularity).sum() == pytest.approx(1)
    assert units.count.sum() == pytest.approx(max(1, working_set / unit), rel=1e-6)


@given(sizes)
def test_zipf_with_exponent_0_is_uniform(working_set):
    even = zipf(working_set, 0.0)
    assert even.popularity == pytest.approx(np.full(len(even.count), uniform(working_set).popularity[0]))


def test_the_ranks_of_zipf_have_their_share():
    exact = np.arange(1, 2**14 + 1) ** -0.99
    units = zipf(2.0**26, 0.99)
    assert units.count.sum() == 2**14
    assert units.popularity[:4] == pytest.approx(exact[:4] / exact.sum(), rel=0.02)
    half = np.searchsorted(np.cumsum(units.count * units.popularity), 0.5)
    assert np.cumsum(units.count)[half] == pytest.approx(np.searchsorted(np.cumsum(exact) / exact.sum(), 0.5), rel=0.3)


@pytest.mark.parametrize("pages_a_unit", [8, 512])
def test_a_larger_unit_collects_scattered_pages(pages_a_unit):
    """64 Ki pages of Zipf popularity, shuffled and cut into units: how much do the most popular tenth of units get?"""
    n = 2**16
    page = np.arange(1, n + 1) ** -0.99
    cut = (np.random.default_rng(3).permutation(page) / page.sum()).reshape(-1, pages_a_unit).sum(axis=1)
    top = np.sort(cut)[::-1][: len(cut) // 10].sum()
    units = zipf(n * 4096.0, 0.99).at(4096.0 * pages_a_unit)
    counted = np.cumsum(units.count)
    said = np.interp(len(cut) / 10, counted, np.cumsum(units.count * units.popularity))
    assert said == pytest.approx(top, abs=0.04)


def test_a_tlb_leaves_the_unpopular_pages_to_the_tables():
    units = zipf(2.0**32, 0.99)
    left = units.missing(1536)
    kept = (units.count * units.popularity)[:40].sum()
    assert kept > 0.4, "the hottest pages get much of the references"
    assert left.popularity[0] < units.popularity[0] / 20, "and hardly any of the walks"
    assert (left.count * left.popularity).sum() == pytest.approx(1)


def test_a_tlb_that_reaches_everything_leaves_the_popularity_as_it_is():
    units = uniform(2.0**20)
    assert units.missing(1536).popularity == pytest.approx(units.popularity)


@pytest.mark.parametrize(("stride", "unit"), [(64, 64), (64, 32768), (4096, 64), (4096, 32768), (256, 64)])
def test_in_order_only_the_first_touch_of_a_line_has_been_away(stride, unit):
    """Counted: the share of accesses that touch another unit than the access before."""
    addresses = np.arange(0, 2**22, stride)
    new = 1 - np.mean(np.diff(addresses // unit) == 0)
    stream = in_order(2.0**22, stride, unit, 1.0)
    away = stream.share[stream.after > 1.5].sum()
    assert away == pytest.approx(new, abs=0.001)
    assert stream.lines == pytest.approx(len(np.unique(addresses // unit)), rel=0.05)


def test_a_round_in_scattered_order_touches_each_page_once():
    stream = once_a_round(2.0**22, LINE_BYTES, 1.0)
    assert stream.lines == 1024
    assert found([stream], [1024 * LINE_BYTES])[0, 0] == 1
    assert found([stream], [1023 * LINE_BYTES])[0, 0] == 0


def counted(pages, tlb_entries, cache_lines):
    """Two LRU lists fed by accesses to random lines of ``pages``: a TLB, and a cache of data lines and PTE lines.

    Returns misses of the TLB an access, the share of the data found in the cache, and that of the PTEs.
    """
    rng, tlb, cache = np.random.default_rng(9), OrderedDict(), OrderedDict()
    seen = dict.fromkeys(("walk", "data", "pte"), 0)
    hits = dict.fromkeys(("data", "pte"), 0)

    def touch(kind, line, count):
        hit = (kind, line) in cache
        cache[kind, line] = True
        cache.move_to_end((kind, line))
        if len(cache) > cache_lines:
            cache.popitem(last=False)
        seen[kind] += count
        hits[kind] += hit and count

    warm = len(pages) // 3
    for i, (page, line) in enumerate(zip(pages, rng.integers(64, size=len(pages)), strict=True)):
        if page not in tlb:
            seen["walk"] += i >= warm
            touch("pte", page // 8, i >= warm)
            if len(tlb) >= tlb_entries:
                tlb.popitem(last=False)
        tlb[page] = True
        tlb.move_to_end(page)
        touch("data", page * 64 + line, i >= warm)
    return seen["walk"] / (len(pages) - warm), hits["data"] / seen["data"], hits["pte"] / seen["pte"]


@pytest.mark.parametrize("exponent", [0.0, 0.7, 0.99, 1.2])
@pytest.mark.parametrize("lines", [600, 3000])
def test_page_table_entries_and_data_share_a_cache_as_counted(exponent, lines):
    """4096 pages, a TLB of 64 entries, a cache; ranks shuffled over the pages."""
    n = 4096
    weight = np.arange(1, n + 1) ** -exponent
    rng = np.random.default_rng(5)
    pages = rng.permutation(n)[np.searchsorted(np.cumsum(weight) / weight.sum(), rng.random(90_000))]
    walks, data_share, pte_share = counted(pages.tolist(), 64, lines)
    units = zipf(n * 4096.0, exponent)
    streams = [units.at(LINE_BYTES).stream(1.0), units.missing(64).at(8 * 4096).stream(walks)]
    said = found(streams, [lines * LINE_BYTES])[:, 0]
    assert said == pytest.approx([data_share, pte_share], abs=0.05), "share of data and of PTEs found in the cache"
