"""How a host learns which pages a guest wrote: write protection, PML or a dirty ring, and what becomes of huge pages.

A dirty log has a bit or an entry for each page of 4 KiB, whatever maps the guest's memory. While it is on, the mappings
must be as small:

    split="start"   all huge pages when logging starts: KVM alone, or QEMU with the dirty ring
    split="clear"   those that a CLEAR covers, before it: QEMU's bitmap (manual protection, initially set)
    split="fault"   those that are written, in the write fault: ``eager_page_split=N``

All counts are of one vCPU, from one clearing of the log to the next, the first one after the split. An EPT violation or
a full PML log is taken to cost what an exit handled in KVM costs, a full ring what an exit to QEMU costs; the work of
the handler itself comes on top, so the shares err to the low side.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, expm1, inf, log1p
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.memory.pages import PageSize, page_bytes

Writes = Literal["sweep", "random"]
Log = Literal["write-protect", "pml", "ring"]
Split = Literal["start", "clear", "fault"]

PAGE_BYTES = page_bytes("4K")
_PER_HUGE = page_bytes("2M") // PAGE_BYTES
_PML_ENTRIES = int(FACTS["dirty.pml.entries"].value)
_RING_RESERVED = int(FACTS["dirty.ring.reserved"].value) + _PML_ENTRIES
_REAPER_S = FACTS["dirty.ring.reaper"].value
_SPLIT_NS_PER_ENTRY = FACTS["dirty.split.entry"].value


class LogOptions(Parameters):
    """The guest's memory, how it is written and how that is logged. ``hot_bytes`` is the writable working set."""

    memory_bytes: int = parameter(FACTS["migration.memory"], ge=1 << 20, le=1 << 46, log=True)
    hot_bytes: int | None = parameter(FACTS["migration.hot"], ge=1 << 12, le=1 << 46, log=True, follows="memory_bytes")
    writes: Writes = parameter(FACTS["migration.writes"], default="sweep")
    log: Log = parameter(FACTS["dirty.log"], default="pml")
    page: PageSize = parameter(FACTS["migration.page"], default="2M")
    split: Split = parameter(FACTS["dirty.split"], default="clear")
    dirty_ring_entries: int = parameter(FACTS["dirty.ring.entries"], ge=1024, le=65_536, log=True)
    clock_ghz: float = parameter(FACTS["cpu.clock"], ge=1, le=6)
    exit_kernel_cycles: float = parameter(FACTS["exit.m01.pio.ioeventfd"], ge=300, le=20_000)
    exit_user_cycles: float = parameter(FACTS["exit.m01.pio.qemu"], ge=1_000, le=100_000)

    @property
    def pages(self) -> float:
        """Pages of 4 KiB of the whole memory."""
        return self.memory_bytes / PAGE_BYTES

    @property
    def hot_pages(self) -> float:
        """Pages of 4 KiB that are written at all: never more than there are."""
        return self.pages if self.hot_bytes is None else min(self.hot_bytes, self.memory_bytes) / PAGE_BYTES


class DirtyOptions(LogOptions):
    """Dirty logging for one vCPU that writes to ``write_rate_per_s`` pages a second, cleared every ``clear_s``.

    A sweep writes one page after the other, so that each write dirties a page that is still clean; random writes meet
    dirty ones too. ``recover_in_place``: KVM puts the huge pages back itself when logging ends.
    """

    write_rate_per_s: float = parameter(FACTS["dirty.write_rate"], ge=0, le=1e9)
    clear_s: float = parameter(FACTS["dirty.clear"], ge=0.001, le=3600, log=True)
    recover_in_place: bool = parameter(FACTS["dirty.recover.in_place"], default=True)
    tlb_entries: int = parameter(FACTS["cpu.skx.tlb.l2"], ge=16, le=16_384, log=True)


