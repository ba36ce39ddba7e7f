"""The admin queue of an NVMe controller (NVMe base specification): the physical function gives its VFs their queues."""

from __future__ import annotations

import struct
from time import monotonic, sleep

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.process import Qemu

_CONFIGURATION, _STATUS, _SIZES, _SUBMISSION, _COMPLETION, _DOORBELLS = 0x14, 0x1C, 0x24, 0x28, 0x30, 0x1000
_ENABLE = 1 | 6 << 16 | 4 << 20  # entries of 64 and 16 B
_READY = 1
_ENTRIES = 16
_VIRTUALIZATION_MANAGEMENT = 0x1C
_ASSIGN, _ONLINE = 8, 9  # actions for a secondary controller
_QUEUES, _INTERRUPTS = 0, 1  # kinds of resources
_PATIENCE_SECONDS = 10.0


class NvmeAdmin:
    """The controller whose registers lie at ``base``; it must be a bus master. Raises MachineError where it refuses."""

    def __init__(self, qemu: Qemu, base: int) -> None:
        self._qtest, self._memory, self._base = qemu.qtest, qemu.memory, base
        self._submission, self._completion = (qemu.arena.take(_ENTRIES * size, 4096) for size in (64, 16))
        self._sent = 0
        self._qtest.store(base + _SIZES, 4, (_ENTRIES - 1) << 16 | _ENTRIES - 1)
        for register, address in ((_SUBMISSION, self._submission), (_COMPLETION, self._completion)):
            self._qtest.store(base + register, 8, address)
        self._qtest.store(base + _CONFIGURATION, 4, _ENABLE)
        end = monotonic() + _PATIENCE_SECONDS
        while self._qtest.load(base + _STATUS, 4) != _READY:
            if monotonic() > end:
                raise MachineError(say("sriov.not_ready"))
            sleep(0.001)

    def give(self, vf: int, queues: int, vectors: int) -> None:
        """Gives VF number ``vf`` queue pairs (its admin queue is one of them) and vectors, and puts it online."""
        for kind, count in ((_QUEUES, queues), (_INTERRUPTS, vectors)):
            self._command(vf << 16 | kind << 8 | _ASSIGN, count)
        self._command(vf << 16 | _ONLINE, 0)

    def _command(self, dword10: int, dword11: int) -> None:
        slot = self._sent % _ENTRIES
        entry = struct.pack("<I36xII16x", _VIRTUALIZATION_MANAGEMENT | self._sent << 16, dword10, dword11)
        self._memory.write(self._submission + 64 * slot, entry)
        self._sent += 1
        self._qtest.store(self._base + _DOORBELLS, 4, self._sent % _ENTRIES)
        phase, end = 1 - (self._sent - 1) // _ENTRIES % 2, monotonic() + _PATIENCE_SECONDS
        while True:
            status = int.from_bytes(self._memory.read(self._completion + 16 * slot + 14, 2), "little")
            if status & 1 == phase:
                break
            if monotonic() > end:
                raise MachineError(say("sriov.not_ready"))
            sleep(0.0005)
        self._qtest.store(self._base + _DOORBELLS + 4, 4, self._sent % _ENTRIES)
        if status >> 1:
            raise MachineError(say("sriov.refused", status=f"{status >> 1:#x}"))
