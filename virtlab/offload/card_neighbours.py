"""Neighbours on one card, receiving: what a share of the link does not slice, and which remedy slices what.

Frames of two VFs come from the wire, pass the card's pipeline (so many frames a second, of whatever size) and are
written to memory through the IOMMU, whose translations and walks they share. Neither stage knows whose a frame is: what
comes above its capacity is dropped in proportion to what comes. Weights act where the card chooses, that is when it
sends; what it receives has been chosen by others. Misses of the shared IOTLB follow Che's approximation (2002) of an
LRU cache under random references; the time of a page and of a miss is that of Rubin and others (SOSP'24), measured with
pages of 4 KiB and taken here for smaller writes too. Left out: that TCP slows down, PCIe itself, descriptors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.offload.iommu import IommuOptions
from virtlab.offload.iotlb import IotlbOptions
from virtlab.offload.sharing import max_min
from virtlab.offload.waiting import md1_wait_ns

CardRemedy = Literal["link", "pps", "pages"]
ROWS: tuple[str, ...] = ("alone", "none", "link", "pps", "pages", "all")
_REMEDIES: dict[str, tuple[CardRemedy, ...]] = {
    "alone": (), "none": (), "link": ("link",), "pps": ("pps",), "pages": ("pages",), "all": ("link", "pps", "pages"),
}  # fmt: skip
_PAGE, _HUGE = 4096, 2 * 2**20


class CardNeighbourOptions(Parameters):
    """A victim with full frames and a rival with small ones, on two VFs of one card."""

    victim_gbit_per_s: float = parameter(FACTS["card.victim.rate"], ge=0.1, le=400, log=True)
    victim_frame_bytes: int = parameter(FACTS["ethernet.frame.typical"], ge=64, le=9018, log=True)
    victim_pool_bytes: int = parameter(FACTS["card.victim.pool"], ge=4096, le=2**32, log=True)
    rival_gbit_per_s: float = parameter(FACTS["card.rival.rate"], ge=0.1, le=400, log=True)
    rival_frame_bytes: int = parameter(FACTS["ethernet.frame.min"], ge=64, le=9018, log=True)
    rival_pool_bytes: int = parameter(FACTS["card.rival.pool"], ge=4096, le=2**32, log=True)
    card_packet_ns: float = parameter(FACTS["card.packet"], ge=1, le=5_000)
    iotlb_entries: int = same(IotlbOptions, "iotlb_entries")
    iommu_base_ns: float = same(IommuOptions, "iommu_base_ns")
    iommu_miss_ns: float = same(IommuOptions, "iommu_miss_ns")
    card_buffer_bytes: int = parameter(FACTS["card.buffer"], ge=65_536, le=2**28, log=True)
    link_gbit_per_s: float = parameter(FACTS["link.rate"], ge=1, le=800)


@dataclass(frozen=True)
class CardLot:
    """What the two receive with some remedies. `pipeline_share`, `iommu_share`: what comes over what fits (above 1 is
    dropped); `misses`: of the victim, for a frame; `wait_ns`: of its frames, in the fuller queue."""

    victim_gbit_per_s: float
    rival_gbit_per_s: float
    pipeline_share: float
    iommu_share: float
    misses: float
    wait_ns: float

    @property
    def limit(self) -> str:
        """Which stage drops: the one that passes the smaller part of what comes."""
        return "nothing" if max(self.pipeline_share, self.iommu_share) <= 1 else (
            "iommu" if self.iommu_share > self.pipeline_share else "pipeline")  # fmt: skip


@dataclass(frozen=True, repr=False)
class CardNeighbours(Shown):
    """The victim alone, beside its rival, and with each remedy: the rival kept to half of the link, frames a second
    shared out, IOMMU pages of 2 MiB, all three."""

    options: CardNeighbourOptions
    lots: dict[str, CardLot]

    def law(self) -> tuple[float, float]:
        """Nobody receives more than is sent to him. Returns the victim's best row and what is sent, Gb/s."""
        return max(lot.victim_gbit_per_s for lot in self.lots.values()), self.options.victim_gbit_per_s

    def sentence(self) -> str:
        o, none = self.options, self.lots["none"]
        best = max(("link", "pps", "pages"), key=lambda row: self.lots[row].victim_gbit_per_s)
        key = "whole" if none.victim_gbit_per_s > 0.999 * self.lots["alone"].victim_gbit_per_s else "sentence"
        return say(
            f"card_neighbours.{key}", asked=_rate(o.victim_gbit_per_s), got=_rate(none.victim_gbit_per_s),
            rival=_rate(o.rival_gbit_per_s), frame=f"{o.rival_frame_bytes:,} B", link=_rate(o.link_gbit_per_s),
            capped=_rate(self.lots["link"].victim_gbit_per_s), best=words(f"card_neighbours.remedy.{best}"),
            then=_rate(self.lots[best].victim_gbit_per_s), all=_rate(self.lots["all"].victim_gbit_per_s),
        )  # fmt: skip

    def table(self) -> Table:
        rows = []
        for key in ROWS:
            lot = self.lots[key]
            rows.append((
                words(f"card_neighbours.row.{key}"), _rate(lot.victim_gbit_per_s), _rate(lot.rival_gbit_per_s),
                show(lot.pipeline_share, "%"), show(lot.iommu_share, "%"), show(lot.misses), show(lot.wait_ns, "ns", 2),
            ))  # fmt: skip
        return Table.of(words("card_neighbours.header"), rows, self.sentence(), numeric=range(1, 7))


