"""The fleet lab: what a loss means for a million servers, in cores and in money."""

from __future__ import annotations

from virtlab.cloud import Fleet, lost, price_at_which
from virtlab.core.units import show
from virtlab.core.words import say
from virtlab.evidence import FACTS
from virtlab.figures.fleet import FleetPicture, FleetPictureResult
from virtlab.labs.base import Lab


class _Picture(FleetPicture):
    article_servers = FACTS["article.servers"].value
    article_usd = FACTS["article.cost"].value


class FleetLab(Lab):
    """Arithmetic of a fleet: two of the article's numbers cannot both hold."""

    Setting = Fleet
    Picture = _Picture
    visible = ("servers", "cores", "loss", "core_year_usd")

    def solve(self, setting: Fleet) -> FleetPictureResult:
        result = lost(setting)
        per_server = setting.cores * setting.loss
        return FleetPictureResult(
            setting.servers, per_server, result.lost_cores, setting.core_year_usd, result.usd_per_year
        )

    def sentence(self, setting: Fleet, result: FleetPictureResult) -> str:
        base = lost(setting).sentence()
        if not result.lost_cores:
            return base
        needed = price_at_which(FACTS["article.cost"].value, result.lost_cores)
        return say("fleet.sentence", base=base, needed=show(needed, "USD"))


