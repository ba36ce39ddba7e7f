"""Noisy neighbours: laws, limits and theorems of the steady state, closed forms of the queue, what remedies remove."""

from __future__ import annotations

import math
import random
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.strategies import values_of
from virtlab.core.parameter import ParameterError
from virtlab.cpu import NEIGHBOUR_REMEDIES, NeighbourOptions, neighbour_remedies, neighbours
from virtlab.cpu.contention import Contention, Host, Scene, Tenant
from virtlab.cpu.neighbour_options import SLOWING
from virtlab.cpu.request_kernel import woken_fifo_kernel
from virtlab.cpu.request_tail import Episodes, Wait, request_tail
from virtlab.cpu.shared_cache import LINE_BYTES, Part, Reuse, lifetime
from virtlab.memory.residence import Stream, found
from virtlab.paths.queueing import fifo

MIB = 2**20
QUIET = Episodes(0.0, 1.0, 1.0)
BUSY = {"dma_share": 0.0, "smt_sibling": "idle", "vcpu_wait_share": 0.0, "host_wait_share": 0.0}


@st.composite
def hosts(draw, **fixed):
    """Any allowed host: what depends on another parameter is cut to what that one leaves."""
    values = {name: draw(values_of(spec)) for name, spec in NeighbourOptions.specs().items()} | fixed
    values["neighbour_vcpus"] = min(values["neighbour_vcpus"], values["socket_cores"] * values["threads_per_core"] - 1)
    values["victim_ways"] = min(values["victim_ways"], values["cache_ways"] - 1)
    values["reserved_cores"] = min(values["reserved_cores"], values["socket_cores"] - 1)
    return NeighbourOptions(**values)


# ------------------------------------------------- the cache

def lru_hits(tenants, cache_lines, references=120_000):
    """A plain LRU cache, reference by reference: the share of hits of each tenant, after a warm-up."""
    rng, cache, seen = random.Random(1), OrderedDict(), [[0, 0] for _ in tenants]
    fresh, rates = iter(range(10**9)), [rate for *_, rate in tenants]
    ranks = [[k ** -zipf for k in range(1, lines + 1)] for lines, zipf, _, _ in tenants]
    picks = [iter(rng.choices(range(len(r)), r, k=references)) for r in ranks]
    for n, who in enumerate(rng.choices(range(len(tenants)), rates, k=references)):
        streams = rng.random() < tenants[who][2]
        line = ("new", next(fresh)) if streams else (who, next(picks[who]))
        if n > references // 4:
            seen[who][0] += line in cache
            seen[who][1] += 1
        cache[line] = True
        cache.move_to_end(line)
        if len(cache) > cache_lines:
            cache.popitem(last=False)
    return [hit / all_ for hit, all_ in seen]


@pytest.mark.parametrize("tenants", [
    [(400, 0.8, 0.0, 1.0), (600, 0.0, 0.5, 3.0)], [(300, 0.0, 0.1, 2.0), (2000, 1.0, 0.0, 1.0)],
    [(500, 1.2, 0.02, 1.0), (500, 1.2, 0.02, 1.0)]])  # fmt: skip
def test_the_characteristic_time_gives_the_hits_of_a_simulated_lru_cache(tenants):
    parts = [Part(Reuse.of(lines, zipf, stream), 1, np.array([rate])) for lines, zipf, stream, rate in tenants]
    kept = lifetime(parts, np.array([500.0]))
    model = [1 - float(part.reuse.missed(part.rate * kept)[0]) for part in parts]
    assert model == pytest.approx(lru_hits(tenants, 500), abs=0.015)


@given(st.integers(100, 10**5), st.floats(0.05, 0.95), st.floats(0.1, 10))
def test_uniform_tenants_hit_as_in_the_memory_rooms_model_of_the_same_cache(lines, size, rate):
    """Two rooms, one theory, written twice: residence.py counts in accesses of a program."""
    total = 2 * lines * size
    parts = [Part(Reuse.of(lines, 0, 0), 1, np.array([r])) for r in (1.0, rate)]
    kept = lifetime(parts, np.array([total]))
    ours = [1 - float(part.reuse.missed(part.rate * kept)[0]) for part in parts]
    theirs = found([Stream.of(r, 1.0, lines / r) for r in (1.0, rate)], [total * LINE_BYTES])[:, 0]
    assert ours == pytest.approx(list(theirs), abs=1e-6)


