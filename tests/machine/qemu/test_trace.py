"""QEMU's own trace of a request: parsed whatever the version, bounded, and in the order that the path says."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.machine.qemu.disks import VirtioBlk
from virtlab.machine.qemu.trace import PATTERNS, STAGES, Timeline, parse, stages, timeline

LOG = b"""20100@1700000000.000100:virtio_queue_notify vdev 0x5 n 0 vq 0x7
20100@1700000000.000108:virtqueue_pop vq 0x7 elem 0x5 in_num 2 out_num 1
20100@1700000000.000123:thread_pool_submit_aio pool 0x5 req 0x5
20100@1700000000.000156:thread_pool_complete_aio pool 0x5
some message of QEMU itself
20100@1700000000.000163:virtio_blk_req_complete vdev 0x5 status 0
20100@1700000000.000171:virtio_notify_irqfd vdev 0x5 vq 0x7
20100@1700000000.0001"""


def test_fake_events_of_another_version_mark_the_same_stages():
    assert stages(parse(LOG)) == {"notify": 0, "pop": 8, "submit": 23, "complete": 56, "done": 63, "interrupt": 71}


def test_a_fake_log_without_a_notification_has_no_stages():
    assert stages(parse(LOG)[1:]) == {} and Timeline(0, {}, ()).sentence().startswith("This QEMU logged none")


def test_a_fake_log_is_cut_off_at_the_number_of_events_asked_for():
    assert len(parse(LOG * 1000, most=50)) == 50


@given(st.binary(max_size=300))
def test_fake_noise_is_passed_over(noise):
    assert all(event.us >= 0 and len(event.name) <= 64 for event in parse(noise + b"\n"))


def test_a_request_goes_through_its_stages_in_order():
    seen = timeline(requests=20)
    assert list(seen.us) == [stage for stage, _ in STAGES], "a stage is missing: does this QEMU name its events anew?"
    times = list(seen.us.values())
    assert times == sorted(times) and times[0] == 0 and seen.requests > 10
    assert "longest step" in seen.sentence() and "with tracing on" in seen.sentence() and len(seen.one) > 6


@pytest.mark.parametrize(("merging", "jobs"), [(True, 1), (False, 32)])
def test_adjacent_reads_of_one_batch_are_merged_into_one_job_unless_told_otherwise(merging, jobs):
    with VirtioBlk(merging=merging, trace=PATTERNS) as disk:
        before = len(disk.qemu.log())
        disk.batch(32, adjacent=True)
        events = parse(disk.qemu.log(before))
    assert sum(event.name.startswith("thread_pool_submit") for event in events) == jobs
    assert sum(event.name == "virtio_blk_handle_read" for event in events) == 32
