"""The split virtqueue, both sides, bit by bit (VirtIO 1.4, section 2.7)."""

from __future__ import annotations

import struct
from collections import deque

from virtlab.core.words import say
from virtlab.virtio.chain import Chain, RingError, Used, Walk
from virtlab.virtio.events import need_event
from virtlab.virtio.layout import DESCRIPTOR_BYTES, INDIRECT, NEXT, NO_EVENT, NO_FEATURES, WRITE, Feature, SplitLayout
from virtlab.virtio.memory import GuestMemory
from virtlab.virtio.sides import Device, Driver, guarded

_DESC = struct.Struct("<QIHH")  # addr, len, flags, next
_USED = struct.Struct("<II")  # id, len


class SplitDriver(Driver):
    """The guest's side of a split ring."""

    def __init__(
        self, memory: GuestMemory, layout: SplitLayout, features: Feature = NO_FEATURES, start: int = 0
    ) -> None:
        super().__init__(memory, layout, features)
        self.layout: SplitLayout = layout
        self._avail = self._shown = self._used = start & 0xFFFF
        # In order: places go round the table from 0 on. Else the place that was freed last is taken first, as in Linux.
        self._free: deque[int] = deque(range(self.size))
        self._flying: dict[int, tuple[list[int], int]] = {}  # head -> its places, and the bytes that may be written

    @property
    def free(self) -> int:
        return len(self._free)

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    @guarded
    def _add(self, pieces: list[tuple[int, int, bool]], table: int | None) -> int:
        memory, layout = self.memory, self.layout
        places = [self._free.popleft() for _ in range(1 if table is not None else len(pieces))]
        head = places[0]
        if table is None:
            self._write(layout.desc, places, pieces)
        else:
            self._write(table, list(range(len(pieces))), pieces)
            desc = _DESC.pack(table, DESCRIPTOR_BYTES * len(pieces), INDIRECT, 0)
            memory.write(layout.desc + DESCRIPTOR_BYTES * head, desc)
        memory.store16(layout.driver + 4 + 2 * (self._avail % self.size), head)
        self._avail = self._avail + 1 & 0xFFFF
        self._flying[head] = places, sum(size for _, size, writable in pieces if writable)
        return head

    def _write(self, table: int, places: list[int], pieces: list[tuple[int, int, bool]]) -> None:
        for place, after, (address, size, writable) in zip(places, [*places[1:], None], pieces, strict=True):
            flags = (WRITE if writable else 0) | (0 if after is None else NEXT)
            self.memory.write(table + DESCRIPTOR_BYTES * place, _DESC.pack(address, size, flags, after or 0))

    @guarded
    def publish(self) -> bool:
        memory, layout = self.memory, self.layout
        if self._avail == self._shown:
            return False
        old, self._shown = self._shown, self._avail
        memory.wmb("descriptors, avail idx")
        memory.store16(layout.driver + 2, self._avail)
        memory.mb("avail idx, kicks wanted?")
        if self.event_idx:
            wanted = need_event(memory.load16(layout.avail_event), self._avail, old)
        else:
            wanted = not memory.load16(layout.device) & NO_EVENT
        return self._told("kicks", wanted)

    @guarded
    def take(self) -> list[Used]:
        idx = self.memory.load16(self.layout.device + 2)
        left = idx - self._used & 0xFFFF
        if left > self.in_flight:
            raise RingError("used_idx", moved=left, flying=self.in_flight)
        self.memory.rmb("used idx, used ring")
        taken: list[Used] = []
        while left:
            entry = self.layout.device + 4 + 8 * (self._used % self.size)
            head, written = _USED.unpack(self.memory.read(entry, 8))
            if head not in self._flying:
                raise RingError("used_id", id=head)
            if written > self._flying[head][1]:
                raise RingError("used_len", id=head, written=written, capacity=self._flying[head][1])
            batch = self._batch(head, left) if self.in_order else [head]
            taken += [Used(h, written if h == head else self._flying[h][1]) for h in batch]
            for h in batch:
                self._reclaim(h)
            left -= len(batch)
            self._used = self._used + len(batch) & 0xFFFF
        return taken

    def _batch(self, last: int, left: int) -> list[int]:
        """The buffers for which one entry of a device that keeps the order stands."""
        batch = list(self._flying)
        batch = batch[: batch.index(last) + 1]
        if len(batch) > left:
            raise RingError("used_idx", moved=left, flying=len(batch))
        return batch

    def _reclaim(self, head: int) -> None:
        places, _ = self._flying.pop(head)
        if self.in_order:
            self._free.extend(places)
        else:
            self._free.extendleft(reversed(places))

    @guarded
    def calls(self, after: int | None = 1) -> bool:
        memory, layout = self.memory, self.layout
        if after is not None and not 1 <= after <= self.size:
            raise ValueError(say("virtio.after", size=self.size, given=after))
        if self.event_idx:
            # None: the place that lies farthest ahead, the one just left behind.
            memory.store16(layout.used_event, self._used + (after - 1 if after else -1))
        else:
            memory.store16(layout.driver, 0 if after else NO_EVENT)
        if not after:
            return False
        memory.mb("calls wanted, used idx?")
        there = memory.load16(layout.device + 2) - self._used & 0xFFFF
        return there >= (after if self.event_idx else 1)


