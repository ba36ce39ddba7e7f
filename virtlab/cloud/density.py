"""How many VMs a host holds: the first of its limits to end, of CPUs, memory, and the functions of a card."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from virtlab import offload
from virtlab.cloud.architectures import Architecture
from virtlab.cloud.beside import VMM_BYTES, tables_bytes
from virtlab.cloud.fleet_loss import Fleet
from virtlab.cloud.host import Host
from virtlab.cloud.overhead import host_of
from virtlab.core.parameter import ParameterError, Parameters, parameter, same
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.offload.functions import FunctionOptions


class DensityOptions(Parameters):
    """A server and equal VMs. A vCPU is a hardware thread: ``vcpus_per_thread`` of them are sold for each.

    ``overhead_bytes`` is memory of the VMM for each VM; the tables that map the guest's memory come on top. Memory is
    not overcommitted. With ``vf_each`` every VM has a function of the card with ``vectors`` interrupts.
    """

    memory_bytes: int = parameter(FACTS["density.memory"], ge=1 << 24, le=1 << 42, log=True)
    vcpus: int = parameter(FACTS["density.vcpus"], ge=1, le=256, log=True)
    overhead_bytes: int = parameter(FACTS["density.overhead"], ge=1 << 16, le=1 << 30, log=True)
    vcpus_per_thread: float = parameter(FACTS["density.overcommit"], ge=1, le=16)
    kept_cores: int = parameter(FACTS["density.kept.cores"], ge=0, le=64)
    kept_memory_share: float = parameter(FACTS["density.kept.memory"], ge=0, le=0.5)
    cores: int = same(Fleet, "cores")
    threads_per_core: int = same(Fleet, "threads_per_core")
    host_memory_bytes: int = parameter(FACTS["catalogue.i4i.metal.memory"], ge=1 << 34, le=1 << 46, log=True)
    huge_pages: bool = same(Host, "huge_pages")
    vf_each: bool = parameter(FACTS["density.vf"], default=False)
    vectors: int = same(FunctionOptions, "vectors")

    @property
    def tables_bytes(self) -> int:
        """What maps the memory of one VM on the host's side, all of it touched."""
        return tables_bytes(self.memory_bytes, self.huge_pages)

    @property
    def each_bytes(self) -> int:
        """All memory that one VM takes from the host."""
        return self.memory_bytes + self.overhead_bytes + self.tables_bytes

    @property
    def sellable_bytes(self) -> int:
        """The memory that is not kept for the host."""
        return int(self.host_memory_bytes * (1 - self.kept_memory_share))

    @property
    def sellable_vcpus(self) -> float:
        """The vCPUs that can be sold: of cores that are not kept, each with its threads, overcommitted."""
        return max(0, self.cores - self.kept_cores) * self.threads_per_core * self.vcpus_per_thread


@dataclass(frozen=True)
class Limit:
    """One limit: its name, the most VMs that it allows (infinite where nothing is taken from it), and what is taken
    of it by the VMs that the host holds (share)."""

    id: str
    most: float
    taken: float

    @property
    def title(self) -> str:
        return str(words(f"density.limit.{self.id}"))


