"""A real virtio-net card of a real QEMU (VirtIO 1.4, section 5.1), and the other end of its cable, both in Python."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Literal

from virtlab.core.counts import Counts
from virtlab.core.words import say
from virtlab.machine.owning import MachineError, Owner
from virtlab.machine.qemu.mmio import Mmio
from virtlab.machine.qemu.pci import Pci
from virtlab.machine.qemu.process import Qemu
from virtlab.machine.qemu.transport import Transport
from virtlab.virtio import Feature

NETWORK_DEVICE = 1  # its virtio device id
HEADER_BYTES = 12  # struct virtio_net_hdr of a modern device: all zero when nothing is offloaded
LONGEST_FRAME = 1514
RECEIVE, TRANSMIT = 0, 1
_ROOM = 2048
_MAC = "52:54:00:76:6c:61"


class Cable:
    """The other end of the card's cable. QEMU's "socket" back end: each frame after its length in 4 bytes.

    (Its newer "stream" back end connects in the background: a frame that is sent at once can be lost.)
    """

    def __init__(self, ours: socket.socket, seconds: float) -> None:
        ours.setblocking(False)
        self._socket, self._seconds, self._bytes = ours, seconds, bytearray()
        self._poll = select.poll()
        self._poll.register(ours, select.POLLIN)

    def send(self, frame: bytes) -> None:
        """Sends a frame to the card. Raises MachineError when the card takes no more."""
        _check(frame)
        try:
            self._socket.sendall(len(frame).to_bytes(4, "big") + frame)
        except BlockingIOError:
            raise MachineError(say("qemu.cable_full")) from None
        except OSError:
            raise MachineError(say("qemu.peer", seconds=0)) from None

    def receive(self) -> bytes:
        """The next frame that the card sent. Raises MachineError when none comes."""
        end = monotonic() + self._seconds
        while True:
            if len(self._bytes) >= 4:
                size = int.from_bytes(self._bytes[:4], "big")
                if not 0 < size <= 1 << 16:
                    raise MachineError(say("qemu.frame", given=size))
                if len(self._bytes) >= 4 + size:
                    frame = bytes(self._bytes[4 : 4 + size])
                    del self._bytes[: 4 + size]
                    return frame
            left = end - monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise MachineError(say("qemu.peer", seconds=f"{self._seconds:g}"))
            more = self._socket.recv(1 << 16)
            if not more:
                raise MachineError(say("qemu.peer", seconds=0))
            self._bytes += more


def _check(frame: bytes) -> None:
    if not 14 <= len(frame) <= LONGEST_FRAME:
        raise ValueError(say("qemu.frame", given=len(frame)))


class VirtioNet(Owner):
    """A virtio-net card of a QEMU of its own: a driver for it (``send``, ``receive``), and its ``cable``.

    Closing it ends QEMU. Raises MachineError, as Qemu does.
    """

    def __init__(
        self, packed: bool = False, transport: Literal["mmio", "pci"] = "mmio", event_idx: bool = True,
        queue_size: int = 64, seconds: float = 10.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.seconds = seconds
        mmio = transport == "mmio"
        with self._opening() as held:
            ours, theirs = (held.enter_context(s) for s in socket.socketpair())
            options = f"netdev=cable,mac={_MAC},packed={'on' if packed else 'off'}"
            device = f"virtio-net-device,{options}" if mmio else f"virtio-net-pci,disable-legacy=on,{options}"
            arguments = ["-netdev", f"socket,id=cable,fd={theirs.fileno()}", "-device", device]
            qemu = held.enter_context(Qemu(arguments, "microvm" if mmio else "pc", [theirs.fileno()]))
            theirs.close()
            self.cable = Cable(ours, seconds)
            self.transport: Transport = (Mmio if mmio else Pci)(qemu, NETWORK_DEVICE)
            wanted = Feature(event_idx * Feature.EVENT_IDX | packed * Feature.RING_PACKED)
            self.transport.start(int(wanted), [queue_size, queue_size])
            self.memory = self.transport.memory
            self._in, self._out = self.transport.queues
            take = self.transport.arena.take
            self._room = deque(take(_ROOM, 64) for _ in range(queue_size))  # to send from
            self._sending: dict[int, int] = {}
            self._waiting: dict[int, int] = {}  # id of a receive buffer -> its address
            for _ in range(queue_size):
                self._give(take(_ROOM, 64))
            self._out.calls(None)  # what was sent is reclaimed when room is needed, as Linux does
            self._publish(RECEIVE)

    def _give(self, address: int) -> None:
        self._waiting[self._in.add([], [(address, _ROOM)])] = address

    def _publish(self, queue: int) -> None:
        if self.transport.queues[queue].publish():
            self.transport.kick(queue)

    def send(self, frames: Sequence[bytes], kick_each: bool = False) -> None:
        """Sends frames of 14 to 1514 B; shows the card each as it is made, or all at the end."""
        for frame in frames:
            _check(frame)
        end = monotonic() + self.seconds
        for frame in frames:
            while not self._room:
                self._publish(TRANSMIT)
                self._reclaim()
                if monotonic() > end:
                    raise MachineError(say("qemu.late", left=len(self._sending), count=len(frames),
                                           seconds=f"{self.seconds:g}"))  # fmt: skip
            address = self._room.popleft()
            self.memory.write(address, bytes(HEADER_BYTES) + frame)
            self._sending[self._out.add([(address, HEADER_BYTES + len(frame))])] = address
            if kick_each:
                self._publish(TRANSMIT)
        self._publish(TRANSMIT)
        self._reclaim()

    def _reclaim(self) -> None:
        for used in self._out.take():
            self._room.append(self._sending.pop(used.id))

    def receive(self, count: int) -> list[bytes]:
        """The next ``count`` frames from the cable or more, each buffer given back; sleeps until the card calls."""
        frames: list[bytes] = []
        end = monotonic() + self.seconds
        while len(frames) < count:
            if self._in.calls(1) is False and not self.transport.wait(max(end - monotonic(), 0)):
                raise MachineError(say("qemu.late", left=count - len(frames), count=count,
                                       seconds=f"{self.seconds:g}"))  # fmt: skip
            self._in.calls(None)
            back = [(used, self._waiting.pop(used.id)) for used in self._in.take()]  # giving one back reuses an id
            for used, address in back:
                if used.written < HEADER_BYTES:
                    raise MachineError(say("qemu.short", given=used.written, wanted=HEADER_BYTES))
                frames.append(self.memory.read(address + HEADER_BYTES, used.written - HEADER_BYTES))
                self._give(address)
            self._publish(RECEIVE)
        return frames

    def counted(self, title: str, work: float) -> Counts:
        """What was caused since the start, for ``work`` frames."""
        keys = ("register_reads", "register_writes", "kicks", "calls")
        return Counts(title, {key: self.transport.counted[key] for key in keys}, work, "frame")
