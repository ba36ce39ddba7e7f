"""Does the card pay, and until when is it the sooner one? Closed forms, golden values, and what must move which way."""

import math

import pytest
from hypothesis import assume, given, settings

from tests.strategies import settings_of
from virtlab import cloud
from virtlab.core.parameter import ParameterError
from virtlab.offload import card

near = pytest.approx
few = settings(max_examples=30)
FLEETS = settings_of(cloud.TcoOptions)
LIMITS = settings_of(cloud.CardLimitOptions)


# ------------------------------------------------- golden values and closed forms

def test_ten_per_cent_down_to_one_frees_millions_of_cores():
    found = cloud.fleet(servers=1_000_000, cores=64, host_tax_before=0.10, host_tax_after=0.01)
    assert found.freed_cores == near(5.76e6) and found.freed_threads == near(11.52e6)


def test_the_break_even_price_by_hand():
    """9 % of 64 cores at 100 USD, for five years, less 50 W at 0.2 USD and a PUE of 1.5."""
    found = cloud.fleet(cores=64, core_year_usd=100, card_life_years=5, card_watts=50, usd_per_kwh=0.2, pue=1.5)
    assert found.gain_usd == near(576) and found.power_usd == near(131.4)
    assert found.break_even_usd == near(5 * (576 - 131.4)) and found.payback_years == near(1200 / 444.6)


def test_two_losses_of_five_per_cent_are_worth_975():
    found = cloud.fleet(host_tax_before=0.05, slowdown_before=0.05, host_tax_after=0, slowdown_after=0)
    assert found.gained == near(0.0975)


def test_a_slowdown_that_no_price_follows_is_nothing_to_the_seller():
    shared = {"host_tax_before": 0.05, "slowdown_before": 0.05, "host_tax_after": 0, "slowdown_after": 0}
    assert cloud.fleet(slowdown_priced=0, **shared).gained == near(0.05)


def test_a_core_that_nobody_rents_saves_its_power_and_no_more():
    """9 % of 64 cores of 5 W at 0.1 USD, without losses of the site."""
    found = cloud.fleet(sold_share=0, core_watts=5, usd_per_kwh=0.1, pue=1)
    assert found.gain_usd == near(0.09 * 64 * 5 * 0.876) and not found.pays and found.freed_cores == near(5.76e6)
    idle = cloud.fleet(sold_share=0, core_watts=0)
    assert idle.gain_usd == 0 and idle.break_even_gain == math.inf


def test_with_interest_the_yearly_payments_are_worth_the_price_today():
    rate = cloud.TcoOptions(interest=0.08, card_life_years=5).rate
    assert math.fsum(rate / 1.08**year for year in range(1, 6)) == near(1)


def test_prices_are_of_cores_and_not_of_threads():
    assert cloud.fleet(threads_per_core=1).net_usd == cloud.fleet(threads_per_core=2).net_usd


# ------------------------------------------------- for every fleet

@few
@given(FLEETS)
def test_gain_is_card_and_power_and_what_is_left(o):
    gain, parts = cloud.fleet(o).law()
    assert gain == near(parts, abs=1e-6)


@few
@given(FLEETS)
def test_at_the_break_even_price_nothing_is_left(o):
    """And beyond what a card may cost, what is left is the rest of the way."""
    limit = cloud.fleet(o).break_even_usd
    price = min(max(limit, 10), 10_000)
    assert cloud.fleet(o, card_usd=price).net_usd == near((limit - price) * o.rate, abs=1e-6)


@few
@given(FLEETS)
def test_the_card_pays_iff_a_core_is_worth_more_than_the_break_even(o):
    found = cloud.fleet(o)
    assume(abs(found.net_usd) > 1e-6)
    assert found.pays == (o.freed_core_usd > found.break_even_core_usd)


@few
@given(FLEETS)
def test_the_card_pays_iff_it_costs_less_than_the_break_even_price(o):
    found = cloud.fleet(o)
    assume(abs(found.net_usd) > 1e-6)
    assert found.pays == (o.card_usd < found.break_even_usd) == (found.gained > found.break_even_gain)


@pytest.mark.parametrize(("name", "other", "way"), [
    ("card_usd", 2400, -1), ("card_watts", 150, -1), ("usd_per_kwh", 0.3, -1), ("pue", 2, -1), ("interest", 0.1, -1),
    ("card_life_years", 6, 1), ("core_year_usd", 300, 1), ("cores", 128, 1), ("sold_share", 0.5, -1),
    ("host_tax_before", 0.2, 1), ("host_tax_after", 0.05, -1), ("slowdown_after", 0.01, -1)])  # fmt: skip
def test_what_is_left_moves_the_right_way(name, other, way):
    assert way * (cloud.fleet(**{name: other}).net_usd - cloud.fleet().net_usd) > 0


@few
@given(FLEETS)
def test_every_fleet_says_itself(o):
    text = str(cloud.fleet(o))
    assert "nan" not in text and "inf" not in text and "∞" not in text


def test_a_card_that_does_not_pay_says_what_is_missing():
    assert "289 USD are missing" in str(cloud.fleet(core_year_usd=20))
    assert "not even as a gift" in str(cloud.fleet(host_tax_after=0.1))


def test_a_wrong_life_is_refused_in_a_sentence_that_teaches():
    with pytest.raises(ParameterError, match="card_life_years must be 1 to 10 years; you gave 0: cards outlive"):
        cloud.fleet(card_life_years=0)


# ------------------------------------------------- the card is finite

def test_the_card_waits_as_the_card_of_the_offload_room_does():
    of_room = card(vfs=1, vf_packets_per_s=450_000, connection_packets=1)
    found = cloud.card_limit(server_connections_per_s=450_000)
    assert found.card_ns == near(of_room.connection_wait_ns + of_room.options.connection_ns)
    assert found.card_share == near(of_room.shares["cores"])


def test_near_its_limit_the_card_waits_without_bound():
    waits = [cloud.card_limit(server_connections_per_s=rate).card_ns for rate in (250e3, 475e3, 499e3, 500e3)]
    assert waits[0] < 1.01 * 32_000 < waits[1] < waits[2] and waits[3] == math.inf


def test_two_slow_cores_and_a_fast_one_cross_where_their_closed_forms_do():
    """Two slow cores against a fast one: s / (1 - (a / 2)^2) and s / (1 - a), with a the load of each in erlangs."""
    found = cloud.card_limit(card_cores=2, connection_ns=30_000, switch_cores=1, host_connection_ns=20_000)
    rate = found.crossing_per_s / 1e9
    both = (30_000 / (1 - (30_000 * rate / 2) ** 2), 20_000 / (1 - 20_000 * rate))  # M/M/2 and M/M/1 in closed form
    assert both[0] == near(both[1])


@few
@given(LIMITS)
def test_the_crossing_says_who_is_sooner(o):
    found = cloud.card_limit(o)
    crossing, at = found.crossing_per_s, o.server_connections_per_s
    assume(found.sooner != "nobody" and abs(found.card_ns - found.host_ns) > 1e-6 * found.host_ns)
    assume(crossing is None or abs(at - crossing) > 1e-9 * at)
    other = {"card": "host", "host": "card"}[found.sooner_at_first]
    assert found.sooner == (found.sooner_at_first if crossing is None or at < crossing else other)


@few
@given(LIMITS)
def test_every_limit_says_itself(o):
    text = str(cloud.card_limit(o))
    assert "nan" not in text and "inf" not in text and "None" not in text
