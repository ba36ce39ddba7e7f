"""Composition: the loss of a mix of work, a host and its duties, filters, fleets, and the judges of the claims."""

from virtlab.cloud import judges
from virtlab.cloud.architectures import ARCHITECTURES, REMEDIES, Architecture, compose
from virtlab.cloud.attribution import Attribution, Bar, attribute
from virtlab.cloud.beside import VMM_BYTES
from virtlab.cloud.boots import BOOTS, Boots, boots
from virtlab.cloud.cache_hits import CacheLoad, best_share, hit_share, mean_probes, simulate_hits, table_hit_share
from virtlab.cloud.card_limit import CardLimit, CardLimitOptions, card_limit
from virtlab.cloud.catalogue import Catalogue, catalogue
from virtlab.cloud.classifier import Classifier, Match
from virtlab.cloud.code_size import CodeShares, code_shares
from virtlab.cloud.crossings import OPERATIONS, Crossings, crossings, operations
from virtlab.cloud.density import Density, density, density_curve, density_of
from virtlab.cloud.design import Design, design
from virtlab.cloud.efficiency import Efficiency, efficiency
from virtlab.cloud.filter_card import CardFilter, card_wall, filter_card
from virtlab.cloud.filter_options import FilterOptions
from virtlab.cloud.filter_rules import Packet, Rule, random_packets, random_rules, scan
from virtlab.cloud.filtering import Filtering, filtering
from virtlab.cloud.fleet_loss import Fleet, FleetResult, lost, price_at_which
from virtlab.cloud.flow_cache import FlowCache
from virtlab.cloud.host import DUTIES, PLACES, Host
from virtlab.cloud.management import Management, ManagementCurve, kept_back, management, management_curve
from virtlab.cloud.management_options import ManagementOptions
from virtlab.cloud.mix import Mix, MixResult, Part, ShareFor, loss, share_for
from virtlab.cloud.overhead import Overhead, overhead
from virtlab.cloud.packet_filter import Decision, PacketFilter
from virtlab.cloud.placement import SideBySide, VendorNumbers, placement, side_by_side, vendor_numbers
from virtlab.cloud.server import ServerOptions
from virtlab.cloud.servers import Servers, ServersOptions, World, merge, servers, world
from virtlab.cloud.shapley import shapley
from virtlab.cloud.slim import LOSSES, MOVES, Slim, slim, thinness
from virtlab.cloud.snapshots import SnapshotOptions, Snapshots, snapshots
from virtlab.cloud.surface import Surface, surface
from virtlab.cloud.tco import Tco, TcoOptions, fleet
from virtlab.cloud.trimming import Trimming, trimming
from virtlab.cloud.verdict import Condition, Verdict
from virtlab.cloud.workloads import WORKLOADS, Workload
from virtlab.cloud.worlds import Spread, spread

__all__ = [
    "ARCHITECTURES", "BOOTS", "DUTIES", "LOSSES", "MOVES", "OPERATIONS", "PLACES", "REMEDIES", "VMM_BYTES", "WORKLOADS",
    "Architecture", "Attribution", "Bar", "Boots", "CacheLoad", "CardFilter", "CardLimit", "CardLimitOptions",
    "Catalogue", "Classifier", "CodeShares", "Condition", "Crossings", "Decision", "Density", "Design", "Efficiency",
    "FilterOptions", "Filtering", "Fleet", "FleetResult", "FlowCache", "Host", "Management", "ManagementCurve",
    "ManagementOptions", "Match", "Mix", "MixResult", "Overhead", "Packet", "PacketFilter", "Part", "Rule",
    "ServerOptions", "Servers", "ServersOptions", "ShareFor", "SideBySide", "Slim", "SnapshotOptions", "Snapshots",
    "Spread", "Surface", "Tco", "TcoOptions", "Trimming", "VendorNumbers", "Verdict", "Workload", "World", "attribute",
    "best_share", "boots", "card_limit", "card_wall", "catalogue", "code_shares", "compose", "crossings", "density",
    "density_curve", "density_of", "design", "efficiency", "filter_card", "filtering", "fleet", "hit_share", "judges",
    "kept_back", "loss", "lost", "management", "management_curve", "mean_probes", "merge", "operations", "overhead",
    "placement", "price_at_which", "random_packets", "random_rules", "scan", "servers", "shapley", "share_for",
    "side_by_side", "simulate_hits", "slim", "snapshots", "spread", "surface", "table_hit_share", "thinness",
    "trimming", "vendor_numbers", "world",
]  # fmt: skip
