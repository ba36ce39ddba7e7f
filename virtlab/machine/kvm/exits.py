"""What a return to user space says: read from kvm_run, with every bound checked before it is used."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from virtlab.core.words import say
from virtlab.machine.kvm import abi
from virtlab.machine.owning import MachineError

#: After these a guest cannot go on.
BROKEN = frozenset({"unknown", "exception", "shutdown", "fail_entry", "internal_error"})


@dataclass(frozen=True)
class Exit:
    """One return of KVM_RUN. ``reason`` is KVM's own, without KVM_EXIT_.

    ``address`` is the port of "io" and the guest-physical address of "mmio"; an access has ``count`` items of ``size``
    bytes, and their ``data`` if it is a ``write``. ``detail`` is KVM's number for "fail_entry" and "internal_error".
    ``ns`` is how long the run took, from the first entry to the last return.
    """

    reason: str
    address: int = 0
    size: int = 0
    count: int = 0
    write: bool = False
    data: bytes = b""
    detail: int = 0
    ns: int = 0


def reason(run: mmap.mmap | bytearray) -> str:
    """Why KVM_RUN came back; a number for a reason that is newer than this module."""
    (number,) = abi.EXIT_REASON.unpack_from(run)
    return abi.REASONS.get(number, str(number))


def read(run: mmap.mmap | bytearray, ns: int = 0) -> Exit:
    """The whole of it. Raises MachineError when kvm_run holds what no KVM writes."""
    why = reason(run)
    if why == "io":
        direction, size, port, count, at = abi.EXIT_IO.unpack_from(run, abi.EXIT_AT)
        length = size * count
        if direction > 1 or size not in (1, 2, 4) or not 0 < length <= abi.PAGE or not _inside(run, at, length):
            raise MachineError(say("kvm.why.nonsense", what=f"io: {direction}, {size}, {count}, {at}"))
        return Exit(why, port, size, count, bool(direction), bytes(run[at : at + length]) if direction else b"", ns=ns)
    if why == "mmio":
        address, data, size, write = abi.EXIT_MMIO.unpack_from(run, abi.EXIT_AT)
        if write > 1 or not 0 < size <= len(data):
            raise MachineError(say("kvm.why.nonsense", what=f"mmio: {write}, {size}"))
        return Exit(why, address, size, 1, bool(write), data[:size] if write else b"", ns=ns)
    if why == "fail_entry":
        return Exit(why, detail=abi.EXIT_FAIL_ENTRY.unpack_from(run, abi.EXIT_AT)[0], ns=ns)
    if why == "internal_error":
        return Exit(why, detail=abi.EXIT_INTERNAL_ERROR.unpack_from(run, abi.EXIT_AT)[0], ns=ns)
    return Exit(why, ns=ns)


def answer(run: mmap.mmap | bytearray, data: bytes) -> None:
    """Puts what the device answers to a read where KVM fetches it. Raises MachineError if no such read waits."""
    last = read(run)
    if last.reason not in ("io", "mmio") or last.write or len(data) != last.size * last.count:
        raise MachineError(say("kvm.answer", n=len(data), reason=last.reason, size=last.size * last.count))
    at = abi.MMIO_DATA_AT if last.reason == "mmio" else abi.EXIT_IO.unpack_from(run, abi.EXIT_AT)[4]
    run[at : at + len(data)] = data


def _inside(run: mmap.mmap | bytearray, at: int, length: int) -> bool:
    """Whether the data lies in the mapping, behind the page of kvm_run itself."""
    return abi.PAGE <= at and at + length <= len(run)
