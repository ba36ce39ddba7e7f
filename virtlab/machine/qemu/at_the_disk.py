"""What arrives at the disk behind a real QEMU: requests that were merged, and flushes and writes in each cache mode.

The disk is ours (nbd.py), with a volatile cache of its own, so that it can say what a power failure would leave. QEMU's
NBD client passes flushes on in every mode; so a second disk refuses each flush: does the guest learn of it?
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from virtlab.core.table import Shown, Table
from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.machine.computer import watch
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.disks import CACHE_OPTIONS, VirtioBlk, pattern
from virtlab.machine.qemu.nbd import NbdDisk
from virtlab.machine.qemu.recorded import (
    Span,
    Witness,
    kept_table,
    plain,
    qemu_version,
    span,
    witness_lines,
    witness_of,
)

DEPTHS = (1, 2, 4, 8, 16, 32)
_SHOWN = (1, 8, 32)  # of them, in the table
MOMENTS = ("after_a", "after_b", "after_flush")
_BLOCKS = {"A": (0, b"\xaa" * 4096), "B": (8, b"\xbb" * 4096)}  # sector, contents


class Setup(NamedTuple):
    """A disk and how it is read: the transport, EVENT_IDX, QEMU's merging, and whether the reads are adjacent."""

    transport: str = "mmio"
    event_idx: bool = True
    merging: bool = True
    adjacent: bool = True


SETUPS = tuple(
    Setup(transport, event_idx, merging, adjacent)
    for transport, event_idx, merging in (("mmio", True, True), ("mmio", True, False), ("mmio", False, True),
                                          ("pci", True, True), ("pci", False, True))
    for adjacent in (True, False)
)  # fmt: skip


class AtDepth(NamedTuple):
    """Of one batch of reads that are in flight together: requests at the disk, register accesses, calls."""

    at_disk: Span
    accesses: Span
    calls: Span


@dataclass(frozen=True, repr=False)
class Merging(Shown):
    """By setup and depth, what a batch of reads of 4 KiB, shown to the device with one kick, comes to."""

    witness: Witness
    rounds: int
    seen: Mapping[Setup, Mapping[int, AtDepth]]

    def table(self) -> Table:
        rows = []
        for setup, by_depth in self.seen.items():
            columns = (" → ".join(getattr(by_depth[depth], what).per(depth).text() for depth in _SHOWN)
                       for what in AtDepth._fields)  # fmt: skip
            rows.append((_setup_text(setup), *columns))
        shown = ", ".join(map(str, _SHOWN))
        caption = say("at_the_disk.merging_caption", label=self.witness.label(), rounds=self.rounds, shown=shown)
        return Table.of(words("at_the_disk.header"), rows, caption)

    def sentence(self) -> str:
        """What merging does to the deepest batch."""
        deepest = DEPTHS[-1]
        merged, plain_, apart = (self.seen[Setup(merging=m, adjacent=a)][deepest].at_disk.median
                                 for m, a in ((True, True), (False, True), (True, False)))  # fmt: skip
        return say("at_the_disk.merging", label=self.witness.label(), n=deepest, merged=number(merged),
                   plain=number(plain_), apart=number(apart))  # fmt: skip

    def toml(self) -> str:
        """The text of a file that :func:`recorded_merging` reads."""
        lines = [*witness_lines(self.witness), f"rounds = {self.rounds}"]
        for setup, by_depth in self.seen.items():
            lines += ["", "[[setup]]", *(f"{key} = {json.dumps(value)}" for key, value in setup._asdict().items())]
            for what in AtDepth._fields:
                spans = ", ".join(plain(getattr(by_depth[depth], what)) for depth in DEPTHS)
                lines.append(f"counted_{what} = [{spans}]")
        return "\n".join([*lines, ""])


class ModeSeen(NamedTuple):
    """One cache mode. ``survivors``: by moment, the blocks that a power failure would leave on our disk.

    ``write_back``: what the guest is told. ``fua``: writes, of two, that were to be durable at once. ``flushes``: those
    that arrived, of one. ``refused``: the request ("write" or "flush") that failed for the guest on the disk that
    refuses every flush; empty when all were said to be done.
    """

    write_back: bool
    fua: int
    flushes: int
    survivors: tuple[str, ...]
    refused: str


@dataclass(frozen=True, repr=False)
class Flushes(Shown):
    """By QEMU's cache mode, what became of two writes and a flush."""

    witness: Witness
    modes: Mapping[str, ModeSeen]

    def swallows(self, mode: str) -> bool:
        """Whether a guest is told that a flush succeeded which the disk refused."""
        return not self.modes[mode].refused

    def table(self) -> Table:
        rows = []
        for mode, seen in self.modes.items():
            left = [" and ".join(blocks) or str(words("durability.nothing")) for blocks in seen.survivors]
            told = words(f"at_the_disk.told.{'yes' if seen.write_back else 'no'}")
            refused = words(f"at_the_disk.refused.{seen.refused or 'nothing'}")
            rows.append((mode, told, str(seen.fua), str(seen.flushes), *left, refused))
        head = words("at_the_disk.modes_header")
        return Table.of(head, rows, say("at_the_disk.modes_caption", label=self.witness.label()), (2, 3))

    def sentence(self) -> str:
        swallowing = [mode for mode in self.modes if self.swallows(mode)]
        return say("at_the_disk.flushes", label=self.witness.label(),
                   modes=", ".join(swallowing) or words("durability.nothing"),
                   fua=", ".join(mode for mode, seen in self.modes.items() if seen.fua))  # fmt: skip

    def toml(self) -> str:
        """The text of a file that :func:`recorded_flushes` reads."""
        lines = witness_lines(self.witness)
        for mode, seen in self.modes.items():
            fields = (f"{key} = {json.dumps(value)}" for key, value in seen._asdict().items())
            lines += ["", "[[mode]]", f'name = "{mode}"', *fields]
        return "\n".join([*lines, ""])


