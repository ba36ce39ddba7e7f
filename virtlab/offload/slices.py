"""A link sliced among virtual functions: what each gets under five schedulers, and how long a small one's frames take.

The shares are laws of the long run, the waits come from a run frame by frame; tests hold one against the other. Left
out: that cards schedule queues and not single frames (they fetch several at once), that a switch port and PCIe come
before the link, and that real senders slow down (TCP): here a queue may grow without end.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.offload.sharing import jain, max_min
from virtlab.offload.slice_kernel import DRR, FIELDS, FIFO, RR, SFQ, slice_kernel
from virtlab.offload.slice_options import SCHEDULERS, SliceOptions

_KINDS = {"fifo": FIFO, "rr": RR, "drr": DRR, "sfq": SFQ, "bucket": FIFO}
_MOST, _LEAST = 6_000, 200  # frames of a run, and of the small VF in it if half as many frames allow
_POOL = 4096


@dataclass(frozen=True, repr=False)
class Slices(Shown):
    """The VFs of a link. `shares_gbit_per_s`: the scheduler's own law; `sent_gbit_per_s`: the same in the run.

    `fair_gbit_per_s`: weighted max-min, `water_gbit_per_s` its height for a weight of 1 (infinite if all have what they
    ask for). `p50_ns`, `p99_ns`: of a frame of the small VF, from its coming until its last bit is on the link;
    infinite where its queue grows without end, nan where the run saw no frame of it.
    """

    options: SliceOptions
    shares_gbit_per_s: tuple[float, ...]
    fair_gbit_per_s: tuple[float, ...]
    water_gbit_per_s: float
    sent_gbit_per_s: tuple[float, ...]
    p50_ns: float
    p99_ns: float
    frames: int

    @property
    def idle_gbit_per_s(self) -> float:
        """What nobody uses."""
        return self.options.link_gbit_per_s - sum(self.shares_gbit_per_s)

    @property
    def wasted_gbit_per_s(self) -> float:
        """What is idle although somebody asks for it: 0 for whatever conserves work."""
        return min(self.idle_gbit_per_s, sum(self.options.demands) - sum(self.shares_gbit_per_s))

    @property
    def jain(self) -> float:
        """Jain's index of the shares over the fair ones: 1 where everybody has his fair share."""
        return jain([x / fair for x, fair in zip(self.shares_gbit_per_s, self.fair_gbit_per_s, strict=True)])

    @property
    def starved(self) -> bool:
        """Whether the small VF's queue grows without end."""
        return math.isinf(self.p99_ns)

    def law(self) -> tuple[float, float]:
        """Conservation: what is sent and what is idle, and the link. Both in Gb/s."""
        return sum(self.shares_gbit_per_s) + self.idle_gbit_per_s, self.options.link_gbit_per_s

    def sentence(self) -> str:
        o = self.options
        mine, fair = self.shares_gbit_per_s[0], self.fair_gbit_per_s[0]
        key = "starved" if self.starved else "served"
        waste = say("slices.wasted", wasted=_rate(self.wasted_gbit_per_s)) if self.wasted_gbit_per_s > 1e-9 else ""
        return say(
            f"slices.{key}", scheduler=words(f"slices.scheduler.{o.slice_scheduler}"), vfs=number(o.slice_vfs),
            link=_rate(o.link_gbit_per_s), asked=_rate(o.small_gbit_per_s), mine=_rate(mine), fair=_rate(fair),
            heavy=_rate(self.shares_gbit_per_s[1]), others=_others(self), p50=show(self.p50_ns, "ns"),
            p99=show(self.p99_ns, "ns"), jain=number(self.jain),
        ) + waste  # fmt: skip

    def table(self) -> Table:
        """Each VF: weight, frame, demand, share by the scheduler's law, in the run, and the fair share."""
        o, rows = self.options, []
        for i in range(o.slice_vfs):
            rates = (o.demands[i], self.shares_gbit_per_s[i], self.sent_gbit_per_s[i], self.fair_gbit_per_s[i])
            rows.append((number(i), number(o.weights[i]), f"{o.frame_bytes[i]:,} B", *map(_rate, rates)))
        return Table.of(words("slices.header"), rows, self.sentence(), numeric=range(7))


