"""Real VM exits through /dev/kvm from pure Python: a few bytes of guest code, counted and timed.

``kvm.count("pio")`` counts, ``kvm.measure()`` measures, ``kvm.kind()`` says what stands behind /dev/kvm, and
``kvm.TinyGuest`` is one VM of two megabytes to play with. x86 and Linux; elsewhere each says so in one sentence.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtlab.machine.kvm.exits import Exit
    from virtlab.machine.kvm.experiments import count
    from virtlab.machine.kvm.guest import Stuck, TinyGuest
    from virtlab.machine.kvm.kinds import Kind, kind
    from virtlab.machine.kvm.measuring import measure
    from virtlab.machine.kvm.programs import PROGRAMS, Program
    from virtlab.machine.kvm.records import ExitCosts, on_one_axis, recorded, recorded_counts

# Each is loaded at first use: NumPy only by what measures.
_WHERE = {
    "Exit": "exits", "count": "experiments", "Stuck": "guest", "TinyGuest": "guest", "Kind": "kinds", "kind": "kinds",
    "measure": "measuring", "PROGRAMS": "programs", "Program": "programs", "ExitCosts": "records",
    "on_one_axis": "records", "recorded": "records", "recorded_counts": "records",
}  # fmt: skip

__all__ = [
    "PROGRAMS", "Exit", "ExitCosts", "Kind", "Program", "Stuck", "TinyGuest", "count", "kind", "measure", "on_one_axis",
    "recorded", "recorded_counts",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"virtlab.machine.kvm.{_WHERE[name]}"), name)
    raise AttributeError(f"virtlab.machine.kvm has no '{name}'; it has {', '.join(__all__)}")
