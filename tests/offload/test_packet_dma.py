"""One packet's DMAs: which transactions, how many bytes each way, at what rate, and what the published model lost."""
import numpy as np
import pytest
from hypothesis import given

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.offload import RINGS, PacketDmaOptions, nic_gbit_per_s, packet_dma
from virtlab.paths import LADDER

near = pytest.approx
NICS = ("simple", "kernel", "dpdk")


# ------------------------------------------------- golden

@pytest.mark.parametrize(("frame", "rates"), [(64, (11.58, 15.72, 18.07)), (1518, (45.60, 47.55, 48.31))])
def test_nics_of_the_published_model_with_every_read_it_lists(frame, rates):
    assert [packet_dma(frame_bytes=frame, nic=n).gbit_per_s() for n in NICS] == near(rates, abs=5e-3)


@pytest.mark.parametrize(("frame", "name"), [(64, "64"), (1518, "1514")])
@pytest.mark.parametrize("nic", NICS)
def test_as_published_the_published_figures_come_out(frame, name, nic):
    found = packet_dma(frame_bytes=frame, nic=nic, as_published=True).gbit_per_s()
    assert found == near(FACTS[f"pcie.model.{nic}.{name}"].value, abs=5e-3)


def test_the_slip_is_one_read_request_of_a_received_packet():
    as_is, published = packet_dma(), packet_dma(as_published=True)
    assert as_is.up_bytes_per_packet("rx") - published.up_bytes_per_packet("rx") == 24
    assert as_is.tx == published.tx and as_is.down_bytes_per_packet("rx") == published.down_bytes_per_packet("rx")


def test_a_simple_nic_moves_300_bytes_up_for_60_sent_and_60_received():
    found = packet_dma()
    assert found.up_bytes_per_packet("tx") + found.up_bytes_per_packet("rx") == 300 and found.bound == "up"


# ------------------------------------------------- one DMA?

@pytest.mark.parametrize("way", ["tx", "rx"])
@pytest.mark.parametrize("nic", RINGS)
def test_no_packet_is_one_dma(nic, way):
    """Doorbell, data, completion or register, interrupt: four kinds at the least, on any NIC without polling."""
    kinds = {t.key for t in packet_dma(nic=nic, frame_bytes=1518).of(way)}
    assert len(kinds) >= 4


@pytest.mark.parametrize(("nic", "trips"), [
    ("simple", 2), ("plain", 2), ("virtio", 4), ("virtio-packed", 2), ("llq", 0)])
def test_reads_that_follow_from_each_other_before_a_small_packet_can_leave(nic, trips):
    found = packet_dma(nic=nic)
    assert (found.round_trips("tx"), found.round_trips("rx")) == (trips, 0)


def test_a_pushed_packet_is_read_only_beyond_what_was_pushed():
    small, large = (packet_dma(nic="llq", frame_bytes=n) for n in (100, 101))
    assert (small.round_trips("tx"), large.round_trips("tx")) == (0, 1)
    assert next(t for t in large.tx if t.key == "data_read").data_bytes == 1


def test_a_push_goes_in_cache_lines_whatever_the_payload_may_be():
    assert packet_dma(nic="llq", mps=4096).tx[0].packets == {"MWr": 2}


def test_latency_is_one_way_and_a_round_trip_for_each_dependent_read():
    found = packet_dma(nic="virtio")
    bytes_ns = 8 * sum(t.down_bytes for t in found.tx if t.waits) / found.options.tlp_gbit_per_s
    assert found.latency_ns("tx") == near(150 + 4 * 800 + bytes_ns)
    assert packet_dma(nic="virtio", added_ns=100).latency_ns("tx") == near(found.latency_ns("tx") + 400)
    assert packet_dma(nic="virtio", added_ns=100).latency_ns("rx") == near(found.latency_ns("rx") + 100)


def test_batches_share_doorbells_and_interrupts_but_not_the_data():
    one, many = packet_dma(nic="plain"), packet_dma(nic="plain", ring_batch=32)
    assert many.transactions_per_packet("tx") == near(2 + 3 / 32)
    assert one.transactions_per_packet("tx") == 5
    assert many.gbit_per_s() > one.gbit_per_s()
    assert packet_dma(nic="kernel", ring_batch=32).tx == packet_dma(nic="kernel").tx, "it has batches of its own"


# ------------------------------------------------- the ladder

@pytest.mark.parametrize("way", ["tx", "rx"])
@pytest.mark.parametrize("path", ["vdpa", "sriov", "card"])
def test_the_ladder_counts_what_a_plain_nic_does(path, way):
    counts = LADDER[path].counts(direction=way, posted=True)
    assert packet_dma(nic="plain").transactions_per_packet(way) == counts.pcie_transactions_per_packet


