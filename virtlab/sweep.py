"""Grids of any model: one row for each combination of parameters, on the threads of this machine or on a cluster."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.core.table import Table
from virtlab.core.units import number

#: More rows than anybody looks at, and less than fills the memory.
MOST_ROWS = 1_000_000
#: A bar that comes and goes at once only distracts.
_BAR_AFTER_S = 0.5


@dataclass(frozen=True, repr=False)
class Sweep:
    """The rows of a grid: ``settings[i]`` gave ``results[i]``. The last parameter varies fastest.

    ``axes`` has the values of each parameter. A field is an attribute of the results, dots go deeper, and "result" is
    a result itself where the model returns a number. Where no field is named, all numbers of the results are meant.
    """

    axes: Mapping[str, tuple[Any, ...]]
    settings: tuple[Mapping[str, Any], ...]
    results: tuple[Any, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, the slowest first."""
        return tuple(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each parameter has."""
        return tuple(len(values) for values in self.axes.values())

    def values(self, field: str = "result") -> NDArray[np.float64]:
        """One field of every result, float[shape of the grid]."""
        return np.array([_field(r, field) for r in self.results], float).reshape(self.shape)

    def at(self, **labels: Any) -> Any:
        """The part of the grid where parameters have these values; the result itself where that leaves one setting.

        Raises LookupError for a parameter or a value that the grid does not have.
        """
        where = np.arange(len(self)).reshape(self.shape)
        for name, label in labels.items():
            if name not in self.axes:
                raise LookupError(f"the grid has no '{name}'; it has {', '.join(self.names)}.")
            if label not in self.axes[name]:
                there = ", ".join(str(value) for value in self.axes[name][:20])
                raise LookupError(f"the grid has no {name}={label!r}; it has {there}.")
            axis = self.names.index(name)
            where = where.take([self.axes[name].index(label)], axis)
        kept = {name: values for name, values in self.axes.items() if name not in labels}
        if not kept:
            return self.results[int(where.item())]
        rows = where.ravel().tolist()
        return Sweep(kept, tuple(self.settings[i] for i in rows), tuple(self.results[i] for i in rows))

    def records(self, *fields: str) -> list[dict[str, Any]]:
        """One dict a setting: its parameters, then the fields of its result."""
        names = self._fields(fields)
        return [
            {name: _python(value) for name, value in s.items()} | {f: _field(r, f) for f in names}
            for s, r in zip(self.settings, self.results, strict=True)
        ]

    def array(self, *fields: str) -> NDArray[Any]:
        """The records as a NumPy array with named columns, one element a setting: ``array()["p99_ns"]``."""
        records = self.records(*fields)
        columns = {name: np.array([record[name] for record in records]) for name in records[0]}
        rows = np.empty(len(records), [(name, column.dtype) for name, column in columns.items()])
        for name, column in columns.items():
            rows[name] = column
        return rows

    def csv(self, *fields: str) -> str:
        """The records as CSV with a line of headers, every number with all of its digits."""
        records = self.records(*fields)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue()

    def table(self, *fields: str) -> Table:
        """One row a setting: its parameters, then the fields of its result."""
        names = self._fields(fields)
        rows = [
            [*(str(s[n]) for n in self.names), *(number(_field(r, f), 4) for f in names)]
            for s, r in zip(self.settings, self.results, strict=True)
        ]
        first = len(self.names)
        return Table.of((*self.names, *names), rows, numeric=range(first, first + len(names)))

    def _fields(self, named: tuple[str, ...]) -> tuple[str, ...]:
        one = self.results[0]
        if named or isinstance(one, int | float | np.number):
            return named or ("result",)
        has = [f.name for f in dataclasses.fields(one)] if dataclasses.is_dataclass(one) else []
        found = tuple(name for name in has if isinstance(getattr(one, name), int | float | np.number))
        if not found:
            raise ValueError(f"name a field: a {type(one).__name__} has no numbers of its own.")
        return found

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        return f"<Sweep of {len(self)} settings over {', '.join(self.names)}>"


def sweep(
    model: Callable[..., Any],
    grid: Mapping[str, Sequence[Any]],
    *,
    jobs: int | None = None,
    seeds: int | None = None,
    progress: bool | None = None,
    **fixed: Any,
) -> Sweep:
    """Calls ``model(**setting, **fixed)`` for every combination of the grid's values.

    ``jobs`` threads share the work (joblib; 1: no threads; -1: one a core), which helps simulations, whose kernels let
    go of Python's lock. Without ``jobs``, the same call inside ``joblib.parallel_config`` runs on whatever that names:
    ``with joblib.parallel_config("dask"): sweep(...)`` on the workers of a Dask cluster, which have virtlab as well
    (extra ``cluster``). Settings travel in batches that are sized by their measured time. The results depend on none
    of this.

    ``seeds`` gives each row a ``seed`` of its own, which follows from ``seeds`` and the row's place alone and is kept
    in its setting. A ``seed`` that is simply passed on makes all rows draw the same numbers, which is what a comparison
    wants. ``progress`` shows a bar, or not; by default only a terminal gets one, never a notebook that is to be stored.

    Raises ValueError for an empty or oversized grid, and whatever the model raises, with a note of the setting.

    >>> from virtlab import paths
    >>> rows = sweep(paths.LADDER["vhost-net"].counts, {"kick_batch": [1, 8, 64]}, completion_interrupts=False)
    >>> rows.values("vcpu_exits_per_packet").tolist()
    [1.0, 0.125, 0.015625]
    >>> rows.at(kick_batch=8).vcpu_exits_per_packet
    0.125
    """
    axes = _axes(grid, fixed, seeds)
    settings = tuple(dict(zip(axes, row, strict=True)) for row in itertools.product(*axes.values()))
    if seeds is not None:
        for i, setting in enumerate(settings):
            setting["seed"] = _seed(seeds, i)
    results = _calls(functools.partial(_call, model, fixed), settings, jobs)
    if sys.stderr.isatty() if progress is None else progress:
        from tqdm.auto import tqdm

        results = iter(tqdm(results, total=len(settings), leave=False, delay=0 if progress else _BAR_AFTER_S))
    return Sweep(axes, settings, tuple(results))


def _axes(grid: Mapping[str, Sequence[Any]], fixed: Mapping[str, Any], seeds: int | None) -> dict[str, tuple[Any, ...]]:
    for name, values in grid.items():
        if isinstance(values, str) or not hasattr(values, "__len__") or not len(values):
            raise ValueError(f"grid: '{name}' must be a list of one value or more; you gave {values!r}.")
        if name in fixed:
            raise ValueError(f"'{name}' is in the grid and fixed at {fixed[name]!r}; it can be one of them.")
    if seeds is not None and ("seed" in grid or "seed" in fixed):
        raise ValueError("seed is given, and seeds would draw another for each row; leave one of them out.")
    rows = int(np.prod([len(values) for values in grid.values()], dtype=np.float64))
    if not grid or rows > MOST_ROWS:
        raise ValueError(f"grid must have 1 to {MOST_ROWS:,} settings; you gave {rows if grid else 0:,}.")
    return {name: tuple(_python(value) for value in values) for name, values in grid.items()}


def _seed(seeds: int, row: int) -> int:
    """The seed of one row: 53 bits, which a float holds as well, of what ``SeedSequence(seeds).spawn`` gives it."""
    return int(np.random.SeedSequence(seeds, spawn_key=(row,)).generate_state(1, np.uint64)[0] >> np.uint64(11))


def _calls(
    call: Callable[[Mapping[str, Any]], Any], settings: Sequence[Mapping[str, Any]], jobs: int | None
) -> Iterator[Any]:
    """The results in the order of the settings, each as soon as it is there."""
    if jobs == 1 or (jobs is None and "joblib" not in sys.modules):  # 0.2 s, and nobody has configured it
        return map(call, settings)
    from joblib import Parallel, delayed
    from joblib.parallel import ThreadingBackend, get_active_backend

    backend, _ = get_active_backend(prefer="threads")
    parallel = Parallel(
        n_jobs=jobs,
        backend=_batching_threads()() if type(backend) is ThreadingBackend else None,
        return_as="generator" if backend.supports_return_generator else "list",
    )
    return iter(parallel(delayed(call)(setting) for setting in settings))


@functools.cache
def _batching_threads() -> type[Any]:
    """joblib sizes the batches of processes and clusters by their time; its threads take one setting at a time.

    That costs 80 µs a setting, which is more than a closed form takes.
    """
    from joblib.parallel import AutoBatchingMixin, ThreadingBackend

    return type("BatchingThreads", (AutoBatchingMixin, ThreadingBackend), {})


def _call(model: Callable[..., Any], fixed: Mapping[str, Any], setting: Mapping[str, Any]) -> Any:
    try:
        return model(**setting, **fixed)
    except Exception as error:
        error.add_note("The setting was " + ", ".join(f"{name}={value!r}" for name, value in setting.items()) + ".")
        raise


def _python(value: Any) -> Any:
    """A NumPy number as Python's own, so that it is found, printed and written as one."""
    return value.item() if isinstance(value, np.generic) else value


def _field(result: Any, field: str) -> float:
    if field != "result" or hasattr(result, "result"):
        for part in field.split("."):
            result = getattr(result, part)
    return float(result)


class _Room(ModuleType):
    """A module that can be called, so that ``virtlab.sweep(...)`` works beside ``from virtlab.sweep import sweep``."""

    __call__ = staticmethod(sweep)


sys.modules[__name__].__class__ = _Room
