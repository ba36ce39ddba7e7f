"""Pre-copy: the golden rounds, when it never ends, auto-converge, devices, walls; pages moved one by one as oracle."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.jit import have_numba
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.memory.migrate import MigrationOptions, curve, migrate
from virtlab.memory.precopy import dirty_share, precopy_kernel

STOP_OF_ALL_S = 64 * 2**30 * 8 / 10e9  # 54.98


# --- golden --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "rounds", "total_s"), [(0.1, 3, 61.0), (0.5, 8, 109.5), (0.9, 50, 546.9)])
def test_golden_rounds_and_time_until_the_guest_stops(ratio, rounds, total_s):
    m = migrate(dirty_gbit_per_s=10 * ratio)
    assert (len(m.rounds), round(m.total_s, 1)) == (rounds, total_s)
    assert m.converged and not m.never and m.downtime_s <= 0.3


@pytest.mark.parametrize("ratio", [1.0, 1.2, 5.0])
def test_a_guest_that_dirties_as_fast_as_the_network_sends_is_never_moved(ratio):
    m = migrate(dirty_gbit_per_s=10 * ratio)
    assert m.never and not m.converged
    assert m.downtime_s == pytest.approx(54.98, abs=0.005)


def test_64_gibibytes_over_10_gigabits_take_55_seconds_and_not_51():
    """Guard 61: GiB are not GB."""
    assert migrate(dirty_gbit_per_s=0).rounds[0].seconds == pytest.approx(54.98, abs=0.005)


def test_a_small_working_set_converges_at_any_dirty_rate():
    """Correction 2: what is left is never more than the working set; 374 MB fit into 300 ms, 376 MB do not."""
    fits, larger = (migrate(dirty_gbit_per_s=50, hot_bytes=n) for n in (374_000_000, 376_000_000))
    assert fits.converged and len(fits.rounds) == 1
    assert larger.never and larger.downtime_s == pytest.approx(0.3008)


def test_what_never_fits_is_told_from_what_only_needs_more_rounds():
    slow = migrate(dirty_gbit_per_s=9.99, max_rounds=10)
    assert not slow.converged and not slow.never


def test_an_idle_guest_moves_in_one_round_without_downtime():
    m = migrate(dirty_gbit_per_s=0)
    assert len(m.rounds) == 1 and m.downtime_s == 0 and m.sent_bytes == 64 << 30


def test_memory_that_fits_into_the_downtime_is_sent_while_the_guest_stands():
    m = migrate(memory_bytes=1 << 28, dirty_gbit_per_s=400)
    assert m.rounds == () and m.converged and m.total_s == 0 and 0.2 < m.downtime_s < 0.3


# --- random writes -------------------------------------------------------------------------------------------------


def test_random_writes_converge_no_later_than_a_sweep():
    for rate in (1, 5, 9):
        sweep, at_random = (migrate(dirty_gbit_per_s=rate, writes=w) for w in ("sweep", "random"))
        assert at_random.total_s <= sweep.total_s


@pytest.mark.parametrize("ratio", [1.0000001, 1.01, 1.2, 2.0, 10.0, 400.0])
def test_the_dirty_share_solves_its_equation_and_is_no_trivial_root(ratio):
    x = dirty_share(ratio)
    assert 0 < x <= 1 and x == pytest.approx(-math.expm1(-ratio * x), rel=1e-6)


def test_random_writes_settle_at_the_root_of_their_law():
    m = migrate(writes="random", dirty_gbit_per_s=15)
    assert m.never and m.residue_bytes == pytest.approx(dirty_share(1.5) * (64 << 30), rel=1e-6)


# --- an independent oracle: pages, one by one ----------------------------------------------------------------------


def move_pages(memory, hot, rate, pages_per_s, limit_s, writes, seed=5):
    """Pre-copy as a program does it: a set of dirty page numbers, and each write in its turn."""
    rng, dirty, rounds, position = random.Random(seed), set(range(memory)), [], 0
    while len(dirty) / pages_per_s > limit_s and len(rounds) < 500:
        seconds, sent, dirty = len(dirty) / pages_per_s, len(dirty), set()
        for _ in range(round(rate * seconds)):
            if writes == "random":
                dirty.add(rng.randrange(hot))
            else:
                dirty.add(position % hot)
                position += 1
        rounds.append(sent)
        if len(rounds) > 1 and sent == rounds[-2] == len(dirty):
            break
    return rounds, len(dirty)


@pytest.mark.parametrize("writes", ["sweep", "random"])
@pytest.mark.parametrize(("hot", "ratio"), [(8192, 0.5), (8192, 0.8), (2000, 3.0), (6000, 0.9)])
def test_a_migration_of_8192_pages_agrees_with_moving_them_one_by_one(writes, hot, ratio):
    """Exact in a sweep but for whole pages; at random within 3 % of the pages sent (one run, 8 192 pages)."""
    per_s, limit_s = 4096, 0.1
    gbit = per_s * 4096 * 8 / 1e9
    sent, left = move_pages(8192, hot, ratio * per_s, per_s, limit_s, writes)
    m = migrate(
        memory_bytes=8192 * 4096, hot_bytes=hot * 4096, bandwidth_gbit_per_s=gbit, dirty_gbit_per_s=ratio * gbit,
        downtime_ms=limit_s * 1e3, writes=writes,
    )  # fmt: skip
    assert m.converged == (left / per_s <= limit_s)
    if m.converged:
        assert abs(len(m.rounds) - len(sent)) <= 1
        assert sum(r.sent_bytes for r in m.rounds) / 4096 == pytest.approx(sum(sent), rel=0.03)
    assert m.residue_bytes / 4096 == pytest.approx(left, rel=0.05, abs=100)


# --- auto-converge -------------------------------------------------------------------------------------------------


def test_auto_converge_moves_what_would_never_move():
    assert migrate(dirty_gbit_per_s=12).never
    m = migrate(dirty_gbit_per_s=12, auto_converge=True)
    assert m.converged and not m.never


def test_auto_converge_at_a_ratio_of_1_2_takes_five_steps_of_two_rounds_each():
    """Two rounds above half of what was sent for each step; at 60 % the ratio is 0.48, and no further step follows."""
    m = migrate(dirty_gbit_per_s=12, auto_converge=True)
    steps = [r.throttle for r in m.rounds]
    assert steps[:10] == [0, 0, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]
    assert set(steps[10:]) == {0.6} and m.throttle_steps == 5 and m.throttle == 0.6


def test_the_throttle_ends_at_99_per_cent_after_nine_steps():
    m = migrate(dirty_gbit_per_s=400, auto_converge=True, bandwidth_gbit_per_s=1)
    assert (m.throttle, m.throttle_steps, m.never) == (0.99, 9, True)


def test_no_step_is_taken_at_less_than_half_of_what_was_sent():
    assert migrate(dirty_gbit_per_s=4.9, auto_converge=True).throttle_steps == 0


@pytest.mark.parametrize(("ratio", "throttle"), [(1.0, 0.5), (5.0, 0.9)])
def test_half_of_what_was_sent_is_not_more_than_half(ratio, throttle):
    """Per cent are whole numbers, as in QEMU: 1.0 at 50 % and 5.0 at 90 % are exactly the trigger."""
    assert migrate(dirty_gbit_per_s=10 * ratio, auto_converge=True).throttle == throttle


def test_a_held_back_guest_loses_throttle_times_time():
    m = migrate(dirty_gbit_per_s=12, auto_converge=True)
    assert m.throttled_s == pytest.approx(sum(r.throttle * r.seconds for r in m.rounds))
    assert m.slowdown == pytest.approx(m.throttled_s / m.total_s) and 0 < m.slowdown < 0.6


def test_rounds_below_a_second_share_one_period():
    """A working set that takes 0.4 s to send: three rounds make a period, so a step takes six rounds and not two.

    Round 1 sends far more than it dirties and counts for nothing: rounds 2 to 4 and 5 to 7 are the two periods.
    """
    m = migrate(hot_bytes=500_000_000, dirty_gbit_per_s=40, auto_converge=True, downtime_ms=100)
    first = next(i for i, r in enumerate(m.rounds) if r.throttle)
    assert first == 7


def test_auto_converge_holds_a_guest_back_in_vain_when_its_device_is_not_tracked():
    m = migrate(device="vf-untracked", auto_converge=True)
    assert m.never and m.throttle == 0.99


# --- devices -------------------------------------------------------------------------------------------------------


def test_three_device_classes_have_three_downtimes():
    """Guard 45."""
    down = {d: migrate(device=d).downtime_s for d in ("virtio", "vf-v2", "vf-untracked")}
    assert down["virtio"] < down["vf-v2"] < down["vf-untracked"]


@pytest.mark.parametrize("ratio", [0, 0.5, 2])
def test_without_tracking_all_of_the_memory_moves_during_the_stop_whatever_the_guest_does(ratio):
    m = migrate(device="vf-untracked", dirty_gbit_per_s=10 * ratio)
    assert m.never and m.downtime_s == pytest.approx(54.98, abs=0.005)


def test_a_vf_of_migration_v2_adds_its_state_and_its_restore_to_the_downtime():
    plain, vf = (migrate(device=d, device_state_bytes=125_000_000, device_restore_ms=50) for d in ("virtio", "vf-v2"))
    assert len(vf.rounds) == len(plain.rounds) + 1, "0.1 s of the 0.3 are taken by the state"
    assert vf.downtime_s == pytest.approx(vf.residue_bytes / 1.25e9 + 0.1 + 0.05)


def test_a_state_larger_than_the_downtime_allows_can_never_be_moved():
    m = migrate(device="vf-v2", device_state_bytes=1 << 30)
    assert m.never and m.limit == "device"


# --- laws ----------------------------------------------------------------------------------------------------------


@given(settings_of(MigrationOptions))
@settings(max_examples=150, deadline=None)
def test_bytes_and_time_are_conserved_and_every_setting_ends(options):
    m = migrate(options)
    for left, right in (m.law(), m.time_law()):
        assert left == pytest.approx(right, rel=1e-9)
    assert len(m.rounds) <= options.max_rounds
    assert m.converged or m.never or len(m.rounds) == options.max_rounds
    assert not (m.converged and m.never)
    assert all(math.isfinite(x) and x >= 0 for x in (m.total_s, m.downtime_s, m.log_s, m.throttled_s, m.slowdown))
    restore_s = options.device_restore_ms / 1e3 if options.device == "vf-v2" else 0
    assert m.converged == (m.downtime_s - restore_s <= options.downtime_ms / 1e3 * (1 + 1e-9))
    assert str(m)


CALM = {"auto_converge": False, "max_rounds": 1000, "device": "virtio"}


@given(settings_of(MigrationOptions, **CALM), st.floats(1, 10))
@settings(max_examples=100, deadline=None)
def test_more_bandwidth_is_never_slower(options, factor):
    assume(options.bandwidth_gbit_per_s * factor <= 400)
    slow, fast = migrate(options), migrate(options, bandwidth_gbit_per_s=options.bandwidth_gbit_per_s * factor)
    assert fast.converged or slow.never or not slow.converged
    if slow.converged:
        assert fast.total_s <= slow.total_s * (1 + 1e-9)


@given(settings_of(MigrationOptions, **CALM), st.floats(1, 100))
@settings(max_examples=100, deadline=None)
def test_more_downtime_allowed_is_never_slower(options, factor):
    assume(options.downtime_ms * factor <= 2_000_000)
    strict, lax = migrate(options), migrate(options, downtime_ms=options.downtime_ms * factor)
    assert lax.converged or not strict.converged
    if strict.converged:
        assert lax.total_s <= strict.total_s * (1 + 1e-9)


@given(settings_of(MigrationOptions, **CALM), st.floats(0.01, 1))
@settings(max_examples=100, deadline=None)
def test_a_larger_working_set_is_never_faster(options, share):
    hot = options.hot_bytes or options.memory_bytes
    assume(hot * share >= 4096)
    small, large = migrate(options, hot_bytes=int(hot * share)), migrate(options, hot_bytes=hot)
    assert small.converged or not large.converged
    if large.converged:
        assert small.total_s <= large.total_s * (1 + 1e-9)


@given(settings_of(MigrationOptions, max_rounds=1000))
@settings(max_examples=100, deadline=None)
def test_what_the_closed_form_calls_never_does_not_converge_in_the_rounds_either(options):
    m = migrate(options)
    if m.never:
        assert m.residue_bytes * 8 / options.bandwidth_gbit_per_s / 1e6 > options.downtime_ms * (1 - 1e-6) or (
            options.device == "vf-v2"
        )


# --- walls ---------------------------------------------------------------------------------------------------------


def test_the_walls_are_where_the_verdict_changes():
    m = migrate(dirty_gbit_per_s=12)
    assert m.walls["dirty_gbit_per_s"] == pytest.approx(10)
    assert m.walls["bandwidth_gbit_per_s"] == pytest.approx(12)
    assert m.walls["hot_bytes"] == pytest.approx(0.3 * 1.25e9)
    assert m.walls["downtime_ms"] == pytest.approx(1e3 * STOP_OF_ALL_S)


@given(settings_of(MigrationOptions, max_rounds=1000, auto_converge=False))
@settings(max_examples=100, deadline=None)
def test_beyond_a_wall_the_verdict_is_the_other_one(options):
    """Held against the closed form by way of the rounds: ``never`` on one side and not on the other."""
    m = migrate(options)
    for name, wall in m.walls.items():
        spec = MigrationOptions.specs()[name]
        sides = []
        for value in (wall * 0.99, wall * 1.01):
            value = int(value) if spec.kind == "int" else value
            if not spec.low <= value <= spec.high:
                break
            other = migrate(options, **{name: value})
            sides.append(other.never)
        else:
            whole = spec.kind == "int" and wall < 1000  # 1 % of it is less than a step
            assert whole or sides[0] != sides[1], (name, wall, sides)


def test_the_limit_is_the_parameter_with_the_shortest_way_to_its_wall():
    assert migrate(dirty_gbit_per_s=12).limit == "dirty_gbit_per_s"
    assert migrate(dirty_gbit_per_s=100, hot_bytes=400_000_000).limit == "hot_bytes"
    assert migrate(device="vf-untracked").limit == "device"


# --- logging -------------------------------------------------------------------------------------------------------


def test_write_protection_costs_one_fault_a_dirtied_page_and_pml_one_exit_for_512():
    wp, pml = (migrate(log=log, page="4K") for log in ("write-protect", "pml"))
    pages = sum(r.dirty_bytes for r in wp.rounds) / 4096
    assert wp.faults == pytest.approx(pages) and wp.pml_exits == 0
    assert pml.faults == 0 and pml.pml_exits == pytest.approx(pages / 512, abs=len(pml.rounds))
    assert wp.log_s / pml.log_s > 500


def test_the_log_changes_its_cost_and_not_the_rounds():
    rounds = {log: migrate(log=log).rounds for log in ("write-protect", "pml", "ring")}
    assert rounds["write-protect"] == rounds["pml"] == rounds["ring"]


def test_dirty_logging_does_not_keep_huge_pages():
    """Guard 7: 262 144 entries for each GiB."""
    assert migrate(page="2M").split_entries == 64 * 262_144
    assert migrate(page="4K").split_entries == 0


def test_split_at_the_fault_faults_once_a_page_and_then_leaves_it_to_pml():
    m = migrate(split="fault", log="pml")
    assert m.faults == pytest.approx(m.rounds[0].dirty_bytes / 4096)
    assert m.pml_exits > 0


# --- the curve -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"writes": "random"}, {"auto_converge": True}, {"device": "vf-v2"}])
def test_the_curve_is_what_the_migrations_say_one_by_one(changes):
    ratios = np.array([0, 0.3, 0.9, 0.99, 1, 1.3, 3])
    down, total = curve(ratios, **changes)
    for x, d, t in zip(ratios, down, total, strict=True):
        m = migrate(dirty_gbit_per_s=float(10 * x), **changes)
        assert d == pytest.approx(m.downtime_s)
        assert t == pytest.approx(m.total_s if m.converged else math.inf)


def test_the_wall_of_the_curve_stands_at_a_ratio_of_1():
    down, total = curve([0.99, 1.0])
    assert math.isfinite(total[0]) and math.isinf(total[1]) and down[1] > 100 * down[0]


@pytest.mark.parametrize("ratios", [[-1.0], [math.nan], [[1.0]], [math.inf]])
def test_a_curve_needs_a_vector_of_finite_ratios(ratios):
    with pytest.raises(ParameterError, match="ratios must be a vector"):
        curve(ratios)


@pytest.mark.skipif(not have_numba(), reason="no numba here")
@given(settings_of(MigrationOptions, max_rounds=60))
@settings(max_examples=50, deadline=None)
def test_the_compiled_loop_and_the_python_loop_agree(options):
    args = (
        float(options.memory_bytes), float(min(options.hot_bytes or options.memory_bytes, options.memory_bytes)),
        options.dirty_gbit_per_s / 8e-9, options.bandwidth_gbit_per_s / 8e-9, options.downtime_ms * 1e5,
        options.writes == "random", options.device == "vf-untracked", options.auto_converge,
        0.5, 20.0, 10.0, 99.0, 2.0, 1.0, options.max_rounds,
    )  # fmt: skip
    fast, plain = ([np.zeros(60) for _ in range(3)] for _ in range(2))
    assert precopy_kernel(*args, *fast) == pytest.approx(precopy_kernel.interpret(*args, *plain), rel=1e-9, abs=1)
    for a, b in zip(fast, plain, strict=True):
        assert a == pytest.approx(b, rel=1e-9, abs=1)


# --- the reader's side ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "parts"),
    [({}, ("rounds: 8", "110 s", "215 ms")), ({"dirty_gbit_per_s": 12}, ("never fits", "64 GiB", "55 s", "300 ms")),
     ({"device": "vf-v2", "downtime_ms": 10}, ("state of the device alone", "10 ms", "113 ms", "Device")),
     ({"dirty_gbit_per_s": 9.99, "max_rounds": 5}, ("still under way", "More rounds"))],
)  # fmt: skip
def test_the_sentence_states_the_result_with_its_numbers(changes, parts):
    assert all(part in migrate(**changes).sentence() for part in parts), migrate(**changes).sentence()


@pytest.mark.parametrize(("name", "value"), [("downtime_ms", 0), ("device", "vf"), ("bandwidth_gbit_per_s", 0.0)])
def test_out_of_range_is_refused_in_a_sentence_that_teaches(name, value):
    with pytest.raises(ParameterError, match=f"{name} must be .*you gave {value!r}: "):
        migrate(**{name: value})


def test_what_is_not_modelled_is_named():
    assert {"postcopy", "multifd", "dirty_ring", "dirty_limit", "no_driver"} <= set(words("migration.other"))
