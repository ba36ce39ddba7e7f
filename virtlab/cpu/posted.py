"""Runs posted interrupts (PIR, ON, SN, NV) through EVERY interleaving of a few events, and finds lost interrupts.

A post sets a bit in PIR; whoever raises ON thereby owes the vCPU one notification. What each side does is in
posted_model.py: two processors, two vectors, one vCPU, which is loaded sooner or later whenever it can run. On AMD,
AVIC's IsRunning bit and the GA log of its IOMMU play the parts of ON, SN and the wake-up vector.

An interrupt is lost in a state where it still lies in PIR and nobody is on the way to fetch it.
"""

from __future__ import annotations

import functools
from collections import deque
from dataclasses import dataclass

from virtlab.core.parameter import ParameterError
from virtlab.core.words import say, words
from virtlab.cpu.posted_model import RULES, SOURCES, Line, Model, Move, State, known
from virtlab.evidence import FACTS

_EVENTS = int(FACTS["posted.events"].value)
MOST_EVENTS = int(FACTS["posted.events"].high)


@dataclass(frozen=True)
class PostedCheck:
    """What running every interleaving found; ``schedule`` is the shortest one that goes wrong, if any does.

    ``miscounted``: somewhere the notifications sent by posts were not as many as the times that posts raised ON.
    """

    events: int
    without: tuple[str, ...]
    states: int
    lost: bool
    miscounted: bool
    schedule: tuple[Line, ...]

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        key = "lost" if self.lost else "miscounted" if self.miscounted else "safe"
        return say(f"cpu_interrupts.posted.{key}", states=f"{self.states:,}", events=self.events,
                   steps=len(self.schedule))  # fmt: skip

    def __str__(self) -> str:
        who = words("cpu_interrupts.posted.who")
        lines = (f"{n:3}  {who[line.who]:10}  {line.what}" for n, line in enumerate(self.schedule, 1))
        return "\n".join([self.sentence(), *lines])

    __repr__ = __str__


@functools.lru_cache(maxsize=64)
def posted(events: int = _EVENTS, without: tuple[str, ...] = (), sources: tuple[str, ...] = SOURCES) -> PostedCheck:
    """All interleavings of up to ``events`` events with the steps that they cause. Raises ParameterError.

    An event is a post of one of two vectors from one of the ``sources``, an exit to the host, a HLT or the end of the
    vCPU's time slice; loading it again is a step that follows. ``without`` names rules to leave out (``RULES``).
    Golden: with all rules no interrupt is lost; without any one of the first seven one is; without the last, an IPI is
    sent for a post that ON had already announced.
    """
    if not (isinstance(events, int) and 1 <= events <= MOST_EVENTS):
        raise ParameterError(say("cpu_interrupts.posted.error.events", most=MOST_EVENTS, given=repr(events)))
    known("rules", without, RULES)
    known("sources", sources, SOURCES)
    model = Model(frozenset(without), sources)
    first = State(left=events)
    parents: dict[State, tuple[State, Move] | None] = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        steps = list(model.steps(state))
        stuck = not steps
        lost = stuck and bool(state.pir or state.irr)
        miscounted = state.owed < 0 or (stuck and bool(state.owed))
        if lost or miscounted:
            return PostedCheck(events, without, len(parents), lost, miscounted, _schedule(parents, state))
        if state.left:
            steps += model.events(state)
        for move in steps:
            if move.state not in parents:
                parents[move.state] = state, move
                queue.append(move.state)
    return PostedCheck(events, without, len(parents), False, False, ())


def _schedule(parents: dict[State, tuple[State, Move] | None], state: State) -> tuple[Line, ...]:
    lines = []
    at = parents[state]
    while at is not None:
        before, move = at
        lines.append(move.line)
        at = parents[before]
    return tuple(reversed(lines))
