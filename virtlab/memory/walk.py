"""The two-dimensional page walk as a list of references: which entry is read, on the way to what, at which address."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import model_validator

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.memory.pages import ENTRY, ENTRY_BYTES, SHIFT, TABLE_BYTES, PageSize, leaf_level, level_shift, page_bytes
from virtlab.memory.touch import TouchExit, first_touch_exits

Levels = Literal[4, 5]
Cached = Literal["none", "PML5E", "PML4E", "PDPTE", "PDE"]

#: The level of the lowest entry that a paging-structure cache holds.
_CACHED_LEVEL: Mapping[str, int] = {ENTRY[level]: level for level in (2, 3, 4, 5)}
#: Guest-physical memory: tables from the first page on, the data in another gigabyte, so that no host page holds both.
_DATA_AT = 1 << 30
_UNPAGED_ADDRESS_MASK = 0xFFFF_FFFF  # without paging an address has 32 bits


class WalkOptions(Parameters):
    """One walk: the tables of both sides, and what is cached. The defaults are the cold walk of 4 KiB on 4 KiB.

    ``table_page`` is the host page behind the guest's page tables (``host``: the same as behind the data). A cache
    "down to" an entry holds that entry and those above it; entries that map a page are never in it. Combined guest
    entries hold the host address of the next guest table. ``guest_depth`` 2 is a guest in a guest, by nested EPT.
    """

    guest_levels: Levels = parameter(FACTS["walk.levels"], default=4)
    guest_page: PageSize = parameter(FACTS["walk.page"], default="4K")
    host_levels: Levels = parameter(FACTS["walk.levels"], default=4)
    host_page: PageSize = parameter(FACTS["walk.page"], default="4K")
    guest_paging: bool = parameter(FACTS["walk.guest_paging"], default=True)
    nested_paging: bool = parameter(FACTS["walk.nested_paging"], default=True)
    table_page: Literal["host", "4K", "2M", "1G"] = parameter(FACTS["walk.table_page"], default="host")
    guest_cache: Cached = parameter(FACTS["walk.cold"], default="none")
    host_cache: Cached = parameter(FACTS["walk.cold"], default="none")
    nested_tlb_tables: bool = parameter(FACTS["walk.cold"], default=False)
    nested_tlb_data: bool = parameter(FACTS["walk.cold"], default=False)
    guest_depth: Literal[1, 2] = parameter(FACTS["walk.depth"], default=1)
    virtual_address: int = parameter(FACTS["walk.address"], ge=0, le=(1 << 47) - 1)

    @model_validator(mode="after")
    def _a_guest_in_a_guest_is_nested(self) -> WalkOptions:
        if self.guest_depth == 2 and not self.nested_paging:
            raise ValueError("guest_depth must be 1 when nested_paging is False: bare metal has no guest to nest.")
        return self

    @property
    def page_of_tables(self) -> PageSize:
        """The host page behind the guest's page tables."""
        return self.host_page if self.table_page == "host" else self.table_page

    def guest_hit(self) -> int:
        """The level of the deepest cached guest entry, 0 if there is none."""
        return _hit(self.guest_cache, self.guest_levels, leaf_level(self.guest_page)) if self.guest_paging else 0

    def host_hit(self, page: PageSize) -> int:
        """The level of the deepest cached host entry on the way to a host page of this size, 0 if there is none."""
        return _hit(self.host_cache, self.host_levels, leaf_level(page))


