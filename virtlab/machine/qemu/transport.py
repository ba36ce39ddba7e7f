"""What a virtio driver asks of its transport, whatever it is: negotiate, set up queues, kick, wait for a call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.virtio import Arena, Driver, Feature, GuestMemory, PackedDriver, PackedLayout, SplitDriver, SplitLayout

#: Bits of the device status register.
ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK = 1, 2, 4, 8


class Transport(ABC):
    """One virtio device, reached in one way. Counts every register access that it costs."""

    memory: GuestMemory
    arena: Arena
    features: int  # those that were negotiated
    queues: list[Driver]

    def __init__(self) -> None:
        #: Register accesses, by "register_reads" and "register_writes"; and "kicks" and "calls".
        self.counted: Counter[str] = Counter()

    @abstractmethod
    def start(self, wanted: int, sizes: Sequence[int]) -> None:
        """Negotiates ``wanted`` (of what is offered) and sets up a queue of each size. Raises MachineError."""

    @abstractmethod
    def kick(self, queue: int) -> None:
        """Tells the device that a queue has something new."""

    @abstractmethod
    def wait(self, seconds: float) -> bool:
        """Waits for a call (an interrupt) of the device and acknowledges it; False when none came in time."""

    @abstractmethod
    def config(self, offset: int, size: int) -> bytes:
        """``size`` bytes of the device's configuration."""

    def _agree(self, offered: int, wanted: int) -> int:
        """What to write back: VERSION_1 always, and of what is wanted all that is offered."""
        if not offered & Feature.VERSION_1:
            raise MachineError(say("qemu.legacy", version=1))
        if wanted & Feature.RING_PACKED & ~offered:
            raise MachineError(say("qemu.not_offered", features="RING_PACKED"))
        self.features = offered & (wanted | Feature.VERSION_1)
        return self.features

    def _ring(self, size: int) -> Driver:
        """The driver's side of a queue in fresh guest memory, of the kind that was negotiated."""
        bits = Feature(self.features & int(Feature.EVENT_IDX | Feature.INDIRECT_DESC | Feature.IN_ORDER))
        if self.features & Feature.RING_PACKED:
            packed = PackedLayout.place(size, self.arena)
            packed.clear(self.memory)
            return PackedDriver(self.memory, packed, bits)
        split = SplitLayout.place(size, self.arena)
        split.clear(self.memory)
        return SplitDriver(self.memory, split, bits)
