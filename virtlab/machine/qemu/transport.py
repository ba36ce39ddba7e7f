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


class RegisterTransport(Transport):
    """A transport with registers, under the names that virtio-mmio gives them; a subclass knows where they lie."""

    @abstractmethod
    def _read(self, register: str) -> int:
        """Loads a register, and counts it."""

    @abstractmethod
    def _write(self, register: str, value: int, further: int = 0) -> None:
        """Stores to a register, ``further`` bytes on in it, and counts it."""

    def _begin(self) -> None:
        """What is asked before anything else."""

    def _connect(self, index: int, size: int) -> None:
        """What a queue needs before it is made ready, beside its size and its addresses."""

    def start(self, wanted: int, sizes: Sequence[int]) -> None:
        self._begin()
        for status in (0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER):
            self._write("status", status)
        offered = 0
        for half in (0, 1):
            self._write("device_features_sel", half)
            offered |= self._read("device_features") << 32 * half
        agreed = self._agree(offered, wanted)
        for half in (0, 1):
            self._write("driver_features_sel", half)
            self._write("driver_features", agreed >> 32 * half & 0xFFFF_FFFF)
        self._write("status", ACKNOWLEDGE | DRIVER | FEATURES_OK)
        if not self._read("status") & FEATURES_OK:
            raise MachineError(say("qemu.features", features=f"{agreed:#x}"))
        self.queues = []
        for index, size in enumerate(sizes):
            self._write("queue_sel", index)
            if (most := self._read("queue_num_max")) < size:
                raise MachineError(say("qemu.queue", index=index, size=size, most=most))
            ring = self._ring(size)
            self._write("queue_num", size)
            layout = ring.layout
            for register, address in (
                ("queue_desc", layout.desc), ("queue_driver", layout.driver), ("queue_device", layout.device),
            ):  # fmt: skip
                self._write(register, address & 0xFFFF_FFFF)
                self._write(register, address >> 32, 4)
            self._connect(index, size)
            self._write("queue_ready", 1)
            self.queues.append(ring)
        self._write("status", ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