class Logged(NamedTuple):
    """What logging causes in one interval: pages by the way that recorded them, and exits."""

    pages: float  # recorded; with a ring a page counts once a harvest
    faults: float  # write faults, each of which records one page
    pml_entries: float  # pages recorded by the CPU
    pml_exits: float  # the PML log was full
    ring_exits: float  # the ring was full: an exit to QEMU

    def exit_s(self, options: LogOptions) -> float:
        """The time in s that the exits take."""
        kernel = (self.faults + self.pml_exits) * options.exit_kernel_cycles
        return (kernel + self.ring_exits * options.exit_user_cycles) / (options.clock_ghz * 1e9)


@dataclass(frozen=True, repr=False)
class DirtyLog(Shown):
    """One interval between two clearings of the log: counts, rates, shares and what the split does to the TLB."""

    options: DirtyOptions
    unique_pages: float
    logged: Logged
    split_entries: float
    reach_before_bytes: float
    reach_after_bytes: float

    @property
    def faults(self) -> float:
        """Write faults: one a page first written since the last clear, none where PML records it."""
        return self.logged.faults

    @property
    def pml_exits(self) -> float:
        """Exits because the PML log of 512 entries was full; what is left in it is read without one."""
        return self.logged.pml_exits

    @property
    def ring_exits(self) -> float:
        """Exits to QEMU because the dirty ring was full before it was harvested."""
        return self.logged.ring_exits

    @property
    def exits_per_s(self) -> float:
        """All exits that logging causes, a second."""
        return (self.faults + self.pml_exits + self.ring_exits) / self.options.clear_s

    @property
    def vcpu_share(self) -> float:
        """Share of the vCPU's time that these exits take. Above 1: no vCPU can write that fast under this log."""
        return self.logged.exit_s(self.options) / self.options.clear_s

    @property
    def split_s(self) -> float:
        """The time in s to split, at the rate that was measured for splitting ahead (on a host thread, no vCPU)."""
        return self.split_entries * _SPLIT_NS_PER_ENTRY / 1e9

    @property
    def refaults(self) -> float:
        """Faults after logging has ended: one a huge page that was split, none where KVM puts it back in place."""
        return 0.0 if self.options.recover_in_place else self.split_entries * PAGE_BYTES / page_bytes(self.options.page)

    def law(self) -> tuple[float, float]:
        """Conservation: each page in the log came there by a fault or by PML. Returns both sides."""
        return self.logged.faults + self.logged.pml_entries, self.logged.pages

    def table(self) -> Table:
        o = self.options
        figures = (
            ("unique", number(self.unique_pages)),
            ("faults", number(self.faults)),
            ("pml_exits", number(self.pml_exits)),
            ("ring_exits", number(self.ring_exits)),
            ("share", show(self.vcpu_share, "%")),
            ("split_entries", number(self.split_entries)),
            ("split_time", show(self.split_s, "s")),
            ("reach_before", show(self.reach_before_bytes, "B")),
            ("reach_after", show(self.reach_after_bytes, "B")),
            ("refaults", number(self.refaults)),
        )
        rows = [(words(f"migration.dirty.{key}"), text) for key, text in figures]
        log = LogOptions.specs()["log"].choice_label(o.log)
        caption = say("migration.dirty.caption", log=log, time=show(o.clear_s, "s"))
        return Table.of(words("migration.dirty.header"), rows, caption, numeric=[1])


def unique_pages(
    pages: float, writes_per_s: float, seconds: float | NDArray[np.float64], writes: Writes = "random"
) -> float | NDArray[np.float64]:
    """How many of ``pages`` are dirty after ``seconds``: P (1 - e^(-w t / P)) at random, min(P, w t) in a sweep.

    ``seconds`` is a number or float[n]; the result has its shape. The random law is the mean of independent writes to
    equally likely pages (a Poisson number to each). Golden: 262 144 pages, 1e5 writes a second, 1 s: 83 137.
    Raises ParameterError.
    """
    if writes not in ("sweep", "random"):
        raise ParameterError(f"writes must be sweep or random; you gave {writes!r}: each has its own law.")
    if not (0 < pages < inf and 0 <= writes_per_s < inf and np.all(np.isfinite(seconds) & (np.asarray(seconds) >= 0))):
        raise ParameterError(
            f"pages must be above 0, writes_per_s and seconds 0 or more, all finite; you gave {pages!r}, "
            f"{writes_per_s!r} and {seconds!r}: no page is written before it exists or before logging starts."
        )
    if np.ndim(seconds) == 0:
        return _unique(pages, writes_per_s * float(seconds), writes)
    written = writes_per_s * np.asarray(seconds)
    return np.minimum(pages, written) if writes == "sweep" else -pages * np.expm1(-written / pages)


