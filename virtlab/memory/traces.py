"""Address traces: the orders in which programs touch memory, and one recorded from a real program.

Each function returns virtual addresses in bytes, uint64[accesses], from one fixed base on, so that equal arguments give
equal traces. Memory is that of the trace, however large the working set is.
"""

from __future__ import annotations

import functools
import lzma
import tomllib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.evidence import FACTS
from virtlab.memory.pages import LINE_BYTES, page_bytes

Addresses = NDArray[np.uint64]
Pattern = Literal["sequential", "strided", "uniform", "zipf", "cyclic", "chase", "gups", "recorded"]

BASE = 1 << 44  # a multiple of every page size; the largest working set ends below 2**47
PAGE_BYTES, WORD_BYTES = page_bytes("4K"), 8


class Trace(Parameters):
    """Which references, how many, and to how much memory. ``recorded`` looks at their number only."""

    pattern: Pattern = parameter(FACTS["trace.pattern"], default="uniform")
    accesses: int = parameter(FACTS["trace.accesses"], ge=1, le=10_000_000, log=True)
    working_set_bytes: int = parameter(FACTS["trace.working_set"], ge=PAGE_BYTES, le=1 << 46, log=True)
    stride_bytes: int = parameter(FACTS["trace.stride"], ge=WORD_BYTES, le=1 << 30, log=True)
    zipf_exponent: float = parameter(FACTS["trace.zipf"], ge=0, le=2)

    def make(self, seed: int = 1) -> Addresses:
        """The addresses, uint64[accesses]."""
        options: dict[str, Any] = {"seed": seed}
        if self.pattern == "strided":
            options["stride_bytes"] = self.stride_bytes
        elif self.pattern == "zipf":
            options["zipf_exponent"] = self.zipf_exponent
        elif self.pattern == "recorded":
            return recorded(self.accesses)
        addresses: Addresses = globals()[self.pattern](self.accesses, self.working_set_bytes, **options)
        return addresses


def make(
    pattern: Pattern,
    accesses: int,
    working_set_bytes: int,
    *,
    seed: int = 1,
    stride_bytes: int | None = None,
    zipf_exponent: float | None = None,
) -> Addresses:
    """The trace of a pattern by name; None is the default of :class:`Trace`. Raises ParameterError."""
    given = {"stride_bytes": stride_bytes, "zipf_exponent": zipf_exponent}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return Trace(pattern=pattern, accesses=accesses, working_set_bytes=working_set_bytes, **chosen).make(seed)


def sequential(accesses: int, working_set_bytes: int, *, seed: int = 1) -> Addresses:
    """Line after line from the beginning to the end, again and again. Nothing in it is left to chance."""
    return strided(accesses, working_set_bytes, stride_bytes=LINE_BYTES)


def strided(
    accesses: int, working_set_bytes: int, *, stride_bytes: int | None = None, seed: int = 1
) -> Addresses:
    """One word every ``stride_bytes``, modulo the working set."""
    setting = _checked(accesses, working_set_bytes, **({} if stride_bytes is None else {"stride_bytes": stride_bytes}))
    addresses = np.arange(setting.accesses, dtype=np.uint64)
    addresses *= np.uint64(setting.stride_bytes)
    addresses %= np.uint64(setting.working_set_bytes)
    addresses += np.uint64(BASE)
    return addresses


def uniform(accesses: int, working_set_bytes: int, *, seed: int = 1) -> Addresses:
    """Words at random, each as likely as any other."""
    setting = _checked(accesses, working_set_bytes)
    return _words(setting.accesses, setting.working_set_bytes, seed)


