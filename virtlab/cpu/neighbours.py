"""Noisy neighbours: how much slower a vCPU works beside others on its socket, by cause, and what its requests see.

The causes: the sibling thread of its core (smt), the last-level cache, memory bandwidth that the neighbours' cores
take, and memory bandwidth that devices take (dma). They act on each other, so that a cause has no size of its own: the
factors are Shapley's, of the logarithm of the slow-down. They do not depend on an order, and their product is the
slow-down. Waiting for the CPU is no slow-down of work: it meets a vCPU that is woken, and shows in its requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu.contention import Outcome, Scene, Speed
from virtlab.cpu.neighbour_options import SLOWING, Cause, NeighbourOptions
from virtlab.cpu.request_tail import Episodes, Tail, request_tail
from virtlab.cpu.shared_cache import LINE_BYTES

_SUBSETS: tuple[frozenset[Cause], ...] = tuple(
    frozenset(subset) for size in range(len(SLOWING) + 1) for subset in combinations(SLOWING, size)
)
_ALONE, _ALL = _SUBSETS[0], _SUBSETS[-1]


@dataclass(frozen=True)
class Lot:
    """How a tenant fares in the cache and in memory: all figures are of one vCPU.

    ``access_ns``: from one reference to the last-level cache to the next; ``hit_share``: of those references;
    ``latency_ns``: of a read from memory; ``kept_bytes``: what it holds of the cache.
    """

    access_ns: float
    hit_share: float
    latency_ns: float
    kept_bytes: float
    gbyte_per_s: float


@dataclass(frozen=True, repr=False)
class Neighbours(Shown):
    """A victim alone (``alone``) and beside active neighbours (``victim``, ``neighbour``).

    ``slowdowns`` holds the slow-down of the victim's work for each set of causes at work. ``quiet`` and ``tail`` are
    the percentiles of its requests alone, and beside neighbours that are active now and then.
    """

    options: NeighbourOptions
    alone: Lot
    victim: Lot
    neighbour: Lot
    slowdowns: Mapping[frozenset[Cause], float]
    neighbour_speed: float
    utilization: float
    quiet: Tail
    tail: Tail

    @property
    def slowdown(self) -> float:
        """How many times longer the victim's work takes while the neighbours are active."""
        return self.slowdowns[_ALL]

    def __float__(self) -> float:
        return self.slowdown

    @property
    def without(self) -> dict[Cause, float]:
        """The slow-down that is left when one cause is taken away and the others stay."""
        return {cause: self.slowdowns[_ALL - {cause}] for cause in SLOWING}

    @property
    def factors(self) -> dict[Cause, float]:
        """Each cause's factor of the slow-down: Shapley's share of its logarithm. Their product is the slow-down."""
        size, factors = len(SLOWING), {}
        for cause in SLOWING:
            log = 0.0
            for others in _SUBSETS:
                if cause not in others:
                    weight = 1 / (size * math.comb(size - 1, len(others)))
                    log += weight * math.log(self.slowdowns[others | {cause}] / self.slowdowns[others])
            factors[cause] = math.exp(log)
        return factors

    @property
    def costs(self) -> dict[Cause, float]:
        """What each cause costs beside all others: for the four of work, the part of the slow-down that goes away with
        it (0.1: a tenth); for the two waits the mean time (ns) that a wake-up waits."""
        waits: dict[Cause, float] = {cause: wait.mean_ns for cause, wait in self.options.waits.items()}
        return waits | {cause: self.slowdown / left - 1 for cause, left in self.without.items()}

    @property
    def kept_bytes(self) -> float:
        """What the victim and all neighbours keep in the cache."""
        return self.victim.kept_bytes + self.options.neighbour_vcpus * self.neighbour.kept_bytes

    @property
    def idle_bytes(self) -> float:
        """The victim's own ways that nothing is kept in: nobody else may have them."""
        return self._own_bytes - self.victim.kept_bytes if self.options.cat else 0.0

    @property
    def gbyte_per_s(self) -> float:
        """The bandwidth that all take of the memory, devices too."""
        o = self.options
        cores = self.victim.gbyte_per_s + o.neighbour_vcpus * self.neighbour.gbyte_per_s
        return cores + (o.dma_share * o.memory_gbyte_per_s if o.neighbour_vcpus else 0.0)

    @property
    def _own_bytes(self) -> float:
        o = self.options
        return o.cache_bytes * o.victim_ways / o.cache_ways

    def law(self) -> tuple[float, float]:
        """Conservation: what is kept fills the cache, or all that there is to keep is kept. Returns both sides."""
        o = self.options
        of = o.contention()
        mine = of.victim.reuse.footprint * LINE_BYTES
        theirs = of.count * of.neighbour.reuse.footprint * LINE_BYTES if of.count else 0.0
        if not o.cat:
            return self.kept_bytes, min(float(o.cache_bytes), mine + theirs)
        return self.kept_bytes, min(self._own_bytes, mine) + min(o.cache_bytes - self._own_bytes, theirs)

    def bandwidth_law(self) -> tuple[float, float]:
        """What all take of the memory, and its utilization times its peak: the same. Both in GB/s."""
        return self.gbyte_per_s, self.utilization * self.options.memory_gbyte_per_s

    def product_law(self) -> tuple[float, float]:
        """The product of the factors, and the slow-down."""
        return math.prod(self.factors.values()), self.slowdown

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o, factors = self.options, self.factors
        worst = max(factors, key=lambda cause: factors[cause])
        key = "none" if self.slowdown == 1 else "overload" if math.isinf(self.tail.p99_ns) else "sentence"
        return say(
            f"neighbours.{key}", vcpus=number(o.neighbour_vcpus), slowdown=show(self.slowdown),
            worst=words(f"neighbours.cause.{worst}"), factor=show(factors[worst]), active=show(o.active_share, "%"),
            quiet=show(self.quiet.p99_ns, "ns"), p99=show(self.tail.p99_ns, "ns"), p999=show(self.tail.p999_ns, "ns"),
            p50=show(self.tail.p50_ns, "ns"), load=show(self.tail.utilization, "%"),
        )  # fmt: skip

    def table(self) -> Table:
        """The causes: factor, slow-down without it, mean wait of a wake-up."""
        factors, costs = self.factors, self.costs
        rows = [(words(f"neighbours.cause.{cause}"), show(factors[cause]), show(self.without[cause]), "")
                for cause in SLOWING]  # fmt: skip
        rows.append((words("neighbours.row.all"), show(self.slowdown), "1", ""))
        rows += [(words(f"neighbours.cause.{cause}"), "", "", show(costs[cause], "ns")) for cause in self.options.waits]
        return Table.of(words("neighbours.header"), rows, self.sentence(), numeric=(1, 2, 3))

    def lots(self) -> Table:
        """Cache and memory of the victim alone, beside its neighbours, and of a neighbour."""
        rows = []
        for name, lot in (("alone", self.alone), ("victim", self.victim), ("neighbour", self.neighbour)):
            rows.append((words(f"neighbours.lot.{name}"), show(lot.hit_share, "%"), show(lot.kept_bytes, "B"),
                         show(lot.latency_ns, "ns"), show(lot.gbyte_per_s, "GB/s")))  # fmt: skip
        return Table.of(words("neighbours.lots_header"), rows, self.sentence(), numeric=range(1, 5))


