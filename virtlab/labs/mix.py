"""The mix lab: the same "10 %" from different shares of work, before published losses."""

from __future__ import annotations

from typing import Literal, get_args

from virtlab.cloud import Mix, loss
from virtlab.cloud.mix import part_loss
from virtlab.core.parameter import Parameters, parameter
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.mix import ABOUT, LossRow, MixPicture, MixPictureResult
from virtlab.labs.base import Lab

Block = Literal[
    "4k-qd32-read", "4k-qd1-read", "128k-qd32-read", "128k-qd1-read",
    "4k-qd32-write", "4k-qd1-write", "128k-qd32-write", "128k-qd1-write",
]  # fmt: skip
Network = Literal["iperf-1-rx", "iperf-1-tx"]


class MixSetting(Parameters):
    """Shares of work, and which published figures stand for them. Computing takes what the others leave."""

    share_net: float = parameter(FACTS["mix.net"], ge=0, le=1, step=0.01)
    share_blk: float = parameter(FACTS["mix.blk"], ge=0, le=1, step=0.01)
    block: Block = parameter(FACTS["nsdi20.qemu.randread.4k.qd32.loss"], default="4k-qd32-read")
    system: Literal["qemu", "fc", "chv"] = parameter(FACTS["article.loss"], default="qemu")
    network: Network = parameter(FACTS["nsdi20.qemu.iperf.1.rx"], default="iperf-1-rx", unit="1")
    weights: Literal["servers", "time"] = parameter(FACTS["mix.cpu"], default="servers")

    def mix(self) -> Mix:
        """The mix under this setting. Shares above 1 in all are scaled down, and computing has no part in them."""
        cpu = max(0.0, 1 - self.share_net - self.share_blk)
        return Mix(share_cpu=cpu, share_net=self.share_net, share_blk=self.share_blk, system=self.system,
                   block=self.block, network=self.network, weights=self.weights)  # fmt: skip


class _Picture(MixPicture):
    keys = ("computing", *get_args(Network), *get_args(Block))


class MixLab(Lab):
    """Where do 10 % go? A mix of computing, network and block I/O, and what each loses in a VM."""

    Setting = MixSetting
    Picture = _Picture
    visible = ("share_net", "share_blk", "block", "system")
    prediction_id = "01.loss"

    def solve(self, setting: MixSetting) -> MixPictureResult:
        mix = setting.mix()
        result = loss(mix)
        rows = []
        for key in _Picture.keys:
            part = "cpu" if key == "computing" else "net" if key in get_args(Network) else "blk"
            choice = {"net": {"network": key}, "blk": {"block": key}}.get(part, {})
            figure = part_loss(part, mix.replace(**choice))  # type: ignore[arg-type]
            chosen = key in ("computing", mix.block, mix.network) and mix.shares[part] > 0  # type: ignore[index]
            rows.append(LossRow(key, part, figure.loss, figure.low, figure.high, chosen))
        parts: dict[str, float] = {p.name: p.contribution for p in result.parts}
        return MixPictureResult(tuple(rows), result.loss, result.low, result.high, parts)

    def sentence(self, setting: MixSetting, result: MixPictureResult) -> str:
        shares = setting.mix().shares
        where = "below" if result.loss < ABOUT[0] else "above" if result.loss > ABOUT[1] else "inside"
        return say(
            "mix.sentence",
            cpu=show(shares["cpu"], "%"), net=show(shares["net"], "%"), blk=show(shares["blk"], "%"),
            block=words(f"mix.row.{setting.block}"),
            system=words(f"parameter.system.choices.{setting.system}"),
            loss=show(result.loss, "%"), low=show(result.low, "%"), high=show(result.high, "%"),
            verdict=words(f"mix.{where}"),
        )  # fmt: skip
