"""What checks on stored data cost, and what they detect: every fault is tried on a small disk with real checksums."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

CheckKind = Literal["none", "beside", "dif", "apart"]
CHECK_KINDS: tuple[CheckKind, ...] = get_args(CheckKind)
#: What can happen to a block on its way or at rest, and is not reported by the disk.
FAULTS = ("flipped_bit", "wrong_block_read", "misdirected_write", "lost_write")
_TUPLE_BYTES = int(FACTS["check.dif.tuple"].value)
_BYTES: Mapping[CheckKind, int] = {"none": 0, "beside": 4, "dif": _TUPLE_BYTES, "apart": 4}
_GUARD_BITS: Mapping[CheckKind, int] = {"none": 0, "beside": 32, "dif": 16, "apart": 32}


class DataCheckOptions(Parameters):
    """A throughput, the block that one check covers, and how fast a core computes it.

    ``check``: "beside" is a CRC32C stored with the block, "dif" the tuple of T10 (guard, and the block's number as
    reference tag), "apart" a CRC32C kept elsewhere, by block number, as Btrfs and ZFS do.
    """

    check: CheckKind = parameter(FACTS["check.kind"], default="dif")
    check_interval_bytes: int = parameter(FACTS["check.interval"], ge=512, le=4096, log=True)
    check_cycles_per_byte: float = parameter(FACTS["check.crc32c.pcl"], ge=0.01, le=10, log=True)
    throughput_gbit_per_s: float = parameter(FACTS["crypto.throughput"], ge=0.1, le=1000, log=True)
    clock_ghz: float = parameter(FACTS["crypto.clock"], ge=1, le=6)


@dataclass(frozen=True, repr=False)
class DataCheck(Shown):
    """Cores, extra bytes, and by fault whether a read notices it."""

    options: DataCheckOptions
    cores: float
    extra_share: float
    detects: Mapping[str, bool]

    @property
    def missed_share(self) -> float:
        """Of blocks whose contents became random bits, how many pass all the same: 2 to the minus bits of the guard."""
        return 2.0 ** -_GUARD_BITS[self.options.check]

    def law(self) -> tuple[float, float]:
        """Conservation: data and check together are what is stored. Both sides in bytes of one block."""
        interval = self.options.check_interval_bytes
        return interval * (1 + self.extra_share), float(interval + _BYTES[self.options.check])

    def sentence(self) -> str:
        o = self.options
        kind = DataCheckOptions.specs()["check"]
        found = [words(f"data_check.fault.{fault}") for fault in FAULTS if self.detects[fault]]
        missed = [words(f"data_check.fault.{fault}") for fault in FAULTS if not self.detects[fault]]
        nothing = str(words("data_check.nothing"))
        return say("data_check.sentence", kind=kind.show(o.check), rate=show(o.throughput_gbit_per_s, "Gb/s"),
                   cores=number(self.cores), extra=show(self.extra_share, "%"), found=", ".join(found) or nothing,
                   missed=", ".join(missed) or nothing)  # fmt: skip

    def table(self) -> Table:
        """Every kind of check with these options beside each other."""
        rows = []
        for kind in CHECK_KINDS:
            other = data_check(self.options, check=kind)
            marks = [words(f"data_check.mark.{'found' if other.detects[fault] else 'missed'}") for fault in FAULTS]
            rows.append((DataCheckOptions.specs()["check"].show(kind), number(other.cores),
                         show(other.extra_share, "%"), *marks))  # fmt: skip
        head = [*words("data_check.header"), *(words(f"data_check.fault.{fault}") for fault in FAULTS)]
        return Table.of(head, rows, self.sentence(), numeric=(1, 2))


def data_check(options: DataCheckOptions | None = None, /, **changes: Any) -> DataCheck:
    """What a check costs in software, and what it detects. Options as in :class:`DataCheckOptions`.

    Golden: T10 DIF adds 8 B to 512 B (1.56 %) or to 4 KiB (0.195 %); it detects a misdirected write and a block read
    from elsewhere by the reference tag, and not a write that was lost. Raises ParameterError.
    """
    o = DataCheckOptions.given(options, changes)
    gbyte = 0.0 if o.check == "none" else o.throughput_gbit_per_s / 8
    return DataCheck(o, gbyte * o.check_cycles_per_byte / o.clock_ghz,
                     _BYTES[o.check] / o.check_interval_bytes, detects(o.check))  # fmt: skip


# --- the faults, tried on a disk of three blocks ----------------------------------------------------------------------


class Stored(NamedTuple):
    """What lies in one place of the disk: data, and the check that was stored with it."""

    data: bytes
    check: tuple[int, ...]


@functools.cache
def detects(kind: CheckKind) -> Mapping[str, bool]:
    """By fault, whether reading the blocks that were meant and hit notices it. Each is done to a disk of its own."""
    return {fault: _noticed(kind, fault) for fault in FAULTS}


def _noticed(kind: CheckKind, fault: str) -> bool:
    old = [bytes([n]) * 512 for n in range(3)]
    disk = [_write(kind, data, at) for at, data in enumerate(old)]
    apart = [crc32c(data) for data in old]  # where nothing of what happens to the disk reaches it
    new = b"\xaa" * 512
    if fault == "flipped_bit":
        disk[1] = disk[1]._replace(data=bytes([disk[1].data[0] ^ 4]) + disk[1].data[1:])
    elif fault == "wrong_block_read":
        disk[1] = disk[2]
    else:
        apart[1] = crc32c(new)
        if fault == "misdirected_write":  # it was meant for block 1
            disk[2] = _write(kind, new, 1)
    return any(_wrong(kind, stored, at, apart[at]) for at, stored in enumerate(disk))


def _write(kind: CheckKind, data: bytes, at: int) -> Stored:
    checks: Mapping[CheckKind, Callable[[], tuple[int, ...]]] = {
        "none": tuple, "apart": tuple, "beside": lambda: (crc32c(data),), "dif": lambda: (crc16_t10(data), at),
    }  # fmt: skip
    return Stored(data, checks[kind]())


def _wrong(kind: CheckKind, stored: Stored, at: int, apart: int) -> bool:
    if kind == "apart":
        return crc32c(stored.data) != apart
    return kind != "none" and stored.check != _write(kind, stored.data, at).check


def crc32c(data: bytes) -> int:
    """The CRC of iSCSI, Btrfs and NVMe/TCP (Castagnoli, reflected). Check value of b"123456789": 0xE3069283."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F6_3B78 if crc & 1 else 0)
    return crc ^ 0xFFFF_FFFF


def crc16_t10(data: bytes) -> int:
    """The guard of T10 DIF (polynomial 0x8BB7, not reflected). Check value of b"123456789": 0xD0DB."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x8BB7 if crc & 0x8000 else 0)) & 0xFFFF
    return crc
