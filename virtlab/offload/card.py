"""The card as a computer of its own: packets in its pipeline, new connections on its cores, entries in its memory.

The pipeline takes one packet after another, all alike. The first packet of a connection needs one of the cores, which
evaluates the rules and writes an entry into the flow table; the others find that entry. The entry stays for a while, so
that the table holds rate times life (Little's law). Nothing of this is infinite: near 1 each wait grows without bound.

Left out, and where that errs. Too short: real traffic comes in bursts, and all functions share PCIe credits, the
card's memory bandwidth and its caches. Too long: nothing is dropped, and no first packets are taken together. How the
functions share the card is another model's; here all busy VFs are alike. Most defaults are recalled figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import model_validator

from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.offload.waiting import md1_wait_ns, mmc_wait_ns

PARTS = ("pipeline", "cores", "memory")


class CardOptions(Parameters):
    """A card with ``vfs`` functions, of which ``busy_vfs`` send ``vf_packets_per_s`` each.

    ``busy_vfs`` of ``None``: all of them.
    """

    vfs: int = parameter(FACTS["article.functions"], ge=1, le=4096, log=True)
    busy_vfs: int | None = parameter(FACTS["card.busy"], ge=1, le=4096, log=True, follows="vfs")
    vf_packets_per_s: float = parameter(FACTS["card.vf.packets"], ge=1, le=100_000_000, log=True)
    connection_packets: int = parameter(FACTS["card.connection.packets"], ge=1, le=1_000_000, log=True)
    queue_pairs: int = parameter(FACTS["card.queue.pairs"], ge=1, le=256, log=True)
    card_packet_ns: float = parameter(FACTS["card.packet"], ge=1, le=1_000)
    card_cores: int = parameter(FACTS["card.cores"], ge=1, le=256, log=True, unit="1")
    connection_ns: float = parameter(FACTS["card.connection"], ge=100, le=10_000_000, log=True)
    card_memory_bytes: int = parameter(FACTS["card.memory"], ge=1 << 28, le=1 << 40, log=True)
    card_reserve_bytes: int = parameter(FACTS["card.reserve"], ge=1 << 24, le=1 << 40, log=True)
    flow_bytes: int = parameter(FACTS["card.flow"], ge=16, le=65_536, log=True)
    flow_life_s: float = parameter(FACTS["card.flow.life"], ge=0.01, le=86_400, log=True)
    vf_state_bytes: int = parameter(FACTS["card.vf.state"], ge=1 << 10, le=1 << 30, log=True)
    queue_bytes: int = parameter(FACTS["card.queue.state"], ge=16, le=1 << 20, log=True)

    @model_validator(mode="after")
    def _the_card_can_start(self) -> CardOptions:
        if self.card_reserve_bytes > self.card_memory_bytes:
            raise ValueError(
                f"card_reserve_bytes must be at most card_memory_bytes ({self.card_memory_bytes:,} B); you gave "
                f"{self.card_reserve_bytes:,}: the card's own system would not start."
            )
        if self.busy_vfs is not None and self.busy_vfs > self.vfs:
            raise ValueError(
                f"busy_vfs must be at most vfs ({self.vfs:,}); you gave {self.busy_vfs:,}: a function that is not "
                "enabled sends nothing."
            )
        return self

    @property
    def busy(self) -> int:
        """The VFs that send."""
        return self.vfs if self.busy_vfs is None else self.busy_vfs

    @property
    def packets_per_s_most(self) -> float:
        """What the pipeline can take at all."""
        return 1e9 / self.card_packet_ns

    @property
    def connections_per_s_most(self) -> float:
        """What the cores can admit at all."""
        return self.card_cores * 1e9 / self.connection_ns


@dataclass(frozen=True, repr=False)
class CardLoad(Shown):
    """How busy each part of the card is (``shares``, in the order of PARTS), and what waits for it.

    A share of 1 or more says that these rates cannot be had: the wait is infinite, and nothing is clipped.
    ``memory_bytes`` is by use. ``flows`` are the entries of the table.
    """

    options: CardOptions
    packets_per_s: float
    connections_per_s: float
    flows: float
    memory_bytes: Mapping[str, float]
    shares: Mapping[str, float]
    packet_wait_ns: float
    connection_wait_ns: float

    @property
    def first(self) -> str:
        """The part that is nearest to its limit."""
        return max(PARTS, key=lambda part: self.shares[part])

    @property
    def feasible(self) -> bool:
        """Whether the card can do this: below 1 in what queues, at most 1 in memory."""
        return self.shares["pipeline"] < 1 and self.shares["cores"] < 1 and self.shares["memory"] <= 1

    @property
    def most_packets_per_s(self) -> float:
        """PPS and CPS are two limits: the lower of the pipeline's rate, and connections times their packets."""
        o = self.options
        return min(o.packets_per_s_most, o.connections_per_s_most * o.connection_packets)

    @property
    def packets_per_s_each(self) -> float:
        """A busy VF's equal part of the most that the card takes."""
        return self.most_packets_per_s / self.options.busy

    @property
    def connections_per_s_each(self) -> float:
        """A busy VF's equal part of the new connections that the cores admit."""
        return self.options.connections_per_s_most / self.options.busy

    @property
    def flows_each(self) -> float:
        """A busy VF's equal part of the flow table that fits into the memory left; 0 where none is left."""
        o = self.options
        left = o.card_memory_bytes - sum(b for use, b in self.memory_bytes.items() if use != "flows")
        return max(left, 0.0) / o.flow_bytes / o.busy

    def law(self) -> tuple[float, float]:
        """Little's law: the entries of the table are those of a second times their life. Returns both sides."""
        o = self.options
        return self.flows, o.busy * o.vf_packets_per_s / o.connection_packets * o.flow_life_s

    def memory_law(self) -> tuple[float, float]:
        """The parts of the memory add up to its share. Returns both sides in B."""
        return math.fsum(self.memory_bytes.values()), self.shares["memory"] * self.options.card_memory_bytes

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say(
            f"card.sentence.{'feasible' if self.feasible else 'too_much'}", busy=number(self.options.busy, 5),
            packets=show(self.packets_per_s, "packets/s"), connections=show(self.connections_per_s, "1/s"),
            part=words(f"card.part.{self.first}"), share=show(self.shares[self.first], "%"),
            wait=show(self.connection_wait_ns, "ns"),
        )  # fmt: skip

    def table(self) -> Table:
        o = self.options
        used = {"pipeline": (show(self.packets_per_s, "packets/s"), show(o.packets_per_s_most, "packets/s")),
                "cores": (show(self.connections_per_s, "1/s"), show(o.connections_per_s_most, "1/s")),
                "memory": (show(sum(self.memory_bytes.values()), "B"), show(o.card_memory_bytes, "B"))}  # fmt: skip
        waits = {"pipeline": show(self.packet_wait_ns, "ns"), "cores": show(self.connection_wait_ns, "ns")}
        each = {"pipeline": show(self.packets_per_s_each, "packets/s"),
                "cores": show(self.connections_per_s_each, "1/s"),
                "memory": say("card.flows", flows=number(self.flows_each))}  # fmt: skip
        rows = [(words(f"card.part.{p}"), *used[p], show(self.shares[p], "%"), waits.get(p, ""), each[p])
                for p in PARTS]
        return Table.of(words("card.header"), rows, self.sentence(), numeric=(1, 2, 3, 4, 5))


