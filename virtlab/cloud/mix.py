"""What a mix of work loses in a virtual machine: a mean of published losses, with the weighting said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_validator

from virtlab.cloud.efficiency import is_number
from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Table
from virtlab.core.units import number, show, signed
from virtlab.core.words import say, words
from virtlab.evidence import FACTS, Fact

PartName = Literal["cpu", "net", "blk"]
System = Literal["qemu", "fc", "chv"]
PARTS: tuple[PartName, ...] = ("cpu", "net", "blk")
_SUM_TOLERANCE = 1e-6


class Mix(Parameters):
    """A mix of work, and the published figures that stand for its parts.

    The shares are taken of their sum. ``weights`` says of what they are shares: "servers" of a fleet, each of which
    does one kind of work, or "time" that one job takes on bare metal.
    """

    share_cpu: float = parameter(FACTS["mix.cpu"], ge=0, le=1, unit="1")
    share_net: float = parameter(FACTS["mix.net"], ge=0, le=1, unit="1")
    share_blk: float = parameter(FACTS["mix.blk"], ge=0, le=1, unit="1")
    system: System = parameter(FACTS["article.loss"], default="qemu", unit="1")
    block: Literal[
        "4k-qd32-read", "4k-qd1-read", "128k-qd32-read", "128k-qd1-read",
        "4k-qd32-write", "4k-qd1-write", "128k-qd32-write", "128k-qd1-write",
    ] = parameter(FACTS["nsdi20.qemu.randread.4k.qd32.loss"], default="4k-qd32-read")  # fmt: skip
    network: Literal["iperf-1-rx", "iperf-1-tx", "iperf-10-rx", "iperf-10-tx"] = parameter(
        FACTS["nsdi20.qemu.iperf.1.rx"], default="iperf-1-rx", unit="1"
    )
    weights: Literal["servers", "time"] = parameter(FACTS["mix.cpu"], default="servers", unit="1")

    @model_validator(mode="after")
    def _some_work(self) -> Mix:
        if self.shares_given == 0:
            raise ValueError(
                "share_cpu, share_net and share_blk must not all be 0; each is 0 to 1: a mix of no work loses nothing."
            )
        if _network_fact(self.system, self.network) not in FACTS:
            raise ValueError(
                f"network must be another than {self.network} when system is {self.system}; the published file has no "
                "such figure: the network of that VM stood still before the test."
            )
        return self

    @property
    def shares_given(self) -> float:
        """What the shares add up to as they were given."""
        return self.share_cpu + self.share_net + self.share_blk

    @property
    def shares(self) -> dict[PartName, float]:
        """The shares divided by their sum; they add up to 1."""
        total = self.shares_given
        return {"cpu": self.share_cpu / total, "net": self.share_net / total, "blk": self.share_blk / total}


@dataclass(frozen=True)
class Part:
    """One kind of work: its share, its own loss (0 to 1; negative: faster than bare metal), what it adds to the total.

    ``low`` .. ``high`` is the published interval; a single run has none, then both equal ``loss``.
    """

    name: PartName
    share: float
    loss: float
    low: float
    high: float
    contribution: float
    facts: tuple[Fact, ...]

    @property
    def title(self) -> str:
        return str(words(f"cloud.part.{self.name}"))

    def change(self) -> str:
        """The change of speed as a person reads it; of an interval both ends, and the derived middle that is used."""
        used = signed(-self.loss, "%")
        if self.low == self.high:
            return used
        return say("cloud.mix.interval", low=signed(-self.low, "%"), high=signed(-self.high, "%"), used=used)

    def cite(self) -> str:
        """Class and source of the facts behind this part, each once, for a caption."""
        return "; ".join(dict.fromkeys(fact.cite() for fact in self.facts))


@dataclass(frozen=True, repr=False)
class MixResult:
    """The loss of a mix (0 to 1), its interval, its parts; ``caveats`` are sentences that belong beside the number."""

    mix: Mix
    loss: float
    low: float
    high: float
    parts: tuple[Part, ...]
    caveats: tuple[str, ...]

    def part(self, name: PartName) -> Part:
        """The part called ``name``."""
        return next(p for p in self.parts if p.name == name)

    def law(self) -> tuple[float, float]:
        """Conservation: what the parts add is the total loss. Returns both sides."""
        return sum(p.contribution for p in self.parts), self.loss

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        most = max(self.parts, key=lambda p: p.contribution)
        return say(
            f"cloud.mix.{self.mix.weights}", loss=show(self.loss, "%"), low=show(self.low, "%"),
            high=show(self.high, "%"), most=most.title, contribution=show(most.contribution, "%"),
        )  # fmt: skip

    def table(self) -> Table:
        rows = [(p.title, show(p.share, "%"), p.change(), show(p.contribution, "%"), p.cite()) for p in self.parts]
        rows.append((words("cloud.mix.total"), show(1.0, "%"), signed(-self.loss, "%"), show(self.loss, "%"), ""))
        return Table.of(words("cloud.mix.header"), rows, self.sentence(), numeric=[1, 2, 3])

    def __str__(self) -> str:
        return "\n".join([str(self.table()), *self.caveats])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        # Caveats are our own words: nothing to escape in them.
        return self.table()._repr_html_() + "<ul>" + "".join(f"<li>{c}</li>" for c in self.caveats) + "</ul>"


def loss(mix: Mix | None = None, /, **changes: Any) -> MixResult:
    """The loss of a mix of work (0 to 1; negative where the VM was faster), from published figures.

    "servers": each server of a fleet loses its own part, so the loss is the arithmetic mean of the losses. "time": a
    part that takes the share s of a job's time on bare metal takes s / (1 - loss) in the VM, so
    1 - loss = 1 / sum(s / (1 - loss)), the harmonic mean. The second is never below the first.
    Parameters as in :class:`Mix`, given as one object or by name. Raises ParameterError.
    """
    chosen = _mix_of(mix, changes)
    figures = {name: part_loss(name, chosen) for name in PARTS}
    shares = chosen.shares
    total, low, high = (
        weighted({n: getattr(figures[n], which) for n in PARTS}, shares, chosen.weights)
        for which in ("loss", "low", "high")
    )
    parts = []
    for name, figure in figures.items():
        # Servers lose their own part. In time, a part adds its extra time, measured in the time of the whole VM's run.
        extra = figure.loss if chosen.weights == "servers" else figure.loss / (1 - figure.loss) * (1 - total)
        parts.append(Part(name, shares[name], figure.loss, figure.low, figure.high, shares[name] * extra, figure.facts))
    return MixResult(chosen, total, low, high, tuple(parts), _caveats(chosen))


def weighted(losses: dict[PartName, float], shares: dict[PartName, float], weights: str) -> float:
    """The mean of losses (each below 1), shares adding up to 1: arithmetic for "servers", harmonic for "time"."""
    if weights == "servers":
        return sum(shares[n] * losses[n] for n in PARTS)
    return 1 - 1 / sum(shares[n] / (1 - losses[n]) for n in PARTS)


@dataclass(frozen=True)
class Figure:
    """The published loss of one kind of work, and the facts that it is computed from."""

    loss: float
    low: float
    high: float
    facts: tuple[Fact, ...]


def part_loss(name: PartName, mix: Mix) -> Figure:
    """The published loss of one part of ``mix``. Computing: an expert's interval; I/O: 1 - virtual / bare rate."""
    if name == "cpu":
        fact = FACTS["overhead.gregg.hardware"]
        return Figure(fact.value, fact.low, fact.high, (fact,))
    if name == "net":
        bare, virtual = FACTS[_network_fact("loopback", mix.network)], FACTS[_network_fact(mix.system, mix.network)]
    else:
        bare, virtual = FACTS[_block_fact("metal", mix.block)], FACTS[_block_fact(mix.system, mix.block)]
    lost = 1 - virtual.value / bare.value
    return Figure(lost, lost, lost, (bare, virtual))


