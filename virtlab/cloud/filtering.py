"""What filtering costs a packet on the host: cache, hash tables of masks, upcalls; and beside it a scan and a card.

A packet probes the flow cache. If it misses it probes one hash table after another, one for each mask, until its flow
is found there. If it is in none (a connection that nothing kept covers), it goes up to the switch's process, which
looks at the rules. Rules cost memory, and the upcall; the other steps do not know how many there are.

    cycles = cache + (1 - hits) (probes * mask) + misses * upcall

The first term is paid by each packet, hit or not. Left out: everything that a packet costs without a filter; cache
misses of the CPU, which make large tables slower; batches, which make a probe cheaper. Most defaults are recalled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from virtlab.cloud.cache_hits import best_share, hit_share, mean_probes
from virtlab.cloud.filter_card import CardFilter, filter_card
from virtlab.cloud.filter_options import FilterOptions
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words

PARTS = ("cache", "masks", "upcall")


@dataclass(frozen=True, repr=False)
class Filtering(Shown):
    """The cost of a filter: shares of packets, probes a packet, and CPU cycles a packet by part (``cycles``, PARTS).

    ``hit_share``: in the flow cache; ``best_share``: of a cache that knew the flows before; ``miss_share``: upcalls.
    """

    options: FilterOptions
    hit_share: float
    best_share: float
    miss_share: float
    probes: float
    cycles: Mapping[str, float]
    card: CardFilter

    @property
    def found_share(self) -> float:
        """Packets that the hash tables of the masks know."""
        return 1 - self.hit_share - self.miss_share

    @property
    def packet_cycles(self) -> float:
        """All cycles of a packet."""
        return math.fsum(self.cycles.values())

    @property
    def core_packets_per_s(self) -> float:
        """What one host core can filter if it does nothing else."""
        return self.options.clock_ghz * 1e9 / self.packet_cycles

    @property
    def cores(self) -> float:
        """Host cores that the filter keeps busy at the asked rate."""
        return self.options.rate_packets_per_s / self.core_packets_per_s

    @property
    def scan_cycles(self) -> float:
        """A linear scan for each packet: half of the rules on average."""
        return self.options.rule_cycles * (self.options.rules + 1) / 2

    @property
    def tracked_scan_cycles(self) -> float:
        """A linear scan for the first packet of a connection only, as with connection tracking: then one probe each."""
        o = self.options
        return o.cache_probe_cycles + self.scan_cycles / o.connection_packets

    @property
    def card_host_cores(self) -> float:
        """Host cores that filter what the card's table has no room for."""
        return self.cores * self.card.host_share

    def law(self) -> tuple[float, float]:
        """Each packet is found in the cache, is found in the hash tables, or is an upcall. Returns both sides."""
        return self.hit_share + self.found_share + self.miss_share, 1.0

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        return say(
            "filter.sentence", cycles=show(self.packet_cycles, "cycles"), hits=show(self.hit_share, "%"),
            probes=number(self.probes), masks=number(o.masks), rules=number(o.rules, 6),
            scan=show(self.scan_cycles, "cycles"), cores=show(self.cores, "cores"),
            rate=show(o.rate_packets_per_s, "packets/s"),
        )  # fmt: skip

    def table(self) -> Table:
        o = self.options
        shares = {"cache": 1.0, "masks": 1 - self.hit_share, "upcall": self.miss_share}
        rows = [(words(f"filter.part.{p}"), show(shares[p], "%"), number(self.cycles[p]),
                 show(self.cycles[p] / self.packet_cycles, "%")) for p in PARTS]  # fmt: skip
        whole = {"total": self.packet_cycles, "tracked": self.tracked_scan_cycles, "scan": self.scan_cycles}
        each = {"total": 1.0, "tracked": 1 / o.connection_packets, "scan": 1.0}
        rows += [(words(f"filter.part.{k}"), show(each[k], "%"), number(v), show(v / self.packet_cycles, "%"))
                 for k, v in whole.items()]  # fmt: skip
        return Table.of(words("filter.header"), rows, self.sentence(), numeric=(1, 2, 3))


def filtering(options: FilterOptions | None = None, /, **changes: Any) -> Filtering:
    """What a filter costs. Options as in :class:`FilterOptions`, as one object or by name. Raises ParameterError.

    The hits are those of a closed form; `simulate_hits` runs the cache itself on packets.
    """
    o = FilterOptions.given(options, changes)
    entries = np.array([float(o.cache_entries)])
    hits, best = float(hit_share(o.flow_load, entries)[0]), float(best_share(o.flow_load, entries)[0])
    misses = o.upcall_share / o.connection_packets
    probes = (1 - hits - misses) * mean_probes(o.masks, o.mask_zipf_exponent) + misses * o.masks
    cycles = {
        "cache": o.cache_probe_cycles + (1 - hits) * o.insert_probability * o.cache_insert_cycles,
        "masks": probes * o.mask_probe_cycles,
        "upcall": misses * o.upcall_ns * o.clock_ghz,
    }
    return Filtering(o, hits, best, misses, probes, MappingProxyType(cycles), filter_card(o))
