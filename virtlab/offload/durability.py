"""Who holds a write, and which crash loses it: every order of events through the caches from the guest to the disk.

Two blocks are written, A and then B, and then a flush is asked for. Meanwhile each cache may pass on what it holds,
when it likes and in any order. Each crash is tried in each state that can be reached. When the host's kernel ends,
the disk keeps its power and its cache.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

WriteCache = Literal["writeback", "none", "writethrough", "directsync", "unsafe"]
DeviceCache = Literal["volatile", "protected", "none"]
#: QEMU's modes of a drive, and what they are made of: the host's page cache holds writes; each write is made durable
#: before it completes; a flush is ignored.
WRITE_CACHES: Mapping[WriteCache, tuple[bool, bool, bool]] = {
    "writeback": (True, False, False), "none": (False, False, False), "writethrough": (True, True, False),
    "directsync": (False, True, False), "unsafe": (True, False, True),
}  # fmt: skip
#: Where the newest copy of a block can be, from the application on: the further, the safer.
HOLDERS = ("guest", "host", "device", "medium")
#: What can end, and the holders whose contents end with it. A protected device cache survives all.
CRASHES: Mapping[str, tuple[str, ...]] = {
    "guest": ("guest",), "host": ("guest", "host"), "power": ("guest", "host", "device"),
}  # fmt: skip
#: The moments after which a crash is tried, besides all in between.
MOMENTS = ("after_a", "after_b", "after_flush")
_GUEST, _HOST, _DEVICE, _MEDIUM = range(4)


class DurabilityOptions(Parameters):
    """The drive's cache mode, the disk's own cache, and whether the application goes around the guest's page cache."""

    write_cache: WriteCache = parameter(FACTS["write.cache"], default="writeback")
    device_cache: DeviceCache = parameter(FACTS["write.device"], default="volatile")
    guest_direct: bool = parameter(FACTS["write.guest_direct"], default=True)


class _State(NamedTuple):
    """How far each block is (-1: not written yet), how many steps of the program are done."""

    a: int = -1
    b: int = -1
    done: int = 0


class Losses(NamedTuple):
    """What a crash at one moment can leave: each set of blocks, as text ("", "A", "B", "AB"), that may survive."""

    survivors: tuple[str, ...]

    @property
    def certain(self) -> str:
        """The blocks that survive whatever the caches did."""
        return "".join(block for block in "AB" if all(block in found for found in self.survivors))


@dataclass(frozen=True, repr=False)
class Durability(Shown):
    """By moment and crash, what may survive. ``states`` are those that were reached."""

    options: DurabilityOptions
    losses: Mapping[tuple[str, str], Losses]
    states: int

    def survives(self, moment: str, crash: str) -> bool:
        """Whether all that was written by this moment survives this crash for certain."""
        return self.losses[moment, crash].certain == ("A" if moment == "after_a" else "AB")

    @property
    def written(self) -> tuple[str, ...]:
        """The crashes that a completed write survives, without any flush."""
        return tuple(crash for crash in CRASHES if self.survives("after_b", crash))

    @property
    def flushed(self) -> tuple[str, ...]:
        """The crashes that it survives after a flush that has completed."""
        return tuple(crash for crash in CRASHES if self.survives("after_flush", crash))

    @property
    def promise_kept(self) -> bool:
        """Whether a completed flush means what the guest takes it for: no crash loses what was written before."""
        return len(self.flushed) == len(CRASHES)

    @property
    def reorders(self) -> bool:
        """Whether a crash before the flush may keep the later write and lose the earlier one."""
        return any("B" in found.survivors for found in self.losses.values())

    def matches(self, other: Durability) -> bool:
        """Whether writes of both are as durable, so that their rates may be compared."""
        return (self.written, self.flushed) == (other.written, other.flushed)

    def law(self) -> tuple[float, float]:
        """A crash that ends more keeps no more: counts of what is certain, from guest to power, are in order."""
        counts = [sum(len(self.losses[m, crash].certain) for m in MOMENTS) for crash in CRASHES]
        return float(sum(counts)), float(sum(sorted(counts, reverse=True)))

    def sentence(self) -> str:
        """The result in one sentence."""
        specs = DurabilityOptions.specs()
        said = [specs[name].show(getattr(self.options, name)) for name in ("write_cache", "device_cache")]
        return say(f"durability.{'kept' if self.promise_kept else 'broken'}", mode=said[0], device=said[1],
                   written=_names(self.written), flushed=_names(self.flushed),
                   order=words(f"durability.order.{'any' if self.reorders else 'kept'}"))  # fmt: skip

    def table(self) -> Table:
        rows = [
            (words(f"durability.moment.{moment}"), *(_said(self.losses[moment, crash].survivors) for crash in CRASHES))
            for moment in MOMENTS
        ]  # fmt: skip
        head = [words("durability.column"), *(words(f"durability.crash.{crash}") for crash in CRASHES)]
        return Table.of(head, rows, self.sentence())


@functools.lru_cache(maxsize=64)
def _durability(o: DurabilityOptions) -> Durability:
    states = _reachable(o)
    losses = {}
    for n, moment in enumerate(MOMENTS, 1):
        for crash in CRASHES:
            found = {_left(o, state, crash) for state in states if state.done == n}
            losses[moment, crash] = Losses(tuple(sorted(found, key=lambda s: (len(s), s))))
    return Durability(o, losses, len(states))


