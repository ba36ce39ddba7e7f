"""The seven paths between a guest's application and the wire, each as one tuple of steps.

Everything else (counts, latency, CPU, capacity, simulation, pictures) is derived from these tuples. TX runs from the
application to the wire, RX from the wire to the application. The functions are those of Linux 6, QEMU 8 and DPDK 23.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from virtlab.paths.path import Path
from virtlab.paths.steps import Direction, Event, Per, Place, Server, Step, causes, when

_E = Event

# --- the guest: the same work on every path, in the driver of what it sees -------------------------------------------


@dataclass(frozen=True)
class _Driver:
    """Where a guest's driver does each of its jobs: in its kernel, or polling in user space (DPDK)."""

    queue: str
    completion: str
    interrupt: str
    poll: str
    dpdk_send: str
    dpdk_receive: str


_VIRTIO_NET = _Driver(
    "drivers/virtio/virtio_ring.c: virtqueue_add_split", "drivers/net/virtio_net.c: skb_xmit_done",
    "drivers/net/virtio_net.c: skb_recv_done", "drivers/net/virtio_net.c: virtnet_poll",
    "drivers/net/virtio/virtio_rxtx.c: virtio_xmit_pkts", "drivers/net/virtio/virtio_rxtx.c: virtio_recv_pkts",
)  # fmt: skip
_MLX5 = "drivers/net/ethernet/mellanox/mlx5/core"
_VIRTUAL_FUNCTION = _Driver(  # one of many: ConnectX
    f"{_MLX5}/en_tx.c: mlx5e_xmit", f"{_MLX5}/en_txrx.c: mlx5e_completion_event",
    f"{_MLX5}/en_txrx.c: mlx5e_completion_event", f"{_MLX5}/en_txrx.c: mlx5e_napi_poll",
    "drivers/net/mlx5/mlx5_tx.c: mlx5_tx_burst", "drivers/net/mlx5/mlx5_rx.c: mlx5_rx_burst",
)  # fmt: skip
_ENA = "drivers/net/ethernet/amazon/ena/ena_netdev.c"
_CLOUD_CARD = _Driver(  # one of many: the Nitro card's ENA
    f"{_ENA}: ena_start_xmit", f"{_ENA}: ena_intr_msix_io", f"{_ENA}: ena_intr_msix_io", f"{_ENA}: ena_io_poll",
    "drivers/net/ena/ena_ethdev.c: eth_ena_xmit_pkts", "drivers/net/ena/ena_ethdev.c: eth_ena_recv_pkts",
)  # fmt: skip


def _guest_tx(driver: _Driver = _VIRTIO_NET) -> tuple[Step, ...]:
    return (
        Step("guest_send", Place.GUEST, Server.VCPU, "net/ipv4/tcp.c: tcp_sendmsg", ("guest_stack",),
             causes=causes(_E.GUEST_SYSCALL), direction="tx", when=when(guest_poll=False)),
        Step("guest_poll_send", Place.GUEST, Server.VCPU, driver.dpdk_send, ("poller_packet",), direction="tx",
             when=when(guest_poll=True)),
        Step("guest_copy_out", Place.GUEST, Server.VCPU, "include/net/sock.h: skb_do_copy_data_nocache",
             per_byte="copy", causes=causes(_E.GUEST_COPY), direction="tx",
             when=when(guest_poll=False, guest_zero_copy=False)),
        Step("guest_queue", Place.GUEST, Server.VCPU, driver.queue, ("descriptor",), direction="tx"),
    )  # fmt: skip


def _guest_completion(driver: _Driver = _VIRTIO_NET) -> tuple[Step, ...]:
    return (
        Step("guest_completion", Place.GUEST, Server.VCPU, driver.completion, ("guest_irq",), per="completion",
             direction="tx", when=when(guest_poll=False), aside=True),
    )  # fmt: skip


