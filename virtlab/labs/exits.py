"""The exit lab: what one access costs, who handles it, and how often it comes back to user space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from virtlab.core.counts import Counts, side_by_side
from virtlab.core.parameter import Parameters, parameter
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS, Fact
from virtlab.figures.exits import ExitPicture, ExitResult, Way
from virtlab.labs.measuring import MeasuringLab
from virtlab.machine import kvm
from virtlab.machine.inner import recorded_inner_kvm
from virtlab.machine.kvm import ExitCosts
from virtlab.machine.owning import MachineError

Access = Literal["pio", "mmio"]
_ACCESSES = 100  # of a count

#: The ways by who handles the access, nearest to user space first: the place, and the returns an access by the model.
#: Each of them exits once an access.
_WAYS: Mapping[str, tuple[str, int]] = {
    "userspace": ("qemu", 1), "ioeventfd": ("kvm", 0), "in_kernel": ("kvm", 0), "coalesced": ("kvm", 0)
}  # fmt: skip
#: What was published for hardware, by fact; {access} is pio or mmio.
_PUBLISHED: Mapping[str, tuple[str, str]] = {
    "qemu": ("qemu", "exit.m01.{access}.qemu"), "eventfd": ("kvm", "exit.m01.{access}.ioeventfd"),
    "floor_user": ("qemu", "exit.m03.user"), "floor_kernel": ("kvm", "exit.m03.kernel"),
    "direct": ("kvm", "exit.m02.direct"),
}  # fmt: skip


@dataclass(frozen=True)
class ExitRecord:
    """The times of one measurement, and the returns to user space that were counted, by experiment of machine.kvm."""

    costs: ExitCosts
    counts: Mapping[str, Counts]
    #: Returns that are no access's: the end of the guest.
    ends: Mapping[str, int]

    def returns(self, experiment: str) -> tuple[int, int] | None:
        """Returns to user space that accesses caused, and how many accesses there were; None if nobody counted."""
        if experiment not in self.counts:
            return None
        counts = self.counts[experiment]
        return round(counts["userspace_returns"]) - self.ends[experiment], round(counts.work)

    def _repr_html_(self) -> str:
        table = side_by_side(*self.counts.values())._repr_html_() if self.counts else ""
        return self.costs._repr_html_() + table


def recorded() -> ExitRecord:
    """The times that come with the course, and the counts: of Linux's own KVM (inner_kvm), and for a device in the
    kernel or a coalesced address, of which that has no guest, of the KVM that the times are of."""
    inner = recorded_inner_kvm().counts
    names = {"pio": "pio", "ioeventfd_pio": "pio-ioeventfd", "mmio": "mmio", "ioeventfd_mmio": "mmio-ioeventfd"}
    counts = {**{name: inner[run] for name, run in names.items()}, **kvm.recorded_counts()}
    return ExitRecord(kvm.recorded(), counts, dict.fromkeys(counts, 1))


def measure(seconds: float) -> ExitRecord:
    """Times and counts of this computer's KVM. Raises MachineError with one sentence where there is none to use."""
    costs = kvm.measure(seconds)
    if costs.kind.name == "none":
        raise MachineError(say("exit_lab.none", kind=costs.kind))
    counts, ends = {}, {}
    for name in ("pio", "ioeventfd_pio", "mmio", "ioeventfd_mmio", "in_kernel", "coalesced_pio", "coalesced_mmio"):
        try:
            counts[name] = kvm.count(name, _ACCESSES)
        except MachineError:
            continue  # it is told as not counted
        ends[name] = int(name not in ("pio", "mmio"))  # there the guest is left at its last access
    return ExitRecord(costs, counts, ends)


class ExitSetting(Parameters):
    """How the guest reaches its device and how often, and the clock that published cycles are counted by."""

    access: Access = parameter(FACTS["lab.exit.access"], default="pio")
    access_rate_per_s: float = parameter(FACTS["lab.exit.rate"], ge=100, le=10_000_000, log=True)
    clock_ghz: float = parameter(FACTS["cpu.clock"], ge=1, le=6)


