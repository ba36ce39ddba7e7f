"""The storage paths as data: every name has words, a function and a cost that exist; and the counts that follow."""

from __future__ import annotations

import re

import pytest

from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.paths import STORAGE, Place, Server, StorageCosts, StorageOptions

STEPS = [(path.id, step) for path in STORAGE.values() for step in path.steps]
SOFTWARE = re.compile(r"^[a-z][\w/.-]+\.(c|h|rs): \w+$")
HARDWARE = (Place.CARD, Place.PCIE, Place.WIRE)


def test_the_paths_run_from_bare_metal_to_a_cloud_disk():
    assert list(STORAGE) == ["metal", "virtio-blk", "virtio-blk-sync", "virtio-blk-iothread", "vhost-blk",
                             "vhost-user-blk", "nvme-vfio", "cloud-disk"]  # fmt: skip


def test_an_unknown_path_is_answered_with_those_that_exist():
    with pytest.raises(KeyError, match="no storage path 'nvme'; there are metal, .*nvme-vfio"):
        STORAGE["nvme"]


@pytest.mark.parametrize("path", STORAGE)
def test_a_path_has_title_and_description(path):
    assert all(words(f"storage_path.{path}.{key}") for key in ("title", "short", "long"))
    assert STORAGE[path].title in repr(STORAGE[path])


def test_every_step_has_words_and_none_has_them_in_vain():
    assert set(words("storage_step")) == {step.key for _, step in STEPS}


def test_every_place_and_server_has_words():
    assert {p.value for p in Place} == set(words("storage.place"))
    assert {s.value for s in Server} == set(words("storage.server"))


def test_every_step_in_software_names_file_and_function():
    for path, step in STEPS:
        if step.place not in HARDWARE:
            assert SOFTWARE.match(step.function), f"{path}/{step.key}: {step.function!r} is not 'file.c: function'"
        assert step.function.strip(), f"{path}/{step.key} names nothing"


def test_every_cost_and_every_condition_of_a_step_exists():
    specs = StorageOptions.specs()
    for path, step in STEPS:
        for name in (*step.cost, *step.delay):
            assert StorageCosts().ns(name) >= 0, f"{path}/{step.key}: {name}"
        for name, wanted in step.when:
            allowed = (True, False) if specs[name].kind == "bool" else specs[name].choices
            assert wanted in allowed, f"{path}/{step.key}: {name}={wanted!r}"


@pytest.mark.parametrize("operation", ["read", "write"])
@pytest.mark.parametrize("path", STORAGE)
def test_every_request_starts_and_ends_in_the_guest(path, operation):
    ways = [s.place for s in STORAGE[path].active(operation=operation) if not s.aside]
    assert ways[0] is Place.GUEST and ways[-1] is Place.GUEST


@pytest.mark.parametrize("path", STORAGE)
def test_the_data_cross_pcie_at_least_once_on_every_path(path):
    for operation in ("read", "write"):
        assert STORAGE[path].counts(operation=operation).data_dmas_per_request >= 1


# --- counts -----------------------------------------------------------------------------------------------------------

#: (kick and interrupt exits, host copies, guest copies), for a busy guest with APICv; by what the paths are.
COUNTS = {
    "metal": (0, 0), "virtio-blk": (1, 1), "virtio-blk-sync": (1, 1), "virtio-blk-iothread": (1, 0),
    "vhost-blk": (1, 0), "vhost-user-blk": (0, 0), "nvme-vfio": (0, 0), "cloud-disk": (0, 0),
}  # fmt: skip


@pytest.mark.parametrize("path", STORAGE)
def test_exits_and_copies_of_one_read_under_a_busy_guest(path):
    counts = STORAGE[path].counts(guest_sleeps=False)
    assert (counts.vcpu_exits_per_request, counts.host_copies_per_request) == COUNTS[path]
    assert counts.userspace_exits_per_request == 0, "an ioeventfd needs no exit to user space"
    assert counts.copies("guest") == 0, "O_DIRECT"


def test_only_the_emulated_paths_have_qemu_in_the_way():
    touched = {p for p in STORAGE if STORAGE[p].counts().qemu_in_datapath}
    assert touched == {"virtio-blk", "virtio-blk-sync", "virtio-blk-iothread"}


def test_only_the_polling_path_keeps_cores_and_each_more_thread_is_one_more():
    cores = {p: STORAGE[p].counts(backend_threads=3).dedicated_cores for p in STORAGE}
    assert cores == {p: 3 if p == "vhost-user-blk" else 0 for p in STORAGE}


def test_switches_in_the_host_fall_from_untuned_to_tuned_to_none():
    """Untuned read: main loop woken and asleep twice, a worker woken, asleep, and asleep and woken for the disk."""
    switches = {p: STORAGE[p].counts(guest_sleeps=False).context_switches_per_request for p in STORAGE}
    assert (switches["virtio-blk"], switches["virtio-blk-iothread"], switches["vhost-blk"]) == (8, 4, 4)
    assert switches["vhost-user-blk"] == switches["nvme-vfio"] == switches["cloud-disk"] == 0


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_kicks_and_interrupts_are_shared_by_their_batches(batch):
    options = {"guest_sleeps": False, "apicv": False, "requests_per_kick": batch, "requests_per_interrupt": batch}
    assert STORAGE["virtio-blk-iothread"].counts(**options).vcpu_exits_per_request == pytest.approx(3 / batch)


def test_a_posted_interrupt_of_a_device_costs_no_exit_and_no_host_interrupt_while_the_guest_runs():
    counts = STORAGE["nvme-vfio"].counts(posted=True, guest_sleeps=False)
    assert (counts.vcpu_exits_per_request, counts.host_irqs_per_request, counts.notification_ipis_per_request) == (
        0, 0, 0)  # fmt: skip


def test_a_posted_interrupt_for_a_sleeping_guest_still_costs_the_host_an_interrupt_and_a_wake_up():
    counts = STORAGE["nvme-vfio"].counts(posted=True)
    assert counts.host_irqs_per_request == 1 and counts.context_switches_per_request >= 1


def test_vt_d_does_not_post_what_software_sends():
    awake = {"guest_sleeps": False}
    assert STORAGE["vhost-user-blk"].counts(posted=True, **awake) == STORAGE["vhost-user-blk"].counts(**awake)


def test_posting_needs_apicv():
    with pytest.raises(ParameterError, match="posted must be False when apicv is False"):
        StorageOptions(posted=True, apicv=False)


def test_a_number_of_copies_needs_a_scope():
    with pytest.raises(ValueError, match="scope must be"):
        STORAGE["metal"].counts().copies("all")
