"""Why a vCPU exits, and who may handle it: nobody, KVM's fast path, KVM, or user space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from virtlab.core.parameter import ParameterError, unknown
from virtlab.core.words import say, words

Route = Literal["eliminated", "fastpath", "kernel", "userspace"]
Vendor = Literal["intel", "amd"]
#: From nothing to everything: a reason that moves to the left never costs more.
ROUTES: tuple[Route, ...] = ("eliminated", "fastpath", "kernel", "userspace")
#: How often an exit of each route returns from KVM_RUN.
USERSPACE_RETURNS: Mapping[Route, int] = MappingProxyType(
    {"eliminated": 0, "fastpath": 0, "kernel": 0, "userspace": 1}
)


@dataclass(frozen=True)
class Reason:
    """One reason of an exit: its names, the function of Linux that handles it, and the routes that exist for it.

    ``amd`` is empty where the CPU has no such exit. The first of ``routes`` is what Linux does on a server of today
    with an in-kernel APIC, and with a device that has an ioeventfd; ``routes_amd`` where AMD differs.
    """

    key: str
    intel: str
    amd: str
    function: str
    routes: tuple[Route, ...]
    routes_amd: tuple[Route, ...] = ()

    @property
    def name(self) -> str:
        """What it is, in words."""
        return str(words(f"cpu_exits.reason.{self.key}"))

    def allowed(self, vendor: Vendor = "intel") -> tuple[Route, ...]:
        """The routes that exist, the usual one first."""
        return self.routes_amd or self.routes if vendor == "amd" else self.routes

    def usual(self, vendor: Vendor = "intel") -> Route:
        """What Linux does with it."""
        return self.allowed(vendor)[0]


#: x2APIC and TSC_DEADLINE writes are handled before the host's interrupts are even switched on again.
_FAST: tuple[Route, ...] = ("fastpath", "kernel", "eliminated")
_SLOW: tuple[Route, ...] = ("kernel", "fastpath", "eliminated")
_KERNEL: tuple[Route, ...] = ("kernel", "eliminated")
_DEVICE: tuple[Route, ...] = ("kernel", "userspace", "eliminated")

REASONS: Mapping[str, Reason] = MappingProxyType({
    reason.key: reason
    for reason in (
        # a device: suppressed notifications and mapped doorbells eliminate them
        Reason("pio", "IO_INSTRUCTION", "IOIO", "handle_io", _DEVICE),
        Reason("mmio", "EPT_MISCONFIG", "NPF", "handle_ept_misconfig, kvm_mmu_page_fault", _DEVICE),
        # time
        Reason("timer_arm", "MSR_WRITE", "MSR", "handle_fastpath_set_tscdeadline", _FAST, _SLOW),
        Reason("timer_fire", "PREEMPTION_TIMER", "INTR", "handle_fastpath_preemption_timer", _FAST, _KERNEL),
        Reason("host_tick", "EXTERNAL_INTERRUPT", "INTR", "handle_external_interrupt_irqoff", _KERNEL),
        # interrupts between vCPUs
        Reason("ipi_send", "MSR_WRITE", "MSR", "handle_fastpath_set_x2apic_icr_irqoff", _FAST),
        Reason("ipi_send_many", "MSR_WRITE", "MSR", "kvm_x2apic_msr_write", _KERNEL),
        Reason("vcpu_kick", "EXTERNAL_INTERRUPT", "INTR", "kvm_vcpu_kick", _KERNEL),
        Reason("eoi", "MSR_WRITE", "MSR", "kvm_x2apic_msr_write", _KERNEL),
        # having nothing to do
        Reason("hlt", "HLT", "HLT", "kvm_emulate_halt", ("kernel", "userspace", "eliminated")),
        Reason("pause", "PAUSE_INSTRUCTION", "PAUSE", "handle_pause", _KERNEL),
        # memory
        Reason("ept_violation", "EPT_VIOLATION", "NPF", "handle_ept_violation", _KERNEL),
        Reason("pml_full", "PML_FULL", "", "handle_pml_full", _KERNEL),
        Reason("cr_access", "CR_ACCESS", "CR3_WRITE", "handle_cr", _KERNEL),
        # the guest asks: no hardware answers CPUID for a guest, and a hypercall is an exit by intention
        Reason("cpuid", "CPUID", "CPUID", "kvm_emulate_cpuid", ("kernel",)),
        Reason("vmcall", "VMCALL", "VMMCALL", "kvm_emulate_hypercall", ("kernel", "userspace")),
    )
})  # fmt: skip


def reason(key: str) -> Reason:
    """The reason called ``key``. Raises ParameterError, with the nearest name, where there is none."""
    if key not in REASONS:
        raise ParameterError(unknown(key, REASONS).replace("parameter", "exit reason"))
    return REASONS[key]


def routed(key: str, route: Route, vendor: Vendor) -> Route:
    """``route``, if it exists for this reason on this CPU. Raises ParameterError that says which do."""
    known = reason(key).allowed(vendor)
    if route not in known:
        raise ParameterError(
            say("cpu_exits.error.route", reason=key, routes=" or ".join(known), route=repr(route),
                function=REASONS[key].function)
        )  # fmt: skip
    return route
