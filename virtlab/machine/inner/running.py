"""Runs the experiments in Linux's own KVM, on an AMD processor that QEMU emulates: no /dev/kvm, no rights."""

from __future__ import annotations

import datetime
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from virtlab.core.words import say
from virtlab.machine.guest import Kernel, boot_guest, find_kernel
from virtlab.machine.guest.initramfs import busybox
from virtlab.machine.inner import programs
from virtlab.machine.inner.experiments import EXPERIMENTS
from virtlab.machine.inner.result import Facts, InnerKvm, read, recorded_inner_kvm
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import Host

#: Eight times what it takes on a calm computer with two cores: a crowded one needs half of it.
SECONDS = 120.0
_QEMU = "qemu-system-x86_64"
_PROCESSOR = "max,vendor=AuthenticAMD"  # what TCG emulates of virtualization is SVM with nested paging, not VMX
# One emulated nanosecond an instruction, and idle time is skipped: no clock of this computer has a part in what the
# guest does, so that even its timers fire at the same instruction in every run.
_DEVICES = ("-icount", "shift=0,sleep=off")
# Calibrating timers against each other is most of the boot when each look at a clock ends a translated block.
_APPEND = "noapictimer tsc=reliable no_timer_check"
_PARAMETERS = "halt_poll_ns halt_poll_ns_grow halt_poll_ns_grow_start halt_poll_ns_shrink eager_page_split tdp_mmu"
_SCRIPT = f"""
mount -t tracefs tracing /sys/kernel/tracing || exit 2
echo 8 > /proc/sys/vm/nr_hugepages
for name in {_PARAMETERS}; do
  test -r /sys/module/kvm/parameters/$name && echo "virtlab:kvm parameter $name $(cat /sys/module/kvm/parameters/$name)"
done
"""
_TAP = """
mkdir -p /dev/net
test -c /dev/net/tun || mknod /dev/net/tun c 10 200
tunctl -t tap0 && ifconfig tap0 up || exit 3
"""
_RUN = "monitor < /plan"


class Missing(MachineError):
    """This computer has not got what the experiments need; one sentence."""


@dataclass(frozen=True)
class Parts:
    """What a boot needs of this computer: QEMU's version, a kernel with the modules, and the programs for the guest."""

    qemu: str
    kernel: Kernel
    modules: tuple[str, ...]
    files: dict[str, bytes]


def inner_kvm(experiments: Iterable[str] | None = None, *, seconds: float = SECONDS) -> InnerKvm:
    """Counts what KVM does for small guests, in a KVM that any computer with QEMU can run. Takes some ten seconds.

    ``experiments``: ids of ``EXPERIMENTS``; all of them by default. One boot serves them all. ``seconds``: the longest
    that the boot may take. Counts are those of Linux's own KVM on SVM, exact and the same on every computer; times
    would be those of an emulator, and are neither measured nor shown. Where QEMU, a guest kernel, busybox or a C
    compiler is missing, the result is the recorded one and says what is missing.

    Raises ValueError for an unknown experiment or a limit out of range, and MachineError, with the end of the guest's
    console, when the guest hangs or fails.
    """
    names = known(experiments)
    try:
        console, facts = run(names, seconds)
    except Missing as missing:
        return replace(recorded_inner_kvm().only(names), missing=str(missing))
    return read(console, names, facts, live=True)


def run(experiments: Sequence[str], seconds: float = SECONDS) -> tuple[tuple[str, ...], Facts]:
    """Boots once and runs these experiments: the console, and what counted. Raises Missing beside MachineError."""
    ladder = any(EXPERIMENTS[name].qemu for name in experiments)
    parts = prepare(ladder)
    plan = "".join(EXPERIMENTS[name].plan() for name in experiments)
    booted = boot_guest(
        _SCRIPT + (_TAP if ladder else "") + _RUN, modules=parts.modules, files={**parts.files, "plan": plan.encode()},
        cpu=_PROCESSOR, ram_mib=512 if ladder else 256, devices=_DEVICES, append=_APPEND, seconds=seconds,
        kernel=parts.kernel,
    )  # fmt: skip
    facts = Facts(f"Linux {parts.kernel.version}", parts.qemu, datetime.date.today().isoformat(), {})
    return booted.lines, facts


def known(experiments: Iterable[str] | None) -> list[str]:
    """The ids, each once. Raises ValueError for one that there is not."""
    if isinstance(experiments, str):
        experiments = [experiments]
    names = list(dict.fromkeys(EXPERIMENTS if experiments is None else experiments))
    unknown = [name for name in names if name not in EXPERIMENTS]
    if unknown or not names:
        raise ValueError(say("inner_kvm.why.unknown", names=", ".join(unknown) or "–", known=", ".join(EXPERIMENTS)))
    return names


def prepare(ladder: bool, host: Host | None = None) -> Parts:
    """What a boot needs, for the ladder with QEMU in the guest. Raises Missing for the first that is not to be had."""
    host = host or Host()
    try:
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise MachineError(say("inner_kvm.why.system", system=f"{platform.system()} {platform.machine()}"))
        program = host.which(_QEMU)
        version = program and host.first_line([program, "--version"])
        if not program or not version:
            raise MachineError(say("machine.why.program", name=_QEMU))
        busybox(host)
        kernel = find_kernel(host)
        modules: tuple[str, ...] = ("kvm_amd",)
        if ladder:
            modules += ("tun", "vhost_net")
        kernel.load_order(modules)
        files = {"bin/monitor": programs.monitor(host)}
        if ladder:
            files |= {"driver": programs.driver(host), **programs.with_libraries(host, program, "bin/qemu")}
        return Parts(version, kernel, modules, files)
    except MachineError as error:
        raise Missing(str(error)) from error
