"""The lab of what is left after I/O: timers, IPIs, HLT and PAUSE, four remedies, and the price of each."""

from __future__ import annotations

from collections.abc import Collection

from virtlab.core.parameter import Parameters, same
from virtlab.core.words import say, words
from virtlab.cpu import REMEDIES, AfterIo, Residue, after_io
from virtlab.cpu.cost_sets import CostSetName
from virtlab.cpu.reasons import Vendor
from virtlab.cpu.remedies import NEEDS, Remedy
from virtlab.figures.after_io import PLACES, AfterIoPicture, AfterIoResult
from virtlab.labs.base import Lab


class AfterIoSetting(Parameters):
    """A vCPU without I/O exits, and the remedies that are switched on, whether or not they can work."""

    exits_disabled: bool = same(AfterIo, "exits_disabled")
    posted_timers: bool = same(AfterIo, "posted_timers")
    ipi_virtualization: bool = same(AfterIo, "ipi_virtualization")
    isolated_cpus: bool = same(AfterIo, "isolated_cpus")
    exit_costs: CostSetName = same(AfterIo, "exit_costs")
    vendor: Vendor = same(AfterIo, "vendor")
    apicv: bool = same(AfterIo, "apicv")
    halts_per_s: float = same(AfterIo, "halts_per_s", step=1_000)
    ipis_per_s: float = same(AfterIo, "ipis_per_s", step=1_000)
    multicast_share: float = same(AfterIo, "multicast_share")
    timers_per_s: float = same(AfterIo, "timers_per_s", step=1_000)
    spins_per_s: float = same(AfterIo, "spins_per_s", step=1_000)
    guest_hz: float = same(AfterIo, "guest_hz")
    host_hz: float = same(AfterIo, "host_hz")
    busy_share: float = same(AfterIo, "busy_share")
    indirect_factor: float = same(AfterIo, "indirect_factor")
    mitigations: bool = same(AfterIo, "mitigations")
    clock_ghz: float = same(AfterIo, "clock_ghz")

    def options(self, remedies: Collection[str]) -> AfterIo:
        """The model's options with these remedies, as far as each has what it needs."""
        works = working(remedies, self.apicv)
        return AfterIo(**self.model_dump() | {remedy: remedy in works for remedy in REMEDIES})


class AfterIoLab(Lab):
    """What is left when no device causes an exit any more, and what it costs to have less of it."""

    Setting = AfterIoSetting
    Picture = AfterIoPicture
    visible = REMEDIES

    def solve(self, setting: AfterIoSetting) -> AfterIoResult:
        wanted = tuple(remedy for remedy in REMEDIES if getattr(setting, remedy))
        residue = after_io(setting.options(wanted))
        ladder = [_by_place(after_io(setting.options(REMEDIES[:n]))) for n in range(len(REMEDIES) + 1)]
        steps = tuple({place: sum(part[place] for part in step.values()) for place in PLACES} for step in ladder)
        # What is switched on is judged as it stands; the others as one of all four.
        idle = _idle(wanted, setting.apicv) | {
            r: why for r, why in _idle(REMEDIES, setting.apicv).items() if r not in wanted
        }
        return AfterIoResult(residue, _by_place(residue), steps, wanted, idle)

    def sentence(self, setting: AfterIoSetting, result: AfterIoResult) -> str:
        idle = [say("after_io.without_effect", remedy=words(f"cpu_exits.remedy.{remedy}.name"), why=result.idle[remedy])
                for remedy in result.wanted if remedy in result.idle]  # fmt: skip
        return say("after_io.sentence", residue=result.residue.sentence(), idle="".join(idle))


def _by_place(residue: Residue) -> dict[str, dict[str, float]]:
    """The shares by reason and by whose time they are: KVM's, or the guest's own afterwards."""
    parts = {}
    for line in residue.profile.lines:
        causes = residue.options.parts_ns(line.route)
        guest = line.exits_per_s * (causes["indirect"] + causes["flush"]) / 1e9
        parts[line.reason] = {"kvm": line.share - guest, "guest": guest}
    return parts


def working(remedies: Collection[str], apicv: bool) -> tuple[Remedy, ...]:
    """Those of the remedies that have what they need."""
    there = {"apicv"} if apicv else set()
    works: list[Remedy] = []
    for remedy in REMEDIES:  # a remedy needs earlier ones
        if remedy in remedies and set(NEEDS[remedy]) <= there:
            there.add(remedy)
            works.append(remedy)
    return tuple(works)


def _idle(remedies: Collection[str], apicv: bool) -> dict[str, str]:
    """Why each of the remedies that cannot work does nothing."""
    works = working(remedies, apicv)
    found = {}
    for remedy in (r for r in REMEDIES if r in remedies and r not in works):
        missing = next(n for n in NEEDS[remedy] if n not in works and not (n == "apicv" and apicv))
        found[str(remedy)] = str(words(f"cpu_exits.needs.{missing}"))
    return found