def card(options: CardOptions | None = None, /, **changes: Any) -> CardLoad:
    """The load of a card. Options as in :class:`CardOptions`, as one object or by name.

    The pipeline is M/D/1, the cores M/M/c. 500 000 connections/s of 10 packets each are 5 Mpps, whatever the pipeline
    could take. Raises ParameterError.
    """
    o = CardOptions.given(options, changes)
    packets = o.busy * o.vf_packets_per_s
    connections = packets / o.connection_packets
    flows = connections * o.flow_life_s
    memory = {
        "reserve": float(o.card_reserve_bytes), "functions": float(o.vfs * o.vf_state_bytes),
        "queues": float(o.vfs * o.queue_pairs * 2 * o.queue_bytes), "flows": flows * o.flow_bytes,
    }  # fmt: skip
    shares = {
        "pipeline": packets / o.packets_per_s_most, "cores": connections / o.connections_per_s_most,
        "memory": math.fsum(memory.values()) / o.card_memory_bytes,
    }  # fmt: skip
    return CardLoad(
        o, packets, connections, flows, MappingProxyType(memory), MappingProxyType(shares),
        md1_wait_ns(packets, o.card_packet_ns), mmc_wait_ns(o.card_cores, connections, o.connection_ns),
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class CardBudgets(Shown):
    """The same card, shared equally by more and more busy VFs."""

    loads: tuple[CardLoad, ...]

    def table(self) -> Table:
        rows = [
            (number(load.options.busy, 5), show(load.packets_per_s_each, "packets/s"),
             show(load.connections_per_s_each, "1/s"), number(load.flows_each),
             show(load.options.card_memory_bytes / load.options.busy, "B"))
            for load in self.loads
        ]  # fmt: skip
        caption = say("card.budget_caption", packets=number(self.loads[0].options.connection_packets))
        return Table.of(words("card.budget_header"), rows, caption, numeric=range(5))


def card_budgets(vfs: Sequence[int] = (1, 16, 64, 256, 1024), /, **changes: Any) -> CardBudgets:
    """What an equal part of the card is for each count in ``vfs``, all of them busy. Options as in :func:`card`, by
    name, without ``vfs`` and ``busy_vfs``. Raises ParameterError."""
    return CardBudgets(tuple(card(vfs=int(n), busy_vfs=int(n), **changes) for n in vfs))


def card_curve(busy: ArrayLike, options: CardOptions | None = None, /, **changes: Any) -> NDArray[np.float64]:
    """The wait of a new connection for a core in ns, over ``busy`` VFs: float[n] >= 0 gives float64[n].

    ``busy`` stands in for ``busy_vfs``, unbounded. Infinite where the cores cannot follow. Raises ParameterError.
    """
    o = CardOptions.given(options, changes)
    x = np.asarray(busy, dtype=np.float64)
    if x.ndim != 1 or not np.all((x >= 0) & np.isfinite(x)):
        raise ParameterError("busy must be a vector of finite numbers >= 0: how many VFs send.")
    each = o.vf_packets_per_s / o.connection_packets
    return np.array([mmc_wait_ns(o.card_cores, float(n) * each, o.connection_ns) for n in x])
