"""Tenants that slow each other down through a cache and a memory: how fast each runs is the answer to how fast all run.

A tenant computes, refers to the last-level cache, and waits, with at most ``mlp`` references under way. One that misses
more refers less often; one that refers less often keeps less. The memory is ``banks`` equal servers that have its peak
bandwidth together. A line waits as in an M/D/1 queue of one bank: half a service time times u / (1 - u) at utilization
u. The arrivals are no stream from outside: as every tenant waits for its own lines (Little's law), the utilization
stays below 1 by itself.

Limits: requests are spread evenly over the banks and are served as they come. A real controller takes lines of an open
row first, so that its latency stays low for longer and then rises at once: the model errs high between a half and
the peak. Writes and the turn of the bus are part of the peak that is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from virtlab.cpu.shared_cache import EVER, LINE_BYTES, Floats, Part, Reuse, lifetime

_STEPS, _EXACT = 200, 1e-12


@dataclass(frozen=True, eq=False)
class Tenant:
    """A vCPU: what it refers to, the time that it computes between two references, and how many are under way."""

    reuse: Reuse
    compute_ns: float
    mlp: float


@dataclass(frozen=True)
class Host:
    """The shared cache and the shared memory of a socket; ``peak`` in bytes per ns, which is GB/s."""

    cache_lines: float
    cache_ns: float
    memory_ns: float
    peak: float
    banks: float

    @property
    def bank_ns(self) -> float:
        """For how long a line takes its bank."""
        return self.banks * LINE_BYTES / self.peak

    def latency_ns(self, utilization: Floats | float) -> Floats | float:
        """Of a read, with its wait."""
        return self.memory_ns + self.bank_ns / 2 * utilization / (1 - utilization)


class Scene(NamedTuple):
    """What the victim shares with its neighbours, and what holds them back.

    ``core``: how many times longer it computes beside a busy sibling. ``cache``, ``memory``: whether the neighbours are
    in its cache and its memory. ``dma``: the share of the memory's peak that devices take. ``part``: the share of the
    cache that is the victim's alone; 0 without a partition. ``throttle``: the share of the neighbours' outstanding
    references that they may have.
    """

    core: float
    cache: bool
    memory: bool
    dma: float
    part: float = 0.0
    throttle: float = 1.0


class Speed(NamedTuple):
    """How a tenant fares: time from one reference to the next, share that misses, latency of memory, lines it keeps."""

    access_ns: float
    missed: float
    latency_ns: float
    lines: float

    @property
    def bandwidth(self) -> float:
        """Bytes per ns of one vCPU."""
        return self.missed / self.access_ns * LINE_BYTES


class Outcome(NamedTuple):
    """Victim and one of the neighbours, and the utilization of the victim's memory."""

    victim: Speed
    neighbour: Speed
    utilization: float


class _Demand(NamedTuple):
    """A tenant in all scenes: time of a reference that hits, and references under way."""

    busy_ns: Floats
    mlp: Floats


