"""A buffer's life with an IOMMU, step by step: mapped, used, unmapped, given away, and used once more by the card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.offload.domains import Domains, Fault
from virtlab.offload.iommu import IommuOptions

_CARD, _DOMAIN = "card", "driver"
_IOVA, _FRAME, _OTHERS = 0x7F00_0000, 0x0123_4000, 0x4000_0000
_MAPPED_NS, _USED_NS = 1_000.0, 10_000.0  # after the beginning: when the card first writes, when the driver unmaps


class UnmapOptions(Parameters):
    """How the driver unmaps, when the card writes again, and how many other buffers are unmapped in the meantime."""

    iommu_mode: Literal["off", "lazy", "strict"] = parameter(FACTS["iommu.mode"], default="lazy")
    again_us: float = parameter(FACTS["iommu.story.again"], ge=0.1, le=100_000, log=True)
    other_unmaps: int = parameter(FACTS["iommu.story.others"], ge=0, le=10_000)
    flush_entries: int = same(IommuOptions, "flush_entries")
    flush_ms: float = same(IommuOptions, "flush_ms")


@dataclass(frozen=True)
class Step:
    """What happened at ``ns``. ``reached`` is the frame that a DMA reached; ``fault`` says that it was refused."""

    ns: float
    key: str
    reached: int | None = None
    fault: str = ""

    @property
    def text(self) -> str:
        """For a reader: who did what."""
        return str(words(f"unmap_story.step.{self.key}"))

    @property
    def outcome(self) -> str:
        """What came of it."""
        if self.fault:
            return say("unmap_story.fault", reason=words(f"domains.short.{self.fault}"))
        return "" if self.reached is None else say("unmap_story.reached", frame=f"{self.reached:#x}")


@dataclass(frozen=True, repr=False)
class UnmapStory(Shown):
    """``stale``: the card's second write reached a frame that belonged to somebody else by then."""

    options: UnmapOptions
    steps: tuple[Step, ...]
    stale: bool
    window_ns: float

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        key = "stale" if self.stale else "safe"
        if self.options.iommu_mode != "lazy":
            key = self.options.iommu_mode
        return say(f"unmap_story.{key}", mode=self.options.specs()["iommu_mode"].show(self.options.iommu_mode),
                   again=show(self.options.again_us, "us"), window=show(self.window_ns, "ns"))  # fmt: skip

    def table(self) -> Table:
        rows = [(show(step.ns, "ns"), step.text, step.outcome) for step in self.steps]
        return Table.of(words("unmap_story.header"), rows, self.sentence(), numeric=[0])


def unmap_story(options: UnmapOptions | None = None, /, **changes: Any) -> UnmapStory:
    """Plays one buffer's life. Options as in :class:`UnmapOptions`, as one object or by name.

    The card that writes again may be faulty, hostile, or late: the driver believed that it was done. ``window_ns`` is
    how long after the unmap the frame can still be reached: 0 with strict, without end with ``off``. The other unmaps
    come evenly in the time until the card writes again. Golden: lazily, at 1 ms and with no others, the write arrives
    in what is somebody else's page; at 10 ms it is a fault. Raises ParameterError.
    """
    o = UnmapOptions.given(options, changes)
    iommu = Domains(strict=o.iommu_mode == "strict", flush_entries=o.flush_entries, flush_ns=o.flush_ms * 1e6)
    iommu.attach(_CARD, _DOMAIN)
    iommu.map(_DOMAIN, _IOVA, _FRAME)
    steps = [Step(0.0, "map")]
    iommu.wait(_MAPPED_NS)
    steps.append(_write(o, iommu, "write"))
    iommu.wait(_USED_NS - _MAPPED_NS)
    before = iommu.invalidations
    iommu.unmap(_DOMAIN, _IOVA)
    # Closed form of when the flush comes, for the reader; whether it came is what the IOMMU itself says below.
    steps += [Step(_USED_NS, "unmap_strict" if o.iommu_mode == "strict" else f"unmap_{o.iommu_mode}"),
              Step(_USED_NS, "reuse")]  # fmt: skip
    flushed_ns = _USED_NS if iommu.invalidations > before else None
    gap_ns = o.again_us * 1e3 / (o.other_unmaps + 1)
    for n in range(o.other_unmaps):
        iommu.map(_DOMAIN, _OTHERS + n * 4096, _OTHERS + n * 4096)
        flushed_ns = _pass(iommu, gap_ns, flushed_ns)
        count = iommu.invalidations
        iommu.unmap(_DOMAIN, _OTHERS + n * 4096)
        if flushed_ns is None and iommu.invalidations > count:
            flushed_ns = iommu.now_ns
    flushed_ns = _pass(iommu, gap_ns, flushed_ns)
    if o.iommu_mode == "lazy" and flushed_ns is not None:
        steps.append(Step(flushed_ns, "flush"))
    again = _write(o, iommu, "again")
    steps.append(again)
    if o.iommu_mode == "lazy" and flushed_ns is None:
        flushed_ns = _pass(iommu, _USED_NS + o.flush_ms * 1e6 - iommu.now_ns, None)
        assert flushed_ns is not None
        steps += [Step(flushed_ns, "flush"), _write(o, iommu, "last")]
    window = float("inf") if flushed_ns is None else flushed_ns - _USED_NS
    return UnmapStory(o, tuple(steps), again.reached is not None, window if o.iommu_mode == "lazy" else
                      0.0 if o.iommu_mode == "strict" else float("inf"))  # fmt: skip


def _pass(iommu: Domains, ns: float, flushed_ns: float | None) -> float | None:
    """Lets time pass; returns when the first flush came, where it has come."""
    count, timer = iommu.invalidations, iommu.flush_at_ns
    iommu.wait(max(ns, 0.0))
    return timer if flushed_ns is None and iommu.invalidations > count else flushed_ns


def _write(o: UnmapOptions, iommu: Domains, key: str) -> Step:
    if o.iommu_mode == "off":
        return Step(iommu.now_ns, key, reached=_FRAME)
    found = iommu.dma(_CARD, _IOVA, write=True)
    if isinstance(found, Fault):
        return Step(iommu.now_ns, key, fault=found.reason)
    return Step(iommu.now_ns, key, reached=found)
