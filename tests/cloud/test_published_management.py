"""Management beside published figures: what LVM's snapshots cost, what hosts keep back, what storage alone takes."""

import pytest

from virtlab import cloud
from virtlab.evidence import FACTS


def test_a_copied_write_on_a_disk_of_equal_accesses_is_a_lower_bound_of_what_lvm_lost():
    disk = {"device_ns": 8e6, "device_write_ns": 8e6, "snapshots_per_day": 1440, "disk_writes_per_s": 0.1}
    found = cloud.snapshots(**disk)
    assert found.first_share == pytest.approx(1, abs=1e-3), "each write is a first one"
    slower = 1 - 8e6 / found.mean_write_ns
    assert slower == pytest.approx(0.75, abs=0.01) and slower < FACTS["manage.lvm.first"].value


def test_older_published_hosts_keep_back_more_than_the_four_sources_take_and_one_with_cards_nothing():
    def kept(host):
        return 1 - FACTS[f"manage.azure.{host}.vcpus"].value / (2 * FACTS[f"manage.azure.{host}.cores"].value)

    assert kept("ddsv4") == pytest.approx(0.2308, abs=1e-4) and kept("ddsv6") == 0
    assert min(kept(h) for h in ("ddsv4", "dasv4", "dadsv5", "ddsv5", "dasv6")) > 10 * cloud.management().share
    assert "23.1 %" in str(cloud.kept_back())


def test_what_was_published_for_the_storage_stack_is_no_figure_of_management():
    assert FACTS["overhead.leapio.cores"].low > 10 * cloud.management().share
