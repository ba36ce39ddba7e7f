"""Costs of steps: where they come from, what they add up to, and the budgets of a wire."""

from __future__ import annotations

import pytest

from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.paths import COST_SETS, Costs, budget_cycles, line_rate


def test_each_set_holds_the_pair_of_one_machine():
    pairs = {n: (c.exit_kernel_cycles, c.exit_user_cycles) for n, c in COST_SETS.items()}
    assert pairs == {"qemu-2012": (1762, 5287), "qemu-2012-mmio": (3609, 8796), "amd-2020-floor": (1360, 2528)}


def test_an_exit_to_qemu_passes_through_kvm_first():
    costs = Costs()
    assert costs.ns("exit_kernel") == pytest.approx(1762 / 2.5)
    assert costs.ns("exit_kernel") + costs.ns("exit_user_extra") == pytest.approx(5287 / 2.5)


def test_an_exit_to_qemu_cheaper_than_one_to_kvm_is_refused():
    with pytest.raises(
        ParameterError, match="exit_user_cycles must be at least exit_kernel_cycles .* passes through KVM"
    ):
        Costs(exit_kernel_cycles=3000, exit_user_cycles=2000)


def test_mitigations_add_to_exits_and_system_calls_only():
    plain, barred = Costs(), Costs(mitigations=True)
    for name in ("exit_kernel", "exit_user_extra", "syscall"):
        assert barred.ns(name) - plain.ns(name) == pytest.approx(plain.mitigation_ns), name
    for name in ("context_switch", "guest_stack", "host_irq"):
        assert barred.ns(name) == plain.ns(name), name


def test_a_wake_up_holds_its_switch_once():
    costs = Costs()
    assert costs.ns("context_switch") + costs.ns("wakeup_rest") == costs.wakeup_ns
    assert Costs(wakeup_ns=500, context_switch_ns=2000).ns("wakeup_rest") == 0


def test_copies_wire_and_pcie_have_their_own_time_for_bytes():
    costs = Costs()
    assert costs.bytes_ns("copy", 1500) == 100  # 15 GB/s
    assert costs.bytes_ns("wire", 64) == pytest.approx(6.72)  # 84 B at 100 Gb/s
    assert costs.bytes_ns("pcie", 64) == pytest.approx(8 * 88 / 227.4)
    assert costs.bytes_ns("", 1500) == 0


def test_a_segment_pays_the_gap_of_every_frame_that_it_is_cut_into():
    assert Costs().bytes_ns("wire", 2 * 1518) == pytest.approx(2 * Costs().bytes_ns("wire", 1518))


@pytest.mark.parametrize(
    ("link_gbit_per_s", "frame_bytes", "mpps"), [(10, 64, 14.88), (25, 64, 37.20), (100, 64, 148.81), (100, 1518, 8.13)]
)
def test_line_rates_count_preamble_and_gap(link_gbit_per_s, frame_bytes, mpps):
    assert line_rate(link_gbit_per_s, frame_bytes) / 1e6 == pytest.approx(mpps, abs=0.005)


@pytest.mark.parametrize(("link_gbit_per_s", "frame_bytes", "cycles"), [(10, 64, 202), (100, 64, 20), (100, 1518, 369)])
def test_budgets_per_packet_are_golden(link_gbit_per_s, frame_bytes, cycles):
    assert budget_cycles(link_gbit_per_s, frame_bytes, 3) == pytest.approx(cycles, abs=0.5)


def test_line_rates_agree_with_the_facts():
    for fact, link, frame in (("10g.64", 10, 64), ("25g.64", 25, 64), ("100g.64", 100, 64), ("100g.1518", 100, 1518)):
        assert line_rate(link, frame) == pytest.approx(FACTS[f"ethernet.line.{fact}"].value, rel=1e-6), fact
    assert budget_cycles(100, 64, 3) == pytest.approx(FACTS["ethernet.budget.100g.64"].value, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: line_rate(0, 64), "link_gbit_per_s must be 0.01 to 10,000 Gb/s; you gave 0: there is no such link"),
        (
            lambda: line_rate(10, 46),
            "frame_bytes must be 64 to 9018 bytes; you gave 46: Ethernet carries nothing shorter",
        ),
        (lambda: budget_cycles(10, 64, 0), "clock_ghz must be 0.1 to 10 GHz; you gave 0: no CPU runs at that clock"),
    ],
)
def test_a_wrong_link_frame_or_clock_is_refused_with_range_and_reason(call, message):
    with pytest.raises(ValueError, match=message):
        call()
