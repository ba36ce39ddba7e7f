"""Composition: the loss of a mix of work, a host and its duties, filters, fleets, and the judges of the claims."""

from virtlab.cloud import judges
from virtlab.cloud.architectures import ARCHITECTURES, REMEDIES, Architecture, compose
from virtlab.cloud.attribution import Attribution, Bar, attribute
from virtlab.cloud.cache_hits import CacheLoad, best_share, hit_share, mean_probes, simulate_hits, table_hit_share
from virtlab.cloud.classifier import Classifier, Match
from virtlab.cloud.efficiency import Efficiency, efficiency
from virtlab.cloud.filter_card import CardFilter, card_wall, filter_card
from virtlab.cloud.filter_options import FilterOptions
from virtlab.cloud.filter_rules import Packet, Rule, random_packets, random_rules, scan
from virtlab.cloud.filtering import Filtering, filtering
from virtlab.cloud.fleet import Fleet, FleetResult, lost, price_at_which
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
from virtlab.cloud.snapshots import SnapshotOptions, Snapshots, snapshots
from virtlab.cloud.verdict import Condition, Verdict
from virtlab.cloud.workloads import WORKLOADS, Workload
from virtlab.cloud.worlds import Spread, spread

__all__ = [
    "ARCHITECTURES", "DUTIES", "PLACES", "REMEDIES", "WORKLOADS", "Architecture", "Attribution", "Bar", "CacheLoad",
    "CardFilter", "Classifier", "Condition", "Decision", "Efficiency", "FilterOptions", "Filtering", "Fleet",
    "FleetResult", "FlowCache", "Host", "Management", "ManagementCurve", "ManagementOptions", "Match", "Mix",
    "MixResult", "Overhead", "Packet", "PacketFilter", "Part", "Rule", "ServerOptions", "Servers", "ServersOptions",
    "ShareFor", "SideBySide", "SnapshotOptions", "Snapshots", "Spread", "VendorNumbers", "Verdict", "Workload",
    "World", "attribute", "best_share", "card_wall", "compose", "efficiency", "filter_card", "filtering",
    "hit_share", "judges", "kept_back", "loss", "lost", "management", "management_curve", "mean_probes", "merge",
    "overhead", "placement", "price_at_which", "random_packets", "random_rules", "scan", "servers", "shapley",
    "share_for", "side_by_side", "simulate_hits", "snapshots", "spread", "table_hit_share", "vendor_numbers",
    "world",
]  # fmt: skip
