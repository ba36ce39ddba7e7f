"""Lines of code: what share of what? One figure for each thing and each baseline. Lines are no measure of safety."""

from __future__ import annotations

from dataclasses import dataclass

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

#: What a "whole" can be: all of QEMU, the figure a paper gives, a default x86 build, a build with few devices.
BASELINES = ("code.qemu", "code.qemu.said", "code.qemu.x86", "code.qemu.trimmed")
#: What a "light" hypervisor or monitor can be.
THINGS = ("code.qemu.x86", "code.qemu.trimmed", "code.nemu", "code.nemu.arm", "code.firecracker",
          "code.firecracker.plain", "code.chv", "code.crosvm", "code.xen", "code.xen.x86")  # fmt: skip
_NEAR = 0.2


@dataclass(frozen=True)
class CodeShare:
    """Lines of ``thing`` over lines of ``baseline`` (ids of facts); ``low`` .. ``high`` where one is an interval."""

    thing: str
    baseline: str
    share: float
    low: float
    high: float

    def about(self, wanted: float) -> bool:
        """Whether the share is within a fifth of ``wanted``."""
        return abs(self.share - wanted) <= _NEAR * wanted * (1 + 1e-12)


@dataclass(frozen=True, repr=False)
class CodeShares(Shown):
    """The share of every thing in every baseline; ``wanted`` is the share that pairs are compared with."""

    pairs: tuple[CodeShare, ...]
    wanted: float

    def __getitem__(self, key: tuple[str, str]) -> CodeShare:
        for pair in self.pairs:
            if (pair.thing, pair.baseline) == key:
                return pair
        raise KeyError(f"there is no pair {key}")

    @property
    def matches(self) -> tuple[CodeShare, ...]:
        """The pairs whose share is about the wanted one."""
        return tuple(pair for pair in self.pairs if pair.about(self.wanted))

    def sentence(self) -> str:
        """How many pairs give about the wanted share, and the least and the most of all."""
        shares = [pair.share for pair in self.pairs]
        return say("thin.code.sentence", wanted=show(self.wanted, "%"), matches=number(len(self.matches)),
                   pairs=number(len(self.pairs)), low=show(min(shares), "%"), high=show(max(shares), "%"))  # fmt: skip

    def table(self) -> Table:
        def cell(thing: str, baseline: str) -> str:
            if thing == baseline:
                return "–"
            pair = self[thing, baseline]
            return show(pair.share, "%") + (" ←" if pair.about(self.wanted) else "")

        rows = [(words(f"thin.code.{_key(thing)}"), number(FACTS[thing].value, 7), *(cell(thing, b) for b in BASELINES))
                for thing in THINGS]  # fmt: skip
        head = [*words("thin.code.header"), *(words(f"thin.code.of.{_key(b)}") for b in BASELINES)]
        return Table.of(head, rows, self.sentence(), numeric=range(1, len(head)))


def code_shares(wanted: float | None = None) -> CodeShares:
    """The share of every thing of THINGS in every baseline of BASELINES, beside ``wanted`` (the claim's 15 %).

    Raises ValueError for a share that is not above 0 and at most 1.
    """
    share = FACTS["article.code"].value if wanted is None else wanted
    if not 0 < share <= 1:
        raise ValueError(f"wanted must be above 0 and at most 1; you gave {wanted!r}: it is a share (0.15 is 15 %).")
    pairs = []
    for thing in THINGS:
        for baseline in BASELINES:
            if thing != baseline:
                a, b = FACTS[thing], FACTS[baseline]
                pairs.append(CodeShare(thing, baseline, a.value / b.value, a.low / b.high, a.high / b.low))
    return CodeShares(tuple(pairs), share)


def _key(fact: str) -> str:
    return fact.removeprefix("code.").replace(".", "_")
