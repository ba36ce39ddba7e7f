"""The storage paths against published measurements, conditions as published.

Not all of it is blind. QEMU's row at QD32 was known when its main loop was settled: the first result was 200 000 IOPS
for 135 000, whereupon turns of the loop were charged at any load and ``storage.thread_signal`` went from 1 to 2 µs;
``page_cache`` was made a cost a page with the 128 KiB rows in sight. Those rows hold the model in place, and test
nothing. 2 µs stands by itself: a published run of perf bench has 9.8 µs (``storage.futex.wake``).

Input of the NSDI'20 rows is bare metal alone: its time at QD1 gives the disk, its CPU time a request the guest, its
128 KiB rate the disk's. What a VM makes of it is the model's word. Waits of 20 to 600 µs send a Skylake-SP core into
C1E (10 µs to wake, ``cpu.idle_exit.c1e``), which is the one condition that the authors do not state.

Rows that are not here: writes at depth, since fio's fsync=32 has a flush after each 32 writes in the rate, and the
model has none (alone, at QD1, it makes rate and latency contradict each other: ``test_in_flight.py``);
``io.blk.fc.*`` rates, which come from the host's page cache; ``storage.io2.*``, limits of a contract.
"""

from __future__ import annotations

import pytest

from virtlab.evidence import FACTS
from virtlab.paths import STORAGE, Server, StorageCosts, StorageOptions

SLEEPY = StorageCosts()
SHALLOW = StorageCosts(idle_exit_ns=FACTS["cpu.idle_exit"].value)
PATHS = {"metal": "metal", "qemu": "virtio-blk", "fc": "virtio-blk-sync", "chv": "virtio-blk-sync"}
VMS = ["qemu", "fc", "chv"]


def agree(model: float, published: float, factor: float, what: str = "") -> None:
    ratio = model / published
    assert 1 / factor <= ratio <= factor, f"{what}: model {model:.5g}, published {published:.5g}: factor {ratio:.2f}"


def nsdi(operation: str) -> StorageCosts:
    """The costs under which bare metal takes what was published at QD1."""
    bare = STORAGE["metal"].latency(operation=operation, costs=SLEEPY).total_ns
    device = SLEEPY.device_ns + 1e3 * FACTS[f"nsdi20.metal.rand{operation}.4k.qd1.mean"].value - bare
    return SLEEPY.replace(device_ns=device)


def model(who: str, operation: str, size: int, depth: int) -> tuple[float, float]:
    """(IOPS, mean latency in µs)."""
    curve = STORAGE[PATHS[who]].depths(costs=nsdi(operation), operation=operation, request_bytes=size, deepest=depth)
    iops, ns = curve.at(depth)
    return iops, ns / 1e3


def published(who: str, row: str) -> tuple[float, float]:
    return FACTS[f"nsdi20.{who}.{row}.iops"].value, FACTS[f"nsdi20.{who}.{row}.mean"].value


# --- NSDI'20: one request at a time -----------------------------------------------------------------------------------


@pytest.mark.parametrize("who", VMS)
def test_a_read_alone(who):
    """Factor 1.25: QEMU 1.03, Cloud Hypervisor 1.11, Firecracker 1.24 too fast."""
    agree(model(who, "read", 4096, 1)[1], published(who, "randread.4k.qd1")[1], 1.25, who)


@pytest.mark.parametrize("who", VMS)
def test_what_a_vm_adds_to_a_read_alone(who):
    """Factor 1.65 of the difference alone: two or four wake-ups and the exits; the same order as published but for
    the two small VMMs, which are one path here."""
    added = model(who, "read", 4096, 1)[1] - published("metal", "randread.4k.qd1")[1]
    agree(added, FACTS[f"nsdi20.{who}.randread.4k.qd1.added"].value, 1.65, who)


@pytest.mark.parametrize("who", VMS)
def test_a_write_alone_is_taken_by_the_host_s_page_cache(who):
    """Factor 1.5: which cache each VMM used is not stated; Cloud Hypervisor is as fast as bare metal: cached."""
    agree(model(who, "write", 4096, 1)[1], published(who, "randwrite.4k.qd1")[1], 1.5, who)


# --- NSDI'20: 32 in flight --------------------------------------------------------------------------------------------


def test_bare_metal_at_depth_32_is_the_cpu_of_one_job():
    """Factor 1.02, and nearly by construction: 3.32 µs of CPU a request; what is shown is who the bottleneck is."""
    curve = STORAGE["metal"].depths(costs=nsdi("read"), deepest=32)
    assert curve.bottleneck is Server.VCPU
    agree(curve.at(32)[0], published("metal", "randread.4k.qd32")[0], 1.02)


