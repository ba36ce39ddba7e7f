"""The CPU: exits and their tax, interrupts without exits and over many cores, halting, looking ahead, neighbours."""

from virtlab.cpu.balancing import Balance, balance, flow_shares, longest_first, steering_remedies
from virtlab.cpu.cost_sets import COST_SETS, CostSet, ExitCost
from virtlab.cpu.demand import demand_series
from virtlab.cpu.exits import ExitProfile, ExitTax, exit_profile, exit_tax, rate_at
from virtlab.cpu.forecast import Forecast, Outcome, forecast, newsvendor_share
from virtlab.cpu.halt_polling import (
    GuestPollingOptions,
    HaltPolling,
    HostShare,
    PollRules,
    guest_polling,
    halt_polling,
    host_share,
    poll_intervals_ns,
)
from virtlab.cpu.interrupt_story import InterruptStory, interrupt_story
from virtlab.cpu.interrupts import Burst, InterruptCost, Interrupts, burst, interrupts
from virtlab.cpu.lock_trace import Stretch, critical_sections, longest_stretch, stretches
from virtlab.cpu.locks import Locks, LockWaste, lock_waste, locks
from virtlab.cpu.neighbour_options import NEIGHBOUR_REMEDIES, NeighbourOptions
from virtlab.cpu.neighbour_remedies import NeighbourRemedies, neighbour_remedies
from virtlab.cpu.neighbours import Neighbours, neighbours
from virtlab.cpu.nested import NestedExit, nested_exit
from virtlab.cpu.posted import PostedCheck, posted
from virtlab.cpu.posted_model import RULES
from virtlab.cpu.posted_story import PostedStory, posted_story
from virtlab.cpu.reasons import REASONS, ROUTES, Reason
from virtlab.cpu.remedies import REMEDIES, AfterIo, RemedySteps, Residue, after_io, remedy_steps
from virtlab.cpu.schedule import schedule
from virtlab.cpu.schedule_options import ScheduleOptions
from virtlab.cpu.schedule_result import Schedule, WaitTimes
from virtlab.cpu.schedule_trace import Interval, ScheduleTrace, schedule_trace
from virtlab.cpu.work import ExitWork, exit_work

__all__ = [
    "COST_SETS", "NEIGHBOUR_REMEDIES", "REASONS", "REMEDIES", "ROUTES", "RULES", "AfterIo", "Balance", "Burst",
    "CostSet", "ExitCost", "ExitProfile", "ExitTax", "ExitWork", "Forecast", "GuestPollingOptions", "HaltPolling",
    "HostShare", "InterruptCost", "InterruptStory", "Interrupts", "Interval", "LockWaste", "Locks",
    "NeighbourOptions", "NeighbourRemedies", "Neighbours", "NestedExit", "Outcome", "PollRules", "PostedCheck",
    "PostedStory", "Reason", "RemedySteps", "Residue", "Schedule", "ScheduleOptions", "ScheduleTrace", "Stretch",
    "WaitTimes", "after_io", "balance", "burst", "critical_sections", "demand_series", "exit_profile", "exit_tax",
    "exit_work", "flow_shares", "forecast", "guest_polling", "halt_polling", "host_share", "interrupt_story",
    "interrupts", "lock_waste", "locks", "longest_first", "longest_stretch", "neighbour_remedies", "neighbours",
    "nested_exit", "newsvendor_share", "poll_intervals_ns", "posted", "posted_story", "rate_at", "remedy_steps",
    "schedule", "schedule_trace", "steering_remedies", "stretches",
]  # fmt: skip
