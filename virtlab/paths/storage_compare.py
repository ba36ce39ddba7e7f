"""All storage paths side by side: alone, with requests in flight, what limits each, what it takes of the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.paths.steps import Server
from virtlab.paths.storage import STORAGE
from virtlab.paths.storage_options import StorageCosts, storage_costs_of, storage_options_of


@dataclass(frozen=True)
class PathAtDepth:
    """One path: alone in ns, IOPS at the depth, its limit and who sets it, host CPU a request in ns, polling cores."""

    path: str
    alone_ns: float
    iops: float
    limit_iops: float
    bottleneck: Server
    host_ns: float
    polling: int


@dataclass(frozen=True, repr=False)
class PathsAtDepth(Shown):
    """Every storage path under the same options."""

    operation: str
    depth: int
    paths: tuple[PathAtDepth, ...]

    def table(self) -> Table:
        rows = [
            (words(f"storage_path.{p.path}.title"), show(p.alone_ns, "ns"), show(p.iops, "IOPS"),
             show(p.limit_iops, "IOPS"), words(f"storage.server.{p.bottleneck}"), show(p.host_ns, "ns"),
             number(p.polling))
            for p in self.paths
        ]  # fmt: skip
        head = [text.format(depth=self.depth) for text in words("storage.compare_header")]
        caption = say("storage.compare", operation=words(f"storage.{self.operation}"))
        return Table.of(head, rows, caption, numeric=[1, 2, 3, 5, 6])


def storage_paths(*, depth: int = 32, costs: StorageCosts | str = "qemu-2012", **changes: Any) -> PathsAtDepth:
    """Every storage path with ``depth`` requests in flight; options as in :class:`StorageOptions`.

    The host's CPU is that of a request alone, wake-ups included: an upper bound under load. Raises ParameterError.
    """
    options, cost = storage_options_of(None, changes), storage_costs_of(costs)
    found = []
    for path in STORAGE.values():
        curve, cpu = path.depths(options, costs=cost, deepest=depth), path.cpu(options, costs=cost)
        found.append(PathAtDepth(path.id, path.latency(options, costs=cost).total_ns, curve.at(depth)[0],
                                 curve.limit_iops, curve.bottleneck, cpu.host_ns_per_request,
                                 cpu.dedicated_cores))  # fmt: skip
    return PathsAtDepth(options.operation, depth, tuple(found))