def _guest_rx(driver: _Driver = _VIRTIO_NET) -> tuple[Step, ...]:
    return (
        Step("guest_irq", Place.GUEST, Server.VCPU, driver.interrupt, ("guest_irq",), per="interrupt",
             direction="rx", when=when(guest_poll=False)),
        Step("guest_napi", Place.GUEST, Server.VCPU, driver.poll, ("descriptor",), direction="rx",
             when=when(guest_poll=False)),
        Step("guest_receive", Place.GUEST, Server.VCPU, "net/ipv4/tcp_input.c: tcp_rcv_established", ("guest_stack",),
             causes=causes(_E.GUEST_SYSCALL), direction="rx", when=when(guest_poll=False)),
        Step("guest_poll_receive", Place.GUEST, Server.VCPU, driver.dpdk_receive, ("descriptor", "poller_packet"),
             direction="rx", when=when(guest_poll=True)),
        Step("guest_copy_in", Place.GUEST, Server.VCPU, "net/core/datagram.c: skb_copy_datagram_iter",
             per_byte="copy", causes=causes(_E.GUEST_COPY), direction="rx", when=when(guest_poll=False)),
    )  # fmt: skip


# --- notifications --------------------------------------------------------------------------------------------------

_KICK_USER = (
    Step("kick_exit", Place.KVM, Server.VCPU, "arch/x86/kvm/x86.c: kvm_fast_pio", ("exit_kernel",), per="kick",
         causes=causes(_E.VCPU_EXIT), direction="tx"),
    Step("kick_return", Place.QEMU, Server.VCPU, "hw/virtio/virtio-pci.c: virtio_pci_notify_write_pio",
         ("exit_user_extra",), per="kick", causes=causes(_E.USERSPACE_EXIT, _E.HOST_SYSCALL), direction="tx"),
    Step("refill_exit", Place.KVM, Server.VCPU, "arch/x86/kvm/x86.c: kvm_fast_pio", ("exit_kernel",), per="refill",
         causes=causes(_E.VCPU_EXIT), direction="rx", when=when(refill_kicks=True), aside=True),
    Step("refill_return", Place.QEMU, Server.VCPU, "hw/net/virtio-net.c: virtio_net_handle_rx", ("exit_user_extra",),
         per="refill", causes=causes(_E.USERSPACE_EXIT, _E.HOST_SYSCALL), direction="rx", when=when(refill_kicks=True),
         aside=True),
)  # fmt: skip


def _kick_eventfd(**condition: object) -> tuple[Step, ...]:
    """A kick that KVM turns into an eventfd: the exit stays, the trip to QEMU and the wait go."""
    return (
        Step("kick_exit", Place.KVM, Server.VCPU, "virt/kvm/eventfd.c: ioeventfd_write", ("exit_kernel",), per="kick",
             causes=causes(_E.VCPU_EXIT), direction="tx", when=when(**condition)),
        Step("refill_exit", Place.KVM, Server.VCPU, "virt/kvm/eventfd.c: ioeventfd_write", ("exit_kernel",),
             per="refill", causes=causes(_E.VCPU_EXIT), direction="rx", when=when(refill_kicks=True, **condition),
             aside=True),
    )  # fmt: skip


def _doorbell(function: str, **condition: object) -> tuple[Step, ...]:
    """A kick that is a posted write into a mapped BAR: no exit at all."""
    return (
        Step("doorbell", Place.PCIE, Server.VCPU, function, ("doorbell",), per="kick",
             causes=causes(_E.PCIE_TRANSACTION), direction="tx", when=when(**condition)),
        Step("refill_doorbell", Place.PCIE, Server.VCPU, function, ("doorbell",), per="refill",
             causes=causes(_E.PCIE_TRANSACTION), direction="rx", when=when(refill_kicks=True, **condition), aside=True),
    )  # fmt: skip


