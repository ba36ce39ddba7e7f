"""Experiments that count: the same accesses, and the returns to user space that each way to handle them costs."""

from __future__ import annotations

import os
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from virtlab.core.counts import Counts
from virtlab.core.parameter import ParameterError
from virtlab.core.words import say, words
from virtlab.machine.kvm import modes, programs
from virtlab.machine.kvm.exits import Exit
from virtlab.machine.kvm.guest import TinyGuest
from virtlab.machine.kvm.opening import DEVICE
from virtlab.machine.owning import MachineError

MOST_ACCESSES = 20_000
_DEVICE_PROGRAMS = ("out", "in", "store", "load")  # whose accesses go to a device that the kernel does not know
# KVM's own counters: these are told even if they are 0, and the others only if KVM counted something (kvm_pvm leaves
# io_exits at 0, where 0 would be a lie).
_ALWAYS = ("exits", "insn_emulation")
_IF_ANY = ("io_exits", "mmio_exits", "halt_exits", "irq_exits", "irq_injections", "signal_exits")


@dataclass(frozen=True)
class Experiment:
    """``program`` with ``helper`` in the kernel; ``space`` is where its accesses go."""

    program: str
    helper: str = ""  # "ioeventfd" or "coalesced"
    space: str = "pio"
    irqchip: bool = False
    unit: str = "access"
    answers: int = 0  # bytes that user space answers to a read


EXPERIMENTS = {
    "pio": Experiment("out"),
    "pio_read": Experiment("in", answers=1),
    "mmio": Experiment("store", space="mmio"),
    "mmio_read": Experiment("load", space="mmio", answers=4),
    "ioeventfd_pio": Experiment("out", "ioeventfd"),
    "ioeventfd_mmio": Experiment("store", "ioeventfd", "mmio"),
    "coalesced_pio": Experiment("out", "coalesced"),
    "coalesced_mmio": Experiment("store", "coalesced", "mmio"),
    "in_kernel": Experiment("pic", irqchip=True),
    "cpuid": Experiment("cpuid", unit="instruction"),
    "hlt": Experiment("hlt", unit="instruction"),
    "loop": Experiment("loop", unit="instruction"),
    "loop_ring0": Experiment("loop_ring0", unit="instruction"),
    "irqfd": Experiment("irq", irqchip=True, unit="interrupt"),
}


def count(name: str, accesses: int = 100, *, seconds: float = 5.0, device: Path = DEVICE) -> Counts:
    """What ``accesses`` (1 to 20,000) of the experiment ``name`` cause, exactly, and KVM's own counters beside it.

    ``userspace_returns`` are those that the guest caused, by reason in ``userspace.<reason>``; ``signals`` are those of
    the eventfd; ``kvm.coalesced`` the writes that waited in the ring; ``calls`` the interrupts that the guest handled.
    KVM's own counters also hold what others caused: interrupts of the host (irq_exits), ticks of the time limit
    (signal_exits). Where every access comes back, the guest is left at the last one; else its end is one return more.
    Raises MachineError when there is no usable KVM, ``seconds`` are over, or an access was lost; ParameterError for
    arguments out of range.
    """
    if name not in EXPERIMENTS:
        raise ParameterError(say("kvm.argument.experiment", name=name, known=", ".join(EXPERIMENTS)))
    if not 1 <= accesses <= MOST_ACCESSES:
        raise ParameterError(say("kvm.argument.accesses", given=accesses, most=f"{MOST_ACCESSES:,}"))
    experiment = EXPERIMENTS[name]
    program = programs.PROGRAMS[experiment.program]
    with TinyGuest(program.code, program.mode, irqchip=experiment.irqchip, device=device) as guest:
        run = {"hlt": _halts, "irqfd": _interrupts}.get(name, _accesses)
        values = run(guest, experiment, accesses, seconds)
    return Counts(str(words(f"kvm.experiment.{name}.title")), values, accesses, experiment.unit)


def aim(guest: TinyGuest, accesses: int) -> None:
    """Puts the guest at the start of its program, with so many accesses before it."""
    guest.set_registers(rcx=accesses, rdx=programs.PORT, rdi=modes.MMIO)


