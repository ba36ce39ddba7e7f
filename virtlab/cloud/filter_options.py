"""What a packet filter is asked: rules and masks, flows and their popularity, the caches, and what a step costs."""

from __future__ import annotations

from typing import Literal

from virtlab.cloud.cache_hits import CacheLoad
from virtlab.cloud.flow_cache import CachePolicy
from virtlab.core.parameter import Parameters, parameter, same
from virtlab.cpu.balancing import BalanceOptions
from virtlab.evidence import FACTS
from virtlab.offload import CardLoad, card
from virtlab.offload.card import CardOptions

WhenFull = Literal["evict", "host", "refuse"]


class FilterOptions(Parameters):
    """Rules on a host with a flow cache before a tuple-space search, and the same flows on a card with a table."""

    rules: int = parameter(FACTS["filter.rules"], ge=10, le=100_000, log=True)
    masks: int = parameter(FACTS["filter.masks"], ge=1, le=100)
    active_flows: int = parameter(FACTS["filter.flows"], ge=100, le=10_000_000, log=True)
    cache_entries: int = parameter(FACTS["filter.cache"], ge=100, le=10_000_000, log=True)
    flow_zipf_exponent: float = same(BalanceOptions, "flow_zipf_exponent")
    connection_packets: int = same(CardOptions, "connection_packets", le=10_000)
    insert_probability: float = parameter(FACTS["filter.insert"], ge=0, le=1, step=0.01)
    cache_policy: CachePolicy = parameter(FACTS["filter.policy"], default="two_places")
    mask_zipf_exponent: float = parameter(FACTS["filter.masks.zipf"], ge=0, le=2)
    upcall_share: float = parameter(FACTS["filter.upcall.share"], ge=0, le=1, step=0.01)
    rate_packets_per_s: float = parameter(FACTS["filter.rate"], ge=1_000, le=100_000_000, log=True)
    cache_probe_cycles: float = parameter(FACTS["filter.cache.probe"], ge=1, le=1_000)
    cache_insert_cycles: float = parameter(FACTS["filter.cache.insert"], ge=0, le=10_000)
    mask_probe_cycles: float = parameter(FACTS["filter.mask.probe"], ge=1, le=1_000)
    upcall_ns: float = parameter(FACTS["filter.upcall"], ge=1_000, le=1_000_000, log=True)
    rule_cycles: float = parameter(FACTS["filter.rule"], ge=1, le=1_000)
    clock_ghz: float = parameter(FACTS["cpu.clock"], ge=1, le=6)
    new_flows_per_s: float = parameter(FACTS["card.cps"], ge=10_000, le=10_000_000, log=True)
    table_entries: int = parameter(FACTS["filter.table"], ge=100, le=100_000_000, log=True)
    when_full: WhenFull = parameter(FACTS["filter.full"], default="evict")
    card_packet_ns: float = same(CardOptions, "card_packet_ns")
    flow_life_s: float = same(CardOptions, "flow_life_s")

    @property
    def flow_load(self) -> CacheLoad:
        """What meets the flow cache."""
        return CacheLoad(self.active_flows, self.flow_zipf_exponent, self.connection_packets, self.insert_probability,
                         self.cache_policy)  # fmt: skip

    @property
    def card_load(self) -> CardLoad:
        """The card at this rate, all of it for one function: its cores are as fast as ``new_flows_per_s`` says."""
        cores = CardOptions().card_cores
        return card(
            vfs=1, vf_packets_per_s=self.rate_packets_per_s, connection_packets=self.connection_packets,
            card_packet_ns=self.card_packet_ns, flow_life_s=self.flow_life_s, card_cores=cores,
            connection_ns=cores * 1e9 / self.new_flows_per_s,
        )  # fmt: skip
