"""The formatter: every number that a reader sees."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.core.units import number, show, signed
from virtlab.evidence import FACTS


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1900, "ns", "1.9 µs"), (0, "ns", "0 ns"), (999, "ns", "999 ns"), (1000, "ns", "1 µs"), (2.5e9, "ns", "2.5 s"),
        (0.5, "ns", "0.5 ns"), (-1900, "ns", "-1.9 µs"), (12, "us", "12 µs"), (1500, "us", "1.5 ms"), (3, "s", "3 s"),
        (300, "ms", "300 ms"), (64, "B", "64 B"), (2048, "B", "2 KiB"), (2 * 2**20, "B", "2 MiB"), (1, "GiB", "1 GiB"),
        (1536, "MiB", "1.5 GiB"), (14.88e6, "packets/s", "14.9 Mpps"), (390e3, "packets/s", "390 kpps"),
        (5e3, "1/s", "5 k/s"), (12, "1/s", "12/s"), (100, "Gb/s", "100 Gb/s"), (0.5, "Gb/s", "500 Mb/s"),
        (1e9, "USD", "1 billion USD"), (6.4e6, "cores", "6.4 million cores"), (1762, "cycles", "1,762 cycles"),
        (0.1, "%", "10 %"), (0.0975, "%", "9.75 %"), (0.25, "1", "0.25"), (2.5, "GHz", "2.5 GHz"),
    ],
)  # fmt: skip
def test_a_quantity_is_shown_as_a_person_reads_it(value, unit, text):
    assert show(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"), [(999.96, "1 µs"), (999_600, "1 ms"), (999.4, "999 ns"), (-999.96, "-1 µs")]
)
def test_rounding_up_to_a_thousand_takes_the_next_unit(value, text):
    assert show(value, "ns") == text


def test_rounding_up_takes_the_next_unit_of_sizes_only_at_1024():
    assert show(1023.9, "B") == "1 KiB"
    assert show(1000, "B") == "1,000 B"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(math.inf, "ns", "never"), (math.inf, "packets/s", "∞"), (-math.inf, "1", "-∞"), (math.nan, "ns", "unknown")],
)
def test_what_is_no_number_is_said_in_words(value, unit, text):
    assert show(value, unit) == text


@pytest.mark.parametrize(("value", "text"), [(3, "+3"), (-3, "-3"), (0, "+0")])
def test_a_change_has_its_sign(value, text):
    assert signed(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1"),
        (0.046875, "0.0469"),
        (1234.5, "1,234"),
        (148_809_524, "148,809,524"),
        (-0.5, "-0.5"),
        (1e-15, "0"),
    ],
)
def test_a_bare_number_has_three_digits_and_no_exponent(value, text):
    assert number(value) == text


@given(st.floats(1e-3, 1e14))
def test_a_shown_number_is_within_half_a_percent_of_the_value(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.00501)


SCALES = {
    "ns": {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9},
    "packets/s": {"pps": 1.0, "kpps": 1e3, "Mpps": 1e6, "Gpps": 1e9},
}


@given(st.floats(1e-2, 1e14), st.sampled_from(sorted(SCALES)))
def test_a_shown_quantity_is_within_half_a_percent_of_the_value(value, unit):
    figure, name = show(value, unit).split(" ")
    assert float(figure.replace(",", "")) * SCALES[unit][name] == pytest.approx(value, rel=0.00501)


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["1", "%", "ns", "B", "1/s", "packets/s", "Gb/s", "USD"]),
)
def test_every_number_has_a_text(value, unit):
    assert show(value, unit).strip()


def test_every_fact_can_be_shown():
    for fact in FACTS.values():
        assert fact.text().strip() and "nan" not in fact.text(), fact.id
