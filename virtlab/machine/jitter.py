"""Measures the jitter of a busy loop: how long are the gaps between two looks at the clock, alone and with a rival?

The loop is a process of its own, so that no other thread of Python is in its way. Alone and beside a rival that is busy
on the same CPU are taken in turns, so that a busy moment strikes both. Without rights; the rival needs Linux.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from time import monotonic_ns as now
from typing import Literal

from virtlab.core.words import words
from virtlab.machine.answers import lines
from virtlab.machine.computer import watch
from virtlab.machine.gaps import EDGES_NS, PERCENTILES
from virtlab.machine.measured import Measured, Quantity, load
from virtlab.machine.owning import MachineError, start
from virtlab.machine.presence import Host
from virtlab.machine.probes import usable_cpus
from virtlab.machine.rival import Rival
from virtlab.machine.sampling import CannotMeasure, check_seconds, reason, spread

Place = Literal["alone", "rival"]
PLACES: tuple[Place, ...] = ("alone", "rival")
_BINS = len(EDGES_NS) - 1
_PARTS = ("gap_p50", "gap_p99", "gap_p999", "gap_longest", "lost")  # of the numbers of a window
_WINDOWS = 5  # of each arrangement
_LEAST_NS = 40_000_000  # of a window: some ten turns of the two


@dataclass(frozen=True)
class Gaps:
    """A histogram: ``counts`` of the gaps between each two neighbours of EDGES_NS, in ``listened_ns``."""

    place: Place
    listened_ns: int
    counts: tuple[int, ...]

    def per_s(self) -> tuple[float, ...]:
        """Gaps a second, bin by bin."""
        return tuple(n * 1e9 / self.listened_ns for n in self.counts)


@dataclass(frozen=True, repr=False)
class Jitter(Measured):
    """The quantities of the jitter, window by window, and the histogram of all windows of each arrangement."""

    gaps: tuple[Gaps, ...] = ()

    def toml(self) -> str:
        """The measurement as the text of a file that :func:`load_jitter` reads."""
        tables = [f'[[gaps]]\nplace = "{g.place}"\nlistened_ns = {g.listened_ns}\ncounts = {list(g.counts)}\n'
                  for g in self.gaps]  # fmt: skip
        return "\n".join([super().toml(), *tables])


@dataclass(frozen=True)
class Window:
    """What the loop says of one window; ``waited`` is the kernel's share of the time in which it waited, if told."""

    listened_ns: int
    values: tuple[float, ...]
    counts: tuple[int, ...]
    waited: float | None


def measure_jitter(seconds: float = 1.5, host: Host | None = None) -> Jitter:
    """Gaps between two looks at the clock in ns, and the share of the time in gaps above 20 µs: alone, with a rival.

    Takes about ``seconds`` (0.05 to 10, and 0.4 s at least) and some 0.2 s to prepare. A sample is one window: median,
    10th and 90th percentile over the windows. The shares that waited are from the kernel's books (/proc/PID/schedstat).
    The memory does not grow with the time. Never raises for what cannot be measured: it is missing, with the reason.
    Whatever was started is gone afterwards, after an interrupt as well. Raises ParameterError for ``seconds`` out of
    range.
    """
    check_seconds(seconds)
    host = host or Host()
    facts = watch(host)
    found: dict[Place, list[Window]] = {}
    why = ""
    try:
        try:
            cpu: int | None = usable_cpus()[0]
        except CannotMeasure as error:  # then the loop runs alone, where the scheduler puts it
            cpu, why = None, str(error)
        found = windows(cpu, seconds, host)
    except MachineError as error:
        why = str(error)
    except Exception as error:  # a sandbox may refuse anything
        why = reason(error)
    quantities = [q for place in PLACES for q in _quantities(place, found.get(place), why)]
    gaps = tuple(
        Gaps(place, sum(w.listened_ns for w in of), tuple(map(sum, zip(*(w.counts for w in of), strict=True))))
        for place, of in found.items()
    )
    # Some program waited half of the time: ours. That others were in the way shows in the loop that was alone.
    return Jitter(tuple(quantities), replace(facts(), waiting_meanwhile=None), "now", gaps)


