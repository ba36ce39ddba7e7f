"""The filter lab: what a packet filter costs the host by hits and masks, and the two limits of a card."""

from __future__ import annotations

from virtlab.cloud import FilterOptions, card_wall, filtering
from virtlab.cloud.filter_options import WhenFull
from virtlab.cloud.flow_cache import CachePolicy
from virtlab.core.parameter import Parameters, same
from virtlab.core.words import say
from virtlab.figures.filter import PACKETS, FilterPicture, FilterResult
from virtlab.labs.base import Lab


class FilterSetting(Parameters):
    """Rules, masks and flows; the cache of the host, and the table and the slow path of the card."""

    rules: int = same(FilterOptions, "rules")
    masks: int = same(FilterOptions, "masks")
    active_flows: int = same(FilterOptions, "active_flows")
    cache_entries: int = same(FilterOptions, "cache_entries")
    flow_zipf_exponent: float = same(FilterOptions, "flow_zipf_exponent")
    connection_packets: int = same(FilterOptions, "connection_packets")
    new_flows_per_s: float = same(FilterOptions, "new_flows_per_s")
    rate_packets_per_s: float = same(FilterOptions, "rate_packets_per_s")
    insert_probability: float = same(FilterOptions, "insert_probability")
    cache_policy: CachePolicy = same(FilterOptions, "cache_policy")
    upcall_share: float = same(FilterOptions, "upcall_share")
    table_entries: int = same(FilterOptions, "table_entries")
    when_full: WhenFull = same(FilterOptions, "when_full")


class FilterLab(Lab):
    """Cycles of a packet in a filter on the host, beside a scan of the rules; and the most packets/s of a card.

    The hits are those of the closed form: the cache itself would take too many packets for a slider.
    """

    Setting = FilterSetting
    Picture = FilterPicture
    visible = ("rules", "masks", "active_flows", "cache_entries")

    def solve(self, setting: FilterSetting) -> FilterResult:
        options = FilterOptions(**setting.model_dump())
        return FilterResult(filtering(options), card_wall(PACKETS, options))

    def sentence(self, setting: FilterSetting, result: FilterResult) -> str:
        cost = result.filtering
        return say("filter_lab.sentence", host=cost.sentence(), card=cost.card.sentence())
