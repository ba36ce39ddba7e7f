"""Encryption: golden cores, conservation of cycles, who is limited by what, and a card that takes no core but time."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.offload import CIPHER_GENERATIONS, CRYPTO_PLACES, EncryptionOptions, encryption

OPTIONS = settings_of(EncryptionOptions)


@pytest.mark.parametrize(("generation", "cores"), [("haswell", 6.79), ("skylake", 2.67), ("vaes", 0.67)])
def test_the_golden_cores_of_100_gigabits_at_3_ghz(generation, cores):
    cost = FACTS[CIPHER_GENERATIONS[generation]].value
    found = encryption(throughput_gbit_per_s=100, clock_ghz=3, cipher_cycles_per_byte=cost)
    assert found.cores == pytest.approx(cores, abs=0.005) == pytest.approx(12.5e9 * cost / 3e9, abs=0.005)


def test_the_defaults_are_those_of_the_golden_value_of_skylake():
    assert encryption().cores == pytest.approx(8 / 3)


@given(OPTIONS)
def test_busy_cores_spend_the_cycles_of_what_they_encrypt(options):
    left, right = encryption(options).law()
    assert left == pytest.approx(right)


@given(OPTIONS)
def test_no_place_reaches_more_than_is_asked_for_and_busy_cores_are_at_most_the_needed_ones(options):
    for place, sealing in encryption(options).by_place.items():
        assert 0 < sealing.reached_gbit_per_s <= options.throughput_gbit_per_s, place
        assert 0 <= sealing.busy_cores <= sealing.cores or sealing.cores == sealing.busy_cores == 0


@given(OPTIONS)
def test_the_card_takes_no_core_but_always_time(options):
    card = encryption(options).by_place["card"]
    assert card.cores == card.busy_cores == 0 and card.latency_ns >= options.card_crypto_ns > 0


@given(OPTIONS)
def test_the_card_is_not_infinite(options):
    card = encryption(options).by_place["card"]
    assert card.reached_gbit_per_s <= options.card_crypto_gbit_per_s and 0 < card.card_share <= 1 + 1e-12


def test_one_thread_of_qemu_reaches_what_one_core_encrypts():
    host = encryption(throughput_gbit_per_s=100).by_place["host"]
    assert host.busy_cores == 1 and host.reached_gbit_per_s == pytest.approx(8 * 3 / 0.64)
    assert encryption(throughput_gbit_per_s=100, host_crypto_threads=4).by_place["host"].reached_gbit_per_s == 100


@given(OPTIONS, st.integers(0, 8))
def test_each_hand_over_delays_a_request_in_the_guest_by_one_context_switch_and_nowhere_else(options, more):
    none, some = (encryption(options, hand_overs=n) for n in (0, more))
    assert some.by_place["guest"].latency_ns - none.by_place["guest"].latency_ns == pytest.approx(
        more * options.context_switch_ns, rel=1e-6, abs=1e-3)
    assert none.by_place["host"] == some.by_place["host"] and none.by_place["card"] == some.by_place["card"]


def test_without_hand_overs_guest_and_host_delay_a_request_alike():
    found = encryption(hand_overs=0).by_place
    assert found["guest"].latency_ns == found["host"].latency_ns == pytest.approx(4096 * 0.64 / 3)


def test_larger_data_units_save_what_each_unit_costs():
    small, large = (encryption(cipher_unit_bytes=size, cipher_unit_cycles=300) for size in (512, 4096))
    saved = small.options.request_cycles - large.options.request_cycles
    assert saved == pytest.approx(7 * 300) and small.cores > large.cores


def test_a_request_that_is_no_multiple_of_the_unit_is_rounded_up_to_whole_units():
    o = EncryptionOptions(request_bytes=513, cipher_unit_bytes=512, cipher_unit_cycles=100, cipher_cycles_per_byte=1)
    assert o.request_cycles == 513 + 200


def test_the_sentence_and_the_table_carry_the_numbers_and_who_holds_the_key():
    found = encryption()
    assert "2.67 cores" in found.sentence() and "660 ns" in found.sentence() and "37.5 Gb/s" in found.sentence()
    text = str(found)
    assert len(found.table().rows) == len(CRYPTO_PLACES) and "the tenant's kernel" in text and "the card" in text


@pytest.mark.parametrize("wrong", [{"card_crypto_ns": 0}, {"cipher_cycles_per_byte": 0}, {"throughput_gbit_per_s": 0}])
def test_a_value_out_of_range_is_told(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        encryption(**wrong)
