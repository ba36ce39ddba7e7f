"""Halt polling: to spin before a halted vCPU sleeps. CPU burnt against latency gained, in the host or in the guest.

The host's algorithm is kvm_vcpu_halt of virt/kvm/kvm_main.c: each vCPU has an interval that it polls. A wait longer
than the interval and shorter than halt_poll_ns makes it grow; one beyond halt_poll_ns makes it shrink; one of exactly
halt_poll_ns does neither. The guest's own is the haltpoll governor (drivers/cpuidle/governors/haltpoll.c), which
judges only the part of a wait that it slept, and takes one of exactly guest_halt_poll_ns as short.

A wait is what KVM measures, from the HLT until the vCPU can go on: for one that sleeps this includes its wake-up, which
is not added here, so near halt_poll_ns some µs decide. Left out: the cost of the HLT exit and of going to sleep.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

WaitKind = Literal["constant", "exponential", "bursty"]

# Bursty waits: nine of ten are a fifth of the mean, and the tenth makes up for it.
_SHORT, _LONG = 0.2, 8.2


class PollRules(NamedTuple):
    """halt_poll_ns and its siblings, as module parameters of kvm (or of haltpoll) give them."""

    most_ns: int
    grow: int
    grow_start_ns: int
    shrink: int


class PollOptions(Parameters):
    """The rules of KVM's halt polling, and what a wake-up through the scheduler costs.

    The defaults are those of Linux 6.12; up to 6.8 ``halt_poll_shrink`` is 0, which means down to 0 at once.
    ``other_task``: another task wants to run on this CPU, for which the host does not poll.
    """

    halt_poll_ns: int = parameter(FACTS["kvm.halt_poll.most"], ge=0, le=10_000_000)
    halt_poll_grow: int = parameter(FACTS["kvm.halt_poll.grow"], ge=0, le=16)
    halt_poll_grow_start_ns: int = parameter(FACTS["kvm.halt_poll.grow_start"], ge=0, le=10_000_000)
    halt_poll_shrink: int = parameter(FACTS["kvm.halt_poll.shrink"], ge=0, le=16)
    other_task: bool = parameter(FACTS["kvm.halt_poll.other_task"], default=False)
    wakeup_ns: float = parameter(FACTS["host.wakeup"], ge=0, le=1_000_000)

    @property
    def rules(self) -> PollRules:
        return PollRules(self.halt_poll_ns, self.halt_poll_grow, self.halt_poll_grow_start_ns, self.halt_poll_shrink)


class HaltPollingOptions(PollOptions):
    """How often and for how long a vCPU waits. ``bursty``: nine of ten waits are a fifth of the mean."""

    waits: int = parameter(FACTS["halt.waits"], ge=1, le=100_000, log=True)
    wait_mean_ns: int = parameter(FACTS["halt.wait.mean"], ge=1_000, le=100_000_000, log=True)
    wait_kind: WaitKind = parameter(FACTS["halt.wait.kind"], default="constant")


class GuestPollingOptions(HaltPollingOptions):
    """The same for a guest that polls itself: the defaults of the haltpoll governor. It cannot see the host's tasks."""

    halt_poll_ns: int = parameter(FACTS["guest.halt_poll.most"], ge=0, le=10_000_000)
    halt_poll_grow: int = parameter(FACTS["guest.halt_poll.grow"], ge=0, le=16)
    halt_poll_grow_start_ns: int = parameter(FACTS["guest.halt_poll.grow_start"], ge=0, le=10_000_000)
    halt_poll_shrink: int = parameter(FACTS["guest.halt_poll.shrink"], ge=0, le=16)


class HostShareOptions(PollOptions):
    """A vCPU that wakes up every ``wake_interval_ns``, works for ``work_share`` of it and halts again."""

    wake_interval_ns: int = parameter(FACTS["halt.wake_interval"], ge=1_000, le=1_000_000_000, log=True)
    work_share: float = parameter(FACTS["halt.work_share"], ge=0, le=0.99)


