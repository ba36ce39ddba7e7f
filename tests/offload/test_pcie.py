"""A PCIe link by arithmetic: encodings, headers, the two readings of the acknowledgement limit, tags."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.offload import PcieOptions, TransferOptions, pcie
from virtlab.offload.pcie import both_gbit_per_s, read_gbit_per_s, write_gbit_per_s

near = pytest.approx


# ------------------------------------------------- golden

def test_gen3_x8_carries_63_and_leaves_58():
    o = PcieOptions()
    assert (o.physical_gbit_per_s, o.tlp_gbit_per_s) == near((63.015, 57.885), abs=1e-3)
    assert (o.physical_gbit_per_s, o.tlp_gbit_per_s) == near(
        (FACTS["pcie.gen3x8.physical"].value, FACTS["pcie.gen3x8"].value), abs=1e-3)


def test_gen4_x16_carries_252_and_leaves_227():
    o = PcieOptions(pcie_generation=4, lanes=16)
    assert (o.physical_gbit_per_s, o.tlp_gbit_per_s) == near((252.06, 227.40), abs=5e-3)


@pytest.mark.parametrize(("size", "written", "read"), [(60, 41.35, 43.41), (1514, 52.86, 53.63)])
def test_small_transfers_lose_a_third_to_headers(size, written, read):
    found = pcie(transfer_bytes=size)
    assert (found.write_gbit_per_s, found.read_gbit_per_s) == near((written, read), abs=5e-3)


# The table of the base specification, as the published model lists it: by generation, lanes and payload.
ACK_TABLE = {(1, 1, 128): 237, (1, 2, 256): 217, (1, 4, 128): 73, (1, 8, 256): 107, (1, 16, 128): 48,
             (1, 16, 4096): 534, (2, 1, 512): 610, (2, 4, 1024): 333, (2, 8, 128): 118, (2, 16, 256): 123,
             (3, 1, 4096): 4239, (3, 2, 128): 224, (3, 4, 256): 214, (3, 8, 128): 163, (3, 8, 256): 203,
             (3, 8, 512): 182, (3, 16, 256): 168, (4, 16, 256): 168, (5, 8, 2048): 374}  # fmt: skip


@pytest.mark.parametrize(("key", "limit"), ACK_TABLE.items(), ids=str)
def test_the_formula_gives_the_specifications_table(key, limit):
    generation, lanes, mps = key
    assert PcieOptions(pcie_generation=generation, lanes=lanes, mps=mps).acknowledged_every == limit


def test_a_symbol_time_is_a_byte_on_every_lane():
    """Read so, eight lanes need an eighth of the link-layer packets for the same limit; SKIPs are on all lanes."""
    skip = 4 / 1538
    shares = [PcieOptions(dllp=d).link_layer_share - skip for d in ("published", "spec")]
    assert shares[0] == near(8 * shares[1]) == near(16 / 203)
    one = [PcieOptions(lanes=1, dllp=d).tlp_gbit_per_s for d in ("published", "spec")]
    assert one[0] == one[1], "with one lane there is no difference"


# ------------------------------------------------- what packets a transfer is

def test_one_byte_more_than_the_payload_is_one_more_header():
    o = PcieOptions()
    assert (o.write_bytes(256), o.write_bytes(257)) == (280, 305)


def test_a_read_asks_in_mrrs_and_is_answered_in_mps():
    o = PcieOptions()
    assert (o.requests(4096), o.answers(4096)) == (8, 16)
    assert PcieOptions(completions="rcb").answers(4096) == 64
    assert (o.request_bytes(4096), o.answer_bytes(4096)) == (8 * 24, 4096 + 16 * 20)


def test_no_completion_is_longer_than_its_request():
    o = PcieOptions(mps=512, mrrs=128)
    assert (o.requests(1024), o.answers(1024)) == (8, 8)


def test_a_completion_has_a_shorter_header_than_a_write():
    """Hence small reads carry more data than small writes, as long as tags last."""
    assert pcie(transfer_bytes=64).read_gbit_per_s > pcie(transfer_bytes=64).write_gbit_per_s


def test_reading_and_writing_at_once_requests_stand_beside_the_written_data():
    size = 60
    assert both_gbit_per_s(PcieOptions(), size) == near(size * PcieOptions().tlp_gbit_per_s / (size + 24 + 24))


def test_reads_of_four_bytes_are_held_down_by_their_requests():
    """A request has as many bytes as its answer: the lanes up are full, and the lanes down are not."""
    o = PcieOptions(tags=1024, dma_ns=100)
    assert read_gbit_per_s(o, 2) == near(2 * o.tlp_gbit_per_s / 24)


# ------------------------------------------------- tags

def test_32_tags_do_not_fill_a_link_with_small_reads():
    found = pcie(transfer_bytes=64, tags=32)
    assert found.read_gbit_per_s == near(32 * 64 * 8 / 800) and found.read_bound == "tags"
    assert "too few" in found.sentence()
    assert pcie(transfer_bytes=64, tags=256).read_bound == "link"


def test_translation_takes_throughput_once_the_tags_are_used_up():
    free, walked = (pcie(transfer_bytes=64, tags=32, added_ns=ns).read_gbit_per_s for ns in (0, 800))
    assert free == near(2 * walked)


def test_writes_need_no_tags():
    assert pcie(tags=1, dma_ns=10_000).write_gbit_per_s == pcie().write_gbit_per_s


# ------------------------------------------------- everywhere

@given(settings_of(TransferOptions))
def test_data_and_headers_fill_the_link(options):
    found = pcie(options)
    assert found.law()[0] == near(found.law()[1])
    for rate in (found.write_gbit_per_s, found.read_gbit_per_s, found.both_gbit_per_s):
        assert 0 < rate < options.tlp_gbit_per_s < options.physical_gbit_per_s
    assert found.both_gbit_per_s <= min(found.write_gbit_per_s, found.read_gbit_per_s) + 1e-9
    assert str(found)


@given(settings_of(PcieOptions))
def test_a_wider_or_newer_link_never_carries_less(options):
    lanes, generation = options.lanes, options.pcie_generation
    if lanes < 16:
        assert options.replace(lanes=2 * lanes).tlp_gbit_per_s > options.tlp_gbit_per_s
    if generation < 7:
        assert options.replace(pcie_generation=generation + 1).tlp_gbit_per_s > options.tlp_gbit_per_s
    assert options.replace(dllp="spec").tlp_gbit_per_s >= options.replace(dllp="published").tlp_gbit_per_s


@given(settings_of(PcieOptions), st.lists(st.integers(1, 65_536), min_size=1, max_size=8))
def test_an_array_of_sizes_gives_what_each_gives(options, sizes):
    for rate in (write_gbit_per_s, read_gbit_per_s, both_gbit_per_s):
        assert list(rate(options, np.array(sizes))) == near([float(rate(options, s)) for s in sizes])


@given(settings_of(TransferOptions))
def test_packets_are_as_many_as_the_payload_needs(options):
    size = options.transfer_bytes
    assert options.writes(size) == math.ceil(size / options.mps)
    assert options.requests(size) == math.ceil(size / options.mrrs) <= options.answers(size)


@pytest.mark.parametrize(("wrong", "says"), [
    ({"pcie_generation": 8}, "there are seven"), ({"lanes": 12}, "these widths exist"), ({"mps": 100}, "powers of two"),
    ({"transfer_bytes": 0}, "no transfer"), ({"tags": 0}, "without a tag"), ({"width": 8}, "no parameter")])
def test_what_no_link_has_is_refused(wrong, says):
    with pytest.raises(ParameterError, match=says):
        pcie(**wrong)