def sriov(options: SliceOptions | None = None, /, **changes: Any) -> Slices:
    """The link under one scheduler. Options as in :class:`SliceOptions`, as one object or by name.

    The run depends on ``slice_seed``. Schedulers: first come, first served; round robin, a frame each (Nagle 1987);
    deficit round robin (Shreedhar and Varghese, SIGCOMM'95); start-time fair queueing, a kind of weighted fair queueing
    whose bound is published (Goyal, Vin and Cheng, SIGCOMM'96); a token bucket each. Golden: the defaults give
    (10, 60, 30) Gb/s. Raises ParameterError.
    """
    o = SliceOptions.given(options, changes)
    fair = max_min(o.demands, o.weights, o.link_gbit_per_s)
    full = [f / w for f, w, d in zip(fair, o.weights, o.demands, strict=True) if f < d * (1 - 1e-9)]
    sent, p50, p99, frames = _run(o)
    return Slices(o, _shares(o, o.demands), fair, max(full, default=math.inf), sent, p50, p99, frames)


def all_slices(options: SliceOptions) -> dict[str, Slices]:
    """The same link under each scheduler."""
    return {scheduler: sriov(options.replace(slice_scheduler=scheduler)) for scheduler in SCHEDULERS}


def _shares(o: SliceOptions, demands: tuple[float, ...]) -> tuple[float, ...]:
    """What each gets in the long run, Gb/s, when all queues may grow."""
    if o.slice_scheduler == "bucket":
        return tuple(map(min, demands, o.parts))
    if o.slice_scheduler == "fifo":
        full = min(1.0, o.link_gbit_per_s / sum(demands))
        return tuple(demand * full for demand in demands)
    # A frame each in turn is a share by the size of the frame.
    weights = o.wire_bytes if o.slice_scheduler == "rr" else o.weights
    return max_min(demands, weights, o.link_gbit_per_s)


def _starved(o: SliceOptions) -> bool:
    """Whether more of the small VF would still not be sent: it has all that it will ever get."""
    more = (1.000001 * o.demands[0], *o.demands[1:])
    return _shares(o, more)[0] < more[0] * (1 - 1e-9)


@functools.lru_cache(maxsize=64)  # a lab asks for all schedulers, and moves one parameter
def _run(o: SliceOptions) -> tuple[tuple[float, ...], float, float, int]:
    """Rates in the run, percentiles of the small VF's frames, and how many frames there were."""
    n, link = o.slice_vfs, o.link_gbit_per_s
    wire = np.array(o.wire_bytes, np.int64)
    gap = wire * link / np.array(o.demands)
    cap = o.cap_gbit_per_s if o.cap_gbit_per_s < min(link, o.greedy_gbit_per_s) else 0.0
    limits = o.parts if o.slice_scheduler == "bucket" else (0.0, *[cap] * (n - 1))
    rate = np.array(limits) / link
    depth = float(o.bucket_bytes)
    # As in the long run: the bucket of a VF that asks for more than its rate is empty, another one is full.
    empty = (rate == 0) | (np.array(o.demands) >= np.array(limits))
    clock, spent = np.zeros(n), np.where(empty, 0.0, -depth / np.where(empty, 1.0, rate))
    state, sent = np.zeros(n * FIELDS, np.int64), np.zeros(n, np.int64)
    who, ends, waits = (np.zeros(_MOST, np.int64) for _ in range(3))
    total, first = slice_kernel(
        _KINDS[o.slice_scheduler], _MOST, _LEAST, o.quantum_bytes, depth, wire, np.array(o.weights, np.int64), gap,
        rate, _pool(o.slice_seed), clock, spent, state, sent, who, ends, waits,
    )  # fmt: skip
    rates = tuple((sent * link / ends[total - 1]).tolist())
    if _starved(o):
        return rates, math.inf, math.inf, first
    byte_ns = 8 / link
    p50, p99 = np.quantile(waits[:first], (0.5, 0.99)) * byte_ns if first else (math.nan, math.nan)
    return rates, float(p50), float(p99), first


@functools.lru_cache(maxsize=4)
def _pool(seed: int) -> Any:
    """Exponential numbers of mean 1 in random order: their quantiles, so that a run's mean is no matter of luck."""
    ranks = (np.arange(_POOL) + 0.5) / _POOL
    numbers = -np.log1p(-ranks)
    return np.random.default_rng(seed).permutation(numbers / numbers.mean())


def _others(found: Slices) -> str:
    shares = found.shares_gbit_per_s[2:]
    return say("slices.others", share=_rate(shares[0])) if shares else ""


def _rate(gbit_per_s: float) -> str:
    return show(gbit_per_s, "Gb/s")
