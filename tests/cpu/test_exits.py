"""The tax of exits: golden values of the floor, the laws of both forms, and what each condition of the host adds."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab import cpu, paths
from virtlab.core.parameter import ParameterError
from virtlab.cpu.cost_sets import COST_SETS, ExitCost
from virtlab.cpu.exits import ExitOptions, exit_profile, exit_tax, rate_at
from virtlab.cpu.reasons import REASONS, ROUTES, reason
from virtlab.cpu.work import WorkOptions, exit_work
from virtlab.evidence import FACTS

#: Sets that have a figure for every route.
WHOLE = st.sampled_from(["amd-2020-floor", "qemu-2012"])
COSTS = settings_of(ExitCost)
RATES = st.floats(0, 1e6)


@st.composite
def taxes(draw, **fixed):
    options = draw(settings_of(ExitOptions, **fixed))
    try:
        return exit_tax(options)
    except ParameterError:
        assume(False)


@st.composite
def profiles(draw):
    """Some reasons with rates, each on a route that it has."""
    cost = draw(settings_of(ExitCost, exit_costs=draw(WHOLE)))
    rates = draw(st.dictionaries(st.sampled_from(list(REASONS)), RATES, min_size=1))
    routes = {key: draw(st.sampled_from(REASONS[key].allowed(cost.vendor))) for key in rates}
    return exit_profile(rates, routes, cost)


# --- golden values: they belong to the floor -----------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "kernel", "userspace"), [
    (5_000, 0.0027, 0.0051), (50_000, 0.0272, 0.0506), (100_000, 0.0544, 0.1011),
])  # fmt: skip
def test_the_tax_of_the_empty_handler_floor(rate, kernel, userspace):
    for route, expected in (("kernel", kernel), ("userspace", userspace)):
        tax = exit_tax(rate_per_s=rate, route=route, clock_ghz=2.5, exit_costs="amd-2020-floor")
        assert tax.share == pytest.approx(expected, abs=5e-5)
        assert tax.bound == "at_least" and "at least" in tax.sentence() and "empty handler" in tax.sentence()


def test_the_public_example_is_the_floor_and_says_so():
    tax = cpu.exit_tax(rate_per_s=50_000, route="userspace", clock_ghz=2.5)
    assert float(tax) == pytest.approx(0.05056)
    assert "at least 5.06 %" in tax.sentence() and "AMD floor" in str(tax)


def test_a_million_exits_to_user_space_cannot_be_had_and_are_not_clipped():
    tax = exit_tax(rate_per_s=1_000_000, route="userspace", clock_ghz=2.5)
    assert tax.share == pytest.approx(1.0112) and not tax.feasible and math.isinf(tax.slowdown)
    assert "101 %" in tax.sentence() and "this rate cannot be had" in tax.sentence()
    assert exit_tax(rate_per_s=1_000_000, route="kernel", clock_ghz=2.5).feasible


def test_half_a_core_and_more_is_still_feasible():
    assert exit_tax(rate_per_s=rate_at(0.99, route="userspace"), route="userspace").feasible


# --- rate form -----------------------------------------------------------------------------------------------------


@given(taxes(), st.floats(0, 1))
def test_the_tax_is_linear_in_the_rate(tax, factor):
    less = exit_tax(tax.options, rate_per_s=factor * tax.options.rate_per_s)
    assert less.share == pytest.approx(factor * tax.share)


@given(taxes())
def test_the_causes_of_one_exit_add_up_to_the_tax(tax):
    parts, share = tax.law()
    assert parts == pytest.approx(share)
    assert all(ns >= 0 for ns in tax.parts_ns.values())


@given(COSTS, st.sampled_from(["pio", "mmio"]))
def test_a_cheaper_route_never_costs_more(cost, access):
    ns = []
    for route in ROUTES:
        try:
            ns.append(cost.ns(route, access))
        except ParameterError:  # not measured, or no such way
            continue
    assert ns == sorted(ns) and ns[0] == 0


@given(taxes())
def test_tau_is_one_less_the_inverse_of_the_slowdown(tax):
    if tax.share < 1:
        assert tax.share == pytest.approx(1 - 1 / tax.slowdown)
    else:
        assert math.isinf(tax.slowdown)


@given(taxes(), st.floats(0.001, 1))
def test_the_rate_of_a_share_gives_that_share(tax, share):
    rate = rate_at(share, tax.options)
    if math.isinf(rate):
        assert tax.options.route == "eliminated"
    else:
        assert rate * tax.exit_ns / 1e9 == pytest.approx(share)


def test_one_per_cent_of_a_core_is_eighteen_thousand_exits_of_the_floor():
    assert rate_at(0.01) == pytest.approx(0.01 * 2.5e9 / 1360)


def test_an_eliminated_exit_costs_nothing_under_any_condition():
    tax = exit_tax(route="eliminated", tagged_tlb=False, mitigations=True, indirect_factor=10)
    assert tax.share == 0 and tax.counts()["exits"] == 0


# --- scope: exits, returns, threads, steal -------------------------------------------------------------------------


def test_an_ioeventfd_takes_the_return_away_and_not_the_exit():
    kernel, user = (exit_tax(route=route, rate_per_s=1000).counts() for route in ("kernel", "userspace"))
    assert kernel["exits"] == user["exits"] == 1000
    assert (kernel["userspace_returns"], user["userspace_returns"]) == (0, 1000)


def test_a_switch_of_mode_is_no_switch_of_threads():
    for route in ROUTES:
        assert exit_tax(route=route).counts()["context_switches"] == 0
    assert "switches from one host thread to another" in str(exit_tax().counts())


@given(taxes())
def test_the_time_of_an_exit_is_no_steal(tax):
    assert tax.steal_share == 0


# --- conditions ----------------------------------------------------------------------------------------------------


@given(taxes())
def test_no_exit_flushes_a_tagged_tlb(tax):
    tagged = exit_tax(tax.options, tagged_tlb=True)
    assert tagged.flushes_per_s == 0 and tagged.parts_ns["flush"] == 0


def test_without_vpid_every_exit_is_paid_again_in_walks():
    tax = exit_tax(tagged_tlb=False, rate_per_s=1000, refill_misses=64, walk_nested_cycles=100, clock_ghz=2)
    assert tax.flushes_per_s == 1000 and tax.parts_ns["flush"] == 64 * 50


def test_mitigations_add_one_barrier_in_the_kernel_and_two_on_the_way_to_user_space():
    for route, barriers in (("eliminated", 0), ("fastpath", 1), ("kernel", 1), ("userspace", 2)):
        on, off = (exit_tax(route=route, mitigations=m, mitigation_ns=300).exit_ns for m in (True, False))
        assert on - off == pytest.approx(barriers * 300)


def test_the_indirect_cost_is_a_factor_on_the_direct_one():
    parts = exit_tax(indirect_factor=10, mitigations=True, mitigation_ns=300).parts_ns
    assert parts["indirect"] == pytest.approx(10 * parts["direct"])


def test_fast_mmio_is_intels_and_spares_the_decoding():
    kick = {"access": "mmio", "exit_costs": "qemu-2012", "clock_ghz": 1}
    assert exit_tax(vendor="intel", **kick).exit_ns == FACTS["exit.m01.pio.ioeventfd"].value
    assert exit_tax(vendor="amd", **kick).exit_ns == FACTS["exit.m01.mmio.ioeventfd"].value


def test_user_space_needs_the_decoded_store_on_both():
    for vendor in ("intel", "amd"):
        tax = exit_tax(vendor=vendor, access="mmio", exit_costs="qemu-2012", route="userspace", clock_ghz=1)
        assert tax.exit_ns == FACTS["exit.m01.mmio.qemu"].value


# --- the sets ------------------------------------------------------------------------------------------------------


def test_each_figure_of_a_set_is_one_fact_of_one_source():
    for costs in COST_SETS.values():
        ids = [*costs.facts.values(), *costs.decoded.values()]
        assert len({FACTS[i].source.id for i in ids}) == 1 and all(FACTS[i].unit == "cycles" for i in ids)
        assert all(FACTS[i].evidence == "V" for i in ids)


def test_a_figure_that_was_not_measured_is_not_borrowed_from_another_cpu():
    with pytest.raises(ParameterError, match="exit_costs must be amd-2020-floor or qemu-2012 for an exit handled in "
                                             "user space; you gave 'skx-2020-timer'"):  # fmt: skip
        exit_tax(exit_costs="skx-2020-timer", route="userspace")
    with pytest.raises(ParameterError, match="must be decoded"):
        exit_tax(exit_costs="skx-2020-timer", access="mmio", vendor="amd")


def test_a_fast_path_that_was_not_measured_is_called_a_ceiling():
    tax = exit_tax(exit_costs="qemu-2012", route="fastpath")
    assert tax.bound == "at_most" and "at most" in tax.sentence()
    assert tax.exit_ns == exit_tax(exit_costs="qemu-2012", route="kernel").exit_ns


def test_the_timer_set_has_both_ways_of_a_timer():
    slow, fast = (exit_tax(exit_costs="skx-2020-timer", route=route, clock_ghz=1) for route in ("kernel", "fastpath"))
    assert slow.exit_ns - fast.exit_ns == FACTS["exit.m08.saved"].value
    assert slow.bound == fast.bound == "measured"


def test_the_sets_that_the_ladder_has_too_are_the_same_there():
    """Neither room imports the other: a kick costs the same in both."""
    cases = {"qemu-2012": ("qemu-2012", "pio"), "amd-2020-floor": ("amd-2020-floor", "pio"),
             "qemu-2012-mmio": ("qemu-2012", "mmio")}  # fmt: skip
    assert set(cases) == set(paths.COST_SETS)
    for name, (ours, access) in cases.items():
        for mitigations in (False, True):
            theirs = paths.COST_SETS[name].replace(mitigations=mitigations)
            cost = ExitCost(exit_costs=ours, vendor="amd", mitigations=mitigations)
            assert cost.ns("kernel", access) == pytest.approx(theirs.ns("exit_kernel"))
            user = theirs.ns("exit_kernel") + theirs.ns("exit_user_extra")
            assert cost.ns("userspace", access) == pytest.approx(user)


# --- profiles ------------------------------------------------------------------------------------------------------


@given(profiles())
def test_the_parts_of_the_reasons_add_up_to_one(profile):
    parts, whole = profile.law()
    assert parts == pytest.approx(whole)


@given(profiles(), st.data())
def test_moving_a_reason_to_a_cheaper_route_never_raises_the_tax(profile, data):
    line = data.draw(st.sampled_from(profile.lines))
    allowed = REASONS[line.reason].allowed(profile.cost.vendor)
    cheaper = [r for r in allowed if ROUTES.index(r) <= ROUTES.index(line.route)]
    moved = profile.moved(line.reason, data.draw(st.sampled_from(cheaper)))
    assert moved.share <= profile.share * (1 + 1e-12)
    assert moved.userspace_returns_per_s <= profile.userspace_returns_per_s


@given(profiles())
def test_the_dearest_reason_comes_first(profile):
    shares = [line.share for line in profile.ranking()]
    assert shares == sorted(shares, reverse=True)


def test_a_profile_of_one_reason_is_its_tax():
    for route in ("kernel", "userspace"):
        profile = exit_profile({"mmio": 1000}, {"mmio": route}, exit_costs="qemu-2012", vendor="amd")
        tax = exit_tax(rate_per_s=1000, route=route, access="mmio", exit_costs="qemu-2012", vendor="amd")
        assert float(profile) == pytest.approx(tax.share) and profile.slowdown == pytest.approx(tax.slowdown)


def test_a_profile_that_asks_for_more_than_all_is_flagged_and_names_the_cause():
    profile = exit_profile({"pio": 1e6, "hlt": 100}, {"pio": "userspace"})
    assert not profile.feasible and math.isinf(profile.slowdown)
    assert "cannot be had" in profile.sentence() and "port I/O" in profile.sentence()


def test_a_profile_without_exits_has_no_tax():
    assert "no tax" in exit_profile({"hlt": 5000}, {"hlt": "eliminated"}).sentence()


def test_an_intel_timer_is_handled_on_the_fast_path_and_amd_has_no_preemption_timer():
    assert [reason("timer_fire").usual(v) for v in ("intel", "amd")] == ["fastpath", "kernel"]
    assert reason("pml_full").amd == ""


@pytest.mark.parametrize("key", list(REASONS))
def test_every_reason_has_words_names_and_a_usual_route(key):
    one = REASONS[key]
    assert one.name and one.intel and one.function
    for vendor in ("intel", "amd"):
        assert set(one.allowed(vendor)) <= set(ROUTES) and one.usual(vendor) != "eliminated"


@pytest.mark.parametrize(("ask", "message"), [
    (lambda: exit_profile({"hlz": 1}), "no exit reason 'hlz'; did you mean hlt?"),
    (lambda: exit_profile({"cpuid": 1}, {"cpuid": "eliminated"}), "cpuid must be kernel; you gave 'eliminated'"),
    (lambda: exit_profile({}), "such as {'hlt': 5000}"),
    (lambda: exit_profile({"hlt": -1}), "rate of hlt must be a finite number"),
    (lambda: exit_profile({"hlt": math.nan}), "rate of hlt must be a finite number"),
    (lambda: exit_profile({"hlt": 1}, {"pio": "kernel"}), "no exits of the reason 'pio' here; there are hlt"),
    (lambda: exit_profile({"hlt": 1}).moved("pio", "kernel"), "no exits of the reason 'pio' here"),
    (lambda: exit_tax(rate_per_s=-1), "rate_per_s must be 0 to 10,000,000 1/s; you gave -1"),
    (lambda: exit_tax(route="qemu"), "route must be eliminated or fastpath or kernel or userspace"),
    (lambda: exit_tax(access="mmio", route="fastpath"), "route must not be fastpath when access is mmio"),
    (lambda: exit_work({"hlt": 1}, work_ns=0), "work_ns must be"),
])  # fmt: skip
def test_wrong_questions_are_refused_in_a_sentence_that_teaches(ask, message):
    with pytest.raises(ParameterError) as error:
        ask()
    assert message in str(error.value)


# --- work form -----------------------------------------------------------------------------------------------------


@given(profiles(), st.floats(1e3, 1e9))
def test_the_two_forms_agree(profile, work_ns):
    per_work = {line.reason: line.rate_per_s / 1e4 for line in profile.lines}
    routes = {line.reason: line.route for line in profile.lines}
    work = exit_work(per_work, routes, WorkOptions(work_ns=work_ns, **dict(profile.cost)))
    by_rate, by_work = work.law()
    assert by_rate == pytest.approx(by_work, abs=1e-12)
    assert work.profile.feasible and work.slowdown >= 1 and work.throughput_ratio == pytest.approx(1 / work.slowdown)


def test_work_with_three_exits_is_slower_by_their_time():
    work = exit_work({"pio": 3}, {"pio": "userspace"}, work_ns=100_000, clock_ghz=2.5)
    assert work.slowdown == pytest.approx(1 + 3 * 2528 / 2.5 / 100_000)
    assert work.profile.lines[0].rate_per_s == pytest.approx(3 / (100_000e-9 * work.slowdown))
    assert "1.03 times as long" in work.sentence()


def test_exits_that_work_causes_can_never_take_all_of_the_time():
    assert exit_work({"pio": 1e6}, {"pio": "userspace"}, work_ns=1).profile.share < 1


def test_everything_prints_as_text_and_as_html():
    for result in (exit_tax(), exit_profile({"hlt": 1, "mmio": 2}), exit_work({"hlt": 1})):
        assert result.sentence() in str(result) and "<table>" in result._repr_html_() and "{" not in str(result)
