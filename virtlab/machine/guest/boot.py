"""A real Linux guest under QEMU's TCG: no KVM, no rights, and no file of its own but the kernel that it boots."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.machine.guest.console import Console
from virtlab.machine.guest.initramfs import MARK, busybox, initramfs
from virtlab.machine.guest.kernel import Kernel, find_kernel
from virtlab.machine.owning import MachineError, Owner, memory_file, start

#: The drivers of a virtio-blk disk on PCI; what they need is loaded with them.
DISK = ("virtio_pci", "virtio_blk")
#: Ten times what a boot takes on a calm computer with two cores (2.9 to 6.7 s).
SECONDS = 60.0
#: Below 96 MiB, Debian's kernel ends at once.
RAM_MIB = 256
_QEMU = "qemu-system-x86_64"
#: On microvm Debian's kernel hangs under TCG as long as the machine has no timer to calibrate its clock with: without
#: KVM there is no kvmclock. With a PIT it boots (``machine.boots`` does so).
MACHINE = "pc"
_APPEND = "console=ttyS0 reboot=t panic=-1 quiet"
_LIMITS = {"seconds": (1, 600), "ram_mib": (96, 4096)}
_READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Booted:
    """A guest that ran its script and powered off: its console, and when each named mark came.

    ``marks`` are seconds after QEMU was started, on this computer's clock; ``seconds`` is the whole. They say how long
    the reader waits. As times of a virtual machine they mean nothing, since TCG translates every instruction.
    """

    kernel: str
    lines: tuple[str, ...] = field(repr=False)
    marks: Mapping[str, float]
    seconds: float


class Guest(Owner):
    """A guest that boots now; its lines come as it prints them. See :func:`boot_guest`, which waits for all of them."""

    def __init__(
        self, script: str, *, modules: Sequence[str] = DISK, files: Mapping[str, bytes] | None = None,
        devices: Sequence[str] = (), pass_fds: Sequence[int] = (), cpu: str = "max", ram_mib: int = RAM_MIB,
        seconds: float = SECONDS, append: str = "", kernel: Kernel | None = None, machine: str = MACHINE,
        optional: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        for name, given in (("seconds", seconds), ("ram_mib", ram_mib)):
            low, high = _LIMITS[name]
            if not low <= given <= high:
                raise ValueError(say("guest.why.limit", name=name, low=low, high=high, given=given))
        if sys.platform != "linux":
            raise MachineError(say("guest.why.linux", system=sys.platform))
        self.kernel = kernel or find_kernel()
        self.seconds = seconds
        self.marks: dict[str, float] = {}
        self._console = Console()
        archive = initramfs(busybox(), self.kernel.load_order(modules, optional), script, files, self._on_mark())
        with self._opening() as held:
            options, fds = self._more(held)
            initrd = memory_file(held, archive)  # without a name: however this process ends, nothing is left of it
            command = [
                _QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-accel", "tcg", "-cpu", cpu, "-m", str(ram_mib),
                # shared, so that a vhost-user back end can map it
                "-object", f"memory-backend-memfd,id=ram,size={ram_mib}M,share=on",
                "-machine", f"{machine},memory-backend=ram",
                "-kernel", str(self.kernel.image), "-initrd", f"/proc/self/fd/{initrd}",
                "-append", f"{_APPEND} {append}".rstrip(), "-serial", "stdio", *devices, *options,
            ]  # fmt: skip
            self._started = time.monotonic()
            self._process = start(held, command, pass_fds=[initrd, *pass_fds, *fds], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)  # fmt: skip

    def _on_mark(self) -> str:
        """What the guest's shell does after each named mark."""
        return ""

    def _more(self, held: contextlib.ExitStack) -> tuple[list[str], list[int]]:
        """Further options of QEMU, and the descriptors that they name."""
        return [], []

    def lines(self) -> Iterator[str]:
        """Every line of the console until the guest has ended, marks included; they are kept in ``marks`` too.

        Raises MachineError, with the end of the console, when the guest is not done after ``seconds``, prints more
        than ``console.MOST_BYTES``, or ends without success. The guest is then closed.
        """
        try:
            while data := self._read():
                for line in self._console.feed(data):
                    self._note(line)
                    yield line
            yield from self._console.end()
            self._judge(self._ended())
        except MachineError:
            self.close()
            raise

    def finish(self) -> Booted:
        """Reads to the end; see :meth:`lines` for what it raises."""
        lines = tuple(self.lines())
        return Booted(self.kernel.version, lines, dict(self.marks), time.monotonic() - self._started)

    def _left(self) -> float:
        """The seconds that the guest may still take. Raises MachineError when there are none."""
        left = self._started + self.seconds - time.monotonic()
        if left <= 0:
            raise self._error("late", seconds=show(self.seconds, "s"))
        return left

    def _read(self) -> bytes:
        """The next bytes of the console; none at its end."""
        console = self._process.stdout
        assert console is not None  # it was started with a pipe
        if self._console.flooded:
            raise self._error("flood", limit=show(self._console.most_bytes, "B"))
        self._wait(console.fileno())
        return os.read(console.fileno(), _READ_BYTES)

    def _wait(self, console: int) -> None:
        """Returns when there is something to read. Raises MachineError when the guest's time is over."""
        poll = select.poll()
        poll.register(console, select.POLLIN)
        while not poll.poll(1e3 * self._left()):
            pass

    def _note(self, line: str) -> None:
        word, _, name = line.partition(" ")
        if word == MARK and name:
            self.marks.setdefault(name, time.monotonic() - self._started)

    def _ended(self) -> int:
        try:
            return self._process.wait(self._left())
        except subprocess.TimeoutExpired:
            raise self._error("late", seconds=show(self.seconds, "s")) from None

    def _judge(self, status: int) -> None:
        """A panic ends QEMU with status 0 too, so that only the script's own word counts as success."""
        scripts = [name.removeprefix("exit-") for name in self.marks if name.startswith("exit-")]
        if not scripts:
            raise self._error("ended", status=status)
        if scripts != ["0"]:
            raise self._error("script", status=scripts[0])
        if status:
            raise self._error("qemu", status=status)

    def _error(self, key: str, **values: object) -> MachineError:
        tail = self._console.tail() or words("guest.no_output")
        return MachineError(say(f"guest.failed.{key}", tail=tail, **values))


