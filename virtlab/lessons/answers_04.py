"""Notebook 04: what is true, counted by ``virtlab.memory.walk`` and computed by ``virtlab.memory.slowdown``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from virtlab.core.parameter import ParameterError
from virtlab.core.words import say, words
from virtlab.lessons.mistakes import Truth, Wrong
from virtlab.memory import Slowdown, slowdown, walk
from virtlab.memory.walk import WalkOptions

_GIB, _MIB = 1 << 30, 1 << 20

# --- predictions ----------------------------------------------------------------------------------------------------


def _at_random() -> Slowdown:
    return slowdown(working_set_bytes=64 * _GIB, pattern="uniform")


def _factor() -> float:
    both = _at_random()
    return both.virtual.walk_cycles / both.native.walk_cycles


def _last_share() -> float:
    """Per cent of the walk's cycles that the host's PTE of the data takes."""
    side = _at_random().virtual
    entries = [r for r in side.reads if r.where != "data"]
    last = next(r for r in entries if r.name == "hPTE")
    return 100 * last.per_access * last.cycles / sum(r.per_access * r.cycles for r in entries)


PREDICTIONS: dict[str, Callable[[], Any]] = {
    "04.refs": lambda: float(walk(guest_levels=5, host_levels=5).count),
    "04.factor": _factor,
    "04.last": _last_share,
}

# --- numbers --------------------------------------------------------------------------------------------------------


def _reads(side: str, levels: int, page: str) -> int:
    """The reads of one side's walk alone."""
    options: dict[str, Any] = {"guest_levels": levels, "guest_page": page, "nested_paging": False}
    if side == "host":
        options = {"host_levels": levels, "host_page": page, "guest_paging": False}
    return walk(**options).count


def _count(levels: tuple[int, int], pages: tuple[str, str], **more: Any) -> int:
    sides: dict[str, Any] = {"guest_levels": levels[0], "host_levels": levels[1]}
    return walk(guest_page=pages[0], host_page=pages[1], **sides, **more).count


def _apart(right: tuple[float, ...], **wrong: tuple[float | None, ...]) -> dict[str, tuple[Wrong, ...]]:
    """Known mistakes without those that come out right all the same."""
    return {key: tuple(None if w == r else w for w, r in zip(values, right, strict=True))
            for key, values in wrong.items()}  # fmt: skip


def _off(right: tuple[float, ...]) -> dict[str, tuple[Wrong, ...]]:
    """Counts that no known mistake leads to: a count is exact, and no unit can be wrong in it."""
    return {"too_few": tuple((1.0, r) for r in right), "too_many": tuple((r, 5 * r) for r in right)}


def count(pair: str) -> Truth:
    guest, host = pair.split("/")
    pages, both = (guest, host), ((4, 4), (5, 5))
    right = (*(float(_count(levels, pages)) for levels in both), float(_count((4, 4), pages, table_page="4K")))
    g4, g5 = (_reads("guest", levels, guest) for levels in (4, 5))
    h4, h5 = (_reads("host", levels, host) for levels in (4, 5))
    tables = _reads("host", 4, "4K")
    small = tuple(float(_count(levels, ("4K", "4K"))) for levels in both)
    small = *small, small[0]
    swapped = tuple(float(_count(levels, (host, guest))) for levels in both)
    return Truth(right, _apart(
        right,
        product=(float(g4 * h4), float(g5 * h5), float(g4 * tables)),
        no_last=(float(g4 * (h4 + 1)), float(g5 * (h5 + 1)), float(g4 * (tables + 1))),
        one_more=tuple(None if r + 1 == s else r + 1 for r, s in zip(right, small, strict=True)),
        one_less=tuple(r - 1 for r in right),
        sum=(float(g4 + h4), float(g5 + h5), float(g4 + tables)),
        small=small,
        swapped=(*swapped, None),
        as_data=(None, None, right[0]),
        four=(None, right[0], None),
        guest_only=(None, float(_count((5, 4), pages)), None),
        host_only=(None, float(_count((4, 5), pages)), None),
    ) | _off(right))  # fmt: skip


def levels(pair: str) -> Truth:
    guest, host = pair.split("/")
    pages = (guest, host)
    right = float(_count((5, 4), pages)), float(_count((4, 5), pages))
    four, five = float(_count((4, 4), pages)), float(_count((5, 5), pages))
    g4, g5 = (_reads("guest", n, guest) for n in (4, 5))
    h4, h5 = (_reads("host", n, host) for n in (4, 5))
    small = float(_count((5, 4), ("4K", "4K")))
    no_last = float(g5 * (h4 + 1)), float(g4 * (h5 + 1))
    return Truth(right, _apart(
        right,
        four=(four, four),
        five=(five, five),
        small=(small, small),
        one_read=(four + 1, four + 1),
        no_last=tuple(None if n == four + 1 else n for n in no_last),
        alike=right[::-1],
        one_more=tuple(r + 1 for r in right),
        one_less=tuple(r - 1 for r in right),
    ) | _off(right))  # fmt: skip


def outgrow(cache: int) -> Truth:
    entry = 8

    def set_gib(page_bytes: int, tables: int) -> float:
        return cache * _MIB / tables / entry * page_bytes / _GIB

    right = set_gib(4096, 1), set_gib(4096, 2), set_gib(2 * _MIB, 2)
    return Truth(
        right,
        {
            "bits": tuple(r * entry for r in right),
            "alone": (None, right[0], 2 * right[2]),
            "four": (2 * right[0], None, None),
            "twice": (None, 2 * right[0], None),
            "line": tuple(r / 8 for r in right),
            "half": (right[1], right[1] / 2, right[2] / 2),
            "small": (None, None, (right[1], right[0])),
            "mib": tuple(r * 1024 for r in right),
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"04.count": count, "04.levels": levels, "04.outgrow": outgrow}

# --- designs --------------------------------------------------------------------------------------------------------

_MOST = 8
_FIXED = ("guest_levels", "guest_page", "guest_paging", "guest_depth")
_PRICES = ("guest_cache", "host_cache", "nested_tlb_tables", "nested_tlb_data", "host_page", "table_page")


def few_reads(answer: Any) -> tuple[str, dict[str, str]]:
    """A walk of a guest with 4 KiB pages that reads at most eight entries."""
    if not isinstance(answer, Mapping):
        return "mapping", {}
    options = {str(key): value for key, value in answer.items()}
    known = list(WalkOptions.model_fields)
    if unknown := sorted(set(options) - set(known)):
        return "unknown_option", {"unknown": unknown[0][:40], "known": ", ".join(known)}
    try:
        made = walk(WalkOptions(**options))
    except ParameterError as error:
        return "options", {"error": str(error)}
    cold = WalkOptions()
    if changed := [name for name in _FIXED if getattr(made.options, name) != getattr(cold, name)]:
        return "fixed", {"what": changed[0]}
    if not made.options.nested_paging:
        return "bare", {}
    if made.count > _MOST:
        return "many", {"count": str(made.count)}
    used = [name for name in _PRICES if getattr(made.options, name) != getattr(cold, name)]
    price = "; ".join(say(f"lessons.walk_price.{name}") for name in used)
    return "right", {"count": str(made.count), "price": price or str(words("lessons.price.none"))}


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"04.design": few_reads}


# --- mistakes to find -----------------------------------------------------------------------------------------------


def references(guest_reads: int, host_reads: int) -> int:
    return guest_reads * (host_reads + 1) + host_reads


REFERENCES: dict[str, Callable[..., Any]] = {"04.debug": references}
