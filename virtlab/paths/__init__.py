"""The I/O ladder: seven paths as data, and the counts, latency, CPU, capacity and queues that follow from it."""

from virtlab.paths.costs import COST_SETS, Costs
from virtlab.paths.ladder import LADDER
from virtlab.paths.linerate import budget_cycles, line_rate
from virtlab.paths.options import TUNING, PathOptions
from virtlab.paths.path import Path
from virtlab.paths.results import Capacity, Counts, CpuBill, Latency, Stage
from virtlab.paths.simulate import Load, Simulation
from virtlab.paths.steps import Event, Place, Server, Step

__all__ = [
    "COST_SETS", "LADDER", "TUNING", "Capacity", "Costs", "Counts", "CpuBill", "Event", "Latency", "Load", "Path",
    "PathOptions", "Place", "Server", "Simulation", "Stage", "Step", "budget_cycles", "line_rate",
]  # fmt: skip
