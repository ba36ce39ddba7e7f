"""A fleet server by server, drawn at random in blocks that merge: what virtualization takes from each server."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.cloud.mix import Mix, System, networks, part_loss
from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

Floats = NDArray[np.float64]
#: Cores of a server: the three cases of the course.
SIZES = tuple(int(FACTS[f"fleet.cores.{n}"].value) for n in (32, 64, 128))
#: Width of the bins that a server's lost share is counted in, which no quantile errs by more than.
BIN = 0.001
_BINS = round(2 / BIN)  # -1 to 1: nothing that is drawn here halves its time or loses all
#: Servers drawn at once: a few MB.
_ROWS = 65_536


class ServersOptions(Parameters):
    """A block of a fleet: ``servers`` of 32, 64 or 128 cores, each with ``vms_per_server`` equal VMs.

    Each VM does one kind of work, and loses what a published test of that kind lost under ``system``: of several tests
    one is as likely as the other. Writes are left out, as those of the file ended in a cache. All VMs are busy all the
    time; one that idles loses less, so that the sum errs upwards.

    World 0 takes all inputs as declared. Every other world draws those that nobody knows, once for all of its servers:
    the shares of work and of sizes, as far as a count of ``known_servers`` leaves them open (Dirichlet), the loss of
    computing (even in the expert's interval) and the price of a core-year (even in its logarithm).
    """

    servers: int = parameter(FACTS["servers.block"], ge=1, le=1_000_000, log=True)
    vms_per_server: int = parameter(FACTS["servers.vms"], ge=1, le=128, log=True)
    share_cpu: float = same(Mix, "share_cpu")
    share_net: float = same(Mix, "share_net")
    share_blk: float = same(Mix, "share_blk")
    system: System = same(Mix, "system")
    known_servers: int = parameter(FACTS["servers.known"], ge=1, le=100_000, log=True)
    world: int = parameter(FACTS["servers.world"], ge=0, le=1_000_000)
    seed: int = parameter(FACTS["servers.seed"], ge=0, le=2**53 - 1)


@dataclass(frozen=True, eq=False)
class World:
    """What all servers of one world have in common: shares (each row adds up to 1), losses (0 to 1), price (USD).

    ``sizes`` are the shares of SIZES; ``works`` those of the tests, computing first, and ``losses`` what each loses.
    """

    sizes: Floats
    works: Floats
    losses: Floats
    core_year_usd: float


def world(options: ServersOptions | None = None, /, **changes: Any) -> World:
    """The inputs that all servers of ``world`` share, as :class:`ServersOptions` draws them. Raises ParameterError."""
    o = ServersOptions.given(options, changes)
    mix = Mix(share_cpu=o.share_cpu, share_net=o.share_net, share_blk=o.share_blk, system=o.system)
    price = FACTS["fleet.core_year"]
    tests = {
        "net": [part_loss("net", mix.replace(network=n)).loss for n in networks(o.system)],
        "blk": [part_loss("blk", mix.replace(block=b)).loss for b in Mix.specs()["block"].choices if "read" in b],
    }
    sizes = np.full(len(SIZES), 1 / len(SIZES))
    kinds = np.array([mix.shares["cpu"], mix.shares["net"], mix.shares["blk"]])
    computing, usd = part_loss("cpu", mix), price.value
    loss = computing.loss
    if o.world:
        rng = np.random.default_rng([o.world, 0])
        sizes, kinds = (_counted(rng, share, o.known_servers) for share in (sizes, kinds))
        loss = rng.uniform(computing.low, computing.high)
        usd = math.exp(rng.uniform(math.log(price.low), math.log(price.high)))
    works = [kinds[0], *(kinds[k] / len(tests[n]) for k, n in ((1, "net"), (2, "blk")) for _ in tests[n])]
    return World(sizes, np.array(works), np.array([loss, *tests["net"], *tests["blk"]]), float(usd))


def _counted(rng: np.random.Generator, shares: Floats, known: int) -> Floats:
    """A Dirichlet draw by its gammas, which leave a share of 0 at 0."""
    parts = rng.standard_gamma(known * shares)
    return np.asarray(parts / parts.sum())


@dataclass(frozen=True, repr=False, eq=False)
class Servers(Shown):
    """A block of servers, or several of one world merged. Lost cores are those of one server; ``counts`` of lost share.

    ``squares_cores2`` is the sum of squared deviations from the mean; ``counts`` has one entry for each BIN from -1.
    """

    options: ServersOptions
    seeds: tuple[int, ...]
    servers: int
    all_cores: int
    mean_cores: float
    squares_cores2: float
    least_cores: float
    most_cores: float
    counts: NDArray[np.int64]
    core_year_usd: float

    @property
    def lost_cores(self) -> float:
        """What all of these servers lose together."""
        return self.servers * self.mean_cores

    @property
    def variance_cores2(self) -> float:
        """Variance of what a server loses, among these servers."""
        return self.squares_cores2 / self.servers

    @property
    def usd_per_year(self) -> float:
        return self.lost_cores * self.core_year_usd

    def quantile(self, share: float) -> float:
        """The lost share that ``share`` of the servers do not exceed; too high by at most BIN."""
        if not 0 <= share <= 1:
            raise ValueError(f"share must be 0 to 1; you gave {share!r}: no other share of the servers exists.")
        rank = max(1, math.ceil(share * self.servers))
        return -1 + BIN * (1 + int(np.searchsorted(np.cumsum(self.counts), rank)))

    def law(self) -> tuple[float, float]:
        """Conservation: every server is counted once. Returns both sides."""
        return float(self.counts.sum()), float(self.servers)

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say(
            "servers.sentence", servers=show(self.servers, "servers"), lost=show(self.lost_cores, "cores"),
            share=show(self.lost_cores / self.all_cores, "%"), usd=show(self.usd_per_year, "USD"),
        )  # fmt: skip

    def table(self) -> Table:
        figures = (
            show(self.servers, "servers"), show(self.all_cores, "cores"), show(self.lost_cores, "cores"),
            show(self.mean_cores, "cores"), show(math.sqrt(self.variance_cores2), "cores"),
            f"{show(self.least_cores, 'cores')} .. {show(self.most_cores, 'cores')}",
            *(show(self.quantile(q), "%") for q in (0.05, 0.5, 0.95)),
        )  # fmt: skip
        return Table.of(words("servers.header"), zip(words("servers.rows"), figures, strict=True), self.sentence(), [1])


def servers(options: ServersOptions | None = None, /, **changes: Any) -> Servers:
    """Draws one block of servers; the same numbers for the same options. Raises ParameterError.

    A million servers, and the same inputs in each block: ``cloud.merge(virtlab.sweep(cloud.servers, {"seed":
    range(100)}, servers=10_000).results)``. What nobody knows: put ``world`` into the grid, and :func:`spread` it.
    """
    o = ServersOptions.given(options, changes)
    common = world(o)
    rng = np.random.default_rng([o.world, 1, o.seed])
    starts = range(0, o.servers, _ROWS)
    return _merged([_drawn(o, common, rng, min(_ROWS, o.servers - start)) for start in starts], (o.seed,))


def _drawn(o: ServersOptions, common: World, rng: np.random.Generator, rows: int) -> Servers:
    cores = np.array(SIZES)[rng.choice(len(SIZES), rows, p=common.sizes)]
    share = rng.multinomial(o.vms_per_server, common.works, rows) @ common.losses / o.vms_per_server
    lost = cores * share
    mean = float(lost.mean())
    bins = np.clip(np.floor((share + 1) / BIN).astype(np.int64), 0, _BINS - 1)
    return Servers(
        o, (o.seed,), rows, int(cores.sum()), mean, float(((lost - mean) ** 2).sum()), float(lost.min()),
        float(lost.max()), np.bincount(bins, minlength=_BINS), common.core_year_usd,
    )  # fmt: skip


def merge(blocks: Iterable[Servers]) -> Servers:
    """Blocks of one world as one fleet: mean, variance and extremes as if drawn at once, the counts added.

    The order of the blocks does not matter. Raises ValueError for no block, for one that is in twice (its servers would
    count double), and for blocks that differ in more than ``servers`` and ``seed``.
    """
    parts = list(blocks)
    if not parts:
        raise ValueError("merge needs one block of servers or more; you gave none.")
    inputs = {part.options.replace(servers=1, seed=0) for part in parts}
    if len(inputs) > 1:
        raise ValueError(
            "merge takes blocks of one world and one set of inputs, which are one fleet; "
            f"you gave {len(inputs)} sets: cloud.spread compares worlds."
        )
    seeds = tuple(sorted(seed for part in parts for seed in part.seeds))
    twice = [a for a, b in zip(seeds, seeds[1:], strict=False) if a == b]
    if twice:
        raise ValueError(f"merge must not count a server twice; you gave seed {twice[0]} twice: draw with another.")
    return _merged(parts, seeds)


def _merged(parts: list[Servers], seeds: tuple[int, ...]) -> Servers:
    """Exact sums (fsum), so that no order of the parts is another result."""
    count = sum(p.servers for p in parts)
    mean = math.fsum(p.servers * p.mean_cores for p in parts) / count
    squares = math.fsum(x for p in parts for x in (p.squares_cores2, p.servers * (p.mean_cores - mean) ** 2))
    return replace(
        parts[0], seeds=seeds, servers=count, all_cores=sum(p.all_cores for p in parts), mean_cores=mean,
        squares_cores2=squares, least_cores=min(p.least_cores for p in parts),
        most_cores=max(p.most_cores for p in parts), counts=np.sum([p.counts for p in parts], axis=0),
    )  # fmt: skip
