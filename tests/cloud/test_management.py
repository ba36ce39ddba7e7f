"""Management in three places: waits against closed forms and simulations, laws, break-evens; and snapshots."""

import heapq
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab import cloud, memory
from virtlab.cloud.background import Beside, piece_ns, piece_square_ns, pooled_wait_ns
from virtlab.core.parameter import ParameterError
from virtlab.paths import queueing

MIX = {"load": 0.4, "service_ns": 50.0, "shares": np.array([0.1, 0.15]), "jobs_ns": np.array([30.0, 900.0]),
       "slice_ns": 300.0}  # fmt: skip
#: Only looks at VMs: then the load follows from the period alone.
LOOKS = {"snapshots_per_day": 0, "migrations_per_day": 0, "starts_per_day": 0}


def waits_of(beside, requests=40_000, batch=1, seed=3):
    """Waits of requests beside background, played event by event: the next in turn runs for a piece, requests first."""
    random, cut = np.random.default_rng(seed), beside.slice_ns
    arrivals = np.cumsum(random.exponential(beside.service_ns / beside.load, requests))
    services, jobs = random.exponential(beside.service_ns, requests), []
    for share, job in zip(beside.shares, beside.jobs_ns, strict=True):
        times = random.uniform(0, arrivals[-1], int(arrivals[-1] * share / job / batch))
        jobs += [(at, random.exponential(job)) for at in times for _ in range(batch)]
    coming, turn, now, waits = deque(sorted(jobs)), deque(), 0.0, []
    for arrival, service in zip(arrivals, services, strict=True):
        while now < arrival:
            while coming and coming[0][0] <= now:
                turn.append(coming.popleft()[1])
            if turn:
                left = turn.popleft()
                now += min(left, cut)
                if left > cut:
                    turn.append(left - cut)
            else:
                now = min(arrival, coming[0][0] if coming else arrival)
        waits.append(now - arrival)
        now += service
    return np.array(waits)


# --- one CPU --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 20])
def test_under_slices_waits_are_those_of_a_simulation_however_the_background_comes(batch):
    beside = Beside(**MIX, order="slice")
    waits = waits_of(beside, batch=batch)
    assert float(beside.mean_wait_ns()) == pytest.approx(waits.mean(), rel=0.05)
    for t in (0.0, 50.0, 200.0, 400.0):
        assert float(beside.tail(np.array(t))) == pytest.approx((waits > t).mean(), abs=0.012)
    assert float(beside.wait_quantile_ns(0.99)) == pytest.approx(np.quantile(waits, 0.99), rel=0.06)


def test_in_order_of_arrival_the_mean_is_pollaczek_and_khinchines():
    beside = Beside(**MIX, order="fifo")
    shares, times = np.append(MIX["shares"], 0.4), np.append(MIX["jobs_ns"], 50.0)
    rates = shares / times
    mean, square = np.sum(shares) / np.sum(rates), np.sum(2 * shares * times) / np.sum(rates)
    expected = queueing.mg1(1e9 * np.sum(rates), mean, square / mean**2 - 1)
    assert float(beside.mean_wait_ns()) == pytest.approx(expected.wait_ns)
    assert float(beside.background_wait_ns()) == pytest.approx(expected.wait_ns)


def test_in_order_of_arrival_with_jobs_like_requests_the_tail_is_that_of_m_m_1():
    beside = Beside(0.4, 50.0, np.array([0.1, 0.2]), np.array([50.0, 50.0]), 10.0, "fifo")
    t = np.array([0.0, 100.0, 1000.0])
    assert beside.tail(t) == pytest.approx(0.7 * np.exp(-0.3 / 50 * t))
    assert float(beside.wait_quantile_ns(0.99)) == pytest.approx(np.log(70) * 50 / 0.3)


def test_in_order_of_arrival_the_tail_is_that_of_a_simulated_queue():
    random, beside, n = np.random.default_rng(5), Beside(**MIX, order="fifo"), 200_000
    shares, times = np.append(MIX["shares"], 0.4), np.append(MIX["jobs_ns"], 50.0)
    rates = shares / times
    kind = random.choice(3, n, p=rates / rates.sum())
    arrivals, services = np.cumsum(random.exponential(1 / rates.sum(), n)), random.exponential(times[kind])
    before = np.cumsum(services) - services
    waits = np.maximum.accumulate(arrivals - before) - (arrivals - before)  # Lindley
    for t in (0.0, 100.0, 1000.0):
        assert float(beside.tail(np.array(t))) == pytest.approx((waits > t).mean(), abs=0.02)


def test_where_the_background_gives_way_a_request_waits_for_requests_alone():
    beside = Beside(**MIX, order="yield")
    assert float(beside.mean_wait_ns()) == pytest.approx(queueing.mm1(0.4 / 50e-9, 50.0).wait_ns)
    assert float(beside.wait_quantile_ns(0.99)) == pytest.approx(np.log(40) * 50 / 0.6)


