"""A simulated run of a receive queue under moderation: single packets or trains at random times, event by event."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.table import Shown, Table
from virtlab.offload.dim import DIM_WAITS_US, FIELDS, Ints
from virtlab.offload.moderation import BUDGET, Moderation, ModerationOptions
from virtlab.offload.moderation_kernel import OPTIONS, moderation_kernel

_FRAME_BYTES = 1518  # DIM compares bytes first; with frames of one size that is packets, only finer
_SETTLING = 0.5  # of the packets, until DIM has found its place


@dataclass(frozen=True, repr=False)
class ModerationRun(Shown):
    """int64 throughout, ns: ``arrivals``, ``waits`` [packets]; ``irqs``, ``batches``, ``chosen`` [interrupts].

    ``chosen`` is the longest wait in force at each interrupt, which only DIM changes. ``polls``: of 64 packets at most.
    """

    options: ModerationOptions
    arrivals: Ints
    waits: Ints
    irqs: Ints
    batches: Ints
    chosen: Ints
    polls: int
    end_ns: int

    @functools.cached_property
    def settled(self) -> int:
        """The interrupt from which on this is counted: the first, but where DIM must find its place."""
        if self.options.moderation != "adaptive":
            return 0
        return int(np.searchsorted(np.cumsum(self.batches), _SETTLING * len(self.arrivals)))

    def law(self) -> tuple[int, int]:
        """Conservation: each packet was taken after one interrupt. Returns both sides."""
        return int(self.batches.sum()), len(self.arrivals)

    def summary(self) -> Moderation:
        """The same quantities as the closed form's."""
        o, s = self.options, self.settled
        if s >= len(self.irqs):
            s = 0
        begin = int(self.batches[:s].sum())
        if o.masked and o.load >= 1:
            return Moderation(o, 0.0, float("inf"), 0.0, 0.0, 0.0, self._longest_ns, 0.0, 0.0, float("inf"), True)
        waits, irqs = self.waits[begin:], len(self.irqs) - s
        firsts = np.concatenate(([0], np.cumsum(self.batches)[:-1]))[s:]
        first_ns = float(self.waits[firsts].mean())
        packets = len(waits) / irqs
        cycle_ns = 1e9 * packets / o.rate_packets_per_s
        polled_ns = 0.0
        if o.masked:
            polled_ns = o.interrupt_ns + o.guest_stack_ns * packets
        return Moderation(
            o, 1e9 / cycle_ns, packets, first_ns, float(waits.mean()), float(np.quantile(waits, 0.99)),
            self._longest_ns, max(0.0, cycle_ns - first_ns - polled_ns), first_ns, polled_ns, simulated=True,
        )  # fmt: skip

    @property
    def _longest_ns(self) -> float:
        """The bound for the wait of any packet."""
        o = self.options
        if o.moderation == "virtio":
            return 0.0 if o.count <= 1 else float(o.interrupt_delay_ns)
        return float(self.chosen.max()) if o.moderation == "adaptive" else float(o.hold_ns)

    def table(self) -> Table:
        return self.summary().table()


def moderation_run(options: ModerationOptions | None = None, /, **changes: Any) -> ModerationRun:
    """Simulates ``run_packets`` packets; the same ``moderation_seed`` gives the same run. Raises ParameterError."""
    o = ModerationOptions.given(options, changes)
    return moderation_at(o, arrival_times(o))


def moderation_at(options: ModerationOptions, arrivals: NDArray[np.int64]) -> ModerationRun:
    """The same for ``arrivals`` int64[n >= 1] of one's own, in ns and sorted."""
    o, n = options, len(arrivals)
    row = np.zeros(OPTIONS, np.int64)
    row[:] = (o.count, o.interrupt_delay_ns, o.masked, o.hold_ns, round(o.interrupt_ns), round(o.guest_stack_ns),
              BUDGET, o.moderation == "adaptive", _FRAME_BYTES)  # fmt: skip
    irqs, batches, waits, chosen = (np.zeros(n, np.int64) for _ in range(4))
    counts = np.zeros(2, np.int64)
    profiles, state = np.array(DIM_WAITS_US), np.zeros(FIELDS, np.int64)
    fired = moderation_kernel(arrivals, row, profiles, state, irqs, batches, waits, chosen, counts)
    return ModerationRun(o, arrivals, waits, irqs[:fired], batches[:fired], chosen[:fired], int(counts[0]),
                         int(counts[1]))  # fmt: skip


def arrival_times(options: ModerationOptions) -> NDArray[np.int64]:
    """When the packets come: trains at random times (Poisson), their packets one gap apart."""
    o = options
    trains = -(-o.run_packets // o.train_packets)
    starts = _unit_times(trains, o.moderation_seed) * (1e9 * o.train_packets / o.rate_packets_per_s)
    if o.train_packets == 1:
        return starts.astype(np.int64)
    times = starts[:, None] + np.arange(o.train_packets) * o.train_gap_ns
    return np.sort(times.astype(np.int64).ravel())[: o.run_packets]


@functools.lru_cache(maxsize=8)
def _unit_times(n: int, seed: int) -> NDArray[np.float64]:
    """Times of a Poisson process of rate 1."""
    times = np.cumsum(np.random.default_rng(seed).exponential(size=n))
    times.flags.writeable = False
    return times
