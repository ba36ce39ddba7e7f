"""Paths as data: seven between guest and wire, eight between guest and disk, and all that follows from their steps."""

from virtlab.paths.closed import Depths, Station, bounds, closed_network
from virtlab.paths.costs import COST_SETS, Costs
from virtlab.paths.in_flight import InFlight, two_of
from virtlab.paths.ladder import LADDER
from virtlab.paths.linerate import budget_cycles, line_rate
from virtlab.paths.options import TUNING, PathOptions
from virtlab.paths.path import Path
from virtlab.paths.products import products
from virtlab.paths.results import Capacity, Counts, CpuBill, Latency, Stage
from virtlab.paths.simulate import Load, Simulation
from virtlab.paths.steps import Event, Place, Server, Step
from virtlab.paths.storage import STORAGE
from virtlab.paths.storage_compare import PathsAtDepth, storage_paths
from virtlab.paths.storage_options import STORAGE_COST_SETS, StorageCosts, StorageOptions
from virtlab.paths.storage_path import StoragePath
from virtlab.paths.storage_results import DepthCurve, RequestCapacity, RequestCounts, RequestCpu, RequestLatency
from virtlab.paths.storage_simulate import ClosedRun, simulate_depth

__all__ = [
    "COST_SETS", "LADDER", "STORAGE", "STORAGE_COST_SETS", "TUNING", "Capacity", "ClosedRun", "Costs", "Counts",
    "CpuBill", "DepthCurve", "Depths", "Event", "InFlight", "Latency", "Load", "Path", "PathOptions", "PathsAtDepth",
    "Place", "RequestCapacity", "RequestCounts", "RequestCpu", "RequestLatency", "Server", "Simulation", "Stage",
    "Station", "Step", "StorageCosts", "StorageOptions", "StoragePath", "bounds", "budget_cycles", "closed_network",
    "line_rate", "products", "simulate_depth", "storage_paths", "two_of",
]  # fmt: skip
