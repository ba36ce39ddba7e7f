"""A path: one tuple of steps, and everything that follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.evidence import FACTS
from virtlab.paths.costs import COST_SETS, Costs
from virtlab.paths.options import PathOptions
from virtlab.paths.results import Capacity, Counts, CpuBill, Latency, Stage
from virtlab.paths.steps import Event, Place, Server, Step

if TYPE_CHECKING:
    from virtlab.paths.simulate import Simulation

_ZERO_COPY_FROM_BYTES = FACTS["vhost.goodcopy"].value
_CPUS = (Server.VCPU, Server.HOST, Server.BACKEND)
# A posted write into a BAR is an instruction of the guest, whatever place it reaches.
_GUEST_CODE = (Place.GUEST, Place.PCIE)


@dataclass(frozen=True)
class Path:
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
        total = dict.fromkeys(Event, 0.0)
        for step in self._active(chosen):
            for event, times in step.causes.items():
                total[event] += times / shared_by(step, chosen)
        return Counts(
            path=self.id,
            direction=chosen.direction,
            **{f"{event}_per_packet": value for event, value in total.items()},
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
        stages = []
        for step in self._active(chosen):
            if not step.aside:
                work = self.step_busy_ns(step, chosen, cost) * (batch if step.per == "packet" else 1)
                stages.append(Stage(step.key, step.place, work + sum(cost.ns(d) for d in step.delay)))
        return Latency(self.id, chosen.direction, batch, tuple(stages), sum(s.ns for s in stages))

    def cpu(
        self, options: PathOptions | None = None, /, *, costs: Costs | str = "qemu-2012", **changes: Any
    ) -> CpuBill:
        """CPU time per packet (ns), host and guest apart. An exit is host work on the guest's core.

        A back end that sleeps is taken to do so after each kick (TX) or each interrupt's worth of packets (RX): an
        upper bound, since near full load it finds the next packet waiting.
        """
        chosen, cost = options_of(options, changes), costs_of(costs)
        host = dict.fromkeys((p for p in Place if p not in _GUEST_CODE), 0.0)
        guest = backend = 0.0
        for step in self._active(chosen):
            if step.server in _CPUS:
                ns = self.step_busy_ns(step, chosen, cost) / shared_by(step, chosen)
                if step.place in _GUEST_CODE:
                    guest += ns
                else:
                    host[step.place] += ns
                    backend += ns if step.server is Server.BACKEND else 0.0
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

    def busy_ns(self, options: PathOptions, costs: Costs) -> dict[Server, float]:
        """The time in ns per packet that each server needs at full load; servers with nothing to do are left out."""
        busy: dict[Server, float] = {}
        for step in self._active(options):
            ns = self.step_busy_ns(step, options, costs) / shared_by(step, options)
            if ns and not step.idle:
                busy[step.server] = busy.get(step.server, 0.0) + ns
        return busy

    @staticmethod
    def step_busy_ns(step: Step, options: PathOptions, costs: Costs) -> float:
        """The time in ns that one occurrence of a step keeps its server busy."""
        return sum(costs.ns(name) for name in step.cost) + costs.bytes_ns(step.per_byte, options.frame_bytes)

    def simulate(self, options: PathOptions | None = None, /, **changes: Any) -> Simulation:
        """Random arrivals through the path, with queues, batches and interrupts: :func:`.simulate.simulate`."""
        from virtlab.paths.simulate import simulate

        return simulate(self, options, **changes)

    def _active(self, options: PathOptions) -> Iterator[Step]:
        values = {name: getattr(options, name) for name in type(options).model_fields}
        values["zero_copy"] = options.zero_copy and options.frame_bytes >= _ZERO_COPY_FROM_BYTES
        for step in self.steps:
            if step.direction != "both" and step.direction != options.direction:
                continue
            if step.per == "completion" and not options.completion_interrupts:
                continue
            if all(values[name] == wanted for name, wanted in step.when):
                yield step

    def _dedicated(self, options: PathOptions) -> int:
        if self.dedicated_when is None:
            return 0
        return int(all(getattr(options, name) == wanted for name, wanted in self.dedicated_when))


def options_of(options: PathOptions | None, changes: dict[str, Any]) -> PathOptions:
    """``options`` with ``changes``, validated."""
    if options is None:
        return PathOptions(**changes)
    if not isinstance(options, PathOptions):
        raise ParameterError(f"options must be a PathOptions, or options by name (kick_batch=8); you gave {options!r}.")
    return options.replace(**changes) if changes else options


def costs_of(costs: Costs | str) -> Costs:
    """The costs themselves, or the set of that name."""
    if isinstance(costs, Costs):
        return costs
    if costs not in COST_SETS:
        raise ValueError(f"costs must be one of {', '.join(COST_SETS)}, or a Costs object; you gave {costs!r}.")
    return COST_SETS[costs]


def shared_by(step: Step, options: PathOptions) -> int:
    """The number of packets that share one occurrence of a step."""
    if step.per == "packet":
        return 1
    own = getattr(options, f"{step.per}_batch")
    follows = type(options).specs()[f"{step.per}_batch"].follows if own is None else ""
    return int(getattr(options, follows) if own is None else own)