def test_with_batches_the_ladder_still_counts_a_descriptor_read_for_each_packet():
    """Its cards fetch descriptors one by one; these fetch a batch at once. The ladder is the upper bound."""
    counts = LADDER["sriov"].counts(kick_batch=32, interrupt_batch=32, posted=True)
    here = packet_dma(nic="plain", ring_batch=32).transactions_per_packet("tx")
    assert counts.pcie_transactions_per_packet - here == near(1 - 1 / 32)


def test_a_card_that_reads_a_virtio_ring_needs_four_more_than_the_ladder_counts():
    """The ladder's vDPA has one descriptor read; a split ring also has two indices, its avail ring and an event."""
    counts = LADDER["vdpa"].counts(posted=True)
    more = {t.key for t in packet_dma(nic="virtio").tx} - {t.key for t in packet_dma(nic="plain").tx}
    assert more == {"avail_index_read", "avail_ring_read", "used_ring_write", "used_index_write", "event_read"}
    assert packet_dma(nic="virtio").transactions_per_packet("tx") - counts.pcie_transactions_per_packet == 4


def test_a_pushed_packet_is_one_descriptor_read_less_and_a_push_more():
    keys = [t.key for t in packet_dma(nic="llq", frame_bytes=1518).tx]
    assert "push" in keys and "descriptor_read" not in keys


def test_the_ladders_pcie_time_of_a_packet_is_this_models():
    """The doorbell, two dependent reads and the bytes; the ladder counts headers of 24 B, and the checksum."""
    stages = LADDER["sriov"].latency(posted=True).by_place()
    ladder_ns = next(ns for place, ns in stages.items() if place == "pcie")
    here = packet_dma(nic="plain", frame_bytes=1518, pcie_generation=4, lanes=16).latency_ns("tx")
    assert ladder_ns == near(here, rel=0.01)


# ------------------------------------------------- everywhere

@given(settings_of(PacketDmaOptions))
def test_one_resource_is_full_and_none_more(options):
    found = packet_dma(options)
    assert found.law()[0] == near(found.law()[1])
    both, tx, rx = (found.gbit_per_s(t) for t in ("both", "tx", "rx"))
    assert 0 < both <= min(tx, rx) * (1 + 1e-9) and max(tx, rx) < options.tlp_gbit_per_s
    assert str(found)


@given(settings_of(PacketDmaOptions))
def test_bytes_are_data_and_headers(options):
    for way in ("tx", "rx"):
        for t in packet_dma(options).of(way):
            headers = options.header_bytes * (t.packets.get("MWr", 0) + t.packets.get("MRd", 0))
            headers += options.completion_header_bytes * t.packets.get("CplD", 0)
            lost = options.as_published and way == "rx" and t.key == "descriptor_read"
            missing = options.header_bytes * t.packets["MRd"] if lost else 0
            assert t.up_bytes + t.down_bytes == t.data_bytes + headers - missing


@given(settings_of(PacketDmaOptions))
def test_the_frame_goes_over_the_link_once_each_way(options):
    for way, act in (("tx", "card_read"), ("rx", "card_write")):
        data = sum(t.data_bytes for t in packet_dma(options).of(way) if t.key in ("data_read", "data_write"))
        pushed = 96 if options.nic == "llq" and way == "tx" else 0
        header = 12 if options.nic.startswith("virtio") else 0
        assert data == max(0, options.data_bytes - pushed) + header
        assert all(t.act == act for t in packet_dma(options).of(way) if t.key in ("data_read", "data_write"))


@given(settings_of(PacketDmaOptions))
def test_an_array_of_sizes_gives_what_each_gives(options):
    sizes = [60, 256, 257, 1514, options.data_bytes]
    for traffic in ("both", "tx", "rx"):
        found = nic_gbit_per_s(options, np.array(sizes), traffic)
        each = [packet_dma(options, frame_bytes=s + 4).gbit_per_s(traffic) for s in sizes]
        assert list(found) == near(each)


@given(settings_of(PacketDmaOptions, as_published=False))
def test_more_latency_never_carries_more(options):
    assert packet_dma(options, added_ns=100_000).gbit_per_s() <= packet_dma(options).gbit_per_s() * (1 + 1e-9)


@pytest.mark.parametrize(("wrong", "says"), [
    ({"frame_bytes": 63}, "frame_bytes must be 64"), ({"nic": "magic"}, "these kinds"),
    ({"ring_batch": 0}, "nothing is")])
def test_what_no_nic_does_is_refused(wrong, says):
    with pytest.raises(ParameterError, match=says):
        packet_dma(**wrong)


def test_a_question_without_a_direction_is_refused():
    with pytest.raises(ParameterError, match="different transactions"):
        packet_dma().of("both")
    with pytest.raises(ParameterError, match="needs a direction"):
        packet_dma().gbit_per_s("up")
