"""Pieces that several storage paths share: the guest, its interrupt, a cipher, the disk, threads that sleep."""

from __future__ import annotations

from dataclasses import replace

from virtlab.paths.steps import Event, Per, Place, Server, Step, causes, when

E = Event
SLEEPS = when(guest_sleeps=True)
_AWAKE = when(guest_sleeps=False)

# --- the guest ------------------------------------------------------------------------------------------------------


def _submit(driver: str) -> tuple[Step, ...]:
    """Application, block layer and driver of the guest, there and back: one figure, as it was measured."""
    return (
        Step("guest_request", Place.GUEST, Server.VCPU, driver, ("guest_request",), per="request",
             causes=causes(E.GUEST_SYSCALL)),
    )  # fmt: skip


_SOFTWARE, _INLINE = when(cipher="software"), when(cipher="inline")
# Where no thread of the host touches the data, only the guest can encrypt them in software.
DM_CRYPT = (
    Step("cipher", Place.GUEST, Server.VCPU, "drivers/md/dm-crypt.c: crypt_convert", per_byte="cipher",
         delay=("hand_over",), per="request", when=_SOFTWARE),
)  # fmt: skip


def cipher_on(place: Place, function: str) -> tuple[Step, ...]:
    """The thread behind the ring encrypts and decrypts itself."""
    return (Step("cipher", place, Server.BACKEND, function, per_byte="cipher", per="request", when=_SOFTWARE),)


ENGINE = (
    Step("cipher_inline", Place.CARD, Server.CARD, "AES-XTS in the data's way", per_byte="engine",
         delay=("card_crypto",), per="request", when=_INLINE),
)  # fmt: skip
VIRTIO = _submit("drivers/block/virtio_blk.c: virtio_queue_rq")
NVME = _submit("drivers/nvme/host/pci.c: nvme_queue_rq")
KICK = (
    Step("kick_exit", Place.KVM, Server.VCPU, "virt/kvm/eventfd.c: ioeventfd_write", ("exit_kernel",), per="kick",
         causes=causes(E.VCPU_EXIT)),
)  # fmt: skip
DOORBELL = (
    # The instruction is in the figure for the guest; this is the way to the device.
    Step("doorbell", Place.PCIE, Server.PCIE, "drivers/nvme/host/pci.c: nvme_write_sq_db", delay=("doorbell",),
         per="kick", causes=causes(E.PCIE_TRANSACTION)),
)  # fmt: skip


def _asleep_until_answered() -> tuple[Step, ...]:
    """A guest with nothing else to do halts, and must be woken; its application is woken after it."""
    return (
        Step("guest_halt", Place.KVM, Server.VCPU, "virt/kvm/kvm_main.c: kvm_vcpu_block",
             ("exit_kernel", "context_switch"), per="interrupt", causes=causes(E.VCPU_EXIT, E.CONTEXT_SWITCH),
             when=SLEEPS, aside=True, idle=True),
        Step("guest_wake", Place.KVM, Server.VCPU, "virt/kvm/kvm_main.c: kvm_vcpu_wake_up", ("context_switch",),
             delay=("wakeup_rest", "idle_exit"), per="interrupt", causes=causes(E.CONTEXT_SWITCH), when=SLEEPS,
             idle=True),
        Step("app_wake", Place.GUEST, Server.VCPU, "kernel/sched/core.c: try_to_wake_up", ("context_switch",),
             per="interrupt", when=SLEEPS, idle=True),
    )  # fmt: skip


def _interrupt(inject: str) -> tuple[Step, ...]:
    """The guest's interrupt reaches a vCPU that runs, or wakes one that does not."""
    return (
        Step("posted_ipi", Place.KVM, Server.VCPU, "arch/x86/kvm/vmx/vmx.c: vmx_deliver_posted_interrupt",
             delay=("notification_ipi",), per="interrupt", causes=causes(E.NOTIFICATION_IPI),
             when=when(apicv=True, posted=False) + _AWAKE),
        Step("inject", Place.KVM, Server.VCPU, inject, ("exit_kernel",), per="interrupt",
             causes=causes(E.VCPU_EXIT), when=when(apicv=False) + _AWAKE),
        *_asleep_until_answered(),
        Step("eoi", Place.KVM, Server.VCPU, "arch/x86/kvm/lapic.c: apic_set_eoi", ("exit_kernel",), per="interrupt",
             causes=causes(E.VCPU_EXIT), when=when(apicv=False)),
    )  # fmt: skip


