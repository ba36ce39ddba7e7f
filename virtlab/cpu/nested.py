"""A guest in a guest: one exit of the inner one is several of the outer one, because only the lowest KVM sees exits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from virtlab.core.parameter import parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.cpu.cost_sets import ExitCost
from virtlab.evidence import FACTS

#: The exit of the inner guest, which the host reflects, and the VMRESUME (VMRUN) with which its hypervisor goes back.
REFLECTED_EXITS = 2


class NestedOptions(ExitCost):
    """One exit of an inner guest (L2) that its hypervisor (L1) handles, itself a guest."""

    l1_exits: int = parameter(FACTS["exit.nested.l1"], ge=0, le=100)


@dataclass(frozen=True, repr=False)
class NestedExit(Shown):
    """One exit from L2 as the host pays it. A lower bound: switching the whole state of a VM comes on top."""

    options: NestedOptions

    @property
    def exits(self) -> int:
        """Exits that the host sees: the reflected one, those of L1's handler, and L1's way back."""
        return REFLECTED_EXITS + self.options.l1_exits

    @property
    def exit_ns(self) -> float:
        """One exit of a guest that is not nested."""
        return self.options.ns("kernel")

    @property
    def total_ns(self) -> float:
        """One exit from L2 and back."""
        return self.exits * self.exit_ns

    def law(self) -> tuple[float, float]:
        """Conservation: each exit is paid once. Returns both sides."""
        return math.fsum(self.exit_ns for _ in range(self.exits)), self.total_ns

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        return say("cpu_exits.nested.sentence", exits=number(self.exits), time=show(self.total_ns, "ns"),
                   single=show(self.exit_ns, "ns"))  # fmt: skip

    def table(self) -> Table:
        counts = {"reflected": 1, "handler": self.options.l1_exits, "back": 1}
        rows = [(words(f"cpu_exits.nested.{key}"), number(n), show(n * self.exit_ns, "ns"))
                for key, n in counts.items()]  # fmt: skip
        return Table.of(words("cpu_exits.nested.header"), rows, self.sentence(), numeric=(1, 2))


def nested_exit(options: NestedOptions | None = None, /, **changes: Any) -> NestedExit:
    """What one exit of an inner guest costs at least. Options as in :class:`NestedOptions`. Raises ParameterError.

    ``l1_exits`` are accesses of L1's handler that exit in turn: 0 with VMCS shadowing or an enlightened VMCS, some ten
    without, because each VMREAD and VMWRITE of L1 is then an exit.
    """
    return NestedExit(NestedOptions.given(options, changes))
