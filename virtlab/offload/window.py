"""Little's law of a DMA engine: what a window of bytes on their way carries, at the latency of each of them.

A card may have only so much outstanding: a read needs a tag until its data comes, a write needs credits until the host
has room again. So whatever adds to the latency (a walk of the IOMMU, the other socket) takes throughput, once the
window is full. One window, one latency: a mean latency gives the mean rate as long as the window stays full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS


class WindowOptions(Parameters):
    """The link that should be filled, the bytes that may be on their way, and how long each of them takes.

    ``added_ns`` is what translation (or distance) adds to the latency.
    """

    link_gbit_per_s: float = parameter(FACTS["dma.window.link"], ge=1, le=800)
    window_bytes: int = parameter(FACTS["dma.window"], ge=64, le=16_000_000, log=True)
    dma_ns: float = parameter(FACTS["dma.window.latency"], ge=100, le=10_000)
    added_ns: float = parameter(FACTS["dma.window.added"], ge=0, le=100_000)

    @property
    def latency_ns(self) -> float:
        """From the request until its bytes are there."""
        return self.dma_ns + self.added_ns


@dataclass(frozen=True, repr=False)
class Window(Shown):
    """The rate that a window allows, and the window that the link would need."""

    options: WindowOptions

    @property
    def window_gbit_per_s(self) -> float:
        """What the window carries where the link is no limit."""
        return window_gbit_per_s(self.options.window_bytes, self.options.latency_ns)

    @property
    def rate_gbit_per_s(self) -> float:
        """What arrives: the link or the window, whichever is less."""
        return min(self.options.link_gbit_per_s, self.window_gbit_per_s)

    @property
    def in_flight_bytes(self) -> float:
        """Bytes on their way in the mean."""
        return in_flight_bytes(self.rate_gbit_per_s, self.options.latency_ns)

    @property
    def needed_bytes(self) -> float:
        """The window that fills the link at this latency."""
        return in_flight_bytes(self.options.link_gbit_per_s, self.options.latency_ns)

    @property
    def limit_ns(self) -> float:
        """The latency from which on the window is the limit."""
        return self.options.window_bytes * 8 / self.options.link_gbit_per_s

    @property
    def bound(self) -> str:
        """``link`` or ``window``: what holds the rate down."""
        return "link" if self.options.link_gbit_per_s <= self.window_gbit_per_s else "window"

    def law(self) -> tuple[float, float]:
        """Little's law: a full window is rate times latency; else the link is full. Returns both sides (B)."""
        o = self.options
        return self.in_flight_bytes, min(float(o.window_bytes), self.needed_bytes)

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        return say(f"dma_window.{self.bound}", window=f"{o.window_bytes:,} B", latency=show(o.latency_ns, "ns"),
                   rate=show(self.rate_gbit_per_s, "Gb/s"), link=show(o.link_gbit_per_s, "Gb/s"),
                   needed=f"{self.needed_bytes:,.0f} B", limit=show(self.limit_ns, "ns"))  # fmt: skip

    def table(self) -> Table:
        rows = [
            (words("dma_window.row.latency"), show(self.options.latency_ns, "ns")),
            (words("dma_window.row.window"), f"{self.options.window_bytes:,} B"),
            (words("dma_window.row.carries"), show(self.window_gbit_per_s, "Gb/s")),
            (words("dma_window.row.rate"), show(self.rate_gbit_per_s, "Gb/s")),
            (words("dma_window.row.needed"), f"{self.needed_bytes:,.0f} B"),
        ]
        return Table.of(words("dma_window.header"), rows, self.sentence(), numeric=[1])


def window(options: WindowOptions | None = None, /, **changes: Any) -> Window:
    """The throughput of DMAs with a limited window. Options as in :class:`WindowOptions`, as one object or by name.

    Golden: 25,000 B at 1.0 µs fill 200 Gb/s; 0.5 µs more, as of a walk, leave 133 Gb/s. Raises ParameterError.
    """
    o = WindowOptions.given(options, changes)
    return Window(o)


def window_gbit_per_s(window_bytes: float, latency_ns: float) -> float:
    """Gb/s that ``window_bytes`` on their way carry, each for ``latency_ns``: bytes * 8 / ns."""
    return window_bytes * 8 / latency_ns


def in_flight_bytes(rate_gbit_per_s: float, latency_ns: float) -> float:
    """Bytes on their way at a rate, where each takes ``latency_ns``."""
    return rate_gbit_per_s * latency_ns / 8
