"""Rings of each kind, ready to use, for the tests of this folder."""
from virtlab.virtio import (
    Arena,
    Feature,
    LocalMemory,
    PackedDevice,
    PackedDriver,
    PackedLayout,
    SplitDevice,
    SplitDriver,
    SplitLayout,
)
from virtlab.virtio.layout import AVAIL, USED

PLAIN = Feature(0)
EVENT_IDX, INDIRECT, IN_ORDER = Feature.EVENT_IDX, Feature.INDIRECT_DESC, Feature.IN_ORDER
ALL = EVENT_IDX | INDIRECT | IN_ORDER
KINDS = {"split": (SplitLayout, SplitDriver, SplitDevice), "packed": (PackedLayout, PackedDriver, PackedDevice)}
FEATURES = {"plain": PLAIN, "event_idx": EVENT_IDX, "in_order": IN_ORDER, "all": ALL}


class Ring:
    """Both sides of one ring on memory of our own; ``take`` of the arena gives fresh guest memory."""

    def __init__(self, kind="split", size=8, features=PLAIN, start=None, memory_bytes=1 << 16):
        Layout, MakeDriver, MakeDevice = KINDS[kind]
        self.memory = LocalMemory(memory_bytes)
        self.arena = Arena(0, memory_bytes)
        self.layout = Layout.place(size, self.arena)
        self.layout.clear(self.memory)
        if kind == "split" and start:  # a ring that goes on somewhere has both indices there
            self.memory.store16(self.layout.driver + 2, start)
            self.memory.store16(self.layout.device + 2, start)
        if kind == "packed" and start is not None:  # and of a packed one, all is used: behind it in this round, ahead
            for n in range(size):                   # in the one before
                used = (start >> 15) ^ (n >= start & 0x7FFF)
                self.memory.store16(self.layout.desc + 16 * n + 14, (AVAIL | USED) * used)
        where = {} if start is None else {"start": start}
        self.driver = MakeDriver(self.memory, self.layout, features, **where)
        self.device = MakeDevice(self.memory, self.layout, features, **where)
        self.memory.accesses.clear()

    def serve(self):
        """The device gives back all that it finds, unwritten; returns how many, and whether it wants to call."""
        n = 0
        while (chain := self.device.pop()) is not None:
            self.device.push(chain)
            n += 1
        return n, self.device.publish()
