"""Composition: the loss of a mix of work, what it means for a fleet and server by server, the judges of the claims."""

from virtlab.cloud import judges
from virtlab.cloud.architectures import ARCHITECTURES, REMEDIES, Architecture, compose
from virtlab.cloud.attribution import Attribution, Bar, attribute
from virtlab.cloud.efficiency import Efficiency, efficiency
from virtlab.cloud.fleet import Fleet, FleetResult, lost, price_at_which
from virtlab.cloud.host import DUTIES, PLACES, Host
from virtlab.cloud.mix import Mix, MixResult, Part, ShareFor, loss, share_for
from virtlab.cloud.overhead import Overhead, overhead
from virtlab.cloud.placement import SideBySide, VendorNumbers, placement, side_by_side, vendor_numbers
from virtlab.cloud.server import ServerOptions
from virtlab.cloud.servers import Servers, ServersOptions, World, merge, servers, world
from virtlab.cloud.shapley import shapley
from virtlab.cloud.verdict import Condition, Verdict
from virtlab.cloud.workloads import WORKLOADS, Workload
from virtlab.cloud.worlds import Spread, spread

__all__ = [
    "ARCHITECTURES", "DUTIES", "PLACES", "REMEDIES", "WORKLOADS", "Architecture", "Attribution", "Bar", "Condition",
    "Efficiency", "Fleet", "FleetResult", "Host", "Mix", "MixResult", "Overhead", "Part", "ServerOptions", "Servers",
    "ServersOptions", "ShareFor", "SideBySide", "Spread", "VendorNumbers", "Verdict", "Workload", "World",
    "attribute", "compose", "efficiency", "judges", "loss", "lost", "merge", "overhead", "placement",
    "price_at_which", "servers", "shapley", "share_for", "side_by_side", "spread", "vendor_numbers", "world",
]  # fmt: skip
