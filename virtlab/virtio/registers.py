"""A model: what one request costs in register accesses and interrupts, on two virtio transports and on an IDE disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from virtlab.core.counts import Counts

Transport = Literal["mmio", "pci"]
Kicks = Literal["once", "each"]
Calls = Literal["last", "each", "none"]

#: A kick is one store to the notify register (VirtIO 1.4, sections 4.1 PCI and 4.2 MMIO).
ACCESSES_PER_KICK = 1
#: A call on a level-triggered line is answered by a read of InterruptStatus and a write of InterruptACK (section
#: 4.2). An MSI-X message names its queue by its vector (section 4.1): the driver touches no register.
READS_PER_CALL = WRITES_PER_CALL = {"mmio": 1, "pci": 0}
ACCESSES_PER_CALL = {kind: reads + WRITES_PER_CALL[kind] for kind, reads in READS_PER_CALL.items()}
SECTOR_BYTES = 512
#: An IDE disk is told drive, count, three bytes of address and the command (ATA, READ SECTORS: PIO data-in protocol).
IDE_COMMAND = 6
#: Then, for each sector: one read of the status, which acknowledges the interrupt, and 256 reads of a 16-bit word.
IDE_STATUS, IDE_WORDS = 1, SECTOR_BYTES // 2


class Bounds(NamedTuple):
    """The least and the most; they are equal where nothing depends on who runs when."""

    least: float
    most: float

    @property
    def sure(self) -> bool:
        return self.least == self.most


@dataclass(frozen=True)
class RequestCost:
    """Of one batch of ``requests``: its kicks and calls (interrupts), and the register accesses of each kind."""

    requests: int
    kicks: Bounds
    calls: Bounds
    per_kick: float
    per_call: float
    command: float = 0
    reads_per_call: float = 0

    def counts(self, title: str) -> Counts:
        """The record that a real device gives, for one table with it. Raises ValueError where timing decides."""
        if not (self.kicks.sure and self.calls.sure):
            raise ValueError(f"how many kicks and calls there are is not sure: {self.kicks}, {self.calls}")
        reads = self.reads_per_call * self.calls.most
        values = {"register_reads": reads, "register_writes": self.accesses.most - reads, "kicks": self.kicks.most,
                  "calls": self.calls.most}  # fmt: skip
        return Counts(title, values, self.requests)

    @property
    def accesses(self) -> Bounds:
        """Register accesses of the whole batch."""
        return Bounds(*(self.command + self.per_kick * kicks + self.per_call * calls
                        for kicks, calls in zip(self.kicks, self.calls, strict=True)))  # fmt: skip

    @property
    def accesses_per_request(self) -> Bounds:
        return Bounds(*(n / self.requests for n in self.accesses))

    @property
    def calls_per_request(self) -> Bounds:
        return Bounds(*(n / self.requests for n in self.calls))


def virtio_batch(
    transport: Transport, requests: int = 1, kicks: Kicks = "once", calls: Calls = "each", event_idx: bool = True,
    packed: bool = False,
) -> RequestCost:  # fmt: skip
    """The cost of ``requests`` that are in flight together: (kicks + 2 calls) accesses on mmio, kicks alone on pci.

    A driver that wants to kick at each request kicks at most once for each, and at least once: a device that is awake
    declines further kicks. A driver that wants a call for each request gets at most one for each, and at least one: of
    calls that come before it has looked, it sees one. Without EVENT_IDX a ring can only ask for every call or for none,
    so that "last" is "each". With it a split ring counts buffers; a packed ring names a place, which a driver that asks
    before its requests stand there can only guess, so that the device may call early and must be asked again.
    (With EVENT_IDX a split ring cannot say "none": one call in 65,536 buffers is left out.)
    Source: VirtIO 1.4, sections 2.7 and 2.8 (suppression), 4.1 (PCI), 4.2 (MMIO).
    """
    if requests < 1:
        raise ValueError(f"a batch has at least 1 request, and not {requests}")
    merged = Bounds(1, requests)
    asked = "each" if calls == "last" and (not event_idx or packed and kicks == "each") else calls
    return RequestCost(
        requests,
        Bounds(1, 1) if kicks == "once" else merged,
        {"none": Bounds(0, 0), "last": Bounds(1, 1), "each": merged}[asked],
        ACCESSES_PER_KICK,
        ACCESSES_PER_CALL[transport],
        reads_per_call=READS_PER_CALL[transport],
    )


def ide_request(request_bytes: int = 4096) -> RequestCost:
    """The cost of reading whole sectors by programmed I/O: an interrupt a sector, and nothing to share in a batch.

    6 + sectors * (1 + 256) accesses: 2,062 for 4 KiB. Under KVM a driver that uses ``rep insw`` has fewer exits: of
    such a read KVM fetches up to 1 KiB in one (``pio_in_emulated``).
    Source: ATA, READ SECTORS (20h), PIO data-in protocol.
    """
    if request_bytes < SECTOR_BYTES or request_bytes % SECTOR_BYTES:
        raise ValueError(f"a request is whole sectors of {SECTOR_BYTES} B, and not {request_bytes} B")
    sectors = request_bytes // SECTOR_BYTES
    per_sector = IDE_STATUS + IDE_WORDS
    return RequestCost(1, Bounds(0, 0), Bounds(sectors, sectors), 0, per_sector, IDE_COMMAND, per_sector)
