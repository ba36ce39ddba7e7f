"""What the IOMMU of a real QEMU lets a real device do: inside its domain, outside, and after an unmap. Kept or now."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.machine.computer import watch
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.edu import OPTIONS, Edu
from virtlab.machine.qemu.process import Qemu
from virtlab.machine.qemu.recorded import Witness, kept_table, qemu_version, witness_lines, witness_of
from virtlab.machine.qemu.vtd import Capabilities, FaultRecord, Vtd

TrialKey = Literal["off", "no_context", "inside", "outside", "read_only", "stale", "invalidated"]
TRIALS: tuple[TrialKey, ...] = ("off", "no_context", "inside", "outside", "read_only", "stale", "invalidated")
#: A QEMU with an IOMMU and a card behind it.
ARGUMENTS = ("-device", "intel-iommu,intremap=on", "-device", OPTIONS)
_IOVA, _READ_ONLY_IOVA, _SOURCE_IOVA, _BYTES = 0x4000_0000, 0x4000_1000, 0x4000_2000, 64


class Trial(NamedTuple):
    """One write of the card: the address that it used, whether its bytes arrived, and the fault that was recorded."""

    key: TrialKey
    address: int
    arrived: bool
    fault: FaultRecord | None

    def fault_text(self) -> str:
        """The fault for a reader; empty without one."""
        if self.fault is None:
            return ""
        reason = words("isolating.reason").get(str(self.fault.reason), "?")
        return say("isolating.fault", number=self.fault.reason, reason=reason, address=f"{self.fault.address:#x}")


@dataclass(frozen=True, repr=False)
class IommuSeen(Shown):
    """What the IOMMU of a QEMU said of itself, and what came of each write of a card behind it."""

    witness: Witness
    capabilities: Capabilities
    trials: tuple[Trial, ...]

    def __getitem__(self, key: TrialKey) -> Trial:
        return next(trial for trial in self.trials if trial.key == key)

    def sentence(self) -> str:
        """What was seen, in one sentence."""
        refused = sum(not trial.arrived for trial in self.trials)
        stale = words(f"isolating.{'stale' if self['stale'].arrived else 'not_stale'}")
        count = len(self.trials)
        return say("isolating.sentence", label=self.witness.label(), count=count, refused=refused, stale=stale)

    def table(self) -> Table:
        rows = [(words(f"isolating.trial.{t.key}"), f"{t.address:#x}",
                 words(f"isolating.{'arrived' if t.arrived else 'refused'}"), t.fault_text())
                for t in self.trials]  # fmt: skip
        return Table.of(words("isolating.header"), rows, self.sentence(), (1,))

    def capability_table(self) -> Table:
        """What CAP and ECAP say."""
        c = self.capabilities
        yes = words("isolating.yes")
        shown = {
            "version": c.version, "domains": f"{c.domains:,}", "levels": ", ".join(map(str, c.levels)),
            "page_shifts": ", ".join(show(1 << shift, "B") for shift in c.page_shifts),
            "address_bits": str(c.address_bits), "fault_registers": str(c.fault_registers),
            **{key: yes[str(getattr(c, key))] for key in ("caching_mode", "queued_invalidation", "interrupt_remapping",
                                                          "device_iotlb", "passthrough")},
        }  # fmt: skip
        rows = [(words(f"isolating.capability.{key}"), value) for key, value in shown.items()]
        return Table.of(words("isolating.capability_header"), rows, self.witness.label(), (1,))

    def toml(self) -> str:
        """The text of a file that :func:`recorded_iommu` reads."""
        lines = [*witness_lines(self.witness), "", "[capabilities]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in asdict(self.capabilities).items()]
        for trial in self.trials:
            lines += ["", "[[trials]]", f'key = "{trial.key}"', f"address = {trial.address:#x}",
                      f"arrived = {json.dumps(trial.arrived)}"]  # fmt: skip
            if trial.fault:
                parts = ", ".join(f"{key} = {json.dumps(value)}" for key, value in asdict(trial.fault).items())
                lines.append(f"fault = {{ {parts} }}")
        return "\n".join([*lines, ""])


def measure_iommu() -> IommuSeen:
    """Drives the IOMMU of this computer's own QEMU, and lets a card write: seven times, in some two seconds.

    A q35 with an intel-iommu and the teaching device "edu". Before each write its target is empty and the card holds
    bytes that it never held before; afterwards the target is read, and so is the fault-recording register. Needs no
    rights and no KVM, and leaves nothing behind. Raises MachineError when there is no QEMU, or it lacks the devices.
    """
    version, looked = qemu_version(), watch()
    with Qemu(ARGUMENTS, "q35") as qemu:
        vtd, card = Vtd(qemu), Edu(qemu)
        take = qemu.arena.take
        frame, locked, secret, source = (take(4096, 4096) for _ in range(4))
        trials: list[Trial] = []

        def trial(key: TrialKey, address: int, target: int, load: Callable[[int], None]) -> None:
            pattern = bytes([len(trials) + 1]) * _BYTES
            load(int.from_bytes(pattern[:1], "little"))
            qemu.memory.write(target, bytes(_BYTES))
            card.put(address, _BYTES)
            found = qemu.memory.read(target, _BYTES)
            faults = vtd.faults()
            if found not in (pattern, bytes(_BYTES)) or any(fault.source != card.source for fault in faults):
                raise MachineError(say("isolating.torn", trial=key))
            trials.append(Trial(key, address, found == pattern, faults[0] if faults else None))

        def plainly(value: int) -> None:
            qemu.memory.write(source, bytes([value]) * _BYTES)
            card.take(source, _BYTES)

        def through(value: int) -> None:
            qemu.memory.write(source, bytes([value]) * _BYTES)
            card.take(_SOURCE_IOVA, _BYTES)

        trial("off", secret, secret, plainly)
        plainly(2)
        vtd.enable()
        trial("no_context", secret, secret, lambda value: None)
        vtd.attach(card.slot)
        vtd.map(_IOVA, frame)
        # Never read by the card: QEMU refuses a write to what it has cached as read-only, but records no fault then.
        vtd.map(_READ_ONLY_IOVA, locked, writable=False)
        vtd.map(_SOURCE_IOVA, source, writable=False)
        trial("inside", _IOVA, frame, through)
        trial("outside", secret, secret, through)
        trial("read_only", _READ_ONLY_IOVA, locked, through)
        vtd.unmap(_IOVA)
        trial("stale", _IOVA, frame, through)
        vtd.invalidate(_IOVA)
        trial("invalidated", _IOVA, frame, through)
        return IommuSeen(Witness(version, looked()), vtd.capabilities, tuple(trials))


@functools.cache
def recorded_iommu() -> IommuSeen:
    """The IOMMU of a QEMU that comes with the course, for computers that have none."""
    tree = kept_table("recorded_iommu.toml")
    kept: Any = {key: tuple(v) if isinstance(v, list) else v for key, v in tree["capabilities"].items()}
    capabilities = Capabilities(**kept)
    trials = tuple(
        Trial(t["key"], t["address"], t["arrived"], FaultRecord(**t["fault"]) if "fault" in t else None)
        for t in tree["trials"]
    )
    return IommuSeen(witness_of(tree), capabilities, trials)
