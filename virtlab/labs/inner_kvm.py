"""Linux's own KVM as the witness: what it counts for small guests, beside the model's number for the same work."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.words import say, words
from virtlab.cpu import PollRules, poll_intervals_ns
from virtlab.evidence import FACTS
from virtlab.figures.inner_kvm import Bar, InnerKvmPicture, InnerKvmResult, Row, Staircase
from virtlab.labs.measuring import MeasuringLab
from virtlab.machine.inner import EXPERIMENTS, InnerKvm, Polling, inner_kvm, recorded_inner_kvm
from virtlab.machine.inner.experiments import HALTS, PAGES, TIMES
from virtlab.memory import dirty_logging, footprint
from virtlab.memory.dirty import PAGE_BYTES
from virtlab.paths import LADDER

Subject = Literal["exits", "halt", "pages", "ladder"]

#: Runs that differ in who handles the access: how many returns to user space the model says that one access costs.
_ACCESSES = {"pio": 1, "pio-ioeventfd": 0, "mmio": 1, "mmio-ioeventfd": 0, "cpuid": 0}
_STEPS = ("first", "again", "logged", "logged-again", "log", "after-log", "unlogged")
_SIZES: Mapping[str, Literal["4K", "2M"]] = {"4k": "4K", "2m": "2M"}
#: A 12 µs wait is left out: what the guest waits is some µs less than what it sets, and 10 µs are a step of the stairs.
_STAIRS = ("poll-60us", "poll-150us", "poll-250us", "poll-mixed")
_RUNGS = {"qemu": ("qemu", 1), "qemu-ioeventfd": ("qemu-ioeventfd", 1), "vhost-net": ("vhost-net", 1),
          "vhost-net-batch": ("vhost-net", 25)}  # fmt: skip
_EXPERIMENTS = {"exits": tuple(_ACCESSES), "halt": ("hlt-exits", "hlt-in-guest", "poll-12us", *_STAIRS),
                "pages": ("touch-4k", "touch-2m"), "ladder": ("ladder",)}  # fmt: skip
#: Around the work: the page with the guest's code is touched first, the guest ends with a HLT or a write to a port.
_CODE_PAGE, _END = 1, 1
#: The Linux that first put huge pages back in place (the fact dirty.recover.in_place).
_RECOVERS = (6, 13)


class InnerKvmSetting(Parameters):
    """What the runs are about."""

    subject: Subject = parameter(FACTS["lab.inner_kvm.subject"], default="exits")


class InnerKvmLab(MeasuringLab):
    """What Linux's own KVM counts, beside the model. It opens with recorded counts; ``measure()`` boots it here.

    That takes some 15 seconds, and ``seconds`` is the longest that it may take.
    """

    Setting = InnerKvmSetting
    Picture = InnerKvmPicture
    visible = ("subject",)

    button_help: ClassVar[str] = "inner_kvm_lab.button_help"
    details_title: ClassVar[str] = "inner_kvm_lab.details"
    seconds: ClassVar[float] = 120.0

    def record(self) -> InnerKvm:
        return recorded_inner_kvm()

    def ask(self, seconds: float) -> InnerKvm:
        return inner_kvm(seconds=seconds)

    def details(self) -> str:
        return self._measured.only(_EXPERIMENTS[self.subject])._repr_html_()

    def solve(self, setting: InnerKvmSetting) -> InnerKvmResult:
        record: InnerKvm = self.measured
        stairs: tuple[Staircase, ...] = ()
        limit_ns = 1
        if setting.subject == "halt":
            rules = polling_rules(record.facts.parameters)
            stairs = tuple(_staircase(record, run, rules) for run in _STAIRS)
            limit_ns = rules["halt_poll_ns"] if rules else max(ns for stair in stairs for ns in stair.seen_ns)
        return InnerKvmResult(setting.subject, _ROWS[setting.subject](record), stairs, max(limit_ns, 1), record.label,
                              record.live)  # fmt: skip

    def sentence(self, setting: InnerKvmSetting, result: InnerKvmResult) -> str:
        parts = [say("inner_kvm_lab.row", title=row.title, bars=", ".join(_bar_text(bar) for bar in row.bars))
                 for row in result.rows]  # fmt: skip
        for stair in result.stairs:
            key = "inner_kvm_lab.stair" if stair.model_ns is not None else "inner_kvm_lab.stair_alone"
            parts.append(say(key, title=stair.title, seen=_turns(stair.seen_ns), said=stair.said(),
                             model=_turns(stair.model_ns or ()), enough=stair.model_enough))  # fmt: skip
        wrong = [say("inner_kvm_lab.which", title=row.title, bar=words(f"inner_kvm_lab.bar.{bar.kind}"))
                 for row in result.rows for bar in row.bars if not bar.agrees]  # fmt: skip
        wrong += [stair.title for stair in result.stairs if not stair.agrees]
        n = sum(len(row.bars) for row in result.rows) + sum(stair.model_ns is not None for stair in result.stairs)
        verdict = say("inner_kvm_lab.differ", names="; ".join(wrong)) if wrong else say("inner_kvm_lab.equal", n=n)
        return say("inner_kvm_lab.sentence", title=result.title, parts="; ".join(parts), verdict=verdict,
                   notes=" ".join(words(f"inner_kvm_lab.notes.{result.subject}")), label=result.label)  # fmt: skip


# --- what was counted, and the model's number for the same work ------------------------------------------------------


def _bar(record: InnerKvm, run: str, kind: str, scope: str, place: str, work: float, around: int = 0,
         also: str = "") -> Bar:  # fmt: skip
    """A bar of the counters of one scope ("exits", "userspace") by reason, or of the one counter of that name."""
    values = record.counts[run].values
    parts = {k.removeprefix(f"{scope}."): round(n) for k, n in values.items() if k.startswith(f"{scope}.") and n}
    if scope in values:
        parts = {"": round(values[scope])} if values[scope] else {}
    return Bar(kind, place, tuple(parts.items()), round(work), around, also)


def _exits(record: InnerKvm) -> tuple[Row, ...]:
    """N accesses are N exits, whoever handles them; where user space does, they are N returns as well."""
    rows = []
    for run, returns in _ACCESSES.items():
        signals = round(record.counts[run].values.get("signals", 0))
        also = say("inner_kvm_lab.signals", n=signals) if signals else ""
        rows.append(Row(run, words(f"inner_kvm_lab.run.{run}"), (
            _bar(record, run, "exits", "exits", "kvm", TIMES, _CODE_PAGE + _END),
            _bar(record, run, "returns", "userspace", "qemu", returns * TIMES, _END, also),
        )))  # fmt: skip
    return tuple(rows)


def _halt(record: InnerKvm) -> tuple[Row, ...]:
    """N halts with a timer are 3 N exits: two MSR writes to arm it and to end its interrupt, and one HLT, or, where
    the guest itself halts the processor, one interrupt. Three MSRs, three pages and the end are around them."""
    around = 3 + 3 * _CODE_PAGE + _END
    return tuple(
        Row(run, words(f"inner_kvm_lab.run.{run}"), (
            _bar(record, run, "exits", "exits", "kvm", 3 * HALTS, around),
            _bar(record, run, "wakeups", "kvm.halt_wakeup", "host", sleeps * HALTS),
        )) for run, sleeps in (("hlt-exits", 1), ("hlt-in-guest", 0))
    )  # fmt: skip


def _pages(record: InnerKvm) -> tuple[Row, ...]:
    rows = []
    for step in _STEPS:
        bars = []
        for kind, page in _SIZES.items():
            work, around = modelled_pages(step, page, linux(record.facts.kernel))
            scope, end = ("kvm.dirty_pages", 0) if step == "log" else ("exits", _END)
            bars.append(_bar(record, f"{step}-{kind}", kind, scope, "kvm", work, around + end))
        rows.append(Row(step, words(f"inner_kvm_lab.run.{step}"), tuple(bars)))
    return tuple(rows)


def modelled_pages(step: str, page: Literal["4K", "2M"], kernel: tuple[int, int]) -> tuple[float, int]:
    """The model's page faults of one step of touching all pages once, or pages of the log: of the work, and around it.

    The guest's code lies in a page of its own, which is read and never written, so that no log has it.
    """
    size = PAGES * PAGE_BYTES
    if step == "first":
        return footprint(memory_bytes=size, host_page=page).first_touch_exits, _CODE_PAGE
    if step == "again":
        return 0, 0  # what is mapped does not exit
    # A second of writes, each page once: then as often again, of which the log sees nothing new.
    once, twice = (
        dirty_logging(memory_bytes=size, writes="sweep", log="write-protect", page=page, split="fault", clear_s=1,
                      write_rate_per_s=rounds * PAGES, recover_in_place=kernel >= _RECOVERS) for rounds in (1, 2)
    )  # fmt: skip
    if step == "unlogged":
        return once.refaults, _CODE_PAGE if once.refaults else 0
    found = {"logged": once.faults, "logged-again": twice.faults - once.faults, "log": once.unique_pages,
             "after-log": once.faults}  # fmt: skip
    return found[step], 0


def _ladder(record: InnerKvm) -> tuple[Row, ...]:
    rows = []
    for run, (path, batch) in _RUNGS.items():
        frames = record.counts[run].work
        model = LADDER[path].counts(kick_batch=batch, completion_interrupts=False)  # the driver takes no interrupts
        carried = record.carriers.get(run, {})
        also = ", ".join(say("inner_kvm_lab.carried", n=n, who=words(f"inner_kvm_lab.who.{who}"))
                         for who, n in carried.items())  # fmt: skip
        rows.append(Row(run, words(f"inner_kvm_lab.run.{run}"), (
            _bar(record, run, "exits", "exits", "kvm", model.vcpu_exits_per_packet * frames),
            _bar(record, run, "returns", "userspace", "qemu", model.userspace_exits_per_packet * frames, also=also),
        )))  # fmt: skip
    return tuple(rows)


_ROWS: Mapping[str, Callable[[InnerKvm], tuple[Row, ...]]] = {
    "exits": _exits, "halt": _halt, "pages": _pages, "ladder": _ladder
}  # fmt: skip


def linux(kernel: str) -> tuple[int, int]:
    """The version in "Linux 6.1.0-56-cloud-amd64"; (0, 0) where there is none."""
    found = re.search(r"(\d+)\.(\d+)", kernel)
    return (int(found[1]), int(found[2])) if found else (0, 0)


# --- halt polling ----------------------------------------------------------------------------------------------------

_RULES = ("halt_poll_ns", "halt_poll_ns_grow", "halt_poll_ns_grow_start", "halt_poll_ns_shrink")


def polling_rules(parameters: Mapping[str, str]) -> dict[str, int]:
    """The parameters of KVM's halt polling as this KVM told them; empty if it did not tell all of them."""
    found = {name: parameters[name] for name in _RULES if parameters.get(name, "").isdigit()}
    return {name: int(text) for name, text in found.items()} if len(found) == len(_RULES) else {}


