"""Pages and page-table levels of x86-64: how many bytes an entry maps, and what each level is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

PageSize = Literal["4K", "2M", "1G"]

PAGES: tuple[PageSize, ...] = ("4K", "2M", "1G")
#: Address bits inside a page.
SHIFT: Mapping[PageSize, int] = {"4K": 12, "2M": 21, "1G": 30}
ENTRY_BYTES = 8
TABLE_BYTES = 4096
#: What a cache holds and memory is read by: eight entries.
LINE_BYTES = 64
#: The name of an entry at each level: level 1 maps 4 KiB, each further one 512 times as much.
ENTRY: Mapping[int, str] = {1: "PTE", 2: "PDE", 3: "PDPTE", 4: "PML4E", 5: "PML5E"}


def page_bytes(page: PageSize) -> int:
    """The size of a page in bytes."""
    return 1 << SHIFT[page]


def leaf_level(page: PageSize) -> int:
    """The level whose entry maps a page of this size: 1, 2 or 3."""
    return (SHIFT[page] - 12) // 9 + 1


def level_shift(level: int) -> int:
    """Address bits below the index of ``level``: an entry there maps ``1 << level_shift(level)`` bytes."""
    return 12 + 9 * (level - 1)


def smaller(guest: PageSize, host: PageSize) -> PageSize:
    """The page size of the TLB entry: the smaller of the guest's and the host's page."""
    return min(guest, host, key=PAGES.index)


def table_bytes(level: int, memory_bytes: float) -> int:
    """The bytes of all entries at ``level`` that map ``memory_bytes`` of consecutive memory, at least one entry."""
    return ENTRY_BYTES * max(1, -(-int(memory_bytes) >> level_shift(level)))
