"""KVM's own counters of a VM or a vCPU (KVM_GET_STATS_FD, Linux 5.14), read with every bound checked."""

from __future__ import annotations

import os
from collections.abc import Callable

from virtlab.core.words import say
from virtlab.machine.kvm import abi
from virtlab.machine.owning import MachineError

_LONGEST_NAME, _MOST_COUNTERS, _LARGEST = 1 << 10, 1 << 10, 1 << 20


class Statistics:
    """The counters behind one descriptor: their layout is read once, their values at each :meth:`read`.

    Raises MachineError for a layout that cannot be true.
    """

    def __init__(self, fd: int, pread: Callable[[int, int, int], bytes] = os.pread) -> None:
        self._fd, self._pread = fd, pread
        header = abi.STATS_HEADER.unpack(self._bytes(abi.STATS_HEADER.size, 0))
        _, name_size, count, _, descriptors_at, self._at = header
        if not (0 < name_size <= _LONGEST_NAME and count <= _MOST_COUNTERS and max(header) < _LARGEST):
            raise MachineError(say("kvm.why.nonsense", what=f"statistics: {header}"))
        self._offsets: dict[str, int] = {}
        size = abi.STATS_DESCRIPTOR.size + name_size
        table = self._bytes(size * count, descriptors_at)
        for at in range(0, len(table), size):
            _, _, items, offset, _ = abi.STATS_DESCRIPTOR.unpack_from(table, at)
            name = table[at + abi.STATS_DESCRIPTOR.size : at + size].split(b"\0")[0].decode("ascii", "replace")
            if offset >= _LARGEST:
                raise MachineError(say("kvm.why.nonsense", what=f"statistics: {name}, {offset}"))
            if items == 1:  # the others are histograms
                self._offsets[name] = offset
        self._length = max(self._offsets.values(), default=-8) + 8

    def read(self) -> dict[str, int]:
        """Each counter by KVM's name for it, since the VM or vCPU was made."""
        values = self._bytes(self._length, self._at)
        return {name: int.from_bytes(values[at : at + 8], "little") for name, at in self._offsets.items()}

    def _bytes(self, size: int, at: int) -> bytes:
        got = self._pread(self._fd, size, at) if size else b""
        if len(got) != size:
            raise MachineError(say("kvm.why.nonsense", what=f"statistics: {len(got)} of {size} B at {at}"))
        return got
