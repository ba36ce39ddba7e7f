"""Looking ahead: no forecast sees the future, the newsvendor's quantile, and what is said against persistence."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.cpu import demand_series, forecast, newsvendor_share, predictors
from virtlab.cpu.demand import DAY, HOURS, MEAN, STEP_AT
from virtlab.cpu.forecast import ERRORS, LEARN, ForecastOptions, reserve, skill_interval
from virtlab.evidence import FACTS
from virtlab.evidence.series import series

KINDS = ("noise", "walk", "season", "bursts", "step", "trend", "azure")
MADE = KINDS[:-1]
MAKE = {
    "persistence": predictors.persistence,
    "ewma": lambda values, lead: predictors.ewma(values, lead, 0.3),
    "window": lambda values, lead: predictors.window_quantile(values, lead, 24, 0.9),
    "seasonal": predictors.seasonal_naive,
    "holt-winters": lambda values, lead: predictors.holt_winters(values, lead, LEARN - lead),
}
RANDOM = np.random.default_rng(7)


# ------------------------------------------------- the past alone

@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("lead", [1, 5, 24, 48])
def test_a_changed_future_changes_no_forecast(name, lead):
    """What is known at hour t makes the levels up to t + lead."""
    values = demand_series("season").copy()
    now = LEARN + 30
    changed = values.copy()
    changed[now + 1 :] = 1000 * RANDOM.random(len(values) - now - 1)
    for make in (lambda v: MAKE[name](v, lead), lambda v: reserve(v, MAKE[name](v, lead), lead, 0.9)):
        before, after = make(values), make(changed)
        assert np.array_equal(before[: now + lead + 1], after[: now + lead + 1], equal_nan=True)
        assert not np.array_equal(before[now + lead + 1 :], after[now + lead + 1 :], equal_nan=True)


@given(st.sampled_from(list(MAKE)), st.integers(1, 48), st.integers(LEARN, HOURS - 60))
@settings(max_examples=40)
def test_the_newest_value_that_a_forecast_sees_is_lead_hours_old(name, lead, now):
    values = demand_series("noise").copy()
    changed = values.copy()
    changed[now] += 500
    moved = np.flatnonzero(MAKE[name](values, lead) != MAKE[name](changed, lead))
    moved = moved[~np.isnan(MAKE[name](values, lead)[moved])]
    assert not len(moved) or moved[0] >= now + lead


@pytest.mark.parametrize("name", MAKE)
def test_every_predictor_speaks_of_all_held_out_hours(name):
    for lead in (1, 48):
        assert np.isfinite(reserve(demand_series("azure"), MAKE[name](demand_series("azure"), lead), lead, 0.9)[
            LEARN:]).all()  # fmt: skip


# ------------------------------------------------- predictors

def test_persistence_says_the_last_known_value():
    assert predictors.persistence(np.array([1.0, 2, 3, 4]), 2)[2:].tolist() == [1, 2]


def test_an_ewma_is_the_sum_of_falling_weights():
    values, alpha = RANDOM.random(30), 0.3
    weights = [(1 - alpha) ** 29] + [alpha * (1 - alpha) ** (29 - k) for k in range(1, 30)]
    assert predictors.ewma(np.append(values, 0), 1, alpha)[-1] == pytest.approx(np.dot(weights, values))


@given(st.integers(1, 48))
def test_an_ewma_that_forgets_all_is_persistence(lead):
    values = demand_series("bursts")
    assert np.array_equal(predictors.ewma(values, lead, 1.0), predictors.persistence(values, lead), equal_nan=True)


@given(st.lists(st.floats(0, 100), min_size=5, max_size=40), st.integers(1, 5), st.floats(0.5, 0.999))
def test_the_quantile_of_a_window_is_its_inverted_distribution(values, width, share):
    found = predictors.window_quantile(np.array(values), 1, width, share)
    for t in range(width, len(values)):
        assert found[t] == np.quantile(values[t - width : t], share, method="inverted_cdf")


@pytest.mark.parametrize(("lead", "back"), [(1, 24), (24, 24), (25, 48), (48, 48)])
def test_the_seasonal_one_takes_the_same_hour_of_the_last_known_day(lead, back):
    values = np.arange(100.0)
    assert predictors.seasonal_naive(values, lead)[99] == 99 - back


def textbook_holt_winters(values, lead, alpha, beta, gamma, period):
    """Level, trend and season by their own equations (Winters 1960, additive)."""
    first, second = values[:period], values[period : 2 * period]
    trend = (second.mean() - first.mean()) / period
    level = first.mean() + trend * (period - 1) / 2
    season = [first[i] - first.mean() - trend * (i - (period - 1) / 2) for i in range(period)]
    made = [math.nan] * (len(values) + lead)
    for t in range(period, len(values)):
        before = level
        level = alpha * (values[t] - season[t - period]) + (1 - alpha) * (level + trend)
        trend = beta * (level - before) + (1 - beta) * trend
        season.append(gamma * (values[t] - level) + (1 - gamma) * season[t - period])
        if t >= 2 * period - 1:
            made[t + lead] = level + lead * trend + season[t + lead - period * -(-lead // period)]
    return np.array(made[: len(values)])


@pytest.mark.parametrize("weights", [(0.3, 0.1, 0.2), (1.0, 0.0, 0.0), (0.05, 0.05, 0.9)])
@pytest.mark.parametrize("lead", [1, 7, 30])
def test_holt_winters_is_that_of_the_textbook(weights, lead):
    values = demand_series("season")[:150]
    found = predictors.smooth_holt_winters(values, lead, np.array([weights]))[:, 0]
    np.testing.assert_allclose(found, textbook_holt_winters(values, lead, *weights, DAY), rtol=1e-9)


@pytest.mark.parametrize("lead", [1, 6, 24, 47])
def test_holt_winters_is_exact_where_there_is_a_line_and_a_day_and_no_noise(lead):
    hour = np.arange(HOURS)
    values = 50 + 0.1 * hour + 20 * np.sin(2 * np.pi * hour / DAY)
    values += 0.1 * ((hour % DAY) - (DAY - 1) / 2)  # a season of any shape
    found = predictors.holt_winters(values, lead, LEARN)[2 * DAY + lead :]
    np.testing.assert_allclose(found, values[2 * DAY + lead :], rtol=1e-9)


# ------------------------------------------------- the newsvendor

def test_nine_to_one_asks_for_the_quantile_point_nine():
    assert newsvendor_share(9) == 0.9 == ForecastOptions().quantile == FACTS["forecast.window_quantile"].value


def cost_of(level, sample, under):
    return sum(under * max(0, d - level) + max(0, level - d) for d in sample)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=30), st.floats(1, 50), st.floats(0, 1000))
def test_the_newsvendors_quantile_of_a_sample_costs_least(sample, under, other):
    best = sorted(sample)[predictors.order(len(sample), newsvendor_share(under))]
    assert cost_of(best, sample, under) <= cost_of(other, sample, under) * (1 + 1e-9) + 1e-9


@given(st.floats(1, 50), st.floats(-3, 3))
def test_the_quantile_is_the_best_level_of_a_normal_demand(under, other):
    """Cost at level z of N(0, 1): under (phi - z (1 - Phi)) + phi + z Phi; least, (under + 1) phi(z*), at Phi = q*."""
    n = NormalDist()
    best = n.inv_cdf(newsvendor_share(under))
    cost = lambda z: under * (n.pdf(z) - z * (1 - n.cdf(z))) + n.pdf(z) + z * n.cdf(z)  # noqa: E731
    assert cost(best) == pytest.approx((under + 1) * n.pdf(best))
    assert cost(best) <= cost(other) + 1e-12


@pytest.mark.parametrize("draw", ["normal", "uniform"])
def test_of_independent_demand_a_week_of_it_costs_what_the_closed_form_says(draw):
    """q* of the errors of a window of 168 hours; least cost 10 phi(z) sigma, and 9 width / 20 for a uniform demand."""
    rng = np.random.default_rng(5)
    n = NormalDist()
    made = 100 + 10 * rng.standard_normal(20_000) if draw == "normal" else rng.uniform(50, 150, 20_000)
    least = 10 * n.pdf(n.inv_cdf(0.9)) * 10 if draw == "normal" else 100 * 9 / 20
    found = forecast(demand_vcpus=made, lead_hours=1, window_hours=168, predictor="window").chosen
    assert found.cost_vcpus == pytest.approx(least, rel=0.03)
    assert found.cost_vcpus > least * 0.99
    assert found.violation_share == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("lead", [1, 4, 16])
def test_of_a_random_walk_persistence_costs_what_the_best_forecast_costs(lead):
    """After h steps of sigma the error is N(0, h sigma^2): least cost 10 phi(z) sigma sqrt(h)."""
    n = NormalDist()
    walk = 5_000 + np.cumsum(np.random.default_rng(3).standard_normal(20_000))
    found = forecast(demand_vcpus=walk - min(0, walk.min()), lead_hours=lead).outcomes["persistence"]
    least = 10 * n.pdf(n.inv_cdf(0.9)) * math.sqrt(lead)
    assert 0.97 * least < found.cost_vcpus < 1.1 * least  # more, for its margin comes from ten days of errors


@given(st.integers(1, 48), st.floats(0.5, 0.999))
@settings(max_examples=20)
def test_a_level_is_the_forecast_and_the_quantile_of_the_errors_known_then(lead, share):
    values = demand_series("bursts")
    points = predictors.persistence(values, lead)
    levels = reserve(values, points, lead, share)
    for t in (LEARN, 500, HOURS - 1):
        known = (values - points)[: t - lead + 1]
        known = known[~np.isnan(known)][-ERRORS:]
        assert levels[t] == max(0, points[t] + np.quantile(known, share, method="inverted_cdf"))


# ------------------------------------------------- results

FORECASTS = settings_of(ForecastOptions).map(forecast)


@given(FORECASTS)
@settings(max_examples=60)
def test_laws(found):
    reserved, needed = found.law()
    assert reserved == pytest.approx(needed)
    oracle = found.outcomes["oracle"]
    assert (oracle.cost_vcpus, oracle.violation_share, found.regret_vcpus("oracle")) == (0, 0, 0)
    for name, x in found.outcomes.items():
        assert x.cost_vcpus == pytest.approx(found.options.under_cost * x.short_vcpus + x.headroom_vcpus)
        assert x.cost_vcpus >= oracle.cost_vcpus and found.regret_vcpus(name) >= 0
        assert 0 <= x.violation_share <= 1 and x.skill_low <= x.skill_high
        assert len(found.levels[name]) == HOURS - LEARN and (found.levels[name] >= 0).all()


@given(FORECASTS)
@settings(max_examples=30)
def test_persistence_and_the_oracle_stand_in_every_result(found):
    """Guard 38: a predictor compared with nothing."""
    names = list(found.outcomes)
    assert names[0] == "persistence" and names[-1] == "oracle"
    for text in ("persistence", "oracle"):
        assert text in found.sentence() and text in str(found)
    assert found.outcomes["persistence"].skill == 0


@pytest.mark.parametrize("seed", range(10))
def test_of_a_random_walk_no_predictor_is_better_than_persistence(seed):
    found = forecast(demand="walk", lead_hours=1, demand_seed=seed)
    assert "better" not in {found.outcomes[n].verdict for n in MAKE}
    assert "last value" in found.sentence() and "saves" not in found.sentence()


def test_where_two_predictors_are_equal_the_interval_includes_zero_nearly_always():
    """Of independent noise yesterday's hour is as good as the last: 5 in 100 draws may say otherwise."""
    verdicts = [forecast(demand="noise", lead_hours=6, demand_seed=s).outcomes["seasonal"].verdict for s in range(60)]
    assert verdicts.count("nothing") >= 51


