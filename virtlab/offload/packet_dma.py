"""One packet's "one DMA", looked at: the PCIe transactions that it is, their bytes each way, and what follows.

The rates count the frame without its checksum, which the card takes off. Sending and receiving at once share the link:
what one needs up comes on top of what the other needs up. Left out: what the host does in between (a CPU waits for a
register read), the card's engine, the order of writes and completions, and a card that reads ahead of a doorbell.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

from virtlab.core.parameter import ParameterError, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.offload.pcie import PcieOptions, least, link_name, most, pieces
from virtlab.offload.rings import PUBLISHED, RINGS, Act, Entry, Nic, Way

Traffic = Literal["both", "tx", "rx"]
_CHECKSUM = int(FACTS["ethernet.fcs"].value)
_MRD, _CPLD, _MWR = "MRd", "CplD", "MWr"


class PacketDmaOptions(PcieOptions):
    """A frame (with its checksum), the NIC that carries it, and its link.

    ``ring_batch`` packets share a doorbell, a descriptor read and an interrupt; the NICs of the published model have
    batches of their own. ``as_published`` repeats that model's slip: the request of the receive descriptor is lost.
    """

    frame_bytes: int = parameter(FACTS["ethernet.frame.min"], ge=64, le=9_018, log=True)
    nic: Nic = parameter(FACTS["nic.kind"], default="simple")
    ring_batch: int = parameter(FACTS["nic.ring_batch"], ge=1, le=64, log=True)
    as_published: bool = parameter(FACTS["nic.as_published"], default=False)

    @property
    def data_bytes(self) -> int:
        """What goes over PCIe of the frame: all but the checksum."""
        return self.frame_bytes - _CHECKSUM

    @property
    def batch(self) -> int:
        """Packets that share what can be shared; 1 where the NIC's own batches count."""
        return 1 if self.nic in PUBLISHED else self.ring_batch


@dataclass(frozen=True)
class Transaction:
    """One transaction of a packet. Sizes are those of the whole transaction, which ``per`` packets share.

    ``packets`` names the PCIe packets and how many: {"MRd": 1, "CplD": 1}. ``up_bytes`` go from the card to the host.
    """

    key: str
    act: Act
    data_bytes: int
    up_bytes: int
    down_bytes: int
    per: int
    packets: dict[str, int]
    waits: bool

    @property
    def title(self) -> str:
        return str(words(f"packet_dma.transaction.{self.key}"))

    @property
    def reads(self) -> bool:
        return self.act in ("card_read", "cpu_read")


@dataclass(frozen=True, repr=False)
class PacketDma(Shown):
    """The transactions of a packet that is sent (``tx``) and of one that is received (``rx``)."""

    options: PacketDmaOptions
    tx: tuple[Transaction, ...]
    rx: tuple[Transaction, ...]

    def of(self, way: Way) -> tuple[Transaction, ...]:
        """The transactions one way, in order. Raises ParameterError for anything but tx and rx."""
        if way not in ("tx", "rx"):
            raise ParameterError(say("packet_dma.error.way", given=repr(way)))
        return self.tx if way == "tx" else self.rx

    def transactions_per_packet(self, way: Way) -> float:
        """Reads (each with its completions) and writes, on the average of a batch."""
        return math.fsum(1 / t.per for t in self.of(way))

    def tlps_per_packet(self, way: Way) -> float:
        """PCIe packets, requests and completions apart."""
        return math.fsum(sum(t.packets.values()) / t.per for t in self.of(way))

    def up_bytes_per_packet(self, way: Way) -> float:
        """Bytes from the card to the host, headers included."""
        return math.fsum(t.up_bytes / t.per for t in self.of(way))

    def down_bytes_per_packet(self, way: Way) -> float:
        """Bytes from the host to the card, headers included."""
        return math.fsum(t.down_bytes / t.per for t in self.of(way))

    def round_trips(self, way: Way) -> int:
        """Reads by the card that follow from each other, and that the packet waits for."""
        return sum(t.waits and t.act == "card_read" for t in self.of(way))

    def latency_ns(self, way: Way) -> float:
        """PCIe's part of a packet's latency: sent, from the doorbell until the card has it; received, until it is told.

        A write takes one way (and translation, if the card sends it), each dependent read a round trip; and the bytes
        that it waits for take their time.
        """
        o, waited = self.options, [t for t in self.of(way) if t.waits]
        sizes = sum(t.up_bytes if way == "rx" else t.down_bytes for t in waited)
        one_way = o.doorbell_ns + (o.added_ns if way == "rx" else 0)
        return one_way + self.round_trips(way) * o.read_ns + 8 * sizes / o.tlp_gbit_per_s

    def packets_per_s(self, traffic: Traffic = "both") -> float:
        """Packets a second that the link and the tags allow; with ``both``, as many each way."""
        if traffic not in ("both", "tx", "rx"):
            raise ParameterError(say("packet_dma.error.traffic", given=repr(traffic)))
        o = self.options
        return float(1e9 * _rate(o, o.data_bytes, traffic))

    def gbit_per_s(self, traffic: Traffic = "both") -> float:
        """Gb/s of frames without their checksums; with ``both``, each way."""
        return self.packets_per_s(traffic) * 8 * self.options.data_bytes / 1e9

    @property
    def bound(self) -> str:
        """What is full first while packets go both ways: the lanes ``up`` or ``down``, or the ``tags``."""
        used = self._used()
        return max(used, key=lambda k: used[k])

    def _used(self) -> dict[str, float]:
        """How full each is, of 1, at the rate both ways."""
        o, per_ns = self.options, self.packets_per_s() / 1e9
        up = self.up_bytes_per_packet("tx") + self.up_bytes_per_packet("rx")
        down = self.down_bytes_per_packet("tx") + self.down_bytes_per_packet("rx")
        tags = 0.0 if o.as_published else _reads_per_packet(o, o.data_bytes, "both") * o.read_ns / o.tags
        return {"up": per_ns * up * 8 / o.tlp_gbit_per_s, "down": per_ns * down * 8 / o.tlp_gbit_per_s,
                "tags": per_ns * tags}  # fmt: skip

    def law(self) -> tuple[float, float]:
        """Conservation: at the rate both ways one resource is full, and none is more than full. Returns both sides."""
        return max(self._used().values()), 1.0

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        return say("packet_dma.sentence", nic=PacketDmaOptions.specs()["nic"].choice_label(o.nic),
                   frame=f"{o.frame_bytes:,} B", link=link_name(o), rate=show(self.gbit_per_s(), "Gb/s"),
                   packets=show(self.packets_per_s(), "packets/s"), tx=number(self.transactions_per_packet("tx")),
                   rx=number(self.transactions_per_packet("rx")), trips=self.round_trips("tx"),
                   bound=words(f"packet_dma.bound.{self.bound}"),
                   tx_time=show(self.latency_ns("tx"), "ns"), rx_time=show(self.latency_ns("rx"), "ns"))  # fmt: skip

    def table(self) -> Table:
        rows = [
            (words(f"packet_dma.way.{way}") if n == 0 else "", t.title,
             " + ".join(f"{c} {k}" for k, c in t.packets.items()), number(t.down_bytes / t.per),
             number(t.up_bytes / t.per), number(t.per),
             words("packet_dma.waits") if t.waits else "")
            for way in ("tx", "rx") for n, t in enumerate(self.of(way))
        ]  # fmt: skip
        return Table.of(words("packet_dma.header"), rows, self.sentence(), numeric=(3, 4, 5))