@given(st.integers(1, 10**7), st.floats(0, 2), st.floats(0, 1))
def test_the_probabilities_of_the_lines_add_up_to_1_and_fall_with_their_rank(lines, zipf, stream):
    reuse = Reuse.of(lines, zipf, stream)
    assert (reuse.count * reuse.chance).sum() == pytest.approx(1) and reuse.lines == pytest.approx(lines)
    assert (np.diff(reuse.chance) <= 1e-15).all()


def test_the_groups_of_lines_stand_for_each_line_of_a_zipf_law():
    exact = np.arange(1, 50_001.0) ** -0.9
    exact /= exact.sum()
    reuse, time = Reuse.of(50_000, 0.9, 0.0), np.array([200.0, 3e4, 4e5])
    each = (1 - np.exp(-time[:, None] * exact)).sum(axis=1)
    assert reuse.kept(time) == pytest.approx(each, rel=0.005)


# ------------------------------------------------- laws of the whole, at any setting

def _steady(o):
    """The steady state without the requests."""
    scene = o.scene(SLOWING)
    return o.contention(), scene, o.contention().solve([scene])[0]


@settings(deadline=None, max_examples=25)
@given(hosts())
def test_laws_hold_at_every_setting(options):
    result = neighbours(options)
    kept, room = result.law()
    assert kept == pytest.approx(room, rel=1e-6)
    moved, used = result.bandwidth_law()
    assert moved == pytest.approx(used, rel=1e-6)
    assert moved < options.memory_gbyte_per_s
    product, slowdown = result.product_law()
    assert product == pytest.approx(slowdown, rel=1e-9)
    assert 0 <= result.victim.hit_share <= 1 and result.idle_bytes >= -1
    assert str(result) and str(result.lots()) and result.sentence().count(".") > 0


@settings(deadline=None, max_examples=25)
@given(hosts())
def test_no_neighbour_makes_a_victim_faster(options):
    """A theorem: were it faster, it would miss at a higher rate, so that memory would be slower, and itself too."""
    result = neighbours(options)
    assert result.slowdown >= 1 - 1e-9
    assert all(left >= 1 - 1e-9 for left in result.without.values())


@settings(deadline=None, max_examples=25)
@given(hosts())
def test_outstanding_references_never_exceed_what_a_tenant_may_have(options):
    """Little's law, for victim and neighbour: rate times latency, hits and misses together."""
    contention, scene, found_ = _steady(options)
    for speed, mlp in ((found_.victim, options.victim_mlp), (found_.neighbour, options.neighbour_mlp * scene.throttle)):
        waits = speed.missed * speed.latency_ns + (1 - speed.missed) * contention.host.cache_ns
        assert waits / speed.access_ns <= mlp * (1 + 1e-9)


@settings(deadline=None, max_examples=25)
@given(hosts(cat=False))
def test_the_answer_solves_its_own_equations(options):
    """A cache that is given the rates of the answer makes tenants miss as in the answer; and so does the memory."""
    assume(options.neighbour_vcpus)
    contention, scene, found_ = _steady(options)
    victim, neighbour = contention.victim, contention.neighbour
    parts = (Part(victim.reuse, 1, np.array([1 / found_.victim.access_ns])),
             Part(neighbour.reuse, contention.count, np.array([1 / found_.neighbour.access_ns])))  # fmt: skip
    time_ns = lifetime(parts, np.array([contention.host.cache_lines]))
    for part, speed in zip(parts, (found_.victim, found_.neighbour), strict=True):
        assert float(part.reuse.missed(part.rate * time_ns)[0]) == pytest.approx(speed.missed, abs=1e-6)
    latency = contention.host.latency_ns(found_.utilization)
    assert found_.victim.latency_ns == pytest.approx(latency, rel=1e-6) == pytest.approx(found_.neighbour.latency_ns)
    stall = contention.host.cache_ns + found_.victim.missed * (latency - contention.host.cache_ns)
    assert found_.victim.access_ns == pytest.approx(victim.compute_ns * scene.core + stall / victim.mlp, rel=1e-6)