class SplitDevice(Device):
    """The host's side of a split ring. It believes no index, address, length or flag of the driver."""

    def __init__(
        self, memory: GuestMemory, layout: SplitLayout, features: Feature = NO_FEATURES, start: int = 0
    ) -> None:
        super().__init__(memory, layout, features)
        self.layout: SplitLayout = layout
        self._avail = self._used = start & 0xFFFF
        self._seen = self._avail  # the avail index as it was last loaded
        self._told_at: int | None = None  # the used index of the last call; none after a start: the first always comes

    @property
    def next_avail(self) -> int:
        return self._avail

    @guarded
    def pop(self) -> Chain | None:
        memory, layout = self.memory, self.layout
        if self._seen == self._avail and not self._look():
            return None
        head = memory.load16(layout.driver + 4 + 2 * (self._avail % self.size))
        chain = self._fly(self._walk(head))
        self._avail = self._avail + 1 & 0xFFFF
        return chain

    def _look(self) -> bool:
        """Whether the driver has offered anything."""
        idx = self.memory.load16(self.layout.driver + 2)
        moved = idx - self._avail & 0xFFFF
        held = self.in_flight + len(self._done)
        if moved + held > self.size:
            raise RingError("avail_idx", moved=moved, held=held, size=self.size)
        self._seen = idx
        self.memory.rmb("avail idx, descriptors")
        return moved > 0

    def _walk(self, head: int) -> Chain:
        walk = Walk(self.memory, self.size)
        table, entries, place, inside, direct = self.layout.desc, self.size, head, False, 0
        while True:
            if place >= entries:
                raise RingError("place", place=place, entries=entries)
            address, size, flags, after = _DESC.unpack(self.memory.read(table + DESCRIPTOR_BYTES * place, 16))
            direct += not inside
            if flags & ~(NEXT | WRITE | INDIRECT):
                raise RingError("flags", flags=f"{flags:#x}")
            if flags & INDIRECT:
                if not self.indirect or inside or flags & NEXT:
                    raise RingError("nested" if inside else "next" if flags & NEXT else "no_indirect")
                entries = walk.table(address, size)
                table, place, inside = address, 0, True
                continue
            walk.add(address, size, bool(flags & WRITE))
            if not flags & NEXT:
                return walk.chain(head, direct)
            if self.in_order and after != (place + 1 if inside else (place + 1) % self.size):
                raise RingError("not_next", place=place, after=after)
            place = after

    @guarded
    def publish(self) -> bool:
        memory, layout = self.memory, self.layout
        if not self._done:
            return False
        for chain, written, batch in self._batches():
            memory.write(layout.device + 4 + 8 * (self._used % self.size), _USED.pack(chain.id, written))
            self._used = self._used + len(batch) & 0xFFFF
        memory.wmb("used ring, used idx")
        memory.store16(layout.device + 2, self._used)
        memory.mb("used idx, calls wanted?")
        if self.event_idx:
            old, self._told_at = self._told_at, self._used
            wanted = old is None or need_event(memory.load16(layout.used_event), self._used, old)
        else:
            wanted = not memory.load16(layout.driver) & NO_EVENT
        return self._told("calls", wanted)

    @guarded
    def kicks(self, wanted: bool = True) -> bool:
        memory, layout = self.memory, self.layout
        if self.event_idx:
            memory.store16(layout.avail_event, self._avail if wanted else self._avail - 1)
        else:
            memory.store16(layout.device, 0 if wanted else NO_EVENT)
        if not wanted:
            return False
        memory.mb("kicks wanted, avail idx?")
        return self._look()
