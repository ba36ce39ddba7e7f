"""A window of DMAs: Little's law, and what added latency takes once the window is full."""
import pytest
from hypothesis import given

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.offload import WindowOptions, in_flight_bytes, window, window_gbit_per_s


def test_half_a_microsecond_more_takes_a_third_of_200_gbit():
    assert window(added_ns=0).rate_gbit_per_s == 200
    assert window(added_ns=500).rate_gbit_per_s == pytest.approx(133.3, abs=0.05)


def test_200_gbit_at_one_microsecond_needs_25_kilobytes_on_their_way():
    found = window()
    assert (found.needed_bytes, found.limit_ns, found.bound) == (25_000, 1000, "link")


def test_a_small_read_at_a_time_is_slow():
    """One request of 64 B on its way, 800 ns each: 0.64 Gb/s, whatever the link."""
    assert window_gbit_per_s(64, 800) == pytest.approx(0.64)


def test_rate_and_window_are_inverse():
    assert in_flight_bytes(window_gbit_per_s(4096, 700), 700) == pytest.approx(4096)


@given(settings_of(WindowOptions))
def test_littles_law_holds_everywhere(options):
    left, right = window(options).law()
    assert left == pytest.approx(right)


@given(settings_of(WindowOptions))
def test_more_latency_never_carries_more_and_a_wider_window_never_less(options):
    rate = window(options).rate_gbit_per_s
    assert window(options, added_ns=100_000).rate_gbit_per_s <= rate <= options.link_gbit_per_s
    assert window(options, window_bytes=16_000_000).rate_gbit_per_s >= rate


@given(settings_of(WindowOptions))
def test_its_sentence_names_what_binds(options):
    found = window(options)
    full = found.rate_gbit_per_s == options.link_gbit_per_s
    assert ("fills the link" in found.sentence()) == full and str(found)


def test_a_window_smaller_than_one_read_is_refused():
    with pytest.raises(ParameterError, match="not even one small read"):
        window(window_bytes=0)