def help_from_kernel(guest: TinyGuest, helper: str, space: str) -> int:
    """Registers the helper for the accesses of a program; returns its eventfd, or -1."""
    pio = space == "pio"
    address, size = (programs.PORT, 1) if pio else (modes.MMIO, 4)
    if helper == "coalesced":
        guest.coalesce(address, size, pio=pio)
    return guest.ioeventfd(address, size, pio=pio) if helper == "ioeventfd" else -1


def at_end(last: Exit) -> bool:
    """Whether a guest has come to the end of its program."""
    return last.reason == "io" and last.address == programs.END_PORT


def warm(guest: TinyGuest, seconds: float) -> None:
    """One access to the end: KVM has mapped the guest's pages then, and what follows is only what is counted."""
    aim(guest, 1)
    for _ in range(3):
        if at_end(guest.run(seconds)):
            return
    raise MachineError(say("kvm.unfinished", left=1))


def _accesses(guest: TinyGuest, experiment: Experiment, accesses: int, seconds: float) -> dict[str, float]:
    signal = help_from_kernel(guest, experiment.helper, experiment.space)
    warm(guest, seconds)
    if signal >= 0:
        guest.signals(signal)
    guest.coalesced()
    aim(guest, accesses)
    each_returns = experiment.program in _DEVICE_PROGRAMS and not experiment.helper
    before, reasons, waited = guest.statistics(), Counter[str](), 0

    def handle(last: Exit) -> bool:
        nonlocal waited
        reasons[last.reason] += 1
        waited += len(guest.coalesced())
        if at_end(last) or each_returns and reasons.total() == accesses:
            return True
        if experiment.answers:
            guest.answer(b"\x5a" * experiment.answers)
        return False

    guest.serve(handle, seconds)
    values = _values(reasons, before, guest.statistics())
    nothing_lost(guest, 1 if each_returns else 0)
    if experiment.helper == "ioeventfd":
        values["signals"] = _all(guest.signals(signal), accesses)
    if experiment.helper == "coalesced":
        _all(waited + reasons.total() - 1, accesses)  # with the ring full, an access comes back itself
        values["coalesced"] = waited
    return values


def nothing_lost(guest: TinyGuest, left: int) -> None:
    """Raises MachineError unless rcx says that ``left`` accesses are not counted yet: 1 at the last one, 0 after it."""
    found = guest.registers()["rcx"]
    if found != left:
        raise MachineError(say("kvm.unfinished", left=found - left))


def _halts(guest: TinyGuest, experiment: Experiment, accesses: int, seconds: float) -> dict[str, float]:
    guest.run(seconds)
    before, reasons = guest.statistics(), Counter[str]()

    def handle(last: Exit) -> bool:
        reasons[last.reason] += 1
        return reasons.total() == accesses

    guest.serve(handle, seconds)
    _all(reasons["hlt"], accesses)
    return _values(reasons, before, guest.statistics())


def _interrupts(guest: TinyGuest, experiment: Experiment, accesses: int, seconds: float) -> dict[str, float]:
    """Signals one at a time: several that come before the guest runs would become one interrupt."""
    guest.write(programs.HANDLER, programs.PROGRAMS["irq_handler"].code)
    guest.write(programs.VECTOR_AT, struct.pack("<HH", programs.HANDLER, 0))
    signal = guest.irqfd(programs.IRQ)
    guest.run(seconds)
    before, reasons = guest.statistics(), Counter[str]()

    def handle(last: Exit) -> bool:
        reasons[last.reason] += 1
        if reasons.total() == accesses:
            return True
        os.eventfd_write(signal, 1)
        return False

    os.eventfd_write(signal, 1)
    guest.serve(handle, seconds)
    handled = int.from_bytes(guest.read(programs.COUNTER, 2), "little")
    values = _values(reasons, before, guest.statistics())
    return values | {"signals": accesses, "calls": _all(handled, accesses)}


def _all(got: int, wanted: int) -> int:
    """The conservation law of an experiment: no access is lost."""
    if got != wanted:
        raise MachineError(say("kvm.lost", got=got, wanted=wanted))
    return got


def _values(reasons: Counter[str], before: dict[str, int], after: dict[str, int]) -> dict[str, float]:
    values: dict[str, float] = {"userspace_returns": reasons.total()}
    values |= {f"userspace.{reason}": number for reason, number in reasons.items()}
    rose = {name: after[name] - before[name] for name in (*_ALWAYS, *_IF_ANY) if name in after}
    return values | {f"kvm.{name}": n for name, n in rose.items() if n or name in _ALWAYS}
