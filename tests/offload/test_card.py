"""The card as a finite computer: Erlang's formula, Little's law, and two limits of one rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.offload.card import PARTS, CardOptions, card, card_budgets, card_curve
from virtlab.offload.waiting import erlang_c, md1_wait_ns, mmc_wait_ns
from virtlab.paths.queueing import md1, mm1

near = pytest.approx
OPTIONS = settings_of(CardOptions)


# --- waiting ----------------------------------------------------------------------------------------------------------


def chain(servers, load, places=4000):
    """The share of arrivals that find all servers busy, from the chain of states itself."""
    weights = [1.0]
    for n in range(1, places):
        weights.append(weights[-1] * load / min(n, servers))
    return sum(weights[servers:]) / sum(weights)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (2, 1.0), (3, 2.0), (10, 8.0), (16, 13.1)])
def test_erlangs_formula_is_the_stationary_chain(servers, load):
    assert erlang_c(servers, load) == near(chain(servers, load))


def test_two_servers_at_half_load_make_a_third_wait():
    assert erlang_c(2, 1.0) == near(1 / 3)


@given(st.floats(0, 0.99))
def test_one_server_waits_as_m_m_1(rho):
    assert mmc_wait_ns(1, rho * 1e9 / 500, 500) == near(mm1(rho * 1e9 / 500, 500).wait_ns)


@given(st.floats(0, 0.99))
def test_equal_services_wait_as_m_d_1(rho):
    assert md1_wait_ns(rho * 1e9 / 25, 25) == near(md1(rho * 1e9 / 25, 25).wait_ns)


@given(st.integers(1, 256), st.floats(0, 0.999))
def test_a_probability_is_between_0_and_1_and_more_servers_at_the_same_share_wait_less(servers, rho):
    few, many = erlang_c(servers, rho * servers), erlang_c(2 * servers, rho * 2 * servers)
    assert 0 <= many <= few <= 1


def test_from_full_load_on_the_wait_has_no_bound():
    assert mmc_wait_ns(4, 4e6, 1000) == md1_wait_ns(1e6, 1000) == math.inf and erlang_c(4, 4.0) == 1


@pytest.mark.parametrize(("servers", "load"), [(0, 1.0), (1, -1.0), (1, math.nan)])
def test_no_server_and_no_negative_load(servers, load):
    with pytest.raises(ParameterError, match="servers must be 1 or more"):
        erlang_c(servers, load)


# --- the card ---------------------------------------------------------------------------------------------------------


@given(OPTIONS)
def test_the_flow_table_holds_rate_times_life(options):
    seen, law = card(options).law()
    assert seen == near(law)


@given(OPTIONS)
def test_the_parts_of_the_memory_add_up(options):
    parts, whole = card(options).memory_law()
    assert parts == near(whole)


@given(OPTIONS)
def test_waits_are_infinite_from_share_1_on_and_finite_below(options):
    seen = card(options)
    assert math.isinf(seen.packet_wait_ns) == (seen.shares["pipeline"] >= 1)
    assert math.isinf(seen.connection_wait_ns) == (seen.shares["cores"] >= 1)
    assert not seen.feasible or all(seen.shares[part] <= 1 for part in PARTS)


def test_a_card_is_not_infinite():
    waits = [card(busy_vfs=n).connection_wait_ns for n in (10, 500, 1000, 1024)]
    assert waits == sorted(waits) and waits[-1] > 1000 * waits[1]
    assert not card(vf_packets_per_s=5000).feasible


def test_500_000_connections_of_10_packets_are_5_mpps_whatever_the_pipeline_could_take():
    seen = card(connection_packets=10)
    assert seen.options.connections_per_s_most == near(FACTS["card.cps"].value)
    assert seen.most_packets_per_s == near(5e6)


def test_long_connections_leave_the_pipeline_as_the_limit():
    assert card(connection_packets=1000).most_packets_per_s == near(1e9 / FACTS["card.packet"].value)


def test_memory_ends_as_entries_live_longer():
    assert card(flow_life_s=10).shares["memory"] < 1 < card(flow_life_s=300).shares["memory"]


@given(OPTIONS)
def test_equal_parts_add_up_to_the_whole(options):
    seen = card(options)
    assert seen.packets_per_s_each * options.busy == near(seen.most_packets_per_s)
    assert seen.connections_per_s_each * options.busy == near(options.connections_per_s_most)


def test_the_budgets_of_more_vfs_are_smaller_parts_of_one_card():
    loads = card_budgets((1, 10, 1000)).loads
    assert [load.packets_per_s_each for load in loads] == near([5e6, 5e5, 5e3])
    flows = [load.flows_each for load in loads]
    assert flows[0] > 10 * flows[1] > 1000 * flows[2], "each VF takes memory of its own too"
    assert len(card_budgets().table().rows) == 5


def test_the_curve_passes_through_the_card_and_starts_at_nothing():
    busy = [0, 1, 700, 1024, 4096]
    found = card_curve(busy)
    assert found[0] == 0 and math.isinf(found[-1])
    assert list(found[1:4]) == near([card(busy_vfs=n).connection_wait_ns for n in busy[1:4]])


@pytest.mark.parametrize("busy", [[-1.0], [math.nan], [[1.0]]])
def test_the_curve_wants_a_vector_of_counts(busy):
    with pytest.raises(ParameterError, match="busy must be a vector"):
        card_curve(np.array(busy))


def test_more_busy_vfs_than_vfs_are_refused():
    with pytest.raises(ParameterError, match="busy_vfs must be at most vfs"):
        card(vfs=4, busy_vfs=5)


def test_a_card_whose_system_does_not_fit_is_refused():
    with pytest.raises(ParameterError, match="would not start"):
        card(card_memory_bytes=1 << 30)


@given(OPTIONS)
def test_sentence_and_table_have_a_word_for_everything(options):
    seen = card(options)
    assert seen.sentence() and len(seen.table().rows) == len(PARTS)
