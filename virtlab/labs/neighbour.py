"""The neighbour lab: a vCPU beside noisy neighbours: what slows it down, what its requests see, what a remedy costs."""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter
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
from virtlab.evidence import FACTS
from virtlab.figures.neighbour import NeighbourPicture, NeighbourResult
from virtlab.labs.base import Lab

Remedy = Literal["none", "own_cpu", "reservation", "offload", "own_core", "cat", "mba", "all"]
Sibling = Literal["neighbour", "own", "idle"]


class NeighbourSetting(Parameters):
    """A socket whose cores have two threads, with 11 ways of cache: each remedy fits each number of neighbours.

    The remedies in force are the chosen one and those that are ticked.
    """

    load: float = parameter(FACTS["neighbour.load"], ge=0.01, le=0.95)
    neighbour_vcpus: int = parameter(FACTS["neighbour.vcpus"], ge=0, le=46)
    victim_bytes: int = parameter(FACTS["neighbour.victim.size"], ge=2**12, le=2**33, log=True)
    remedy: Remedy = parameter(FACTS["neighbour.remedy"], default="none")
    active_share: float = parameter(FACTS["neighbour.active"], ge=0, le=1)
    episode_ns: float = parameter(FACTS["neighbour.episode"], ge=1_000_000, le=10_000_000_000, log=True)
    victim_stream_share: float = parameter(FACTS["neighbour.victim.stream"], ge=0, le=1)
    victim_compute_ns: float = parameter(FACTS["neighbour.victim.compute"], ge=0.5, le=100_000, log=True)
    service_ns: float = parameter(FACTS["neighbour.service"], ge=1_000, le=1_000_000, log=True)
    neighbour_bytes: int = parameter(FACTS["neighbour.size"], ge=2**12, le=2**33, log=True)
    neighbour_stream_share: float = parameter(FACTS["neighbour.stream"], ge=0, le=1)
    neighbour_compute_ns: float = parameter(FACTS["neighbour.compute"], ge=0.5, le=100_000, log=True)
    smt_sibling: Sibling = parameter(FACTS["neighbour.sibling"], default="neighbour")
    smt_yield: float = parameter(FACTS["smt.yield"], ge=1, le=2)
    dma_share: float = parameter(FACTS["neighbour.dma"], ge=0, le=0.9)
    cache_bytes: int = parameter(FACTS["cat.llc.size"], ge=2**20, le=2**29, log=True)
    memory_gbyte_per_s: float = parameter(FACTS["cpu.clx.dram.peak"], ge=5, le=2_000, log=True)
    socket_cores: int = parameter(FACTS["cpu.clx.cores"], ge=24, le=256, log=True)
    vcpus_per_thread: int = parameter(FACTS["neighbour.overcommit"], ge=1, le=16)
    vcpu_wait_share: float = parameter(FACTS["neighbour.vcpu_wait.share"], ge=0, le=1)
    vcpu_wait_ns: float = parameter(FACTS["sched.slice"], ge=0, le=100_000_000)
    host_wait_share: float = parameter(FACTS["neighbour.host_wait.share"], ge=0, le=1)
    host_wait_ns: float = parameter(FACTS["neighbour.host_wait"], ge=0, le=100_000_000)
    victim_ways: int = parameter(FACTS["neighbour.ways"], ge=1, le=10)
    mba_share: float = parameter(FACTS["neighbour.mba"], ge=0.1, le=1)
    reserved_cores: int = parameter(FACTS["neighbour.reserved"], ge=1, le=23)
    own_cpu: bool = parameter(FACTS["neighbour.remedy"], default=False)
    reservation: bool = parameter(FACTS["neighbour.remedy"], default=False)
    offload: bool = parameter(FACTS["neighbour.remedy"], default=False)
    own_core: bool = parameter(FACTS["neighbour.remedy"], default=False)
    cat: bool = parameter(FACTS["neighbour.remedy"], default=False)
    mba: bool = parameter(FACTS["neighbour.remedy"], default=False)

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
