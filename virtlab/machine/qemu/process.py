"""A real QEMU whose vCPU sleeps: we do what the guest's CPU would do. Everything by inherited descriptors."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from time import monotonic, sleep

from virtlab.core.words import say
from virtlab.machine.owning import Owner, memory_file, shared_view, start
from virtlab.machine.qemu.lines import ANSWER_SECONDS
from virtlab.machine.qemu.qtest import Qtest
from virtlab.virtio import Arena, GuestAddressError, GuestMemory, MappedMemory, Region

PROGRAM = "qemu-system-x86_64"
RAM_BYTES = 16 << 20
#: microvm has virtio-mmio windows and nothing else; pc has PCI and IDE; q35 has PCI Express, and may have an IOMMU.
MACHINES = {"microvm": "microvm,acpi=off,pit=off,pic=off,rtc=off", "pc": "pc", "q35": "q35"}
_ARENA = 1 << 20  # below lies what a PC has at fixed places
_TAIL_BYTES = 4096


def _halt_rom() -> bytes:
    """A firmware that does nothing. The machine must count as running (a stopped one moves no frames), so no -S."""
    rom = bytearray(b"\xf4" * 65536)
    rom[0xFFF0:0xFFF4] = b"\xfa\xf4\xeb\xfd"  # at the reset vector: cli; hlt; jmp back to hlt
    return bytes(rom)


class QtestMemory(GuestMemory):
    """Guest memory through the qtest connection: each access is a message."""

    def __init__(self, qtest: Qtest, size: int) -> None:
        super().__init__()
        self._qtest, self._size = qtest, size

    def check(self, address: int, size: int) -> None:
        if address < 0 or size < 0 or address + size > self._size:
            raise GuestAddressError(address, size)

    def _read(self, address: int, size: int) -> bytes:
        self.check(address, size)
        return self._qtest.read(address, size)

    def _write(self, address: int, data: bytes) -> None:
        self.check(address, len(data))
        self._qtest.write(address, data)


class Qemu(Owner):
    """A running QEMU with these devices, under TCG, its vCPU halted for ever.

    ``arguments``: further options, such as ``["-device", "virtio-rng-device"]``. ``pass_fds``: descriptors of ours that
    they name. ``trace``: patterns of trace events; what they log is in ``log()``. Guest RAM is mapped here
    (``memory``, an access is a load or store), or reached by messages (``messages``). Raises MachineError when QEMU is
    missing, refuses its options or does not answer within ``seconds``.
    """

    def __init__(
        self, arguments: Sequence[str] = (), machine: str = "microvm", pass_fds: Sequence[int] = (),
        trace: Sequence[str] = (), seconds: float = ANSWER_SECONDS,
    ) -> None:  # fmt: skip
        super().__init__()
        if machine not in MACHINES:
            raise ValueError(say("qemu.machine", given=machine, known=", ".join(MACHINES)))
        with self._opening() as held:
            self._errors = memory_file(held)
            self._log = memory_file(held)
            ram, rom = memory_file(held, size=RAM_BYTES), memory_file(held, _halt_rom())
            ours, theirs = (held.enter_context(s) for s in socket.socketpair())
            fds = [ram, rom, theirs.fileno(), *pass_fds]
            # fmt: off
            command = [
                PROGRAM, "-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg",
                "-m", f"{RAM_BYTES >> 20}M", "-machine", f"{MACHINES[machine]},memory-backend=ram",
                "-object", f"memory-backend-file,id=ram,size={RAM_BYTES},mem-path=/proc/self/fd/{ram},share=on",
                "-bios", f"/proc/self/fd/{rom}", "-global", "virtio-mmio.force-legacy=false",
                "-chardev", f"socket,id=qtest,fd={theirs.fileno()}", "-qtest", "chardev:qtest", "-qtest-log", "none",
                *arguments,
            ]
            # fmt: on
            if trace:
                fds.append(self._log)
                command += ["-msg", "timestamp=on", "-D", f"/proc/self/fd/{self._log}"]
                command += [word for pattern in trace for word in ("-trace", pattern)]
            self._process = start(held, command, fds, stderr=self._errors)
            theirs.close()
            self.qtest = Qtest(ours, self._why_it_ended, seconds)
            self._ram = shared_view(held, ram, RAM_BYTES)
            self.memory = self.mapped()
            self.messages = QtestMemory(self.qtest, RAM_BYTES)
            self.arena = Arena(_ARENA, RAM_BYTES)
            self.qtest.command("irq_intercept_in ioapic")

    def mapped(self) -> MappedMemory:
        """Guest RAM once more, with a counter of its own."""
        memory = MappedMemory([Region(0, RAM_BYTES, self._ram)])
        self._held.callback(memory.release)
        return memory

    @property
    def pid(self) -> int:
        return self._process.pid

    def _why_it_ended(self) -> str:
        return last_words(self._process, self._errors)

    def log(self, start: int = 0, most_bytes: int = 1 << 24) -> bytes:
        """What the trace events have logged so far from byte ``start`` on, at most ``most_bytes``."""
        return os.pread(self._log, most_bytes, start)


def last_words(process: subprocess.Popen[bytes], errors: int) -> str:
    """The exit status of a QEMU that ended, and the last that it complained of in the file ``errors``."""
    end = monotonic() + 2
    while process.poll() is None and monotonic() < end:
        sleep(0.01)
    size = os.fstat(errors).st_size
    tail = os.pread(errors, _TAIL_BYTES, max(size - _TAIL_BYTES, 0)).decode("utf-8", "replace").strip()
    return say("qemu.ended", status=process.poll(), tail=tail.splitlines()[-1] if tail else "-")


def block_options(fd: int, refusing: bool = False) -> list[str]:
    """Options for a block node "disk" on an inherited descriptor. ``refusing``: every flush of it fails."""
    node = "driver=file,node-name=disk,filename=/dev/fdset/1,locking=off"
    if refusing:
        # The layer that refuses lies below one that does not, because QEMU asks the lower layers first.
        below = {"driver": "blkdebug", "image.driver": "file", "image.filename": "/dev/fdset/1", "image.locking": "off",
                 "image.cache.direct": "off", "inject-error.0.event": "none", "inject-error.0.iotype": "flush",
                 "inject-error.0.errno": "5"}  # fmt: skip
        node = "driver=raw,node-name=disk," + ",".join(f"file.{key}={value}" for key, value in below.items())
    return ["-add-fd", f"fd={fd},set=1", "-blockdev", node]

