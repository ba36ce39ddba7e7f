"""The cost of a filter: hits against the cache and closed forms, masks and not rules, and the card's two limits."""
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab import cloud
from virtlab.cloud import CacheLoad, FilterOptions, best_share, filtering, hit_share, simulate_hits
from virtlab.cpu.shared_cache import Part, Reuse, lifetime

near = pytest.approx
some = settings(max_examples=20)
ENDLESS = 10**9


def hits(load, entries):
    return float(hit_share(load, np.array([float(entries)]))[0])


# --- how often the cache hits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("load, entries", [
    (CacheLoad(500, 1.0, ENDLESS, 1.0, "lru"), 100),
    (CacheLoad(500, 1.0, ENDLESS, 0.1, "lru"), 100),
    (CacheLoad(1000, 0.8, 20, 1.0, "lru"), 300),
    (CacheLoad(1000, 1.0, 10, 0.1, "lru"), 1000),
])  # fmt: skip
def test_the_closed_form_is_what_an_lru_cache_does(load, entries):
    assert hits(load, entries) == near(simulate_hits(load, entries, 60_000), abs=0.015)


@pytest.mark.parametrize("load, entries, error", [
    (CacheLoad(500, 1.0, ENDLESS, 1.0, "two_places"), 100, 0.03),
    (CacheLoad(1000, 1.0, 20, 0.1, "two_places"), 300, 0.03),
    (CacheLoad(500, 0.0, ENDLESS, 1.0, "two_places"), 500, 0.21),
])  # fmt: skip
def test_with_two_places_conflicts_take_a_little_more_than_the_closed_form_says(load, entries, error):
    assert -0.015 <= hits(load, entries) - simulate_hits(load, entries, 60_000) <= error


def test_with_lru_and_no_end_of_connections_it_is_ches_approximation():
    reuse = Reuse.of(10_000, 1.0, 0.0)
    stay = lifetime([Part(reuse, 1, np.ones(1))], np.array([800.0]))
    che = 1 - reuse.missed(stay)[0]
    assert hits(CacheLoad(10_000, 1.0, ENDLESS, 1.0, "lru"), 800) == near(che, abs=1e-6)
    table = cloud.table_hit_share(CacheLoad(10_000, 1.0, 10, 1.0, "lru"), np.array([1.0, 10.0]), 0.9 * 800)
    assert list(table) == near([0, 0.9 * che], abs=1e-6)  # an entry is of use for nine tenths of a connection


@pytest.mark.parametrize("policy", ["lru", "two_places"])
def test_alike_flows_without_end_hit_as_often_as_the_cache_is_large(policy):
    assert hits(CacheLoad(1000, 0.0, ENDLESS, 1.0, policy), 250) == near(0.25, abs=1e-6)


@pytest.mark.parametrize("packets, chance", [(10, 0.01), (10, 1.0), (1000, 0.01)])
def test_of_a_connection_the_packets_until_it_is_put_in_miss(packets, chance):
    endless_cache = 10**7  # entries for 100 flows
    missed = (1 - (1 - chance) ** packets) / chance
    assert hits(CacheLoad(100, 0.0, packets, chance, "lru"), endless_cache) == near(1 - missed / packets, abs=2e-3)


def test_where_a_hit_changes_nothing_the_chance_to_enter_does_not_move_the_hits_of_endless_flows():
    always, rarely = (hits(CacheLoad(10_000, 1.0, ENDLESS, q, "two_places"), 1000) for q in (1.0, 0.01))
    assert always == near(rarely, abs=1e-6)
    assert hits(CacheLoad(10_000, 1.0, ENDLESS, 0.01, "lru"), 1000) > 1.05 * hits(
        CacheLoad(10_000, 1.0, ENDLESS, 1.0, "lru"), 1000)  # fmt: skip


LOADS = st.builds(CacheLoad, st.integers(100, 10**7), st.floats(0, 2), st.integers(1, 10_000), st.floats(0, 1),
                  st.sampled_from(["lru", "two_places"]))  # fmt: skip


@some
@given(LOADS)
def test_more_entries_never_hit_less_and_never_more_than_foreknowledge(load):
    entries = np.geomspace(1, 1e8, 17)
    share, best = hit_share(load, entries), best_share(load, entries)
    assert np.isfinite(share).all() and (share >= 0).all() and (np.diff(share) >= -1e-9).all()
    assert (share <= best + 5e-3).all() and (best <= 1 - 1 / load.connection_packets + 1e-12).all()


# --- what a packet costs --------------------------------------------------------------------------------------------


