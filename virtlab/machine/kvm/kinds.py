"""What stands behind /dev/kvm: nothing, software or hardware. In doubt it is software, whose times stand alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from virtlab.core.words import say, words
from virtlab.machine.kvm.experiments import count
from virtlab.machine.kvm.opening import open_kvm
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import Host

Name = Literal["none", "software", "hardware"]
_PATIENCE_SECONDS = 2.0
_LOOPS = 64  # software KVM emulates each of their instructions, hardware none
_HARDWARE = {"kvm_intel": "vmx", "kvm_amd": "svm"}


@dataclass(frozen=True)
class Kind:
    """``reason`` is why there is none; ``flag`` is the CPU's; ``nested``: this computer is itself a VM."""

    name: Name
    reason: str = ""
    modules: tuple[str, ...] = ()
    flag: str = ""
    nested: bool = False

    @property
    def text(self) -> str:
        """It in one sentence."""
        key = "hardware_nested" if self.name == "hardware" and self.nested else self.name
        names = ", ".join(self.modules) or str(words("kvm.kind.unknown_modules"))
        return say(f"kvm.kind.{key}", modules=names, flag=self.flag, reason=self.reason)

    def __str__(self) -> str:
        return self.text


def trial(device: Path) -> bool | None:
    """Runs a guest of one HLT, then a short loop in ring 0, and says whether KVM emulates that; None if unknown.

    Raises MachineError with the reason why a guest cannot run.
    """
    with ExitStack() as held:
        open_kvm(held, device)  # says by itself why it cannot be opened
    try:
        count("hlt", 1, seconds=_PATIENCE_SECONDS, device=device)
    except MachineError as error:
        raise MachineError(say("kvm.why.no_hlt", error=error)) from error
    instructions = count("loop_ring0", _LOOPS, seconds=_PATIENCE_SECONDS, device=device)
    emulated = instructions.values.get("kvm.insn_emulation")  # not before Linux 5.14
    return None if emulated is None else emulated >= _LOOPS


def kind(host: Host | None = None, trial: Callable[[Path], bool | None] = trial) -> Kind:
    """The kind of this computer's KVM, in some milliseconds; never raises.

    Hardware needs three witnesses: the module kvm_intel or kvm_amd, the CPU's flag vmx or svm, and a loop in ring 0
    that KVM does not emulate.
    """
    host = host or Host()
    modules = {line.split()[0] for line in host.read("proc/modules").splitlines() if line.strip()}
    modules |= {path.name for path in (host.root / "sys/module").glob("kvm_*")}
    vendors = tuple(sorted(name for name in modules if name.startswith("kvm_")))
    flags = set(next((x for x in host.read("proc/cpuinfo").splitlines() if x.startswith("flags")), "").split())
    nested = "hypervisor" in flags
    try:
        emulated = trial(host.root / "dev/kvm")
    except MachineError as error:
        return Kind("none", str(error), vendors, nested=nested)
    except Exception as error:  # a report about a broken computer must not break on it
        why = say("kvm.why.failed", device="KVM", error=f"{type(error).__name__}: {error}")
        return Kind("none", why, vendors, nested=nested)
    flag = next((f for module, f in _HARDWARE.items() if module in vendors and f in flags), "")
    return Kind("hardware" if flag and not emulated else "software", "", vendors, flag, nested)
