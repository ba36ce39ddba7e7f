"""Interrupt moderation: how many interrupts packets cause, by how they are held back, and what that costs in latency.

Four schemes. *off*: the device interrupts at each packet. *virtio*: notification coalescing (coalescing.py). *napi*:
the guest masks the interrupt until its poll has found the ring empty, and the device keeps quiet for a static delay
after that, as the ENA driver asks it to. *adaptive*: coalescing whose wait Linux's DIM sets (dim.py), under NAPI.

The added delay of a packet is the time from its arrival to the interrupt that tells of it, and 0 where a poll finds it:
what moderation adds, and not the time in which the guest is busy. When a guest masks, coalescing counts packets that it
has not taken yet, so that a poll clears the count. The guest takes one packet after the other; the application's work,
losses and the ring's end are left out.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu import interrupts
from virtlab.cpu.interrupts import How, InterruptOptions, InterruptSource
from virtlab.evidence import FACTS
from virtlab.offload.coalescing import Hold, hold

Scheme = Literal["off", "virtio", "napi", "adaptive"]
BUDGET = int(FACTS["napi.budget"].value)


class ModerationOptions(Parameters):
    """Packets of one queue, the scheme, and what an interrupt costs.

    ``interrupt_delay_ns`` is VirtIO's max_usecs; with *napi* it is the static delay after the guest has unmasked. DIM
    chooses its own, and its own count. ``guest_stack_ns`` is the guest's time for a packet.
    """

    rate_packets_per_s: float = parameter(FACTS["moderation.rate"], ge=100, le=10_000_000, log=True)
    max_packets: int = parameter(FACTS["moderation.packets"], ge=0, le=1_024)
    interrupt_delay_ns: int = parameter(FACTS["load.interrupt_delay"], ge=0, le=1_000_000)
    moderation: Scheme = parameter(FACTS["moderation.scheme"], default="virtio")
    masked_while_polling: bool = parameter(FACTS["moderation.masked"], default=False)
    train_packets: int = parameter(FACTS["moderation.train"], ge=1, le=64)
    train_gap_ns: int = parameter(FACTS["moderation.train.gap"], ge=0, le=100_000)
    interrupts: How = parameter(FACTS["lab.interrupts"], default="apicv")
    interrupt_source: InterruptSource = parameter(FACTS["irq.source"], default="irqfd")
    guest_irq_ns: float = parameter(FACTS["guest.irq"], ge=0, le=50_000)
    guest_stack_ns: float = parameter(FACTS["guest.stack"], ge=50, le=50_000)
    exit_kernel_cycles: float = parameter(FACTS["exit.m01.pio.ioeventfd"], ge=300, le=20_000)
    clock_ghz: float = parameter(FACTS["cpu.clock"], ge=1, le=6)
    run_packets: int = parameter(FACTS["moderation.run"], ge=64, le=1_000_000, log=True)
    moderation_seed: int = parameter(FACTS["moderation.seed"], ge=0, le=2**31 - 1)

    @property
    def masked(self) -> bool:
        """Whether interrupts are masked while the guest polls."""
        return self.masked_while_polling or self.moderation in ("napi", "adaptive")

    @property
    def count(self) -> int:
        """After how many packets the device notifies."""
        return self.max_packets if self.moderation == "virtio" else 0

    @property
    def hold_ns(self) -> int:
        """How long the device keeps quiet after the guest has unmasked."""
        return self.interrupt_delay_ns if self.moderation == "napi" else 0

    @functools.cached_property
    def exits_per_interrupt(self) -> int:
        """VM exits of a running vCPU for one interrupt (cpu.interrupts)."""
        how = InterruptOptions(interrupts=self.interrupts, interrupt_source=self.interrupt_source)
        return interrupts(how).by_state["guest"].vcpu_exits

    @property
    def interrupt_ns(self) -> float:
        """What one interrupt takes of the vCPU's time: its exits, the handler, and the begin of the poll."""
        return self.guest_irq_ns + self.exits_per_interrupt * self.exit_kernel_cycles / self.clock_ghz

    @property
    def load(self) -> float:
        """The share of a vCPU that the packets themselves take."""
        return self.rate_packets_per_s * self.guest_stack_ns / 1e9

    @property
    def closed(self) -> bool:
        """Whether there is a closed form: single packets at random times, and nothing that adapts."""
        return self.train_packets == 1 and self.moderation != "adaptive"