def _interrupt(per: Per, **condition: object) -> tuple[Step, ...]:
    """A software back end tells the guest: inject and EOI exits, or a notification IPI where APICv takes it.

    A halted vCPU has left the guest already: it is woken instead. The EOI comes first in the guest's handler (Linux
    acknowledges an edge before it handles it), so it holds up the packets behind the interrupt.
    """
    aside = per == "completion"
    direction: Direction = "tx" if aside else "rx"
    interrupted = when(guest_poll=False, **condition)
    running = interrupted + _unless_halted(aside)
    no_apic = when(apicv=False)
    return (
        Step("inject", Place.KVM, Server.VCPU, "arch/x86/kvm/lapic.c: kvm_apic_set_irq", ("exit_kernel",), per=per,
             causes=causes(_E.VCPU_EXIT), direction=direction, when=no_apic + running, aside=aside),
        Step("posted_ipi", Place.KVM, Server.VCPU, "arch/x86/kvm/vmx/vmx.c: vmx_deliver_posted_interrupt",
             delay=("notification_ipi",), per=per, causes=causes(_E.NOTIFICATION_IPI), direction=direction,
             when=when(apicv=True) + running, aside=aside),
        *_guest_wake(aside),
        Step("eoi", Place.KVM, Server.VCPU, "arch/x86/kvm/lapic.c: apic_set_eoi", ("exit_kernel",), per=per,
             causes=causes(_E.VCPU_EXIT), direction=direction, when=no_apic + when(pv_eoi=False) + interrupted,
             aside=aside),
    )  # fmt: skip


def _unless_halted(aside: bool) -> tuple[tuple[str, object], ...]:
    """Completions find a guest that sends, so that one is never halted."""
    return () if aside else when(guest_halts=False)


def _guest_wake(aside: bool) -> tuple[Step, ...]:
    """A guest that sleeps between interrupts: one HLT exit, two switches, and the way back through the scheduler."""
    if aside:
        return ()
    sleeping = when(guest_halts=True, guest_poll=False)
    return (
        Step("guest_halt", Place.KVM, Server.VCPU, "virt/kvm/kvm_main.c: kvm_vcpu_block",
             ("exit_kernel", "context_switch"), per="interrupt", causes=causes(_E.VCPU_EXIT, _E.CONTEXT_SWITCH),
             direction="rx", when=sleeping, aside=True, idle=True),
        Step("guest_wake", Place.KVM, Server.VCPU, "virt/kvm/kvm_main.c: kvm_vcpu_wake_up", ("context_switch",),
             delay=("wakeup_rest", "idle_exit"), per="interrupt", causes=causes(_E.CONTEXT_SWITCH), direction="rx",
             when=sleeping, idle=True),
    )  # fmt: skip


def _device_interrupt(per: Per) -> tuple[Step, ...]:
    """A real device's MSI-X: free when VT-d posts it into a running guest, else a host interrupt first.

    Without posting, the handler signals an irqfd as a back end in software does. Where it runs on the vCPU's own
    core, it has thrown the guest out already, and no IPI is needed.
    """
    aside = per == "completion"
    direction: Direction = "tx" if aside else "rx"
    unposted = when(posted=False, guest_poll=False)
    running = unposted + _unless_halted(aside)
    return (
        Step("msix", Place.PCIE, Server.PCIE, "vector write by the card", delay=("doorbell",), per=per,
             causes=causes(_E.PCIE_TRANSACTION), direction=direction, when=when(guest_poll=False), aside=aside),
        Step("host_irq", Place.HOST, Server.HOST, "drivers/vfio/pci/vfio_pci_intrs.c: vfio_msihandler", ("host_irq",),
             per=per, causes=causes(_E.HOST_IRQ), direction=direction, when=unposted, aside=aside),
        Step("irq_exit", Place.KVM, Server.VCPU, "arch/x86/kvm/vmx/vmx.c: handle_external_interrupt", ("exit_kernel",),
             per=per, causes=causes(_E.VCPU_EXIT), direction=direction,
             when=running + when(apicv=True, irq_on_vcpu_cpu=True), aside=aside),
        Step("posted_ipi", Place.KVM, Server.VCPU, "arch/x86/kvm/vmx/vmx.c: vmx_deliver_posted_interrupt",
             delay=("notification_ipi",), per=per, causes=causes(_E.NOTIFICATION_IPI), direction=direction,
             when=running + when(apicv=True, irq_on_vcpu_cpu=False), aside=aside),
        Step("inject", Place.KVM, Server.VCPU, "virt/kvm/eventfd.c: irqfd_wakeup", ("exit_kernel",), per=per,
             causes=causes(_E.VCPU_EXIT), direction=direction, when=running + when(apicv=False), aside=aside),
        *_posted_to_sleeper(aside),
        *_guest_wake(aside),
        Step("eoi", Place.KVM, Server.VCPU, "arch/x86/kvm/lapic.c: apic_set_eoi", ("exit_kernel",), per=per,
             causes=causes(_E.VCPU_EXIT), direction=direction, when=unposted + when(apicv=False, pv_eoi=False),
             aside=aside),
    )  # fmt: skip