def test_untuned_qemu_at_depth_32_is_its_main_loop():
    """Factor 1.25, and not blind (see above): 6.2 µs a request in the main loop, where the published rate leaves 7.4;
    5.2 µs and a factor of 1.36 with the first ``thread_signal``. QEMU's global lock and the barriers of 2020 are left
    out."""
    curve = STORAGE["virtio-blk"].depths(costs=nsdi("read"), deepest=32)
    assert curve.bottleneck is Server.BACKEND
    agree(curve.at(32)[0], published("qemu", "randread.4k.qd32")[0], 1.25)


@pytest.mark.parametrize("who", ["fc", "chv"])
def test_a_thread_that_waits_ignores_the_depth(who):
    """Factor 1.3: 61 µs a request in turn, published 77.6 and 76.8: a wake-up of 14 µs is a floor, not a mean."""
    agree(model(who, "read", 4096, 32)[0], published(who, "randread.4k.qd32")[0], 1.3, who)


@pytest.mark.parametrize("who", ["metal", "qemu"])
def test_large_requests_at_depth_fill_the_disk_and_a_vm_loses_nothing(who):
    """Factor 1.05: the disk's own rate; QEMU's published loss is -2.4 %, a gain."""
    iops, _ = model(who, "read", 131_072, 32)
    agree(iops, published(who, "randread.128k.qd32")[0], 1.05, who)


def test_what_rests_on_the_price_of_waking_a_worker():
    """A guess of half the price would miss the published rate by 1.36 instead of 1.18: one row cannot tell which."""
    for signal_ns, factor in ((1_000, 1.36), (2_000, 1.18)):
        curve = STORAGE["virtio-blk"].depths(costs=nsdi("read").replace(thread_signal_ns=signal_ns), deepest=32)
        assert curve.at(32)[0] / published("qemu", "randread.4k.qd32")[0] == pytest.approx(factor, abs=0.01)
    assert SLEEPY.thread_signal_ns < 1e3 * FACTS["storage.futex.wake"].value


def test_the_order_of_the_published_paths_at_both_depths():
    for depth in (1, 32):
        ours = [model(who, "read", 4096, depth)[0] for who in ("metal", "qemu", "chv")]
        theirs = [published(who, f"randread.4k.qd{depth}")[0] for who in ("metal", "qemu", "chv")]
        order = sorted(range(3), key=ours.__getitem__)
        assert order == sorted(range(3), key=theirs.__getitem__), depth


# --- NSDI'20: known disagreements, kept in sight ----------------------------------------------------------------------


@pytest.mark.parametrize(("who", "low", "high"), [("metal", 0.6, 0.8), ("qemu", 0.55, 0.75), ("fc", 0.35, 0.55)])
def test_large_requests_alone_are_too_fast_in_the_model(who, low, high):
    """Bare metal: 138 µs for 210, since one request does not get the whole rate of the disk. Firecracker: 224 µs for
    555. Its device of 2020 offers no segments (VIRTIO_BLK_F_SEG_MAX), so that the guest cuts a request into pages,
    each a request of its own; the model has it in one piece."""
    ratio = model(who, "read", 131_072, 1)[1] / published(who, "randread.128k.qd1")[1]
    assert low < ratio < high


# --- other publications -----------------------------------------------------------------------------------------------


def test_the_way_to_a_null_device_through_an_iothread():
    """Factor 1.05 of the whole, 1.5 of what is added to the 280 µs; between the shallowest idle state and C1E."""
    for idle in (2_000, 10_000):
        costs = StorageCosts(device_ns=1e3 * FACTS["io.blk.null.device"].value, idle_exit_ns=idle)
        total = STORAGE["virtio-blk-iothread"].latency(costs=costs).total_ns
        for row in ("batched", "single"):
            agree(total, 1e3 * FACTS[f"io.blk.null.{row}"].value, 1.05)
            agree(total - costs.device_ns, 1e3 * (FACTS[f"io.blk.null.{row}"].value - 280), 1.5)


def test_what_tuning_leaves_of_the_latency_that_a_guest_adds():
    """ "Roughly 10 µs": between an iothread that polls (8 µs) and one that sleeps in the shallowest state (20 µs)."""
    bare = STORAGE["metal"].latency(costs=SHALLOW).total_ns
    polls, sleeps = (
        STORAGE["virtio-blk-iothread"].latency(costs=SHALLOW, backend_polls=p).total_ns - bare for p in (True, False)
    )
    assert polls < 1e3 * FACTS["io.blk.tuned.added"].value < sleeps


def test_polling_and_no_kernel_of_the_host_nearly_halve_a_read_alone():
    """QEMU's NVMe driver against linux-aio. Factor 1.5 of the ratio: disk and CPU are not stated; the disk that makes
    the first row 95 µs makes the second 62 in the model, published 46."""
    aio, user = (1e9 / FACTS[f"io.blk.nvme.{way}.qd1"].value for way in ("aio", "user"))
    costs = SLEEPY.replace(device_ns=SLEEPY.device_ns + aio - STORAGE["virtio-blk-iothread"].latency(
        costs=SLEEPY).total_ns)  # fmt: skip
    polled = STORAGE["virtio-blk-iothread"].latency(
        costs=costs.replace(host_block_ns=100), backend_polls=True).total_ns  # fmt: skip
    agree(polled / aio, user / aio, 1.5)


