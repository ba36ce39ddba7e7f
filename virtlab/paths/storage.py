"""The storage paths between a guest's application and a disk, each as one tuple of steps, there and back.

Everything else (counts, latency, CPU, capacity, rate against queue depth) is derived from these tuples. The functions
are those of Linux 6, QEMU 8 and SPDK 23; virtio-blk-sync is Firecracker and Cloud Hypervisor as they were in 2020, and
vhost-blk is a proposal of 2022 whose sibling in the kernel is vhost-scsi, which is what is named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from virtlab.paths.steps import Place, Server, Step, causes, when
from virtlab.paths.storage_parts import (
    DISK,
    DISK_IRQ,
    DM_CRYPT,
    DOORBELL,
    ENGINE,
    IRQFD,
    KICK,
    MSIX,
    NVME,
    SLEEPS,
    VIRTIO,
    E,
    back_end_work,
    call,
    cipher_on,
    host_submit,
    thread,
)
from virtlab.paths.storage_path import StoragePath

# --- untuned: QEMU's main loop, its worker threads and the host's page cache ----------------------------------------

_POP = "hw/block/virtio-blk.c: virtio_blk_handle_vq"
_THREADS = (
    *thread("main_loop", Place.QEMU, Server.BACKEND, "util/main-loop.c: main_loop_wait", "kick", 2),
    back_end_work(Place.QEMU, _POP, "qemu_request"),
    *cipher_on(Place.QEMU, "block/crypto.c: block_crypto_co_preadv"),
    Step("pool_submit", Place.QEMU, Server.BACKEND, "util/thread-pool.c: thread_pool_submit_aio",
         ("syscall", "thread_signal"), per="request", causes=causes(E.HOST_SYSCALL)),
    *thread("pool", Place.QEMU, Server.POOL, "util/thread-pool.c: worker_thread", "request"),
    Step("pool_io", Place.HOST, Server.POOL, "block/file-posix.c: handle_aiocb_rw", per_byte="page",
         per="request", causes=causes(E.HOST_SYSCALL, E.HOST_COPY)),
)  # fmt: skip
_THREADS_READ = tuple(
    replace(step, direction="read") for step in (
        *host_submit(Server.POOL), *DISK, *DISK_IRQ,
        # The worker slept for the disk at any load; another of its 64 may work meanwhile.
        Step("pool_rewake", Place.HOST, Server.POOL, "mm/filemap.c: folio_wait_bit_common", ("context_switch",),
             delay=("wakeup_rest", "idle_exit"), per="request", causes=causes(E.CONTEXT_SWITCH, E.CONTEXT_SWITCH)),
    )
)  # fmt: skip
# The page cache has taken the data: the guest's write is answered, and the disk works later.
_THREADS_WRITE = tuple(
    replace(step, direction="write", aside=True, delay=())
    for step in (*host_submit(Server.HOST), *DISK, *DISK_IRQ)
)
_THREADS_DONE = (
    Step("pool_done", Place.QEMU, Server.POOL, "util/event_notifier-posix.c: event_notifier_set", ("syscall",),
         per="request", causes=causes(E.HOST_SYSCALL)),
    *thread("main_loop", Place.QEMU, Server.BACKEND, "util/main-loop.c: main_loop_wait", "interrupt", 2),
    *call(Place.QEMU, "hw/virtio/virtio.c: virtio_notify_irqfd"),
)  # fmt: skip

# --- one thread that waits for the disk itself ----------------------------------------------------------------------

_SYNC = (
    *thread("vmm", Place.QEMU, Server.BACKEND, "src/vmm/src/devices/virtio/block/device.rs: process_queue", "kick", 2),
    back_end_work(Place.QEMU, "src/vmm/src/devices/virtio/block/request.rs: execute", "vmm_request"),
    *cipher_on(Place.HOST, "drivers/md/dm-crypt.c: crypt_convert"),
    Step("sync_io", Place.HOST, Server.BACKEND, "mm/filemap.c: filemap_read", per_byte="page", per="request",
         causes=causes(E.HOST_SYSCALL, E.HOST_COPY)),
)  # fmt: skip
_SYNC_READ = tuple(
    replace(step, direction="read") for step in (
        *host_submit(Server.BACKEND),
        Step("sync_disk", Place.CARD, Server.BACKEND, "flash: the thread waits for it", per_byte="disk",
             delay=("dma", "device"), per="request", causes=causes(E.DATA_DMA, *(E.PCIE_TRANSACTION,) * 3),
             blocks=True),
        *(replace(step, server=Server.BACKEND, blocks=True) for step in ENGINE), *DISK_IRQ,
        Step("sync_rewake", Place.HOST, Server.BACKEND, "mm/filemap.c: folio_wait_bit_common", ("context_switch",),
             delay=("wakeup_rest", "idle_exit"), per="request", causes=causes(E.CONTEXT_SWITCH, E.CONTEXT_SWITCH),
             blocks=True),
    )
)  # fmt: skip

# --- tuned: an iothread, io_uring, no page cache --------------------------------------------------------------------

_IOTHREAD = (
    *thread("iothread", Place.QEMU, Server.BACKEND, "util/aio-posix.c: aio_poll", "kick", 1, backend_polls=False),
    back_end_work(Place.QEMU, _POP, "qemu_request"),
    *cipher_on(Place.QEMU, "block/crypto.c: block_crypto_co_preadv"),
    # The time of this system call is in the figure for the kernel's own work, as for the reads above.
    Step("uring_submit", Place.QEMU, Server.BACKEND, "block/io_uring.c: ioq_submit", per="kick",
         causes=causes(E.HOST_SYSCALL)),
    *host_submit(Server.BACKEND), *DISK, *DISK_IRQ,
    *thread("iothread", Place.QEMU, Server.BACKEND, "util/aio-posix.c: aio_poll", "interrupt", 1,
             backend_polls=False),
    *call(Place.QEMU, "hw/virtio/virtio.c: virtio_notify_irqfd"),
)  # fmt: skip

_VHOST = (
    *thread("vhost", Place.HOST, Server.BACKEND, "drivers/vhost/vhost.c: vhost_poll_wakeup", "kick"),
    back_end_work(Place.HOST, "drivers/vhost/scsi.c: vhost_scsi_handle_vq", "vhost_request"),
    *cipher_on(Place.HOST, "drivers/md/dm-crypt.c: crypt_convert"),
    *host_submit(Server.BACKEND), *DISK, *DISK_IRQ,
    *thread("vhost", Place.HOST, Server.BACKEND, "drivers/vhost/scsi.c: vhost_scsi_complete_cmd_work", "interrupt"),
)  # fmt: skip

# SPDK drives the disk itself, in user space: no system call, no interrupt, no kernel.
_SPDK = (
    back_end_work(Place.POLLER, "lib/vhost/vhost_blk.c: process_vq", "poller_request"),
    *cipher_on(Place.POLLER, "module/bdev/crypto/vbdev_crypto.c: vbdev_crypto_submit_request"),
    Step("poller_doorbell", Place.POLLER, Server.BACKEND, "lib/nvme/nvme_pcie_common.c: nvme_pcie_qpair_submit_tracker",
         ("doorbell",), per="kick", causes=causes(E.PCIE_TRANSACTION)),
    *DISK,
    *call(Place.POLLER, "lib/vhost/rte_vhost_user.c: vhost_vq_used_signal"),
)  # fmt: skip

# --- a cloud disk behind a card -------------------------------------------------------------------------------------

_TO_CARD = (
    Step("card_fetch", Place.PCIE, Server.PCIE, "command read", delay=("dma",), per="request",
         causes=causes(E.PCIE_TRANSACTION)),
    Step("card_read", Place.PCIE, Server.PCIE, "data read", delay=("dma",), per_byte="pcie", per="request",
         causes=causes(E.DATA_DMA, E.PCIE_TRANSACTION), direction="write"),
    Step("card_request", Place.CARD, Server.CARD, "the card's NVMe front end", ("card_request",),
         delay=("card_storage",), per="request"),
)  # fmt: skip
# What leaves the card is encrypted and carries its check; what comes back is checked first.
_SEAL = (
    *ENGINE,
    Step("card_check", Place.CARD, Server.CARD, "checksum and reference tag of each block", delay=("card_check",),
         per="request"),
)  # fmt: skip
_CLUSTER = (
    Step("fabric_out", Place.WIRE, Server.WIRE, "Ethernet, with preamble and gap", per_byte="wire", delay=("fabric",),
         per="request", direction="write"),
    Step("fabric_ask", Place.WIRE, Server.WIRE, "a request without data", delay=("fabric",), per="request",
         direction="read"),
    Step("cluster", Place.WIRE, Server.CLUSTER, "a storage server finds the place", ("cluster",), per="request"),
    Step("cluster_disk", Place.WIRE, Server.CLUSTER, "a disk of the storage server reads, or appends to its log",
         ("device",), per="request"),
    Step("replicas", Place.WIRE, Server.CLUSTER, "the copies are written on other servers, side by side",
         delay=("fabric", "fabric"), per="request", direction="write", when=when(replicated=True)),
    Step("fabric_in", Place.WIRE, Server.WIRE, "Ethernet, with preamble and gap", per_byte="wire", delay=("fabric",),
         per="request", direction="read"),
    Step("fabric_answer", Place.WIRE, Server.WIRE, "an answer without data", delay=("fabric",), per="request",
         direction="write"),
)  # fmt: skip
_FROM_CARD = (
    Step("card_write", Place.PCIE, Server.PCIE, "data write", per_byte="pcie", per="request",
         causes=causes(E.DATA_DMA, E.PCIE_TRANSACTION), direction="read"),
    Step("card_done", Place.PCIE, Server.PCIE, "completion entry", delay=("doorbell",), per="request",
         causes=causes(E.PCIE_TRANSACTION)),
)  # fmt: skip

_METAL_WAKE = (
    Step("disk_irq", Place.HOST, Server.HOST, "drivers/nvme/host/pci.c: nvme_irq", per="interrupt",
         causes=causes(E.HOST_IRQ, E.PCIE_TRANSACTION)),
    Step("app_wake", Place.GUEST, Server.VCPU, "kernel/sched/core.c: try_to_wake_up", ("context_switch",),
         delay=("wakeup_rest", "idle_exit"), per="interrupt", causes=causes(E.CONTEXT_SWITCH), when=SLEEPS,
         idle=True),
)  # fmt: skip

_PATHS = (
    StoragePath("metal", (*NVME, *DM_CRYPT, *DOORBELL, *DISK, *_METAL_WAKE)),
    StoragePath("virtio-blk", (*VIRTIO, *KICK, *_THREADS, *_THREADS_READ, *_THREADS_WRITE, *_THREADS_DONE, *IRQFD),
                cached_writes=True),
    StoragePath("virtio-blk-sync", (*VIRTIO, *KICK, *_SYNC, *_SYNC_READ, *_THREADS_WRITE,
                *call(Place.QEMU, "src/vmm/src/devices/virtio/block/device.rs: signal_used_queue"), *IRQFD),
                cached_writes=True),
    StoragePath("virtio-blk-iothread", (*VIRTIO, *KICK, *_IOTHREAD, *IRQFD)),
    StoragePath("vhost-blk", (*VIRTIO, *KICK, *_VHOST, *IRQFD)),
    StoragePath("vhost-user-blk", (*VIRTIO, *_SPDK, *IRQFD), polls=True),
    StoragePath("nvme-vfio", (*NVME, *DM_CRYPT, *DOORBELL, *DISK, *MSIX)),
    StoragePath("cloud-disk", (
        *NVME, *DM_CRYPT, *DOORBELL, *_TO_CARD, *(replace(step, direction="write") for step in _SEAL), *_CLUSTER,
        *(replace(step, direction="read") for step in reversed(_SEAL)), *_FROM_CARD, *MSIX,
    )),
)  # fmt: skip


class _Storage(dict[str, StoragePath]):
    def __missing__(self, key: object) -> StoragePath:
        raise KeyError(f"there is no storage path {key!r}; there are {', '.join(self)}")


#: The storage paths by id, from bare metal, the reference, to a cloud disk behind a card.
STORAGE: Mapping[str, StoragePath] = MappingProxyType(_Storage((path.id, path) for path in _PATHS))