class ExitLab(MeasuringLab):
    """What does one access cost, and who handles it? It opens with a recorded KVM; ``measure()`` asks this computer's.

    Times of software KVM have an axis of their own, always.
    """

    Setting = ExitSetting
    Picture = ExitPicture
    visible = ("access", "access_rate_per_s", "clock_ghz")

    button_help: ClassVar[str] = "exit_lab.button_help"
    seconds: ClassVar[float] = 1.0

    def record(self) -> ExitRecord:
        return recorded()

    def ask(self, seconds: float) -> ExitRecord:
        return measure(seconds)

    def solve(self, setting: ExitSetting) -> ExitResult:
        record: ExitRecord = self.measured
        ways = tuple(_way(record, key, setting) for key in _WAYS)
        published = tuple(_published(key, setting) for key in _PUBLISHED)
        return ExitResult(ways, published, record.costs, setting.access_rate_per_s, setting.clock_ghz)

    def sentence(self, setting: ExitSetting, result: ExitResult) -> str:
        costs, rate = result.measured, show(setting.access_rate_per_s, "1/s")
        ratio = costs[f"ratio_{setting.access}"]
        times = say("exit_lab.times", ratio=number(ratio.value)) if ratio.present else ""
        return say(
            "exit_lab.sentence", label=costs.label().rstrip("."), rate=rate, times=times,
            ways="; ".join(_way_text(way) for way in result.ways), clock=show(setting.clock_ghz, "GHz"),
            published="; ".join(_way_text(way) for way in result.published),
            caution=words(f"exit_lab.caution.{costs.kind.name}"),
        )  # fmt: skip


def _way(record: ExitRecord, key: str, setting: ExitSetting) -> Way:
    access = setting.access
    place, returns = _WAYS[key]
    # KVM's own device is a port, and times of a coalesced address are those of stores: the title says so.
    cost = {"userspace": f"userspace_{access}", "ioeventfd": f"ioeventfd_{access}", "in_kernel": "in_kernel",
            "coalesced": "coalesced_mmio"}[key]  # fmt: skip
    experiment = {"userspace": access, "ioeventfd": f"ioeventfd_{access}", "in_kernel": "in_kernel",
                  "coalesced": "coalesced_mmio"}[key]  # fmt: skip
    measured, counted = record.costs[cost], record.returns(experiment)
    span = (measured.value, measured.low, measured.high) if measured.present else None
    name = f"exit_lab.way.{key}_{access}" if key in ("userspace", "ioeventfd") else f"exit_lab.way.{key}"
    n, of = counted or (0, 0)
    note, said = (say(f"exit_lab.{key}.{'uncounted' if counted is None else 'counted'}", n=n, of=of,
                      returns=words(f"exit_lab.{key}.returns_{returns}")) for key in ("note", "said"))  # fmt: skip
    return Way(words(name), place, span, _share(span, setting), note, said)


def _published(key: str, setting: ExitSetting) -> Way:
    place, name = _PUBLISHED[key]
    fact: Fact = FACTS[name.format(access=setting.access)]
    value, low, high = (cycles / setting.clock_ghz for cycles in (fact.value, fact.low, fact.high))
    title = words(f"exit_lab.published.{key}")
    where = words(f"exit_lab.where.{key}")
    said = say("exit_lab.conditions", where=where, cycles=number(fact.value, 4))
    return Way(title, place, (value, low, high), _share((value, low, high), setting), where, said, fact.value)


def _share(span: tuple[float, float, float] | None, setting: ExitSetting) -> float | None:
    """The rate form: rate times cost, as a share of one core. Above 1 it cannot be."""
    return None if span is None else setting.access_rate_per_s * span[0] / 1e9


def _way_text(way: Way) -> str:
    if way.cost_ns is None or way.share is None:
        return say("exit_lab.no_time", title=way.title, said=way.said)
    value, low, high = (show(ns, "ns") for ns in way.cost_ns)
    time = value if low == high else say("machine.spread", value=value, low=low, high=high)
    return say("exit_lab.part", title=way.title, time=time, said=way.said, share=way.share_text())
