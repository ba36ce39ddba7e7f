"""A stateless filter as a virtual switch runs it: a flow cache before a classifier, and what a rule change must do.

A verdict that was kept is as old as the rules it came from. ``invalidate=False`` leaves out what has to follow a change
of the rules, and then flows in the cache keep their old verdict. For *tracked connections* some clouds do just that on
purpose, until the connection ends or idles: a choice of meaning and not a matter of speed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from virtlab.cloud.classifier import Classifier
from virtlab.cloud.filter_rules import Action, Packet, Rule
from virtlab.cloud.flow_cache import FlowCache
from virtlab.core.parameter import ParameterError


@dataclass(frozen=True)
class Decision:
    """A verdict, who gave it, and the hash tables of the classifier that were probed for it."""

    action: Action
    by: Literal["cache", "classifier"]
    probes: int


class PacketFilter:
    """Rules that can be changed, a classifier of them, and a flow cache before it."""

    def __init__(
        self, rules: Iterable[Rule] = (), cache: FlowCache[Action] | None = None, *, invalidate: bool = True
    ) -> None:
        self._rules = list(rules)
        self.cache: FlowCache[Action] = FlowCache(8192) if cache is None else cache
        self.invalidate = invalidate
        self._classifier = Classifier(self._rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules as they are now."""
        return tuple(self._rules)

    def decide(self, packet: Packet) -> Decision:
        """The verdict of one packet, from the cache if it is there; else it is offered to the cache."""
        kept = self.cache.get(packet)
        if kept is not None:
            return Decision(kept, "cache", 0)
        match = self._classifier.look_up(packet)
        self.cache.offer(packet, match.action)
        return Decision(match.action, "classifier", match.probes)

    def add(self, rule: Rule) -> None:
        """One rule more; of equal priority it comes last."""
        self._change([*self._rules, rule])

    def remove(self, rule: Rule) -> None:
        """One rule less. Raises ParameterError where it is not there."""
        if rule not in self._rules:
            raise ParameterError("this rule is not in the filter, so that it cannot be removed.")
        rules = self._rules.copy()
        rules.remove(rule)
        self._change(rules)

    def _change(self, rules: list[Rule]) -> None:
        self._rules = rules
        self._classifier = Classifier(rules)
        if self.invalidate:
            self.cache.clear()
