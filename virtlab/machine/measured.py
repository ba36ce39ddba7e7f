"""What a measurement on a computer looks like: quantities with their spread, and the computer's facts."""

from __future__ import annotations

import functools
import html
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal, TypeVar

from virtlab.core.table import Table
from virtlab.core.units import show
from virtlab.core.words import say, words

#: The sets of quantities, each by id with its unit: the costs of the I/O ladder, 4 KiB against 2 MiB pages, a block on
#: its way to another process by fewer and fewer copies, two busy processes in the kernel's books, a context switch on
#: one CPU and on two, a gather beside a rival's stream, the gaps in a busy loop, the calls of a batch of requests, and
#: ciphers on one core.
COSTS: Mapping[str, str] = {
    "syscall": "ns", "context_switch": "ns", "wakeup": "ns", "copy_cache": "GB/s", "copy_memory": "GB/s",
}  # fmt: skip
PAGES: Mapping[str, str] = {
    "gather_4m_4k": "ns", "gather_4m_2m": "ns", "ratio_4m": "1",
    "gather_64m_4k": "ns", "gather_64m_2m": "ns", "ratio_64m": "1",
    "gather_256m_4k": "ns", "gather_256m_2m": "ns", "ratio_256m": "1",
    "touch_4k": "ns", "touch_2m": "ns", "ratio_touch": "1", "huge_given": "share",
}  # fmt: skip
COPIES: Mapping[str, str] = {
    "block_socket": "ns", "block_two_copies": "ns", "block_one_copy": "ns", "block_zero_copies": "ns",
    "ratio_socket_two": "1", "ratio_two_one": "1", "ratio_one_zero": "1",
}  # fmt: skip
WAITING: Mapping[str, str] = {
    "run_one_cpu": "share", "wait_one_cpu": "share", "booked_one_cpu": "share",
    "run_two_cpus": "share", "wait_two_cpus": "share", "booked_two_cpus": "share",
}  # fmt: skip
SWITCHES: Mapping[str, str] = {
    "switch_one_cpu": "ns", "switch_two_cpus": "ns", "switch_free": "ns", "apart_free": "share",
}  # fmt: skip
RIVALS: Mapping[str, str] = {
    **{f"{part}_{size}": "1" if part == "slower" else "ns" for size in ("128k", "4m", "256m")
       for part in ("alone", "beside", "slower")}, "streamed": "GB/s",
}  # fmt: skip
JITTER: Mapping[str, str] = {
    f"{part}_{place}": unit for place in ("alone", "rival") for part, unit in (
        ("gap_p50", "ns"), ("gap_p99", "ns"), ("gap_p999", "ns"), ("gap_longest", "ns"), ("lost", "share"),
        ("waited", "share"))
}  # fmt: skip
CALLS: Mapping[str, str] = {
    f"{server}_{way}": "1" for server in ("python", "daemon") for way in ("flags", "each", "delayed", "last", "none")
}
CIPHERS: Mapping[str, str] = {
    "aes_xts": "GB/s", "aes_gcm": "GB/s", "cipher_null": "GB/s", "crc32": "GB/s", "aes_xts_block": "ns",
    "aes_xts_cycles": "cycles/B",
}  # fmt: skip
UNITS: Mapping[str, str] = {**COSTS, **PAGES, **COPIES, **WAITING, **SWITCHES, **RIVALS, **JITTER, **CALLS, **CIPHERS}
#: The file of words of a quantity; of the others it is machine.
_WORDS = dict.fromkeys((*COPIES, *WAITING, *SWITCHES, *RIVALS, *JITTER, *CALLS), "probe") | dict.fromkeys(
    CIPHERS, "cipher"
)
#: From this share on, of waiting for a CPU or of stolen time, others were in the way.
BUSY = 0.1
#: The same for waiting while it was measured: two processes that share a CPU wait up to a tenth of it for each other.
BUSY_MEANWHILE = 0.2
_LONGEST = 1 << 16  # characters of a file: a hundred times what a measurement needs
_MOST = 1e18  # ns: thirty years, and more than any other quantity can be


