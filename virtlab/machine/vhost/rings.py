"""What a vhost-user back end knows of its peer: the memory it may touch, and the rings that lie in it."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections import Counter
from dataclasses import dataclass, field

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.machine.vhost.protocol import MEMORY_HEAD, MEMORY_REGION, Message
from virtlab.virtio import (
    Device,
    Feature,
    MappedMemory,
    PackedDevice,
    PackedLayout,
    Region,
    SplitDevice,
    SplitLayout,
)

_MOST_REGIONS = 8
_MOST_BYTES = 1 << 40


class SharedMemory:
    """The peer's memory, mapped here: regions with an address in the guest and one in the peer's own process.

    Raises MachineError for a table that cannot be. Every region's file must be as long as it says: a touch of what lies
    beyond the end of a file would kill this process. (A peer that shortens it later still could.)
    """

    def __init__(self, message: Message) -> None:
        self._mappings: list[mmap.mmap] = []
        self._views: list[memoryview] = []
        self._users: list[tuple[int, int, int]] = []  # user address, size, guest address
        count, _ = message.unpack(MEMORY_HEAD)
        wanted = MEMORY_HEAD.size + count * MEMORY_REGION.size
        if not 0 < count <= _MOST_REGIONS or len(message.fds) != count or len(message.body) < wanted:
            raise MachineError(say("vhost.regions", count=count, fds=len(message.fds)))
        regions = []
        try:
            for n, fd in enumerate(message.fds):
                at = MEMORY_HEAD.size + n * MEMORY_REGION.size
                guest, size, user, offset = MEMORY_REGION.unpack_from(message.body, at)
                if size <= 0 or offset + size > min(os.fstat(fd).st_size, _MOST_BYTES):
                    raise MachineError(say("vhost.region", size=size, offset=offset, held=os.fstat(fd).st_size))
                mapping = mmap.mmap(fd, offset + size)
                self._mappings.append(mapping)
                self._views.append(memoryview(mapping))
                regions.append(Region(guest, size, self._views[-1], offset))
                self._users.append((user, size, guest))
            self.guest = MappedMemory(regions)
        except (ValueError, OSError) as error:
            self.close()
            raise MachineError(str(error)) from error
        except BaseException:
            self.close()
            raise

    def guest_address(self, user: int) -> int:
        """The guest's address of what lies at ``user`` in the peer's process. Raises MachineError."""
        for start, size, guest in self._users:
            if start <= user < start + size:
                return guest + user - start
        raise MachineError(say("vhost.address", address=f"{user:#x}"))

    def close(self) -> None:
        if hasattr(self, "guest"):
            self.guest.release()
        for view in self._views:
            view.release()
        for mapping in self._mappings:
            with contextlib.suppress(BufferError):
                mapping.close()
        self._mappings, self._views = [], []


@dataclass
class Vring:
    """One queue, as the messages describe it; ``device`` once it runs."""

    index: int
    size: int = 0
    base: int = 0
    addresses: tuple[int, int, int] | None = None  # descriptors, driver area, device area; in the peer's process
    kick: int = -1
    call: int = -1
    error: int = -1
    enabled: bool = False
    device: Device | None = None
    counted: Counter[str] = field(default_factory=Counter)  # over all devices that it had

    def start(self, memory: SharedMemory, features: int) -> None:
        """Makes the device's side of the ring. Raises MachineError for a ring that cannot be."""
        if self.addresses is None or not self.size:
            raise MachineError(say("vhost.early", index=self.index))
        bits = Feature(features & int(Feature.EVENT_IDX | Feature.INDIRECT_DESC | Feature.IN_ORDER))
        places = [memory.guest_address(a) for a in self.addresses]
        packed = bool(features & Feature.RING_PACKED)
        try:
            layout = (PackedLayout if packed else SplitLayout)(self.size, *places)
            for place, size in zip(places, layout.part_bytes(self.size), strict=True):
                memory.guest.check(place, size)
            if isinstance(layout, PackedLayout):
                self.device = PackedDevice(memory.guest, layout, bits, self.base & 0xFFFF)
            elif isinstance(layout, SplitLayout):
                self.device = SplitDevice(memory.guest, layout, bits, self.base)
        except ValueError as error:
            raise MachineError(str(error)) from error
        assert self.device is not None
        self.device.notifications = self.counted

    def stop(self) -> None:
        """Forgets the device, and remembers where it was."""
        if self.device is not None:
            self.base = self.device.next_avail
            self.device = None
        self.close("kick")

    def close(self, *names: str) -> None:
        """Closes some of the descriptors "kick", "call" and "error"."""
        for name in names:
            if (fd := getattr(self, name)) >= 0:
                os.close(fd)
            setattr(self, name, -1)
