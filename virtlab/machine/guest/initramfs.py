"""The guest's first file system: a newc cpio archive of busybox, modules and a script, written by Python alone.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of Linux. No mknod and no rights are needed, since a
device file is only an entry in the archive.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from virtlab.core.words import say, words
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import Host

#: Marks on the console begin so: what the guest's kernel prints does not.
MARK = "virtlab:mark"

_FOLDER, _FILE, _PROGRAM = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644, stat.S_IFREG | 0o755
_DEVICE, _LINK = stat.S_IFCHR | 0o600, stat.S_IFLNK | 0o777
_CONSOLE = (5, 1)  # its device number, major and minor

# Process 1. Whatever the script does, its exit status is told and the machine ends: with -no-reboot, QEMU exits.
_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
cd /
. /marks
mark init
{load}
mark modules
sh /script
echo "{mark} exit-$?"
reboot -f
"""
_MARKS = 'mark() {{ echo "{mark} $1"; {then} }}\n'


@dataclass(frozen=True)
class Entry:
    """One file of the archive: ``mode`` has its kind and rights as in ``stat``; a link's data is where it points."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def newc(entries: Iterable[Entry]) -> bytes:
    """The archive of these entries. Folders must stand before what is in them."""
    out = bytearray()
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], 1):
        name = entry.name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device of the file (2), device it is (2), length of name, checksum
        fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4) + entry.data
        out += bytes(-len(out) % 4)
    return bytes(out)


def initramfs(
    busybox: bytes, modules: Mapping[str, bytes], script: str, files: Mapping[str, bytes] | None = None,
    on_mark: str = "",
) -> bytes:  # fmt: skip
    """An initramfs that loads ``modules`` in their order, runs ``script`` in busybox's shell, and ends the machine.

    In the script, ``mark NAME`` puts a named mark on the console, and then does ``on_mark``. ``files`` are further
    programs by their path from the root, such as ``bin/monitor``.
    """
    files = files or {}
    parents = {str(p) for name in files for p in PurePosixPath(name).parents if p.name}
    load = "\n".join(f"insmod /mod/{name}.ko" for name in modules)
    init = _INIT.format(load=load, mark=MARK)
    return newc([
        *(Entry(name, _FOLDER) for name in sorted(parents | {"bin", "dev", "mod", "proc", "sys", "tmp"})),
        Entry("dev/console", _DEVICE, device=_CONSOLE),
        Entry("bin/busybox", _PROGRAM, busybox),
        Entry("bin/sh", _LINK, b"busybox"),
        *(Entry(f"mod/{name}.ko", _FILE, data) for name, data in modules.items()),
        *(Entry(name, _PROGRAM, data) for name, data in files.items()),
        Entry("marks", _FILE, _MARKS.format(mark=MARK, then=f"{on_mark};" if on_mark else "").encode()),
        Entry("script", _FILE, f". /marks\n{script}\n".encode()),
        Entry("init", _PROGRAM, init.encode()),
    ])  # fmt: skip


def busybox(host: Host | None = None) -> bytes:
    """The static busybox of this computer. Raises MachineError where there is none: the guest has no libraries."""
    path = (host or Host()).which("busybox")
    if path is None:
        raise MachineError(str(words("guest.why.busybox")))
    with open(path, "rb") as file:
        program = file.read()
    if not program.startswith(b"\x7fELF") or b"/ld-" in program[:4096]:  # the name of a dynamic linker
        raise MachineError(say("guest.why.dynamic", name=path))
    return program
