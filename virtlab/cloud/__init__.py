"""Composition: the loss of a mix of work, what it means for a fleet, and the judges of the claims."""

from virtlab.cloud import judges
from virtlab.cloud.efficiency import Efficiency, efficiency
from virtlab.cloud.fleet import Fleet, FleetResult, lost, price_at_which
from virtlab.cloud.mix import Mix, MixResult, Part, ShareFor, loss, share_for
from virtlab.cloud.verdict import Condition, Verdict

__all__ = [
    "Condition", "Efficiency", "Fleet", "FleetResult", "Mix", "MixResult", "Part", "ShareFor", "Verdict",
    "efficiency", "judges", "loss", "lost", "price_at_which", "share_for",
]  # fmt: skip
