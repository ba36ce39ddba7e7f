"""Demand for vCPUs hour by hour: made series of known structure, and a measured one.

All have ``HOURS`` values, one an hour, not below 0. The made ones are toys of mean 100 vCPUs whose structure is told in
``words``, so that it is known what a predictor could know. ``azure`` is measured: the busy vCPUs of Azure's own VMs in
one region, 30 days of 2019, summed over all VMs; the sum of many VMs is smoother than any one of them.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.evidence.series import series

Demand = Literal["noise", "walk", "season", "bursts", "step", "trend", "azure"]
Floats = NDArray[np.float64]

DAY = 24
HOURS = 30 * DAY
#: The mean of the made series, in vCPUs.
MEAN = 100.0
#: The hour at which ``step`` rises for good.
STEP_AT = 20 * DAY

_SWING = 0.4  # of a season, in shares of the mean
_BURST, _BURSTS_PER_HOUR, _BURST_ENDS = 0.8, 1 / 36, 1 / 3  # height, chance to begin, chance to end in an hour


@functools.lru_cache(maxsize=32)
def demand_series(kind: Demand, noise_share: float = 0.1, seed: int = 1) -> Floats:
    """The series ``kind`` as float64[HOURS], in vCPUs, read-only. Made ones depend on ``noise_share`` and ``seed``.

    ``walk`` goes up or down by a quarter of the noise each hour, whatever it did before, and turns at 0.
    """
    if kind == "azure":
        made = np.array(series("azure").values)
    else:
        rng = np.random.default_rng(seed)
        shape, noise = _shape(kind, rng), MEAN * noise_share * rng.standard_normal(HOURS)
        made = np.abs(MEAN + np.cumsum(noise / 4)) if kind == "walk" else np.maximum(0.0, MEAN * shape + noise)
    made.setflags(write=False)
    return made


def _shape(kind: Demand, rng: np.random.Generator) -> Floats:
    """What there is beside noise, in shares of the mean."""
    hour = np.arange(HOURS)
    if kind == "season":
        return 1 + _SWING * np.sin(2 * np.pi * (hour - 8) / DAY)  # highest in the early afternoon
    if kind == "bursts":
        on, high = np.empty(HOURS, dtype=bool), False
        for h, chance in enumerate(rng.random(HOURS)):
            high = chance >= _BURST_ENDS if high else chance < _BURSTS_PER_HOUR
            on[h] = high
        return 1 + _BURST * on
    if kind == "step":
        return np.where(hour < STEP_AT, 0.8, 1.4)
    if kind == "trend":
        return 0.6 + 0.8 * hour / (HOURS - 1)
    return np.ones(HOURS)
