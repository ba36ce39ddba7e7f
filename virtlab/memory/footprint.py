"""What a VM's memory costs besides itself: page tables twice, page descriptors, bloat, and the first touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_validator

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.memory.pages import TABLE_BYTES, PageSize, leaf_level, level_shift, page_bytes

_SMALL_BYTES = page_bytes("4K")
_STRUCT_PAGE_BYTES = int(FACTS["page.struct"].value)


class FootprintOptions(Parameters):
    """A guest's memory and what backs it. ``pool_bytes`` of ``None`` is a pool that just holds the guest.

    1 GiB pages come from the hugetlb pool whatever ``hugetlb`` says (THP makes none), 4 KiB pages never do; then the
    pool and ``hvo`` do not matter.
    """

    memory_bytes: int = parameter(FACTS["footprint.memory"], ge=1 << 20, le=1 << 46, log=True)
    guest_page: PageSize = parameter(FACTS["walk.page"], default="4K")
    guest_levels: Literal[4, 5] = parameter(FACTS["walk.levels"], default=4)
    host_page: PageSize = parameter(FACTS["walk.page"], default="4K")
    host_levels: Literal[4, 5] = parameter(FACTS["walk.levels"], default=4)
    touched_share: float = parameter(FACTS["footprint.touched"], ge=0, le=1)
    hugetlb: bool = parameter(FACTS["footprint.hugetlb"], default=False)
    pool_bytes: int | None = parameter(FACTS["footprint.pool"], ge=1 << 20, le=1 << 47, follows="memory_bytes")
    hvo: bool = parameter(FACTS["footprint.hvo"], default=False)
    ept_violation_ns: float = parameter(FACTS["mmu.first_touch"], ge=500, le=100_000)
    copy_gbyte_per_s: float = parameter(FACTS["host.copy"], ge=0.5, le=200)

    @model_validator(mode="after")
    def _the_pool_holds_the_guest(self) -> FootprintOptions:
        if self.pool_bytes is not None and self.pool_bytes < self.memory_bytes:
            raise ValueError(
                f"pool_bytes must be at least memory_bytes ({self.memory_bytes:,} B); you gave {self.pool_bytes:,}: "
                "a guest whose pool runs out is killed at its next touch."
            )
        return self

    @property
    def from_pool(self) -> bool:
        """Whether the backing comes from the hugetlb pool."""
        return self.host_page == "1G" or (self.hugetlb and self.host_page == "2M")


@dataclass(frozen=True, repr=False)
class Footprint(Shown):
    """Bytes that the host gives up for one VM, what the guest spends of its own, and the exits of the first touch.

    ``guest_tables_bytes`` and ``host_tables_bytes`` are by level. ``backing_bytes`` are the pages themselves: touched,
    bloat (the rest of huge pages that were touched) and unused (of the pool).
    """

    options: FootprintOptions
    backing_bytes: int
    touched_bytes: int
    bloat_bytes: int
    unused_bytes: int
    guest_tables_bytes: Mapping[int, int]
    host_tables_bytes: Mapping[int, int]
    guest_struct_pages_bytes: int
    host_struct_pages_bytes: int
    first_touch_exits: int
    first_touch_ns: float

    @property
    def host_total_bytes(self) -> int:
        """All that the host gives up."""
        return self.backing_bytes + sum(self.host_tables_bytes.values()) + self.host_struct_pages_bytes

    @property
    def guest_overhead_bytes(self) -> int:
        """What the guest spends of its own memory on tables and descriptors."""
        return sum(self.guest_tables_bytes.values()) + self.guest_struct_pages_bytes

    def law(self) -> tuple[int, int]:
        """Conservation: touched, bloat and unused bytes are all pages that back the guest. Returns both sides."""
        return self.touched_bytes + self.bloat_bytes + self.unused_bytes, self.backing_bytes

    def table(self) -> Table:
        parts = {
            "touched": self.touched_bytes,
            "bloat": self.bloat_bytes,
            "unused": self.unused_bytes,
            "host_tables": sum(self.host_tables_bytes.values()),
            "host_struct_pages": self.host_struct_pages_bytes,
            "total": self.host_total_bytes,
            "guest_tables": sum(self.guest_tables_bytes.values()),
            "guest_struct_pages": self.guest_struct_pages_bytes,
        }
        o, specs = self.options, FootprintOptions.specs()
        caption = say(
            "footprint.caption", memory=show(o.memory_bytes, "B"), guest=specs["guest_page"].show(o.guest_page),
            host=specs["host_page"].show(o.host_page), total=show(self.host_total_bytes, "B"),
        )  # fmt: skip
        touch = say("footprint.first_touch", exits=f"{self.first_touch_exits:,}", time=show(self.first_touch_ns, "ns"))
        rows = [(words(f"footprint.{part}"), show(size, "B")) for part, size in parts.items()]
        return Table.of(words("footprint.header"), rows, f"{caption}; {touch}", numeric=[1])


def footprint(options: FootprintOptions | None = None, /, **changes: Any) -> Footprint:
    """What one VM's memory costs. Options as in :class:`FootprintOptions`, as one object or by name.

    The guest touches ``touched_share`` of its 4 KiB pages, spread evenly, one in each huge page before a second one in
    any. Its own tables map all of its memory once, with one page size, and it describes all of it (64 B for 4 KiB); so
    does the host for what backs it. Tables count as whole 4 KiB pages. A first touch is one EPT violation a host page;
    a larger page takes longer by clearing its other bytes at the speed of a copy, an estimate. Left out: tables of
    several processes, IOMMU tables, swap, a host that maps the memory of QEMU with tables of its own once more.
    Golden: first touch of 1 GiB: 262,144, 512 or 1 exits; descriptors 1.5625 %. Raises ParameterError.
    """
    o = FootprintOptions.given(options, changes)
    page = page_bytes(o.host_page)
    small = -(-o.memory_bytes // _SMALL_BYTES)
    touched = round(o.touched_share * small)
    pages = min(-(-o.memory_bytes // page), touched)
    pool = o.memory_bytes if o.pool_bytes is None else o.pool_bytes
    allocated = page * pages
    backing = max(allocated, -(-pool // page) * page) if o.from_pool else allocated
    return Footprint(
        options=o,
        backing_bytes=backing,
        touched_bytes=_SMALL_BYTES * touched,
        bloat_bytes=pages * (page - _SMALL_BYTES) - _SMALL_BYTES * (touched - pages),
        unused_bytes=backing - allocated,
        guest_tables_bytes=_tables(o.memory_bytes, o.guest_levels, o.guest_page, small),
        host_tables_bytes=_tables(o.memory_bytes, o.host_levels, o.host_page, pages),
        guest_struct_pages_bytes=small * _STRUCT_PAGE_BYTES,
        host_struct_pages_bytes=_struct_pages(backing, o),
        first_touch_exits=pages,
        first_touch_ns=pages * (o.ept_violation_ns + (page - _SMALL_BYTES) / o.copy_gbyte_per_s),
    )


def _tables(memory_bytes: int, levels: int, page: PageSize, pages: int) -> dict[int, int]:
    """Bytes of tables by level, whole tables of 4 KiB, for ``pages`` pages spread evenly over the memory."""
    counts = {}
    for level in range(levels, leaf_level(page) - 1, -1):
        covering = -(-memory_bytes >> level_shift(level + 1))
        counts[level] = 1 if level == levels else min(covering, pages)
    return {level: TABLE_BYTES * count for level, count in counts.items()}


def _struct_pages(backing_bytes: int, o: FootprintOptions) -> int:
    """Descriptors of the host's pages; HVO keeps one page of them for each hugetlb page."""
    if o.hvo and o.from_pool:
        return backing_bytes // page_bytes(o.host_page) * TABLE_BYTES
    return backing_bytes // _SMALL_BYTES * _STRUCT_PAGE_BYTES