def test_a_season_is_worth_predicting_and_the_more_the_longer_the_lead():
    skills = [forecast(demand="season", lead_hours=lead).chosen for lead in (1, 6, 12)]
    assert all(s.verdict == "better" for s in skills)
    assert skills[0].skill < skills[1].skill < skills[2].skill


@pytest.mark.parametrize(("lead", "verdict", "text"), [
    (1, "nothing", "adds nothing"), (6, "better", "It saves"), (24, "worse", "worse than none")])
def test_of_the_measured_demand_the_lead_decides(lead, verdict, text):
    found = forecast(demand="azure", lead_hours=lead)
    assert found.chosen.verdict == verdict and text in found.sentence()
    assert found.measured and "Measured" in found.sentence()


def test_at_a_lead_of_a_day_the_seasonal_one_is_persistence():
    found = forecast(lead_hours=24)
    assert found.outcomes["seasonal"] == found.outcomes["persistence"]


def test_without_noise_persistence_is_free_and_nothing_is_gained():
    found = forecast(demand="noise", noise_share=0.0)
    assert found.outcomes["persistence"].cost_vcpus == 0 and "costs nothing already" in found.sentence()


def test_a_dearer_shortage_reserves_more():
    shares = [forecast(demand="noise", under_cost=u).chosen for u in (1.0, 9.0, 50.0)]
    assert shares[0].violation_share > shares[1].violation_share > shares[2].violation_share
    assert shares[0].headroom_vcpus < shares[1].headroom_vcpus < shares[2].headroom_vcpus


