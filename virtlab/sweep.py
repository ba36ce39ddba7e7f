"""Grids of any model: one row for each combination of parameters, in parallel where that helps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.table import Table
from virtlab.core.units import number

#: More rows than anybody looks at, and less than fills the memory.
MOST_ROWS = 1_000_000


@dataclass(frozen=True, repr=False)
class Sweep:
    """The rows of a grid: ``settings[i]`` gave ``results[i]``. The last parameter varies fastest."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    settings: tuple[Mapping[str, Any], ...]
    results: tuple[Any, ...]

    def values(self, field: str) -> NDArray[np.float64]:
        """One field of every result (an attribute; dots go deeper), float[shape of the grid]."""
        return np.array([_field(r, field) for r in self.results], float).reshape(self.shape)

    def table(self, *fields: str) -> Table:
        """One row a setting: its parameters, then the named fields of its result."""
        rows = [
            [*(str(s[n]) for n in self.names), *(number(_field(r, f), 4) for f in fields)]
            for s, r in zip(self.settings, self.results, strict=True)
        ]
        first = len(self.names)
        return Table.of((*self.names, *fields), rows, numeric=range(first, first + len(fields)))

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        return f"<Sweep of {len(self)} settings over {', '.join(self.names)}>"


def sweep(model: Callable[..., Any], grid: Mapping[str, Sequence[Any]], *, jobs: int = 1, **fixed: Any) -> Sweep:
    """Calls ``model(**setting, **fixed)`` for every combination of the grid's values.

    ``jobs`` threads share the work (joblib; -1: one a core), which helps simulations, whose kernels let go of Python's
    lock; inside ``joblib.parallel_config`` the same call runs on whatever that names, a Dask cluster for example. The
    results do not depend on ``jobs``. Raises ValueError for an empty or oversized grid, and whatever the model raises.

    >>> from virtlab import paths
    >>> rows = sweep(paths.LADDER["vhost-net"].counts, {"kick_batch": [1, 8, 64]}, completion_interrupts=False)
    >>> rows.values("vcpu_exits_per_packet").tolist()
    [1.0, 0.125, 0.015625]
    """
    for name, values in grid.items():
        if isinstance(values, str) or not len(values):
            raise ValueError(f"grid: '{name}' must be a list of one value or more; you gave {values!r}.")
    names = tuple(grid)
    shape = tuple(len(grid[n]) for n in names)
    rows = int(np.prod(shape, dtype=np.float64))
    if not names or rows > MOST_ROWS:
        raise ValueError(f"grid must have 1 to {MOST_ROWS:,} settings; you gave {rows if names else 0:,}.")
    settings = tuple(dict(zip(names, row, strict=True)) for row in itertools.product(*grid.values()))
    if jobs == 1:
        return Sweep(names, shape, settings, tuple(model(**s, **fixed) for s in settings))
    from joblib import Parallel, delayed  # 0.2 s, so only where it is used

    results = Parallel(n_jobs=jobs, prefer="threads")(delayed(model)(**s, **fixed) for s in settings)
    return Sweep(names, shape, settings, tuple(results))


def _field(result: Any, field: str) -> float:
    for part in field.split("."):
        result = getattr(result, part)
    return float(result)