def _posted_to_sleeper(aside: bool) -> tuple[Step, ...]:
    """Posting cannot reach a halted vCPU: the card interrupts the host on the wake-up vector."""
    if aside:
        return ()
    return (
        Step("host_irq", Place.HOST, Server.HOST, "arch/x86/kvm/vmx/posted_intr.c: pi_wakeup_handler", ("host_irq",),
             per="interrupt", causes=causes(_E.HOST_IRQ), direction="rx",
             when=when(posted=True, guest_halts=True, guest_poll=False)),
    )  # fmt: skip


# --- back ends in software ------------------------------------------------------------------------------------------

_PAIRS: tuple[tuple[Direction, Per], ...] = (("tx", "kick"), ("rx", "interrupt"))


def _sleeping_thread(key: str, place: Place, function: str, syscalls: int = 0, **condition: object) -> tuple[Step, ...]:
    """A back-end thread is woken once a kick (TX) or once for the packets of an interrupt (RX), and sleeps again."""
    steps: list[Step] = []
    for direction, per in _PAIRS:
        steps += [
            Step(f"{key}_wake", place, Server.BACKEND, function, ("context_switch", *("syscall",) * syscalls),
                 delay=("wakeup_rest", "idle_exit"), per=per,
                 causes=causes(_E.CONTEXT_SWITCH, *(_E.HOST_SYSCALL,) * syscalls), direction=direction,
                 when=when(**condition), idle=True),
            Step(f"{key}_sleep", place, Server.BACKEND, "kernel/sched/core.c: schedule", ("context_switch",), per=per,
                 causes=causes(_E.CONTEXT_SWITCH), direction=direction, when=when(**condition), aside=True,
                 idle=True),
        ]  # fmt: skip
    return tuple(steps)


def _relay(direction: Direction, per: Per) -> tuple[Step, ...]:
    """vDPA without a mapped doorbell: the host writes it in the kicking vCPU's own context, without another thread."""
    aside = per == "refill"
    relayed = when(doorbell_mapped=False) + (when(refill_kicks=True) if aside else ())
    return (
        Step("relay", Place.HOST, Server.VCPU, "drivers/vhost/vdpa.c: handle_vq_kick", ("doorbell",), per=per,
             causes=causes(_E.PCIE_TRANSACTION), direction=direction, when=relayed, aside=aside),
    )  # fmt: skip


def _qemu_tx(server: Server) -> tuple[Step, ...]:
    """QEMU takes a packet off the ring and writes it to the tap device: one copy.

    On P1 the vCPU's own thread does it, as a device model without an event loop does (virtio-blk, e1000, virtio-net
    with tx=timer when a kick finds the timer armed). virtio-net with tx=bh hands it to the main loop, as on P2.
    """
    return (
        Step("qemu_pop", Place.QEMU, server, "hw/net/virtio-net.c: virtio_net_flush_tx", ("qemu_packet",),
             direction="tx"),
        Step("tap_write", Place.HOST, server, "drivers/net/tun.c: tun_get_user", ("syscall",), per_byte="copy",
             causes=causes(_E.HOST_SYSCALL, _E.HOST_COPY), direction="tx"),
        Step("host_send", Place.HOST, server, "net/bridge/br_forward.c: br_forward", ("host_stack",),
             causes=causes(_E.PCIE_TRANSACTION), direction="tx"),
    )  # fmt: skip


