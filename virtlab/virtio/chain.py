"""What goes through a ring: elements and chains; and the error for a peer that breaks the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from virtlab.core.words import say
from virtlab.virtio.memory import GuestAddressError, GuestMemory

LONGEST_BYTES = 1 << 32


class RingError(ValueError):
    """The other side of a ring broke its rules. ``code`` names the rule; nothing outside guest memory was touched.

    As with QEMU's "broken" virtqueues, the ring is of no use from then on: every later call raises the same again.
    """

    def __init__(self, code: str, **values: object) -> None:
        super().__init__(say(f"virtio.error.{code}", **values))
        self.code = code


class Element(NamedTuple):
    """One piece of guest memory."""

    address: int
    size: int


class Used(NamedTuple):
    """A buffer that came back: its id, and how many bytes the device says it wrote."""

    id: int
    written: int


@dataclass(frozen=True)
class Chain:
    """A buffer as the device sees it: what it may read, then what it may write. ``descriptors`` places of the ring."""

    id: int
    readable: tuple[Element, ...]
    writable: tuple[Element, ...]
    descriptors: int

    @property
    def capacity(self) -> int:
        """How many bytes the device may write."""
        return sum(e.size for e in self.writable)

    def read(self, memory: GuestMemory) -> bytes:
        """All that the device may read."""
        return b"".join(memory.read(*e) for e in self.readable)

    def write(self, memory: GuestMemory, data: bytes) -> int:
        """Fills the writable elements in order and returns the bytes written. Raises ValueError if it does not fit."""
        if len(data) > self.capacity:
            raise ValueError(say("virtio.capacity", size=len(data), capacity=self.capacity))
        at = 0
        for element in self.writable:
            part = data[at : at + element.size]
            if part:
                memory.write(element.address, part)
            at += len(part)
        return len(data)


def elements(readable: Sequence[tuple[int, int]], writable: Sequence[tuple[int, int]]) -> list[tuple[int, int, bool]]:
    """(address, size, writable) in the order that a chain must have. Raises ValueError for none, or an empty one."""
    listed = [(a, s, False) for a, s in readable] + [(a, s, True) for a, s in writable]
    if not listed or any(size <= 0 for _, size, _ in listed):
        raise ValueError(say("virtio.empty"))
    return listed


class Walk:
    """Collects the elements of one chain that a driver wrote, and holds each of them to the rules."""

    def __init__(self, memory: GuestMemory, longest: int) -> None:
        self._memory, self._longest, self._bytes = memory, longest, 0
        self._readable: list[Element] = []
        self._writable: list[Element] = []

    def add(self, address: int, size: int, writable: bool) -> None:
        if len(self._readable) + len(self._writable) >= self._longest:
            raise RingError("loop", longest=self._longest)
        if size == 0:
            raise RingError("empty", address=f"{address:#x}")
        if self._writable and not writable:
            raise RingError("order", address=f"{address:#x}")
        self._bytes += size
        if self._bytes > LONGEST_BYTES:
            raise RingError("bytes")
        self.within(address, size)
        (self._writable if writable else self._readable).append(Element(address, size))

    def within(self, address: int, size: int) -> None:
        """Raises RingError unless all of it is guest memory."""
        try:
            self._memory.check(address, size)
        except GuestAddressError as error:
            raise RingError("address", address=f"{address:#x}", size=size) from error

    def table(self, address: int, size: int) -> int:
        """How many descriptors the indirect table there has. Raises RingError for one that cannot be."""
        if size == 0 or size % 16:
            raise RingError("table", size=size)
        if len(self._readable) + len(self._writable) >= self._longest:
            raise RingError("loop", longest=self._longest)
        self.within(address, size)
        return size // 16

    def chain(self, ident: int, descriptors: int) -> Chain:
        return Chain(ident, tuple(self._readable), tuple(self._writable), descriptors)
