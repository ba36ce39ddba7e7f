"""The moderation lab: how many interrupts packets cause, and how late they come, by who holds back what."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from virtlab.core.jit import have_numba
from virtlab.core.parameter import Parameters, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu.interrupts import How
from virtlab.figures.moderation import RATES, ROOM, Curve, ModerationPicture, ModerationResult, Story
from virtlab.labs.base import Lab
from virtlab.offload import (
    Moderation,
    ModerationOptions,
    ModerationRun,
    heavy_limit,
    light_limit,
    moderation,
    moderation_run,
)
from virtlab.offload.moderation import Scheme

_TOLD = 7  # interrupts of the story
_STORY_PACKETS = 2_000
#: Packets of one simulated point: DIM needs many until it has found its place.
_RUN, _RUN_ADAPTIVE, _RUN_SLOW = 20_000, 100_000, 2_000
_PICKED = RATES[::2]  # of the simulated points


class ModerationSetting(Parameters):
    """Packets of one queue, who moderates and how, and under more what an interrupt costs and how packets come."""

    rate_packets_per_s: float = same(ModerationOptions, "rate_packets_per_s")
    max_packets: int = same(ModerationOptions, "max_packets", le=256)
    interrupt_delay_ns: int = same(ModerationOptions, "interrupt_delay_ns", step=1_000)
    moderation: Scheme = same(ModerationOptions, "moderation")
    masked_while_polling: bool = same(ModerationOptions, "masked_while_polling")
    train_packets: int = same(ModerationOptions, "train_packets")
    interrupts: How = same(ModerationOptions, "interrupts")
    guest_irq_ns: float = same(ModerationOptions, "guest_irq_ns", le=5_000)
    guest_stack_ns: float = same(ModerationOptions, "guest_stack_ns", le=5_000)

    def options(self) -> ModerationOptions:
        """The model's options under this setting."""
        return ModerationOptions(**self.model_dump()).replace(run_packets=_run_packets(self.moderation))


def _run_packets(scheme: str) -> int:
    if not have_numba():
        return _RUN_SLOW
    return _RUN_ADAPTIVE if scheme == "adaptive" else _RUN


def _unused(options: ModerationOptions) -> dict[str, Any]:
    """Defaults for what the curve of a scheme does not depend on: a move of it finds the curve of the last redraw."""
    names = ["rate_packets_per_s"]
    if options.moderation != "virtio":
        names.append("max_packets")
    if options.moderation in ("off", "adaptive"):
        names.append("interrupt_delay_ns")
    return {name: ModerationOptions.specs()[name].default for name in names}


@functools.lru_cache(maxsize=64)
def _curve(options: ModerationOptions) -> Curve:
    rates = RATES if options.closed else _PICKED
    points = [moderation(options.replace(rate_packets_per_s=float(rate))) for rate in rates]
    return Curve(
        rates,
        np.array([p.interrupts_per_s for p in points]),
        np.array([p.mean_delay_ns for p in points]),
        np.array([p.p99_delay_ns for p in points]),
        np.array([p.endless for p in points]),
    )


def story(run: ModerationRun) -> Story:
    """The first interrupts of a run; of an adaptive one the last: then DIM has found its place."""
    o, n = run.options, len(run.irqs)
    begin = max(0, n - _TOLD - 1) if o.moderation == "adaptive" else 0
    end = min(n, begin + _TOLD)
    starts = np.concatenate(([0], np.cumsum(run.batches)))
    first = int(starts[begin])
    packets = run.arrivals[first : int(starts[end])][:ROOM]
    origin = int(packets[0])
    firsts = run.arrivals[starts[begin:end]]
    taken = run.batches[begin:end]
    irqs = run.irqs[begin:end]
    polls = irqs + np.round(o.interrupt_ns + o.guest_stack_ns * taken).astype(np.int64) if o.masked else irqs
    return Story(packets - origin, firsts - origin, irqs - origin, polls - origin, max(1, int(polls[-1]) - origin))


class ModerationLab(Lab):
    """Interrupts a second and added delay over the packet rate, the first interrupts one by one, and the bill."""

    Setting = ModerationSetting
    Picture = ModerationPicture
    visible = ("rate_packets_per_s", "max_packets", "interrupt_delay_ns", "moderation")

    def solve(self, setting: ModerationSetting) -> ModerationResult:
        options = setting.options()
        now: Moderation = moderation(options)
        curve = _curve(options.replace(**_unused(options)))
        wait, count = setting.interrupt_delay_ns, setting.max_packets
        # The limits are those of single packets that no poll finds.
        limits = options.moderation == "virtio" and options.closed and not options.masked and wait > 0 and count > 1
        light = np.array([light_limit(float(r), wait) for r in RATES]) if limits else None
        heavy = np.array([heavy_limit(float(r), count) for r in RATES]) if limits else None
        adaptive = options.moderation == "adaptive"
        run = moderation_run(options if adaptive else options.replace(run_packets=_STORY_PACKETS))
        chosen = float(run.chosen[run.settled :].mean()) if adaptive else now.longest_wait_ns
        return ModerationResult(now, curve, light, heavy, story(run), chosen)

    def sentence(self, setting: ModerationSetting, result: ModerationResult) -> str:
        o, now = result.now.options, result.now
        off = moderation(o.replace(moderation="off", masked_while_polling=False, train_packets=1))
        spared = say("moderation_lab.spared", share=show(1 - now.interrupts_per_s / off.interrupts_per_s, "%"))
        dim = say("moderation_lab.dim", wait=show(result.chosen_ns, "ns")) if o.moderation == "adaptive" else ""
        ignored = words("moderation_lab.ignored").get(o.moderation, "")
        train = "" if o.train_packets == 1 else say("moderation_lab.train", n=number(o.train_packets))
        return " ".join(part for part in (now.sentence(), spared, dim, train, ignored) if part)