# ------------------------------------------------- limits

@settings(deadline=None, max_examples=15)
@given(hosts(neighbour_vcpus=0, cat=False))
def test_without_neighbours_the_slowdown_is_exactly_1(options):
    result = neighbours(options)
    assert result.slowdown == 1 and set(result.factors.values()) == {1} and result.neighbour_speed == 1
    if options.reservation or options.offload or not options.host_wait_share or not options.host_wait_ns:
        assert result.tail == result.quiet


def test_neighbours_that_hardly_refer_to_memory_are_hardly_felt():
    """They are felt for long: what streams slowly fills an LRU cache all the same."""
    quieter = [neighbours(neighbour_compute_ns=ns, **BUSY).slowdown - 1 for ns in (2.0, 200.0, 20_000.0, 100_000.0)]
    assert quieter == sorted(quieter, reverse=True) and quieter[0] > 0.5 and quieter[-1] < 0.01


def test_an_endless_memory_leaves_no_cause_but_the_cache():
    factors = neighbours(memory_gbyte_per_s=2_000.0, memory_banks=1, **BUSY).factors
    assert factors["bandwidth"] == pytest.approx(1, abs=1e-3) and factors["cache"] > 1.2


def test_a_victim_that_never_reuses_a_line_loses_nothing_by_the_cache():
    factors = neighbours(victim_stream_share=1.0).factors
    assert factors["cache"] == pytest.approx(1, abs=1e-4)  # the neighbours' misses change a little
    assert factors["bandwidth"] > 1.02


def test_a_victim_that_only_computes_feels_the_sibling_alone():
    """Two threads get the work of 1.3: each is 2 / 1.3 times slower."""
    result = neighbours(victim_compute_ns=100_000.0)
    assert result.slowdown == pytest.approx(2 / 1.3, rel=1e-2)
    assert result.factors["smt"] == pytest.approx(2 / 1.3, rel=1e-3)


@pytest.mark.parametrize("change", [{"threads_per_core": 1}, {"smt_sibling": "own"}, {"smt_sibling": "idle"}, {
    "own_core": True}, {"smt_yield": 2.0}])  # fmt: skip
def test_no_sibling_of_others_no_cause(change):
    """One thread a core; core scheduling; nobody there; a core sold whole; or a sibling that is a core of its own."""
    assert neighbours(**change).factors["smt"] == pytest.approx(1, abs=1e-12)
    assert neighbours().factors["smt"] > 1.2


def test_the_victims_own_sibling_makes_it_slower_but_that_is_no_neighbours_doing():
    own, idle = (neighbours(smt_sibling=who) for who in ("own", "idle"))
    assert own.alone.access_ns > 1.3 * idle.alone.access_ns


# ------------------------------------------------- the memory

def _streamers(count, compute_ns=0.5, mlp=10, peak=100.0, banks=64):
    host = Host(16, 1, 80, peak, banks)
    streamer = Tenant(Reuse.of(1, 0, 1.0), compute_ns, mlp)
    return host, Contention(host, streamer, streamer, count).solve([Scene(1, True, True, 0)])[0]


def test_many_streams_come_up_to_the_peak_and_never_over_it():
    used = [_streamers(count)[1].utilization for count in (1, 3, 9, 27, 250)]
    assert used == sorted(used) and used[-1] < 1 and used[-1] > 0.98
    assert used[0] == pytest.approx(2 * 10 * 64 / 85 / 100, rel=0.05)  # two streams: all of it is their own latency


def test_when_memory_is_full_latency_is_what_is_outstanding_over_the_peak():
    """Little's law: 251 tenants with ten lines each, at 100 bytes a ns."""
    host, outcome = _streamers(250)
    assert outcome.victim.latency_ns == pytest.approx(251 * 10 * 64 / 100, rel=0.03)


def test_equal_tenants_get_equal_shares():
    outcome = _streamers(1)[1]
    assert outcome.victim == outcome.neighbour


@given(st.floats(0.01, 0.99))
def test_a_line_waits_as_in_an_m_d_1_queue_of_its_bank(used):
    host = Host(16, 1, 80, 128.0, 32)
    bank_ns = 32 * 64 / 128
    assert host.latency_ns(used) == pytest.approx(80 + used * bank_ns / (2 * (1 - used)))


