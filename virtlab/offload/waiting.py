"""Waiting for one of several equal servers: Erlang's C formula. Arrivals at random, service times exponential."""

from __future__ import annotations

import math

from virtlab.core.parameter import ParameterError


def erlang_c(servers: int, load: float) -> float:
    """The probability that an arrival must wait in M/M/c (Erlang 1917): 0 to 1; 1 from ``load`` = ``servers`` on.

    ``load`` is rate times service, in erlangs (mean number of busy servers). Computed by Erlang's B recursion, which
    stays exact for many servers. Raises ParameterError for less than one server and for a load below 0.
    """
    if servers < 1 or not load >= 0:
        raise ParameterError(
            f"servers must be 1 or more and load 0 or more; you gave {servers} and {load}: "
            "nobody serves a negative load."
        )
    if load >= servers:
        return 1.0
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def mmc_wait_ns(servers: int, rate_per_s: float, service_ns: float) -> float:
    """The mean wait in ns before service in M/M/c: C / (c / service - rate). Infinite from utilization 1 on."""
    load = rate_per_s * service_ns / 1e9
    if load >= servers:
        return math.inf
    return erlang_c(servers, load) * service_ns / (servers - load)


def md1_wait_ns(rate_per_s: float, service_ns: float) -> float:
    """The mean wait in ns before service in M/D/1: rho / (2 (1 - rho)) service. Infinite from utilization 1 on."""
    rho = rate_per_s * service_ns / 1e9
    return rho / (2 * (1 - rho)) * service_ns if rho < 1 else math.inf
