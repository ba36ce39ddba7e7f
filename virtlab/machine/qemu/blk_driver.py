"""The driver's side of virtio-blk (VirtIO 1.4, section 5.2) on any transport: requests one by one and in batches."""

from __future__ import annotations

import struct
from collections import Counter
from time import monotonic, sleep
from typing import Literal

from virtlab.core.counts import Counts
from virtlab.core.words import say, words
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.transport import Transport
from virtlab.virtio import Feature

BLOCK_DEVICE = 2  # its virtio device id
SECTOR_BYTES, REQUEST_BYTES = 512, 4096
MOST_AT_ONCE = 32
IN, OUT, FLUSH, GET_ID = 0, 1, 4, 8
_FLUSH_FEATURE, _CONFIG_WCE = 1 << 9, 1 << 11  # without the second, taking the first switches the cache on
_WRITE_BACK = 32  # its place in the configuration
_HEADER = struct.Struct("<IIQ")
_PENDING = 0xFF  # no device writes this status

Calls = Literal["each", "delayed", "last", "none"]
_DELAYED = -1  # three quarters of what is left, and one more: virtqueue_enable_cb_delayed of Linux


def _ahead(after: int | None, left: int) -> int | None:
    """After how many more of ``left`` requests to ask for a call."""
    if after is None:
        return None
    return left * 3 // 4 + 1 if after == _DELAYED else min(after, left)


