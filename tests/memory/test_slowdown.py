"""The slowdown: its laws, what each parameter can do, and where the time of a walk comes from."""
import pytest
from hypothesis import HealthCheck, given, settings

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.memory.cpus import CPUS
from virtlab.memory.slowdown import Workload, overlapping, slowdown

GIB = 1 << 30
near = pytest.approx
few = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@few
@given(settings_of(Workload))
def test_any_workload_has_finite_times_and_keeps_its_laws(setting):
    result = slowdown(setting)
    for side in (result.native, result.virtual):
        assert 0 < side.total_ns < 1e9
        assert side.work_ns + side.data_ns + side.translation_ns == near(side.total_ns)
        assert min(side.work_ns, side.data_ns) > 0 and side.translation_ns >= -1e-9
        assert 0 <= side.walk_share <= 1
        assert sum(r.per_access * r.cycles for r in side.reads[1:]) * side.tlb.accesses == near(
            side.walk_cycles * side.tlb.walks), "the reads of all walks are the walks' cycles"  # fmt: skip
        for read in side.reads:
            assert sum(read.found_in) == near(1), f"{read.name} is found in one place each time"
            caches = CPUS[setting.cpu].caches
            assert caches[0].cycles - 1e-9 <= read.cycles <= CPUS[setting.cpu].memory_cycles("remote") + 1e-9
    assert result.loss == near(1 - result.native_ns / result.virtual_ns)


@few
@given(settings_of(Workload, data_node="local", host_table_node="local", guest_table_node="local"))
def test_a_guest_is_never_faster_by_more_than_the_noise_of_a_trace(setting):
    """Its walk reads what the bare machine reads, and the host's entries besides."""
    assert slowdown(setting).ratio > 0.97


@pytest.mark.parametrize("pattern", ["uniform", "zipf", "gups", "chase"])
def test_huge_pages_on_both_sides_beat_one_side_and_one_side_beats_none(pattern):
    def time(guest, host):
        return slowdown(pattern=pattern, working_set_bytes=16 * GIB, guest_page=guest, host_page=host).virtual_ns

    none, guest, host, both = time("4K", "4K"), time("2M", "4K"), time("4K", "2M"), time("2M", "2M")
    assert both < min(guest, host) and max(guest, host) < none


def test_a_working_set_within_reach_costs_no_walk():
    result = slowdown(working_set_bytes=4 << 20)
    assert result.native.misses_per_access == result.virtual.misses_per_access == 0
    assert result.ratio == near(1, abs=0.01)


def test_uniform_misses_follow_the_law():
    """1 - E / W, with E the entries of both TLBs together at most."""
    share = slowdown(working_set_bytes=64 << 20).virtual.misses_per_access
    assert 1 - (1536 + 64) / 16384 - 0.01 < share < 1 - 1536 / 16384 + 0.01


def test_what_separates_programs_is_where_entries_are_found_and_not_their_number():
    """Without walk caches both walks read 24 entries; 1 GiB has its tables in the caches, 256 GiB in memory."""
    small, large = (slowdown(working_set_bytes=size, nested_walk_caches="none").virtual for size in (GIB, 256 * GIB))
    assert large.tlb.references_per_walk == small.tlb.references_per_walk == 24
    assert large.walk_cycles > 2.5 * small.walk_cycles
    leaf = {side: next(r for r in side.reads if r.name == "gPTE") for side in (small, large)}
    assert leaf[small].table_bytes == 2 << 20 and leaf[small].found_in[-1] < 0.05
    assert leaf[large].table_bytes == 512 << 20 and leaf[large].found_in[-1] > 0.9


