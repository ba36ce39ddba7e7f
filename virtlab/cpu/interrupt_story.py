"""An interrupt on its way to a vCPU, step by step: posted, or injected by KVM into an emulated LAPIC; and its costs.

The posted modes play posted_story.py. The emulated LAPIC is played here: KVM sets a bit in IRR, kicks the vCPU out of
the guest if it is there, and injects one interrupt at the next entry; the guest's end of interrupt (EOI) is an exit.
With PV-EOI KVM marks a word in the guest's memory, unless another interrupt waits; the guest then clears the mark and
stays. Taken from arch/x86/kvm/lapic.c (apic_sync_pv_eoi_to_guest) and kvm_vcpu_kick of virt/kvm/kvm_main.c.

Counted is what interrupts cause: not the exit, the HLT or the end of a time slice that the story itself asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from virtlab.core.parameter import ParameterError
from virtlab.core.table import Shown, Table
from virtlab.core.words import say, words
from virtlab.cpu.interrupts import How
from virtlab.cpu.posted_model import RULES, known
from virtlab.cpu.posted_story import posted_story

Scene = Literal["guest", "burst", "host", "preempted", "moved", "blocked"]
#: What happens in a scene; what a post sends arrives with "run", which also ends an exit and lets a woken vCPU run.
SCENES: Mapping[str, tuple[str, ...]] = {
    "guest": ("post A", "run"),
    "burst": ("post A", "post B", "post A", "run"),
    "host": ("exit", "post A", "run"),
    "preempted": ("preempt", "post A", "load", "run"),
    "moved": ("preempt", "load there", "run", "post A", "run"),
    "blocked": ("halt", "post A", "run"),
}
#: The rules of posting whose absence one of the scenes shows; the others go wrong only where two steps meet.
SHOWN_RULES = ("recheck", "wake-up vector", "destination")
_HOST_IRQS = frozenset({"spurious", "elsewhere", "wake", "wake_nobody"})
_TOLD = frozenset({"post_ipi", "device_notify", "device_wake"})


class Spent(NamedTuple):
    """What the interrupts of a story have caused up to a step. ``told``: notifications, by KVM's IPI or by hardware."""

    exits: int = 0
    kicks: int = 0
    told: int = 0
    host_irqs: int = 0
    wakeups: int = 0
    taken: int = 0
    merged: int = 0


@dataclass(frozen=True)
class Scenery:
    """One step, and how things stand after it: ``bits`` are the descriptor's, or those of the emulated LAPIC."""

    event: str
    who: str
    key: str
    what: str
    place: str
    bits: Mapping[str, int]
    spent: Spent


@dataclass(frozen=True, repr=False)
class InterruptStory(Shown):
    """A scene under one mode. ``left`` are interrupts that nobody will fetch: they are lost."""

    interrupts: How
    scene: Scene
    without: tuple[str, ...]
    moments: tuple[Scenery, ...]
    posts: int
    left: int

    @property
    def spent(self) -> Spent:
        return self.moments[-1].spent

    @property
    def posted(self) -> bool:
        """Whether there is a descriptor."""
        return self.interrupts in ("apicv", "posted")

    def law(self) -> tuple[int, int]:
        """Conservation: a post is taken by the guest, merged with an equal one that waits, or left. Both sides."""
        return self.spent.taken + self.spent.merged + self.left, self.posts

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        lost = say("interrupt_story.lost", left=self.left) if self.left else ""
        return say("interrupt_story.sentence", how=words("parameter.interrupts.choices")[self.interrupts],
                   scene=words("parameter.interrupt_scene.choices")[self.scene], posts=self.posts, lost=lost,
                   **self.spent._asdict()).rstrip()  # fmt: skip

    def table(self) -> Table:
        who, place = words("interrupt_story.who"), words("cpu_interrupts.posted.place")
        names = list(self.moments[0].bits)
        rows = [(who[m.who], m.what, place[m.place], *m.bits.values(), m.spent.exits) for m in self.moments]
        header = [*words("interrupt_story.header"), *names, words("interrupt_story.exits")]
        return Table.of(header, rows, self.sentence(), numeric=range(3, len(header)))


def interrupt_story(
    interrupts: How = "apicv", scene: Scene = "guest", without: Iterable[str] = ()
) -> InterruptStory:
    """A scene under a mode, step by step. With "posted" an assigned device posts, else KVM for a back end (irqfd).

    ``without`` leaves rules of posting out (``RULES``); an emulated LAPIC has none of them. Golden, exits of one
    interrupt that finds the vCPU in the guest: emulated 2, PV-EOI 1, APICv 0, posted 0. Raises ParameterError.
    """
    for name, given, names in (("interrupts", interrupts, get_args(How)), ("scene", scene, get_args(Scene))):
        if given not in names:
            raise ParameterError(say("interrupt_story.error", name=name, given=repr(given), known=", ".join(names)))
    without = tuple(without)
    known("rules", without, RULES)
    posts = sum(event.startswith("post") for event in SCENES[scene])
    if interrupts in ("apicv", "posted"):
        moments = tuple(_posted(interrupts, scene, without))
        left = moments[-1].bits["PIR A"] + moments[-1].bits["PIR B"]
    else:
        moments = tuple(_Lapic(interrupts == "pv-eoi").play(SCENES[scene]))
        left = moments[-1].bits["IRR A"] + moments[-1].bits["IRR B"]
    return InterruptStory(interrupts, scene, without, moments, posts, left)


