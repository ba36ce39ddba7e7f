"""What a reader may choose about a storage path, and what its steps cost beyond those that a network path has too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import model_validator

from virtlab.core.parameter import ParameterError, parameter, same
from virtlab.evidence import FACTS
from virtlab.offload import EncryptionOptions, encryption
from virtlab.paths.costs import COST_SETS, Costs
from virtlab.paths.options import PathOptions
from virtlab.paths.route import Driven
from virtlab.paths.steps import Per, PerByte, Server

_PAGE_BYTES = 4096


class StorageOptions(Driven):
    """How a storage path is driven. The defaults: one thread in the guest that sleeps, one thread behind the ring."""

    operation: Literal["read", "write"] = parameter(FACTS["storage.operation"], default="read")
    request_bytes: int = same(EncryptionOptions, "request_bytes")
    requests_per_kick: int = parameter(FACTS["storage.batch.none"], ge=1, le=64, log=True)
    requests_per_interrupt: int = parameter(FACTS["storage.batch.none"], ge=1, le=64, log=True)
    jobs: int = parameter(FACTS["storage.jobs"], ge=1, le=64, log=True)
    backend_threads: int = parameter(FACTS["storage.backends"], ge=1, le=16)
    guest_sleeps: bool = parameter(FACTS["storage.guest.sleeps"], default=True)
    backend_polls: bool = parameter(FACTS["storage.backend.polls"], default=False)
    apicv: bool = same(PathOptions, "apicv")
    posted: bool = same(PathOptions, "posted")
    cipher: Literal["none", "software", "inline"] = parameter(FACTS["storage.cipher"], default="none")
    replicated: bool = parameter(FACTS["storage.replicated"], default=True)

    @model_validator(mode="after")
    def _hardware_exists(self) -> StorageOptions:
        if self.posted and not self.apicv:
            raise ValueError("posted must be False when apicv is False: VT-d posts into the virtual APIC (APICv).")
        return self

    @property
    def unit_bytes(self) -> int:
        return self.request_bytes

    @property
    def way(self) -> str:
        return self.operation

    def batch(self, per: Per) -> int:
        if per == "kick":
            return self.requests_per_kick
        return self.requests_per_interrupt if per == "interrupt" else 1


class StorageCosts(Costs):
    """The costs of :class:`Costs` (exits, wake-ups, copies, links) and those of the steps that only storage has.

    ``device_ns`` is the disk alone, for one request with nothing before it; the same disk stands behind every path.
    A wait for a disk is long enough for a deeper idle state than C1, which is why ``idle_exit_ns`` starts at C1E here.
    """

    idle_exit_ns: float = parameter(FACTS["cpu.idle_exit.c1e"], ge=0, le=1_000_000)
    device_ns: float = parameter(FACTS["storage.device"], ge=1_000, le=20_000_000, log=True)
    device_channels: int = parameter(FACTS["storage.channels"], ge=1, le=1024, log=True)
    device_gbyte_per_s: float = parameter(FACTS["storage.disk.rate"], ge=0.05, le=100, log=True)
    pool_threads: int = parameter(FACTS["storage.pool"], ge=1, le=1024, log=True)
    guest_request_ns: float = parameter(FACTS["storage.request.guest"], ge=200, le=50_000)
    host_block_ns: float = parameter(FACTS["storage.request.kernel"], ge=100, le=50_000)
    page_cache_ns: float = parameter(FACTS["storage.page_cache"], ge=0, le=50_000)
    qemu_request_ns: float = parameter(FACTS["storage.qemu.request"], ge=200, le=50_000)
    thread_signal_ns: float = parameter(FACTS["storage.thread_signal"], ge=0, le=20_000)
    vmm_request_ns: float = parameter(FACTS["storage.vmm.request"], ge=100, le=50_000)
    vhost_request_ns: float = parameter(FACTS["storage.vhost.request"], ge=100, le=50_000)
    poller_request_ns: float = parameter(FACTS["storage.poller.request"], ge=50, le=20_000)
    card_request_ns: float = parameter(FACTS["storage.card.request"], ge=10, le=20_000)
    card_storage_ns: float = parameter(FACTS["storage.card.pipeline"], ge=0, le=100_000)
    card_check_ns: float = parameter(FACTS["storage.card.check"], ge=0, le=20_000)
    cipher_cycles_per_byte: float = same(EncryptionOptions, "cipher_cycles_per_byte")
    cipher_unit_bytes: int = same(EncryptionOptions, "cipher_unit_bytes")
    cipher_unit_cycles: float = same(EncryptionOptions, "cipher_unit_cycles")
    hand_overs: int = same(EncryptionOptions, "hand_overs")
    card_crypto_gbit_per_s: float = same(EncryptionOptions, "card_crypto_gbit_per_s")
    card_crypto_ns: float = same(EncryptionOptions, "card_crypto_ns")
    fabric_rtt_ns: float = parameter(FACTS["storage.fabric.rtt"], ge=500, le=2_000_000, log=True)
    cluster_ns: float = parameter(FACTS["storage.cluster"], ge=0, le=2_000_000)

    def ns(self, name: str) -> float:
        if name == "fabric":  # one way
            return self.fabric_rtt_ns / 2
        return self.hand_overs * self.context_switch_ns if name == "hand_over" else super().ns(name)

    def bytes_ns(self, kind: PerByte, frame_bytes: int) -> float:
        if kind == "disk":
            return frame_bytes / self.device_gbyte_per_s
        if kind == "page":
            return math.ceil(frame_bytes / _PAGE_BYTES) * self.page_cache_ns + super().bytes_ns("copy", frame_bytes)
        if kind == "cipher":  # the time of a core, without the queues that dm-crypt has around it
            return encryption(
                request_bytes=frame_bytes, clock_ghz=self.clock_ghz, cipher_unit_bytes=self.cipher_unit_bytes,
                cipher_cycles_per_byte=self.cipher_cycles_per_byte, cipher_unit_cycles=self.cipher_unit_cycles,
            ).by_place["host"].latency_ns  # fmt: skip
        if kind == "engine":
            return 8 * frame_bytes / self.card_crypto_gbit_per_s
        return super().bytes_ns(kind, frame_bytes)


#: The named cost sets of the exits, with what storage adds.
STORAGE_COST_SETS: Mapping[str, StorageCosts] = MappingProxyType(
    {name: StorageCosts(**costs.model_dump(exclude={"idle_exit_ns"})) for name, costs in COST_SETS.items()}
)


def servers_of(options: StorageOptions, costs: StorageCosts) -> dict[Server, int]:
    """How many requests each server can work on at once; 0 is any number: they only take time there."""
    return {
        Server.VCPU: options.jobs, Server.HOST: 0, Server.BACKEND: options.backend_threads,
        Server.POOL: costs.pool_threads, Server.CARD: 1, Server.PCIE: 1, Server.WIRE: 1,
        Server.DISK: costs.device_channels, Server.DISK_LINK: 1, Server.CLUSTER: 0,
    }  # fmt: skip


def storage_options_of(options: StorageOptions | None, changes: dict[str, Any]) -> StorageOptions:
    """``options`` with ``changes``, validated."""
    if options is not None and not isinstance(options, StorageOptions):
        raise ParameterError(f"options must be a StorageOptions, or options by name (jobs=4); you gave {options!r}.")
    return StorageOptions.given(options, changes)


def storage_costs_of(costs: StorageCosts | str) -> StorageCosts:
    """The costs themselves, or the set of that name."""
    if isinstance(costs, StorageCosts):
        return costs
    if costs not in STORAGE_COST_SETS:
        names = ", ".join(STORAGE_COST_SETS)
        raise ValueError(f"costs must be one of {names}, or a StorageCosts object; you gave {costs!r}.")
    return STORAGE_COST_SETS[costs]
