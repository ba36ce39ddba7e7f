"""Seven programs whose time in nested walks was published (SagePTE): what the model says of them with other pages.

Their working sets are known, how often an instruction touches them is not. One published share, that with 4 KiB pages
on both sides, is used to infer it; all else that the model says of a program is its own.
"""

from __future__ import annotations

import functools
from typing import Any

from virtlab.evidence import FACTS
from virtlab.memory.slowdown import Slowdown, Workload, slowdown

#: As the artifact names them.
PROGRAMS = ("btree", "canneal", "graph500", "gups", "memcached", "redis", "xsbench")
_HALVINGS = 20  # of the factor that the intensity is known to


def program(name: str, **changes: Any) -> Slowdown:
    """What the model says of a program at its inferred intensity; ``changes`` as in :func:`slowdown`."""
    return slowdown(_workload(name, intensity(name)).replace(**changes))


@functools.cache
def intensity(name: str) -> float:
    """The accesses an instruction at which the model gives the published share with 4 KiB pages.

    The share grows with the intensity, so it is found by halving. Raises KeyError for an unknown program.
    """
    if name not in PROGRAMS:
        raise KeyError(f"there is no program '{name}'; there are {', '.join(PROGRAMS)}")
    published = FACTS[f"mem.sagepte.{name}.4k"].value
    spec = Workload.specs()["accesses_per_instruction"]
    low, high = float(spec.low or 0), float(spec.high or 1)
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        share = slowdown(_workload(name, middle)).virtual.walk_share
        low, high = (middle, high) if share < published else (low, middle)
    return low


def _workload(name: str, accesses_per_instruction: float) -> Workload:
    """Scattered accesses to all of the working set: the only thing that is known of them."""
    size = int(FACTS[f"mem.sagepte.{name}.set"].value * 1e9)
    return Workload(working_set_bytes=size, pattern="uniform", accesses_per_instruction=accesses_per_instruction)