class BlkDriver:
    """One queue of a block device. Raises MachineError when the device does not answer, or reports an error."""

    def __init__(
        self, transport: Transport, features: Feature, queue_size: int = 128, indirect: bool = False,
        seconds: float = 10.0,
    ) -> None:  # fmt: skip
        self.transport, self.seconds = transport, seconds
        transport.start(int(features) | _FLUSH_FEATURE | _CONFIG_WCE, [queue_size])
        self.ring, self.memory = transport.queues[0], transport.memory
        self.initialization = Counts(str(words("qemu.initialization")), self._registers(), unit="run")
        take = transport.arena.take
        self._slots = [(take(16), take(1, 1), take(REQUEST_BYTES, 4096)) for _ in range(MOST_AT_ONCE)]
        self._tables = [take(16 * 3) if indirect else None for _ in range(MOST_AT_ONCE)]
        self.sectors = int.from_bytes(transport.config(0, 8), "little")
        self._mark = self._now()

    # --- requests -----------------------------------------------------------------------------------------------------

    def read(self, sector: int, size: int = REQUEST_BYTES) -> bytes:
        """``size`` bytes (whole sectors, at most 4 KiB) from ``sector`` on."""
        self._check(sector, size)
        return self._one(IN, sector, size)

    def write(self, sector: int, data: bytes) -> None:
        """Writes whole sectors, at most 4 KiB."""
        self._check(sector, len(data))
        self.memory.write(self._slots[0][2], data)
        self._one(OUT, sector, len(data))

    def flush(self) -> None:
        """Returns when all that was written is on the disk."""
        self._one(FLUSH, 0, 0)

    @property
    def write_back(self) -> bool:
        """Whether the device says that it has a write cache, so that a driver must flush."""
        if self.transport.features & _CONFIG_WCE:
            return bool(self.transport.config(_WRITE_BACK, 1)[0])
        return bool(self.transport.features & _FLUSH_FEATURE)

    def serial(self) -> str:
        """The name that the device gives its disk."""
        return self._one(GET_ID, 0, 20).split(b"\0")[0].decode("ascii", "replace")

    def _check(self, sector: int, size: int) -> None:
        whole = 0 < size <= REQUEST_BYTES and size % SECTOR_BYTES == 0
        if not whole or not 0 <= sector <= self.sectors - size // SECTOR_BYTES:
            raise ValueError(say("qemu.sector", size=size, sector=sector, sectors=self.sectors))

    def _one(self, kind: int, sector: int, size: int) -> bytes:
        self._add(0, kind, sector, size)
        self.ring.calls(1)
        self._publish()
        self._collect(1, 1)
        return self._result(0, kind, sector, size)

    def _add(self, slot: int, kind: int, sector: int, size: int) -> None:
        header, status, data = self._slots[slot]
        self.memory.write(header, _HEADER.pack(kind, 0, sector))
        self.memory.write(status, bytes([_PENDING]))
        out = [(header, 16)] + ([(data, size)] if kind == OUT else [])
        back = ([(data, size)] if kind in (IN, GET_ID) else []) + [(status, 1)]
        self.ring.add(out, back, table=self._tables[slot])

    def _publish(self) -> None:
        if self.ring.publish():
            self.transport.kick(0)

    def _collect(self, count: int, after: int | None) -> None:
        """Waits until ``count`` requests came back, with a call after ``after`` of them; None: polls."""
        end, left = monotonic() + self.seconds, count
        while True:
            if after is not None and not self.transport.wait(max(end - monotonic(), 0)) or monotonic() > end:
                raise MachineError(say("qemu.late", left=left, count=count, seconds=f"{self.seconds:g}"))
            found = True
            while found:  # something may have come back before the device saw what we asked for: look once more
                left -= len(self.ring.take())
                if left <= 0:
                    return
                found = after is not None and self.ring.calls(_ahead(after, left))
            if after is None:
                sleep(0)

    def _result(self, slot: int, kind: int, sector: int, size: int) -> bytes:
        _, status, data = self._slots[slot]
        if code := self.memory.read(status, 1)[0]:
            meaning = words("qemu.meaning").get(str(code), "?")
            raise MachineError(say("qemu.status", status=code, sector=sector, meaning=meaning))
        return self.memory.read(data, size) if kind in (IN, GET_ID) else b""

    def late_calls(self, most: int, seconds: float = 0.0) -> None:
        """Takes up to ``most`` calls that come later than what they tell of was found, each within ``seconds``.

        They belong to the batch that is over, and not to the next.
        """
        for _ in range(most):
            if not self.transport.wait(seconds):
                return

    # --- batches and what they cost -----------------------------------------------------------------------------------

    def batch(
        self, count: int = MOST_AT_ONCE, kick_each: bool = False, calls: Calls = "last", adjacent: bool = False
    ) -> list[bytes]:
        """Reads ``count`` times 4 KiB, all in flight together: every other 4 KiB of the disk, or ``adjacent`` ones.

        ``kick_each``: shows the device each request as it is made, instead of all at the end. ``calls``: it may call
        after each request that came back, after three quarters of those that are out (and so on), after the last (as
        far as the ring can say so), or never.
        """
        if not 1 <= count <= MOST_AT_ONCE:
            raise ValueError(say("qemu.batch", most=MOST_AT_ONCE, given=count))
        after = {"each": 1, "delayed": _DELAYED, "last": count, "none": None}[calls]
        sectors = [(8 if adjacent else 16) * n % (self.sectors - 7) for n in range(count)]
        if kick_each:  # the first may be back before the last is made: a packed ring must guess where that will stand
            self.ring.calls(_ahead(after, count))
        for n, sector in enumerate(sectors):
            self._add(n, IN, sector, REQUEST_BYTES)
            if kick_each:
                self._publish()
        if not kick_each:
            self.ring.calls(_ahead(after, count))
        self._publish()
        self._collect(count, after)
        return [self._result(n, IN, sector, REQUEST_BYTES) for n, sector in enumerate(sectors)]

    def _registers(self) -> dict[str, float]:
        return {key: self.transport.counted[key] for key in ("register_reads", "register_writes")}

    def _now(self) -> Counter[str]:
        accesses = self.memory.accesses.counts("").values
        told = {"kicks_suppressed": self.ring.notifications["kicks_suppressed"]}
        return Counter({**self.transport.counted, **told, **{k: int(v) for k, v in accesses.items()}})

    def counted(self, title: str, work: float) -> Counts:
        """What was caused since the last time that this was asked (or since the start), for ``work`` requests."""
        now, before = self._now(), self._mark
        self._mark = now
        keys = ("register_reads", "register_writes", "kicks", "kicks_suppressed", "calls", "memory_reads",
                "memory_read_bytes", "memory_writes", "memory_written_bytes")  # fmt: skip
        return Counts(title, {key: now[key] - before[key] for key in keys}, work)
