"""Measures what one access costs by the place that handles it: user space, an ioeventfd, KVM itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import fields

from virtlab.machine.computer import watch
from virtlab.machine.kvm.experiments import aim, help_from_kernel, nothing_lost, warm
from virtlab.machine.kvm.guest import TinyGuest
from virtlab.machine.kvm.kinds import kind
from virtlab.machine.kvm.programs import PROGRAMS
from virtlab.machine.kvm.records import COSTS, Cost, ExitCosts
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import Host
from virtlab.machine.sampling import CannotMeasure, check_seconds, quantity, reason, until

_LIMIT_SECONDS = 10.0
_RETURNS, _SIGNALS, _IN_RING, _LOOPS, _BOUNCES = 50, 500, 160, 1_000_000, 200  # accesses of one sample

Samples = Generator[tuple[float, ...], None, None]


def measure(seconds: float = 1.0, host: Host | None = None) -> ExitCosts:
    """The costs of exits of this computer, in about ``seconds`` (0.05 to 10) and some 0.1 s to prepare.

    Times are of one access from ring 3 of long mode, the one mode that software and hardware KVM both run on the CPU.
    Never raises for what cannot be measured: it is missing, with the reason. Whatever was opened is closed again, after
    an interrupt as well. Raises ParameterError for ``seconds`` out of range.
    """
    check_seconds(seconds)
    host = host or Host()
    found = kind(host)
    facts = watch(host)
    costs: list[Cost] = []
    for keys, (probe, share) in PROBES.items():
        if found.name == "none":
            costs += [Cost(key, missing=found.text) for key in keys]
        else:
            costs += _careful(keys, probe, seconds * share)
    order = list(COSTS)
    return ExitCosts(tuple(sorted(costs, key=lambda cost: order.index(cost.id))), facts(), "now", found)


def _careful(keys: tuple[str, ...], probe: Callable[[float], Samples], seconds: float) -> list[Cost]:
    try:
        with contextlib.closing(probe(seconds)) as samples:  # an interrupt closes it at once, not some time later
            columns = list(zip(*samples, strict=True))
        return [_cost(key, column) for key, column in zip(keys, columns, strict=True)]
    except MachineError as error:
        return [Cost(key, missing=str(error)) for key in keys]
    except Exception as error:  # a sandbox may refuse anything
        return [Cost(key, missing=reason(error)) for key in keys]


def _cost(key: str, samples: tuple[float, ...]) -> Cost:
    try:
        found = quantity(key, samples)
    except CannotMeasure as error:
        return Cost(key, missing=str(error))
    return Cost(**{field.name: getattr(found, field.name) for field in fields(found)})


# --- the probes: each yields one sample of each of its quantities until its time is over ------------------------------


def _against_ioeventfd(seconds: float, program: str, space: str) -> Samples:
    """ns of an access that comes back, of one that signals an eventfd, and their ratio: in turns, in two guests."""
    with _warm_guest(program) as plain, _warm_guest(program, "ioeventfd", space) as helped:
        for _ in until(seconds):
            user = _returns_ns(plain, _RETURNS)
            kernel = _whole_ns(helped, _SIGNALS)
            yield user, kernel, user / kernel


def pio(seconds: float) -> Samples:
    return _against_ioeventfd(seconds, "out", "pio")


def mmio(seconds: float) -> Samples:
    return _against_ioeventfd(seconds, "store", "mmio")


def in_kernel(seconds: float) -> Samples:
    """ns of a read of the interrupt controller in the kernel."""
    with _warm_guest("pic", irqchip=True) as guest:
        for _ in until(seconds):
            yield (_whole_ns(guest, _SIGNALS),)


def coalesced(seconds: float) -> Samples:
    """ns of a write that waits in KVM's ring, with its part of the one return."""
    with _warm_guest("store", "coalesced", "mmio") as guest:
        for _ in until(seconds):
            guest.coalesced()
            yield (_whole_ns(guest, _IN_RING),)


def loop(seconds: float) -> Samples:
    """ns of three instructions that no hypervisor has to see."""
    with _warm_guest("loop") as guest:
        for _ in until(seconds):
            yield (_whole_ns(guest, _LOOPS),)


def entry(seconds: float) -> Samples:
    """ns of KVM_RUN that comes back before the guest runs."""
    with _warm_guest("out") as guest:
        for _ in until(seconds):
            yield (guest.bounce(_BOUNCES) / _BOUNCES,)


@contextlib.contextmanager
def _warm_guest(program: str, helper: str = "", space: str = "", irqchip: bool = False) -> Iterator[TinyGuest]:
    with TinyGuest(PROGRAMS[program].code, PROGRAMS[program].mode, irqchip=irqchip) as guest:
        help_from_kernel(guest, helper, space)
        warm(guest, _LIMIT_SECONDS)
        yield guest


def _returns_ns(guest: TinyGuest, accesses: int) -> float:
    """ns an access when each comes back; the guest stays at the last one, so there is no other return."""
    aim(guest, accesses)
    ns = guest.run(_LIMIT_SECONDS, accesses).ns
    nothing_lost(guest, 1)
    return ns / accesses


def _whole_ns(guest: TinyGuest, accesses: int) -> float:
    """ns an access when the guest comes back once, at its end."""
    aim(guest, accesses)
    ns = guest.run(_LIMIT_SECONDS).ns
    nothing_lost(guest, 0)
    return ns / accesses


#: The probe that gives each set of quantities, and its part of the time.
PROBES: Mapping[tuple[str, ...], tuple[Callable[[float], Samples], float]] = {
    ("userspace_pio", "ioeventfd_pio", "ratio_pio"): (pio, 0.35),
    ("userspace_mmio", "ioeventfd_mmio", "ratio_mmio"): (mmio, 0.35),
    ("in_kernel",): (in_kernel, 0.1),
    ("coalesced_mmio",): (coalesced, 0.1),
    ("entry",): (entry, 0.05),
    ("loop",): (loop, 0.05),
}