# ------------------------------------------------- cache partition, throttle, devices: theorems



@settings(deadline=None, max_examples=25)
@given(hosts(cat=True, victim_stream_share=0.0))
def test_in_a_partition_that_holds_its_working_set_a_victim_hits_whatever_the_neighbours_do(options):
    own = options.cache_bytes * options.victim_ways / options.cache_ways
    result = neighbours(options.replace(victim_bytes=max(2**12, int(own))))
    assume(result.options.victim_bytes <= own)
    assert result.victim.hit_share == 1 and result.factors["cache"] == pytest.approx(1, abs=1e-9)


@settings(deadline=None, max_examples=15)
@given(hosts(cat=True, socket_cores=16), st.integers(0, 15), st.floats(0.5, 1e5))
def test_in_a_partition_hits_do_not_depend_on_the_neighbours(options, vcpus, compute_ns):
    other = options.replace(neighbour_vcpus=vcpus, neighbour_compute_ns=compute_ns)
    assert neighbours(options).victim.hit_share == pytest.approx(neighbours(other).victim.hit_share, abs=1e-12)


@settings(deadline=None, max_examples=15)
@given(hosts(cat=True, cache_ways=20), st.integers(1, 19), st.integers(1, 19))
def test_more_ways_never_mean_fewer_hits(options, a, b):
    few, many = (neighbours(options.replace(victim_ways=ways)).victim.hit_share for ways in sorted((a, b)))
    assert many >= few - 1e-9


@settings(deadline=None, max_examples=15)
@given(hosts(cat=True), st.floats(0, 0.9), st.floats(0, 0.9))
def test_in_a_partition_more_dma_never_makes_a_victim_faster(options, a, b):
    less, more = (neighbours(options.replace(dma_share=share)).slowdown for share in sorted((a, b)))
    assert more >= less * (1 - 1e-9)


@settings(deadline=None, max_examples=15)
@given(hosts(cat=True, mba=True), st.floats(0.1, 1), st.floats(0.1, 1))
def test_in_a_partition_a_stronger_throttle_helps_the_victim_and_costs_the_neighbours(options, a, b):
    strong, weak = (neighbours(options.replace(mba_share=share)) for share in sorted((a, b)))
    assert strong.slowdown <= weak.slowdown * (1 + 1e-9)
    assert strong.neighbour_speed <= weak.neighbour_speed * (1 + 1e-9)


def test_a_partition_too_small_costs_even_a_victim_that_is_alone():
    alone = neighbours(neighbour_vcpus=0, cat=True, victim_ways=1)
    assert alone.slowdown > 1.05 and alone.factors["cache"] == pytest.approx(alone.slowdown)


def test_masks_are_contiguous_and_share_no_way():
    assert NeighbourOptions(cat=True, victim_ways=4).masks == (0x00F, 0x7F0)
    assert NeighbourOptions(cat=True, victim_ways=6, cache_ways=16).masks == (0x003F, 0xFFC0)
    assert NeighbourOptions().masks == (0x7FF, 0x7FF)


# ------------------------------------------------- decomposition

def test_factors_do_not_depend_on_an_order_and_an_idle_cause_has_the_factor_1():
    factors = neighbours(dma_share=0.0).factors
    assert factors["dma"] == 1 and all(f > 1.05 for cause, f in factors.items() if cause != "dma")


def test_shapley_lies_between_a_cause_alone_and_the_last_straw():
    result = neighbours()
    cache = frozenset({"cache"})
    alone, last = result.slowdowns[cache], result.slowdown / result.without["cache"]
    assert min(alone, last) < result.factors["cache"] < max(alone, last)


# ------------------------------------------------- requests

def quantile(p, service_ns, load):
    """Of the time in an M/M/1 queue."""
    return -math.log(1 - p) * service_ns / (1 - load)


def test_a_victim_alone_is_an_m_m_1_queue():
    tail = request_tail(0.4, 50_000.0, QUIET)
    for measured, p, within in ((tail.p50_ns, 0.5, 0.03), (tail.p99_ns, 0.99, 0.05), (tail.p999_ns, 0.999, 0.1)):
        assert measured == pytest.approx(quantile(p, 50_000, 0.4), rel=within)


