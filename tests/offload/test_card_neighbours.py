"""Neighbours on one card: what a share of the link leaves open, which remedy closes what, and shared translations."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.evidence import FACTS
from virtlab.offload import CardNeighbourOptions, card_neighbours, unsliced
from virtlab.offload.card_neighbours import hit_shares
from virtlab.offload.iotlb import IotlbOptions

near = pytest.approx


def test_a_rival_below_its_share_of_the_link_takes_frames_from_the_victim():
    """Evidence: "hardware ends noisy neighbours" is contradicted in part. A fair share of the link changes nothing."""
    lots = card_neighbours().lots
    assert lots["alone"].victim_gbit_per_s == near(20)
    assert lots["none"].victim_gbit_per_s < 10 and lots["link"].victim_gbit_per_s == lots["none"].victim_gbit_per_s
    assert lots["all"].victim_gbit_per_s == near(20)


def test_the_iotlb_is_the_one_of_the_iommu_model_and_a_victim_alone_has_time_for_its_misses():
    """One description: 64 entries. Most frames of the victim miss even alone; the IOMMU has time for it."""
    assert CardNeighbourOptions.specs()["iotlb_entries"].fact == IotlbOptions.specs()["iotlb_entries"].fact
    assert CardNeighbourOptions().iotlb_entries == IotlbOptions().iotlb_entries
    lots = card_neighbours().lots
    assert lots["alone"].misses == near(1 - 64 / 512) and lots["alone"].iommu_share < 0.5
    assert lots["none"].limit == "iommu" and lots["pages"].misses == 0


def test_translations_that_fit_alone_are_pushed_out_by_a_rival():
    lots = card_neighbours(iotlb_entries=1024).lots
    assert lots["alone"].misses == 0 and lots["none"].misses > 0.9


def test_the_pipeline_drops_in_proportion_to_frames():
    """With pages of 2 MiB only the pipeline is full: 40 Mpps for 1.6 + 59.5 Mpps."""
    o, lot = CardNeighbourOptions(), card_neighbours().lots["pages"]
    frames = 20e9 / 8 / 1_538 + 40e9 / 8 / 84
    assert lot.pipeline_share == near(frames * o.card_packet_ns / 1e9) and lot.limit == "pipeline"
    assert lot.victim_gbit_per_s == near(20 / lot.pipeline_share)


def test_frames_shared_out_leave_a_victim_with_few_frames_whole():
    lots = card_neighbours(rival_pool_bytes=4096).lots
    assert lots["none"].limit == "pipeline"
    assert lots["none"].victim_gbit_per_s < 15 < 20 == near(lots["pps"].victim_gbit_per_s)


def test_a_rival_with_large_frames_takes_a_twentieth_and_with_few_pages_nothing():
    assert card_neighbours(rival_frame_bytes=1_518).lots["none"].victim_gbit_per_s == near(19, abs=0.2)
    found = card_neighbours(rival_frame_bytes=1_518, rival_pool_bytes=1 << 20)
    assert found.lots["none"].victim_gbit_per_s == near(20) and found.lots["none"].limit == "nothing"
    assert "all that it would receive alone" in found.sentence()


def test_large_pages_bring_back_what_misses_took():
    """Farshin and others: huge-page buffers recover the throughput completely."""
    small, large = (card_neighbours(rival_frame_bytes=1_518, rival_gbit_per_s=80.0).lots[k] for k in ("none", "pages"))
    assert small.limit == "iommu" and small.victim_gbit_per_s < 20
    assert large.victim_gbit_per_s == near(20)


def test_full_pages_of_one_tenant_are_the_published_law():
    """T = p / (l0 + M lm): with full misses, 4096 B in 65 + 197 ns are 125 Gb/s."""
    found = card_neighbours(
        victim_gbit_per_s=400.0, link_gbit_per_s=800.0, victim_frame_bytes=4096, victim_pool_bytes=2**32,
        iotlb_entries=16, card_packet_ns=1.0)  # fmt: skip
    published = 8 * 4096 / (FACTS["iommu.m50.base"].value + FACTS["iommu.m50.miss"].value)
    assert found.lots["alone"].victim_gbit_per_s * 4096 / 4116 == near(published, rel=1e-4)


@given(settings_of(CardNeighbourOptions))
def test_nobody_receives_more_than_is_sent_and_all_remedies_are_no_worse_than_none(options):
    found = card_neighbours(options)
    best, sent = found.law()
    assert best <= sent * (1 + 1e-9)
    assert found.lots["none"].victim_gbit_per_s <= found.lots["alone"].victim_gbit_per_s * (1 + 1e-9)
    assert found.lots["pages"].victim_gbit_per_s >= found.lots["none"].victim_gbit_per_s * (1 - 1e-9)
    assert all(lot.wait_ns >= 0 for lot in found.lots.values())
    assert "nan" not in str(found) and found.sentence().endswith(".")


@pytest.mark.parametrize("entries", [64, 200, 600])
def test_shared_hits_are_those_of_an_lru_cache(entries):
    """Che's approximation against a cache that is played through; two tenants at random in pages of their own."""
    pages, rates, rng = (100, 800), (3.0, 1.0), random.Random(5)
    cache, hits, uses = {}, [0, 0], [0, 0]
    for n in range(120_000):
        who = rng.random() * sum(rates) >= rates[0]
        page = (who, rng.randrange(pages[who]))
        if n > 20_000:
            uses[who] += 1
            hits[who] += page in cache
        cache.pop(page, None)
        cache[page] = None
        if len(cache) > entries:
            del cache[next(iter(cache))]
    played = [h / u for h, u in zip(hits, uses, strict=True)]
    assert hit_shares(entries, pages, rates) == near(played, abs=0.02)


@given(st.integers(16, 4_096), st.integers(1, 5_000), st.integers(1, 5_000), st.floats(0.01, 100))
def test_all_that_fits_is_found_and_else_the_cache_is_full(entries, one, other, rate):
    hits = hit_shares(entries, (one, other), (1.0, rate))
    if one + other <= entries:
        assert hits == (1, 1)
    else:
        assert hits[0] * one + hits[1] * other == near(entries, rel=1e-6)


def test_the_table_of_what_is_shared_has_a_remedy_for_each():
    assert all(all(row) for row in unsliced().rows) and len(unsliced().rows) == 8
