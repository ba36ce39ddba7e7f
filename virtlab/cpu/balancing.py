"""Balancing interrupts: flows on queues (RSS), queues on cores (irqbalance), and the one flow that nobody can split.

A flow has one hash and so one queue; a queue has one vector and so one core. Loads are shares of all packets. Left out:
that packets of different sizes cost differently, that a core does other work beside, that caches are lost when a vector
moves, and how long irqbalance takes to see a load (it looks every 10 s and moves a little at a time): here it knows the
loads and places all of them anew, the fullest queue first, each on the core that is emptiest then.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu import rss
from virtlab.evidence import FACTS

Placement = Literal["fixed", "irqbalance"]
Floats = NDArray[np.float64]


class BalanceOptions(Parameters):
    """Flows of Zipf sizes on the queues of a card, and the queues' vectors on cores."""

    queues: int = parameter(FACTS["balance.queues"], ge=1, le=64)
    irq_cores: int = parameter(FACTS["balance.cores"], ge=1, le=64)
    flows: int = parameter(FACTS["balance.flows"], ge=1, le=10_000, log=True)
    flow_zipf_exponent: float = parameter(FACTS["balance.zipf"], ge=0, le=2)
    irq_placement: Placement = parameter(FACTS["balance.placement"], default="fixed")
    core_packets_per_s: float = parameter(FACTS["io.linux.route.1core"], ge=10_000, le=30_000_000, log=True)
    flow_seed: int = parameter(FACTS["balance.seed"], ge=0, le=10_000)


@dataclass(frozen=True, repr=False)
class Balance(Shown):
    """Shares of all packets: of each queue, of each core, of the largest flow (the elephant), and where that one is."""

    options: BalanceOptions
    queue_shares: Floats
    core_of: tuple[int, ...]
    core_shares: Floats
    in_turn_shares: Floats
    elephant_share: float
    elephant_queue: int

    @property
    def elephant_core(self) -> int:
        return self.core_of[self.elephant_queue]

    @property
    def queue_max_over_mean(self) -> float:
        """How much fuller than the mean the fullest queue is: 1 is even, the number of queues is all in one."""
        return float(self.queue_shares.max()) * self.options.queues

    @property
    def core_max_over_mean(self) -> float:
        return float(self.core_shares.max()) * self.options.irq_cores

    @property
    def bound_packets_per_s(self) -> float:
        """All packets that can come before the fullest core is full; with more, that core drops."""
        return self.options.core_packets_per_s / float(self.core_shares.max())

    @property
    def in_turn_packets_per_s(self) -> float:
        """The same with the vectors placed in turn."""
        return self.options.core_packets_per_s / float(self.in_turn_shares.max())

    @property
    def even_packets_per_s(self) -> float:
        """What the cores could carry if each had the same."""
        return self.options.core_packets_per_s * self.options.irq_cores

    @property
    def elephant_packets_per_s(self) -> float:
        """What no placement exceeds: the largest flow alone fills one core."""
        return self.options.core_packets_per_s / self.elephant_share

    @property
    def best_share(self) -> float:
        """No placement of these queues has a fullest core below this: the fullest queue, or an even part."""
        return max(float(self.queue_shares.max()), 1 / self.options.irq_cores)

    def law(self) -> tuple[float, float, float]:
        """Conservation: the queues' loads and the cores' loads each add up to the total. Returns all three."""
        return float(self.queue_shares.sum()), float(self.core_shares.sum()), 1.0

    def sentence(self) -> str:
        """The result in one sentence with its numbers, and what limits it."""
        o = self.options
        base = say("balance.sentence", flows=_count("flows", o.flows), queues=_count("queues", o.queues),
                   cores=_count("cores", o.irq_cores),
                   share=show(float(self.core_shares.max()), "%"), ratio=show(self.core_max_over_mean),
                   bound=show(self.bound_packets_per_s, "packets/s"),
                   even=show(self.even_packets_per_s, "packets/s"))  # fmt: skip
        return f"{base} {self._limit()}{self._moved()}"

    def _limit(self) -> str:
        o = self.options
        if o.irq_cores == 1:
            key = "one_core"
        elif self.elephant_share * o.irq_cores > 1:
            key = "elephant"
        elif o.queues < o.irq_cores:
            key = "few_queues"
        else:
            key = "mice"
        return say(f"balance.limit.{key}", share=show(self.elephant_share, "%"), core=self.elephant_core,
                   most=show(self.elephant_packets_per_s, "packets/s"), queues=o.queues)  # fmt: skip

    def _moved(self) -> str:
        if self.options.irq_placement == "fixed":
            return ""
        before, after = self.in_turn_packets_per_s, self.bound_packets_per_s
        key = "gain" if after > 1.005 * before else "loss" if after < before / 1.005 else "nothing"
        return " " + say(f"balance.moved.{key}", before=show(before, "packets/s"), after=show(after, "packets/s"))

    def table(self) -> Table:
        rows = [
            (words("balance.row.queue"), show(float(self.queue_shares.max()), "%"), show(self.queue_max_over_mean)),
            (words("balance.row.core"), show(float(self.core_shares.max()), "%"), show(self.core_max_over_mean)),
            (words("balance.row.elephant"), show(self.elephant_share, "%"),
             show(self.elephant_share * self.options.irq_cores)),
        ]  # fmt: skip
        return Table.of(words("balance.header"), rows, self.sentence(), numeric=(1, 2))


