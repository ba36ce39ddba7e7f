"""A host of one's own: what it loses under a workload, what it costs, and what it earns more than the baseline.

No model of its own: the overhead of the host, the worth of the difference to a fleet, and the card's own limit. One
card does whatever is on a card. A remedy without a card has no price here; what it gives up has another name (room for
more guests than cores, memory that can be shared, a duty that nobody does), which errs in favour of such remedies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from virtlab.cloud.architectures import Architecture, compose
from virtlab.cloud.card_limit import CardLimit, CardLimitOptions, card_limit
from virtlab.cloud.host import DUTIES, Host
from virtlab.cloud.overhead import Overhead, overhead
from virtlab.cloud.tco import Tco, TcoOptions, fleet
from virtlab.cloud.workloads import Workload
from virtlab.core.parameter import ParameterError
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words

#: Duties that software must do somewhere: with nobody to do them, they are given up.
_NEEDED = ("policy", "monitor", "snapshot", "console")
#: What the overheads decide and nobody else.
_LOSSES = ("cores", "host_tax_before", "slowdown_before", "host_tax_after", "slowdown_after")


@dataclass(frozen=True, repr=False)
class Design(Shown):
    """A host against a baseline under one workload. ``card`` is None where nothing is on a card."""

    before: Overhead
    after: Overhead
    worth: Tco
    card: CardLimit | None

    @property
    def cost_usd(self) -> float:
        """Card and its power, a server and year; 0 without a card."""
        return self.worth.card_usd + self.worth.power_usd if self.card else 0.0

    @property
    def net_usd(self) -> float:
        """What is left for a server and year."""
        return self.worth.gain_usd - self.cost_usd

    @property
    def given_up(self) -> tuple[str, ...]:
        """The duties that nobody does any more."""
        return tuple(duty for duty in _NEEDED if self.after.host.place(duty) == "nobody")

    @property
    def card_keeps_up(self) -> bool:
        """Whether the card's cores can admit the guests' new connections; True without a card."""
        return self.card is None or self.card.card_share < 1

    def law(self) -> tuple[float, float]:
        """The worth is that of the difference between the two losses. Returns both sides as shares."""
        return self.worth.gained, self.before.loss - self.after.loss

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        key = "none" if self.card is None else "keeps" if self.card_keeps_up else "full"
        return say(
            "design.sentence", before=show(self.before.loss, "%"), after=show(self.after.loss, "%"),
            gain=show(self.worth.gain_usd, "USD"), cost=show(self.cost_usd, "USD"), left=show(self.net_usd, "USD"),
            card=say(f"design.card.{key}", busy=show(self.card.card_share if self.card else 0, "%")),
        )  # fmt: skip

    def table(self) -> Table:
        both = {name: (show(getattr(self.before, name), "%"), show(getattr(self.after, name), "%"))
                for name in ("host_tax", "slowdown", "loss")}  # fmt: skip
        rows = [(words(f"whole.axis.{name}"), *pair) for name, pair in both.items()]
        rows += [
            (words("whole.slow.jitter"), *(show(o.slow["jitter"], "%") for o in (self.before, self.after))),
            (words("design.row.vms"), number(self.before.vms), number(self.after.vms)),
            (words("design.row.cost"), show(0, "USD"), show(self.cost_usd, "USD")),
            (words("design.row.net"), "", show(self.net_usd, "USD")),
            (words("design.row.given_up"), "", ", ".join(words(f"design.duty.{d}") for d in self.given_up) or "–"),
        ]
        return Table.of(words("design.header"), rows, self.sentence(), numeric=(1, 2))


def design(
    *remedies: str, workload: Workload | str = "network", baseline: Architecture | Host | str = "qemu", **changes: Any
) -> Design:
    """A host with these remedies of REMEDIES, its loss, its cost and what is left, a server and year.

    ``changes`` are fields of :class:`Host` that differ beyond the remedies, parameters of :class:`Workload` or of the
    server, prices of :class:`TcoOptions`, or the cores of the card, all by name. Raises ValueError.
    """
    for name in _LOSSES:
        if name in changes:
            raise ParameterError(say("design.error.losses", name=name))
    mine: dict[str, dict[str, Any]] = {"host": {}, "money": {}, "card": {}, "work": {}}
    card = set(CardLimitOptions.model_fields) - {"server_connections_per_s"}  # that is what the guests ask for
    fields = {"host": Host.model_fields, "money": TcoOptions.model_fields, "card": card}
    for name, value in changes.items():
        mine[next((kind for kind, known in fields.items() if name in known), "work")][name] = value
    own = compose(*remedies, **mine["host"])
    before, after = (overhead(of, workload, **mine["work"]) for of in (baseline, own))
    worth = fleet(
        cores=after.server.host_cores, host_tax_before=before.host_tax, slowdown_before=before.slowdown,
        host_tax_after=after.host_tax, slowdown_after=after.slowdown, **mine["money"],
    )  # fmt: skip
    flows = after.vms * after.workload.vm_flows_per_s
    low = CardLimitOptions.specs()["server_connections_per_s"].low or 0.0
    on_card = {own.host.place(duty) for duty in DUTIES} & {"card", "split"}
    limit = card_limit(server_connections_per_s=max(flows, low), **mine["card"]) if on_card else None
    return Design(before, after, worth, limit)