def networks(system: System) -> tuple[str, ...]:
    """The network tests that were published for ``system``."""
    return tuple(n for n in Mix.specs()["network"].choices if _network_fact(system, n) in FACTS)


@dataclass(frozen=True)
class ShareFor:
    """The block share that gives a wanted loss; ``share_blk`` is None where no share does, and ``reason`` says why."""

    loss: float
    share_cpu: float | None
    share_net: float
    share_blk: float | None
    reason: str

    def __str__(self) -> str:
        return self.reason

    __repr__ = __str__


def share_for(loss_target: float, mix: Mix | None = None, /, **changes: Any) -> ShareFor:
    """The block share (0 to 1 of all work) at which the mix loses exactly ``loss_target`` (below 1).

    The network share stays as ``mix`` has it, computing takes the rest: one such mix for each network share, hence a
    family with one parameter. Raises ValueError for a target outside -10 to below 1 (a gain is negative).
    """
    if not is_number(loss_target) or not -10 <= loss_target < 1:
        raise ValueError(
            f"loss_target must be -10 to below 1; you gave {loss_target!r}: at 1 nothing would be left (0.1 is 10 %)."
        )
    chosen = _mix_of(mix, changes)
    net = chosen.shares["net"]

    def cost(value: float) -> float:  # the quantity that is linear in the shares: loss, or time on the VM
        return value if chosen.weights == "servers" else 1 / (1 - value)

    per_cpu, per_net, per_blk = (cost(part_loss(n, chosen).loss) for n in PARTS)
    if net == 1 or per_blk == per_cpu:
        share = None
    else:
        share = (cost(loss_target) - net * per_net - (1 - net) * per_cpu) / (per_blk - per_cpu)
    fixed = {"target": show(loss_target, "%"), "net": show(net, "%")}
    if share is not None and -1e-12 <= share <= 1 - net + 1e-12:
        share = min(max(share, 0.0), 1 - net)
        cpu = 1 - net - share
        found = say("cloud.share.found", blk=show(share, "%"), cpu=show(cpu, "%"), **fixed)
        return ShareFor(loss_target, cpu, net, share, found)
    ends = [loss(_with_shares(chosen, net, blk)).loss for blk in (0.0, 1 - net)]
    reason = say("cloud.share.none", least=show(min(ends), "%"), most=show(max(ends), "%"), **fixed)
    return ShareFor(loss_target, None, net, None, reason)


def _with_shares(mix: Mix, net: float, blk: float) -> Mix:
    changed: Mix = mix.replace(share_cpu=max(0.0, 1 - net - blk), share_net=net, share_blk=blk)
    return changed


def _mix_of(mix: Mix | None, changes: dict[str, Any]) -> Mix:
    if mix is None:
        return Mix(**changes)
    chosen: Mix = mix.replace(**changes) if changes else mix
    return chosen


def _block_fact(system: str, block: str) -> str:
    size, depth, kind = block.split("-")
    return f"nsdi20.{system}.rand{kind}.{size}.{depth}.iops"


def _network_fact(system: str, network: str) -> str:
    return f"nsdi20.{system}.{network.replace('-', '.')}"


def _caveats(mix: Mix) -> tuple[str, ...]:
    keys: list[str] = [mix.system]
    if mix.share_net:
        keys.append("loopback")
    if mix.share_blk and mix.block.endswith("write"):
        keys.append("writes")
    caveats = [str(words(f"cloud.caveat.{key}")) for key in keys]
    if abs(mix.shares_given - 1) > _SUM_TOLERANCE:
        caveats.append(say("cloud.caveat.scaled", sum=number(mix.shares_given, 6)))
    return tuple(caveats)