def balance(options: BalanceOptions | None = None, /, **changes: Any) -> Balance:
    """The load of each queue and core. Options as in :class:`BalanceOptions`, as one object or by name.

    The flows' addresses depend on ``flow_seed``. Golden: one flow makes the fullest of n queues n times the mean, with
    any placement. Raises ParameterError.
    """
    o = BalanceOptions.given(options, changes)
    table = rss.indirection(o.queues, int(FACTS["rss.table"].value))
    queue = rss.queue_of(_hashes(o.flows, o.flow_seed), table)
    shares = flow_shares(o.flows, o.flow_zipf_exponent)
    queue_shares = _sums(queue, shares, o.queues)
    in_turn = tuple(q % o.irq_cores for q in range(o.queues))
    core_of = in_turn if o.irq_placement == "fixed" else longest_first(queue_shares, o.irq_cores)
    return Balance(o, queue_shares, core_of, _sums(core_of, queue_shares, o.irq_cores),
                   _sums(in_turn, queue_shares, o.irq_cores), float(shares[0]), int(queue[0]))  # fmt: skip


def flow_shares(flows: int, exponent: float) -> Floats:
    """The share of each flow, the largest first: float64[flows], proportional to 1 / rank ** exponent."""
    sizes = np.arange(1, flows + 1, dtype=np.float64) ** -exponent
    return np.asarray(sizes / sizes.sum())


def longest_first(loads: Sequence[float] | Floats, cores: int) -> tuple[int, ...]:
    """The core of each queue, placed greedily: the fullest queue first, each on the core that is emptiest then.

    Graham (1969): the fullest core has at most 4/3 - 1/(3 cores) of what the best placement has.
    """
    heap = [(0.0, core) for core in range(cores)]
    core_of = [0] * len(loads)
    for queue in sorted(range(len(loads)), key=lambda q: (-loads[q], q)):
        load, core = heap[0]
        core_of[queue] = core
        heapq.heapreplace(heap, (load + float(loads[queue]), core))
    return tuple(core_of)


def steering_remedies() -> Table:
    """What else spreads packets over cores, whether it splits a flow, and its price."""
    return Table.of(words("balance.remedies.header"), words("balance.remedies.rows"), words("balance.remedies.caption"))


def _count(what: str, count: int) -> str:
    one, many = words(f"balance.count.{what}")
    return str(one if count == 1 else many.format(number(count)))


def _sums(places: Any, shares: Floats, count: int) -> Floats:
    """What comes to each of ``count`` places."""
    return np.asarray(np.bincount(places, weights=shares, minlength=count), dtype=np.float64)


@functools.lru_cache(maxsize=4)
def _hashes(flows: int, seed: int) -> NDArray[np.uint32]:
    return rss.toeplitz(rss.random_tuples(flows, seed))
