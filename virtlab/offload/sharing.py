"""Shares of one resource: weighted max-min (water filling) with guarantees and limits, and how even shares are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from virtlab.core.parameter import ParameterError
from virtlab.core.units import number
from virtlab.core.words import say

Floats = NDArray[np.float64]


def max_min(
    demands: Sequence[float],
    weights: Sequence[float] | None = None,
    capacity: float = 100.0,
    *,
    minima: Sequence[float] | None = None,
    maxima: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """The weighted max-min fair shares of `capacity`, one for each demand, in the unit of the capacity.

    Water rises in all vessels at once, in each as fast as its weight; a vessel is full at its demand or its maximum,
    and starts filled to its minimum (or its demand, if that is less). Nobody can then get more without somebody who has
    less for his weight getting less. All sequences have the length of `demands`; without weights they are equal,
    without maxima there is no limit. Golden: demands (10, 100, 100), weights (1, 2, 1), capacity 100 give (10, 60, 30).
    Source: Bertsekas and Gallager, Data Networks, 6.5.2 (max-min fairness). Raises ParameterError: a negative demand, a
    weight that is not positive, a minimum above its maximum, or minima that add up to more than the capacity.
    """
    n = len(demands)
    wish = _numbers("demands", demands, n)
    weight = _numbers("weights", weights if weights is not None else [1.0] * n, n)
    least = _numbers("minima", minima if minima is not None else [0.0] * n, n)
    most = _numbers("maxima", maxima if maxima is not None else [math.inf] * n, n, infinite=True)
    _check(weight, least, most, capacity)
    low, high = np.minimum(least, wish), np.minimum(wish, most)
    if high.sum() <= capacity:
        return tuple(high.tolist())
    return tuple(np.clip(weight * _level(low, high, weight, capacity), low, high).tolist())


def _level(low: Floats, high: Floats, weight: Floats, capacity: float) -> float:
    """The height of the water at which all vessels together hold the capacity."""
    # Between two heights at which a vessel starts or stops to fill, what all hold is a straight line.
    heights = np.unique(np.concatenate((low / weight, high / weight)))
    held = np.array([np.clip(weight * h, low, high).sum() for h in heights])
    k = int(np.searchsorted(held, capacity, side="right")) - 1
    if k < 0:
        return float(heights[0])  # the minima take it all
    rising = (low / weight <= heights[k]) & (high / weight > heights[k])
    return float(heights[k] + (capacity - held[k]) / weight[rising].sum()) if rising.any() else float(heights[k])


def jain(shares: Sequence[float]) -> float:
    """Jain's index of fairness: 1 if all are equal, 1/n if one of n has everything. 1 where nobody has anything.

    Source: Jain, Chiu and Hawe (DEC-TR-301, 1984): (Σx)² / (n Σx²). Give shares divided by what would be fair.
    """
    x = _numbers("shares", shares, len(shares))
    squares = float((x * x).sum())
    return float(x.sum()) ** 2 / (len(x) * squares) if squares else 1.0


def _numbers(name: str, values: Sequence[float], n: int, infinite: bool = False) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    if x.shape != (n,) or not n:
        raise ParameterError(say("sharing.error.length", name=name, given=x.size, wanted=n))
    if np.isnan(x).any() or (x < 0).any() or (not infinite and np.isinf(x).any()):
        raise ParameterError(say("sharing.error.negative", name=name, given=list(values)))
    return x


def _check(weight: Floats, least: Floats, most: Floats, capacity: float) -> None:
    if not (math.isfinite(capacity) and capacity > 0):
        raise ParameterError(say("sharing.error.capacity", given=capacity))
    if (weight <= 0).any():
        raise ParameterError(say("sharing.error.weight", given=number(float(weight.min()))))
    if (least > most).any():
        i = int(np.argmax(least > most))
        raise ParameterError(say("sharing.error.crossed", i=i, least=number(least[i]), most=number(most[i])))
    if least.sum() > capacity * (1 + 1e-12):
        raise ParameterError(say("sharing.error.promised", total=number(float(least.sum())), capacity=number(capacity)))
