"""The programs that run in the emulated computer: the monitor and the driver, compiled here, and QEMU as it is here."""

from __future__ import annotations

import contextlib
import re
import subprocess
from importlib import resources
from pathlib import Path

from virtlab.core.words import say
from virtlab.machine.owning import MachineError, folder, start
from virtlab.machine.presence import Host

_COMPILERS = ("cc", "gcc", "clang")
_SECONDS = 30.0
_MONITOR = ("-O1", "-static")  # the guest has no libraries
#: Firmware: 64 KiB up to the end of the first 4 GiB, the reset vector in its last 16 bytes.
_DRIVER = (
    "-m32", "-march=i686", "-Os", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector",
    "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-nostdlib", "-static", "-Wl,-e,drive",
    "-Wl,--section-start=.text=0xffff0000", "-Wl,--section-start=.reset=0xfffffff0", "-Wl,--oformat=binary",
    "-Wl,--build-id=none",
)  # fmt: skip
_ROM_BYTES = 1 << 16


def monitor(host: Host) -> bytes:
    """``monitor.c`` as a program. Raises MachineError where there is no compiler, or it fails."""
    return _compiled(host, "monitor.c", _MONITOR)


def driver(host: Host) -> bytes:
    """``driver.c`` as firmware. Raises MachineError where there is no compiler, or it fails."""
    rom = _compiled(host, "driver.c", _DRIVER)
    if len(rom) != _ROM_BYTES:
        raise MachineError(say("inner_kvm.why.compile", name="driver.c", compiler="ld", error=f"{len(rom)} B"))
    return rom


def with_libraries(host: Host, program: str, name: str) -> dict[str, bytes]:
    """A program of this computer and the libraries that it loads, by their paths in the guest: some 50 MiB for QEMU.

    Raises MachineError where ldd cannot name them.
    """
    ldd = host.which("ldd")
    if ldd is None:
        raise MachineError(say("machine.why.program", name="ldd"))
    try:
        with contextlib.ExitStack() as held:
            process = start(held, [ldd, program], stdout=subprocess.PIPE)
            said = process.communicate(timeout=_SECONDS)[0].decode("utf-8", "replace")
        if process.returncode or "not found" in said:
            raise MachineError(say("inner_kvm.why.libraries", name=program))
        # "libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x...)", and the loader by its path alone
        paths = {name: program, **{path.lstrip("/"): path for path in re.findall(r"(/\S+) \(0x", said)}}
        return {inside: Path(path).read_bytes() for inside, path in paths.items()}
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(say("inner_kvm.why.libraries", name=program)) from error


def _compiled(host: Host, name: str, options: tuple[str, ...]) -> bytes:
    compiler = host.which(*_COMPILERS)
    if compiler is None:
        raise MachineError(say("inner_kvm.why.compiler", names=", ".join(_COMPILERS)))
    with contextlib.ExitStack() as held:
        file = held.enter_context(resources.as_file(resources.files("virtlab.machine.inner") / name))
        work = folder(held)
        # its own temporary files go with our folder
        process = start(held, [compiler, *options, "-o", str(work / "out"), str(file)], stderr=subprocess.PIPE,
                        environ={**host.environ, "TMPDIR": str(work)})  # fmt: skip
        try:
            said = process.communicate(timeout=_SECONDS)[1].decode("utf-8", "replace")
            if process.returncode == 0:
                return (work / "out").read_bytes()
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
    told = [line for line in said.splitlines() if "error" in line or "cannot" in line] or [said.strip()]
    raise MachineError(say("inner_kvm.why.compile", name=name, compiler=compiler, error=told[0][:300]))
