"""A rate limiter as monitors have it: two token buckets, a burst that is there once, and a pause when one is empty.

The buckets are Firecracker's, and so Cloud Hypervisor's: tokens come back steadily, up to the bucket's size, and who
finds too few waits for a timer of 100 ms. So a small bucket gives far less than its rate. Left out: that a request that
is larger than the bucket is let through and paid for by a longer pause (here it is an error), and the answers' time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.offload.throttle_kernel import throttle_kernel

_MOST = 200_000  # requests of a run
_PAUSES = 50  # pauses of a run, at least
_CYCLES = 2_000  # pauses that the rate in the long run is taken over


class ThrottleOptions(Parameters):
    """A bucket of requests, and one of bytes unless `bytes_size` is 0; a source that always has a request."""

    ops_size: int = parameter(FACTS["throttle.size"], ge=1, le=1_000_000, log=True)
    refill_ms: float = parameter(FACTS["throttle.refill"], ge=1, le=60_000, log=True)
    cool_down_ms: float = parameter(FACTS["throttle.cooldown"], ge=0, le=10_000)
    one_time_burst: int = parameter(FACTS["throttle.burst"], ge=0, le=1_000_000)
    bytes_size: int = parameter(FACTS["throttle.bytes"], ge=0, le=2**34)
    request_bytes: int = parameter(FACTS["throttle.request"], ge=512, le=2**20, log=True)
    device_per_s: float = parameter(FACTS["throttle.device"], ge=1, le=10_000_000, log=True)

    @model_validator(mode="after")
    def _fits(self) -> ThrottleOptions:
        if 0 < self.bytes_size < self.request_bytes:
            raise ValueError(say("throttle.error.small", size=self.bytes_size, request=self.request_bytes))
        return self

    @property
    def set_per_s(self) -> float:
        """What was set: the buckets' refill, in requests each second."""
        ops = self.ops_size / self.refill_ms
        return 1000 * min(ops, self.bytes_size / self.request_bytes / self.refill_ms if self.bytes_size else math.inf)

    @property
    def size(self) -> float:
        """Requests that the tighter bucket holds."""
        return min(self.ops_size, self.bytes_size // self.request_bytes if self.bytes_size else math.inf)


@dataclass(frozen=True, repr=False)
class Throttle(Shown):
    """What a rate limiter lets through. `times_ns`: when each request of a run went."""

    options: ThrottleOptions
    times_ns: NDArray[np.float64]
    served_per_s: float

    def __float__(self) -> float:
        return self.served_per_s

    @property
    def least_per_s(self) -> float:
        """As Cloud Hypervisor's documentation warns: as low as the bucket's size in a refill and a pause."""
        o = self.options
        return min(o.device_per_s, 1000 * o.size / (o.refill_ms + o.cool_down_ms))

    def law(self) -> tuple[int, float]:
        """Requests let through, and the tokens that there were for them: never more (guard 44)."""
        o, n = self.options, len(self.times_ns)
        span_ns = float(self.times_ns[-1] - self.times_ns[0]) if n else 0.0
        tokens = o.size + o.one_time_burst + o.set_per_s * span_ns / 1e9
        return n, tokens

    def sentence(self) -> str:
        o = self.options
        return say(
            "throttle.sentence", size=number(o.size), refill=show(o.refill_ms, "ms"), pause=show(o.cool_down_ms, "ms"),
            wanted=number(o.set_per_s), least=number(self.least_per_s), served=number(self.served_per_s),
        )  # fmt: skip

    def table(self) -> Table:
        o = self.options
        rows = [(words(f"throttle.row.{key}"), number(value)) for key, value in (
            ("set", o.set_per_s), ("least", self.least_per_s), ("served", self.served_per_s))]  # fmt: skip
        return Table.of(words("throttle.header"), rows, self.sentence(), numeric=(1,))


def throttle(options: ThrottleOptions | None = None, /, **changes: Any) -> Throttle:
    """A rate limiter and somebody who always has a request. Options as in :class:`ThrottleOptions`, or by name.

    Goldens: 10 requests in 10 ms with a pause of 100 ms are 1,000 a second as set, 90.9 at the least and 100 as served
    by a fast device; 1,000 in 1,000 ms are 1,000, 909 and 1,000. `served_per_s` is that of the long run.
    Source: Cloud Hypervisor, docs/io_throttling.md. Raises ParameterError.
    """
    o = ThrottleOptions.given(options, changes)
    rate = 1 / (o.refill_ms * 1e6)
    bytes_ = [float(o.bytes_size), o.bytes_size * rate, float(o.one_time_burst * o.request_bytes),
              float(o.bytes_size), float(o.request_bytes)]  # fmt: skip
    buckets = np.array([float(o.ops_size), o.ops_size * rate, float(o.one_time_burst), float(o.ops_size), 1.0, *bytes_])
    device_ns = 1e9 / o.device_per_s
    # Long enough for the first burst to be spent, and for many pauses.
    first = (o.size + o.one_time_burst) / max(o.device_per_s - o.set_per_s, 0.01 * o.device_per_s) * 1e9
    until = first + _PAUSES * 1e6 * max(o.cool_down_ms, o.refill_ms / 10, device_ns / 1e6)
    times = np.zeros(_MOST)
    served = throttle_kernel(buckets, device_ns, o.cool_down_ms * 1e6, until, times)
    return Throttle(o, times[:served], _steady(o))


def _steady(o: ThrottleOptions) -> float:
    """The rate in the long run, from pause to pause: what a pause brings back beyond the bucket's size is lost."""
    rate, device, pause = o.set_per_s / 1e9, o.device_per_s / 1e9, o.cool_down_ms * 1e6
    if device <= rate:
        return o.device_per_s
    if pause * rate < 1e-6:
        return o.set_per_s
    size = o.set_per_s * o.refill_ms / 1000
    tokens, served, time = 0.0, 0, 0.0
    for _ in range(_CYCLES):
        pauses = max(1, math.ceil((1 - tokens) / (rate * pause) - 1e-9))
        tokens = min(size, tokens + pauses * rate * pause)
        # Each request takes a token, and some come back before the next one.
        n = math.floor((tokens - 1 + 1e-9) / (1 - rate / device)) + 1
        tokens -= n * (1 - rate / device)
        served, time = served + n, time + n / device + pauses * pause
    return 1e9 * served / time
