"""Notebook 14: what is true, from the filter and the management of ``virtlab.cloud``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from virtlab.cloud import ManagementOptions, filter_card, filtering, management
from virtlab.core.parameter import ParameterError
from virtlab.core.units import number, show
from virtlab.lessons.mistakes import Truth

_LOOKS: dict[str, Any] = {"snapshots_per_day": 0, "migrations_per_day": 0, "starts_per_day": 0}

# --- predictions ----------------------------------------------------------------------------------------------------


def _masks() -> dict[str, float]:
    """CPU cycles of a packet."""
    sizes = {"many": (10_000, 20), "few": (20, 20), "shapes": (1_000, 60)}
    return {key: filtering(rules=rules, masks=masks).packet_cycles for key, (rules, masks) in sizes.items()}


def _limit() -> dict[str, float]:
    """Packets a second at which each part of the card ends."""
    limits = filter_card(when_full="refuse").limits_packets_per_s
    return {key: limits[name] for key, name in (("pipeline", "pipeline"), ("flows", "new_flows"), ("table", "table"))}


def _first() -> dict[str, float]:
    """The share of the host that monitoring takes when a reservation of 4 of 96 cores begins to pay."""
    found = management(**_LOOKS)
    pays = {measure: found.breaks_even[measure] or math.inf for measure in ("p99", "mean")}
    return pays | {"capacity": found.reserved_share}


PREDICTIONS: dict[str, Callable[[], Any]] = {"14.masks": _masks, "14.limit": _limit, "14.first": _first}

# --- numbers --------------------------------------------------------------------------------------------------------


def ceiling(cps: int, packets: int, long: int, life: int) -> Truth:
    """New flows in thousands a second; packets of a short and of a long connection; s that an entry stays."""
    new = 1e3 * cps
    short, much = (filter_card(new_flows_per_s=new, connection_packets=n, flow_life_s=life, table_entries=100_000_000)
                   .most_packets_per_s for n in (packets, long))  # fmt: skip
    return Truth(
        (short, much, new * life),
        {
            "flows": (new, new, new),
            "endless": (None, new * long, None),
            "packets": (None, None, short * life),
            "pipeline": (40e6, None, None),
        },
    )


def reserve(vms: int, agents: int, ms: float, period: int, cores: int) -> Truth:
    """What the agents keep busy; how many times that the reservation costs; VMs that fill the reserved cores."""
    o = ManagementOptions(**_LOOKS, host_vms=vms, monitors=agents, monitor_ns=ms * 1e6, monitor_period_s=float(period),
                          reserved_cores=cores)  # fmt: skip
    found = management(o)
    return Truth(
        (found.cores, found.price, vms * cores / found.cores),
        {
            "one": (found.cores / agents, found.price * agents, None),
            "host": (None, o.cores / found.cores, vms * o.cores / found.cores),
            "inverse": (None, 1 / found.price, None),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"14.ceiling": ceiling, "14.reserve": reserve}

# --- designs --------------------------------------------------------------------------------------------------------

_CHOICES = ("management", "filter", "reserved_cores", "monitor_period_s", "snapshots_per_day")
_CORES, _LOAD, _VMS, _PACKETS_PER_S = 96, 0.4, 300, 4e6
_MOST_P99_NS, _MOST_LOST, _MOST_BUSY, _LONGEST_S, _FEWEST = 325_000, 0.03, 0.9, 30, 12


def whole_host(answer: Any) -> tuple[str, dict[str, str]]:
    """Places for the filter and for management that keep the guests' wait, the capacity and the card's cores."""
    if not isinstance(answer, Mapping) or not {"management", "filter"} <= set(answer):
        return "mapping", {}
    if unknown := sorted(str(key) for key in answer if key not in _CHOICES):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(_CHOICES)}
    place, where = answer["management"], answer["filter"]
    if place not in ("host", "reserved", "board") or where not in ("host", "card"):
        return "places", {}
    work = filtering(rate_packets_per_s=_PACKETS_PER_S)
    polled = math.ceil(work.cores) if where == "host" else 0  # a switch that polls takes whole cores
    left = _CORES - polled
    options = {key: answer[key] for key in _CHOICES[2:] if key in answer}
    calls = _PACKETS_PER_S / work.options.connection_packets if where == "card" else 0.0
    try:
        found = management(cores=left, load=_LOAD * _CORES / left, host_vms=_VMS, connections_per_s=calls, **options)
    except (ParameterError, TypeError, ValueError) as error:
        return "options", {"error": str(error)[:300]}
    o, lot, board = found.options, found.places[place], found.places["board"]
    busy = board.busy if place == "board" else calls * o.connection_ns / 1e9 / o.card_cores
    lost = (polled + left * lot.lost) / _CORES
    values = {
        "p99": show(lot.p99_wait_ns, "ns"), "lost": show(lost, "%"), "busy": show(busy, "%"),
        "cores": number(found.cores), "kept": number(o.reserved_cores), "polled": number(polled),
        "period": show(o.monitor_period_s, "s"), "snapshots": number(o.snapshots_per_day),
    }  # fmt: skip
    if o.monitor_period_s > _LONGEST_S or o.snapshots_per_day < _FEWEST:
        return "seldom", values
    if place == "reserved" and lot.busy >= 1:
        return "full", values
    if busy > _MOST_BUSY:
        return "busy", values
    if lost > _MOST_LOST:
        return "lost", values
    if lot.p99_wait_ns > _MOST_P99_NS:
        return "late", values
    return "right", values


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"14.design": whole_host}

# --- mistakes to find -----------------------------------------------------------------------------------------------


def verdicts(steps: Sequence[tuple[str, int, int]]) -> tuple[int, ...]:
    """Verdicts of the packets: what the rules say at that moment, whatever a cache remembers."""
    rules: dict[int, int] = {}
    seen = []
    for what, port, allowed in steps:
        if what == "rule":
            rules[port] = allowed
        else:
            seen.append(rules.get(port, 0))
    return tuple(seen)


REFERENCES: dict[str, Callable[..., Any]] = {"14.debug": verdicts}
