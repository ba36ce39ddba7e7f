"""The laws of reach against the simulator on whole references, and the reach figures against arithmetic."""
import pytest

from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError
from virtlab.memory import CPUS, Tlb, simulate, traces
from virtlab.memory import reach as law
from virtlab.memory.reuse import zipf

MIB, GIB = 1 << 20, 1 << 30
TLB = CPUS["cascade-lake"].tlbs
FULL = {"l1_entries": 64, "l1_ways": 64, "l2_entries": 0}


@pytest.mark.parametrize(("entries", "page", "bytes"), [
    (64, "4K", MIB // 4), (64, "2M", 128 * MIB), (1536, "4K", 6 * MIB), (1536, "2M", 3 * GIB), (2048, "4K", 8 * MIB),
    (2048, "2M", 4 * GIB), (16, "1G", 16 * GIB),
])  # fmt: skip
def test_reach_is_entries_times_their_size(entries, page, bytes):
    tlb = Tlb(l1_entries=4, l1_ways=4, l2_entries=entries, l2_ways=12 if entries == 1536 else 4)
    assert law.reach_bytes(tlb, page) == bytes


@pytest.mark.parametrize("replacement", ["lru", "random"])
@pytest.mark.parametrize("page", ["4K", "2M"])
@pytest.mark.parametrize("pattern", ["uniform", "zipf", "cyclic", "chase"])
@pytest.mark.parametrize("cpu", CPUS if have_numba() else ["haswell"])  # the law is the same; its simulation is slow
def test_the_law_is_what_the_simulator_counts(cpu, pattern, page, replacement):
    tlb = CPUS[cpu].tlbs[page].replace(replacement=replacement)
    for part in (0.25, 1, 1.5, 3, 20):
        size = int(law.reach_bytes(tlb, page) * part)
        counted = law.simulated(tlb, page, pattern, size, 60_000).miss_share
        said = law.miss_share(tlb, page, pattern, size)
        room = 0.06 if replacement == "random" and part == 1 else 0.02  # there it takes many rounds to settle
        assert said == pytest.approx(counted, abs=room), f"{part} of the reach"


def test_a_set_of_few_ways_makes_the_cliff_a_short_ramp():
    """One page beyond the reach: only the set that has 13 pages for 12 ways loses, and it loses all of them."""
    assert law.miss_share(TLB["4K"], "4K", "cyclic", 1536 * 4096) == 0
    assert law.miss_share(TLB["4K"], "4K", "cyclic", 1537 * 4096) == pytest.approx(13 / 1537)
    assert law.miss_share(TLB["4K"], "4K", "cyclic", (1536 + 128) * 4096) == 1


def test_fully_associative_lru_falls_off_a_cliff_one_page_beyond_its_reach():
    for pages, share in ((64, 0.0), (65, 1.0)):
        assert law.miss_share(Tlb(**FULL), "4K", "cyclic", pages * 4096) == share


def test_random_replacement_has_no_cliff():
    """One page too many: one is always absent, and the next one to be absent is as likely to be any of the others."""
    tlb = Tlb(**FULL, replacement="random")
    assert law.miss_share(tlb, "4K", "cyclic", 65 * 4096) == pytest.approx(2 / 65, abs=0.01)
    shares = [law.miss_share(tlb, "4K", "cyclic", pages * 4096) for pages in range(64, 640, 16)]
    assert all(b >= a - 0.02 for a, b in zip(shares, shares[1:], strict=False)) and shares[0] == 0 and shares[-1] == 1


def test_uniform_accesses_miss_one_minus_entries_over_pages():
    assert law.miss_share(TLB["4K"], "4K", "uniform", 24 * MIB) == pytest.approx(1 - 1536 / 6144)


def test_neighbours_share_a_larger_entry():
    """Page after page, far beyond the reach: with 4 KiB entries each access misses, with 2 MiB one in 512."""
    assert law.miss_share(TLB["2M"], "2M", "cyclic", 64 * GIB) == pytest.approx(1 / 512)
    assert law.miss_share(TLB["2M"], "2M", "chase", 64 * GIB) > 0.9


@pytest.mark.parametrize(("guest", "host"), [("2M", "4K"), ("4K", "2M"), ("1G", "4K"), ("2M", "1G")])
def test_a_side_with_huge_pages_leaves_the_misses_as_the_smaller_page_makes_them(guest, host):
    """The whole walk of both sides, with the TLBs for the smaller page: guard 6."""
    small = min(guest, host, key=("4K", "2M", "1G").index)
    trace = traces.uniform(40_000, 8 * GIB)
    mixed, both = (simulate(trace, TLB[small], guest_page=g, host_page=h) for g, h in ((guest, host), (small, small)))
    assert (mixed.l1_hits, mixed.l2_hits, mixed.misses) == (both.l1_hits, both.l2_hits, both.misses)
    assert mixed.references < both.references, "one side shortens the walk"


@pytest.mark.parametrize("pages", [1, 2, 3, 1536, 1537, 5000, 1 << 24])
def test_zipf_counts_each_page_once(pages):
    assert zipf(4096 * pages, 0.99).count.sum() == pages


def test_a_pattern_without_a_law_is_refused():
    with pytest.raises(ParameterError, match="pattern must be"):
        law.miss_share(TLB["4K"], "4K", "gups", MIB)


@pytest.mark.parametrize(("page", "size", "words"), [
    ("4k", MIB, "page must be 4K or"), ("4K", 0, "working_set_bytes must be 1 or more; you gave 0"),
    ("4K", -1, "working_set_bytes"), ("4K", float("nan"), "working_set_bytes"),
])  # fmt: skip
@pytest.mark.parametrize("pattern", ["uniform", "zipf", "cyclic", "chase"])
def test_memory_that_cannot_be_is_refused(pattern, page, size, words):
    with pytest.raises(ParameterError, match=words):
        law.miss_share(TLB["4K"], page, pattern, size)


@pytest.mark.parametrize("pattern", ["uniform", "zipf", "cyclic", "chase"])
def test_less_than_a_page_never_misses(pattern):
    assert law.miss_share(TLB["1G"], "1G", pattern, 1) == 0