@dataclass(frozen=True, repr=False)
class HaltPolling(Shown):
    """Wait by wait: how long polling may last (``intervals_ns``), how long it lasted, and whether the wake-up came."""

    options: HaltPollingOptions
    waits_ns: tuple[int, ...]
    intervals_ns: tuple[int, ...]
    polled_ns: tuple[int, ...]
    slept_ns: tuple[int, ...]
    enough: tuple[bool, ...]
    final_ns: int

    @property
    def side(self) -> Literal["host", "guest"]:
        """Who polls."""
        return "guest" if isinstance(self.options, GuestPollingOptions) else "host"

    @property
    def waited_ns(self) -> int:
        return sum(self.waits_ns)

    @property
    def burnt_ns(self) -> int:
        """CPU time that polling took."""
        return sum(self.polled_ns)

    @property
    def in_vain_ns(self) -> int:
        """The part of it after which the vCPU slept all the same."""
        return sum(polled for polled, enough in zip(self.polled_ns, self.enough, strict=True) if not enough)

    @property
    def burnt_share(self) -> float:
        return self.burnt_ns / self.waited_ns

    @property
    def gained_ns(self) -> float:
        """Latency that polling saved: one wake-up for each wait that ended while it lasted."""
        return sum(self.enough) * self.options.wakeup_ns

    @property
    def late_ns(self) -> float:
        """Mean latency that is left: a wake-up for each wait that did not."""
        return (len(self.enough) - sum(self.enough)) * self.options.wakeup_ns / len(self.enough)

    def law(self) -> tuple[int, int]:
        """Conservation: burnt + slept = waited. Returns both sides."""
        return self.burnt_ns + sum(self.slept_ns), self.waited_ns

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        price = show(self.burnt_ns / self.gained_ns, "1") if self.gained_ns else ""
        key = "sentence" if price else "for_nothing" if self.burnt_ns else "no_polling"
        return say(f"halt_polling.{key}", who=words(f"halt_polling.who.{self.side}"), waited=show(self.waited_ns, "ns"),
                   burnt=show(self.burnt_ns, "ns"), share=show(self.burnt_share, "%"), enough=sum(self.enough),
                   waits=len(self.enough), gained=show(self.gained_ns, "ns"), price=price)  # fmt: skip

    def table(self) -> Table:
        rows = [
            (words("halt_polling.row.waited"), show(self.waited_ns, "ns")),
            (words("halt_polling.row.burnt"), show(self.burnt_ns, "ns")),
            (words("halt_polling.row.in_vain"), show(self.in_vain_ns, "ns")),
            (words("halt_polling.row.enough"), number(sum(self.enough))),
            (words("halt_polling.row.gained"), show(self.gained_ns, "ns")),
            (words("halt_polling.row.late"), show(self.late_ns, "ns")),
            (words("halt_polling.row.final"), show(self.final_ns, "ns")),
        ]
        return Table.of(words("halt_polling.header"), rows, self.sentence(), numeric=[1])


@dataclass(frozen=True, repr=False)
class HostShare(Shown):
    """What the host's monitor shows for a vCPU in the long run, as shares of one CPU's time."""

    options: HostShareOptions
    work_share: float
    polled_share: float
    slept_share: float
    interval_ns: int

    @property
    def host_share(self) -> float:
        """What ``top`` on the host shows for the vCPU's thread: polling is no guest time, and the CPU is taken."""
        return self.work_share + self.polled_share

    def law(self) -> tuple[float, float]:
        """Conservation: work, polling and sleep are all the time there is. Returns both sides."""
        return math.fsum((self.work_share, self.polled_share, self.slept_share)), 1.0

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say("halt_polling.host_share.sentence", interval=show(self.options.wake_interval_ns, "ns"),
                   work=show(self.work_share, "%"), host=show(self.host_share, "%"), polls=show(self.interval_ns, "ns"),
                   most=show(self.options.halt_poll_ns, "ns"))  # fmt: skip

    def table(self) -> Table:
        parts = {"work": self.work_share, "polled": self.polled_share, "slept": self.slept_share,
                 "host": self.host_share}  # fmt: skip
        rows = [(words(f"halt_polling.host_share.{part}"), show(share, "%")) for part, share in parts.items()]
        return Table.of(words("halt_polling.header"), rows, self.sentence(), numeric=[1])


def halt_polling(
    options: HaltPollingOptions | None = None, /, waits_ns: Iterable[int] | None = None, seed: int = 1, **changes: Any
) -> HaltPolling:
    """Halt polling over a series of waits. Options as in :class:`HaltPollingOptions`, as one object or by name.

    ``waits_ns`` gives the waits themselves, in place of the three options that make some; exponential ones depend on
    ``seed``. With :class:`GuestPollingOptions` the guest polls. Golden, intervals in µs for equal waits: 50 µs: 0, 10,
    20, 40, 80, 80 …; 199 µs: 0, 10, 20, 40, 80, 160, 200 …; 200 µs: 0 for ever. Raises ParameterError.
    """
    o = HaltPollingOptions.given(options, changes)
    waits = _waits(o, seed) if waits_ns is None else tuple(waits_ns)
    if not waits or not all(isinstance(ns, int) and 0 < ns <= 10**15 for ns in waits):
        raise ParameterError(say("halt_polling.error.waits", given=repr(list(waits[:8]))))
    guest = isinstance(o, GuestPollingOptions)
    *intervals, final = poll_intervals_ns(waits, o.rules, guest)
    never = o.other_task and not guest
    polled = tuple(0 if never else min(pair) for pair in zip(waits, intervals, strict=True))
    slept = tuple(wait - ns for wait, ns in zip(waits, polled, strict=True))
    return HaltPolling(o, waits, tuple(intervals), polled, slept, tuple(not ns for ns in slept), final)