def waits_ns(run: str) -> tuple[int, ...]:
    """What the guest of a run sets its timer to before each halt: the table that the experiment gives it."""
    experiment = EXPERIMENTS[run]
    address = experiment.runs[0].steps[0].partition("rsi=")[2].split()[0]
    table = bytes.fromhex(next(s for s in experiment.setup if s.startswith(f"store {address} ")).split()[2])
    return struct.unpack(f"<{len(table) // 4}I", table)


def halt_polling(waits: tuple[int, ...], rules: Mapping[str, int]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """How long KVM polls after each wait (ns), and whether each wait ended while it polled."""
    intervals = poll_intervals_ns(waits, PollRules(*(rules[name] for name in _RULES)))
    return intervals[1:], tuple(0 < wait <= interval for wait, interval in zip(waits, intervals, strict=False))


def _staircase(record: InnerKvm, run: str, rules: Mapping[str, int]) -> Staircase:
    seen, title = record.polling[run], words(f"inner_kvm.run.{run}")
    model, enough = halt_polling(waits_ns(run), rules) if rules else (None, ())
    return Staircase(run, title, seen.interval_ns, sum(seen.enough), model, sum(enough))


def _turns(intervals_ns: tuple[int, ...]) -> str:
    """The intervals in turn, as the record itself prints them."""
    return str(Polling((), intervals_ns))


def _bar_text(bar: Bar) -> str:
    return say("inner_kvm_lab.bar_text", kind=words(f"inner_kvm_lab.said.{bar.kind}"), counted=bar.counted,
               by=bar.said(), sign="=" if bar.agrees else "≠", model=bar.modelled())  # fmt: skip
