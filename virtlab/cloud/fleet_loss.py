"""What a loss means for a fleet: lost cores, lost vCPUs, and money. Arithmetic, so that slips in it can be seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from virtlab.cloud.efficiency import is_number
from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS


class Fleet(Parameters):
    """A fleet of equal servers. Cores and hardware threads (a vCPU is usually a thread) are counted apart."""

    servers: int = parameter(FACTS["fleet.servers"], ge=10_000, le=10_000_000, log=True)
    cores: int = parameter(FACTS["fleet.cores"], ge=16, le=256, log=True)
    threads_per_core: int = parameter(FACTS["fleet.threads_per_core"], ge=1, le=2, unit="threads")
    core_year_usd: float = parameter(FACTS["fleet.core_year"], ge=20, le=4000, log=True)
    loss: float = parameter(FACTS["article.loss"], ge=0, le=1, unit="1")


@dataclass(frozen=True, repr=False)
class FleetResult(Shown):
    """What the fleet loses. ``lost_threads`` are hardware threads, ``lost_servers`` whole servers' worth of cores."""

    fleet: Fleet
    all_cores: float
    lost_cores: float
    lost_threads: float
    lost_servers: float
    usd_per_year: float

    def law(self) -> tuple[float, float]:
        """Conservation: lost and remaining cores are all cores. Returns both sides."""
        remaining = self.fleet.servers * self.fleet.cores * (1 - self.fleet.loss)
        return self.lost_cores + remaining, self.all_cores

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        f = self.fleet
        return say(
            "cloud.fleet.sentence", loss=show(f.loss, "%"), servers=show(f.servers, "servers"), cores=f.cores,
            lost=show(self.lost_cores, "cores"), usd=show(self.usd_per_year, "USD"), price=show(f.core_year_usd, "USD"),
        )  # fmt: skip

    def table(self) -> Table:
        figures = (
            show(self.all_cores, "cores"),
            show(self.lost_cores, "cores"),
            show(self.lost_threads, "threads"),
            show(self.lost_servers, "servers"),
            show(self.usd_per_year, "USD"),
        )
        names = [words(f"cloud.fleet.{key}") for key in ("all", "cores", "threads", "servers", "usd")]
        return Table.of(words("cloud.fleet.header"), zip(names, figures, strict=True), self.sentence(), numeric=[1])


def lost(fleet: Fleet | None = None, /, **changes: Any) -> FleetResult:
    """What a fleet loses each year. Parameters as in :class:`Fleet`, as one object or by name. Raises ParameterError.

    Golden: 10 % of a million servers of 32, 64 or 128 cores are 3.2, 6.4 or 12.8 million cores.
    """
    f = Fleet(**changes) if fleet is None else fleet.replace(**changes) if changes else fleet
    cores = f.servers * f.cores * f.loss
    return FleetResult(
        f, float(f.servers * f.cores), cores, cores * f.threads_per_core, f.servers * f.loss, cores * f.core_year_usd
    )


def price_at_which(cost_usd: float, lost_cores: float) -> float:
    """The price of a core-year (USD) at which ``lost_cores`` cost ``cost_usd`` a year.

    Golden: a billion is 3,333 USD for each of 300,000 cores and 156.25 USD for each of 6.4 million.
    """
    for name, value, unit in (("cost_usd", cost_usd, "USD"), ("lost_cores", lost_cores, "cores")):
        if not is_number(value) or not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0 {unit} and finite; you gave {value!r}: no price follows from it.")
    return cost_usd / lost_cores