@some
@given(settings_of(FilterOptions))
def test_laws_of_the_cost(o):
    result = filtering(o)
    both, one = result.law()
    assert both == near(one) and result.found_share >= -1e-9 and result.miss_share <= 1
    assert result.packet_cycles >= o.cache_probe_cycles and result.cycles["masks"] <= o.masks * o.mask_probe_cycles
    assert result.core_packets_per_s * result.packet_cycles == near(o.clock_ghz * 1e9)
    assert result.cores == near(o.rate_packets_per_s * result.packet_cycles / (o.clock_ghz * 1e9))
    card = result.card
    assert card.law()[0] == near(1, abs=1e-9) and card.slow_share >= 1 / o.connection_packets - 1e-9
    assert card.most_packets_per_s <= o.new_flows_per_s * o.connection_packets * (1 + 1e-9)
    for shown in (result, card):
        assert "nan" not in str(shown) and shown.sentence().endswith(".")


def test_rules_cost_nothing_at_equal_masks_and_a_scan_pays_for_each():
    few, many = filtering(rules=10), filtering(rules=100_000)
    assert few.cycles == many.cycles
    assert many.scan_cycles / few.scan_cycles == near(100_001 / 11)


def test_the_cost_is_linear_in_masks():
    one, two, three = (filtering(masks=m).packet_cycles for m in (10, 20, 30))
    assert three - two == near(two - one) and two > one


def test_masks_hit_alike_need_half_of_all_probes_and_a_favourite_fewer():
    assert cloud.mean_probes(20, 0.0) == near(10.5)
    assert cloud.mean_probes(20, 1.0) == near(20 / sum(1 / k for k in range(1, 21)))
    assert cloud.mean_probes(1, 1.0) == 1


def test_the_cost_is_put_together_as_the_formula_says():
    r = filtering(insert_probability=0.0)
    o = r.options
    assert r.hit_share == 0 and r.miss_share == 0.002
    assert r.packet_cycles == near(30 + (0.998 * 10.5 + 0.002 * 20) * 75 + 0.002 * 50_000 * o.clock_ghz)


def test_an_upcall_for_each_packet_is_what_a_packet_costs():
    r = filtering(connection_packets=1, upcall_share=1.0)
    assert r.hit_share == near(0, abs=1e-12) and r.miss_share == 1 and r.cycles["upcall"] / r.packet_cycles > 0.95


def test_the_default_of_open_vswitch_gives_short_connections_nothing_and_long_ones_much():
    short, long = (filtering(insert_probability=0.01, connection_packets=n, active_flows=1000) for n in (10, 10_000))
    assert short.hit_share < 0.05 and long.hit_share > 0.95


# --- the card -------------------------------------------------------------------------------------------------------


def test_golden_five_million_packets_from_half_a_million_new_flows():
    assert cloud.filter_card().most_packets_per_s == near(5e6) and cloud.filter_card().first == "new_flows"
    long = cloud.filter_card(connection_packets=1000)
    assert long.limits_packets_per_s["new_flows"] == near(500e6)
    assert long.most_packets_per_s == near(40e6) and long.first == "pipeline"


def test_a_full_table_sends_later_packets_the_slow_path_or_to_the_host_or_refuses():
    full = {"active_flows": 10_000_000, "table_entries": 100_000}
    evict, host, refuse = (filtering(when_full=way, **full) for way in ("evict", "host", "refuse"))
    assert evict.card.most_packets_per_s < 0.5 * 5e6 and evict.card.host_share == near(0, abs=1e-12)
    assert host.card.most_packets_per_s == near(5e6) and host.card.host_share > 0.2
    assert host.card_host_cores == near(host.cores * host.card.host_share)
    assert refuse.card.first == "table" and refuse.card.most_packets_per_s == near(100_000 / 10 * 10)
    assert evict.card.hit_share == near(host.card.hit_share)


def test_the_rules_of_the_host_are_none_of_the_card():
    a, b = (cloud.filter_card(rules=r, masks=m) for r, m in ((10, 1), (100_000, 100)))
    assert a.most_packets_per_s == b.most_packets_per_s


@some
@given(settings_of(FilterOptions))
def test_the_wall_is_the_cards_limit_at_each_length_of_connection(o):
    wall = cloud.card_wall(np.array([1.0, float(o.connection_packets), 1e4]), o)
    assert wall[1] == near(cloud.filter_card(o).most_packets_per_s, rel=1e-6)
    assert wall[0] <= wall[2] * (1 + 1e-9) and math.isfinite(wall[2])
