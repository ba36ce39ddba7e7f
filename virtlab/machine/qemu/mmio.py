"""The virtio-mmio transport (VirtIO 1.4, section 4.2) of a QEMU microvm, register by register."""

from __future__ import annotations

from time import monotonic

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.process import Qemu
from virtlab.machine.qemu.transport import RegisterTransport
from virtlab.virtio import GuestMemory

_WINDOWS = range(0xFEB0_0000, 0xFEB0_0000 + 8 * 0x200, 0x200)  # of microvm; one device lies in the last of them
_MAGIC = 0x74726976
REGISTERS = {
    "magic": 0x00, "version": 0x04, "device_id": 0x08, "device_features": 0x10, "device_features_sel": 0x14,
    "driver_features": 0x20, "driver_features_sel": 0x24, "queue_sel": 0x30, "queue_num_max": 0x34, "queue_num": 0x38,
    "queue_ready": 0x44, "queue_notify": 0x50, "interrupt_status": 0x60, "interrupt_ack": 0x64, "status": 0x70,
    "queue_desc": 0x80, "queue_driver": 0x90, "queue_device": 0xA0, "config": 0x100,
}  # fmt: skip


class Mmio(RegisterTransport):
    """The device of kind ``device_id`` behind one of QEMU's virtio-mmio windows. Raises MachineError when none is."""

    def __init__(self, qemu: Qemu, device_id: int, memory: GuestMemory | None = None) -> None:
        super().__init__()
        self._qtest, self.memory, self.arena = qemu.qtest, memory or qemu.memory, qemu.arena
        self._high = False  # the interrupt line: level-triggered, so its state must be known, not only its edges
        for self._base in _WINDOWS:
            if self._read("magic") == _MAGIC and self._read("device_id") == device_id:
                break
        else:
            raise MachineError(say("qemu.no_device", kind=device_id))
        self.counted.clear()

    def _read(self, register: str, further: int = 0) -> int:
        self.counted["register_reads"] += 1
        return self._qtest.load(self._base + REGISTERS[register] + further, 4)

    def _write(self, register: str, value: int, further: int = 0) -> None:
        self.counted["register_writes"] += 1
        self._qtest.store(self._base + REGISTERS[register] + further, 4, value)

    def _begin(self) -> None:
        if (version := self._read("version")) != 2:
            raise MachineError(say("qemu.legacy", version=version))

    def kick(self, queue: int) -> None:
        self.counted["kicks"] += 1
        self._write("queue_notify", queue)

    def _watch(self, seconds: float) -> None:
        for raised, _ in self._qtest.lines(seconds):
            self._high = raised
            self.counted["calls"] += raised

    def wait(self, seconds: float) -> bool:
        end = monotonic() + seconds
        self._watch(0)
        while not self._high and (left := end - monotonic()) > 0:
            self._watch(left)
        if not self._high:
            return False
        # Never forget a line that is high: without its acknowledgement no further edge comes.
        self._write("interrupt_ack", self._read("interrupt_status"))
        self._watch(0)
        return True

    def config(self, offset: int, size: int) -> bytes:
        words = [self._read("config", at).to_bytes(4, "little") for at in range(offset & ~3, offset + size, 4)]
        return b"".join(words)[offset % 4 :][:size]
