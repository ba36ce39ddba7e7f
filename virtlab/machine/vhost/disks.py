"""Disks without any VM: a driver in Python, and behind a vhost-user connection QEMU's storage daemon, or Python too."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import Literal

from virtlab.core.words import say, words
from virtlab.machine.owning import Owner, memory_file, start
from virtlab.machine.qemu.blk_driver import BlkDriver
from virtlab.machine.qemu.disks import pattern
from virtlab.machine.vhost.front import Front
from virtlab.virtio import Feature

STORAGE_DAEMON = "qemu-storage-daemon"
Server = Literal["python", "qemu-storage-daemon"]


class VhostBlk(BlkDriver, Owner):
    """A disk that another process serves, and a driver for it in this one; their rings lie in shared memory.

    This is the data path of a guest whose disk is vhost-user-blk, with the guest taken away: a kick is an eventfd, as
    under KVM's ioeventfd, and a call one, as under its irqfd. ``server``: "python" (our own back end) or
    "qemu-storage-daemon". Of Python alone: ``call_each``, it shows each request when it is done, and asks each time
    whether to call; ``delay_us``, it works so long on each. Closing it ends the other process. Raises MachineError
    when there is no such program, or it does not do its part.
    """

    def __init__(
        self, disk: bytes = b"", server: Server = "python", packed: bool = False, event_idx: bool = True,
        poll_us: float = 0.0, queue_size: int = 128, call_each: bool = False,
        delay_us: float = 0.0,
    ) -> None:  # fmt: skip
        Owner.__init__(self)
        if server not in ("python", STORAGE_DAEMON):
            raise ValueError(say("vhost.server", given=server))
        with self._opening() as held:
            fd = memory_file(held, disk or pattern())
            ours = _python(held, fd, poll_us, call_each, delay_us) if server == "python" else _storage_daemon(held, fd)
            front = held.enter_context(Front(ours))
            wanted = Feature(event_idx * Feature.EVENT_IDX | packed * Feature.RING_PACKED)
            self.title = str(words(f"vhost.title.{server.replace('-', '_')}"))
            BlkDriver.__init__(self, front, wanted, queue_size)


def _python(
    held: contextlib.ExitStack, disk: int, poll_us: float, call_each: bool, delay_us: float
) -> socket.socket:  # fmt: skip
    """Our back end in a process of its own: as a thread it would share the interpreter's lock with the driver."""
    ours, theirs = (held.enter_context(s) for s in socket.socketpair())
    numbers = [str(theirs.fileno()), str(disk), str(poll_us), str(int(call_each)), str(delay_us)]
    start(held, [sys.executable, "-m", "virtlab.machine.vhost.serve", *numbers], [theirs.fileno(), disk])
    theirs.close()
    return ours


def _storage_daemon(held: contextlib.ExitStack, disk: int) -> socket.socket:
    """QEMU's storage daemon wants a socket that listens. This one has a name of the kernel's choice and no path, and we
    are in its queue before the daemon is there."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")
        listener.listen(1)
        ours = held.enter_context(socket.socket(socket.AF_UNIX))
        ours.connect(listener.getsockname())
        fd = listener.fileno()
        export = f"type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=fd,addr.str={fd}"
        file = f"driver=file,node-name=disk,filename=/proc/self/fd/{disk},locking=off"
        start(held, [STORAGE_DAEMON, "--blockdev", file, "--export", export], [fd, disk])
    return ours