@dataclass(frozen=True)
class Quantity:
    """One measured quantity: median, 10th and 90th percentile of ``n`` samples in ``unit``; or why it is ``missing``.

    A missing quantity has the values 0 and the reason, one sentence, in ``missing``.
    """

    id: str
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    n: int = 0
    missing: str = ""

    @property
    def unit(self) -> str:
        return UNITS[self.id]

    @property
    def present(self) -> bool:
        return not self.missing

    @property
    def title(self) -> str:
        return self._words("title")

    @property
    def how(self) -> str:
        """How it was measured, in one phrase."""
        return self._words("how")

    @property
    def remains(self) -> str:
        """What is still in the number that does not belong to it, and in which direction that errs."""
        return self._words("remains")

    def _words(self, part: str) -> str:
        return str(words(f"{_WORDS.get(self.id, 'machine')}.{self.id}.{part}"))

    def text(self) -> str:
        """Median and spread with their unit, or the reason why there are none."""
        if self.missing:
            return self.missing
        return say("machine.spread", value=show(self.value, self.unit), low=show(self.low, self.unit),
                   high=show(self.high, self.unit))  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """The computer: ``virtual`` is None where it cannot be told, and so is each share (of 1) that Linux does not say.

    ``cores`` are the CPUs that the program may use; ``waiting`` and ``waiting_meanwhile`` are the shares of the ten
    seconds before the measurement, and of its own time, in which some program waited for a CPU; ``stolen`` is the share
    of the CPU time wanted meanwhile that the hypervisor gave to others; ``note`` is what a person added.
    """

    cpu: str
    cores: int
    kernel: str
    date: str
    virtual: bool | None = None
    waiting: float | None = None
    waiting_meanwhile: float | None = None
    stolen: float | None = None
    note: str = ""

    def text(self) -> str:
        """The computer in one phrase."""
        kind = "" if self.virtual is None else str(words(f"machine.{'virtual' if self.virtual else 'bare'}"))
        cores = say("machine.one_core" if self.cores == 1 else "machine.cores", n=self.cores)
        return ", ".join(part for part in (self.cpu, cores, self.kernel, self.note or kind) if part)

    @property
    def busy(self) -> bool:
        """Whether others competed for the CPUs, so that the computer looks slower than it is."""
        limits = ((self.waiting, BUSY), (self.waiting_meanwhile, BUSY_MEANWHILE), (self.stolen, BUSY))
        return any(share is not None and share > limit for share, limit in limits)

    def noise(self) -> str:
        """How much others disturbed it, in one sentence; empty where the system does not say."""
        shares = {"waiting": self.waiting, "meanwhile": self.waiting_meanwhile, "stolen": self.stolen}
        known = [say(f"machine.noise.{k}", share=show(v, "share", 2)) for k, v in shares.items() if v is not None]
        return say("machine.noise.all", parts="; ".join(known)) if known else ""


@dataclass(frozen=True, repr=False)
class Measured:
    """All quantities of one measurement. ``measured["syscall"].value``; prints as a table."""

    quantities: tuple[Quantity, ...]
    facts: Facts
    origin: Literal["now", "recorded"] = "now"

    def __getitem__(self, key: str) -> Quantity:
        for quantity in self.quantities:
            if quantity.id == key:
                return quantity
        raise KeyError(f"there is no quantity '{key}'; there are {', '.join(q.id for q in self.quantities)}")

    def label(self) -> str:
        """Where and when: one line for a caption."""
        noisy = words("machine.noisy") if self.facts.busy else ""
        return say(f"machine.{self.origin}", facts=self.facts.text(), date=self.facts.date, noisy=noisy)

    def table(self) -> Table:
        """One row a quantity: median, spread, number of samples, how it was measured, what remains in the number."""
        rows = [(q.title, q.text(), str(q.n) if q.present else "", q.how, q.remains) for q in self.quantities]
        return Table.of([words(f"machine.column.{k}") for k in ("quantity", "value", "n", "how", "remains")], rows,
                        caption=self.label(), numeric=(2,))  # fmt: skip

    def text(self) -> str:
        """The table without its long columns, for a terminal."""
        rows = [(q.title, q.text()) for q in self.quantities]
        table = Table.of([words(f"machine.column.{k}") for k in ("quantity", "value")], rows, caption=self.label())
        return f"{table}\n{self.facts.noise()}".rstrip()

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        below = f"{words('machine.percentiles')} {self.facts.noise()}".rstrip()
        return self.table()._repr_html_() + f"<p><small>{html.escape(below)}</small></p>"

    def toml(self) -> str:
        """The measurement as the text of a file that :func:`load` reads: to keep it, or to hand it on."""
        lines = ["[facts]", *_lines(self.facts)]
        for quantity in self.quantities:
            lines += ["", "[[quantity]]", *_lines(quantity)]
        return "\n".join([*lines, ""])


