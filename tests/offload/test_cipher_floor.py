"""The least that AES costs: rounds of the standard over the CPU's AES units."""
import pytest
from hypothesis import given

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.offload import cipher_floor, encryption
from virtlab.offload.cipher_floor import CipherFloorOptions


@pytest.mark.parametrize(("key", "blocks", "floor"), [
    (128, 1, 10 / 16), (192, 1, 12 / 16), (256, 1, 14 / 16), (128, 4, 10 / 64), (256, 4, 14 / 64), (256, 2, 14 / 32),
])
def test_the_golden_floors_at_one_instruction_a_cycle(key, blocks, floor):
    assert cipher_floor(key_bits=key, aes_blocks=blocks, aes_per_cycle=1).cycles_per_byte == floor


@given(settings_of(CipherFloorOptions))
def test_instructions_begun_are_rounds_of_blocks(options):
    left, right = cipher_floor(options).law()
    assert left == pytest.approx(right)


def test_a_disk_with_a_key_of_256_bits_takes_two_fifths_more_than_the_quoted_cycles_of_128_bits():
    found = cipher_floor(key_bits=256, aes_per_cycle=1, aes_blocks=1)
    assert encryption(cipher_cycles_per_byte=found.cycles_per_byte).cores == pytest.approx(12.5 * 0.875 / 3)
    assert found.cycles_per_byte / cipher_floor(found.options, key_bits=128).cycles_per_byte == pytest.approx(1.4)


def test_the_sentence_and_the_table_have_the_numbers():
    found = cipher_floor()
    assert "14 rounds" in found.sentence() and "0.875 cycles a byte" in found.sentence()
    assert [row[1] for row in found.table().rows] == ["10", "12", "14"] and "0.219" in str(found)


@pytest.mark.parametrize("wrong", [{"key_bits": 512}, {"aes_per_cycle": 0}, {"aes_blocks": 3}])
def test_what_no_cpu_has_is_told(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        cipher_floor(**wrong)
