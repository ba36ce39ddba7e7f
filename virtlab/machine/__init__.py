"""The third witness: what this computer has, and what it can show. No model imports it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from virtlab.machine.presence import Found, Host, Presence, look

if TYPE_CHECKING:
    from virtlab.machine.measured import Facts, Measured, Quantity, recorded, recorded_pages
    from virtlab.machine.pages import measure_pages
    from virtlab.machine.probes import measure

# `virtlab doctor` must work where NumPy does not: only what measures needs it.
_WHERE = {
    **dict.fromkeys(("Facts", "Measured", "Quantity", "recorded", "recorded_pages"), "measured"),
    "measure": "probes", "measure_pages": "pages",
}  # fmt: skip

__all__ = [
    "Facts", "Found", "Host", "Measured", "Presence", "Quantity", "look", "measure", "measure_pages", "recorded",
    "recorded_pages",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"virtlab.machine.{_WHERE[name]}"), name)
    raise AttributeError(f"virtlab.machine has no '{name}'; it has {', '.join(__all__)}")
