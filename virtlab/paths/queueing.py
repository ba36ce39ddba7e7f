"""Queues without feedback: exact departures from FIFO servers in series, and the closed forms of single queues.

One server in front of which packets wait obeys D[i] = max(A[i], D[i-1]) + S[i] (Lindley 1952). numba runs that
recursion as it stands; without numba the same departures come from NumPy: with C = cumsum(S) the recursion unrolls to
D[i] = C[i] + max over j <= i of (A[j] - C[j-1]), a running maximum (max-plus algebra). The two agree to about 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from virtlab.core.jit import have_numba, jit

Floats = NDArray[np.float64]


def _example(stages: int) -> tuple[Any, ...]:
    return tuple(np.zeros(1) for _ in range(stages + 2))


# A comparison that is false for NaN too finds bad input on the way: the two loops wait for the maximum, not for it.
@jit(lambda: _example(1))
def fifo_kernel(arrivals: Floats, services: Floats, departures: Floats) -> bool:
    """One FIFO server, all float64[n]; `departures` may be `arrivals`. False (and no result) when an input is bad."""
    last = d = 0.0
    for i in range(len(arrivals)):
        a = arrivals[i]
        s = services[i]
        if not (a >= last and s >= 0.0):
            return False
        last = a
        d = (a if a > d else d) + s
        departures[i] = d
    return True


@jit(lambda: _example(4))
def fifo4_kernel(arrivals: Floats, s0: Floats, s1: Floats, s2: Floats, s3: Floats, departures: Floats) -> bool:
    """Four FIFO servers in series in one pass: the processor overlaps the four chains, and memory is read once."""
    last = d0 = d1 = d2 = d3 = 0.0
    for i in range(len(arrivals)):
        a = arrivals[i]
        w = s0[i]
        x = s1[i]
        y = s2[i]
        z = s3[i]
        if not (a >= last and w >= 0.0 and x >= 0.0 and y >= 0.0 and z >= 0.0):
            return False
        last = a
        d0 = (a if a > d0 else d0) + w
        d1 = (d0 if d0 > d1 else d1) + x
        d2 = (d1 if d1 > d2 else d2) + y
        d3 = (d2 if d2 > d3 else d3) + z
        departures[i] = d3
    return True


def fifo(arrivals: ArrayLike, services: ArrayLike) -> Floats:
    """Departure times of one FIFO server.

    `arrivals` float[n] in ns, sorted, >= 0; `services` float[n] in ns, >= 0. Returns float64[n] in ns; the sojourn of
    packet i is the result less `arrivals[i]`. Raises ValueError on other input.
    """
    a, s = _floats(arrivals), _floats(services)
    if s.ndim != 1:
        raise ValueError(f"services must be a vector of times in ns, one a packet; you gave the shape {s.shape}")
    return _serve(a, s[np.newaxis])


def tandem(arrivals: ArrayLike, services: ArrayLike) -> Floats:
    """Departure times from the last of K FIFO servers in series, with endless queues between them.

    `arrivals` float[n] in ns, sorted, >= 0; `services` float[K, n] in ns, >= 0: row k is server k. Returns float64[n]
    in ns. Raises ValueError on other input.
    """
    a, s = _floats(arrivals), _floats(services)
    if s.ndim != 2 or len(s) == 0:
        raise ValueError(f"services must be times in ns of shape [servers, packets]; you gave the shape {s.shape}")
    return _serve(a, s)


def _floats(value: ArrayLike) -> Floats:
    return np.require(value, np.float64, ["C", "W"])  # one set of types, for which numba compiles once


def _serve(arrivals: Floats, services: Floats) -> Floats:
    if arrivals.ndim != 1 or services.shape[1] != len(arrivals):
        raise ValueError(
            "services must hold one time in ns for each arrival, each packet is served once at each server;"
            f" you gave the shapes {services.shape} and {arrivals.shape}"
        )
    if not have_numba():
        _check(arrivals, services)
        for s in services:
            arrivals = _fifo_numpy(arrivals, s)
        return arrivals
    departures = np.empty_like(arrivals)
    good, k, source = True, 0, arrivals
    while good and k < len(services):
        if len(services) - k >= 4:
            w, x, y, z = services[k : k + 4]
            good = fifo4_kernel(source, w, x, y, z, departures)
            k += 4
        else:
            good = fifo_kernel(source, services[k], departures)
            k += 1
        source = departures
    if not good or (len(departures) and not isfinite(departures[-1])):
        _check(arrivals, services)  # says what is wrong
    return departures


def _fifo_numpy(arrivals: Floats, services: Floats) -> Floats:
    c = np.cumsum(services)
    x = arrivals - c
    x += services
    np.maximum.accumulate(x, out=x)
    x += c
    return x


def _check(arrivals: Floats, services: Floats) -> None:
    if not (np.all(np.isfinite(arrivals)) and np.all(arrivals[:1] >= 0) and np.all(arrivals[1:] >= arrivals[:-1])):
        raise ValueError("arrivals must be finite sorted times >= 0 in ns: a FIFO queue serves in the order of arrival")
    if not np.all(np.isfinite(services) & (services >= 0)):
        raise ValueError("services must be finite times >= 0 ns: no service ends before it began")


@dataclass(frozen=True)
class Means:
    """Means of a stationary queue with one server, Poisson arrivals and FIFO order."""

    utilisation: float  # share of time that the server is busy, rate times service
    wait_ns: float  # in the queue, before service
    sojourn_ns: float  # wait plus service
    waiting: float  # packets in the queue
    present: float  # packets in the queue and in service


def mg1(rate_per_s: float, service_ns: float, service_scv: float) -> Means:
    """M/G/1: the mean wait is rho / (1 - rho) x (1 + scv) / 2 x service (Pollaczek 1930, Khinchine 1932).

    `rate_per_s` >= 0 arrivals per second, `service_ns` > 0 the mean service, `service_scv` >= 0 the squared coefficient
    of variation of the service, variance / mean^2: 0 constant, 1 exponential. ValueError when rho = rate x service is
    not below 1.
    """
    rho = _utilisation(rate_per_s, service_ns)
    if not 0 <= service_scv < np.inf:
        raise ValueError(f"service_scv must be finite and >= 0 (dimensionless); you gave {service_scv}: it is a square")
    wait = rho / (1 - rho) * (1 + service_scv) / 2 * service_ns
    waiting = rate_per_s * wait * 1e-9
    return Means(rho, wait, wait + service_ns, waiting, waiting + rho)


def mm1(rate_per_s: float, service_ns: float) -> Means:
    """M/M/1: exponential services of mean `service_ns`. See `mg1`."""
    return mg1(rate_per_s, service_ns, 1.0)


def md1(rate_per_s: float, service_ns: float) -> Means:
    """M/D/1: every service takes `service_ns`; half the wait of M/M/1. See `mg1`."""
    return mg1(rate_per_s, service_ns, 0.0)


def mm1_sojourn_quantile_ns(rate_per_s: float, service_ns: float, probability: float) -> float:
    """The sojourn in ns that the share `probability` (0 <= p < 1) of the packets of an M/M/1 queue does not exceed.

    The sojourn is exponential with mean service / (1 - rho), so that the quantile is -ln(1 - p) times that mean.
    """
    if not 0 <= probability < 1:
        raise ValueError(f"probability must be in [0, 1) (dimensionless); you gave {probability}: p = 1 is infinite")
    return -log(1 - probability) * service_ns / (1 - _utilisation(rate_per_s, service_ns))


def _utilisation(rate_per_s: float, service_ns: float) -> float:
    if not 0 < service_ns < np.inf:
        raise ValueError(f"service_ns must be a finite time > 0 ns; you gave {service_ns}: a server needs some time")
    if not 0 <= rate_per_s * service_ns < 1e9:
        raise ValueError(
            f"rate_per_s must be >= 0 and below 1e9 / service_ns = {1e9 / service_ns:g} per second;"
            f" you gave {rate_per_s:g}: from there on the queue grows for ever"
        )
    return rate_per_s * service_ns * 1e-9


@dataclass(frozen=True)
class Little:
    """Three measurements that Little's law ties together: present = rate x sojourn."""

    present: float  # packets present, mean over time
    rate_per_s: float
    sojourn_ns: float  # mean over packets

    @property
    def gap(self) -> float:
        """present / (rate x sojourn) - 1: what the ends of the observation leave over, near 0 when it is long."""
        return self.present / (self.rate_per_s * self.sojourn_ns * 1e-9) - 1


