"""Measures what pages of 4 KiB and of 2 MiB cost on this computer: Linux, without rights, in bounded time and memory.

The same work is done on both in turns, and each in front in every other round, so that a slow moment strikes both. The
kernel is asked whether it really gave huge pages: without them there is no second side, and that is said.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from time import perf_counter_ns as now

import numpy as np

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.machine.computer import watch
from virtlab.machine.measured import Measured, Quantity
from virtlab.machine.presence import Host
from virtlab.machine.sampling import CannotMeasure, check_seconds, quantity, reason, spread, until

SMALL_BYTES, HUGE_BYTES = 4 << 10, 2 << 20
_WORDS = 1 << 16  # gathered in one pass: each page of the largest memory once
_BLOCK = 1 << 14  # gathered at once: the order and the words of a block lie in the second-level cache
_PASSES = 6  # a sample is the least of so many: only they find the caches as full as this memory leaves them
_PER_PAGE = SMALL_BYTES // 8


@dataclass(frozen=True)
class Rounds:
    """The same work on small and on huge pages, round by round, and how much the kernel gave of the huge ones."""

    pairs: list[tuple[float, float]]
    asked_bytes: int
    given_bytes: list[int]


def measure_pages(seconds: float = 2.0, host: Host | None = None) -> Measured:
    """Gathers and first touches on 4 KiB and 2 MiB pages, in about ``seconds`` (0.05 to 10) and some 0.7 s to prepare.

    Never raises for a quantity that cannot be measured: it is reported as missing, with the reason. Never maps more
    than half of the free memory, and gives all of it back, after an interrupt as well. Raises ParameterError for
    ``seconds`` out of range.
    """
    check_seconds(seconds)
    host = host or Host()
    facts = watch(host)
    quantities: list[Quantity] = []
    shares: list[float] = []
    for keys, (probe, share) in PROBES.items():
        try:
            rounds = probe(seconds * share, host)
            shares += [given / rounds.asked_bytes for given in rounds.given_bytes]
            quantities += _compared(keys, rounds, host)
        except Exception as error:  # a sandbox may refuse anything
            quantities += [Quantity(key, missing=reason(error)) for key in keys]
    return Measured((*quantities, _given(shares, quantities[0].missing)), facts())


def _compared(keys: tuple[str, str, str], rounds: Rounds, host: Host) -> list[Quantity]:
    """Small pages, huge pages and their ratio; without all its huge pages there is only the first of them."""
    small, huge = zip(*rounds.pairs, strict=True)
    given = min(rounds.given_bytes)
    if given == rounds.asked_bytes:
        ratios = [s / h for s, h in rounds.pairs]
        return [quantity(key, samples) for key, samples in zip(keys, (small, huge, ratios), strict=True)]
    setting = host.read("sys/kernel/mm/transparent_hugepage/enabled").strip() or "?"
    why = say("machine.why.some_huge" if given else "machine.why.no_huge", given=show(given, "B"),
              asked=show(rounds.asked_bytes, "B"), setting=setting)  # fmt: skip
    return [quantity(keys[0], small), *(Quantity(key, missing=why) for key in keys[1:])]


def _given(shares: list[float], why: str) -> Quantity:
    """The share that was given, over all looks."""
    return spread("huge_given", shares) if shares else Quantity("huge_given", missing=why)


# --- the probes -----------------------------------------------------------------------------------------------------


def gather(size_bytes: int, seconds: float, host: Host) -> Rounds:
    """ns a word when NumPy takes one word from each page, in random order: the least of some passes."""
    order = _order(size_bytes // SMALL_BYTES)
    got = np.empty(order.shape[1], np.int64)
    leave_room(2 * (size_bytes + 2 * HUGE_BYTES), host)
    with mapped(size_bytes, huge=False) as small, mapped(size_bytes, huge=True) as huge:
        small.touch()
        huge.touch()
        given = [_looked_at(small, huge, host)]
        pairs = _in_turns(seconds, lambda: small.take_ns(order, got), lambda: huge.take_ns(order, got))
        given.append(_looked_at(small, huge, host))  # the kernel may split a huge page at any time
    return Rounds(pairs, size_bytes, given)


def touch(size_bytes: int, seconds: float, host: Host) -> Rounds:
    """ns to write one word into each 4 KiB of memory that was never touched: the kernel finds and clears each page."""
    given = []

    def small_ns() -> float:
        with mapped(size_bytes, huge=False) as small:
            return small.touch()

    def huge_ns() -> float:
        with mapped(size_bytes, huge=True) as huge:
            took = huge.touch()
            given.append(_looked_at(None, huge, host))
            return took

    leave_room(size_bytes + 2 * HUGE_BYTES, host)
    return Rounds(_in_turns(seconds, small_ns, huge_ns), size_bytes, given)


#: A comparison by the ids of small pages, huge pages and ratio: the probe, and the part of the time that it gets.
PROBES: Mapping[tuple[str, str, str], tuple[Callable[[float, Host], Rounds], float]] = {
    **{
        (f"gather_{mib}m_4k", f"gather_{mib}m_2m", f"ratio_{mib}m"): (
            functools.partial(gather, mib << 20), share)
        for mib, share in ((4, 0.05), (64, 0.25), (256, 0.35))
    },
    ("touch_4k", "touch_2m", "ratio_touch"): (functools.partial(touch, 64 << 20), 0.35),
}  # fmt: skip


def _in_turns(seconds: float, small: Callable[[], float], huge: Callable[[], float]) -> list[tuple[float, float]]:
    """Both in every round, until the time is over; which is first changes from round to round."""
    pairs = []
    for n in until(seconds):
        if n % 2 == 0:
            first = small()
            pairs.append((first, huge()))
        else:
            first = huge()
            pairs.append((small(), first))
    return pairs


def _order(pages: int) -> np.ndarray:
    """Where to gather: every page once before any page again, in random order, at a random word; in blocks."""
    rng = np.random.default_rng(1)
    once = rng.permutation(pages) * _PER_PAGE + rng.integers(0, _PER_PAGE, pages)  # one word each: no line lies twice
    return np.resize(once, _WORDS).reshape(-1, _BLOCK)


# --- memory ---------------------------------------------------------------------------------------------------------


class Mapped:
    """Fresh memory. Its words are reached through it alone, so that closing it lets go of the last of them."""

    def __init__(self, view: np.ndarray) -> None:
        self.words: np.ndarray | None = view
        self.start = int(view.__array_interface__["data"][0])
        self.end = self.start + view.nbytes

    def touch(self) -> float:
        """ns to write one word into each 4 KiB."""
        assert self.words is not None
        start = now()
        self.words[::_PER_PAGE] = 1
        return now() - start

    def take_ns(self, order: np.ndarray, got: np.ndarray) -> float:
        """ns a word to gather all of ``order``, block by block: the least of some passes."""
        assert self.words is not None
        best = float("inf")
        for _ in range(_PASSES):
            start = now()
            for block in order:
                self.words.take(block, out=got, mode="clip")  # with "raise" NumPy would take into a copy first
            best = min(best, (now() - start) / order.size)
        return best


@contextlib.contextmanager
def mapped(size_bytes: int, huge: bool) -> Iterator[Mapped]:
    """Untouched memory on pages of one size, aligned to 2 MiB. Raises CannotMeasure where Linux's way is missing."""
    advice = getattr(mmap, "MADV_HUGEPAGE" if huge else "MADV_NOHUGEPAGE", None)
    if advice is None or not hasattr(mmap.mmap, "madvise"):
        raise CannotMeasure(words("machine.why.madvise"))
    if mmap.PAGESIZE != SMALL_BYTES:
        raise CannotMeasure(say("machine.why.page_size", size=show(mmap.PAGESIZE, "B")))
    # Something on both sides stays without advice, else the kernel would join neighbours that were advised alike.
    memory = mmap.mmap(-1, size_bytes + 2 * HUGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages = None
    try:
        skip = HUGE_BYTES - np.frombuffer(memory, np.uint8, 1).__array_interface__["data"][0] % HUGE_BYTES
        try:
            memory.madvise(advice, skip, size_bytes)
        except OSError as error:
            raise (CannotMeasure(words("machine.why.no_thp")) if error.errno == errno.EINVAL else error) from None
        pages = Mapped(np.frombuffer(memory, np.int64, size_bytes // 8, skip))
        yield pages
    finally:
        if pages is not None:
            pages.words = None  # a traceback holds the frames, and each frame only `pages`
        with contextlib.suppress(BufferError):  # stopped within these few lines: it goes with the traceback
            memory.close()


def _looked_at(small: Mapped | None, huge: Mapped, host: Host) -> int:
    """How much of ``huge`` is on huge pages. Raises CannotMeasure when that is not told, or ``small`` is on some."""
    smaps = host.read("proc/self/smaps")
    if small is not None and huge_bytes(smaps, small.start, small.end):
        raise CannotMeasure(words("machine.why.not_small"))
    given = huge_bytes(smaps, huge.start, huge.end)
    if given is None:
        raise CannotMeasure(words("machine.why.smaps"))
    return given


def huge_bytes(smaps: str, start: int, end: int) -> int | None:
    """The bytes on huge pages in the mappings from ``start`` to ``end``; None when ``smaps`` does not say it."""
    found, inside = None, False
    for line in smaps.splitlines():
        if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = start <= int(head[1], 16) and int(head[2], 16) <= end
        elif inside and (count := re.match(r"AnonHugePages: +(\d+) kB", line)):
            found = (found or 0) + (int(count[1]) << 10)
    return found


def leave_room(needs_bytes: int, host: Host) -> None:
    """Raises CannotMeasure when less than twice this memory is free: the other half is for everybody else."""
    free = free_bytes(host)
    if free is None:
        raise CannotMeasure(words("machine.why.free"))
    if needs_bytes > free / 2:
        raise CannotMeasure(say("machine.why.memory", needs=show(needs_bytes, "B"), free=show(free, "B")))


def free_bytes(host: Host) -> int | None:
    """What a program may still use of the computer and of each control group it is in; None where it is not told."""
    available = re.search(r"^MemAvailable: +(\d+) kB", host.read("proc/meminfo"), re.MULTILINE)
    if available is None:
        return None
    room = [int(available[1]) << 10]
    for line in host.read("proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        top, limit, usage = "sys/fs/cgroup", "memory.max", "memory.current"
        if controllers:  # version 1
            if "memory" not in controllers.split(","):
                continue
            top, limit, usage = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        inner = PurePosixPath(path.lstrip("/"))
        for group in (inner, *inner.parents):
            numbers = [host.read(f"{top}/{group}/{name}").strip() for name in (limit, usage)]
            if all(n.isdecimal() for n in numbers):  # "max" is no limit
                # Files that were read once are dropped before a program gets no memory.
                files = re.search(r"^inactive_file (\d+)", host.read(f"{top}/{group}/memory.stat"), re.MULTILINE)
                room.append(max(int(numbers[0]) - int(numbers[1]) + (int(files[1]) if files else 0), 0))
    return min(room)
