"""Live migration by pre-copy: rounds, total time, downtime, and which parameter keeps a VM from being moved.

Round 1 sends all of the memory while the guest runs on, each further round what the guest dirtied during the last one.
When what is left fits into the downtime that is allowed, the guest stops, the rest follows, and it runs on elsewhere.
A working set that is written at least as fast as the network sends never shrinks: then everything hangs on whether it
fits into bandwidth times downtime.

What the model leaves out, and where that errs. Too long: QEMU looks at the log when what is left would fit and not only
when nothing is left; its bitmap sends a page that was written before its turn in round 1 once, here it is sent twice;
zero pages cost nearly nothing; a long round no longer delays auto-converge, which looks every 5 s (since 2024). Too
short: the state of vCPUs and virtio devices, the switch-over and the announcement in the network add to the downtime.
Not modelled: post-copy (the guest moves first and fetches the pages that it misses: a short stop always, then remote
faults, and no way back), multifd (several connections: more bandwidth), compression, and the dirty limit on the dirty
ring, which holds back only the vCPUs that write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from virtlab.core.parameter import ParameterError, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.memory.dirty import PAGE_BYTES, LogOptions, logged, split_entries
from virtlab.memory.precopy import floor_bytes, precopy_kernel

_TRIGGER, _PERIODS, _PERIOD_S = (FACTS[f"migration.throttle.{n}"].value for n in ("trigger", "periods", "period"))
_FIRST, _STEP, _MOST = (  # whole per cent, as in QEMU
    float(round(100 * FACTS[f"migration.throttle.{n}"].value)) for n in ("initial", "increment", "max")
)
_NONE = np.zeros(0)


class MigrationOptions(LogOptions):
    """A VM on its way. ``dirty_gbit_per_s`` is the rate at which clean memory becomes dirty, in pages of 4 KiB.

    ``auto_converge``: QEMU stops the vCPUs for a share of the time: 20 %, then 10 % more at each step, 99 % at most.
    A step is taken when two periods of a second or more (here: rounds) each dirtied more than half of what they sent.
    ``device``: ``virtio`` has no state to speak of; ``vf-untracked`` is a VF whose writes nobody tracks, so that all
    pinned memory counts as dirty for ever; ``vf-v2`` one with VFIO migration v2 (Linux 5.18 on) that tracks its writes,
    and whose state moves during the stop. A VF without any migration driver cannot be moved at all.
    """

    bandwidth_gbit_per_s: float = parameter(FACTS["migration.bandwidth"], ge=0.01, le=400, log=True)
    dirty_gbit_per_s: float = parameter(FACTS["migration.dirty"], ge=0, le=400)
    downtime_ms: float = parameter(FACTS["migration.downtime"], ge=1, le=2_000_000, log=True)
    device: Literal["virtio", "vf-untracked", "vf-v2"] = parameter(FACTS["migration.device"], default="virtio")
    device_state_bytes: int = parameter(FACTS["migration.device.state"], ge=0, le=1 << 34)
    device_restore_ms: float = parameter(FACTS["migration.device.restore"], ge=0, le=60_000)
    auto_converge: bool = parameter(FACTS["migration.auto_converge.default"], default=False)
    max_rounds: int = parameter(FACTS["migration.max_rounds"], ge=1, le=1000, log=True)


@dataclass(frozen=True)
class Round:
    """One round: bytes sent, seconds, bytes that were dirty at its end, and the share that the guest was held back."""

    sent_bytes: float
    seconds: float
    dirty_bytes: float
    throttle: float


@dataclass(frozen=True, repr=False)
class Migration(Shown):
    """A migration, round by round.

    ``total_s`` lasts until the guest stops; ``downtime_s`` comes on top (:attr:`moved_s` is both). Where it does not
    converge, ``downtime_s`` is what stopping the guest then would cost. ``never``: no number of rounds would help.
    As in QEMU the state of a VF counts towards the downtime that is allowed, and the time to restore it does not.
    ``walls`` holds, for each parameter, the value at which the verdict changes while the others stay (those within the
    parameter's range); ``limit`` is the one that has the shortest way to it, as a factor: the first that breaks.
    """

    options: MigrationOptions
    rounds: tuple[Round, ...]
    converged: bool
    never: bool
    residue_bytes: float
    total_s: float
    downtime_s: float
    sent_bytes: float
    throttle: float
    throttle_steps: int
    throttled_s: float
    faults: float
    pml_exits: float
    ring_exits: float
    log_s: float
    split_entries: float
    walls: dict[str, float]
    limit: str

    @property
    def moved_s(self) -> float:
        """From the start until the guest runs at its new place."""
        return self.total_s + self.downtime_s

    @property
    def slowdown(self) -> float:
        """Share of the vCPUs' time that auto-converge takes from the guest, over all rounds."""
        return self.throttled_s / self.total_s if self.total_s else 0.0

    def law(self) -> tuple[float, float]:
        """Conservation: what was sent is the memory, what each round left dirty, and the state of the device."""
        again = sum(r.dirty_bytes for r in self.rounds)
        return self.sent_bytes, self.options.memory_bytes + again + _numbers(self.options).device

    def time_law(self) -> tuple[float, float]:
        """Time is bytes over bandwidth, plus the time to restore the device. Returns both sides in s."""
        n = _numbers(self.options)
        return self.moved_s, self.sent_bytes / n.bandwidth + n.restore_s

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        outcome = "moved" if self.converged else "never" if self.never else "gave_up"
        if _numbers(self.options).room < 0:
            outcome = "state"
        names = {name: str(words(f"parameter.{name}")["label"]) for name in (self.limit,) if name}
        return say(
            f"migration.sentence.{outcome}", rounds=len(self.rounds), time=show(self.total_s, "s"),
            down=show(self.downtime_s, "s"), sent=show(self.sent_bytes, "B"), left=show(self.residue_bytes, "B"),
            limit=names.get(self.limit, words("migration.no_limit")), allowed=show(self.options.downtime_ms, "ms"),
        )  # fmt: skip

    def table(self) -> Table:
        figures = (
            ("rounds", str(len(self.rounds))),
            ("total", show(self.total_s, "s")),
            ("downtime", show(self.downtime_s, "s")),
            ("sent", show(self.sent_bytes, "B")),
            ("throttle", show(self.throttle, "%")),
            ("throttled", show(self.throttled_s, "s")),
            ("log_exits", number(self.faults + self.pml_exits + self.ring_exits)),
            ("log_time", show(self.log_s, "s")),
            ("split_entries", number(self.split_entries)),
        )
        rows = [(words(f"migration.row.{key}"), text) for key, text in figures]
        return Table.of(words("migration.header"), rows, self.sentence(), numeric=[1])


class _Numbers(NamedTuple):
    """The options as bytes and bytes per second."""

    memory: float
    hot: float
    dirty: float
    bandwidth: float
    downtime_s: float
    device: float
    restore_s: float
    random: bool
    pinned: bool

    @property
    def room(self) -> float:
        return self.bandwidth * self.downtime_s - self.device

    def floor(self, auto_converge: bool) -> float:
        dirty = self.dirty * (1 - _MOST / 100) if auto_converge else self.dirty
        return floor_bytes(self.memory, self.hot, dirty / self.bandwidth, self.random, self.pinned)


def _numbers(o: MigrationOptions, **changes: float) -> _Numbers:
    """``changes`` stand in for parameters, unchecked."""

    def value(name: str) -> float:
        given = changes.get(name, getattr(o, name))
        return float(changes.get("memory_bytes", o.memory_bytes) if given is None else given)

    memory, state = value("memory_bytes"), o.device == "vf-v2"
    return _Numbers(
        memory, min(memory, value("hot_bytes")), value("dirty_gbit_per_s") * 1e9 / 8,
        value("bandwidth_gbit_per_s") * 1e9 / 8, value("downtime_ms") / 1e3,
        value("device_state_bytes") if state else 0.0, o.device_restore_ms / 1e3 if state else 0.0,
        o.writes == "random", o.device == "vf-untracked",
    )  # fmt: skip


def migrate(options: MigrationOptions | None = None, /, **changes: Any) -> Migration:
    """Move a VM. Parameters as in :class:`MigrationOptions`, as one object or by name. Raises ParameterError.

    V[i+1] = min(hot, D V[i] / B), or hot (1 - e^(-D V[i] / (B hot))) for random writes, until V / B is at most the
    downtime allowed. Golden: 64 GiB over 10 Gb/s at D / B of 0.1, 0.5, 0.9: 3, 8, 50 rounds in 61.0, 109.5, 546.9 s;
    from 1 on never, and a stop then costs 54.98 s.
    """
    o = MigrationOptions.given(options, changes)
    n = _numbers(o)
    sent, dirtied, throttled = (np.zeros(o.max_rounds) for _ in range(3))
    count, left, total, per_cent = _run(o, n, n.dirty, sent, dirtied, throttled)
    rounds = tuple(
        Round(float(s), float(s / n.bandwidth), float(d), float(t))
        for s, d, t in zip(sent[:count], dirtied[:count], throttled[:count], strict=True)
    )
    converged = left <= n.room
    walls = _walls(o)
    events = _logging(o, rounds)
    return Migration(
        options=o,
        rounds=rounds,
        converged=converged,
        never=not converged and n.floor(o.auto_converge) > n.room,
        residue_bytes=left,
        total_s=total / n.bandwidth,
        downtime_s=(left + n.device) / n.bandwidth + n.restore_s,
        sent_bytes=total + left + n.device,
        throttle=per_cent / 100,
        throttle_steps=round(1 + (per_cent - _FIRST) / _STEP) if per_cent else 0,
        throttled_s=sum(r.throttle * r.seconds for r in rounds),
        faults=events[0],
        pml_exits=events[1],
        ring_exits=events[2],
        log_s=events[3],
        split_entries=split_entries(o, n.dirty / PAGE_BYTES, total / n.bandwidth),
        walls=walls,
        limit=_first(o, walls),
    )


def curve(
    ratios: ArrayLike, options: MigrationOptions | None = None, /, **changes: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Downtime and total time in s over D / B, for a picture: ``ratios`` float[n] >= 0 gives two float64[n].

    The dirty rate is ``ratios`` times the bandwidth, whatever ``dirty_gbit_per_s`` says; the rest as in
    :func:`migrate`. Where it does not converge the total time is infinite, and the downtime what the stop would cost.
    """
    o = MigrationOptions.given(options, changes)
    x = np.asarray(ratios, dtype=np.float64)
    if x.ndim != 1 or not np.all((x >= 0) & np.isfinite(x)):
        raise ParameterError("ratios must be a vector of finite numbers >= 0: dirty rate over bandwidth.")
    n = _numbers(o)
    down, total = np.empty_like(x), np.empty_like(x)
    for i, ratio in enumerate(x):
        _, left, sent, _ = _run(o, n, float(ratio) * n.bandwidth, _NONE, _NONE, _NONE)
        down[i] = (left + n.device) / n.bandwidth + n.restore_s
        total[i] = sent / n.bandwidth if left <= n.room else inf
    return down, total


def _run(
    o: MigrationOptions, n: _Numbers, dirty: float, sent: Any, dirtied: Any, throttled: Any
) -> tuple[int, float, float, float]:
    return precopy_kernel(
        n.memory, n.hot, dirty, n.bandwidth, n.room, n.random, n.pinned, o.auto_converge, _TRIGGER, _FIRST, _STEP,
        _MOST, _PERIODS, _PERIOD_S, o.max_rounds, sent, dirtied, throttled,
    )  # fmt: skip


def _logging(o: MigrationOptions, rounds: tuple[Round, ...]) -> tuple[float, float, float, float]:
    """Write faults, PML exits, ring exits and the seconds of vCPU time that they take, over all rounds."""
    faults = pml = ring = seconds = 0.0
    rate = o.dirty_gbit_per_s * 1e9 / 8 / PAGE_BYTES
    after = o.replace(split="start")  # a page is split once
    for i, r in enumerate(rounds):
        events = logged(after if i else o, rate * (1 - r.throttle), r.seconds)
        faults += events.faults
        pml += events.pml_exits
        ring += events.ring_exits
        seconds += events.exit_s(o)
    return faults, pml, ring, seconds


_MOVABLE = (
    "dirty_gbit_per_s", "hot_bytes", "memory_bytes", "bandwidth_gbit_per_s", "downtime_ms", "device_state_bytes",
)  # fmt: skip


def _walls(o: MigrationOptions) -> dict[str, float]:
    walls = {}
    for name in _MOVABLE:
        spec = MigrationOptions.specs()[name]
        assert spec.low is not None and spec.high is not None

        def fits(value: float, name: str = name) -> bool:
            n = _numbers(o, **{name: value})
            return n.floor(o.auto_converge) <= n.room

        wall = _bisect(fits, spec.low, spec.high)
        if wall is not None:
            walls[name] = wall
    return walls


def _bisect(holds: Callable[[float], bool], low: float, high: float) -> float | None:
    """Where a monotone condition changes between ``low`` and ``high``; None where it does not."""
    at_low = holds(low)
    if at_low == holds(high):
        return None
    for _ in range(64):
        middle = (low + high) / 2
        if holds(middle) == at_low:
            low = middle
        else:
            high = middle
    return high


def _first(o: MigrationOptions, walls: dict[str, float]) -> str:
    n = _numbers(o)
    if n.floor(o.auto_converge) > n.room and o.device != "virtio":
        plain = _numbers(o.replace(device="virtio"))
        if plain.floor(o.auto_converge) <= plain.room:
            return "device"
    ways = {}
    for name, wall in walls.items():
        value = getattr(o, name)
        value = o.memory_bytes if value is None else value
        ways[name] = max(wall / value, value / wall) if wall and value else inf
    return min(ways, key=lambda name: round(ways[name], 9)) if ways else ""  # the first of equals
