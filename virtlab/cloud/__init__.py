"""Composition: the loss of a mix of work, a host and its duties, filters, fleets, and the judges of the claims."""

from virtlab.cloud import judges
from virtlab.cloud.architectures import ARCHITECTURES, REMEDIES, Architecture, compose
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
from virtlab.cloud.mix import Mix, MixResult, Part, ShareFor, loss, share_for
from virtlab.cloud.packet_filter import Decision, PacketFilter
from virtlab.cloud.servers import Servers, ServersOptions, World, merge, servers, world
from virtlab.cloud.verdict import Condition, Verdict
from virtlab.cloud.worlds import Spread, spread

__all__ = [
    "ARCHITECTURES", "DUTIES", "PLACES", "REMEDIES", "Architecture", "CacheLoad", "CardFilter", "Classifier",
    "Condition", "Decision", "Efficiency", "FilterOptions", "Filtering", "Fleet", "FleetResult", "FlowCache", "Host",
    "Match", "Mix", "MixResult", "Packet", "PacketFilter", "Part", "Rule", "Servers", "ServersOptions", "ShareFor",
    "Spread", "Verdict", "World", "best_share", "card_wall", "compose", "efficiency", "filter_card", "filtering",
    "hit_share", "judges", "loss", "lost", "mean_probes", "merge", "price_at_which", "random_packets", "random_rules",
    "scan", "servers", "share_for", "simulate_hits", "spread", "table_hit_share", "world",
]  # fmt: skip
