"""Tuple-space search: one hash table for each mask, so that a look-up costs masks and not rules.

The tables are searched in the order of the highest priority in each, and the search ends where no later table can hold
a better rule (Pfaff et al., NSDI 2015: tuple priority sorting). A *probe* is one look-up in one table, hit or miss.
Left out: staged look-up and prefix tracking, which end or skip probes, so that a real one probes at most as often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from virtlab.cloud.filter_rules import NO_RULE, Action, Mask, Packet, Rule, masked, ranked


@dataclass(frozen=True)
class Match:
    """What a look-up found: the verdict, the rule (None: no rule matches), and the hash tables that were probed."""

    action: Action
    rule: Rule | None
    probes: int


class Classifier:
    """All rules in one hash table a mask. It is built once: other rules are another classifier."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        tables: dict[Mask, dict[Mask, tuple[int, Rule]]] = {}
        for rank, rule in enumerate(ranked(rules)):
            tables.setdefault(rule.mask, {}).setdefault(rule.value, (rank, rule))  # the first of equals decides
        # Ranks come in rising order: the first of a table is its best, and the tables are in the order of their best.
        self._tables = [(next(iter(table.values()))[0], mask, table) for mask, table in tables.items()]

    @property
    def masks(self) -> int:
        """The hash tables, and the most probes of a look-up."""
        return len(self._tables)

    def look_up(self, packet: Packet) -> Match:
        """The verdict of a packet. It is that of :func:`scan`, with at most one probe a mask."""
        best: tuple[int, Rule] | None = None
        probes = 0
        for first, mask, table in self._tables:
            if best is not None and best[0] < first:
                break
            probes += 1
            found = table.get(masked(packet, mask))
            if found is not None and (best is None or found[0] < best[0]):
                best = found
        return Match(best[1].action if best else NO_RULE, best[1] if best else None, probes)
