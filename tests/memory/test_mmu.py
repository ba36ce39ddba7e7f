"""Shadow against nested paging: what each cause takes, what each help removes, and where one overtakes the other."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.memory.mmu import MmuOptions, break_even_updates_per_s, mmu

OPTIONS = settings_of(MmuOptions)
ALONE = {"vcpus": 1}  # nobody else asks for the lock


# --- the sum -------------------------------------------------------------------------------------------------------


@given(OPTIONS)
def test_the_shares_add_up_to_the_total(options):
    parts, total = mmu(options).law()
    assert parts == pytest.approx(total)


@given(OPTIONS)
def test_no_cause_takes_less_than_nothing(options):
    assert all(share >= 0 for share in mmu(options).shares.values())


def test_each_cause_of_shadow_paging_is_its_rate_times_its_cost():
    shares = mmu(
        technique="shadow", tlb_misses_per_s=1e6, page_table_updates_per_s=1e5, guest_faults_per_s=1e4,
        cr3_loads_per_s=2e4, first_touches_per_s=1e3, walk_native_cycles=50, exit_kernel_cycles=2000,
        ept_violation_ns=5000, clock_ghz=2, updates_that_exit=0.5, **ALONE,
    ).shares  # fmt: skip
    assert shares == pytest.approx(
        {
            "walks": 1e6 * 25e-9, "updates": 0.5 * 1e5 * 1e-6, "guest_faults": 1e4 * 1e-6, "cr3_loads": 2e4 * 1e-6,
            "first_touches": 1e3 * 5e-6, "ageing": 0, "refills": 0, "lock": 0,
        }
    )  # fmt: skip


@given(OPTIONS)
def test_the_exits_of_the_mmu_are_the_events_of_each_technique(options):
    """First touches; with shadow paging what the guest does to its tables, with nested paging ageing without bits."""
    o = options
    shadow, nested = (mmu(o.replace(technique=t)).mmu_exits_per_s for t in ("shadow", "nested"))
    guest = o.updates_that_exit * o.page_table_updates_per_s + o.guest_faults_per_s + o.cr3_loads_per_s
    assert shadow == pytest.approx(guest + o.first_touches_per_s)
    assert nested == pytest.approx(o.first_touches_per_s + (0 if o.accessed_dirty_bits else o.aged_pages_per_s))


@given(OPTIONS)
def test_nested_paging_exits_for_nothing_that_a_guest_does_to_its_own_tables(options):
    nested = mmu(options.replace(technique="nested"))
    assert nested.shares["updates"] == nested.shares["guest_faults"] == nested.shares["cr3_loads"] == 0
    busier = options.replace(
        technique="nested", page_table_updates_per_s=1e7, guest_faults_per_s=1e6, cr3_loads_per_s=1e6
    )
    assert mmu(busier).total_share == nested.total_share


def test_shadow_paging_walks_one_dimension():
    shadow, nested = (mmu(technique=t).shares["walks"] for t in ("shadow", "nested"))
    o = MmuOptions()
    assert nested / shadow == pytest.approx(o.walk_nested_cycles / o.walk_native_cycles)


def test_unsynchronised_tables_take_exits_away_in_proportion():
    full, tenth = (mmu(technique="shadow", updates_that_exit=x).shares["updates"] for x in (1, 0.1))
    assert tenth == pytest.approx(full / 10)


# --- the three optimizations ---------------------------------------------------------------------------------------


@given(OPTIONS)
def test_a_tagged_tlb_is_flushed_by_no_exit(options):
    tagged = mmu(options.replace(tagged_tlb=True))
    assert tagged.flushes_per_s == 0 and tagged.shares["refills"] == 0


def test_without_tags_every_exit_flushes_and_each_flush_is_paid_in_walks():
    cost = mmu(tagged_tlb=False, exits_per_s=9_000, first_touches_per_s=1_000, refill_misses=64,
               walk_nested_cycles=100, clock_ghz=2)  # fmt: skip
    assert cost.flushes_per_s == 10_000
    assert cost.shares["refills"] == pytest.approx(10_000 * 64 * 50e-9)


def test_a_cr3_load_flushes_by_itself_so_that_its_exit_adds_no_flush():
    few, many = (mmu(technique="shadow", tagged_tlb=False, cr3_loads_per_s=r) for r in (1, 1e5))
    assert few.flushes_per_s == many.flushes_per_s


def test_without_accessed_bits_each_page_that_is_looked_at_costs_a_violation():
    without = mmu(accessed_dirty_bits=False, aged_pages_per_s=1e5, exit_kernel_cycles=2000, clock_ghz=2)
    assert without.shares["ageing"] == pytest.approx(1e5 * 1e-6)
    assert mmu(accessed_dirty_bits=True, aged_pages_per_s=1e5).shares["ageing"] == 0


def test_shadow_tables_are_ordinary_ones_and_always_have_accessed_bits():
    assert mmu(technique="shadow", accessed_dirty_bits=False, aged_pages_per_s=1e6).shares["ageing"] == 0


def test_faults_in_parallel_wait_for_no_lock_and_serial_ones_do():
    crowd = {"vcpus": 64, "first_touches_per_s": 10_000}
    assert mmu(parallel_faults=True, **crowd).shares["lock"] == 0
    assert mmu(parallel_faults=False, **crowd).shares["lock"] > 0


def test_shadow_paging_has_one_lock_whatever_the_switch_says():
    on, off = (mmu(technique="shadow", parallel_faults=p) for p in (True, False))
    assert on.shares["lock"] == off.shares["lock"] > 0


def test_the_wait_for_the_lock_is_that_of_an_md1_queue():
    cost = mmu(parallel_faults=False, vcpus=11, first_touches_per_s=50_000, fault_lock_ns=1000)
    busy = 10 * 50_000 * 1e-6  # half the time
    assert cost.lock_utilisation == pytest.approx(busy)
    assert cost.shares["lock"] == pytest.approx(50_000 * busy / (1 - busy) / 2 * 1e-6)


@given(OPTIONS.filter(lambda o: o.vcpus > 1))
def test_one_vcpu_waits_for_nobody(options):
    assert mmu(options.replace(vcpus=1)).shares["lock"] == 0
    assert mmu(options).lock_utilisation >= mmu(options.replace(vcpus=options.vcpus - 1)).lock_utilisation


@given(OPTIONS, st.sampled_from(["parallel_faults", "accessed_dirty_bits", "tagged_tlb"]))
def test_no_optimization_makes_it_dearer(options, switch):
    assert mmu(options.replace(**{switch: True})).total_share <= mmu(options.replace(**{switch: False})).total_share


# --- what cannot be had --------------------------------------------------------------------------------------------


def test_more_than_all_of_the_time_is_flagged_and_not_clipped():
    cost = mmu(tlb_misses_per_s=1e8, walk_nested_cycles=250, clock_ghz=2.5)
    assert cost.total_share > 10 and cost.guest_share < -9 and not cost.feasible
    assert "these rates cannot be had" in cost.sentence()


def test_a_saturated_lock_is_flagged_and_named():
    cost = mmu(parallel_faults=False, vcpus=512, first_touches_per_s=10_000, fault_lock_ns=1000)
    assert cost.lock_utilisation > 1 and not cost.feasible and math.isinf(cost.total_share)
    assert "ask for the MMU lock 511 % of the time" in cost.sentence()


def test_an_ordinary_vm_is_feasible():
    assert mmu().feasible and 0 < mmu().guest_share < 1


# --- break-even ----------------------------------------------------------------------------------------------------


def _gap(options: MmuOptions) -> Callable[[float], float]:
    """Shadow less nested paging by update rate: the public model at one rate, the rest summed here."""
    shadow = mmu(options.replace(technique="shadow", page_table_updates_per_s=1.0))
    fixed = shadow.total_share - shadow.shares["lock"] - mmu(options.replace(technique="nested")).total_share
    per_exit = options.exit_kernel_cycles / options.clock_ghz / 1e9
    if not options.tagged_tlb:
        per_exit += options.refill_misses * options.walk_native_cycles / options.clock_ghz / 1e9

    def gap(updates: float) -> float:
        locked = options.updates_that_exit * updates + options.first_touches_per_s
        busy = (options.vcpus - 1) * locked * options.fault_lock_ns / 1e9
        lock = locked * busy * options.fault_lock_ns / 1e9 / (2 * (1 - busy)) if busy < 1 else math.inf
        return fixed + options.updates_that_exit * (updates - 1) * per_exit + lock

    return gap


def _bisect(gap: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    while gap(high) < 0:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if gap(middle) < 0 else (low, middle)
    return high


@given(OPTIONS)
def test_break_even_is_where_bisection_finds_it_or_none_where_shadow_paging_is_dearer_from_the_start(options):
    gap = _gap(options)
    assume(options.updates_that_exit > 1e-6 and abs(gap(0.0)) > 1e-9)
    expected = _bisect(gap) if gap(0.0) < 0 else 0.0
    assert break_even_updates_per_s(options) == pytest.approx(expected, rel=1e-6, abs=1e-3), options


@pytest.mark.parametrize("vcpus", [1, 8, 64])
def test_at_break_even_the_two_techniques_cost_the_same(vcpus):
    rate = break_even_updates_per_s(vcpus=vcpus)
    shadow, nested = (mmu(technique=t, page_table_updates_per_s=rate, vcpus=vcpus) for t in ("shadow", "nested"))
    assert shadow.total_share == pytest.approx(nested.total_share)


def test_alone_break_even_is_the_dearer_walk_over_the_exit_less_the_other_exits():
    o = MmuOptions(**ALONE)
    saved = o.tlb_misses_per_s * (o.walk_nested_cycles - o.walk_native_cycles) / o.exit_kernel_cycles
    assert break_even_updates_per_s(o) == pytest.approx(saved - o.guest_faults_per_s - o.cr3_loads_per_s)


def test_more_vcpus_at_one_lock_move_break_even_down():
    rates = [break_even_updates_per_s(vcpus=n) for n in (1, 8, 64, 512)]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == 4


def test_shadow_paging_never_wins_where_walks_cost_the_same():
    assert break_even_updates_per_s(walk_native_cycles=100, walk_nested_cycles=100) == 0


def test_shadow_paging_always_wins_where_no_update_exits_and_walks_are_dear():
    assert break_even_updates_per_s(updates_that_exit=0, tlb_misses_per_s=1e7) == math.inf


@given(OPTIONS, st.sampled_from(["shadow", "nested"]), st.floats(1, 1e7))
def test_break_even_depends_on_neither_technique_nor_update_rate(options, technique, rate):
    other = options.replace(technique=technique, page_table_updates_per_s=rate)
    assert break_even_updates_per_s(other) == break_even_updates_per_s(options)


# --- what a reader sees --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("vcpus", 0), ("updates_that_exit", 1.5), ("technique", "ept")])
def test_wrong_options_are_refused_in_a_sentence_that_teaches(name, value):
    for ask in (mmu, break_even_updates_per_s):
        with pytest.raises(ParameterError, match=f"{name} must be .*; you gave {value!r}: "):
            ask(**{name: value})


def test_the_cost_prints_each_cause_that_takes_time():
    text = str(mmu(technique="shadow"))
    assert "shadow paging" in text and "exits: CR3 loads" in text and "pages looked at" not in text