# An interrupt of software is never posted by VT-d: KVM sends its own IPI whatever the option says.
IRQFD = tuple(
    replace(step, when=tuple(c for c in step.when if c[0] != "posted"))
    for step in _interrupt("virt/kvm/eventfd.c: irqfd_wakeup")
)
MSIX = (
    Step("msix", Place.PCIE, Server.PCIE, "vector write by the card", delay=("doorbell",), per="interrupt",
         causes=causes(E.PCIE_TRANSACTION)),
    Step("host_irq", Place.HOST, Server.HOST, "drivers/vfio/pci/vfio_pci_intrs.c: vfio_msihandler", ("host_irq",),
         per="interrupt", causes=causes(E.HOST_IRQ), when=when(posted=False)),
    Step("host_irq", Place.HOST, Server.HOST, "arch/x86/kvm/vmx/posted_intr.c: pi_wakeup_handler", ("host_irq",),
         per="interrupt", causes=causes(E.HOST_IRQ), when=when(posted=True) + SLEEPS),
    *_interrupt("virt/kvm/eventfd.c: irqfd_wakeup"),
)  # fmt: skip

# --- the disk -------------------------------------------------------------------------------------------------------

DISK = (
    Step("disk_fetch", Place.PCIE, Server.PCIE, "command read", delay=("dma",), per="request",
         causes=causes(E.PCIE_TRANSACTION)),
    Step("disk", Place.CARD, Server.DISK, "flash, and the controller before it", ("device",), per="request"),
    Step("disk_link", Place.CARD, Server.DISK_LINK, "between flash and controller", per_byte="disk", per="request"),
    *ENGINE,
    Step("disk_dma", Place.PCIE, Server.PCIE, "data, completion entry", per_byte="pcie", per="request",
         causes=causes(E.DATA_DMA, *(E.PCIE_TRANSACTION,) * 2)),
)  # fmt: skip
# The disk's interrupt in the host: its time is in the figure for the kernel's own work.
DISK_IRQ = (
    Step("disk_irq", Place.HOST, Server.HOST, "drivers/nvme/host/pci.c: nvme_irq", per="request",
         causes=causes(E.HOST_IRQ, E.PCIE_TRANSACTION)),
)  # fmt: skip


def host_submit(server: Server) -> tuple[Step, ...]:
    return (
        Step("host_block", Place.HOST, server, "drivers/nvme/host/pci.c: nvme_queue_rq", ("host_block",),
             per="request", causes=causes(E.PCIE_TRANSACTION)),
    )  # fmt: skip


# --- threads that are woken and sleep again -------------------------------------------------------------------------


def thread(key: str, place: Place, server: Server, function: str, per: Per, syscalls: int = 0, **condition: object,
            ) -> tuple[Step, ...]:  # fmt: skip
    """A thread is woken and sleeps again. Its loop asks what is new (``syscalls``) however busy it is."""
    wake = Step(f"{key}_wake", place, server, function, ("context_switch",), delay=("wakeup_rest", "idle_exit"),
                per=per, causes=causes(E.CONTEXT_SWITCH), when=when(**condition), idle=True)  # fmt: skip
    turn = Step(f"{key}_turn", place, server, function, ("syscall",) * syscalls, per=per,
                causes=causes(*(E.HOST_SYSCALL,) * syscalls), when=when(**condition))  # fmt: skip
    sleep = Step(f"{key}_sleep", place, server, "kernel/sched/core.c: schedule", ("context_switch",), per=per,
                 causes=causes(E.CONTEXT_SWITCH), when=when(**condition), aside=True, idle=True)  # fmt: skip
    return (wake, turn, sleep) if syscalls else (wake, sleep)


def call(place: Place, function: str) -> tuple[Step, ...]:
    """A back end in user space signals the guest's interrupt through an eventfd."""
    return (
        Step("call_write", place, Server.BACKEND, function, ("syscall",), per="interrupt",
             causes=causes(E.HOST_SYSCALL)),
    )  # fmt: skip


def back_end_work(place: Place, function: str, cost: str) -> Step:
    return Step("backend_request", place, Server.BACKEND, function, (cost,), per="request")
