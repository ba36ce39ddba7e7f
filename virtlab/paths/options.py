"""What a reader may choose about a path (direction, batches, interrupts) and what each step costs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import model_validator

from virtlab.core.parameter import parameter
from virtlab.evidence import FACTS
from virtlab.paths.route import Driven
from virtlab.paths.steps import Per, Step

_ZERO_COPY_FROM_BYTES = FACTS["vhost.goodcopy"].value


class PathOptions(Driven):
    """How a path is driven. The defaults are the bare protocol: no batching, nothing suppressed.

    A batch of ``None`` follows its sibling: ``refill_batch`` follows ``kick_batch`` and ``completion_batch``
    follows ``interrupt_batch``.
    """

    direction: Literal["tx", "rx"] = parameter(FACTS["path.direction"], default="tx")
    frame_bytes: int = parameter(FACTS["ethernet.frame.typical"], ge=64, le=65_550, log=True)
    kick_batch: int = parameter(FACTS["virtio.batch.none"], ge=1, le=64, log=True)
    refill_batch: int | None = parameter(FACTS["virtio.batch.follow"], ge=1, le=64, follows="kick_batch")
    interrupt_batch: int = parameter(FACTS["virtio.batch.none"], ge=1, le=64, log=True)
    completion_batch: int | None = parameter(FACTS["virtio.batch.follow"], ge=1, le=64, follows="interrupt_batch")
    refill_kicks: bool = parameter(FACTS["virtio.suppression.off"], default=True)
    completion_interrupts: bool = parameter(FACTS["virtio.suppression.off"], default=True)
    apicv: bool = parameter(FACTS["kvm.apicv.default"], default=True)
    posted: bool = parameter(FACTS["kvm.posted.default"], default=False)
    pv_eoi: bool = parameter(FACTS["kvm.pv_eoi.default"], default=False)
    irq_on_vcpu_cpu: bool = parameter(FACTS["vfio.irq.placement"], default=False)
    guest_poll: bool = parameter(FACTS["guest.poll.default"], default=False)
    guest_halts: bool = parameter(FACTS["guest.halts.default"], default=False)
    busy_poll: bool = parameter(FACTS["vhost.busyloop.default"], default=False)
    zero_copy: bool = parameter(FACTS["vhost.zcopytx.default"], default=False)
    guest_zero_copy: bool = parameter(FACTS["guest.zerocopy.default"], default=False)
    doorbell_mapped: bool = parameter(FACTS["vdpa.doorbell.default"], default=True)

    @model_validator(mode="after")
    def _hardware_exists(self) -> PathOptions:
        if self.posted and not self.apicv:
            raise ValueError(
                "posted must be False when apicv is False: VT-d posts an interrupt into the virtual APIC, "
                "which is APICv."
            )
        return self

    @property
    def unit_bytes(self) -> int:
        return self.frame_bytes

    @property
    def way(self) -> str:
        return self.direction

    def batch(self, per: Per) -> int:
        if per == "packet":
            return 1
        own = getattr(self, f"{per}_batch")
        follows = type(self).specs()[f"{per}_batch"].follows if own is None else ""
        return int(getattr(self, follows) if own is None else own)

    def value(self, name: str) -> object:
        if name == "zero_copy":  # not worth it for a short packet
            return self.zero_copy and self.frame_bytes >= _ZERO_COPY_FROM_BYTES
        return super().value(name)

    def allows(self, step: Step) -> bool:
        return (step.per != "completion" or self.completion_interrupts) and super().allows(step)


#: Two ways to run the same path: nothing suppressed and a guest that sleeps, or every batch and help there is.
TUNING: Mapping[str, PathOptions] = MappingProxyType(
    {
        "untuned": PathOptions(apicv=False, guest_halts=True),
        "tuned": PathOptions(
            kick_batch=32, interrupt_batch=32, apicv=True, posted=True, completion_interrupts=False, refill_kicks=False
        ),
    }
)
