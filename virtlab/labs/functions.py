"""The function lab: 1 024 VFs, what each finite resource says to them, and their card when all are busy."""

from __future__ import annotations

import math

from virtlab.core.parameter import Parameters, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.figures.functions import BUSY, FunctionPicture, FunctionResult
from virtlab.labs.base import Lab
from virtlab.memory.pages import PageSize
from virtlab.offload import card, card_curve, functions
from virtlab.offload.card import CardOptions
from virtlab.offload.functions import FunctionOptions

#: An MSI-X table of the most vectors must fit.
_LEAST_BAR = 1 << 15
_OF_THE_CARD = ("vf_packets_per_s", "connection_packets", "card_cores")


class FunctionSetting(Parameters):
    """How many VFs, what each takes, and what it sends when it is busy."""

    vectors: int = same(FunctionOptions, "vectors")
    vfs: int = same(FunctionOptions, "vfs")
    memory_bytes: int = same(FunctionOptions, "memory_bytes", ge=1 << 26, le=1 << 41)
    vf_bar_bytes: int = same(FunctionOptions, "vf_bar_bytes", ge=_LEAST_BAR)
    queue_pairs: int = same(FunctionOptions, "queue_pairs")
    ari: bool = same(FunctionOptions, "ari")
    acs: bool = same(FunctionOptions, "acs")
    pri: bool = same(FunctionOptions, "pri")
    dma_page: PageSize = same(FunctionOptions, "dma_page")
    vf_offset: int = same(FunctionOptions, "vf_offset", le=1024)
    vf_packets_per_s: float = same(CardOptions, "vf_packets_per_s", ge=10)
    connection_packets: int = same(CardOptions, "connection_packets", le=10_000)
    card_cores: int = same(CardOptions, "card_cores", le=64)

    def function_options(self) -> FunctionOptions:
        """What the functions take."""
        return FunctionOptions(**{name: v for name, v in self.model_dump().items() if name not in _OF_THE_CARD})

    def card_options(self) -> CardOptions:
        """Their card, all of them busy."""
        return CardOptions(vfs=self.vfs, queue_pairs=self.queue_pairs, **{n: getattr(self, n) for n in _OF_THE_CARD})


class FunctionLab(Lab):
    """What the VFs of a card take of each finite resource, and the wait for a core when all of them are busy."""

    Setting = FunctionSetting
    Picture = FunctionPicture
    visible = ("vfs", "vectors", "memory_bytes", "vf_bar_bytes")

    def solve(self, setting: FunctionSetting) -> FunctionResult:
        options = setting.card_options()
        saturated = options.connections_per_s_most * setting.connection_packets / setting.vf_packets_per_s
        taken = functions(setting.function_options())
        return FunctionResult(taken, card(options), card_curve(BUSY, options), saturated)

    def sentence(self, setting: FunctionSetting, result: FunctionResult) -> str:
        wait = result.card.connection_wait_ns
        there = words("function_lab.no_end") if math.isinf(wait) else say("function_lab.wait_is", wait=show(wait, "ns"))
        share = show(result.shares[result.first], "%")
        return say("function_lab.sentence", verdict=result.verdict(), numbers=result.numbers(), share=share,
                   vfs=number(setting.vfs, 5), saturated=number(result.saturated), card=there)  # fmt: skip
