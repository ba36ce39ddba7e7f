"""A vhost-user front end: what QEMU does for its guest, without QEMU. No VM at all, and the very same data path."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Sequence

from virtlab.core.words import say
from virtlab.machine.owning import MachineError, Owner, descriptor, memory_file, shared_view
from virtlab.machine.qemu.transport import Transport
from virtlab.machine.vhost.protocol import (
    CONFIG,
    CONFIG_HEAD,
    MEMORY_HEAD,
    MEMORY_REGION,
    PROTOCOL_FEATURES,
    U64,
    VRING_ADDRESS,
    VRING_STATE,
    Connection,
    Request,
)
from virtlab.virtio import Arena, Feature, MappedMemory, Region

MEMORY_BYTES = 16 << 20
_CONFIG_BYTES = 60


class Front(Transport, Owner):
    """Drives the device behind a vhost-user back end. Guest memory is a memfd, a kick an eventfd that we write (KVM's
    ioeventfd), a call one that we read (its irqfd). There are no registers, so none are counted.

    Raises MachineError when the back end is gone, late, or answers what cannot be.
    """

    def __init__(self, connection: socket.socket, seconds: float = 10.0) -> None:
        Transport.__init__(self)
        Owner.__init__(self)
        self._seconds, self.messages = seconds, 0
        with self._opening() as held:
            held.enter_context(connection)
            self._connection = Connection(connection, seconds)
            self._fd = memory_file(held, size=MEMORY_BYTES)
            view = shared_view(held, self._fd, MEMORY_BYTES)
            memory = MappedMemory([Region(0, MEMORY_BYTES, view)])
            held.callback(memory.release)
            self.memory, self.arena = memory, Arena(4096, MEMORY_BYTES)
            self._kicks: list[int] = []
            self._call = descriptor(held, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
            self._poll = select.poll()
            self._poll.register(self._call, select.POLLIN)

    def _tell(self, request: Request, body: bytes = b"", fds: tuple[int, ...] = ()) -> None:
        self.messages += 1
        self._connection.send(request, body, fds)

    def _ask_u64(self, request: Request) -> int:
        self.messages += 1
        reply = self._connection.ask(request)
        if len(reply) != U64.size:
            raise MachineError(say("vhost.short", name=request.name, given=len(reply), wanted=U64.size))
        return int(U64.unpack(reply)[0])

    def start(self, wanted: int, sizes: Sequence[int]) -> None:
        self._tell(Request.SET_OWNER)
        offered = self._ask_u64(Request.GET_FEATURES)
        self._agree(offered, wanted | PROTOCOL_FEATURES)
        if offered & PROTOCOL_FEATURES:
            protocol = self._ask_u64(Request.GET_PROTOCOL_FEATURES)
            self._tell(Request.SET_PROTOCOL_FEATURES, U64.pack(protocol & CONFIG))
            self._has_config = bool(protocol & CONFIG)
        self._tell(Request.SET_FEATURES, U64.pack(self.features))
        # our "process" addresses are the guest's: the back end translates by the difference alone
        region = MEMORY_REGION.pack(0, MEMORY_BYTES, 0, 0)
        self._tell(Request.SET_MEM_TABLE, MEMORY_HEAD.pack(1, 0) + region, (self._fd,))
        self.queues = []
        for index, size in enumerate(sizes):
            ring = self._ring(size)
            layout = ring.layout
            kick = descriptor(self._held, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
            base = 1 << 15 if self.features & Feature.RING_PACKED else 0
            places = VRING_ADDRESS.pack(index, 0, layout.desc, layout.device, layout.driver, 0)
            self._tell(Request.SET_VRING_NUM, VRING_STATE.pack(index, size))
            self._tell(Request.SET_VRING_BASE, VRING_STATE.pack(index, base))
            self._tell(Request.SET_VRING_ADDR, places)
            self._tell(Request.SET_VRING_CALL, U64.pack(index), (self._call,))
            self._tell(Request.SET_VRING_KICK, U64.pack(index), (kick,))
            if offered & PROTOCOL_FEATURES:
                self._tell(Request.SET_VRING_ENABLE, VRING_STATE.pack(index, 1))
            self._kicks.append(kick)
            self.queues.append(ring)

    def kick(self, queue: int) -> None:
        self.counted["kicks"] += 1
        os.eventfd_write(self._kicks[queue], 1)

    def wait(self, seconds: float) -> bool:
        if not self._poll.poll(max(seconds, 0) * 1000):
            return False
        with contextlib.suppress(BlockingIOError):
            self.counted["calls"] += os.eventfd_read(self._call)
        return True

    def config(self, offset: int, size: int) -> bytes:
        self.messages += 1
        body = CONFIG_HEAD.pack(0, _CONFIG_BYTES, 0) + bytes(_CONFIG_BYTES)
        reply = self._connection.ask(Request.GET_CONFIG, body)
        if len(reply) < CONFIG_HEAD.size + offset + size:
            raise MachineError(say("vhost.short", name="GET_CONFIG", given=len(reply), wanted=offset + size))
        return reply[CONFIG_HEAD.size :][offset : offset + size]
