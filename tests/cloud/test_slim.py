"""Three moves over ten duties: what each may do, what it costs, and what is lost."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.cloud import ARCHITECTURES, DUTIES, MOVES, OPERATIONS, Crossings, Host, crossings, slim, trimming
from virtlab.cloud.crossings import way
from virtlab.cloud.slim import figure, flatten, minimise, separate

hosts = settings_of(Host)
few = settings(max_examples=25)
PLACES = st.sampled_from(["kernel", "vmm", "manager", "card"])


@few
@given(hosts, st.sampled_from(sorted(MOVES)))
def test_a_move_made_twice_is_made_once(host, move):
    once = MOVES[move](host)
    assert MOVES[move](once) == once


@few
@given(hosts)
def test_separating_leaves_on_the_host_what_no_card_can_do(host):
    on_host = {d for d in DUTIES if separate(host).place(d) in ("kernel", "vmm", "manager")}
    assert on_host <= {"schedule", "memory", "interrupts"}


@few
@given(hosts)
def test_minimising_never_takes_anything_from_a_card(host):
    after = minimise(host)
    assert after.vmm == "light"
    assert all(after.place(d) == host.place(d) for d in DUTIES if host.place(d) in ("card", "split"))


@few
@given(hosts)
def test_flattening_only_moves_out_of_the_process_into_the_kernel(host):
    changed = {(host.place(d), flatten(host).place(d)) for d in DUTIES if host.place(d) != flatten(host).place(d)}
    assert changed <= {("vmm", "kernel")}


@few
@given(hosts)
def test_a_card_takes_nothing_away_from_what_is_lost_already(host):
    given_up = {d for d in DUTIES if host.place(d) == "nobody"}
    assert given_up == {d for d in DUTIES if separate(host).place(d) == "nobody"}


def test_which_move_comes_first_matters():
    assert minimise(separate(Host())) != separate(minimise(Host()))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_duty_is_forgotten_on_the_way(name):
    found = slim(name, *MOVES)
    ours, all_of_them = found.law()
    assert ours == all_of_them
    assert [step.move for step in found.steps] == ["", *MOVES]


def test_separating_frees_cores_and_takes_away_what_a_card_cannot_give():
    found = slim("qemu", "separate")
    assert found.end.cores < found.start.cores / 10
    assert {"pinned_memory", "migration", "card_is_finite"} == set(found.end.losses)
    assert found.end.surface.compare(found.start.surface) == "incomparable"


def test_minimising_is_smaller_in_every_component_and_loses_most():
    found = slim("qemu", "minimise")
    assert found.end.surface.compare(found.start.surface) == "smaller"
    assert len(found.lost) > max(len(slim("qemu", move).lost) for move in ("separate", "flatten"))


def test_flattening_moves_entry_points_into_the_kernel_and_keeps_the_process():
    found = slim("qemu", "flatten")
    gained = found.end.surface.kernel_entries - found.start.surface.kernel_entries
    assert gained == found.start.surface.vmm_entries - found.end.surface.vmm_entries > 0
    assert found.end.crossings.process == 1, "flat does not mean no process"


def test_a_split_front_end_keeps_moving_vms_possible():
    assert "migration" not in slim("qingtian").start.losses and "migration" in slim("nitro").start.losses


def test_a_boot_is_shown_only_for_places_that_were_measured():
    assert slim("qemu").start.boot_ns > slim("firecracker").start.boot_ns
    assert slim("nitro").start.boot_ns is None and figure(slim("nitro").start, "boot") == "–"


def test_trimming_what_nobody_runs_changes_no_packet():
    assert not trimming()["modules"].steady and trimming()["modules"].boot
    assert trimming()["barriers"].packet_ns == 300, "one exit on the way of a packet: its refill kick"
    assert 1 / 80 < trimming()["descriptors"].memory_share < 1 / 64


# --- crossings ------------------------------------------------------------------------------------------------------


@given(PLACES, PLACES)
def test_a_way_is_as_long_in_both_directions(a, b):
    assert way(a, b) == way(b, a)


@given(PLACES, PLACES, PLACES)
def test_no_way_around_is_shorter(a, b, c):
    straight, around = way(a, c), way(a, b) + way(b, c)
    assert all(getattr(straight, n) <= getattr(around, n) for n in ("user_kernel", "pcie"))


def test_the_baseline_starts_a_vm_through_two_processes():
    assert crossings("qemu") == Crossings(user_kernel=7, process=1, pcie=0)


def test_a_light_monitor_crosses_as_much_as_qemu():
    assert crossings("firecracker") == crossings("qemu"), "two layers and a process, and thin all the same"


def test_a_card_that_manages_itself_changes_rules_without_the_host():
    assert crossings("nitro", "rule") == crossings("nitro", "snapshot") == Crossings()
    assert crossings("nitro").process == 0 and crossings("nitro").pcie == 3


def test_an_operation_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(ValueError, match="no operation 'stop'; there are start, attach"):
        crossings("qemu", "stop")
    with pytest.raises(ValueError, match="no move 'shrink'; there are separate"):
        slim("qemu", "shrink")


@few
@given(hosts, st.sampled_from(sorted(OPERATIONS)))
def test_every_host_has_crossings_for_every_operation(host, operation):
    found = crossings(host, operation)
    assert found.process <= found.user_kernel / 2 and math.isfinite(found.pcie)
