"""Notebook 06: what is true, computed by ``virtlab.memory`` and from the facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from virtlab.core.parameter import ParameterError
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.lessons.mistakes import Truth, Wrong
from virtlab.memory import Migration, dirty_logging, migrate
from virtlab.memory.migrate import MigrationOptions

_GIB, _GB, _MIB, _MB = 1 << 30, 10**9, 1 << 20, 10**6

# --- predictions ----------------------------------------------------------------------------------------------------


def _log_factor() -> float:
    """A million pages, each written once within the interval."""
    once: dict[str, Any] = {"write_rate_per_s": 1e6, "clear_s": 1.0, "writes": "sweep"}
    return dirty_logging(log="write-protect", **once).faults / dirty_logging(log="pml", **once).pml_exits


PREDICTIONS: dict[str, Callable[[], Any]] = {
    "06.rounds": lambda: float(len(migrate(dirty_gbit_per_s=9).rounds)),
    "06.hot": lambda: migrate(dirty_gbit_per_s=12, hot_bytes=_GIB).downtime_s,
    "06.log": _log_factor,
}

# --- numbers --------------------------------------------------------------------------------------------------------


def _figures(m: Migration) -> tuple[float, float, float]:
    return float(len(m.rounds)), m.total_s, 1e3 * m.downtime_s


def _else(values: tuple[float, ...], right: tuple[float, ...]) -> tuple[Wrong, ...]:
    """A mistake's numbers, without those that come out right all the same."""
    return tuple(None if abs(v - r) <= 0.012 * abs(r) else v for v, r in zip(values, right, strict=True))


def rounds(memory: int, gbit: int, percent: int) -> Truth:
    share = percent / 100
    m = migrate(memory_bytes=memory * _GIB, bandwidth_gbit_per_s=gbit, dirty_gbit_per_s=gbit * share)
    right = _figures(m)
    decimal = _else(_figures(migrate(m.options, memory_bytes=memory * _GB)), right)
    faster = migrate(m.options, bandwidth_gbit_per_s=8.0 * gbit, dirty_gbit_per_s=8 * gbit * share)
    octets = _else(_figures(faster), right)
    # 2^30 / 10^9 = 8 * 0.8^9: at 80 % the two leave the same stop, some rounds apart.
    alike = [
        isinstance(d, float) and isinstance(o, float) and abs(d - o) <= 0.012 * o
        for d, o in zip(decimal, octets, strict=True)
    ]
    count, total, stop = right
    first, last = m.rounds[0].seconds, m.rounds[-1]
    return Truth(
        right,
        {
            "gb": tuple(None if same else d for d, same in zip(decimal, alike, strict=True)),
            "bits": tuple(None if same else o for o, same in zip(octets, alike, strict=True)),
            "units": tuple(d if same else None for d, same in zip(decimal, alike, strict=True)),
            "part_of_one": ((count - 0.98, count - 0.02), None, None),
            "one_early": (count - 1, None, 1e3 * last.seconds),
            "one_late": (count + 1, None, stop * share),
            "no_first": (None, total - first, None),
            "first_only": (None, first, None),
            "allowed": (None, None, *_else((m.options.downtime_ms,), (stop,))),
        },
    )


def stops(memory: int, gbit: int, state: int) -> Truth:
    per_s, restore_ms = gbit * 1e9 / 8, FACTS["migration.device.restore"].value
    idle = MigrationOptions(
        memory_bytes=memory * _GIB, bandwidth_gbit_per_s=gbit, dirty_gbit_per_s=0, device_state_bytes=state * _MIB
    )
    untracked, tracked = (migrate(idle, device=device) for device in ("vf-untracked", "vf-v2"))
    right = (untracked.downtime_s, 1e3 * tracked.downtime_s)
    sent_ms = 1e3 * state * _MIB / per_s
    return Truth(
        right,
        {
            "gb": _else((memory * _GB / per_s, 1e3 * state * _MB / per_s + restore_ms), right),
            "bits": _else((right[0] / 8, sent_ms / 8 + restore_ms), right),
            "nothing": (0.0, None),
            "no_state": (None, 0.0),
            "allowed": (idle.downtime_ms / 1e3, *_else((idle.downtime_ms,), right[1:])),
            "no_restore": (None, sent_ms),
            "restore_only": (None, *_else((restore_ms,), right[1:])),
        },
    )