@dataclass(frozen=True)
class Reference:
    """One read of an entry. ``number`` counts from 1 in order of time; a skipped one has 0 and says what saved it.

    ``target`` is the level of the guest table that is being located, 0 for the data. ``address`` is host-physical.
    """

    number: int
    space: Literal["guest", "host"]
    level: int
    target: int
    address: int
    skipped_by: Literal["", "guest_cache", "host_cache", "nested_tlb"] = ""

    @property
    def entry(self) -> str:
        """The entry's name with its side: gPML4E is the guest's, hPDE the host's."""
        return f"{self.space[0]}{ENTRY[self.level]}"

    @property
    def column(self) -> int:
        """Place on the grid, across: the guest level that is being located, 0 for the data."""
        return self.target

    @property
    def row(self) -> int:
        """Place on the grid, down: the host level, 0 for the guest's own read."""
        return self.level if self.space == "host" else 0

    @property
    def table_address(self) -> int:
        """Where the table that holds the entry begins."""
        return self.address & -TABLE_BYTES

    @property
    def index(self) -> int:
        """Which of the table's 512 entries it is."""
        return self.address % TABLE_BYTES // ENTRY_BYTES

    @property
    def target_text(self) -> str:
        """The guest's table that is being located, or the data, for a reader."""
        return str(words(f"walk.target.{self.target}"))

    @property
    def purpose(self) -> str:
        """What the read is for: the host's find a table or the data, the guest's are made in the table."""
        return say(f"walk.purpose.{self.space}", target=self.target_text)

    @property
    def text(self) -> str:
        """The read in one short sentence."""
        return say(f"walk.{self.space}_read", entry=ENTRY[self.level], purpose=self.purpose)


@dataclass(frozen=True, repr=False)
class Walk(Shown):
    """All references of one walk in order, those that a cache saved, and the host-physical address at its end."""

    options: WalkOptions
    references: tuple[Reference, ...]
    skipped: tuple[Reference, ...]
    final: int

    @property
    def count(self) -> int:
        """References that are made."""
        return len(self.references)

    @property
    def cold(self) -> int:
        """References of the same walk with every cache empty."""
        return len(self.references) + len(self.skipped)

    @property
    def first_touch(self) -> tuple[TouchExit, ...]:
        """The exits when the page is touched for the first time; none on bare metal."""
        return first_touch_exits(self.options.guest_depth) if self.options.nested_paging else ()

    def law(self) -> tuple[int, int]:
        """The references counted one by one, and by formula: with no cache and one host page (g + 1)(h + 1) - 1."""
        return self.count, _by_formula(self.options)

    def table(self) -> Table:
        rows = [(r.number, r.entry, r.purpose, f"{r.address:#x}") for r in self.references]
        return Table.of(words("walk.header"), rows, _caption(self), numeric=[0, 3])


def walk(options: WalkOptions | None = None, /, **changes: Any) -> Walk:
    """Every reference of one page walk. Options as in :class:`WalkOptions`, as one object or by name.

    The guest's tables lie side by side in its memory, its data in another gigabyte; host memory is given out in order
    of first use. So the upper host entries of several walks are the same entries, as they are in a small guest. On bare
    metal the one dimension that is left keeps the name guest.
    With ``guest_paging`` off the lower 32 bits of ``virtual_address`` are the guest-physical address.
    Golden: 24 for four levels and 4 KiB on both sides, 35 for five. Raises ParameterError.
    """
    o = WalkOptions.given(options, changes)
    steps, cold = _cold(o), []
    while True:
        try:
            cold.append(next(steps))
        except StopIteration as end:
            final = end.value
            break
    made: list[Reference] = []
    skipped: list[Reference] = []
    for reference in cold:
        reason = _skipped_by(o, reference)
        if reason:
            skipped.append(replace(reference, skipped_by=reason))
        else:
            made.append(replace(reference, number=len(made) + 1))
    return Walk(o, tuple(made), tuple(skipped), final)


