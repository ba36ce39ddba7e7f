"""Guest memory as a driver or a device sees it: bounded, every access counted, 16-bit fields never torn."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from virtlab.core.counts import Counts
from virtlab.core.words import say


class GuestAddressError(ValueError):
    """An access outside guest memory; it was not made."""

    def __init__(self, address: int, size: int) -> None:
        super().__init__(say("virtio.address", address=f"{address:#x}", size=size))
        self.address, self.size = address, size


@dataclass
class Accesses:
    """How often one side touched guest memory, and with how many bytes. Data and ring alike: it cannot tell them."""

    reads: int = 0
    read_bytes: int = 0
    writes: int = 0
    written_bytes: int = 0

    def counts(self, title: str, work: float = 1, unit: str = "request") -> Counts:
        values = {
            "memory_reads": self.reads, "memory_read_bytes": self.read_bytes,
            "memory_writes": self.writes, "memory_written_bytes": self.written_bytes,
        }  # fmt: skip
        return Counts(title, values, work, unit)

    def clear(self) -> None:
        self.reads = self.read_bytes = self.writes = self.written_bytes = 0


class GuestMemory(ABC):
    """What a ring is written on. Addresses are guest-physical, numbers little-endian (VirtIO 1.x).

    A subclass gives ``_read`` and ``_write``, and ``_load16`` and ``_store16`` where the other side may look at the
    same moment: an index, a flag or an event field must be seen old or new, never in between. (``struct.pack_into``
    clears its target before it packs, so that another process reads a zero now and then.)
    """

    def __init__(self) -> None:
        self.accesses = Accesses()

    @abstractmethod
    def _read(self, address: int, size: int) -> bytes: ...

    @abstractmethod
    def _write(self, address: int, data: bytes) -> None: ...

    @abstractmethod
    def check(self, address: int, size: int) -> None:
        """Raises GuestAddressError unless all of this is guest memory. Counts as no access."""

    def _load16(self, address: int) -> int:
        return int.from_bytes(self._read(address, 2), "little")

    def _store16(self, address: int, value: int) -> None:
        self._write(address, value.to_bytes(2, "little"))

    def read(self, address: int, size: int) -> bytes:
        """A copy of ``size`` bytes. Raises GuestAddressError."""
        self.accesses.reads += 1
        self.accesses.read_bytes += size
        return self._read(address, size)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Raises GuestAddressError, and has written nothing then."""
        self.accesses.writes += 1
        self.accesses.written_bytes += len(data)
        self._write(address, bytes(data))

    def load16(self, address: int) -> int:
        """One field that the other side may be storing. Raises GuestAddressError."""
        self.accesses.reads += 1
        self.accesses.read_bytes += 2
        return self._load16(address)

    def store16(self, address: int, value: int) -> None:
        """One field that the other side may be loading; ``value`` is taken mod 2^16. Raises GuestAddressError."""
        self.accesses.writes += 1
        self.accesses.written_bytes += 2
        self._store16(address, value & 0xFFFF)

    # Barriers, named as in Linux. A load or store of ours is hundreds of instructions of the interpreter, and x86
    # reorders nothing but a load before an earlier store, so here they do nothing: they mark where a driver in C needs
    # them, and the explorer (virtlab.virtio.explorer) shows what happens without.

    def mb(self, where: str) -> None:  # noqa: B027
        """A full barrier: no later load may pass an earlier store."""

    def wmb(self, where: str) -> None:  # noqa: B027
        """A store barrier: no later store may pass an earlier one."""

    def rmb(self, where: str) -> None:  # noqa: B027
        """A load barrier: no later load may pass an earlier one."""


@dataclass(frozen=True)
class Region:
    """A piece of guest memory: ``size`` bytes of ``buffer`` from ``offset`` on, seen by the guest at ``start``."""

    start: int
    size: int
    buffer: bytearray | memoryview
    offset: int = 0


class MappedMemory(GuestMemory):
    """Guest memory that lies in this process: its own bytes, or a mapping that it shares with a QEMU or another peer.

    Raises ValueError for regions that overlap or are larger than their buffer. ``release()`` lets go of the buffers.
    """

    def __init__(self, regions: Iterable[Region]) -> None:
        super().__init__()
        self._regions: list[tuple[int, int, memoryview, memoryview]] = []
        ordered, end = sorted(regions, key=lambda r: r.start), 0
        for region in ordered:  # all of them first: whoever is refused keeps no view of any
            held = memoryview(region.buffer).nbytes - region.offset
            if not 0 < region.size <= held or region.size % 2 or region.offset < 0:
                raise ValueError(say("virtio.region", size=region.size, held=held))
            if region.start < end:
                raise ValueError(say("virtio.overlap", address=f"{region.start:#x}"))
            end = region.start + region.size
        for region in ordered:
            whole = memoryview(region.buffer).cast("B")
            view = whole[region.offset : region.offset + region.size]
            self._regions.append((region.start, region.start + region.size, view, view.cast("H")))

    def release(self) -> None:
        """Forgets all memory, so that its mapping can be closed; every later access raises GuestAddressError."""
        regions, self._regions = self._regions, []
        for _, _, view, words in regions:
            words.release()
            view.release()

    def _place(self, address: int, size: int) -> tuple[int, memoryview, memoryview]:
        if size >= 0:
            for start, end, view, words in self._regions:
                if start <= address and address + size <= end:
                    return address - start, view, words
        raise GuestAddressError(address, size)

    def check(self, address: int, size: int) -> None:
        self._place(address, size)

    def _read(self, address: int, size: int) -> bytes:
        at, view, _ = self._place(address, size)
        return bytes(view[at : at + size])

    def _write(self, address: int, data: bytes) -> None:
        at, view, _ = self._place(address, len(data))
        view[at : at + len(data)] = data

    def _load16(self, address: int) -> int:
        at, _, words = self._place(address, 2)
        if at % 2:
            raise GuestAddressError(address, 2)
        return _little(words[at >> 1])

    def _store16(self, address: int, value: int) -> None:
        at, _, words = self._place(address, 2)
        if at % 2:
            raise GuestAddressError(address, 2)
        words[at >> 1] = _little(value)


def _little(value: int) -> int:
    """A 16-bit number of this computer's byte order in little-endian order, and back."""
    return value if sys.byteorder == "little" else (value & 0xFF) << 8 | value >> 8


class LocalMemory(MappedMemory):
    """Guest memory of our own: ``size`` bytes (even) from address ``start`` on, at first all zero."""

    def __init__(self, size: int, start: int = 0) -> None:
        self.bytes = bytearray(size)
        super().__init__([Region(start, size, self.bytes)])


class Arena:
    """Hands out pieces of guest memory, one after the other, and takes none back."""

    def __init__(self, start: int, end: int) -> None:
        self.next, self.end = start, end

    def take(self, size: int, align: int = 16) -> int:
        """The address of ``size`` fresh bytes at a multiple of ``align``. Raises MemoryError when all is handed out."""
        address = -(-self.next // align) * align
        if address + size > self.end:
            raise MemoryError(say("virtio.arena", size=size, left=max(self.end - address, 0)))
        self.next = address + size
        return address
