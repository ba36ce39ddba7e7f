"""Which remedy earned what: Shapley's axioms, and the two other ways that do not add up."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.cloud import ARCHITECTURES, WORKLOADS, Host, attribute, compose, overhead, shapley
from virtlab.core.parameter import ParameterError

TERMS = {"a": 0.03, "b": 0.04, "c": 0.02, "d": 0.015}


def lost(remedies):
    return 1 - math.prod(1 - TERMS[r] for r in remedies)


def test_golden_losses_that_multiply():
    shares = shapley(lost, tuple(TERMS))
    assert list(shares.values()) == pytest.approx([0.02889, 0.03872, 0.01917, 0.01434], abs=6e-6)
    assert sum(shares.values()) == pytest.approx(0.10111, abs=5e-6)
    assert sum(TERMS.values()) == pytest.approx(0.105)


games = st.lists(st.floats(-1, 1), min_size=16, max_size=16)


@settings(max_examples=30)
@given(games, st.permutations("abcd"))
def test_shares_add_up_and_depend_on_no_order(values, order):
    def value(players):
        return values[sum(1 << "abcd".index(p) for p in players)]

    shares = shapley(value, "abcd")
    assert math.fsum(shares.values()) == pytest.approx(values[15] - values[0])
    assert shapley(value, order) == pytest.approx(shares)


@settings(max_examples=15)
@given(games)
def test_the_share_is_the_mean_over_all_orders(values):
    def value(players):
        return values[sum(1 << "abcd".index(p) for p in players)]

    orders = list(itertools.permutations("abcd"))
    mean = sum(value({*o[: o.index("a")], "a"}) - value(set(o[: o.index("a")])) for o in orders) / len(orders)
    assert shapley(value, "abcd")["a"] == pytest.approx(mean)


def test_one_who_changes_nothing_gets_nothing_and_equals_get_the_same():
    shares = shapley(lambda players: 1.0 if {"x", "y"} <= players else 0.0, ("x", "null", "y"))
    assert shares == pytest.approx({"x": 0.5, "null": 0.0, "y": 0.5})


@pytest.mark.parametrize("players", ["aa", tuple(range(17))])
def test_players_are_few_and_named_once(players):
    with pytest.raises(ValueError, match="at most 16, each named once"):
        shapley(len, players)


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "qemu"])
def test_each_architecture_explains_its_whole_difference_on_each_axis(architecture):
    for axis in ("loss", "host_tax", "slowdown"):
        a = attribute(architecture, "storage", axis=axis)
        before, after = (overhead(name, "storage").on(axis) for name in ("qemu", architecture))
        assert a.law()[0] == pytest.approx(a.law()[1])
        assert a.total == pytest.approx(before - after)


@pytest.mark.parametrize(("workload", "first"), [("compute", "huge_pages"), ("network", "network_card"),
                                                 ("storage", "storage_card")])  # fmt: skip
def test_each_workload_has_another_best_remedy(workload, first):
    assert attribute("nitro", workload).ranking()[0] == first


def test_a_waterfall_depends_on_its_order_and_shapley_is_the_mean():
    a = attribute(compose("huge_pages", "network_card", "storage_card"), "storage")
    falls = [{bar.remedy: bar.earned for bar in a.waterfall(*o)} for o in itertools.permutations(a.remedies)]
    assert len({round(fall["storage_card"], 9) for fall in falls}) > 1
    for remedy in a.remedies:
        assert sum(fall[remedy] for fall in falls) / len(falls) == pytest.approx(a.earned[remedy])


def test_a_waterfall_ends_where_the_architecture_is():
    a = attribute("nitro", "network")
    bars = a.waterfall()
    assert (bars[0].before, bars[-1].after) == (a.start.loss, a.end.loss)
    assert math.fsum(bar.earned for bar in bars) == pytest.approx(a.total)


def test_taking_one_away_is_the_architecture_without_it():
    a = attribute("nitro", "storage")
    without = overhead(ARCHITECTURES["nitro"].without("storage_card"), "storage").loss
    assert a.missed["storage_card"] == pytest.approx(without - a.end.loss)
    assert a.alone["storage_card"] == pytest.approx(a.start.loss - overhead(compose("storage_card"), "storage").loss)


def test_remedies_alone_and_remedies_missed_do_not_add_up():
    a = attribute("nitro", "storage")
    assert sum(a.alone.values()) < a.total < sum(a.missed.values())


def test_what_the_baseline_has_already_earns_nothing():
    a = attribute("nitro", "compute", baseline="qemu-tuned")
    assert not {"huge_pages", "pinning", "posted_interrupts"} & set(a.remedies)


def test_a_front_end_that_stays_belongs_to_its_card_and_a_software_switch_to_none():
    assert "network_card" in attribute("qingtian", "compute").remedies
    google = attribute("google", "compute").remedies
    assert ("network_card" in google, "particular" in google) == (False, True)


@pytest.mark.parametrize(("end", "start"), [("nitro", "qemu-tuned"), ("qemu-tuned", "nitro")])
def test_a_block_engine_that_nobody_asks_earns_nothing(end, start):
    a = attribute(end, "storage", baseline=start)
    assert a.total == pytest.approx(overhead(start, "storage").loss - overhead(end, "storage").loss)
    with_disk = a.with_only("storage_card")
    assert with_disk.slow["storage_wait"] == pytest.approx(overhead(end, "storage").slow["storage_wait"], rel=0.25)


def test_pinning_may_earn_less_than_nothing():
    assert attribute("nitro", "storage").earned["pinning"] < 0


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_host_against_itself_has_nothing_to_attribute(workload):
    a = attribute(Host(), workload)
    assert (a.remedies, a.total) == ((), 0.0)
    assert a.sentence() in str(a)


@pytest.mark.parametrize("order", [("huge_pages",), ("huge_pages", "huge_pages"), ("magic",)])
def test_an_order_names_each_remedy_once(order):
    with pytest.raises(ParameterError, match=r"order must name each|there is no remedy"):
        attribute("nitro", "compute").waterfall(*order)