def gups(accesses: int, working_set_bytes: int, *, seed: int = 1) -> Addresses:
    """Random updates, as in the HPC Challenge: a word at random is read and then written, so that it stands twice."""
    setting = _checked(accesses, working_set_bytes)
    words = _words(-(-setting.accesses // 2), setting.working_set_bytes, seed)
    return np.repeat(words, 2)[: setting.accesses]


def cyclic(accesses: int, working_set_bytes: int, *, seed: int = 1) -> Addresses:
    """Page after page, again and again: the pattern that LRU serves worst."""
    setting = _checked(accesses, working_set_bytes)
    pages = np.arange(setting.accesses, dtype=np.uint64)
    pages %= np.uint64(setting.working_set_bytes // PAGE_BYTES)
    return _lines(pages)


def chase(accesses: int, working_set_bytes: int, *, seed: int = 1) -> Addresses:
    """A list that leads through all pages in a scattered order, one line a page, each page once a round."""
    setting = _checked(accesses, working_set_bytes)
    count = setting.working_set_bytes // PAGE_BYTES
    once = scattered(np.arange(min(setting.accesses, count), dtype=np.uint64), count, seed)
    return _lines(np.resize(once, setting.accesses))


def zipf(
    accesses: int, working_set_bytes: int, *, zipf_exponent: float | None = None, seed: int = 1
) -> Addresses:
    """Pages of which the one of rank r is chosen with probability proportional to r**-zipf_exponent.

    The ranks are scattered over the pages, and the word within a page is uniform.
    """
    chosen = {} if zipf_exponent is None else {"zipf_exponent": zipf_exponent}
    setting = _checked(accesses, working_set_bytes, **chosen)
    rng = np.random.default_rng(_seed(seed))
    count = setting.working_set_bytes // PAGE_BYTES
    ranks = _zipf_ranks(setting.accesses, count, float(setting.zipf_exponent), rng)
    pages = scattered(ranks - np.uint64(1), count, seed)
    pages *= np.uint64(PAGE_BYTES)
    pages += rng.integers(0, PAGE_BYTES // WORD_BYTES, setting.accesses, dtype=np.uint64) * np.uint64(WORD_BYTES)
    pages += np.uint64(BASE)
    return pages


# --- recorded -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recording:
    """Data references of a real program, and how they were recorded (tools/record_trace.py makes them again)."""

    command: str
    recorded: str  # the day
    versions: str
    window: str  # which references of the program these are
    addresses: Addresses

    def __str__(self) -> str:
        return f"recorded on {self.recorded}: {self.command} ({self.versions}); {self.window}"


def recorded(accesses: int | None = None) -> Addresses:
    """The first ``accesses`` data references of the recorded program, uint64; more than there are begin again.

    None: as many as were recorded. See `recording` for the command that made them.
    """
    addresses = recording().addresses
    if accesses is None:
        return addresses.copy()
    return np.resize(addresses, _checked(accesses, PAGE_BYTES).accesses)


@functools.cache
def recording() -> Recording:
    """The recording that comes with the package. Raises ValueError when its file is damaged."""
    return load(resources.files("virtlab.memory") / "data" / "recorded.xz")


def dump(recording: Recording) -> bytes:
    """The bytes of a recording's file: one line of length, text, then the differences of addresses by byte planes."""
    fields = ("command", "recorded", "versions", "window")
    text = "".join(f"{f} = '{getattr(recording, f)}'\n" for f in fields) + f"references = {len(recording.addresses)}\n"
    planes = np.diff(recording.addresses, prepend=np.uint64(0)).astype("<u8").view(np.uint8).reshape(-1, 8).T
    raw = np.ascontiguousarray(planes).tobytes()
    head = text.encode()
    return b"%d\n" % len(head) + head + lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)


def load(file: Traversable) -> Recording:
    """Reads what `dump` wrote; no more is unpacked than its text promises, and that at most 2**22 references."""
    size, _, rest = file.read_bytes().partition(b"\n")
    try:
        entry = tomllib.loads(rest[: int(size)].decode())
        count = int(entry.pop("references"))
        if not 0 < count <= 1 << 22:
            raise ValueError(f"{count} references are not 1 to {1 << 22}")
        unpacker = lzma.LZMADecompressor(memlimit=1 << 28)
        raw = unpacker.decompress(rest[int(size) :], 8 * count + 1)
        if len(raw) != 8 * count or not unpacker.eof:
            raise ValueError(f"there are not the {count} references that it promises")
        planes = np.frombuffer(raw, np.uint8).reshape(8, count)
        addresses = np.cumsum(np.ascontiguousarray(planes.T).view("<u8").ravel(), dtype=np.uint64)
        if int(addresses.max()) >> 47:
            raise ValueError("an address lies above 2**47")
        addresses.flags.writeable = False
        return Recording(**entry, addresses=addresses)
    except (ValueError, TypeError, KeyError, UnicodeDecodeError, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{file.name} is damaged: {error}; `python tools/record_trace.py` makes it anew") from None


# --- the pieces -----------------------------------------------------------------------------------------------------


def _checked(accesses: int, working_set_bytes: int, **others: Any) -> Trace:
    return Trace(accesses=accesses, working_set_bytes=working_set_bytes, **others)


def _seed(seed: int) -> int:
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 1 << 32:
        raise ParameterError(f"seed must be 0 to {(1 << 32) - 1}; you gave {seed!r}: a whole number names a trace.")
    return int(seed)


def _words(accesses: int, working_set_bytes: int, seed: int) -> Addresses:
    words = np.random.default_rng(_seed(seed)).integers(0, working_set_bytes // WORD_BYTES, accesses, dtype=np.uint64)
    words *= np.uint64(WORD_BYTES)
    words += np.uint64(BASE)
    return words


def _lines(pages: Addresses) -> Addresses:
    """One line of each page, not the same of all: else they would share one set of a cache."""
    lines = pages % np.uint64(PAGE_BYTES // LINE_BYTES)
    return pages * np.uint64(PAGE_BYTES) + lines * np.uint64(LINE_BYTES) + np.uint64(BASE)


def scattered(numbers: Addresses, count: int, seed: int = 1) -> Addresses:
    """A seeded bijection of 0 .. count - 1 that looks random, applied to ``numbers``; it needs no table.

    Within the next power of two, shift-and-xor and an odd factor are bijections; what leaves the range is mapped again
    until it is back in (cycle walking), which keeps it one.
    """
    bits = max(2, (count - 1).bit_length())
    mask = np.uint64((1 << bits) - 1)
    rng = np.random.default_rng([_seed(seed), 2])
    odd = rng.integers(0, 1 << 62, 3, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    shifts = [np.uint64(max(1, bits * part // 12)) for part in (6, 5, 7)]
    start = rng.integers(0, 1 << bits, dtype=np.uint64)

    def once(values: Addresses) -> Addresses:
        values = values ^ start
        for factor, shift in zip(odd, shifts, strict=True):
            values *= factor
            values &= mask
            values ^= values >> shift
        return values

    out = once(numbers)
    outside = np.flatnonzero(out >= count)
    while len(outside):
        again = once(out[outside])
        out[outside] = again
        outside = outside[again >= count]
    return out


def _zipf_ranks(accesses: int, count: int, exponent: float, rng: np.random.Generator) -> Addresses:
    """Ranks 1 .. count by rejection-inversion (Hoermann and Derflinger, ACM TOMACS 1996): exact, without a table.

    The hat is the integral H of x**-exponent; more than nine of ten draws are accepted at once.
    """
    slope = 1.0 - exponent

    def integral(x: Any) -> Any:
        log = np.log(x)
        return log * _expm1_ratio(slope * log)

    def inverse(y: Any) -> Any:
        return np.exp(y * _log1p_ratio(np.maximum(slope * y, -1.0)))

    low, high = integral(1.5) - 1.0, integral(count + 0.5)
    sure = 2.0 - inverse(integral(2.5) - 2.0**-exponent)
    ranks = np.empty(accesses, np.float64)
    rest = np.arange(accesses)
    while len(rest):
        y = high + rng.random(len(rest)) * (low - high)
        x = inverse(y)
        k = np.clip(np.floor(x + 0.5), 1.0, float(count))
        refused = k - x > sure
        if refused.any():
            refused[refused] = y[refused] < integral(k[refused] + 0.5) - k[refused] ** -exponent
        ranks[rest] = k
        rest = rest[refused]
    return ranks.astype(np.uint64)


def _expm1_ratio(x: Any) -> Any:
    """(e**x - 1) / x, 1 at 0."""
    small = np.abs(x) < 1e-8
    return np.where(small, 1.0 + x / 2, np.expm1(x) / np.where(small, 1.0, x))


def _log1p_ratio(x: Any) -> Any:
    """log(1 + x) / x, 1 at 0."""
    small = np.abs(x) < 1e-8
    with np.errstate(divide="ignore"):
        return np.where(small, 1.0 - x / 2, np.log1p(x) / np.where(small, 1.0, x))
