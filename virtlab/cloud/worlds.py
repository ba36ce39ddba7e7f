"""What nobody knows of a fleet against what varies in it: only the second averages out among a million servers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from virtlab.cloud.servers import Servers, merge
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words

#: The part of the worlds that an interval leaves out at each end.
_TAIL = 0.05


@dataclass(frozen=True, repr=False)
class Spread(Shown):
    """Lost cores of a fleet of ``servers`` over ``worlds``: mean, interval of nine worlds in ten, and its two causes.

    ``unknown_cores`` is the standard deviation that the inputs bring which nobody knows and all servers share;
    ``chance_cores`` the one that the differences among the servers bring. ``within_cores2`` and ``between_cores2`` are
    the variances in and between the worlds of what one server loses, ``all_cores2`` that of all servers together.
    """

    servers: int
    worlds: int
    lost_cores: float
    low_cores: float
    high_cores: float
    unknown_cores: float
    chance_cores: float
    low_usd: float
    middle_usd: float
    high_usd: float
    within_cores2: float
    between_cores2: float
    all_cores2: float

    def law(self) -> tuple[float, float]:
        """The law of total variance: in worlds plus between worlds is the variance of all. Returns both sides."""
        return self.within_cores2 + self.between_cores2, self.all_cores2

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say(
            "servers.spread.sentence", servers=show(self.servers, "servers"), lost=show(self.lost_cores, "cores"),
            low=show(self.low_cores, "cores"), high=show(self.high_cores, "cores"),
            unknown=show(self.unknown_cores, "cores"), chance=show(self.chance_cores, "cores"),
        )  # fmt: skip

    def table(self) -> Table:
        figures = (
            show(self.worlds), show(self.lost_cores, "cores"),
            f"{show(self.low_cores, 'cores')} .. {show(self.high_cores, 'cores')}",
            show(self.unknown_cores, "cores"), show(self.chance_cores, "cores"),
            f"{show(self.low_usd, 'USD')} .. {show(self.high_usd, 'USD')}",
        )  # fmt: skip
        rows = zip(words("servers.spread.rows"), figures, strict=True)
        return Table.of(words("servers.header"), rows, self.sentence(), [1])


def spread(blocks: Iterable[Servers], servers: int = 1_000_000) -> Spread:
    """What the unknown inputs and what the differences among servers do to the lost cores of ``servers`` servers.

    Blocks of one world are merged first; a world may stand for more servers than were drawn of it. Raises ValueError
    for fewer than two worlds, for worlds with different numbers of servers, and for world 0, which is none of chance.
    """
    of_world: dict[int, list[Servers]] = {}
    for block in blocks:
        of_world.setdefault(block.options.world, []).append(block)
    fleets = [merge(parts) for parts in of_world.values()]
    if len(fleets) < 2 or 0 in of_world:
        raise ValueError(
            "spread needs two worlds or more, each numbered from 1; "
            f"you gave {len(fleets)}{' and world 0 among them' if 0 in of_world else ''}: one world has no spread."
        )
    if len({f.servers for f in fleets}) > 1:
        raise ValueError("spread needs the same number of servers of each world: else one world would count for more.")
    if servers < 1:
        raise ValueError(f"servers must be 1 or more; you gave {servers!r}: an empty fleet loses nothing.")
    means = np.array([f.mean_cores for f in fleets])
    within = float(np.mean([f.variance_cores2 for f in fleets]))
    drawn = fleets[0].servers
    # The worlds' means differ a little by chance alone: what that brings is not of the inputs.
    unknown = max(0.0, float(means.var(ddof=1)) - within / drawn)
    low, high = np.quantile(servers * means, (_TAIL, 1 - _TAIL))
    usd = np.quantile([servers * f.mean_cores * f.core_year_usd for f in fleets], (_TAIL, 0.5, 1 - _TAIL))
    raw = math.fsum(f.variance_cores2 + f.mean_cores**2 for f in fleets) / len(fleets)
    return Spread(
        servers, len(fleets), servers * float(means.mean()), float(low), float(high), servers * math.sqrt(unknown),
        math.sqrt(servers * within), float(usd[0]), float(usd[1]), float(usd[2]), within, float(means.var()),
        raw - float(means.mean()) ** 2,
    )  # fmt: skip
