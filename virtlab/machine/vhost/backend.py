"""A vhost-user back end: the other end of a real QEMU's, and a real guest's, virtqueues.

Its peer passes the guest's memory and two eventfds for each queue. From then on a request does not touch the peer: a
kick is an eventfd that we read (KVM's ioeventfd), a call one that we write (its irqfd), and data lie in guest memory.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from time import perf_counter_ns as now

from virtlab.core.counts import Counts
from virtlab.core.words import say
from virtlab.machine.owning import MachineError, Owner
from virtlab.machine.vhost.protocol import (
    CONFIG,
    CONFIG_HEAD,
    MULTIQUEUE,
    NO_FD,
    PROTOCOL_FEATURES,
    REPLY_ACK,
    U64,
    VRING_ADDRESS,
    VRING_STATE,
    Connection,
    Message,
    close_all,
)
from virtlab.machine.vhost.rings import SharedMemory, Vring
from virtlab.virtio import Chain, Feature, GuestAddressError, GuestMemory, RingError

_SECONDS = 10.0  # for the rest of a message whose first bytes have come


class Backend(Owner):
    """Serves one connection; a subclass gives ``features``, ``config`` and ``request``. Closing it ends it.

    ``poll_us``: goes on looking for requests so long after the last, instead of sleeping at once. ``call_each``: shows
    the driver each request when it is done, not all that were found together.
    """

    features = Feature.VERSION_1 | Feature.EVENT_IDX | Feature.INDIRECT_DESC | Feature.RING_PACKED
    config = b""

    def __init__(
        self, connection: socket.socket, queues: int = 1, without: Feature = Feature.RING_PACKED, poll_us: float = 0.0,
        call_each: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.poll_ns, self.call_each = int(poll_us * 1000), call_each
        self.offered = int(self.features & ~without) | PROTOCOL_FEATURES
        self.agreed = 0
        self.rings = [Vring(n) for n in range(queues)]
        self.journal: list[str] = []  # the messages, by name
        self.counted: Counter[str] = Counter()  # "kicks", "requests" and what a subclass counts
        self.error: Exception | None = None
        with self._opening() as held:
            held.enter_context(connection)
            self.connection = Connection(connection, _SECONDS)
            self._selector = held.enter_context(selectors.DefaultSelector())
            self._selector.register(connection, selectors.EVENT_READ, None)
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            held.callback(os.close, self._wake)
            self._selector.register(self._wake, selectors.EVENT_READ, "stop")
            self._box: list[SharedMemory | None] = [None]  # what the call-back below may know without holding us
            held.callback(_release, self.rings, self._box)

    # --- life ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves until the peer closes the connection or ``stop`` is called. Raises MachineError for a liar."""
        while True:
            for key, _ in self._selector.select():
                if key.data == "stop":
                    return
                if key.data is None:
                    message = self.connection.receive()
                    if message is None:
                        return
                    self._take(message)
                else:
                    self._kicked(key.data)

    def stop(self) -> None:
        """Makes ``run`` return. May be called from another thread."""
        os.eventfd_write(self._wake, 1)

    def counts(self, title: str) -> Counts:
        """Kicks and calls since the start, for all requests that were served."""
        told: Counter[str] = sum((ring.counted for ring in self.rings), Counter())
        values = {"kicks": self.counted["kicks"], "calls": told["calls"], "calls_suppressed": told["calls_suppressed"]}
        return Counts(title, values, max(self.counted["requests"], 1))

    # --- the control path ---------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        self.journal.append(message.name)
        try:
            handler = getattr(self, f"_on_{message.name.lower()}", None)
            answer = handler(message) if handler is not None else None
            if answer is None and message.needs_reply:
                answer = U64.pack(0 if handler is not None else 1)
        finally:
            close_all(message.fds)  # a handler takes out what it keeps
        if answer is not None:
            self.connection.send(message.request, answer, reply=True)

    def _on_get_features(self, message: Message) -> bytes:
        return U64.pack(self.offered)

    def _on_set_features(self, message: Message) -> None:
        (agreed,) = message.unpack(U64)
        if agreed & ~self.offered:
            raise MachineError(say("vhost.features", features=f"{agreed & ~self.offered:#x}"))
        self.agreed = agreed

    def _on_get_protocol_features(self, message: Message) -> bytes:
        return U64.pack(MULTIQUEUE | REPLY_ACK | CONFIG)

    def _on_set_protocol_features(self, message: Message) -> None:
        """Nothing follows from it: what was agreed shows in the messages."""

    def _on_set_owner(self, message: Message) -> None:
        """There is one peer only."""

    def _on_get_queue_num(self, message: Message) -> bytes:
        return U64.pack(len(self.rings))

    def _on_get_config(self, message: Message) -> bytes:
        offset, size, flags = message.unpack(CONFIG_HEAD)
        if offset + size > 256:
            raise MachineError(say("vhost.config", size=size, offset=offset))
        data = self.config.ljust(offset + size, b"\0")[offset : offset + size]
        return CONFIG_HEAD.pack(offset, size, flags) + data

    def _on_set_config(self, message: Message) -> None:
        """Nothing of it may be changed."""

    def _on_set_mem_table(self, message: Message) -> None:
        running = [ring for ring in self.rings if ring.device is not None]
        for ring in running:
            assert ring.device is not None
            ring.base, ring.device = ring.device.next_avail, None
        old, memory = self._memory, SharedMemory(message)
        self._box[0] = memory
        if old is not None:
            old.close()
        for ring in running:
            ring.start(memory, self.agreed)

    @property
    def _memory(self) -> SharedMemory | None:
        return self._box[0]

    def _ring(self, index: int) -> Vring:
        if index >= len(self.rings):
            raise MachineError(say("vhost.ring", index=index, count=len(self.rings)))
        return self.rings[index]

    def _on_set_vring_num(self, message: Message) -> None:
        index, size = message.unpack(VRING_STATE)
        self._ring(index).size = size

    def _on_set_vring_base(self, message: Message) -> None:
        index, base = message.unpack(VRING_STATE)
        self._ring(index).base = base

    def _on_get_vring_base(self, message: Message) -> bytes:
        index, _ = message.unpack(VRING_STATE)
        ring = self._ring(index)
        self._unwatch(ring)
        ring.stop()
        return VRING_STATE.pack(index, ring.base)

    def _on_set_vring_addr(self, message: Message) -> None:
        index, _, desc, used, avail, _ = message.unpack(VRING_ADDRESS)
        self._ring(index).addresses = desc, avail, used

    def _descriptor(self, message: Message, name: str) -> Vring:
        """The ring whose kick, call or error descriptor this message brings, or takes away."""
        (value,) = message.unpack(U64)
        ring = self._ring(value & 0xFF)
        if name == "kick":
            self._unwatch(ring)
        ring.close(name)
        if not value & NO_FD:
            if len(message.fds) != 1:
                raise MachineError(say("vhost.no_fd", name=message.name, given=len(message.fds)))
            os.set_blocking(message.fds[0], False)
            setattr(ring, name, message.fds.pop())
        return ring

    def _on_set_vring_call(self, message: Message) -> None:
        self._descriptor(message, "call")

    def _on_set_vring_err(self, message: Message) -> None:
        self._descriptor(message, "error")

    def _on_set_vring_kick(self, message: Message) -> None:
        ring = self._descriptor(message, "kick")
        if ring.kick >= 0:
            try:
                self._selector.register(ring.kick, selectors.EVENT_READ, ring)
            except (OSError, KeyError) as error:  # a descriptor that nobody can wait for
                ring.close("kick")
                raise MachineError(say("vhost.no_event", index=ring.index, error=error)) from error
            self._begin(ring)

    def _on_set_vring_enable(self, message: Message) -> None:
        index, enabled = message.unpack(VRING_STATE)
        ring = self._ring(index)
        ring.enabled = bool(enabled)
        self._begin(ring)

    def _begin(self, ring: Vring) -> None:
        """Starts a ring that has a kick and is enabled, and looks what is in it already."""
        if ring.kick < 0 or not ring.enabled or ring.device is not None:
            return
        if self._memory is None:
            raise MachineError(say("vhost.early", index=ring.index))
        ring.start(self._memory, self.agreed)
        self._serve(ring)

    def _unwatch(self, ring: Vring) -> None:
        if ring.kick >= 0:
            self._selector.unregister(ring.kick)

    # --- the data path ------------------------------------------------------------------------------------------------

    def _kicked(self, ring: Vring) -> None:
        try:
            self.counted["kicks"] += os.eventfd_read(ring.kick)
        except BlockingIOError:
            pass
        except OSError as error:
            raise MachineError(say("vhost.no_event", index=ring.index, error=error)) from error
        if ring.device is not None:
            self._serve(ring)

    def _serve(self, ring: Vring) -> None:
        """Everything that is in the ring, until nothing more comes. Raises MachineError for a driver that lies."""
        device, memory = ring.device, self._memory
        assert device is not None and memory is not None
        try:
            device.kicks(False)
            until = now() + self.poll_ns
            while True:
                found = False
                while (chain := device.pop()) is not None:
                    found = True
                    device.push(chain, self.request(chain, memory.guest))
                    self.counted["requests"] += 1
                    if self.call_each:
                        self._publish(ring)
                self._publish(ring)
                if found:
                    until = now() + self.poll_ns
                elif now() >= until and not device.kicks(True):
                    return
                elif now() >= until:
                    device.kicks(False)
        except (RingError, GuestAddressError, struct.error) as error:
            if ring.error >= 0:
                with contextlib.suppress(OSError):
                    os.eventfd_write(ring.error, 1)
            raise MachineError(say("vhost.lies", index=ring.index, error=error)) from error

    def _publish(self, ring: Vring) -> None:
        assert ring.device is not None
        if ring.device.publish() and ring.call >= 0:
            with contextlib.suppress(OSError):  # a driver that never reads its calls, or gave us something else
                os.eventfd_write(ring.call, 1)

    def request(self, chain: Chain, memory: GuestMemory) -> int:
        """Does one request and returns the bytes written into guest memory."""
        raise NotImplementedError


def _release(rings: list[Vring], box: list[SharedMemory | None]) -> None:
    for ring in rings:
        ring.device = None
        ring.close("kick", "call", "error")
    if box[0] is not None:
        box[0].close()


@contextlib.contextmanager
def in_thread(backend: Backend) -> Iterator[Backend]:
    """Serves in a thread of this process. Raises at the end what went wrong in it."""

    def serve() -> None:
        try:
            backend.run()
        except Exception as error:  # a thread has nobody to raise to: it is raised at the end
            backend.error = error

    thread = threading.Thread(target=serve, name="vhost-user", daemon=True)
    with backend:
        thread.start()
        try:
            yield backend
        finally:
            backend.stop()
            thread.join(_SECONDS)
    if backend.error is not None:
        raise backend.error
