"""The TLB simulator: closed forms, the reference counts of a walk, and a second simulator written independently."""

from __future__ import annotations

import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.plain import PlainWalk
from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError
from virtlab.memory import tlb as module
from virtlab.memory import traces
from virtlab.memory.tlb import NO_WALK_CACHES, Tlb, TlbResult, miss_curve, simulate

PAGES = ("4K", "2M", "1G")
ONE = np.array([0x7F12_3456_7000], np.uint64)
N = 200_000 if have_numba() else 20_000
needs_numba = pytest.mark.skipif(not have_numba(), reason="numba is not there to compare with")


def one_tlb(entries, **more):
    """A fully associative TLB of one level."""
    return Tlb(l1_entries=entries, l1_ways=entries, l2_entries=0, **more)


# ------------------------------------------------- the references of a walk

# domain.md 1.3: rows guest 4K, 2M, 1G; columns host 4K, 2M, 1G; by (guest levels, host levels).
COLD = {
    (4, 4): ((24, 19, 14), (19, 15, 11), (14, 11, 8)),
    (4, 5): ((29, 24, 19), (23, 19, 15), (17, 14, 11)),
    (5, 4): ((29, 23, 17), (24, 19, 14), (19, 15, 11)),
    (5, 5): ((35, 29, 23), (29, 24, 19), (23, 19, 15)),
}
NATIVE = {4: (4, 3, 2), 5: (5, 4, 3)}


@pytest.mark.parametrize("levels", COLD)
def test_a_cold_walk_reads_the_golden_number_of_entries(levels):
    guest, host = levels
    found = tuple(
        tuple(
            simulate(ONE, guest_page=g, host_page=h, guest_levels=guest, host_levels=host, **NO_WALK_CACHES).references
            for h in PAGES
        )
        for g in PAGES
    )
    assert found == COLD[levels]


@pytest.mark.parametrize("levels", NATIVE)
def test_a_native_walk_reads_one_entry_a_level(levels):
    runs = [simulate(ONE, guest_page=g, host_page=None, guest_levels=levels, **NO_WALK_CACHES) for g in PAGES]
    assert tuple(run.references for run in runs) == NATIVE[levels]
    assert all(sum(map(sum, run.host_loads)) == sum(run.nested_lookups) == 0 for run in runs)


def test_a_cold_walk_of_four_by_four_levels_reads_each_entry_where_it_should():
    run = simulate(ONE, **NO_WALK_CACHES)
    assert run.guest_loads == (0, 1, 1, 1, 1, 0)
    four = (0, 1, 1, 1, 1, 0)
    assert run.host_loads == (four, four, four, four, four, (0,) * 6)  # the data, and the tables of levels 1 to 4
    assert run.nested_lookups == (1, 1, 1, 1, 1, 0)


def second_walk(step, **caches):
    """The references of a walk ``step`` bytes beyond an address that was walked to just before."""
    both = np.array([1 << 45, (1 << 45) + step], np.uint64)
    return simulate(both, one_tlb(1), warm=1, **{**NO_WALK_CACHES, **caches})


PAGE, TABLE2, TABLE3, TABLE4 = 1 << 12, 1 << 21, 1 << 30, 1 << 39  # what one entry of levels 1 to 4 maps


@pytest.mark.parametrize(
    ("name", "step", "caches", "references"),
    [
        ("nothing", PAGE, {}, 24),
        ("the guest's PML4E", PAGE, {"pml4e_entries": 2, "host_caches": False}, 15),
        ("the guest's PDPTE", PAGE, {"pdpte_entries": 4, "host_caches": False}, 10),
        ("the guest's PDE", PAGE, {"pde_entries": 32, "host_caches": False}, 5),
        ("PDEs of both sides", PAGE, {"pde_entries": 32}, 2),
        ("the guest's PDE, the nested TLB of the data's page", 8 * 64, {"pde_entries": 32, "nested_entries": 64}, 0),
        ("the nested TLB, of tables", PAGE, {"nested_entries": 64}, 8),
    ],
)
def test_what_is_cached_need_not_be_read(name, step, caches, references):
    assert second_walk(step, **caches).references == references, name


def test_a_known_pde_and_a_known_data_page_leave_one_reference():
    # The 4 KiB page is new to the TLB, its 2 MiB host page is not new to the nested TLB.
    run = second_walk(PAGE, pde_entries=32, nested_entries=64)
    two = simulate(np.array([1 << 45, (1 << 45) + PAGE], np.uint64), one_tlb(1), warm=1, host_page="2M",
                   **{**NO_WALK_CACHES, "pde_entries": 32, "nested_entries": 64})  # fmt: skip
    assert run.references == 2 and two.references == 1


