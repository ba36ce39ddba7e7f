"""Some batches through a ring, access by access: what each side reads and writes, and in which order, to be played.

The ring code itself runs, on a memory that keeps a record. Both sides take turns, so this is one order of many: the
explorer (virtlab.virtio.explorer) runs them all.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Literal

from virtlab.virtio.layout import Feature, Field, Layout, PackedLayout, SplitLayout
from virtlab.virtio.memory import Arena, LocalMemory
from virtlab.virtio.packed import PackedDevice, PackedDriver
from virtlab.virtio.sides import Device, Driver
from virtlab.virtio.split import SplitDevice, SplitDriver

Side = Literal["driver", "device"]
Kind = Literal["load", "store", "wmb", "mb", "rmb", "notify", "sleep", "wake"]
HEADER_BYTES, ROOM_BYTES = 16, 512
_BUFFERS = 0x10000  # where the buffers lie: behind any ring
_MEMORY_BYTES = 1 << 19
BATCHES = 2


@dataclass(frozen=True)
class Moment:
    """One access, barrier or notification. ``address`` and ``data`` are those of a load or a store."""

    side: Side
    verb: str  # what the side is about: add, publish, take, calls, pop, push, kicks, quiet
    kind: Kind
    address: int = 0
    data: bytes = b""
    where: str = ""  # the name of a barrier
    kicks: int = 0  # so far, this one included
    calls: int = 0


@dataclass(frozen=True)
class Story:
    """All moments, and the ring in which they happen. ``image(n)`` is its memory after the first ``n``."""

    layout: Layout
    packed: bool
    buffers: int  # in each batch; fewer than were asked for where the ring holds no more
    pieces: int  # descriptors of each
    place: int  # of a packed ring at the beginning
    in_order: bool
    moments: tuple[Moment, ...]
    first: bytes = field(repr=False)

    @functools.cached_property
    def named(self) -> dict[tuple[str, str, int | None], Field]:
        """The numbers of the ring by part, name and place."""
        return {(f.part, f.name, f.index): f for f in self.layout.fields()}

    @functools.cached_property
    def fields(self) -> dict[int, Field]:
        """The numbers of the ring by their address."""
        return {f.address: f for f in self.layout.fields()}

    def image(self, n: int) -> bytes:
        """The ring's memory after the first ``n`` moments."""
        memory = bytearray(self.first)
        for moment in self.moments[:n]:
            if moment.kind == "store" and moment.address + len(moment.data) <= len(memory):
                memory[moment.address : moment.address + len(moment.data)] = moment.data
        return bytes(memory)

    def wraps(self, n: int) -> tuple[int, int]:
        """The wrap counters of driver and device after the first ``n`` moments; each side keeps its own to itself."""
        offered = returned = 0
        for moment in self.moments[:n]:
            names = {f.name for f in self.touched(moment)} if moment.kind == "store" else set()
            offered += moment.verb == "add" and "addr" in names
            returned += moment.side == "device" and names == {"len", "id"}
        per_entry = self.pieces * (self.buffers if self.in_order else 1)
        return self._wrap(offered), self._wrap(returned * per_entry)

    def _wrap(self, moved: int) -> int:
        return 1 ^ ((self.place + moved) // self.layout.size & 1)

    def touched(self, moment: Moment) -> list[Field]:
        """The numbers of the ring that a load or store touches; none for an access to an indirect table."""
        if moment.kind not in ("load", "store"):
            return []
        return [self.fields[a] for a in range(moment.address, moment.address + len(moment.data)) if a in self.fields]


class _Recorder(LocalMemory):
    """Memory that notes who touched it, for what, and where."""

    def __init__(self) -> None:
        super().__init__(_MEMORY_BYTES)
        self.moments: list[Moment] = []
        self.side: Side = "driver"
        self.verb = ""
        self.told = {"driver": 0, "device": 0}

    def note(self, kind: Kind, address: int = 0, data: bytes = b"", where: str = "") -> None:
        told = {"kicks": self.told["driver"], "calls": self.told["device"]}
        self.moments.append(Moment(self.side, self.verb, kind, address, data, where, **told))

    def _read(self, address: int, size: int) -> bytes:
        data = super()._read(address, size)
        self.note("load", address, data)
        return data

    def _write(self, address: int, data: bytes) -> None:
        super()._write(address, data)
        self.note("store", address, data)

    def _load16(self, address: int) -> int:
        return int.from_bytes(self._read(address, 2), "little")

    def _store16(self, address: int, value: int) -> None:
        self._write(address, value.to_bytes(2, "little"))

    def mb(self, where: str) -> None:
        self.note("mb", where=where)

    def wmb(self, where: str) -> None:
        self.note("wmb", where=where)

    def rmb(self, where: str) -> None:
        self.note("rmb", where=where)

    def notify(self) -> None:
        self.told[self.side] += 1
        self.note("notify")


@functools.lru_cache(maxsize=64)
def tell(
    packed: bool = False, size: int = 8, features: Feature = Feature.EVENT_IDX, batch: int = 2, start: int = 0,
    device_sleeps: bool = True,
) -> Story:  # fmt: skip
    """Two batches of buffers, each with a header to read and room to write, there and back again.

    ``start``: where the indices of a split ring stand at the beginning (mod 2^16), or the place in a packed ring (mod
    its size). ``device_sleeps``: between the batches; else it goes on looking, and wants no kick.
    """
    memory = _Recorder()
    kinds = (PackedLayout, PackedDriver, PackedDevice) if packed else (SplitLayout, SplitDriver, SplitDevice)
    layout = kinds[0].place(size, Arena(0, _BUFFERS * 2))
    end = max(f.address + f.size for f in layout.fields())
    begin = _begin(memory, layout, packed, start)
    driver = kinds[1](memory, layout, features, begin)  # type: ignore[arg-type]
    device = kinds[2](memory, layout, features, begin)  # type: ignore[arg-type]
    pieces = 1 if Feature.INDIRECT_DESC in features else 2
    buffers = max(min(batch, size // pieces), 1)
    kind = pieces, begin & 0x7FFF if packed else 0, Feature.IN_ORDER in features
    first = bytes(memory.bytes[:end])
    memory.moments.clear()
    if size < 2:  # no chain, indirect or not, may be longer than the ring
        return Story(layout, packed, 0, *kind, (), first)
    _run(memory, driver, device, buffers, device_sleeps)
    return Story(layout, packed, buffers, *kind, tuple(memory.moments), first)


def _begin(memory: LocalMemory, layout: Layout, packed: bool, start: int) -> int:
    """Makes the ring look as if it had been in use up to here; returns where both sides begin."""
    if not packed:
        for f in layout.fields():
            if f.name in ("idx", "avail_event"):  # the device sleeps, and has asked for a kick at the next buffer
                LocalMemory._write(memory, f.address, (start & 0xFFFF).to_bytes(2, "little"))
        return start & 0xFFFF
    place = start % layout.size
    used = (1 << 7 | 1 << 15).to_bytes(2, "little")
    for f in layout.fields():
        if f.part == "desc" and f.name == "flags" and f.index is not None and f.index < place:
            LocalMemory._write(memory, f.address, used)  # used in this round; those ahead are as at the very beginning
    return place | 1 << 15


def _run(memory: _Recorder, driver: Driver, device: Device, buffers: int, device_sleeps: bool) -> None:
    def doing(side: Side, verb: str) -> None:
        memory.side, memory.verb = side, verb

    indirect = driver.indirect
    for batch in range(BATCHES):
        for n in range(buffers):
            doing("driver", "add")
            at = _BUFFERS + 0x1000 * n
            driver.add([(at, HEADER_BYTES)], [(at + 0x200, ROOM_BYTES)], table=at + 0x800 if indirect else None)
        doing("driver", "calls")
        driver.calls(buffers)  # when the last of them is back; a packed ring must know where that will stand
        doing("driver", "publish")
        if driver.publish():
            memory.notify()
        doing("device", "quiet")
        if batch == 0 or device_sleeps:
            memory.note("wake")
            device.kicks(False)
        for _ in range(buffers):
            doing("device", "pop")
            chain = device.pop()
            assert chain is not None
            doing("device", "push")
            device.push(chain, chain.capacity)
        doing("device", "publish")
        if device.publish():
            memory.notify()
        if device_sleeps or batch == BATCHES - 1:
            doing("device", "kicks")
            if not device.kicks(True):
                memory.note("sleep")
        doing("driver", "take")
        memory.note("wake")
        driver.take()
