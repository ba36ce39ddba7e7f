"""Architectures as data: the baseline host, the remedies that each vendor applies, and what differs beyond them."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

from virtlab.cloud.host import Host
from virtlab.core.table import Table


def read_data(name: str) -> dict[str, Any]:
    """A data file of this folder (TOML)."""
    return tomllib.loads((resources.files("virtlab.cloud") / "data" / name).read_text(encoding="utf-8"))


#: What each remedy changes of a host, by its name.
REMEDIES: Mapping[str, Mapping[str, Any]] = MappingProxyType(read_data("remedies.toml"))


@dataclass(frozen=True)
class Architecture:
    """A baseline host, the remedies applied to it, and what else is ``particular`` to it. Its :class:`Host` follows."""

    id: str
    remedies: tuple[str, ...]
    particular: Mapping[str, Any]

    @functools.cached_property
    def host(self) -> Host:
        """The host that results: the baseline, then the remedies, then what is particular."""
        changed: dict[str, Any] = {}
        for remedy in self.remedies:
            changed |= REMEDIES[remedy]
        return Host(**changed | dict(self.particular))

    def table(self) -> Table:
        """Every duty and function with its place, source and evidence class."""
        from virtlab.cloud.placement import table_of  # it reads the architectures

        return table_of(self)

    def without(self, remedy: str) -> Architecture:
        """This architecture with one remedy taken away, and with it whatever is particular to what it changed."""
        if remedy not in self.remedies:
            raise ValueError(f"{self.id} has no remedy '{remedy}'; it has {', '.join(self.remedies) or 'none'}.")
        kept = {k: v for k, v in self.particular.items() if k not in REMEDIES[remedy]}
        return Architecture(self.id, tuple(r for r in self.remedies if r != remedy), MappingProxyType(kept))


def compose(*remedies: str, **particular: Any) -> Architecture:
    """An architecture of the reader's own: remedies by name, and fields of :class:`Host` that differ beyond them."""
    for remedy in remedies:
        if remedy not in REMEDIES:
            raise ValueError(f"there is no remedy '{remedy}'; there are {', '.join(REMEDIES)}.")
    made = Architecture("own", _in_order(remedies), MappingProxyType(dict(particular)))
    _ = made.host  # a wrong place is told here, not at first use
    return made


def _in_order(remedies: Iterable[str]) -> tuple[str, ...]:
    return tuple(r for r in REMEDIES if r in remedies)


#: Every architecture of the course by its id; "qemu" is the baseline.
ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({
    key: Architecture(key, _in_order(entry["remedies"]), MappingProxyType(entry.get("particular", {})))
    for key, entry in read_data("architectures.toml").items()
})  # fmt: skip
