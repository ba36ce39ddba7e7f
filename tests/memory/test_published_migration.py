"""Migration and dirty logging against published figures: conditions as published, no constant fitted to any row.

Not compared: the 210 ms and 60 ms of Xen (``moved.xen.*``), whose working sets stand in a part of the paper that was
not read; the times of the auto-converge of 2013, which held vCPUs back in another way than the steps of today.
"""

from __future__ import annotations

import pytest

from virtlab.evidence import FACTS
from virtlab.memory.dirty import DirtyOptions, dirty_logging
from virtlab.memory.migrate import MigrationOptions, migrate

KIB, PAGE, GIB = 1024, 4096, 1 << 30


def value(fact: str) -> float:
    return FACTS[fact].value


def agree(model: float, published: float, factor: float) -> None:
    ratio = model / published
    assert 1 / factor <= ratio <= factor, f"model {model:.4g}, published {published:.4g}: factor {ratio:.2f}"


# --- migrations ----------------------------------------------------------------------------------------------------


def power(**changes):
    """An idle guest on pages of 16 MiB, one write to which dirties all 4 096 pages of 4 KiB."""
    return migrate(
        memory_bytes=int(value("moved.power.total") * KIB), hot_bytes=int(value("moved.power.residue") * KIB),
        bandwidth_gbit_per_s=value("moved.power.rate") / 1e3,
        dirty_gbit_per_s=value("moved.power.dirty") * PAGE * 8 / 1e9, **changes,
    )  # fmt: skip


def test_an_idle_guest_on_16_mib_pages_is_never_moved_within_300_ms():
    """What is left after six rounds is the working set of the model; the verdict and its reason follow."""
    m = power()
    assert m.never and m.downtime_s > 3


def test_the_downtime_from_which_it_converges():
    """2.4 % apart, and known why: the author took QEMU's kbytes as 1 000 B."""
    wall = power().walls["downtime_ms"]
    agree(wall, value("moved.power.expected"), 1.03)
    assert wall / value("moved.power.expected") == pytest.approx(1.024, rel=1e-3)
    assert power(downtime_ms=wall * 1.01).converged


def java(bandwidth_bytes_per_s: float, **changes):
    """256 GiB, of which all but 9 GB are zero pages and cost nothing; what was left after 25 minutes is the hot set."""
    used = value("moved.java.total") * KIB - value("moved.java.skipped") * PAGE
    return migrate(
        memory_bytes=int(used), hot_bytes=int(value("moved.java.residue") * KIB),
        bandwidth_gbit_per_s=bandwidth_bytes_per_s * 8 / 1e9,
        dirty_gbit_per_s=value("moved.java.dirty") * PAGE * 8 / 1e9,
        downtime_ms=value("moved.java.limit") * 1e3, **changes,
    )  # fmt: skip


MEAN = value("moved.java.sent") * KIB / value("moved.java.time")
MOMENTARY = value("moved.java.dirty") * PAGE / (value("moved.java.expected") / 1e3)


def test_a_java_server_was_under_way_after_25_minutes_and_never_moves_in_the_model():
    """At the mean rate of all it sent: the rates of dirtying and of sending were 5 % apart."""
    assert java(MEAN).never
    agree(value("moved.java.dirty") * PAGE, MEAN, 1.1)


def test_auto_converge_moved_it_in_fact_and_in_the_model():
    """In fact within the time in which it was still under way without; the times themselves are not compared."""
    assert value("moved.java.converge.time") < value("moved.java.time") and java(MEAN).never
    assert java(MEAN, auto_converge=True).converged


def test_the_momentary_bandwidth_and_the_printed_dirty_rate_do_not_explain_that_it_never_moved():
    """A known disagreement, kept in sight: D / B is 0.52 then, and the model converges where QEMU did not.

    QEMU counts a page once a period: the printed rate is the working set over the period and hides how fast it is
    written. With a dirty rate above the bandwidth the model says never at this bandwidth too.
    """
    m = java(MOMENTARY)
    assert m.converged and m.options.dirty_gbit_per_s / m.options.bandwidth_gbit_per_s < 0.6
    assert migrate(m.options, dirty_gbit_per_s=2 * m.options.bandwidth_gbit_per_s).never


# --- dirty logging -------------------------------------------------------------------------------------------------


def test_recovery_in_place_saves_one_fault_a_huge_page():
    """0.04 % apart: the rest of the test's memory is not in the 256 GiB."""
    log = dirty_logging(memory_bytes=64 * 4 * GIB, page="2M", recover_in_place=False)
    agree(log.refaults, value("dirtylog.recover.before") - value("dirtylog.recover.after"), 1.001)


@pytest.mark.parametrize("vcpus", [2, 16])
def test_what_a_write_fault_costs_when_all_pages_are_written(vcpus):
    """Factor 1.5, the model is low: it has the exit alone, not the walk of the tables, the split or the lock.

    One GiB a vCPU; splitting ahead leaves PML, splitting at the fault one fault a page.
    """
    pages = GIB // PAGE
    one = {"memory_bytes": GIB, "write_rate_per_s": pages, "clear_s": 1.0}
    late, ahead = (dirty_logging(split=split, **one) for split in ("fault", "start"))
    assert (late.faults, ahead.faults) == (pages, 0)
    published = value(f"dirtylog.write100.fault.vcpu{vcpus}") - value(f"dirtylog.write100.eager.vcpu{vcpus}")
    model = late.logged.exit_s(late.options) - ahead.logged.exit_s(ahead.options)
    agree(model, published, 1.5)
    assert model < published


def test_what_a_write_fault_costs_when_every_20th_page_is_written():
    """Factor 1.5, the model is low for the same reason, and more so: 512 splits are shared by 20 times fewer faults."""
    log = dirty_logging(memory_bytes=GIB, write_rate_per_s=GIB / PAGE / 20, clear_s=1.0, split="fault")
    published = value("dirtylog.write5.fault.vcpu2") - value("dirtylog.write5.eager.vcpu2")
    agree(log.logged.exit_s(log.options), published, 1.5)


def test_no_fact_of_a_comparison_is_a_default_of_the_model():
    """Otherwise agreement would be circular."""
    defaults = {spec.fact for cls in (DirtyOptions, MigrationOptions) for spec in cls.specs().values()}
    assert not [f for f in defaults if f.startswith(("moved.", "dirtylog."))]
