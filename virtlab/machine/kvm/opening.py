"""Opens /dev/kvm, and says in one sentence why it cannot be used."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import sys
from pathlib import Path

from virtlab.core.words import say
from virtlab.machine.kvm import abi
from virtlab.machine.owning import MachineError, descriptor

DEVICE = Path("/dev/kvm")
_SENTENCES = {
    errno.ENOENT: "missing", errno.EACCES: "forbidden", errno.EPERM: "forbidden", errno.ENODEV: "nobody",
    errno.ENXIO: "nobody", errno.EBUSY: "busy",
}  # fmt: skip


def open_kvm(held: contextlib.ExitStack, device: Path = DEVICE) -> int:
    """A descriptor of /dev/kvm that ``held`` closes. Raises MachineError with the reason why there is none."""
    why = unfit(sys.platform, platform.machine())
    if why:
        raise MachineError(why)
    try:
        kvm = descriptor(held, os.open(device, os.O_RDWR | os.O_CLOEXEC))
        version = abi.ioctl(kvm, abi.KVM_GET_API_VERSION, 0)
    except OSError as error:
        raise MachineError(sentence(error, device)) from None
    if version != abi.API_VERSION:
        raise MachineError(say("kvm.why.version", version=version, wanted=abi.API_VERSION))
    missing = [name for name, number in abi.NEEDED.items() if not capability(kvm, number)]
    if missing:
        raise MachineError(say("kvm.why.capability", names=", ".join(missing)))
    return kvm


def unfit(system: str, machine: str) -> str:
    """Why a system or a CPU of another kind cannot run a tiny guest; empty if it can."""
    if system != "linux":
        return say("kvm.why.linux")
    return "" if machine.lower() in ("x86_64", "amd64") else say("kvm.why.x86", machine=machine)


def sentence(error: OSError, device: Path = DEVICE) -> str:
    """What an error of /dev/kvm means."""
    key = _SENTENCES.get(error.errno or 0, "failed")
    return say(f"kvm.why.{key}", device=device, error=error.strerror or error)


def capability(fd: int, number: int) -> int:
    """What KVM_CHECK_EXTENSION says: 0 for what this KVM cannot do."""
    try:
        return abi.ioctl(fd, abi.KVM_CHECK_EXTENSION, number)
    except OSError:
        return 0