def neighbours(options: NeighbourOptions | None = None, /, seed: int = 1, **changes: Any) -> Neighbours:
    """A victim and its noisy neighbours in the steady state. Options as in :class:`NeighbourOptions`, or by name.

    The slow-down is against the victim alone on the same socket without any remedy, so that it is exactly 1 without
    neighbours, and that a partition which is too small for the victim costs it something even then. The requests
    depend on ``seed``. Limits: `virtlab.cpu.shared_cache` (LRU), `contention` (memory), `request_tail` (episodes);
    DMA takes bandwidth and no cache; a sibling that is idle costs nothing, and one that is busy slows computing down
    by the same factor whatever it does; L2 and turbo are left out. Raises ParameterError.
    """
    o = NeighbourOptions.given(options, changes)
    return next(solved([o], seed))


def solved(all_options: Sequence[NeighbourOptions], seed: int = 1) -> Iterator[Neighbours]:
    """The same for several settings that differ in their remedies only: their steady states are found in one go."""
    scenes: list[Scene] = []
    for o in all_options:
        scenes += [o.scene(causes) for causes in _SUBSETS] + [o.with_remedies(()).scene(_ALL)]
    # Scenes that are alike are solved once: most of them without neighbours, sibling or devices.
    different = list(dict.fromkeys(scenes))
    outcomes = dict(zip(different, all_options[0].contention().solve(different), strict=True))
    each = len(_SUBSETS) + 1
    for n, o in enumerate(all_options):
        yield _result(o, [outcomes[scene] for scene in scenes[n * each : (n + 1) * each]], seed)


def _result(o: NeighbourOptions, outcomes: Sequence[Outcome], seed: int) -> Neighbours:
    alone, together, free = outcomes[0], outcomes[-2], outcomes[-1]
    slowdowns = {causes: outcome.victim.access_ns / alone.victim.access_ns
                 for causes, outcome in zip(_SUBSETS, outcomes, strict=False)}  # fmt: skip
    speed = free.neighbour.access_ns / together.neighbour.access_ns if o.neighbour_vcpus else 1.0
    quiet = request_tail(o.load, o.service_ns, Episodes(0.0, 1.0, 1.0), seed=seed)
    episodes = Episodes(o.active_share, o.episode_ns, slowdowns[_ALL])
    tail = request_tail(o.load, o.service_ns, episodes, tuple(o.waits.values()), seed)
    return Neighbours(o, _lot(alone.victim), _lot(together.victim), _lot(together.neighbour), slowdowns, speed,
                      together.utilization, quiet, tail)  # fmt: skip


def _lot(speed: Speed) -> Lot:
    return Lot(speed.access_ns, 1 - speed.missed, speed.latency_ns, speed.lines * LINE_BYTES, speed.bandwidth)
