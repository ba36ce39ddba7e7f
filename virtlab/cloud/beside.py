"""The memory that a host gives up beside each VM's own: the VMM's process, and the tables that map the guest."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType

from virtlab.evidence import FACTS
from virtlab.memory import footprint

#: Bytes of the VMM process for each VM, by VMM: address space with data in it, in published runs of one study.
VMM_BYTES: Mapping[str, float] = MappingProxyType({
    vmm: 2**20 * FACTS[f"overhead.memory.{fact}"].value
    for vmm, fact in (("qemu", "qemu"), ("chv", "chv"), ("light", "fc"))
})  # fmt: skip


@functools.lru_cache(maxsize=1024)
def tables_bytes(memory_bytes: int, huge_pages: bool, described: bool = False) -> int:
    """What maps the memory of one VM on the host's side, all of it touched; with the page descriptors if asked for."""
    found = footprint(memory_bytes=memory_bytes, host_page="2M" if huge_pages else "4K", touched_share=1.0)
    return sum(found.host_tables_bytes.values()) + (found.host_struct_pages_bytes if described else 0)
