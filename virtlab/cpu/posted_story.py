"""Plays one order of events on the posted-interrupt descriptor, and counts: posts, ON raised, notifications, taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from virtlab.core.parameter import ParameterError
from virtlab.core.table import Shown, Table
from virtlab.core.words import say, words
from virtlab.cpu.posted_model import PLACES, RULES, SOURCES, VECTORS, Line, Model, Move, State, known

#: What may stand in a story. Posts end before the next event; what they send arrives with "run", which also ends an
#: exit and lets a woken vCPU run. A preempted one comes back with "load", on its processor or "there", on another.
STORY_EVENTS = (
    *(f"{source} {name}" for source in ("device", "software") for name in VECTORS),
    "exit", "halt", "preempt", "load", "load there", "run",
)  # fmt: skip
_NOTIFIES = frozenset({"device_notify", "device_wake", "post_ipi", "post_wake"})


@dataclass(frozen=True)
class Moment:
    """One step of a story and the descriptor after it. ``place``: guest, host, preempted or blocked."""

    event: str
    line: Line
    place: str
    pir: tuple[str, ...]
    on: bool
    sn: bool
    wake_vector: bool


@dataclass(frozen=True, repr=False)
class PostedStory(Shown):
    """One order of events, step by step. ``taken`` are the interrupts that reached the guest, ``left`` is in PIR."""

    moments: tuple[Moment, ...]
    posts: int
    raised: int
    notifications: int
    taken: int
    left: tuple[str, ...]

    def law(self) -> tuple[int, int]:
        """Conservation: each time that a post raises ON is one notification. Returns both sides."""
        return self.notifications, self.raised

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say("cpu_interrupts.story.sentence", posts=self.posts, raised=self.raised,
                   notifications=self.notifications, taken=self.taken)  # fmt: skip

    def table(self) -> Table:
        who, place = words("cpu_interrupts.posted.who"), words("cpu_interrupts.posted.place")
        vector = words("cpu_interrupts.story.vector")
        rows = [
            (m.event, who[m.line.who], m.line.what, place[m.place], " ".join(m.pir) or "–", int(m.on), int(m.sn),
             vector["wake" if m.wake_vector else "notify"]) for m in self.moments
        ]  # fmt: skip
        return Table.of(words("cpu_interrupts.story.header"), rows, self.sentence(), numeric=[5, 6])


def posted_story(*events: str, without: Iterable[str] = ()) -> PostedStory:
    """Plays ``events`` in this order, from a vCPU in the guest and an empty descriptor. Raises ParameterError.

    Golden: "device A", "device A", "run": two posts, one notification, one interrupt. "preempt", "device A" notifies
    nobody; after "load" and "run" the guest has it all the same.
    """
    without = tuple(without)
    known("rules", without, RULES)
    model = Model(frozenset(without), SOURCES)
    state, moments = State(left=len(events)), []
    posts = raised = notifications = taken = 0
    for event in events:
        for move in _moves(model, state, event):
            before, state = state, move.state
            raised += move.who in ("device", "software") and state.on and not before.on
            notifications += move.key in _NOTIFIES
            taken += (before.irr if move.key == "enter" else before.pir if move.key == "take_guest" else 0).bit_count()
            moments.append(Moment(event, move.line, PLACES[state.at], _names(state.pir), state.on, state.sn,
                                  state.wake_vector))  # fmt: skip
        posts += event.split()[0] in ("device", "software")
    return PostedStory(tuple(moments), posts, raised, notifications, taken, _names(state.pir))


def _names(bits: int) -> tuple[str, ...]:
    return tuple(name for name, bit in VECTORS.items() if bits & bit)


def _moves(model: Model, state: State, event: str) -> list[Move]:
    """An event and the steps that belong to it."""
    if event not in STORY_EVENTS:
        raise ParameterError(say("cpu_interrupts.posted.error.story", given=repr(event), known=", ".join(STORY_EVENTS)))
    if event == "run":
        return _follow(model, state, lambda move: True)
    first, then = _first(model, state, event)
    return [first, *_follow(model, first.state, then)]


def _first(model: Model, state: State, event: str) -> tuple[Move, Callable[[Move], bool]]:
    verb, _, name = event.partition(" ")
    if verb == "device":
        return model.device(state, name), lambda move: False
    if verb == "software":
        return model.software(state, name), lambda move: move.who == "software"
    if verb == "load":
        found = [m for m in model.steps(state) if m.key == event.replace(" ", "_")]
        then = frozenset({"recheck", "no_recheck", "empty"})
    else:
        found = [m for m in model.events(state) if m.key == verb]
        halting = frozenset({"on_clear", "clear", "take", "stay", "arm", "sleep_unarmed", "wake_self", "sleep"})
        then = halting if verb == "halt" else frozenset({"put"} if verb == "preempt" else ())
    if not found:
        place = words("cpu_interrupts.posted.place")[PLACES[state.at]]
        raise ParameterError(say("cpu_interrupts.posted.error.not_now", event=event, place=place))
    return found[0], lambda move: move.key in then


def _follow(model: Model, state: State, allowed: Callable[[Move], bool]) -> list[Move]:
    moves: list[Move] = []

    def goes_on(move: Move) -> bool:
        return allowed(move) and not (state.at == "preempted" and move.who == "scheduler")  # its turn is an event

    while (move := next(filter(goes_on, model.steps(state)), None)) is not None:
        moves.append(move)
        state = move.state
    return moves