def test_the_nested_tlb_knowing_tables_and_data_leaves_four_references():
    trace = np.array([1 << 45, (1 << 45) + PAGE], np.uint64)
    run = simulate(trace, one_tlb(1), warm=1, host_page="2M", **{**NO_WALK_CACHES, "nested_entries": 64})
    assert run.references == 4


@pytest.mark.parametrize(("step", "level"), [(PAGE, 2), (TABLE2, 3), (TABLE3, 4)])
def test_the_deepest_cached_level_is_taken(step, level):
    caches = {"pde_entries": 32, "pdpte_entries": 4, "pml4e_entries": 2}
    assert sum(second_walk(step, **caches).guest_loads) == level - 1
    assert sum(second_walk(TABLE4, **caches).guest_loads) == 4


def test_warm_walks_are_short():
    run = simulate(traces.uniform(N, 1 << 30), warm=N // 4)
    assert 1 <= run.references_per_walk <= 5


# ------------------------------------------------- entries and reach

@pytest.mark.parametrize("guest", PAGES)
@pytest.mark.parametrize("host", [*PAGES, None])
def test_an_entry_is_as_large_as_the_smaller_page(guest, host):
    small = guest if host is None else min(guest, host, key=PAGES.index)
    size = {"4K": 1 << 12, "2M": 1 << 21, "1G": 1 << 30}[small]
    inside, beyond = (
        simulate([1 << 45, (1 << 45) + step], guest_page=guest, host_page=host) for step in (size - 1, size)
    )
    assert (inside.entry_page, inside.walks, beyond.walks) == (small, 1, 2)


@pytest.mark.parametrize(
    ("entries", "page", "reach"),
    [(64, "4K", 1 << 18), (64, "2M", 128 << 20), (1536, "4K", 6 << 20), (1536, "2M", 3 << 30)],
)
def test_what_lies_within_the_reach_never_misses_again(entries, page, reach):
    geometry = one_tlb(64) if entries == 64 else Tlb()
    step = reach // entries
    rounds = np.tile(np.arange(entries, dtype=np.uint64) * np.uint64(step), 3)
    assert simulate(rounds, geometry, guest_page=page, host_page=page, warm=entries).walks == 0


def test_huge_pages_on_one_side_give_no_reach():
    trace = traces.uniform(N, 1 << 30)
    sides = (("4K", "4K"), ("2M", "4K"), ("2M", "2M"))
    small, mixed, huge = (simulate(trace, guest_page=g, host_page=h, warm=N // 2) for g, h in sides)
    assert mixed.walks == small.walks > 0.9 * small.accesses
    assert mixed.references < small.references
    assert huge.walks == 0


# ------------------------------------------------- laws

@pytest.mark.parametrize("replacement", ["lru", "random"])
@pytest.mark.parametrize(("entries", "pages"), [(64, 256), (64, 80), (16, 1024)])
def test_uniform_misses_are_one_less_the_share_that_fits(replacement, entries, pages):
    n = N if replacement == "lru" else N // 2
    geometry = one_tlb(entries, replacement=replacement)
    run = simulate(traces.uniform(n, pages << 12), geometry, warm=n // 10, host_page=None)
    expected, sd = 1 - entries / pages, (0.25 / (n * 0.9)) ** 0.5
    assert abs(run.miss_share - expected) < 6 * sd, f"{run.miss_share:.4f}, expected {expected:.4f}"


@pytest.mark.parametrize("replacement", ["lru", "random"])
def test_uniform_misses_are_none_when_all_fits(replacement):
    run = simulate(traces.uniform(5000, 64 << 12), one_tlb(64), replacement=replacement, warm=3000)
    assert run.walks == 0


def cyclic_miss(pages, replacement, entries=64):
    n = pages * 60
    return simulate(traces.cyclic(n, pages << 12), one_tlb(entries), replacement=replacement, warm=n // 2).miss_share


def test_a_cyclic_scan_falls_off_a_cliff_under_lru():
    assert (cyclic_miss(64, "lru"), cyclic_miss(65, "lru")) == (0, 1)


def test_random_replacement_has_no_cliff():
    misses = [cyclic_miss(pages, "random") for pages in (64, 65, 72, 96, 128)]
    assert misses[0] == 0 and misses[1] < 0.2
    assert misses == sorted(misses) and misses[-1] < 1


def test_sequential_misses_once_a_page():
    run = simulate(traces.sequential(64 * 100, 1 << 30))
    assert (run.walks, run.l1_hits) == (100, 6300)


def test_the_same_seed_gives_the_same_result():
    trace = traces.uniform(5000, 1 << 22)
    a, b, c = (simulate(trace, replacement="random", seed=seed) for seed in (7, 7, 8))
    assert a == b and a != c


# ------------------------------------------------- against plain code

@st.composite
def geometries(draw, replacement="lru"):
    """Random small structures; some are absent."""
    parts = {}
    for part in ("l1", "l2", "pde", "pdpte", "pml4e", "pml5e", "nested"):
        ways = draw(st.integers(1, 6))
        sets = 1 << draw(st.integers(0, 3))
        absent = part != "l1" and draw(st.integers(0, 3)) == 0
        parts |= {f"{part}_entries": 0 if absent else sets * ways, f"{part}_ways": ways}
    return Tlb(**parts, replacement=replacement, host_caches=draw(st.booleans()))


@st.composite
def some_traces(draw, most=400):
    """Addresses that meet again: few values at each level of the tables."""
    n = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    address = np.zeros(n, np.uint64)
    for shift in (3, 12, 21, 30, 39, 48):
        spread = draw(st.sampled_from([1, 2, 3, 9, 50]))
        address += rng.integers(0, min(spread, 128 if shift == 39 else 511), n, dtype=np.uint64) << np.uint64(shift)
    if draw(st.booleans()):
        address = np.repeat(address, 2)
    return address


@st.composite
def cases(draw, replacement="lru"):
    trace = draw(some_traces())
    guest_levels = draw(st.sampled_from([4, 5]))
    options = {
        "guest_page": draw(st.sampled_from(PAGES)), "host_page": draw(st.sampled_from([*PAGES, None])),
        "guest_levels": guest_levels, "host_levels": draw(st.sampled_from([4, 5])),
        "warm": draw(st.integers(0, len(trace) - 1)),
    }  # fmt: skip
    return trace % np.uint64(1 << (38 + 9 * (guest_levels - 4) + 9)), draw(geometries(replacement)), options


@settings(max_examples=150)
@given(cases())
def test_every_count_is_that_of_an_independent_simulator(case):
    trace, geometry, options = case
    assert simulate(trace, geometry, **options) == TlbResult(*PlainWalk(geometry, **options).run(trace.tolist()))


@settings(max_examples=100)
@given(some_traces(), st.integers(0, 3), st.integers(1, 13), st.integers(0, 3), st.data())
def test_tlbs_alone_with_sets_of_four_are_counted_as_by_an_independent_simulator(trace, sets, ways, sets2, data):
    """They have a loop of their own."""
    geometry = Tlb(l1_entries=4 << sets, l1_ways=4, l2_entries=ways << sets2, l2_ways=ways, **NO_WALK_CACHES)
    options = {"guest_page": data.draw(st.sampled_from(PAGES)), "host_page": None, "guest_levels": 4, "host_levels": 4,
               "warm": data.draw(st.integers(0, len(trace) - 1))}  # fmt: skip
    trace = trace % np.uint64(1 << 47)
    assert simulate(trace, geometry, **options) == TlbResult(*PlainWalk(geometry, **options).run(trace.tolist()))


@pytest.mark.parametrize("place", [0, 5, 9])
def test_an_address_beyond_the_tables_is_refused_wherever_it_stands(place):
    trace = traces.uniform(10, 1 << 24)
    trace[place] = 1 << 47
    for options in ({}, {"host_page": None, **NO_WALK_CACHES}, {"replacement": "random"}):
        with pytest.raises(ParameterError, match=r"below 2\*\*47; you gave 0x8"):
            simulate(trace, warm=3, **options)


@needs_numba
@settings(max_examples=60)
@given(cases("random"))
def test_random_replacement_is_the_same_without_numba(case):
    trace, geometry, options = case
    compiled = simulate(trace, geometry, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIRTLAB_NO_NUMBA", "1")
        assert simulate(trace, geometry, **options) == compiled


@settings(max_examples=60)
@given(cases() | cases("random"))
def test_each_reference_hits_or_walks(case):
    trace, geometry, options = case
    run = simulate(trace, geometry, **options)
    mine, all_of_them = run.law()
    assert mine == all_of_them == len(trace) - options["warm"]
    assert all(0 <= hits <= lookups for hits, lookups in zip(run.nested_hits, run.nested_lookups, strict=True))
    # The address of the data is translated once a walk; that of each table once a read, but for the first after a hit.
    virtual = options["host_page"] is not None
    assert run.nested_lookups[0] == (run.walks if virtual else 0)
    assert sum(run.guest_loads) - run.walks <= sum(run.nested_lookups[1:]) <= sum(run.guest_loads) or not virtual


@settings(max_examples=60)
@given(some_traces(), st.integers(0, 4), st.integers(1, 12))
def test_the_curve_gives_the_hits_of_every_associativity(trace, sets, most):
    trace %= np.uint64(1 << 47)
    curve = miss_curve(trace, sets=1 << sets, most_ways=most)
    single = [
        simulate(trace, l1_entries=ways << sets, l1_ways=ways, l2_entries=0, host_page=None).l1_hits
        for ways in range(1, most + 1)
    ]
    assert curve.tolist() == single


@settings(max_examples=60)
@given(some_traces(), st.sampled_from(PAGES))
def test_more_ways_never_lose_a_hit_under_lru(trace, page):
    assert np.all(np.diff(miss_curve(trace, page, 2, 10)) >= 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sets": 3}, "sets must be a power of two"),
        ({"sets": 1 << 16, "most_ways": 17}, "sets times most_ways must be at most 1,048,576; you gave 65,536 and 17"),
        ({"most_ways": 0}, "most_ways must be 1 to"),
    ],
)
def test_a_curve_of_an_impossible_tlb_is_refused(change, words):
    with pytest.raises(ParameterError, match=words):
        miss_curve(ONE, **change)


def test_the_curve_of_a_cyclic_scan_is_a_step():
    assert miss_curve(traces.cyclic(1000, 10 << 12), most_ways=12).tolist() == [0] * 9 + [990] * 3


def test_a_wide_fully_associative_tlb_is_exact():
    trace = traces.uniform(3000, 300 << 12)
    seen, hits = OrderedDict(), 0
    for page in (trace >> np.uint64(12)).tolist():
        hits += page in seen
        seen[page] = None
        seen.move_to_end(page)
        if len(seen) > 200:
            seen.popitem(last=False)
    assert simulate(trace, one_tlb(200)).l1_hits == hits == miss_curve(trace, most_ways=200)[-1]


# ------------------------------------------------- the front door

def test_a_trace_is_not_copied(monkeypatch):
    seen = []
    original = module._addresses
    monkeypatch.setattr(module, "_addresses", lambda *a: seen.append(original(*a)) or seen[-1])
    for kind in (np.uint64, np.int64):
        trace = traces.uniform(1000, 1 << 24).astype(kind)
        simulate(trace, warm=10)
        assert np.shares_memory(trace, seen[-1])
        assert trace.flags.writeable


@needs_numba
def test_a_simulation_needs_no_memory_of_the_size_of_the_trace():
    trace = traces.cyclic(1_000_000, 1 << 30)
    simulate(trace[:10])
    tracemalloc.start()
    simulate(trace, warm=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < trace.nbytes / 20


@pytest.mark.parametrize(
    "change", [{"warm": 100}, {"guest_page": "4k"}, {"host_levels": 3}, {"seed": -1, "replacement": "random"}]
)
def test_a_wrong_argument_is_named(change):
    with pytest.raises(ParameterError, match=next(iter(change))):
        simulate(traces.cyclic(100, 1 << 20), **change)


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        ([], "at least one address"),
        ([[1, 2]], "shape"),
        ([1.0], "float64"),
        (np.array([1], np.int32), "64 bits"),
        ([-1], "below 2"),
        ([1 << 47], "below 2\\*\\*47"),
        (np.array(["a"]), "uint64 or int64"),
    ],
)
def test_a_trace_that_is_none_is_refused(trace, words):
    with pytest.raises(ParameterError, match=words):
        simulate(trace)


def test_five_levels_reach_further():
    assert simulate([1 << 55], guest_levels=5).walks == 1
    with pytest.raises(ParameterError, match="2\\*\\*56"):
        simulate([1 << 56], guest_levels=5)


def test_a_trace_of_the_other_byte_order_is_read_right():
    trace = traces.uniform(1000, 1 << 24)
    assert simulate(trace.astype(">u8")) == simulate(trace)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"l2_entries": 2048}, "l2_entries must be l2_ways times a power of two"),
        ({"l1_entries": 63}, "l1_entries"),
        ({"l1_entries": 0}, "l1_entries must be 1 to"),
        ({"nested_ways": 128}, "nested_entries"),
    ],
)
def test_an_impossible_geometry_is_refused(change, words):
    with pytest.raises(ParameterError, match=words):
        Tlb(**change)


def test_a_result_prints_as_a_table():
    text = str(simulate(ONE, **NO_WALK_CACHES))
    assert "Walks" in text and "24" in text
