"""Data checks: check values of the CRCs, the extra bytes, and which fault each kind of check notices."""
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.offload import data_check
from virtlab.offload.data_check import CHECK_KINDS, FAULTS, DataCheckOptions, crc16_t10, crc32c, detects


def test_the_crcs_have_their_published_check_values():
    assert crc32c(b"123456789") == 0xE3069283 and crc16_t10(b"123456789") == 0xD0DB
    assert crc32c(bytes(32)) == 0x8A9136AA and crc32c(bytes([255]) * 32) == 0x62A8AB43, "RFC 3720, B.4"


@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_crc_notices_every_burst_of_errors_that_is_not_longer_than_itself(data, draw):
    for crc, bits in ((crc32c, 32), (crc16_t10, 16)):
        length = draw.draw(st.integers(1, min(bits, 8 * len(data))))
        start = draw.draw(st.integers(0, 8 * len(data) - length))
        burst = draw.draw(st.integers(0, (1 << length) - 1)) | 1 | 1 << length - 1
        # In the order in which the CRC takes the bits: a reflected one begins with the lowest of each byte.
        order = "little" if crc is crc32c else "big"
        wrong = (int.from_bytes(data, order) ^ burst << start).to_bytes(len(data), order)
        assert crc(wrong) != crc(data)


def test_our_castagnoli_and_zlibs_polynomial_are_different_checks():
    assert crc32c(b"123456789") != zlib.crc32(b"123456789") == 0xCBF43926


NOTICED = {
    "none": set(), "beside": {"flipped_bit"}, "dif": {"flipped_bit", "wrong_block_read", "misdirected_write"},
    "apart": set(FAULTS),
}


@pytest.mark.parametrize("kind", CHECK_KINDS)
def test_what_each_kind_notices(kind):
    assert {fault for fault, noticed in detects(kind).items() if noticed} == NOTICED[kind]


@pytest.mark.parametrize(("interval", "share"), [(512, 8 / 512), (4096, 8 / 4096)])
def test_a_tuple_of_eight_bytes_is_stored_with_each_block(interval, share):
    assert data_check(check_interval_bytes=interval).extra_share == share


@given(settings_of(DataCheckOptions))
def test_data_and_check_together_are_what_is_stored(options):
    left, right = data_check(options).law()
    assert left == pytest.approx(right)


def test_the_cores_are_bytes_times_cycles_over_the_clock_and_no_check_takes_none():
    found = data_check(throughput_gbit_per_s=100, check_cycles_per_byte=0.113, clock_ghz=3)
    assert found.cores == pytest.approx(12.5e9 * 0.113 / 3e9) and data_check(check="none").cores == 0


def test_random_contents_pass_a_guard_of_sixteen_bits_once_in_65536():
    assert data_check(check="dif").missed_share == 1 / 65536 and data_check(check="none").missed_share == 1
    passed = sum(crc16_t10(n.to_bytes(2, "big") + b"x" * 8) == crc16_t10(bytes(2) + b"x" * 8) for n in range(4096))
    assert passed == 1, "of all pairs of the first two bytes, only the right one"


def test_the_table_has_every_kind_beside_each_other():
    text = str(data_check())
    assert all(words in text for words in ("T10 DIF", "CRC32C beside the data", "CRC32C kept elsewhere", "no check"))
    assert "a lost write" in data_check().sentence().split("does not notice")[1]
