"""A host of one's own is the overhead, the fleet and the card together, and no model beside them."""

import pytest

from virtlab import cloud

near = pytest.approx


@pytest.mark.parametrize("workload", cloud.WORKLOADS)
def test_a_design_loses_what_its_host_loses_and_earns_the_difference(workload):
    found = cloud.design("huge_pages", "network_card", workload=workload)
    own = cloud.overhead(cloud.compose("huge_pages", "network_card"), workload)
    assert found.after.loss == own.loss and found.before.loss == cloud.overhead("qemu", workload).loss
    assert found.law()[0] == near(found.law()[1])
    assert found.net_usd == near(found.worth.gain_usd - found.cost_usd)


def test_without_a_card_nothing_is_paid_for_one():
    assert cloud.design("huge_pages").cost_usd == 0 and cloud.design("huge_pages").card is None
    on_card = cloud.design("storage_card", card_usd=800, card_life_years=4, usd_per_kwh=0)
    assert on_card.cost_usd == near(200) and on_card.card is not None


def test_the_baseline_itself_earns_nothing_more():
    assert cloud.design(workload="storage").net_usd == near(0, abs=1e-9)


def test_a_card_with_too_few_cores_is_said_to_be_too_few():
    found = cloud.design("network_card", card_cores=1, connection_ns=1e5)
    assert not found.card_keeps_up and "cannot follow" in str(found)
    assert cloud.design("network_card").card_keeps_up


def test_what_nobody_does_is_named():
    assert cloud.design("light_vmm", snapshot_place="nobody").given_up == ("snapshot",)


@pytest.mark.parametrize(("changes", "text"), [
    ({"host_tax_before": 0.1}, "host_tax_before is what the overheads"),
    ({"server_connections_per_s": 1e5}, "no parameter 'server_connections_per_s'"),
    ({"snapshot_place": "moon"}, "snapshot_place must be"), ({"card_usd": 0}, "card_usd must be 10 to 10,000 USD")])
def test_what_is_not_to_be_chosen_is_refused_by_its_name(changes, text):
    with pytest.raises(ValueError, match=text):
        cloud.design("network_card", **changes)