def test_the_interval_of_equal_costs_is_zero_and_of_half_costs_one_half():
    cost = RANDOM.random(384)
    assert skill_interval(cost, cost, 24) == (0, 0)
    assert skill_interval(cost / 2, cost, 24) == pytest.approx((0.5, 0.5))


def test_hours_that_are_alike_widen_the_interval():
    """One bad day in sixteen: hours drawn one by one would make it look sure."""
    cost, naive = np.ones(384), np.ones(384)
    naive[100:124] = 9.0
    low, high = skill_interval(cost, naive, 24)
    by_hour = skill_interval(cost, naive, 1)
    assert high - low > 2 * (by_hour[1] - by_hour[0])


# ------------------------------------------------- demand

def test_made_series_have_the_structure_that_they_are_named_for():
    quiet = {kind: demand_series(kind, 0.0) for kind in MADE}
    assert set(quiet["noise"]) == {MEAN} == set(quiet["walk"])
    assert np.allclose(quiet["season"][DAY:], quiet["season"][:-DAY]) and np.ptp(quiet["season"]) == pytest.approx(80)
    assert set(quiet["bursts"]) == {MEAN, 1.8 * MEAN}
    assert set(quiet["step"][:STEP_AT]) == {80} and set(quiet["step"][STEP_AT:]) == {140}
    assert np.allclose(np.diff(quiet["trend"]), 80 / (HOURS - 1))