def windows(cpu: int | None, seconds: float, host: Host) -> dict[Place, list[Window]]:
    """Alone and with a rival in turns, each in front in every other round; on no certain CPU, only alone.

    Raises CannotMeasure, MachineError or OSError.
    """
    if os.name != "posix":
        raise CannotMeasure(words("probe.why.pipes"))
    places = PLACES if cpu is not None else PLACES[:1]
    window_ns = max(_LEAST_NS, int(seconds * 1e9) // (_WINDOWS * len(places)))
    found: dict[Place, list[Window]] = {place: [] for place in places}
    with contextlib.ExitStack() as held:
        where = "any" if cpu is None else str(cpu)
        program = [sys.executable, "-I", "-S", str(Path(__file__).with_name("gaps.py")), where]
        loop = start(held, program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        lines(loop, 1, now())
        rival = None if cpu is None else Rival(held, cpu, seconds)
        for n in range(_WINDOWS):
            for place in places if n % 2 == 0 else places[::-1]:
                with rival.running() if rival and place == "rival" else contextlib.nullcontext():
                    found[place].append(_window(loop, window_ns, host))
    return found


def _window(loop: subprocess.Popen[bytes], window_ns: int, host: Host) -> Window:
    assert loop.stdin is not None
    before = _books(loop.pid, host)
    loop.stdin.write(b"%d\n" % window_ns)
    numbers = [int(text) for text in lines(loop, 1, now() + window_ns)[0].split()]
    after = _books(loop.pid, host)  # it sleeps again, so that nothing is open in them
    if len(numbers) != len(PERCENTILES) + 3 + _BINS:
        raise CannotMeasure(words("machine.why.partner"))
    listened_ns, lost_ns, longest_ns, *rest = numbers
    percentiles, counts = rest[: len(PERCENTILES)], rest[len(PERCENTILES) :]
    waited = None
    if before and after and sum(after) > sum(before):
        waited = (after[1] - before[1]) / (sum(after) - sum(before))
    return Window(listened_ns, (*percentiles, longest_ns, lost_ns / listened_ns), tuple(counts), waited)


def _books(pid: int, host: Host) -> tuple[int, int] | None:
    """ns that a process ran, and that it was ready to run and waited; None where no books are kept."""
    numbers = host.read(f"proc/{pid}/schedstat").split()
    if len(numbers) != 3 or not all(n.isdecimal() for n in numbers):
        return None
    return int(numbers[0]), int(numbers[1])


def _quantities(place: Place, of: Sequence[Window] | None, why: str) -> list[Quantity]:
    keys = [f"{part}_{place}" for part in (*_PARTS, "waited")]
    if of is None:
        return [Quantity(key, missing=why) for key in keys]
    found = [spread(*each) for each in zip(keys, zip(*(w.values for w in of), strict=True), strict=False)]
    waited = [w.waited for w in of if w.waited is not None]
    told = spread(keys[-1], waited) if waited else Quantity(keys[-1], missing=words("probe.why.no_books"))
    return [*found, told]


def load_jitter(file: Traversable) -> Jitter:
    """Reads what :meth:`Jitter.toml` wrote. Raises ValueError, TypeError or OSError for a damaged file."""
    measured = load(file)
    entries = tomllib.loads(file.read_text(encoding="utf-8")).get("gaps")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("a jitter has tables [[gaps]]")
    gaps = tuple(_gaps(entry) for entry in entries)
    if len({g.place for g in gaps}) < len(gaps):
        raise ValueError("each arrangement has one histogram")
    return Jitter(measured.quantities, measured.facts, measured.origin, gaps)


def _gaps(entry: dict[str, object]) -> Gaps:
    place, listened_ns, counts = entry.get("place"), entry.get("listened_ns"), entry.get("counts")
    if place not in PLACES or type(listened_ns) is not int or listened_ns <= 0 or not isinstance(counts, list):
        raise ValueError(f"a histogram has a place ({', '.join(PLACES)}), the time that it took, and counts")
    if len(counts) != _BINS or not all(type(n) is int and 0 <= n <= listened_ns for n in counts):
        raise ValueError(f"a histogram has {_BINS} counts, none of them negative")
    return Gaps(place, listened_ns, tuple(counts))


@functools.cache
def recorded_jitter() -> Jitter:
    """The jitter of a computer that comes with the course, for comparison and where no program can be pinned."""
    return load_jitter(resources.files("virtlab.machine") / "data" / "recorded_jitter.toml")