def logged(options: LogOptions, write_rate_per_s: float, seconds: float) -> Logged:
    """What the log does in ``seconds`` of writing to ``write_rate_per_s`` pages a second. See :class:`LogOptions`.

    PML records what the CPU writes, except where a split at the fault left the new mappings write-protected: there the
    first write to each page is a fault, as with write protection. A ring holds fewer pages than its size (64 and one
    PML log stay free), is harvested once a second or when it is full, and then forgets: a hot page is logged again.
    """
    pages = options.hot_pages
    unique = _unique(pages, write_rate_per_s * seconds, options.writes)
    if options.log == "write-protect":
        return Logged(unique, unique, 0.0, 0.0, 0.0)
    faults = unique if options.split == "fault" and options.page != "4K" else 0.0
    if options.log == "pml":
        recorded = unique - faults
        return Logged(unique, faults, recorded, float(recorded // _PML_ENTRIES), 0.0)
    full_s = _seconds_to_write(pages, write_rate_per_s, options.dirty_ring_entries - _RING_RESERVED, options.writes)
    harvest_s = min(full_s, _REAPER_S, seconds)
    harvests = seconds / harvest_s if harvest_s else 0.0
    recorded = harvests * _unique(pages, write_rate_per_s * harvest_s, options.writes)
    by_pml = max(0.0, recorded - faults)
    # A full log exits; a harvest empties it without one.
    pml_exits = harvests * (by_pml / harvests // _PML_ENTRIES) if harvests else 0.0
    return Logged(recorded, recorded - by_pml, by_pml, pml_exits, harvests if full_s < min(_REAPER_S, seconds) else 0.0)


def split_entries(options: LogOptions, write_rate_per_s: float, seconds: float) -> float:
    """Leaf entries of 4 KiB that take the place of huge ones: 262 144 a GiB, or 512 a written 2 MiB if at the fault."""
    if options.page == "4K":
        return 0.0
    if options.split != "fault":
        return options.pages
    huge = max(1.0, options.hot_pages / _PER_HUGE)
    rate = write_rate_per_s / _PER_HUGE if options.writes == "sweep" else write_rate_per_s
    return min(options.pages, _PER_HUGE * ceil(_unique(huge, rate * seconds, options.writes)))


def dirty_logging(options: DirtyOptions | None = None, /, **changes: Any) -> DirtyLog:
    """One interval of dirty logging. Parameters as in :class:`DirtyOptions`, one object or by name: ParameterError.

    The reach of the TLB is entries times page, before the split and where it has been done (the guest's own pages are
    taken to be as large as the host's: an entry maps the smaller of both). Golden: a million pages written once in a
    second are a million write faults, or 1 953 exits of PML; a GiB of huge pages becomes 262 144 entries.
    """
    o = DirtyOptions.given(options, changes)
    return DirtyLog(
        options=o,
        unique_pages=_unique(o.hot_pages, o.write_rate_per_s * o.clear_s, o.writes),
        logged=logged(o, o.write_rate_per_s, o.clear_s),
        split_entries=split_entries(o, o.write_rate_per_s, o.clear_s),
        reach_before_bytes=o.tlb_entries * page_bytes(o.page),
        reach_after_bytes=o.tlb_entries * PAGE_BYTES,
    )


def _unique(pages: float, written: float, writes: Writes) -> float:
    return min(pages, written) if writes == "sweep" else -pages * expm1(-written / pages)


def _seconds_to_write(pages: float, writes_per_s: float, wanted: float, writes: Writes) -> float:
    """The time until ``wanted`` different pages are dirty: the inverse of :func:`unique_pages`."""
    if wanted > pages or not writes_per_s or (writes == "random" and wanted == pages):
        return inf
    return wanted / writes_per_s if writes == "sweep" else -pages / writes_per_s * log1p(-wanted / pages)
