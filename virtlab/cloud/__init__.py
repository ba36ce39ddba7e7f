"""Composition: the loss of a mix of work, what it means for a fleet, and the judges of the claims."""

from virtlab.cloud import judges
from virtlab.cloud.architectures import ARCHITECTURES, REMEDIES, Architecture, compose
from virtlab.cloud.attribution import Attribution, Bar, attribute
from virtlab.cloud.boots import BOOTS, Boots, boots
from virtlab.cloud.catalogue import Catalogue, catalogue
from virtlab.cloud.code_size import CodeShares, code_shares
from virtlab.cloud.crossings import OPERATIONS, Crossings, crossings, operations
from virtlab.cloud.density import Density, density, density_curve, density_of
from virtlab.cloud.efficiency import Efficiency, efficiency
from virtlab.cloud.fleet import Fleet, FleetResult, lost, price_at_which
from virtlab.cloud.host import DUTIES, PLACES, Host
from virtlab.cloud.mix import Mix, MixResult, Part, ShareFor, loss, share_for
from virtlab.cloud.overhead import Overhead, overhead
from virtlab.cloud.placement import SideBySide, VendorNumbers, placement, side_by_side, vendor_numbers
from virtlab.cloud.server import ServerOptions
from virtlab.cloud.shapley import shapley
from virtlab.cloud.slim import LOSSES, MOVES, Slim, slim, thinness
from virtlab.cloud.surface import Surface, surface
from virtlab.cloud.trimming import Trimming, trimming
from virtlab.cloud.verdict import Condition, Verdict
from virtlab.cloud.workloads import WORKLOADS, Workload

__all__ = [
    "ARCHITECTURES", "BOOTS", "DUTIES", "LOSSES", "MOVES", "OPERATIONS", "PLACES", "REMEDIES", "WORKLOADS",
    "Architecture", "Attribution", "Bar", "Boots", "Catalogue", "CodeShares", "Condition", "Crossings", "Density",
    "Efficiency", "Fleet", "FleetResult", "Host", "Mix", "MixResult", "Overhead", "Part", "ServerOptions", "ShareFor",
    "SideBySide", "Slim", "Surface", "Trimming", "VendorNumbers", "Verdict", "Workload", "attribute", "boots",
    "catalogue", "code_shares", "compose", "crossings", "density", "density_curve", "density_of", "efficiency",
    "judges", "loss", "lost", "operations", "overhead", "placement", "price_at_which", "shapley", "share_for",
    "side_by_side", "slim", "surface", "thinness", "trimming", "vendor_numbers",
]  # fmt: skip
