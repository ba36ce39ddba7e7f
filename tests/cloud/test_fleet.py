"""Lost cores, vCPUs and money; and the two losses that are not added."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab import cloud
from virtlab.core.parameter import ParameterError

FLEETS = st.builds(
    cloud.Fleet, servers=st.integers(10_000, 10_000_000), cores=st.integers(16, 256),
    threads_per_core=st.integers(1, 2), core_year_usd=st.floats(20, 4000), loss=st.floats(0, 1),
)  # fmt: skip


@pytest.mark.parametrize(("cores", "millions"), [(32, 3.2), (64, 6.4), (128, 12.8)])
def test_ten_per_cent_of_a_million_servers_are_millions_of_cores(cores, millions):
    assert cloud.lost(cores=cores).lost_cores == pytest.approx(millions * 1e6)


def test_price_that_the_claims_two_figures_imply():
    assert cloud.price_at_which(1e9, 3e5) == pytest.approx(3333.33, abs=0.01)


def test_price_at_which_the_billion_holds_with_64_cores():
    assert cloud.price_at_which(1e9, cloud.lost(cores=64).lost_cores) == pytest.approx(156.25)


def test_threads_are_counted_apart_from_cores():
    assert cloud.lost(threads_per_core=2).lost_threads == 2 * cloud.lost().lost_cores
    assert cloud.lost(threads_per_core=1).lost_threads == cloud.lost().lost_cores


@given(FLEETS)
def test_lost_and_remaining_cores_are_all_cores(fleet):
    both, all_cores = cloud.lost(fleet).law()
    assert both == pytest.approx(all_cores)


@given(FLEETS)
def test_no_fleet_loses_more_than_it_has(fleet):
    result = cloud.lost(fleet)
    assert 0 <= result.lost_cores <= result.all_cores
    assert 0 <= result.lost_servers <= fleet.servers


@given(FLEETS.filter(lambda f: f.loss > 1e-6))
def test_the_price_follows_back_from_the_cost(fleet):
    result = cloud.lost(fleet)
    assert cloud.price_at_which(result.usd_per_year, result.lost_cores) == pytest.approx(fleet.core_year_usd)


@pytest.mark.parametrize(("name", "value"), [("cores", 8), ("servers", 5), ("core_year_usd", 5.0), ("loss", 10.0)])
def test_bad_fleets_are_refused_in_a_sentence_that_teaches(name, value):
    with pytest.raises(ParameterError, match=rf"{name} must be .* to .*you gave {value}: "):
        cloud.lost(**{name: value})


@pytest.mark.parametrize(
    ("cost", "cores", "name"),
    [(0, 1, "cost_usd"), (1, 0, "lost_cores"), (1, float("inf"), "lost_cores"), ("a", 1, "cost_usd")],
)
def test_a_price_needs_both_figures(cost, cores, name):
    with pytest.raises(ValueError, match=f"{name} must be above 0"):
        cloud.price_at_which(cost, cores)


def test_a_fleet_prints_cores_threads_and_money():
    text = str(cloud.lost())
    assert all(part in text for part in ("6.4 million cores", "12,800,000 threads", "960 million USD"))


def test_five_and_five_per_cent_are_not_ten():
    assert cloud.efficiency(0.05, 0.05).loss == pytest.approx(0.0975)


@given(st.floats(0, 1), st.floats(0, 1))
def test_efficiency_lies_between_0_and_1_and_its_law_holds(tax, slowdown):
    result = cloud.efficiency(tax, slowdown)
    both, total = result.law()
    assert 0 <= result.efficiency <= 1
    assert both == pytest.approx(total, abs=1e-12)


@given(st.floats(0, 1), st.floats(0, 1))
def test_two_losses_are_never_more_than_their_sum_nor_less_than_the_larger(tax, slowdown):
    assert max(tax, slowdown) - 1e-12 <= cloud.efficiency(tax, slowdown).loss <= tax + slowdown + 1e-12


@pytest.mark.parametrize(
    ("tax", "slowdown", "name"),
    [(5, 0.05, "host_tax"), (0.05, -1, "slowdown"), ("a", 1, "host_tax"), (0.05, None, "slowdown")],
)
def test_efficiency_refuses_what_is_no_share(tax, slowdown, name):
    with pytest.raises(ValueError, match=f"{name} must be 0 to 1"):
        cloud.efficiency(tax, slowdown)


@pytest.mark.parametrize("result", [cloud.lost(), cloud.loss(), cloud.efficiency(0.05, 0.05), cloud.share_for(0.1)])
def test_results_show_themselves_at_the_end_of_a_cell(result):
    assert repr(result) == str(result) and "%" in repr(result)


def test_a_fleet_has_a_table_for_the_notebook():
    assert "6.4 million cores" in cloud.lost()._repr_html_()
