"""Notebook 11: what is true, from PCIe, its packets and the IOMMU of ``virtlab.offload``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from virtlab.core.parameter import ParameterError
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.evidence import FACTS
from virtlab.lessons.mistakes import Truth
from virtlab.offload import iommu, packet_dma
from virtlab.paths import line_rate

# --- predictions ----------------------------------------------------------------------------------------------------


def _iommu() -> dict[str, float]:
    """What arrives in the four settings, Gb/s."""
    settings: dict[str, dict[str, Any]] = {
        "off": {"iommu_mode": "off"}, "huge": {"iommu_mode": "static", "io_page": "2M"},
        "small": {"iommu_mode": "static"}, "strict": {"iommu_mode": "strict"},
    }  # fmt: skip
    return {key: iommu(**setting).rate_gbit_per_s for key, setting in settings.items()}


PREDICTIONS: dict[str, Callable[[], Any]] = {
    "11.small": lambda: packet_dma().gbit_per_s(),
    "11.transactions": lambda: packet_dma().transactions_per_packet("rx"),
    "11.iommu": _iommu,
}

# --- numbers --------------------------------------------------------------------------------------------------------

_HEADER, _MRRS = 24, 512


def frame(data: int, mps: int, tlp: int) -> Truth:
    packets, requests = -(-data // mps), -(-data // _MRRS)
    alone = tlp * data / (data + _HEADER * packets)
    return Truth(
        (float(packets), alone, tlp * data / (data + _HEADER * (packets + requests))),
        {
            "down": (float(data // mps), None, None),
            "one_header": (1.0, tlp * data / (data + _HEADER), None),
            "half": (None, None, alone / 2),
            "no_requests": (None, None, alone),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"11.frame": frame}

# --- designs --------------------------------------------------------------------------------------------------------

_CHOICES = ("pcie_generation", "lanes", "mps", "nic", "ring_batch")
_FRAME_BYTES, _PORT_GBIT_PER_S, _ADDED_NS, _MOST_NS, _MOST_LANES = 128, 50.0, 300.0, 2_500.0, 128


def small_frames(answer: Any) -> tuple[str, dict[str, str]]:
    """A card that fills its port with small frames, through an IOMMU, and sends a lone packet soon enough."""
    if not isinstance(answer, Mapping) or not answer:
        return "mapping", {}
    if unknown := sorted(str(key) for key in answer if key not in _CHOICES):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(_CHOICES)}
    try:
        found = packet_dma(**{"frame_bytes": _FRAME_BYTES, "added_ns": _ADDED_NS, **answer})
    except (ParameterError, TypeError) as error:
        return "options", {"error": str(error)[:300]}
    o = found.options
    lane = FACTS[f"pcie.gen{o.pcie_generation}.lane"].value
    needed = line_rate(_PORT_GBIT_PER_S, _FRAME_BYTES) * 8 * o.data_bytes / 1e9
    values = {"lanes": number(o.lanes), "lane": number(lane), "product": number(o.lanes * lane, 4),
              "rate": show(found.gbit_per_s(), "Gb/s"), "needed": show(needed, "Gb/s"),
              "bound": str(words(f"packet_dma.bound.{found.bound}")), "time": show(found.latency_ns("tx"), "ns"),
              "trips": number(found.round_trips("tx"))}  # fmt: skip
    if o.lanes * lane > _MOST_LANES:
        return "lanes", values
    if found.latency_ns("tx") > _MOST_NS:
        return "time", values
    if found.gbit_per_s() < needed:
        return "rate", values
    return "right", values


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"11.design": small_frames}

# --- mistakes to find -----------------------------------------------------------------------------------------------


def up_bytes(data: int, mps: int, header: int) -> int:
    return header + data + header * -(-data // mps) + 16 + header + 4 + header


REFERENCES: dict[str, Callable[..., Any]] = {"11.debug": up_bytes}
