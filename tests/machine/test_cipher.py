"""Ciphers on this computer: OpenSSL's AES is the standard's, the call is not in the rates, what is missing is told."""
import ctypes
import os
import zlib

import pytest

from tests.machine.leftovers import nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.machine import Host, measure_ciphers, recorded_ciphers
from virtlab.machine import cipher as module
from virtlab.machine.measured import CIPHERS
from virtlab.machine.sampling import CannotMeasure


def reached():
    try:
        with module.cipher("aes_xts"):
            return True
    except CannotMeasure:
        return False


openssl = pytest.mark.skipif(not reached(), reason=str(words("cipher.why.library")))


@openssl
def test_the_cipher_that_is_measured_is_the_one_of_the_standard():
    """IEEE 1619-2007, vector 10: AES-256-XTS, data unit ff."""
    key = bytes.fromhex("2718281828459045235360287471352662497757247093699959574966967627"
                        "3141592653589793238462643383279502884197169399375105820974944592")
    with module.cipher("aes_xts", key, bytes([255]) + bytes(15)) as one:
        sealed = one.encrypt(bytes(range(256)) * 2)
    assert sealed[:32].hex() == "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b"
    assert len(sealed) == 512


@openssl
def test_the_null_cipher_copies_and_the_others_do_not():
    data = os.urandom(4096)
    for name in ("cipher_null", "aes_xts", "aes_gcm"):
        with module.cipher(name) as one:
            assert (one.encrypt(data) == data) == (name == "cipher_null")


@openssl
@pytest.mark.machine
def test_every_quantity_is_measured_in_its_order_of_magnitude_and_nothing_is_left():
    with nothing_left():
        found = measure_ciphers(0.2)
    assert [q.id for q in found.quantities] == list(CIPHERS)
    for key in ("aes_xts", "aes_gcm", "cipher_null", "crc32"):
        assert 0.01 < found[key].value < 1000 and found[key].n >= 5, found[key]
    assert 4096 / 1000 < found["aes_xts_block"].value < 4096 / 0.01
    cycles = found["aes_xts_cycles"]
    assert cycles.missing == words("cipher.why.clock") or 0.02 < cycles.value < 100


def test_the_call_from_python_is_not_in_the_rate():
    rates, blocks = [], []
    module._rates(lambda size, calls: 1000 + size / 4, 0, rates, blocks)  # 1 µs a call, 4 GB/s
    assert rates == [pytest.approx(4)] * 5 and blocks == [pytest.approx((4096 - 16) / 4)] * 5


def test_a_long_message_that_is_no_slower_than_a_short_one_is_noise_and_gives_no_rate():
    rates = []
    module._rates(lambda size, calls: 1000.0, 0, rates)
    assert rates == [0.0] * 5 and module._found("crc32", rates, "").missing == words("machine.why.noise")


def test_the_check_is_zlibs_and_costs_more_for_more(monkeypatch):
    seen = []
    monkeypatch.setattr(zlib, "crc32", lambda data: seen.append(len(data)))
    module._crc32_ns(100, 3)
    assert seen == [100] * 3


class Refusing:
    """A library whose context exists and whose cipher does not."""

    def __init__(self):
        self.freed = []
        self.EVP_CIPHER_CTX_new = lambda: 77
        self.EVP_aes_256_xts = lambda: None
        self.EVP_CIPHER_CTX_free = self.freed.append


def test_what_openssl_refuses_is_missing_with_a_reason_and_its_context_is_freed(monkeypatch):
    library = Refusing()
    monkeypatch.setattr(module, "_openssl", lambda: library)
    with pytest.raises(CannotMeasure, match="refused"), module.cipher("aes_xts"):
        pass
    assert library.freed == [77]


@openssl
def test_a_context_is_freed_when_what_uses_it_is_interrupted(monkeypatch):
    real, freed = module._openssl(), []

    class Watched:
        def __getattr__(self, name):
            function = getattr(real, name)
            return (lambda context: (freed.append(context), function(context))) if name.endswith("free") else function

    monkeypatch.setattr(module, "_openssl", Watched)
    with pytest.raises(KeyboardInterrupt), module.cipher("aes_gcm"):
        raise KeyboardInterrupt
    assert len(freed) == 1


@openssl
def test_a_cipher_that_fails_in_the_middle_is_told(monkeypatch):
    with module.cipher("aes_xts") as one:
        one._update = lambda *_: 0
        with pytest.raises(CannotMeasure, match="refused"):
            one.ns(4096, 3)


def test_a_python_without_such_an_openssl_says_so_and_still_measures_the_check(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda path: object())
    module._openssl.cache_clear()
    try:
        found = measure_ciphers(0.05)
    finally:
        module._openssl.cache_clear()
    for key in ("aes_xts", "aes_gcm", "cipher_null", "aes_xts_block", "aes_xts_cycles"):
        assert found[key].missing == words("cipher.why.library")
    assert found["crc32"].present and module.cipher_sentence(found) == words("cipher.why.library")


@openssl
@pytest.mark.parametrize(("cpuinfo", "clock"), [
    ("processor : 0\ncpu MHz\t\t: 2500.000\n", 2.5), ("", None), ("cpu MHz\t\t: -5\n", None),
    ("cpu MHz : 9e99\n", None),
])
def test_cycles_are_counted_only_with_a_clock(tmp_path, cpuinfo, clock):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    found = measure_ciphers(0.05, Host(root=tmp_path))
    if clock is None:
        assert found["aes_xts_cycles"].missing == words("cipher.why.clock")
    else:
        assert found["aes_xts_cycles"].value == pytest.approx(clock / found["aes_xts"].value, rel=0.01)


@pytest.mark.parametrize("seconds", [0, 11, float("nan")])
def test_a_time_out_of_range_is_told(seconds):
    with pytest.raises(ParameterError, match="seconds must be"):
        measure_ciphers(seconds)


def test_what_is_recorded_is_whole_and_says_what_it_means_for_100_gigabits():
    kept = recorded_ciphers()
    assert all(q.present for q in kept.quantities) and [q.id for q in kept.quantities] == list(CIPHERS)
    assert "100 Gb/s take" in module.cipher_sentence(kept) and kept.label() in module.cipher_sentence(kept)
