"""What every kind of path shares: which steps happen under its options, how long each takes, what all of them cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from virtlab.core.parameter import Parameters
from virtlab.paths.costs import Costs
from virtlab.paths.results import Stage
from virtlab.paths.steps import Event, Per, Place, Server, Step

#: A posted write into a BAR is an instruction of the guest, whatever place it reaches.
GUEST_CODE = (Place.GUEST, Place.PCIE)
_CPUS = (Server.VCPU, Server.HOST, Server.BACKEND, Server.POOL)
_HARDWARE = (Place.CARD, Place.WIRE)


class Driven(Parameters):
    """Options of a path: what a unit of work is, what shares a step, and which steps happen at all."""

    @property
    def unit_bytes(self) -> int:
        """Bytes of one unit of work: a frame, or a request."""
        raise NotImplementedError

    @property
    def way(self) -> str:
        """The direction that a step may be limited to."""
        raise NotImplementedError

    def batch(self, per: Per) -> int:
        """How many units of work share one occurrence of a step."""
        raise NotImplementedError

    def value(self, name: str) -> object:
        """The option that a step asks for."""
        return getattr(self, name)

    def allows(self, step: Step) -> bool:
        """Whether the step happens under these options."""
        if step.direction not in ("both", self.way):
            return False
        return all(self.value(name) == wanted for name, wanted in step.when)


O = TypeVar("O", bound=Driven)  # noqa: E741


class Route(Generic[O]):
    """Steps and what follows from them; a kind of path adds its options and its results."""

    id: str
    steps: tuple[Step, ...]

    def _active(self, options: O) -> Iterator[Step]:
        return (step for step in self.steps if options.allows(step))

    def events(self, options: O) -> dict[Event, float]:
        """How often each event happens for one unit of work, on the average."""
        total = dict.fromkeys(Event, 0.0)
        for step in self._active(options):
            for event, times in step.causes.items():
                total[event] += times / options.batch(step.per)
        return total

    def stages(self, options: O, costs: Costs, batch: int) -> tuple[Stage, ...]:
        """The time in ns of each step that holds up a batch, with nothing else in the way."""
        return tuple(
            Stage(step.key, step.place, self.step_busy_ns(step, options, costs)
                  * (batch if step.per in ("packet", "request") else 1) + delay_ns(step, costs))
            for step in self._active(options) if not step.aside
        )  # fmt: skip

    def cpu_ns(self, options: O, costs: Costs) -> tuple[float, dict[Place, float], float]:
        """CPU time in ns for one unit of work: of the guest, of the host by place, and of the back end in that."""
        host = dict.fromkeys((p for p in Place if p not in GUEST_CODE), 0.0)
        guest = backend = 0.0
        for step in self._active(options):
            if step.server in _CPUS and step.place not in _HARDWARE:
                ns = self.step_busy_ns(step, options, costs) / options.batch(step.per)
                if step.place in GUEST_CODE:
                    guest += ns
                else:
                    host[step.place] += ns
                    backend += ns if step.server is Server.BACKEND else 0.0
        return guest, host, backend

    def busy_ns(self, options: O, costs: Costs) -> dict[Server, float]:
        """The time in ns that a unit of work needs of each server at full load; idle servers are left out.

        A step that blocks holds its server while it waits.
        """
        busy: dict[Server, float] = {}
        for step in self._active(options):
            ns = self.step_busy_ns(step, options, costs) / options.batch(step.per)
            if step.blocks:
                ns += delay_ns(step, costs)
            if ns and not step.idle:
                busy[step.server] = busy.get(step.server, 0.0) + ns
        return busy

    @staticmethod
    def step_busy_ns(step: Step, options: O, costs: Costs) -> float:
        """The time in ns that one occurrence of a step keeps its server busy."""
        return sum(costs.ns(name) for name in step.cost) + costs.bytes_ns(step.per_byte, options.unit_bytes)


def delay_ns(step: Step, costs: Costs) -> float:
    """The time in ns that one occurrence of a step only takes."""
    return sum(costs.ns(name) for name in step.delay)
