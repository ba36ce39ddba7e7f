"""The halt lab: to spin before a halted vCPU sleeps. How long, for how much CPU time, and what the host then shows."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu.halt_polling import (
    GuestPollingOptions,
    HaltPolling,
    HaltPollingOptions,
    PollRules,
    WaitKind,
    guest_interval_ns,
    halt_polling,
    host_interval_ns,
)
from virtlab.evidence import FACTS
from virtlab.figures.halt import AT_NS, MOST_NS, SHOWN, HaltPicture, HaltResult
from virtlab.labs.base import Lab
from virtlab.labs.inner_kvm import polling_rules
from virtlab.machine.inner import recorded_inner_kvm

Poller = Literal["host", "guest"]
SIDES: tuple[Poller, ...] = get_args(Poller)
WAITS = 200  # of one move of a slider
SETTLING = 20  # of these, until the interval is settled
#: Runs of the recorded KVM whose waits are all equal, by that wait in ns.
_RECORDED: Mapping[int, str] = MappingProxyType(
    {12_000: "poll-12us", 60_000: "poll-60us", 150_000: "poll-150us", 250_000: "poll-250us"}
)


class HaltSetting(Parameters):
    """Who polls and for how long, and for what the vCPU waits. The rules under more are the host's."""

    poller: Poller = parameter(FACTS["halt.lab.poller"], default="host")
    halt_poll_ns: float = parameter(FACTS["kvm.halt_poll.most"], ge=0, le=500_000, step=5_000)
    wait_mean_ns: int = parameter(FACTS["halt.lab.wait"], ge=1_000, le=10_000_000, log=True)
    wait_kind: WaitKind = same(HaltPollingOptions, "wait_kind")
    work_share: float = parameter(FACTS["halt.work_share"], ge=0, le=0.5)
    wakeup_ns: float = same(HaltPollingOptions, "wakeup_ns", ge=1_000, le=130_000)
    halt_poll_grow: int = same(HaltPollingOptions, "halt_poll_grow", le=4)
    halt_poll_grow_start_ns: float = parameter(FACTS["kvm.halt_poll.grow_start"], ge=0, le=50_000, step=1_000)
    halt_poll_shrink: int = same(HaltPollingOptions, "halt_poll_shrink", le=4)
    other_task: bool = same(HaltPollingOptions, "other_task")

    def rules(self, poller: Poller, most_ns: float) -> PollRules:
        """Those of KVM are the setting's; the guest's governor keeps its own, except for the longest interval."""
        if poller == "host":
            start_ns = round(self.halt_poll_grow_start_ns)
            return PollRules(round(most_ns), self.halt_poll_grow, start_ns, self.halt_poll_shrink)
        own = GuestPollingOptions()
        return PollRules(round(most_ns), own.halt_poll_grow, own.halt_poll_grow_start_ns, own.halt_poll_shrink)

    def never(self, poller: Poller) -> bool:
        """Whether nobody polls at all, since another task of the host wants the CPU: only the host can know."""
        return self.other_task and poller == "host"


@functools.lru_cache(maxsize=256)
def _waits(mean_ns: int, kind: WaitKind) -> tuple[int, ...]:
    """The waits in ns; random ones are always the same."""
    return halt_polling(HaltPollingOptions(waits=WAITS, wait_mean_ns=mean_ns, wait_kind=kind)).waits_ns


def polling(setting: HaltSetting, poller: Poller, most_ns: float) -> HaltPolling:
    """All waits under one limit, polled by the host or by the guest."""
    return _polling(setting.wait_mean_ns, setting.wait_kind, poller, setting.rules(poller, most_ns),
                    setting.other_task, setting.wakeup_ns)  # fmt: skip