@pytest.mark.parametrize("where", ["data", "guest_table", "host_table"])
def test_a_remote_node_costs_what_is_read_there(where):
    base = slowdown(working_set_bytes=64 * GIB)
    moved = slowdown(working_set_bytes=64 * GIB, **{f"{where}_node": "remote"})
    side = {"data": "data", "guest_table": "guest", "host_table": "host"}[where]
    assert moved.virtual.cycles_of(side) > base.virtual.cycles_of(side)
    for other in {"data", "guest", "host"} - {side}:
        assert moved.virtual.cycles_of(other) == near(base.virtual.cycles_of(other))
    assert moved.virtual_ns > base.virtual_ns - 1e-9
    if where == "host_table":
        assert moved.native_ns == near(base.native_ns), "bare metal has no host's tables"


def test_the_two_tables_of_the_same_memory_cost_the_same_when_moved():
    guest, host = (slowdown(working_set_bytes=64 * GIB, **{f"{t}_table_node": "remote"}) for t in ("guest", "host"))
    assert guest.virtual_ns == near(host.virtual_ns, rel=0.02)


def test_a_chain_of_addresses_overlaps_nothing():
    assert overlapping(Workload(pattern="chase")) == 1
    assert overlapping(Workload(accesses_per_instruction=0.0001)) == 1, "one access in the window"
    assert overlapping(Workload(accesses_per_instruction=1.0)) == CPUS["cascade-lake"].fill_buffers


def test_walkers_limit_what_fill_buffers_would_allow():
    """64 GiB at random: the time of an access is the walk's latency over the walkers, and the instructions."""
    side = slowdown(working_set_bytes=64 * GIB, accesses_per_instruction=0.1).virtual
    cpu = CPUS["cascade-lake"]
    walk_ns = side.walk_cycles * side.misses_per_access / cpu.clock_ghz
    assert side.total_ns == near(side.work_ns + walk_ns / cpu.walkers, rel=0.01)
    assert side.walk_share > 0.95


def test_more_instructions_between_accesses_hide_the_loss():
    ratios = [slowdown(working_set_bytes=16 * GIB, accesses_per_instruction=a).ratio for a in (0.3, 0.03, 0.003)]
    assert ratios == sorted(ratios, reverse=True)


def test_five_levels_cost_little_more_when_upper_entries_are_cached():
    four, five = (slowdown(working_set_bytes=16 * GIB, guest_levels=n, host_levels=n) for n in (4, 5))
    assert five.virtual_ns == near(four.virtual_ns, rel=0.05)


def test_fewer_walk_caches_leave_more_to_read():
    reads = [slowdown(working_set_bytes=16 * GIB, nested_walk_caches=c).virtual for c in ("all", "combined", "none")]
    assert [r.tlb.references_per_walk for r in reads] == sorted(r.tlb.references_per_walk for r in reads)
    assert [r.walk_cycles for r in reads] == sorted(r.walk_cycles for r in reads)


@pytest.mark.parametrize("changes", [
    {"working_set_bytes": 1}, {"pattern": "recorded"}, {"accesses_per_instruction": 0.0}, {"cpu": "8086"},
    {"data_node": "moon"}, {"guest_page": "2m"},
])  # fmt: skip
def test_what_is_out_of_range_is_refused_with_its_name(changes):
    with pytest.raises(ParameterError, match=next(iter(changes))):
        slowdown(**changes)


def test_the_same_workload_gives_the_same_numbers():
    one, two = slowdown(pattern="zipf"), slowdown(pattern="zipf")
    assert (one.native, one.virtual) == (two.native, two.virtual)


def test_a_result_prints_both_sides():
    text = str(slowdown())
    assert "bare metal" in text and "guest" in text and "times" in text


def test_each_cpu_is_made_of_facts():
    for name, cpu in CPUS.items():
        assert cpu.name == name and len(cpu.facts) > 20
        assert [c.bytes for c in cpu.caches] == sorted(c.bytes for c in cpu.caches)
        assert [c.cycles for c in cpu.caches] == sorted(c.cycles for c in cpu.caches)
        assert cpu.caches[-1].cycles < cpu.memory_cycles("local") < cpu.memory_cycles("remote")
    with pytest.raises(KeyError, match="there is no CPU"):
        CPUS["8086"]