def measure_merging(rounds: int = 3, setups: Sequence[Setup] = SETUPS) -> Merging:
    """Reads batches of 1 to 32 blocks through this computer's own QEMU, and counts them on both sides.

    Takes about two seconds and leaves nothing behind. Raises MachineError when there is no QEMU or it fails.
    """
    qemu, looked = qemu_version(), watch()
    seen = {setup: _batches(setup, rounds) for setup in setups}
    return Merging(Witness(qemu, looked()), rounds, seen)


def _batches(setup: Setup, rounds: int) -> dict[int, AtDepth]:
    samples: dict[int, list[tuple[float, float, float]]] = {depth: [] for depth in DEPTHS}
    with (
        NbdDisk(pattern()) as nbd,
        VirtioBlk(transport=setup.transport, event_idx=setup.event_idx, merging=setup.merging,  # type: ignore[arg-type]
                  served=nbd) as disk,
    ):  # fmt: skip
        disk.read(0)
        disk.counted("", 1)
        for _ in range(rounds):
            for depth in DEPTHS:
                before = nbd.counted["reads"]
                disk.batch(depth, adjacent=setup.adjacent)
                disk.late_calls(depth)
                counted = disk.counted("", depth)
                accesses = counted["register_reads"] + counted["register_writes"]
                samples[depth].append((nbd.counted["reads"] - before, accesses, counted["calls"]))
    return {depth: AtDepth(*(Span.of(values) for values in zip(*found, strict=True)))
            for depth, found in samples.items()}  # fmt: skip


def measure_flushes() -> Flushes:
    """Writes two blocks and flushes, in each cache mode of this computer's own QEMU, on two disks of ours.

    Takes about two seconds and leaves nothing behind. Raises MachineError when there is no QEMU or it fails.
    """
    qemu, looked = qemu_version(), watch()
    modes = {mode: _mode(mode) for mode in CACHE_OPTIONS}
    return Flushes(Witness(qemu, looked()), modes)


def _mode(mode: str) -> ModeSeen:
    with NbdDisk(pattern()) as nbd, VirtioBlk(served=nbd, cache=mode) as disk:
        nbd.counted.clear()
        survivors = []
        for block, (sector, data) in _BLOCKS.items():
            disk.write(sector, data)
            survivors.append(_survivors(nbd, "AB"[: "AB".index(block) + 1]))
        disk.flush()
        survivors.append(_survivors(nbd, "AB"))
        if nbd.failure:
            raise MachineError(nbd.failure)
        found = disk.write_back, nbd.counted["fua"], nbd.counted["flushes"], tuple(survivors)
    return ModeSeen(*found, refused=_refused(mode))


def _survivors(nbd: NbdDisk, written: str) -> str:
    medium = nbd.after_power_failure()
    places = {block: (512 * sector, data) for block, (sector, data) in _BLOCKS.items()}
    return "".join(block for block in written if medium[(at := places[block][0]) : at + 4096] == places[block][1])


def _refused(mode: str) -> str:
    """The first request that fails for a guest whose disk refuses every flush."""
    with VirtioBlk(cache=mode, refusing=True) as disk:
        for name, ask in (("write", lambda: disk.write(*_BLOCKS["A"])), ("flush", disk.flush)):
            try:
                ask()
            except MachineError:
                return name
        disk.read(0)  # it still answers: the flush was not lost, it was said to be done
    return ""


def _setup_text(setup: Setup) -> str:
    parts = [words(f"device.disk.{setup.transport}")]
    keys = (("event_idx", setup.event_idx), ("request_merging", setup.merging), ("adjacent", setup.adjacent))
    for key, value in keys:
        parts.append(str(words(f"at_the_disk.{key}.{'on' if value else 'off'}")))
    return ", ".join(parts)


@functools.cache
def recorded_merging() -> Merging:
    """What arrived behind a QEMU that comes with the course, for computers that have none."""
    tree = kept_table("recorded_merging.toml")
    seen = {}
    for entry in tree["setup"]:
        columns = [[span(value) for value in entry[f"counted_{what}"]] for what in AtDepth._fields]
        by_depth = {depth: AtDepth(*row) for depth, row in zip(DEPTHS, zip(*columns, strict=True), strict=True)}
        seen[Setup(**{key: entry[key] for key in Setup._fields})] = by_depth
    return Merging(witness_of(tree), tree["rounds"], seen)


@functools.cache
def recorded_flushes() -> Flushes:
    """The cache modes of a QEMU that comes with the course, for computers that have none."""
    tree = kept_table("recorded_flushes.toml")
    modes = {}
    for entry in tree["mode"]:
        fields = {key: entry[key] for key in ModeSeen._fields}
        modes[entry["name"]] = ModeSeen(**{**fields, "survivors": tuple(fields["survivors"])})
    return Flushes(witness_of(tree), modes)
