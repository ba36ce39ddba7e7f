"""Runs a driver and a device through EVERY interleaving of their memory accesses, and finds lost wake-ups.

What runs is the code of this package itself, on a memory that stops at each access. A CPU may hold its own stores back
and let a later load pass (x86: in order of the stores; other CPUs in any order), until a barrier; so may this one. A
lost wake-up is a state in which both sides sleep, or one has ended, and a buffer still lies in the ring.

Loads are not reordered here: what ``rmb`` is for cannot be shown.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from virtlab.core.words import say, words
from virtlab.virtio.chain import RingError
from virtlab.virtio.layout import NO_FEATURES, Feature, PackedLayout, SplitLayout
from virtlab.virtio.memory import Arena, GuestAddressError, GuestMemory, LocalMemory
from virtlab.virtio.packed import PackedDevice, PackedDriver
from virtlab.virtio.sides import Device, Driver
from virtlab.virtio.split import SplitDevice, SplitDriver

Order = Literal["tso", "weak"]
Side = Literal["driver", "device"]
DRIVER, DEVICE = 0, 1
SIDES: tuple[Side, Side] = ("driver", "device")
LIMIT = 2_000_000  # states
#: Barriers by the name that the ring code gives them; the four that keep a notification from being lost, by layout.
NOTIFICATION_BARRIERS = {
    "split": ("avail idx, kicks wanted?", "kicks wanted, avail idx?", "used idx, calls wanted?",
              "calls wanted, used idx?"),
    "packed": ("first flags, kicks wanted?", "kicks wanted, first flags?", "used flags, calls wanted?",
               "calls wanted, used flags?"),
}  # fmt: skip


class Step(NamedTuple):
    """One access, barrier or notification of one side: what a program asks of the memory."""

    kind: Literal["load", "store", "seen", "mb", "wmb", "notify", "sleep", "end"]
    address: int = 0
    size: int = 0
    data: bytes = b""
    where: str = ""


class _Paused(BaseException):
    """The program has come to a step whose result is not known yet. Not an Exception: ring code must not catch it."""

    def __init__(self, step: Step) -> None:
        self.step = step


class _Stepping(GuestMemory):
    """Plays back the results of the steps so far, and stops at the next one."""

    def __init__(self, results: tuple[bytes, ...], size: int, without: Collection[str], met: set[str]) -> None:
        super().__init__()
        self._results, self._at, self._size, self._without, self._met = results, 0, size, without, met

    def ask(self, step: Step) -> bytes:
        if self._at == len(self._results):
            raise _Paused(step)
        self._at += 1
        return self._results[self._at - 1]

    def check(self, address: int, size: int) -> None:
        if address < 0 or size < 0 or address + size > self._size:
            raise GuestAddressError(address, size)

    def _read(self, address: int, size: int) -> bytes:
        return self.ask(Step("load", address, size))

    def _write(self, address: int, data: bytes) -> None:
        self.ask(Step("store", address, len(data), data))

    def mb(self, where: str) -> None:
        self._barrier(Step("mb", where=where))

    def wmb(self, where: str) -> None:
        self._barrier(Step("wmb", where=where))

    def _barrier(self, step: Step) -> None:
        self._met.add(step.where)
        if step.where not in self._without:
            self.ask(step)


class Line(NamedTuple):
    """One step of a schedule in words. ``kind`` is that of the step, or "store_seen" for a store that was seen at once;
    ``name`` says what is loaded or stored."""

    side: Side
    what: str
    kind: str
    name: str


@dataclass(frozen=True)
class Found:
    """What exploring every interleaving found. ``schedule`` is the shortest one that loses a wake-up, if any does."""

    states: int
    lost: bool
    fault: str
    schedule: tuple[Line, ...]
    asleep: tuple[Side, ...] = ()  # the sides that sleep when a wake-up is lost; the other one has ended

    def __str__(self) -> str:
        key = "fault" if self.fault else "lost" if self.lost else "safe"
        head = say(f"virtio.explorer.{key}", states=f"{self.states:,}", steps=len(self.schedule), fault=self.fault)
        return "\n".join([head, *(f"{n:3}  {line.side:6}  {line.what}" for n, line in enumerate(self.schedule, 1))])

    __repr__ = __str__


class _State(NamedTuple):
    memory: bytes
    programs: tuple[int, int]  # what each side has seen so far: a node of the trie of results
    stores: tuple[tuple[Step, ...], tuple[Step, ...]]  # made, but not yet seen by the other side; oldest first
    told: tuple[bool, bool]  # whether a notification waits for this side


@functools.lru_cache(maxsize=256)
def explore(
    packed: bool = False, features: Feature = NO_FEATURES, buffers: int = 2, size: int = 2,
    without: tuple[str, ...] = (), order: Order = "tso", batch: int = 1, start: int | None = None,
) -> Found:  # fmt: skip
    """All interleavings of a driver that offers ``buffers`` and waits for each, and a device that serves and sleeps.

    ``without`` names barriers to leave out (``NOTIFICATION_BARRIERS``, or one of ``wmb``). ``order``: "tso" holds back
    stores in their order (x86), "weak" in any order up to a store barrier. Raises ValueError for an unknown barrier and
    when there are more than two million states.
    """
    layout = "packed" if packed else "split"
    world = _World(packed, features, size, start)
    run = _Explorer(world, buffers, batch, frozenset(without), order)
    found = run.explore()
    unknown = set(without) - run.barriers
    if unknown:
        raise ValueError(say("virtio.explorer.unknown", names=", ".join(sorted(unknown)), layout=layout,
                             known="; ".join(sorted(run.barriers))))  # fmt: skip
    return found


class _World:
    """The memory, the ring in it, and how each side is made."""

    def __init__(self, packed: bool, features: Feature, size: int, start: int | None) -> None:
        self.features = features
        kinds: tuple[Any, Any, Any] = (
            (PackedLayout, PackedDriver, PackedDevice) if packed else (SplitLayout, SplitDriver, SplitDevice)
        )
        self.layout = kinds[0].place(size, Arena(0, 1 << 12))
        self._kinds = kinds[1:]
        self._start = {} if start is None else {"start": start}
        end = max(f.address + f.size for f in self.layout.fields())
        self.bytes = -(-end // 16) * 16 + 16  # the last 16 B are the buffers: what is in them does not matter
        self.image = LocalMemory(self.bytes)
        if not packed and start:
            for field in self.layout.fields():
                if field.name == "idx":
                    self.image.store16(field.address, start)
        self.names = {f.address: f for f in self.layout.fields()}

    def driver(self, memory: GuestMemory) -> Driver:
        made: Driver = self._kinds[0](memory, self.layout, self.features, **self._start)
        return made

    def device(self, memory: GuestMemory) -> Device:
        made: Device = self._kinds[1](memory, self.layout, self.features, **self._start)
        return made

    def name(self, address: int) -> str:
        field = self.names.get(address)
        if field is None:
            return f"{address:#x}"
        place = "" if field.index is None else f"[{field.index}]"
        if field.part == "desc":
            return f"desc{place}" if field.name == "addr" else f"desc{place}.{field.name}"
        return f"{field.part}.{field.name}{place}"


_Parents = dict[_State, tuple[_State, int, Step] | None]


class _Explorer:
    def __init__(self, world: _World, buffers: int, batch: int, without: frozenset[str], order: Order) -> None:
        self.world, self.buffers, self.batch, self.without, self.order = world, buffers, batch, without, order
        self.barriers: set[str] = set()
        self._results: tuple[list[tuple[bytes, ...]], list[tuple[bytes, ...]]] = ([()], [()])
        self._nodes: tuple[dict[tuple[int, bytes], int], dict[tuple[int, bytes], int]] = ({}, {})
        self._next: tuple[dict[int, Step], dict[int, Step]] = ({}, {})
        self._programs: tuple[Callable[[_Stepping], None], ...] = (self._drive, self._serve)

    # --- the two programs: what a driver and a device do, in the verbs of the rings ----------------------------------

    def _drive(self, memory: _Stepping) -> None:
        driver = self.world.driver(memory)
        address, added, back = self.world.bytes - 16, 0, 0
        driver.calls(None)
        while back < self.buffers:
            for _ in range(min(self.batch, self.buffers - added, driver.free)):
                driver.add(writable=[(address, 2)])
                added += 1
            if driver.publish():
                memory.ask(Step("notify"))
            taken = driver.take()
            if any(used.written != 1 for used in taken):
                raise RingError("stale")
            back += len(taken)
            if not taken and back < self.buffers:
                if not driver.calls():
                    memory.ask(Step("sleep"))
                driver.calls(None)

    def _serve(self, memory: _Stepping) -> None:
        device = self.world.device(memory)
        served = 0
        device.kicks(False)
        while served < self.buffers:
            while (chain := device.pop()) is not None:
                device.push(chain, 1)
                served += 1
                if served % self.batch == 0 and device.publish():
                    memory.ask(Step("notify"))
            if device.publish():
                memory.ask(Step("notify"))
            if served < self.buffers:
                if not device.kicks():
                    memory.ask(Step("sleep"))
                device.kicks(False)

    # --- one side's next step, and the node after it ------------------------------------------------------------------

    def _step(self, side: int, node: int) -> Step:
        known = self._next[side].get(node)
        if known is None:
            memory = _Stepping(self._results[side][node], self.world.bytes, self.without, self.barriers)
            try:
                self._programs[side](memory)
                known = Step("end")
            except _Paused as paused:
                known = paused.step
            self._next[side][node] = known
        return known

    def _after(self, side: int, node: int, result: bytes) -> int:
        key = node, result
        found = self._nodes[side].get(key)
        if found is None:
            found = self._nodes[side][key] = len(self._results[side])
            self._results[side].append((*self._results[side][node], result))
        return found

    # --- the search: breadth first, so that the first schedule found is a shortest one --------------------------------

    def explore(self) -> Found:
        first = _State(bytes(self.world.image.bytes), (0, 0), ((), ()), (False, False))
        parents: _Parents = {first: None}
        queue = deque([first])
        while queue:
            state = queue.popleft()
            try:
                moves = self._moves(state)
            except RingError as error:
                return Found(len(parents), False, str(error), self._schedule(parents, state))
            asleep = tuple(SIDES[s] for s in (DRIVER, DEVICE) if self._step(s, state.programs[s]).kind != "end")
            if not moves and asleep:
                return Found(len(parents), True, "", self._schedule(parents, state), asleep)
            for move, side, step in moves:
                if move not in parents:
                    parents[move] = state, side, step
                    queue.append(move)
            if len(parents) > LIMIT:
                raise ValueError(say("virtio.explorer.many", limit=f"{LIMIT:,}"))
        return Found(len(parents), False, "", ())

    def _moves(self, state: _State) -> list[tuple[_State, int, Step]]:
        moves = []
        for side in (DRIVER, DEVICE):
            for n in self._seeable(state.stores[side]):
                moves.append(self._seen(state, side, n))
            step = self._step(side, state.programs[side])
            made = self._made(state, side, step)
            if made is not None:
                after, result = made
                moves.append((after, side, step._replace(data=result) if step.kind == "load" else step))
        return moves

    def _seeable(self, stores: tuple[Step, ...]) -> list[int]:
        """Which of the held-back stores may be seen by the other side next."""
        if self.order == "tso":
            return [0] if stores else []
        seeable: list[int] = []
        for n, store in enumerate(stores):
            if store.kind == "wmb":
                break
            if not any(_overlap(store, earlier) for earlier in stores[:n]):
                seeable.append(n)
        return seeable

    def _seen(self, state: _State, side: int, n: int) -> tuple[_State, int, Step]:
        store = state.stores[side][n]
        left = state.stores[side][:n] + state.stores[side][n + 1 :]
        while left and left[0].kind == "wmb":
            left = left[1:]
        memory = state.memory[: store.address] + store.data + state.memory[store.address + store.size :]
        return state._replace(memory=memory, stores=_put(state.stores, side, left)), side, store._replace(kind="seen")

    def _made(self, state: _State, side: int, step: Step) -> tuple[_State, bytes] | None:
        """The state after one side's next step, and what it loaded; None while it cannot go on."""
        stores, result = state.stores[side], b""
        told = state.told
        match step.kind:
            case "end":
                return None
            case "mb" | "notify" if stores:
                return None  # a notification is a system call or a VM exit: everything before it is seen
            case "wmb":
                stores = (*stores, step) if stores and self.order == "weak" else stores
            case "sleep":
                if not told[side]:
                    return None
                told = _put(told, side, False)
            case "notify":
                told = _put(told, 1 - side, True)
            case "store":
                stores = (*stores, step)
            case "load":
                seen = bytearray(state.memory[step.address : step.address + step.size])
                for store in stores:  # a CPU sees its own stores at once
                    for n, byte in enumerate(store.data):
                        if 0 <= store.address + n - step.address < step.size:
                            seen[store.address + n - step.address] = byte
                result = bytes(seen)
        node = self._after(side, state.programs[side], result)
        programs = _put(state.programs, side, node)
        return state._replace(programs=programs, stores=_put(state.stores, side, stores), told=told), result

    def _schedule(self, parents: _Parents, state: _State) -> tuple[Line, ...]:
        """The way to a state, in words. A store that is seen at once is one line."""
        steps: list[tuple[int, Step]] = []
        at = parents[state]
        while at is not None:
            before, side, step = at
            steps.append((side, step))
            at = parents[before]
        steps.reverse()
        lines: list[Line] = []
        for n, (side, step) in enumerate(steps):
            seen = step._replace(kind="seen")
            if step.kind == "store" and steps[n + 1 : n + 2] == [(side, seen)]:
                continue
            at_once = step.kind == "seen" and n > 0 and steps[n - 1] == (side, step._replace(kind="store"))
            key = "store_seen" if at_once else step.kind
            name, value = self.world.name(step.address), _value(step.data)
            what = say(f"virtio.explorer.{key}", name=name, value=value, where=step.where)
            lines.append(Line(SIDES[side], what, key, name))
        return tuple(lines)


def _put(pair: tuple[Any, Any], side: int, value: Any) -> tuple[Any, Any]:
    return (value, pair[1]) if side == DRIVER else (pair[0], value)


def _overlap(a: Step, b: Step) -> bool:
    return a.address < b.address + b.size and b.address < a.address + a.size


def _value(data: bytes) -> str:
    """A number; of a whole record, whether there is anything in it."""
    if len(data) <= 4:
        return str(int.from_bytes(data, "little"))
    return str(words(f"virtio.explorer.{'record' if any(data) else 'zeros'}"))