_QEMU_RX = (
    Step("tap_read", Place.HOST, Server.BACKEND, "drivers/net/tun.c: tun_do_read", ("syscall",), per_byte="copy",
         causes=causes(_E.HOST_SYSCALL, _E.HOST_COPY), direction="rx"),
    Step("qemu_push", Place.QEMU, Server.BACKEND, "hw/net/virtio-net.c: virtio_net_receive", ("qemu_packet",),
         per_byte="copy", causes=causes(_E.HOST_COPY), direction="rx"),
    Step("irq_ioctl", Place.QEMU, Server.BACKEND, "accel/kvm/kvm-all.c: kvm_irqchip_send_msi", ("syscall",),
         per="interrupt", causes=causes(_E.HOST_SYSCALL), direction="rx", when=when(guest_poll=False)),
)  # fmt: skip

_IRQ_IOCTL_TX = (
    Step("irq_ioctl", Place.QEMU, Server.BACKEND, "accel/kvm/kvm-all.c: kvm_irqchip_send_msi", ("syscall",),
         per="completion", causes=causes(_E.HOST_SYSCALL), direction="tx", when=when(guest_poll=False), aside=True),
)  # fmt: skip

_VHOST = (
    Step("vhost_tx", Place.HOST, Server.BACKEND, "drivers/vhost/net.c: handle_tx_copy", ("vhost_packet",),
         direction="tx"),
    Step("vhost_tx_copy", Place.HOST, Server.BACKEND, "drivers/vhost/net.c: vhost_net_build_xdp", per_byte="copy",
         causes=causes(_E.HOST_COPY), direction="tx", when=when(zero_copy=False)),
    Step("host_send", Place.HOST, Server.BACKEND, "drivers/net/tun.c: tun_sendmsg", ("host_stack",),
         causes=causes(_E.PCIE_TRANSACTION), direction="tx"),
    Step("vhost_rx", Place.HOST, Server.BACKEND, "drivers/vhost/net.c: handle_rx", ("vhost_packet",), direction="rx"),
    Step("vhost_rx_copy", Place.HOST, Server.BACKEND, "drivers/net/tun.c: tun_recvmsg", per_byte="copy",
         causes=causes(_E.HOST_COPY), direction="rx"),
)  # fmt: skip

# Whoever drives the NIC in the host rings its doorbell (for buffers, on RX): one more PCIe write, in its cost already.
_POLLER = (
    Step("poller_tx", Place.POLLER, Server.BACKEND, "lib/vhost/virtio_net.c: virtio_dev_tx_split", ("poller_packet",),
         causes=causes(_E.PCIE_TRANSACTION), direction="tx"),
    Step("poller_tx_copy", Place.POLLER, Server.BACKEND, "lib/vhost/virtio_net.c: desc_to_mbuf", per_byte="copy",
         causes=causes(_E.HOST_COPY), direction="tx"),
    Step("poller_rx", Place.POLLER, Server.BACKEND, "lib/vhost/virtio_net.c: virtio_dev_rx_split", ("poller_packet",),
         causes=causes(_E.PCIE_TRANSACTION), direction="rx"),
    Step("poller_rx_copy", Place.POLLER, Server.BACKEND, "lib/vhost/virtio_net.c: mbuf_to_desc", per_byte="copy",
         causes=causes(_E.HOST_COPY), direction="rx"),
    Step("call_write", Place.POLLER, Server.BACKEND, "lib/vhost/vhost.h: vhost_vring_call_split", ("syscall",),
         per="interrupt", causes=causes(_E.HOST_SYSCALL), direction="rx", when=when(guest_poll=False)),
    Step("call_write", Place.POLLER, Server.BACKEND, "lib/vhost/vhost.h: vhost_vring_call_split", ("syscall",),
         per="completion", causes=causes(_E.HOST_SYSCALL), direction="tx", when=when(guest_poll=False), aside=True),
)  # fmt: skip

