"""The computer that measures itself: what it is, and how much others disturbed it before and meanwhile."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter_ns as now

from virtlab.machine.measured import Facts
from virtlab.machine.presence import Host

_WANTED = ("user", "nice", "system", "irq", "softirq", "steal")  # what is neither idle nor waiting for a disk
_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def watch(host: Host | None = None) -> Callable[[], Facts]:
    """Looks at the computer now, before a measurement. Calling the result after it gives the facts, with the noise."""
    host = host or Host()
    facts = look_at(host)
    waited_us, ticks, start = _waited_us(host), _ticks(host), now()

    def ended() -> Facts:
        elapsed_us = (now() - start) / 1e3
        meanwhile = _share(waited_us, _waited_us(host), elapsed_us)
        after = _ticks(host)
        wanted = sum(after[k] - ticks[k] for k in _WANTED) if ticks and after else 0
        stolen = _share(ticks.get("steal"), after.get("steal"), wanted)
        return replace(facts, waiting_meanwhile=meanwhile, stolen=stolen)

    return ended


def look_at(host: Host | None = None) -> Facts:
    """The facts of this computer that bear on its costs, at this moment."""
    host = host or Host()
    entries = dict(_entry(line) for line in reversed(host.read("proc/cpuinfo").splitlines()))
    flags = entries.get("flags", "").split()
    return Facts(
        cpu=entries.get("model name") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        kernel=f"{host.system} {platform.release()}",
        date=datetime.date.today().isoformat(),
        virtual="hypervisor" in flags if flags else None,
        waiting=_waiting(host),
    )


def _entry(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()


def _share(before: float | None, after: float | None, whole: float) -> float | None:
    """By how much a counter rose, as a share of ``whole``; None where there is no counter."""
    if before is None or after is None or whole <= 0:
        return None
    return min(max((after - before) / whole, 0.0), 1.0)


def _waiting(host: Host) -> float | None:
    """The share of the last ten seconds in which some program waited for a CPU."""
    percent = _pressure(host, "avg10")
    return None if percent is None else percent / 100


def _waited_us(host: Host) -> float | None:
    """The time since boot in which some program waited for a CPU."""
    return _pressure(host, "total")


def _pressure(host: Host, key: str) -> float | None:
    """One number of the line "some" of /proc/pressure/cpu."""
    for part in host.read("proc/pressure/cpu").partition("\n")[0].split():
        if part.startswith(f"{key}="):
            try:
                return float(part.removeprefix(f"{key}="))
            except ValueError:
                return None
    return None


def _ticks(host: Host) -> dict[str, int]:
    """The times of all CPUs together since boot, from /proc/stat, in ticks; empty where there are none."""
    label, *numbers = host.read("proc/stat").partition("\n")[0].split() or [""]
    if label != "cpu" or len(numbers) < len(_FIELDS) or not all(n.isdecimal() for n in numbers):
        return {}
    return dict(zip(_FIELDS, map(int, numbers), strict=False))