# --- posted -----------------------------------------------------------------------------------------------------------


def _posted(interrupts: str, scene: str, without: tuple[str, ...]) -> Iterator[Scenery]:
    source = "device" if interrupts == "posted" else "software"
    events = [event.replace("post", source) for event in SCENES[scene]]
    before: frozenset[str] = frozenset()
    spent, on_its_way = Spent(), 0
    for moment in posted_story(*events, without=without).moments:
        key, pir = moment.line.key, frozenset(moment.pir)
        first = key.startswith("device_") or key in ("post_pir", "post_again")  # what sets the bit, or finds it set
        vector = moment.event[-1]
        on_its_way += len(before) if key in ("take", "take_guest") else 0
        arrives = on_its_way if key in ("enter", "take_guest") else 0
        spent = spent._replace(
            told=spent.told + (key in _TOLD), host_irqs=spent.host_irqs + (key in _HOST_IRQS),
            wakeups=spent.wakeups + (key == "wake" or (key == "post_wake" and moment.place == "blocked")),
            taken=spent.taken + arrives, merged=spent.merged + (first and vector in before),
        )  # fmt: skip
        on_its_way -= arrives
        bits = {"PIR A": int("A" in pir), "PIR B": int("B" in pir), "ON": int(moment.on), "SN": int(moment.sn),
                "NV": int(moment.wake_vector)}  # fmt: skip
        yield Scenery(moment.event, moment.line.who, key, moment.line.what, moment.place, bits, spent)
        before = pir


# --- injected ---------------------------------------------------------------------------------------------------------


class _Lapic:
    """KVM's LAPIC in software and the vCPU that it is of. A is the vector of higher priority."""

    def __init__(self, pv_eoi: bool) -> None:
        self._pv_eoi = pv_eoi
        self._irr: set[str] = set()
        self._in_service = self._marked = self._kicked = self._ended = False
        self._place, self._spent, self._event = "guest", Spent(), ""

    def play(self, events: Iterable[str]) -> Iterator[Scenery]:
        for self._event in events:
            verb, _, name = self._event.partition(" ")
            yield from {"post": self._post, "run": self._run}.get(verb, self._happens)(name)

    def _step(self, who: str, key: str, vector: str = "", **more: int) -> Scenery:
        self._spent = self._spent._replace(**{name: getattr(self._spent, name) + n for name, n in more.items()})
        bits = {"IRR A": int("A" in self._irr), "IRR B": int("B" in self._irr), "ISR": int(self._in_service)}
        if self._pv_eoi:
            bits["PV-EOI"] = int(self._marked)
        what = say(f"interrupt_story.step.{key}", vector=vector)
        return Scenery(self._event, who, key, what, self._place, bits, self._spent)

    def _happens(self, name: str) -> Iterator[Scenery]:
        verb = self._event.partition(" ")[0]
        self._place = {"exit": "host", "halt": "blocked", "preempt": "preempted", "load": "host"}[verb]
        key = f"{verb}_{name}" if name else verb
        yield self._step("scheduler" if verb in ("preempt", "load") else "vcpu", key)

    def _post(self, name: str) -> Iterator[Scenery]:
        if name in self._irr:
            yield self._step("software", "irr_again", name, merged=1)
            return
        self._irr.add(name)
        yield self._step("software", "irr", name)
        if self._place == "guest" and not self._kicked:
            self._kicked = True
            yield self._step("software", "kick", name, kicks=1)
        elif self._place == "blocked":
            yield self._step("software", "wake_blocked", name, wakeups=1)
            self._kicked = True
        else:
            key = "kicked" if self._kicked else "waits_turn" if self._place == "preempted" else "waits_exit"
            yield self._step("software", key, name)

    def _run(self, _: str) -> Iterator[Scenery]:
        if self._kicked and self._place == "guest":
            self._place, self._kicked = "host", False
            yield self._step("vcpu", "kick_exit", exits=1)
        elif self._kicked:  # it was woken
            self._place, self._kicked = "host", False
            yield self._step("scheduler", "load")
        while self._place == "host" or self._in_service:
            yield from self._enter()
            if not self._in_service:
                return
            if self._marked:
                self._marked = False
                yield self._step("vcpu", "pv_eoi")
                return  # KVM clears ISR when the vCPU leaves the guest next, for whatever reason
            self._place, self._in_service = "host", False
            yield self._step("vcpu", "eoi", exits=1)

    def _enter(self) -> Iterator[Scenery]:
        vector = min(self._irr, default="")
        if vector:
            self._irr.remove(vector)
            self._in_service = True
            yield self._step("kvm", "inject", vector)
            if self._pv_eoi and not self._irr:
                self._marked = True
                yield self._step("kvm", "mark")
        self._place = "guest"
        yield self._step("vcpu", "enter", taken=int(bool(vector)))