class _Memory:
    """Host memory: each table or page gets the next free frames at its first use, and is found again later."""

    def __init__(self) -> None:
        self._next = TABLE_BYTES
        self._places: dict[tuple[str, int, int], int] = {}

    def place(self, what: str, level: int, which: int, size: int = TABLE_BYTES) -> int:
        key = (what, level, which)
        if key not in self._places:
            self._places[key] = -(-self._next // size) * size
            self._next = self._places[key] + size
        return self._places[key]


Steps = Generator[Reference, None, int]


def _cold(o: WalkOptions) -> Steps:
    """All references with every cache empty; returns the host-physical address of the data."""
    memory = _Memory()
    if not o.guest_paging:
        return (yield from _host_walk(o, memory, o.virtual_address & _UNPAGED_ADDRESS_MASK, o.host_page, 0))
    for level in range(o.guest_levels, leaf_level(o.guest_page) - 1, -1):
        table_at = TABLE_BYTES * (1 + o.guest_levels - level)
        table = yield from _host_walk(o, memory, table_at, o.page_of_tables, level)
        yield Reference(0, "guest", level, level, table + _offset(o.virtual_address, level))
    data_at = _DATA_AT + o.virtual_address % page_bytes(o.guest_page)
    return (yield from _host_walk(o, memory, data_at, o.host_page, 0))


def _host_walk(o: WalkOptions, memory: _Memory, guest_physical: int, page: PageSize, target: int) -> Steps:
    """The host's references for one guest-physical address; returns the host-physical one."""
    if not o.nested_paging:
        return guest_physical
    leaf = leaf_level(page)
    for level in range(o.host_levels, leaf - 1, -1):
        table = memory.place("table", level, guest_physical >> level_shift(level + 1))
        yield Reference(0, "host", level, target, table + _offset(guest_physical, level))
    frame = memory.place("page", leaf, guest_physical >> SHIFT[page], page_bytes(page))
    return frame + guest_physical % page_bytes(page)


def _offset(address: int, level: int) -> int:
    """Where in a table the entry for ``address`` lies, in bytes."""
    return ENTRY_BYTES * (address >> level_shift(level) & 511)


def _hit(cache: Cached, levels: int, leaf: int) -> int:
    deepest = max(_CACHED_LEVEL[cache], leaf + 1) if cache != "none" else levels + 1
    return deepest if deepest <= levels else 0


def _skipped_by(o: WalkOptions, r: Reference) -> Literal["", "guest_cache", "host_cache", "nested_tlb"]:
    hit = o.guest_hit()
    # A combined entry knows where the next table lies in the host, so the host's walk to that one is saved too.
    if hit and r.target and (r.target >= hit or (r.target == hit - 1 and r.space == "host")):
        return "guest_cache"
    if r.space == "host":
        if o.nested_tlb_tables if r.target else o.nested_tlb_data:
            return "nested_tlb"
        host_hit = o.host_hit(o.page_of_tables if r.target else o.host_page)
        if host_hit and r.level >= host_hit:
            return "host_cache"
    return ""


def _by_formula(o: WalkOptions) -> int:
    guest = o.guest_levels - leaf_level(o.guest_page) + 1 if o.guest_paging else 0
    cached = o.guest_levels - o.guest_hit() + 1 if o.guest_hit() else 0
    reads = guest - cached
    if not o.nested_paging:
        return reads

    def host(page: PageSize) -> int:
        return (o.host_hit(page) or o.host_levels + 1) - leaf_level(page)

    tables = 0 if o.nested_tlb_tables else host(o.page_of_tables)
    data = 0 if o.nested_tlb_data else host(o.host_page)
    return (reads - (cached > 0)) * tables + reads + data


def _caption(walk: Walk) -> str:
    o = walk.options
    specs = WalkOptions.specs()

    def side(name: str) -> str:
        levels, page = getattr(o, f"{name}_levels"), getattr(o, f"{name}_page")
        return say("walk.levels", levels=levels, page=specs[f"{name}_page"].show(page))

    guest = side("guest") if o.guest_paging else str(words("walk.unpaged"))
    key = "caption" if o.nested_paging else "native"
    return say(f"walk.{key}", count=walk.count, cold=walk.cold, guest=guest, host=side("host"))
