"""The duel: one team defends a claim, another sends one setting that breaks it; the claim's own judge replays it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from virtlab.cloud.verdict import Axis, Condition
from virtlab.core.words import say
from virtlab.evidence import CLAIMS
from virtlab.lessons.text import Note

#: Of several parameters the one that says most is answered.
_BEST = ("right", "range", "holds", "already")
_LONGEST = 10_000  # characters: a setting is a line, and the text comes from another team


def duel(claim: str, setting: str | Mapping[str, Any]) -> Note:
    """Replays an attack on ``claim``: ``setting`` is a setting of a lab, as JSON text or as a mapping of parameters.

    The text may be what a lab gives (``lab.as_json()``). Nothing is raised for a text that makes no sense: the note
    says what was expected.
    """
    _, said = replay({"claim": claim, "setting": setting})
    return Note(said, f'<div class="virtlab-judgement" role="status">{html.escape(said)}</div>')


def replay(attack: Any) -> tuple[str, str]:
    """What became of an attack, as a key and a sentence. The keys: right (the claim is broken), holds, already (it did
    not hold before), range, parameter, claim and unreadable.

    ``attack`` is JSON text or a mapping with "claim" and "setting"; a setting is a mapping of parameters, or what
    ``lab.as_json`` gives. The judge turns one parameter at a time, and each that it can turn is tried by itself; what
    it does not turn is left out. Never raises for what others sent.
    """
    try:
        claim, setting = _read(attack)
    except (ValueError, RecursionError):
        return "unreadable", say("ledger.duel.unreadable")
    if claim not in CLAIMS:
        return "claim", say("ledger.duel.claim", given=claim[:20], ids=", ".join(CLAIMS))
    conditions: tuple[Condition, ...] = CLAIMS[claim].verdict().conditions
    aimed = [name for name in setting if any(c.parameter == name for c in conditions)]
    if not aimed:
        levers = dict.fromkeys(c.parameter for c in conditions)
        given = ", ".join(setting)[:40]
        return "parameter", say("ledger.duel.parameter", claim=claim, given=given, levers=", ".join(levers))
    found = [_turned([c for c in conditions if c.parameter == name], setting[name]) for name in aimed]
    return min(found, key=lambda answer: _BEST.index(answer[0]))


def _turned(conditions: list[Condition], value: Any) -> tuple[str, str]:
    """What becomes of a claim when the one parameter of these conditions has this value."""
    aimed = [c for c in conditions if _allowed(c.axis, value)]
    if not aimed:
        allowed = _range(conditions[0].axis)
        return "range", say("ledger.duel.range", parameter=conditions[0].parameter, allowed=allowed)
    standing = [c for c in aimed if c.holds(c.start)]
    if not standing:
        return "already", say("ledger.duel.already", **_filled(aimed[0], value))
    broken = next((c for c in standing if not c.holds(value)), None)
    if broken is None:
        return "holds", say("ledger.duel.holds", **_filled(standing[0], value), where=standing[0].where())
    return "right", say("ledger.duel.right", **_filled(broken, value), where=broken.where())


def _read(attack: Any) -> tuple[str, dict[str, Any]]:
    """The claim and the setting of an attack. Raises ValueError."""
    given = _mapping(attack)
    setting = _mapping(given.get("setting"))
    setting = _mapping(setting["setting"]) if "setting" in setting else setting  # what a lab gives names the lab too
    claim = given.get("claim")
    if not isinstance(claim, str):
        raise ValueError("no claim")
    return claim.strip().upper(), setting


def _mapping(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        if len(given) > _LONGEST:
            raise ValueError("too long")
        given = json.loads(given)
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ValueError("no mapping")
    return dict(given)


def _allowed(axis: Axis, value: Any) -> bool:
    if axis.choices:
        return any(type(value) is type(choice) and value == choice for choice in axis.choices)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and axis.low <= value <= axis.high and (not axis.integer or value == int(value))


def _range(axis: Axis) -> str:
    if axis.choices:
        return " or ".join(json.dumps(c) for c in axis.choices)
    return say("judge.interval", low=axis.show(axis.low), high=axis.show(axis.high))


def _filled(condition: Condition, value: Any) -> dict[str, str]:
    c = condition
    return {"statement": c.statement, "setting": c.setting, "parameter": c.axis.label, "value": c.axis.show(value)}