def test_long_episodes_mix_two_queues():
    """A share a of the time the service takes s times longer: the tail is the mean of two exponentials."""
    a, s, load, ns = 0.2, 1.8, 0.3, 10_000.0
    tail = request_tail(load, ns, Episodes(a, 40e6, s))
    for measured, p in ((tail.p50_ns, 0.5), (tail.p99_ns, 0.99), (tail.p999_ns, 0.999)):
        beyond = (1 - a) * math.exp(-measured * (1 - load) / ns) + a * math.exp(-measured * (1 / s - load) / ns)
        assert beyond == pytest.approx(1 - p, rel=0.35)


def test_a_wake_up_delay_adds_as_welchs_formula_for_the_first_of_a_busy_period_says():
    """Welch 1964: wait = M/G/1 + (2 E[B] + lambda E[B^2]) / (2 (1 + lambda E[B]))."""
    load, ns, share, longest = 0.3, 50_000.0, 0.4, 400_000.0
    rate, first, square = load / ns, share * longest / 2, share * longest**2 / 3
    mean = ns / (1 - load) + (2 * first + rate * square) / (2 * (1 + rate * first))
    means = [request_tail(load, ns, QUIET, (Wait(share, longest),), seed).mean_ns for seed in range(8)]
    assert np.mean(means) == pytest.approx(mean, rel=0.02)


def test_without_waits_the_kernel_is_lindleys_recursion():
    rng = np.random.default_rng(3)
    arrivals, works, out = rng.random(500).cumsum(), rng.random(500), np.empty(500)
    woken_fifo_kernel(arrivals, arrivals, works, out)
    np.testing.assert_allclose(out, fifo(arrivals, works), rtol=1e-12)


def test_the_kernel_gives_the_same_without_numba():
    rng = np.random.default_rng(4)
    arrivals, works = rng.random(200).cumsum(), rng.random(200)
    first, second = np.empty(200), np.empty(200)
    woken_fifo_kernel(arrivals, arrivals + works, works, first)
    woken_fifo_kernel.interpret(arrivals, arrivals + works, works, second)
    assert first.tolist() == second.tolist()


@given(st.floats(0, 1), st.floats(1, 1e6), st.floats(1, 50), st.floats(0, 1e9))
def test_the_servers_own_time_and_the_clock_are_inverse(share, length, slowdown, time):
    episodes, at = Episodes(share, length, slowdown), np.array([time])
    assert episodes.clock(episodes.work(at))[0] == pytest.approx(time, rel=1e-6, abs=1e-3 * length)
    assert episodes.work(at)[0] <= time * (1 + 1e-12)


def test_a_server_too_slow_in_the_long_run_has_no_percentiles():
    full = neighbours(load=0.9, active_share=1.0)
    assert full.tail.p50_ns == math.inf and full.tail.utilization > 1
    assert "without end" in full.sentence()


def test_an_overload_that_ends_in_time_shows_in_the_tail_and_not_in_the_middle():
    """In the episodes the load is 1.2, on average 0.66: half of the requests know nothing of it."""
    short = request_tail(0.6, 50_000.0, Episodes(0.05, 20e6, 2.0))
    quiet = request_tail(0.6, 50_000.0, QUIET)
    assert short.p50_ns < 1.2 * quiet.p50_ns and short.p999_ns > 3 * quiet.p999_ns


@given(st.floats(0.05, 0.9), st.floats(0, 1), st.floats(1, 5), st.floats(1, 5))
@settings(deadline=None, max_examples=30)
def test_a_slower_server_never_has_a_shorter_percentile(load, share, a, b):
    """Request by request, for the requests are the same."""
    fast, slow = (request_tail(load, 1e4, Episodes(share, 5e6, s)) for s in sorted((a, b)))
    assert fast.p99_ns <= slow.p99_ns * (1 + 1e-9) and fast.mean_ns <= slow.mean_ns * (1 + 1e-9)


# ------------------------------------------------- remedies

def removed(table):
    return {remedy: {cause for cause, part in table.left(remedy).items() if part == 0} for remedy in NEIGHBOUR_REMEDIES}


