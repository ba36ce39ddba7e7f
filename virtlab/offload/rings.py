"""What a NIC and its driver say to each other over PCIe for a packet: one list of transactions for each kind of NIC.

``simple``, ``kernel`` and ``dpdk`` are those of the published model (Neugebauer and others, SIGCOMM 2018): everything
for every packet, and an Intel 82599 with a kernel's and with DPDK's driver. ``plain`` writes completions and has no
register to read. ``virtio`` and ``virtio-packed`` are the rings of VirtIO, read by a card. ``llq`` is a card of a cloud
to which the driver pushes descriptor and header (ENA's low latency queue). NVMe has the shape of ``plain``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from virtlab.evidence import FACTS

Nic = Literal["simple", "kernel", "dpdk", "plain", "virtio", "virtio-packed", "llq"]
Way = Literal["tx", "rx"]
#: Who starts it and whether it reads: a write by the CPU or by the card, a read by the card or by the CPU.
Act = Literal["cpu_write", "card_write", "card_read", "cpu_read"]


def _fact(key: str) -> int:
    return int(FACTS[key].value)


_WORD, _DESCRIPTOR = _fact("pcie.register"), _fact("nic.descriptor")


@dataclass(frozen=True)
class Entry:
    """One kind of transaction: ``size`` bytes once for ``per`` packets.

    ``frame``: the packet's own bytes follow, without the first ``pushed``. ``chunk`` is the most in one packet, if the
    CPU's write buffers set it. ``waits``: the packet cannot go on before it is done; other transactions come ahead of
    it or behind it.
    """

    key: str
    act: Act
    size: int = 0
    per: int = 1
    frame: bool = False
    pushed: int = 0
    chunk: int = 0
    waits: bool = False


@dataclass(frozen=True)
class Ring:
    """The transactions of a packet that is sent and of one that is received, in the order in which they happen."""

    tx: tuple[Entry, ...]
    rx: tuple[Entry, ...]

    def of(self, way: Way) -> tuple[Entry, ...]:
        return self.tx if way == "tx" else self.rx


def _doorbell(per: int, waits: bool = False) -> Entry:
    return Entry("doorbell", "cpu_write", _WORD, per, waits=waits)


def _interrupt(per: int) -> Entry:
    return Entry("interrupt", "card_write", _WORD, per)


def _head(per: int) -> Entry:
    return Entry("head_read", "cpu_read", _WORD, per)


def _descriptors(number: int, waits: bool = False) -> Entry:
    return Entry("descriptor_read", "card_read", _DESCRIPTOR * number, number, waits=waits)


def _written_back(number: int, waits: bool = False) -> Entry:
    return Entry("completion_write", "card_write", _DESCRIPTOR * number, number, waits=waits)


_DATA_READ = Entry("data_read", "card_read", frame=True, waits=True)
_DATA_WRITE = Entry("data_write", "card_write", frame=True, waits=True)


def _simple(batch: int) -> Ring:
    return Ring(
        (_doorbell(1, True), _descriptors(1, True), _DATA_READ, _interrupt(1), _head(1)),
        (_doorbell(1), _descriptors(1), _DATA_WRITE, _written_back(1, True), _interrupt(1), _head(1)),
    )


def _kernel(batch: int) -> Ring:
    interrupt = _interrupt(_fact("nic.kernel.interrupt"))
    tx, rx = _intel(1)
    return Ring((*tx, interrupt, _head(1)), (*rx, interrupt, _head(_fact("nic.kernel.head"))))


def _dpdk(batch: int) -> Ring:
    return Ring(*_intel(_fact("nic.dpdk.doorbell")))


def _intel(sent_per_doorbell: int) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """What both drivers of the 82599 have in common; they differ in doorbells, interrupts and register reads."""
    tx = (_doorbell(sent_per_doorbell, True), _descriptors(_fact("nic.kernel.descriptors"), True), _DATA_READ,
          _written_back(_fact("nic.kernel.writeback")))  # fmt: skip
    rx = (_doorbell(_fact("nic.kernel.refill")), _descriptors(1), _DATA_WRITE, _written_back(1, True))
    return tx, rx


def _plain(batch: int) -> Ring:
    return Ring(
        (_doorbell(batch, True), _descriptors(batch, True), _DATA_READ, _written_back(1), _interrupt(batch)),
        (_doorbell(batch), _descriptors(batch), _DATA_WRITE, _written_back(1, True), _interrupt(batch)),
    )


def _virtio(batch: int) -> Ring:
    avail = max(_WORD, _fact("nic.virtio.avail") * batch)

    def side(data: Entry, sends: bool) -> tuple[Entry, ...]:
        return (
            _doorbell(batch, sends),
            Entry("avail_index_read", "card_read", _WORD, batch, waits=sends),
            Entry("avail_ring_read", "card_read", avail, batch, waits=sends),
            Entry("descriptor_read", "card_read", _fact("nic.virtio.descriptor") * batch, batch, waits=sends),
            data,
            Entry("used_ring_write", "card_write", _fact("nic.virtio.used") * batch, batch, waits=not sends),
            Entry("used_index_write", "card_write", _WORD, batch, waits=not sends),
            Entry("event_read", "card_read", _WORD, batch),
            _interrupt(batch),
        )

    return Ring(side(_headed("data_read", "card_read"), True), side(_headed("data_write", "card_write"), False))


def _virtio_packed(batch: int) -> Ring:
    size = _fact("nic.virtio.descriptor") * batch

    def side(data: Entry, sends: bool) -> tuple[Entry, ...]:
        return (
            _doorbell(batch, sends),
            Entry("descriptor_read", "card_read", size, batch, waits=sends),
            data,
            Entry("used_ring_write", "card_write", size, batch, waits=not sends),
            Entry("event_read", "card_read", _WORD, batch),
            _interrupt(batch),
        )

    return Ring(side(_headed("data_read", "card_read"), True), side(_headed("data_write", "card_write"), False))


def _headed(key: str, act: Act) -> Entry:
    return Entry(key, act, _fact("nic.virtio.header"), frame=True, waits=True)


def _llq(batch: int) -> Ring:
    push = Entry("push", "cpu_write", _fact("nic.llq.entry"), chunk=_fact("pcie.write_combining"), waits=True)
    rest = Entry("data_read", "card_read", frame=True, pushed=_fact("nic.llq.header"), waits=True)
    return Ring(
        (push, _doorbell(batch, True), rest, Entry("completion_write", "card_write", _fact("nic.ena.sent")),
         _interrupt(batch)),
        (_doorbell(batch), _descriptors(batch), _DATA_WRITE,
         Entry("completion_write", "card_write", _fact("nic.ena.received"), waits=True), _interrupt(batch)),
    )  # fmt: skip


#: The ring of each kind of NIC, for packets that share a doorbell, a descriptor read and an interrupt.
RINGS: Mapping[Nic, Callable[[int], Ring]] = MappingProxyType(
    {"simple": _simple, "kernel": _kernel, "dpdk": _dpdk, "plain": _plain, "virtio": _virtio,
     "virtio-packed": _virtio_packed, "llq": _llq}
)  # fmt: skip
#: Those of the published model, whose batches are their own.
PUBLISHED: tuple[Nic, ...] = ("simple", "kernel", "dpdk")
