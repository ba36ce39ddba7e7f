"""The lock model against published measurements: their direction, and brackets; nothing was fitted to any of them.

The published programs do much more than to take one lock, so that no rate of theirs is one of the model's. What can be
compared is how throughput falls when VMs share the pCPUs, and which remedy helps when.
"""

from __future__ import annotations

import pytest

from virtlab.cpu import locks
from virtlab.cpu.locks import LockOptions
from virtlab.evidence import FACTS

#: As measured: VMs alike on all pCPUs, and contention.
MANY = LockOptions(pcpus=16, rivals="vms")


def rate(m, **changes):
    return locks(MANY, vcpus_per_cpu=m, **changes).acquisitions_per_s


@pytest.mark.parametrize("vms", [2, 3])
def test_ebizzy_falls_by_more_than_its_share_and_lies_between_a_ticket_lock_and_all_remedies(vms):
    """PV locks on 80 threads: one of two VMs keeps 34 %, one of three 13 %; boosted 54 and 22."""
    plain, boosted = (FACTS[f"lock.ebizzy.{k}vm{vms}"].value / FACTS[f"lock.ebizzy.{k}vm1"].value
                      for k in ("", "boosted."))  # fmt: skip
    assert plain < 1 / vms and plain < boosted
    worst = rate(vms, lock_kind="ticket") / rate(1, lock_kind="ticket")
    best = rate(vms, lock_kind="pv", ple=True) / rate(1, lock_kind="pv", ple=True)
    assert worst < plain < best < 1.1 / vms


def test_pv_ticket_locks_gain_nothing_without_overcommit_and_something_with_it():
    """dbench on 32 cores: 0.8 % in the first row, then 16.6 and 14 %. The base was a ticket lock on a host with PLE."""
    first, second, third = (FACTS[f"lock.pvticket.dbench.row{row}"].value for row in (1, 2, 3))
    assert first < 0.01 < 0.1 < third < second
    gain = {m: rate(m, lock_kind="pv", ple=True) / rate(m, lock_kind="ticket", ple=True) - 1 for m in (1, 2, 3)}
    assert abs(gain[1]) < 0.02 and gain[2] > 0.02 and gain[3] > 0.02


def test_a_ticket_lock_whose_order_may_be_broken_gains_between_what_the_model_says_with_and_without_ple():
    """VEE'13: 5.3 times on average of several programs. A broken order is a test-and-set lock's."""
    with_ple, without = (
        locks(lock_kind="tas", ple=ple).acquisitions_per_s / locks(lock_kind="ticket", ple=ple).acquisitions_per_s
        for ple in (True, False))  # fmt: skip
    assert 1 < with_ple < FACTS["lock.preemptable.gain"].value < without


def test_to_halt_too_early_cost_a_factor_of_seven():
    """Published with its own figures: PV is no remedy by itself. The model halts as Linux does after the revert."""
    assert FACTS["lock.early.without"].low / FACTS["lock.early.with"].high > 7


def test_the_pause_filter_gained_little_where_locks_are_short():
    """Kernel builds: about 1 %. The model agrees for sections of 1.6 us, the window, every millisecond."""
    options = LockOptions(vcpus_per_cpu=3, critical_ns=1_640, think_ns=1_000_000, pcpus=16)
    work = [locks(options, ple=ple).acquisitions_per_s for ple in (False, True)]
    assert abs(work[1] / work[0] - 1) < 0.05 and 0 < FACTS["lock.pausefilter.gain"].value < 0.05


def test_the_defaults_are_those_of_linux():
    o = LockOptions()
    assert (o.ple_window_cycles, o.ple_window_grow, o.ple_window_shrink) == (4096, 2, 0)
    assert (FACTS["ple.gap"].value, FACTS["ple.window.svm"].value) == (128, 3000)
    assert FACTS["lock.windows.vcpus"].value == 64
