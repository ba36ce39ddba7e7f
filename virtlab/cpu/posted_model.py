"""Who can do what next with a posted-interrupt descriptor: the steps of VT-d, of KVM and of the vCPU, one by one.

"software" is KVM's own post (an IPI or an irqfd), in three steps: PIR, ON, the notification. "device" is an assigned
device whose interrupt VT-d posts, in one. The vCPU clears ON and takes PIR when a notification finds it in the guest,
and before it enters the guest or blocks; off its processor it sets SN, blocked it sets NV to the wake-up vector. Taken
from arch/x86/kvm/vmx/posted_intr.c and vmx.c. Left out: memory barriers (each store is seen at once), a vCPU that is
preempted on its way to sleep, urgent posts, and other vCPUs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from virtlab.core.parameter import ParameterError
from virtlab.core.words import say

#: What keeps an interrupt from being lost, or from being told of twice: the names that ``without`` takes.
RULES = (
    "recheck",  # a vCPU that is loaded looks at PIR, and sets ON if there is anything
    "on checked",  # one that blocks looks at ON once more when NV is the wake-up vector
    "wake-up vector",  # one that blocks sets NV to it
    "destination",  # one that is loaded sets NDST to its new processor
    "clear first",  # ON is cleared before PIR is taken
    "mode first",  # IN_GUEST_MODE is set before ON is looked at
    "pir first",  # a post sets PIR before ON
    "on tested",  # a post that finds ON set sends nothing
)
SOURCES = ("device", "software")

VECTORS = {"A": 1, "B": 2}
# Interrupts on their way to a processor: the notification or the wake-up vector, to the vCPU's own or to another one.
_NOTIFY_HERE, _NOTIFY_THERE, _WAKE_HERE, _WAKE_THERE = 1, 2, 4, 8
_BEFORE_ENTRY = frozenset({"entering", "syncing", "ready"})
_IN_GUEST_MODE = _BEFORE_ENTRY | {"guest", "notified"}
_INTERRUPTS_OFF = _BEFORE_ENTRY | {"notified"}  # an interrupt for this processor waits
#: The state of the vCPU, of the four that matter for what an interrupt costs.
PLACES = {
    "guest": "guest", "notified": "guest", "host": "host", "entering": "host", "syncing": "host", "ready": "host",
    "halting": "host", "taking": "host", "checked": "host", "armed": "host", "asleep": "blocked", "put": "host",
    "preempted": "preempted", "loaded": "host",
}  # fmt: skip


def known(what: str, given: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Raises ParameterError for a name that is not among ``names``; ``what`` is "rules" or "sources"."""
    wrong = [name for name in given if name not in names]
    if wrong or (what == "sources" and not given):
        raise ParameterError(say(f"cpu_interrupts.posted.error.{what}", given=", ".join(wrong) or "none",
                                 known="; ".join(names)))  # fmt: skip


class State(NamedTuple):
    """The descriptor, the vCPU and what is under way. Processor 0 is the vCPU's own (its last one), 1 another."""

    at: str = "guest"
    pir: int = 0
    on: bool = False
    sn: bool = False
    wake_vector: bool = False  # NV: the wake-up vector, or else the notification vector
    ndst: int = 0
    irr: int = 0
    waiting: bool = False  # between "I will sleep" and the wake-up that takes it back
    flying: int = 0
    posts: tuple[tuple[str, int], ...] = ()  # software posts under way: the next step and the vector
    owed: int = 0  # ON raised by posts, less notifications: 0 once all posts have ended
    left: int = 0


class Line(NamedTuple):
    """One step in words, and who takes it: device, software, vcpu, host or scheduler; ``key`` names the step."""

    who: str
    key: str
    what: str


class Move(NamedTuple):
    state: State
    who: str
    key: str
    vector: str = ""

    @property
    def line(self) -> Line:
        return Line(self.who, self.key, say(f"cpu_interrupts.posted.step.{self.key}", vector=self.vector))


