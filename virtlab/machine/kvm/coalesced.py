"""The ring in which KVM keeps coalesced accesses, shared with user space: read with its bounds checked."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from virtlab.core.words import say
from virtlab.machine.kvm import abi
from virtlab.machine.owning import MachineError


@dataclass(frozen=True)
class Access:
    """A write that waited: ``address`` is a port if ``pio``, else guest-physical."""

    address: int
    data: bytes
    pio: bool


class Ring:
    """The ring at ``at`` of a vCPU's mapping. Raises MachineError if it does not lie within it."""

    def __init__(self, shared: mmap.mmap | bytearray, at: int) -> None:
        if not 0 <= at <= len(shared) - abi.PAGE:
            raise MachineError(say("kvm.why.nonsense", what=f"coalesced ring: {at} of {len(shared)}"))
        self._shared, self._at = shared, at

    def take(self) -> list[Access]:
        """All that waits, in order; the ring is empty then. Raises MachineError for indices or lengths out of range."""
        first, last = abi.COALESCED_RING.unpack_from(self._shared, self._at)
        if first >= abi.COALESCED_MAX or last >= abi.COALESCED_MAX:
            raise MachineError(say("kvm.why.nonsense", what=f"coalesced ring: {first}, {last}"))
        taken = []
        while first != last:
            at = self._at + abi.COALESCED_RING.size + first * abi.COALESCED_ENTRY.size
            address, length, pio, data = abi.COALESCED_ENTRY.unpack_from(self._shared, at)
            if length > len(data):
                raise MachineError(say("kvm.why.nonsense", what=f"coalesced ring: {length} B"))
            taken.append(Access(address, data[:length], bool(pio)))
            first = (first + 1) % abi.COALESCED_MAX
        self._shared[self._at : self._at + 4] = first.to_bytes(4, "little")
        return taken