class Contention:
    """A victim and ``count`` neighbours that are alike, on one host."""

    def __init__(self, host: Host, victim: Tenant, neighbour: Tenant, count: int) -> None:
        self.host, self.victim, self.neighbour, self.count = host, victim, neighbour, count

    def solve(self, scenes: Sequence[Scene]) -> list[Outcome]:
        """The steady state of each scene; all are solved at once."""
        core, cache, memory, dma, part, throttle = (np.array(column, float) for column in zip(*scenes, strict=True))
        v = _Demand(self.victim.compute_ns * core + self.host.cache_ns / self.victim.mlp, self.victim.mlp + 0 * core)
        n_mlp = self.neighbour.mlp * throttle
        n = _Demand(self.neighbour.compute_ns + self.host.cache_ns / n_mlp, n_mlp)
        state = _State(self, v, n, memory > 0, dma)
        mixed = (cache > 0) & (part == 0) & (self.count > 0)
        kept_v, kept_n = self._apart(cache > 0, part)
        if mixed.any():
            rows = np.flatnonzero(mixed)
            kept_v[rows], kept_n[rows] = self._together(state.take(rows))
        missed_v, missed_n = self.victim.reuse.missed(kept_v), self.neighbour.reuse.missed(kept_n)
        (access_v, access_n), (latency_v, latency_n), used = state.run(missed_v, missed_n)
        lines_v, lines_n = self.victim.reuse.kept(kept_v), self.neighbour.reuse.kept(kept_n)
        columns = (access_v, missed_v, latency_v, lines_v, access_n, missed_n, latency_n, lines_n, used)
        rows_of = (tuple(map(float, row)) for row in zip(*columns, strict=True))
        return [Outcome(Speed(*row[:4]), Speed(*row[4:8]), row[8]) for row in rows_of]

    def _apart(self, cache: np.ndarray, part: Floats) -> tuple[Floats, Floats]:
        """How many references of its own each is kept for, where the two do not compete for a line."""
        one = np.ones(len(part))
        mine = self.host.cache_lines * np.where(cache & (part > 0), part, 1.0)
        others = self.host.cache_lines * (1 - part)
        kept_v = lifetime([Part(self.victim.reuse, 1, one)], mine)
        kept_n = lifetime([Part(self.neighbour.reuse, max(self.count, 1), one)], others)
        return kept_v, kept_n

    def _together(self, state: _State) -> tuple[Floats, Floats]:
        """The same where they do. The one unknown is the ratio of their rates: all else follows from it, and each
        thing has one value. The ratio that follows from a ratio is continuous and bounded, so that a bracket holds
        a ratio that follows from itself: it is halved, or cut by the secant. (There may be more than one: a tenant
        that hits runs faster and keeps more. The bracket then finds one of them, the same each time.)"""
        lines = np.full(len(state.dma), self.host.cache_lines)
        one = np.ones(len(lines))
        kept_v = kept = lines  # the first guess of how long: as if each reference brought a line

        def excess(log_ratio: Floats, guess: Floats) -> tuple[Floats, Floats, Floats]:
            ratio = np.exp(log_ratio)
            parts = Part(self.victim.reuse, 1, ratio), Part(self.neighbour.reuse, self.count, one)
            kept = lifetime(parts, lines, guess)
            kept_v = np.where(kept < EVER, kept * ratio, EVER)
            (access_v, access_n), *_ = state.run(self.victim.reuse.missed(kept_v), self.neighbour.reuse.missed(kept))
            return log_ratio - np.log(access_n / access_v), kept_v, kept

        (slow_v, slow_n), *_ = state.run(one, one)  # nobody is slower than where all miss, for then memory is slowest
        low, high = np.log(state.n.busy_ns / slow_v), np.log(slow_n / state.v.busy_ns)
        f_low, f_high = low - high - _EXACT, high - low + _EXACT  # only their signs are known
        middle, stuck = np.log(slow_n / slow_v), 0 * one
        for step in range(_STEPS):
            f, kept_v, kept = excess(middle, kept)
            if ((np.abs(f) <= _EXACT) | (high - low <= _EXACT)).all():
                break
            up = f < 0
            # Illinois: an end that stays twice counts half, so that the secant moves it.
            f_low, f_high = (np.where(up, f, np.where(stuck < 0, f_low / 2, f_low)),
                             np.where(up, np.where(stuck > 0, f_high / 2, f_high), f))  # fmt: skip
            low, high, stuck = np.where(up, middle, low), np.where(up, high, middle), np.where(up, 1.0, -1.0)
            secant = low - f_low * (high - low) / (f_high - f_low)
            middle = (low + high) / 2 if step % 8 == 7 else np.clip(secant, low, high)
        return kept_v, kept


class _State:
    """What the tenants demand of memory in all scenes, and how long it then takes."""

    def __init__(self, of: Contention, v: _Demand, n: _Demand, memory: np.ndarray, dma: Floats) -> None:
        self.of, self.v, self.n, self.memory, self.dma = of, v, n, memory, dma
        beside = np.where(memory, 1.0, 0.0)
        # First half: the memory that the victim sees; second half: the one that the neighbours see.
        self._victims = np.concatenate((np.ones(len(dma)), beside))
        self._neighbours = np.concatenate((beside, np.ones(len(dma)))) * of.count
        self._devices = np.concatenate((dma, dma))
        self._queue = self._devices / (1 - self._devices)

    def take(self, rows: np.ndarray) -> _State:
        """Some of the scenes."""
        v, n = (_Demand(*(column[rows] for column in demand)) for demand in (self.v, self.n))
        return _State(self.of, v, n, self.memory[rows], self.dma[rows])

    def run(self, missed_v: Floats, missed_n: Floats) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats], Floats]:
        """Times between references, latencies (both of victim and neighbour), and the utilization that the victim sees.

        Solved for q = u / (1 - u), in which the latency is linear, the demand convex and falling, and u concave: so
        Newton's method comes up from below once more, wherever it starts: at the last answer.
        """
        host, size = self.of.host, len(self.dma)
        v, n = (np.concatenate((d, d), axis=1) for d in (
            np.stack((self.v.busy_ns, missed_v, missed_v / self.v.mlp)),
            np.stack((self.n.busy_ns, missed_n, missed_n / self.n.mlp)),
        ))  # fmt: skip
        wait, floor, line = host.bank_ns / 2, host.memory_ns - host.cache_ns, LINE_BYTES / host.peak
        least, q = self._devices / (1 - self._devices), self._queue
        for nth in range(_STEPS):
            extra = floor + wait * q
            access_v, access_n = v[0] + v[2] * extra, n[0] + n[2] * extra
            rate_v, rate_n = self._victims * v[1] / access_v, self._neighbours * n[1] / access_n
            lack = self._devices + line * (rate_v + rate_n) - q / (1 + q)
            slope = 1 / (1 + q) ** 2 + line * wait * (rate_v * v[2] / access_v + rate_n * n[2] / access_n)
            step = np.maximum(lack / slope, 0.0) if nth else lack / slope  # only the first may lead down
            q = np.maximum(q + step, least)
            if nth and (step <= _EXACT * (1 + q)).all():
                break
        self._queue = q
        extra = floor + wait * q
        access_v, access_n = v[0] + v[2] * extra, n[0] + n[2] * extra
        latency = host.memory_ns + wait * q
        return (access_v[:size], access_n[size:]), (latency[:size], latency[size:]), (q / (1 + q))[:size]
