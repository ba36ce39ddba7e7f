"""Memory virtualization: the two-dimensional walk, TLBs and huge pages, dirty pages and moving a VM."""

from virtlab.memory import traces
from virtlab.memory.cpus import CPUS, Cpu
from virtlab.memory.dirty import DirtyLog, dirty_logging, unique_pages
from virtlab.memory.footprint import Footprint, footprint
from virtlab.memory.migrate import Migration, migrate
from virtlab.memory.mmu import MmuCost, break_even_updates_per_s, mmu
from virtlab.memory.programs import PROGRAMS, program
from virtlab.memory.reach import miss_share, reach_bytes
from virtlab.memory.slowdown import Slowdown, Workload, slowdown
from virtlab.memory.tlb import Tlb, TlbResult, miss_curve, simulate
from virtlab.memory.walk import Walk, walk

__all__ = [
    "CPUS", "PROGRAMS", "Cpu", "DirtyLog", "Footprint", "Migration", "MmuCost", "Slowdown", "Tlb", "TlbResult", "Walk",
    "Workload", "break_even_updates_per_s", "dirty_logging", "footprint", "migrate", "miss_curve", "miss_share", "mmu",
    "program", "reach_bytes", "simulate", "slowdown", "traces", "unique_pages", "walk",
]  # fmt: skip
