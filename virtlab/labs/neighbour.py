"""The neighbour lab: a vCPU beside noisy neighbours: what slows it down, what its requests see, what a remedy costs."""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu import (
    NEIGHBOUR_REMEDIES,
    NeighbourOptions,
    NeighbourRemedies,
    Neighbours,
    neighbour_remedies,
    neighbours,
)
from virtlab.cpu.neighbour_options import Sibling
from virtlab.evidence import FACTS
from virtlab.figures.neighbour import NeighbourPicture, NeighbourResult
from virtlab.labs.base import Lab

Remedy = Literal["none", "own_cpu", "reservation", "offload", "own_core", "cat", "mba", "all"]


class NeighbourSetting(Parameters):
    """A socket whose cores have two threads, with 11 ways of cache: each remedy fits each number of neighbours.

    The remedies in force are the chosen one and those that are ticked.
    """

    load: float = same(NeighbourOptions, "load")
    neighbour_vcpus: int = same(NeighbourOptions, "neighbour_vcpus", le=46)
    victim_bytes: int = same(NeighbourOptions, "victim_bytes")
    remedy: Remedy = parameter(FACTS["neighbour.remedy"], default="none")
    active_share: float = same(NeighbourOptions, "active_share")
    episode_ns: float = same(NeighbourOptions, "episode_ns")
    victim_stream_share: float = same(NeighbourOptions, "victim_stream_share")
    victim_compute_ns: float = same(NeighbourOptions, "victim_compute_ns")
    service_ns: float = same(NeighbourOptions, "service_ns")
    neighbour_bytes: int = same(NeighbourOptions, "neighbour_bytes")
    neighbour_stream_share: float = same(NeighbourOptions, "neighbour_stream_share")
    neighbour_compute_ns: float = same(NeighbourOptions, "neighbour_compute_ns")
    smt_sibling: Sibling = same(NeighbourOptions, "smt_sibling")
    smt_yield: float = same(NeighbourOptions, "smt_yield")
    dma_share: float = same(NeighbourOptions, "dma_share")
    cache_bytes: int = same(NeighbourOptions, "cache_bytes")
    memory_gbyte_per_s: float = same(NeighbourOptions, "memory_gbyte_per_s")
    socket_cores: int = same(NeighbourOptions, "socket_cores", ge=24)
    vcpus_per_thread: int = same(NeighbourOptions, "vcpus_per_thread")
    vcpu_wait_share: float = same(NeighbourOptions, "vcpu_wait_share")
    vcpu_wait_ns: float = same(NeighbourOptions, "vcpu_wait_ns")
    host_wait_share: float = same(NeighbourOptions, "host_wait_share")
    host_wait_ns: float = same(NeighbourOptions, "host_wait_ns")
    victim_ways: int = same(NeighbourOptions, "victim_ways", le=10)
    mba_share: float = same(NeighbourOptions, "mba_share")
    reserved_cores: int = same(NeighbourOptions, "reserved_cores", le=23)
    own_cpu: bool = same(NeighbourOptions, "own_cpu")
    reservation: bool = same(NeighbourOptions, "reservation")
    offload: bool = same(NeighbourOptions, "offload")
    own_core: bool = same(NeighbourOptions, "own_core")
    cat: bool = same(NeighbourOptions, "cat")
    mba: bool = same(NeighbourOptions, "mba")

    def options(self) -> NeighbourOptions:
        """The host of the model with the remedies in force."""
        there: dict[str, Any] = {r: self.remedy in (r, "all") or getattr(self, r) for r in NEIGHBOUR_REMEDIES}
        return NeighbourOptions(**self.model_dump(exclude={"remedy"}) | there)


class NeighbourLab(Lab):
    """Noisy neighbours: which cause costs how much, what the slowest requests show, and what each remedy costs whom."""

    Setting = NeighbourSetting
    Picture = NeighbourPicture
    visible = ("load", "neighbour_vcpus", "victim_bytes", "remedy")

    def solve(self, setting: NeighbourSetting) -> NeighbourResult:
        options = setting.options()
        # All remedies at once take several times as long as one setting; which of them is chosen changes none of them.
        each = _remedies(options.with_remedies(()))
        named = {"none": each.none, **{str(key): found for key, found in each.each.items()}, "all": each.every}
        row = next((key for key, found in named.items() if found.options.remedies == options.remedies), "yours")
        return NeighbourResult(named, row, neighbours(options) if row == "yours" else named[row])

    def sentence(self, setting: NeighbourSetting, result: NeighbourResult) -> str:
        none = result.rows["none"]
        return say(
            "neighbour_lab.sentence", neighbours=_neighbours(setting),
            slower=_slower(none), quiet=show(none.quiet.p99_ns, "ns"), requests=_requests(none),
            remedy=self._remedy(result) if result.chosen.options.remedies else self._best(result),
        )  # fmt: skip

    def _remedy(self, result: NeighbourResult) -> str:
        chosen = result.chosen
        sold, before = chosen.options.vcpus_sold, result.rows["none"].options.vcpus_sold
        keys = chosen.options.remedies if result.row == "yours" else (result.row,)
        names = [words(f"neighbour_lab.remedy.{key}") for key in keys]
        return say(
            "neighbour_lab.with", remedies=" + ".join(names), slower=_slower(chosen), requests=_requests(chosen),
            sells=say("neighbour_lab.sells_all" if sold == before else "neighbour_lab.sells", sold=number(sold),
                      before=number(before)),
            speed=show(chosen.neighbour_speed, "%"),
        )  # fmt: skip

    def _best(self, result: NeighbourResult) -> str:
        best = min(NEIGHBOUR_REMEDIES, key=lambda remedy: _merit(result.rows[remedy]))
        found, none = result.rows[best], result.rows["none"]
        if not found.tail.p99_ns < none.tail.p99_ns:
            return say("neighbour_lab.no_help", sold=number(none.options.vcpus_sold))
        return say(
            "neighbour_lab.best", remedy=words(f"neighbour_lab.remedy.{best}"), requests=_requests(found),
            sold=number(found.options.vcpus_sold), before=number(none.options.vcpus_sold),
        )  # fmt: skip


@functools.lru_cache(maxsize=8)  # moving between remedies asks for the same again
def _remedies(options: NeighbourOptions) -> NeighbourRemedies:
    return neighbour_remedies(options)


def _merit(found: Neighbours) -> tuple[float, int]:
    """The shorter the better, and of two equal ones the one that leaves more to sell."""
    return found.tail.p99_ns, -found.options.vcpus_sold


def _neighbours(setting: NeighbourSetting) -> str:
    count = setting.neighbour_vcpus
    key = "many" if count > 1 else "one" if count else "none"
    return say(f"neighbour_lab.neighbours.{key}", count=number(count), active=show(setting.active_share, "%"))


def _slower(found: Neighbours) -> str:
    factors = found.factors
    worst = max(factors, key=lambda cause: factors[cause])
    if number(found.slowdown) == "1":
        return say("neighbour_lab.not_slower")
    return say("neighbour_lab.slower", slowdown=number(found.slowdown), worst=words(f"neighbour_lab.cause.{worst}"),
               factor=number(factors[worst]))  # fmt: skip


def _requests(found: Neighbours) -> str:
    tail = found.tail
    if math.isinf(tail.p99_ns):
        return say("neighbour_lab.endless_requests")
    return say("neighbour_lab.requests_said", p99=show(tail.p99_ns, "ns"), p999=show(tail.p999_ns, "ns"))
