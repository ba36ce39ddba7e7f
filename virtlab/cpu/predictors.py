"""Predictors of a series: each sees the past alone, up to ``lead`` steps before the moment that it speaks of.

Each takes the series as float64[n] and gives float64[n] of forecasts: the one at index t was made at t - lead, from the
values up to and with that one. Where there is not enough past it is NaN.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from virtlab.cpu.demand import DAY, Floats

#: The weights that :func:`holt_winters` chooses among: level, trend, season.
WEIGHTS = tuple(itertools.product((0.05, 0.2, 0.4, 0.8), (0.0, 0.01, 0.05), (0.05, 0.2, 0.5)))


def persistence(values: Floats, lead: int) -> Floats:
    """The last value that is known: what needs no predictor at all."""
    return _later(values, lead)


def ewma(values: Floats, lead: int, alpha: float) -> Floats:
    """The exponentially weighted mean: ``alpha`` of the newest value and the rest of the mean before it."""
    smooth, level = np.empty(len(values)), float(values[0])
    for t, value in enumerate(values.tolist()):
        level += alpha * (value - level)
        smooth[t] = level
    return _later(smooth, lead)


def window_quantile(values: Floats, lead: int, width: int, share: float) -> Floats:
    """The least of the last ``width`` values that is not below ``share`` of them."""
    rank = order(width, share)
    found = np.full(len(values), np.nan)
    found[width - 1 :] = np.partition(sliding_window_view(values, width), rank, axis=1)[:, rank]
    return _later(found, lead)


def seasonal_naive(values: Floats, lead: int, period: int = DAY) -> Floats:
    """The value of the same hour on the last day of which it is known."""
    return _later(values, -(-lead // period) * period)


def holt_winters(values: Floats, lead: int, learn: int, period: int = DAY) -> Floats:
    """Level, trend and season, each smoothed (Holt and Winters, additive).

    Of the ``WEIGHTS`` those are taken whose forecasts had the least squared error among the first ``learn`` values.
    The first two periods set level, trend and season. Needs ``learn`` of more than two periods and ``lead``.
    """
    smoothed = smooth_holt_winters(values, lead, np.array(WEIGHTS), period)
    errors = smoothed[:learn] - values[:learn, None]
    return smoothed[:, int(np.argmin(np.nansum(errors * errors, axis=0)))]


def smooth_holt_winters(values: Floats, lead: int, weights: Floats, period: int = DAY) -> Floats:
    """The forecasts of all ``weights`` [k, 3] side by side: float64[n, k].

    In the form that corrects by the error of one step, which is the same and takes half the time.
    """
    to_level = weights[:, 0]
    to_trend, to_season = to_level * weights[:, 1], (1 - to_level) * weights[:, 2]
    first, second = values[:period], values[period : 2 * period]
    trend = np.full(len(weights), (second.mean() - first.mean()) / period)
    # Means stand for the middle of their period; the level is that of the end of the first.
    level = first.mean() + trend * (period - 1) / 2
    slope = np.arange(period) - (period - 1) / 2
    season = (first - first.mean())[:, None] - slope[:, None] * trend
    made = np.full((len(values) + lead, len(weights)), np.nan)
    for t in range(period, len(values)):
        now = t % period
        level = level + trend
        error = values[t] - level - season[now]
        level += to_level * error
        trend = trend + to_trend * error
        season[now] += to_season * error
        if t >= 2 * period - 1:
            made[t + lead] = level + lead * trend + season[(t + lead) % period]
    return made[: len(values)]


def order(count: int, share: float) -> int:
    """Which of ``count`` sorted values is the least that ``share`` of them do not exceed, counted from 0."""
    return min(count - 1, max(0, math.ceil(share * count - 1e-9) - 1))


def _later(known: Floats, steps: int) -> Floats:
    made = np.full(len(known), np.nan)
    made[steps:] = known[: len(known) - steps]
    return made
