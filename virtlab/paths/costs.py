"""What each step costs, in named sets: one CPU or one source each, never averaged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from pydantic import model_validator

from virtlab.core.parameter import Parameters, parameter
from virtlab.evidence import FACTS
from virtlab.paths.steps import PerByte

_ETHERNET_GAP_BYTES = FACTS["ethernet.gap"].value
_MTU_FRAME_BYTES = FACTS["ethernet.frame.max"].value
_SHALLOWEST_IDLE_EXIT_NS = FACTS["cpu.idle_exit"].value
_TLP_HEADER_BYTES = FACTS["pcie.tlp.header"].value
_TLP_PAYLOAD_BYTES = FACTS["pcie.mps"].value


class Costs(Parameters):
    """Costs of the steps of a path, in ns, cycles or bytes per second as the names say.

    The exit costs of the default set are one pair measured on one machine (PIO kick to ioeventfd and to QEMU).
    """

    clock_ghz: float = parameter(FACTS["cpu.clock"], ge=1, le=6)
    exit_kernel_cycles: float = parameter(FACTS["exit.m01.pio.ioeventfd"], ge=300, le=20_000)
    exit_user_cycles: float = parameter(FACTS["exit.m01.pio.qemu"], ge=1_000, le=100_000)
    mitigations: bool = parameter(FACTS["cpu.mitigations.default"], default=False)
    mitigation_ns: float = parameter(FACTS["cpu.mitigations.cost"], ge=0, le=5_000)
    syscall_ns: float = parameter(FACTS["host.syscall"], ge=20, le=5_000)
    context_switch_ns: float = parameter(FACTS["host.context_switch"], ge=100, le=50_000)
    wakeup_ns: float = parameter(FACTS["host.wakeup"], ge=500, le=200_000)
    idle_exit_ns: float = parameter(FACTS["cpu.idle_exit"], ge=0, le=1_000_000)
    host_irq_ns: float = parameter(FACTS["host.irq"], ge=0, le=50_000)
    notification_ipi_ns: float = parameter(FACTS["kvm.notification_ipi"], ge=0, le=10_000)
    copy_gbyte_per_s: float = parameter(FACTS["host.copy"], ge=0.5, le=200)
    guest_stack_ns: float = parameter(FACTS["guest.stack"], ge=50, le=50_000)
    guest_irq_ns: float = parameter(FACTS["guest.irq"], ge=0, le=50_000)
    descriptor_ns: float = parameter(FACTS["virtio.descriptor"], ge=0, le=5_000)
    qemu_packet_ns: float = parameter(FACTS["qemu.packet"], ge=50, le=50_000)
    vhost_packet_ns: float = parameter(FACTS["vhost.m35.after.packet"], ge=20, le=20_000)
    poller_packet_ns: float = parameter(FACTS["poller.packet"], ge=10, le=5_000)
    host_stack_ns: float = parameter(FACTS["host.stack"], ge=20, le=50_000)
    doorbell_ns: float = parameter(FACTS["pcie.doorbell"], ge=10, le=5_000)
    dma_ns: float = parameter(FACTS["pcie.dma"], ge=100, le=10_000)
    card_packet_ns: float = parameter(FACTS["card.packet"], ge=1, le=5_000)
    card_pipeline_ns: float = parameter(FACTS["card.pipeline"], ge=0, le=100_000)
    pcie_gbit_per_s: float = parameter(FACTS["pcie.gen4x16"], ge=2, le=2_000)
    link_gbit_per_s: float = parameter(FACTS["link.rate"], ge=1, le=800)

    @model_validator(mode="after")
    def _user_space_is_farther(self) -> Costs:
        if self.exit_user_cycles < self.exit_kernel_cycles:
            raise ValueError(
                f"exit_user_cycles must be at least exit_kernel_cycles ({self.exit_kernel_cycles:g} cycles); you gave "
                f"{self.exit_user_cycles:g}: an exit to QEMU passes through KVM first."
            )
        return self

    def ns(self, name: str) -> float:
        """The cost called ``name`` in ns: a parameter that ends in ``_ns``, or one derived from cycles."""
        barrier = self.mitigation_ns if self.mitigations else 0.0
        if name == "exit_kernel":
            return self.exit_kernel_cycles / self.clock_ghz + barrier
        if name == "exit_user_extra":
            return (self.exit_user_cycles - self.exit_kernel_cycles) / self.clock_ghz + barrier
        if name == "syscall":
            return self.syscall_ns + barrier
        if name == "wakeup_rest":  # the trip through the scheduler, beyond the switch itself
            return max(0.0, self.wakeup_ns - self.context_switch_ns)
        if name == "idle_exit":  # the trip through the scheduler was measured with the shallowest idle state in it
            return max(0.0, self.idle_exit_ns - _SHALLOWEST_IDLE_EXIT_NS)
        return float(getattr(self, f"{name}_ns"))

    def bytes_ns(self, kind: PerByte, frame_bytes: int) -> float:
        """The time in ns that the bytes of one frame take: copied by a CPU, on the wire, or over PCIe.

        Above the MTU a frame is a segment that the card cuts into MTU frames (TSO): the wire carries their gaps too.
        """
        if kind == "copy":
            return frame_bytes / self.copy_gbyte_per_s
        if kind == "wire":
            frames = math.ceil(frame_bytes / _MTU_FRAME_BYTES)
            return 8 * (frame_bytes + frames * _ETHERNET_GAP_BYTES) / self.link_gbit_per_s
        if kind == "pcie":
            headers = math.ceil(frame_bytes / _TLP_PAYLOAD_BYTES) * _TLP_HEADER_BYTES
            return 8 * (frame_bytes + headers) / self.pcie_gbit_per_s
        return 0.0


#: Named sets of exit costs: the pair that one source measured on one machine.
COST_SETS: Mapping[str, Costs] = MappingProxyType(
    {
        "qemu-2012": Costs(),
        # A kick by MMIO that KVM must decode, as on AMD; Intel's fast MMIO costs about as much as the PIO kick above.
        "qemu-2012-mmio": Costs(
            exit_kernel_cycles=FACTS["exit.m01.mmio.ioeventfd"].value,
            exit_user_cycles=FACTS["exit.m01.mmio.qemu"].value,
        ),
        "amd-2020-floor": Costs(
            exit_kernel_cycles=FACTS["exit.m03.kernel"].value, exit_user_cycles=FACTS["exit.m03.user"].value
        ),
    }
)