def guest_polling(**changes: Any) -> HaltPolling:
    """Polling by the guest itself, with the host's switched off: :func:`halt_polling` of the haltpoll governor.

    It saves the HLT exit as well, which is not counted here; but it polls on when another task of the host wants the
    CPU, and the host takes it for work of the guest. Raises ParameterError.
    """
    waits, seed = changes.pop("waits_ns", None), changes.pop("seed", 1)
    return halt_polling(GuestPollingOptions(**changes), waits_ns=waits, seed=seed)


def host_share(options: HostShareOptions | None = None, /, **changes: Any) -> HostShare:
    """Why does a VM that works 1 % of the time show 100 % on the host? Options as in :class:`HostShareOptions`.

    The shares are those after the interval has settled. Golden: woken every 100 µs, a vCPU that works 1 % takes the
    CPU whole; woken every 250 µs, or every 4 ms as by a timer of 250 Hz, it takes 1 %. Raises ParameterError.
    """
    o = HostShareOptions.given(options, changes)
    wait = max(1, round(o.wake_interval_ns * (1 - o.work_share)))
    interval, before = 0, -1
    while interval != before:  # equal waits make it grow to its end, or stay
        interval, before = host_interval_ns(interval, wait, o.rules), interval
    polled = 0 if o.other_task else min(wait, interval)
    whole = o.wake_interval_ns
    return HostShare(o, 1 - wait / whole, polled / whole, (wait - polled) / whole, interval)


def poll_intervals_ns(waits_ns: Iterable[int], rules: PollRules, guest: bool = False) -> tuple[int, ...]:
    """How long a vCPU polls at each wait, and after the last one: the first is 0. For any rules that a KVM tells."""
    after, intervals = guest_interval_ns if guest else host_interval_ns, [0]
    for wait_ns in waits_ns:
        intervals.append(after(intervals[-1], wait_ns, rules))
    return tuple(intervals)


def host_interval_ns(interval_ns: int, wait_ns: int, rules: PollRules, valid: bool = True) -> int:
    """How long KVM polls after a wait of ``wait_ns`` that it polled for ``interval_ns``: kvm_vcpu_halt.

    ``valid`` is False for a wake-up that turns out to be for nothing; only s390 has those. Before Linux 6.2 an
    interval was cut to halt_poll_ns when it grew and since then when it is used: the same here.
    """
    if not valid:
        return _shrunk(interval_ns, rules)
    if not rules.most_ns:
        return 0
    if wait_ns <= interval_ns:
        return interval_ns
    if interval_ns and wait_ns > rules.most_ns:
        return _shrunk(interval_ns, rules)
    if interval_ns < rules.most_ns and wait_ns < rules.most_ns:
        return _grown(interval_ns, rules) if rules.grow else interval_ns
    return interval_ns


def guest_interval_ns(interval_ns: int, wait_ns: int, rules: PollRules) -> int:
    """How long the guest polls after a wait: adjust_poll_limit of the haltpoll governor.

    It sees what was slept after polling, not the whole wait: an interval of half the wait stays for ever, in vain.
    """
    slept = wait_ns - interval_ns
    if slept <= 0:
        return interval_ns
    if interval_ns < slept <= rules.most_ns:
        return _grown(interval_ns, rules)
    if slept > rules.most_ns:
        return interval_ns // rules.shrink if rules.shrink else 0
    return interval_ns


def _grown(interval_ns: int, rules: PollRules) -> int:
    return min(max(interval_ns * rules.grow, rules.grow_start_ns), rules.most_ns)


def _shrunk(interval_ns: int, rules: PollRules) -> int:
    left = interval_ns // rules.shrink if rules.shrink else 0
    return left if left >= rules.grow_start_ns else 0


def _waits(o: HaltPollingOptions, seed: int) -> tuple[int, ...]:
    if o.wait_kind == "exponential":
        draw = random.Random(seed).expovariate
        return tuple(max(1, round(draw(1 / o.wait_mean_ns))) for _ in range(o.waits))
    if o.wait_kind == "bursty":
        return tuple(round(o.wait_mean_ns * (_LONG if n % 10 == 9 else _SHORT)) for n in range(o.waits))
    return (o.wait_mean_ns,) * o.waits
