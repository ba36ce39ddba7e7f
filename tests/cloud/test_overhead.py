"""What a host loses: both axes and their parts, from the models that stand."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.cloud import ARCHITECTURES, REMEDIES, WORKLOADS, Host, Workload, compose, overhead
from virtlab.core.parameter import ParameterError
from virtlab.cpu import after_io
from virtlab.memory import slowdown
from virtlab.paths import LADDER, STORAGE, StorageOptions

EVERY = [(a, w) for a in ARCHITECTURES for w in WORKLOADS]
QUIET = {"network_share": 0.0, "storage_share": 0.0, "vm_packets_per_s": 0.0, "vm_flows_per_s": 0.0}
IDLE_HOST = {"agents_cores": 0.0, "monitor_cores": 0.0, "snapshot_cores": 0.0, "console_cores": 0.0}


@pytest.mark.parametrize(("architecture", "workload"), EVERY)
def test_parts_add_up_to_each_axis_and_the_axes_to_the_loss(architecture, workload):
    o = overhead(architecture, workload)
    assert math.fsum(o.unsold.values()) == pytest.approx(o.host_tax)
    assert math.fsum(o.slow.values()) == pytest.approx(o.slowdown)
    assert o.law()[0] == pytest.approx(o.law()[1])
    assert o.efficiency == pytest.approx((1 - o.host_tax) * (1 - o.slowdown))


@settings(max_examples=25)
@given(
    st.sampled_from(sorted(ARCHITECTURES)), st.floats(0, 0.4), st.floats(0, 0.5), st.integers(1, 256),
    st.floats(0, 100_000), st.integers(1, 64), st.integers(16, 256), st.floats(0, 1e5),
)  # fmt: skip
def test_any_setting_leaves_an_efficiency_between_none_and_all(a, net, disk, depth, packets, batch, cores, timers):
    o = overhead(a, "compute", network_share=net, storage_share=disk, storage_depth=depth, packet_batch=batch,
                 vm_packets_per_s=packets, host_cores=cores, timers_per_s=timers)  # fmt: skip
    assert 0 <= o.efficiency <= 1
    assert all(share >= 0 for share in o.unsold.values())
    assert 0 <= o.vms * o.workload.vm_vcpus <= cores
    assert o.law()[0] == pytest.approx(o.law()[1])


@pytest.mark.parametrize("workload", WORKLOADS)
def test_no_remedy_is_the_baseline(workload):
    assert overhead(compose(), workload).loss == overhead("qemu", workload).loss


@pytest.mark.parametrize("workload", WORKLOADS)
def test_all_remedies_lose_less_than_each_alone(workload):
    every = overhead("nitro", workload).loss
    assert all(every < overhead(compose(remedy), workload).loss for remedy in REMEDIES)


def test_page_walks_are_those_of_the_memory_model():
    o = overhead("qemu", "compute", **QUIET, guest_hz=0.0, timers_per_s=0.0, ipis_per_s=0.0)
    ratio = slowdown(working_set_bytes=o.workload.working_set_bytes, pattern="zipf",
                     accesses_per_instruction=o.workload.accesses_per_instruction).ratio  # fmt: skip
    host_ticks = after_io(guest_hz=0.0, timers_per_s=0.0, ipis_per_s=0.0, halts_per_s=0.0, spins_per_s=0.0,
                          exit_costs="qemu-2012").share  # fmt: skip
    assert 1 / (1 - o.slowdown) == pytest.approx(ratio + host_ticks)


@pytest.mark.parametrize(("architecture", "path"), [("qemu", "virtio-blk"), ("qemu-tuned", "virtio-blk-iothread"),
                                                    ("firecracker", "virtio-blk-sync")])  # fmt: skip
def test_a_vm_that_only_waits_for_its_disk_loses_what_the_path_loses(architecture, path):
    o = overhead(architecture, "compute", **QUIET | {"storage_share": 1.0}, storage_depth=16, vm_vcpus=1, **IDLE_HOST)
    posted = architecture == "qemu-tuned"
    own = STORAGE[path].depths(StorageOptions(posted=posted), deepest=16).at(16)[0]
    bare = STORAGE["metal"].depths(deepest=16).at(16)[0]
    wait = o.slow["storage_wait"] / (o.slow["storage_wait"] + 1 - o.slowdown)
    assert wait == pytest.approx(1 - own / bare)


def test_amdahl_only_the_share_that_waits_grows():
    half, whole = (overhead("qemu", "compute", **QUIET | {"storage_share": s}, **IDLE_HOST) for s in (0.5, 1.0))
    grown = [o.slow["storage_wait"] / (1 - o.slowdown) for o in (half, whole)]
    assert grown[1] == pytest.approx(2 * grown[0])


def test_back_ends_take_the_cores_that_the_paths_bill_at_the_pace_of_the_slowed_guest():
    o = overhead("qemu-tuned", "network", **IDLE_HOST, network_share=0.0, storage_share=0.0)
    bills = [LADDER["vhost-net"].cpu(direction=d, kick_batch=8, interrupt_batch=8, posted=True) for d in ("tx", "rx")]
    per_packet = sum(b.host_by_place["host"] for b in bills) / 2
    rate = o.vms * o.workload.vm_packets_per_s * (1 - o.slowdown)
    assert o.unsold["network"] * o.server.host_cores == pytest.approx(rate * per_packet / 1e9)


def test_a_polling_switch_takes_a_core_at_no_traffic_at_all():
    host = Host(device_model_place="manager", switch_place="manager")
    o = overhead(host, "compute", **QUIET)
    assert o.unsold["network"] * o.server.host_cores == pytest.approx(1)


def test_pinned_vcpus_cost_whole_cores_and_wait_for_no_host_thread():
    free, pinned = overhead("qemu", "storage"), overhead(compose("pinning"), "storage")
    kept = pinned.host_tax - pinned.unsold["memory"]
    assert kept * pinned.server.host_cores == pytest.approx(round(kept * pinned.server.host_cores))
    assert pinned.unsold["rounding"] > 0
    assert (free.slow["jitter"] > 0, pinned.slow["jitter"]) == (True, 0)


def test_pinning_is_dear_on_a_small_server():
    assert overhead(compose("pinning"), "compute", host_cores=8).loss > overhead("qemu", "compute", host_cores=8).loss


def test_memory_counts_where_it_takes_more_than_the_cores_do():
    few, many = (overhead("qemu", "compute", agents_cores=cores) for cores in (0.0, 8.0))
    assert few.unsold["memory"] > 0
    assert many.unsold["memory"] == 0
    assert few.host_tax == pytest.approx(few.unsold["memory"] + sum(v for k, v in few.unsold.items() if k != "memory"))


def test_a_small_vm_pays_most_for_its_vmm():
    small = {"vm_memory_bytes": 1 << 27, "vm_vcpus": 1, "working_set_bytes": 1 << 20}
    qemu, light = (overhead(a, "compute", **QUIET, **small) for a in ("qemu", compose("light_vmm")))
    assert qemu.host_tax > 0.5
    assert light.host_tax < 0.06


def test_with_everything_on_the_card_all_cores_are_sold():
    o = overhead("nitro", "storage")
    assert math.fsum(v for k, v in o.unsold.items() if k != "memory") == 0


def test_a_card_is_not_the_fastest_way_to_an_answer():
    polled = overhead("google", "network", network_share=0.5, vm_packets_per_s=1_000.0)
    card = overhead("nitro", "network", network_share=0.5, vm_packets_per_s=1_000.0)
    assert polled.slow["network_wait"] < card.slow["network_wait"]
    assert polled.host_tax > card.host_tax


@pytest.mark.parametrize(("change", "part"), [({"storage_share": 0.6}, "storage_wait"),
                                              ({"network_share": 0.4}, "network_wait"),
                                              ({"timers_per_s": 50_000.0}, "timers"),
                                              ({"working_set_bytes": 1 << 34}, "walks")])  # fmt: skip
def test_more_of_a_thing_costs_more(change, part):
    assert overhead("qemu", "storage", **change).slow[part] > overhead("qemu", "storage").slow[part]


def test_more_than_bare_metal_could_do_is_refused_and_says_how_much_it_could():
    with pytest.raises(ParameterError, match=r"vm_packets_per_s must be at most .* not even bare metal"):
        overhead("qemu", "network", vm_packets_per_s=1e8)


def test_a_host_that_could_sell_nothing_is_refused():
    with pytest.raises(ParameterError, match=r"host_cores must be more than .* nothing could be sold"):
        overhead("qemu", "compute", host_cores=4, agents_cores=8.0)


@pytest.mark.parametrize(("given", "message"), [
    (("nitrous",), "architecture must be one of qemu"), (("qemu", "games"), "workload must be one of compute"),
])  # fmt: skip
def test_unknown_names_are_told_with_those_that_exist(given, message):
    with pytest.raises(ParameterError, match=message):
        overhead(*given)


def test_an_unknown_parameter_is_named():
    with pytest.raises(ParameterError, match="did you mean host_cores"):
        overhead("qemu", "compute", host_core=4)


def test_waits_cannot_last_longer_than_the_time():
    with pytest.raises(ParameterError, match="at most 1 together"):
        Workload(network_share=0.6, storage_share=0.6)


def test_the_result_is_frozen_and_says_itself():
    o = overhead("nitro", "storage")
    with pytest.raises(dataclasses.FrozenInstanceError):
        o.vms = 1.0
    assert o.sentence() in str(o)
    assert "AWS Nitro" in o.sentence()
