"""The card as a finite shared computer: until which load does it answer a new connection sooner than the host would?

Both are M/M/c, with the card's many slow cores (the model of :func:`virtlab.offload.card`) against a few fast ones of
the host, kept for it. A card frees the host's cores; it does not make the work vanish, and near its own limit a wait
grows without bound, while a host could give more cores.

Left out, and where that errs: the way to the card and back (PCIe; for the host), other work on either, and that a host
without a card would spend cores on every packet and not on first packets alone (for the card).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.offload.card import CardOptions
from virtlab.offload.waiting import mmc_wait_ns


class CardLimitOptions(Parameters):
    """New connections a second, the card's cores, and the host's cores that would do the same."""

    server_connections_per_s: float = parameter(FACTS["tco.connections"], ge=100, le=10_000_000, log=True)
    card_cores: int = same(CardOptions, "card_cores")
    connection_ns: float = same(CardOptions, "connection_ns")
    switch_cores: int = parameter(FACTS["tco.host.cores"], ge=1, le=256, log=True)
    host_connection_ns: float = parameter(FACTS["tco.host.connection"], ge=100, le=10_000_000, log=True)

    @property
    def card_most_per_s(self) -> float:
        """What the card can admit at all."""
        return self.card_cores * 1e9 / self.connection_ns

    @property
    def host_most_per_s(self) -> float:
        """What the host's cores can admit at all."""
        return self.switch_cores * 1e9 / self.host_connection_ns


@dataclass(frozen=True, repr=False)
class CardLimit(Shown):
    """How long a new connection takes on either, waiting included; infinite where the rate is too much.

    ``crossing_per_s``: the rate from which on the other one answers sooner than at little load; None where the same one
    does at any rate.
    """

    options: CardLimitOptions
    card_ns: float
    host_ns: float
    crossing_per_s: float | None

    @property
    def card_share(self) -> float:
        """How busy the card's cores are; 1 and more cannot be."""
        return self.options.server_connections_per_s / self.options.card_most_per_s

    @property
    def sooner(self) -> Literal["card", "host", "nobody"]:
        """Who answers sooner; nobody where the rate is too much for both."""
        if math.isinf(self.card_ns) and math.isinf(self.host_ns):
            return "nobody"
        return "card" if self.card_ns < self.host_ns else "host"

    @property
    def sooner_at_first(self) -> Literal["card", "host"]:
        """Who answers sooner at little load: who has the faster core, or else more of them."""
        o = self.options
        card, host = (o.connection_ns, -o.card_cores), (o.host_connection_ns, -o.switch_cores)
        return "card" if card < host else "host"

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o, first = self.options, self.sooner_at_first
        key = "any_rate" if self.crossing_per_s is None else "crossing"
        until = say(f"card_limit.{key}", first=words(f"card_limit.who.{first}"),
                    second=words(f"card_limit.who.{'host' if first == 'card' else 'card'}"),
                    rate=show(self.crossing_per_s or 0, "1/s"))  # fmt: skip
        card, host = (say(f"card_limit.{'full' if math.isinf(ns) else 'answers'}.{who}", time=show(ns, "ns"),
                          busy=show(self.card_share, "%"))
                      for who, ns in (("card", self.card_ns), ("host", self.host_ns)))  # fmt: skip
        return say("card_limit.sentence", rate=show(o.server_connections_per_s, "1/s"), card=card, host=host,
                   until=until, most=show(o.card_most_per_s, "1/s"))  # fmt: skip

    def table(self) -> Table:
        o = self.options
        rows = [
            (words("card_limit.row.card"), o.card_cores, show(o.connection_ns, "ns"), show(o.card_most_per_s, "1/s"),
             show(self.card_ns, "ns")),
            (words("card_limit.row.host"), o.switch_cores, show(o.host_connection_ns, "ns"),
             show(o.host_most_per_s, "1/s"), show(self.host_ns, "ns")),
        ]  # fmt: skip
        return Table.of(words("card_limit.header"), rows, self.sentence(), numeric=range(1, 5))


def card_limit(options: CardLimitOptions | None = None, /, **changes: Any) -> CardLimit:
    """The card's cores against some of the host. Options as in :class:`CardLimitOptions`, as one object or by name.

    With faster cores and more capacity in all the same one is sooner at any rate, since it is with any number of
    connections in hand; otherwise there is one crossing. Raises ParameterError.
    """
    o = CardLimitOptions.given(options, changes)

    def card_ns(rate_per_s: float) -> float:
        return mmc_wait_ns(o.card_cores, rate_per_s, o.connection_ns) + o.connection_ns

    def host_ns(rate_per_s: float) -> float:
        return mmc_wait_ns(o.switch_cores, rate_per_s, o.host_connection_ns) + o.host_connection_ns

    at = o.server_connections_per_s
    return CardLimit(o, card_ns(at), host_ns(at), _crossing(o, lambda rate: card_ns(rate) < host_ns(rate)))


def _crossing(o: CardLimitOptions, card_is_sooner: Callable[[float], bool]) -> float | None:
    """Where the one that is faster at little load stops being sooner, by bisection up to the lower capacity."""
    faster, larger = o.connection_ns < o.host_connection_ns, o.card_most_per_s > o.host_most_per_s
    same = o.connection_ns == o.host_connection_ns or o.card_most_per_s == o.host_most_per_s
    if faster == larger or same:
        return None
    low, high = 0.0, min(o.card_most_per_s, o.host_most_per_s)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if card_is_sooner(middle) == faster else (low, middle)
    return low