@dataclass(frozen=True, repr=False)
class Moderation(Shown):
    """One scheme at one rate. Of a whole cycle from interrupt to interrupt: ``quiet_ns`` in which nothing waits, then
    ``held_ns`` in which the first packet waits, then ``polled_ns`` in which the guest polls with interrupts masked.

    ``interrupts_per_s`` is 0, and the cycle endless, when packets come faster than a masked guest takes them.
    ``longest_wait_ns`` is the scheme's own bound for the added delay of any packet.
    """

    options: ModerationOptions
    interrupts_per_s: float
    packets_per_interrupt: float
    first_delay_ns: float
    mean_delay_ns: float
    p99_delay_ns: float
    longest_wait_ns: float
    quiet_ns: float
    held_ns: float
    polled_ns: float
    simulated: bool = False

    @property
    def exits_per_s(self) -> float:
        """VM exits a second that the interrupts cause."""
        return self.interrupts_per_s * self.options.exits_per_interrupt

    @property
    def interrupt_share(self) -> float:
        """The share of a vCPU that goes into interrupts: above 1 it cannot be."""
        return self.interrupts_per_s * self.options.interrupt_ns / 1e9

    @property
    def endless(self) -> bool:
        """Whether the guest polls for ever."""
        return self.interrupts_per_s == 0

    def law(self) -> tuple[float, float]:
        """Conservation: packets told of a second are those that come. Returns both sides."""
        if self.endless:
            return self.options.rate_packets_per_s, self.options.rate_packets_per_s
        return self.interrupts_per_s * self.packets_per_interrupt, self.options.rate_packets_per_s

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o = self.options
        key = "endless" if self.endless else "sentence"
        return say(f"moderation.{key}", scheme=ModerationOptions.specs()["moderation"].show(o.moderation),
                   rate=show(o.rate_packets_per_s, "packets/s"), irqs=show(self.interrupts_per_s, "1/s"),
                   packets=number(self.packets_per_interrupt), mean=show(self.mean_delay_ns, "ns"),
                   p99=show(self.p99_delay_ns, "ns"), share=show(self.interrupt_share, "%"),
                   exits=show(self.exits_per_s, "1/s"),
                   how=words("moderation.simulated" if self.simulated else "moderation.closed"))  # fmt: skip

    def table(self) -> Table:
        values = {
            "irqs": show(self.interrupts_per_s, "1/s", 5), "packets": number(self.packets_per_interrupt),
            "first": show(self.first_delay_ns, "ns"), "mean": show(self.mean_delay_ns, "ns"),
            "p99": show(self.p99_delay_ns, "ns"), "longest": show(self.longest_wait_ns, "ns"),
            "exits": show(self.exits_per_s, "1/s"), "share": show(self.interrupt_share, "%"),
        }  # fmt: skip
        rows = [(words("moderation.row")[key], text) for key, text in values.items()]
        return Table.of(words("moderation.header"), rows, self.sentence(), numeric=(1,))


def moderation(options: ModerationOptions | None = None, /, **changes: Any) -> Moderation:
    """Interrupts a second and added delay. Options as in :class:`ModerationOptions`, as one object or by name.

    In closed form for single packets at random times; trains and the adaptive scheme are simulated (moderation_run).
    Golden, virtio with K = 15 and T = 10 µs: 990, 50,000, 92,481 and 333,333 interrupts/s at 1 k, 100 k, 1 M and 5 M
    packets/s. Raises ParameterError.
    """
    o = ModerationOptions.given(options, changes)
    if not o.closed:
        from virtlab.offload.moderation_run import moderation_run

        return moderation_run(o).summary()
    return _napi(o) if o.moderation == "napi" else _virtio(o)


def _virtio(o: ModerationOptions) -> Moderation:
    """Coalescing, or none (which is a count of 0)."""
    held = hold(o.rate_packets_per_s, o.count, o.interrupt_delay_ns)
    bound = 0.0 if held.each else float(o.interrupt_delay_ns)
    return _cycle(o, held.held, held.first_ns, held.sum_ns, bound, held)


def _napi(o: ModerationOptions) -> Moderation:
    """After the unmask the device keeps quiet for the delay; then the first packet interrupts, or those that came."""
    rate, delay = o.rate_packets_per_s / 1e9, float(o.hold_ns)
    none = math.exp(-rate * delay)  # P(no packet in the delay)
    found = rate * delay + none
    first = delay + math.expm1(-rate * delay) / rate
    return _cycle(o, found, first, rate * delay * delay / 2, delay, None)


def _cycle(
    o: ModerationOptions, found: float, first_ns: float, sum_ns: float, longest_ns: float, held: Hold | None
) -> Moderation:
    """Of a cycle with ``found`` packets at its interrupt: what a masked guest polls follows from them."""
    rate = o.rate_packets_per_s / 1e9
    if o.masked and o.load >= 1:
        return Moderation(o, 0.0, math.inf, 0.0, 0.0, 0.0, longest_ns, 0.0, 0.0, math.inf)
    polled_ns = (o.interrupt_ns + o.guest_stack_ns * found) / (1 - o.load) if o.masked else 0.0
    # Of coalescing: 1/rate until a packet comes, then its wait. After a static delay the wait may begin at once.
    quiet_ns = 1 / rate
    cycle_ns = quiet_ns + first_ns + polled_ns
    packets = rate * cycle_ns
    if held is not None:
        p99 = held.quantile_ns(0.99, packets)
    else:
        p99 = max(0.0, longest_ns - 0.01 * cycle_ns)
    return Moderation(o, 1e9 / cycle_ns, packets, first_ns, sum_ns / packets, p99, longest_ns, quiet_ns, first_ns,
                      polled_ns)  # fmt: skip


def compare_moderation(options: ModerationOptions | None = None, /, **changes: Any) -> Table:
    """All four schemes on the same packets, one row each. Raises ParameterError."""
    o = ModerationOptions.given(options, changes)
    names: tuple[Scheme, ...] = ("off", "virtio", "napi", "adaptive")
    rows = []
    for name in names:
        m = moderation(o.replace(moderation=name))
        rows.append((ModerationOptions.specs()["moderation"].show(name), show(m.interrupts_per_s, "1/s"),
                     number(m.packets_per_interrupt), show(m.mean_delay_ns, "ns"), show(m.p99_delay_ns, "ns"),
                     show(m.interrupt_share, "%")))  # fmt: skip
    caption = say("moderation.compare", rate=show(o.rate_packets_per_s, "packets/s"))
    return Table.of(words("moderation.columns"), rows, caption, numeric=range(1, 6))


