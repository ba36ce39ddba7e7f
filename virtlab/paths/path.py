"""A path: one tuple of steps, and everything that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.paths.costs import COST_SETS, Costs
from virtlab.paths.options import PathOptions
from virtlab.paths.results import Capacity, Counts, CpuBill, Latency
from virtlab.paths.route import Route
from virtlab.paths.steps import Place, Step

if TYPE_CHECKING:
    from virtlab.paths.simulate import Simulation


@dataclass(frozen=True)
class Path(Route[PathOptions]):
    """One of the ways between a guest's application and the wire.

    ``dedicated_when`` lists the options under which a host core polls for this path alone; ``None`` means never.
    """

    id: str
    rung: int
    steps: tuple[Step, ...]
    dedicated_when: tuple[tuple[str, object], ...] | None = None

    @property
    def title(self) -> str:
        """The path's name as a reader sees it."""
        return str(words(f"path.{self.id}.title"))

    def __repr__(self) -> str:
        return f"<P{self.rung} {self.title}: {len(self.steps)} steps>"

    def active(self, options: PathOptions | None = None, /, **changes: Any) -> tuple[Step, ...]:
        """The steps that happen under the given options, in their order in time."""
        return tuple(self._active(options_of(options, changes)))

    def counts(self, options: PathOptions | None = None, /, **changes: Any) -> Counts:
        """Exits, switches, syscalls, copies, DMAs and interrupts per packet (dimensionless averages).

        Options as in :class:`PathOptions`, given as one object or by name. Raises ParameterError.
        """
        chosen = options_of(options, changes)
        return Counts(
            path=self.id,
            direction=chosen.direction,
            **{f"{event}_per_packet": value for event, value in self.events(chosen).items()},
            dedicated_cores=self._dedicated(chosen),
            qemu_in_datapath=any(s.place is Place.QEMU for s in self._active(chosen)),
        )

    def latency(
        self, options: PathOptions | None = None, /, *, costs: Costs | str = "qemu-2012", **changes: Any
    ) -> Latency:
        """The time from hand-over until the last packet of one batch is through, with nothing else in the way (ns).

        Each stage finishes the whole batch before the next begins, so this is an upper bound for a batch above 1; for
        a batch of 1 it is the sum of the steps. The batch is ``kick_batch`` (TX) or ``interrupt_batch`` (RX).
        """
        chosen, cost = options_of(options, changes), costs_of(costs)
        batch = chosen.kick_batch if chosen.direction == "tx" else chosen.interrupt_batch
        stages = self.stages(chosen, cost, batch)
        return Latency(self.id, chosen.direction, batch, stages, sum(s.ns for s in stages))

    def cpu(
        self, options: PathOptions | None = None, /, *, costs: Costs | str = "qemu-2012", **changes: Any
    ) -> CpuBill:
        """CPU time per packet (ns), host and guest apart. An exit is host work on the guest's core.

        A back end that sleeps is taken to do so after each kick (TX) or each interrupt's worth of packets (RX): an
        upper bound, since near full load it finds the next packet waiting.
        """
        chosen, cost = options_of(options, changes), costs_of(costs)
        guest, host, backend = self.cpu_ns(chosen, cost)
        return CpuBill(self.id, chosen.direction, guest, sum(host.values()), host, self._dedicated(chosen), backend)

    def capacity(
        self, options: PathOptions | None = None, /, *, costs: Costs | str = "qemu-2012", **changes: Any
    ) -> Capacity:
        """The packet rate at which the busiest server has no idle time left (packets/s), on one queue.

        A server without idle time never sleeps, so wake-ups are left out; kicks and interrupts keep their batches.
        """
        chosen, cost = options_of(options, changes), costs_of(costs)
        busy = self.busy_ns(chosen, cost)
        rates = {server: 1e9 / ns for server, ns in busy.items()}
        bottleneck = min(rates, key=lambda s: rates[s])
        return Capacity(self.id, chosen.direction, chosen.frame_bytes, rates[bottleneck], bottleneck, rates)

    def simulate(self, options: PathOptions | None = None, /, **changes: Any) -> Simulation:
        """Random arrivals through the path, with queues, batches and interrupts: :func:`.simulate.simulate`."""
        from virtlab.paths.simulate import simulate

        return simulate(self, options, **changes)

    def _dedicated(self, options: PathOptions) -> int:
        if self.dedicated_when is None:
            return 0
        return int(all(getattr(options, name) == wanted for name, wanted in self.dedicated_when))


def options_of(options: PathOptions | None, changes: dict[str, Any]) -> PathOptions:
    """``options`` with ``changes``, validated."""
    if options is not None and not isinstance(options, PathOptions):
        raise ParameterError(f"options must be a PathOptions, or options by name (kick_batch=8); you gave {options!r}.")
    return PathOptions.given(options, changes)


def costs_of(costs: Costs | str) -> Costs:
    """The costs themselves, or the set of that name."""
    if isinstance(costs, Costs):
        return costs
    if costs not in COST_SETS:
        raise ValueError(f"costs must be one of {', '.join(COST_SETS)}, or a Costs object; you gave {costs!r}.")
    return COST_SETS[costs]


def shared_by(step: Step, options: PathOptions) -> int:
    """The number of packets that share one occurrence of a step."""
    return options.batch(step.per)
