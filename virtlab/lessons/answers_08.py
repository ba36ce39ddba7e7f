"""Notebook 08: what is true, from the rings of ``virtlab.virtio`` and from the explorer of their interleavings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from virtlab.core.units import number
from virtlab.core.words import say
from virtlab.lessons.mistakes import Truth
from virtlab.virtio import (
    NOTIFICATION_BARRIERS,
    PackedLayout,
    SplitLayout,
    align_as_printed,
    explore,
    ide_request,
    legacy_bytes,
    need_event,
    virtio_batch,
)

# --- predictions ------------------------------------------------------------------------------------------------------


def _fires() -> float:
    return float(sum(need_event(0, new, new - 1) for new in range(1, 131_073)))


def _ide() -> float:
    return ide_request().accesses.most / virtio_batch("mmio").accesses.most


def _barriers() -> float:
    """How many of the four full barriers of a split ring are not missed on x86."""
    found = (explore(buffers=1, size=1, without=(name,)) for name in NOTIFICATION_BARRIERS["split"])
    return float(sum(not f.lost for f in found))


PREDICTIONS: dict[str, Callable[[], Any]] = {"08.fires": _fires, "08.ide": _ide, "08.barriers": _barriers}

# --- numbers ----------------------------------------------------------------------------------------------------------

_PAGE = 4096


def size(places: int) -> Truth:
    desc, avail, used = SplitLayout.part_bytes(places)
    split, packed = SplitLayout.total_bytes(places), PackedLayout.total_bytes(places)
    legacy = legacy_bytes(places, _PAGE)
    three = sum(-(-part // _PAGE) * _PAGE for part in (desc, avail, used))
    printed = align_as_printed(desc + avail, _PAGE) + align_as_printed(used, _PAGE)
    together = -(-split // _PAGE) * _PAGE
    return Truth(
        (float(split), float(packed), float(legacy)),
        {
            "no_event": (split - 4.0, None, None),
            "one_event": (split - 2.0, packed - 4.0, None),
            "no_head": (split - 8.0, None, None),
            "id_only": (split - 4.0 * places, None, None),
            "two_rings": (None, float(split), None),
            "no_events": (None, packed - 8.0, None),
            "not_padded": (None, None, float(split)),
            "together": (None, None, float(together) if together != legacy else None),
            "three": (None, None, float(three) if three != legacy else None),
            "printed": (None, None, float(printed) if printed != split else None),
        },
    )


def next_call(start: int, event: int, batch: int) -> Truth:
    first = next(n for n in range(1, 65_537) if need_event(event, start + n & 0xFFFF, start + n - 1 & 0xFFFF))
    second = first + 65_536
    batches = -(-first // batch)
    forgotten = float(-(-(event + 1) // batch))
    return Truth(
        (float(first), float(second), float(batches)),
        {
            "before": (first - 1.0, second - 1.0, None),
            "one_more": (first + 1.0, second + 1.0, batches + 1.0),
            "forgot": (event + 1.0, event + 65_537.0, forgotten if forgotten not in (1.0, float(batches)) else None),
            "at_once": (1.0, 2.0, 1.0 if batches > 1 else None),
            "ring_size": (None, (first + 2.0, first + 32_768.0), None),
            "between": (None, 65_536.0, None),
            "rounded_down": (None, None, float(first // batch) if first % batch and first >= batch else None),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"08.size": size, "08.next": next_call}

# --- designs ----------------------------------------------------------------------------------------------------------

_MOST_ACCESSES, _IN_FLIGHT = 0.15, 16


def few_accesses(answer: Any) -> tuple[str, dict[str, str]]:
    """A way to drive a virtio disk with at most 0.15 register accesses a request, whatever the scheduling."""
    if not isinstance(answer, Mapping):
        return "mapping", {}
    options = {str(key): value for key, value in answer.items()}
    known = list(signature(virtio_batch).parameters)
    if unknown := sorted(set(options) - set(known)):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(known)}
    try:
        cost = virtio_batch(**options)
        most, requests = cost.accesses_per_request.most, cost.requests
    except (KeyError, TypeError, ValueError) as error:
        return "options", {"error": str(error)[:200]}
    if requests > _IN_FLIGHT:
        return "flight", {"requests": number(requests)}
    if cost.calls.most == 0:
        return "polls", {}
    if most > _MOST_ACCESSES:
        return "many", {"accesses": number(most)}
    price = say("lessons.ring_price.calls" if cost.calls.most > 1 else "lessons.ring_price.last", requests=requests)
    return "right", {"accesses": number(most), "price": price}


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"08.design": few_accesses}

# --- mistakes to find -------------------------------------------------------------------------------------------------


def receive(used_idx: int, last_seen: int, size: int) -> tuple[int, ...]:
    new = used_idx - last_seen & 0xFFFF
    return tuple((last_seen + n) % size for n in range(new)) if new <= size else ()


REFERENCES: dict[str, Callable[..., Any]] = {"08.debug": receive}