def ssd(limit: str) -> StorageCosts:
    """A disk that gives the host what was published: as many channels as that takes at 300 µs, which is not stated."""
    rate = FACTS[limit].value
    channels = round(rate * 300e-6)
    return StorageCosts(device_ns=1e9 * channels / rate, device_channels=channels)


@pytest.mark.parametrize(("row", "path"), [
    ("vhost", "vhost-blk"), ("vhost.write", "vhost-blk"), ("qemu.write", "virtio-blk-iothread"),
])  # fmt: skip
def test_a_slow_disk_hides_the_path(row, path):
    """Factor 1.1: 96 000 IOPS are less than any path can carry."""
    operation = "write" if "write" in row else "read"
    host = "io.blk.vhost.host" + (".write" if operation == "write" else "")
    iops = STORAGE[path].depths(costs=ssd(host), operation=operation, deepest=128).at(128)[0]
    agree(iops, FACTS[f"io.blk.vhost.{row}"].value, 1.1, row)


def test_reads_of_qemu_on_that_disk_are_not_explained():
    """A known disagreement: 57 500 published, 95 800 in the model. The author's own writes lose 7 %, his reads 40 %."""
    iops = STORAGE["virtio-blk-iothread"].depths(costs=ssd("io.blk.vhost.host"), deepest=128).at(128)[0]
    assert 1.6 < iops / FACTS["io.blk.vhost.qemu"].value < 1.75


RAM = StorageCosts(device_ns=1_000, device_channels=1024, device_gbyte_per_s=100)


@pytest.mark.parametrize(("vcpus", "factor"), [(1, 1.6), (2, 1.45), (4, 1.25)])
def test_a_ramdisk_shows_the_iothread(vcpus, factor):
    """Factor 1.25 to 1.6: 180 000 at any number of vCPUs, published 123, 253 (with two question marks) and 158
    thousand: one thread for all queues, which the author names as the limit."""
    iops = STORAGE["virtio-blk-iothread"].depths(costs=RAM, jobs=vcpus, deepest=128).at(128)[0]
    agree(iops, FACTS[f"io.blk.vhost.ramdisk.virtio.vcpu{vcpus}"].value, factor)


def test_a_ramdisk_behind_vhost_grows_with_its_threads():
    """Factor 2.3: 110 000 published for one vCPU, where the guest is the limit of the model at 249 000 (the worker
    copies the page of a ramdisk, too); 1.2 for four, with as many workers as the 576 000 need: two."""
    one = STORAGE["vhost-blk"].depths(costs=RAM, jobs=1, deepest=128).at(128)[0]
    agree(one, FACTS["io.blk.vhost.ramdisk.vhost.vcpu1"].value, 2.3)
    four = STORAGE["vhost-blk"].depths(costs=RAM, jobs=4, backend_threads=2, deepest=128).at(128)[0]
    agree(four, FACTS["io.blk.vhost.ramdisk.vhost.vcpu4"].value, 1.25)


@pytest.mark.parametrize("cpu", ["skx", "icx"])
def test_cpu_of_a_small_vmm_for_a_read_from_the_page_cache(cpu):
    """Factor 2.7 and 1.4: 1.7 µs of work, system calls and the copy; published 4.4 and 2.2 on two CPUs of Amazon."""
    hit = StorageCosts(page_cache_ns=0)
    busy = STORAGE["virtio-blk-sync"].busy_ns(StorageOptions(operation="write"), hit)[Server.BACKEND]
    agree(busy, 1e3 * FACTS[f"io.blk.fc.{cpu}.sync.request"].value, 2.7 if cpu == "skx" else 1.4)


def test_qemu_s_emulated_nvme_at_depth_64_with_an_eventfd():
    """Factor 1.75, the model is the slower one: virtio-blk's figures for another device; its back end is not stated,
    and without the host's block layer the two agree within 5 %."""
    published = FACTS["io.nvme.ioeventfd.qd64.on"].value
    whole = STORAGE["virtio-blk-iothread"].depths(costs=RAM, deepest=64).at(64)[0]
    agree(whole, published, 1.75)


def test_a_polling_core_is_slower_than_the_nvme_driver_alone():
    """SPDK's driver makes 13.85 million requests a core without a VM: a floor for a core that also serves a ring."""
    path = STORAGE["vhost-user-blk"]
    assert path.capacity(jobs=64, costs=RAM).servers[Server.BACKEND] < FACTS["io.spdk.core"].value