def test_each_remedy_removes_its_own_cause_and_no_other():
    table = neighbour_remedies(victim_stream_share=0.0)
    assert removed(table) == {
        "own_cpu": {"vcpu_wait"}, "reservation": {"host_wait"}, "offload": {"host_wait"}, "own_core": {"smt"},
        "cat": {"cache", "bandwidth", "dma"}, "mba": set(),
    }  # fmt: skip


def test_a_victim_that_streams_keeps_its_part_of_bandwidth_and_dma_under_a_partition():
    """Nothing that streams is made free by ways of its own."""
    left = neighbour_remedies().left("cat")
    assert left["cache"] < 0.01 and 0 < left["bandwidth"] < 0.2 and 0 < left["dma"] < 0.2


def test_offload_leaves_the_cards_dma_where_it_was():
    left = neighbour_remedies().left("offload")
    assert left["host_wait"] == 0 and left["dma"] == 1 and left["bandwidth"] == 1


def test_a_throttle_leaves_some_of_cache_and_bandwidth_and_takes_the_neighbours_speed():
    table = neighbour_remedies()
    left = table.left("mba")
    assert 0 < left["bandwidth"] < 1 and 0 < left["cache"] < 1
    assert table.each["mba"].neighbour_speed < 0.7 and table.each["own_cpu"].neighbour_speed == 1


def test_removing_one_cause_makes_another_count_more():
    """The sibling is a larger part of what is left when the cache has been partitioned."""
    assert neighbour_remedies().left("cat")["smt"] > 1.2


def test_all_remedies_but_the_throttle_leave_a_victim_that_fits_as_if_it_were_alone():
    every = [remedy for remedy in NEIGHBOUR_REMEDIES if remedy != "mba"]
    result = neighbours(NeighbourOptions(victim_stream_share=0.0).with_remedies(every))
    assert result.slowdown == pytest.approx(1, abs=1e-9)
    assert result.tail.p999_ns == pytest.approx(result.quiet.p999_ns, rel=1e-6)


def test_density_is_the_price_of_pinning_reservation_and_a_core_of_ones_own():
    """24 cores of 2 threads, 2 vCPUs a thread: 96. Threads and cores are not mixed up."""
    table = neighbour_remedies()
    assert table.none.options.vcpus_sold == 96
    assert {r: table.sold_less(r) for r in NEIGHBOUR_REMEDIES} == {
        "own_cpu": 48, "reservation": 8, "offload": 0, "own_core": 48, "cat": 0, "mba": 0}  # fmt: skip
    assert NeighbourOptions(threads_per_core=1).vcpus_sold == 48
    assert NeighbourOptions(threads_per_core=1, own_core=True).vcpus_sold == 48


def test_pinning_without_overcommit_costs_nothing_and_removes_what_there_is():
    assert neighbour_remedies(vcpus_per_thread=1).sold_less("own_cpu") == 0


def test_ways_that_the_victim_does_not_fill_are_idle():
    result = neighbours(cat=True, victim_ways=8, victim_stream_share=0.0)
    assert result.idle_bytes == pytest.approx(8 * 3 * MIB - 8 * MIB, rel=1e-9)


@settings(deadline=None, max_examples=5)
@given(hosts(neighbour_stream_share=0.5))
def test_the_remedies_of_any_host_can_be_told(options):
    table = neighbour_remedies(options)
    assert str(table) and str(table.prices()) and table.every.options.remedies == NEIGHBOUR_REMEDIES


# ------------------------------------------------- errors

@pytest.mark.parametrize(("wrong", "says"), [
    ({"neighbour_vcpus": 48}, "must leave a thread to the victim: at most 47 with 24 cores of 2 threads"),
    ({"neighbour_vcpus": 24, "threads_per_core": 1}, "at most 23 with 24 cores of 1 threads"),
    ({"cat": True, "victim_ways": 11}, "victim_ways must be fewer than cache_ways, which is 11"),
    ({"reservation": True, "reserved_cores": 24}, "reserved_cores must be fewer than socket_cores"),
    ({"mba_share": 0.05}, "mba_share must be 0.1 to 1"),
    ({"smt_sibling": "cousin"}, "smt_sibling must be neighbour or own or idle"),
])
def test_what_cannot_be_is_refused_with_a_reason(wrong, says):
    with pytest.raises(ParameterError, match=says):
        neighbours(**wrong)
