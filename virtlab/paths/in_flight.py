"""Rate, latency and requests in flight: any two give the third (Little 1961), and three can contradict each other."""

from __future__ import annotations

from dataclasses import dataclass

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show, signed
from virtlab.core.words import say, words
from virtlab.paths.results import positive


@dataclass(frozen=True, repr=False)
class InFlight(Shown):
    """``depth`` = ``iops`` x ``latency_ns``. ``derived`` names the one that was not given; "" when all three were."""

    iops: float
    latency_ns: float
    depth: float
    derived: str

    @property
    def gap(self) -> float:
        """iops x latency / depth - 1: 0 when the three fit, -0.3 when 30 % of the requests in flight are nowhere."""
        return self.iops * self.latency_ns / 1e9 / self.depth - 1

    def law(self) -> tuple[float, float]:
        """Little's law: requests in flight, and rate times latency."""
        return self.depth, self.iops * self.latency_ns / 1e9

    def payload_gbit_per_s(self, request_bytes: int) -> float:
        """Data per second in Gb/s (10^9 bits), without any header."""
        positive("request_bytes", request_bytes, "B")
        return self.iops * request_bytes * 8 / 1e9

    def sentence(self) -> str:
        depth = say("in_flight.one" if self.depth == 1 else "in_flight.many", n=number(self.depth))
        values = {"iops": show(self.iops, "IOPS"), "latency": show(self.latency_ns, "ns"), "depth": depth}
        if self.derived:
            return say(f"in_flight.{self.derived}", **values)
        key = "fits" if abs(self.gap) < 0.05 else "more" if self.gap > 0 else "less"
        return say(f"in_flight.{key}", product=number(self.law()[1]), gap=signed(self.gap, "%"), **values)

    def table(self) -> Table:
        rows = [
            (words("in_flight.rate"), show(self.iops, "IOPS"), "◀" if self.derived == "iops" else ""),
            (words("in_flight.time"), show(self.latency_ns, "ns"), "◀" if self.derived == "latency_ns" else ""),
            (words("in_flight.requests"), number(self.depth), "◀" if self.derived == "depth" else ""),
        ]
        return Table.of((words("in_flight.header"), words("in_flight.value"), ""), rows, self.sentence(), numeric=[1])


def two_of(
    *, iops: float | None = None, latency_ns: float | None = None, depth: float | None = None
) -> InFlight:  # fmt: skip
    """The third of IOPS, mean latency (ns) and mean requests in flight; or by how much all three contradict.

    ValueError when fewer than two are given: a rate or a latency alone says nothing about the other.
    """
    given = {"iops": iops, "latency_ns": latency_ns, "depth": depth}
    units = {"iops": "requests/s", "latency_ns": "ns", "depth": "requests"}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) > 1:
        raise ValueError(
            f"give two of iops, latency_ns and depth (or all three); {' and '.join(missing)} are missing: "
            "3 million IOPS are 120 requests in flight at 40 µs, and 1 500 at 500 µs."
        )
    for name, value in given.items():
        if value is not None:
            positive(name, value, units[name])
    if depth is None:
        assert iops and latency_ns
        return InFlight(iops, latency_ns, iops * latency_ns / 1e9, "depth")
    if iops is None:
        assert latency_ns
        return InFlight(depth / latency_ns * 1e9, latency_ns, depth, "iops")
    if latency_ns is None:
        return InFlight(iops, depth / iops * 1e9, depth, "latency_ns")
    return InFlight(iops, latency_ns, depth, "")
