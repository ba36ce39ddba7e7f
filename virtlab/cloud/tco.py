"""Does the card pay? What a smaller loss is worth to a server and a fleet, against the card's price and its power.

A server earns in proportion to (1 - host tax) (1 - slowdown). The card pays iff what it adds to that, times what the
server would earn without any loss, exceeds its price over its life and its power. A host tax is the seller's loss; a
slowdown is the buyer's, unless prices follow speed: ``slowdown_priced`` says how much of it counts here.

Left out, and where that errs. Against the card: the plain network card that it replaces, what faster and safer I/O is
worth. For the card: its development, its failures (a server without its card earns nothing), and servers whose memory
is sold out before their cores. A freed core is counted once: sold, when its buyer pays for its power too, or asleep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from virtlab.cloud.efficiency import efficiency
from virtlab.cloud.fleet_loss import Fleet
from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

_HOURS_A_YEAR = 8760


class TcoOptions(Parameters):
    """A fleet without and with a card in each server, and what a card costs. Prices are of cores, never of vCPUs.

    ``core_year_usd`` is what a core earns in a year, or what it costs to have one more: who must buy servers saves the
    latter.
    """

    servers: int = same(Fleet, "servers")
    cores: int = same(Fleet, "cores")
    threads_per_core: int = same(Fleet, "threads_per_core")
    core_year_usd: float = same(Fleet, "core_year_usd")
    sold_share: float = parameter(FACTS["tco.sold"], ge=0, le=1)
    host_tax_before: float = parameter(FACTS["article.loss"], ge=0, le=1)
    slowdown_before: float = parameter(FACTS["tco.slowdown.before"], ge=0, le=1)
    host_tax_after: float = parameter(FACTS["article.loss.after"], ge=0, le=1)
    slowdown_after: float = parameter(FACTS["tco.slowdown.after"], ge=0, le=1)
    slowdown_priced: float = parameter(FACTS["tco.slowdown.priced"], ge=0, le=1)
    core_watts: float = parameter(FACTS["tco.core.watts"], ge=0, le=20)
    card_usd: float = parameter(FACTS["tco.card.price"], ge=10, le=10_000, log=True)
    card_watts: float = parameter(FACTS["tco.card.watts"], ge=1, le=300)
    card_life_years: float = parameter(FACTS["tco.card.life"], ge=1, le=10)
    interest: float = parameter(FACTS["tco.interest"], ge=0, le=0.3)
    usd_per_kwh: float = parameter(FACTS["tco.power.price"], ge=0, le=1)
    pue: float = parameter(FACTS["tco.pue"], ge=1, le=3)

    @property
    def watt_year_usd(self) -> float:
        """What a W costs that is drawn all year, with the site's share."""
        return _HOURS_A_YEAR / 1000 * self.pue * self.usd_per_kwh

    @property
    def freed_core_usd(self) -> float:
        """What a freed core is worth in a year: its price if it is sold, its power if it sleeps."""
        return self.sold_share * self.core_year_usd + (1 - self.sold_share) * self.core_watts * self.watt_year_usd

    @property
    def rate(self) -> float:
        """The part of a card's price that a year of its life costs: 1 / life, and more with interest (an annuity)."""
        years, interest = self.card_life_years, self.interest
        return interest / -math.expm1(-years * math.log1p(interest)) if interest else 1 / years


