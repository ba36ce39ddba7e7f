"""The judges: their conditions hold inside and break outside, by the models themselves; each claim's goldens."""

import html
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab import cloud, paths
from virtlab.cloud import judges
from virtlab.cloud.verdict import Axis, turn, verdict
from virtlab.core.words import words
from virtlab.evidence import CLAIMS, FACTS

JUDGED = [c for c in CLAIMS.values() if c.judge.startswith("virtlab.cloud.judges:")]
VERDICTS = {c.id: c.judge_function()() for c in JUDGED}
CONDITIONS = [(k, i) for k, v in VERDICTS.items() for i in range(len(v.conditions))]
INTERVALS = [(k, i) for k, i in CONDITIONS if VERDICTS[k].conditions[i].low is not None]
each_verdict = pytest.mark.parametrize("claim", VERDICTS)


def condition(claim, i):
    return VERDICTS[claim].conditions[i]


def of(claim, statement, parameter, setting):
    """The one condition of a claim with these keys of judge.toml."""
    texts = (words(f"judge.statement.{statement}"), words(f"judge.setting.{setting}"))
    (found,) = [
        c for c in VERDICTS[claim].conditions if (c.statement, c.setting) == texts and c.parameter == parameter
    ]  # fmt: skip
    return found


# --- what must be so for every judge --------------------------------------------------------------------------------


def test_the_claims_of_this_part_have_a_judge():
    assert {"S1", "S2", "S3", "S7", "S10", "S11", "S12", "S14", "S24"} <= set(VERDICTS)


@each_verdict
def test_a_judge_names_its_own_claim(claim):
    assert VERDICTS[claim].claim == claim


@pytest.mark.parametrize(("claim", "i"), INTERVALS)
def test_an_interval_holds_at_both_ends(claim, i):
    c = condition(claim, i)
    assert c.holds(c.low) and c.holds(c.high), c


@pytest.mark.parametrize(("claim", "i"), INTERVALS)
def test_an_interval_breaks_just_outside(claim, i):
    c = condition(claim, i)
    for end, limit, way in ((c.low, c.axis.low, -1), (c.high, c.axis.high, 1)):
        if end != limit:
            step = 1 if c.axis.integer else 1e-6 * max(abs(end), 1e-3)
            assert not c.holds(end + way * step), f"{claim}: {c.parameter} still holds beyond {end}"


@given(st.sampled_from(INTERVALS), st.floats(0, 1))
def test_an_interval_has_no_hole_and_nothing_outside_it_holds(which, position):
    c = condition(*which)
    value = c.axis.low + position * (c.axis.high - c.axis.low)
    value = round(value) if c.axis.integer else value
    assert c.holds(value) is (c.low <= value <= c.high), (c, value)


@pytest.mark.parametrize(("claim", "i"), [k for k in CONDITIONS if k not in INTERVALS])
def test_choices_are_exactly_those_that_hold(claim, i):
    c = condition(claim, i)
    assert c.choices == tuple(x for x in c.axis.choices if c.holds(x))


@pytest.mark.parametrize(("claim", "i"), CONDITIONS)
def test_what_breaks_a_condition_does_break_it(claim, i):
    c = condition(claim, i)
    if c.breaks_at is None:
        assert math.isinf(c.distance)
    elif c.axis.choices or c.axis.integer:
        assert not c.holds(c.breaks_at)
    else:
        assert c.breaks_at in (c.low, c.high)


@each_verdict
def test_the_first_to_break_is_the_nearest(claim):
    v = VERDICTS[claim]
    assert v.breaks_first in v.conditions
    assert v.breaks_first.distance <= min(c.distance for c in v.conditions) + 1e-6


@each_verdict
def test_every_fact_of_a_verdict_is_in_the_register(claim):
    assert all(FACTS[f.id] == f for f in VERDICTS[claim].facts)


@pytest.mark.parametrize("call", [c for v in VERDICTS.values() for c in v.calls])
def test_the_models_calls_run_as_they_are_printed(call):
    assert eval(call, {"cloud": cloud, "paths": paths}) is not None


@each_verdict
def test_a_verdict_says_neither_right_nor_wrong(claim):
    said = " ".join(VERDICTS[claim].sentences)
    assert not re.search(r"\b(right|wrong|true|false)\b", said, re.IGNORECASE), said


@each_verdict
def test_a_verdict_prints_its_sentences_numbers_and_witnesses(claim):
    v = VERDICTS[claim]
    page = html.unescape(v._repr_html_())
    for text in (*v.sentences, v.first(), *v.calls, v.facts[0].quantity):
        assert text in str(v) and text in page
        assert not re.search(r"\{\w*\}", text), "a template was not filled"


@each_verdict
def test_a_judge_is_a_pure_function(claim):
    assert CLAIMS[claim].judge_function()() == VERDICTS[claim]


# --- goldens of the claims, from the models or by hand --------------------------------------------------------------