class Model:
    """Who can do what next."""

    def __init__(self, without: frozenset[str], sources: Iterable[str]) -> None:
        self._without, self._sources = without, tuple(sources)

    def _in_guest_mode(self, state: State) -> bool:
        late = "mode first" in self._without and state.at in _BEFORE_ENTRY
        return state.at in _IN_GUEST_MODE and not late

    # --- events: what may happen, or not ------------------------------------------------------------------------------

    def events(self, state: State) -> Iterator[Move]:
        s = state._replace(left=state.left - 1)
        if s.at == "guest":
            yield Move(s._replace(at="host"), "vcpu", "exit")
            yield Move(s._replace(at="halting", waiting=True), "vcpu", "halt")
        if s.at in ("guest", "host"):
            yield Move(s._replace(at="put"), "scheduler", "preempt")
        # The vectors are alike: until one of them is used, trying the other as well finds nothing new.
        for name in VECTORS if s.pir or s.irr or s.posts else ("A",):
            if "device" in self._sources:
                yield self.device(s, name)
            if "software" in self._sources and len(s.posts) < 2:
                yield self.software(s, name)

    def device(self, s: State, name: str) -> Move:
        """VT-d: one atomic update of the descriptor, and the notification that it calls for."""
        after = s._replace(pir=s.pir | VECTORS[name])
        if s.on:
            return Move(after, "device", "device_on", name)
        if s.sn:
            return Move(after, "device", "device_sn", name)
        there = s.ndst == 1
        if s.wake_vector:
            flying, key = _WAKE_THERE if there else _WAKE_HERE, "device_wake"
        else:
            flying, key = _NOTIFY_THERE if there else _NOTIFY_HERE, "device_notify"
        return Move(after._replace(on=True, flying=s.flying | flying), "device", key, name)

    def software(self, s: State, name: str) -> Move:
        """The first step of KVM's own post."""
        vector = VECTORS[name]
        if "pir first" in self._without:
            stage = "pir" if s.on else "pir, owing"
            after = s._replace(on=True, owed=s.owed + (not s.on), posts=(*s.posts, (stage, vector)))
            return Move(after, "software", "post_on_first", name)
        if s.pir & vector:
            return Move(s, "software", "post_again", name)
        return Move(s._replace(pir=s.pir | vector, posts=(*s.posts, ("on", vector))), "software", "post_pir", name)

    # --- steps: what goes on by itself --------------------------------------------------------------------------------

    def steps(self, s: State) -> Iterator[Move]:
        yield from self._arrivals(s)
        for n, (stage, vector) in enumerate(s.posts):
            yield self._posting(s._replace(posts=s.posts[:n] + s.posts[n + 1 :]), stage, vector)
        yield from getattr(self, f"_at_{s.at}")(s)

    def _arrivals(self, s: State) -> Iterator[Move]:
        if s.flying & _NOTIFY_HERE:
            after = s._replace(flying=s.flying - _NOTIFY_HERE)
            if s.at == "guest":
                yield Move(after._replace(at="notified", on=False), "vcpu", "notified")
            elif s.at not in _INTERRUPTS_OFF:
                yield Move(after, "host", "spurious")
        if s.flying & _NOTIFY_THERE:
            yield Move(s._replace(flying=s.flying - _NOTIFY_THERE), "host", "elsewhere")
        if s.flying & _WAKE_HERE and s.at not in _INTERRUPTS_OFF:
            woken = s.wake_vector and s.on
            after = s._replace(flying=s.flying - _WAKE_HERE, waiting=s.waiting and not woken)
            yield Move(after, "host", "wake" if woken else "wake_nobody")
        if s.flying & _WAKE_THERE:
            yield Move(s._replace(flying=s.flying - _WAKE_THERE), "host", "wake_nobody")

    def _posting(self, s: State, stage: str, vector: int) -> Move:
        """``s`` is the state without this post: what it does next puts it back, or ends it."""
        name = "A" if vector == VECTORS["A"] else "B"
        if stage.startswith("pir"):
            goes_on = (("notify", vector),) if stage == "pir, owing" else ()
            return Move(s._replace(pir=s.pir | vector, posts=s.posts + goes_on), "software", "post_pir", name)
        if stage == "on":
            if s.on and "on tested" not in self._without:
                return Move(s, "software", "post_on_already", name)
            after = s._replace(on=True, owed=s.owed + (not s.on), posts=(*s.posts, ("notify", vector)))
            return Move(after, "software", "post_on", name)
        s = s._replace(owed=s.owed - 1)
        if self._in_guest_mode(s):
            return Move(s._replace(flying=s.flying | _NOTIFY_HERE), "software", "post_ipi", name)
        return Move(s._replace(waiting=False), "software", "post_wake", name)

    def _at_guest(self, s: State) -> Iterator[Move]:
        return iter(())

    def _at_notified(self, s: State) -> Iterator[Move]:
        yield Move(s._replace(at="guest", pir=0), "vcpu", "take_guest")  # into the guest: nothing stays in IRR here

    def _at_host(self, s: State) -> Iterator[Move]:
        yield Move(s._replace(at="entering"), "vcpu", "no_mode" if "mode first" in self._without else "mode")

    def _at_entering(self, s: State) -> Iterator[Move]:
        yield from self._sync(s, "syncing", "ready")

    def _at_syncing(self, s: State) -> Iterator[Move]:
        yield self._synced(s, "ready")

    def _at_ready(self, s: State) -> Iterator[Move]:
        yield Move(s._replace(at="guest", irr=0), "vcpu", "enter")

    def _at_halting(self, s: State) -> Iterator[Move]:
        yield from self._sync(s, "taking", "checked")

    def _at_taking(self, s: State) -> Iterator[Move]:
        yield self._synced(s, "checked")

    def _at_checked(self, s: State) -> Iterator[Move]:
        if s.irr or not s.waiting:
            yield Move(s._replace(at="host", waiting=False), "vcpu", "stay")
        elif "wake-up vector" in self._without:
            yield Move(s._replace(at="armed"), "vcpu", "sleep_unarmed")
        else:
            yield Move(s._replace(at="armed", wake_vector=True), "vcpu", "arm")

    def _at_armed(self, s: State) -> Iterator[Move]:
        if s.on and "on checked" not in self._without:
            yield Move(s._replace(at="asleep", flying=s.flying | _WAKE_HERE), "vcpu", "wake_self")
        else:
            yield Move(s._replace(at="asleep"), "vcpu", "sleep")

    def _at_asleep(self, s: State) -> Iterator[Move]:
        if not s.waiting:
            yield from self._load(s)

    def _at_put(self, s: State) -> Iterator[Move]:
        yield Move(s._replace(at="preempted", sn=True), "scheduler", "put")

    def _at_preempted(self, s: State) -> Iterator[Move]:
        yield from self._load(s)

    def _at_loaded(self, s: State) -> Iterator[Move]:
        if s.pir and "recheck" not in self._without:
            yield Move(s._replace(at="host", on=True), "vcpu", "recheck")
        else:
            yield Move(s._replace(at="host"), "vcpu", "no_recheck" if s.pir else "empty")

    def _load(self, s: State) -> Iterator[Move]:
        ndst = s.ndst if "destination" in self._without else 0
        s = s._replace(at="loaded", sn=False, wake_vector=False)
        yield Move(s._replace(ndst=ndst), "scheduler", "load")
        # On another processor: what was here is there, and the other way round.
        here, there = s.flying & (_NOTIFY_HERE | _WAKE_HERE), s.flying & (_NOTIFY_THERE | _WAKE_THERE)
        stale = 1 - ndst if "destination" in self._without else 0
        yield Move(s._replace(ndst=stale, flying=here << 1 | there >> 1), "scheduler", "load_there")

    def _sync(self, s: State, between: str, then: str) -> Iterator[Move]:
        """vmx_sync_pir_to_irr, its first half: it looks at ON, not at PIR."""
        if not s.on:
            yield Move(s._replace(at=then), "vcpu", "on_clear")
        elif "clear first" in self._without:
            yield Move(s._replace(at=between, irr=s.irr | s.pir, pir=0), "vcpu", "take")
        else:
            yield Move(s._replace(at=between, on=False), "vcpu", "clear")

    def _synced(self, s: State, then: str) -> Move:
        if "clear first" in self._without:
            return Move(s._replace(at=then, on=False), "vcpu", "clear")
        return Move(s._replace(at=then, irr=s.irr | s.pir, pir=0), "vcpu", "take")
