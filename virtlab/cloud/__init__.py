"""Composition: the loss of a mix of work, what it means for a fleet and server by server, the judges of the claims."""

from virtlab.cloud import judges
from virtlab.cloud.architectures import ARCHITECTURES, REMEDIES, Architecture, compose
from virtlab.cloud.efficiency import Efficiency, efficiency
from virtlab.cloud.fleet import Fleet, FleetResult, lost, price_at_which
from virtlab.cloud.host import DUTIES, PLACES, Host
from virtlab.cloud.mix import Mix, MixResult, Part, ShareFor, loss, share_for
from virtlab.cloud.servers import Servers, ServersOptions, World, merge, servers, world
from virtlab.cloud.verdict import Condition, Verdict
from virtlab.cloud.worlds import Spread, spread

__all__ = [
    "ARCHITECTURES", "DUTIES", "PLACES", "REMEDIES", "Architecture", "Condition", "Efficiency", "Fleet", "FleetResult",
    "Host", "Mix", "MixResult", "Part", "Servers", "ServersOptions", "ShareFor", "Spread", "Verdict", "World",
    "compose", "efficiency", "judges", "loss", "lost", "merge", "price_at_which", "servers", "share_for", "spread",
    "world",
]  # fmt: skip