@dataclass(frozen=True, repr=False)
class Density(Shown):
    """How many VMs a host holds. ``limits`` in a fixed order; ``first`` is the one that binds.

    ``overhead_share`` is the memory of VMM and tables over the guest's own; ``without_overhead`` the VMs that there
    would be if these took none.
    """

    options: DensityOptions
    vms: int
    limits: tuple[Limit, ...]
    overhead_share: float
    without_overhead: int
    kept_bytes: int
    guest_bytes: int
    vmm_bytes: int
    free_bytes: int

    @property
    def first(self) -> Limit:
        """The limit that binds (the first in order of equals)."""
        return min(self.limits, key=lambda limit: limit.most)

    def __getitem__(self, key: str) -> Limit:
        for limit in self.limits:
            if limit.id == key:
                return limit
        raise KeyError(f"there is no limit '{key}'; there are {', '.join(limit.id for limit in self.limits)}")

    @property
    def cost_of_overhead(self) -> int:
        """The VMs that the memory of VMM and tables costs: none where memory does not bind."""
        return self.without_overhead - self.vms

    def law(self) -> tuple[int, int]:
        """Conservation: kept, guests', VMMs' and free memory are all memory. Returns both sides in bytes."""
        return self.kept_bytes + self.guest_bytes + self.vmm_bytes + self.free_bytes, self.options.host_memory_bytes

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say("density.sentence", vms=number(self.vms, 6), first=self.first.title,
                   share=show(self.overhead_share, "%"), cost=number(self.cost_of_overhead, 6))  # fmt: skip

    def table(self) -> Table:
        rows = [(x.title, number(x.most, 7) if math.isfinite(x.most) else "–", show(x.taken, "%"))
                for x in self.limits]  # fmt: skip
        return Table.of(words("density.header"), rows, self.sentence(), numeric=(1, 2))


def density(options: DensityOptions | None = None, /, **changes: Any) -> Density:
    """VMs on one host: min(floor((C - r) t o / v), floor((M - kept) / (m + m_ov)), functions of the card).

    C cores of which r are kept, t threads a core, o vCPUs a thread, v vCPUs and m memory a VM with m_ov beside it.
    Options as in :class:`DensityOptions`, as one object or by name. Raises ParameterError.
    """
    o = DensityOptions.given(options, changes)
    most: dict[str, float] = {
        "cpu": math.floor(o.sellable_vcpus / o.vcpus + 1e-9),
        "memory": o.sellable_bytes // o.each_bytes,
    }
    if o.vf_each:
        taken = offload.functions(vfs=1, vectors=o.vectors)
        most |= {use.id: use.most for use in taken.uses if use.id != "memory"}
    vms = int(min(most.values()))
    without = int(min((most | {"memory": o.sellable_bytes // o.memory_bytes}).values()))
    shares = {"cpu": vms * o.vcpus / o.sellable_vcpus if o.sellable_vcpus else 0.0,
              "memory": vms * o.each_bytes / o.sellable_bytes}  # fmt: skip
    limits = tuple(Limit(k, n, shares.get(k, vms / n if n and math.isfinite(n) else 0.0)) for k, n in most.items())
    guest, beside = vms * o.memory_bytes, vms * (o.each_bytes - o.memory_bytes)
    kept = o.host_memory_bytes - o.sellable_bytes
    return Density(o, vms, limits, (o.each_bytes - o.memory_bytes) / o.memory_bytes, without, kept, guest, beside,
                   o.sellable_bytes - guest - beside)  # fmt: skip


def density_curve(sizes_bytes: Sequence[int], options: DensityOptions | None = None, /, **changes: Any) -> list[int]:
    """The VMs on a host for each size of a VM's memory; all else as in :func:`density`."""
    o = DensityOptions.given(options, changes)
    fixed = min(limit.most for limit in density(o).limits if limit.id != "memory")
    each = (size + o.overhead_bytes + tables_bytes(size, o.huge_pages) for size in sizes_bytes)
    return [int(min(fixed, o.sellable_bytes // taken)) for taken in each]


def density_of(start: Host | Architecture | str, /, **changes: Any) -> Density:
    """The density of a host, an architecture or the one of that id, as far as it follows from where its duties are.

    The VMM's memory, huge pages, whether each VM has a function of the card, and that vCPUs which nobody schedules are
    not overcommitted. ``changes`` are options of :class:`DensityOptions` by name. Raises ParameterError.
    """
    _, host = host_of(start)
    if host.schedule_place == "nobody" and changes.get("vcpus_per_thread", 1) > 1:
        raise ParameterError(str(words("density.nobody_schedules")))
    divided = host.memory_place == "nobody"  # once and for all, in pieces as large as the tables have
    own = {"overhead_bytes": int(VMM_BYTES[host.vmm]), "huge_pages": host.huge_pages or divided,
           "vf_each": host.device_model_place in ("card", "split")}  # fmt: skip
    return density(**own | changes)
