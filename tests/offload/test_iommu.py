"""What an IOMMU costs: the published law, its modes in their order, and what each leaves open."""
import math

import pytest
from hypothesis import given, settings

from tests.strategies import settings_of
from virtlab.offload import MODES, IommuOptions, iommu

near = pytest.approx


@settings(max_examples=80)
@given(options=settings_of(IommuOptions))
def test_any_setting_obeys_conservation_and_the_law(options):
    r = iommu(options)
    assert r.law()[0] == near(r.law()[1])
    assert r.rate_gbit_per_s == near(min(options.link_gbit_per_s,
                                         8 * 4096 / (options.iommu_base_ns + r.reads * options.iommu_miss_ns)))
    assert 0 <= r.lost_share < 1 and r.stale_ns <= options.flush_ms * 1e6 * 1.001
    assert r.sentence() and str(r.table())


@settings(max_examples=60)
@given(options=settings_of(IommuOptions))
def test_without_misses_it_is_the_rate_without_an_iommu(options):
    off, free = (iommu(options, **change) for change in ({"iommu_mode": "off"}, {"iommu_miss_ns": 0.0}))
    assert free.rate_gbit_per_s == off.rate_gbit_per_s and off.reads == 0


def test_the_law_binds_at_100_gbit_per_s_from_1_33_reads_on():
    """Golden: 8 * 4096 / 100 = 327.68 ns = 65 + M * 197."""
    m = (8 * 4096 / 100 - 65) / 197
    assert m == near(1.33, abs=0.005)
    hold = {"iommu_mode": "strict", "link_gbit_per_s": 100.0}
    fits, binds = (iommu(unmap_batch_pages=b, **hold) for b in (16, 4))
    assert fits.reads < m < binds.reads and fits.lost_share == 0 < binds.lost_share


def test_4_reads_for_each_page_when_an_unmap_drops_all_levels_and_1_when_they_are_kept():
    assert iommu(iommu_mode="strict").reads == 4
    assert iommu(iommu_mode="strict", walk_caches="kept").reads == near(1, abs=0.001)
    assert iommu(iommu_mode="strict", unmap_batch_pages=64).reads == near(1 + 3 / 64, abs=0.001)


def test_strict_waits_for_each_batch_lazy_for_each_flush_and_vfio_for_none():
    each = {mode: iommu(iommu_mode=mode) for mode in MODES}
    assert each["strict"].invalidations_per_s == near(each["strict"].pages_per_s)
    assert each["lazy"].invalidations_per_s == near(each["lazy"].pages_per_s / 256)
    assert each["static"].invalidations_per_s == each["off"].invalidations_per_s == 0


def test_the_stale_window_is_lazys_alone_and_ends_with_the_queue_or_the_timer():
    assert {mode: iommu(iommu_mode=mode).stale_ns > 0 for mode in MODES} == dict.fromkeys(MODES, False) | {"lazy": True}
    lazy = iommu(iommu_mode="lazy")
    assert lazy.stale_ns == near(256 / lazy.pages_per_s * 1e9)
    slow = iommu(iommu_mode="lazy", iommu_miss_ns=2000.0, flush_entries=32_768)
    assert slow.stale_ns == 10e6 < 32_768 / slow.pages_per_s * 1e9 and not math.isinf(slow.stale_ns)


def test_a_2_mib_io_page_takes_the_wall_away():
    small, huge = (iommu(io_page=page) for page in ("4K", "2M"))
    assert small.lost_share > 0.2 and huge.lost_share == 0 and huge.reads == 0


def test_a_buffer_that_is_mapped_for_its_dma_gains_nothing_from_a_huge_io_page():
    for mode in ("lazy", "strict"):
        assert iommu(iommu_mode=mode, io_page="1G").rate_gbit_per_s == iommu(iommu_mode=mode).rate_gbit_per_s
