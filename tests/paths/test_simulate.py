"""The simulation of a path: it meets latency and capacity at the ends of the load, and queues in between."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError
from virtlab.paths import LADDER, Costs, Load, PathOptions

WAYS = [(path, direction) for path in LADDER for direction in ("tx", "rx")]
ONE = {"kick_batch": 1, "refill_batch": None, "interrupt_batch": 1, "completion_batch": None}
#: Packets far apart, each step always of the same length: nothing ever waits.
ALONE = {"service_cv": 0, "rate_packets_per_s": 100, "packets": 200}
LONG = 200_000  # ns: longer than any batch takes to fill here


# --- at tiny load: latency -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "direction"), WAYS)
def test_alone_a_packet_takes_the_latency_of_the_path(path, direction):
    alone = LADDER[path].simulate(direction=direction, **ALONE)
    assert alone.p50_ns == pytest.approx(LADDER[path].latency(direction=direction).total_ns, rel=1e-9)
    assert alone.dropped == 0


@settings(max_examples=60)
@given(st.sampled_from(sorted(LADDER)), settings_of(PathOptions, **ONE), settings_of(Costs))
def test_alone_a_packet_takes_the_latency_of_the_path_under_any_option_and_cost(path, options, costs):
    alone = LADDER[path].simulate(options, costs=costs, **ALONE)
    assert alone.p50_ns == pytest.approx(LADDER[path].latency(options, costs=costs).total_ns, rel=1e-6)


#: A busy back end needs no wake-up, so that a packet can be faster there under load.
AWAKE = [(p, d) for p, d in WAYS if not any(s.idle for s in LADDER[p].active(direction=d))]


@pytest.mark.parametrize(("path", "direction"), AWAKE)
def test_latency_is_never_below_that_of_an_empty_path(path, direction):
    busy = LADDER[path].simulate(direction=direction, service_cv=0, packets=2000)
    least = LADDER[path].latency(direction=direction).total_ns
    if direction == "rx":  # a busy guest needs no interrupt
        interrupt = [s for s in LADDER[path].active(direction="rx") if s.per == "interrupt" and s.server == "vcpu"]
        least -= sum(sum(Costs().ns(n) for n in (*s.cost, *s.delay)) for s in interrupt)
    assert busy.latency_ns.min() >= least - 1e-6


# --- at full load: capacity ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize("path", LADDER)
def test_sending_saturates_at_capacity(path, batch):
    options = {"direction": "tx", "kick_batch": batch, "interrupt_batch": batch}
    capacity = LADDER[path].capacity(**options).packets_per_s
    flooded = LADDER[path].simulate(
        **options, rate_packets_per_s=2 * capacity, service_cv=0, packets=3000, queue_packets=100_000
    )
    assert flooded.throughput_packets_per_s == pytest.approx(capacity, rel=0.02)


@pytest.mark.parametrize("path", LADDER)
def test_receiving_with_full_batches_saturates_at_capacity(path):
    options = {"direction": "rx", "kick_batch": 64, "interrupt_batch": 64}
    capacity = LADDER[path].capacity(**options).packets_per_s
    flooded = LADDER[path].simulate(
        **options, rate_packets_per_s=2 * capacity, service_cv=0, interrupt_delay_ns=LONG, packets=6400,
        queue_packets=100_000,
    )  # fmt: skip
    assert flooded.throughput_packets_per_s == pytest.approx(capacity, rel=0.05)


@pytest.mark.parametrize("path", LADDER)
def test_receiving_with_single_interrupts_saturates_above_capacity_because_napi_leaves_them_out(path):
    capacity = LADDER[path].capacity(direction="rx").packets_per_s
    polled = LADDER[path].capacity(direction="rx", interrupt_batch=64).packets_per_s
    flooded = LADDER[path].simulate(
        direction="rx", rate_packets_per_s=2 * capacity, service_cv=0, packets=3000, queue_packets=100_000
    )
    assert 0.98 * capacity <= flooded.throughput_packets_per_s <= 1.02 * max(polled, capacity)


@pytest.mark.parametrize(("path", "direction"), WAYS)
def test_below_capacity_everything_is_delivered(path, direction):
    rate = LADDER[path].capacity(direction=direction).packets_per_s / 2
    half = LADDER[path].simulate(direction=direction, rate_packets_per_s=rate, packets=3000)
    assert half.dropped == 0
    sent = 3000 / (half.arrival_ns[-1] - half.arrival_ns[0]) * 1e9
    assert half.throughput_packets_per_s == pytest.approx(sent, rel=0.02)


def test_packets_are_dropped_only_when_the_queue_before_the_back_end_is_full():
    options = {"direction": "rx", "interrupt_batch": 64, "packets": 5000, "queue_packets": 50}
    capacity = LADDER["vhost-net"].capacity(direction="rx", interrupt_batch=64).packets_per_s
    shares = [LADDER["vhost-net"].simulate(**options, rate_packets_per_s=f * capacity).drop_share for f in (0.3, 3)]
    assert shares[0] == 0
    assert shares[1] > 0.3, "two of three packets have nowhere to go"


# --- in between ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [0.1, 0.6, 0.9, 2.0])
@pytest.mark.parametrize(("path", "direction"), WAYS)
def test_littles_law_holds(path, direction, load):
    rate = load * LADDER[path].capacity(direction=direction).packets_per_s
    run = LADDER[path].simulate(direction=direction, rate_packets_per_s=rate, packets=2000)
    inside, rate_times_latency = run.law()
    assert inside == pytest.approx(rate_times_latency, rel=0.01)


def test_one_server_with_a_poisson_stream_waits_as_md1():
    path, rho = LADDER["qemu"], 0.7  # all of TX is one server's: the vCPU's
    capacity = path.capacity(direction="tx").packets_per_s
    service_ns = 1e9 / capacity
    waits = []
    for seed in range(8):
        run = path.simulate(direction="tx", rate_packets_per_s=rho * capacity, service_cv=0, packets=5000, seed=seed)
        waits.append(run.mean_ns - path.latency(direction="tx").total_ns)
    expected = rho * service_ns / (2 * (1 - rho))
    spread = np.std(waits, ddof=1) / np.sqrt(len(waits))
    assert abs(np.mean(waits) - expected) < 5 * spread + 0.01 * expected


def test_percentiles_are_in_order_and_the_mean_lies_among_them():
    run = LADDER["vhost-net"].simulate(direction="rx", packets=5000)
    assert run.latency_ns.min() <= run.p50_ns <= run.p99_ns <= run.p999_ns <= run.latency_ns.max()
    assert run.latency_ns.min() <= run.mean_ns <= run.latency_ns.max()


def test_more_load_means_fewer_interrupts_per_packet():
    capacity = LADDER["sriov"].capacity(direction="rx").packets_per_s
    counts = [
        LADDER["sriov"].simulate(direction="rx", rate_packets_per_s=f * capacity, packets=3000).interrupts_per_packet
        for f in (0.01, 0.5, 1.0, 2.0)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 0.95 and counts[-1] < 0.5


def test_more_load_means_fewer_wake_ups_of_the_back_end():
    capacity = LADDER["vhost-net"].capacity(direction="tx").packets_per_s
    counts = [
        LADDER["vhost-net"].simulate(rate_packets_per_s=f * capacity, packets=3000).wakeups_per_packet
        for f in (0.01, 0.5, 1.0)
    ]
    assert counts == sorted(counts, reverse=True)


def test_a_poller_is_never_woken():
    for path, options in (("vhost-user", {}), ("vhost-net", {"busy_poll": True})):
        assert LADDER[path].simulate(packets=1000, **options).wakeups_per_packet == 0


def test_a_polling_guest_takes_no_interrupt():
    assert LADDER["sriov"].simulate(direction="rx", guest_poll=True, packets=1000).interrupts_per_packet == 0


def test_interrupts_in_batches_trade_latency_for_their_number():
    single, batched = (
        LADDER["sriov"].simulate(direction="rx", interrupt_batch=b, rate_packets_per_s=50_000, packets=3000)
        for b in (1, 16)
    )
    assert batched.interrupts_per_packet < single.interrupts_per_packet
    assert batched.p50_ns > single.p50_ns
    assert batched.p50_ns < single.p50_ns + 11_000  # 10 µs is the longest wait


def test_a_neighbour_on_the_back_ends_core_stretches_the_tail():
    tails = [
        LADDER["vhost-net"].simulate(neighbour_share=s, neighbour_burst_ns=100_000, packets=20_000).p99_ns
        for s in (0, 0.05, 0.2, 0.4)
    ]
    assert tails == sorted(tails)
    assert tails[-1] > 10 * tails[0]


def test_a_neighbour_of_the_back_end_does_not_touch_a_path_without_one():
    alone, shared = (LADDER["sriov"].simulate(neighbour_share=s, packets=2000) for s in (0, 0.5))
    assert np.array_equal(alone.latency_ns, shared.latency_ns)


# --- reproducible --------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run():
    first, second, other = (LADDER["vhost-net"].simulate(packets=1000, seed=s) for s in (7, 7, 8))
    assert np.array_equal(first.latency_ns, second.latency_ns)
    assert not np.array_equal(first.latency_ns, other.latency_ns)


def test_every_setting_sees_the_same_arrivals():
    runs = [LADDER[p].simulate(packets=1000) for p in ("vhost-user", "sriov")]
    assert np.array_equal(runs[0].arrival_ns, runs[1].arrival_ns)


@pytest.mark.skipif(not have_numba(), reason="needs numba to compare with")
@pytest.mark.parametrize(("path", "direction"), [("vhost-net", "rx"), ("qemu", "tx"), ("sriov", "rx")])
def test_without_numba_the_result_is_equal(path, direction, monkeypatch):
    options = {"direction": direction, "packets": 2000, "neighbour_share": 0.1, "neighbour_burst_ns": 50_000}
    compiled = LADDER[path].simulate(**options)
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    plain = LADDER[path].simulate(**options)
    for field in dataclasses.fields(compiled):
        left, right = getattr(compiled, field.name), getattr(plain, field.name)
        same = np.allclose(left, right, rtol=1e-12, atol=1e-6) if isinstance(left, np.ndarray) else left == right
        assert same or left == pytest.approx(right, rel=1e-12), field.name


def test_the_number_of_packets_fits_what_compiles_them(monkeypatch):
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    assert LADDER["sriov"].simulate().packets == 5_000


# --- bad input, printing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packets", [99, 10_000_001, 1000.5])
def test_too_few_or_too_many_packets_are_refused(packets):
    with pytest.raises(ValueError, match="packets must be a whole number, 100 to 10,000,000"):
        LADDER["sriov"].simulate(packets=packets)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rate_packets_per_s": 0}, "rate_packets_per_s must be 100 to 200,000,000 packets/s; you gave 0"),
        ({"neighbour_share": 1.0}, "neighbour_share must be 0 to 0.9; you gave 1.0: at 1 nothing would be left"),
        ({"ring_entries": 1}, "ring_entries must be 2 to 32,768"),
        ({"rate_packets": 5}, "no parameter 'rate_packets'; did you mean rate_packets_per_s"),
        ({"neighbour": 0.5}, "no parameter 'neighbour'; did you mean neighbour_share"),
    ],
)
def test_a_wrong_load_is_refused_in_one_sentence(wrong, message):
    with pytest.raises(ParameterError, match=message):
        LADDER["vhost-net"].simulate(**wrong)


def test_names_of_load_and_options_mix_and_override_objects():
    run = LADDER["vhost-net"].simulate(
        PathOptions(direction="rx"), load=Load(rate_packets_per_s=5000), service_cv=0, packets=200
    )
    assert (run.direction, run.offered_packets_per_s) == ("rx", 5000)


@settings(max_examples=40)
@given(st.sampled_from(sorted(LADDER)), settings_of(PathOptions), settings_of(Load))
def test_no_setting_breaks_the_simulation(path, options, load):
    run = LADDER[path].simulate(options, load=load, packets=100)
    assert 0 <= run.drop_share < 1
    assert np.all(run.latency_ns > 0) and np.all(np.isfinite(run.latency_ns))
    assert all(0 <= share <= 1 + 1e-9 for share in run.utilisation.values()), run.utilisation
    assert run.throughput_packets_per_s > 0


def test_a_simulation_prints_as_a_table():
    run = LADDER["vhost-net"].simulate(direction="rx", packets=500)
    assert "99th percentile" in str(run) and "vhost-net, RX" in str(run)


def test_more_bursts_than_fit_into_memory_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match="neighbour_burst_ns must be longer, or packets fewer"):
        LADDER["vhost-net"].simulate(
            direction="rx", rate_packets_per_s=100, packets=100_000, neighbour_share=0.9, neighbour_burst_ns=1_000
        )


def test_a_neighbour_too_rare_for_the_run_changes_nothing():
    quiet, rare = (
        LADDER["vhost-net"].simulate(direction="rx", packets=1_000, neighbour_share=share) for share in (0.0, 5e-324)
    )
    assert quiet.p999_ns == rare.p999_ns