def test_s1_block_shares_are_those_of_the_closed_form():
    c = of("S1", "about", "share_blk", "mix")
    ends = [cloud.share_for(t, share_cpu=0.9, share_net=0.1, share_blk=0.0).share_blk for t in (0.08, 0.12)]
    assert [c.low, c.high] == pytest.approx(ends)


def test_s1_large_reads_lose_no_ten_per_cent():
    assert "128k-qd32-read" not in [c for c in VERDICTS["S1"].conditions if c.parameter == "block"][0].choices


def test_s2_breaks_where_io_loses_what_computing_left():
    assert of("S2", "below", "io_loss", "promise").high == pytest.approx((0.01 - 0.6 * 0.008) / 0.4, rel=1e-6)


def test_s2_leaves_no_core_to_keep_back():
    assert of("S2", "below", "reserved_cores", "promise").high == 0


def test_s3_only_two_virtio_paths_pass_through_qemu():
    assert of("S3", "served", "path", "send").choices == ("qemu", "qemu-ioeventfd")


def test_s3_busy_polling_suppresses_the_kicks():
    assert of("S3", "exits", "busy_poll", "send").choices == (False,)


def test_s7_calls_the_slip_a_contradiction():
    v = VERDICTS["S7"]
    assert "contradicted" in v.sentences[0] and "3.2, 6.4, 12.8 million" in v.sentences[0]
    assert "3,333 USD" in v.sentences[1] and "156.25 USD" in v.sentences[1]
    assert v.breaks_first.choices == ()


def test_s7_needs_servers_of_fewer_than_ten_cores():
    c = [c for c in VERDICTS["S7"].conditions if c.parameter == "cores" and c.low is not None][0]
    assert (c.low, c.high) == (1, 9)


def test_s10_three_switches_end_at_two_packets_a_kick():
    c = of("S10", "switches", "batch", "qemu_send")
    assert (c.high, c.breaks_at) == (1, 2)
    assert VERDICTS["S10"].breaks_first is c


def test_s10_two_copies_need_another_scope_in_each_direction():
    assert of("S10", "copies", "scope", "qemu_send").choices == ("host+guest",)
    assert of("S10", "copies", "scope", "qemu_receive").choices == ("host",)


@pytest.mark.parametrize(("setting", "options"), [("qemu_send", {}), ("qemu_receive", {"direction": "rx"})])
def test_s10_idle_state_that_makes_20_us_is_the_rest_of_the_latency(setting, options):
    without = paths.LADDER["qemu-ioeventfd"].latency(costs=paths.Costs(idle_exit_ns=0.0), **options).total_ns
    assert of("S10", "slow", "idle_exit_ns", setting).low == pytest.approx(20_000 - without, abs=0.1)


def test_s11_pipeline_may_take_what_the_rest_leaves_of_5_us():
    costs = paths.Costs(card_pipeline_ns=0.0)
    without = paths.LADDER["card"].latency(costs=costs, direction="rx", posted=True).total_ns
    assert of("S11", "fast", "card_pipeline_ns", "card_receive").high == pytest.approx(5000 - without, abs=0.1)


def test_s11_host_copies_are_none_and_guest_copies_stay():
    assert of("S11", "none", "scope", "card_receive").choices == ("host",)


def test_s12_holds_on_no_path():
    (c,) = VERDICTS["S12"].conditions
    assert c.choices == () and c.breaks_at == "card"


def test_s14_no_scope_gives_both_four_and_none():
    assert of("S14", "four_to_none", "scope", "before_after").choices == ()
    assert of("S14", "four", "scope", "before").choices == ("host+guest+dma",)
    assert of("S14", "none", "scope", "after").choices == ("host",)


def test_s24_sleeping_guest_brings_the_hosts_software_back():
    assert of("S24", "software", "guest_halts", "card_receive").choices == (False,)


def test_s24_iommu_binds_from_one_and_a_third_misses():
    assert of("S24", "iommu", "iotlb_misses", "dma_4k").high == pytest.approx(1.33, abs=0.005)


# --- the search itself ----------------------------------------------------------------------------------------------

AXIS = Axis("cpu_loss", "1", 0.0, 1.0)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_bisection_finds_the_ends_of_any_interval(a, b, position):
    low, high = min(a, b), max(a, b)
    start = min(max(low + position * (high - low), low), high)
    found = turn("below", "promise", AXIS, start, lambda v: low <= v <= high)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


@given(st.integers(1, 64), st.integers(1, 64))
def test_whole_numbers_are_found_exactly(a, b):
    low, high = min(a, b), max(a, b)
    found = turn("below", "promise", judges._BATCH, low, lambda v: low <= v <= high)
    assert (found.low, found.high) == (low, high)


def test_a_statement_that_fails_at_its_start_breaks_there():
    found = turn("below", "promise", AXIS, 0.5, lambda v: False)
    assert (found.low, found.breaks_at, found.distance) == (None, 0.5, 0)
    assert found.where() == "not at 50 %"


def test_a_verdict_that_nothing_breaks_says_so():
    always = turn("below", "promise", AXIS, 0.5, lambda v: True)
    assert verdict("S0", (), (always,), (), ()).first() == words("judge.unbroken")
