"""The TCO lab: what a card is worth, what it costs, and the price up to which it pays."""

from __future__ import annotations

from virtlab.cloud import Tco, TcoOptions, fleet
from virtlab.core.units import show
from virtlab.core.words import say
from virtlab.evidence import FACTS
from virtlab.figures.tco import TcoPicture
from virtlab.labs.base import Lab


class _Picture(TcoPicture):
    prices = (FACTS["tco.card.price"].low, FACTS["tco.card.price"].high)


class TcoLab(Lab):
    """Does the card pay? One server and year, and a fleet of them."""

    Setting = TcoOptions
    Picture = _Picture
    visible = ("card_usd", "core_year_usd", "host_tax_before", "card_watts")

    def solve(self, setting: TcoOptions) -> Tco:
        return fleet(setting)

    def sentence(self, setting: TcoOptions, result: Tco) -> str:
        return say("tco_lab.sentence", model=result.sentence(), left=show(result.fleet_usd, "USD"),
                   servers=show(setting.servers, "servers"), cores=show(result.freed_cores, "cores"))  # fmt: skip
