"""From samples to a quantity: how many are taken, what they become, and how a failure becomes a reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter_ns as now

import numpy as np

from virtlab.core.parameter import ParameterError
from virtlab.core.words import say, words
from virtlab.machine.measured import Quantity

_LEAST = 5  # samples, however slow the computer is


class CannotMeasure(Exception):
    """Why a quantity cannot be measured here: one sentence for the reader."""


def check_seconds(seconds: float) -> None:
    """Raises ParameterError for a time in which nothing can be said, or for which nobody waits."""
    if not 0.05 <= seconds <= 10:
        raise ParameterError(say("machine.seconds", given=repr(seconds)))


def until(seconds: float) -> Iterator[int]:
    """Counts samples until ``seconds`` are over, and at least five of them."""
    end, n = now() + int(seconds * 1e9), 0
    while n < _LEAST or now() < end:
        yield n
        n += 1


def quantity(key: str, samples: Sequence[float]) -> Quantity:
    """Median, 10th and 90th percentile. Raises CannotMeasure when the median is not above zero."""
    found = spread(key, samples)
    if not found.value > 0:
        raise CannotMeasure(words("machine.why.noise"))
    return replace(found, low=max(found.low, 0.0))


def spread(key: str, samples: Sequence[float]) -> Quantity:
    """The same of a share, which unlike a cost may be nothing."""
    low, value, high = (float(p) for p in np.percentile(samples, (10, 50, 90)))
    return Quantity(key, value, low, high, len(samples))


def reason(error: Exception) -> str:
    """The sentence that says why a quantity is missing."""
    if isinstance(error, CannotMeasure):
        return str(error)
    return say("machine.why.failed", error=f"{type(error).__name__}: {error}")
