"""Measures what this computer's CPU needs to encrypt and to check: AES by Python's own OpenSSL, CRC32 by its zlib.

Nothing is installed, no kernel is asked: one core, in user space, buffers in its cache. A call from Python costs about
a microsecond, so the rate is the difference between a long and a short message, taken by turns.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import re
import zlib
from collections.abc import Callable, Iterator
from time import perf_counter_ns as now

from virtlab.core.words import say, words
from virtlab.machine.computer import watch
from virtlab.machine.measured import CIPHERS, Measured, Quantity, kept
from virtlab.machine.presence import Host
from virtlab.machine.sampling import CannotMeasure, check_seconds, quantity, reason, until

SHORT_BYTES, LONG_BYTES, BLOCK_BYTES, LEAST_BYTES = 4 << 10, 64 << 10, 4 << 10, 16
_CALLS = 4  # of a long message in one sample; of a shorter one as many more as are needed for the clock's grain
_TAIL = 64  # bytes of room that a cipher may write behind the message
_MHZ = re.compile(r"^cpu MHz\s*:\s*(\d{2,5}(?:\.\d{1,6})?)\s*$", re.MULTILINE)
_NAMES = {"aes_xts": ("EVP_aes_256_xts", 64), "aes_gcm": ("EVP_aes_256_gcm", 32), "cipher_null": ("EVP_enc_null", 0)}


class Cipher:
    """One cipher of OpenSSL with a random key (or a given one), ready to encrypt. For :func:`cipher`."""

    def __init__(self, library: ctypes.CDLL, context: int) -> None:
        self._update, self._context = library.EVP_EncryptUpdate, context
        self._source = ctypes.create_string_buffer(LONG_BYTES)
        self._target = ctypes.create_string_buffer(LONG_BYTES + _TAIL)
        self._written = ctypes.c_int()
        self._where = ctypes.byref(self._written)

    def encrypt(self, data: bytes) -> bytes:
        """``data`` (16 B to 64 KiB) encrypted. Raises CannotMeasure when OpenSSL refuses."""
        ctypes.memmove(self._source, data, len(data))
        self.ns(len(data), 1)
        return self._target.raw[: len(data)]

    def ns(self, size: int, calls: int) -> float:
        """ns of one call for a message of ``size`` bytes."""
        update, context, target, where, source = (self._update, self._context, self._target, self._where, self._source)
        good = 0
        start = now()
        for _ in range(calls):
            good += update(context, target, where, source, size)
        took = now() - start
        if good != calls or self._written.value != size:
            raise CannotMeasure(words("cipher.why.refused"))
        return took / calls


@contextlib.contextmanager
def cipher(name: str, key: bytes | None = None, tweak: bytes = bytes(16)) -> Iterator[Cipher]:
    """The cipher ``name`` of the OpenSSL that Python itself uses. Raises CannotMeasure where it cannot be reached."""
    library = _openssl()
    function, key_bytes = _NAMES[name]
    context = library.EVP_CIPHER_CTX_new()
    if not context:
        raise CannotMeasure(words("cipher.why.refused"))
    try:
        secret = os.urandom(key_bytes) if key is None else key
        if len(secret) != key_bytes or len(tweak) != 16:
            raise ValueError(f"{name} has a key of {key_bytes} B and a tweak of 16 B")
        kind = getattr(library, function)()
        if not kind or library.EVP_EncryptInit_ex(context, kind, None, secret or None, tweak) != 1:
            raise CannotMeasure(words("cipher.why.refused"))
        yield Cipher(library, context)
    finally:
        library.EVP_CIPHER_CTX_free(context)


@functools.cache
def _openssl() -> ctypes.CDLL:
    """The functions of libcrypto, found through the module of Python that is linked with it."""
    try:
        import _hashlib

        library = ctypes.CDLL(_hashlib.__file__)
        pointer = ctypes.c_void_p
        for name in ("EVP_CIPHER_CTX_new", *(function for function, _ in _NAMES.values())):
            getattr(library, name).restype, getattr(library, name).argtypes = pointer, []
        library.EVP_CIPHER_CTX_free.restype, library.EVP_CIPHER_CTX_free.argtypes = None, [pointer]
        library.EVP_EncryptInit_ex.argtypes = [pointer, pointer, pointer, ctypes.c_char_p, ctypes.c_char_p]
        library.EVP_EncryptUpdate.argtypes = [pointer, pointer, pointer, pointer, ctypes.c_int]
    except (ImportError, AttributeError, OSError):
        raise CannotMeasure(words("cipher.why.library")) from None
    return library


def measure_ciphers(seconds: float = 0.5, host: Host | None = None) -> Measured:
    """GB/s of one core for AES-256-XTS and -GCM, for no cipher at all and for a CRC32; ns of a block; cycles a byte.

    Takes about ``seconds`` (0.05 to 10). Never raises for what cannot be measured: it is missing, with the reason.
    Whatever was opened is freed, after an interrupt as well. Raises ParameterError for ``seconds`` out of range.
    """
    check_seconds(seconds)
    host = host or Host()
    facts = watch(host)
    samples: dict[str, list[float]] = {key: [] for key in CIPHERS}
    missing: dict[str, str] = {}
    for key in (*_NAMES, "crc32"):
        try:
            if key == "crc32":
                _rates(_crc32_ns, seconds / 4, samples[key])
            else:
                with cipher(key) as one:
                    _rates(one.ns, seconds / 4, samples[key], samples["aes_xts_block"] if key == "aes_xts" else None)
        except Exception as error:  # a sandbox may refuse anything
            missing[key] = reason(error)
    missing.setdefault("aes_xts_block", missing.get("aes_xts", ""))
    missing["aes_xts_cycles"] = missing.get("aes_xts", "")
    if not missing["aes_xts_cycles"]:
        if clock := _MHZ.search(host.read("proc/cpuinfo")):
            samples["aes_xts_cycles"] = [float(clock[1]) / 1000 / rate for rate in samples["aes_xts"] if rate > 0]
        else:
            missing["aes_xts_cycles"] = str(words("cipher.why.clock"))
    return Measured(tuple(_found(key, samples[key], missing.get(key, "")) for key in CIPHERS), facts())


def _rates(
    ns: Callable[[int, int], float], seconds: float, rates: list[float], blocks: list[float] | None = None
) -> None:
    """Adds GB/s between a short and a long message, by turns; and ns of a block beyond the shortest message."""
    more = LONG_BYTES // SHORT_BYTES
    for _ in until(seconds):
        long, short = ns(LONG_BYTES, _CALLS), ns(SHORT_BYTES, _CALLS * more)
        rates.append((LONG_BYTES - SHORT_BYTES) / (long - short) if long > short else 0.0)
        if blocks is not None:
            blocks.append(ns(BLOCK_BYTES, _CALLS * more) - ns(LEAST_BYTES, _CALLS * more))


def _crc32_ns(size: int, calls: int) -> float:
    data, crc32 = bytes(size), zlib.crc32
    start = now()
    for _ in range(calls):
        crc32(data)
    return (now() - start) / calls


def _found(key: str, samples: list[float], why: str) -> Quantity:
    if why:
        return Quantity(key, missing=why)
    try:
        return quantity(key, samples)
    except (CannotMeasure, IndexError) as error:
        return Quantity(key, missing=reason(error))


@functools.cache
def recorded_ciphers() -> Measured:
    """The ciphers of a computer that come with the course, for comparison and where OpenSSL cannot be reached."""
    return kept("recorded_ciphers.toml")


def cipher_sentence(measured: Measured) -> str:
    """What the measurement says about 100 Gb/s, in one sentence; or why it says nothing."""
    rate = measured["aes_xts"]
    if not rate.present:
        return rate.missing
    return say("cipher.sentence", rate=rate.text(), cores=f"{12.5 / rate.value:.2g}", label=measured.label())