def boot_guest(
    script: str, *, modules: Sequence[str] = DISK, files: Mapping[str, bytes] | None = None,
    devices: Sequence[str] = (), pass_fds: Sequence[int] = (), cpu: str = "max", ram_mib: int = RAM_MIB,
    seconds: float = SECONDS, append: str = "", kernel: Kernel | None = None,
) -> Booted:  # fmt: skip
    """Boots Linux under QEMU's emulation, runs ``script`` in it, and returns when it has powered off.

    ``script`` is for busybox's shell; ``mark NAME`` in it puts a named mark on the console. ``modules`` are loaded
    first, with those that they need. ``files`` are further programs by path in the guest (``{"bin/x": b"..."}``).
    ``devices`` are further arguments of QEMU, which may name the descriptors in ``pass_fds``: they are inherited under
    the same numbers, and stay the caller's to close. RAM is one shared memfd with the id ``ram``, as vhost-user wants
    it. ``seconds`` bounds the whole; ``append`` goes to the kernel's command line.

    Raises MachineError when something is missing, and with the end of the console when the guest does not succeed;
    ValueError for a limit out of range.
    """
    with Guest(script, modules=modules, files=files, devices=devices, pass_fds=pass_fds, cpu=cpu, ram_mib=ram_mib,
               seconds=seconds, append=append, kernel=kernel) as guest:  # fmt: skip
        return guest.finish()
