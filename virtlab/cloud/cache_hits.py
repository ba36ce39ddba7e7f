"""How often a flow cache hits: a closed form for connections that begin and end, and the cache itself run on packets.

Packets come at random (Poisson) from ``active_flows`` flows of Zipf rates; a flow is one connection after another, each
of ``connection_packets`` packets and with a key of its own, so that its first packet always misses. An entry stays for
a characteristic time (Che, Tung and Wang 2002): with LRU after its last use; where a hit changes nothing, at random
after it came in (Fricker, Robert and Roberts 2012; insertion by chance: Martina, Garetto and Leonardi 2014). The time
is the one with which live entries and those of ended connections fill the cache.

With two places an entry goes if the entry at the newcomer's other place has the larger hash. In balance a share
sqrt(1 - u) of the places holds a hash above u (0 to 1), so that hash u stays in proportion to 1 / (2 sqrt(1 - u)).

Left out: flows that come in bursts hit more often. That the same few keys meet at the same two places for ever makes
the two-place cache miss more than said here where nearly all flows would fit (at worst one packet in five).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from virtlab.cloud.flow_cache import CachePolicy, FlowCache
from virtlab.cpu.shared_cache import Part, Reuse, lifetime

Floats = NDArray[np.float64]
_STEPS = 44  # bisections
_LEAST, _MOST = -10.0, 60.0  # powers of e, in packets
_ALL = 1 - 1e-15
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


@dataclass(frozen=True)
class CacheLoad:
    """What meets a flow cache (flows and their Zipf exponent, packets of a connection), and how it takes them in."""

    active_flows: float
    flow_zipf_exponent: float
    connection_packets: int
    insert_probability: float
    policy: CachePolicy


def hit_share(load: CacheLoad, entries: Floats) -> Floats:
    """The share of packets that hit caches of ``entries``: float64[n] >= 1 gives float64[n] in 0 to 1.

    The more entries the more hits; at most ``1 - 1 / connection_packets``.
    """
    if load.insert_probability == 0:
        return np.zeros(len(entries))
    groups = _Groups.of(load)
    low, high = np.full(len(entries), _LEAST), np.full(len(entries), _MOST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        fits = _in_use(load, groups, np.exp(middle))[1] <= entries
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return np.maximum(_in_use(load, groups, np.exp(low))[0], 0.0)  # a rounding below 0 is no hit


def table_hit_share(load: CacheLoad, packets: Floats, entries: float) -> Floats:
    """Hits of an LRU table of ``entries`` that takes a connection out when it ends: float64[n] >= 1 gives float64[n].

    ``packets`` of a connection stand in for those of ``load``. Where all flows fit only first packets miss.
    """
    later = 1 - 1 / packets  # of a connection's packets; its entry is there in this share of the time
    reuse = Reuse.of(load.active_flows, load.flow_zipf_exponent, 0.0)
    enough = np.minimum(entries / np.maximum(later, 1e-9), reuse.lines)
    stay = lifetime([Part(reuse, 1, np.ones(len(packets)))], enough)
    return np.asarray(later * (1 - reuse.missed(stay)))


def best_share(load: CacheLoad, entries: Floats) -> Floats:
    """What no cache beats where flows have fixed rates: it knows the most used before. float64[n] gives float64[n]."""
    reuse = Reuse.of(load.active_flows, load.flow_zipf_exponent, 0.0)
    kept, mass = (np.concatenate([[0.0], np.cumsum(x)]) for x in (reuse.count, reuse.count * reuse.chance))
    return np.minimum(np.interp(entries, kept, mass), 1.0) * (1 - 1 / load.connection_packets)


class _Groups(NamedTuple):
    """Flows that are alike: how many, the chance that a packet is of one of them, and their stay over the mean stay."""

    flows: Floats
    chance: Floats
    stay: Floats

    @classmethod
    def of(cls, load: CacheLoad) -> _Groups:
        reuse = Reuse.of(load.active_flows, load.flow_zipf_exponent, 0.0)
        if load.policy == "lru":
            return cls(reuse.count, reuse.chance, np.ones(len(reuse.count)))
        root = (_NODES + 1) / 2  # sqrt(1 - u), so that du is 2 root d(root)
        return cls(np.outer(reuse.count, root * _WEIGHTS).ravel(), np.repeat(reuse.chance, len(root)),
                   np.tile(1 / (2 * root), len(reuse.chance)))  # fmt: skip


def _in_use(load: CacheLoad, groups: _Groups, time: Floats) -> tuple[Floats, Floats]:
    """Hits of all packets, and entries in use, where an entry stays for ``time`` on average (in packets of all flows).

    ``stays`` is the chance that an entry is still there at the next packet of its flow. Then packet k hits with
    ``end (1 - keeps**(k - 1))``: the first never does, and a late one as in a flow without an end.
    """
    n, q = load.connection_packets, load.insert_probability
    x = time[:, None] * groups.stay * groups.chance
    stays, goes = (-np.expm1(-x), np.exp(-x)) if load.policy == "lru" else (x / (1 + x), 1 / (1 + x))
    gap = goes + stays * q  # 1 - keeps, which is stays (1 - q)
    absent = -np.expm1(n * np.log1p(-np.minimum(gap, _ALL))) / (n * gap)  # the mean of keeps**0 to keeps**(n - 1)
    hits = stays * q / gap * (1 - absent)
    # After its last packet an entry is there with the chance n q absent, for `time`, of no use; one of n is the last.
    return (hits * groups.chance) @ groups.flows, (hits + q * absent * x) @ groups.flows


def simulate_hits(load: CacheLoad, entries: int, packets: int, seed: int = 0) -> float:
    """The share of hits of a :class:`FlowCache` on the second half of ``packets`` random packets.

    Flows begin somewhere in a connection. Takes some microseconds a packet; where insertion is rare it takes many.
    """
    flows = int(load.active_flows)
    chance = np.arange(1, flows + 1, dtype=np.float64) ** -load.flow_zipf_exponent
    random = np.random.default_rng(seed)
    trace = random.choice(flows, packets, p=chance / chance.sum())
    n = load.connection_packets
    sent = random.integers(0, n, flows).tolist()
    cache: FlowCache[bool] = FlowCache(entries, load.policy, load.insert_probability, seed)
    half, hits = packets // 2, 0
    for at, flow in enumerate(trace.tolist()):
        key = (flow, sent[flow] // n)
        sent[flow] += 1
        if cache.get(key):
            hits += at >= half
        else:
            cache.offer(key, True)
    return hits / max(packets - half, 1)


def mean_probes(masks: int, mask_zipf_exponent: float) -> float:
    """Hash tables probed for a packet that finds its rule, where the tables stand in the order of their hits.

    The table of rank k is hit in proportion to 1 / k**exponent: all alike (0) gives (masks + 1) / 2.
    """
    ranks = np.arange(1, masks + 1, dtype=np.float64)
    weight = ranks**-mask_zipf_exponent
    return math.fsum(ranks * weight) / math.fsum(weight)