# --- the card and the wire ------------------------------------------------------------------------------------------


def _card_tx(*extra: Step) -> tuple[Step, ...]:
    return (
        # Two round trips: the card must have the descriptor before it knows where the data is.
        Step("dma_descriptor", Place.PCIE, Server.PCIE, "descriptor read", delay=("dma",),
             causes=causes(_E.PCIE_TRANSACTION), direction="tx"),
        Step("dma_read", Place.PCIE, Server.PCIE, "data read, completion write", delay=("dma",), per_byte="pcie",
             causes=causes(_E.DATA_DMA, *(_E.PCIE_TRANSACTION,) * 2), direction="tx"),
        *extra,
        Step("card_tx", Place.CARD, Server.CARD, "the card's transmit engine", ("card_packet",), direction="tx"),
        Step("wire_tx", Place.WIRE, Server.WIRE, "Ethernet, with preamble and gap", per_byte="wire", direction="tx"),
    )  # fmt: skip


def _card_rx(*extra: Step) -> tuple[Step, ...]:
    return (
        Step("wire_rx", Place.WIRE, Server.WIRE, "Ethernet, with preamble and gap", per_byte="wire", direction="rx"),
        Step("card_rx", Place.CARD, Server.CARD, "the card's receive engine", ("card_packet",), direction="rx"),
        *extra,
        # A posted write waits for no answer, and the descriptor was read before the packet came.
        Step("dma_write", Place.PCIE, Server.PCIE, "descriptor read (ahead), data write, completion write",
             delay=("doorbell",), per_byte="pcie", causes=causes(_E.DATA_DMA, *(_E.PCIE_TRANSACTION,) * 3),
             direction="rx"),
    )  # fmt: skip


_HOST_RX = (
    Step("nic_irq", Place.HOST, Server.HOST, "net/core/dev.c: __napi_schedule", ("host_irq",), per="interrupt",
         causes=causes(_E.HOST_IRQ, _E.PCIE_TRANSACTION), direction="rx"),
    Step("host_receive", Place.HOST, Server.HOST, "net/bridge/br_input.c: br_handle_frame", ("host_stack",),
         causes=causes(_E.PCIE_TRANSACTION), direction="rx"),
)  # fmt: skip


def _switch_on_card(direction: Direction) -> Step:
    return Step(f"card_switch_{direction}", Place.CARD, Server.CARD, "virtual switch, filter and encapsulation",
                delay=("card_pipeline",), direction=direction)  # fmt: skip


# --- the seven paths ------------------------------------------------------------------------------------------------



def _woken(direction: Direction, thread: tuple[Step, ...], work: tuple[Step, ...]) -> tuple[Step, ...]:
    """What a thread does between waking up and going back to sleep."""
    wake, sleep = (s for s in thread if s.direction == direction)
    return (wake, *(s for s in work if s.direction == direction), sleep)


_QEMU_THREAD = _sleeping_thread("qemu", Place.QEMU, "util/main-loop.c: main_loop_wait", syscalls=2)
_VHOST_THREAD = _sleeping_thread("vhost", Place.HOST, "drivers/vhost/vhost.c: vhost_poll_wakeup", busy_poll=False)


