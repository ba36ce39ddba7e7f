"""The PCIe lab: what a link carries by frame size, beside the Ethernet port, and what "one DMA" of a packet is."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import show
from virtlab.core.words import say
from virtlab.evidence import FACTS
from virtlab.figures.pcie import FRAMES, PciePicture, PcieResult
from virtlab.labs.base import Lab
from virtlab.offload import PacketDmaOptions, nic_gbit_per_s, packet_dma
from virtlab.offload.pcie import Generation, Lanes, Size, both_gbit_per_s, read_gbit_per_s, write_gbit_per_s
from virtlab.offload.rings import PUBLISHED, RINGS, Nic
from virtlab.paths import line_rate

_DATA = FRAMES - int(FACTS["ethernet.fcs"].value)
_MODEL_LINK = PacketDmaOptions()  # that of the published figures


class PcieSetting(Parameters):
    """The link, the frame and the NIC; under more the settings of the link, the Ethernet port and what reads take."""

    pcie_generation: Generation = same(PacketDmaOptions, "pcie_generation")
    lanes: Lanes = same(PacketDmaOptions, "lanes")
    frame_bytes: int = same(PacketDmaOptions, "frame_bytes", le=1_518)
    nic: Nic = same(PacketDmaOptions, "nic")
    mps: Size = same(PacketDmaOptions, "mps")
    mrrs: Size = same(PacketDmaOptions, "mrrs")
    link_gbit_per_s: float = parameter(FACTS["pcie.lab.link"], ge=1, le=800, log=True)
    ring_batch: int = same(PacketDmaOptions, "ring_batch")
    tags: int = same(PacketDmaOptions, "tags")
    added_ns: float = same(PacketDmaOptions, "added_ns", le=4_000, step=50)
    as_published: bool = same(PacketDmaOptions, "as_published")

    @property
    def options(self) -> PacketDmaOptions:
        """What the model is asked: all but the Ethernet port."""
        values = self.model_dump()
        del values["link_gbit_per_s"]
        return PacketDmaOptions(**values)


@functools.lru_cache(maxsize=64)
def _wire(link_gbit_per_s: float) -> NDArray[np.float64]:
    """Gb/s of frames without checksum that the port brings, by frame."""
    return np.array([line_rate(link_gbit_per_s, int(f)) * 8 * (f - 4) / 1e9 for f in FRAMES])


@functools.lru_cache(maxsize=64)
def _nics(options: PacketDmaOptions) -> dict[str, NDArray[np.float64]]:
    """The curve of each NIC on one link; ``options`` has the smallest frame, which does not matter."""
    return {nic: nic_gbit_per_s(options.replace(nic=nic), _DATA) for nic in RINGS}


def _published(options: PacketDmaOptions) -> tuple[tuple[float, float], ...]:
    """Published points (frame, Gb/s) on this link: data transfers of the slides, and this NIC's as the model prints."""
    link = ("pcie_generation", "lanes", "mps", "mrrs")
    if any(getattr(options, name) != getattr(_MODEL_LINK, name) for name in link):
        return ()
    data = FACTS["pcie.m52.data"]
    points = [(64.0, data.low), (1518.0, data.high)]
    if options.nic in PUBLISHED:
        points += [(64.0, FACTS[f"pcie.model.{options.nic}.64"].value),
                   (1518.0, FACTS[f"pcie.model.{options.nic}.1514"].value)]  # fmt: skip
    return tuple(points)


class PcieLab(Lab):
    """Throughput of PCIe by frame size, for writes, reads and NICs, and the transactions of one packet."""

    Setting = PcieSetting
    Picture = PciePicture
    visible = ("pcie_generation", "lanes", "frame_bytes", "nic")

    def solve(self, setting: PcieSetting) -> PcieResult:
        options = setting.options
        nics = _nics(options.replace(frame_bytes=64, nic="simple"))
        curves = {
            "nic": nics[setting.nic], "write": write_gbit_per_s(options, _DATA),
            "read": read_gbit_per_s(options, _DATA), "both": both_gbit_per_s(options, _DATA),
            "wire": _wire(setting.link_gbit_per_s),
        }  # fmt: skip
        others = {nic: curve for nic, curve in nics.items() if nic != setting.nic}
        wire = line_rate(setting.link_gbit_per_s, setting.frame_bytes) * 8 * options.data_bytes / 1e9
        return PcieResult(packet_dma(options), curves, others, wire, setting.link_gbit_per_s, _published(options))

    def sentence(self, setting: PcieSetting, result: PcieResult) -> str:
        # The curve is a saw: what counts is the frame from which on it never falls short again.
        short = FRAMES[result.curves["nic"] < result.curves["wire"]]
        key = "always" if not len(short) else "never" if short[-1] == FRAMES[-1] else "from"
        from_bytes = f"{int(short[-1]) + 1:,} B" if key == "from" else ""
        port = say(f"pcie_lab.port.{key}", link=show(setting.link_gbit_per_s, "Gb/s"), frame=from_bytes,
                   share=show(result.line_share, "share"))  # fmt: skip
        slip = " " + say("pcie_lab.slip") if setting.as_published else ""
        return f"{result.packet.sentence()} {port}{slip}"
