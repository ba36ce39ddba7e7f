"""Requests of a guest and background work on one CPU: who waits how long, in three orders of service, exactly.

Requests arrive at random (Poisson) and take an exponential time. So does a job of the background, but a slice of the
scheduler ends it early, and its rest waits for another turn. Such pieces are independent of each other, since an
exponential time has no memory. The orders:

- ``slice``: threads of equal weight. A vCPU that has slept goes first when the piece that runs is done. Its wait is
  that of M/M/1 alone and, with probability background / (1 - load), the rest of a piece (Fuhrmann and Cooper 1985).
- ``fifo``: one queue, each job to its end: the formula of Pollaczek and Khinchine. No host runs long jobs so.
- ``yield``: the background gives way at once (SCHED_IDLE): preemptive-resume priority; the guest waits for itself.

Left out, and where that errs. Too short: switches, cold caches, parts of the kernel that nothing preempts. Too long:
a scheduler lets a vCPU that was asleep preempt more often than at the end of a slice, and looks for an idle CPU.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.offload.waiting import mmc_wait_ns

Floats = NDArray[np.float64]
Order = Literal["slice", "fifo", "yield"]

_HALVINGS = 28  # of an interval that is at most four times the wait


def piece_ns(job_ns: Any, slice_ns: float) -> Floats:
    """Mean time that a job of mean ``job_ns`` runs at once under slices: E[min(job, slice)]. Floats of any shape."""
    job = np.asarray(job_ns, dtype=np.float64)
    return -job * np.expm1(-slice_ns / job)


def piece_square_ns(job_ns: Any, slice_ns: float) -> Floats:
    """E[min(job, slice)^2], in ns^2."""
    job = np.asarray(job_ns, dtype=np.float64)
    a = slice_ns / job
    near = a * a / 2 * (1 - 2 * a / 3) if math.isfinite(slice_ns) else a
    far = 1 - (1 + a) * np.exp(-a) if math.isfinite(slice_ns) else np.ones_like(a)
    return 2 * job * job * np.where(a < 1e-3, near, far)


def rest_ns(job_ns: Any, slice_ns: float) -> Floats:
    """The mean rest of the piece that an arrival finds running: E[piece^2] / (2 E[piece])."""
    return piece_square_ns(job_ns, slice_ns) / (2 * piece_ns(job_ns, slice_ns))


def pooled_wait_ns(servers: int, cores: Sequence[float], job_ns: Sequence[float], slice_ns: float) -> float:
    """The mean wait of a piece before one of ``servers`` cores that serve all sources in one queue: M/G/c.

    ``cores``: the load of each source in cores; ``job_ns``: its mean job. Allen and Cunneen: M/M/c times
    (1 + cv^2) / 2, exact for one core, and for exponential pieces of one size. Infinite from full on.
    """
    load, piece = np.asarray(cores, dtype=np.float64), piece_ns(job_ns, slice_ns)
    rate = float(np.sum(load / piece))
    if not rate or np.sum(load) >= servers:
        return math.inf if rate else 0.0
    mean = float(np.sum(load)) / rate
    square = float(np.sum(load / piece * piece_square_ns(job_ns, slice_ns))) / rate
    return mmc_wait_ns(servers, rate * 1e9, mean) * square / (mean * mean) / 2


@dataclass(frozen=True)
class Beside:
    """One CPU: a guest that is busy for ``load`` of the time with requests of ``service_ns``, and background beside it.

    ``shares`` float[k]: the share of the CPU that each source takes; ``jobs_ns`` float[k]: its mean job. Many settings
    at once: ``shares`` float[n, k]; what comes out is then float64[n].
    """

    load: float
    service_ns: float
    shares: Floats
    jobs_ns: Floats
    slice_ns: float
    order: Order

    @property
    def background(self) -> Floats:
        """The share of the CPU that all sources take together."""
        return np.asarray(np.sum(self.shares, axis=-1))

    @property
    def full(self) -> NDArray[np.bool_]:
        """Whether there is more work than the CPU can do, or just as much."""
        return np.asarray(self.load + self.background > 1 - 1e-9)

    @property
    def cut_ns(self) -> float:
        """The longest that a job runs at once when somebody waits for it."""
        return self.slice_ns if self.order == "slice" else math.inf

    @property
    def rest_ns(self) -> Floats:
        """What an arrival finds before it, on average: the rest of a request or of a piece."""
        return self.load * self.service_ns + np.sum(self.shares * rest_ns(self.jobs_ns, self.cut_ns), axis=-1)

    @property
    def _met(self) -> Floats:
        """The probability that a request which finds no other one finds a piece of each source: all of the time that
        the guest leaves, at most."""
        met = self.shares / (1 - self.load)
        return met / np.maximum(1.0, np.sum(met, axis=-1, keepdims=True))

    def mean_wait_ns(self) -> Floats:
        """The mean wait of a request. Infinite where the CPU is full and nobody gives way."""
        alone = self.load * self.service_ns / (1 - self.load) if self.load < 1 else math.inf
        if self.load >= 1 or self.order == "yield":
            return np.full(self.background.shape, alone)
        if self.order == "slice":
            return alone + np.sum(self._met * rest_ns(self.jobs_ns, self.slice_ns), axis=-1)
        return self._over(1.0)

    def background_wait_ns(self) -> Floats:
        """How much longer the background's work takes than its own time, on average. Infinite where the CPU is full."""
        if self.order == "fifo":
            return self._over(1.0)
        wait = self._over(max(1 - self.load, 0.0))
        if self.order == "slice" or self.load >= 1:
            return wait
        busy = np.maximum(self.background, 1e-300)
        return wait + np.sum(self.shares * self.jobs_ns, axis=-1) / busy * self.load / (1 - self.load)

    def _over(self, left: float) -> Floats:
        """What is found running, over ``left`` of the idle share: infinite where there is none."""
        idle = left * (1 - self.load - self.background)
        return np.where(self.full, math.inf, self.rest_ns / np.where(self.full, 1.0, idle))

    def law(self) -> tuple[Floats, Floats]:
        """Kleinrock's conservation law (1965): who goes first only shifts the waits. Returns both sides in ns:
        sum of share x wait, and the rest found, against the rest found / idle share. Where the CPU is not full."""
        waits = self.load * self.mean_wait_ns() + self.background * self.background_wait_ns()
        return waits + self.rest_ns, self._over(1.0)

    def tail(self, wait_ns: Any) -> Floats:
        """The probability that a request waits longer than ``wait_ns`` float[n] >= 0."""
        t = np.asarray(wait_ns, dtype=np.float64)
        if self.load >= 1:
            return np.ones_like(t)
        return self._tail_of_one_queue(t) if self.order == "fifo" else self._tail_with_priority(t)

    def _tail_with_priority(self, t: Floats) -> Floats:
        """Own requests, and perhaps the rest X of a piece: P(own > t), and P(own + X > t), whose integral is closed."""
        theta = (1 - self.load) / self.service_ns
        own = self.load * np.exp(-theta * t)
        if self.order == "yield":
            return np.broadcast_to(own, np.broadcast_shapes(t.shape, self.background.shape)).copy()
        met, job, cut = self._met, self.jobs_ns, self.slice_ns
        u = np.minimum(t[..., np.newaxis], cut)
        whole = -np.expm1(-cut / job)
        longer = np.exp(-u / job) * -np.expm1(-(cut - u) / job) / whole  # P(X > t)
        k = theta - 1 / job
        # e^(-theta t) times the integral of e^(k x) from 0 to u, in a form that does not overflow
        late = np.exp(-theta * t)[..., np.newaxis]
        flat = np.abs(k * u) < 1e-6
        steep = (np.exp(-theta * (t[..., np.newaxis] - u) - u / job) - late) / np.where(flat, 1.0, k)
        both = longer + self.load / (job * whole) * np.where(flat, late * u, steep)
        return (1 - np.sum(met, axis=-1)) * own + np.sum(met * both, axis=-1)

    def _tail_of_one_queue(self, t: Floats) -> Floats:
        weights, decay = self._one_queue
        return np.where(self.full, 1.0, np.sum(weights * np.exp(decay * t[..., np.newaxis]), axis=-1))

    @functools.cached_property
    def _one_queue(self) -> tuple[Floats, Floats]:
        """M/G/1 with a mixture of exponentials: the wait is a sum of a geometric number of rests, of phase type. Its
        generator is symmetric in other units, so that the tail is a sum of falling exponentials."""
        shares = np.concatenate([np.full((*self.shares.shape[:-1], 1), self.load), self.shares], axis=-1)
        shares = np.where(self.full[..., np.newaxis], 0.0, shares)
        rates = 1 / np.concatenate([[self.service_ns], self.jobs_ns])
        v = np.sqrt(shares * rates)
        decay, vectors = np.linalg.eigh(v[..., :, np.newaxis] * v[..., np.newaxis, :] - np.diag(rates))
        slowest = np.where(self.full, 1.0, 1 - self.load - self.background) * rates.min()
        decay = np.minimum(decay, -slowest[..., np.newaxis])  # a bound that holds where rounding is larger
        weights = np.einsum("...i,...ij->...j", v, vectors) * np.einsum("...i,...ij->...j", v / rates, vectors)
        return weights, decay

    def wait_quantile_ns(self, probability: float) -> Floats:
        """The wait that the share ``probability`` of the requests does not exceed; 0 where so many do not wait."""
        beyond = 1 - probability
        shape = self.background.shape
        if self.load < 1 and not np.any(self.shares):  # M/M/1
            return np.full(shape, max(0.0, math.log(self.load / beyond)) * self.service_ns / (1 - self.load))
        endless = self.full if self.order == "fifo" else np.full(shape, self.load >= 1)
        low, high = np.zeros(shape), np.full(shape, self.service_ns)
        short = (self.tail(low) <= beyond) | endless
        while np.any(more := (self.tail(high) > beyond) & ~short):
            high = np.where(more, 4 * high, high)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            above = self.tail(middle) > beyond
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return np.where(endless, math.inf, np.where(short, 0.0, high))
