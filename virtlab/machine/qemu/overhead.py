"""What a QEMU process costs beside the memory of its guest, at two sizes of the guest and on two machines."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from virtlab.core.words import words
from virtlab.machine.counted import Counted, count, kept_counts
from virtlab.machine.owning import MachineError
from virtlab.machine.pages import leave_room
from virtlab.machine.presence import Host
from virtlab.machine.qemu.monitor import Monitored

#: Machine and MiB of guest memory, by case.
CASES: Mapping[str, tuple[str, int]] = {
    f"{machine}_{mib}": (machine, mib) for machine in ("pc", "microvm") for mib in (128, 1024)
}
_PROC = Path("/proc")
_LONGEST = 1 << 23  # of a file in /proc: some twenty times what QEMU's mappings need
_KIB = 1024
#: A mapping begins with its addresses; its name is the last word but for "(deleted)".
_MAPPING = re.compile(r"[0-9a-f]{1,16}-[0-9a-f]{1,16} .*?(\S*)(?: \(deleted\))?")
_GUEST = "/memfd:memory-backend-memfd"
_BOOKS = {"Rss": "resident_bytes", "Anonymous": "own_bytes", "Pss": "share_bytes", "Size": "space_bytes"}
_SIZE = re.compile(r"(\w{1,40}): +(\d{1,15}) kB")


def measure_overhead(seconds: float = 20.0) -> Counted:
    """Reads the books of the kernel on QEMU processes of this computer, before their guests run an instruction.

    All guest memory has been touched. By case: ``guest_bytes``; and beside the guest's memory ``resident_bytes`` (RSS),
    of it ``own_bytes`` (anonymous: no file, so no other process has them) and ``share_bytes`` (PSS: a page is divided
    by those that share it); ``space_bytes`` (addresses that are mapped, used or not, as pmap counts them); and
    ``table_bytes``, the kernel's page tables of the process, which are in none of the others. ``seconds`` (1 to 600) is
    how long QEMU may take to start. Takes 1 GiB for a moment. Never raises for what cannot be read: it is missing, with
    the reason. Raises ParameterError for ``seconds`` out of range.
    """
    return count("overhead", CASES, lambda case: _read(*CASES[case], seconds), seconds)


def _read(machine: str, mib: int, seconds: float) -> dict[str, int]:
    leave_room(mib << 20, Host())
    options = [
        "-S", "-nodefaults", "-machine", f"{machine},memory-backend=ram", "-m", str(mib),
        "-object", f"memory-backend-memfd,id=ram,size={mib}M,share=on,prealloc=on",
    ]  # fmt: skip
    with Monitored(options, seconds) as qemu:
        books = _PROC / str(qemu.pid)
        return beside(*(_bounded(books / name) for name in ("smaps", "status")))


def beside(smaps: str, status: str) -> dict[str, int]:
    """The numbers of one process, from its ``smaps`` and ``status``. Raises MachineError when they lack one."""
    whole, guest = dict.fromkeys(_BOOKS, 0), dict.fromkeys(_BOOKS, 0)
    ours = False
    for line in smaps.splitlines():
        if size := _SIZE.fullmatch(line):
            if size[1] in whole:
                whole[size[1]] += int(size[2])
                guest[size[1]] += int(size[2]) if ours else 0
        elif mapping := _MAPPING.fullmatch(line):
            ours = mapping[1] == _GUEST
    tables = re.search(r"^VmPTE:\s+(\d{1,15}) kB$", status, re.MULTILINE)
    if not guest["Size"] or guest["Rss"] < guest["Size"] or tables is None:
        raise MachineError(str(words("overhead.books")))
    more = {name: _KIB * (whole[book] - guest[book]) for book, name in _BOOKS.items()}
    return {"guest_bytes": _KIB * guest["Size"], **more, "table_bytes": _KIB * int(tables[1])}


def _bounded(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as stream:
        read = stream.read(_LONGEST + 1)
    if len(read) > _LONGEST:
        raise MachineError(str(words("overhead.books")))
    return read


@functools.cache
def recorded_overhead() -> Counted:
    """The memory of QEMU processes that comes with the course, for computers that have none."""
    return kept_counts("overhead")
