"""The same filter on a card: an exact-match table that can be full, and a slow path that admits new flows.

Packets that find their entry cost the card one slot of its pipeline, whatever the rules. The first packet of a
connection goes the slow path: so packets/s <= new flows/s times packets a connection. A table that is full costs more:
entries are *evicted* and later packets go the slow path again; or flows without an entry stay on the *host*; or new
connections are *refused* until an old entry has gone (Little's law: entries / life). Left out: bursts, in which the
slow path drops packets before its mean rate is reached. What a card's functions share is `virtlab.offload.card`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.cloud.cache_hits import table_hit_share
from virtlab.cloud.filter_options import FilterOptions
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words

Floats = NDArray[np.float64]
LIMITS = ("pipeline", "new_flows", "table")


@dataclass(frozen=True, repr=False)
class CardFilter(Shown):
    """What a card's table and slow path can take.

    ``hit_share``: packets that find an entry; ``slow_share``: those that need the card's cores; ``host_share``: those
    that stay on the host. ``most_packets_per_s`` is by limit; one that does not bind is infinite. ``wanted_entries``
    at the asked rate is rate / packets * life, as in `virtlab.offload.card`.
    """

    options: FilterOptions
    entries: float
    wanted_entries: float
    hit_share: float
    slow_share: float
    host_share: float
    limits_packets_per_s: Mapping[str, float]

    @property
    def first(self) -> str:
        """The limit that binds first."""
        return min(LIMITS, key=lambda name: self.limits_packets_per_s[name])

    @property
    def most_packets_per_s(self) -> float:
        """The rate that the card cannot exceed."""
        return self.limits_packets_per_s[self.first]

    @property
    def feasible(self) -> bool:
        """Whether the card takes the rate that was asked."""
        return self.options.rate_packets_per_s < self.most_packets_per_s

    def law(self) -> tuple[float, float]:
        """Each packet finds an entry, goes the slow path, or stays on the host. Returns both sides."""
        return self.hit_share + self.slow_share + self.host_share, 1.0

    def sentence(self) -> str:
        """The limit in one sentence."""
        o = self.options
        return say("filter.card.sentence", most=show(self.most_packets_per_s, "packets/s"),
                   limit=words(f"filter.limit.{self.first}"), packets=number(o.connection_packets, 5),
                   flows=show(o.new_flows_per_s, "1/s"), slow=show(self.slow_share, "%"))  # fmt: skip

    def table(self) -> Table:
        rows = [(words(f"filter.limit.{name}"), show(self.limits_packets_per_s[name], "packets/s")) for name in LIMITS]
        return Table.of(words("filter.card.header"), rows, self.sentence(), numeric=(1,))


def filter_card(options: FilterOptions | None = None, /, **changes: Any) -> CardFilter:
    """What the card of a filter can take. Options as in :class:`FilterOptions`, as one object or by name.

    500 000 new flows/s of 10 packets are 5 Mpps, whatever the pipeline takes. Raises ParameterError.
    """
    o = FilterOptions.given(options, changes)
    load, entries, packets = o.card_load, table_entries(o), np.array([float(o.connection_packets)])
    hits, slow = (float(share[0]) for share in _shares(o, packets))
    limits = {
        "pipeline": load.options.packets_per_s_most, "new_flows": o.new_flows_per_s / slow,
        "table": entries / o.flow_life_s * o.connection_packets if o.when_full == "refuse" else math.inf,
    }  # fmt: skip
    return CardFilter(o, entries, load.flows, hits, slow, max(1 - hits - slow, 0.0), MappingProxyType(limits))


def card_wall(packets: Floats, options: FilterOptions) -> Floats:
    """The most packets/s of the card over the packets of a connection: float64[n] >= 1 gives float64[n]."""
    o = options
    most = np.minimum(o.new_flows_per_s / _shares(o, packets)[1], o.card_load.options.packets_per_s_most)
    return np.minimum(most, table_entries(o) / o.flow_life_s * packets) if o.when_full == "refuse" else most


def table_entries(options: FilterOptions) -> float:
    """The entries of the table, at most those that fit into the memory that the card has left for them."""
    return min(float(options.table_entries), options.card_load.flows_each)


def _shares(o: FilterOptions, packets: Floats) -> tuple[Floats, Floats]:
    """The packets that find an entry and those that need the card's cores. Who is admitted is never evicted."""
    new = 1 / packets
    hits = 1 - new if o.when_full == "refuse" else table_hit_share(o.flow_load, packets, table_entries(o))
    return hits, 1 - hits if o.when_full == "evict" else new
