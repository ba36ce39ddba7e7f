"""PCIe by arithmetic: what a link carries once lanes, encoding, link-layer packets and headers have had their part.

A link has one set of lanes for each direction: *up* is from the card to the host, *down* from the host to the card.
A write is one packet with header and data (MWr). A read is a request (MRd) one way and completions with the data (CplD)
the other way. MPS is the most data in a packet, MRRS the most that one request asks for.

After Neugebauer and others (SIGCOMM 2018). Their published model reads the limit for acknowledgements, which is in
symbol times, as bytes of the whole link; measured rates lie between that and what the specification asks (``dllp``).
Left out: unaligned addresses, the card's and the host's own limits, retries, and ECRC. Gen6 and Gen7 are class R.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.offload.window import window_gbit_per_s

Generation = Literal[1, 2, 3, 4, 5, 6, 7]
Lanes = Literal[1, 2, 4, 8, 16]
Size = Literal[128, 256, 512, 1024, 2048, 4096]
Completions = Literal["mps", "rcb"]
LinkLayer = Literal["published", "spec"]

_FLITS = 6  # the first generation that sends flits
_ENCODING = {1: 8 / 10, 2: 8 / 10, 3: 128 / 130, 4: 128 / 130, 5: 128 / 130}
# The factor of the limit in the base specification, by lanes: for payloads of at most 256 B, and for larger ones.
_ACK_FACTOR = {1: (1.4, 1.0), 2: (1.4, 1.0), 4: (1.4, 1.0), 8: (2.5, 1.0), 16: (3.0, 2.0)}


class PcieOptions(Parameters):
    """A link and its settings, and how long a read takes.

    ``tags`` is how many read requests may be on their way, each for ``dma_ns`` and what translation adds to it.
    """

    pcie_generation: Generation = parameter(FACTS["pcie.generation"], default=3)
    lanes: Lanes = parameter(FACTS["pcie.lanes"], default=8)
    mps: Size = parameter(FACTS["pcie.mps"], default=256)
    mrrs: Size = parameter(FACTS["pcie.mrrs"], default=512)
    completions: Completions = parameter(FACTS["pcie.completions"], default="mps")
    dllp: LinkLayer = parameter(FACTS["pcie.dllp.reading"], default="published")
    tags: int = parameter(FACTS["pcie.tags"], ge=1, le=1024, log=True)
    dma_ns: float = parameter(FACTS["pcie.dma"], ge=100, le=10_000)
    added_ns: float = parameter(FACTS["dma.window.added"], ge=0, le=100_000)
    doorbell_ns: float = parameter(FACTS["pcie.doorbell"], ge=10, le=5_000)

    @property
    def flits(self) -> bool:
        """Whether the link sends flits (Gen6 and later), which need no framing and no packets of the link layer."""
        return self.pcie_generation >= _FLITS

    @property
    def physical_gbit_per_s(self) -> float:
        """What the lanes of one direction carry after their encoding: Gen3 x8: 63.02 Gb/s."""
        raw = self.lanes * FACTS[f"pcie.gen{self.pcie_generation}.lane"].value
        return raw if self.flits else raw * _ENCODING[self.pcie_generation]

    @property
    def link_layer_share(self) -> float:
        """The part of it that acknowledgements, credits and clock compensation take (or a flit's own bytes)."""
        if self.flits:
            return 1 - FACTS["pcie.flit.tlp"].value / FACTS["pcie.flit"].value
        skip = FACTS["pcie.skip"].value / FACTS["pcie.skip.every"].value
        apart = self.acknowledged_every * (self.lanes if self.dllp == "spec" else 1)
        return 2 * FACTS["pcie.dllp"].value / apart + skip

    @property
    def acknowledged_every(self) -> int:
        """Symbol times after which an acknowledgement, and an update of credits, is due: Gen3 x8, MPS 256: 203."""
        factor = _ACK_FACTOR[self.lanes][self.mps > 256]
        delay = FACTS[f"pcie.ack.delay.gen{min(self.pcie_generation, 3)}"].value
        return int((self.mps + FACTS["pcie.ack.overhead"].value) * factor / self.lanes + delay)

    @property
    def tlp_gbit_per_s(self) -> float:
        """What is left for packets with their headers, each direction: Gen3 x8, MPS 256: 57.88 Gb/s."""
        return self.physical_gbit_per_s * (1 - self.link_layer_share)

    @property
    def header_bytes(self) -> int:
        """Header and framing of a write or of a read request."""
        return int(FACTS["pcie.flit.header" if self.flits else "pcie.tlp.header"].value)

    @property
    def completion_header_bytes(self) -> int:
        """Header and framing of a completion."""
        return int(FACTS["pcie.flit.completion" if self.flits else "pcie.tlp.completion"].value)

    @property
    def read_ns(self) -> float:
        """From a card's read request to its data, translation included."""
        return self.dma_ns + self.added_ns

    # Sizes in bytes, as numbers or as arrays of whole numbers.

    def writes(self, size: Any) -> Any:
        """Packets (MWr) of one write."""
        return pieces(size, self.mps)

    def requests(self, size: Any) -> Any:
        """Packets (MRd) that ask for one read."""
        return pieces(size, self.mrrs)

    def answers(self, size: Any) -> Any:
        """Packets (CplD) that bring its data; none crosses the end of a request."""
        most = self.mps if self.completions == "mps" else int(FACTS["pcie.rcb"].value)
        return pieces(size, min(most, self.mrrs))

    def write_bytes(self, size: Any) -> Any:
        """Bytes of one write on the lanes that it takes."""
        return size + self.header_bytes * self.writes(size)

    def request_bytes(self, size: Any) -> Any:
        """Bytes of the requests of one read."""
        return self.header_bytes * self.requests(size)

    def answer_bytes(self, size: Any) -> Any:
        """Bytes of its completions, the other way."""
        return size + self.completion_header_bytes * self.answers(size)


class TransferOptions(PcieOptions):
    """The same, and the bytes of one transfer."""

    transfer_bytes: int = parameter(FACTS["pcie.transfer"], ge=1, le=65_536, log=True)


@dataclass(frozen=True, repr=False)
class Pcie(Shown):
    """What the link carries of transfers of one size, one after the other, in Gb/s of data."""

    options: TransferOptions
    write_gbit_per_s: float
    read_gbit_per_s: float
    both_gbit_per_s: float

    @property
    def read_bound(self) -> str:
        """What holds reads down: ``link``, or ``tags`` (too few requests may be on their way)."""
        o = self.options
        return "tags" if tags_gbit_per_s(o, o.transfer_bytes) < _link_read(o, o.transfer_bytes) else "link"

    def law(self) -> tuple[float, float]:
        """Conservation: data and headers of back-to-back writes fill the rate for packets. Returns both sides."""
        o = self.options
        return self.write_gbit_per_s * o.write_bytes(o.transfer_bytes) / o.transfer_bytes, o.tlp_gbit_per_s

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        return say(f"pcie.sentence.{self.read_bound}", link=link_name(o), size=f"{o.transfer_bytes:,} B",
                   physical=show(o.physical_gbit_per_s, "Gb/s"), tlp=show(o.tlp_gbit_per_s, "Gb/s"),
                   write=show(self.write_gbit_per_s, "Gb/s"), read=show(self.read_gbit_per_s, "Gb/s"),
                   tags=o.tags, latency=show(o.read_ns, "ns"))  # fmt: skip

    def table(self) -> Table:
        o, size = self.options, self.options.transfer_bytes
        rows = [
            (words("pcie.row.physical"), show(o.physical_gbit_per_s, "Gb/s", 4), ""),
            (words("pcie.row.tlp"), show(o.tlp_gbit_per_s, "Gb/s", 4), ""),
            (words("pcie.row.write"), show(self.write_gbit_per_s, "Gb/s", 4),
             say("pcie.packets.write", n=o.writes(size))),
            (words("pcie.row.read"), show(self.read_gbit_per_s, "Gb/s", 4),
             say("pcie.packets.read", requests=o.requests(size), answers=o.answers(size))),
            (words("pcie.row.both"), show(self.both_gbit_per_s, "Gb/s", 4), ""),
        ]  # fmt: skip
        return Table.of(words("pcie.header"), rows, self.sentence(), numeric=[1])


def pcie(options: TransferOptions | None = None, /, **changes: Any) -> Pcie:
    """What a PCIe link carries. Options as in :class:`TransferOptions`, as one object or by name.

    Golden, Gen3 x8 with MPS 256 and MRRS 512: 60 B: 41.35 Gb/s written, 43.41 read; 1510 B: 52.86 and 53.63.
    Raises ParameterError.
    """
    o = TransferOptions.given(options, changes)
    size = o.transfer_bytes
    return Pcie(o, float(write_gbit_per_s(o, size)), float(read_gbit_per_s(o, size)), float(both_gbit_per_s(o, size)))


def write_gbit_per_s(o: PcieOptions, size: Any) -> Any:
    """Gb/s of data in writes of ``size`` bytes, back to back, by the card or by the CPU."""
    return size * o.tlp_gbit_per_s / o.write_bytes(size)


def read_gbit_per_s(o: PcieOptions, size: Any) -> Any:
    """Gb/s of data in reads of ``size`` bytes: as completions, requests or tags allow, whichever is least."""
    return least(_link_read(o, size), tags_gbit_per_s(o, size))


def both_gbit_per_s(o: PcieOptions, size: Any) -> Any:
    """Gb/s of data each way, where the card reads and writes at the same time: requests go up beside the writes."""
    up, down = o.write_bytes(size) + o.request_bytes(size), o.answer_bytes(size)
    return least(size * o.tlp_gbit_per_s / most(up, down), tags_gbit_per_s(o, size))


def tags_gbit_per_s(o: PcieOptions, size: Any) -> Any:
    """Gb/s of data that the tags allow: Little's law of read requests, each of which asks for MRRS at most."""
    return window_gbit_per_s(o.tags * size / o.requests(size), o.read_ns)


def _link_read(o: PcieOptions, size: Any) -> Any:
    return size * o.tlp_gbit_per_s / most(o.answer_bytes(size), o.request_bytes(size))


def link_name(o: PcieOptions) -> str:
    """The link in two words: Gen3 x8."""
    return say("pcie.link", generation=o.pcie_generation, lanes=o.lanes)


def pieces(size: Any, most_bytes: int) -> Any:
    """How many packets of at most ``most_bytes`` hold ``size`` bytes."""
    return -(-size // most_bytes)


def most(a: Any, b: Any) -> Any:
    """The larger of two numbers or arrays."""
    return a * (a >= b) + b * (b > a)


def least(a: Any, b: Any) -> Any:
    """The smaller of two numbers or arrays."""
    return a * (a <= b) + b * (b < a)
