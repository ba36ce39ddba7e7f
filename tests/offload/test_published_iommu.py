"""The IOMMU model against published measurements. Nothing was fitted here: l0 and lm are the authors' own."""
import pytest

from virtlab.evidence import FACTS
from virtlab.offload import iommu

near = pytest.approx
AT_100 = {"iommu_mode": "strict", "link_gbit_per_s": 100.0}


def test_strict_loses_as_measured_between_caches_that_are_dropped_and_kept():
    """M50a: 20 to 65 % of 100 Gb/s. That is 1.75 to 4.4 reads a page; dropped caches give 4, kept ones 1."""
    fact = FACTS["overhead.iommu.strict"]
    assert iommu(walk_caches="kept", **AT_100).lost_share < fact.low < iommu(**AT_100).lost_share < fact.high
    loss = [iommu(unmap_batch_pages=b, **AT_100).lost_share for b in (1, 2, 3)]
    assert all(fact.low < share < fact.high for share in loss), "so do small batches"


def test_the_worst_measured_loss_is_within_the_accuracy_of_the_law():
    """65 % is 35 Gb/s: the model's 38.4 with every level read is within the 10 % that the authors state."""
    measured = 100 * (1 - FACTS["overhead.iommu.strict"].high)
    assert iommu(**AT_100).rate_gbit_per_s == near(measured, rel=FACTS["iommu.m50.accuracy"].value)


def test_fast_and_safe_makes_misses_cheaper_and_not_fewer():
    """M50d: at most 0.054 reads above the last level, and the loss is gone: one miss a page stays."""
    stock, remedy = iommu(**AT_100), iommu(walk_caches="kept", **AT_100)
    assert remedy.misses == stock.misses == 1
    assert 0 <= remedy.reads - 1 <= FACTS["iommu.m50.fands.l3"].high and remedy.lost_share == 0


@pytest.mark.parametrize("pool", [512, 4096, 65_536])
def test_the_wall_at_200_gbit_per_s_and_huge_pages_that_take_it_away(pool):
    """M51: up to 20 % on other CPUs (160 Gb/s). With the constants of M50's Xeon, one miss a page leaves 125 Gb/s.

    The model is 1.3 times too slow there: their miss is cheaper (a miss of 140 ns would be 160 Gb/s), and not every
    buffer misses. Huge pages recover all of it in both.
    """
    wall = 200 * (1 - FACTS["overhead.iotlb.wall"].value)
    small = iommu(pool_buffers=pool)
    assert small.rate_gbit_per_s < wall < 1.35 * small.rate_gbit_per_s
    assert iommu(pool_buffers=pool, io_page="2M").lost_share == 0


def test_the_published_wall_is_reached_with_at_most_0_71_misses_a_page():
    """M51's worst case lies where random reuse of a pool of some 3.4 times the IOTLB does, under M50's law."""
    loss = {pool: iommu(pool_buffers=pool, recycling="random", dma_queues=1).lost_share for pool in (60, 128, 256, 512)}
    assert loss[60] < 0.02 and loss[128] < FACTS["overhead.iotlb.wall"].value < loss[512]
