"""The parameters of a card's link that virtual functions share: one small tenant beside greedy ones."""

from __future__ import annotations

from typing import Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.evidence import FACTS

SliceScheduler = Literal["fifo", "rr", "drr", "sfq", "bucket"]
SCHEDULERS: tuple[SliceScheduler, ...] = ("fifo", "rr", "drr", "sfq", "bucket")


class SliceOptions(Parameters):
    """The first VF is small, all others are greedy. The second one has a weight and a frame size of its own.

    Rates count what a frame takes on the wire, preamble and gap included. `cap_gbit_per_s` is each greedy VF's maximum.
    With the scheduler "bucket" each VF has a token bucket with its part of the link, by weight, and no other scheduler.
    """

    small_gbit_per_s: float = parameter(FACTS["slice.small.demand"], ge=0.1, le=800, log=True)
    slice_vfs: int = parameter(FACTS["slice.vfs"], ge=2, le=32)
    vf_weight: int = parameter(FACTS["slice.weight"], ge=1, le=16)
    slice_scheduler: SliceScheduler = parameter(FACTS["slice.scheduler"], default="drr")
    greedy_gbit_per_s: float = parameter(FACTS["slice.greedy.demand"], ge=0.1, le=800, log=True)
    cap_gbit_per_s: float = parameter(FACTS["slice.cap"], ge=0.1, le=800, log=True)
    small_frame_bytes: int = parameter(FACTS["slice.small.frame"], ge=64, le=9018, log=True)
    heavy_frame_bytes: int = parameter(FACTS["ethernet.frame.typical"], ge=64, le=9018, log=True)
    greedy_frame_bytes: int = parameter(FACTS["ethernet.frame.jumbo"], ge=64, le=9018, log=True)
    quantum_bytes: int = parameter(FACTS["slice.quantum"], ge=1_000, le=65_536, log=True)
    bucket_bytes: int = parameter(FACTS["slice.bucket"], ge=16_384, le=4_194_304, log=True)
    link_gbit_per_s: float = parameter(FACTS["link.rate"], ge=1, le=800)
    slice_seed: int = parameter(FACTS["slice.seed"], ge=0, le=10_000)

    @property
    def demands(self) -> tuple[float, ...]:
        """What each VF would send, Gb/s; what a cap forbids is not asked for."""
        return (self.small_gbit_per_s, *[min(self.greedy_gbit_per_s, self.cap_gbit_per_s)] * (self.slice_vfs - 1))

    @property
    def weights(self) -> tuple[int, ...]:
        return (1, self.vf_weight, *[1] * (self.slice_vfs - 2))

    @property
    def frame_bytes(self) -> tuple[int, ...]:
        return (self.small_frame_bytes, self.heavy_frame_bytes, *[self.greedy_frame_bytes] * (self.slice_vfs - 2))

    @property
    def wire_bytes(self) -> tuple[int, ...]:
        """What a frame of each VF takes on the link."""
        return tuple(frame + int(FACTS["ethernet.gap"].value) for frame in self.frame_bytes)

    @property
    def parts(self) -> tuple[float, ...]:
        """Each VF's part of the link by its weight, Gb/s: what a fixed partition would give it."""
        total = sum(self.weights)
        return tuple(self.link_gbit_per_s * weight / total for weight in self.weights)
