"""The packed virtqueue, both sides, bit by bit (VirtIO 1.4, section 2.8)."""

from __future__ import annotations

import struct
from collections import deque

from virtlab.core.words import say
from virtlab.virtio.chain import Chain, RingError, Used, Walk
from virtlab.virtio.events import need_event_packed
from virtlab.virtio.layout import (
    AVAIL,
    DESC,
    DESCRIPTOR_BYTES,
    DISABLE,
    ENABLE,
    INDIRECT,
    NEXT,
    NO_FEATURES,
    USED,
    WRITE,
    Feature,
    PackedLayout,
)
from virtlab.virtio.memory import GuestMemory
from virtlab.virtio.sides import Device, Driver, guarded

_DESC = struct.Struct("<QIHH")  # addr, len, id, flags
_BODY = struct.Struct("<QIH")  # without the flags, which are stored last and alone
_USED_BODY = struct.Struct("<IH")  # len, id: a used descriptor leaves addr as it was
WRAP = 1 << 15  # of an event's offset, and of where a ring is continued


class _Place:
    """A place in the ring and the wrap counter of the side that goes round it."""

    def __init__(self, start: int, size: int) -> None:
        self.at, self.wrap, self.size = start & ~WRAP, start >> 15 & 1, size
        if not 0 <= self.at < size:
            raise ValueError(say("virtio.start", given=self.at, size=size))

    def ahead(self, steps: int) -> tuple[int, int]:
        """(place, wrap counter) some steps further on, at most once round."""
        at = self.at + steps
        return (at, self.wrap) if at < self.size else (at - self.size, self.wrap ^ 1)

    def move(self, steps: int) -> None:
        self.at, self.wrap = self.ahead(steps)

    @property
    def word(self) -> int:
        return self.at | self.wrap << 15


def _flags_at(layout: PackedLayout, place: int) -> int:
    return layout.desc + DESCRIPTOR_BYTES * place + 14


def _available(wrap: int) -> int:
    return AVAIL if wrap else USED


def _used(wrap: int) -> int:
    return AVAIL | USED if wrap else 0


class PackedDriver(Driver):
    """The guest's side of a packed ring."""

    def __init__(
        self, memory: GuestMemory, layout: PackedLayout, features: Feature = NO_FEATURES, start: int = WRAP
    ) -> None:
        super().__init__(memory, layout, features)
        self.layout: PackedLayout = layout
        self._next = _Place(start, self.size)  # where the next descriptor is written
        self._back = _Place(start, self.size)  # where the next used descriptor will stand
        self._free = self.size
        self._ids: deque[int] = deque(range(self.size))
        self._flying: dict[int, tuple[int, int]] = {}  # id -> its descriptors, and the bytes that may be written
        self._hidden: list[tuple[int, int]] = []  # address and value of the first flags of what is not published yet
        self._added = 0  # descriptors since the last publish

    @property
    def free(self) -> int:
        return self._free

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    @guarded
    def _add(self, pieces: list[tuple[int, int, bool]], table: int | None) -> int:
        ident = self._ids.popleft()
        if table is not None:
            for n, (address, size, writable) in enumerate(pieces):
                desc = _DESC.pack(address, size, 0, WRITE if writable else 0)
                self.memory.write(table + DESCRIPTOR_BYTES * n, desc)
            listed = [(table, DESCRIPTOR_BYTES * len(pieces), INDIRECT)]
        else:
            listed = [(address, size, WRITE if writable else 0) for address, size, writable in pieces]
        first: tuple[int, int] | None = None
        for n, (address, size, flags) in enumerate(listed):
            flags |= _available(self._next.wrap) | (NEXT if n < len(listed) - 1 else 0)
            self.memory.write(self.layout.desc + DESCRIPTOR_BYTES * self._next.at, _BODY.pack(address, size, ident))
            place = _flags_at(self.layout, self._next.at)
            if first is None:
                first = place, flags
            else:
                self.memory.store16(place, flags)
            self._next.move(1)
        assert first is not None
        self._hidden.append(first)
        self._free -= len(listed)
        self._added += len(listed)
        self._flying[ident] = len(listed), sum(size for _, size, writable in pieces if writable)
        return ident

    @guarded
    def publish(self) -> bool:
        memory, layout = self.memory, self.layout
        if not self._hidden:
            return False
        memory.wmb("descriptors, first flags")
        for place, flags in reversed(self._hidden):  # the device looks at one place: the first, written last
            memory.store16(place, flags)
        self._hidden, added, self._added = [], self._added, 0
        memory.mb("first flags, kicks wanted?")
        asked = memory.load16(layout.device + 2) & 3
        if asked == DESC and self.event_idx:
            memory.rmb("event flags, event offset")
            event = memory.load16(layout.device)
            wanted = need_event_packed(event & ~WRAP, event >> 15, self._next.at, added, self._next.wrap, self.size)
        else:
            wanted = asked != DISABLE
        return self._told("kicks", wanted)

    def _is_used(self, place: int, wrap: int) -> bool:
        flags = self.memory.load16(_flags_at(self.layout, place)) & (AVAIL | USED)
        return flags == _used(wrap)

    @guarded
    def take(self) -> list[Used]:
        taken: list[Used] = []
        while self._flying and self._is_used(self._back.at, self._back.wrap):
            self.memory.rmb("used flags, used descriptor")
            at = self.layout.desc + DESCRIPTOR_BYTES * self._back.at
            written, ident = _USED_BODY.unpack(self.memory.read(at + 8, 6))
            if ident not in self._flying:
                raise RingError("used_id", id=ident)
            if written > self._flying[ident][1]:
                raise RingError("used_len", id=ident, written=written, capacity=self._flying[ident][1])
            batch = list(self._flying)
            batch = batch[: batch.index(ident) + 1] if self.in_order else [ident]
            for n in batch:
                descriptors, capacity = self._flying.pop(n)
                taken.append(Used(n, written if n == ident else capacity))
                self._free += descriptors
                self._ids.append(n) if self.in_order else self._ids.appendleft(n)
                self._back.move(descriptors)
        return taken

    @guarded
    def calls(self, after: int | None = 1) -> bool:
        memory, layout = self.memory, self.layout
        if after is not None and not 1 <= after <= self.size:
            raise ValueError(say("virtio.after", size=self.size, given=after))
        if not after:
            memory.store16(layout.driver + 2, DISABLE)
            return False
        if self.event_idx:
            # An event is a place in the ring. Where buffers differ in length, or come back in another order, the place
            # of the last of them is a guess, and the device may call a little early or late: as Linux's does.
            steps = sum(descriptors for descriptors, _ in list(self._flying.values())[: after - 1])
            place, wrap = self._back.ahead(steps)
            memory.store16(layout.driver, place | wrap << 15)
            memory.wmb("event offset, event flags")
            memory.store16(layout.driver + 2, DESC)
        else:
            place, wrap = self._back.at, self._back.wrap
            memory.store16(layout.driver + 2, ENABLE)
        memory.mb("calls wanted, used flags?")
        return bool(self._flying) and self._is_used(place, wrap)


