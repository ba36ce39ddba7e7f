"""Scenes that a notebook plays on the reader's own computer, or shows as they were recorded; what they show is exact.

A scene's table is the same on every computer, for it holds counts and checksums and no time. So a notebook can store
it, and a test can compare it. Only the first line differs: whether it happened here and now.
"""

from __future__ import annotations

import functools
import hashlib
import json
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from virtlab.core.counts import side_by_side
from virtlab.core.table import Shown, Table
from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.machine.owning import MachineError

_MIB = 1 << 20
_DISK_BYTES = 8 * _MIB
_SUMMED_BYTES = _MIB
# The direct reads go where nothing else does: not the checksum's read-ahead, and not the search for partition tables.
_READS_FROM, _READS = 4 * _MIB, 256
_WRITE_AT, _WRITTEN_BYTES = 6 * _MIB, 16 * 4096
_GUEST = f"""
for n in 1 2 3 4 5 6 7 8 9 10; do test -b /dev/vda && break; sleep 0.1; done
echo "sum $(dd if=/dev/vda bs=64k count={_SUMMED_BYTES >> 16} 2>/dev/null | sha256sum | cut -c1-16)"
dd if=/dev/vda of=/dev/null bs=4k skip={_READS_FROM >> 12} count={_READS} iflag=direct \
2>/dev/null && echo "read {_READS}"
dd if=/dev/zero of=/dev/vda bs=4k seek={_WRITE_AT >> 12} count={_WRITTEN_BYTES >> 12} oflag=direct conv=notrunc \
2>/dev/null && echo "wrote {_WRITTEN_BYTES}"
"""

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, repr=False)
class Seen(Shown):
    """What a scene showed: a table, under a line that says whether it was here and now; ``missing`` says why not."""

    scene: str
    headers: tuple[str, ...]
    rows: Rows
    live: bool
    date: str = ""
    used: str = ""
    missing: str = ""

    @property
    def label(self) -> str:
        if self.live:
            return str(words("seeing.now"))
        return say("seeing.recorded", date=self.date, used=self.used, missing=self.missing).rstrip()

    def table(self) -> Table:
        return Table.of(self.headers, self.rows, self.label, range(1, len(self.headers)))


def _disks() -> tuple[tuple[str, ...], Rows]:
    """One read of 4 KiB from each kind of disk that QEMU has, in register accesses and notifications."""
    from virtlab.machine.qemu.disks import register_accesses

    counts = [c.only("register_reads", "register_writes", "kicks", "calls") for c in register_accesses()]
    table = side_by_side(*counts)
    return table.headers, table.rows


def _guest() -> tuple[tuple[str, ...], Rows]:
    """A real Linux guest boots, and the disk that it reads and writes is a bytearray of ours."""
    from virtlab.machine.guest import boot_guest
    from virtlab.machine.vhost.backend import in_thread
    from virtlab.machine.vhost.blk import BlkBackend

    class Watched(BlkBackend):
        """Counts the reads of 4 KiB that the guest makes past its own page cache."""

        def _do(self, kind: int, at: int, data: bytes, room: int) -> tuple[bytes, int]:
            here = _READS_FROM <= at < _READS_FROM + 4096 * _READS
            self.counted["watched"] += kind == 0 and here and room == 4096
            return super()._do(kind, at, data, room)

    disk = bytearray(hashlib.shake_128(b"virtlab").digest(_DISK_BYTES))
    ours = hashlib.sha256(disk[:_SUMMED_BYTES]).hexdigest()[:16]
    front, back = socket.socketpair()
    with front, in_thread(Watched(back, disk)) as server:
        # fmt: off
        devices = ["-chardev", f"socket,id=disk,fd={front.fileno()}", "-device", "vhost-user-blk-pci,chardev=disk"]
        # fmt: on
        booted = boot_guest(_GUEST, devices=devices, pass_fds=[front.fileno()])
    said = dict(line.split(" ", 1) for line in booted.lines if line.count(" ") == 1)
    arrived = next((n for n in range(_WRITTEN_BYTES) if disk[_WRITE_AT + n]), _WRITTEN_BYTES)
    rows = (
        ("sum", said.get("sum", "-"), ours),
        ("reads", number(int(said.get("read", "0")), 7), number(server.counted["watched"], 7)),
        ("written", number(int(said.get("wrote", "0")), 7), number(arrived, 7)),
    )
    headers = tuple(str(words(f"seeing.guest.{key}")) for key in ("what", "guest", "here"))
    return headers, tuple((str(words(f"seeing.guest.{key}")), *values) for key, *values in rows)


SCENES: Mapping[str, Callable[[], tuple[tuple[str, ...], Rows]]] = {"disks": _disks, "guest": _guest}


def see(scene: str) -> Seen:
    """Plays "disks" (a second) or "guest" (some five) here; where that cannot be, shows it as it was recorded.

    "disks": one read of 4 KiB from each disk of a real QEMU, driven by ``virtlab.virtio`` and counted. "guest": a real
    Linux boots under emulation and uses a disk that is a bytearray of this Python. Raises KeyError for another name.
    """
    if scene not in SCENES:
        raise KeyError(say("seeing.unknown", scene=scene, known=", ".join(SCENES)))
    try:
        headers, rows = SCENES[scene]()
    except MachineError as error:
        recorded = recorded_scene(scene)
        return replace(recorded, missing=str(error).splitlines()[0])
    return Seen(scene, headers, rows, True)


@functools.cache
def recorded_scene(scene: str) -> Seen:
    """The scene as it comes with the course."""
    file = resources.files("virtlab.machine") / "data" / "recorded_scenes.toml"
    entry: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))[scene]
    rows = tuple(tuple(map(str, row)) for row in entry["rows"])
    headers = tuple(map(str, entry["headers"]))
    return Seen(scene, headers, rows, False, str(entry["date"]), str(entry["used"]))


def recording(seen: Seen, date: str, used: str) -> str:
    """A table of the file that :func:`recorded_scene` reads."""
    headers, *rows = (json.dumps(row, ensure_ascii=False) for row in (seen.headers, *seen.rows))
    head = [f"[{seen.scene}]", f"date = {json.dumps(date)}", f"used = {json.dumps(used)}",
            f"headers = {headers}", "rows = ["]
    return "\n".join([*head, *(f"  {row}," for row in rows), "]", ""])
