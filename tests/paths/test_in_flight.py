"""Rate, latency and requests in flight: two give the third, three may contradict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.evidence import FACTS
from virtlab.paths import two_of

SOME = st.floats(1e-3, 1e12)


def test_three_million_at_forty_microseconds_are_120_in_flight():
    claim = two_of(iops=3e6, latency_ns=40_000)
    assert claim.depth == pytest.approx(120)
    assert claim.derived == "depth" and "120 requests" in claim.sentence()


def test_they_are_98_gigabits_of_data_a_second():
    """Units: 3 million times 4 KiB is 98.3 Gb/s, of 10^9 bits."""
    assert two_of(iops=3e6, latency_ns=40_000).payload_gbit_per_s(4096) == pytest.approx(98.304)


@given(SOME, SOME)
def test_each_two_give_the_third_that_gives_them_back(iops, latency):
    depth = two_of(iops=iops, latency_ns=latency).depth
    assert two_of(depth=depth, latency_ns=latency).iops == pytest.approx(iops)
    assert two_of(depth=depth, iops=iops).latency_ns == pytest.approx(latency)
    assert two_of(iops=iops, latency_ns=latency, depth=depth).gap == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("one", [{"iops": 3e6}, {"latency_ns": 4e4}, {"depth": 32}, {}])
def test_one_alone_is_refused(one):
    with pytest.raises(ValueError, match="give two of iops, latency_ns and depth"):
        two_of(**one)


@pytest.mark.parametrize("bad", [{"iops": 0}, {"latency_ns": -1.0}, {"depth": float("inf")}])
def test_a_value_that_cannot_be_is_refused_by_name(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        two_of(**{"iops": 1e6, "latency_ns": 1e4, **bad})


@pytest.mark.parametrize("who", ["metal", "qemu", "fc", "chv"])
@pytest.mark.parametrize("row", ["4k.qd32", "128k.qd32", "4k.qd1", "128k.qd1"])
def test_published_reads_obey_littles_law(who, row):
    key = f"nsdi20.{who}.randread.{row}"
    depth = int(row.split("qd")[1])
    fit = two_of(iops=FACTS[f"{key}.iops"].value, latency_ns=1e3 * FACTS[f"{key}.mean"].value, depth=depth)
    assert fit.gap == pytest.approx(0, abs=0.025)
    assert "fit together" in fit.sentence()


def test_published_writes_with_a_flush_after_each_32_do_not():
    """The wait for the flush is outside the latency that fio states: up to a third of the requests is nowhere."""
    gaps = {}
    for who in ("metal", "qemu", "fc", "chv"):
        for size in ("4k", "128k"):
            key = f"nsdi20.{who}.randwrite.{size}.qd1"
            gaps[who, size] = two_of(
                iops=FACTS[f"{key}.iops"].value, latency_ns=1e3 * FACTS[f"{key}.mean"].value, depth=1
            ).gap
    assert min(gaps.values()) < -0.3 and gaps["qemu", "4k"] == pytest.approx(-0.186, abs=0.01)
    key = "nsdi20.qemu.randwrite.128k.qd1"
    missing = two_of(iops=FACTS[f"{key}.iops"].value, latency_ns=1e3 * FACTS[f"{key}.mean"].value, depth=1)
    assert "wait somewhere" in missing.sentence()


def test_a_contradiction_says_how_large_it_is():
    assert "50 %" in two_of(iops=3e6, latency_ns=40_000, depth=80).sentence()


def test_one_request_is_said_in_the_singular():
    assert two_of(latency_ns=40_000, depth=1).sentence() == "1 request in flight, 40 µs each: 25 k IOPS, and no more."