@dataclass(frozen=True, repr=False)
class Tco(Shown):
    """What the card gains and costs a server in a year, in USD. ``efficiency_*``: the share of a server that earns."""

    options: TcoOptions
    efficiency_before: float
    efficiency_after: float
    gain_usd: float
    card_usd: float
    power_usd: float

    @property
    def gained(self) -> float:
        """What the card adds to the efficiency, as a share; negative where it takes."""
        return self.efficiency_after - self.efficiency_before

    @property
    def freed_cores(self) -> float:
        """The cores of the fleet that this is worth, sold or not. Physical cores."""
        return self.options.servers * self.options.cores * self.gained

    @property
    def freed_threads(self) -> float:
        """The same in hardware threads, which is what a vCPU usually is."""
        return self.freed_cores * self.options.threads_per_core

    @property
    def net_usd(self) -> float:
        """What is left for each server and year; negative where the card does not pay."""
        return self.gain_usd - self.card_usd - self.power_usd

    @property
    def fleet_usd(self) -> float:
        """What is left for the fleet and year."""
        return self.net_usd * self.options.servers

    @property
    def pays(self) -> bool:
        return self.net_usd > 0

    @property
    def break_even_usd(self) -> float:
        """The price of a card at which nothing is left. Below 0: it would not pay as a gift."""
        return (self.gain_usd - self.power_usd) / self.options.rate

    @property
    def break_even_core_usd(self) -> float:
        """What a freed core must be worth in a year for the card to pay; infinite where the card frees none."""
        freed = self.gained * self.options.cores
        return (self.card_usd + self.power_usd) / freed if freed > 0 else math.inf

    @property
    def break_even_gain(self) -> float:
        """The least gain in efficiency with which the card pays, as a share; infinite where a core is worth nothing."""
        worth = self.options.cores * self.options.freed_core_usd
        return (self.card_usd + self.power_usd) / worth if worth else math.inf

    @property
    def payback_years(self) -> float:
        """After how long the card has earned its price, without interest; infinite where it never does."""
        left = self.gain_usd - self.power_usd
        return self.options.card_usd / left if left > 0 else math.inf

    def law(self) -> tuple[float, float]:
        """Conservation: what the card gains is its cost, its power and what is left. Returns both sides in USD."""
        return self.gain_usd, self.card_usd + self.power_usd + self.net_usd

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say(
            f"tco.sentence.{'pays' if self.pays else 'costs'}", gained=show(self.gained, "%"),
            cores=self.options.cores, price=show(self.options.freed_core_usd, "USD"), gain=show(self.gain_usd, "USD"),
            card=show(self.card_usd, "USD"), power=show(self.power_usd, "USD"), left=show(abs(self.net_usd), "USD"),
            limit=self.limit(),
        )  # fmt: skip

    def limit(self) -> str:
        """The break-even price in words."""
        key = "limit" if self.break_even_usd > 0 else "never"
        return say(f"tco.{key}", price=show(self.break_even_usd, "USD"))

    def table(self) -> Table:
        years = self.payback_years
        figures = {
            "gained": show(self.gained, "%"), "freed": show(self.freed_cores, "cores"),
            "threads": show(self.freed_threads, "threads"), "gain": show(self.gain_usd, "USD"),
            "card": show(self.card_usd, "USD"), "power": show(self.power_usd, "USD"), "net": show(self.net_usd, "USD"),
            "fleet": show(self.fleet_usd, "USD"), "limit": self.limit(),
            "payback": show(years, "years") if years < math.inf else words("tco.no_payback"),
        }  # fmt: skip
        rows = [(words(f"tco.row.{key}"), figure) for key, figure in figures.items()]
        return Table.of(words("tco.header"), rows, self.sentence(), numeric=[1])


def fleet(options: TcoOptions | None = None, /, **changes: Any) -> Tco:
    """Whether a card in each server pays. Options as in :class:`TcoOptions`, as one object or by name.

    Golden: 10 % down to 1 % of a million servers with 64 cores frees 5.76 million cores. Raises ParameterError.
    """
    o = TcoOptions.given(options, changes)
    before, after = (
        efficiency(tax, o.slowdown_priced * slow).efficiency
        for tax, slow in ((o.host_tax_before, o.slowdown_before), (o.host_tax_after, o.slowdown_after))
    )
    gain = (after - before) * o.cores * o.freed_core_usd
    return Tco(o, before, after, gain, o.card_usd * o.rate, o.card_watts * o.watt_year_usd)
