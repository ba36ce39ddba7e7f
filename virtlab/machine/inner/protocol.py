"""What the monitor prints, read strictly: whatever else stands on a console is skipped, and what is damaged is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from virtlab.core.words import say
from virtlab.machine.owning import MachineError

#: What the monitor says begins so.
PREFIX = "virtlab:kvm "
_NAME, _NUMBER = r"[\w-]{1,40}", r"\d{1,15}"
_KEY = r"(?:exits|userspace|kvm|frames)\.\w{1,40}|signals"
_COUNT = re.compile(f"count ({_NAME}) ({_NAME}) ({_KEY}) ({_NUMBER})", re.A)
_LIST = re.compile(f"list ({_NAME}) ({_NAME}) (polled|halt_poll_ns)((?: {_NUMBER}){{1,256}})", re.A)
_PARAMETER = re.compile(r"parameter (\w{1,40}) (\w{1,20})", re.A)
_END = re.compile(f"end ({_NAME}) ({_NUMBER})", re.A)
_FAILED = re.compile(r"failed (\S{1,40}) (.{1,400})")
_MOST_KEYS = 64


@dataclass
class Phase:
    """One run: its counters by key, and for each wait whether polling was enough and how long KVM polls after it."""

    counts: dict[str, int] = field(default_factory=dict)
    lists: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass
class Report:
    """All that the monitor told: runs by experiment, and the parameters of the kvm module."""

    experiments: dict[str, dict[str, Phase]] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)


def parse(lines: Iterable[str], wanted: Mapping[str, Iterable[str]]) -> Report:
    """Reads the lines of a console. ``wanted``: the runs that each experiment must tell.

    A line that is not the monitor's is skipped, and so is one about an experiment or a run that nobody asked for.
    Raises MachineError when the monitor says that it failed, and when an experiment is missing or damaged: a line of
    it was lost or told twice.
    """
    phases = {name: {run: Phase() for run in runs} for name, runs in wanted.items()}
    told = dict.fromkeys(phases, 0)
    complete: dict[str, bool] = {}
    parameters: dict[str, str] = {}
    for line in lines:
        if not line.startswith(PREFIX):
            continue
        text = line.removeprefix(PREFIX)
        if m := _FAILED.fullmatch(text):
            raise MachineError(say("inner_kvm.why.monitor", experiment=m[1], text=m[2]))
        if m := _PARAMETER.fullmatch(text):
            if len(parameters) < _MOST_KEYS:
                parameters[m[1]] = m[2]
        elif m := _COUNT.fullmatch(text):
            phase = phases.get(m[1], {}).get(m[2])
            if phase is not None and m[3] not in phase.counts and len(phase.counts) < _MOST_KEYS:
                phase.counts[m[3]] = int(m[4])
                told[m[1]] += 1
        elif m := _LIST.fullmatch(text):
            phase = phases.get(m[1], {}).get(m[2])
            if phase is not None and m[3] not in phase.lists:
                phase.lists[m[3]] = tuple(int(word) for word in m[4].split())
                told[m[1]] += 1
        elif (m := _END.fullmatch(text)) and m[1] in phases:
            complete.setdefault(m[1], int(m[2]) == told[m[1]])
    damaged = [name for name in phases if not complete.get(name)]
    if damaged:
        raise MachineError(say("inner_kvm.why.damaged", names=", ".join(damaged)))
    return Report(phases, parameters)
