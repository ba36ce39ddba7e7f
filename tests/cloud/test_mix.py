"""The loss of a mix: published goldens, the two means, their order, and the share that gives a wanted loss."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from virtlab import cloud
from virtlab.cloud.mix import weighted
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words

SHARES = st.floats(0, 1, allow_subnormal=False)


@st.composite
def mixes(draw, **fixed):
    """Any Mix that the figures exist for."""
    values = {name: draw(SHARES) for name in ("share_cpu", "share_net", "share_blk")}
    assume(sum(values.values()) > 1e-6)
    for name in ("system", "block", "network", "weights"):
        values[name] = draw(st.sampled_from(cloud.Mix.specs()[name].choices))
    values.update(fixed)
    assume((values["system"], values["network"]) != ("chv", "iperf-10-tx"))
    return cloud.Mix(**values)


def only(block, system="qemu"):
    return cloud.loss(share_cpu=0.0, share_net=0.0, share_blk=1.0, block=block, system=system).loss


@pytest.mark.parametrize(
    ("block", "system", "percent"),
    [
        ("4k-qd32-read", "qemu", 55.1), ("4k-qd1-read", "qemu", 54.4), ("128k-qd32-read", "qemu", -2.4),
        ("4k-qd32-read", "fc", 95.7), ("4k-qd32-read", "chv", 95.7), ("128k-qd32-write", "fc", -117.1),
    ],
)  # fmt: skip
def test_block_losses_are_the_published_ones(block, system, percent):
    assert 100 * only(block, system) == pytest.approx(percent, abs=0.05)


def test_network_loss_is_taken_against_the_loopback():
    assert cloud.loss(share_cpu=0.0, share_net=1.0, share_blk=0.0).loss == pytest.approx(1 - 23.76 / 44.14)


def test_computing_has_the_experts_interval_and_its_middle():
    part = cloud.loss().part("cpu")
    assert (part.low, part.loss, part.high) == pytest.approx((0.001, 0.008, 0.015))


def test_default_mix_by_hand():
    by_hand = 0.6 * 0.008 + 0.25 * (1 - 23.76 / 44.14) + 0.15 * (1 - 135109 / 301182.2)
    assert cloud.loss().loss == pytest.approx(by_hand)


@given(mixes())
def test_loss_lies_between_the_losses_of_its_parts(mix):
    result = cloud.loss(mix)
    present = [p.loss for p in result.parts if p.share > 0]
    assert min(present) - 1e-9 <= result.loss <= max(present) + 1e-9


@given(mixes())
def test_loss_lies_in_its_own_interval(mix):
    result = cloud.loss(mix)
    assert result.low - 1e-12 <= result.loss <= result.high + 1e-12


@given(mixes())
def test_what_the_parts_add_is_the_loss(mix):
    added, total = cloud.loss(mix).law()
    assert added == pytest.approx(total, abs=1e-9)


@given(mixes())
def test_shares_of_time_never_lose_less_than_shares_of_servers(mix):
    time, servers = (cloud.loss(mix.replace(weights=w)).loss for w in ("time", "servers"))
    assert time >= servers - 1e-12


@given(mixes(), st.floats(0.05, 1))
def test_only_the_ratio_of_the_shares_counts(mix, factor):
    scaled = mix.replace(**{f"share_{n}": factor * s for n, s in mix.shares.items()})
    assert cloud.loss(scaled).loss == pytest.approx(cloud.loss(mix).loss, abs=1e-9)


def test_one_job_in_time_by_hand():
    """Half its time computes at no loss to speak of, half runs at half speed: 1.5 times as long, a third lost."""
    losses, shares = {"cpu": 0.0, "net": 0.5, "blk": 0.0}, {"cpu": 0.5, "net": 0.5, "blk": 0.0}
    assert weighted(losses, shares, "time") == pytest.approx(1 / 3)


@given(mixes())
def test_the_share_found_gives_exactly_the_wanted_loss(mix):
    target = cloud.loss(mix).loss
    found = cloud.share_for(target, mix)
    assume(mix.shares["net"] < 1)
    back = mix.replace(share_cpu=found.share_cpu, share_net=found.share_net, share_blk=found.share_blk)
    assert cloud.loss(back).loss == pytest.approx(target, abs=1e-9)


@given(mixes(), st.floats(-0.5, 0.95))
def test_a_share_is_found_just_where_none_and_all_of_the_rest_enclose_the_target(mix, target):
    net = mix.shares["net"]
    assume(net < 1)
    rest = ({"share_cpu": 1 - net, "share_blk": 0.0}, {"share_cpu": 0.0, "share_blk": 1 - net})
    ends = [cloud.loss(mix.replace(share_net=net, **shares)).loss for shares in rest]
    assume(min(abs(target - end) for end in ends) > 1e-9)
    assert (cloud.share_for(target, mix).share_blk is not None) is (min(ends) < target < max(ends))


def test_ten_per_cent_is_out_of_reach_at_a_quarter_network():
    found = cloud.share_for(0.1)
    assert found.share_blk is None and "12.1 %" in found.reason


def test_each_part_carries_the_facts_that_it_used():
    ids = [f.id for f in cloud.loss(system="fc", block="4k-qd1-write").part("blk").facts]
    assert ids == ["nsdi20.metal.randwrite.4k.qd1.iops", "nsdi20.fc.randwrite.4k.qd1.iops"]


@pytest.mark.parametrize(("block", "said"), [("4k-qd1-write", True), ("4k-qd1-read", False)])
def test_writes_say_that_they_may_be_cached(block, said):
    assert any("cache of the host" in c for c in cloud.loss(block=block).caveats) is said


@pytest.mark.parametrize("system", ["qemu", "fc", "chv"])
def test_every_result_names_its_baseline(system):
    assert "2020" in cloud.loss(system=system).caveats[0]


def test_a_mix_without_network_has_no_caveat_about_it():
    assert not any("loopback" in c for c in cloud.loss(share_net=0.0).caveats)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"share_cpu": 0.0, "share_net": 0.0, "share_blk": 0.0}, ["share_cpu", "0 to 1", "no work"]),
        ({"share_blk": 1.5}, ["share_blk", "0 to 1", "1.5"]),
        ({"system": "chv", "network": "iperf-10-tx"}, ["network", "chv", "no such figure"]),
        ({"block": "8k"}, ["block", "4k-qd32-read", "published"]),
    ],
)
def test_bad_mixes_are_refused_in_a_sentence_that_teaches(changes, parts):
    with pytest.raises(ParameterError) as error:
        cloud.loss(**changes)
    assert all(part in str(error.value) for part in parts), str(error.value)


@pytest.mark.parametrize("target", [1.0, 10, -20, float("nan")])
def test_a_target_that_cannot_be_is_refused(target):
    with pytest.raises(ValueError, match="loss_target must be -10 to below 1"):
        cloud.share_for(target)


@pytest.mark.parametrize("target", ["a", None, "0.1"])
def test_a_target_that_is_no_number_is_refused_in_the_same_sentence(target):
    with pytest.raises(ValueError, match="loss_target must be -10 to below 1; you gave"):
        cloud.share_for(target)


def test_an_experts_interval_is_shown_whole_and_its_middle_as_derived():
    assert cloud.loss().part("cpu").change() == "-0.1 % to -1.5 %; used: -0.8 % [D]"
    assert "middle is derived [D]" in cloud.loss().part("cpu").cite()


def test_a_single_run_has_no_interval_to_show():
    assert cloud.loss().part("blk").change() == "-55.1 %"


def test_the_column_of_the_losses_is_a_change_of_speed_and_names_no_bare_metal():
    header = cloud.loss().table().headers[2]
    assert "change of speed" in header and "bare metal" not in header


def test_shares_that_do_not_add_up_to_1_are_said_to_be_scaled():
    result = cloud.loss(share_cpu=0.95)  # with 0.25 and 0.15
    assert result.caveats[-1] == "The shares added up to 1.35 and were scaled to 1."
    assert result.caveats[-1] in str(result) and result.caveats[-1] in result._repr_html_()


@given(mixes())
def test_the_scaling_is_said_just_where_there_was_one(mix):
    said = any("scaled" in c for c in cloud.loss(mix).caveats)
    assert said is (abs(mix.share_cpu + mix.share_net + mix.share_blk - 1) > 1e-6)


def test_the_tests_have_the_same_names_in_the_picture_as_in_the_control():
    rows, tests = words("mix.row"), {**words("parameter.block.choices"), **words("parameter.network.choices")}
    assert {k: v for k, v in rows.items() if k != "computing"} == {k: tests[k] for k in rows if k != "computing"}


@pytest.mark.parametrize(("name", "part"), [("block", "share_blk"), ("network", "share_net")])
def test_a_test_and_a_share_have_different_labels(name, part):
    assert words(f"parameter.{name}.label") != words(f"parameter.{part}.label")


def test_a_result_prints_its_sentence_table_and_caveats():
    text, page = str(cloud.loss()), cloud.loss()._repr_html_()
    for part in ("20.3 %", "-55.1 %", "[V]", "untuned baseline", "loopback"):
        assert part in text and part in page
