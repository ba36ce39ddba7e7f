"""Measures what a neighbour's stream of memory costs a random gather on another CPU. Linux, without rights.

Alone and beside the streaming rival are taken in turns, and each is first in every other round, so that a slow moment
strikes both. Memory is bounded, and never more than half of what is free.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter_ns as now

import numpy as np

from virtlab.core.words import words
from virtlab.machine.computer import watch
from virtlab.machine.measured import Measured, Quantity, kept
from virtlab.machine.owning import MachineError
from virtlab.machine.pages import leave_room
from virtlab.machine.presence import Host
from virtlab.machine.probes import another_core, pinned, usable_cpus
from virtlab.machine.rival import Rival
from virtlab.machine.sampling import CannotMeasure, check_seconds, quantity, reason, spread, until

#: The memory of the gather: within the second-level cache of any server, beyond it, and beyond every cache.
SIZES: Mapping[str, int] = {"128k": 128 << 10, "4m": 4 << 20, "256m": 256 << 20}
STREAM_BYTES = 128 << 20
_LINE_BYTES = 64
_BLOCK = 1 << 11  # gathered at once: the order and the words of a block are small beside a second-level cache
_MOST = 1 << 20  # lines in the order of one memory
_BLOCKS = 32  # timed at once
_SETTLE_NS = 8_000_000  # the caches fill with what is used now
_SAMPLE_NS = 4_000_000


@dataclass
class Turns:
    """ns a word alone and beside the rival, round by round, and what the rival copied meanwhile, in GB/s."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    streamed: list[float] = field(default_factory=list)


def measure_rivals(seconds: float = 2.0, host: Host | None = None) -> Measured:
    """ns to gather one word of each cache line in random order, alone and beside a stream; ratios, round by round.

    Takes about ``seconds`` (0.05 to 10), some 0.5 s to prepare, and 450 MiB. Medians, with the 10th and 90th
    percentile. Never raises for what cannot be measured: it is missing, with the reason. Whatever was started or mapped
    is gone afterwards, after an interrupt as well. Raises ParameterError for ``seconds`` out of range.
    """
    check_seconds(seconds)
    host = host or Host()
    facts = watch(host)
    quantities: list[Quantity] = []
    streamed: list[float] = []
    why = ""
    with contextlib.ExitStack() as held:
        try:
            cpus = usable_cpus()
            if len(cpus) < 2:
                raise CannotMeasure(words("machine.why.one_cpu"))
            leave_room(STREAM_BYTES, host)
            rival = Rival(held, another_core(cpus), seconds, STREAM_BYTES)
        except MachineError as error:
            why = str(error)
        except Exception as error:  # a sandbox may refuse anything
            why = reason(error)
        for name, size in SIZES.items():
            keys = [f"{part}_{name}" for part in ("alone", "beside", "slower")]
            try:
                if why:
                    raise CannotMeasure(why)
                turns = in_turns(size, rival, cpus[0], seconds / len(SIZES), host)
                ratios = [b / a for a, b in zip(turns.alone, turns.beside, strict=True)]
                samples = turns.alone, turns.beside, ratios
                quantities += [quantity(*each) for each in zip(keys, samples, strict=True)]
                streamed += turns.streamed
            except Exception as error:
                quantities += [Quantity(key, missing=reason(error)) for key in keys]
    # On a busy computer the rival may not have come to run at all, and that is said as it is: 0 GB/s.
    quantities.append(spread("streamed", streamed) if streamed else
                      Quantity("streamed", missing=quantities[0].missing))  # fmt: skip
    return Measured(tuple(quantities), facts())


def in_turns(size: int, rival: Rival, cpu: int, seconds: float, host: Host) -> Turns:
    """The gather alone and beside the rival in every round, until the time is over. Raises CannotMeasure."""
    turns = Turns()
    leave_room(2 * size, host)  # the order of the largest is as large for a moment
    with pinned(cpu), gathering(size) as gather:
        for n in until(seconds):
            for beside in (False, True) if n % 2 == 0 else (True, False):
                if beside:
                    with rival.running():
                        _beside(gather, rival, turns)
                else:
                    turns.alone.append(gather.word_ns())
    return turns


def _beside(gather: Gather, rival: Rival, turns: Turns) -> None:
    begin, before = now(), rival.streamed_bytes
    turns.beside.append(gather.word_ns())
    turns.streamed.append((rival.streamed_bytes - before) / (now() - begin))


class Gather:
    """Memory of which one word a line is taken in random order, a block at a time. It is reached through this alone."""

    def __init__(self, size: int) -> None:
        self._words: np.ndarray | None = np.ones(size // 8, np.int64)  # written, so that every page is there
        lines = size // _LINE_BYTES
        once = np.random.default_rng(1).permutation(lines)[:_MOST] * (_LINE_BYTES // 8)
        self._blocks = itertools.cycle(once.reshape(-1, _BLOCK))
        self._got = np.empty(_BLOCK, np.int64)

    def word_ns(self) -> float:
        """ns a word when the caches hold what they can: the median of some ms, so that no slice of others is in it."""
        begin = now()
        found: list[float] = []
        while (at := now() - begin) < _SETTLE_NS + _SAMPLE_NS or not found:
            took = self._blocks_ns()
            if at >= _SETTLE_NS:
                found.append(took / (_BLOCKS * _BLOCK))
        return float(np.median(found))

    def _blocks_ns(self) -> int:
        words, got = self._words, self._got
        assert words is not None
        start = now()
        for block in itertools.islice(self._blocks, _BLOCKS):
            words.take(block, out=got, mode="clip")  # with "raise" NumPy would take into a copy first
        return now() - start

    def close(self) -> None:
        """Lets go of the memory, although a traceback may hold this object."""
        self._words, self._blocks = None, itertools.cycle(())


@contextlib.contextmanager
def gathering(size: int) -> Iterator[Gather]:
    gather = Gather(size)
    try:
        yield gather
    finally:
        gather.close()


@functools.cache
def recorded_rivals() -> Measured:
    """The gather beside a stream on a computer that comes with the course, for comparison and where one CPU is all."""
    return kept("recorded_rivals.toml")
