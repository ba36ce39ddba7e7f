"""What an IOMMU protects: nothing outside a device's domain is ever reached, and what an unmap without flush leaves."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.core.parameter import ParameterError
from virtlab.offload import Domains, Fault

PAGE = 4096
pages = st.integers(0, 15)
maps = st.dictionaries(st.tuples(st.sampled_from(["a", "b"]), pages), st.tuples(pages, st.booleans()), max_size=20)


def iommu_of(found, **options):
    iommu = Domains(**options)
    for device in ("a", "b"):
        iommu.attach(f"card {device}", device)
    for (domain, page), (frame, writable) in found.items():
        iommu.map(domain, page * PAGE, frame * PAGE, writable=writable)
    return iommu


@given(found=maps, device=st.sampled_from(["a", "b", "c"]), page=pages, offset=st.integers(0, PAGE - 1), write=...)
def test_a_dma_arrives_exactly_where_its_own_domain_maps_it(found, device, page, offset, write: bool):
    got = iommu_of(found).dma(f"card {device}", page * PAGE + offset, write)
    if device == "c":
        assert got.reason == "no_context"
    elif (device, page) not in found:
        assert got.reason == "not_mapped"
    elif write and not found[device, page][1]:
        assert got.reason == "read_only"
    else:
        assert got == found[device, page][0] * PAGE + offset


@given(found=maps, uses=st.lists(st.tuples(st.sampled_from(["a", "b"]), pages)), data=st.data())
def test_strict_never_leaves_anything_stale_and_lazy_only_until_the_flush(found, uses, data):
    gone = data.draw(st.lists(st.sampled_from(sorted(found)), unique=True)) if found else []
    for strict in (True, False):
        iommu = iommu_of(found, strict=strict)
        for device, page in uses:
            iommu.dma(f"card {device}", page * PAGE)
        for domain, page in gone:
            iommu.unmap(domain, page * PAGE)
        used = sorted((d, p * PAGE) for d, p in set(uses) & set(gone))
        assert iommu.stale() == ([] if strict else used)
        for domain, address in iommu.stale():
            assert iommu.dma(f"card {domain}", address) == found[domain, address // PAGE][0] * PAGE, "it still arrives"
        iommu.flush()
        assert iommu.stale() == []
        assert all(isinstance(iommu.dma(f"card {d}", p * PAGE), Fault) for d, p in gone)


def test_a_full_flush_queue_and_a_timer_flush():
    for flushed_by in ("queue", "timer"):
        iommu = iommu_of({("a", n): (n, True) for n in range(4)}, strict=False, flush_entries=4, flush_ns=100.0)
        for n in range(4):
            iommu.dma("card a", n * PAGE)
        for n in range(3):
            iommu.unmap("a", n * PAGE)
        assert len(iommu.stale()) == 3 and iommu.invalidations == 0
        iommu.wait(99.0)
        assert len(iommu.stale()) == 3
        if flushed_by == "queue":
            iommu.unmap("a", 3 * PAGE)
        else:
            iommu.wait(1.0)
        assert iommu.stale() == [] and iommu.invalidations == 1, "one invalidation for all"


def test_an_iova_is_not_free_until_its_flush():
    iommu = iommu_of({("a", 1): (1, True)}, strict=False)
    iommu.unmap("a", PAGE)
    with pytest.raises(ParameterError, match="waits for its flush"):
        iommu.map("a", PAGE, 5 * PAGE)
    iommu.flush()
    iommu.map("a", PAGE, 5 * PAGE)


def test_a_device_that_may_translate_by_itself_reaches_everything():
    iommu = Domains()
    iommu.attach("honest", "a")
    iommu.attach("trusted", "a", ats=True)
    assert iommu.translated_dma("honest", 0x1234).reason == "no_translated"
    assert iommu.translated_dma("trusted", 0x1234) == 0x1234, "no table was asked: this is what ATS trusts it with"


def test_each_process_of_a_device_has_its_own_table_and_a_pasid_has_20_bits():
    iommu = Domains()
    for pasid, frame in ((1, 7), (2, 9)):
        iommu.attach("card", f"process {pasid}", pasid=pasid)
        iommu.map(f"process {pasid}", 0, frame * PAGE)
    assert [iommu.dma("card", 5, pasid=n) for n in (1, 2)] == [7 * PAGE + 5, 9 * PAGE + 5]
    assert iommu.dma("card", 5).reason == "no_context"
    iommu.attach("card", "last", pasid=(1 << 20) - 1)
    with pytest.raises(ParameterError, match="it has 20 bits"):
        iommu.attach("card", "none", pasid=1 << 20)


def test_an_interrupt_is_the_tables_and_only_for_the_device_that_it_belongs_to():
    iommu = Domains()
    iommu.allow_interrupt(3, "card", vector=0x41)
    assert iommu.interrupt("card", 3, vector=0x80) == 0x41, "the device does not choose the vector"
    assert iommu.interrupt("other", 3, vector=0x80).reason == "not_yours"
    assert iommu.interrupt("card", 4, vector=0x80).reason == "no_entry"
    assert Domains(remap_interrupts=False).interrupt("other", 3, vector=0x80) == 0x80, "any vector is injected"


@pytest.mark.parametrize("wrong, why", [
    (lambda d: d.map("a", 1, 0), "multiple of 4,096"),
    (lambda d: d.map("a", 1 << 48, 0), "below 2\\*\\*48"),
    (lambda d: d.map("z", 0, 0), "attach a device"),
    (lambda d: d.unmap("a", 0), "not mapped"),
    (lambda d: d.dma("card a", -1), "below 2\\*\\*48"),
    (lambda d: d.allow_interrupt(65_536, "a", 1), "65,535"),
    (lambda d: d.wait(-1), "one direction"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_the_reason(wrong, why):
    with pytest.raises(ParameterError, match=why):
        wrong(iommu_of({}))


def test_a_page_cannot_be_mapped_twice():
    with pytest.raises(ParameterError, match="mapped already"):
        iommu_of({("a", 1): (1, True)}).map("a", 0, 0, pages=2)


def test_a_fault_says_who_wanted_what():
    assert "card a wanted 0x5000: its domain does not map it" in iommu_of({}).dma("card a", 5 * PAGE).sentence()