def _only(direction: Direction, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(s for s in steps if s.direction == direction)


_PATHS = (
    Path("qemu", 1, (
        *_guest_tx(), *_only("tx", _KICK_USER), *_qemu_tx(Server.VCPU), *_card_tx(),
        *_IRQ_IOCTL_TX, *_interrupt("completion"), *_guest_completion(),
        *_card_rx(), *_HOST_RX, *_woken("rx", _QEMU_THREAD, _QEMU_RX), *_interrupt("interrupt"), *_guest_rx(),
        *_only("rx", _KICK_USER),
    )),
    Path("qemu-ioeventfd", 2, (
        *_guest_tx(), *_only("tx", _kick_eventfd()), *_woken("tx", _QEMU_THREAD, _qemu_tx(Server.BACKEND)), *_card_tx(),
        *_IRQ_IOCTL_TX, *_interrupt("completion"), *_guest_completion(),
        *_card_rx(), *_HOST_RX, *_woken("rx", _QEMU_THREAD, _QEMU_RX), *_interrupt("interrupt"), *_guest_rx(),
        *_only("rx", _kick_eventfd()),
    )),
    Path("vhost-net", 3, (
        *_guest_tx(), *_only("tx", _kick_eventfd(busy_poll=False)), *_woken("tx", _VHOST_THREAD, _VHOST),
        *_card_tx(), *_interrupt("completion"), *_guest_completion(),
        *_card_rx(), *_HOST_RX, *_woken("rx", _VHOST_THREAD, _VHOST), *_interrupt("interrupt"),
        *_guest_rx(), *_only("rx", _kick_eventfd(busy_poll=False)),
    ), dedicated_when=when(busy_poll=True)),
    Path("vhost-user", 4, (
        *_guest_tx(), *_only("tx", _POLLER), *_card_tx(), *_interrupt("completion"), *_guest_completion(),
        *_card_rx(), *_only("rx", _POLLER), *_interrupt("interrupt"), *_guest_rx(),
    ), dedicated_when=()),
    Path("vdpa", 5, (
        *_guest_tx(), *_only("tx", _doorbell("drivers/vhost/vdpa.c: vhost_vdpa_mmap", doorbell_mapped=True)),
        *_only("tx", _kick_eventfd(doorbell_mapped=False)), *_relay("tx", "kick"), *_card_tx(),
        *_device_interrupt("completion"), *_guest_completion(),
        *_card_rx(), *_device_interrupt("interrupt"), *_guest_rx(),
        *_only("rx", _doorbell("drivers/vhost/vdpa.c: vhost_vdpa_mmap", doorbell_mapped=True)),
        *_only("rx", _kick_eventfd(doorbell_mapped=False)), *_relay("rx", "refill"),
    )),
    Path("sriov", 6, (
        *_guest_tx(_VIRTUAL_FUNCTION), *_only("tx", _doorbell("drivers/vfio/pci/vfio_pci_core.c: vfio_pci_core_mmap")),
        *_card_tx(),
        *_device_interrupt("completion"), *_guest_completion(_VIRTUAL_FUNCTION),
        *_card_rx(), *_device_interrupt("interrupt"), *_guest_rx(_VIRTUAL_FUNCTION),
        *_only("rx", _doorbell("drivers/vfio/pci/vfio_pci_core.c: vfio_pci_core_mmap")),
    )),
    Path("card", 7, (
        *_guest_tx(_CLOUD_CARD), *_only("tx", _doorbell("a BAR of the card's own function")),
        *_card_tx(_switch_on_card("tx")),
        *_device_interrupt("completion"), *_guest_completion(_CLOUD_CARD),
        *_card_rx(_switch_on_card("rx")), *_device_interrupt("interrupt"), *_guest_rx(_CLOUD_CARD),
        *_only("rx", _doorbell("a BAR of the card's own function")),
    )),
)  # fmt: skip


class _Ladder(dict[str, Path]):
    def __missing__(self, key: object) -> Path:
        raise KeyError(f"there is no path {key!r}; there are {', '.join(self)}")


#: The seven paths by id, from full emulation in QEMU to everything on the card.
LADDER: Mapping[str, Path] = MappingProxyType(_Ladder((path.id, path) for path in _PATHS))
