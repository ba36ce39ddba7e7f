"""Events per packet: golden values, what each batch and suppression does, and the mistakes that the names prevent."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.paths import LADDER, PathOptions

BATCHES = (1, 8, 32, 64)
GOLDEN_3 = dict(zip(BATCHES, (3, 0.375, 0.09375, 0.046875), strict=True))
GOLDEN_2 = dict(zip(BATCHES, (2, 0.25, 0.0625, 0.03125), strict=True))
GOLDEN_1 = dict(zip(BATCHES, (1, 0.125, 0.03125, 0.015625), strict=True))
GOLDEN_0 = dict.fromkeys(BATCHES, 0)
KICKED = ("qemu", "qemu-ioeventfd", "vhost-net")
CARDS = ("vdpa", "sriov", "card")
DIRECTIONS = ("tx", "rx")


def exits(path: str, batch: int = 1, **options: object) -> float:
    return LADDER[path].counts(kick_batch=batch, interrupt_batch=batch, **options).vcpu_exits_per_packet


# --- exits ---------------------------------------------------------------------------------------------------------

EXITS = [
    *((p, {"apicv": False}, GOLDEN_3) for p in KICKED),
    *((p, {"apicv": False, "pv_eoi": True}, GOLDEN_2) for p in KICKED),
    *((p, {"apicv": True}, GOLDEN_1) for p in KICKED),
    ("vhost-net", {"apicv": False, "busy_poll": True}, GOLDEN_2),
    ("vhost-net", {"apicv": True, "busy_poll": True}, GOLDEN_0),
    ("vhost-user", {"apicv": False}, GOLDEN_2),
    ("vhost-user", {"apicv": False, "pv_eoi": True}, GOLDEN_1),
    ("vhost-user", {"apicv": True}, GOLDEN_0),
    ("vhost-user", {"apicv": False, "guest_poll": True}, GOLDEN_0),
    *((p, {"apicv": False}, GOLDEN_2) for p in CARDS),
    *((p, {"apicv": False, "irq_on_vcpu_cpu": True}, GOLDEN_2) for p in CARDS),
    *((p, {"apicv": True}, GOLDEN_0) for p in CARDS),
    *((p, {"apicv": True, "irq_on_vcpu_cpu": True}, GOLDEN_1) for p in CARDS),
    *((p, {"posted": True}, GOLDEN_0) for p in CARDS),
    *((p, {"apicv": False, "guest_poll": True}, GOLDEN_0) for p in CARDS),
    ("vdpa", {"apicv": False, "doorbell_mapped": False}, GOLDEN_3),
    ("vdpa", {"posted": True, "doorbell_mapped": False}, GOLDEN_1),
]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("path", "options", "golden"), EXITS, ids=lambda v: str(v) if isinstance(v, str) else None)
def test_exits_per_packet_are_golden(path, options, golden, direction):
    found = {batch: exits(path, batch, direction=direction, **options) for batch in BATCHES}
    assert found == golden, f"{path} {direction} with {options}"


def test_the_example_of_the_readme_holds():
    counts = LADDER["vhost-net"].counts(direction="tx", kick_batch=8, interrupt_batch=8, apicv=False)
    assert counts.vcpu_exits_per_packet == 0.375


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("path", LADDER)
def test_no_exit_only_where_no_kick_and_no_interrupt_costs_one(path, direction):
    flags = ("apicv", "posted", "pv_eoi", "irq_on_vcpu_cpu", "guest_poll", "busy_poll", "doorbell_mapped",
             "refill_kicks", "completion_interrupts")  # fmt: skip
    for values in itertools.product((False, True), repeat=len(flags)):
        on = dict(zip(flags, values, strict=True))
        if on["posted"] and not on["apicv"]:
            continue
        kicks = {
            "qemu": True, "qemu-ioeventfd": True, "vhost-net": not on["busy_poll"], "vhost-user": False,
            "vdpa": not on["doorbell_mapped"], "sriov": False, "card": False,
        }[path] and (direction == "tx" or on["refill_kicks"])  # fmt: skip
        interrupted = not on["guest_poll"] and (direction == "rx" or on["completion_interrupts"])
        dear = not on["posted"] and (not on["apicv"] or on["irq_on_vcpu_cpu"]) if path in CARDS else not on["apicv"]
        assert (exits(path, direction=direction, **on) > 0) == (kicks or (interrupted and dear)), f"{path}: {on}"


def test_a_halted_guest_is_woken_instead_of_interrupted():
    counts = LADDER["vhost-net"].counts(direction="rx", apicv=False, refill_kicks=False, guest_halts=True)
    assert counts.vcpu_exits_per_packet == 2  # HLT and EOI; the vCPU is out already, so injecting costs none
    assert counts.context_switches_per_packet == 4  # the worker's pair and the vCPU's pair


def test_posting_to_a_halted_guest_interrupts_the_host():
    awake, halted = (LADDER["sriov"].counts(direction="rx", posted=True, guest_halts=h) for h in (False, True))
    assert (awake.host_irqs_per_packet, halted.host_irqs_per_packet) == (0, 1)


def test_an_unposted_device_interrupt_reaches_a_running_guest_by_one_ipi():
    other, own = (LADDER["sriov"].counts(direction="rx", irq_on_vcpu_cpu=o) for o in (False, True))
    assert (other.notification_ipis_per_packet, other.vcpu_exits_per_packet) == (1, 0)
    assert (own.notification_ipis_per_packet, own.vcpu_exits_per_packet) == (0, 1)


# --- the four batches, each on its own -----------------------------------------------------------------------------

NOTIFIED = {"completion_interrupts": True, "refill_kicks": True, "apicv": False}


@pytest.mark.parametrize(
    ("direction", "batch", "expected"),
    [
        ("tx", "kick_batch", 1 / 8 + 2),
        ("tx", "refill_batch", 3),
        ("tx", "completion_batch", 1 + 2 / 8),
        ("rx", "refill_batch", 1 / 8 + 2),
        ("rx", "interrupt_batch", 1 + 2 / 8),
        ("rx", "completion_batch", 3),
    ],
)
def test_each_batch_divides_its_own_notifications_only(direction, batch, expected):
    counts = LADDER["vhost-net"].counts(direction=direction, **{**NOTIFIED, batch: 8})
    assert counts.vcpu_exits_per_packet == expected


def test_refills_follow_kicks_and_completions_follow_interrupts_until_set():
    refill = LADDER["vhost-net"].counts(direction="rx", kick_batch=8)
    completion = LADDER["vhost-net"].counts(direction="tx", kick_batch=64, interrupt_batch=4, apicv=False)
    assert refill.vcpu_exits_per_packet == 1 / 8
    assert completion.vcpu_exits_per_packet == 1 / 64 + 2 / 4


@pytest.mark.parametrize("path", KICKED)
def test_suppressed_refill_kicks_cost_no_exit(path):
    assert exits(path, direction="rx", refill_kicks=False) == 0
    assert exits(path, direction="tx", refill_kicks=False) == 1


@pytest.mark.parametrize("path", KICKED)
def test_suppressed_completions_cost_no_exit(path):
    assert exits(path, direction="tx", apicv=False, completion_interrupts=False) == 1
    assert exits(path, direction="rx", apicv=False, completion_interrupts=False) == 3


@pytest.mark.parametrize("path", LADDER)
def test_suppressed_completions_cost_no_interrupt_anywhere(path):
    counts = LADDER[path].counts(direction="tx", completion_interrupts=False)
    assert counts.host_irqs_per_packet == counts.notification_ipis_per_packet == 0


@given(
    settings_of(PathOptions),
    st.sampled_from(sorted(LADDER)),
    st.sampled_from(["kick", "refill", "interrupt", "completion"]),
)
def test_no_event_becomes_more_frequent_with_a_larger_batch(options, path, batch):
    name = f"{batch}_batch"
    small = 1 if getattr(options, name) is None else getattr(options, name)
    before = LADDER[path].counts(options.replace(**{name: small}))
    after = LADDER[path].counts(options.replace(**{name: min(64, 2 * small)}))
    for field in (f for f in vars(before) if f.endswith("_per_packet")):
        assert getattr(after, field) <= getattr(before, field), f"{path}: {field} rises with {name}"


# --- copies --------------------------------------------------------------------------------------------------------

HOST_COPIES = {"qemu": (1, 2), "qemu-ioeventfd": (1, 2), "vhost-net": (1, 1), "vhost-user": (1, 1),
               "vdpa": (0, 0), "sriov": (0, 0), "card": (0, 0)}  # fmt: skip


@pytest.mark.parametrize("path", LADDER)
def test_host_copies_are_golden(path):
    found = tuple(LADDER[path].counts(direction=d).host_copies_per_packet for d in DIRECTIONS)
    assert found == HOST_COPIES[path], f"{path}: TX and RX"


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("path", LADDER)
def test_the_guest_copies_once_and_the_data_crosses_pcie_once(path, direction):
    counts = LADDER[path].counts(direction=direction)
    host = HOST_COPIES[path][DIRECTIONS.index(direction)]
    assert counts.copies("guest") == 1
    assert counts.copies("host+guest") == host + 1
    assert counts.copies("host+guest+dma") == host + 2


def test_copies_demand_a_scope():
    counts = LADDER["card"].counts()
    with pytest.raises(TypeError):
        counts.copies()
    with pytest.raises(ValueError, match="scope must be host, guest, .* means nothing until"):
        counts.copies("all")


@pytest.mark.parametrize(
    ("direction", "frame_bytes", "copies"), [("tx", 64, 1), ("tx", 255, 1), ("tx", 256, 0), ("rx", 1518, 1)]
)
def test_vhost_zero_copy_is_for_sending_from_256_bytes(direction, frame_bytes, copies):
    counts = LADDER["vhost-net"].counts(direction=direction, frame_bytes=frame_bytes, zero_copy=True)
    assert counts.host_copies_per_packet == copies


def test_vhost_zero_copy_is_off_by_default():
    assert PathOptions().zero_copy is False


@pytest.mark.parametrize("path", LADDER)
def test_the_guest_copies_what_it_receives_even_with_zero_copy_everywhere(path):
    counts = LADDER[path].counts(direction="rx", guest_zero_copy=True, zero_copy=True)
    assert counts.guest_copies_per_packet == 1


def test_a_polling_guest_driver_has_no_socket_and_no_copy():
    for direction in DIRECTIONS:
        assert LADDER["sriov"].counts(direction=direction, guest_poll=True).guest_copies_per_packet == 0


# --- things that are not the same ----------------------------------------------------------------------------------


def test_a_vhost_kick_is_one_exit_and_no_thread_switch_of_the_vcpu():
    kick = [s for s in LADDER["vhost-net"].active(direction="tx") if s.per == "kick" and s.server == "vcpu"]
    assert sum(s.causes.get("vcpu_exits", 0) for s in kick) == 1
    assert sum(s.causes.get("context_switches", 0) for s in kick) == 0


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_an_ioeventfd_removes_the_trip_to_qemu_but_not_the_exit(direction):
    plain, eventfd = (LADDER[p].counts(direction=direction, apicv=False) for p in ("qemu", "qemu-ioeventfd"))
    assert plain.vcpu_exits_per_packet == eventfd.vcpu_exits_per_packet
    assert (plain.userspace_exits_per_packet, eventfd.userspace_exits_per_packet) == (1, 0)


def test_an_ioeventfd_lets_the_vcpu_go_on_at_once():
    after = {
        p: [
            s.key for s in LADDER[p].active(direction="tx") if s.server == "vcpu" and s.place != "guest" and not s.aside
        ]
        for p in ("qemu", "qemu-ioeventfd")
    }
    assert after["qemu-ioeventfd"] == ["kick_exit"]
    assert "tap_write" in after["qemu"]


def test_only_the_first_two_paths_pass_through_qemu():
    for direction in DIRECTIONS:
        through = [p for p in LADDER if LADDER[p].counts(direction=direction).qemu_in_datapath]
        assert through == ["qemu", "qemu-ioeventfd"]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("path", LADDER)
def test_one_dma_of_data_is_at_least_four_pcie_transactions(path, direction):
    counts = LADDER[path].counts(direction=direction)
    assert counts.data_dmas_per_packet == 1
    assert counts.pcie_transactions_per_packet >= 4


def test_host_system_calls_are_golden():
    found = {p: tuple(LADDER[p].counts(direction=d).host_syscalls_per_packet for d in DIRECTIONS) for p in LADDER}
    assert found == {
        "qemu": (3, 5),  # TX: KVM_RUN, writev, irqfd; RX: ppoll and its read, read, irqfd, KVM_RUN of the refill
        "qemu-ioeventfd": (4, 4),  # ppoll, read of the eventfd, writev or read, irqfd
        "vhost-net": (0, 0),
        "vhost-user": (1, 1),  # the call eventfd
        "vdpa": (0, 0), "sriov": (0, 0), "card": (0, 0),
    }  # fmt: skip


def test_context_switches_are_a_pair_for_each_wake_up():
    found = {p: LADDER[p].counts(kick_batch=8).context_switches_per_packet for p in LADDER}
    expected = dict.fromkeys(LADDER, 0) | {"qemu-ioeventfd": 2 / 8, "vhost-net": 2 / 8}
    assert found == expected


@pytest.mark.parametrize(("direction", "batch"), [("tx", "kick_batch"), ("rx", "refill_batch")])
def test_a_relayed_vdpa_doorbell_is_one_exit_and_wakes_nobody(direction, batch):
    """vhost_vdpa_open asks vhost_dev_init for no worker, so the kick's work runs in the kicking vCPU's context."""
    counts = LADDER["vdpa"].counts(direction=direction, doorbell_mapped=False, posted=True, **{batch: 4})
    assert counts.context_switches_per_packet == 0
    assert counts.vcpu_exits_per_packet == 1 / 4


def test_the_host_is_interrupted_on_receive_where_its_own_driver_serves_the_card():
    irqs = {p: LADDER[p].counts(direction="rx", posted=True, interrupt_batch=4).host_irqs_per_packet for p in LADDER}
    assert irqs == dict.fromkeys(KICKED, 0.25) | dict.fromkeys(("vhost-user", *CARDS), 0)


def test_only_polling_back_ends_take_a_core_for_themselves():
    plain = {p: LADDER[p].counts().dedicated_cores for p in LADDER}
    polled = {p: LADDER[p].counts(busy_poll=True).dedicated_cores for p in LADDER}
    assert plain == dict.fromkeys(LADDER, 0) | {"vhost-user": 1}
    assert polled == plain | {"vhost-net": 1}


def test_at_least_three_switches_is_first_false_at_batch_two():
    by_batch = {
        b: LADDER["vhost-net"].counts(kick_batch=b, interrupt_batch=b).switches_per_packet for b in (1, 2)
    }  # a kick exit and a pair of switches
    assert by_batch == {1: 3, 2: 1.5}
