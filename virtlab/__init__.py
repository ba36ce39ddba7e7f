"""virtlab: where QEMU, KVM and VirtIO lose performance, and how hardware wins it back.

The names below are imported at first use, so that ``import virtlab`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtlab import cloud as cloud
    from virtlab import cpu as cpu
    from virtlab import evidence as evidence
    from virtlab import labs as labs
    from virtlab import lessons as lessons
    from virtlab import machine as machine
    from virtlab import memory as memory
    from virtlab import offload as offload
    from virtlab import paths as paths
    from virtlab import virtio as virtio
    from virtlab.sweep import sweep as sweep

__version__ = "0.1.0"
__all__ = [
    "__version__", "cloud", "cpu", "evidence", "labs", "lessons", "machine", "memory", "offload", "paths", "sweep",
    "virtio",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"virtlab.{name}")
    raise AttributeError(f"virtlab has no '{name}'; it has {', '.join(__all__[1:])}")


def __dir__() -> list[str]:
    return list(__all__)
