"""Composition: the loss of a mix of work, what it means for a fleet, and the judges of the claims."""

from virtlab.cloud import judges
from virtlab.cloud.architectures import ARCHITECTURES, REMEDIES, Architecture, compose
from virtlab.cloud.efficiency import Efficiency, efficiency
from virtlab.cloud.fleet import Fleet, FleetResult, lost, price_at_which
from virtlab.cloud.host import DUTIES, PLACES, Host
from virtlab.cloud.mix import Mix, MixResult, Part, ShareFor, loss, share_for
from virtlab.cloud.verdict import Condition, Verdict

__all__ = [
    "ARCHITECTURES", "DUTIES", "PLACES", "REMEDIES", "Architecture", "Condition", "Efficiency", "Fleet", "FleetResult",
    "Host", "Mix", "MixResult", "Part", "ShareFor", "Verdict", "compose", "efficiency", "judges", "loss", "lost",
    "price_at_which", "share_for",
]  # fmt: skip