def test_the_tail_has_the_mean_as_its_area():
    t = np.linspace(0, 20_000, 400_001)
    for order in ("slice", "fifo", "yield"):
        beside = Beside(**MIX, order=order)
        assert np.trapezoid(beside.tail(t), t) == pytest.approx(float(beside.mean_wait_ns()), rel=2e-3)


def test_a_piece_is_a_job_that_a_slice_ends_early():
    pieces = np.minimum(np.random.default_rng(1).exponential(900, 200_000), 300)
    assert float(piece_ns(900.0, 300.0)) == pytest.approx(pieces.mean(), rel=0.01)
    assert float(piece_square_ns(900.0, 300.0)) == pytest.approx((pieces**2).mean(), rel=0.01)
    assert float(piece_square_ns(1e12, 1e3)) == pytest.approx(1e6) and float(piece_ns(5.0, 1e9)) == 5


def test_one_core_for_management_waits_as_m_g_1_does_and_full_ones_for_ever():
    square = float(piece_square_ns(900.0, 300.0)) / float(piece_ns(900.0, 300.0)) ** 2 - 1
    piece = float(piece_ns(900.0, 300.0))
    assert pooled_wait_ns(1, [0.6], [900.0], 300.0) == pytest.approx(queueing.mg1(0.6e9 / piece, piece, square).wait_ns)
    assert pooled_wait_ns(4, [4.0], [900.0], 300.0) == np.inf and pooled_wait_ns(4, [0.0], [900.0], 300.0) == 0


def test_several_cores_for_management_wait_about_as_simulated_ones_do():
    random, free, waits = np.random.default_rng(4), [0.0] * 4, []
    short = random.random(60_000) < 0.9  # of the jobs; a tenth are long, and cut
    pieces = np.where(short, random.exponential(30, 60_000), np.minimum(random.exponential(900, 60_000), 300))
    means = np.array([30.0, float(piece_ns(900.0, 300.0))])
    gap = float(means @ [0.9, 0.1]) / (4 * 0.7)
    for at, piece in zip(np.cumsum(random.exponential(gap, 60_000)), pieces, strict=True):
        begin = max(at, heapq.heappop(free))
        waits.append(begin - at)
        heapq.heappush(free, begin + piece)
    load = means * [0.9, 0.1] / gap
    assert pooled_wait_ns(4, load, [30.0, 900.0], 300.0) == pytest.approx(np.mean(waits), rel=0.15)


# --- the host -------------------------------------------------------------------------------------------------------


@given(settings_of(cloud.ManagementOptions))
@settings(max_examples=20, deadline=None)
def test_any_host_keeps_kleinrocks_law_and_its_limits(options):
    found = cloud.management(options)
    left, right = found.law()
    if found.places["host"].busy < 1 - 1e-9:
        assert left == pytest.approx(right, rel=1e-6)
    for lot in found.places.values():
        assert 0 <= lot.lost <= 1 and lot.mean_wait_ns >= 0 and lot.p99_wait_ns >= 0 and not np.isnan(lot.p99_wait_ns)
    assert found.places["board"].mean_wait_ns <= found.places["host"].mean_wait_ns * (1 + 1e-9)
    assert found.places["board"].p99_wait_ns <= found.places["host"].p99_wait_ns * (1 + 1e-6)
    assert found.sentence() and found.cores == pytest.approx(sum(w.cores for w in found.work))


def test_four_of_96_cores_are_four_and_a_sixth_per_cent_whatever_they_do():
    assert round(cloud.management().reserved_share, 4) == 0.0417
    for monitors in (1, 20):
        assert cloud.management(monitors=monitors).places["reserved"].lost == pytest.approx(4 / 96)


@pytest.mark.parametrize("monitors", [1, 10, 60])
def test_a_reservation_that_can_do_the_work_takes_more_than_it_removes(monitors):
    found = cloud.management(monitors=monitors, monitor_ns=5e6)
    assert found.places["reserved"].busy < 1
    assert found.places["reserved"].lost > found.places["host"].lost and found.price > 1


@pytest.mark.parametrize("measure", ["mean", "p99"])
def test_where_a_reservation_breaks_even_both_places_wait_alike(measure):
    found = cloud.management(**LOOKS, monitor_ns=5e5, monitors=40)
    share = found.breaks_even[measure]
    there = cloud.management(**LOOKS, monitor_ns=5e5, monitors=40, monitor_period_s=10 * found.share / share)
    host, reserved = (getattr(there.places[p], f"{measure}_wait_ns") for p in ("host", "reserved"))
    assert host == pytest.approx(reserved, rel=1e-5)


