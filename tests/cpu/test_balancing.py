"""Balancing: the published hash, where loads go, what moving vectors can and cannot do, and balls into bins."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.cpu import balance, flow_shares, longest_first, steering_remedies
from virtlab.cpu.balancing import BalanceOptions
from virtlab.cpu.rss import KEY, indirection, queue_of, random_tuples, toeplitz
from virtlab.evidence import FACTS

BALANCES = settings_of(BalanceOptions).map(balance)


# ------------------------------------------------- the hash

@pytest.mark.parametrize(("source", "destination", "addresses", "with_ports"), [
    ("66.9.149.187:2794", "161.142.100.80:1766", 0x323E8FC2, 0x51CCC178),
    ("199.92.111.2:14230", "65.69.140.83:4739", 0xD718262A, 0xC626B0EA),
    ("24.19.198.95:12898", "12.22.207.184:38024", 0xD2D0A5DE, 0x5C2B394A),
    ("38.27.205.30:48228", "209.142.163.6:2217", 0x82989176, 0xAFC7327F),
    ("153.39.163.191:44251", "202.188.127.2:1303", 0x5D1809C5, 0x10E828A2),
])  # fmt: skip
def test_the_hash_is_that_of_microsofts_examples(source, destination, addresses, with_ports):
    """Verifying the RSS Hash Calculation: IPv4 with and without ports."""
    (a, p), (b, q) = (x.split(":") for x in (source, destination))
    numbers = [int(n) for n in (a + "." + b).split(".")]
    ports = [n for port in (p, q) for n in divmod(int(port), 256)]
    assert toeplitz(np.array([numbers], dtype=np.uint8)).tolist() == [addresses]
    assert toeplitz(np.array([numbers + ports], dtype=np.uint8)).tolist() == [with_ports]


def test_the_key_is_as_long_as_the_page_says():
    assert len(KEY) == FACTS["rss.key"].value


@given(st.binary(min_size=12, max_size=12), st.binary(min_size=12, max_size=12))
def test_the_hash_is_linear(one, other):
    """Toeplitz: the hash of an exclusive or is that of the hashes."""
    a, b = (np.frombuffer(x, dtype=np.uint8)[None] for x in (one, other))
    assert toeplitz(a ^ b) == toeplitz(a) ^ toeplitz(b)


def test_the_low_bits_choose_the_entry_and_the_entry_names_the_queue():
    table = indirection(8, 128)
    assert queue_of(np.array([0, 1, 127, 128, 130], dtype=np.uint32), table).tolist() == [0, 1, 7, 0, 2]


# ------------------------------------------------- loads

@given(BALANCES)
def test_loads_of_queues_and_cores_add_up_to_the_total(found):
    queues, cores, total = found.law()
    assert queues == pytest.approx(total) and cores == pytest.approx(total)
    assert found.queue_shares.shape == (found.options.queues,)
    assert found.core_shares.shape == (found.options.irq_cores,)


@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from(["fixed", "irqbalance"]), st.integers(0, 10_000))
def test_one_flow_is_all_on_one_queue_and_one_core_whatever_is_moved(queues, cores, placement, seed):
    found = balance(flows=1, queues=queues, irq_cores=cores, irq_placement=placement, flow_seed=seed)
    assert found.queue_max_over_mean == pytest.approx(queues)
    assert found.core_max_over_mean == pytest.approx(cores)
    assert found.bound_packets_per_s == pytest.approx(found.options.core_packets_per_s)


@given(BALANCES)
def test_nothing_exceeds_what_even_cores_or_the_elephant_allow(found):
    most = min(found.even_packets_per_s, found.elephant_packets_per_s)
    assert found.bound_packets_per_s <= most * (1 + 1e-9)
    assert found.options.core_packets_per_s <= found.bound_packets_per_s * (1 + 1e-9)


@given(BALANCES)
def test_the_elephant_is_where_it_is_said_to_be(found):
    assert found.queue_shares[found.elephant_queue] >= found.elephant_share * (1 - 1e-9)
    assert found.core_shares[found.elephant_core] >= found.elephant_share * (1 - 1e-9)


@given(settings_of(BalanceOptions))
def test_moving_vectors_changes_no_queue(options):
    one, other = (balance(options, irq_placement=p) for p in ("fixed", "irqbalance"))
    assert (one.queue_shares == other.queue_shares).all()
    assert one.bound_packets_per_s == other.in_turn_packets_per_s


def test_zipf_shares_are_the_harmonic_ones():
    assert flow_shares(4, 1.0) == pytest.approx([12 / 25, 6 / 25, 4 / 25, 3 / 25])
    assert flow_shares(4, 0.0) == pytest.approx([0.25] * 4)


def test_the_largest_of_a_thousand_zipf_flows_is_more_than_an_eighth():
    found = balance(flows=1000, flow_zipf_exponent=1.0)
    assert found.elephant_share == pytest.approx(1 / sum(1 / r for r in range(1, 1001)))
    assert "no move of vectors splits it" in found.sentence() and "13.4 %" in found.sentence()


def test_a_table_of_128_entries_is_uneven_for_48_queues_however_many_flows():
    """32 of the queues have three entries and 16 have two: 3 / (128 / 48) = 1.125."""
    entries = np.bincount(indirection(48, int(FACTS["rss.table"].value)))
    assert sorted(entries) == [2] * 16 + [3] * 32
    assert entries.max() / entries.mean() == 1.125


def test_the_measured_six_cores_stay_below_the_bound():
    """XDP paper, Linux routing: one core gives the parameter, and six cores the figure to hold the bound against."""
    found = balance(queues=6, irq_cores=6, flows=10_000, flow_zipf_exponent=0.0)
    measured = FACTS["io.linux.route.6core"].value
    assert found.options.core_packets_per_s == FACTS["io.linux.route.1core"].value
    assert 0.85 * found.bound_packets_per_s < measured < found.bound_packets_per_s


# ------------------------------------------------- balls into bins

@cache
def expected_fullest(balls, bins):
    """Mean of the fullest of ``bins`` for equal balls, exactly: P(max <= k) from the truncated exponential series."""
    mean = 0.0
    for k in range(balls):
        ways = [1.0] + [0.0] * balls  # ways[n] / bins^n: n balls in the bins so far, none above k
        for _ in range(bins):
            ways = [sum(ways[n - j] / math.factorial(j) for j in range(min(k, n) + 1)) for n in range(balls + 1)]
        mean += 1 - ways[balls] * math.factorial(balls) / bins**balls
    return mean


@pytest.mark.parametrize(("balls", "bins"), [(8, 8), (32, 8), (64, 16)])
def test_equal_flows_fill_the_fullest_queue_as_balls_do_a_bin(balls, bins):
    fullest = np.array([balance(flows=balls, queues=bins, flow_zipf_exponent=0.0, flow_seed=seed).queue_shares.max()
                        for seed in range(400)]) * balls  # fmt: skip
    error = fullest.std() / math.sqrt(len(fullest))
    assert fullest.mean() == pytest.approx(expected_fullest(balls, bins), abs=4 * error)


def test_many_small_flows_even_out():
    few, many = (balance(flows=n, flow_zipf_exponent=0.0).queue_max_over_mean for n in (16, 10_000))
    assert few > 1.5 and many < 1.1


def test_random_flows_are_as_many_as_asked_and_depend_on_the_seed():
    assert random_tuples(100, 1).shape == (100, 12)
    assert (random_tuples(100, 1) == random_tuples(100, 1)).all()
    assert (random_tuples(100, 1) != random_tuples(100, 2)).any()


# ------------------------------------------------- placing by load

LOADS = st.lists(st.floats(0, 1), min_size=1, max_size=7)


def fullest(loads, core_of, cores):
    return max(sum(load for load, c in zip(loads, core_of, strict=True) if c == core) for core in range(cores))


@given(LOADS, st.integers(1, 3))
def test_the_greedy_placement_is_within_grahams_bound_of_the_best(loads, cores):
    best = min(fullest(loads, p, cores) for p in itertools.product(range(cores), repeat=len(loads)))
    assert fullest(loads, longest_first(loads, cores), cores) <= best * (4 / 3 - 1 / (3 * cores)) + 1e-12


def test_the_bound_is_reached_by_grahams_own_example():
    """Two cores, loads 3 3 2 2 2: greedy 7, best 6, and 4/3 - 1/6 = 7/6."""
    loads = [3, 3, 2, 2, 2]
    assert fullest(loads, longest_first(loads, 2), 2) == 7


@given(BALANCES)
def test_no_placement_is_better_than_the_fullest_queue_or_an_even_part(found):
    assert found.core_shares.max() >= found.best_share * (1 - 1e-9)


@given(settings_of(BalanceOptions, irq_placement="irqbalance"))
def test_with_a_core_for_each_queue_there_is_nothing_to_move(options):
    assume(options.queues <= options.irq_cores)
    found = balance(options)
    assert found.core_shares.max() == pytest.approx(found.queue_shares.max())


# ------------------------------------------------- words and errors

@pytest.mark.parametrize(("setting", "text"), [
    ({"flows": 1}, "1 flow on 8 queues"), ({"irq_cores": 1}, "nothing to balance"),
    ({"queues": 2, "flow_zipf_exponent": 0.0}, "fewer queues than cores"), ({"flow_zipf_exponent": 0.0}, "hashes fall"),
    ({"irq_placement": "irqbalance"}, "adds nothing"),
    ({"irq_placement": "irqbalance", "queues": 64, "irq_cores": 6}, "Placed in turn they would end"),
])  # fmt: skip
def test_the_sentence_says_what_limits(setting, text):
    assert text in balance(**setting).sentence()


@given(BALANCES)
def test_every_setting_has_a_sentence_and_a_table(found):
    assert found.sentence().endswith(".") and "elephant" in str(found)


def test_only_spraying_splits_a_flow_and_its_price_is_reordering():
    splits = [row for row in steering_remedies().rows if row[2] == "yes"]
    assert len(splits) == 1 and "reordering" in splits[0][3]


@pytest.mark.parametrize("wrong", [{"queues": 0}, {"queues": 65}, {"flows": 0}, {"flow_zipf_exponent": 2.5}])
def test_out_of_range_teaches(wrong):
    with pytest.raises(ParameterError, match=f"{next(iter(wrong))} must be"):
        balance(**wrong)