_Record = TypeVar("_Record", Facts, Quantity)


def _lines(record: Facts | Quantity) -> list[str]:
    """The fields of ``record`` that are not at their default, as TOML."""
    lines = []
    for field in fields(record):
        value = getattr(record, field.name)
        if value != field.default:
            # A float has four digits: more is noise. JSON's texts and truth values are also those of TOML.
            written = float(f"{value:.4g}") if isinstance(value, float) else value
            lines.append(f"{field.name} = {json.dumps(written, ensure_ascii=False)}")
    return lines


def load(file: Traversable) -> Measured:
    """Reads what :meth:`Measured.toml` wrote. Raises ValueError, TypeError or OSError for a damaged file."""
    with file.open(encoding="utf-8") as stream:
        text = stream.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise ValueError(f"a measurement has at most {_LONGEST} characters")
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise ValueError("a measurement has no values within values") from None
    entries = tree.get("quantity")
    if not isinstance(entries, list) or "facts" not in tree:
        raise ValueError("a measurement has a table [facts] and tables [[quantity]]")
    facts, quantities = _read(Facts, tree["facts"]), tuple(_read(Quantity, entry) for entry in entries)
    shares = [share for share in (facts.waiting, facts.waiting_meanwhile, facts.stolen) if share is not None]
    if facts.cores < 1 or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"a computer has cores, and a share is 0 to 1: {facts}")
    for q in quantities:
        numbers = (q.low, q.value, q.high, q.n)
        if not (numbers == (0, 0, 0, 0) if q.missing else 0 <= q.low <= q.value <= q.high <= _MOST and q.n > 0):
            raise ValueError(f"a quantity has 0 <= low <= value <= high and samples, or a reason and no numbers: {q}")
    ids = [q.id for q in quantities]
    if len(set(ids)) < len(ids) or not set(ids) <= set(UNITS):
        raise ValueError(f"each quantity stands there once and is one of {', '.join(UNITS)}: {ids}")
    return Measured(quantities, facts, "recorded")


_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "float | None": (int, float), "bool | None": (bool,),
}  # fmt: skip


def _read(kind: type[_Record], entry: dict[str, Any]) -> _Record:
    """The record in one table of a file. Raises TypeError for an unknown, a missing, or another kind of field."""
    record = kind(**entry)
    for field in fields(kind):
        if field.name in entry and type(entry[field.name]) not in _TYPES[str(field.type)]:
            raise TypeError(f"{field.name} is {field.type}, and not {entry[field.name]!r}")
    return record


@functools.cache
def recorded() -> Measured:
    """The costs of a computer that come with the course, for comparison and for computers that cannot measure."""
    return kept("recorded.toml")


@functools.cache
def recorded_pages() -> Measured:
    """The pages of a computer that come with the course, for comparison and where huge pages cannot be had."""
    return kept("recorded_pages.toml")


@functools.cache
def recorded_copies() -> Measured:
    """The copies of a computer that come with the course, for comparison and where there is no memfd."""
    return kept("recorded_copies.toml")


@functools.cache
def recorded_waiting() -> Measured:
    """The waiting for a CPU on a computer that comes with the course, for comparison and where no books are kept."""
    return kept("recorded_waiting.toml")


def kept(name: str) -> Measured:
    """The measurement in a file that comes with the course."""
    return load(resources.files("virtlab.machine") / "data" / name)