def durability(options: DurabilityOptions | None = None, /, **changes: Any) -> Durability:
    """What each crash can lose, over all orders of events. Options as in :class:`DurabilityOptions`.

    Golden: after a flush nothing is lost in any mode but "unsafe"; "none" is as volatile as the disk's own cache, so
    that it loses unflushed writes at a power failure; "writethrough" and "directsync" lose no completed write. The
    source is the table of cache modes in QEMU's manual. Raises ParameterError.
    """
    o = DurabilityOptions.given(options, changes)
    return _durability(o)


def compare_writes(one: Durability, other: Durability, one_per_s: float, other_per_s: float) -> float:
    """How many times as fast ``one`` writes as ``other``.

    Raises ParameterError when their writes are not as durable: then the faster one may only have promised less.
    """
    if not one.matches(other):
        said = {f"{who}_{part}": _names(getattr(it, part)) for who, it in (("one", one), ("other", other))
                for part in ("written", "flushed")}  # fmt: skip
        raise ParameterError(say("durability.error.differs", **said))
    if min(one_per_s, other_per_s) <= 0:
        raise ParameterError(say("durability.error.rates", one=number(one_per_s), other=number(other_per_s)))
    return one_per_s / other_per_s


def _reachable(o: DurabilityOptions) -> set[_State]:
    """Every state of the program and its caches."""
    seen, todo = set[_State](), [_State()]
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        todo += _program(o, state) + _background(o, state)
    return seen


def _program(o: DurabilityOptions, state: _State) -> list[_State]:
    """The next step of the program: a write that completes, or the flush."""
    if state.done == 0:
        return [state._replace(a=_completes_at(o), done=1)]
    if state.done == 1:
        return [state._replace(b=_completes_at(o), done=2)]
    if state.done == 2:
        # fsync writes back what the guest's page cache holds, and then asks the disk for a flush.
        return [_State(max(state.a, _flushed_to(o)), max(state.b, _flushed_to(o)), 3)]
    return []


def _background(o: DurabilityOptions, state: _State) -> list[_State]:
    """Each cache may pass on each block at any time, in any order."""
    return [state._replace(**{name: _further(o, at)}) for name in "ab" if 0 <= (at := getattr(state, name)) < _MEDIUM]


def _entry(o: DurabilityOptions) -> int:
    """Where a write of the guest's is when the drive says that it is complete."""
    cached, durable, _ = WRITE_CACHES[o.write_cache]
    if durable:
        return _MEDIUM
    return _HOST if cached else _stored(o)


def _stored(o: DurabilityOptions) -> int:
    """Where a write is when the disk says that it is complete."""
    return _MEDIUM if o.device_cache == "none" else _DEVICE


def _completes_at(o: DurabilityOptions) -> int:
    return _entry(o) if o.guest_direct else _GUEST


def _flushed_to(o: DurabilityOptions) -> int:
    """How far a flush brings everything: to the medium, unless the drive swallows it."""
    return _entry(o) if WRITE_CACHES[o.write_cache][2] else _MEDIUM


def _further(o: DurabilityOptions, at: int) -> int:
    return {_GUEST: _entry(o), _HOST: _stored(o), _DEVICE: _MEDIUM}[at]


def _left(o: DurabilityOptions, state: _State, crash: str) -> str:
    ends = {HOLDERS.index(holder) for holder in CRASHES[crash]}
    if o.device_cache == "protected":
        ends.discard(_DEVICE)
    return "".join(name for name, at in (("A", state.a), ("B", state.b)) if at >= 0 and at not in ends)


def _names(crashes: tuple[str, ...]) -> str:
    return ", ".join(str(words(f"durability.crash.{crash}")) for crash in crashes) or str(words("durability.no_crash"))


def _said(survivors: tuple[str, ...]) -> str:
    """"A and B", or "A, or nothing"."""
    either = [" and ".join(found) if found else str(words("durability.nothing")) for found in reversed(survivors)]
    return ", or ".join(either)


def all_durabilities() -> dict[DurabilityOptions, Durability]:
    """Every mode with every disk and both ways of the application."""
    every = (
        DurabilityOptions(write_cache=mode, device_cache=device, guest_direct=direct)
        for mode in get_args(WriteCache) for device in get_args(DeviceCache) for direct in (True, False)
    )  # fmt: skip
    return {o: durability(o) for o in every}


@dataclass(frozen=True, repr=False)
class CacheModes(Shown):
    """All cache modes side by side, for one disk."""

    device_cache: DeviceCache

    def table(self) -> Table:
        rows = []
        for mode, (cached, durable, ignored) in WRITE_CACHES.items():
            found = durability(write_cache=mode, device_cache=self.device_cache)
            flush = "ignored" if ignored else "nothing_left" if durable else "passed"
            rows.append((mode, words(f"durability.host_cache.{'yes' if cached else 'no'}"),
                         words(f"durability.flush.{flush}"), _names(found.written), _names(found.flushed),
                         words(f"durability.order.{'any' if found.reorders else 'kept'}")))  # fmt: skip
        device = DurabilityOptions.specs()["device_cache"].show(self.device_cache)
        return Table.of(words("durability.modes_header"), rows, say("durability.modes_caption", device=device))


def cache_modes(device_cache: DeviceCache = "volatile") -> CacheModes:
    """QEMU's five cache modes beside each other: what a completed write and a completed flush survive."""
    return CacheModes(DurabilityOptions(device_cache=device_cache).device_cache)
