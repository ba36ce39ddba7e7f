"""The CPU: exits and their tax, interrupts without exits, halting and polling."""

from virtlab.cpu.cost_sets import COST_SETS, CostSet, ExitCost
from virtlab.cpu.exits import ExitProfile, ExitTax, exit_profile, exit_tax, rate_at
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
from virtlab.cpu.interrupts import Burst, InterruptCost, Interrupts, burst, interrupts
from virtlab.cpu.nested import NestedExit, nested_exit
from virtlab.cpu.posted import PostedCheck, posted
from virtlab.cpu.posted_model import RULES
from virtlab.cpu.posted_story import PostedStory, posted_story
from virtlab.cpu.reasons import REASONS, ROUTES, Reason
from virtlab.cpu.remedies import REMEDIES, AfterIo, RemedySteps, Residue, after_io, remedy_steps
from virtlab.cpu.work import ExitWork, exit_work

__all__ = [
    "COST_SETS", "REASONS", "REMEDIES", "ROUTES", "RULES", "AfterIo", "Burst", "CostSet", "ExitCost", "ExitProfile",
    "ExitTax", "ExitWork", "GuestPollingOptions", "HaltPolling", "HostShare", "InterruptCost", "Interrupts",
    "NestedExit", "PollRules", "PostedCheck", "PostedStory", "Reason", "RemedySteps", "Residue", "after_io", "burst",
    "exit_profile", "exit_tax", "exit_work", "guest_polling", "halt_polling", "host_share", "interrupts", "nested_exit",
    "poll_intervals_ns", "posted", "posted_story", "rate_at", "remedy_steps",
]  # fmt: skip
