"""Real disks of a real QEMU, driven from here: virtio-blk on two transports and two rings, and IDE as the contrast."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping, Sequence
from typing import Literal

from virtlab.core.counts import Counts
from virtlab.core.words import say, words
from virtlab.machine.owning import MachineError, Owner, memory_file
from virtlab.machine.qemu.blk_driver import BLOCK_DEVICE, MOST_AT_ONCE, BlkDriver
from virtlab.machine.qemu.mmio import Mmio
from virtlab.machine.qemu.nbd import NbdDisk, nbd_options
from virtlab.machine.qemu.pci import Pci
from virtlab.machine.qemu.process import Qemu, block_options
from virtlab.machine.qemu.qtest import Qtest
from virtlab.virtio import Feature

#: What the disks of the experiments hold: no two sectors alike.
DISK_BYTES = 1 << 20
#: What makes QEMU's cache modes: options of the block node, and whether the device has a write cache.
CACHE_OPTIONS: Mapping[str, tuple[str, bool]] = {
    "writeback": ("", True), "none": (",cache.direct=on", True), "writethrough": ("", False),
    "directsync": (",cache.direct=on", False), "unsafe": (",cache.no-flush=on", True),
}  # fmt: skip
_READ_SECTORS, _BUSY, _DATA, _IDE_LINE, _IDE_SECONDS = 0x20, 0x80, 0x08, 14, 5.0


def pattern(size: int = DISK_BYTES) -> bytes:
    """The contents of a disk in which every sector differs from every other."""
    return b"".join(n.to_bytes(4, "little") * 128 for n in range(size // 512))


class VirtioBlk(BlkDriver, Owner):
    """A virtio-blk disk of a QEMU of its own, and a driver for it in Python.

    ``disk``: what it holds. ``transport``: "mmio" (microvm, a level-triggered interrupt) or "pci" (MSI-X).
    ``messages``: reach guest memory by qtest messages instead of mapping it. ``back_end``: the socket of a vhost-user
    back end that serves the disk instead of QEMU. ``served``: what holds the disk's contents instead of memory of ours.
    ``cache``: one of QEMU's cache modes. ``refusing``: a disk on which every flush fails. Closing it ends QEMU. Raises
    MachineError, as Qemu does.
    """

    def __init__(
        self, disk: bytes = b"", packed: bool = False, transport: Literal["mmio", "pci"] = "mmio",
        event_idx: bool = True, indirect: bool = False, messages: bool = False, merging: bool = True,
        back_end: socket.socket | None = None, trace: Sequence[str] = (), queue_size: int = 128,
        served: NbdDisk | None = None, cache: str = "writeback", refusing: bool = False,
    ) -> None:  # fmt: skip
        Owner.__init__(self)
        if cache not in CACHE_OPTIONS:
            raise ValueError(say("qemu.cache", given=cache, known=", ".join(CACHE_OPTIONS)))
        node, write_back = CACHE_OPTIONS[cache]
        mmio = transport == "mmio"
        options = f"packed={'on' if packed else 'off'}" + ("" if mmio else ",disable-legacy=on")
        with self._opening() as held:
            if back_end is None:
                fd = memory_file(held, disk or pattern()) if served is None else served.peer.fileno()
                device = "virtio-blk-device" if mmio else "virtio-blk-pci"
                options = f"drive=disk,request-merging={'on' if merging else 'off'},{options}"
                options += f",write-cache={'on' if write_back else 'off'}"
                behind = block_options(fd, refusing) if served is None else nbd_options(served)
                behind[-1] += node
            else:
                fd = back_end.fileno()
                device = "vhost-user-blk" if mmio else "vhost-user-blk-pci"
                options = f"chardev=back,{options}"
                behind = ["-chardev", f"socket,id=back,fd={fd}"]
            arguments = [*behind, "-device", f"{device},{options}"]
            self.qemu = held.enter_context(Qemu(arguments, "microvm" if mmio else "pc", [fd], trace))
            memory = self.qemu.messages if messages else self.qemu.memory
            carrier = (Mmio if mmio else Pci)(self.qemu, BLOCK_DEVICE, memory)
            wanted = Feature(event_idx * Feature.EVENT_IDX | indirect * Feature.INDIRECT_DESC
                             | packed * Feature.RING_PACKED)  # fmt: skip
            self.title = str(words(f"qemu.title.{transport}_{'packed' if packed else 'split'}"))
            BlkDriver.__init__(self, carrier, wanted, queue_size, indirect)


def ide_read(disk: bytes = b"", sector: int = 8, sectors: int = 8) -> tuple[bytes, Counts]:
    """Reads sectors of an IDE disk by programmed I/O, as a driver of 1990 does: word by word through a port.

    Returns the data and the register accesses. Raises MachineError, as Qemu does.
    """
    disk = disk or pattern()
    if not 1 <= sectors <= 255 or not 0 <= sector <= len(disk) // 512 - sectors:
        raise ValueError(say("qemu.sector", size=512 * sectors, sector=sector, sectors=len(disk) // 512))
    with contextlib.ExitStack() as held:
        fd = memory_file(held, disk)
        device = ["-device", "ide-hd,drive=disk,bus=ide.0"]
        qtest = held.enter_context(Qemu([*block_options(fd), *device], "pc", [fd])).qtest
        port_out = qtest.port_out
        reads = writes = calls = 0
        # fmt: off
        for port, value in ((0x1F6, 0xE0 | sector >> 24 & 0xF), (0x1F2, sectors), (0x1F3, sector & 0xFF),
                            (0x1F4, sector >> 8 & 0xFF), (0x1F5, sector >> 16 & 0xFF), (0x1F7, _READ_SECTORS)):
            # fmt: on
            port_out(port, 1, value)
            writes += 1
        data = bytearray()
        for _ in range(sectors):
            calls += _wait_for(qtest, _IDE_LINE, _IDE_SECONDS)
            status = qtest.port_in(0x1F7, 1)  # which also acknowledges the interrupt
            reads += 1
            if status & _BUSY or not status & _DATA:
                raise MachineError(say("qemu.ide", error=qtest.port_in(0x1F1, 1)))
            for _ in range(256):
                data += qtest.port_in(0x1F0, 2).to_bytes(2, "little")
                reads += 1
        values = {"register_reads": reads, "register_writes": writes, "calls": calls}
        return bytes(data), Counts(str(words("qemu.title.ide")), values)


def _wait_for(qtest: Qtest, line: int, seconds: float) -> int:
    """Waits until an interrupt line is raised, and counts it. Raises MachineError when it is not."""
    while changes := qtest.lines(seconds):
        if (True, line) in changes:
            return 1
    raise MachineError(say("qemu.late", left=1, count=1, seconds=f"{seconds:g}"))


def register_accesses() -> list[Counts]:
    """One read of 4 KiB from each kind of disk that QEMU has here: what it costs in register accesses and interrupts.

    Register accesses, not exits: nothing exits here, as no guest runs. In a guest under KVM each of these would be one,
    except that KVM takes up to 1 KiB of a ``rep insw`` (the data of an IDE disk) in one.
    """
    counts = []
    for transport in ("mmio", "pci"):
        for packed in (False, True):
            with VirtioBlk(packed=packed, transport=transport) as disk:
                disk.read(0)
                disk.counted(disk.title, 1)
                disk.read(8)
                counts.append(disk.counted(disk.title, 1))
    return [*counts, ide_read()[1]]


__all__ = ["DISK_BYTES", "MOST_AT_ONCE", "VirtioBlk", "ide_read", "pattern", "register_accesses"]