class PackedDevice(Device):
    """The host's side of a packed ring. It believes no address, length, id or flag of the driver."""

    def __init__(
        self, memory: GuestMemory, layout: PackedLayout, features: Feature = NO_FEATURES, start: int = WRAP
    ) -> None:
        super().__init__(memory, layout, features)
        self.layout: PackedLayout = layout
        self._next = _Place(start, self.size)  # where the next available descriptor will stand
        self._back = _Place(start, self.size)  # where the next used descriptor is written
        self._held = 0  # descriptors that were popped and not given back
        self._called = False

    @property
    def next_avail(self) -> int:
        return self._next.word

    def _is_available(self) -> bool:
        flags = self.memory.load16(_flags_at(self.layout, self._next.at)) & (AVAIL | USED)
        return flags == _available(self._next.wrap)

    @guarded
    def pop(self) -> Chain | None:
        # A ring whose every descriptor is held here can offer none: what looks like one is an old one of a liar.
        if self._held >= self.size or not self._is_available():
            return None
        self.memory.rmb("first flags, descriptors")
        chain = self._fly(self._walk())
        self._next.move(chain.descriptors)
        self._held += chain.descriptors
        return chain

    def _walk(self) -> Chain:
        walk = Walk(self.memory, self.size)
        for n in range(self.size - self._held):
            place, wrap = self._next.ahead(n)
            at = self.layout.desc + DESCRIPTOR_BYTES * place
            address, size, ident, flags = _DESC.unpack(self.memory.read(at, DESCRIPTOR_BYTES))
            if flags & ~(NEXT | WRITE | INDIRECT | AVAIL | USED) or flags & (AVAIL | USED) != _available(wrap):
                raise RingError("flags", flags=f"{flags:#x}")
            if flags & INDIRECT:
                if not self.indirect or flags & NEXT or n:
                    raise RingError("no_indirect" if not self.indirect else "next")
                for entry in range(walk.table(address, size)):
                    body = self.memory.read(address + DESCRIPTOR_BYTES * entry, DESCRIPTOR_BYTES)
                    inner_address, inner_size, _, inner_flags = _DESC.unpack(body)
                    if inner_flags & INDIRECT:
                        raise RingError("nested")
                    walk.add(inner_address, inner_size, bool(inner_flags & WRITE))
            else:
                walk.add(address, size, bool(flags & WRITE))
            if not flags & NEXT:
                return walk.chain(ident, n + 1)
        raise RingError("loop", longest=self.size - self._held)

    @guarded
    def publish(self) -> bool:
        memory, layout = self.memory, self.layout
        if not self._done:
            return False
        moved = 0
        first: tuple[int, int] | None = None
        for chain, written, batch in self._batches():
            at = layout.desc + DESCRIPTOR_BYTES * self._back.at
            memory.write(at + 8, _USED_BODY.pack(written, chain.id))
            flags = _used(self._back.wrap) | (WRITE if written else 0)
            if first is None:
                first = at + 14, flags
            else:
                memory.store16(at + 14, flags)
            steps = sum(c.descriptors for c in batch)
            self._back.move(steps)
            moved += steps
        assert first is not None
        self._held -= moved
        memory.wmb("used descriptors, first used flags")
        memory.store16(*first)
        memory.mb("used flags, calls wanted?")
        asked = memory.load16(layout.driver + 2) & 3
        first_ever, self._called = not self._called, True
        if asked == DISABLE:
            wanted = False
        elif asked == DESC and self.event_idx and not first_ever:
            memory.rmb("event flags, event offset")
            event = memory.load16(layout.driver)
            wanted = need_event_packed(event & ~WRAP, event >> 15, self._back.at, moved, self._back.wrap, self.size)
        else:
            wanted = True
        return self._told("calls", wanted)

    @guarded
    def kicks(self, wanted: bool = True) -> bool:
        memory, layout = self.memory, self.layout
        if not wanted:
            memory.store16(layout.device + 2, DISABLE)
            return False
        if self.event_idx:
            memory.store16(layout.device, self._next.word)
            memory.wmb("event offset, event flags")
            memory.store16(layout.device + 2, DESC)
        else:
            memory.store16(layout.device + 2, ENABLE)
        memory.mb("kicks wanted, first flags?")
        return self._held < self.size and self._is_available()