@functools.lru_cache(maxsize=1024)  # of the points of the trade, most are those of the last redraw
def _polling(
    mean_ns: int, kind: WaitKind, poller: Poller, rules: PollRules, other: bool, wakeup_ns: float
) -> HaltPolling:
    options = HaltPollingOptions if poller == "host" else GuestPollingOptions
    made = options(halt_poll_ns=rules.most_ns, halt_poll_grow=rules.grow, halt_poll_grow_start_ns=rules.grow_start_ns,
                   halt_poll_shrink=rules.shrink, other_task=other, wakeup_ns=wakeup_ns)  # fmt: skip
    return halt_polling(made, waits_ns=_waits(mean_ns, kind))


def settled_share(setting: HaltSetting, poller: Poller, interval_ns: float) -> float:
    """What the host shows for a vCPU woken every ``interval_ns``, as a share of a CPU, once polling has settled."""
    wait_ns = max(1, round(interval_ns * (1 - setting.work_share)))
    after = host_interval_ns if poller == "host" else guest_interval_ns
    rules, now, before = setting.rules(poller, setting.halt_poll_ns), 0, -1
    while now != before:  # equal waits make it grow to its end, or stay
        now, before = after(now, wait_ns, rules), now
    polled = 0 if setting.never(poller) else min(now, wait_ns)
    return setting.work_share + (1 - setting.work_share) * polled / wait_ns


def _recorded(setting: HaltSetting) -> tuple[int, ...]:
    """How long the recorded KVM polls after each wait, if it had this setting's waits and rules; else nothing."""
    run = _RECORDED.get(setting.wait_mean_ns, "")
    record = recorded_inner_kvm()
    had = polling_rules(record.facts.parameters)
    # Equal waits never make an interval shrink: by what it would does not matter.
    same = had and setting.rules("host", setting.halt_poll_ns)[:3] == tuple(had.values())[:3]
    if not run or not same or setting.poller != "host" or setting.wait_kind != "constant" or setting.other_task:
        return ()
    return record.polling[run].interval_ns


class HaltLab(Lab):
    """Polling before sleeping, by the host or by the guest: how long, for how much, and what the host then shows."""

    Setting = HaltSetting
    Picture = HaltPicture
    visible = ("poller", "halt_poll_ns", "wait_mean_ns", "wait_kind")

    def solve(self, setting: HaltSetting) -> HaltResult:
        now = polling(setting, setting.poller, setting.halt_poll_ns)
        trade: dict[str, NDArray[np.float64]] = {}
        shares: dict[str, NDArray[np.float64]] = {}
        for side in SIDES:
            found = [polling(setting, side, most) for most in MOST_NS]
            trade[side] = np.array([(p.burnt_share, 1 - sum(p.enough) / WAITS) for p in found])
            shares[side] = np.array([settled_share(setting, side, float(ns)) for ns in AT_NS])
        waited, polled = sum(now.waits_ns[SETTLING:]), sum(now.polled_ns[SETTLING:])
        return HaltResult(
            now, setting.poller, trade, shares, setting.wait_mean_ns / (1 - setting.work_share), setting.work_share,
            setting.work_share + (1 - setting.work_share) * polled / waited, _recorded(setting)[: SHOWN - 1],
            setting.never(setting.poller),
        )  # fmt: skip

    def sentence(self, setting: HaltSetting, result: HaltResult) -> str:
        seen = ""
        if result.recorded_ns:
            model = result.now.intervals_ns[1 : 1 + len(result.recorded_ns)]
            same = words(f"halt_lab.{'same' if model == result.recorded_ns else 'other'}")
            seen = say("halt_lab.recorded", n=len(result.recorded_ns), same=same)
        return say(
            "halt_lab.sentence", polling=result.now.sentence(),
            kind=words("parameter.wait_kind.choices")[setting.wait_kind],
            wait=show(setting.wait_mean_ns, "ns"), late=show(result.now.late_ns, "ns"),
            work=show(result.work_share, "%"), host=show(result.host_share, "%"),
            interval=show(result.interval_ns, "ns"), seen=seen,
            never=words("halt_lab.never") if result.never else "", waits=number(WAITS),
        ).replace("  ", " ").rstrip()  # fmt: skip
