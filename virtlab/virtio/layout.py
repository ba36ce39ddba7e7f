"""Where every byte of a virtqueue lies: the parts of split and packed rings, their sizes and fields (VirtIO 1.4)."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from virtlab.core.words import say
from virtlab.virtio.memory import Arena, GuestMemory

LARGEST = 1 << 15
DESCRIPTOR_BYTES = 16
#: The flags of a descriptor.
NEXT, WRITE, INDIRECT = 1, 2, 4
#: The two more that a packed ring has; each is compared with a wrap counter.
AVAIL, USED = 1 << 7, 1 << 15
#: The flags of a packed ring's event suppression structures.
ENABLE, DISABLE, DESC = 0, 1, 2
#: The one flag of a split ring's avail (NO_INTERRUPT) and used (NO_NOTIFY) ring.
NO_EVENT = 1


class Feature(enum.IntFlag):
    """The feature bits that change a ring or its transport (VirtIO 1.4, section 6)."""

    INDIRECT_DESC = 1 << 28
    EVENT_IDX = 1 << 29
    VERSION_1 = 1 << 32
    ACCESS_PLATFORM = 1 << 33
    RING_PACKED = 1 << 34
    IN_ORDER = 1 << 35
    ORDER_PLATFORM = 1 << 36
    SR_IOV = 1 << 37
    NOTIFICATION_DATA = 1 << 38
    NOTIF_CONFIG_DATA = 1 << 39
    RING_RESET = 1 << 40


NO_FEATURES = Feature(0)


@dataclass(frozen=True)
class Field:
    """One number of a ring: which part it belongs to, its name, which of many it is, and the bytes that it takes."""

    part: str
    name: str
    index: int | None
    address: int
    size: int

    def value(self, memory: GuestMemory) -> int:
        return int.from_bytes(memory.read(self.address, self.size), "little")


@dataclass(frozen=True)
class Layout:
    """A ring's three parts: descriptors, what the driver writes, and what the device writes (its own area)."""

    size: int
    desc: int
    driver: int
    device: int

    PARTS: ClassVar[tuple[str, str, str]]
    ALIGN: ClassVar[tuple[int, int, int]]

    def __post_init__(self) -> None:
        self.check_size(self.size)
        for part, address, align in zip(self.PARTS, (self.desc, self.driver, self.device), self.ALIGN, strict=True):
            if address < 0 or address % align:
                raise ValueError(say("virtio.align", part=part, align=align, given=f"{address:#x}"))

    @classmethod
    def check_size(cls, size: int) -> None:
        """Raises ValueError for a size that this kind of ring cannot have."""
        if not 1 <= size <= LARGEST:
            raise ValueError(say("virtio.size", largest=f"{LARGEST:,}", given=size))

    @classmethod
    def part_bytes(cls, size: int) -> tuple[int, int, int]:
        """The bytes of the three parts."""
        raise NotImplementedError

    @classmethod
    def total_bytes(cls, size: int) -> int:
        """The bytes of the three parts together, without what alignment adds."""
        cls.check_size(size)
        return sum(cls.part_bytes(size))

    @classmethod
    def place(cls, size: int, arena: Arena) -> Self:
        """A ring in fresh memory of ``arena``."""
        cls.check_size(size)
        desc, driver, device = (arena.take(b, a) for b, a in zip(cls.part_bytes(size), cls.ALIGN, strict=True))
        return cls(size, desc, driver, device)

    def clear(self, memory: GuestMemory) -> None:
        """Writes zeros into all three parts, as a driver does before it tells the device where they are."""
        for address, size in zip((self.desc, self.driver, self.device), self.part_bytes(self.size), strict=True):
            memory.write(address, bytes(size))

    def fields(self) -> Iterator[Field]:
        """Every number of the ring, in the order of addresses within each part."""
        raise NotImplementedError


class SplitLayout(Layout):
    """desc {addr, len, flags, next} x N · avail {flags, idx, ring[N], used_event} · used {flags, idx, {id, len}[N],
    avail_event}. N is a power of two."""

    PARTS = ("desc", "avail", "used")
    ALIGN = (16, 2, 4)

    @classmethod
    def check_size(cls, size: int) -> None:
        super().check_size(size)
        if size & size - 1:
            raise ValueError(say("virtio.power", given=size))

    @classmethod
    def part_bytes(cls, size: int) -> tuple[int, int, int]:
        return DESCRIPTOR_BYTES * size, 6 + 2 * size, 6 + 8 * size

    @property
    def used_event(self) -> int:
        """Where the driver says at which used index it wants a call."""
        return self.driver + 4 + 2 * self.size

    @property
    def avail_event(self) -> int:
        """Where the device says at which avail index it wants a kick."""
        return self.device + 4 + 8 * self.size

    def fields(self) -> Iterator[Field]:
        for n in range(self.size):
            at = self.desc + DESCRIPTOR_BYTES * n
            for name, offset, size in (("addr", 0, 8), ("len", 8, 4), ("flags", 12, 2), ("next", 14, 2)):
                yield Field("desc", name, n, at + offset, size)
        yield Field("avail", "flags", None, self.driver, 2)
        yield Field("avail", "idx", None, self.driver + 2, 2)
        for n in range(self.size):
            yield Field("avail", "ring", n, self.driver + 4 + 2 * n, 2)
        yield Field("avail", "used_event", None, self.used_event, 2)
        yield Field("used", "flags", None, self.device, 2)
        yield Field("used", "idx", None, self.device + 2, 2)
        for n in range(self.size):
            yield Field("used", "id", n, self.device + 4 + 8 * n, 4)
            yield Field("used", "len", n, self.device + 8 + 8 * n, 4)
        yield Field("used", "avail_event", None, self.avail_event, 2)


class PackedLayout(Layout):
    """desc {addr, len, id, flags} x N · driver event {off and wrap, flags} · device event {off and wrap, flags}.
    Any N."""

    PARTS = ("desc", "driver event", "device event")
    ALIGN = (16, 4, 4)

    @classmethod
    def part_bytes(cls, size: int) -> tuple[int, int, int]:
        return DESCRIPTOR_BYTES * size, 4, 4

    def fields(self) -> Iterator[Field]:
        for n in range(self.size):
            at = self.desc + DESCRIPTOR_BYTES * n
            for name, offset, size in (("addr", 0, 8), ("len", 8, 4), ("id", 12, 2), ("flags", 14, 2)):
                yield Field("desc", name, n, at + offset, size)
        for part, at in (("driver event", self.driver), ("device event", self.device)):
            yield Field(part, "off_wrap", None, at, 2)
            yield Field(part, "flags", None, at + 2, 2)


# --- the legacy layout, and its trap ---------------------------------------------------------------------------------


def align_up(value: int, align: int) -> int:
    """The next multiple of ``align``, itself included."""
    return -(-value // align) * align


def align_as_printed(value: int, qalign: int) -> int:
    """ALIGN of the specification's legacy section to the letter: right only where ``qalign`` is a mask (4095)."""
    return value + qalign & ~qalign


def legacy_bytes(size: int, queue_align: int = 4096) -> int:
    """What a legacy (0.9) split ring takes: desc and avail, then used, each part padded to ``queue_align``."""
    SplitLayout.check_size(size)
    desc, avail, used = SplitLayout.part_bytes(size)
    return align_up(desc + avail, queue_align) + align_up(used, queue_align)