def packet_dma(options: PacketDmaOptions | None = None, /, **changes: Any) -> PacketDma:
    """The PCIe transactions of one packet. Options as in :class:`PacketDmaOptions`, as one object or by name.

    Golden, Gen3 x8, MPS 256, MRRS 512, both ways, simple, kernel and dpdk: frames of 64 B: 11.58, 15.72, 18.07 Gb/s; of
    1518 B: 45.60, 47.55, 48.31. As published: 12.58, 17.63, 20.65 and 46.17, 48.18, 48.95. Raises ParameterError.
    """
    o = PacketDmaOptions.given(options, changes)
    ring = RINGS[o.nic](o.batch)
    tx, rx = (tuple(t for e in ring.of(way) if (t := _transaction(o, e, way))) for way in ("tx", "rx"))
    return PacketDma(o, tx, rx)


def nic_gbit_per_s(o: PacketDmaOptions, data_bytes: Any, traffic: Traffic = "both") -> Any:
    """Gb/s of data (each way) by a packet's bytes without the checksum: a number, or an array of whole numbers."""
    return 8 * data_bytes * _rate(o, data_bytes, traffic)


def _transaction(o: PacketDmaOptions, entry: Entry, way: Way) -> Transaction | None:
    size = int(_size(entry, o.data_bytes))
    if not size:
        return None  # the push held all of it
    packets = {_MWR: int(_writes(o, entry, size))} if entry.act.endswith("write") else {
        _MRD: int(o.requests(size)), _CPLD: int(o.answers(size))}  # fmt: skip
    up, down = (int(side) for side in _bytes(o, entry, o.data_bytes, way))
    return Transaction(entry.key, entry.act, size, up, down, entry.per, packets, entry.waits)


def _size(entry: Entry, data: Any) -> Any:
    return entry.size + most(data - entry.pushed, 0 * data) if entry.frame else entry.size + 0 * data


def _writes(o: PacketDmaOptions, entry: Entry, size: Any) -> Any:
    return pieces(size, min(entry.chunk or o.mps, o.mps))


def _bytes(o: PacketDmaOptions, entry: Entry, data: Any, way: Way) -> tuple[Any, Any]:
    """Bytes up and down of one transaction."""
    size = _size(entry, data)
    if entry.act.endswith("write"):
        moved = size + o.header_bytes * _writes(o, entry, size)
        return (moved, 0 * data) if entry.act == "card_write" else (0 * data, moved)
    asked, answered = o.request_bytes(size), o.answer_bytes(size)
    if entry.act == "cpu_read":
        return answered, asked
    if o.as_published and way == "rx" and entry.key == "descriptor_read":
        asked = 0 * data  # the next line of the published model overwrites it: "=" for "+="
    return asked, answered


def _ways(traffic: Traffic) -> tuple[Way, ...]:
    return ("tx", "rx") if traffic == "both" else (traffic,)


def _reads_per_packet(o: PacketDmaOptions, data: Any, traffic: Traffic) -> Any:
    """Requests of the card, each of which holds a tag."""
    ring = RINGS[o.nic](o.batch)
    return functools.reduce(
        lambda a, b: a + b,
        (o.requests(_size(e, data)) / e.per for w in _ways(traffic) for e in ring.of(w) if e.act == "card_read"),
    )


def _rate(o: PacketDmaOptions, data: Any, traffic: Traffic) -> Any:
    """Packets per ns."""
    ring, up, down = RINGS[o.nic](o.batch), 0.0 * data, 0.0 * data
    for way in _ways(traffic):
        for entry in ring.of(way):
            ups, downs = _bytes(o, entry, data, way)
            up, down = up + ups / entry.per, down + downs / entry.per
    link = o.tlp_gbit_per_s / (8 * most(up, down))
    if o.as_published:
        return link
    held_ns = _reads_per_packet(o, data, traffic) * o.read_ns
    return least(link, o.tags / most(held_ns, 1e-9))  # a pushed packet may need no read at all