def test_the_p99_improves_before_the_mean_does_where_pieces_are_longer_than_requests_within_limits():
    assert cloud.management(**LOOKS, monitor_ns=1e6, service_ns=50_000).p99_first
    assert not cloud.management(**LOOKS, monitor_ns=50_000, service_ns=50_000).p99_first
    assert not cloud.management(**LOOKS, monitor_ns=1e6, service_ns=1_000_000).p99_first
    # So long that a hundredth of the requests need not be met for the mean to move.
    assert not cloud.management(**LOOKS, monitor_ns=1e6, service_ns=10_000).p99_first


def test_guests_that_do_not_fit_into_the_rest_and_management_that_gives_way_are_worth_no_reservation():
    assert cloud.management(load=0.95, reserved_cores=12).breaks_even["p99"] is None
    assert cloud.management(background_order="yield").breaks_even["mean"] is None


def test_management_on_few_cores_meets_the_guests_there_more_often():
    wide, narrow = cloud.management(), cloud.management(spread_cores=4)
    assert narrow.places["host"].background == pytest.approx(24 * wide.places["host"].background)
    assert narrow.places["host"].p99_wait_ns > wide.places["host"].p99_wait_ns


def test_a_board_is_finite_too():
    quiet, busy = cloud.management(connections_per_s=0), cloud.management(connections_per_s=480_000)
    assert busy.places["board"].busy > 0.96 > quiet.places["board"].busy
    before, after = busy.connection_wait_ns
    assert after > before > quiet.connection_wait_ns[0]
    assert cloud.management(connections_per_s=500_000).places["board"].management_wait_ns == np.inf


def test_a_migration_is_the_bytes_of_pre_copy():
    migration = cloud.management(migrations_per_day=864).work[2]
    assert migration.cores == pytest.approx(memory.migrate().sent_bytes * 0.8e-9 / 100)


def test_the_curve_passes_through_the_point_of_today():
    found = cloud.management(background_order="fifo")
    curve = cloud.management_curve([0.0, found.share], background_order="fifo")
    host, board = found.places["host"], found.places["board"]
    assert curve.p99_wait_ns == pytest.approx([board.p99_wait_ns, host.p99_wait_ns])
    assert curve.mean_wait_ns == pytest.approx([board.mean_wait_ns, host.mean_wait_ns])


@pytest.mark.parametrize(("changes", "message"), [
    ({"cores": 16, "reserved_cores": 16}, "no core would be left"), ({"cores": 16, "spread_cores": 17}, "has no more"),
    ({"monitor_period_s": 0}, "monitor_period_s must be 1 to 300"),
])  # fmt: skip
def test_hosts_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ParameterError, match=message):
        cloud.management(**changes)


@pytest.mark.parametrize("shares", [[-0.1], [[0.1]], [np.nan]])
def test_a_curve_over_nonsense_is_refused(shares):
    with pytest.raises(ParameterError, match="shares must be"):
        cloud.management_curve(shares)


# --- snapshots ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writes", [200, 2_000])
def test_first_writes_are_the_distinct_blocks_of_random_writes(writes):
    found = cloud.snapshots(written_bytes=500 * 65_536, snapshots_per_day=1440, disk_writes_per_s=writes / 60)
    exact = 500 * (1 - (1 - 1 / 500) ** writes)
    random = np.random.default_rng(2)
    drawn = np.mean([len(np.unique(random.integers(500, size=writes))) for _ in range(200)])
    assert drawn == pytest.approx(exact, rel=0.01)
    assert found.first_writes == pytest.approx(exact, rel=0.002)


@given(per_day=st.floats(0.1, 700), writes=st.floats(0.1, 1e6))
@settings(max_examples=25, deadline=None)
def test_each_block_pays_at_most_once_and_more_snapshots_never_pay_less(per_day, writes):
    some, more = (cloud.snapshots(snapshots_per_day=n, disk_writes_per_s=writes) for n in (per_day, 2 * per_day))
    first, limit = some.law()
    assert first <= limit * (1 + 1e-9)
    assert some.first_per_s <= more.first_per_s * (1 + 1e-9) and more.first_per_s <= writes * (1 + 1e-9)


def test_just_after_a_snapshot_every_write_is_a_first_one():
    late, soon = cloud.management(), cloud.management(snapshots_together=True)
    assert soon.work[1].rate_per_s == pytest.approx(100 * 500) and late.work[1].rate_per_s < 100 * 500
    assert cloud.management(snapshots_per_day=0, snapshots_together=True).work[1].cores == 0


def test_without_snapshots_nothing_is_copied():
    found = cloud.snapshots(snapshots_per_day=0)
    assert found.first_share == 0 and found.cores_at_first == 0
    assert found.mean_write_ns == found.p99_write_ns == found.options.device_write_ns
