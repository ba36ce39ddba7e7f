"""The virtio-pci transport with MSI-X (VirtIO 1.4, section 4.1) of a QEMU PC, found and set up as a kernel would.

An MSI is a store that the device makes to an address we choose. With no CPU to interrupt we choose a word of guest
memory: the interrupt is then a number that appears there, and costs no register access to acknowledge.
"""

from __future__ import annotations

from time import monotonic, sleep

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.process import Qemu
from virtlab.machine.qemu.transport import RegisterTransport
from virtlab.virtio import GuestMemory

_VENDOR = 0x1AF4
_CONFIG_ADDRESS, _CONFIG_DATA = 0xCF8, 0xCFC
_BARS_FROM = 0xE000_0000  # the hole below 4 GiB where a PC maps its devices
_MEMORY_AND_MASTER = 0x6  # of the command register
_VIRTIO_CAPABILITY, _MSIX_CAPABILITY = 0x09, 0x11
_COMMON, _NOTIFY, _DEVICE = 1, 2, 4  # kinds of virtio capability
_MESSAGE = 0x5649  # what the device writes as its interrupt
_POLL_SECONDS = 20e-6
#: The common configuration, under the names of virtio-mmio where it has the same register: (offset, bytes).
COMMON = {
    "device_features_sel": (0, 4), "device_features": (4, 4), "driver_features_sel": (8, 4), "driver_features": (12, 4),
    "status": (20, 1), "queue_sel": (22, 2), "queue_num_max": (24, 2), "queue_num": (24, 2),
    "queue_msix_vector": (26, 2), "queue_ready": (28, 2), "queue_notify_off": (30, 2), "queue_desc": (32, 4),
    "queue_driver": (40, 4), "queue_device": (48, 4),
}  # fmt: skip


class Pci(RegisterTransport):
    """The modern virtio device of kind ``device_id`` on QEMU's first PCI bus. Raises MachineError when none is."""

    def __init__(self, qemu: Qemu, device_id: int, memory: GuestMemory | None = None) -> None:
        super().__init__()
        self._qtest, self.memory, self.arena = qemu.qtest, memory or qemu.memory, qemu.arena
        self._mail = qemu.mapped()  # where interrupts arrive; not counted as the driver's own accesses
        self._mailbox = qemu.arena.take(4, 4)
        self._notify_at: list[int] = []
        for self._slot in range(32):
            if self._cfg(0, 2) == _VENDOR and self._cfg(2, 2) == 0x1040 + device_id:
                break
        else:
            raise MachineError(say("qemu.no_device", kind=device_id))
        self._find()

    # --- configuration space: setting up the card; counted as "config", not as the device's registers ----------------

    def _cfg(self, offset: int, size: int) -> int:
        self._qtest.port_out(_CONFIG_ADDRESS, 4, 1 << 31 | self._slot << 11 | offset & ~3)
        return self._qtest.port_in(_CONFIG_DATA + (offset & 3), size)

    def _set_cfg(self, offset: int, size: int, value: int) -> None:
        self._qtest.port_out(_CONFIG_ADDRESS, 4, 1 << 31 | self._slot << 11 | offset & ~3)
        self._qtest.port_out(_CONFIG_DATA + (offset & 3), size, value)

    def _find(self) -> None:
        """Gives the device its addresses, and finds its registers through its capabilities."""
        bars = self._place_bars()
        self._set_cfg(4, 2, self._cfg(4, 2) | _MEMORY_AND_MASTER)
        places: dict[int, int] = {}
        at, seen = self._cfg(0x34, 1), set[int]()
        while at and at not in seen and len(seen) < 48:  # a list that may be broken, or run in a circle
            seen.add(at)
            kind = self._cfg(at, 1)
            if kind == _VIRTIO_CAPABILITY:
                bar = self._cfg(at + 4, 1)
                if bar in bars:
                    places.setdefault(self._cfg(at + 3, 1), bars[bar] + self._cfg(at + 8, 4))
                if self._cfg(at + 3, 1) == _NOTIFY:
                    self._multiplier = self._cfg(at + 16, 4)
            elif kind == _MSIX_CAPABILITY:
                table = self._cfg(at + 4, 4)
                self._table = bars.get(table & 7, 0) + (table & ~7)
                self._set_cfg(at + 2, 2, self._cfg(at + 2, 2) & ~(1 << 14) | 1 << 15)  # unmasked, enabled
            at = self._cfg(at + 1, 1)
        if not {_COMMON, _NOTIFY, _DEVICE} <= set(places):
            raise MachineError(say("qemu.legacy", version="0.9"))
        self._common, self._notify, self._device = places[_COMMON], places[_NOTIFY], places[_DEVICE]
        for offset, value in ((0, self._mailbox), (4, 0), (8, _MESSAGE), (12, 0)):  # vector 0: where, what, unmasked
            self._qtest.store(self._table + offset, 4, value)

    def _place_bars(self) -> dict[int, int]:
        """Maps every memory BAR, each at a multiple of its own size."""
        bars, free, bar = {}, _BARS_FROM, 0
        while bar < 6:
            offset = 0x10 + 4 * bar
            before = self._cfg(offset, 4)
            self._set_cfg(offset, 4, 0xFFFF_FFFF)
            mask = self._cfg(offset, 4) & ~0xF
            wide = before & 6 == 4
            if mask and not before & 1:
                size = (~mask & 0xFFFF_FFFF) + 1
                free = -(-free // size) * size
                bars[bar] = free
                self._set_cfg(offset, 4, free)
                if wide:
                    self._set_cfg(offset + 4, 4, 0)
                free += size
            bar += 2 if wide else 1
        return bars

    # --- the device's own registers -----------------------------------------------------------------------------------

    def _read(self, register: str) -> int:
        self.counted["register_reads"] += 1
        offset, size = COMMON[register]
        return self._qtest.load(self._common + offset, size)

    def _write(self, register: str, value: int, further: int = 0) -> None:
        self.counted["register_writes"] += 1
        offset, size = COMMON[register]
        self._qtest.store(self._common + offset + further, size, value)

    def _connect(self, index: int, size: int) -> None:
        """Tells the queue its interrupt vector, and asks where its notify register lies."""
        self._write("queue_msix_vector", 0)
        if self._read("queue_msix_vector") != 0:
            raise MachineError(say("qemu.vector", index=index))
        self._notify_at.append(self._notify + self._read("queue_notify_off") * self._multiplier)

    def kick(self, queue: int) -> None:
        self.counted["kicks"] += 1
        self.counted["register_writes"] += 1
        self._qtest.store(self._notify_at[queue], 2, queue)

    def wait(self, seconds: float) -> bool:
        """Looks into the mailbox until a message is there. Two that come before we look are counted as one."""
        end = monotonic() + seconds
        while not self._mail.load16(self._mailbox):
            if monotonic() > end:
                return False
            sleep(_POLL_SECONDS)
        self._mail.store16(self._mailbox, 0)
        self.counted["calls"] += 1
        return True

    def config(self, offset: int, size: int) -> bytes:
        self.counted["register_reads"] += size
        return bytes(self._qtest.load(self._device + at, 1) for at in range(offset, offset + size))