def test_the_noise_is_as_large_as_asked_and_depends_on_the_seed():
    assert demand_series("noise", 0.1).std() == pytest.approx(10, rel=0.1)
    assert (demand_series("noise", 0.1, 1) == demand_series("noise", 0.1, 1)).all()
    assert (demand_series("noise", 0.1, 1) != demand_series("noise", 0.1, 2)).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_no_demand_is_below_0_and_all_are_as_long(kind, noise):
    for seed in range(20):
        values = demand_series(kind, noise, seed)
        assert len(values) == HOURS and (values >= 0).all() and not values.flags.writeable


def test_the_measured_series_is_that_of_the_fact_and_names_its_source():
    fact, measured = FACTS["demand.azure.mean"], series("azure")
    assert np.mean(measured.values) == pytest.approx(fact.value, abs=0.5)
    assert fact.low <= min(measured.values) and max(measured.values) <= fact.high
    assert measured.source == fact.source and "Azure" in measured.source.title and "CC BY" in measured.source.title
    assert tuple(demand_series("azure")) == measured.values


# ------------------------------------------------- own series and errors

def test_a_series_of_ones_own_is_taken_and_said_to_be():
    found = forecast(demand_vcpus=demand_series("season").tolist())
    assert found.own and "your own" in found.sentence()
    assert found.outcomes == forecast(demand="season").outcomes


@pytest.mark.parametrize("values", [[1.0] * 100, [-1.0] * 500, [math.nan] * 500, []])
def test_a_series_that_cannot_be_teaches(values):
    with pytest.raises(ParameterError, match="at least 432 finite numbers"):
        forecast(demand_vcpus=values)


@pytest.mark.parametrize("wrong", [{"lead_hours": 0}, {"under_cost": 0.5}, {"ewma_alpha": 0.0}, {"window_hours": 169}])
def test_out_of_range_teaches(wrong):
    with pytest.raises(ParameterError, match=f"{next(iter(wrong))} must be"):
        forecast(**wrong)
