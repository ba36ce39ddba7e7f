"""What exits make of work: the work form, for predictions, in which a unit of work causes them and becomes slower.

It meets the rate form (`virtlab.cpu.exits`) in r = n / (W slowdown), so that tau = 1 - 1 / slowdown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from virtlab.core.parameter import parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say
from virtlab.cpu.cost_sets import ExitCost
from virtlab.cpu.exits import ExitProfile, exit_profile, set_name
from virtlab.cpu.reasons import Route
from virtlab.evidence import FACTS


class WorkOptions(ExitCost):
    """How long a unit of work takes where it causes no exit."""

    work_ns: float = parameter(FACTS["exit.work.default"], ge=1, le=1e12, log=True)


@dataclass(frozen=True, repr=False)
class ExitWork(Shown):
    """What exits make of a unit of work: the work form."""

    options: WorkOptions
    per_work: Mapping[str, float]
    profile: ExitProfile

    @property
    def exits_ns(self) -> float:
        """The time of all exits of one unit of work."""
        return math.fsum(n * line.exit_ns for n, line in zip(self.per_work.values(), self.profile.lines, strict=True))

    @property
    def slowdown(self) -> float:
        """1 + exits' time / work's time."""
        return 1 + self.exits_ns / self.options.work_ns

    @property
    def throughput_ratio(self) -> float:
        """Work a second with these exits, over that without."""
        return 1 / self.slowdown

    def law(self) -> tuple[float, float]:
        """The two forms agree: tau by the rates that follow, and 1 - 1 / slowdown. Returns both sides."""
        return self.profile.share, 1 - 1 / self.slowdown

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say("cpu_exits.work", work=show(self.options.work_ns, "ns"), n=number(math.fsum(self.per_work.values())),
                   exits=show(self.exits_ns, "ns"), slowdown=number(self.slowdown),
                   rate=show(self.profile.exits_per_s, "1/s"), share=show(self.profile.share, "%"),
                   costs=set_name(self.options))  # fmt: skip

    def table(self) -> Table:
        table = self.profile.table()
        return Table.of(table.headers, table.rows, self.sentence(), table.numeric)


def exit_work(
    per_work: Mapping[str, float], routes: Mapping[str, Route] | None = None, options: WorkOptions | None = None,
    /, **changes: Any,
) -> ExitWork:  # fmt: skip
    """How much slower work becomes that causes ``per_work`` exits a unit, by reason. As :func:`exit_profile` else."""
    o = WorkOptions.given(options, changes)
    once = exit_profile(per_work, routes, o)
    wall_s = (o.work_ns + math.fsum(line.rate_per_s * line.exit_ns for line in once.lines)) / 1e9
    rates = {key: n / wall_s for key, n in per_work.items()}
    return ExitWork(o, dict(per_work), exit_profile(rates, routes, o))