def log(million: int) -> Truth:
    pages = million * 10**6
    once: dict[str, Any] = {"write_rate_per_s": float(pages), "clear_s": 1.0, "writes": "sweep"}
    protect, pml = (dirty_logging(log=name, **once) for name in ("write-protect", "pml"))
    seconds = protect.logged.exit_s(protect.options)
    right = (protect.faults, pml.pml_exits, seconds)
    entries, page = FACTS["dirty.pml.entries"].value, 4096
    return Truth(
        right,
        {
            "huge": (pages / entries, None, None),
            "no_batch": (None, float(pages), None),
            "log_bytes": (None, float(pages // page), None),
            "pml_time": (None, None, pml.logged.exit_s(pml.options)),
            "cycles": (None, None, seconds * protect.options.clock_ghz * 1e9),
            "clock": (None, None, seconds * protect.options.clock_ghz),
        },
    )


def converge(ratio: float) -> Truth:
    first, more = FACTS["migration.throttle.initial"].value, FACTS["migration.throttle.increment"].value
    enough = next(k for k in range(1, 10) if ratio * (1 - first - more * (k - 1)) < 1 - 1e-9)
    no_start = next(k for k in range(1, 11) if ratio * (1 - more * k) < 1 - 1e-9)
    m = migrate(dirty_gbit_per_s=ratio * 10, bandwidth_gbit_per_s=10, auto_converge=True)
    taken = m.throttle_steps
    return Truth(
        (float(enough), float(taken)),
        {
            "percent": (100 * (first + more * (enough - 1)), 100 * m.throttle),
            "from_zero": (float(enough - 1), float(taken - 1)),
            "no_start": (float(no_start), float(taken + 1)),
            "enough": (None, float(enough)),
            "last": (float(taken), None) if taken != no_start else (None, None),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {
    "06.lunch": rounds,
    "06.stop": stops,
    "06.know": log,
    "06.converge": converge,
}

# --- designs --------------------------------------------------------------------------------------------------------

_STUCK: Mapping[str, Any] = {"dirty_gbit_per_s": 12.0, "device": "vf-untracked"}
_HOUR_S = 3600


def movable(answer: Any) -> tuple[str, dict[str, str]]:
    """A change of the options after which the VM of the exercise moves within an hour."""
    if not isinstance(answer, Mapping):
        return "mapping", {}
    known = [name for name in MigrationOptions.model_fields if name not in ("memory_bytes", "max_rounds")]
    changes = {str(key): value for key, value in answer.items()}
    if "memory_bytes" in changes:
        return "memory", {}
    if "max_rounds" in changes:
        return "rounds", {}
    if unknown := sorted(set(changes) - set(known)):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(known)}
    before = MigrationOptions(**_STUCK)
    try:
        m = migrate(before, **changes)
    except ParameterError as error:
        return "options", {"error": str(error)}
    if m.options == before:
        return "nothing", {}
    values = {"left": show(m.residue_bytes, "B"), "down": show(m.downtime_s, "s"), "rounds": str(len(m.rounds)),
              "allowed": show(m.options.downtime_ms, "ms"), "time": show(m.total_s, "s")}  # fmt: skip
    if m.residue_bytes < 1 and m.never:
        return "state", values
    if m.never:
        limit = words(f"parameter.{m.limit}")["label"] if m.limit else words("migration.no_limit")
        return "never", {**values, "limit": str(limit)}
    if not m.converged or m.moved_s > _HOUR_S:
        return "late", values
    paid = [n for n in _PRICES if n in changes and _dearer(n, getattr(m.options, n), getattr(before, n))]
    prices = [str(words(f"lessons.price.{name}")) for name in paid]
    return "right", {**values, "price": "; ".join(prices) or say("lessons.price.none")}


def _dearer(name: str, now: Any, before: Any) -> bool:
    """Whether a change costs somebody something; a shorter stop or a slower link does not."""
    if name in ("bandwidth_gbit_per_s", "downtime_ms"):
        return bool(now > before)
    return bool(now < before if name == "dirty_gbit_per_s" else now != before)


_PRICES = ("device", "bandwidth_gbit_per_s", "hot_bytes", "dirty_gbit_per_s", "writes", "auto_converge", "downtime_ms")

DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"06.movable": movable}

# --- mistakes to find -----------------------------------------------------------------------------------------------


def precopy_rounds(pages: float, hot_pages: float, dirty_per_s: float, sent_per_s: float, downtime_s: float) -> int:
    left = pages
    for count in range(200):
        if left <= sent_per_s * downtime_s:
            return count
        left = min(hot_pages, dirty_per_s * left / sent_per_s)
    return 200


REFERENCES: dict[str, Callable[..., Any]] = {"06.debug": precopy_rounds}