def littles_law(arrivals: ArrayLike, departures: ArrayLike) -> Little:
    """Measure packets present, rate and sojourn, each by itself, from the first arrival to the last (Little 1961).

    `arrivals` and `departures` float[n] in ns, in any order of departure; packets with a negative departure (dropped)
    do not count. Packets present are counted from the sorted times alone, not from who left when. Raises ValueError
    when fewer than two packets are left, when they all arrive at once, or when one leaves before it came.
    """
    a, d = _floats(arrivals), _floats(departures)
    if a.ndim != 1 or a.shape != d.shape:
        raise ValueError(f"departures must be times in ns, one an arrival; you gave the shapes {a.shape} and {d.shape}")
    a, d = a[d >= 0], d[d >= 0]
    if len(a) < 2 or not (np.all(d >= a) and np.max(a) > np.min(a)):
        raise ValueError(
            "departures must be times in ns, none before its arrival, of at least two packets that come apart:"
            " rate and sojourn are measured between the first arrival and the last"
        )
    span = np.max(a) - np.min(a)
    times = np.concatenate([a, np.minimum(d, np.max(a))])
    order = np.argsort(times, kind="stable")
    present = np.cumsum(np.where(order < len(a), 1, -1))[:-1]
    return Little(float(np.dot(present, np.diff(times[order])) / span), len(a) / span * 1e9, float(np.mean(d - a)))