def card_neighbours(options: CardNeighbourOptions | None = None, /, **changes: Any) -> CardNeighbours:
    """Two VFs of one card that receive. Options as in :class:`CardNeighbourOptions`, or by name.

    Raises ParameterError: a value out of range.
    """
    o = CardNeighbourOptions.given(options, changes)
    return CardNeighbours(o, {key: _lot(o, _REMEDIES[key], key != "alone") for key in ROWS})


def unsliced() -> Table:
    """What VFs of a card share besides the link: what the standard slices of it, and what else does."""
    return Table.of(words("card_neighbours.shared.header"), words("card_neighbours.shared.rows"),
                    words("card_neighbours.shared.caption"))  # fmt: skip


def hit_shares(entries: float, pages: Sequence[float], rates: Sequence[float]) -> tuple[float, ...]:
    """Hits of each tenant in an LRU cache that they share, each at random in `pages` of its own (Che, 2002).

    A page stays for a time T after its use; the T at which all tenants together hold `entries`. Shares 0 to 1.
    """
    if sum(p for p, r in zip(pages, rates, strict=True) if r > 0) <= entries:
        return (1.0,) * len(pages)

    def held(stay: float) -> float:
        return sum(-p * math.expm1(-r * stay / p) for p, r in zip(pages, rates, strict=True))

    low, high = 0.0, entries / sum(rates)
    while held(high) < entries:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if held(middle) < entries else (low, middle)
    return tuple(-math.expm1(-r * high / p) for p, r in zip(pages, rates, strict=True))


def _lot(o: CardNeighbourOptions, remedies: tuple[CardRemedy, ...], beside: bool) -> CardLot:
    gap = FACTS["ethernet.gap"].value
    frames = (o.victim_frame_bytes, o.rival_frame_bytes)
    link = o.link_gbit_per_s
    sent = [min(o.victim_gbit_per_s, link), min(o.rival_gbit_per_s, link) if beside else 0.0]
    if "link" in remedies:
        sent = list(max_min(sent, capacity=link, maxima=(link, link / 2)))
    else:  # the wire carries no more, and whoever sends more has more of it
        sent = [x * min(1.0, link / sum(sent)) for x in sent]
    rates = [x / 8 / (f + gap) for x, f in zip(sent, frames, strict=True)]  # frames a ns
    pipeline = sum(rates) * o.card_packet_ns
    if "pps" in remedies:
        rates = list(max_min(rates, capacity=1 / o.card_packet_ns))
    else:
        rates = [r / max(1.0, pipeline) for r in rates]
    page = _HUGE if "pages" in remedies else _PAGE
    pages = [max(1.0, pool / page) for pool in (o.victim_pool_bytes, o.rival_pool_bytes)]
    misses = [1 - hit for hit in hit_shares(o.iotlb_entries, pages, rates)]
    # A frame's part of a page's time, and its misses.
    takes = [o.iommu_base_ns * f / _PAGE + m * o.iommu_miss_ns for f, m in zip(frames, misses, strict=True)]
    iommu = sum(r * t for r, t in zip(rates, takes, strict=True))
    got = [8 * r / max(1.0, iommu) * (f + gap) for r, f in zip(rates, frames, strict=True)]
    if got[0] < sent[0] * (1 - 1e-9):  # dropped: what is not dropped waits in a full buffer
        wait = 8 * o.card_buffer_bytes / sum(got)
    else:  # a pipeline that is shared out serves the victim in its turn, however much the rival sends
        frames_per_s = 1e9 * sum(rates)
        first = md1_wait_ns(frames_per_s, o.card_packet_ns) if pipeline < 1 else o.card_packet_ns
        wait = max(first, md1_wait_ns(frames_per_s, iommu / sum(rates)))
    return CardLot(got[0], got[1], pipeline, iommu, misses[0], wait)


def _rate(gbit_per_s: float) -> str:
    return show(gbit_per_s, "Gb/s")
