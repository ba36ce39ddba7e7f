"""A disk that Python serves: virtio-blk (VirtIO 1.4, section 5.2) as a vhost-user back end."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from time import perf_counter_ns as now
from typing import Any

from virtlab.machine.vhost.backend import Backend
from virtlab.virtio import Chain, Feature, GuestMemory

_SEG_MAX, _BLK_SIZE, _FLUSH, _MQ = 1 << 2, 1 << 6, 1 << 9, 1 << 12
_IN, _OUT, _FLUSH_REQUEST, _GET_ID = 0, 1, 4, 8
_OK, _IOERR, _UNSUPPORTED = 0, 1, 2
_HEADER = struct.Struct("<IIQ")
_LONGEST_REQUEST = 1 << 22
SERIAL = b"virtlab"


class BlkBackend(Backend):
    """Serves ``disk``, whole sectors of 512 B. ``delay_us``: works so long on each request, as a slow disk would.

    Counts "reads", "writes", "flushes" and "errors" in ``counted``. The data are copied once: between the disk and
    guest memory.
    """

    features = Backend.features | Feature(_SEG_MAX | _BLK_SIZE | _FLUSH | _MQ)

    def __init__(self, connection: socket.socket, disk: bytearray | memoryview, delay_us: float = 0.0, **more: Any):
        self.disk = memoryview(disk).cast("B")
        self._delay_ns = int(delay_us * 1000)
        queues = more.get("queues", 1)
        # capacity, size_max, seg_max, geometry, blk_size; and far behind them the number of queues
        head = struct.pack("<QIIHBBI", len(self.disk) // 512, 0, 126, 0, 0, 0, 512)
        self.config = head.ljust(34, b"\0") + struct.pack("<H", queues)
        super().__init__(connection, **more)

    def request(self, chain: Chain, memory: GuestMemory) -> int:
        """Header of 16 B, data, and at the end of all that may be written one byte of status."""
        until = now() + self._delay_ns
        out = chain.read(memory) if sum(e.size for e in chain.readable) <= _LONGEST_REQUEST else b""
        if len(out) < _HEADER.size or not chain.writable:
            self.counted["errors"] += 1
            return 0  # there is nowhere to say so
        kind, _, sector = _HEADER.unpack_from(out)
        room = chain.capacity - 1
        back, status = self._do(kind, sector * 512, out[_HEADER.size :], room)
        self.counted["errors"] += status != _OK
        written = chain.write(memory, back) if back else 0
        last = chain.writable[-1]
        memory.write(last.address + last.size - 1, bytes([status]))
        while now() < until:
            pass
        # The device says how much it wrote from the beginning on: the status counts only if all before it was written.
        return chain.capacity if written == room else written

    def _do(self, kind: int, at: int, data: bytes, room: int) -> tuple[bytes, int]:
        """(what the driver gets, status)"""
        count: Counter[str] = self.counted
        if kind == _IN:
            if room % 512 or room > _LONGEST_REQUEST or at + room > len(self.disk):
                return b"", _IOERR
            count["reads"] += 1
            return bytes(self.disk[at : at + room]), _OK
        if kind == _OUT:
            if len(data) % 512 or at + len(data) > len(self.disk):
                return b"", _IOERR
            count["writes"] += 1
            self.disk[at : at + len(data)] = data
            return b"", _OK
        if kind == _FLUSH_REQUEST:
            count["flushes"] += 1
            return b"", _OK
        if kind == _GET_ID:
            return SERIAL.ljust(20, b"\0")[: max(room, 0)], _OK
        return b"", _UNSUPPORTED
