"""Dirty logging: the law of unique pages, what each log costs, and what the split of huge pages leaves."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.memory.dirty import DirtyOptions, dirty_logging, split_entries, unique_pages

GIB = 1 << 30
MILLION = {"memory_bytes": 4096 * 1_000_000, "write_rate_per_s": 1e6, "clear_s": 1.0, "page": "4K"}


# --- unique pages --------------------------------------------------------------------------------------------------


def test_the_golden_number_of_unique_pages():
    assert round(unique_pages(262_144, 1e5, 1.0)) == 83_137


def test_a_sweep_dirties_a_clean_page_with_each_write_until_all_are_dirty():
    assert unique_pages(1000, 10, 30.0, "sweep") == 300
    assert unique_pages(1000, 10, 300.0, "sweep") == 1000


@pytest.mark.parametrize("writes", [200, 2_000, 20_000])
def test_random_writes_agree_with_pages_that_are_written_one_by_one(writes):
    """Independent oracle: a set of page numbers. The law is a mean; 40 runs of 4 000 pages stray by less than 1 %."""
    rng, pages = random.Random(7), 4_000
    runs = [len({rng.randrange(pages) for _ in range(writes)}) for _ in range(40)]
    assert sum(runs) / len(runs) == pytest.approx(unique_pages(pages, writes, 1.0), rel=0.01)


def test_an_array_of_times_gives_the_pages_at_each_of_them():
    times = np.array([0.0, 0.5, 2.0])
    for writes in ("random", "sweep"):
        each = [unique_pages(1000, 700, float(t), writes) for t in times]
        assert unique_pages(1000, 700, times, writes) == pytest.approx(each)


@given(st.floats(1, 1e9), st.floats(0, 1e9, allow_subnormal=False), st.floats(0, 1e4, allow_subnormal=False))
def test_random_writes_never_dirty_more_than_a_sweep_nor_more_pages_than_there_are(pages, rate, seconds):
    at_random, sweep = (unique_pages(pages, rate, seconds, w) for w in ("random", "sweep"))
    assert 0 <= at_random <= sweep * (1 + 1e-12) and sweep <= pages


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((0, 1, 1.0), "pages must be above 0"), ((10, -1, 1.0), "writes_per_s"), ((10, 1, math.inf), "all finite"),
     ((10, 1, 1.0, "zigzag"), "sweep or random")],
)  # fmt: skip
def test_impossible_writes_are_refused_in_a_sentence(arguments, told):
    with pytest.raises(ParameterError, match=told):
        unique_pages(*arguments)


# --- the three logs ------------------------------------------------------------------------------------------------


def test_a_million_pages_are_a_million_write_faults_or_1953_exits_of_pml():
    assert dirty_logging(log="write-protect", **MILLION).faults == 1_000_000
    pml = dirty_logging(log="pml", **MILLION)
    assert (pml.faults, pml.pml_exits) == (0, 1953)


def test_a_pml_log_of_512_entries_is_two_mebibytes_of_pages_an_exit():
    assert FACTS["dirty.pml.entries"].value * 4096 == 2 << 20


def test_pages_that_do_not_fill_the_pml_log_cause_no_exit():
    assert dirty_logging(log="pml", write_rate_per_s=511, clear_s=1.0).pml_exits == 0
    assert dirty_logging(log="pml", write_rate_per_s=512, clear_s=1.0).pml_exits == 1


def test_the_share_of_the_vcpu_is_exits_times_cost_over_time():
    log = dirty_logging(log="write-protect", exit_kernel_cycles=1360, clock_ghz=2.5, **MILLION)
    assert log.vcpu_share == pytest.approx(1e6 * 1360 / 2.5e9)


def test_a_share_above_1_is_shown_as_such_and_not_cut():
    assert dirty_logging(log="write-protect", write_rate_per_s=1e7, clear_s=1.0).vcpu_share > 1


def test_a_ring_that_is_harvested_in_time_never_makes_the_vcpu_exit_to_qemu():
    ring = FACTS["dirty.ring.entries"].value - FACTS["dirty.ring.reserved"].value - FACTS["dirty.pml.entries"].value
    slow = dirty_logging(log="ring", write_rate_per_s=ring - 1, clear_s=10.0)
    assert slow.ring_exits == 0
    fast = dirty_logging(log="ring", write_rate_per_s=2 * ring, clear_s=10.0)
    assert fast.ring_exits == pytest.approx(20), "it fills twice a second"


def test_a_larger_ring_exits_less_often():
    exits = [dirty_logging(log="ring", write_rate_per_s=1e5, dirty_ring_entries=1024 << k).ring_exits for k in range(7)]
    assert all(a >= b for a, b in zip(exits, exits[1:], strict=False)) and exits[0] > exits[-1]


def test_a_ring_logs_a_hot_page_again_after_each_harvest():
    hot = {"hot_bytes": 4096 * 1000, "write_rate_per_s": 1e6, "clear_s": 10.0}
    assert dirty_logging(log="pml", **hot).logged.pages == 1000
    assert dirty_logging(log="ring", **hot).logged.pages == pytest.approx(10 * 1000)


@given(settings_of(DirtyOptions))
@settings(max_examples=200)
def test_every_logged_page_came_by_a_fault_or_by_pml(options):
    log = dirty_logging(options)
    recorded, pages = log.law()
    assert recorded == pytest.approx(pages, rel=1e-9, abs=1e-6)
    assert min(*log.logged, log.vcpu_share, log.split_entries, log.refaults) >= 0
    assert all(math.isfinite(x) for x in (*log.logged, log.vcpu_share, log.exits_per_s, log.split_s))
    assert log.logged.pages >= log.unique_pages * (1 - 1e-9), "nothing that was written is missed"


@given(settings_of(DirtyOptions, log="pml", split="clear"))
def test_pml_never_exits_more_often_than_write_protection(options):
    assert dirty_logging(options).pml_exits <= dirty_logging(options, log="write-protect").faults / 512


# --- huge pages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["2M", "1G"])
@pytest.mark.parametrize("split", ["start", "clear"])
def test_a_gibibyte_of_huge_pages_becomes_262144_entries(page, split):
    assert dirty_logging(memory_bytes=GIB, page=page, split=split).split_entries == 262_144


def test_small_pages_have_nothing_to_split():
    assert dirty_logging(memory_bytes=GIB, page="4K").split_entries == 0


def test_split_at_the_fault_touches_only_what_is_written():
    """A sweep over 3 MiB meets two pages of 2 MiB: 1 024 entries."""
    log = dirty_logging(memory_bytes=GIB, split="fault", write_rate_per_s=768, clear_s=1.0)
    assert log.split_entries == 2 * 512
    assert split_entries(DirtyOptions(memory_bytes=GIB, split="fault"), 0.0, 1.0) == 0


def test_split_at_the_fault_in_random_writes_agrees_with_pages_counted_one_by_one():
    rng, pages, writes = random.Random(3), 1 << 16, 100
    touched = sum(len({rng.randrange(pages) // 512 for _ in range(writes)}) for _ in range(200)) / 200
    options = DirtyOptions(memory_bytes=pages * 4096, split="fault", writes="random")
    assert split_entries(options, writes, 1.0) == pytest.approx(512 * touched, rel=0.03)


def test_a_split_at_the_fault_turns_the_first_write_to_each_page_into_a_fault_even_with_pml():
    """The new mappings inherit the write protection of the huge one."""
    log = dirty_logging(split="fault", log="pml", write_rate_per_s=1e5, clear_s=1.0)
    assert log.faults == 1e5 and log.pml_exits == 0
    assert dirty_logging(split="fault", log="pml", page="4K", write_rate_per_s=1e5, clear_s=1.0).faults == 0


def test_the_reach_of_the_tlb_collapses_where_huge_pages_are_split():
    log = dirty_logging(page="2M", tlb_entries=1536)
    assert (log.reach_before_bytes, log.reach_after_bytes) == (3 << 30, 6 << 20)


def test_huge_pages_come_back_in_place_or_at_one_fault_each():
    assert dirty_logging(memory_bytes=GIB, page="2M").refaults == 0
    assert dirty_logging(memory_bytes=GIB, page="2M", recover_in_place=False).refaults == 512
    assert dirty_logging(memory_bytes=GIB, page="1G", recover_in_place=False).refaults == 1


# --- the reader's side ---------------------------------------------------------------------------------------------


def test_a_working_set_larger_than_the_memory_counts_as_all_of_it():
    assert dirty_logging(memory_bytes=GIB, hot_bytes=4 * GIB, write_rate_per_s=1e9).unique_pages == 262_144


@pytest.mark.parametrize(("name", "value"), [("clear_s", 0.0), ("page", "16M"), ("log", "none"), ("tlb_entries", 1)])
def test_out_of_range_is_refused_in_a_sentence_that_teaches(name, value):
    with pytest.raises(ParameterError, match=f"{name} must be .*you gave {value!r}: "):
        dirty_logging(**{name: value})


@pytest.mark.parametrize("log", ["write-protect", "pml", "ring"])
def test_a_log_prints_its_figures(log):
    text = str(dirty_logging(log=log))
    assert all(part in text for part in ("write faults", "PML", "ring full", "6 MiB", "3 GiB"))
