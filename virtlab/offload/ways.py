"""Tables that are read, not computed: what cards really do, how VMs with VFs move, how devices are shared."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import CLASSES, SOURCES
from virtlab.memory import Migration, migrate


@dataclass(frozen=True)
class Known:
    """How something is known: who does it ("" where that is not the point), a source by id, and its evidence class."""

    who: str
    source: str
    class_: str

    def __post_init__(self) -> None:
        if self.source not in SOURCES or self.class_ not in CLASSES:
            raise ValueError(f"unknown source or class: {self}")


@dataclass(frozen=True)
class OffloadedRow:
    """One function of the article's list: ``id`` (of its words), area, and by whom it is done and known."""

    id: str
    area: str
    by: tuple[Known, ...]

    @property
    def on_card(self) -> bool:
        """Whether anybody is known to do it on a card."""
        return any(known.who != "nobody" for known in self.by)


@dataclass(frozen=True, repr=False)
class Offloaded(Shown):
    """What is really offloaded. ``offloaded["tcp"].on_card`` is False."""

    rows: tuple[OffloadedRow, ...]

    def __getitem__(self, key: str) -> OffloadedRow:
        for row in self.rows:
            if row.id == key:
                return row
        raise KeyError(f"there is no function '{key}'; there are {', '.join(row.id for row in self.rows)}")

    def of(self, area: str) -> Offloaded:
        """The rows of one area: network, storage, security or management."""
        return Offloaded(tuple(row for row in self.rows if row.area == area))

    def table(self) -> Table:
        def by(known: Known) -> str:
            who = words(f"offloaded.who.{known.who}")
            return say("offloaded.by", who=who, class_=known.class_, source=known.source)

        rows = [
            (words(f"offloaded.area.{row.area}"),
             *(words(f"offloaded.{row.id}.{k}") for k in ("name", "card", "stays")), "; ".join(map(by, row.by)))
            for row in self.rows
        ]  # fmt: skip
        return Table.of(words("offloaded.header"), rows, str(words("offloaded.caption")))


@dataclass(frozen=True)
class MigrationClass:
    """A kind of device, how a VM with it moved (``migration``), and whether post-copy can be used: yes, no, unknown."""

    id: str
    migration: Migration
    postcopy: str
    by: tuple[Known, ...]


@dataclass(frozen=True, repr=False)
class MigrationClasses(Shown):
    """The kinds of devices side by side, each with the same VM on its way."""

    rows: tuple[MigrationClass, ...]

    def __getitem__(self, key: str) -> MigrationClass:
        for row in self.rows:
            if row.id == key:
                return row
        raise KeyError(f"there is no kind '{key}'; there are {', '.join(row.id for row in self.rows)}")

    def table(self) -> Table:
        rows = []
        for row in self.rows:
            down = show(row.migration.downtime_s, "s", 4)
            rows.append((
                *(words(f"ways.class.{row.id}.{k}") for k in ("name", "state", "tracking", "needs")),
                words(f"ways.class.{row.postcopy}"),
                down if row.migration.converged else say("ways.class.never", down=down), _sources(row.by),
            ))  # fmt: skip
        o = self.rows[0].migration.options
        caption = say(
            "ways.class.caption", memory=show(o.memory_bytes, "B"), bandwidth=show(o.bandwidth_gbit_per_s, "Gb/s"),
            dirty=show(o.dirty_gbit_per_s, "Gb/s"),
        )  # fmt: skip
        return Table.of(words("ways.class.header"), rows, caption, numeric=(5,))


@dataclass(frozen=True)
class Way:
    """A way to give one device to many VMs."""

    id: str
    by: tuple[Known, ...]


@dataclass(frozen=True, repr=False)
class Ways(Shown):
    """The ways side by side."""

    rows: tuple[Way, ...]

    def table(self) -> Table:
        keys = ("name", "hardware", "control", "bound", "moving")
        rows = [(*(words(f"ways.way.{row.id}.{k}") for k in keys), _sources(row.by)) for row in self.rows]
        return Table.of(words("ways.way.header"), rows, str(words("ways.way.caption")))


def migration_classes(**changes: Any) -> MigrationClasses:
    """The same VM with each kind of device. Options of :func:`virtlab.memory.migrate` by name, except ``device``.

    A VF whose writes nobody tracks never converges: 64 GiB over 10 Gb/s stand still for 54.98 s. Raises ParameterError.
    """
    moved: Callable[[str], Migration] = functools.cache(lambda device: migrate(device=device, **changes))
    rows = (
        MigrationClass(e["id"], moved(e["device"]), e["postcopy"], _known(e)) for e in _data("ways.toml")["class"]
    )
    return MigrationClasses(tuple(rows))


def _sources(by: tuple[Known, ...]) -> str:
    return "; ".join(say("ways.by", source=known.source, class_=known.class_) for known in by)


def _known(entry: dict[str, Any]) -> tuple[Known, ...]:
    return tuple(Known(*("", *known)[-3:]) for known in entry["by"])


def _data(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("virtlab.offload") / "data" / name).read_text(encoding="utf-8"))


#: What is really offloaded, function by function.
OFFLOADED = Offloaded(tuple(OffloadedRow(e["id"], e["area"], _known(e)) for e in _data("offloaded.toml")["row"]))
#: The ways to give one device to many VMs.
WAYS = Ways(tuple(Way(e["id"], _known(e)) for e in _data("ways.toml")["way"]))
